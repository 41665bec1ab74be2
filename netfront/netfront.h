/* SPDX-License-Identifier: MIT */
/*
 * netfront.h - the guest's side of a vif: frames in, frames out.
 *
 * Speaks the flip channel (include/sluice/netflip.h) when backend and hypervisor have it, else the
 * standard protocol (<xen/io/netif.h>: rx-copy, scatter-gather, checksum and segmentation offload, split
 * event channels). Which of them makes no difference to whoever uses it.
 *
 * All payload lies in pages of one pool, numbered from 0, whose addresses never change. A page belongs to
 * the user between netfront_page_get() or receive() and netfront_page_put() or netfront_send(); a page
 * that was received may be sent on. While the driver has it, nobody may touch it: its contents
 * move away with the frame behind it.
 *
 * What the driver needs of the kernel around it stands in netfront/glue.h. One thread, no locks: all calls,
 * and all callbacks, come from the run loop.
 */
#ifndef NETFRONT_NETFRONT_H
#define NETFRONT_NETFRONT_H

#include "compiler.h"
#include "xenabi.h"

#define NETFRONT_PAGES     512          /* of the pool, one by one */
#define NETFRONT_EXTENTS   32           /* of it, behind those, with NETFRONT_BIG */
#define NETFRONT_EXTENT_PAGES 16        /* of each */
#define NETFRONT_HEAD_MAX  112          /* bytes of a frame in head */
#define NETFRONT_BURST     32
#define NETFRONT_FRAGS_MAX 17           /* pages that follow it: 64 KiB from any offset */

struct netfront;

/* A piece of a frame: in a page, or in an extent, of which page is the first; there it may go on into those that follow, if it is
 * longer than a page. */
struct netfront_frag {
    uint32_t page;
    uint16_t offset;                    /* < PAGE_SIZE */
    uint16_t len;                       /* 1..PAGE_SIZE - offset, or up to the end of the extent */
};

#define NETFRONT_CSUM_BLANK 0x01        /* TCP/UDP checksum holds only the pseudo-header's sum */
#define NETFRONT_CSUM_VALID 0x02        /* nobody need check it */
#define NETFRONT_GSO_TCPV4  0x04        /* to be cut into packets of gso_size payload bytes */
#define NETFRONT_GSO_TCPV6  0x08

/* A frame: head, then the fragments. All headers up to TCP's or UDP's are in head. */
struct netfront_frame {
    const uint8_t *head;                /* own memory of NETFRONT_HEAD_MAX bytes; of a received
                                           frame: until receive() returns */
    union {
        struct {
            uint16_t len;               /* head_len and all fragments */
            uint8_t head_len;           /* 14..NETFRONT_HEAD_MAX */
            uint8_t nr_frags;
            uint16_t gso_size;
            uint8_t flags;              /* NETFRONT_xxx */
            uint8_t unused;
        };
        uint64_t sizes;                 /* all of these */
    };
    struct netfront_frag frag[NETFRONT_FRAGS_MAX];
};

struct netfront_ops {
    /* A frame has come; its pages are the user's now. */
    void (*receive)(void *arg, const struct netfront_frame *f);
    /* The same of n of them in a row, at most NETFRONT_BURST. NULL: receive() is called for each. */
    void (*receive_burst)(void *arg, const struct netfront_frame *f, unsigned int n);
    /* All frames of this batch were given to receive(). May be NULL. */
    void (*batch_end)(void *arg);
    /* After a send() or page_get() in vain: try again. May be NULL. */
    void (*room)(void *arg);
    /* Connected or disconnected; frames under way when it goes are lost. May be NULL. */
    void (*link)(void *arg, bool up);
};

/* How the vif is to be driven; 0 is the best that both ends can. For tests and measurements. */
#define NETFRONT_NO_FLIP   0x1          /* standard protocol */
#define NETFRONT_COPY      0x2          /* the flip channel, but pages sent are to be copied */
#define NETFRONT_NO_GSO    0x8          /* frames of at most the MTU */
#define NETFRONT_BIG       0x10         /* frames may come in extents: the user knows what these are */
#define NETFRONT_NO_OFFLOAD 0x4         /* take whole frames with right checksums only */

/*
 * Drives vif `handle` of this domain: connects, and connects again whenever the backend comes back. ops and
 * arg stay valid for good. NULL: no such vif, or no memory.
 */
struct netfront *netfront_open(unsigned int handle, unsigned int flags, const struct netfront_ops *ops,
                               void *arg);

bool netfront_is_up(const struct netfront *nf);
bool netfront_flips(const struct netfront *nf);     /* is it the flip channel? */
void netfront_mac(const struct netfront *nf, uint8_t mac[6]);

/* The pool. A page without contents; -1: none left now, room() will be called. */
int netfront_page_get(struct netfront *nf);
void netfront_page_put(struct netfront *nf, unsigned int page);     /* or an extent, by its first page */
/*
 * An extent without contents, by its first page: NETFRONT_EXTENT_PAGES pages, for one fragment, which cost little more than one. -1: none now, or
 * this channel has none: single pages do. A frame has at most NETFRONT_FRAGS_MAX pages.
 */
int netfront_extent_get(struct netfront *nf);
bool netfront_extents(const struct netfront *nf);   /* Does it have them? */
/* An extent for the first fragment of each of n frames. How many frames have theirs. */
unsigned int netfront_extents_get(struct netfront *nf, struct netfront_frame *f, unsigned int n);
/* The same for all nr_frags fragments of each of n frames. How many frames have their pages; the others have none. */
unsigned int netfront_frames_get(struct netfront *nf, struct netfront_frame *f, unsigned int n);
void netfront_frames_put(struct netfront *nf, const struct netfront_frame *f, unsigned int n);
void *netfront_page_va(const struct netfront *nf, unsigned int page);  /* each follows the one before */

/*
 * Puts a frame on the ring; its pages, each of which it names once, are the driver's when true is returned. False: no room now,
 * or not up; nothing was taken. The backend sees frames when netfront_kick() is called, which happens by itself
 * at the end of a turn of the run loop.
 */
bool netfront_send(struct netfront *nf, const struct netfront_frame *f);
/* The same for n frames, in order, which costs less for each; how many were sent. */
unsigned int netfront_send_burst(struct netfront *nf, const struct netfront_frame *f, unsigned int n);
void netfront_kick(struct netfront *nf);

/*
 * Before the domain is suspended, and after it was resumed (anywhere, with this backend or another). In between nothing may be
 * sent. What the backend has not let go of until then is waited for before anything is offered again.
 */
void netfront_suspend(struct netfront *nf);
void netfront_resume(struct netfront *nf);

struct netfront_stats {
    uint64_t tx_frames, tx_bytes, rx_frames, rx_bytes;
    uint64_t rx_lost;                   /* frames that the backend could not bring */
    uint64_t tx_flipped, rx_flipped;    /* pages whose frames were exchanged */
    uint64_t tx_copied, rx_copied;      /* pages that were not */
    uint64_t bad;                       /* what no right backend does: each took the vif down */
};
void netfront_get_stats(const struct netfront *nf, struct netfront_stats *s);

#endif
