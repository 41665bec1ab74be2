/* SPDX-License-Identifier: MIT */
/* domain.c - domains as a host tells of them (see domain.h). */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "toolstack/cli/domain.h"
#include "toolstack/cli/host.h"
#include "toolstack/cli/say.h"
#include "toolstack/cli/units.h"

const char *field_string(const json_t *o, const char *key)
{
    return json_string_value(json_object_get(o, key));
}

uint64_t field_uint(const json_t *o, const char *key, uint64_t fallback)
{
    const json_t *v = json_object_get(o, key);
    json_int_t i = json_integer_value(v);

    return json_is_integer(v) && i >= 0 ? (uint64_t)i : fallback;
}

double field_number(const json_t *o, const char *key, double fallback)
{
    const json_t *v = json_object_get(o, key);

    return json_is_number(v) ? json_number_value(v) : fallback;
}

bool domain_read(const json_t *v, struct domain *d, const char **why)
{
    uint64_t id;

    *d = (struct domain){ .json = v };
    *why = "a domain that is no object";
    if (!json_is_object(v))
        return false;
    *why = "a domain without a name or state";
    d->name = field_string(v, "name");
    d->state = field_string(v, "state");
    if (!d->name || !d->state)
        return false;
    d->uuid = field_string(v, "uuid");
    d->reason = field_string(v, "reason");
    id = field_uint(v, "id", field_uint(v, "domid", UINT64_MAX));
    d->id = id <= INT32_MAX ? (int64_t)id : -1;
    d->memory_kib = field_uint(v, "memory_kib", field_uint(v, "memory_mib", 0) * 1024);
    d->max_memory_kib = field_uint(v, "max_memory_kib", d->memory_kib);
    d->vcpus = (unsigned int)field_uint(v, "vcpus", 0);
    d->vcpus_online = (unsigned int)field_uint(v, "vcpus_online", d->vcpus);
    d->cpu_seconds = field_number(v, "cpu_seconds", field_number(v, "cpu_ns", 0) / 1e9);
    d->weight = (unsigned int)field_uint(v, "weight", field_uint(v, "cpu_weight", 0));
    d->cap = (unsigned int)field_uint(v, "cap", 0);
    d->started = (int64_t)field_number(v, "started", 0);
    d->restarts = field_uint(v, "restarts", 0);
    d->blocked = json_is_true(json_object_get(v, "blocked"));
    return true;
}

void domain_letters(const struct domain *d, char out[7])
{
    bool crashed = d->reason && (!strcmp(d->reason, "crash") || !strcmp(d->reason, "watchdog"));

    memcpy(out, "------", 7);
    if (!strcmp(d->state, "running"))
        out[d->blocked ? 1 : 0] = d->blocked ? 'b' : 'r';
    else if (!strcmp(d->state, "paused"))
        out[2] = 'p';
    else if (!strcmp(d->state, "shutdown") && crashed)
        out[4] = 'c';
    else if (!strcmp(d->state, "shutdown") || !strcmp(d->state, "suspended"))
        out[3] = 's';
    else if (!strcmp(d->state, "dying"))
        out[5] = 'd';
}

static int nonsense(struct cli *c, const char *why)
{
    return complain(c, CLI_NONSENSE, "is the host newer than this command? see sluice version",
                    "%s: the answer has %s", host_name(c), why);
}

int domains_get(struct cli *c, json_t **json, struct domain **list, size_t *n)
{
    const char *why;
    int rc = host_json(c, &(struct call){ .method = "GET", .path = "/v1/domains",
                                          .what = "asking for the domains", .offer = "a list of domains" },
                       JSON_ARRAY, json);

    *list = NULL;
    *n = 0;
    if (rc)
        return rc;
    *list = must(calloc(json_array_size(*json) + 1, sizeof(**list)));
    for (; *n < json_array_size(*json); ++*n) {
        if (domain_read(json_array_get(*json, *n), &(*list)[*n], &why))
            continue;
        free(*list);
        json_decref(*json);
        *list = NULL;
        *json = NULL;
        *n = 0;
        return nonsense(c, why);
    }
    return CLI_OK;
}

#define SUGGESTED 12        /* names that a complaint lists at most */

/* The domain is not there: says so, with a name that is near, or those that there are. */
static int no_domain(struct cli *c, const char *name)
{
    struct domain *list;
    const char *near = NULL;
    unsigned int best = 3;
    char *hint = NULL;
    json_t *json;
    size_t n, len;
    FILE *f;
    int rc;

    if (domains_get(c, &json, &list, &n))
        return CLI_NOT_FOUND;
    for (size_t i = 0; i < n; i++) {
        unsigned int d = units_distance(name, list[i].name);

        if (d < best && d < strlen(name)) {
            best = d;
            near = list[i].name;
        }
    }
    f = must(open_memstream(&hint, &len));
    if (near) {
        fprintf(f, "did you mean %s?", near);
    } else if (!n) {
        fputs("there are no domains on this host", f);
    } else {
        fputs("there are: ", f);
        for (size_t i = 0; i < n && i < SUGGESTED; i++)
            fprintf(f, "%s%s", i ? ", " : "", list[i].name);
        if (n > SUGGESTED)
            fprintf(f, " and %zu more", n - SUGGESTED);
    }
    fclose(f);
    rc = complain(c, CLI_NOT_FOUND, hint, "%s: no domain %s", host_name(c), name);
    free(hint);
    free(list);
    json_decref(json);
    return rc;
}

int domain_look(struct cli *c, const char *name, json_t **json, struct domain *d)
{
    char *path = host_path("/v1/domains/", name, "");
    const char *why;
    int rc = host_json(c, &(struct call){ .method = "GET", .path = path, .quiet_404 = true,
                                          .what = "asking for the domain", .offer = "single domains" },
                       JSON_OBJECT, json);

    free(path);
    if (!rc && !domain_read(*json, d, &why)) {
        json_decref(*json);
        *json = NULL;
        rc = nonsense(c, why);
    }
    return rc;
}

int domain_get(struct cli *c, const char *name, json_t **json, struct domain *d)
{
    int rc = domain_look(c, name, json, d);

    return rc == CLI_NOT_FOUND ? no_domain(c, name) : rc;
}

int domain_call(struct cli *c, const char *name, const char *method, const char *rest, const char *offer,
                json_t *body, json_t **out)
{
    return domain_call_slow(c, name, method, rest, offer, 0, body, out);
}

int domain_call_slow(struct cli *c, const char *name, const char *method, const char *rest, const char *offer,
                     unsigned int seconds, json_t *body, json_t **out)
{
    char *path = host_path("/v1/domains/", name, rest);
    char *what = must_printf("%s: waiting for the host", name);
    struct answer a;
    int rc;

    rc = host_call(c, &(struct call){ .method = method, .path = path, .what = what, .offer = offer,
                                      .json = body, .timeout = seconds, .quiet_404 = true }, &a);
    if (rc == CLI_NOT_FOUND) {
        json_t *json;
        struct domain d;

        /* The domain, or something of it? */
        rc = domain_get(c, name, &json, &d);
        if (!rc) {
            json_decref(json);
            rc = host_status_error(c, &(struct call){ .path = path, .offer = offer }, a.status, a.body);
        }
    }
    if (!rc && out) {
        *out = json_loadb(a.body, a.len, JSON_REJECT_DUPLICATES, NULL);
        if (!*out)
            rc = nonsense(c, "no JSON in it");
    } else if (!rc && c->json) {
        json_t *o = json_loadb(a.body, a.len, 0, NULL);

        if (!o)
            o = json_object();
        say_json(o);
        json_decref(o);
    }
    answer_free(&a);
    free(what);
    free(path);
    return rc;
}
