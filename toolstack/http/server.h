/* SPDX-License-Identifier: MIT */
/*
 * server.h - HTTP/1.1 server over runtime/stream.h.
 *
 * Bounded in everything: connections, head, body, time. Its owner sees a request twice: begin() as
 * soon as the head is there, and complete() when the body was collected. Answers are made at once
 * or later, whole or as a stream of chunks. A connection carries one request after the other.
 */
#ifndef HTTP_SERVER_H
#define HTTP_SERVER_H

#include "runtime/stream.h"
#include "toolstack/http/parse.h"

#define HTTP_CONNECTIONS    64
#define HTTP_STREAMS        40                      /* of them with a streaming answer */
#define HTTP_BODY_MAX       65536                   /* what most requests may carry */
#define HTTP_IDLE_NS        (30 * 1000000000UL)     /* for a request to be complete */

struct http_conn;

struct http_app {
    /*
     * The head is complete. Calls exactly one of: http_reply() and its kin, http_defer(),
     * http_collect(), http_receive(). What an answer given here leaves unread of the body ends the
     * connection.
     */
    void (*begin)(struct http_conn *c, const struct http_request *rq);
    /* After http_collect(): body has rq->content_length bytes and is followed by a NUL. */
    void (*complete)(struct http_conn *c, const struct http_request *rq, const char *body);
};

/* Listens; 0 or a negative error. One server. */
int http_listen(struct stream_net *net, uint16_t port, const struct http_app *app);

/* A word of the app's about the request under way; NULL when it begins. */
void http_set_context(struct http_conn *c, const void *context);
const void *http_context(const struct http_conn *c);

/* Whoever is behind it has shown a credential: kept rather than others when connections run out. */
void http_set_trusted(struct http_conn *c);

/* What the peer has proved to be (stream_identity()). */
const char *http_identity(struct http_conn *c);
/* SHA-256 of the certificate behind that; NULL: there was none. */
const uint8_t *http_fingerprint(struct http_conn *c);

/* Ends all other connections at once. */
void http_drop_others(const struct http_conn *c);

/* ---- bodies ---- */

/* Collects a body of up to max bytes (answers 413 if it is longer), then calls complete(). */
void http_collect(struct http_conn *c, size_t max);

/* A body that is taken as it comes. */
struct http_sink {
    /* Bytes; all of them are taken. A negative value is minus the status to refuse the rest with,
     * *why says why; gone() follows. */
    int (*data)(void *arg, const void *data, size_t len, const char **why);
    /* All content_length bytes were there: answer (or defer). gone() is not called. */
    void (*end)(void *arg, struct http_conn *c);
    /* It will not be complete. */
    void (*gone)(void *arg);
};

/* The body goes to the sink. Needs rq->content_length; of 0 bytes end() is called at once. */
void http_receive(struct http_conn *c, const struct http_sink *sink, void *arg);

/* ---- answers ---- */

/* type NULL: application/json. The data is copied. */
void http_reply(struct http_conn *c, int status, const char *type, const void *data, size_t len);
/* The data is not copied and stays for ever. encoding: "gzip" or NULL. fields: more of the head,
 * each with its CRLF, or NULL. */
void http_reply_static(struct http_conn *c, const char *type, const char *encoding,
                       const char *fields, const void *data, size_t len);
/* The next answer tells the client where its text ends: a field "Next-From: N". */
void http_set_next(struct http_conn *c, uint64_t position);
/* {"error": "..."} */
void http_reply_error(struct http_conn *c, int status, const char *what);

/*
 * A handler whose answer comes later calls http_defer() first; the connection may end meanwhile,
 * and then the reply is dropped: the token stays valid until http_deferred_conn().
 */
struct http_deferred;
struct http_deferred *http_defer(struct http_conn *c);      /* NULL: out of memory */
/* The connection to answer on, or NULL when the client is gone; frees the token. */
struct http_conn *http_deferred_conn(struct http_deferred *d);

#define HTTP_SOURCE_ROOM 4096   /* bytes that fill() may be given at most; at least half of it */

/* An answer that comes in pieces, until its end or the client's. */
struct http_source {
    /* Puts up to size bytes into buf: how many, 0 when there is nothing now (http_wake() later),
     * -1 at the end. Must not call http functions on the connection. */
    long (*fill)(void *arg, char *buf, size_t size);
    /* The answer is over, whatever the reason. Called exactly once. */
    void (*gone)(void *arg);
};

/* Answers 200 with what the source gives, or 503 (and gone()) when there are too many streams. */
void http_reply_stream(struct http_conn *c, const char *type, const struct http_source *source,
                       void *arg);
/* The source has something again. May be called at any time before gone(). */
void http_wake(struct http_conn *c);

struct http_stats {
    uint64_t requests, refused;     /* handed to the app; refused before that */
    uint64_t evicted;               /* connections ended to make room for others */
    uint32_t connections, streams;
};

void http_get_stats(struct http_stats *s);

#endif
