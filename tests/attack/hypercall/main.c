/* SPDX-License-Identifier: MIT */
/*
 * main.c - random hypercalls from all vCPUs of a domain. README.md says what is expected.
 *
 * Each vCPU has its own sequence of random numbers, so with one vCPU a run repeats exactly.
 */
#include "atomic.h"
#include "lib/string.h"
#include "runtime/event.h"
#include "runtime/grant.h"
#include "runtime/hypercall.h"
#include "runtime/log.h"
#include "runtime/mem.h"
#include "runtime/p2m.h"
#include "runtime/pagetable.h"
#include "runtime/start.h"
#include "runtime/time.h"
#include "runtime/traps.h"
#include "tests/attack/ap.h"

#define VCPUS_MAX   4u
#define FRAMES      24u
#define WINDOW      8u      /* addresses without pages */
#define BUF_WORDS   512u
#define TBL         (PTE_PRESENT | PTE_WRITE | PTE_USER | PTE_ACCESSED | PTE_DIRTY)

/* Shared by all vCPUs, so that they disturb each other. */
static uint64_t *frame_va[FRAMES];
static mfn_t frame[FRAMES];
static void *window;
static uint64_t *straddle;      /* last word of a page whose successor is not mapped */
static uint64_t *readonly;
static bool wild;
static domid_t own_id;
static uint64_t calls;
static uint32_t finished;

struct fuzz {
    uint64_t rng;
    uint64_t *buf;              /* one page of arguments */
    unsigned int vcpu;
    uint64_t answered[64];      /* calls with a result >= 0 */
};

static struct fuzz fuzz[VCPUS_MAX];

static uint64_t rnd64(struct fuzz *f)
{
    f->rng ^= f->rng << 13;
    f->rng ^= f->rng >> 7;
    f->rng ^= f->rng << 17;
    return f->rng * 0x2545f4914f6cdd1dUL;
}

static uint32_t rnd(struct fuzz *f, uint32_t n)
{
    return (uint32_t)((rnd64(f) >> 32) % n);
}

static uint64_t bad_address(struct fuzz *f)
{
    static const uint64_t bad[] = {
        0, 1, 8, 0x7fff, 0x7ffffffffff8UL, 0x7fffffffffffUL, 0x800000000000UL,
        0xffff7fffffffffffUL, 0xffff800000000000UL, 0xffff800000000ff8UL, 0xffff803fffffffffUL,
        0xffff804000000000UL, 0xffff810000000000UL, 0xffff820000000000UL, 0xffff828000000000UL,
        0xffff82d040200000UL, 0xffff830000000000UL, 0xffff830000001000UL, 0xffff87fffffffff8UL,
        0xffff87ffffffffffUL, 0xffff880000000000UL, 0xffffffffffffffffUL, 0xfffffffffffffff0UL,
        0xffffffff80000000UL, 0x8000000000000000UL, 0x123456789abcdef0UL,
    };

    return bad[rnd(f, ARRAY_SIZE(bad))];
}

static uint64_t address(struct fuzz *f)
{
    switch (rnd(f, 16)) {
    case 0:
    case 1:
        return bad_address(f);
    case 2:
        return HC_PTR(straddle) - 8 * rnd(f, 4);
    case 3:
        return HC_PTR(readonly) + rnd(f, PAGE_SIZE);
    case 4:
        return HC_PTR(window) + rnd(f, WINDOW * PAGE_SIZE);
    case 5:
        return HC_PTR(frame_va[rnd(f, FRAMES)]) + 8 * rnd(f, 512);
    case 6:
        return HC_PTR(f->buf) + rnd(f, PAGE_SIZE);
    default:
        return HC_PTR(f->buf) + 8 * rnd(f, BUF_WORDS - 64);
    }
}

static uint64_t count_value(struct fuzz *f)
{
    static const uint64_t counts[] = {
        0, 1, 2, 3, 7, 8, 32, 64, 128, 255, 256, 511, 512, 513, 1024, 4095, 4096, 0x7fff, 0x7ff0,
        0xffff, 0x10000, 0x7fffffff, 0x80000000, 0xffffffff, 0x100000000UL, 0x7fffffffffffffffUL,
        0x8000000000000000UL, ~0UL, ~1UL,
    };

    return rnd(f, 3) ? rnd(f, 9) : counts[rnd(f, ARRAY_SIZE(counts))];
}

static bool is_ours(mfn_t m)
{
    uint64_t p;

    return m.v < 1UL << 35 && try_read64((uint64_t *)MACH2PHYS_VIRT_START + m.v, &p) &&
           pfn_to_mfn(pfn(p)).v == m.v;
}

static mfn_t any_frame(struct fuzz *f)
{
    mfn_t m = frame[rnd(f, FRAMES)];

    switch (rnd(f, 16)) {
    case 0:
        m = mfn(rnd(f, 0x100000));
        break;
    case 1:
        return mfn(start_info->shared_info >> PAGE_SHIFT);
    case 2:
        m = mfn(rnd64(f) >> rnd(f, 64));
        break;
    }
    /* Our own live pages only when we may die of it. */
    if (!wild && is_ours(m))
        m = frame[rnd(f, FRAMES)];
    return m;
}

static uint64_t entry(struct fuzz *f)
{
    uint64_t e = any_frame(f).v << PAGE_SHIFT | (rnd(f, 2) ? TBL : PTE_PRESENT);

    if (rnd(f, 8) == 0)
        e ^= 1UL << rnd(f, 64);
    return rnd(f, 8) ? e : rnd(f, 2) ? 0 : rnd64(f);
}

static uint64_t domid(struct fuzz *f)
{
    static const uint16_t ids[] = { 0, 1, 2, 3, 4, 5, 0x7fef, 0x7ff0, 0x7ff1, 0x7ff2, 0x7ff3, 0x7ff4,
                                    0x7fff, 0xffff };

    return rnd(f, 2) ? DOMID_SELF : ids[rnd(f, ARRAY_SIZE(ids))];
}

static uint64_t value(struct fuzz *f)
{
    switch (rnd(f, 12)) {
    case 0:
        return rnd64(f);
    case 1:
        return rnd64(f) >> rnd(f, 64);
    case 2:
        return address(f);
    case 3:
        return any_frame(f).v;
    case 4:
        return (any_frame(f).v << PAGE_SHIFT) + 8 * rnd(f, 512);
    case 5:
        return entry(f);
    case 6:
        return domid(f) | (rnd(f, 2) ? rnd64(f) << 16 : 0);
    case 7:
        return count_value(f);
    case 8:
        return rnd(f, 64) | (uint64_t)rnd(f, 64) << 32;
    default:
        return rnd(f, 40);
    }
}

static void fill(struct fuzz *f, uint64_t *p, unsigned int words)
{
    for (unsigned int i = 0; i < words; i++)
        p[i] = value(f);
}

/* ---- Templates: arguments that look right, most of the time -------------------------------- */

struct call {
    unsigned int nr;
    bool template;              /* the arguments are as the template made them */
    uint64_t a[5];
};

static void t_mmu_update(struct fuzz *f, struct call *c)
{
    unsigned int n = 1 + rnd(f, 20);

    for (unsigned int i = 0; i < n; i++) {
        f->buf[2 * i] = (any_frame(f).v << PAGE_SHIFT) + 8 * rnd(f, 512) + (rnd(f, 4) ? 0 : rnd(f, 8));
        f->buf[2 * i + 1] = entry(f);
    }
    c->a[0] = HC_PTR(f->buf);
    c->a[1] = n;
    c->a[2] = rnd(f, 2) ? 0 : address(f);
    c->a[3] = domid(f);
}

static void t_mmuext(struct fuzz *f, struct call *c)
{
    unsigned int n = 1 + rnd(f, 8);
    struct mmuext_op *op = (void *)f->buf;

    for (unsigned int i = 0; i < n; i++) {
        op[i].cmd = rnd(f, 3) ? rnd(f, 5) : rnd(f, 22);
        if (op[i].cmd == MMUEXT_NEW_BASEPTR && !wild)
            op[i].cmd = MMUEXT_NEW_USER_BASEPTR;
        op[i].arg1.mfn = rnd(f, 4) ? any_frame(f).v : value(f);
        op[i].arg2.src_mfn = rnd(f, 2) ? any_frame(f).v : value(f);
    }
    c->a[0] = HC_PTR(f->buf);
    c->a[1] = n;
    c->a[2] = 0;
    c->a[3] = domid(f);
}

static void t_va_mapping(struct fuzz *f, struct call *c)
{
    c->a[0] = rnd(f, 4) ? HC_PTR(window) + PAGE_SIZE * rnd(f, WINDOW) : address(f);
    c->a[1] = entry(f);
    c->a[2] = rnd(f, 4) ? rnd(f, 7) : value(f);
    c->a[3] = domid(f);
}

static void t_memory_op(struct fuzz *f, struct call *c)
{
    uint64_t *p = f->buf;

    c->a[0] = rnd(f, 4) ? rnd(f, 12) : value(f);
    if (rnd(f, 8) == 0)
        c->a[0] |= (uint64_t)rnd(f, 4096) << 6;     /* a made-up continuation */
    c->a[1] = HC_PTR(p);
    /* struct xen_memory_reservation, or exchange: two of them. */
    for (unsigned int i = 0; i < 2; i++) {
        p[4 * i] = HC_PTR(&p[64 + 32 * i]);
        p[4 * i + 1] = rnd(f, 4) ? 1 + rnd(f, 4) : count_value(f);
        p[4 * i + 2] = (rnd(f, 4) ? 0 : rnd(f, 70)) | (uint64_t)rnd(f, 70) << 32;
        p[4 * i + 3] = domid(f);
        for (unsigned int k = 0; k < 4; k++)
            p[64 + 32 * i + k] = any_frame(f).v;
    }
    p[8] = rnd(f, 2) ? 0 : rnd(f, 8);
    if (rnd(f, 4) == 0)
        p[rnd(f, 9)] = value(f);
}

static void t_grant(struct fuzz *f, struct call *c)
{
    c->a[0] = rnd(f, 13);
    c->a[1] = HC_PTR(f->buf);
    c->a[2] = rnd(f, 8) ? 1 + rnd(f, 4) : count_value(f);
    fill(f, f->buf, 64);
    if (c->a[0] == GNTTABOP_copy) {
        for (unsigned int i = 0; i < 4; i++) {
            struct gnttab_copy *op = (struct gnttab_copy *)f->buf + i;

            op->source.u.gmfn = rnd(f, 2) ? any_frame(f).v : rnd(f, 64);
            op->dest.u.gmfn = rnd(f, 2) ? any_frame(f).v : rnd(f, 64);
            op->source.domid = op->dest.domid = DOMID_SELF;
            op->source.offset = rnd(f, 2) ? rnd(f, 4097) : 0;
            op->dest.offset = rnd(f, 2) ? rnd(f, 4097) : 0;
            op->len = (uint16_t)rnd(f, rnd(f, 4) ? 64 : 0x10000);
            op->flags = (uint16_t)rnd(f, rnd(f, 4) ? 4 : 0x10000);
        }
    } else if (c->a[0] == GNTTABOP_map_grant_ref) {
        for (unsigned int i = 0; i < 4; i++) {
            struct gnttab_map_grant_ref *op = (struct gnttab_map_grant_ref *)f->buf + i;

            op->host_addr = rnd(f, 2) ? HC_PTR(window) + PAGE_SIZE * rnd(f, WINDOW) :
                                        pte_maddr(window) + 8 * rnd(f, WINDOW);
            op->flags = rnd(f, 4) ? GNTMAP_host_map | (rnd(f, 2) ? GNTMAP_readonly : 0) |
                                    (rnd(f, 2) ? GNTMAP_contains_pte : 0) : rnd(f, 128);
            op->ref = rnd(f, 8) ? rnd(f, 64) : (uint32_t)value(f);
            op->dom = (domid_t)(rnd(f, 2) ? own_id : domid(f));
        }
    } else if (c->a[0] == GNTTABOP_setup_table) {
        struct gnttab_setup_table *op = (struct gnttab_setup_table *)f->buf;

        op->dom = (domid_t)domid(f);
        op->nr_frames = (uint32_t)count_value(f);
        set_xen_guest_handle(op->frame_list, (xen_pfn_t *)address(f));
        c->a[2] = 1;
    }
}

static void t_event(struct fuzz *f, struct call *c)
{
    uint32_t *p = (uint32_t *)f->buf;

    c->a[0] = rnd(f, 16);
    c->a[1] = HC_PTR(p);
    for (unsigned int i = 0; i < 6; i++)
        p[i] = rnd(f, 3) ? rnd(f, 24) : (uint32_t)value(f);
    if (rnd(f, 2))
        p[0] = DOMID_SELF | DOMID_SELF << 16;
    if (c->a[0] == EVTCHNOP_close && (!wild || rnd(f, 64)))
        p[0] |= 8;      /* not so often the console's port */
}

static void t_sched(struct fuzz *f, struct call *c)
{
    struct sched_poll *p = (void *)f->buf;

    c->a[0] = rnd(f, 8);
    c->a[1] = HC_PTR(p);
    if (c->a[0] == SCHEDOP_poll) {
        set_xen_guest_handle(p->ports, (evtchn_port_t *)address(f));
        p->nr_ports = (uint32_t)count_value(f);
        p->timeout = 1 + rnd(f, 1000);
    }
}

static void t_vcpu(struct fuzz *f, struct call *c)
{
    c->a[0] = rnd(f, 16);
    c->a[1] = rnd(f, 8) ? rnd(f, 5) : value(f);
    c->a[2] = address(f);
    if (c->a[0] == VCPUOP_set_periodic_timer)
        f->buf[0] = rnd(f, 2) ? 1000000 : value(f);
}

static void t_gdt(struct fuzz *f, struct call *c)
{
    for (unsigned int i = 0; i < 16; i++)
        f->buf[i] = any_frame(f).v;
    c->a[0] = HC_PTR(f->buf);
    c->a[1] = rnd(f, 4) ? rnd(f, 7400) : value(f);
}

static void t_descriptor(struct fuzz *f, struct call *c)
{
    c->a[0] = (any_frame(f).v << PAGE_SHIFT) + 8 * rnd(f, 512);
    c->a[1] = rnd64(f) | (rnd(f, 2) ? 1UL << 47 : 0);
}

static void t_traps(struct fuzz *f, struct call *c)
{
    c->a[0] = rnd(f, 4) ? HC_PTR(f->buf) : address(f);
    f->buf[2 * rnd(f, 8) + 1] = 0;
}

static void t_callback(struct fuzz *f, struct call *c)
{
    struct callback_register *r = (void *)f->buf;

    c->a[0] = rnd(f, 3);
    c->a[1] = HC_PTR(r);
    r->type = (uint16_t)rnd(f, 9);
    r->flags = (uint16_t)rnd(f, 4);
    r->address = value(f);
}

static void t_debug(struct fuzz *f, struct call *c)
{
    c->a[0] = rnd(f, 9);
    c->a[1] = rnd(f, 2) ? address(f) : value(f);
}

static void t_segment(struct fuzz *f, struct call *c)
{
    c->a[0] = rnd(f, 5);
    c->a[1] = rnd(f, 2) ? address(f) : rnd(f, 0x10000);
}

static void t_cmd(struct fuzz *f, struct call *c)
{
    c->a[0] = rnd(f, 40);
    c->a[1] = address(f);
    c->a[2] = address(f);
}

/* Calls whose first argument is a struct with a command, a version, a domain. */
static void t_control(struct fuzz *f, struct call *c)
{
    uint32_t *p = (uint32_t *)f->buf;

    p[0] = rnd(f, 90);
    p[1] = c->nr == __HYPERVISOR_domctl ? XEN_DOMCTL_INTERFACE_VERSION :
           c->nr == __HYPERVISOR_sysctl ? XEN_SYSCTL_INTERFACE_VERSION : XENPF_INTERFACE_VERSION;
    p[2] = (uint32_t)domid(f);
    c->a[0] = HC_PTR(p);
}

static bool suicidal(const struct call *c);

static void any_call(struct fuzz *f, struct call *c);

static void t_multicall(struct fuzz *f, struct call *c)
{
    struct multicall_entry *list = (void *)(f->buf + 256);
    unsigned int n = 1 + rnd(f, 4);
    struct call sub;

    for (unsigned int i = 0; i < n; i++) {
        any_call(f, &sub);
        sub.template = false;   /* the next one takes the buffer */
        if (suicidal(&sub) && (!wild || rnd(f, 256)))
            sub.nr = __HYPERVISOR_xen_version;
        list[i].op = rnd(f, 16) || !wild ? sub.nr : value(f);
        for (unsigned int k = 0; k < 5; k++)
            list[i].args[k] = sub.a[k];
    }
    c->nr = __HYPERVISOR_multicall;
    c->a[0] = HC_PTR(list);
    c->a[1] = n;
    if (wild && rnd(f, 16) == 0)
        c->a[rnd(f, 2)] = value(f);
}

static void (*const template[64])(struct fuzz *f, struct call *c) = {
    [__HYPERVISOR_set_trap_table] = t_traps,
    [__HYPERVISOR_mmu_update] = t_mmu_update,
    [__HYPERVISOR_set_gdt] = t_gdt,
    [__HYPERVISOR_set_debugreg] = t_debug,
    [__HYPERVISOR_get_debugreg] = t_debug,
    [__HYPERVISOR_update_descriptor] = t_descriptor,
    [__HYPERVISOR_memory_op] = t_memory_op,
    [__HYPERVISOR_multicall] = t_multicall,
    [__HYPERVISOR_update_va_mapping] = t_va_mapping,
    [__HYPERVISOR_xen_version] = t_cmd,
    [__HYPERVISOR_platform_op] = t_control,
    [__HYPERVISOR_grant_table_op] = t_grant,
    [__HYPERVISOR_vm_assist] = t_cmd,
    [__HYPERVISOR_update_va_mapping_otherdomain] = t_va_mapping,
    [__HYPERVISOR_vcpu_op] = t_vcpu,
    [__HYPERVISOR_set_segment_base] = t_segment,
    [__HYPERVISOR_mmuext_op] = t_mmuext,
    [__HYPERVISOR_sched_op] = t_sched,
    [__HYPERVISOR_callback_op] = t_callback,
    [__HYPERVISOR_event_channel_op] = t_event,
    [__HYPERVISOR_physdev_op] = t_cmd,
    [__HYPERVISOR_sysctl] = t_control,
    [__HYPERVISOR_domctl] = t_control,
};

/* ---- One call -------------------------------------------------------------------------------- */

static void any_call(struct fuzz *f, struct call *c)
{
    static const uint8_t busy[] = {
        __HYPERVISOR_mmu_update, __HYPERVISOR_memory_op, __HYPERVISOR_mmuext_op,
        __HYPERVISOR_grant_table_op, __HYPERVISOR_update_va_mapping, __HYPERVISOR_event_channel_op,
    };

    c->nr = rnd(f, 2) ? busy[rnd(f, ARRAY_SIZE(busy))] : rnd(f, 64);
    if (c->nr == __HYPERVISOR_multicall)
        c->nr = __HYPERVISOR_xen_version;   /* they do not nest */
    for (unsigned int i = 0; i < 5; i++)
        c->a[i] = i == 0 && rnd(f, 2) ? rnd(f, 16) : value(f);
    c->template = template[c->nr] && rnd(f, 4);
    if (c->template)
        template[c->nr](f, c);
    if (rnd(f, 16) == 0) {
        c->a[rnd(f, 5)] = value(f);
        c->template = false;
    }
}

/* Would end only ourselves, which says nothing. */
static bool suicidal(const struct call *c)
{
    uint64_t cmd = c->a[0];

    switch (c->nr) {
    case __HYPERVISOR_iret:
    case __HYPERVISOR_set_trap_table:
    case __HYPERVISOR_set_callbacks:
    case __HYPERVISOR_callback_op:
    case __HYPERVISOR_nmi_op:
        return true;
    case __HYPERVISOR_sched_op_compat:
    case __HYPERVISOR_sched_op:
        return cmd == SCHEDOP_shutdown || cmd == SCHEDOP_shutdown_code || cmd == SCHEDOP_block ||
               cmd == SCHEDOP_watchdog || (cmd == SCHEDOP_poll && !c->template);
    case __HYPERVISOR_sluice_wait:
        return cmd == SLUICE_WAIT_event && c->a[1] < 4096;
    case __HYPERVISOR_set_debugreg:
        return cmd == 5 || cmd == 7;
    case __HYPERVISOR_vcpu_op:
        return cmd == VCPUOP_down || cmd == VCPUOP_register_vcpu_info ||
               cmd == VCPUOP_register_runstate_memory_area ||
               cmd == VCPUOP_register_vcpu_time_memory_area;
    case __HYPERVISOR_event_channel_op:
        return cmd == EVTCHNOP_reset || (cmd == EVTCHNOP_close && !c->template);
    case __HYPERVISOR_event_channel_op_compat:
        return true;
    case __HYPERVISOR_update_va_mapping:
    case __HYPERVISOR_update_va_mapping_otherdomain:
        return !(cmd >= HC_PTR(window) && cmd < HC_PTR(window) + WINDOW * PAGE_SIZE) &&
               cmd - 0xffff800000000000UL >= 0x80000000000UL && cmd >= 1UL << 47;
    default:
        return false;
    }
}

static void run(unsigned int cpu)
{
    struct fuzz *f = &fuzz[cpu];
    struct call c;

    for (uint64_t i = 0; i < calls; i++) {
        fill(f, f->buf, 32);
        if (rnd(f, 12) == 0)
            t_multicall(f, &c);
        else
            any_call(f, &c);
        if (c.nr != __HYPERVISOR_multicall && suicidal(&c) && (!wild || rnd(f, 256)))
            continue;
        if (hypercall(c.nr, c.a[0], c.a[1], c.a[2], c.a[3], c.a[4]) >= 0)
            f->answered[c.nr]++;
        if (wild)
            continue;
        /* What a list of calls wrote into its own rest. */
        if (c.nr == __HYPERVISOR_multicall)
            traps_init();
        WRITE_ONCE(shared_info->vcpu_info[cpu].evtchn_upcall_mask, 1);
    }
    (void)atomic_add_return(&finished, 1);
}

static void set_pte(const void *va, uint64_t e)
{
    BUG_ON(hc_update_va_mapping((uint64_t)va, e, UVMF_INVLPG | UVMF_ALL));
}

/* Pages that end at one without mapping, so that no array that starts in them reaches others. */
static void *guarded(unsigned int pages)
{
    char *p = pages_alloc(5);

    BUG_ON(!p || pages >= 32);
    memset(p, 0, pages << PAGE_SHIFT);
    set_pte(p + (pages << PAGE_SHIFT), 0);
    return p;
}

/*
 * Frames that the calls are about. They are not mapped, or some read-only, so that they can become
 * anything; table entries of the window lead to some.
 */
static void prepare(uint64_t seed)
{
    char *own = guarded(FRAMES);

    window = va_alloc(WINDOW);
    straddle = (uint64_t *)((char *)guarded(1) + PAGE_SIZE) - 1;
    readonly = guarded(1);
    BUG_ON(direct_map_protect(virt_to_pfn(readonly), false));
    own_id = own_domid();
    for (unsigned int i = 0; i < FRAMES; i++) {
        frame_va[i] = (uint64_t *)(own + (i << PAGE_SHIFT));
        frame[i] = virt_to_mfn(frame_va[i]);
        set_pte(frame_va[i], i % 3 == 0 ? 0 : frame[i].v << PAGE_SHIFT | PTE_PRESENT |
                                              (i % 3 == 1 ? PTE_WRITE : 0));
        (void)grant_offer(own_id, frame[i], i & 1 ? GRANT_READONLY : 0);
    }
    for (unsigned int i = 0; i < VCPUS_MAX; i++) {
        fuzz[i].vcpu = i;
        fuzz[i].rng = (seed * VCPUS_MAX + i + 1) * 0x9e3779b97f4a7c15UL;
        fuzz[i].buf = guarded(1);
    }
}

void pv_main(void)
{
    uint64_t seed = cmdline_get_u64("seed", 1);
    unsigned int cpus = ap_count();
    uint64_t answered = 0;
    char word[4];

    wild = cmdline_get("wild", word, sizeof(word));
    calls = cmdline_get_u64("calls", 5000);
    cpus = MIN(cpus, VCPUS_MAX);
    prepare(seed);
    log_info("attack hypercall: seed %lu, %lu calls on each of %u vCPUs%s", seed, calls, cpus,
             wild ? ", wild" : "");
    for (unsigned int i = 1; i < cpus; i++)
        BUG_ON(ap_start(i, run));
    run(0);
    while (load_acquire(&finished) < cpus)
        (void)hc_sched_op(SCHEDOP_yield, NULL);
    for (unsigned int c = 0; c < cpus; c++)
        for (unsigned int i = 0; i < 64; i++)
            answered += fuzz[c].answered[i];
    log_info("attack hypercall: %lu of %lu calls answered", answered, calls * cpus);
    for (unsigned int i = 0; i < 64; i++)
        log_debug("  hypercall %u: %lu answered", i, fuzz[0].answered[i]);
    log_info("attack hypercall: ok");
    domain_shutdown(SHUTDOWN_poweroff);
}
