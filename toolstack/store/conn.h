/* SPDX-License-Identifier: MIT */
/*
 * conn.h - one client of the store behind a byte stream. Pure.
 *
 * Requests are taken one at a time: as long as an answer has not been taken out, no further
 * input is consumed, so a client that does not read stops itself and nobody else.
 * Events wait in order behind it. An event equal to one that still waits is dropped. When
 * CONN_EVENTS_MAX or CONN_EVENT_BYTES wait already, a watch owes one single event for the path
 * that it watches, to be delivered once the client has read what waits: it learns that
 * something changed, not what. So a client never misses a change, and never makes us hold more.
 */
#ifndef STORE_CONN_H
#define STORE_CONN_H

#include "toolstack/store/wire.h"

#define CONN_EVENTS_MAX  256
#define CONN_EVENT_BYTES (32 * 1024)
#define CONN_SMALL       128

/* A message on its way out. */
struct conn_out {
    struct list link;
    struct list of_watch; /* an event: struct watch.pending */
    uint32_t len, sent;
    bool is_event;
    char bytes[];
};

struct conn {
    struct client client;
    struct wire *wire;
    int error; /* XENSTORE_ERROR_*: nothing is consumed any more */
    /* In. */
    struct xsd_sockmsg head;
    uint32_t head_got, body_got;
    char *body; /* small, or allocated; NULL: the body is skipped, for lack of memory */
    char small[CONN_SMALL];
    /* Out. */
    struct list out; /* struct conn_out.link */
    bool answering;  /* an answer is in out */
    unsigned int events, collapsed;
    size_t event_bytes;
    /* For short answers, which are most, and so that an error can always be said. */
    char answer[sizeof(struct conn_out) + CONN_SMALL] __aligned(8);
    /* There is something to take out that was not when conn_output() last looked. */
    void (*wake)(struct conn *c);
};

int conn_init(struct conn *c, struct wire *w, uint16_t domid, void (*wake)(struct conn *c));
/* The end of the client: watches and transactions too. */
void conn_close(struct conn *c);

/* As new: watches and transactions, unread input and output go. */
void conn_reset(struct conn *c);

/* Hands over up to len bytes; returns how many were consumed. */
size_t conn_input(struct conn *c, const char *bytes, size_t len);
/* Whether conn_input() would consume anything. */
static inline bool conn_accepts(const struct conn *c)
{
    return !c->answering && !c->error;
}

/* Takes out up to room bytes; returns how many. */
size_t conn_output(struct conn *c, char *bytes, size_t room);
static inline bool conn_has_output(const struct conn *c)
{
    return !list_empty(&c->out) || c->collapsed;
}

#endif
