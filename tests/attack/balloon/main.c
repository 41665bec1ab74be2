/* SPDX-License-Identifier: MIT */
/*
 * main.c - a guest that fights over memory, ignores its balloon, takes all its vCPUs offline, or
 * plays with the states of its devices. README.md says how.
 */
#include "tests/attack/ap.h"
#include "atomic.h"
#include "lib/string.h"
#include "runtime/grant.h"
#include "runtime/log.h"
#include "runtime/loop.h"
#include "runtime/time.h"
#include "runtime/xenbus.h"
#include "runtime/xs.h"

#define VCPUS_MAX 4u
#define PAGES     64u           /* that each vCPU plays with */
#define ROUNDS    400u
#define CHURNS    10000u
#define BEYOND    (1UL << 30)   /* page numbers that we do not have */
#define HV        0xffff830000000000UL

struct player {
    xen_pfn_t frame[2 * PAGES]; /* that it has now, mapped nowhere */
    unsigned int have;
    uint64_t rng;
};

static struct player players[VCPUS_MAX];
static uint32_t finished, overdrawn, odd;

static uint64_t next(uint64_t *rng)
{
    *rng ^= *rng << 13;
    *rng ^= *rng >> 7;
    return *rng ^= *rng << 17;
}

static long reservation(unsigned int op, xen_pfn_t *list, uint64_t n, unsigned int order)
{
    struct xen_memory_reservation r = { .nr_extents = n, .extent_order = order, .domid = DOMID_SELF };

    set_xen_guest_handle(r.extent_start, list);
    return hc_memory_op(op, &r);
}

static long limit_of(unsigned int op)
{
    domid_t self = DOMID_SELF;

    return hc_memory_op(op, &self);
}

/* Asks for more than there is room for, always, and gives back what it got and some more. */
static void play(unsigned int cpu)
{
    struct player *p = &players[cpu];

    for (unsigned int round = 0; round < ROUNDS; round++) {
        unsigned int n = 1 + next(&p->rng) % PAGES, give = MIN(n, p->have);
        long got;

        if (reservation(XENMEM_decrease_reservation, p->frame + p->have - give, give, 0) != give)
            odd++;
        p->have -= give;
        n = 2 * PAGES - p->have;
        for (unsigned int i = 0; i < n; i++)
            p->frame[p->have + i] = BEYOND + cpu * PAGES + i;
        got = reservation(round & 1 ? XENMEM_populate_physmap : XENMEM_increase_reservation,
                          p->frame + p->have, n, 0);
        if (got < 0 || got > n)
            odd++;
        else
            p->have += (unsigned int)got;
        if (limit_of(XENMEM_current_reservation) > limit_of(XENMEM_maximum_reservation))
            overdrawn++;
    }
    (void)atomic_add_return(&finished, 1);
}

static void refused(void)
{
    static xen_pfn_t one;
    long before = limit_of(XENMEM_current_reservation);

    BUG_ON(reservation(XENMEM_populate_physmap, &one, 1, 63) != 0);
    BUG_ON(reservation(XENMEM_populate_physmap, &one, 1, 20) != 0);
    BUG_ON(reservation(XENMEM_populate_physmap, &one, ~0UL, 0) > 0);
    BUG_ON(reservation(XENMEM_populate_physmap, (xen_pfn_t *)HV, 1, 0) != 0);
    BUG_ON(reservation(XENMEM_decrease_reservation, (xen_pfn_t *)HV, 1, 0) != 0);
    one = ~0UL;
    BUG_ON(reservation(XENMEM_decrease_reservation, &one, 1, 0) != 0);
    one = 0;                    /* not ours */
    BUG_ON(reservation(XENMEM_decrease_reservation, &one, 1, 9) != 0);
    BUG_ON(limit_of(XENMEM_current_reservation) != before);
}

static void fight(void)
{
    unsigned int n = MIN(ap_count(), VCPUS_MAX);
    unsigned int have = 0;
    long before = limit_of(XENMEM_current_reservation);

    refused();
    for (unsigned int c = 0; c < n; c++) {
        players[c].rng = (c + 1) * 0x9e3779b97f4a7c15UL;
        for (unsigned int i = 0; i < PAGES; i++) {
            void *page = page_alloc();

            BUG_ON(!page);
            players[c].frame[players[c].have++] = virt_to_mfn(page).v;
            BUG_ON(hc_update_va_mapping((uint64_t)page, 0, UVMF_INVLPG | UVMF_ALL));
        }
    }
    for (unsigned int c = 1; c < n; c++)
        BUG_ON(ap_start(c, play));
    play(0);
    while (load_acquire(&finished) < n)
        (void)hc_sched_op(SCHEDOP_yield, NULL);
    for (unsigned int c = 0; c < n; c++)
        have += players[c].have;
    log_info("attack balloon: %u pages of %u are back, %u times beyond the limit, %u odd answers", have,
             n * PAGES, overdrawn, odd);
    if (overdrawn || odd || have > n * PAGES + (unsigned long)(limit_of(XENMEM_maximum_reservation) - before))
        log_error("attack balloon: FAILED");
    else
        log_info("attack balloon: ok");
    domain_shutdown(SHUTDOWN_poweroff);
}

/* Everything it may have, it has; then it wants more. */
static struct timer hold_timer;

static void hold(struct timer *t)
{
    static xen_pfn_t one;

    one = BEYOND;
    if (reservation(XENMEM_populate_physmap, &one, 1, 0) != 0)
        log_error("attack balloon: took a page");
    timer_set_after(t, NS_PER_MS);
}

static void flip_states(struct timer *t)
{
    static const char *const values[] = { "0", "1", "2", "3", "4", "5", "6", "7", "8", "99", "-4", "x", "" };
    static const char *const dirs[] = { "device/vif/0", "device/vif/1", "device/vbd/51728" };
    static uint64_t rng = 88172645463325252UL;

    for (int i = 0; i < 8; i++) {
        const char *dir = dirs[next(&rng) % ARRAY_SIZE(dirs)];

        if (next(&rng) % 50 == 0)
            (void)xs_rm(XS_NO_TXN, dir);
        else
            (void)xs_printf(XS_NO_TXN, dir, "state", "%s", values[next(&rng) % ARRAY_SIZE(values)]);
    }
    timer_set_after(t, NS_PER_MS);
}

/* One page given back and another taken again and again, each time just after it was in use. */
static void churn(void)
{
    uint8_t *page = page_alloc();
    xen_pfn_t frame = virt_to_mfn(page).v, pfn = virt_to_pfn(page).v;

    for (unsigned int i = 0; i < CHURNS; i++) {
        *(volatile uint8_t *)page = 1;
        BUG_ON(hc_update_va_mapping((uint64_t)page, 0, UVMF_NONE));
        BUG_ON(reservation(XENMEM_decrease_reservation, &frame, 1, 0) != 1);
        frame = pfn;
        BUG_ON(reservation(XENMEM_populate_physmap, &frame, 1, 0) != 1);
        BUG_ON(hc_update_va_mapping((uint64_t)page, frame << PAGE_SHIFT | PTE_PRESENT | PTE_WRITE, UVMF_NONE));
    }
    log_info("attack balloon: %u pages exchanged", CHURNS);
    domain_shutdown(SHUTDOWN_poweroff);
}

/* Maps a page of its own for devices until there are no handles left. */
static void handles(void)
{
    static struct gnttab_map_grant_ref m[256];
    unsigned int n = 0, i = 0;
    char word[8] = "";
    uint32_t id = 0;
    grant_ref_t ref;

    BUG_ON(xenbus_init() || xs_read(XS_NO_TXN, "domid", word, sizeof(word)) <= 0);
    for (const char *s = word; *s; s++)
        id = id * 10 + (uint32_t)(*s - '0');
    ref = grant_offer((domid_t)id, virt_to_mfn(page_alloc()), 0);
    do {
        for (i = 0; i < ARRAY_SIZE(m); i++)
            m[i] = (struct gnttab_map_grant_ref){ .flags = GNTMAP_device_map | GNTMAP_readonly, .ref = ref, .dom = (domid_t)id };
        BUG_ON(hc_grant_table_op(GNTTABOP_map_grant_ref, m, ARRAY_SIZE(m)));
        for (i = 0; i < ARRAY_SIZE(m) && !m[i].status; i++)
            n++;
    } while (i == ARRAY_SIZE(m));
    log_info("attack balloon: %u handles, then %d", n, m[i].status);
    domain_shutdown(SHUTDOWN_poweroff);
}

static void all_down(void)
{
    for (;;)
        (void)hc_vcpu_op(VCPUOP_down, 0, NULL);
}

void pv_main(void)
{
    char mode[16] = "";

    (void)cmdline_get("mode", mode, sizeof(mode));
    log_info("attack balloon: begins %s", mode);
    if (!strcmp(mode, "hold")) {
        timer_init(&hold_timer, hold);
        timer_set_after(&hold_timer, NS_PER_MS);
    } else if (!strcmp(mode, "states")) {
        BUG_ON(xenbus_init());
        timer_init(&hold_timer, flip_states);
        timer_set_after(&hold_timer, NS_PER_MS);
    } else if (!strcmp(mode, "churn")) {
        churn();
    } else if (!strcmp(mode, "handles")) {
        handles();
    } else if (!strcmp(mode, "down")) {
        all_down();
    } else {
        fight();
    }
    loop_run();
}
