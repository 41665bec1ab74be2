/* SPDX-License-Identifier: MIT */
/*
 * main.c - a guest that tries everything forbidden with registers. README.md says what.
 */
#include "lib/string.h"
#include "runtime/hypercall.h"
#include "runtime/log.h"
#include "runtime/mem.h"
#include "runtime/p2m.h"
#include "runtime/pagetable.h"
#include "runtime/start.h"
#include "runtime/traps.h"
#include "tests/attack/expect.h"
#include "tests/guests/touch.h"

#define HV_DIRECT   0xffff830000000000UL
#define HV_IMAGE    0xffff82d040000000UL
#define NONCANON    0x0001000000000000UL

/* Statement(s) of assembly as a function. */
#define ATTEMPT(name, ...) static noinline void name(void) { __asm__ volatile(__VA_ARGS__); }

/* ---------------------------------------------------------------- selectors */

#define IRET_TO(sel_cs, sel_ss, flags) \
    "mov %%rsp, %%rax; push $" #sel_ss "; push %%rax; push $" #flags "; push $" #sel_cs ";" \
    "lea 1f(%%rip), %%rax; push %%rax; iretq; 1: nop" ::: "rax", "memory"

ATTEMPT(iret_hv_cs, IRET_TO(0xe008, 0xe02b, 0x202))
ATTEMPT(iret_hv_cs3, IRET_TO(0xe00b, 0xe02b, 0x202))
ATTEMPT(iret_hv_ss, IRET_TO(0xe033, 0xe010, 0x202))
ATTEMPT(iret_hv_ss3, IRET_TO(0xe033, 0xe013, 0x202))
ATTEMPT(iret_tss, IRET_TO(0xe043, 0xe02b, 0x202))
ATTEMPT(iret_ldt, IRET_TO(0xe053, 0xe02b, 0x202))
ATTEMPT(iret_null, IRET_TO(0x3, 0xe02b, 0x202))
ATTEMPT(iret_beyond, IRET_TO(0xfffb, 0xe02b, 0x202))
ATTEMPT(far_hv, "lea 1f(%%rip), %%rax; push $0xe008; push %%rax; lretq; 1:" ::: "rax", "memory")
ATTEMPT(far_tss, "lea 1f(%%rip), %%rax; push $0xe040; push %%rax; lretq; 1:" ::: "rax", "memory")
ATTEMPT(ds_hv, "mov %0, %%ds" :: "r"(0xe010))
ATTEMPT(es_hv, "mov %0, %%es" :: "r"(0xe008))
ATTEMPT(fs_tss, "mov %0, %%fs" :: "r"(0xe043))
ATTEMPT(ss_hv, "mov %0, %%ss" :: "r"(0xe010))
ATTEMPT(ss_null, "mov %0, %%ss" :: "r"(0))
ATTEMPT(iret_fine, IRET_TO(0xe033, 0xe02b, 0x202))

static void selectors(void)
{
    IS(vector_of(iret_hv_cs), 13);
    IS(vector_of(iret_hv_cs3), 13);
    IS(vector_of(iret_hv_ss), 13);
    IS(vector_of(iret_hv_ss3), 13);
    IS(vector_of(iret_tss), 13);
    IS(vector_of(iret_ldt), 13);
    IS(vector_of(iret_null), 13);
    IS(vector_of(iret_beyond), 13);
    IS(vector_of(far_hv), 13);
    IS(vector_of(far_tss), 13);
    IS(vector_of(ds_hv), 13);
    IS(vector_of(es_hv), 13);
    IS(vector_of(fs_tss), 13);
    IS(vector_of(ss_hv), 13);
    IS(vector_of(ss_null), 13);
    IS(vector_of(iret_fine), NO_TRAP);
}

/* The same through the iret hypercall: the fault comes back to us, at the target. */
static long iret_to_kernel(uint64_t cs, uint64_t ss, uint64_t rflags, uint64_t rip)
{
    memset(&iret_to, 0, sizeof(iret_to));
    iret_to.cs = cs;
    iret_to.ss = ss;
    iret_to.rflags = rflags;
    iret_to.rip = rip;
    return vector_of_iret();
}

static void hypercall_iret(void)
{
    uint8_t *mask = (uint8_t *)&shared_info->vcpu_info[0].evtchn_upcall_mask, before = *mask;

    IS(iret_to_kernel(0xe030, 0xe02b, 0x202, 0), NO_TRAP);
    IS(iret_to_kernel(0xe030, 0xe02b, 0x23002, 0), NO_TRAP);
    EXPECT((iret_seen.rflags & 0x23200) == 0x200);
    *mask = before;
    IS(iret_to_kernel(0xe008, 0xe02b, 0x202, 0), 13);
    IS(iret_to_kernel(0xe030, 0xe010, 0x202, 0), 13);
    IS(iret_to_kernel(0, 0, 0x202, 0), 13);
    EXPECT(iret_to_kernel(0xe040, 0xe050, 0x202, 0) >= 10);
    EXPECT(iret_to_kernel(0xe030, 0xe02b, 0x202, NONCANON) == 13 || trapped == 14);
    IS(iret_to_kernel(0xe030, 0xe02b, 0x202, HV_IMAGE + 0x200000), 14);
    *mask = before;
}

/* ---------------------------------------------------------------- privileged instructions */

static uint8_t table_register[16];

ATTEMPT(do_hlt, "hlt")
ATTEMPT(do_cr3_read, "mov %%cr3, %%rax" ::: "rax")
ATTEMPT(do_cr3_write, "mov %0, %%cr3" :: "r"(0x1000UL))
ATTEMPT(do_cr0_write, "mov %%cr0, %%rax; and $~0x10000, %%eax; mov %%rax, %%cr0" ::: "rax")
ATTEMPT(do_cr4_write, "mov %%cr4, %%rax; or $0x2000, %%eax; mov %%rax, %%cr4" ::: "rax")
ATTEMPT(do_cr8, "mov %0, %%cr8" :: "r"(3UL))
ATTEMPT(do_lgdt, "lgdt %0" :: "m"(table_register))
ATTEMPT(do_lidt, "lidt %0" :: "m"(table_register))
ATTEMPT(do_lldt, "lldt %0" :: "r"((uint16_t)0xe050))
ATTEMPT(do_ltr, "ltr %0" :: "r"((uint16_t)0xe040))
ATTEMPT(do_lmsw, "lmsw %0" :: "r"((uint16_t)0))
ATTEMPT(do_swapgs, "swapgs")
ATTEMPT(do_sysret, "lea 1f(%%rip), %%rcx; mov $0x202, %%r11d; sysretq; 1:" ::: "rcx", "r11")
ATTEMPT(do_invlpg, "invlpg (%0)" :: "r"(HV_IMAGE))
ATTEMPT(do_invd, "invd")
ATTEMPT(do_int_32, "int $32")
ATTEMPT(do_int_13, "int $13")
ATTEMPT(do_int_2, "int $2")
ATTEMPT(do_int_8, "int $8")
ATTEMPT(do_int_f0, "int $0xf0")
ATTEMPT(do_int_80, "int $0x80")
ATTEMPT(do_int3, "int3")
ATTEMPT(do_ud2, "ud2")
ATTEMPT(do_xsetbv_0, "xor %%eax, %%eax; xor %%edx, %%edx; xor %%ecx, %%ecx; xsetbv" ::: "rax", "rcx", "rdx")
ATTEMPT(do_xsetbv_all, "mov $-1, %%eax; mov $-1, %%edx; xor %%ecx, %%ecx; xsetbv" ::: "rax", "rcx", "rdx")
ATTEMPT(do_xsetbv_1, "mov $7, %%eax; xor %%edx, %%edx; mov $1, %%ecx; xsetbv" ::: "rax", "rcx", "rdx")
ATTEMPT(do_lock_cli, ".byte 0xf0, 0xfa")

static void privileged(void)
{
    uint64_t cr4;

    IS(vector_of(do_hlt), 13);
    IS(vector_of(do_cr3_read), NO_TRAP);
    IS(vector_of(do_cr3_write), 13);
    IS(vector_of(do_cr0_write), 13);
    /* Accepted and dropped, as the ABI wants. */
    IS(vector_of(do_cr4_write), NO_TRAP);
    __asm__ volatile("mov %%cr4, %0" : "=r"(cr4));
    EXPECT(!(cr4 & 0x2000));
    IS(vector_of(do_cr8), 13);
    IS(vector_of(do_lgdt), 13);
    IS(vector_of(do_lidt), 13);
    IS(vector_of(do_lldt), 13);
    IS(vector_of(do_ltr), 13);
    IS(vector_of(do_lmsw), 13);
    IS(vector_of(do_swapgs), 13);
    IS(vector_of(do_sysret), 13);
    IS(vector_of(do_invlpg), 13);
    IS(vector_of(do_invd), 13);
    IS(vector_of(do_xsetbv_0), 13);
    IS(vector_of(do_xsetbv_all), 13);
    IS(vector_of(do_xsetbv_1), 13);
    EXPECT(vector_of(do_lock_cli) == 6 || trapped == 13);     /* by processor */
    /* Software interrupts: as the trap table says, and never the hypervisor's own vectors. */
    IS(vector_of(do_int3), 3);
    IS(vector_of(do_int_32), 32);
    IS(vector_of(do_int_13), 13);
    EXPECT(trapped_error == (13 << 3 | 2));
    IS(vector_of(do_int_2), 13);
    IS(vector_of(do_int_8), 13);
    IS(vector_of(do_int_f0), 13);
    EXPECT(trapped_error == (0xf0 << 3 | 2));
    IS(vector_of(do_int_80), 13);
    EXPECT(trapped_error == (0x80 << 3 | 2));
    IS(vector_of(do_ud2), 6);
}

static uint32_t msr_nr;

ATTEMPT(do_rdmsr, "rdmsr" :: "c"(msr_nr) : "rax", "rdx")
ATTEMPT(do_wrmsr, "mov $-1, %%eax; mov $-1, %%edx; wrmsr" :: "c"(msr_nr) : "rax", "rdx")

/* MSRs that must never answer: what they hold is the hypervisor's. */
static void msrs(void)
{
    static const uint32_t secret[] = { 0x174, 0x175, 0x176, 0xc0000081, 0xc0000082, 0xc0000083,
                                       0xc0000084, 0x6e0, 0x830, 0x1d9, 0x200, 0x38f, 0xc0010010 };
    unsigned int readable = 0;

    for (unsigned int i = 0; i < ARRAY_SIZE(secret); i++) {
        msr_nr = secret[i];
        IS(vector_of(do_rdmsr), 13);
        IS(vector_of(do_wrmsr), 13);
    }
    /* All ones is no valid value of any that we may write, but for ignored ones and bases. */
    for (uint32_t n = 0; n < 0x1800; n++) {
        msr_nr = n < 0x1000 ? n : 0xc0000000 + (n - 0x1000);
        readable += vector_of(do_rdmsr) == NO_TRAP;
        if (msr_nr != 0x8b && msr_nr != 0x1a0 && (msr_nr < 0xc0000100 || msr_nr > 0xc0000102))
            EXPECT(vector_of(do_wrmsr) == 13);
    }
    log_info("attack: %u MSRs can be read", readable);
    EXPECT(readable < 30);
}

static uint16_t port_nr;
static uint32_t port_value;

ATTEMPT(do_in, "inl %1, %0" : "=a"(port_value) : "d"(port_nr))
ATTEMPT(do_out, "outl %0, %1" :: "a"(~0u), "d"(port_nr))
ATTEMPT(do_insb, "mov %0, %%rdi; mov $16, %%ecx; rep insb" :: "r"(HV_DIRECT), "d"(0x80) : "rdi", "rcx", "memory")
ATTEMPT(do_outsb, "mov %0, %%rsi; mov $16, %%ecx; rep outsb" :: "r"(HV_IMAGE), "d"(0x80) : "rsi", "rcx", "memory")

static void ports(void)
{
    unsigned int other = 0;

    for (uint32_t p = 0; p < 0x10000; p += p < 0x1000 ? 1 : 61) {
        port_nr = (uint16_t)p;
        if (vector_of(do_in) == NO_TRAP && port_value != ~0u && port_value != 0)
            other++;
        (void)vector_of(do_out);
    }
    EXPECT(other == 0);
    EXPECT(vector_of(do_insb) >= 13);
    EXPECT(vector_of(do_outsb) >= 13);
}

/* ---------------------------------------------------------------- memory of the hypervisor */

/* A page fault at the address, and the error code says no more than what was tried: 2 a write, 4 by a
 * user, 16 code. Not a word about what is there. */
#define HIDDEN(attempt, want) \
    do { \
        IS((attempt), 14); \
        IS((long)trapped_error, (want)); \
        EXPECT(shared_info->vcpu_info[0].arch.cr2 == touched); \
    } while (0)

static void memory(void)
{
    /* Mapped and not, of each kind: frame table, registers of devices, the table of frames as we write it,
     * descriptors, stacks, image, RAM, the last page of all. */
    static const uint64_t places[] = {
        0xffff808000000000, 0xffff80fffffff000, 0xffff810000000000, 0xffff810000001000,
        0xffff817ffffff000, 0xffff818000000000, 0xffff81fffffff000, 0xffff820000000000,
        0xffff82000000e000, 0xffff82000000f000, 0xffff820000010000, 0xffff820000011000,
        0xffff827ffffff000, HV_IMAGE, HV_IMAGE + 0x200000, HV_IMAGE + 0x300000,
        HV_IMAGE + 0x40000000, HV_DIRECT, HV_DIRECT + 0x100000, HV_DIRECT + 0x1000000,
        HV_DIRECT + (1UL << 40), 0xffff87fffffff000,
    };

    touch_begin();
    for (unsigned int i = 0; i < ARRAY_SIZE(places); i++) {
        touched = places[i];
        HIDDEN(by_kernel(TOUCH_READ), 0);
        HIDDEN(by_kernel(TOUCH_WRITE), 2);
        HIDDEN(by_kernel(TOUCH_JUMP), 16);
        HIDDEN(by_user(TOUCH_READ), 4);
        HIDDEN(by_user(TOUCH_WRITE), 6);
        HIDDEN(by_user(TOUCH_JUMP), 20);
    }
    /* The machine-to-phys table may be read, no more. */
    touched = 0xffff800000000000;
    IS(by_kernel(TOUCH_READ), TOUCHED);
    HIDDEN(by_kernel(TOUCH_WRITE), 3);
    IS(by_user(TOUCH_READ), TOUCHED);
    HIDDEN(by_user(TOUCH_WRITE), 7);
}

ATTEMPT(load_from_ldt, "mov %0, %%fs" :: "r"(0x7))
ATTEMPT(load_last_of_ldt, "mov %0, %%fs" :: "r"(0xffff))

/* The processor looks for a descriptor in our window, but the page is the guest's: the fault is at its
 * own address of it. */
static void ldt_of_nothing(void)
{
    char *nothing = va_alloc(16);
    struct mmuext_op op = { .cmd = MMUEXT_SET_LDT };

    op.arg1.linear_addr = HC_PTR(nothing);
    op.arg2.nr_ents = 8192;
    IS(hc_mmuext_op(&op, 1, NULL, DOMID_SELF), 0);
    touched = HC_PTR(nothing);
    HIDDEN(vector_of(load_from_ldt), 0);
    touched = HC_PTR(nothing) + 0xfff8;
    HIDDEN(vector_of(load_last_of_ldt), 0);
    op.arg2.nr_ents = 0;
    IS(hc_mmuext_op(&op, 1, NULL, DOMID_SELF), 0);
    va_free(nothing, 16);
}

/* ---------------------------------------------------------------- hypercalls in odd states */

static long version_with_rsp(uint64_t rsp)
{
    uint64_t after;
    long rc;

    __asm__ volatile("mov %%rsp, %%r12; mov %2, %%rsp; syscall; mov %%rsp, %1; mov %%r12, %%rsp"
                     : "=a"(rc), "=&r"(after)
                     : "r"(rsp), "a"(__HYPERVISOR_xen_version), "D"(0), "S"(0)
                     : "rcx", "r11", "r12", "memory");
    return after == rsp ? rc : -1;
}

static long version_with_flags(uint64_t flags, uint64_t *after)
{
    long rc;

    __asm__ volatile("push %3; popfq; syscall; pushfq; pop %1; push $0x202; popfq"
                     : "=a"(rc), "=r"(*after)
                     : "0"((long)__HYPERVISOR_xen_version), "r"(flags), "D"(0), "S"(0)
                     : "rcx", "r11", "memory", "cc");
    return rc;
}

static void *string_buffer;

ATTEMPT(do_extraversion_std, "std; syscall; cld"
        :: "a"(__HYPERVISOR_xen_version), "D"(1), "S"(string_buffer) : "rcx", "r11", "memory")
ATTEMPT(do_version_tf, "pushfq; orl $0x100, (%%rsp); popfq; mov $17, %%eax; xor %%edi, %%edi; syscall; nop; nop"
        ::: "rax", "rdi", "rcx", "r11", "memory", "cc")

static void odd_states(void)
{
    long version = hc_xen_version(0, NULL);
    uint64_t f;
    char *b = page_alloc_zeroed();

    EXPECT(version > 0x40000);
    IS(version_with_rsp(0), version);
    IS(version_with_rsp(HV_DIRECT + 0x1000), version);
    IS(version_with_rsp(HV_IMAGE + 0x300000), version);
    IS(version_with_rsp(NONCANON), version);
    IS(version_with_rsp(~0UL), version);
    IS(version_with_flags(0x202 | 0x4000, &f), version);            /* NT */
    EXPECT(f & 0x4000);
    IS(version_with_flags(0x202 | 0x40000, &f), version);           /* AC */
    EXPECT(f & 0x40000);
    IS(version_with_flags(0x202 | 0x400, &f), version);             /* DF */
    EXPECT(f & 0x400);
    IS(version_with_flags(0x3002, &f), version);                    /* IOPL, no IF: no effect */
    EXPECT((f & 0x3200) == 0x200);
    /* Copies go upwards all the same. */
    string_buffer = b + 100;
    IS(vector_of(do_extraversion_std), NO_TRAP);
    EXPECT(b[100] != 0 && b[99] == 0 && b[84] == 0);
    IS(vector_of(do_version_tf), 1);
    page_free(b);
}

ATTEMPT(jump_to_edge, "jmp *%0" :: "r"(0x7ffffffffffeUL), "a"(__HYPERVISOR_xen_version), "D"(0), "S"(0)
        : "rcx", "r11", "memory")

/* A syscall whose rip afterwards is not canonical: sysret to there would fault in ring 0. */
static void edge_of_the_lower_half(void)
{
    uint64_t *l3 = page_alloc_zeroed(), *l2 = page_alloc_zeroed(), *l1 = page_alloc_zeroed();
    uint8_t *code = page_alloc_zeroed();
    uint64_t flags = PTE_PRESENT | PTE_WRITE | PTE_USER | PTE_ACCESSED | PTE_DIRTY;
    struct mmuext_op flush = { .cmd = MMUEXT_TLB_FLUSH_LOCAL };
    struct mmu_update u = { start_info->pt_base, 0 };
    uint64_t l4;

    code[4094] = 0x0f;
    code[4095] = 0x05;
    l1[511] = virt_to_mfn(code).v << PAGE_SHIFT | flags;
    l2[511] = virt_to_mfn(l1).v << PAGE_SHIFT | flags;
    l3[511] = virt_to_mfn(l2).v << PAGE_SHIFT | flags;
    IS(hc_update_va_mapping(HC_PTR(l1), virt_to_mfn(l1).v << PAGE_SHIFT | PTE_PRESENT, UVMF_INVLPG), 0);
    IS(hc_update_va_mapping(HC_PTR(l2), virt_to_mfn(l2).v << PAGE_SHIFT | PTE_PRESENT, UVMF_INVLPG), 0);
    IS(hc_update_va_mapping(HC_PTR(l3), virt_to_mfn(l3).v << PAGE_SHIFT | PTE_PRESENT, UVMF_INVLPG), 0);
    __asm__ volatile("mov %%cr3, %0" : "=r"(l4));
    u.ptr = (l4 & PTE_ADDR) + 255 * 8;
    u.val = virt_to_mfn(l3).v << PAGE_SHIFT | flags;
    IS(hc_mmu_update(&u, 1, NULL, DOMID_SELF), 0);
    (void)hc_mmuext_op(&flush, 1, NULL, DOMID_SELF);

    (void)vector_of(jump_to_edge);
    EXPECT(trapped == 13 || trapped == 14);
    u.val = 0;
    IS(hc_mmu_update(&u, 1, NULL, DOMID_SELF), 0);
}

/* Breakpoints on what the hypervisor reads and writes for us. */
static void breakpoints(void)
{
    char *b = page_alloc_zeroed();

    IS(hypercall(__HYPERVISOR_set_debugreg, 0, HC_PTR(b), 0, 0, 0), 0);
    IS(hypercall(__HYPERVISOR_set_debugreg, 7, 0xf0001, 0, 0, 0), 0);
    for (unsigned int i = 0; i < 100; i++)
        (void)vector_of(do_extraversion_std);
    string_buffer = b;
    for (unsigned int i = 0; i < 100; i++)
        (void)vector_of(do_extraversion_std);
    IS(hypercall(__HYPERVISOR_set_debugreg, 7, 0, 0, 0, 0), 0);
    REFUSED(hypercall(__HYPERVISOR_set_debugreg, 0, HV_IMAGE + 0x200000, 0, 0, 0));
    REFUSED(hypercall(__HYPERVISOR_set_debugreg, 3, HV_DIRECT, 0, 0, 0));
    REFUSED(hypercall(__HYPERVISOR_set_debugreg, 7, 0x20001, 0, 0, 0));     /* I/O */
    REFUSED(hypercall(__HYPERVISOR_set_debugreg, 8, 0, 0, 0, 0));
    REFUSED(hypercall(__HYPERVISOR_set_debugreg, ~0UL, 0, 0, 0, 0));
    REFUSED(hypercall(__HYPERVISOR_get_debugreg, 8, 0, 0, 0, 0));
    page_free(b);
}

/* ---------------------------------------------------------------- bad arguments */

static void bad_arguments(void)
{
    struct trap_info traps[2] = { { 32, 3, FLAT_KERNEL_CS, NONCANON } };
    struct callback_register cb = { .type = CALLBACKTYPE_event, .address = NONCANON };

    REFUSED(hc_set_trap_table(traps));
    REFUSED(hc_set_trap_table((void *)HV_DIRECT));
    REFUSED(hc_set_trap_table((void *)NONCANON));
    REFUSED(hc_callback_op(CALLBACKOP_register, &cb));
    cb = (struct callback_register){ .type = 99, .address = HC_PTR(&cb) };
    REFUSED(hc_callback_op(CALLBACKOP_register, &cb));
    REFUSED(hc_callback_op(CALLBACKOP_register, (void *)HV_DIRECT));
    REFUSED(hc_callback_op(77, &cb));
    /* Each of the three that cannot be is ignored, as by the reference. */
    IS(hypercall(__HYPERVISOR_set_callbacks, NONCANON, NONCANON, NONCANON, 0, 0), 0);
    REFUSED(hc_set_segment_base(SEGBASE_FS, NONCANON));
    REFUSED(hc_set_segment_base(SEGBASE_GS_KERNEL, NONCANON));
    REFUSED(hc_set_segment_base(SEGBASE_GS_USER, 1UL << 63));
    REFUSED(hc_set_segment_base(9, 0));
    IS(hc_set_segment_base(SEGBASE_GS_USER_SEL, 0xe008), 0);
    IS(hc_set_segment_base(SEGBASE_GS_USER_SEL, 0xe043), 0);
    IS(hc_set_segment_base(SEGBASE_GS_USER_SEL, 0xffff), 0);
    REFUSED(hc_vm_assist(0, 4));
    REFUSED(hc_vm_assist(0, 64));
    REFUSED(hc_vm_assist(7, 2));
    REFUSED(hc_xen_version(1, (void *)HV_DIRECT));
    REFUSED(hc_xen_version(3, (void *)(HV_DIRECT - 8)));
    REFUSED(hc_xen_version(99, NULL));
    for (unsigned int nr = 43; nr < 80; nr++) {
        if (nr != __HYPERVISOR_sluice_flip && nr != __HYPERVISOR_sluice_wait && nr != __HYPERVISOR_arch_0)
            IS(hypercall(nr, 0, 0, 0, 0, 0), -XEN_ENOSYS);
    }
    IS(hypercall(__HYPERVISOR_sluice_wait, SLUICE_WAIT_query, 0, 0, 0, 0), SLUICE_WAIT_VERSION);
    IS(hypercall(__HYPERVISOR_sluice_wait, SLUICE_WAIT_event + 1, 0, 0, 0, 0), -XEN_ENOSYS);
    IS(hypercall(__HYPERVISOR_sluice_wait, 1UL << 32 | SLUICE_WAIT_event, 0, 0, 0, 0), -XEN_ENOSYS);
    IS(hypercall(__HYPERVISOR_sluice_wait, SLUICE_WAIT_event, 4095, 0, 0, 0), -XEN_EINVAL);
    IS(hypercall(__HYPERVISOR_sluice_wait, SLUICE_WAIT_event, 4096, 0, 0, 0), -XEN_EINVAL);
    IS(hypercall(__HYPERVISOR_sluice_wait, SLUICE_WAIT_event, ~0UL, 0, 0, 0), -XEN_EINVAL);
    IS(hypercall(~0u, 0, 0, 0, 0, 0), -XEN_ENOSYS);
    IS(hypercall(0x80000000u, 0, 0, 0, 0, 0), -XEN_ENOSYS);
    IS(hypercall(__HYPERVISOR_arch_0, 0, 0, 0, 0, 0), -XEN_EPERM);
    /* What is there is no interface version. */
    IS(hypercall(__HYPERVISOR_domctl, HC_PTR(traps), 0, 0, 0, 0), -XEN_EACCES);
    IS(hypercall(__HYPERVISOR_sysctl, HC_PTR(traps), 0, 0, 0, 0), -XEN_EACCES);
}

static void batches(void)
{
    static struct multicall_entry m[4];

    m[0] = (struct multicall_entry){ .op = __HYPERVISOR_multicall, .args = { HC_PTR(m), 4 } };
    m[1] = (struct multicall_entry){ .op = __HYPERVISOR_iret };
    m[2] = (struct multicall_entry){ .op = ~0UL };
    m[3] = (struct multicall_entry){ .op = __HYPERVISOR_domctl };
    IS(hc_multicall(m, 4), 0);
    IS((long)m[0].result, -XEN_EINVAL);
    IS((long)m[1].result, -XEN_EINVAL);
    IS((long)m[2].result, -XEN_ENOSYS);
    IS((long)m[3].result, -XEN_EFAULT);
    REFUSED(hc_multicall((void *)HV_DIRECT, 4));
    REFUSED(hc_multicall((void *)NONCANON, 1));
    REFUSED(hc_multicall((void *)(HV_DIRECT - 64), 2));
    IS(hc_multicall(NULL, 0), 0);
}

/* ---------------------------------------------------------------- noise */

static uint64_t seed = 12345;

static uint64_t rnd(uint64_t n)
{
    seed = seed * 6364136223846793005UL + 1442695040888963407UL;
    return (seed >> 33) % n;
}

/* Numbers whose success would end the test: page tables, memory, shutdown, our own handlers. */
static const uint8_t not_at_random[] = { 0, 1, 2, 3, 4, 6, 12, 14, 15, 18, 22, 23, 24, 26, 29, 30 };

static void noise(unsigned int rounds)
{
    static const uint64_t bad[] = { 0, 1, ~0UL, HV_DIRECT, HV_IMAGE, NONCANON, 0xffff800000000000,
                                    0x7ffffffffff8, 0xfffffffffffffff8, 0xffff87fffffffff8 };
    uint64_t a[5];

    for (unsigned int i = 0; i < rounds; i++) {
        unsigned int nr = (unsigned int)rnd(64);

        if (memchr(not_at_random, (int)nr, sizeof(not_at_random)))
            continue;
        for (unsigned int k = 0; k < 5; k++)
            a[k] = rnd(3) ? bad[rnd(ARRAY_SIZE(bad))] : rnd(40);
        (void)hypercall(nr, a[0], a[1], a[2], a[3], a[4]);
        tried++;
    }
    (void)hypercall(__HYPERVISOR_set_debugreg, 7, 0, 0, 0, 0);
}

void pv_main(void)
{
    IS(catch_all(), 0);
    selectors();
    hypercall_iret();
    privileged();
    msrs();
    ports();
    memory();
    ldt_of_nothing();
    odd_states();
    edge_of_the_lower_half();
    breakpoints();
    bad_arguments();
    batches();
    noise(50000);
    traps_init();
    conclude("entry");
}
