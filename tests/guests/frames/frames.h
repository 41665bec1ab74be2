/* SPDX-License-Identifier: MIT */
/* frames.h - what the files of this guest share: messages, sources, and the state of the one interface. See main.c. */
#ifndef TESTS_GUESTS_FRAMES_H
#define TESTS_GUESTS_FRAMES_H

#include "netfront/netfront.h"
#include "runtime/loop.h"

#define MAGIC     0x736c6963u
#define UDP_MSG   42
#define TCP_MSG   54
#define MSS       1448
#define FRAME_MTU 1514
#define EXTENT_BYTES ((unsigned int)(NETFRONT_EXTENT_PAGES * PAGE_SIZE))
#define FULL_MAX  256           /* frames of which every byte is checked */

enum kind { DATA_FULL = 1, DATA, PING, PONG, CREDIT, END, TALLY };

struct msg {
    uint32_t magic;
    uint16_t kind;
    uint16_t window;            /* CREDIT is due each half of it */
    uint32_t seq;
    uint32_t value;             /* END: frames sent; TALLY: frames that were right */
};

extern struct netfront *nf;
extern uint8_t *pool;           /* page 0; the others follow */
extern uint8_t mac[6], peer[6];
extern uint8_t out_head[NETFRONT_HEAD_MAX];
extern bool comes_back;         /* what is sent comes back from a reflector */

static inline uint8_t *page_va(unsigned int page)
{
    return pool + (size_t)page * PAGE_SIZE;
}

/* message.c */

/* Headers of frames of this length to `to`; returns where the message begins. */
unsigned int headers(uint8_t *h, const uint8_t *to, unsigned int len);
/* A frame that is a message and no more. False: no room now. */
bool send_msg(const uint8_t *to, enum kind kind, uint32_t seq, uint32_t value);
void put_pages(const struct netfront_frame *f);

/* sink.c */

/* What has come from one source; sources are told apart by the last byte of their address. */
struct source {
    uint8_t mac[6];
    uint32_t next;              /* number that should come */
    uint32_t left;              /* as many may be right, before anything else is to be done but count them */
    uint64_t begin;             /* how the message of such a frame begins: magic, kind, window */
    uint32_t given;             /* left, as it was set */
    uint32_t good, bad, lost;
    uint32_t owed;              /* frames for which no credit was sent */
    bool credit_due, tally_due, due;
};

struct source *source_of(const struct netfront_frame *f);
/* Has to be told something at the end of the batch. */
void set_due(struct source *s);
/* Adds the frames that were only counted down. */
void settle(struct source *s);
/* A data frame, whose message is at `at`. */
void count(struct source *s, const struct netfront_frame *f, const struct msg *m, unsigned int at);
/* Tells sources what they are to be told, at the end of a batch. */
void sink_tell(void);
/* Callbacks of netfront: frames that are in order are counted, all others go to receive(). */
void receive_burst(void *arg, const struct netfront_frame *f, unsigned int n);
void receive_sink(void *arg, const struct netfront_frame *f);

/* source.c */

void source_init(void);
/* More can be sent; the channel is another one. */
void source_go(void);
void source_channel_changed(void);
/* What a source hears. */
void hear(const struct netfront_frame *f, const struct msg *m, unsigned int at);
/* All that a source does. */
void source_main(void);

/* main.c: any frame. */
void receive(void *arg, const struct netfront_frame *f);

#endif
