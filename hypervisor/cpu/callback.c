/* SPDX-License-Identifier: MIT */
/*
 * callback.c - hypercalls by which a guest tells where to enter it and loads the CPU registers
 * that it may not load itself: trap table, callbacks, kernel stack, segment bases, CR0.TS, debug
 * registers. All of the current vCPU.
 */
#include "cpu/traps.h"

#include "cpu/asm.h"
#include "cpu/asm_vcpu.h"
#include "cpu/vcpu_regs.h"
#include "hypercall/hypercall.h"
#include "lib/string.h"
#include "mm/uaccess.h"
#include "sched/sched.h"

/* A list that ends with address 0; NULL clears the whole table. */
long do_set_trap_table(guest_ptr_t traps)
{
    struct vcpu *v = current;

    if (!traps.v) {
        memset(v->traps, 0, 256 * sizeof(*v->traps));
        return 0;
    }
    for (;;) {
        struct trap_info t;

        if (copy_from_guest(&t, traps, sizeof(t)))
            return -XEN_EFAULT;
        if (!t.address)
            return 0;
        if (!address_canonical(t.address))
            return -XEN_EINVAL;
        v->traps[t.vector] = t;
        traps = guest_ptr_add(traps, sizeof(t));
        /* Nobody says that the list ends. */
        if (hypercall_preempt_check())
            return hypercall_continue(__HYPERVISOR_set_trap_table, 1, traps.v);
    }
}

/* Callback `type` of v, or NULL when there is none of that type that can be registered. */
static struct guest_callback *callback_slot(struct vcpu *v, uint16_t type)
{
    switch (type) {
    case CALLBACKTYPE_event:
        return &v->event_cb;
    case CALLBACKTYPE_failsafe:
        return &v->failsafe_cb;
    case CALLBACKTYPE_syscall:
        return &v->syscall_cb;
    case CALLBACKTYPE_syscall32:
        return &v->syscall32_cb;
    case CALLBACKTYPE_sysenter:
        return &v->sysenter_cb;
    default:
        return NULL;
    }
}

/* An NMI's handler is that of exception 2, in whatever way it is registered. */
static long nmi_register(struct vcpu *v, uint64_t address)
{
    if (!address_canonical(address))
        return -XEN_EINVAL;
    v->traps[2] = (struct trap_info){
        .vector = 2, .flags = 4, .cs = FLAT_KERNEL_CS, .address = address,
    };
    return 0;
}

static void nmi_unregister(struct vcpu *v)
{
    v->traps[2] = (struct trap_info){ .vector = 2 };
}

/* Hypercall 28. */
long do_nmi_op(uint64_t cmd, guest_ptr_t arg)
{
    struct xennmi_callback cb;

    switch ((uint32_t)cmd) {
    case XENNMI_register_callback:
        return copy_from_guest(&cb, arg, sizeof(cb)) ? -XEN_EFAULT
                                                     : nmi_register(current, cb.handler_address);
    case XENNMI_unregister_callback:
        nmi_unregister(current);
        return 0;
    default:
        return -XEN_ENOSYS;
    }
}

/* Hypercall 4, for old guests: three addresses, no flags, and one that cannot be is left out. */
long do_set_callbacks(uint64_t event, uint64_t failsafe, uint64_t syscall)
{
    struct vcpu *v = current;

    if (address_canonical(event))
        v->event_cb = (struct guest_callback){ event, true };
    if (address_canonical(failsafe))
        v->failsafe_cb = (struct guest_callback){ failsafe, false };
    if (address_canonical(syscall))
        v->syscall_cb = (struct guest_callback){ syscall, false };
    return 0;
}

static long callback_register(struct vcpu *v, guest_ptr_t arg)
{
    struct callback_register r;
    struct guest_callback *cb;

    if (copy_from_guest(&r, arg, sizeof(r)))
        return -XEN_EFAULT;
    if (!address_canonical(r.address))
        return -XEN_EINVAL;
    if (r.type == CALLBACKTYPE_nmi)
        return nmi_register(v, r.address);
    cb = callback_slot(v, r.type);
    if (!cb)
        return -XEN_ENOSYS;
    *cb = (struct guest_callback){
        .eip = r.address,
        .mask_events = r.type == CALLBACKTYPE_event || (r.flags & CALLBACKF_mask_events),
    };
    return 0;
}

static long callback_unregister(struct vcpu *v, guest_ptr_t arg)
{
    struct callback_unregister u;

    if (copy_from_guest(&u, arg, sizeof(u)))
        return -XEN_EFAULT;
    switch (u.type) {
    case CALLBACKTYPE_event:
    case CALLBACKTYPE_failsafe:
    case CALLBACKTYPE_syscall:
    case CALLBACKTYPE_syscall32:
    case CALLBACKTYPE_sysenter:
        return -XEN_EINVAL;
    case CALLBACKTYPE_nmi:
        nmi_unregister(v);
        return 0;
    default:
        return -XEN_ENOSYS;
    }
}

long do_callback_op(uint64_t cmd, guest_ptr_t arg)
{
    switch ((uint32_t)cmd) {
    case CALLBACKOP_register:
        return callback_register(current, arg);
    case CALLBACKOP_unregister:
        return callback_unregister(current, arg);
    default:
        return -XEN_ENOSYS;
    }
}

/* The selector is the ABI's, but in 64-bit mode nothing of it is used. */
long do_stack_switch(uint64_t ss, uint64_t sp)
{
    current->kernel_ss = ss;
    current->kernel_sp = kernel_sp_sanitise(sp);
    return 0;
}

long do_fpu_taskswitch(uint64_t set)
{
    struct vcpu *v = current;

    if (set)
        v->guest_cr0 |= CR0_TS;
    else
        v->guest_cr0 &= ~CR0_TS;
    vcpu_load_control(v);
    return 0;
}

/*
 * The selector goes into the hidden GS of user mode. Interrupts off: between the two swapgs the
 * wrong base is active, but nobody looks. False: the selector faulted, null was loaded.
 */
static void load_user_gs_selector(uint16_t sel)
{
    uint64_t flags = irq_save();

    swapgs();
    if (!load_gs_safe(sel))
        (void)load_gs_safe(0);
    swapgs();
    irq_restore(flags);
}

long do_set_segment_base(uint64_t which, uint64_t base)
{
    struct vcpu *v = current;

    switch ((uint32_t)which) {
    case SEGBASE_FS:
        if (!address_canonical(base))
            return -XEN_EINVAL;
        v->fs_base = base;
        wrmsr(MSR_FS_BASE, base);
        return 0;
    case SEGBASE_GS_USER:
        if (!address_canonical(base))
            return -XEN_EINVAL;
        v->gs_base_user = base;
        wrmsr(MSR_KERNEL_GS_BASE, base);
        return 0;
    case SEGBASE_GS_KERNEL:
        if (!address_canonical(base))
            return -XEN_EINVAL;
        v->gs_base_kernel = base;
        wrmsr(MSR_GS_BASE, base);
        return 0;
    case SEGBASE_GS_USER_SEL:
        load_user_gs_selector((uint16_t)base);
        v->gs_base_user = rdmsr(MSR_KERNEL_GS_BASE);
        return 0;
    default:
        return -XEN_EINVAL;
    }
}

/* ---- Debug registers ---------------------------------------------------------------------- */

#define DR7_GUEST           0xffff03ffUL    /* L/G, LE/GE, types and lengths; no GD, no RTM */
#define DR7_GD              0x2000UL
#define DR6_GUEST           0x1e00fUL

/* I/O breakpoints (type 2) would also hit the hypervisor's port accesses. */
static bool dr7_ok(uint64_t value)
{
    for (unsigned int i = 0; i < 4; i++)
        if ((value >> (2 * i) & 3) && (value >> (16 + 4 * i) & 3) == 2)
            return false;
    return true;
}

int vcpu_set_debugreg(struct vcpu *v, unsigned int reg, uint64_t value)
{
    switch (reg) {
    case 0 ... 3:
        if (!guest_address_ok(value))
            return -XEN_EPERM;
        v->dr[reg] = value;
        break;
    case 4:
    case 6:
        if (value >> 32)
            return -XEN_EINVAL;
        v->dr[6] = DR6_DEFAULT | (value & DR6_GUEST);
        break;
    case 5:
    case 7:
        if (value >> 32)
            return -XEN_EINVAL;
        if (value & DR7_GD || !dr7_ok(value))
            return -XEN_EPERM;
        v->dr[7] = DR7_DEFAULT | (value & DR7_GUEST);
        break;
    default:
        return -XEN_ENODEV;
    }
    if (v == current)
        debugregs_load(v);
    return 0;
}

long do_set_debugreg(uint64_t reg, uint64_t value)
{
    return reg <= 7 ? vcpu_set_debugreg(current, (unsigned int)reg, value) : -XEN_ENODEV;
}

long do_get_debugreg(uint64_t reg)
{
    const struct vcpu *v = current;

    switch ((uint32_t)reg) {
    case 0 ... 3:
        return (long)v->dr[(uint32_t)reg];
    case 4:
    case 6:
        return (long)v->dr[6];
    case 5:
    case 7:
        return (long)v->dr[7];
    default:
        return -XEN_ENODEV;
    }
}

/* ---- vm_assist ---------------------------------------------------------------------------- */

/* Those that change nothing here because it is always so are accepted as what they ask for:
 * flat 4 GiB segments and writable page tables. m2p_strict and the two about 32-bit guests or
 * IOPL are not offered. */
#define VM_ASSISTS ((1UL << VMASST_TYPE_4gb_segments) | \
                    (1UL << VMASST_TYPE_4gb_segments_notify) | \
                    (1UL << VMASST_TYPE_writable_pagetables) | \
                    (1UL << VMASST_TYPE_pae_extended_cr3) | \
                    (1UL << VMASST_TYPE_runstate_update_flag))

long do_vm_assist(uint64_t cmd, uint64_t type)
{
    struct domain *d = current->domain;

    if (type >= 64 || !(VM_ASSISTS >> type & 1))
        return -XEN_EINVAL;
    switch ((uint32_t)cmd) {
    case VMASST_CMD_enable:
        atomic_or(&d->vm_assist, 1UL << type);
        return 0;
    case VMASST_CMD_disable:
        atomic_and(&d->vm_assist, ~(1UL << type));
        return 0;
    default:
        return -XEN_ENOSYS;
    }
}
