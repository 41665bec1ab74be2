/* SPDX-License-Identifier: MIT */
/*
 * main.c - all vCPUs at once on the same frames, ports and grants. README.md says what must hold.
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
#include "runtime/traps.h"
#include "tests/attack/ap.h"
#include "tests/attack/trywrite.h"

#define VCPUS_MAX   4u
#define FRAMES      24u
#define WINDOW      12u
#define PORTS       48u
#define SPARE       3000u
#define HANDLES     128u
#define MARK        0xa77ac4a77ac4a77aUL
#define TBL         (PTE_PRESENT | PTE_WRITE | PTE_USER | PTE_ACCESSED | PTE_DIRTY)

static uint64_t frame[FRAMES];          /* MFN, 0: none now; each slot is swapped atomically */
static char *window;
static uint64_t own_id, rounds;
static uint32_t finished, fresh;

struct cpu {
    uint64_t rng;
    volatile uint64_t *look;            /* where this vCPU alone looks at new frames */
    uint64_t seen;
    union {
        uint64_t words[64];
        struct xen_memory_reservation r;
        struct xen_memory_exchange x;
        struct gnttab_map_grant_ref map[4];
        struct gnttab_unmap_grant_ref unmap[4];
        struct gnttab_unmap_and_replace replace;
        struct gnttab_copy copy[4];
        struct gnttab_transfer transfer;
        struct mmuext_op ext;
        struct mmu_update update[8];
    } u;
    xen_pfn_t in[4], out[4];
};

static struct cpu cpus[VCPUS_MAX];

static uint64_t rnd64(struct cpu *c)
{
    c->rng ^= c->rng << 13;
    c->rng ^= c->rng >> 7;
    c->rng ^= c->rng << 17;
    return c->rng * 0x2545f4914f6cdd1dUL;
}

static uint32_t rnd(struct cpu *c, uint32_t n)
{
    return (uint32_t)((rnd64(c) >> 32) % n);
}

static uint64_t any(struct cpu *c)
{
    return load_relaxed(&frame[rnd(c, FRAMES)]);
}

static uint64_t entry(struct cpu *c)
{
    return rnd(c, 6) ? any(c) << PAGE_SHIFT | (rnd(c, 2) ? TBL : PTE_PRESENT | PTE_USER) : 0;
}

static void *slot(struct cpu *c)
{
    return window + rnd(c, WINDOW) * PAGE_SIZE;
}

/* ---- Page tables ------------------------------------------------------------------------------ */

static void pins(struct cpu *c)
{
    c->u.ext.cmd = rnd(c, 2) ? MMUEXT_UNPIN_TABLE : rnd(c, 4);
    c->u.ext.arg1.mfn = any(c);
    (void)hc_mmuext_op(&c->u.ext, 1, NULL, DOMID_SELF);
}

static void updates(struct cpu *c)
{
    static const unsigned int at[] = { 0, 1, 2, 255, 256, 272, 511 };
    unsigned int n = 1 + rnd(c, 8);

    for (unsigned int i = 0; i < n; i++) {
        c->u.update[i].ptr = (any(c) << PAGE_SHIFT) + 8 * at[rnd(c, ARRAY_SIZE(at))] +
                             (rnd(c, 8) ? 0 : 2);
        c->u.update[i].val = entry(c);
    }
    (void)hc_mmu_update(c->u.update, n, NULL, DOMID_SELF);
}

static void mappings(struct cpu *c)
{
    (void)hc_update_va_mapping((uint64_t)slot(c), entry(c), rnd(c, 3) ? 0 : UVMF_INVLPG | UVMF_ALL);
}

static void stores(struct cpu *c)
{
    for (unsigned int i = 0; i < 4; i++)
        (void)try_write64((uint64_t *)slot(c) + rnd(c, 512), MARK);
}

static void roots(struct cpu *c)
{
    static const unsigned int cmd[] = { MMUEXT_NEW_USER_BASEPTR, MMUEXT_CLEAR_PAGE, MMUEXT_COPY_PAGE,
                                        MMUEXT_TLB_FLUSH_ALL, MMUEXT_SET_LDT };

    c->u.ext.cmd = cmd[rnd(c, ARRAY_SIZE(cmd))];
    c->u.ext.arg1.mfn = rnd(c, 4) ? any(c) : 0;
    c->u.ext.arg2.src_mfn = any(c);
    if (c->u.ext.cmd == MMUEXT_SET_LDT) {
        c->u.ext.arg1.linear_addr = (uint64_t)slot(c);
        c->u.ext.arg2.nr_ents = rnd(c, 600);
    }
    (void)hc_mmuext_op(&c->u.ext, 1, NULL, DOMID_SELF);
}

static void descriptors(struct cpu *c)
{
    unsigned int n = rnd(c, 4);

    for (unsigned int i = 0; i < n; i++)
        c->in[i] = any(c);
    (void)hc_set_gdt(c->in, n * 512);
    (void)hc_update_descriptor((any(c) << PAGE_SHIFT) + 8 * rnd(c, 512), rnd64(c));
    /* The LDT in use is read, and its pages with it. */
    __asm__ volatile("1: lar %0, %%rax\n"
                     "2:\n"
                     ".pushsection .extable, \"a\"\n"
                     ".quad 1b, 2b\n"
                     ".popsection\n"
                     :: "r"((uint64_t)(rnd(c, 512) << 3 | 7)) : "rax", "cc");
}

/* ---- Memory ------------------------------------------------------------------------------------- */

/* Reads it through a mapping of our own. Its contents say nothing: another vCPU may have picked its
 * number when it was ours before. */
static void look_at_new(struct cpu *c, uint64_t m)
{
    uint64_t sum = 0;

    if (hc_update_va_mapping((uint64_t)c->look, m << PAGE_SHIFT | PTE_PRESENT, UVMF_INVLPG | UVMF_LOCAL))
        return;
    (void)atomic_add_return(&fresh, 1);
    for (unsigned int i = 0; i < 512; i++)
        sum |= c->look[i];
    c->seen |= sum;
    (void)hc_update_va_mapping((uint64_t)c->look, 0, UVMF_INVLPG | UVMF_LOCAL);
}

static void give_back(struct cpu *c)
{
    uint64_t *at = &frame[rnd(c, FRAMES)];
    uint64_t m = atomic_xchg(at, 0UL);

    c->in[0] = m;
    c->u.r = (struct xen_memory_reservation){ .nr_extents = 1, .domid = DOMID_SELF };
    set_xen_guest_handle(c->u.r.extent_start, c->in);
    if (m)
        (void)hc_memory_op(XENMEM_decrease_reservation, &c->u.r);
    if (m && rnd(c, 2)) {
        c->u.ext.cmd = MMUEXT_UNPIN_TABLE;
        c->u.ext.arg1.mfn = m;
        (void)hc_mmuext_op(&c->u.ext, 1, NULL, DOMID_SELF);
    }
    c->u.r = (struct xen_memory_reservation){ .nr_extents = 1, .domid = DOMID_SELF };
    set_xen_guest_handle(c->u.r.extent_start, c->in);
    c->in[0] = rnd(c, 0x100000);
    if (hc_memory_op(XENMEM_populate_physmap, &c->u.r) != 1)
        return;
    look_at_new(c, c->in[0]);
    m = atomic_xchg(at, c->in[0]);
    /* Another vCPU was faster: what it put there is nobody's business any more. */
    c->in[0] = m;
    if (m)
        (void)hc_memory_op(XENMEM_decrease_reservation, &c->u.r);
}

static void exchange(struct cpu *c)
{
    unsigned int order = rnd(c, 2), n = 1u << order;
    uint64_t *at[2];

    for (unsigned int i = 0; i < n; i++) {
        at[i] = &frame[rnd(c, FRAMES)];
        c->in[i] = load_relaxed(at[i]);
    }
    c->out[0] = rnd(c, 0x100000);
    c->u.x = (struct xen_memory_exchange){
        .in = { .nr_extents = n, .domid = DOMID_SELF },
        .out = { .nr_extents = 1, .extent_order = order, .domid = DOMID_SELF },
    };
    set_xen_guest_handle(c->u.x.in.extent_start, c->in);
    set_xen_guest_handle(c->u.x.out.extent_start, c->out);
    if (hc_memory_op(XENMEM_exchange, &c->u.x) != 0)
        return;
    for (unsigned int i = 0; i < n; i++) {
        look_at_new(c, c->out[0] + i);
        (void)atomic_xchg(at[i], c->out[0] + i);
    }
}

/* ---- Grants --------------------------------------------------------------------------------------- */

static domid_t somebody(struct cpu *c)
{
    return (domid_t)(rnd(c, 2) ? own_id : own_id - 2 + rnd(c, 5));
}

static void grant_maps(struct cpu *c)
{
    unsigned int n = 1 + rnd(c, 4);

    for (unsigned int i = 0; i < n; i++) {
        bool by_entry = rnd(c, 2);

        c->u.map[i] = (struct gnttab_map_grant_ref){
            .host_addr = by_entry ? pte_maddr(slot(c)) : (uint64_t)slot(c),
            .flags = GNTMAP_host_map | (by_entry ? GNTMAP_contains_pte : 0) |
                     (rnd(c, 2) ? GNTMAP_readonly : 0) | (rnd(c, 4) ? 0 : GNTMAP_device_map),
            .ref = rnd(c, 40),
            .dom = somebody(c),
        };
    }
    (void)hc_grant_table_op(GNTTABOP_map_grant_ref, c->u.map, n);
}

static void grant_unmaps(struct cpu *c)
{
    unsigned int n = 1 + rnd(c, 4);
    uint32_t handle = rnd(c, HANDLES);

    if (rnd(c, 4) == 0) {
        c->u.replace = (struct gnttab_unmap_and_replace){
            .host_addr = (uint64_t)slot(c), .new_addr = (uint64_t)slot(c), .handle = handle };
        (void)hc_grant_table_op(GNTTABOP_unmap_and_replace, &c->u.replace, 1);
        return;
    }
    for (unsigned int i = 0; i < n; i++)
        c->u.unmap[i] = (struct gnttab_unmap_grant_ref){
            .host_addr = rnd(c, 2) ? (uint64_t)slot(c) : pte_maddr(slot(c)),
            .dev_bus_addr = rnd(c, 4) ? 0 : any(c) << PAGE_SHIFT,
            .handle = rnd(c, 2) ? handle : rnd(c, HANDLES) };
    (void)hc_grant_table_op(GNTTABOP_unmap_grant_ref, c->u.unmap, n);
}

static void copies(struct cpu *c)
{
    unsigned int n = 1 + rnd(c, 4);

    for (unsigned int i = 0; i < n; i++) {
        struct gnttab_copy *op = &c->u.copy[i];

        memset(op, 0, sizeof(*op));
        op->flags = (uint16_t)rnd(c, 4);
        op->len = (uint16_t)rnd(c, 64);
        op->source.offset = (uint16_t)rnd(c, 4096);
        op->dest.offset = (uint16_t)rnd(c, 4096);
        op->source.domid = op->flags & GNTCOPY_source_gref ? somebody(c) : DOMID_SELF;
        op->dest.domid = op->flags & GNTCOPY_dest_gref ? somebody(c) : DOMID_SELF;
        op->source.u.gmfn = op->flags & GNTCOPY_source_gref ? rnd(c, 40) : any(c);
        op->dest.u.gmfn = op->flags & GNTCOPY_dest_gref ? rnd(c, 40) : any(c);
    }
    (void)hc_grant_table_op(GNTTABOP_copy, c->u.copy, n);
}

static void transfers(struct cpu *c)
{
    c->u.transfer = (struct gnttab_transfer){ .mfn = any(c), .domid = somebody(c), .ref = rnd(c, 40) };
    (void)hc_grant_table_op(GNTTABOP_transfer, &c->u.transfer, 1);
}

/* ---- Events ----------------------------------------------------------------------------------------- */

static void channels(struct cpu *c)
{
    static const uint8_t cmd[] = {
        EVTCHNOP_alloc_unbound, EVTCHNOP_bind_interdomain, EVTCHNOP_bind_virq, EVTCHNOP_bind_ipi,
        EVTCHNOP_close, EVTCHNOP_close, EVTCHNOP_send, EVTCHNOP_send, EVTCHNOP_status,
        EVTCHNOP_bind_vcpu, EVTCHNOP_unmask,
    };
    uint32_t p[6] = { 0 };

    /* Ports below 8 are the runtime's. */
    for (unsigned int i = 0; i < 6; i++)
        p[i] = 8 + rnd(c, PORTS);
    switch (cmd[rnd(c, ARRAY_SIZE(cmd))]) {
    case EVTCHNOP_alloc_unbound:
        p[0] = DOMID_SELF | (uint32_t)somebody(c) << 16;
        (void)hc_event_channel_op(EVTCHNOP_alloc_unbound, p);
        break;
    case EVTCHNOP_bind_interdomain:
        p[0] = somebody(c);
        (void)hc_event_channel_op(EVTCHNOP_bind_interdomain, p);
        break;
    case EVTCHNOP_bind_virq:
        p[0] = rnd(c, 24);
        p[1] = rnd(c, 4);
        (void)hc_event_channel_op(EVTCHNOP_bind_virq, p);
        break;
    case EVTCHNOP_bind_ipi:
        p[0] = rnd(c, 5);
        (void)hc_event_channel_op(EVTCHNOP_bind_ipi, p);
        break;
    case EVTCHNOP_close:
        (void)hc_event_channel_op(EVTCHNOP_close, p);
        break;
    case EVTCHNOP_status:
        p[0] = DOMID_SELF;
        (void)hc_event_channel_op(EVTCHNOP_status, p);
        break;
    case EVTCHNOP_bind_vcpu:
        p[1] = rnd(c, 5);
        (void)hc_event_channel_op(EVTCHNOP_bind_vcpu, p);
        break;
    case EVTCHNOP_unmask:
        (void)hc_event_channel_op(EVTCHNOP_unmask, p);
        break;
    default:
        (void)hc_event_channel_op(EVTCHNOP_send, p);
    }
}

/* ------------------------------------------------------------------------------------------------------ */

static void run(unsigned int cpu)
{
    static void (*const act[])(struct cpu *c) = {
        pins, pins, updates, updates, mappings, mappings, stores, stores, roots, descriptors, give_back,
        give_back, exchange, grant_maps, grant_maps, grant_unmaps, grant_unmaps, copies, transfers,
        channels, channels, channels,
    };
    struct cpu *c = &cpus[cpu];

    for (uint64_t i = 0; i < rounds; i++)
        act[rnd(c, ARRAY_SIZE(act))](c);
    (void)atomic_add_return(&finished, 1);
}

/* Frames that the runtime does not know any more, granted to ourselves and to the neighbours. */
static void prepare(uint64_t seed)
{
    window = va_alloc(WINDOW);
    own_id = own_domid();
    for (unsigned int i = 0; i < FRAMES; i++) {
        void *p = page_alloc_zeroed();

        frame[i] = virt_to_mfn(p).v;
        BUG_ON(hc_update_va_mapping((uint64_t)p, 0, UVMF_INVLPG | UVMF_ALL));
        (void)grant_offer((domid_t)(own_id - 1 + i % 3), mfn(frame[i]), i & 1 ? GRANT_READONLY : 0);
    }
    /* Room for new frames while old ones are still held by something. */
    for (unsigned int i = 0; i < SPARE; i++) {
        void *p = page_alloc();
        xen_pfn_t m = p ? virt_to_mfn(p).v : 0;
        struct xen_memory_reservation r = { .nr_extents = 1, .domid = DOMID_SELF };

        set_xen_guest_handle(r.extent_start, &m);
        BUG_ON(!p || hc_update_va_mapping((uint64_t)p, 0, UVMF_INVLPG | UVMF_ALL));
        BUG_ON(hc_memory_op(XENMEM_decrease_reservation, &r) != 1);
    }
    for (unsigned int i = 0; i < VCPUS_MAX; i++) {
        cpus[i].rng = (seed * VCPUS_MAX + own_id * 100 + i + 1) * 0x9e3779b97f4a7c15UL;
        cpus[i].look = va_alloc(1);
    }
}

void pv_main(void)
{
    unsigned int n = MIN(ap_count(), VCPUS_MAX);

    rounds = cmdline_get_u64("rounds", 1000);
    prepare(cmdline_get_u64("seed", 1));
    log_info("attack races: domain %lu, %lu rounds on each of %u vCPUs", own_id, rounds, n);
    for (unsigned int i = 1; i < n; i++)
        BUG_ON(ap_start(i, run));
    run(0);
    while (load_acquire(&finished) < n)
        (void)hc_sched_op(SCHEDOP_yield, NULL);
    log_info("attack races: %u frames were given back and taken anew", fresh);
    log_info("attack races: ok");
    domain_shutdown(SHUTDOWN_poweroff);
}
