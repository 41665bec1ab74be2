/* SPDX-License-Identifier: MIT */
/* netback.c - the backend of a vif. Rounds: through the states to a connection, some steps of anything, and out of it. */
#include "tests/guests/liar/liar.h"
#include "atomic.h"
#include "runtime/hypercall.h"
#include "runtime/ring.h"
#include "sluice/flip.h"
#include "sluice/netflip.h"

#include <xen/io/netif.h>

static bool flips;                      /* the frontend speaks the flip channel */
static struct grant_mapping half[2];    /* transmit, receive */
static uint64_t rounds, steps, flipped, extents, brought;

/* Connecting ----------------------------------------------------------------------------------- */

static bool map_half(unsigned int i, const char *flip_key, const char *key)
{
    char text[NETFLIP_PAGES * 11 + 1];
    grant_ref_t refs[NETFLIP_PAGES] = { 0 };
    unsigned int n = 0;

    if (xs_read_str(XS_NO_TXN, front, flips ? flip_key : key, text, sizeof(text)) <= 0)
        return false;
    for (const char *s = text; *s && n < NETFLIP_PAGES; s++) {
        if (*s == ' ')
            n++;
        else
            refs[n] = refs[n] * 10 + (grant_ref_t)(*s - '0');
    }
    return grant_map((domid_t)front_dom, refs, n + 1, 0, &half[i]) == 0;
}

static bool come_up(void)
{
    flips = xs_read_default(XS_NO_TXN, front, "request-sluice-flip", 0);
    if (!map_half(0, "flip-tx-refs", "tx-ring-ref") || !map_half(1, "flip-rx-refs", "rx-ring-ref"))
        return false;
    bind_event("event-channel", "event-channel-rx");
    set_state("4");
    return true;
}

static void let_go(void)
{
    back_let_go();
    for (unsigned int i = 0; i < 2; i++)
        grant_unmap(&half[i]);
}

/* Lies ------------------------------------------------------------------------------------------- */

/* One of the extents that were posted last. */
static grant_ref_t posted_extent(void)
{
    const struct netflip_index *rx = half[1].va;

    return READ_ONCE(rx->ext[(rx->ext_prod - 1 - rnd(16)) % NETFLIP_EXTENTS]);
}

/* One that the frontend has posted or sent, as far as its rings say; or any. */
static grant_ref_t some_ref(void)
{
    const struct netflip_index *rx = half[1].va;
    const struct netflip_head *tx = (const void *)((const char *)half[0].va + PAGE_SIZE);

    if (!flips || rnd(4) == 0)
        return rnd(8) ? 16384 - 1024 + rnd(1024) : rnd(20000);  /* its pool is at the end of its table */
    if (rnd(3) == 0)
        return posted_extent() + (rnd(4) ? 0 : rnd(16));
    if (rnd(2))
        return READ_ONCE(rx->ref[rnd(NETFLIP_REFS)]);
    return READ_ONCE(((const struct netflip_frag *)(const void *)(tx[rnd(NETFLIP_SLOTS)].data + 72))->ref);
}

static void noise(void)
{
    unsigned int i = rnd(2), pages = flips ? NETFLIP_PAGES : 1, n = 1 + rnd(64);
    uint8_t *at = (uint8_t *)half[i].va + (rnd(2) ? rnd((uint32_t)PAGE_SIZE) : rnd(pages * (uint32_t)PAGE_SIZE));

    if (at + n <= (uint8_t *)half[i].va + pages * PAGE_SIZE)
        random_bytes(at, n);
}

static void move_index(void)
{
    struct netflip_index *tx = half[0].va, *rx = half[1].va;
    struct netif_tx_sring *stx = half[0].va;
    struct netif_rx_sring *srx = half[1].va;
    volatile uint32_t *const index[2][4] = { { &stx->rsp_prod, &srx->rsp_prod, &srx->rsp_prod, &srx->rsp_prod },
                                             { &rx->slot_prod, &tx->ref_prod, &tx->slot_cons, &tx->ext_prod } };

    *index[flips][rnd(4)] += rnd(16) ? rnd(4) : random_u32();
}

/* So that a kernel looks at it: IPv4, TCP or UDP, to everybody's address and that of the guest in the test. */
static void dress(struct netflip_head *h)
{
    static const uint8_t ip[] = { 0x45, 0, 0, 0, 0, 0, 0, 0, 64, 6, 0, 0, 10, 0, 2, 99, 10, 0, 2, 21 };
    uint32_t sum = 0;

    memset(h->data, 0xff, 6);
    h->data[12] = 8;
    memcpy(h->data + 14, ip, sizeof(ip));
    h->data[16] = (uint8_t)((h->len - 14u) >> 8);
    h->data[17] = (uint8_t)(h->len - 14u);
    h->data[23] = rnd(2) ? 6 : 17;
    for (unsigned int i = 14; i < 34; i += 2)
        sum += (uint32_t)(h->data[i] << 8 | h->data[i + 1]);
    sum = ~((sum & 0xffff) + (sum >> 16));
    h->data[24] = (uint8_t)(sum >> 8);
    h->data[25] = (uint8_t)sum;
    random_bytes(h->data + 34, LIAR_HEAD - 34);
    h->data[46] = (uint8_t)((5 + rnd(4)) << 4);
    h->flags = (uint8_t)rnd(16);
    h->gso_size = (uint16_t)rnd(2000);
}

/* Frames as they should be, but for one bit now and then. */
static void nearly_frame(void)
{
    struct netflip_index *rx = half[1].va;
    struct netflip_head *h = (struct netflip_head *)(void *)((char *)half[1].va + PAGE_SIZE) +
                             rx->slot_prod % NETFLIP_SLOTS;
    struct netflip_frag *f = (struct netflip_frag *)(void *)(h->data + 72);

    if (!flips)
        return;
    *h = (struct netflip_head){ .len = LIAR_HEAD, .inline_len = LIAR_HEAD, .nr_frags = (uint8_t)rnd(4) };
    for (unsigned int i = 0; i < h->nr_frags; i++) {
        f[i] = (struct netflip_frag){ some_ref(), (uint16_t)rnd(2000), (uint16_t)(1 + rnd(rnd(3) ? 2000 : 60000)) };
        h->len = (uint16_t)(h->len + f[i].len);
    }
    if (rnd(2))
        dress(h);
    if (rnd(4) == 0)
        ((uint8_t *)h)[rnd(NETFLIP_SLOT_BYTES)] ^= (uint8_t)(1u << rnd(8));
    store_release(&rx->slot_prod, rx->slot_prod + 1);
}

/* A frame in an extent that is on offer, or was, and nothing wrong with it but where it comes from; or nearly so. */
static void extent_frame(void)
{
    struct netflip_index *rx = half[1].va;
    struct netflip_head *h = (struct netflip_head *)(void *)((char *)half[1].va + PAGE_SIZE) +
                             rx->slot_prod % NETFLIP_SLOTS;
    uint32_t len = 1 + rnd((uint32_t)NETFLIP_FRAME_MAX - LIAR_HEAD);
    struct netflip_frag f = { .len = (uint16_t)len };

    if (!flips)
        return;
    f.ref = posted_extent();
    f.offset = (uint16_t)(rnd(8) ? rnd((uint32_t)PAGE_SIZE) : random_u32());
    *h = (struct netflip_head){ .len = (uint16_t)(LIAR_HEAD + len), .inline_len = LIAR_HEAD, .nr_frags = 1 };
    if (rnd(2))
        dress(h);
    *(struct netflip_frag *)(void *)(h->data + 72) = f;
    store_release(&rx->slot_prod, rx->slot_prod + 1);
}

static void give_back(void)
{
    struct netflip_index *tx = half[0].va;

    if (!flips)
        return;
    if (rnd(4) == 0) {
        tx->ext[tx->ext_prod % NETFLIP_EXTENTS] = some_ref();
        store_release(&tx->ext_prod, tx->ext_prod + 1);
        return;
    }
    tx->ref[tx->ref_prod % NETFLIP_REFS] = some_ref();
    store_release(&tx->ref_prod, tx->ref_prod + 1);
}

static void exchange(void)
{
    struct sluice_flip_op op[4];
    unsigned int n = 1 + rnd(4);
    bool whole = flips && rnd(2);

    for (unsigned int i = 0; i < n; i++)
        op[i] = (struct sluice_flip_op){ .from_dom = (domid_t)front_dom, .to_dom = (domid_t)front_dom,
                                         .from_ref = whole ? posted_extent() : some_ref(),
                                         .to_ref = whole ? posted_extent() : some_ref(),
                                         .more = (uint16_t)(rnd(2) ? 0 : rnd(17)) };
    CHECK(hc_flip(SLUICE_FLIP_exchange, op, n) == 0);
    for (unsigned int i = 0; i < n; i++) {
        flipped += op[i].status == SLUICE_FLIP_okay;
        extents += op[i].status == SLUICE_FLIP_okay && op[i].more;
    }
}

static void copy(void)
{
    lie_copy(some_ref());
}

static void keep(void)
{
    lie_keep(some_ref());
}

static void step(void)
{
    static void (*const lies[])(void) = { noise, move_index, nearly_frame, nearly_frame, extent_frame, give_back, exchange,
                                          copy, keep };

    steps++;
    lies[rnd(ARRAY_SIZE(lies))]();
    if (rnd(3) == 0)
        signal_front();
}

static void lie(void)
{
    for (unsigned int i = rnd(200); i-- > 0;)
        step();
    if (rnd(4) == 0)
        any_state();
    for (unsigned int i = rnd(50); i-- > 0;)
        step();
    if (rnd(4) == 0) {                  /* through the states, and keeps everything */
        set_state("6");
        set_state("2");
        (void)wait_front(4, 20);
    }
}

/* Honest ----------------------------------------------------------------------------------------- */

/* Each frame goes back, its page exchanged with one on offer; or is dropped, when there is none. */
static void reflect(void)
{
    struct netflip_index *tx = half[0].va, *rx = half[1].va;
    struct netflip_head *tx_slot = (void *)((char *)half[0].va + PAGE_SIZE);
    struct netflip_head *rx_slot = (void *)((char *)half[1].va + PAGE_SIZE);
    uint32_t offers = 0, taken = 0, back = 0;
    uint64_t end = now_ns() + 300 * NS_PER_MS;

    while (now_ns() < end && front_state() == 4) {
        while (taken != load_acquire(&tx->slot_prod)) {
            struct netflip_head *h = &tx_slot[taken % NETFLIP_SLOTS], *to = &rx_slot[back % NETFLIP_SLOTS];
            grant_ref_t ref = ((struct netflip_frag *)(void *)(h->data + 72))->ref;

            if (offers != load_acquire(&rx->ref_prod) && back - load_acquire(&rx->slot_cons) < NETFLIP_SLOTS) {
                struct sluice_flip_op op = { .from_dom = (domid_t)front_dom, .to_dom = (domid_t)front_dom,
                                             .from_ref = ref, .to_ref = rx->ref[offers++ % NETFLIP_REFS] };

                CHECK(hc_flip(SLUICE_FLIP_exchange, &op, 1) == 0 && op.status == SLUICE_FLIP_okay);
                *to = *h;
                ((struct netflip_frag *)(void *)(to->data + 72))->ref = op.to_ref;
                store_release(&rx->slot_prod, ++back);
                brought++;
            }
            tx->ref[taken++ % NETFLIP_REFS] = ref;
            store_release(&tx->ref_prod, taken);
            store_release(&tx->slot_cons, taken);
        }
        signal_front();
    }
}

void netback_run(bool honest)
{
    uint64_t said = 0;
    char word[24];
    bool stock = cmdline_get("front", word, sizeof(word));

    back_begin();
    for (;;) {
        unsigned int flips_now = honest || rnd(3);

        set_state("1");
        CHECK(xs_printf(XS_NO_TXN, "data/back", "feature-sluice-flip", "%u", flips_now) == 0);
        CHECK(xs_printf(XS_NO_TXN, "data/back", "feature-sluice-flip-extents", "%u", !honest && rnd(4) != 0) == 0);
        CHECK(xs_printf(XS_NO_TXN, "data/back", "feature-split-event-channels", "%u", rnd(2)) == 0);
        back_find_front();
        set_state("2");
        /* A stock guest's driver does not connect without flips. */
        if (wait_front(4, stock && !flips_now ? 20 : 2000) && come_up()) {
            rounds++;
            if (honest)
                reflect();
            else
                lie();
        }
        let_go();
        set_state("5");
        (void)wait_front(6, 20);
        set_state("6");
        (void)wait_front(1, 20);
        if (now_ns() - said > NS_PER_S / 4) {
            log_info("liar netback: %lu rounds, %lu steps, %lu flipped, %lu copied, %lu mapped, %lu brought, %lu in extents",
                     rounds, steps, flipped, lie_copied, lie_mapped, brought, extents);
            said = now_ns();
        }
    }
}
