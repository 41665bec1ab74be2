/* SPDX-License-Identifier: MIT */
/* netfront.c - the frontend of a vif: sends, takes what comes, and looks after its pages whenever the connection is gone. */
#include "tests/guests/liar/liar.h"
#include "netfront/internal.h"

static struct netfront *nf;
static uint64_t sent, right, connections, frames_begin;
static size_t least_free;

/* Frames ------------------------------------------------------------------------------------- */

static uint64_t word_of(uint64_t seq, unsigned int i)
{
    return seq * 0x9e3779b97f4a7c15UL + i * 0xbf58476d1ce4e5b9UL;
}

static void send_some(void)
{
    static uint8_t head[NETFRONT_HEAD_MAX] = { 2 };

    for (unsigned int n = 0; n < 8; n++) {
        struct netfront_frame f = { .head = head, .head_len = LIAR_HEAD, .len = LIAR_HEAD + LIAR_PAYLOAD,
                                    .nr_frags = 1 };
        int page = netfront_page_get(nf);
        uint64_t *p;

        if (page < 0)
            return;
        p = netfront_page_va(nf, (unsigned int)page);
        p[0] = sent;
        for (unsigned int i = 1; i < LIAR_PAYLOAD / 8; i++)
            p[i] = word_of(sent, i);
        f.frag[0] = (struct netfront_frag){ (uint16_t)page, 0, LIAR_PAYLOAD };
        if (!netfront_send(nf, &f)) {
            netfront_page_put(nf, (unsigned int)page);
            return;
        }
        sent++;
    }
}

static bool is_right(const struct netfront_frame *f)
{
    const uint64_t *p;

    if (f->nr_frags != 1 || f->frag[0].offset || f->frag[0].len != LIAR_PAYLOAD)
        return false;
    p = netfront_page_va(nf, f->frag[0].page);
    for (unsigned int i = 1; i < LIAR_PAYLOAD / 8; i++) {
        if (p[i] != word_of(p[0], i))
            return false;
    }
    return true;
}

static void receive(void *arg, const struct netfront_frame *f)
{
    static volatile uint8_t seen;

    right += is_right(f);
    CHECK(f->head_len >= 14 && f->head_len <= NETFRONT_HEAD_MAX && f->nr_frags <= NETFRONT_FRAGS_MAX);
    for (unsigned int i = 0; i < f->nr_frags; i++) {
        const struct netfront_frag *g = &f->frag[i];
        uint8_t *p = netfront_page_va(nf, g->page);

        CHECK(g->len && g->offset < PAGE_SIZE &&
              g->offset + g->len <= (g->page < NETFRONT_PAGES ? 1u : NETFRONT_EXTENT_PAGES) * PAGE_SIZE);
        /* The page is ours alone: what is written to it stays. */
        seen ^= p[g->offset] ^ p[g->offset + g->len - 1];
        for (unsigned int k = 0; k < g->offset + g->len; k += PAGE_SIZE) {
            p[k] = (uint8_t)i;
            CHECK(*(volatile uint8_t *)(p + k) == (uint8_t)i);
        }
        netfront_page_put(nf, g->page);
    }
}

/* Pages -------------------------------------------------------------------------------------- */

/* The page whose state is this one's. */
static unsigned int first_of(unsigned int page)
{
    return page < NETFRONT_PAGES ? page : page - page % NETFRONT_EXTENT_PAGES;
}

/* Every page is free, with a frame of its own, or kept by the backend. Returns how many are kept. */
static unsigned int check_pool(void)
{
    unsigned int kept = 0, kept_extents = 0;

    for (unsigned int i = 0; i < nf->nr_pages; i++) {
        uint64_t *p = page_at(nf, i);

        if (nf->state[first_of(i)] == PAGE_LOST) {
            kept += i < NETFRONT_PAGES;
            kept_extents += i >= NETFRONT_PAGES && i == first_of(i);
            continue;
        }
        CHECK(nf->state[first_of(i)] == PAGE_FREE && !nf->entry[i].flags);
        CHECK(nf->entry[i].frame == glue_frame(p));
        CHECK(mfn_to_pfn(mfn(nf->entry[i].frame)).v == nf->first_pfn + i);
        p[i % 512] = i;
    }
    for (unsigned int i = 0; i < nf->nr_pages; i++)
        CHECK(nf->state[first_of(i)] == PAGE_LOST || ((uint64_t *)page_at(nf, i))[i % 512] == i);
    CHECK(nf->nr_free == NETFRONT_PAGES - kept && nf->nr_free_extents == extent_count(nf) - kept_extents);
    CHECK(frames_owned() == frames_begin);
    return kept;
}

static void link_changed(void *arg, bool up)
{
    struct mem_stats m;

    if (up) {
        connections++;
        return;
    }
    (void)check_pool();
    /* One connection's rings are the most that a backend can keep. */
    mem_get_stats(&m);
    if (connections < 8)
        least_free = connections < 2 || m.pages_free < least_free ? m.pages_free : least_free;
    else
        CHECK(m.pages_free + 2 * 16 + 8 >= least_free);
}

void netfront_run(void)
{
    static const struct netfront_ops ops = { .receive = receive, .link = link_changed };
    struct netfront_stats s;
    uint64_t said = 0;

    front_begin("device/vif/0");
    CHECK(xs_write(XS_NO_TXN, "data/front/mac", "00:16:3e:00:00:01", 17) == 0);
    front_find_backend();
    nf = netfront_open(0, NETFRONT_BIG, &ops, NULL);
    CHECK(nf);
    frames_begin = frames_owned();
    for (;;) {
        if (now_ns() - said > NS_PER_S / 4) {
            said = now_ns();
            netfront_get_stats(nf, &s);
            log_info("liar netfront: %lu connections, %lu faults, %lu sent, %lu right, of domain %u", connections, s.bad,
                     sent, right, back_dom);
            if (!front_has_backend()) {
                netfront_suspend(nf);
                (void)check_pool();
                front_find_backend();
                netfront_resume(nf);
            }
        }
        if (netfront_is_up(nf))
            send_some();
        loop_turn(false);
        (void)hc_sched_op(SCHEDOP_yield, NULL);
    }
}
