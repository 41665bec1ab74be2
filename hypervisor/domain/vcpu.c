/* SPDX-License-Identifier: MIT */
/*
 * vcpu.c - vCPUs as objects, and their state as a struct vcpu_guest_context.
 *
 * Setting a context checks it, takes references to everything that it names, and only then
 * changes the vCPU. A vCPU whose context is set is off the CPUs: down, or its domain paused.
 */
#include "domain/domain.h"
#include "domain/domain_impl.h"
#include "domain/context.h"
#include "cpu/fpu.h"
#include "cpu/traps.h"
#include "dev/panic.h"
#include "event/evtchn.h"
#include "lib/string.h"
#include "mm/frame.h"
#include "mm/heap.h"
#include "mm/mm.h"
#include "sched/sched.h"
#include "atomic.h"

#define CR0_GUEST_BASE  0x80050033UL    /* what a guest sees of CR0; TS is its own */
#define CR0_TS          (1UL << 3)
/* CR4 bits a guest may choose: TSD, DE, FSGSBASE, OSXSAVE. emul/ knows which are offered. */
#define CR4_GUEST       ((1UL << 2) | (1UL << 3) | (1UL << 16) | (1UL << 18))
#define CR4_GUEST_BASE  0x660UL         /* PAE, MCE, OSFXSR, OSXMMEXCPT: always read as one */


static void reset_registers(struct vcpu *v)
{
    memset(&v->regs, 0, sizeof(v->regs));
    v->regs.cs = FLAT_KERNEL_CS;
    v->regs.ss = FLAT_KERNEL_SS;
    v->regs.rflags = EFLAGS_IF | EFLAGS_FIXED;
    v->kernel_mode = true;
    v->guest_cr0 = CR0_GUEST_BASE;
    v->guest_cr4 = CR4_GUEST_BASE;
    v->xcr0 = 1;
    v->dr[6] = 0xffff0ff0;
    v->dr[7] = 0x400;
}

int vcpu_create(struct domain *d, uint32_t id)
{
    struct vcpu *v;

    if (id >= d->max_vcpus)
        return -XEN_EINVAL;
    if (d->vcpu[id])
        return -XEN_EEXIST;
    v = xzalloc(struct vcpu);
    if (!v)
        return -XEN_ENOMEM;
    v->domain = d;
    v->id = id;
    v->kernel_root = v->user_root = MFN_INVALID;
    for (int i = 0; i < FIRST_RESERVED_GDT_PAGE; i++)
        v->gdt_frames[i] = MFN_INVALID;
    v->info = &d->shared->vcpu_info[id];
    v->pause_flags = VPF_DOWN;
    v->pause_count = d->pause_count ? 1 : 0;
    reset_registers(v);
    v->traps = xzalloc_array(struct trap_info, 256);
    if (!v->traps || fpu_vcpu_init(v)) {
        xfree(v->traps);
        xfree(v);
        return -XEN_ENOMEM;
    }
    sched_vcpu_init(v);
    vcpu_timers_init(v);
    store_release(&d->vcpu[id], v);
    return 0;
}

void vcpu_drop_references(struct vcpu *v)
{
    struct domain *d = v->domain;
    mfn_t kernel = v->kernel_root, user = v->user_root;

    v->kernel_root = v->user_root = MFN_INVALID;
    v->cr3_kernel = v->cr3_user = 0;
    if (mfn_is_valid_value(kernel))
        root_put(d, kernel);
    if (mfn_is_valid_value(user))
        root_put(d, user);
    (void)vcpu_set_ldt(v, 0, 0);
    vcpu_clear_gdt(v);
    if (v->info_page) {
        struct page *pg = v->info_page;

        v->info = &d->shared->vcpu_info[v->id];
        v->info_page = NULL;
        page_put_and_type(pg);
    }
}

void vcpu_free(struct vcpu *v)
{
    v->domain->vcpu[v->id] = NULL;
    vcpu_timers_destroy(v);
    sched_vcpu_destroy(v);
    fpu_vcpu_destroy(v);
    xfree(v->traps);
    xfree(v);
}

int vcpu_register_info(struct vcpu *v, mfn_t m, uint32_t offset)
{
    struct domain *d = v->domain;
    struct vcpu_info *info;
    struct page *pg;

    if (offset > PAGE_SIZE - sizeof(*info) || offset & (_Alignof(struct vcpu_info) - 1))
        return -XEN_ENXIO;
    if (v->info_page || !mfn_valid(m))
        return -XEN_EINVAL;
    /* Not while it runs: what it reads and writes there moves. */
    if (v != current && !(load_acquire(&v->pause_flags) & VPF_DOWN))
        return -XEN_EINVAL;
    pg = mfn_to_page(m);
    if (!page_get_and_type(pg, d, PGT_WRITABLE))
        return -XEN_EINVAL;

    info = (struct vcpu_info *)((char *)mfn_to_virt(m) + offset);
    spin_lock(&d->event_lock);
    if (v->info_page) {             /* somebody was faster */
        spin_unlock(&d->event_lock);
        page_put_and_type(pg);
        return -XEN_EINVAL;
    }
    memcpy(info, v->info, sizeof(*info));
    v->info_page = pg;
    /* Senders use whichever they read; what went to the old place after the copy is made good
     * by evtchn_vcpu_info_moved(): everything may be pending. */
    smp_wmb();
    WRITE_ONCE(v->info, info);
    spin_unlock(&d->event_lock);
    evtchn_vcpu_info_moved(v);
    return 0;
}

/* ------------------------------------------------------------------ context */

/* References that a new context needs, taken before anything changes. */
struct roots {
    mfn_t kernel, user;
};

static int roots_take(struct domain *d, const struct vcpu_guest_context *c, struct roots *r)
{
    int rc;

    r->kernel = mfn(c->ctrlreg[3] >> PAGE_SHIFT);
    r->user = c->ctrlreg[1] >> PAGE_SHIFT ? mfn(c->ctrlreg[1] >> PAGE_SHIFT) : MFN_INVALID;
    rc = root_get(d, r->kernel);
    if (rc || !mfn_is_valid_value(r->user))
        return rc;
    rc = root_get(d, r->user);
    if (rc)
        root_put(d, r->kernel);
    return rc;
}

static void roots_drop(struct domain *d, const struct roots *r)
{
    root_put(d, r->kernel);
    if (mfn_is_valid_value(r->user))
        root_put(d, r->user);
}

static void set_registers(struct vcpu *v, const struct vcpu_guest_context *c)
{
    v->regs = c->user_regs;
    v->regs.cs = context_selector(c->user_regs.cs);
    v->regs.ss = context_selector(c->user_regs.ss);
    v->regs.rflags = context_eflags(c->user_regs.rflags);
    v->iopl = context_iopl(c->user_regs.rflags);
    v->kernel_mode = (c->flags & VGCF_in_kernel) != 0;
    v->kernel_sp = kernel_sp_sanitise(c->kernel_sp);
    v->kernel_ss = context_selector((uint16_t)c->kernel_ss);
    v->fs_base = c->fs_base;
    v->gs_base_kernel = c->gs_base_kernel;
    v->gs_base_user = c->gs_base_user;
    v->guest_cr0 = CR0_GUEST_BASE | (c->ctrlreg[0] & CR0_TS);
    v->guest_cr4 = CR4_GUEST_BASE | (c->ctrlreg[4] & CR4_GUEST);
    /* Values that a guest may not set are left out, as by the reference. */
    for (unsigned int i = 0; i < 8; i++)
        (void)vcpu_set_debugreg(v, i, c->debugreg[i]);
    if (c->flags & VGCF_i387_valid)
        fpu_set_fxsave(v, &c->fpu_ctxt);
}

static void set_handlers(struct vcpu *v, const struct vcpu_guest_context *c)
{
    memcpy(v->traps, c->trap_ctxt, sizeof(c->trap_ctxt));
    v->event_cb = (struct guest_callback){ c->event_callback_eip, true };
    v->failsafe_cb = (struct guest_callback){
        c->failsafe_callback_eip, (c->flags & VGCF_failsafe_disables_events) != 0 };
    v->syscall_cb = (struct guest_callback){
        c->syscall_callback_eip, (c->flags & VGCF_syscall_disables_events) != 0 };
}

int vcpu_set_context(struct vcpu *v, const struct vcpu_guest_context *c)
{
    struct domain *d = v->domain;
    mfn_t gdt[FIRST_RESERVED_GDT_PAGE];
    uint32_t frames = context_gdt_frames(c->gdt_ents);
    struct roots next, prev = { v->kernel_root, v->user_root };
    int rc = context_check(c);

    if (rc)
        return rc;
    rc = roots_take(d, c, &next);
    if (rc)
        return rc;
    for (uint32_t i = 0; i < frames; i++)
        gdt[i] = mfn(c->gdt_frames[i]);
    rc = vcpu_set_gdt(v, gdt, (uint32_t)c->gdt_ents);
    if (rc) {
        roots_drop(d, &next);
        return rc;
    }

    /* Nothing below can fail: the LDT's range was checked above. */
    rc = vcpu_set_ldt(v, c->ldt_base, (uint32_t)c->ldt_ents);
    BUG_ON(rc);
    v->kernel_root = next.kernel;
    v->user_root = next.user;
    v->cr3_kernel = mfn_to_paddr(next.kernel);
    v->cr3_user = mfn_is_valid_value(next.user) ? mfn_to_paddr(next.user) : 0;
    if (mfn_is_valid_value(prev.kernel))
        roots_drop(d, &prev);
    set_registers(v, c);
    set_handlers(v, c);
    if (v->id == 0)
        d->vm_assist = c->vm_assist;
    v->initialised = true;
    return 0;
}

void vcpu_get_context(struct vcpu *v, struct vcpu_guest_context *c)
{
    memset(c, 0, sizeof(*c));
    fpu_get_fxsave(v, &c->fpu_ctxt);
    c->user_regs = v->regs;
    c->user_regs.rflags = (v->regs.rflags & ~(uint64_t)EFLAGS_IOPL) | (uint64_t)v->iopl << 12;
    c->user_regs.saved_upcall_mask = READ_ONCE(v->info->evtchn_upcall_mask);
    c->flags = VGCF_i387_valid;
    if (v->kernel_mode)
        c->flags |= VGCF_in_kernel;
    if (!(load_relaxed(&v->pause_flags) & VPF_DOWN))
        c->flags |= VGCF_online;
    if (v->failsafe_cb.mask_events)
        c->flags |= VGCF_failsafe_disables_events;
    if (v->syscall_cb.mask_events)
        c->flags |= VGCF_syscall_disables_events;
    memcpy(c->trap_ctxt, v->traps, sizeof(c->trap_ctxt));
    c->ldt_base = v->ldt_base;
    c->ldt_ents = v->ldt_ents;
    for (uint32_t i = 0; i < context_gdt_frames(v->gdt_ents); i++)
        c->gdt_frames[i] = v->gdt_frames[i].v;
    c->gdt_ents = v->gdt_ents;
    c->kernel_ss = v->kernel_ss;
    c->kernel_sp = v->kernel_sp;
    c->ctrlreg[0] = v->guest_cr0;
    c->ctrlreg[1] = v->cr3_user;
    c->ctrlreg[3] = v->cr3_kernel;
    c->ctrlreg[4] = v->guest_cr4;
    for (int i = 0; i < 8; i++)
        c->debugreg[i] = v->dr[i];
    c->event_callback_eip = v->event_cb.eip;
    c->failsafe_callback_eip = v->failsafe_cb.eip;
    c->syscall_callback_eip = v->syscall_cb.eip;
    c->vm_assist = v->domain->vm_assist;
    c->fs_base = v->fs_base;
    c->gs_base_kernel = v->gs_base_kernel;
    c->gs_base_user = v->gs_base_user;
}
