/* SPDX-License-Identifier: MIT */
/*
 * netpeer.h - the backend of a netfront, played by a test or a fuzz target: it connects, moves frames, and can be made to
 * do anything else. Three vifs: 0 speaks the flip channel, 1 the standard protocol, 2 the flip channel with
 * extents.
 */
#ifndef FAKES_NETPEER_H
#define FAKES_NETPEER_H

#include "netfront/internal.h"
#include "tests/unit/fakes/front.h"

struct netpeer {
    struct netfront *nf;
    char front[64], back[64];               /* directories */
    bool flips;
    grant_ref_t mapped[2 * NETFLIP_PAGES];

    struct netflip_index *tx, *rx;          /* flip channel, while mapped */
    struct netflip_head *tx_slot, *rx_slot;
    uint32_t rx_ref_cons, tx_cons, rx_prod, ref_prod, rx_ext_cons, ext_prod;

    struct netif_tx_sring *stx;             /* standard rings, while mapped */
    struct netif_rx_sring *srx;
    uint32_t stx_cons, stx_prod, srx_prod;

    unsigned int nr_sent;                   /* by netpeer_send_burst(): what the next frame begins with */
    unsigned int got;                       /* frames that the frontend's user received */
    struct netfront_frame last;
    void (*on_receive)(struct netpeer *p);  /* while it does; NULL */
};

void netpeer_init(void);                    /* once: opens all */
#define NETPEER_PAGES (4 * NETFRONT_PAGES)  /* of their pools */
struct netpeer *netpeer_get(unsigned int i);

void netpeer_write(struct netpeer *p, const char *key, const char *value);     /* backend's directory */
void netpeer_remove(struct netpeer *p, const char *key);
void netpeer_state_to(struct netpeer *p, const char *state);    /* and lets it be noticed; NULL: removes it */
int netpeer_state(struct netpeer *p);       /* the frontend's */

/* As a right backend does it. True: connected. connect: with the keys as they are. */
bool netpeer_come_up(struct netpeer *p);
bool netpeer_connect(struct netpeer *p);
void netpeer_close(struct netpeer *p);      /* from whatever state, everything unmapped */
void netpeer_map(struct netpeer *p);
void netpeer_unmap(struct netpeer *p);

void netpeer_event(struct netpeer *p);      /* signals the frontend, and lets it run */
void netpeer_push(struct netpeer *p);       /* publishes what was put into the receive ring */

/* The user of the frontend sends a frame with n pages. */
bool netpeer_send(struct netpeer *p, unsigned int n);
/* Or several with so many pages each: how many were sent. */
unsigned int netpeer_send_burst(struct netpeer *p, unsigned int frames, unsigned int pages);

/* Flip channel: a head slot to be filled in, of inline_len bytes and len more; its fragments; the next page on offer. */
struct netflip_head *netpeer_head(struct netpeer *p, unsigned int inline_len, unsigned int len);
struct netflip_frag *netpeer_frag(struct netflip_head *h);
grant_ref_t netpeer_posted(struct netpeer *p);
grant_ref_t netpeer_sent(struct netpeer *p);    /* takes a frame: its page, or the last one's when none is left */
void netpeer_give_back(struct netpeer *p, grant_ref_t ref);

/* Extents: the next on offer, 0: none; its first n pages are flipped, as one; one that was sent comes back; one is sent, of which that much
 * is used; or up to NETFRONT_BURST of them: how many were sent. */
grant_ref_t netpeer_posted_extent(struct netpeer *p);
bool netpeer_flip_extent(grant_ref_t ref, unsigned int n, uint8_t fill);
void netpeer_give_extent(struct netpeer *p, grant_ref_t ref);
bool netpeer_send_extent(struct netpeer *p, unsigned int offset, unsigned int len);
unsigned int netpeer_send_extents(struct netpeer *p, unsigned int n, unsigned int len);

/* Standard protocol: the id of the next request; an answer; a piece of a frame, id relative to the right one. */
uint16_t netpeer_sent_id(struct netpeer *p);
void netpeer_answer(struct netpeer *p, uint16_t id, int status);
void netpeer_bring(struct netpeer *p, int id, int offset, int status, int flags);
void netpeer_extra(struct netpeer *p, const struct netif_extra_info *e);

/* Does a frame go through, in each direction? */
bool netpeer_works(struct netpeer *p);

/* Each page is in one place, and its entry and its frame are right. How many are in a state. */
bool netpeer_pages_right(struct netpeer *p);
unsigned int netpeer_pages(struct netpeer *p, enum page_state s);

#endif
