/* SPDX-License-Identifier: MIT */
/* back.c - what backends share: states, the event channel, and what can be done to granted pages. */
#include "tests/guests/liar/liar.h"
#include "runtime/event.h"
#include "runtime/hypercall.h"
#include "runtime/mem.h"

#define KEPT 8                      /* grants mapped beside the rings */

uint32_t front_dom;
char front[48];
uint64_t lie_copied, lie_mapped;
static struct grant_mapping kept[KEPT];
static evtchn_port_t port;
static uint8_t *own;                /* a page of ours */

static void nothing(void *arg)
{
}

uint32_t rnd(uint32_t n)
{
    return random_u32() % n;
}

/* States ------------------------------------------------------------------------------------- */

void back_begin(void)
{
    own = page_alloc_zeroed();
    CHECK(own);
    make_directory("data/back");
}

void back_find_front(void)
{
    char where[24] = "data/front", backend[40];

    (void)cmdline_get("front", where, sizeof(where));
    (void)snprintf(backend, sizeof(backend), "%s/backend", where);
    while (!(front_dom = find_domain(backend)))
        loop_turn(false);
    (void)snprintf(front, sizeof(front), "/local/domain/%u/%s", front_dom, where);
}

void set_state(const char *s)
{
    CHECK(xs_write(XS_NO_TXN, "data/back/state", s, strlen(s)) == 0);
}

void any_state(void)
{
    static const char *const states[] = { "0", "1", "2", "3", "4", "5", "6", "7", "-1", "4294967298", "x" };

    set_state(states[rnd(ARRAY_SIZE(states))]);
}

uint32_t front_state(void)
{
    return xs_read_default(XS_NO_TXN, front, "state", 0);
}

bool wait_front(uint32_t state, uint64_t ms)
{
    uint64_t end = now_ns() + ms * NS_PER_MS;

    while (front_state() != state && now_ns() < end) {
        loop_turn(false);
        (void)hc_sched_op(SCHEDOP_yield, NULL);
    }
    return front_state() == state;
}

void bind_event(const char *key, const char *other)
{
    uint32_t p = 0;

    if (xs_read_u32(XS_NO_TXN, front, key, &p))
        (void)xs_read_u32(XS_NO_TXN, front, other, &p);
    if (event_bind_interdomain((domid_t)front_dom, p, nothing, NULL, &port))
        port = 0;
}

/* And lets it run. */
void signal_front(void)
{
    event_send(port);
    (void)hc_sched_op(SCHEDOP_yield, NULL);
    loop_turn(false);
}

/* Pages -------------------------------------------------------------------------------------- */

void lie_copy(grant_ref_t ref)
{
    struct gnttab_copy c = { .len = (uint16_t)(1 + rnd((uint32_t)PAGE_SIZE)), .flags = GNTCOPY_dest_gref };

    grant_copy_own(&c.source, own);
    grant_copy_ref(&c.dest, (domid_t)front_dom, ref, (uint16_t)rnd((uint32_t)PAGE_SIZE));
    if (rnd(2)) {
        struct gnttab_copy_ptr s = c.source;

        c.source = c.dest;
        c.dest = s;
        c.flags = GNTCOPY_source_gref;
    }
    lie_copied += grant_copy(&c, 1) == 0;
}

void lie_keep(grant_ref_t ref)
{
    struct grant_mapping *m = &kept[rnd(KEPT)];

    if (m->va)
        grant_unmap(m);
    else if (grant_map((domid_t)front_dom, &ref, 1, rnd(2) ? GRANT_READONLY : 0, m) == 0)
        lie_mapped++;
    else
        m->va = NULL;
    if (m->va)
        (void)*(volatile uint8_t *)m->va;
}

void back_let_go(void)
{
    event_close(port);
    port = 0;
    for (unsigned int i = 0; i < KEPT; i++)
        grant_unmap(&kept[i]);
}
