/* SPDX-License-Identifier: MIT */
/*
 * fuzz_netfront.c - a backend that writes anything into the shared pages of a netfront at any time, maps and flips what it is
 * granted, and goes from any state to any other. No page may be lost or be in two places.
 */
/* LINK: netfront/netfront.c netfront/flip.c netfront/fliptx.c netfront/fliprx.c netfront/flipext.c netfront/extent.c netfront/standard.c runtime/grant.c runtime/xs.c */
/* LINK: runtime/xbdev.c runtime/loglimit.c lib/rate.c runtime/loop.c runtime/cmdline.c lib/strlcpy.c */
/* LINK: tests/unit/fakes/front.c tests/unit/fakes/world.c tests/unit/fakes/netpeer.c */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "tests/unit/fakes/netpeer.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Shared page n, while the backend has it. */
static uint8_t *shared_page(struct netpeer *p, unsigned int n)
{
    grant_ref_t ref = p->mapped[n % ARRAY_SIZE(p->mapped)];

    return ref ? front_page(ref) : NULL;
}

/* One of the pages that the frontend has granted. */
static grant_ref_t granted(struct netpeer *p, unsigned int which)
{
    for (unsigned int i = 0; i < p->nf->nr_pages; i++) {
        grant_ref_t ref = p->nf->first_ref + (which + i) % p->nf->nr_pages;

        if (front_entry(ref)->flags)
            return ref;
    }
    return GRANT_NONE;
}

/* The same in an extent, with all its pages flipped, or some, or none. */
static void bring_extent(struct netpeer *p, unsigned int n, unsigned int len, unsigned int flags)
{
    grant_ref_t ref = netpeer_posted_extent(p);
    struct netflip_head *h;

    if (!ref)
        return;
    h = netpeer_head(p, 66, n * len);
    h->nr_frags = 1;
    h->flags = (uint8_t)flags;
    *netpeer_frag(h) = (struct netflip_frag){ ref, (uint16_t)(n * 7), (uint16_t)(n * len) };
    (void)netpeer_flip_extent(ref, flags & 0x80 ? netflip_frag_pages(n * 7, n * len) % 17 : n % 16, 0x66);
    netpeer_push(p);
}

/* Something nearly right: a frame in pages that are on offer. */
static void bring_frame(struct netpeer *p, unsigned int n, unsigned int len, unsigned int flags)
{
    if (p->flips) {
        struct netflip_head *h = netpeer_head(p, 66, n * len);

        h->nr_frags = (uint8_t)n;
        h->flags = (uint8_t)flags;
        for (unsigned int i = 0; i < n && i < netflip_head_frags(66) && p->rx_ref_cons != p->rx->ref_prod; i++) {
            netpeer_frag(h)[i] = (struct netflip_frag){ netpeer_posted(p), 0, (uint16_t)len };
            if (flags & 0x80)
                (void)front_flip(netpeer_frag(h)[i].ref, 0x66);
        }
    } else {
        for (unsigned int i = 0; i < n; i++)
            netpeer_bring(p, 0, 0, (int)len, i + 1 < n ? NETRXF_more_data : (int)flags & 7);
    }
    netpeer_push(p);
}

static void give_back(struct netpeer *p, unsigned int which)
{
    if (!p->flips) {
        netpeer_answer(p, netpeer_sent_id(p), which & 1 ? NETIF_RSP_NULL : NETIF_RSP_OKAY);
        return;
    }
    for (unsigned int i = 0; i < which % 8; i++) {
        grant_ref_t ref = netpeer_sent(p);

        if (ref - p->nf->first_ref < NETFRONT_PAGES)
            netpeer_give_back(p, ref);
        else
            netpeer_give_extent(p, ref);
    }
}

static void act(struct netpeer *p, unsigned int kind, unsigned int a, unsigned int b)
{
    grant_ref_t ref = granted(p, a * 256 + b);
    char text[8];

    switch (kind) {
    case 0:
        front_map(ref, b & 1);
        break;
    case 1:
        (void)front_flip(ref, 0x55);
        break;
    case 2:
        if (p->flips && netfront_extents(p->nf) && a >= 192)
            (void)netpeer_send_extents(p, b % (NETFRONT_BURST + 1), a % 15 * 4096 + b + 1);
        else if (p->flips && netfront_extents(p->nf) && a >= 128)
            (void)netpeer_send_extent(p, b * 16, a % 15 * 4096 + b + 1);
        else if (b & 1)
            (void)netpeer_send_burst(p, b % (NETFRONT_BURST + 1), a % (NETFRONT_FRAGS_MAX + 1));
        else
            (void)netpeer_send(p, a % (NETFRONT_FRAGS_MAX + 1));
        break;
    case 3:
        snprintf(text, sizeof(text), "%u", a % 10);
        netpeer_state_to(p, text);
        break;
    case 4:
        netpeer_unmap(p);
        break;
    case 5:
        fake_advance(10 * NS_PER_MS);
        break;
    case 6:
        if (shared_page(p, 0) && p->flips && netfront_extents(p->nf) && b & 1)
            bring_extent(p, a % 20, b * 16, a);
        else if (shared_page(p, 0))
            bring_frame(p, a % 20, b * 16, a);
        break;
    default:
        if (shared_page(p, 0))
            give_back(p, a);
        break;
    }
}

/* Commands of four bytes: kind, two for whatever, length; then data. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static bool started;
    struct netpeer *p;

    if (!started)
        netpeer_init();
    started = true;
    if (!size)
        return 0;
    p = netpeer_get(data[0] & 4 ? 2 : data[0] & 1);
    fake_log[0] = '\0';
    if (!netpeer_come_up(p))
        abort();
    for (data++, size--; size >= 4;) {
        unsigned int kind = data[0] % 16, a = data[1], b = data[2], len = data[3];
        uint8_t *page;

        data += 4;
        size -= 4;
        if (kind < 8) {
            act(p, kind, a, b);
        } else if ((page = shared_page(p, a)) != NULL) {
            unsigned int at = b * 16 + (kind - 8);

            len = len > size ? (unsigned int)size : len;
            len = len > PAGE_SIZE - at ? (unsigned int)PAGE_SIZE - at : len;
            memcpy(page + at, data, len);
            data += len;
            size -= len;
        }
        netpeer_event(p);
        if (!netpeer_pages_right(p))
            abort();
    }
    netpeer_close(p);
    if (netpeer_pages(p, PAGE_FREE) != NETFRONT_PAGES || !netpeer_pages_right(p) || front_grants() ||
        front_pages() != NETPEER_PAGES || p->nf->nr_free_extents != extent_count(p->nf))
        abort();
    if (!netpeer_come_up(p) || !netpeer_works(p))
        abort();
    netpeer_close(p);
    return 0;
}
