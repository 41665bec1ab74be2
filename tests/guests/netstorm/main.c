/* SPDX-License-Identifier: MIT */
/*
 * netstorm - traffic on a vif that comes and goes. Sends frames to its peers and to whoever sent it some, checks each byte
 * of what arrives, and meanwhile lets go of its backend and connects again, or dies.
 *
 *   peers=MAC,MAC...     whom to send to
 *   mode=flip|standard   the protocol
 *   renew=MS             suspends and resumes its vif, each time after at most so long
 *   switch               ... and speaks the other protocol then
 *   suspend              its domain may be suspended and resumed; the vif is, around that
 *   die=N                ends with a crash in the middle of frame N
 *
 * Each time that the vif is down, every page of the driver's pool must be there, each with a frame of its own; the
 * domain's frames and the runtime's free pages stay what they were.
 */
#include "lib/printf.h"
#include "lib/string.h"
#include "netback/filter.h"
#include "netfront/internal.h"
#include "runtime/log.h"
#include "runtime/start.h"
#include "runtime/suspend.h"
#include "runtime/xenbus.h"

#define MAGIC     0x73746f72u
#define HEAD      64            /* bytes of head; the rest is payload */
#define BURST     12
#define BURST_NS  (4 * NS_PER_MS)
#define PEERS_MAX 8

struct note {
    uint32_t magic, seq, len;   /* of the payload */
};

static struct netfront *nf;
static uint8_t mac[6], peers[PEERS_MAX + 1][6];
static unsigned int nr_peers, next_peer;
static bool answers;            /* the last place of peers is whoever sent last */
static uint64_t sent, received, renewals, die, frames_begin;
static uint64_t renew_ns;
static bool switches;
static size_t least_free[2];    /* pages of the runtime's while connected, by protocol */
static struct timer burst_timer, renew_timer, say_timer;

#define CHECK(cond) \
    do { \
        if (!(cond)) { \
            log_error("netstorm: FAILED at line %d: %s", __LINE__, #cond); \
            domain_shutdown(SHUTDOWN_crash); \
        } \
    } while (0)

static uint8_t byte_of(uint32_t seq, uint32_t k)
{
    return (uint8_t)(seq * 31 + k * 7 + (k >> 8));
}

static void maybe_die(void)
{
    if (die && sent + received >= die)
        domain_shutdown(SHUTDOWN_crash);
}

/* Frames ------------------------------------------------------------------------------------- */

static bool send_one(void)
{
    static uint8_t head[NETFRONT_HEAD_MAX];
    struct netfront_frame f = { .head = head, .head_len = HEAD, .len = HEAD };
    struct note n = { .magic = MAGIC, .seq = (uint32_t)sent };
    unsigned int pages = random_u32() % 4;
    bool big = !(random_u32() % 4) && netfront_extents(nf);

    memset(head, 0, sizeof(head));
    memcpy(head, peers[next_peer], 6);
    memcpy(head + 6, mac, 6);
    head[12] = sent & 1 ? 0x08 : 0x88;
    head[13] = sent & 1 ? 0x00 : 0xb5;
    for (unsigned int i = 0; i < pages; i++) {
        unsigned int len = 1 + random_u32() % (pages == 1 ? 1400 : 450), at = random_u32() % 2000;
        int page = big ? netfront_extent_get(nf) : netfront_page_get(nf);
        uint8_t *p;

        if (page < 0)
            break;
        if (big)
            at += 2095;         /* into its second page, or not */
        p = (uint8_t *)netfront_page_va(nf, (unsigned int)page) + at;
        for (unsigned int k = 0; k < len; k++)
            p[k] = byte_of(n.seq, n.len + k);
        f.frag[f.nr_frags++] = (struct netfront_frag){ (uint16_t)page, (uint16_t)at, (uint16_t)len };
        n.len += len;
    }
    f.len = (uint16_t)(f.len + n.len);
    memcpy(head + 16, &n, sizeof(n));
    if (netfront_send(nf, &f)) {
        sent++;
        maybe_die();
        return true;
    }
    for (unsigned int i = 0; i < f.nr_frags; i++)
        netfront_page_put(nf, f.frag[i].page);
    return false;
}

static void burst(struct timer *t)
{
    unsigned int all = nr_peers + answers;

    timer_set_after(t, BURST_NS);
    for (unsigned int i = 0; i < BURST && all && send_one(); i++)
        next_peer = (next_peer + 1) % all;
}

static void receive(void *arg, const struct netfront_frame *f)
{
    struct note n;
    uint32_t k = 0;

    memcpy(&n, f->head + 16, sizeof(n));
    if (f->head_len >= HEAD && n.magic == MAGIC) {
        CHECK(f->len == HEAD + n.len);
        for (unsigned int i = HEAD; i < f->head_len; i++, k++)
            CHECK(f->head[i] == byte_of(n.seq, k));
        for (unsigned int i = 0; i < f->nr_frags; i++) {
            const struct netfront_frag *g = &f->frag[i];
            const uint8_t *p = (const uint8_t *)netfront_page_va(nf, g->page) + g->offset;

            for (unsigned int j = 0; j < g->len; j++, k++)
                CHECK(p[j] == byte_of(n.seq, k));
        }
        CHECK(k == n.len);
        memcpy(peers[nr_peers], f->head + 6, 6);
        answers = true;
        received++;
        maybe_die();
    }
    for (unsigned int i = 0; i < f->nr_frags; i++)
        netfront_page_put(nf, f->frag[i].page);
}

/* Coming and going ---------------------------------------------------------------------------- */

static uint64_t frames_owned(void)
{
    domid_t self = DOMID_SELF;

    return (uint64_t)hc_memory_op(XENMEM_current_reservation, &self);
}

static unsigned int nr_lost(void)
{
    unsigned int n = 0;

    for (unsigned int i = 0; i < NETFRONT_PAGES; i++)
        n += nf->state[i] == PAGE_LOST;
    return n;
}

static unsigned int nr_lost_extents(void)
{
    unsigned int n = 0;

    for (unsigned int i = NETFRONT_PAGES; i < nf->nr_pages; i += NETFRONT_EXTENT_PAGES)
        n += nf->state[i] == PAGE_LOST;
    return n;
}

/* The vif is down: the pool is ours, but for what a NIC is still sending. */
static void check_pool(void)
{
    for (unsigned int i = 0; i < nf->nr_pages; i++) {
        unsigned int first = i < NETFRONT_PAGES ? i : i - i % NETFRONT_EXTENT_PAGES;

        if (nf->state[first] == PAGE_LOST)
            continue;
        CHECK(nf->state[first] == PAGE_FREE && !nf->entry[i].flags);
        CHECK(nf->entry[i].frame == glue_frame(page_at(nf, i)));
        /* The hypervisor says so, too. */
        CHECK(mfn_to_pfn(mfn(nf->entry[i].frame)).v == nf->first_pfn + i);
    }
    CHECK(nf->nr_free == NETFRONT_PAGES - nr_lost());
    CHECK(nf->nr_free_extents == extent_count(nf) - nr_lost_extents());
    CHECK(frames_owned() == frames_begin);
}

static void link_changed(void *arg, bool up)
{
    struct mem_stats m;

    if (!up)
        return;
    mem_get_stats(&m);
    /* After some rounds, hardly more is taken: a connection that is not given back has 2 or 32 pages. */
    if (renewals < 6)
        least_free[netfront_flips(nf)] = m.pages_free;
    else
        CHECK(m.pages_free + 8 >= least_free[netfront_flips(nf)]);
}

static void renew(struct timer *t)
{
    static bool down;

    if (!down && !netfront_is_up(nf)) {
        timer_set_after(t, NS_PER_MS);
        return;
    }
    if (!down) {
        netfront_suspend(nf);
        down = true;
        timer_set_after(t, random_u32() % (4 * NS_PER_MS));
        return;
    }
    check_pool();
    if (switches)
        nf->flags ^= NETFRONT_NO_FLIP;
    netfront_resume(nf);
    down = false;
    renewals++;
    timer_set_after(t, random_u32() % renew_ns);
}

static void domain_suspends(void *arg)
{
    netfront_suspend(nf);
    check_pool();
}

static void domain_resumed(void *arg)
{
    check_pool();
    netfront_resume(nf);
}

static void say(struct timer *t)
{
    struct netfront_stats s;

    netfront_get_stats(nf, &s);
    CHECK(frames_owned() == frames_begin);
    log_info("netstorm: %lu sent, %lu received, %lu renewals, %lu faults, %u missing", sent,
             received, renewals, s.bad, nr_lost());
    timer_set_after(t, NS_PER_S / 4);
}

void pv_main(void)
{
    static struct suspend_user user = { .suspend = domain_suspends, .resume = domain_resumed };
    static const struct netfront_ops ops = { .receive = receive, .link = link_changed };
    char text[PEERS_MAX * 18 + 2] = "";
    bool standard;

    BUG_ON(xenbus_init());
    standard = cmdline_get("mode", text, sizeof(text)) && !strcmp(text, "standard");
    switches = cmdline_get("switch", text, sizeof(text));
    renew_ns = cmdline_get_u64("renew", 0) * NS_PER_MS;
    die = cmdline_get_u64("die", 0);
    text[0] = '\0';
    (void)cmdline_get("peers", text, sizeof(text));
    for (char *p = text; strlen(p) >= 17 && nr_peers < PEERS_MAX; p += 18) {
        p[17] = '\0';
        CHECK(filter_parse_mac(peers[nr_peers++], p));
    }
    nf = netfront_open(0, NETFRONT_BIG | (standard ? NETFRONT_NO_FLIP : 0), &ops, NULL);
    CHECK(nf);
    netfront_mac(nf, mac);
    frames_begin = frames_owned();
    timer_init(&burst_timer, burst);
    timer_init(&renew_timer, renew);
    timer_init(&say_timer, say);
    timer_set_after(&burst_timer, 0);
    timer_set_after(&say_timer, 0);
    if (renew_ns)
        timer_set_after(&renew_timer, renew_ns);
    suspend_add(&user);
    if (cmdline_get("suspend", text, sizeof(text)))
        CHECK(suspend_offer() == 0);
    loop_run();
}
