/* SPDX-License-Identifier: MIT */
/*
 * fliptx.c - guest to bridge over the flip channel.
 *
 * A slot is read once. A frame that is all head is judged and written into its receiver's ring at once, if that is a flip
 * channel too and has room (forward_small). Every other becomes a struct frame and goes through the bridge; such
 * frames are handed over in groups, but before the next small one, so that all stay in order.
 */
#include "netback/bridge.h"
#include "netback/flip.h"
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

/* The first word of a head. */
union first_word {
    uint64_t w;
    struct {
        uint16_t len;
        uint8_t inline_len;
        uint8_t nr_frags;
        uint16_t gso_size;
        uint8_t flags;
        uint8_t zero;
    };
};
_Static_assert(sizeof(union first_word) == 8, "one word");

/* Frames ----------------------------------------------------------------------------------- */

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
        for (unsigned int i = 0; i < f->nr_frags; i++)
            v->tx->ref[v->ref_prod++ % NETFLIP_REFS] = f->frags[i].ref;
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

static void copy_words(uint64_t *to, const uint64_t *from, unsigned int n)
{
    barrier();
    for (unsigned int i = 0; i < n; i++)
        to[i] = from[i];
    barrier();
}

/* What every frame must keep to. */
static bool first_is_sane(struct vif_flip *v, union first_word h)
{
    if (likely(h.inline_len >= FRAME_LEN_MIN && h.inline_len <= NETFLIP_INLINE_MAX &&
               h.len >= h.inline_len && h.nr_frags <= NETFLIP_FRAGS_MAX &&
               !h.nr_frags == (h.len == h.inline_len)))
        return true;
    vif_fail(v->vif, "flip tx frame of %u bytes, %u in its slot, %u fragments", h.len, h.inline_len,
             h.nr_frags);
    return false;
}

/* The fragments, behind the head or in slots that follow. What is in the frame comes back to the guest. */
static bool take_frags(struct vif_flip *v, uint32_t prod, union first_word h,
                       const struct netflip_head *slot, struct frame *f)
{
    const struct netflip_frag *from = (const void *)(slot->data + ((h.inline_len + 7u) & ~7u));
    unsigned int here = netflip_head_frags(h.inline_len), sum = h.inline_len;

    for (unsigned int i = 0; i < h.nr_frags; i++) {
        struct netflip_frag g;

        if (!here--) {
            if (v->tx_cons == prod) {
                vif_fail(v->vif, "flip tx fragments without end");
                return false;
            }
            from = (const void *)&v->tx_slot[v->tx_cons++ % NETFLIP_SLOTS];
            here = NETFLIP_FRAGS_PER_SLOT - 1;
        }
        ring_copy_in(&g, from++, sizeof(g));
        if (!g.len || g.len > PAGE_SIZE || g.offset > PAGE_SIZE - g.len) {
            vif_fail(v->vif, "flip tx fragment of %u bytes at %u", g.len, g.offset);
            return false;
        }
        f->frags[f->nr_frags++] = (struct frag){ .kind = FRAG_GRANT, .dom = v->vif->dom,
                                                 .ref = g.ref, .offset = g.offset, .len = g.len };
        sum += g.len;
    }
    if (sum == h.len)
        return true;
    vif_fail(v->vif, "flip tx frame of %u bytes has %u", h.len, sum);
    return false;
}

static bool take_gso(struct vif_flip *v, union first_word h, struct frame *f)
{
    f->gso = GSO_NONE;
    f->gso_size = 0;
    if (!(h.flags & (NETFLIP_GSO_TCPV4 | NETFLIP_GSO_TCPV6)))
        return true;
    if (!h.gso_size) {
        vif_fail(v->vif, "flip tx segmentation of size 0");
        return false;
    }
    f->gso = h.flags & NETFLIP_GSO_TCPV4 ? GSO_TCPV4 : GSO_TCPV6;
    f->gso_size = h.gso_size;
    return true;
}

/* The frame whose first slot was taken, as a struct. NULL: the vif has failed. */
static struct frame *take_frame(struct vif_flip *v, uint32_t prod, union first_word h,
                                const struct netflip_head *slot, struct flip_frame *ff)
{
    struct frame *f = &ff->f;

    copy_words((uint64_t *)(void *)ff->head, (const uint64_t *)(const void *)slot->data,
               (h.inline_len + 7u) / 8);
    f->len = h.len;
    f->head_len = h.inline_len;
    f->flags = h.flags & NETFLIP_CSUM_BLANK ? FRAME_CSUM_BLANK
             : h.flags & NETFLIP_CSUM_VALID ? FRAME_CSUM_VALID : 0;
    if (!(h.flags & NETFLIP_COPY))
        f->flags |= FRAME_FLIP;
    if (take_gso(v, h, f) && (!h.nr_frags || take_frags(v, prod, h, slot, f)))
        return f;
    frame_put(f);
    return NULL;
}

/* The bridge ------------------------------------------------------------------------------- */

/*
 * The short way of a frame without payload. False: it must go the long one; nothing has happened.
 */
static bool forward_small(struct vif_flip *v, union first_word h, const struct netflip_head *slot,
                          uint64_t now)
{
    struct port *from = &v->vif->port, *to;
    uint64_t w[1 + NETFLIP_INLINE_MAX / 8];
    unsigned int n = (h.inline_len + 7u) / 8;
    const uint8_t *head = (const uint8_t *)&w[1];

    copy_words(w + 1, (const uint64_t *)(const void *)slot->data, n);
    to = bridge_unicast(from, head, now);
    if (!to || to->send != flip_send || !to->up || !list_empty(&to->waiting) ||
        (h.flags & (NETFLIP_GSO_TCPV4 | NETFLIP_GSO_TCPV6)) ||
        ((h.flags & NETFLIP_CSUM_BLANK) && (~to->caps & (PORT_CSUM | PORT_CSUM6))))
        return false;
    if (unlikely(!filter_pass(&v->vif->filter, head, h.inline_len, h.len))) {
        port_count_rx_drop(from, DROP_SPOOFED);
        return true;
    }
    h.flags &= (uint8_t)~(NETFLIP_COPY | NETFLIP_LOST);
    h.zero = 0;
    w[0] = h.w;
    if (unlikely(!flip_send_small(container_of(to, struct vif, port)->flip, w, n + 1)))
        return false;
    from->stats.rx_frames++;
    from->stats.rx_bytes += h.len;
    return true;
}

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

static enum stop take_frames(struct vif_flip *v, struct group *g)
{
    uint32_t prod = ring_read_prod(&v->tx->slot_prod);
    struct vif *vif = v->vif;
    uint64_t now = now_ns();

    if (unlikely(prod - v->tx_cons > NETFLIP_SLOTS)) {
        vif_fail(vif, "flip tx producer %u, taken %u", prod, v->tx_cons);
        return STOP_LATER;
    }
    for (unsigned int taken = 0; v->tx_cons != prod; taken++) {
        const struct netflip_head *slot = &v->tx_slot[v->tx_cons % NETFLIP_SLOTS];
        union first_word h = { .w = READ_ONCE(*(const uint64_t *)(const void *)slot) };
        struct flip_frame *ff;
        struct frame *f;
        uint64_t wait;

        if (taken == FLIP_BUDGET)
            return STOP_BUDGET;
        wait = rate_wait(&vif->rate, now);
        if (unlikely(wait)) {
            timer_set(&v->rate_timer, now + wait);
            return STOP_LATER;
        }
        if (unlikely(!first_is_sane(v, h)))
            return STOP_LATER;
        if (!h.nr_frags && !g->n && forward_small(v, h, slot, now)) {
            v->tx_cons++;
            rate_charge(&vif->rate, h.len);
            continue;
        }
        ff = frame_get_free(v);
        if (unlikely(!ff)) {
            if (v->nr_frames < FLIP_FRAMES_MAX)
                timer_set(&v->rate_timer, now + MEMORY_RETRY);
            return STOP_LATER;
        }
        v->tx_cons++;
        rate_charge(&vif->rate, h.len);
        f = take_frame(v, prod, h, slot, ff);
        if (unlikely(!f))
            return STOP_LATER;
        judge(v, f, g);
        /* What follows must not overtake it. */
        if (!f->nr_frags && g->n)
            hand_over(v, g);
    }
    return STOP_EMPTY;
}

void flip_tx_work(struct work *w)
{
    struct vif_flip *v = container_of(w, struct vif_flip, tx_work);
    struct group g = { .n = 0 };
    enum stop stop;

    if (!v->vif->connected || v->vif->failed)
        return;
    stop = take_frames(v, &g);
    if (g.n)
        hand_over(v, &g);
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
    if (tell)
        event_send(v->tx_port);
}
