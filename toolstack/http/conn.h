/* SPDX-License-Identifier: MIT */
/* conn.h - one HTTP connection, between server.c (requests) and reply.c (answers). */
#ifndef HTTP_CONN_H
#define HTTP_CONN_H

#include "lib/list.h"
#include "runtime/loop.h"
#include "toolstack/http/server.h"

enum conn_state {
    CONN_HEAD,              /* collecting the head */
    CONN_BODY,              /* collecting the body */
    CONN_SINK,              /* handing the body on */
    CONN_HANDLER,           /* the answer is being made */
    CONN_SENDING,           /* a whole answer is on its way */
    CONN_STREAM,            /* an answer in pieces: out[] holds one of them, or none */
};

struct http_deferred {
    struct http_conn *conn;     /* NULL: the client has gone */
};

struct http_conn {
    struct list link;
    struct stream *stream;
    struct stream_addr peer;
    uint64_t since;             /* when it came */
    enum conn_state state;
    struct timer timer;
    struct work work;           /* http_wake() */
    struct http_request rq;
    const void *context;
    bool trusted, close_after, finished;
    char head[HTTP_HEAD_MAX];
    size_t head_len;
    uint64_t body_left;         /* of content_length, not received yet */
    char *body;
    size_t body_len;
    const struct http_sink *sink;
    const struct http_source *source;
    void *arg;                  /* the sink's, then the source's */
    bool chunked;
    char *out;
    size_t out_len, out_sent;
    uint64_t next;              /* Next-From of the answer */
    bool has_next;
    const char *rest;           /* follows out[]: static data */
    size_t rest_len;
    struct http_deferred *deferred;
};

extern struct http_stats http_stats;

/* server.c: ends the connection orderly, or at once. Frees c. */
void http_conn_close(struct http_conn *c);
void http_conn_drop(struct http_conn *c);
/* The answer is out: the next request. */
void http_conn_next(struct http_conn *c);

/* reply.c: sends what fits. May free c. */
void http_conn_send(struct http_conn *c);
/* The source or sink hears that it is over. */
void http_conn_end_parts(struct http_conn *c);

#endif
