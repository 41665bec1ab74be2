/* SPDX-License-Identifier: MIT */
/*
 * blkpeer.h - the backend of a blkfront, played by a test or a fuzz target: it connects, answers requests, and can be made to
 * do anything else; and the frontend's user, who has BLKPEER_REQS requests.
 */
#ifndef FAKES_BLKPEER_H
#define FAKES_BLKPEER_H

#include "blkfront/internal.h"
#include "tests/unit/fakes/front.h"

#define BLKPEER_REQS  80            /* more than a ring of one page holds */
#define BLKPEER_PAGES 16            /* of each */

struct blkpeer_req {
    struct blkfront_req r;
    bool busy;                      /* the driver has it */
    int rc;                         /* how it ended */
};

struct blkpeer {
    struct blkfront *b;
    grant_ref_t mapped[RING_PAGES];
    struct blkif_sring *ring;       /* while mapped */
    uint32_t size, req_cons, rsp_prod;
    struct blkpeer_req req[BLKPEER_REQS];
    unsigned int ended;
    bool gone;                      /* the disk is, says the driver */
};

extern struct blkpeer blkpeer;

void blkpeer_init(void);            /* once */

void blkpeer_write(const char *key, const char *value);     /* backend's directory */
void blkpeer_remove(const char *key);
void blkpeer_state_to(const char *state);   /* and lets it be noticed; NULL: removes it */
int blkpeer_state(void);            /* the frontend's */

bool blkpeer_come_up(void);         /* as a right backend does it */
bool blkpeer_connect(void);         /* with the keys as they are */
void blkpeer_map(void);
void blkpeer_unmap(void);
/* Lets go of everything, rings and data, and closes. */
void blkpeer_close(void);

/* The user: request i, of n pages, data from byte `offset` of its first page on. False: it is under way. */
bool blkpeer_submit(unsigned int i, enum blkfront_op op, uint64_t sector, unsigned int sectors,
                    unsigned int offset);
unsigned int blkpeer_busy(void);

/* The next request of the ring, NULL: none; an answer; the event. */
struct blkif_request *blkpeer_take(void);
void blkpeer_answer(uint64_t id, int op, int status);
void blkpeer_push(void);
/* Answers all that is on the ring as a right backend does. False: a page of it is not granted. */
bool blkpeer_serve(void);

/* Do requests of each kind go through? */
bool blkpeer_works(void);

#endif
