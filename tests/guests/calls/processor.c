/* SPDX-License-Identifier: MIT */
/*
 * processor.c - state of the processor: trap table, callbacks, descriptors, FPU, segment bases, debug
 * registers. Last, because some of it is not put back.
 */
#include "calls.h"
#include "runtime/time.h"
#include "runtime/traps.h"

#define PTE_RO (PTE_PRESENT)

static uint64_t *gdt;           /* read-only once it is one */

static long trap(uint64_t address, uint16_t cs)
{
    struct trap_info t[2] = { { .vector = 200, .cs = cs, .address = address } };

    return hc_set_trap_table(t);
}

static void traps(void)
{
    TRY(trap((uint64_t)traps, FLAT_KERNEL_CS));
    TRY(trap((uint64_t)traps, 0));
    TRY(trap((uint64_t)traps, 8));
    TRY(trap((uint64_t)traps, 0xffff));
    TRY(trap(BAD_ADDR, FLAT_KERNEL_CS));
    TRY(trap(HV_ADDR, FLAT_KERNEL_CS));
    TRY(trap(1, FLAT_KERNEL_CS));
    TRY(hc_set_trap_table(BAD_PTR));
    TRY(hc_set_trap_table(HV_PTR));
    TRY(hc_set_trap_table(HOLE_PTR));
    TRY(hc_set_trap_table(NULL));
    traps_init();
}

/* NAME_entry: counts in NAME_count, and returns as PV-ABI says: rcx and r11 are on the stack in front of rip. */
#define COUNTING_ENTRY(name)                \
    extern uint64_t name##_count;           \
    void name##_entry(void);                \
    __asm__(".pushsection .text\n"          \
            #name "_entry:\n"               \
            "    incq " #name "_count(%rip)\n" \
            "    pop %rcx\n"                \
            "    pop %r11\n"                \
            "    push $0\n"                 \
            "    push %rcx\n"               \
            "    push %r11\n"               \
            "    push %rax\n"               \
            "    mov $23, %eax\n"           \
            "    syscall\n"                 \
            ".popsection\n");               \
    uint64_t name##_count

COUNTING_ENTRY(nmi);

static void nmis(void)
{
    struct xennmi_callback cb = { .handler_address = (uint64_t)nmi_entry };
    struct callback_register r = { .type = CALLBACKTYPE_nmi, .address = (uint64_t)nmi_entry };

    TRY(hypercall(__HYPERVISOR_nmi_op, XENNMI_register_callback, HC_PTR(&cb), 0, 0, 0));
    TRY(hc_vcpu_op(VCPUOP_send_nmi, 0, NULL));
    TRY(READ_ONCE(nmi_count));
    TRY(hc_callback_op(CALLBACKOP_register, &r));
    TRY(hc_vcpu_op(VCPUOP_send_nmi, 0, NULL));
    TRY(hc_vcpu_op(VCPUOP_send_nmi, 0, NULL));
    TRY(READ_ONCE(nmi_count));
    TRY(hc_vcpu_op(VCPUOP_send_nmi, 0, BAD_PTR));
    cb.handler_address = BAD_ADDR;
    TRY(hypercall(__HYPERVISOR_nmi_op, XENNMI_register_callback, HC_PTR(&cb), 0, 0, 0));
    TRY(hypercall(__HYPERVISOR_nmi_op, XENNMI_unregister_callback, 0, 0, 0, 0));
    traps_init();
}

static long callback(uint16_t type, uint16_t flags, uint64_t address)
{
    struct callback_register r = { .type = type, .flags = flags, .address = address };

    return hc_callback_op(CALLBACKOP_register, &r);
}

static long uncallback(uint16_t type)
{
    struct callback_unregister u = { .type = type };

    return hc_callback_op(CALLBACKOP_unregister, &u);
}

static void callbacks(void)
{
    for (uint16_t type = 0; type < 10; type++) {
        about("callback %u", type);
        TRY(uncallback(type));
        TRY(callback(type, 0, (uint64_t)callbacks));
        TRY(callback(type, 0xffff, (uint64_t)callbacks));
        TRY(callback(type, 0, BAD_ADDR));
        TRY(callback(type, 0, HV_ADDR));
        TRY(callback(type, 0, 0));
        TRY(uncallback(type));
        TRY(uncallback(type));
    }
    about("%s", __func__);
    TRY(callback(0xffff, 0, BAD_ADDR));
    TRY(hc_callback_op(CALLBACKOP_register, BAD_PTR));
    TRY(hc_callback_op(CALLBACKOP_unregister, BAD_PTR));
    TRY(hc_callback_op(2, BAD_PTR));
    TRY(hc_callback_op(-1, BAD_PTR));
    TRY(hypercall(__HYPERVISOR_set_callbacks, 1, 2, 3, 0, 0));
    TRY(hypercall(__HYPERVISOR_set_callbacks, BAD_ADDR, 2, 3, 0, 0));
    TRY(hypercall(__HYPERVISOR_set_callbacks, 1, BAD_ADDR, 3, 0, 0));
    TRY(hypercall(__HYPERVISOR_set_callbacks, 1, 2, BAD_ADDR, 0, 0));
    TRY(hypercall(__HYPERVISOR_set_callbacks, HV_ADDR, 2, 3, 0, 0));
    traps_init();
    for (unsigned int cmd = 0; cmd < 3; cmd++) {
        TRY(hypercall(__HYPERVISOR_nmi_op, cmd, HC_PTR(BAD_PTR), 0, 0, 0));
        TRY(hypercall(__HYPERVISOR_nmi_op, cmd, HC_PTR(HV_PTR), 0, 0, 0));
    }
}

static long set_gdt_one(uint64_t frame, unsigned int entries)
{
    xen_pfn_t list[16] = { frame };

    return hc_set_gdt(list, entries);
}

static void gdts(void)
{
    TRY(set_gdt_one(virt_to_mfn(gdt).v, 8));
    MUST(direct_map_protect(virt_to_pfn(gdt), false) == 0);
    TRY(set_gdt_one(virt_to_mfn(gdt).v, 8));
    TRY(set_gdt_one(virt_to_mfn(gdt).v, 0));
    TRY(set_gdt_one(virt_to_mfn(gdt).v, 512));
    TRY(set_gdt_one(virt_to_mfn(gdt).v, 513));
    TRY(set_gdt_one(virt_to_mfn(gdt).v, 512 * 14));
    TRY(set_gdt_one(virt_to_mfn(gdt).v, 512 * 14 + 1));
    TRY(set_gdt_one(virt_to_mfn(gdt).v, ~0u));
    TRY(set_gdt_one(NO_FRAME, 8));
    TRY(set_gdt_one(DEVICE_FRAME, 8));
    TRY(set_gdt_one(start_info->shared_info >> PAGE_SHIFT, 8));
    TRY(set_gdt_one(virt_to_mfn((void *)start_info->pt_base).v, 8));
    TRY(hc_set_gdt(BAD_PTR, 8));
    TRY(hc_set_gdt(BAD_PTR, 0));
    TRY(hc_set_gdt(HV_PTR, 8));
    TRY(hc_set_gdt(HV_PTR, 0));
    TRY(set_gdt_one(virt_to_mfn(gdt).v, 8));
    TRY(hc_update_va_mapping((uint64_t)gdt, virt_to_maddr(gdt) | PTE_PRESENT | PTE_WRITE,
                             UVMF_INVLPG));
}

/* Into a page of the GDT in use, each at its last entry. */
static void descriptors(void)
{
    static const uint64_t desc[] = {
        0,
        0x00cf9a000000ffffUL,       /* code of ring 0 */
        0x00affa000000ffffUL,       /* 64-bit code of ring 3 */
        0x00cff2000000ffffUL,       /* data of ring 3 */
        0x00cfb2000000ffffUL,       /* data of ring 1 */
        0x00cf92000000ffffUL,       /* data of ring 0 */
        0x00efea000000ffffUL,       /* code with both D and L */
        0x00cffe000000ffffUL,       /* conforming code */
        0x00cff6000000ffffUL,       /* data that grows down */
        0x0000e20000000fffUL,       /* an LDT */
        0x0000890000000067UL,       /* a TSS */
        0x0000ec00e0330000UL,       /* a call gate, to the flat code */
        0x0000ec00000b0000UL,       /* to the guest's own */
        0x0000ee00000b0000UL,       /* an interrupt gate */
        0x0000e500000b0000UL,       /* a task gate */
        0x0000720000000000UL,       /* not present */
        0x00006c00e0330000UL,       /* gate, not present */
        0xffff7fffffffffffUL,       /* noise, not present */
        ~0UL,
    };

    for (unsigned int i = 0; i < ARRAY_SIZE(desc); i++) {
        about("descriptor %lx", desc[i]);
        TRY(hc_update_descriptor(virt_to_maddr(gdt) + 56, desc[i]));
        TRY(hc_update_descriptor(virt_to_maddr(gdt) + 56, 0));
    }
    about("%s", __func__);
    TRY(hc_update_descriptor(virt_to_maddr(gdt) + 57, 0));
    TRY(hc_update_descriptor(virt_to_maddr(gdt) + 4088, desc[2]));
    TRY(hc_update_descriptor(NO_FRAME << PAGE_SHIFT, 0));
    TRY(hc_update_descriptor(DEVICE_FRAME << PAGE_SHIFT, 0));
    TRY(hc_update_descriptor(start_info->shared_info, 0));
    TRY(hc_update_descriptor(virt_to_maddr((void *)start_info->pt_base), 0));
    TRY(set_gdt_one(0, 0));
    TRY(hc_update_descriptor(virt_to_maddr(gdt) + 56, desc[2]));
    TRY(hc_update_descriptor(virt_to_maddr(gdt) + 56, desc[1]));
    /* A page with something forbidden in it is no GDT. */
    MUST(direct_map_protect(virt_to_pfn(gdt), true) == 0);
    for (unsigned int i = 0; i < ARRAY_SIZE(desc); i++) {
        about("table with %lx", desc[i]);
        gdt[500] = desc[i];
        MUST(direct_map_protect(virt_to_pfn(gdt), false) == 0);
        TRY(set_gdt_one(virt_to_mfn(gdt).v, 8));
        TRY(gdt[500] == desc[i]);
        TRY(set_gdt_one(0, 0));
        MUST(direct_map_protect(virt_to_pfn(gdt), true) == 0);
    }
}

/* CR0.TS is clear on the way in. */
COUNTING_ENTRY(no_device);

struct fxsave {
    uint16_t fcw, other[11];
    uint32_t mxcsr, mask;
    uint64_t st[16], xmm[32], rest[12];
} __aligned(16);

static void fxsave(struct fxsave *f)
{
    __asm__ volatile("fxsaveq %0" : "=m"(*f));
}

/* FPU and SSE registers: as after a reset at the first use, kept while others run, and guarded by CR0.TS. */
static void fpu(void)
{
    struct trap_info t[2] = { { .vector = 7, .flags = 4, .cs = FLAT_KERNEL_CS,
                                .address = (uint64_t)no_device_entry } };
    struct sched_poll sleep = { .timeout = now_ns() + 20000000 };
    struct fxsave f;
    uint64_t any = 0;

    MUST(hc_set_trap_table(t) == 0);
    fxsave(&f);
    for (unsigned int i = 0; i < 32; i++)
        any |= f.xmm[i] | f.st[i / 2];
    TRY(f.fcw);
    TRY(f.mxcsr);
    TRY(any != 0);
    TRY(READ_ONCE(no_device_count));
    for (unsigned int i = 0; i < 32; i++)
        f.xmm[i] = 0x0123456789abcdefUL * (i + 1);
    __asm__ volatile("fxrstorq %0" :: "m"(f));
    TRY(hypercall(__HYPERVISOR_sched_op, SCHEDOP_poll, HC_PTR(&sleep), 0, 0, 0));
    fxsave(&f);
    for (unsigned int i = 0; i < 32; i++)
        any |= f.xmm[i] ^ 0x0123456789abcdefUL * (i + 1);
    TRY(any != 0);
    TRY(hypercall(__HYPERVISOR_fpu_taskswitch, 1, 0, 0, 0, 0));
    fxsave(&f);
    TRY(READ_ONCE(no_device_count));
    fxsave(&f);
    TRY(READ_ONCE(no_device_count));
    traps_init();
}

static void bases(void)
{
    for (unsigned int which = 0; which < 6; which++) {
        if (which == SEGBASE_GS_KERNEL)
            continue;               /* in use */
        about("segment base %u", which);
        TRY(hc_set_segment_base(which, 0));
        TRY(hc_set_segment_base(which, 0x7fffffffffffUL));
        TRY(hc_set_segment_base(which, BAD_ADDR));
        TRY(hc_set_segment_base(which, HV_ADDR));
        TRY(hc_set_segment_base(which, FLAT_KERNEL_DS));
        TRY(hc_set_segment_base(which, 0xffff));
        TRY(hc_set_segment_base(which, 0));
    }
    about("%s", __func__);
    TRY(hc_set_segment_base(SEGBASE_GS_KERNEL, BAD_ADDR));
    TRY(hc_set_segment_base(~0u, 0));
    TRY(hc_stack_switch(0, 0));
    TRY(hc_stack_switch(0xffff, BAD_ADDR));
    TRY(hc_stack_switch(8, HV_ADDR));
    TRY(hypercall(__HYPERVISOR_fpu_taskswitch, 1, 0, 0, 0, 0));
    TRY(hypercall(__HYPERVISOR_fpu_taskswitch, 2, 0, 0, 0, 0));
    TRY(hypercall(__HYPERVISOR_fpu_taskswitch, 0, 0, 0, 0, 0));
}

static long set_dr(uint64_t reg, uint64_t value)
{
    return hypercall(__HYPERVISOR_set_debugreg, reg, value, 0, 0, 0);
}

static long get_dr(uint64_t reg)
{
    return hypercall(__HYPERVISOR_get_debugreg, reg, 0, 0, 0, 0);
}

static void debug_registers(void)
{
    static const uint64_t value[] = { 0, 1, 0x400, 0xffff0ff0, BAD_ADDR, HV_ADDR, ~0UL, 0x12345678,
                                      1UL << 32, 0x20000, 0x20002, 0x700, 0x2000, 0x155 };

    for (uint64_t reg = 0; reg < 8; reg++) {
        if (reg == 1 || reg == 2)
            continue;               /* as 0 and 3 */
        about("debug register %lu", reg);
        TRY(get_dr(reg));
        for (unsigned int i = 0; i < ARRAY_SIZE(value); i++) {
            TRY(set_dr(reg, value[i]));
            TRY(get_dr(reg));
        }
        TRY(set_dr(reg, 0));
    }
    about("%s", __func__);
    TRY(get_dr(8));
    TRY(set_dr(8, 0));
    TRY(set_dr(~0UL, 0));
    TRY(get_dr(~0UL));
    TRY(get_dr(1UL << 32));
}

void try_processor(void)
{
    gdt = page_alloc_zeroed();
    MUST(gdt);
    PART(traps);
    PART(callbacks);
    PART(nmis);
    PART(gdts);
    PART(descriptors);
    PART(fpu);
    PART(bases);
    PART(debug_registers);
}
