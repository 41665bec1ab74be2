/* SPDX-License-Identifier: MIT */
/*
 * flip.c - the flip channel (include/sluice/netflip.h), the guest's side: what is agreed upon. fliptx.c sends, fliprx.c receives.
 *
 * A page costs no hypercall in either direction: to offer it is one store to its grant entry, and when
 * it comes back the entry says whether another frame is behind it now.
 */
#include "netfront/flip.h"
#include "lib/printf.h"

#define HALF_ORDER 4                    /* 9 pages of 16 */

/* How far ahead an event index is that nobody reaches soon. */
#define NEVER 0x40000000u

static int make_half(struct netfront *nf, unsigned int half, struct netflip_index **index,
                     const char *key)
{
    char refs[NETFLIP_PAGES * 11 + 1];
    size_t n = 0;

    *index = netfront_share(nf, half, NETFLIP_PAGES, HALF_ORDER);
    if (!*index)
        return -XEN_ENOMEM;
    for (unsigned int i = 0; i < NETFLIP_PAGES; i++)
        n += (size_t)snprintf(refs + n, sizeof(refs) - n, i ? " %u" : "%u", nf->shared[half].ref[i]);
    return xs_printf(XS_NO_TXN, nf->dev.path, key, "%s", refs);
}

static int flip_connect(struct netfront *nf)
{
    struct netfront_flip *f = &nf->flip;
    int rc;

    *f = (struct netfront_flip){ .rx_extents = RX_EXTENTS, .rx_extents_most = RX_EXTENTS_MOST };
    rc = make_half(nf, 0, &f->tx, "flip-tx-refs");
    if (!rc)
        rc = make_half(nf, 1, &f->rx, "flip-rx-refs");
    if (rc)
        return rc;
    f->tx_slot = (void *)((uint8_t *)f->tx + PAGE_SIZE);
    f->rx_slot = (void *)((uint8_t *)f->rx + PAGE_SIZE);
    f->tx->slot_event = f->rx->slot_event = 1;
    f->tx->cons_event = f->tx->ref_event = f->tx->ext_event = NEVER;
    f->rx->cons_event = f->rx->ref_event = 1;
    f->extents = nf->nr_pages > NETFRONT_PAGES &&
                 xs_read_default(XS_NO_TXN, nf->dev.peer, "feature-sluice-flip-extents", 0) == 1;
    rc = xs_printf(XS_NO_TXN, nf->dev.path, "request-sluice-flip-extents", "%u", f->extents);
    return rc ? rc : xs_printf(XS_NO_TXN, nf->dev.path, "request-sluice-flip", "%u", NETFLIP_VERSION);
}

const struct wire wire_flip = {
    .connect = flip_connect,
    .send = wire_flip_send,
    .send_burst = wire_flip_send_burst,
    .publish = wire_flip_publish,
    .reap = wire_flip_reap,
    .receive = wire_flip_receive,
    .post = wire_flip_post,
};
