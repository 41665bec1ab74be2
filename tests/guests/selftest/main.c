/* SPDX-License-Identifier: MIT */
/*
 * selftest - the runtime tested on a real hypervisor: memory, address space, events, timers,
 * grants. As dom0 also DMA memory and PCI. Prints "selftest: ok" or the first thing that failed.
 */
#include "lib/string.h"
#include "runtime/bigbuf.h"
#include "runtime/dma.h"
#include "runtime/event.h"
#include "runtime/grant.h"
#include "runtime/hypercall.h"
#include "runtime/log.h"
#include "runtime/loop.h"
#include "runtime/mem.h"
#include "runtime/p2m.h"
#include "runtime/pagetable.h"
#include "runtime/pci.h"
#include "runtime/start.h"
#include "runtime/time.h"

#define CHECK(cond) \
    do { \
        if (!(cond)) { \
            log_error("selftest: FAILED at line %d: %s", __LINE__, #cond); \
            domain_shutdown(SHUTDOWN_crash); \
        } \
    } while (0)

/* Fills and checks objects of many sizes, freed in another order than they came. */
static void test_heap(void)
{
    static uint8_t *p[500];
    struct mem_stats before, after;
    uint64_t start = now_ns();

    mem_get_stats(&before);
    for (unsigned int round = 0; round < 4; round++) {
        for (unsigned int i = 0; i < ARRAY_SIZE(p); i++) {
            size_t n = 1 + (i * 37 + round * 11) % 5000;

            p[i] = malloc(n);
            CHECK(p[i] && (uint64_t)p[i] % 16 == 0);
            memset(p[i], (int)i, n);
        }
        for (unsigned int i = 0; i < ARRAY_SIZE(p); i++) {
            unsigned int k = (i * 7) % ARRAY_SIZE(p);
            size_t n = 1 + (k * 37 + round * 11) % 5000;

            CHECK(p[k][0] == (uint8_t)k && p[k][n - 1] == (uint8_t)k);
            free(p[k]);
        }
    }
    mem_get_stats(&after);
    CHECK(before.heap_bytes == after.heap_bytes);
    CHECK(before.heap_objects == after.heap_objects);
    log_info("selftest: heap: 4000 calls in %lu us", (now_ns() - start) / 1000);
}

/* More than one run of pages can hold: pages mapped together. */
static void test_large(void)
{
    size_t n = 6UL << 20;
    struct mem_stats s;
    uint8_t *p;

    mem_get_stats(&s);
    if (s.pages_limit < 8192)
        return;
    p = malloc(n);
    CHECK(p);
    for (size_t i = 0; i < n; i += PAGE_SIZE)
        p[i] = (uint8_t)(i >> PAGE_SHIFT);
    for (size_t i = 0; i < n; i += PAGE_SIZE)
        CHECK(p[i] == (uint8_t)(i >> PAGE_SHIFT));
    CHECK(virt_to_mfn(p).v == pfn_to_mfn(virt_to_pfn(p)).v);
    p = realloc(p, n + (1 << 20));
    CHECK(p && p[PAGE_SIZE] == 1);
    free(p);
}

/* Memory that comes in pieces and goes in turns of the loop, all of it. */
static void test_bigbuf(void)
{
    size_t n = (6UL << 20) + 5000;
    struct mem_stats before, after;
    struct bigbuf *b;
    uint8_t *p;

    mem_get_stats(&before);
    if (before.pages_limit < 8192)
        return;
    b = bigbuf_new(n);
    CHECK(b);
    p = bigbuf_data(b);
    for (size_t i = 0; i < n; i += PAGE_SIZE) {
        CHECK(bigbuf_reach(b, i + 1));
        p[i] = (uint8_t)(i >> PAGE_SHIFT);
    }
    CHECK(bigbuf_reach(b, n) && bigbuf_reach(b, 1) && bigbuf_data(b) == p);
    CHECK(!bigbuf_reach(b, n + PAGE_SIZE));
    for (size_t i = 0; i < n; i += PAGE_SIZE)
        CHECK(p[i] == (uint8_t)(i >> PAGE_SHIFT));
    bigbuf_free(b);
    for (int turn = 0; turn < 50; turn++)
        loop_turn(false);
    mem_get_stats(&after);
    /* Page tables of the addresses stay. */
    CHECK(after.pages_total - after.pages_free <= before.pages_total - before.pages_free + 8);
}

/* As the initial domain: takes more pages than there are, so memory has to grow. */
static void test_growth(void)
{
    struct list taken = LIST_INIT(taken), *l;
    struct mem_stats before, after;
    size_t n;

    mem_get_stats(&before);
    if (before.pages_limit < before.pages_total + 3000)
        return;
    n = before.pages_free + 2000;
    for (size_t i = 0; i < n; i++) {
        l = page_alloc();
        CHECK(l);
        list_push_back(&taken, l);
    }
    while ((l = taken.next) != &taken) {
        list_remove(l);
        page_free(l);
    }
    mem_get_stats(&after);
    CHECK(after.pages_total >= before.pages_total + 2000);
    log_info("selftest: grew from %lu to %lu pages", before.pages_total, after.pages_total);
    CHECK(mem_give_back(256) > 1000);
    mem_get_stats(&after);
    log_info("selftest: back to %lu pages", after.pages_total);
}

/* The same frame at two addresses; a frame that is not ours is refused. */
static void test_map(void)
{
    uint64_t *a = page_alloc_zeroed(), *b;
    mfn_t m[2] = { virt_to_mfn(a), mfn(0xfffffffffUL) };
    int errs[2] = { 1, 1 };
    void *va;

    b = map_foreign(DOMID_SELF, m, 1, MAP_RW);
    CHECK(b && b != a);
    b[5] = 0x1234;
    CHECK(a[5] == 0x1234);
    unmap_foreign(b, 1);
    CHECK(!map_foreign(DOMID_SELF, m, 2, MAP_RW));
    va = va_alloc(2);
    CHECK(va && map_at(va, DOMID_SELF, m, 2, MAP_RO, errs) == 0);
    CHECK(errs[0] == 0 && errs[1] < 0);
    CHECK(((uint64_t *)va)[5] == 0x1234);
    unmap_at(va, 2);
    va_free(va, 2);
    page_free(a);
}

/* Code and constants are not writable, and only code may run. */
static void test_protection(void)
{
    static const char constant[] = "constant";
    uint64_t e[2];

    for (unsigned int i = 0; i < 2; i++) {
        const char *p = i ? constant : (const char *)test_map;
        const uint64_t *table;

        table = pfn_to_virt(mfn_to_pfn(paddr_to_mfn(pte_maddr(p))));
        e[i] = table[pte_maddr(p) % PAGE_SIZE / 8];
        CHECK(e[i] & PTE_PRESENT);
        CHECK(!(e[i] & PTE_WRITE));
    }
    CHECK(!(e[0] & PTE_NX) && (e[1] & PTE_NX));
}

static unsigned int events_seen;

static void count_event(void *arg)
{
    events_seen += *(unsigned int *)arg;
}

/* Both ends of a channel are ours. */
static void test_events(void)
{
    static unsigned int one = 1, hundred = 100;
    evtchn_port_t a, b;

    CHECK(event_alloc_unbound(DOMID_SELF, count_event, &one, &a) == 0);
    CHECK(event_bind_interdomain(DOMID_SELF, a, count_event, &hundred, &b) == 0);
    loop_turn(false);
    events_seen = 0;        /* binding itself signals the far end */
    event_send(b);
    loop_turn(false);
    CHECK(events_seen == 1);
    event_mask(b);
    event_send(a);
    loop_turn(false);
    CHECK(events_seen == 1);
    event_unmask(b);
    loop_turn(false);
    CHECK(events_seen == 101);
    event_close(b);
    event_close(a);
}

/* An event sent and asleep in one call; include/sluice/wait.h. Nothing else sends to us meanwhile. */
static void test_wait(void)
{
    static unsigned int one = 1;
    struct vcpu_info *v = &shared_info->vcpu_info[0];
    struct multicall_entry list[2] = { { .op = __HYPERVISOR_sluice_wait }, { .op = __HYPERVISOR_xen_version } };
    evtchn_port_t a, b;
    uint64_t due;

    CHECK(hypercall(__HYPERVISOR_sluice_wait, SLUICE_WAIT_query, 0, 0, 0, 0) == SLUICE_WAIT_VERSION);
    CHECK(hypercall(__HYPERVISOR_sluice_wait, 2, 0, 0, 0, 0) == -XEN_ENOSYS);
    CHECK(event_alloc_unbound(DOMID_SELF, count_event, &one, &a) == 0);
    CHECK(event_bind_interdomain(DOMID_SELF, a, count_event, &one, &b) == 0);
    loop_turn(false);
    events_seen = 0;

    /* Not a port to send on: does not sleep. */
    CHECK(hc_wait(4095) == -XEN_EINVAL);
    CHECK(hypercall(__HYPERVISOR_sluice_wait, SLUICE_WAIT_event, 4096, 0, 0, 0) == -XEN_EINVAL);
    CHECK(hypercall(__HYPERVISOR_sluice_wait, SLUICE_WAIT_event, 1UL << 32 | b, 0, 0, 0) == -XEN_EINVAL);
    /* It wakes itself. */
    CHECK(hc_wait(b) == 0 && v->evtchn_upcall_pending && v->evtchn_upcall_mask);
    loop_turn(false);
    CHECK(events_seen == 1);
    /* There is an event: sends, does not sleep. */
    event_send(a);
    CHECK(hc_wait(0) == 0);
    CHECK(hc_wait(b) == 0);
    loop_turn(false);
    CHECK(events_seen == 3);
    /* Sleeps until there is one, without an upcall: the mask stays. */
    due = now_ns() + 5 * NS_PER_MS;
    (void)hc_set_timer_op(due);
    while (!v->evtchn_upcall_pending)
        CHECK(hc_wait(0) == 0);
    CHECK(now_ns() >= due && v->evtchn_upcall_mask);
    loop_turn(false);
    /* In a list, whose other calls are made; what it sends keeps it awake. */
    list[0].args[0] = SLUICE_WAIT_event;
    list[0].args[1] = b;
    list[0].result = 1;
    CHECK(hc_multicall(list, 2) == 0);
    CHECK(list[0].result == 0 && list[1].result >> 16 == 4);
    loop_turn(false);
    CHECK(events_seen == 4);
    event_close(b);
    event_close(a);
}

static uint64_t fired[3];
static unsigned int nr_fired;

static void on_timer(struct timer *t)
{
    fired[nr_fired++] = t->due;
    CHECK(now_ns() >= t->due);
}

static void test_timers(void)
{
    struct timer t[3];
    uint64_t start = now_ns();

    for (unsigned int i = 0; i < 3; i++) {
        timer_init(&t[i], on_timer);
        timer_set(&t[i], start + (3 - i) * 20 * NS_PER_MS);
    }
    timer_cancel(&t[1]);
    timer_set(&t[1], start + 5 * NS_PER_MS);
    while (nr_fired < 3)
        loop_turn(true);
    CHECK(fired[0] == t[1].due && fired[1] == t[2].due && fired[2] == t[0].due);
    log_info("selftest: timers done %lu us after the last was due",
             (now_ns() - t[0].due) / NS_PER_US);
}

static void test_grants(void)
{
    char *page[2] = { page_alloc_zeroed(), page_alloc_zeroed() }, *own = page_alloc_zeroed();
    grant_ref_t refs[2];
    struct grant_mapping m;
    struct gnttab_copy c[2] = { { .len = 100, .flags = GNTCOPY_source_gref },
                                { .len = 50, .flags = GNTCOPY_dest_gref } };
    domid_t self = start_is_initial_domain() ? 0 : DOMID_SELF;

    if (!start_is_initial_domain())
        return;             /* a guest does not know its own number */
    for (unsigned int i = 0; i < 2; i++) {
        refs[i] = grant_offer(self, virt_to_mfn(page[i]), 0);
        CHECK(refs[i] != GRANT_NONE);
    }
    CHECK(grant_map(self, refs, 2, 0, &m) == 0);
    strlcpy(page[1], "granted", 20);
    CHECK(strcmp((char *)m.va + PAGE_SIZE, "granted") == 0);
    CHECK(!grant_end(refs[0]));
    grant_unmap(&m);
    grant_copy_ref(&c[0].source, self, refs[1], 0);
    grant_copy_own(&c[0].dest, own + 64);
    grant_copy_own(&c[1].source, own + 64);
    grant_copy_ref(&c[1].dest, self, refs[0], 8);
    CHECK(grant_copy(c, 2) == 0);
    CHECK(strcmp(own + 64, "granted") == 0 && strcmp(page[0] + 8, "granted") == 0);
    CHECK(grant_end(refs[0]) && grant_end(refs[1]));
    CHECK(grant_map(self, refs, 1, 0, &m) < 0);
    page_free(page[0]);
    page_free(page[1]);
    page_free(own);
}

static void test_dma(void)
{
    paddr_t a;
    char *p = dma_alloc(3, &a);

    CHECK(p);
    for (unsigned int i = 0; i < 8; i++)
        CHECK(virt_to_maddr(p + i * PAGE_SIZE) == a + i * PAGE_SIZE);
    dma_free(p, 3);
}

void pv_main(void)
{
    log_info("selftest: %lu pages, initial domain: %s", p2m_pages(),
             start_is_initial_domain() ? "yes" : "no");
    log_debug("heap");
    test_heap();
    log_debug("large");
    test_large();
    test_bigbuf();
    log_debug("map");
    test_map();
    log_debug("protection");
    test_protection();
    log_debug("events");
    test_events();
    test_wait();
    log_debug("timers");
    test_timers();
    log_debug("grants");
    test_grants();
    if (start_is_initial_domain()) {
        log_debug("growth");
        test_growth();
        test_growth();      /* into the holes that giving back has left */
        log_debug("dma");
        test_dma();
        log_info("selftest: %u PCI functions", pci_init());
    }
    log_info("selftest: ok, %lu s since 1970", wallclock(NULL));
}
