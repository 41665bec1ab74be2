/* SPDX-License-Identifier: MIT */
/*
 * api.h - what the files of endpoints share: a row per endpoint, the call that a handler gets,
 * helpers for answers. To add an endpoint: a row in the table of its subject (routes_*.c), its
 * description in openapi.json and in docs/http-api.md.
 */
#ifndef HTTP_API_H
#define HTTP_API_H

#include "lib/json.h"
#include "lib/why.h"
#include "toolstack/http/auth.h"
#include "toolstack/http/server.h"
#include "toolstack/vm/vm.h"

struct api_call {
    struct http_conn *conn;
    const struct http_request *rq;
    const char *body;           /* collected, NUL-terminated; "" before it is there */
    char name[VM_NAME_MAX];     /* first {...} of the path */
    char item[VM_NAME_MAX];     /* second */
};

struct api_route {
    enum http_method method;    /* HTTP_GET serves HEAD as well */
    const char *path;           /* {...}: one segment of a path */
    enum api_role role;         /* who may */
    size_t body_max;            /* bytes; 0: none */
    /*
     * Called with the whole body; answers, or defers. With TAKES_BODY as body_max it is called when
     * only the head is there and takes the body by http_receive(), or answers without.
     */
    void (*fn)(struct api_call *k);
};

#define TAKES_BODY SIZE_MAX

struct api_table {
    const struct api_route *rows;
    size_t n;
};

#define API_TABLE(name, array) \
    const struct api_table name = { .rows = (array), .n = ARRAY_SIZE(array) }

/* One for each file of endpoints; the list of them is in routes.c. */
extern const struct api_table routes_host, routes_files, routes_domain, routes_tune, routes_device,
    routes_console, routes_events, routes_metrics, routes_page;

/* ---- helpers ---- */

#define TEXT_PLAIN "text/plain; charset=utf-8"

/* Answers with what write() puts out. For long answers it runs twice; clocks and counters may have more digits the
 * second time. */
void api_reply_json(struct http_conn *c, int status,
                    void (*write)(struct json_out *o, const void *arg), const void *arg);

/*
 * An answer that comes later: api_defer() gives what api_created() is called with, once, when the work has ended, or was
 * refused at once (vm NULL then). 201 and what write() puts out of vm, or the error; nothing if the client has gone.
 * api_defer() is NULL after answering 503.
 */
struct http_deferred *api_defer(struct api_call *k);
void api_created(struct http_deferred *d, int rc, const char *why, void (*write)(struct json_out *o, const void *arg),
                 const struct vm *vm);
/* The same with 200, for what creates nothing. */
void api_done(struct http_deferred *d, int rc, const char *why, void (*write)(struct json_out *o, const void *arg),
              const struct vm *vm);

/* For connections of our own. */
struct stream_net *api_net(void);

/* The body is a list of tokens and revoked certificates (auth.h), in force until the host starts anew. */
void api_replace_tokens(struct api_call *k);

/* The status for a negative error of the toolstack. */
int api_status_of(int rc);

/* A reply for fn's that return 0 or a negative error with a line in why: 202 and {}, or the error. */
void api_reply_done(struct api_call *k, int rc, const char *why);

/*
 * The body as JSON. NULL after answering 400 (no JSON, or not an object). Values stay until the
 * next call of this function; *strings is to be freed.
 */
struct json_value *api_body_json(struct api_call *k, char **strings);

/* Members of an object: false after answering 422 when there is none of that type and it is needed,
 * or one of another type. *v stays as it was when there is none. */
bool api_get_string(struct api_call *k, struct json_value *top, const char *key, bool needed,
                    const char **v);
bool api_get_uint(struct api_call *k, struct json_value *top, const char *key, bool needed,
                  uint64_t max, uint64_t *v);
bool api_get_bool(struct api_call *k, struct json_value *top, const char *key, bool *v);

/* ?key=N of the query. False after answering 400. */
bool api_query(struct api_call *k, const char *key, uint64_t fallback, uint64_t *v);

/* The domain that k->name names, by name or number; NULL after answering 404. */
struct vm *api_find_domain(struct api_call *k);

/* The domain with that number; NULL: there is none, or s is no number. */
struct vm *api_domain_by_number(const char *s);

/* A domain as JSON (routes_domain.c); arg is a struct vm. */
void api_write_domain(struct json_out *o, const void *arg);

#endif
