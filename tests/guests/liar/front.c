/* SPDX-License-Identifier: MIT */
/* front.c - the frontend: sends, takes what comes, and looks after its pages whenever the connection is gone. */
#include "tests/guests/liar/liar.h"
#include "netfront/internal.h"

static struct netfront *nf;
static const struct xs_ops *store;      /* the ring client's */
static uint64_t sent, right, connections, frames_begin;
static size_t least_free;
static uint32_t back_dom;

/* netfront's directory is where it may write: data/front. */
static const char *moved(const char *path, char *to, size_t size)
{
    static const char from[] = "device/vif/0";

    if (strncmp(path, from, sizeof(from) - 1))
        return path;
    (void)snprintf(to, size, "data/front%s", path + sizeof(from) - 1);
    return to;
}

static int front_read(void *ctx, xs_txn t, const char *path, char *buf, size_t size)
{
    char to[160];

    return store->read(ctx, t, moved(path, to, sizeof(to)), buf, size);
}

static int front_write(void *ctx, xs_txn t, const char *path, const void *value, size_t len)
{
    char to[160];

    return store->write(ctx, t, moved(path, to, sizeof(to)), value, len);
}

static int front_rm(void *ctx, xs_txn t, const char *path)
{
    char to[160];

    return store->rm(ctx, t, moved(path, to, sizeof(to)));
}

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

        CHECK(g->len && g->offset + g->len <= (unsigned int)PAGE_SIZE);
        /* The page is ours alone: what is written to it stays. */
        seen ^= p[g->offset] ^ p[g->offset + g->len - 1];
        p[0] = (uint8_t)i;
        CHECK(*(volatile uint8_t *)p == (uint8_t)i);
        netfront_page_put(nf, g->page);
    }
}

/* Pages -------------------------------------------------------------------------------------- */

static uint64_t frames_owned(void)
{
    domid_t self = DOMID_SELF;

    return (uint64_t)hc_memory_op(XENMEM_current_reservation, &self);
}

/* Every page is free, with a frame of its own, or kept by the backend. Returns how many are kept. */
static unsigned int check_pool(void)
{
    unsigned int kept = 0;

    for (unsigned int i = 0; i < NETFRONT_PAGES; i++) {
        uint64_t *p = page_at(nf, i);

        if (nf->state[i] == PAGE_LOST) {
            kept++;
            continue;
        }
        CHECK(nf->state[i] == PAGE_FREE && !nf->entry[i].flags);
        CHECK(nf->entry[i].frame == glue_frame(p));
        CHECK(mfn_to_pfn(mfn(nf->entry[i].frame)).v == nf->first_pfn + i);
        p[i % 512] = i;
    }
    for (unsigned int i = 0; i < NETFRONT_PAGES; i++)
        CHECK(nf->state[i] == PAGE_LOST || ((uint64_t *)page_at(nf, i))[i % 512] == i);
    CHECK(nf->nr_free == NETFRONT_PAGES - kept);
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
        CHECK(m.pages_free + 2 * 16 >= least_free);
}

/* The backend ---------------------------------------------------------------------------------- */

static void write_backend(void)
{
    char path[64];

    back_dom = 0;
    while (!back_dom) {
        back_dom = find_domain("data/back/state");
        loop_turn(false);
    }
    (void)snprintf(path, sizeof(path), "/local/domain/%u/data/back", back_dom);
    CHECK(xs_write(XS_NO_TXN, "data/front/backend", path, strlen(path)) == 0);
    CHECK(xs_printf(XS_NO_TXN, "data/front", "backend-id", "%u", back_dom) == 0);
}

static bool backend_is_there(void)
{
    char value[16];

    return xs_read(XS_NO_TXN, nf->dev.peer_state_path, value, sizeof(value)) > 0;
}

void front_run(void)
{
    static const struct netfront_ops ops = { .receive = receive, .link = link_changed };
    static struct xs_ops wrapped;
    struct netfront_stats s;
    uint64_t said = 0;

    store = xs_provider();
    wrapped = *store;
    wrapped.read = front_read;
    wrapped.write = front_write;
    wrapped.rm = front_rm;
    xs_set_provider(&wrapped, NULL);
    make_directory("data/front");
    CHECK(xs_write(XS_NO_TXN, "data/front/mac", "00:16:3e:00:00:01", 17) == 0);
    write_backend();
    nf = netfront_open(0, 0, &ops, NULL);
    CHECK(nf);
    frames_begin = frames_owned();
    for (;;) {
        if (now_ns() - said > NS_PER_S / 4) {
            said = now_ns();
            netfront_get_stats(nf, &s);
            log_info("liar front: %lu connections, %lu faults, %lu sent, %lu right, of domain %u", connections, s.bad,
                     sent, right, back_dom);
            if (!backend_is_there()) {
                netfront_suspend(nf);
                (void)check_pool();
                write_backend();
                netfront_resume(nf);
            }
        }
        if (netfront_is_up(nf))
            send_some();
        loop_turn(false);
        (void)hc_sched_op(SCHEDOP_yield, NULL);
    }
}
