/* SPDX-License-Identifier: MIT */
/*
 * internal.h - what the files of netfront share.
 *
 * netfront.c has the store, the states and the pool of pages; standard.c and flip.c each speak one protocol, and look the
 * same to netfront.c (struct wire).
 */
#ifndef NETFRONT_INTERNAL_H
#define NETFRONT_INTERNAL_H

#include "netfront/glue.h"
#include "netfront/netfront.h"
#include "sluice/flip.h"
#include "sluice/netflip.h"

#include <xen/io/netif.h>

#define RX_POSTED 256           /* pages that the backend has for what it brings, when there are enough */
#define RX_EXTENTS 8            /* and extents at first; twice as many whenever all were used */
#define RX_EXTENTS_HALF (NETFRONT_EXTENTS / 2)      /* up to this, if there were once none left to send in */
#define RX_EXTENTS_MOST (NETFRONT_EXTENTS - 4)      /* else up to this */
#define TURN      256           /* frames received in one turn */

/* Who has a page of the pool. */
enum page_state {
    PAGE_FREE,
    PAGE_USER,
    PAGE_TX,                    /* the backend, to be sent */
    PAGE_RX,                    /* the backend, to be filled */
    PAGE_LOST,                  /* the backend would not let go of it */
};

/* One protocol. */
struct wire {
    /* Rings made, keys written in the frontend's directory; the state is not yet Connected. */
    int (*connect)(struct netfront *nf);
    /* Returns netfront_sent() or netfront_no_room(). */
    bool (*send)(struct netfront *nf, const struct netfront_frame *f);
    /* Some of the first of n frames, which are sent so for less than by send(); maybe none. NULL: never any. */
    unsigned int (*send_burst)(struct netfront *nf, const struct netfront_frame *f, unsigned int n);
    /* Publishes what was sent. True: the backend wants an event, on tx_port. */
    bool (*publish)(struct netfront *nf);
    /* Takes back pages that were sent. arm: have an event sent for the next that comes. */
    void (*reap)(struct netfront *nf, bool arm);
    /* Delivers up to TURN frames. True: there is more. */
    bool (*receive)(struct netfront *nf);
    void (*post)(struct netfront *nf);      /* gives pages to be filled */
};

extern const struct wire wire_standard, wire_flip;

struct netfront_standard {
    struct netif_tx_sring *tx;
    struct netif_rx_sring *rx;
    uint32_t tx_prod, tx_cons, rx_cons, rx_prod;
    uint16_t head_page[8];                  /* 128 bytes for each slot's head */
    uint16_t free_id[256];
    unsigned int nr_free_ids;
    unsigned int nr_extras;                 /* slots of extra info that are not answered yet */
    uint16_t tx_page[256], rx_page[256];    /* by id */
};

struct netfront_flip {
    struct netflip_index *tx, *rx;
    struct netflip_head *tx_slot, *rx_slot;
    uint32_t tx_prod, tx_ref_cons;
    uint32_t tx_seen;                       /* slot_cons as last read */
    uint32_t rx_cons, rx_ref_prod, rx_ref_sent;
    bool extents;                           /* agreed upon */
    uint32_t tx_ext_cons, rx_ext_prod;
    unsigned int rx_extents, rx_extents_most;   /* to be on offer: now, and at most */
};

/* Pages that the backend maps: a ring, or a half of the flip channel. */
struct shared_pages {
    uint8_t *va;                    /* NULL: none */
    unsigned int order;
    grant_ref_t ref[NETFLIP_PAGES]; /* GRANT_NONE: not granted (any more) */
};

struct netfront {
    struct xbdev dev;
    const struct netfront_ops *ops;
    void *arg;
    unsigned int flags;
    uint8_t copy_flag;              /* NETFLIP_COPY, if flags say so */
    uint8_t mac[6];
    const struct wire *wire;        /* while connected or connecting; else NULL */
    bool up;
    bool suspended;
    bool wants_room;                /* send() or page_get() was in vain */
    bool kick_owed;
    evtchn_port_t tx_port, rx_port; /* rx_port == tx_port: one for both */
    struct work work, kick_work;
    const char *fault;              /* what the backend did that no right backend does; NULL */
    struct shared_pages shared[2];  /* transmit, receive; stay until the backend has let go of them */
    bool held;                      /* it was said that it does not */
    struct timer held_timer;

    /* The pool. */
    uint8_t *window;
    uint64_t first_pfn;             /* of page 0; the others follow */
    struct grant_entry_v1 *entry;   /* of page i */
    grant_ref_t first_ref;
    uint32_t window_id;
    bool has_window;                /* registered with the hypervisor */
    unsigned int nr_free, nr_rx;    /* free pages, posted ones */
    uint16_t free_page[NETFRONT_PAGES];
    unsigned int nr_pages;          /* all, those of extents too, if there are any */
    unsigned int nr_free_extents, nr_rx_extents;
    uint16_t free_extent[NETFRONT_EXTENTS];         /* first pages */
    uint8_t extent_pages[NETFRONT_EXTENTS];         /* on offer, while the backend has it */
    uint8_t state[NETFRONT_PAGES + NETFRONT_EXTENTS * NETFRONT_EXTENT_PAGES];   /* of an extent: of its first page */

    struct netfront_standard std;
    struct netfront_flip flip;
    struct netfront_stats stats;

    /* Frames that were received together. */
    struct netfront_frame burst[NETFRONT_BURST];
    uint8_t burst_head[NETFRONT_BURST][NETFRONT_HEAD_MAX] __aligned(16);
};

/*
 * The backend does what no right backend does: the vif goes down at the end of this turn, with one line that says `what`.
 * Until then it looks connected.
 */
void netfront_fault(struct netfront *nf, const char *what);

/* Makes nf->shared[i]: n zeroed pages, granted to the backend. NULL: no memory or no references. */
void *netfront_share(struct netfront *nf, unsigned int i, unsigned int n, unsigned int order);

/* What wire.send() returns: a frame is on the ring; none could be put there now. */
static __always_inline bool netfront_sent(struct netfront *nf, const struct netfront_frame *f)
{
    nf->stats.tx_frames++;
    nf->stats.tx_bytes += f->len;
    return true;
}

static inline bool netfront_no_room(struct netfront *nf)
{
    nf->wants_room = true;
    return false;
}

/* Grants a page; flags as of a grant entry. It is the backend's then, as `state` says. */
static inline void page_offer(struct netfront *nf, unsigned int page, uint16_t flags,
                              enum page_state state)
{
    nf->state[page] = (uint8_t)state;
    store_release(&nf->entry[page].flags, flags);
}

/*
 * Takes the grant of a page back, unless a flip did: then another frame is behind the page now. False: it is still in use, and
 * lost to us until the backend lets go. The state is the caller's to set.
 */
static inline bool page_end(struct netfront *nf, unsigned int page, uint64_t *flipped,
                            uint64_t *copied)
{
    struct grant_entry_v1 *e = &nf->entry[page];
    uint16_t was;

    if (unlikely(!glue_grant_end(e, &was))) {
        nf->state[page] = PAGE_LOST;
        return false;
    }
    if (was) {
        (*copied)++;
    } else {
        glue_frame_changed(nf->first_pfn + page, e->frame);
        (*flipped)++;
    }
    return true;
}

/* The same for a page that the backend says it is done with. */
static inline bool page_take(struct netfront *nf, unsigned int page, uint64_t *flipped,
                             uint64_t *copied)
{
    if (likely(page_end(nf, page, flipped, copied)))
        return true;
    netfront_fault(nf, "it keeps a page that it gave back");
    return false;
}

static inline void page_free_to(struct netfront *nf, unsigned int page)
{
    nf->state[page] = PAGE_FREE;
    nf->free_page[nf->nr_free++] = (uint16_t)page;
}

static inline unsigned int extent_count(const struct netfront *nf)
{
    return (nf->nr_pages - NETFRONT_PAGES) / NETFRONT_EXTENT_PAGES;
}

/* Is it the first page of an extent? */
static inline bool extent_known(const struct netfront *nf, uint32_t page)
{
    return page - NETFRONT_PAGES < nf->nr_pages - NETFRONT_PAGES && !(page % NETFRONT_EXTENT_PAGES);
}
_Static_assert(NETFRONT_PAGES % NETFRONT_EXTENT_PAGES == 0 && NETFRONT_EXTENT_PAGES == NETFLIP_EXTENT, "extents");

static inline void *page_at(const struct netfront *nf, unsigned int page)
{
    return nf->window + ((size_t)page << PAGE_SHIFT);
}

/* The first bytes of a frame, in few moves: all that there is room for, or HEAD_SHORT of them if those will do. */
#define HEAD_SHORT 64
static __always_inline void copy_head(void *to, const void *from, unsigned int bytes)
{
    __builtin_memcpy(to, from, HEAD_SHORT);
    if (bytes > HEAD_SHORT)
        __builtin_memcpy((uint8_t *)to + HEAD_SHORT, (const uint8_t *)from + HEAD_SHORT,
                         NETFRONT_HEAD_MAX - HEAD_SHORT);
}

/* The same of frames whose heads are mostly TCP's. */
#define HEAD_TCP 80
static __always_inline void copy_head_tcp(void *to, const void *from, unsigned int bytes)
{
    __builtin_memcpy(to, from, HEAD_TCP);
    if (unlikely(bytes > HEAD_TCP))
        __builtin_memcpy((uint8_t *)to + HEAD_TCP, (const uint8_t *)from + HEAD_TCP, NETFRONT_HEAD_MAX - HEAD_TCP);
}

#endif
