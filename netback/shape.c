/* SPDX-License-Identifier: MIT */
/* shape.c - frames for ports that take less; see shape.h. */
#include "netback/shape.h"
#include "netback/copy.h"
#include "netback/csum.h"
#include "netback/headers.h"
#include "lib/string.h"

/* Packets of one frame: 64 KiB in segments of 256 bytes. Who cuts finer would have the whole pool for one frame. */
#define CUTS_MAX 256u

static bool is_ipv6(const struct frame *f)
{
    uint16_t type = get_be16(f->head + 12);

    if (type == ETH_P_VLAN && f->head_len >= ETH_HLEN + 4)
        type = get_be16(f->head + 16);
    return type == ETH_P_IPV6;
}

static bool must_cut(uint32_t caps, const struct frame *f)
{
    return (f->gso == GSO_TCPV4 && !(caps & PORT_TSO4)) ||
           (f->gso == GSO_TCPV6 && !(caps & PORT_TSO6));
}

static bool must_complete(uint32_t caps, const struct frame *f)
{
    return (f->flags & FRAME_CSUM_BLANK) && !(caps & (is_ipv6(f) ? PORT_CSUM6 : PORT_CSUM));
}

bool shape_fits(uint32_t caps, const struct frame *f)
{
    if (f->nr_frags) {
        if (!(caps & PORT_SG))
            return false;
        if (f->frags[0].kind == FRAG_GRANT && !(caps & PORT_GRANT))
            return false;
        if ((f->flags & FRAME_PINNED) && !(caps & PORT_DMA))
            return false;
    }
    return !must_cut(caps, f) && !must_complete(caps, f);
}

bool shape_in_place(uint32_t caps, struct frame *f)
{
    if (must_cut(caps, f) || !frame_is_mine(f) || !csum_complete(f->head, f->len))
        return false;
    f->flags = (uint8_t)(FRAME_CSUM_VALID | (f->flags & FRAME_FLIP));
    return true;
}

/* Common end of all ways: nf will be filled from f and then goes to port `to`. */
static void append(struct frame *nf, struct frame *f, struct port *to, bool may_wait,
                   struct list *list)
{
    struct mem_frame *m = mem_frame_of(nf);

    nf->flags = f->flags;
    frame_shaping(m, to);
    m->way = WAY_COPY;
    m->may_wait = may_wait;
    m->complete_csum = must_complete(to->caps, nf);
    m->source = f;
    frame_get(f);
    list_push_back(list, &nf->link);
}

static enum port_drop cut(struct frame *f, struct port *to, bool may_wait, struct list *list)
{
    struct frame_cursor c;
    struct gso g;

    if (!gso_plan(&g, f->head, f->head_len, f->len, f->gso == GSO_TCPV4 ? 4 : 6, f->gso_size))
        return DROP_MALFORMED;
    if (g.packets > CUTS_MAX)
        return DROP_MALFORMED;
    if (g.headers - g.l3 + g.size > to->mtu)
        return DROP_TOO_LONG;
    if (frame_share_used(f->from, g.packets))
        return DROP_NO_MEMORY;
    frame_seek(&c, f, g.headers);
    for (uint32_t i = 0; i < g.packets; i++) {
        struct frame *nf = frame_new(f->from);
        uint32_t offset, n = gso_payload(&g, i, &offset);

        if (!nf)
            return DROP_NO_MEMORY;
        gso_headers(&g, f->head, i, nf->head);
        frame_copy_own(&c, nf->head + g.headers, n, &nf->failed);
        nf->head_len = nf->len = (uint16_t)(g.headers + n);
        append(nf, f, to, may_wait, list);
        /* Cut packets have the pseudo-header's sum, whatever was there before. */
        nf->flags = FRAME_CSUM_BLANK;
        mem_frame_of(nf)->complete_csum = must_complete(to->caps, nf);
    }
    return DROP_REASONS;
}

/* One frame as it is, in our memory. */
static enum port_drop take_home(struct frame *f, struct port *to, bool may_wait,
                                struct list *list)
{
    struct frame_cursor c;
    struct frame *nf;

    if (f->len > FRAME_ROOM && (!(to->caps & PORT_SG) || must_complete(to->caps, f)))
        return DROP_TOO_LONG;
    nf = frame_new_big(f->from, f->len);
    if (!nf)
        return DROP_NO_MEMORY;
    frame_seek(&c, f, 0);
    frame_copy_own(&c, nf->head, nf->head_len, &nf->failed);
    for (unsigned int i = 0; i < nf->nr_frags; i++)
        frame_copy_own(&c, nf->frags[i].va, nf->frags[i].len, &nf->failed);
    nf->gso = f->gso;
    nf->gso_size = f->gso_size;
    append(nf, f, to, may_wait, list);
    return DROP_REASONS;
}

enum port_drop shape(struct frame *f, struct port *to, bool may_wait, struct list *list)
{
    if (f->flags & FRAME_PINNED)
        return DROP_COPY;
    if (frame_share_used(f->from, 1))
        return DROP_NO_MEMORY;
    if (must_cut(to->caps, f))
        return cut(f, to, may_wait, list);
    return take_home(f, to, may_wait, list);
}

bool shape_finish(struct mem_frame *m)
{
    struct frame *f = &m->f, *source = m->source;
    bool good = true;

    m->source = NULL;
    if (f->failed) {
        port_count_rx_drop(f->from, DROP_COPY);
        good = false;
    } else if (m->complete_csum) {
        if (csum_complete(f->head, f->len)) {
            f->flags = FRAME_CSUM_VALID;
        } else {
            port_count_rx_drop(f->from, DROP_MALFORMED);
            good = false;
        }
    }
    frame_put(source);
    return good;
}
