/* SPDX-License-Identifier: MIT */
/*
 * routes.c - from a request to its endpoint: who asks, which row of which table, may he. Before a
 * credential was shown nothing is said but 401, not even whether a path exists.
 */
#include "toolstack/http/routes.h"
#include "toolstack/http/api.h"
#include "lib/string.h"
#include "runtime/log.h"

static struct auth_tokens *tokens;  /* NULL: no credentials are asked for */
static struct stream_net *outside_net;

static const struct api_table *const tables[] = {
    &routes_host,
    &routes_files,
    &routes_domain,
    &routes_tune,
    &routes_device,
    &routes_console,
    &routes_events,
    &routes_metrics,
    &routes_page,
};

/* Copies what stands for a {...}: one segment. NULL when it is empty or too long. */
static const char *take_segment(const char *path, char *out, size_t size)
{
    size_t n = 0;

    while (path[n] && path[n] != '/')
        n++;
    if (!n || n >= size)
        return NULL;
    memcpy(out, path, n);
    out[n] = '\0';
    return path + n;
}

static bool path_fits(const char *pattern, const char *path, struct api_call *k)
{
    char *slot = k->name;

    for (; *pattern; pattern++) {
        if (*pattern == '{') {
            path = take_segment(path, slot, VM_NAME_MAX);
            if (!path)
                return false;
            slot = k->item;
            pattern = strchr(pattern, '}');
        } else if (*pattern != *path++) {
            return false;
        }
    }
    return !*path;
}

/* The row, or NULL; *known: the path exists, with another method. */
static const struct api_route *find_route(struct api_call *k, bool *known)
{
    enum http_method method = k->rq->method == HTTP_HEAD ? HTTP_GET : k->rq->method;

    *known = false;
    for (size_t t = 0; t < ARRAY_SIZE(tables); t++) {
        for (size_t i = 0; i < tables[t]->n; i++) {
            const struct api_route *r = &tables[t]->rows[i];

            if (!path_fits(r->path, k->rq->path, k))
                continue;
            *known = true;
            if (r->method == method)
                return r;
        }
    }
    return NULL;
}

/* By what the connection has proved, or by the token of this request: whichever may more. */
static enum api_role role_of(struct api_call *k, const struct auth_tokens *list)
{
    const char *identity = http_identity(k->conn);
    const uint8_t *fingerprint = http_fingerprint(k->conn);
    enum api_role role = ROLE_ANYBODY, by_token;

    if (!list)
        return ROLE_ADMIN;
    /* A certificate goes along with whatever makes a browser send a request; a token does not. */
    if (!k->rq->cross_site && fingerprint && !auth_revoked(list, fingerprint))
        role = auth_role_by_name(identity, strlen(identity));
    by_token = auth_token_role(list, k->rq->token);
    return MAX(role, by_token);
}

/*
 * Connections were let in by the old list, streams among them, so all but this one end. Whoever
 * writes the list stays an administrator: he could not correct it otherwise.
 */
void api_replace_tokens(struct api_call *k)
{
    static struct auth_tokens fresh;
    char why[WHY_MAX];

    if (!tokens) {
        http_reply_error(k->conn, 409, "this host asks for no credential (api=insecure)");
        return;
    }
    if (auth_parse_tokens(&fresh, k->body, k->rq->content_length, why)) {
        http_reply_error(k->conn, 422, why);
        return;
    }
    if (role_of(k, &fresh) != ROLE_ADMIN) {
        http_reply_error(k->conn, 409, "with this list the credential of this very request would not "
                                       "be an administrator's");
        return;
    }
    *tokens = fresh;
    http_drop_others(k->conn);
    log_info("API: a new list, %u line%s", fresh.n, fresh.n == 1 ? "" : "s");
    http_reply(k->conn, 200, NULL, "{}", 2);
}

static void begin(struct http_conn *c, const struct http_request *rq)
{
    struct api_call k = { .conn = c, .rq = rq, .body = "" };
    bool known;
    const struct api_route *r = find_route(&k, &known);
    enum api_role role = role_of(&k, tokens);

    if (role >= ROLE_READER)
        http_set_trusted(c);
    else if (!r || r->role > role) {
        http_reply_error(c, 401, "a token or a client certificate is needed");
        return;
    }
    if (!r)
        http_reply_error(c, known ? 405 : 404,
                         known ? "this path knows other methods only" : "no such path");
    else if (r->role > role)
        http_reply_error(c, 403, "this needs the role admin");
    else if (r->body_max == TAKES_BODY)
        r->fn(&k);
    else {
        http_set_context(c, r);
        http_collect(c, r->body_max);
    }
}

static void complete(struct http_conn *c, const struct http_request *rq, const char *body)
{
    struct api_call k = { .conn = c, .rq = rq, .body = body };
    const struct api_route *r = http_context(c);

    (void)path_fits(r->path, rq->path, &k);
    r->fn(&k);
}

struct stream_net *api_net(void)
{
    return outside_net;
}

int api_start(struct stream_net *net, uint16_t port, struct auth_tokens *t,
              struct stream_net *outside)
{
    static const struct http_app app = { .begin = begin, .complete = complete };

    tokens = t;
    outside_net = outside;
    return http_listen(net, port, &app);
}
