/* SPDX-License-Identifier: MIT */
/*
 * stream.h - a reliable byte stream (TCP, in practice), by callbacks.
 *
 * Who needs connections (NBD client, HTTP server, etcd client) gets a struct stream_net and
 * knows nothing of the stack behind it. All callbacks run from the loop. Inside any callback every
 * function here may be called on the stream, closing it included.
 */
#ifndef RUNTIME_STREAM_H
#define RUNTIME_STREAM_H

#include "compiler.h"

struct stream;

/* IPv4 for now; host byte order. */
struct stream_addr {
    uint32_t ip;
    uint16_t port;
};

struct stream_events {
    /* A connect succeeded (rc 0). After rc < 0 the stream is gone. */
    void (*connected)(void *arg, int rc);
    /*
     * Bytes arrived. Returns how many were taken (0..len); what is left is offered again after
     * stream_resume(), and meanwhile the sender is slowed down by the window.
     */
    size_t (*received)(void *arg, const uint8_t *data, size_t len);
    /* May be NULL. A run of received() is over; what was taken in them stays in memory until this
     * returns, or until the stream is closed or aborted. */
    void (*received_all)(void *arg);
    /* May be NULL. stream_write() took less than asked before, and now there is room. */
    void (*writable)(void *arg);
    /* May be NULL. So many more bytes of what was written have reached the peer; memory that was
     * given with STREAM_REF and lies before them is the writer's again. */
    void (*acked)(void *arg, size_t bytes);
    /* The peer has finished sending; everything it sent was received. May be NULL: then the
     * stream is closed from our side too, and `closed` follows. */
    void (*finished)(void *arg);
    /* The connection is over: rc 0 orderly after both sides finished, else a negative error
     * (-XEN_ECONNRESET, ...). The stream is gone; no more callbacks. */
    void (*closed)(void *arg, int rc);
};

/* What a stack offers. */
struct stream_net {
    void *ctx;
    /* Starts a connection; *s is valid when 0 is returned. */
    int (*connect)(void *ctx, struct stream_addr to, const struct stream_events *ev, void *arg,
                   struct stream **s);
    /* accept(arg, s, peer): take the stream with stream_set_events() and return 0, or refuse it
     * with a negative value. */
    int (*listen)(void *ctx, uint16_t port,
                  int (*accept)(void *arg, struct stream *s, struct stream_addr peer), void *arg);
    /* Looks a host name or dotted address up; fn gets 0 and the address, or a negative error.
     * It may run before resolve() returns. */
    void (*resolve)(void *ctx, const char *name, void (*fn)(void *arg, int rc, uint32_t ip),
                    void *arg);
};

/* The operations on one stream; the stack's struct stream begins with a pointer to these. */
struct stream_ops {
    size_t (*write)(struct stream *s, const void *data, size_t len, unsigned int flags);
    size_t (*room)(struct stream *s);
    void (*resume)(struct stream *s);
    void (*close)(struct stream *s);
    void (*abort)(struct stream *s);
    void (*set_events)(struct stream *s, const struct stream_events *ev, void *arg);
    /* May be NULL: never, and nothing. */
    bool (*by_dma)(struct stream *s);
    void (*mute)(struct stream *s);
    /* May be NULL. */
    void (*keepalive)(struct stream *s, unsigned int idle_s, unsigned int interval_s,
                      unsigned int count);
    const char *(*identity)(struct stream *s);      /* NULL: nobody has one */
    const uint8_t *(*fingerprint)(struct stream *s);
};

struct stream {
    const struct stream_ops *ops;
};

#define STREAM_MORE 1u      /* more follows at once: do not send a short segment yet */
#define STREAM_REF  2u      /* not copied: the memory stays as it is until it is acked(), or the
                               stream was aborted or has ended. Not with stream_close() before that.
                               Addresses of runtime/pinned.h will do */

/* Takes up to len bytes, as a copy or by reference, to be sent; returns how many were taken. No
 * bytes without STREAM_MORE: sends what was written with it. */
static inline size_t stream_write(struct stream *s, const void *data, size_t len,
                                  unsigned int flags)
{
    return s->ops->write(s, data, len, flags);
}

/* Bytes that stream_write() would take now. */
static inline size_t stream_room(struct stream *s)
{
    return s->ops->room(s);
}

/* Would a card read pinned data (runtime/pinned.h) where it is, were it written now? Else it is copied when it is sent. */
static inline bool stream_by_dma(struct stream *s)
{
    return s->ops->by_dma && s->ops->by_dma(s);
}

/* Nothing leaves any more: what would leave may be wrong. To be called from anywhere; stream_abort() has to follow. */
static inline void stream_mute(struct stream *s)
{
    if (s->ops->mute)
        s->ops->mute(s);
}

static inline void stream_resume(struct stream *s)
{
    s->ops->resume(s);
}

/* Sends what is buffered, then finishes; no more callbacks, the stream is gone for the caller. */
static inline void stream_close(struct stream *s)
{
    s->ops->close(s);
}

/* Resets the connection; no more callbacks, the stream is gone. */
static inline void stream_abort(struct stream *s)
{
    s->ops->abort(s);
}

/*
 * What the peer has proved to be: the organizational unit in the certificate that it holds the key
 * of and that was verified. "" when it has proved nothing. Valid as long as the stream.
 */
static inline const char *stream_identity(struct stream *s)
{
    return s->ops->identity ? s->ops->identity(s) : "";
}

/* SHA-256 of the certificate that the peer has shown; NULL: none. */
static inline const uint8_t *stream_fingerprint(struct stream *s)
{
    return s->ops->fingerprint ? s->ops->fingerprint(s) : NULL;
}

static inline void stream_set_events(struct stream *s, const struct stream_events *ev, void *arg)
{
    s->ops->set_events(s, ev, arg);
}

/* A peer that says nothing for idle_s seconds is asked, and is gone after count questions without
 * an answer, interval_s seconds apart. */
static inline void stream_keepalive(struct stream *s, unsigned int idle_s, unsigned int interval_s,
                                    unsigned int count)
{
    if (s->ops->keepalive)
        s->ops->keepalive(s, idle_s, interval_s, count);
}

#endif
