/* SPDX-License-Identifier: MIT */
/*
 * fetch.h - a small HTTP client: one file from an http:// URL, given on as it comes. Follows up to
 * five redirections. Asks by HTTP/1.0, so that what comes is the file and nothing around it.
 */
#ifndef HTTP_FETCH_H
#define HTTP_FETCH_H

#include "runtime/stream.h"

#define FETCH_IDLE_NS (30 * 1000000000UL)   /* without a byte: given up */

struct fetch;

struct fetch_events {
    /* The server says so many bytes. Negative refuses them, with one line in why. */
    int (*size)(void *arg, uint64_t bytes, char *why);
    void (*data)(void *arg, const uint8_t *data, size_t len);
    /* It is over: 0 when size bytes came, else a negative error and one line. The fetch is gone. */
    void (*done)(void *arg, int rc, const char *why);
};

/* NULL with one line in why when it cannot begin; then no callback comes. */
struct fetch *fetch_start(struct stream_net *net, const char *url, const struct fetch_events *ev,
                          void *arg, char *why);
/* No more callbacks. */
void fetch_cancel(struct fetch *f);

#endif
