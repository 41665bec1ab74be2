/* SPDX-License-Identifier: MIT */
/* api.c - what endpoints have in common: reading bodies, writing answers. */
#include <stdlib.h>
#include "toolstack/http/api.h"
#include "lib/printf.h"
#include "lib/string.h"

#define LIVE_VALUES 256     /* by how much the text may grow between two looks */

void api_reply_json(struct http_conn *c, int status,
                    void (*write)(struct json_out *o, const void *arg), const void *arg)
{
    static char small[2048];
    struct json_out o;
    char *buf;
    size_t size;

    json_begin(&o, small, sizeof(small));
    write(&o, arg);
    if (o.len < sizeof(small)) {
        small[o.len] = '\n';
        http_reply(c, status, NULL, small, o.len + 1);
        return;
    }
    size = o.len + 1 + LIVE_VALUES;
    buf = malloc(size);
    if (!buf) {
        http_reply_error(c, 503, "out of memory");
        return;
    }
    json_begin(&o, buf, size);
    write(&o, arg);
    buf[MIN(o.len, size - 1)] = '\n';
    http_reply(c, status, NULL, buf, MIN(o.len + 1, size));
    free(buf);
}

struct http_deferred *api_defer(struct api_call *k)
{
    struct http_deferred *d = http_defer(k->conn);

    if (!d)
        http_reply_error(k->conn, 503, "out of memory");
    return d;
}

static void answer_later(struct http_deferred *d, int status, int rc, const char *why,
                         void (*write)(struct json_out *o, const void *arg), const struct vm *vm)
{
    struct http_conn *c = http_deferred_conn(d);

    if (!c)
        return;
    if (rc)
        http_reply_error(c, api_status_of(rc), why);
    else
        api_reply_json(c, status, write, vm);
}

void api_created(struct http_deferred *d, int rc, const char *why, void (*write)(struct json_out *o, const void *arg),
                 const struct vm *vm)
{
    answer_later(d, 201, rc, why, write, vm);
}

void api_done(struct http_deferred *d, int rc, const char *why, void (*write)(struct json_out *o, const void *arg),
              const struct vm *vm)
{
    answer_later(d, 200, rc, why, write, vm);
}

int api_status_of(int rc)
{
    switch (-rc) {
    case XEN_EINVAL:
    case XEN_ENOEXEC:
    case XEN_ENOSPC:
        return 422;
    case XEN_EEXIST:
    case XEN_EBUSY:
        return 409;
    case XEN_ENOENT:
    case XEN_ESRCH:
        return 404;
    case XEN_ENOMEM:
        return 503;
    case XEN_ENOSYS:
    case XEN_EOPNOTSUPP:
        return 501;
    }
    return 500;
}

void api_reply_done(struct api_call *k, int rc, const char *why)
{
    if (rc)
        http_reply_error(k->conn, api_status_of(rc), why);
    else
        http_reply(k->conn, 202, NULL, "{}\n", 3);
}

struct json_value *api_body_json(struct api_call *k, char **strings)
{
    static struct json j;
    size_t len = (size_t)k->rq->content_length;
    struct json_value *top;
    char line[WHY_MAX];

    *strings = malloc(len + JSON_VALUES);
    if (!*strings) {
        http_reply_error(k->conn, 503, "out of memory");
        return NULL;
    }
    top = json_parse(&j, k->body, len, *strings, len + JSON_VALUES);
    if (top && top->type == JSON_OBJECT)
        return top;
    free(*strings);
    *strings = NULL;
    if (top)
        snprintf(line, sizeof(line), "JSON: an object { } is needed");
    else
        snprintf(line, sizeof(line), "JSON, byte %zu: %s", j.error_at, j.error);
    http_reply_error(k->conn, 400, line);
    return NULL;
}

static bool bad_member(struct api_call *k, const char *key, const char *must)
{
    char line[WHY_MAX];

    snprintf(line, sizeof(line), "JSON: \"%s\" must be %s", key, must);
    http_reply_error(k->conn, 422, line);
    return false;
}

bool api_get_string(struct api_call *k, struct json_value *top, const char *key, bool needed,
                    const char **v)
{
    struct json_value *m = json_member(top, key);

    if (m ? m->type != JSON_STRING : needed)
        return bad_member(k, key, "a text");
    if (m)
        *v = m->string;
    return true;
}

bool api_get_uint(struct api_call *k, struct json_value *top, const char *key, bool needed,
                  uint64_t max, uint64_t *v)
{
    struct json_value *m = json_member(top, key);
    char must[64];

    if (m ? m->type != JSON_INT || m->integer < 0 || (uint64_t)m->integer > max : needed) {
        snprintf(must, sizeof(must), "a whole number from 0 to %lu", max);
        return bad_member(k, key, must);
    }
    if (m)
        *v = (uint64_t)m->integer;
    return true;
}

bool api_get_bool(struct api_call *k, struct json_value *top, const char *key, bool *v)
{
    struct json_value *m = json_member(top, key);

    if (m && m->type != JSON_BOOL)
        return bad_member(k, key, "true or false");
    if (m)
        *v = m->integer;
    return true;
}

bool api_query(struct api_call *k, const char *key, uint64_t fallback, uint64_t *v)
{
    char line[64];

    if (http_query_uint(k->rq->query, key, fallback, v))
        return true;
    snprintf(line, sizeof(line), "%s must be a number", key);
    http_reply_error(k->conn, 400, line);
    return false;
}

/* A domain's number, or -1. */
static long number(const char *s)
{
    long n = 0;

    for (; *s >= '0' && *s <= '9' && n < DOMID_FIRST_RESERVED; s++)
        n = n * 10 + (*s - '0');
    return *s || n >= DOMID_FIRST_RESERVED ? -1 : n;
}

struct vm *api_domain_by_number(const char *s)
{
    long id = number(s);

    return id >= 0 ? vm_by_domid((domid_t)id) : NULL;
}

struct vm *api_find_domain(struct api_call *k)
{
    struct vm *vm = vm_find(k->name);
    char line[VM_NAME_MAX + 32];

    if (!vm)
        vm = api_domain_by_number(k->name);
    if (!vm) {
        snprintf(line, sizeof(line), "no domain %s", k->name);
        http_reply_error(k->conn, 404, line);
    }
    return vm;
}
