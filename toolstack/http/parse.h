/* SPDX-License-Identifier: MIT */
/*
 * parse.h - the head of an HTTP/1.1 request (RFC 9112): request line and header fields. Pure.
 *
 * What could be read in two ways by two programs is refused: bare CR or LF, folded fields, spaces
 * before the colon, repeated or odd lengths, Transfer-Encoding (answered 501).
 */
#ifndef HTTP_PARSE_H
#define HTTP_PARSE_H

#include "compiler.h"

#define HTTP_HEAD_MAX   8192
#define HTTP_PATH_MAX   256
#define HTTP_QUERY_MAX  256
#define HTTP_TOKEN_MAX  256
#define HTTP_HOST_MAX   128

enum http_method { HTTP_GET, HTTP_HEAD, HTTP_POST, HTTP_PUT, HTTP_DELETE, HTTP_PATCH, HTTP_OTHER };

struct http_request {
    enum http_method method;
    char path[HTTP_PATH_MAX];       /* percent-decoded, without the query */
    char query[HTTP_QUERY_MAX];     /* as it came */
    uint64_t content_length;
    bool has_length;
    bool has_authorization, has_host, fetch_elsewhere;  /* the parser's own */
    bool version_1_1;               /* else HTTP/1.0 */
    bool keep_alive;
    bool expect_continue;
    bool json;                      /* Content-Type: application/json */
    /*
     * A browser sends it for a page of another site (Origin, Sec-Fetch-Site). Such a page must not
     * use what the browser adds by itself, a client certificate.
     */
    bool cross_site;
    char host[HTTP_HOST_MAX];       /* Host; "" when there is none, or it is too long */
    char origin[HTTP_HOST_MAX];     /* Origin without its scheme */
    char token[HTTP_TOKEN_MAX];     /* Authorization: Bearer; "" when there is none */
    const char *why;                /* when refused */
};

/*
 * Looks at the len bytes received so far. > 0: the length of the head, rq is filled in. 0: not
 * complete yet. < 0: minus the HTTP status to answer with, rq->why says why; close after it.
 */
int http_parse_head(const char *buf, size_t len, struct http_request *rq);

/* The value of key in a query "a=1&b=2" as a number; fallback when absent; false if malformed. */
bool http_query_uint(const char *query, const char *key, uint64_t fallback, uint64_t *v);

const char *http_status_text(int status);

#endif
