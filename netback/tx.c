/* SPDX-License-Identifier: MIT */
/*
 * tx.c - guest to bridge.
 *
 * A turn takes packets out of the ring, copies all their heads to our memory in one hypercall,
 * and hands those that pass the filter to the bridge. The payload stays where it is: the fragments
 * name the guest's grants, and whoever sends the frame on copies from there. Slots are answered,
 * in whatever order, when nobody needs them any more.
 */
#include "netback/copy.h"
#include "netback/headers.h"
#include "netback/vif.h"
#include "lib/string.h"
#include "runtime/mem.h"
#include "runtime/pagetable.h"
#include "runtime/ring.h"
#include "runtime/time.h"

/* Headers end where a sender's first buffer ends, if that much is in it and much is to follow:
 * Ethernet, IPv4 and TCP without options. A buffer that ends with its page may be cut anywhere. */
#define HEAD_ENOUGH  54
#define HEAD_BIG_FRAME 1024

#define MEMORY_RETRY (10 * NS_PER_MS)
/* How long, and up to how many answers, an event for answers may wait. Linux lets a TCP connection
 * have a millisecond's worth of data in its driver: the wait must stay well below. */
#define TX_QUIET_NS      (400 * NS_PER_US)
#define TX_QUIET_ANSWERS 16
/* In a dialogue it goes along with every so many-th event for received frames: no wake-up for it alone, and no timer. */
#define TX_ALONG_EVENTS  5

#define FRAMES_PER_PAGE (PAGE_SIZE / sizeof(struct vif_frame))

/* Frames of all guests; a guest's share is bounded by VIF_FRAMES_MAX for each queue. */
static struct list free_frames = LIST_INIT(free_frames);

/* A packet as it stands in the ring, copied. */
struct tx_packet {
    uint32_t size;
    uint16_t flags;
    unsigned int nr_slots;
    struct netif_tx_request slot[VIF_CHAIN_MAX];
    struct netif_extra_info gso;    /* type XEN_NETIF_EXTRA_TYPE_GSO if there was one */
    bool bad_extra;                 /* one that we did not offer */
};

/* Answers ---------------------------------------------------------------------------------- */

static void answer(struct vif_queue *q, uint16_t id, int16_t status)
{
    struct netif_tx_response *rsp = &q->tx->ring[q->tx_rsp++ % VIF_SLOTS].rsp;

    rsp->id = id;
    rsp->status = status;
}

/* Has the guest asked for events behind answer n - 1: does it know all before n? */
static bool has_seen(const struct vif_queue *q, uint32_t n)
{
    return (int32_t)(READ_ONCE(q->tx->rsp_event) - n) > 0;
}

/*
 * Answers are published at once, but the event that the guest asked for may wait: nobody needs waking
 * just to free a buffer. In a dialogue a frontend looks for answers when it sends, or is told together
 * with received frames. Many answers that the guest has not seen, or TX_QUIET_NS without a look of its
 * own, end the wait.
 */
static void tell(struct vif_queue *q)
{
    q->tx_owed = false;
    q->tx_along = 0;
    if (!has_seen(q, q->tx_published))
        event_send(q->tx_port);
}

static void tell_later(struct vif_queue *q)
{
    q->tx_quiet = q->tx_published;
    timer_set_after(&q->tell_timer, TX_QUIET_NS);
}

void vif_tx_flush(struct vif_queue *q)
{
    uint32_t n = q->tx_rsp - q->tx_published;

    if (!n || q->vif->failed)
        return;
    /* What it has not seen: these, and those before unless it has looked since. */
    if (q->tx_owed && !has_seen(q, q->tx_published))
        n += q->tx_untold;
    else
        q->tx_owed = false;
    q->tx_untold = n;
    q->tx_published = q->tx_rsp;
    q->tx_owed |= ring_publish(&q->tx->rsp_prod, &q->tx->rsp_event, q->tx_rsp);
    if (!q->tx_owed)
        return;
    if (n >= TX_QUIET_ANSWERS)
        tell(q);
    else if (!timer_is_set(&q->tell_timer))
        tell_later(q);
}

void vif_tx_tell_along(struct vif_queue *q)
{
    if (++q->tx_along < TX_ALONG_EVENTS)
        return;
    timer_cancel(&q->tell_timer);
    tell(q);
}

void vif_tx_tell_timer(struct timer *t)
{
    struct vif_queue *q = container_of(t, struct vif_queue, tell_timer);

    if (!q->tx_owed || q->vif->failed)
        return;
    /* It has looked since the timer was set: what is left came later and has its own time. */
    if (has_seen(q, q->tx_quiet) && !has_seen(q, q->tx_published))
        tell_later(q);
    else
        tell(q);
}

/* Last reference: nothing reads the guest's pages any more. */
static void frame_done(struct frame *f)
{
    struct vif_frame *vf = container_of(f, struct vif_frame, f);
    struct vif_queue *q = vf->queue;

    list_push_front(&free_frames, &f->link);
    if (!q->vif) {              /* the queue is gone */
        if (!--q->nr_frames)
            free(q);
        return;
    }
    if (!q->vif->failed) {
        for (unsigned int i = 0; i < vf->nr_ids; i++)
            answer(q, vf->ids[i], vf->status);
        for (unsigned int i = 0; i < vf->nr_extras; i++)
            answer(q, 0, NETIF_RSP_NULL);
        port_touch(&q->vif->port);
    }
    /* Frames were short: the rest of the ring waits for this one. */
    if (q->nr_frames-- == VIF_FRAMES_MAX)
        work_queue(&q->tx_work);
}

/* Frames ------------------------------------------------------------------------------------ */

static struct vif_frame *frame_get_free(struct vif_queue *q)
{
    struct vif_frame *vf;

    if (q->nr_frames == VIF_FRAMES_MAX)
        return NULL;
    if (list_empty(&free_frames)) {
        vf = page_alloc_zeroed();
        for (unsigned int i = 0; vf && i < FRAMES_PER_PAGE; i++) {
            vf[i].f.head_mfn = virt_to_mfn(vf);
            list_push_back(&free_frames, &vf[i].f.link);
        }
        if (!vf)
            return NULL;
    }
    vf = container_of(list_first(&free_frames, struct frame, link), struct vif_frame, f);
    list_remove(&vf->f.link);
    q->nr_frames++;
    vf->queue = q;
    vf->status = NETIF_RSP_OKAY;
    vf->nr_ids = vf->nr_extras = 0;
    vf->f.from = &q->vif->port;
    vf->f.done = frame_done;
    vf->f.head = vf->head;
    vf->f.gso = GSO_NONE;
    vf->f.gso_size = 0;
    vf->f.flags = 0;
    vf->f.nr_frags = 0;
    vf->f.failed = 0;
    vf->f.refs = 1;
    return vf;
}

/* Taking a packet out of the ring ------------------------------------------------------------ */

/* The extra-info slots behind a packet's first. False: the vif has failed. */
static bool take_extras(struct vif_queue *q, uint32_t prod, struct vif_frame *vf,
                        struct tx_packet *p)
{
    struct netif_extra_info extra;

    do {
        if (q->tx_cons == prod) {
            vif_fail(q->vif, "tx extra info without end");
            return false;
        }
        ring_copy_in(&extra, &q->tx->ring[q->tx_cons++ % VIF_SLOTS], sizeof(extra));
        vf->nr_extras++;
        if (extra.type == XEN_NETIF_EXTRA_TYPE_NONE || extra.type >= XEN_NETIF_EXTRA_TYPE_MAX) {
            vif_fail(q->vif, "tx extra info of type %u", extra.type);
            return false;
        }
        if (vf->nr_extras >= XEN_NETIF_EXTRA_TYPE_MAX) {
            vif_fail(q->vif, "tx extra info repeated");
            return false;
        }
        if (extra.type == XEN_NETIF_EXTRA_TYPE_GSO)
            p->gso = extra;
        else if (extra.type != XEN_NETIF_EXTRA_TYPE_HASH)
            p->bad_extra = true;
    } while (extra.flags & XEN_NETIF_EXTRA_FLAG_MORE);
    return true;
}

/* What must hold for every slot; the first one's size is the packet's and is checked later. */
static bool slot_is_sane(struct vif_queue *q, const struct netif_tx_request *r, uint32_t size)
{
    if (size && size <= PAGE_SIZE && r->offset <= PAGE_SIZE - size)
        return true;
    vif_fail(q->vif, "tx slot of %u bytes at %u", size, r->offset);
    return false;
}

/*
 * Takes the packet that begins at tx_cons < prod. Every slot that was taken is in vf to be
 * answered. False: the vif has failed.
 */
static bool take_packet(struct vif_queue *q, uint32_t prod, struct vif_frame *vf,
                        struct tx_packet *p)
{
    struct netif_tx_request *r = p->slot;
    uint32_t rest = 0;

    ring_copy_in(r, &q->tx->ring[q->tx_cons++ % VIF_SLOTS], sizeof(*r));
    vf->ids[vf->nr_ids++] = r->id;
    p->size = r->size;
    p->flags = r->flags;
    p->gso.type = XEN_NETIF_EXTRA_TYPE_NONE;
    p->bad_extra = false;
    if ((r->flags & NETTXF_extra_info) && !take_extras(q, prod, vf, p))
        return false;
    while (r->flags & NETTXF_more_data) {
        if (q->tx_cons == prod || vf->nr_ids == VIF_CHAIN_MAX) {
            vif_fail(q->vif, "tx chain without end after %u slots", vf->nr_ids);
            return false;
        }
        r++;
        ring_copy_in(r, &q->tx->ring[q->tx_cons++ % VIF_SLOTS], sizeof(*r));
        vf->ids[vf->nr_ids++] = r->id;
        if (!slot_is_sane(q, r, r->size))
            return false;
        rest += r->size;
    }
    if (rest >= p->size) {
        vif_fail(q->vif, "tx packet of %u bytes with %u after its first slot", p->size, rest);
        return false;
    }
    p->slot[0].size = (uint16_t)(p->size - rest);
    p->nr_slots = vf->nr_ids;
    return slot_is_sane(q, &p->slot[0], p->slot[0].size);
}

static bool take_gso(struct vif_queue *q, struct frame *f, const struct netif_extra_info *e)
{
    if (!e->u.gso.size ||
        (e->u.gso.type != XEN_NETIF_GSO_TYPE_TCPV4 && e->u.gso.type != XEN_NETIF_GSO_TYPE_TCPV6)) {
        vif_fail(q->vif, "tx segmentation of type %u, size %u", e->u.gso.type, e->u.gso.size);
        return false;
    }
    f->gso = e->u.gso.type == XEN_NETIF_GSO_TYPE_TCPV4 ? GSO_TCPV4 : GSO_TCPV6;
    f->gso_size = e->u.gso.size;
    return true;
}

/* The first slots go to head, as far as it reaches; the rest becomes fragments. */
static void lay_out(struct vif_queue *q, struct vif_frame *vf, const struct tx_packet *p)
{
    struct frame *f = &vf->f;
    unsigned int have = 0, want = MIN(p->size, (uint32_t)FRAME_HEAD_MAX);

    f->len = (uint16_t)p->size;
    for (unsigned int i = 0; i < p->nr_slots; i++) {
        const struct netif_tx_request *r = &p->slot[i];
        unsigned int n = MIN((unsigned int)r->size, want - have);

        if (n) {
            struct gnttab_copy *op = copy_add(&f->failed);

            grant_copy_ref(&op->source, q->vif->dom, r->gref, r->offset);
            frame_copy_head(&op->dest, f, have);
            op->len = (uint16_t)n;
            op->flags = GNTCOPY_source_gref;
            have += n;
            if (have >= HEAD_ENOUGH && p->size >= HEAD_BIG_FRAME &&
                r->offset + r->size != PAGE_SIZE)
                want = have;
        }
        if (n < r->size)
            f->frags[f->nr_frags++] = (struct frag){ .kind = FRAG_GRANT, .dom = q->vif->dom,
                .ref = r->gref, .offset = (uint16_t)(r->offset + n),
                .len = (uint16_t)(r->size - n) };
    }
    f->head_len = (uint16_t)have;
}

static void drop(struct vif_frame *vf, enum port_drop why, int16_t status)
{
    port_count_rx_drop(vf->f.from, why);
    vf->status = status;
    frame_put(&vf->f);
}

/*
 * Takes one packet and queues the copy of its head. NULL: it was dropped and will be answered, or
 * the vif has failed.
 */
static struct frame *take_frame(struct vif_queue *q, uint32_t prod, struct vif_frame *vf)
{
    struct tx_packet p;

    if (!take_packet(q, prod, vf, &p)) {
        frame_put(&vf->f);
        return NULL;
    }
    rate_charge(&q->vif->rate, p.size);
    if (p.gso.type == XEN_NETIF_EXTRA_TYPE_GSO && !take_gso(q, &vf->f, &p.gso)) {
        frame_put(&vf->f);
        return NULL;
    }
    if (p.nr_slots > VIF_PACKET_SLOTS || p.size < FRAME_LEN_MIN || p.bad_extra) {
        drop(vf, DROP_MALFORMED, NETIF_RSP_ERROR);
        return NULL;
    }
    if (p.flags & NETTXF_csum_blank)
        vf->f.flags |= FRAME_CSUM_BLANK;
    else if (p.flags & NETTXF_data_validated)
        vf->f.flags |= FRAME_CSUM_VALID;
    lay_out(q, vf, &p);
    return &vf->f;
}

/* May another packet pass the rate limit? If not, a timer brings us back. */
static bool rate_allows(struct vif_queue *q)
{
    uint64_t now = now_ns(), wait = rate_wait(&q->vif->rate, now);

    if (wait)
        timer_set(&q->rate_timer, now + wait);
    return !wait;
}

/* The turn ----------------------------------------------------------------------------------- */

enum tx_stop {
    TX_EMPTY,               /* the ring is empty */
    TX_BUDGET,              /* there is more */
    TX_LATER,               /* timer or a freed frame brings us back */
};

static enum tx_stop take_frames(struct vif_queue *q, struct frame **frames, unsigned int *n)
{
    uint32_t prod = ring_read_prod(&q->tx->req_prod);

    *n = 0;
    /* More than the ring can hold, or less than what was taken. */
    if (prod - q->tx_rsp > VIF_SLOTS || prod - q->tx_cons > VIF_SLOTS) {
        vif_fail(q->vif, "tx producer %u, answered %u", prod, q->tx_rsp);
        return TX_LATER;
    }
    for (unsigned int taken = 0; q->tx_cons != prod; taken++) {
        struct vif_frame *vf;

        if (taken == VIF_TX_BUDGET)
            return TX_BUDGET;
        if (unlikely(q->vif->rate.per_second) && !rate_allows(q))
            return TX_LATER;
        vf = frame_get_free(q);
        if (!vf) {
            /* At its limit: the next one that comes back. No memory: who knows when. */
            if (q->nr_frames < VIF_FRAMES_MAX)
                timer_set_after(&q->rate_timer, MEMORY_RETRY);
            return TX_LATER;
        }
        frames[*n] = take_frame(q, prod, vf);
        if (q->vif->failed)
            return TX_LATER;
        if (frames[*n])
            (*n)++;
    }
    return TX_EMPTY;
}

/* Heads are here: what passes goes to the bridge. */
static void judge_frames(struct vif_queue *q, struct frame **frames, unsigned int n)
{
    struct vif *vif = q->vif;
    unsigned int good = 0;

    for (unsigned int i = 0; i < n; i++) {
        struct frame *f = frames[i];
        struct vif_frame *vf = container_of(f, struct vif_frame, f);

        if (f->failed)
            drop(vf, DROP_COPY, NETIF_RSP_ERROR);
        else if (!filter_pass(&vif->filter, f->head, f->head_len, f->len))
            drop(vf, DROP_SPOOFED, NETIF_RSP_DROPPED);
        else
            frames[good++] = f;
    }
    port_receive(&vif->port, frames, good);
    for (unsigned int i = 0; i < good; i++)
        frame_put(frames[i]);
}

void vif_tx_work(struct work *w)
{
    struct vif_queue *q = container_of(w, struct vif_queue, tx_work);
    struct frame *frames[VIF_TX_BUDGET];
    enum tx_stop stop;
    unsigned int n;

    if (!q->vif->connected || q->vif->failed)
        return;
    stop = take_frames(q, frames, &n);
    if (n) {
        copy_run();
        judge_frames(q, frames, n);
    }
    if (q->vif->failed)
        return;
    if (stop == TX_BUDGET ||
        (stop == TX_EMPTY && ring_rearm(&q->tx->req_event, &q->tx->req_prod, q->tx_cons)))
        work_queue(w);
}

void vif_tx_rate_timer(struct timer *t)
{
    struct vif_queue *q = container_of(t, struct vif_queue, rate_timer);

    work_queue(&q->tx_work);
}
