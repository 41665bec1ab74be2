/* SPDX-License-Identifier: MIT */
/*
 * response.h - what a client has to read: http:// URLs, and the head of an HTTP response. Pure.
 */
#ifndef HTTP_RESPONSE_H
#define HTTP_RESPONSE_H

#include "compiler.h"

#define URL_HOST_MAX 128
#define URL_PATH_MAX 512
#define RESPONSE_HEAD_MAX 4096

struct url {
    char host[URL_HOST_MAX];    /* name or dotted address */
    uint16_t port;
    char path[URL_PATH_MAX];    /* with the query, without a fragment; begins with / */
};

/* 0, or -XEN_EINVAL with one line in why. */
int url_parse(struct url *u, const char *text, char *why);
/* A Location: an URL, or a path on the same host. */
int url_resolve(struct url *u, const struct url *base, const char *location, char *why);

struct http_response {
    int status;
    bool has_length, has_encoding;      /* Transfer-Encoding: nothing that we asked for */
    uint64_t content_length;
    char location[URL_PATH_MAX];
};

/* > 0: length of the head; 0: not complete yet; < 0: no HTTP response, or a head too long. */
int http_parse_response(const char *buf, size_t len, struct http_response *r);

#endif
