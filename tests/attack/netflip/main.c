/* SPDX-License-Identifier: MIT */
/* netflip - writes noise into flip channels, and plays with offered pages; see README.md. */
#include "atomic.h"
#include "lib/printf.h"
#include "lib/string.h"
#include "runtime/event.h"
#include "runtime/grant.h"
#include "runtime/hypercall.h"
#include "runtime/log.h"
#include "runtime/loop.h"
#include "runtime/mem.h"
#include "runtime/pagetable.h"
#include "runtime/start.h"
#include "runtime/time.h"
#include "runtime/xbdev.h"
#include "runtime/xenbus.h"
#include "sluice/flip.h"
#include "sluice/netflip.h"

#define PAGES 64u                   /* of the window; the second channel's are the second half */

#define POSTED 8u                   /* pages of channel 1's for the frame that must arrive, and others */
#define TWICE 3u                    /* a page that is mapped somewhere else, too: never flipped */

#define CHECK(cond) \
    do { \
        if (!(cond)) { \
            log_error("attack netflip: FAILED at line %d: %s", __LINE__, #cond); \
            domain_shutdown(SHUTDOWN_crash); \
        } \
    } while (0)

static struct channel {
    struct xbdev dev;
    uint8_t *half[2];               /* NETFLIP_PAGES pages each */
    grant_ref_t refs[2][NETFLIP_PAGES];
    struct netflip_index *tx, *rx;
    struct netflip_head *tx_slot, *rx_slot;
    evtchn_port_t port;
} ch[2];

static uint8_t *window;
static struct grant_entry_v1 *entry;
static grant_ref_t first_ref;

static void nothing(void *arg)
{
}

static void peer_changed(struct xbdev *d, enum xenbus_state s)
{
}

static bool wait_peer(struct channel *c, enum xenbus_state s)
{
    uint64_t end = now_ns() + 100 * NS_PER_S;

    while (c->dev.peer_state != s && now_ns() < end)
        loop_turn(false);
    return c->dev.peer_state == s;
}

static void write_refs(struct channel *c, unsigned int half, const char *key)
{
    char text[NETFLIP_PAGES * 11 + 1];
    size_t n = 0;

    for (unsigned int i = 0; i < NETFLIP_PAGES; i++)
        n += (size_t)snprintf(text + n, sizeof(text) - n, i ? " %u" : "%u", c->refs[half][i]);
    (void)xs_printf(0, c->dev.path, key, "%s", text);
}

static bool connect(struct channel *c)
{
    memset(c->half[0], 0, NETFLIP_PAGES * PAGE_SIZE);
    memset(c->half[1], 0, NETFLIP_PAGES * PAGE_SIZE);
    c->tx->slot_event = c->rx->slot_event = c->rx->cons_event = c->rx->ref_event = 1;
    if (!wait_peer(c, XenbusStateInitWait))
        return false;
    write_refs(c, 0, "flip-tx-refs");
    write_refs(c, 1, "flip-rx-refs");
    (void)xs_printf(0, c->dev.path, "event-channel", "%u", c->port);
    (void)xs_printf(0, c->dev.path, "request-sluice-flip-extents", "1");
    (void)xs_printf(0, c->dev.path, "request-sluice-flip", "1");
    (void)xs_printf(0, c->dev.path, "feature-gso-tcpv4", "1");
    (void)xbdev_set_state(&c->dev, XenbusStateConnected);
    return wait_peer(c, XenbusStateConnected);
}

static void close(struct channel *c)
{
    (void)xbdev_set_state(&c->dev, XenbusStateClosed);
    (void)wait_peer(c, XenbusStateClosed);
    event_close(c->port);
    CHECK(event_alloc_unbound(c->dev.peer_dom, nothing, NULL, &c->port) == 0);
    (void)xbdev_set_state(&c->dev, XenbusStateInitialising);
}

static void make(struct channel *c, unsigned int handle)
{
    char path[32];

    (void)snprintf(path, sizeof(path), "device/vif/%u", handle);
    CHECK(xbdev_open(&c->dev, path, false, peer_changed) == 0);
    for (unsigned int h = 0; h < 2; h++) {
        c->half[h] = pages_alloc(4);
        for (unsigned int i = 0; i < NETFLIP_PAGES; i++)
            c->refs[h][i] = grant_offer(c->dev.peer_dom, virt_to_mfn(c->half[h] + i * PAGE_SIZE), 0);
    }
    c->tx = (void *)c->half[0];
    c->rx = (void *)c->half[1];
    c->tx_slot = (void *)(c->half[0] + PAGE_SIZE);
    c->rx_slot = (void *)(c->half[1] + PAGE_SIZE);
    CHECK(event_alloc_unbound(c->dev.peer_dom, nothing, NULL, &c->port) == 0);
}

/* Pages ------------------------------------------------------------------------------------- */

static void offer(unsigned int page)
{
    store_release(&entry[page].flags, GTF_permit_access | SLUICE_GTF_flip);
}

/* Until nobody is at it. Where a flip has been, another frame is. */
static void take_back(unsigned int page)
{
    uint64_t end = now_ns() + 100 * NS_PER_S;
    uint16_t flags = load_acquire(&entry[page].flags);

    do {
        while (flags & (GTF_reading | GTF_writing)) {
            CHECK(now_ns() < end);
            flags = load_acquire(&entry[page].flags);
        }
    } while (!atomic_cmpxchg(&entry[page].flags, &flags, (uint16_t)0));
}

static uint64_t frames_owned(void)
{
    domid_t self = DOMID_SELF;

    return (uint64_t)hc_memory_op(XENMEM_current_reservation, &self);
}

/* Each page is there, can be written, and no two are one. */
static void check_pages(void)
{
    for (unsigned int i = 0; i < PAGES; i++) {
        take_back(i);
        memset(window + i * PAGE_SIZE, (int)i, PAGE_SIZE);
    }
    for (unsigned int i = 0; i < PAGES; i++) {
        for (unsigned int k = 0; k < PAGE_SIZE; k++)
            CHECK(window[i * PAGE_SIZE + k] == i);
        for (unsigned int k = 0; k < i; k++)
            CHECK(entry[i].frame != entry[k].frame);
    }
}

/* Frames -------------------------------------------------------------------------------------- */

static void fill_head(struct netflip_head *h, unsigned int to)
{
    static const uint8_t start[14] = { 0x00, 0x16, 0x3e, 0, 0, 0x68, 0x00, 0x16, 0x3e, 0, 0, 0x68, 8, 0 };

    *h = (struct netflip_head){ .len = 66, .inline_len = 66 };
    memcpy(h->data, start, sizeof(start));
    h->data[5] = (uint8_t)(0x68 + to);
    h->data[11] = (uint8_t)(0x69 - to);
}

static struct netflip_frag *frag_of_len(const struct netflip_head *h, unsigned int inline_len)
{
    return (void *)(h->data + ((inline_len + 7) & ~7u));
}

/* Of a frame as fill_head() makes it. */
static struct netflip_frag *frag_of(const struct netflip_head *h)
{
    return frag_of_len(h, 66);
}

/* Gives channel 1 a page to be filled. */
static void post(unsigned int page)
{
    struct channel *c = &ch[1];

    take_back(page);
    offer(page);
    c->rx->ref[c->rx->ref_prod % NETFLIP_REFS] = first_ref + page;
    store_release(&c->rx->ref_prod, c->rx->ref_prod + 1);
    event_send(c->port);
}

/*
 * The head of the next frame of channel 0's that came to channel 1. Broadcasts from anywhere may come before it: they are
 * taken, and the pages that they came in are posted again.
 */
static const struct netflip_head *wait_own_frame(void)
{
    uint64_t end = now_ns() + 100 * NS_PER_S;
    struct channel *c = &ch[1];
    uint32_t cons = c->rx->slot_cons;

    for (;;) {
        struct netflip_head *h = &c->rx_slot[cons % NETFLIP_SLOTS];

        while (load_acquire(&c->rx->slot_prod) == cons) {
            CHECK(now_ns() < end);
            loop_turn(false);
        }
        cons += h->nr_frags ? netflip_slots(h->inline_len, h->nr_frags) : 1;
        if (!memcmp(h->data + 6, ch[0].tx_slot[0].data + 6, 6)) {
            store_release(&c->rx->slot_cons, cons);
            return h;
        }
        for (unsigned int i = 0; i < h->nr_frags && i < netflip_head_frags(h->inline_len); i++)
            post(frag_of_len(h, h->inline_len)[i].ref - first_ref);
        store_release(&c->rx->slot_cons, cons);
    }
}

/* One page from channel 0 to 1: it must arrive. */
static void good_frame(void)
{
    struct netflip_head *h = &ch[0].tx_slot[0];
    const struct netflip_head *got;
    unsigned int to;

    for (unsigned int i = 0; i < PAGES; i++)
        take_back(i);
    memset(window, 0x5a, PAGE_SIZE);
    fill_head(h, 1);
    h->nr_frags = 1;
    h->len = 66 + 1400;
    *frag_of(h) = (struct netflip_frag){ first_ref, 8, 1400 };
    offer(0);
    for (unsigned int i = 0; i < POSTED; i++)
        post(PAGES / 2 + i);
    store_release(&ch[0].tx->slot_prod, 1);
    event_send(ch[0].port);
    got = wait_own_frame();
    CHECK(!(got->flags & NETFLIP_LOST) && got->len == 66 + 1400 && got->inline_len == 66);
    to = frag_of(got)->ref - first_ref;
    CHECK(to >= PAGES / 2 && to < PAGES / 2 + POSTED && load_acquire(&entry[to].flags) == 0);
    CHECK(window[to * PAGE_SIZE + 8] == 0x5a && window[to * PAGE_SIZE + 1407] == 0x5a);
    ch[0].tx->ref_event = 1;
}

/* What is left of the noise in a slot: each bit of `kind` makes one thing right. */
static void tame(struct netflip_head *h, uint32_t kind, unsigned int to)
{
    struct netflip_frag *f;

    if (kind & 1) {
        fill_head(h, to);
        h->nr_frags = random_u32() % 4;
    }
    if (kind & 2)
        h->flags &= NETFLIP_CSUM_BLANK | NETFLIP_COPY;
    f = frag_of(h);
    for (unsigned int i = 0; i < 3 && (kind & 4); i++) {
        f[i].ref = first_ref + random_u32() % (kind & 8 ? PAGES : PAGES + 8);
        f[i].offset %= 2048;
        f[i].len = (uint16_t)(1 + f[i].len % 480);
    }
    if ((kind & 4) && random_u32() % 4 == 0) {          /* an extent, maybe beyond the window */
        f->offset = (uint16_t)(random_u32() % 4096);
        f->len = (uint16_t)(1 + random_u32() % (kind & 8 ? 20000 : 65535));
        h->nr_frags = (uint8_t)(kind & 1 ? 1 : h->nr_frags);
        h->gso_size = 1000;
        h->flags |= NETFLIP_GSO_TCPV4;
    }
    if ((kind & 5) == 5) {
        h->len = 66;
        for (unsigned int i = 0; i < h->nr_frags; i++)
            h->len = (uint16_t)(h->len + f[i].len);
    }
}

/* What a page may be while it is offered. */
static void play(unsigned int page)
{
    uint16_t flags = load_acquire(&entry[page].flags);

    switch (random_u32() % 8) {
    case 0:
        (void)atomic_cmpxchg(&entry[page].flags, &flags, (uint16_t)0);
        break;
    case 1:                         /* a neighbour's: one beside the table below may be of our heap, and is written to */
        entry[page].frame = entry[page ^ (random_u32() & 3)].frame;
        break;
    case 2:                         /* but not as if the hypervisor were at it */
        entry[page].flags = (uint16_t)(random_u32() & ~(uint32_t)(GTF_reading | GTF_writing));
        break;
    case 3:
        store_release(&entry[page].flags, GTF_permit_access | GTF_readonly);
        break;
    case 4:
        entry[page].frame = (uint32_t)(pte_maddr(window) >> PAGE_SHIFT);
        break;
    default:
        offer(page);
        break;
    }
}

/* Offers it and those behind it as one. */
static void extent(unsigned int page, unsigned int n)
{
    n = MIN(n, PAGES - page);
    for (unsigned int i = n; i-- > 0;)
        store_release(&entry[page + i].flags,
                      (uint16_t)(GTF_permit_access | SLUICE_GTF_flip | (i ? 0 : SLUICE_GTF_flip_more(n - 1))));
}

static void set_right(void)
{
    for (unsigned int i = 0; i < PAGES; i++)
        take_back(i);
}

/* Frames are where their entries say, as far as we have not played with them: ask the page table. */
static void entries_from_tables(void)
{
    for (unsigned int i = 0; i < PAGES; i++) {
        const volatile uint64_t *table = pfn_to_virt(mfn_to_pfn(paddr_to_mfn(
            pte_maddr(window + i * PAGE_SIZE))));
        uint64_t at = pte_maddr(window + i * PAGE_SIZE) % PAGE_SIZE / 8;

        entry[i].frame = (uint32_t)((table[at] & PTE_ADDR) >> PAGE_SHIFT);
    }
}

static void noise(uint32_t kind)
{
    uint64_t end = now_ns() + NS_PER_S / 8;
    unsigned int rounds = 0;

    while (now_ns() < end && ch[0].dev.peer_state == XenbusStateConnected &&
           ch[1].dev.peer_state == XenbusStateConnected) {
        for (unsigned int k = 0; k < 2; k++) {
            struct channel *c = &ch[k];
            uint32_t n = random_u32() % 20;

            for (uint32_t i = 0; i < n; i++) {
                struct netflip_head *h = &c->tx_slot[(c->tx->slot_prod + i) % NETFLIP_SLOTS];
                unsigned int page = random_u32() % PAGES;

                random_bytes(h, sizeof(*h));
                tame(h, kind, !k);
                c->rx->ref[(c->rx->ref_prod + i) % NETFLIP_REFS] =
                    kind & 8 ? first_ref + page : random_u32();
                c->rx->ext[(c->rx->ext_prod + i) % NETFLIP_EXTENTS] = kind & 8 ? first_ref + page : random_u32();
                if (kind & 16)
                    play(page);
                else
                    offer(page);
                if (random_u32() % 2)
                    extent(page, 1 + random_u32() % 16);
            }
            store_release(&c->rx->ext_prod, c->rx->ext_prod + (kind & 4 ? n : random_u32() % 4));
            store_release(&c->rx->ref_prod, c->rx->ref_prod + n);
            store_release(&c->rx->slot_cons, c->rx->slot_prod - (kind & 1 ? 0 : n % 3));
            store_release(&c->tx->slot_prod, c->tx->slot_prod + n);
            event_send(c->port);
        }
        loop_turn(false);
        rounds++;
        while ((kind & 1) && ch[0].tx->slot_prod - load_acquire(&ch[0].tx->slot_cons) > 100 &&
               now_ns() < end)
            loop_turn(false);
    }
    log_info("netflip: noise %x: %u rounds, %u and %u frames came, states %d and %d", kind, rounds,
             ch[0].rx->slot_prod, ch[1].rx->slot_prod, ch[0].dev.peer_state, ch[1].dev.peer_state);
}

static void bad_indices(void)
{
    static const uint32_t steps[] = { NETFLIP_SLOTS + 1, 0x10000, 0x80000000u, 0xffffffffu };

    for (unsigned int i = 0; i < ARRAY_SIZE(steps); i++) {
        ch[i % 2].tx->slot_prod += steps[i];
        ch[i % 2].rx->ref_prod += steps[i];
        ch[i % 2].rx->slot_cons -= steps[i];
        event_send(ch[i % 2].port);
        for (unsigned int k = 0; k < 100; k++)
            loop_turn(false);
    }
}

void pv_main(void)
{
    struct sluice_flip_window w = { .slots = PAGES };
    uint64_t owned;
    mfn_t twice;
    void *again;

    CHECK(xenbus_init() == 0);
    make(&ch[0], 0);
    make(&ch[1], 1);
    window = pages_alloc(6);
    first_ref = grant_range(PAGES, &entry);
    CHECK(window && first_ref);
    for (unsigned int i = 0; i < PAGES; i++) {
        entry[i].domid = ch[0].dev.peer_dom;
        entry[i].frame = (uint32_t)virt_to_mfn(window + i * PAGE_SIZE).v;
    }
    w.va = (uintptr_t)window;
    w.first_ref = first_ref;
    CHECK(hc_flip(SLUICE_FLIP_register, &w, 1) == 0);
    twice = mfn(entry[TWICE].frame);
    again = map_foreign(DOMID_SELF, &twice, 1, MAP_RO);
    CHECK(again);
    owned = frames_owned();
    for (uint32_t kind = 0; kind < 32; kind++) {
        CHECK(connect(&ch[0]) && connect(&ch[1]));
        good_frame();
        noise(kind);
        if (kind % 4 == 3)
            bad_indices();
        close(&ch[0]);
        close(&ch[1]);
        set_right();
        entries_from_tables();
        CHECK(entry[TWICE].frame == twice.v);
    }
    unmap_foreign(again, 1);
    CHECK(connect(&ch[0]) && connect(&ch[1]));
    good_frame();
    check_pages();
    CHECK(frames_owned() == owned);
    log_info("attack netflip: ok");
}
