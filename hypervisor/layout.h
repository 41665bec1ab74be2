/* SPDX-License-Identifier: MIT */
/*
 * layout.h - the virtual address map, and where the image lies in physical memory.
 *
 * One L4 slot is 512 GiB. Slots 256..271 are ours in every address space, also in guests'
 * (guest L4s get copies of idle_l4's entries; slot 260 is replaced per domain). All other
 * slots belong to the guest.
 *
 *   slot  address              what                                               guest  hypervisor
 *   256   0xffff800000000000   M2P, u64 per MFN, index MFN; the guest's view      R      R
 *   257   0xffff808000000000   frame table, struct page per MFN                   -      RW
 *   258   0xffff810000000000   fixmap and ioremap: uncached device registers      -      RW
 *   259   0xffff818000000000   M2P again: same tables as 256, our writable view   -      RW
 *   260   0xffff820000000000   per-domain area: GDT and LDT of each vCPU          -      RW
 *   261   0xffff82d040000000   the hypervisor's image (+ physical load address)   -      RWX
 *   262   0xffff830000000000   direct map: all RAM, address + machine address     -      RW, NX
 *   ...   (ten slots, 5 TiB)
 *   272   0xffff880000000000   guest again
 *
 * Slot 256's entries are user-accessible and read-only at L4, 259's are supervisor and
 * writable; everything below is P|RW|U|A, so that L4 alone decides.
 */
#ifndef HV_LAYOUT_H
#define HV_LAYOUT_H

#define HV_SLOT_FIRST       256     /* L4 slots FIRST..LAST are ours in every address space */
#define HV_SLOT_LAST        271
#define HV_SLOT_M2P         256
#define HV_SLOT_FRAMETABLE  257
#define HV_SLOT_FIXMAP      258
#define HV_SLOT_M2P_RW      259
#define HV_SLOT_PERDOMAIN   260
#define HV_SLOT_IMAGE       261
#define HV_SLOT_DIRECTMAP   262

/* Plain numbers: assembly and linker scripts read them too. */
#ifdef __ASSEMBLY__
#define HV_UL(x) x
#else
#define HV_UL(x) x##UL
#endif

#define HV_VIRT_START       HV_UL(0xffff800000000000)
#define HV_VIRT_END         HV_UL(0xffff880000000000)
#define M2P_START           HV_UL(0xffff800000000000)   /* what guests are told */
#define M2P_END             HV_UL(0xffff804000000000)   /* limit told to guests: 32 TiB of RAM */
#define FRAMETABLE_START    HV_UL(0xffff808000000000)
#define FRAMETABLE_END      HV_UL(0xffff810000000000)
#define FIXMAP_START        HV_UL(0xffff810000000000)
#define FIXMAP_END          HV_UL(0xffff810040000000)   /* 1 GiB of it is ever used */
#define M2P_RW_START        HV_UL(0xffff818000000000)
#define PERDOMAIN_START     HV_UL(0xffff820000000000)
#define PERDOMAIN_END       HV_UL(0xffff828000000000)
#define HV_IMAGE_BASE       HV_UL(0xffff82d040000000)   /* + physical address = virtual */
#define DIRECTMAP_START     HV_UL(0xffff830000000000)
#define DIRECTMAP_END       HV_UL(0xffff880000000000)
#define DIRECTMAP_SIZE      (DIRECTMAP_END - DIRECTMAP_START)

#define HV_LOAD_PADDR       HV_UL(0x200000)             /* where loaders put the image */

/*
 * Inside the stack block of a CPU (cpu/percpu.h), from its lowest address: three pages of IST
 * stacks, one guard page that is not mapped, four pages of main stack.
 */
#define STACK_IST_NMI       0       /* page number inside the block */
#define STACK_IST_DF        1
#define STACK_IST_MC        2
#define STACK_GUARD         3

#endif
