/* SPDX-License-Identifier: MIT */
/*
 * fliptx.c - guest to bridge over the flip channel.
 *
 * A slot is read once. Frames whose receiver has a flip channel too, and room, are written into that ring as soon as what
 * the filter must see of them has been read (fliprow.c): no struct frame, their pages queued to be flipped. Every other
 * becomes a struct frame and goes through the bridge, in groups; a group is handed over before the next frame that
 * takes the short way, so that all stay in order.
 */
#include "netback/bridge.h"
#include "netback/rowparts.h"
#include "netback/headers.h"
#include "lib/string.h"
#include "runtime/mem.h"
#include "runtime/pagetable.h"
#include "runtime/ring.h"
#include "runtime/time.h"

#define FRAMES_PER_PAGE (PAGE_SIZE / sizeof(struct flip_frame))
#define MEMORY_RETRY    (10 * NS_PER_MS)
#define GROUP           64

static struct list free_frames = LIST_INIT(free_frames);

/* Frames ----------------------------------------------------------------------------------- */

static noinline void give_back_extents(struct vif_flip *v, const struct flip_frame *ff)
{
    for (unsigned int i = 0; i < ff->f.nr_frags; i++) {
        if (!(ff->of_extent & 1u << i))
            v->tx->ref[v->ref_prod++ % NETFLIP_REFS] = ff->f.frags[i].ref;
        else if (ff->first & 1u << i)
            v->tx->ext[v->ext_prod++ % NETFLIP_EXTENTS] = ff->f.frags[i].ref;
    }
}

/* Last reference: nobody needs the guest's pages. */
static void frame_done(struct frame *f)
{
    struct flip_frame *ff = container_of(f, struct flip_frame, f);
    struct vif_flip *v = ff->flip;

    list_push_front(&free_frames, &f->link);
    if (unlikely(!v->vif)) {
        if (!--v->nr_frames)
            free(v);
        return;
    }
    if (likely(!v->vif->failed)) {
        if (likely(!ff->of_extent))
            for (unsigned int i = 0; i < f->nr_frags; i++)
                v->tx->ref[v->ref_prod++ % NETFLIP_REFS] = f->frags[i].ref;
        else
            give_back_extents(v, ff);
        port_touch(&v->vif->port);
    }
    if (v->nr_frames-- == FLIP_FRAMES_MAX)
        work_queue(&v->tx_work);
}

static struct flip_frame *frame_get_free(struct vif_flip *v)
{
    struct flip_frame *ff;

    if (v->nr_frames == FLIP_FRAMES_MAX)
        return NULL;
    if (list_empty(&free_frames)) {
        ff = page_alloc_zeroed();
        for (unsigned int i = 0; ff && i < FRAMES_PER_PAGE; i++) {
            ff[i].f.head_mfn = virt_to_mfn(ff);
            ff[i].f.head = ff[i].head;
            ff[i].f.done = frame_done;
            list_push_back(&free_frames, &ff[i].f.link);
        }
        if (!ff)
            return NULL;
    }
    ff = container_of(list_first(&free_frames, struct frame, link), struct flip_frame, f);
    list_remove(&ff->f.link);
    v->nr_frames++;
    ff->flip = v;
    ff->f.from = &v->vif->port;
    ff->f.refs = 1;
    ff->f.failed = 0;
    ff->f.nr_frags = 0;
    return ff;
}

/* Taking ----------------------------------------------------------------------------------- */

/* What every frame must keep to. */
static bool first_is_sane(struct vif_flip *v, union first_word h)
{
    const uint8_t gso = NETFLIP_GSO_TCPV4 | NETFLIP_GSO_TCPV6;

    if (likely(h.inline_len >= FRAME_LEN_MIN && h.inline_len <= NETFLIP_INLINE_MAX &&
               h.len >= h.inline_len && h.nr_frags <= NETFLIP_FRAGS_MAX &&
               !h.nr_frags == (h.len == h.inline_len)) &&
        likely(!(h.flags & gso) || (h.gso_size && (h.flags & gso) != gso)))
        return true;
    vif_fail(v->vif, "flip tx frame of %u bytes, %u in its slot, %u fragments, flags %x, gso %u",
             h.len, h.inline_len, h.nr_frags, h.flags, h.gso_size);
    return false;
}

/* The pages of a frame. */
struct pages {
    struct netflip_frag frag[NETFLIP_FRAGS_MAX];    /* within one each */
    unsigned int n;
    uint32_t of_extent, first;                      /* as in struct flip_frame */
};

/* Adds a fragment. False: it is not within its page or extent, or too much. */
static bool add_frag(const struct vif_flip *v, struct pages *p, struct netflip_frag g)
{
    unsigned int n = netflip_frag_pages(g.offset, g.len), left = g.len;

    if (unlikely(!g.len || p->n + n > NETFLIP_FRAGS_MAX))
        return false;
    if (likely(n == 1)) {
        p->frag[p->n++] = g;
        return true;
    }
    if (!v->extents || g.offset >= PAGE_SIZE || n > NETFLIP_EXTENT)
        return false;
    p->first |= 1u << p->n;
    for (; left; left -= g.len, g.ref++, g.offset = 0) {
        g.len = (uint16_t)MIN(left, (unsigned int)PAGE_SIZE - g.offset);
        p->of_extent |= 1u << p->n;
        p->frag[p->n++] = g;
    }
    return true;
}

/*
 * The pages of the frame that begins at tx_cons, whose fragments are behind the head or in slots that follow. Returns how many slots the
 * frame has, 0: the vif has failed. tx_cons stays.
 */
static unsigned int read_frags(struct vif_flip *v, uint32_t prod, union first_word h,
                               const struct netflip_head *slot, struct pages *p)
{
    const struct netflip_frag *from = (const void *)(slot->data + ((h.inline_len + 7u) & ~7u));
    unsigned int here = netflip_head_frags(h.inline_len), sum = h.inline_len, slots = 1;

    for (unsigned int i = 0; i < h.nr_frags; i++) {
        struct netflip_frag g;

        if (unlikely(!here--)) {
            if (v->tx_cons + slots == prod) {
                vif_fail(v->vif, "flip tx fragments without end");
                return 0;
            }
            from = (const void *)&v->tx_slot[(v->tx_cons + slots++) % NETFLIP_SLOTS];
            here = NETFLIP_FRAGS_PER_SLOT - 1;
        }
        ring_copy_in(&g, from++, sizeof(g));
        if (unlikely(!add_frag(v, p, g))) {
            vif_fail(v->vif, "flip tx fragment of %u bytes at %u, behind %u pages", g.len, g.offset, p->n);
            return 0;
        }
        sum += g.len;
    }
    if (likely(sum == h.len))
        return slots;
    vif_fail(v->vif, "flip tx frame of %u bytes has %u", h.len, sum);
    return 0;
}

/* The frame as a struct, for the bridge. */
static struct frame *make_frame(struct vif_flip *v, union first_word h, struct start st,
                                const struct netflip_head *slot, const struct pages *p,
                                struct flip_frame *ff)
{
    struct frame *f = &ff->f;

    /* Once more, and then what was read at first. */
    ring_copy_in(ff->head, slot->data, sizeof(ff->head));
    __builtin_memcpy(ff->head, &st, sizeof(st));
    f->len = h.len;
    f->head_len = h.inline_len;
    f->flags = h.flags & NETFLIP_CSUM_BLANK ? FRAME_CSUM_BLANK
             : h.flags & NETFLIP_CSUM_VALID ? FRAME_CSUM_VALID : 0;
    if (!(h.flags & NETFLIP_COPY))
        f->flags |= FRAME_FLIP;
    f->gso = h.flags & NETFLIP_GSO_TCPV4 ? GSO_TCPV4 : h.flags & NETFLIP_GSO_TCPV6 ? GSO_TCPV6
                                                                                   : GSO_NONE;
    f->gso_size = f->gso == GSO_NONE ? 0 : h.gso_size;
    f->nr_frags = (uint8_t)p->n;
    ff->of_extent = p->of_extent;
    ff->first = p->first;
    for (unsigned int i = 0; i < p->n; i++)
        f->frags[i] = (struct frag){ .kind = FRAG_GRANT, .dom = v->vif->dom, .ref = p->frag[i].ref,
                                     .offset = p->frag[i].offset, .len = p->frag[i].len };
    return f;
}

/* Rows --------------------------------------------------------------------------------------- */

/*
 * The short way for frames that are all head and have no flag but one: what there is to look at fits into registers. v->to is
 * where the first goes.
 */
static unsigned int forward_small(struct vif_flip *v, uint32_t prod, unsigned int most)
{
    const uint64_t plain = v->plain, w1 = plain_w1(v->to_key, plain);
    struct vif_flip *to = v->to;
    uint32_t cons = v->tx_cons, next, end, bytes = 0;
    unsigned int n;

    if (!plain || v->vif->rate.per_second || !to->vif->port.up || to->vif->failed ||
        !list_empty(&to->vif->port.waiting))
        return 0;
    /* None free as far as is known: what the receiver has taken meanwhile is looked at. */
    if (unlikely(to->rx_prod - to->rx_cons == NETFLIP_SLOTS) && !flip_has_room(to, 1, 0))
        return 0;
    next = to->rx_prod;
    end = to->rx_cons + NETFLIP_SLOTS;
    for (n = 0; n < most && cons != prod && next != end; n++, cons++, next++) {
        const struct netflip_head *from = &v->tx_slot[cons % NETFLIP_SLOTS];
        const uint64_t *in = (const uint64_t *)(const void *)from;
        uint64_t *out = (uint64_t *)(void *)&to->rx_slot[next % NETFLIP_SLOTS];
        union first_word h = { .w = READ_ONCE(in[0]) };
        struct start st = { READ_ONCE(in[1]), READ_ONCE(in[2]) };

        /* inline_len is len, and nr_frags 0; flags are none but that one, and zero is. */
        if ((uint16_t)(h.w >> 16) != h.len || h.len - 14u > NETFLIP_INLINE_MAX - 14u ||
            (h.w >> 48 & ~(uint64_t)NETFLIP_CSUM_VALID) || !starts_with(st, w1, plain))
            break;
        out[0] = h.w & ~0xffff00000000UL;       /* gso_size */
        out[1] = st.w1;
        out[2] = st.w2;
        put_rest(out, in, st.w2, h.len, false);
        bytes += h.len;
    }
    v->tx_cons = cons;
    to->rx_prod = next;
    to->frames += n;
    to->bytes += bytes;
    v->short_frames += n;
    v->short_bytes += bytes;
    if (n)
        port_touch(&to->vif->port);
    return n;
}
/* The bridge ------------------------------------------------------------------------------- */

struct group {
    struct frame *frame[GROUP];
    unsigned int n;
};

static void hand_over(struct vif_flip *v, struct group *g)
{
    port_receive(&v->vif->port, g->frame, g->n);
    for (unsigned int i = 0; i < g->n; i++)
        frame_put(g->frame[i]);
    g->n = 0;
}

static void judge(struct vif_flip *v, struct frame *f, struct group *g)
{
    if (unlikely(!filter_pass(&v->vif->filter, f->head, f->head_len, f->len))) {
        port_count_rx_drop(f->from, DROP_SPOOFED);
        frame_put(f);
        return;
    }
    g->frame[g->n++] = f;
    if (g->n == GROUP)
        hand_over(v, g);
}

/* Turn ------------------------------------------------------------------------------------- */

enum stop {
    STOP_EMPTY,             /* the ring is empty */
    STOP_BUDGET,            /* there is more */
    STOP_LATER,             /* timer or a freed frame brings us back */
};

/* May another frame pass the rate limit? If not, a timer brings us back. */
static bool rate_allows(struct vif_flip *v)
{
    uint64_t now = now_ns(), wait = rate_wait(&v->vif->rate, now);

    if (wait)
        timer_set(&v->rate_timer, now + wait);
    return !wait;
}

static enum stop take_frames(struct vif_flip *v, struct group *g)
{
    uint32_t prod = ring_read_prod(&v->tx->slot_prod);
    struct vif *vif = v->vif;

    if (unlikely(prod - v->tx_cons > NETFLIP_SLOTS)) {
        vif_fail(vif, "flip tx producer %u, taken %u", prod, v->tx_cons);
        return STOP_LATER;
    }
    for (unsigned int taken = 0; v->tx_cons != prod; taken++) {
        const struct netflip_head *slot = &v->tx_slot[v->tx_cons % NETFLIP_SLOTS];
        const uint64_t *word = (const uint64_t *)(const void *)slot;
        union first_word h = { .w = READ_ONCE(word[0]) };
        struct start st = { READ_ONCE(word[1]), READ_ONCE(word[2]) };
        struct pages pages;
        struct flip_frame *ff;
        unsigned int slots = 1;

        if (taken == FLIP_BUDGET)
            return STOP_BUDGET;
        if (unlikely(vif->rate.per_second) && !rate_allows(v))
            return STOP_LATER;
        if (flip_target(v, st)) {
            unsigned int most = vif->rate.per_second ? 1 : FLIP_BUDGET - taken, row = 0;

            if (g->n)
                hand_over(v, g);        /* what came before must not be overtaken */
            if (!h.nr_frags)
                row = forward_small(v, prod, most);
            if (!row)
                row = flip_forward_row(v, prod, most, h, st);
            if (row) {
                taken += row - 1;
                continue;
            }
        }
        if (unlikely(!first_is_sane(v, h)))
            return STOP_LATER;
        pages.n = pages.of_extent = pages.first = 0;
        if (h.nr_frags)
            slots = read_frags(v, prod, h, slot, &pages);
        if (unlikely(!slots))
            return STOP_LATER;
        ff = frame_get_free(v);
        if (unlikely(!ff)) {
            if (v->nr_frames < FLIP_FRAMES_MAX)
                timer_set_after(&v->rate_timer, MEMORY_RETRY);
            return STOP_LATER;
        }
        v->tx_cons += slots;
        rate_charge(&vif->rate, h.len);
        judge(v, make_frame(v, h, st, slot, &pages, ff), g);
    }
    return STOP_EMPTY;
}

void flip_tx_work(struct work *w)
{
    struct vif_flip *v = container_of(w, struct vif_flip, tx_work);
    struct group g;             /* not cleared: most turns need none of it */
    enum stop stop;

    g.n = 0;
    if (!v->vif->connected || v->vif->failed)
        return;
    stop = take_frames(v, &g);
    if (g.n)
        hand_over(v, &g);
    v->vif->port.stats.rx_frames += v->short_frames;
    v->vif->port.stats.rx_bytes += v->short_bytes;
    v->short_frames = v->short_bytes = 0;
    if (v->vif->failed)
        return;
    port_touch(&v->vif->port);
    if (stop == STOP_BUDGET ||
        (stop == STOP_EMPTY && ring_rearm(&v->tx->slot_event, &v->tx->slot_prod, v->tx_cons)))
        work_queue(w);
}

void flip_tx_rate_timer(struct timer *t)
{
    struct vif_flip *v = container_of(t, struct vif_flip, rate_timer);

    work_queue(&v->tx_work);
}

void flip_tx_flush(struct vif_flip *v)
{
    bool tell = false;

    if (v->tx_published != v->tx_cons) {
        v->tx_published = v->tx_cons;
        tell = ring_publish(&v->tx->slot_cons, &v->tx->cons_event, v->tx_cons);
    }
    if (v->ref_published != v->ref_prod) {
        v->ref_published = v->ref_prod;
        tell |= ring_publish(&v->tx->ref_prod, &v->tx->ref_event, v->ref_prod);
    }
    if (v->ext_published != v->ext_prod) {
        v->ext_published = v->ext_prod;
        tell |= ring_publish(&v->tx->ext_prod, &v->tx->ext_event, v->ext_prod);
    }
    if (tell)
        loop_send_last(v->tx_port);
}
