/* SPDX-License-Identifier: MIT */
/* list.c - verbs that tell of domains: list, domid, domname, uptime. */
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include "toolstack/cli/domain.h"
#include "toolstack/cli/host.h"
#include "toolstack/cli/say.h"
#include "toolstack/cli/units.h"

/* Those that argv names, or all. The JSON array holds what list points into. */
static int selected(struct cli *c, int argc, char **argv, json_t **json, struct domain **list, size_t *n)
{
    int rc = 0;

    if (argc == 0)
        return domains_get(c, json, list, n);
    *json = must(json_array());
    *list = must(calloc((size_t)argc, sizeof(**list)));
    for (*n = 0; *n < (size_t)argc && !rc; ++*n) {
        json_t *one;

        rc = domain_get(c, argv[*n], &one, &(*list)[*n]);
        if (!rc)
            json_array_append_new(*json, one);
    }
    if (rc) {
        free(*list);
        json_decref(*json);
        *list = NULL;
        *json = NULL;
    }
    return rc;
}

static const struct table_column columns[] = {
    { .title = "Name", .least = 8 },
    { .title = "ID", .right = true },
    { .title = "Mem", .right = true },
    { .title = "VCPUs", .right = true, .drop = 1 },
    { .title = "State" },
    { .title = "Time(s)", .right = true, .drop = 2 },
    { .title = "UUID", .drop = 4 },
    { .title = "Reason", .drop = 3 },
};

static void print_domain(struct table *t, const struct domain *d)
{
    char id[24] = "-", mem[24], vcpus[12], state[7], seconds[32];

    if (d->id >= 0)
        snprintf(id, sizeof(id), "%" PRId64, d->id);
    snprintf(mem, sizeof(mem), "%" PRIu64, d->memory_kib / 1024);
    snprintf(vcpus, sizeof(vcpus), "%u", d->vcpus_online);
    domain_letters(d, state);
    snprintf(seconds, sizeof(seconds), "%.1f", d->cpu_seconds);
    table_row(t, (const char *[]){ d->name, id, mem, vcpus, state, seconds, d->uuid, d->reason });
}

int verb_list(struct cli *c, int argc, char **argv)
{
    bool whole = false, more = false;
    struct domain *list;
    struct table t;
    json_t *json;
    size_t n;
    int o, rc;

    while ((o = getopt(argc, argv, "lv")) >= 0) {
        if (o == 'l')
            whole = true;
        else if (o == 'v')
            more = true;
        else
            return verb_usage(c, argv[0]);
    }
    rc = selected(c, argc - optind, argv + optind, &json, &list, &n);
    if (rc)
        return rc;
    if (whole || c->json) {
        say_json(json);
    } else {
        table_begin(&t, columns, more ? 8 : 6);
        for (size_t i = 0; i < n; i++)
            print_domain(&t, &list[i]);
        say_table(c, &t);
    }
    free(list);
    json_decref(json);
    return CLI_OK;
}

int verb_domid(struct cli *c, int argc, char **argv)
{
    struct domain d;
    json_t *json;
    int rc;

    if (argc != 2)
        return verb_usage(c, argv[0]);
    rc = domain_get(c, argv[1], &json, &d);
    if (rc)
        return rc;
    if (d.id < 0)
        rc = complain(c, CLI_FAILED, "try again", "%s: domain %s is being built and has no id yet",
                      host_name(c), argv[1]);
    else
        printf("%" PRId64 "\n", d.id);
    json_decref(json);
    return rc;
}

int verb_domname(struct cli *c, int argc, char **argv)
{
    struct domain *list;
    uint64_t id;
    json_t *json;
    size_t n;
    int rc;

    if (argc != 2)
        return verb_usage(c, argv[0]);
    if (!units_number(argv[1], 0, INT32_MAX, &id))
        return complain(c, CLI_USAGE, NULL, "%s is no domain id: a number is expected", argv[1]);
    rc = domains_get(c, &json, &list, &n);
    if (rc)
        return rc;
    rc = CLI_NOT_FOUND;
    for (size_t i = 0; i < n && rc; i++) {
        if (list[i].id != (int64_t)id)
            continue;
        char *name = clean(list[i].name);

        if (c->json)
            say_json((json_t *)(uintptr_t)json_object_get(list[i].json, "name"));
        else
            puts(name);
        free(name);
        rc = CLI_OK;
    }
    if (rc)
        complain(c, CLI_NOT_FOUND, "see sluice list", "%s: no domain has the id %s", host_name(c), argv[1]);
    free(list);
    json_decref(json);
    return rc;
}

int verb_uptime(struct cli *c, int argc, char **argv)
{
    static const struct table_column cols[] = {
        { .title = "Name", .least = 8 },
        { .title = "ID", .right = true },
        { .title = "Uptime" },
    };
    struct domain *list;
    struct table t;
    json_t *json, *host = NULL, *all;
    char up[64], id[24];
    uint64_t now;
    size_t n;
    int rc, o;

    while ((o = getopt(argc, argv, "s")) >= 0)
        if (o != 's')
            return verb_usage(c, argv[0]);
    rc = selected(c, argc - optind, argv + optind, &json, &list, &n);
    if (rc)
        return rc;
    rc = host_json(c, &(struct call){ .method = "GET", .path = "/v1/host", .offer = "host information" },
                   JSON_OBJECT, &host);
    if (rc)
        goto out;
    now = field_uint(host, "time", (uint64_t)time(NULL));
    all = must(json_array());
    table_begin(&t, cols, 3);
    if (argc == optind) {
        uint64_t s = field_uint(host, "uptime_ns", 0) / 1000000000;

        units_uptime(up, sizeof(up), s);
        table_row(&t, (const char *[]){ "(host)", NULL, up });
        json_array_append_new(all, json_pack("{s:n, s:I}", "name", "uptime", (json_int_t)s));
    }
    for (size_t i = 0; i < n; i++) {
        const struct domain *d = &list[i];
        uint64_t s = d->started > 0 && now > (uint64_t)d->started ? now - (uint64_t)d->started : 0;

        snprintf(id, sizeof(id), "%" PRId64, d->id);
        units_uptime(up, sizeof(up), s);
        table_row(&t, (const char *[]){ d->name, d->id < 0 ? NULL : id, d->started ? up : NULL });
        json_array_append_new(all, json_pack("{s:s, s:I, s:o}", "name", d->name, "id", (json_int_t)d->id,
                                             "uptime", d->started ? json_integer((json_int_t)s) : json_null()));
    }
    if (c->json) {
        say_json(all);
        table_end(&t);
    } else {
        say_table(c, &t);
    }
    json_decref(all);
out:
    free(list);
    json_decref(json);
    json_decref(host);
    return rc;
}
