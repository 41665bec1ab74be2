/* SPDX-License-Identifier: MIT */
/*
 * server.h - HTTP/1.1 server over runtime/stream.h.
 *
 * Bounded in everything: connections, head, body, time. A handler is called with the whole request
 * and answers at once, or later (http_reply() may be called from anywhere on the loop) if what it
 * waits for takes time.
 */
#ifndef HTTP_SERVER_H
#define HTTP_SERVER_H

#include "runtime/stream.h"
#include "toolstack/http/parse.h"

#define HTTP_CONNECTIONS    64
#define HTTP_BODY_MAX       65536
#define HTTP_IDLE_NS        (30 * 1000000000UL)     /* for a request to be complete */

struct http_conn;

/* body has rq->content_length bytes and is followed by a NUL. */
typedef void (*http_handler)(struct http_conn *c, const struct http_request *rq, const char *body);

/* Listens; 0 or a negative error. One server. */
int http_listen(struct stream_net *net, uint16_t port, http_handler handler);

/*
 * Answers: data is copied. type NULL: application/json. A handler whose answer comes later calls
 * http_defer() first; the connection may end meanwhile, and then the reply is dropped: the token
 * stays valid until http_reply_deferred().
 */
void http_reply(struct http_conn *c, int status, const char *type, const void *data, size_t len);
/* {"error": "..."} */
void http_reply_error(struct http_conn *c, int status, const char *what);

struct http_deferred;
struct http_deferred *http_defer(struct http_conn *c);      /* NULL: out of memory */
/* The connection to answer on, or NULL when the client is gone; frees the token. */
struct http_conn *http_deferred_conn(struct http_deferred *d);

struct http_stats {
    uint64_t requests, refused;
    uint32_t connections;
};

void http_get_stats(struct http_stats *s);

#endif
