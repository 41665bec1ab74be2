/* SPDX-License-Identifier: MIT */
/* tune.c - verbs for CPUs and memory: vcpu-list, vcpu-set, vcpu-pin, mem-set, mem-max, sched-credit. */
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "toolstack/cli/domain.h"
#include "toolstack/cli/host.h"
#include "toolstack/cli/say.h"
#include "toolstack/cli/units.h"
#include "lib/cpulist.h"
#include "lib/why.h"

#define MAX_VCPUS 512

/* ------------------------------------------------------------------ vCPUs */

static const struct table_column vcpu_columns[] = {
    { .title = "Name", .least = 8 },
    { .title = "ID", .right = true },
    { .title = "VCPU", .right = true },
    { .title = "CPU", .right = true },
    { .title = "State" },
    { .title = "Time(s)", .right = true },
    { .title = "Affinity (Hard / Soft)", .least = 8, .drop = 1 },
};

/* A host's list of CPUs as "0-3,5"; "all" for an empty one, NULL for something else. */
static const char *cpus_text(const json_t *list, char *buf)
{
    uint64_t cpus = 0;

    if (!json_is_array(list))
        return NULL;
    for (size_t i = 0; i < json_array_size(list); i++) {
        json_int_t n = json_integer_value(json_array_get(list, i));

        if (n >= 0 && n < (json_int_t)CPULIST_CPUS)
            cpus |= 1ul << n;
    }
    return json_array_size(list) ? cpulist_text(cpus, buf) : "all";
}

/* Both, as xl shows them; only one from hosts that have no other. */
static char *affinity_text(const json_t *v)
{
    char may[CPULIST_TEXT], rather[CPULIST_TEXT];
    const char *hard = cpus_text(json_object_get(v, "affinity"), may);
    const char *soft = cpus_text(json_object_get(v, "soft_affinity"), rather);

    return must_printf("%s%s%s", hard ? hard : "-", soft ? " / " : "", soft ? soft : "");
}

static void vcpu_row(struct table *t, const struct domain *d, const json_t *v)
{
    bool online = json_is_true(json_object_get(v, "online"));
    bool running = json_is_true(json_object_get(v, "running")), blocked = json_is_true(json_object_get(v, "blocked"));
    char id[24], vcpu[24], cpu[24] = "-", seconds[32];
    char *affinity = affinity_text(v);

    snprintf(id, sizeof(id), "%" PRId64, d->id);
    snprintf(vcpu, sizeof(vcpu), "%" PRIu64, field_uint(v, "vcpu", 0));
    if (online)
        snprintf(cpu, sizeof(cpu), "%" PRIu64, field_uint(v, "cpu", 0));
    snprintf(seconds, sizeof(seconds), "%.1f", field_number(v, "cpu_seconds", 0));
    table_row(t, (const char *[]){ d->name, id, vcpu, cpu, !online ? "--p" : running ? "r--" : blocked ? "-b-" : "---",
                                   seconds, affinity });
    free(affinity);
}

/* One of all: it may have ended since they were listed. */
static int vcpus_of(struct cli *c, const struct domain *d, bool one_of_all, struct table *t, json_t *all)
{
    char *path = host_path("/v1/domains/", d->name, "/vcpus");
    json_t *vcpus;
    int rc = host_json(c, &(struct call){ .method = "GET", .path = path, .offer = "lists of vCPUs",
                                          .quiet_404 = true }, JSON_ARRAY, &vcpus);

    free(path);
    if (rc == CLI_NOT_FOUND && !one_of_all)
        complain(c, rc, "see sluice list", "%s: domain %s is gone", host_name(c), d->name);
    if (rc)
        return one_of_all && rc == CLI_NOT_FOUND ? CLI_OK : rc;
    for (size_t i = 0; i < json_array_size(vcpus); i++)
        vcpu_row(t, d, json_array_get(vcpus, i));
    json_object_set_new(all, d->name, vcpus);
    return CLI_OK;
}

int verb_vcpu_list(struct cli *c, int argc, char **argv)
{
    struct domain *list = NULL;
    json_t *json = NULL, *all = must(json_object());
    struct table t;
    size_t n = 0;
    int rc = CLI_OK;

    table_begin(&t, vcpu_columns, ARRAY_SIZE(vcpu_columns));
    if (argc == 1)
        rc = domains_get(c, &json, &list, &n);
    for (size_t i = 0; i < n && !rc; i++)
        rc = vcpus_of(c, &list[i], true, &t, all);
    for (int i = 1; i < argc && !rc; i++) {
        struct domain d;

        rc = domain_get(c, argv[i], &json, &d);
        if (!rc)
            rc = vcpus_of(c, &d, false, &t, all);
        json_decref(json);
        json = NULL;
    }
    if (!rc && !c->json)
        say_table(c, &t);
    else if (!rc)
        say_json(all);
    table_end(&t);
    free(list);
    json_decref(json);
    json_decref(all);
    return rc;
}

int verb_vcpu_set(struct cli *c, int argc, char **argv)
{
    uint64_t n;
    json_t *body;
    int o, rc;

    while ((o = getopt(argc, argv, "i")) >= 0)      /* xl: ignore the host's CPU count; we do */
        if (o != 'i')
            return verb_usage(c, argv[0]);
    if (argc - optind != 2)
        return verb_usage(c, argv[0]);
    if (!units_number(argv[optind + 1], 1, MAX_VCPUS, &n))
        return complain(c, CLI_USAGE, NULL, "%s is no number of vCPUs", argv[optind + 1]);
    body = json_pack("{s:I}", "online", (json_int_t)n);
    rc = domain_call(c, argv[optind], "PUT", "/vcpus", "changing the number of vCPUs", body, NULL);
    json_decref(body);
    return rc;
}

/* A set of CPUs, into the request under that name; "-" leaves it as it is. */
static int take_cpus(struct cli *c, json_t *body, const char *key, const char *text)
{
    json_t *list;
    uint64_t cpus;
    char why[WHY_MAX];

    if (!strcmp(text, "-"))
        return CLI_OK;
    if (cpulist_parse(text, &cpus, why))
        return complain(c, CLI_USAGE, "for example 0-3, 0-3,^1, 2,5 or all; - leaves it as it is", "%s", why);
    list = must(json_array());
    for (unsigned int i = 0; i < CPULIST_CPUS && cpus != CPULIST_ALL; i++) {
        if (cpus >> i & 1)
            json_array_append_new(list, json_integer(i));
    }
    json_object_set_new(body, key, list);
    return CLI_OK;
}

int verb_vcpu_pin(struct cli *c, int argc, char **argv)
{
    json_t *body;
    char rest[48] = "/vcpus/all";
    uint64_t vcpu;
    static const struct option longs[] = { { "force", no_argument, NULL, 'f' }, { 0 } };
    const char *verb = argv[0];
    int o, n, rc;

    while ((o = getopt_long(argc, argv, "f", longs, NULL)) >= 0)
        if (o != 'f')       /* xl: undo what the guest had pinned; guests cannot */
            return verb_usage(c, verb);
    n = argc - optind;
    argv += optind;
    if (n != 3 && n != 4)
        return verb_usage(c, verb);
    if (units_number(argv[1], 0, MAX_VCPUS, &vcpu))
        snprintf(rest, sizeof(rest), "/vcpus/%" PRIu64, vcpu);
    else if (strcmp(argv[1], "all"))
        return complain(c, CLI_USAGE, "its number as sluice vcpu-list shows it, or all", "%s is no vCPU", argv[1]);
    body = must(json_object());
    rc = take_cpus(c, body, "affinity", argv[2]);
    if (!rc && n == 4)
        rc = take_cpus(c, body, "soft_affinity", argv[3]);
    if (!rc && json_object_size(body))      /* "-" alone: nothing is to change */
        rc = domain_call(c, argv[0], "PATCH", rest, "tying vCPUs to CPUs", body, NULL);
    json_decref(body);
    return rc;
}

/* ------------------------------------------------------------------ memory */

static int set_memory(struct cli *c, int argc, char **argv, const char *key, const char *what)
{
    uint64_t kib;
    json_t *body;
    int rc;

    if (argc != 3)
        return verb_usage(c, argv[0]);
    if (!units_memory_kib(argv[2], &kib))
        return complain(c, CLI_USAGE, "for example 512 or 512m (MiB), 2g, 1048576k", "%s is no amount of memory",
                        argv[2]);
    body = json_pack("{s:I}", key, (json_int_t)kib);
    rc = domain_call(c, argv[1], "PUT", "/memory", what, body, NULL);
    json_decref(body);
    return rc;
}

int verb_mem_set(struct cli *c, int argc, char **argv)
{
    return set_memory(c, argc, argv, "target_kib", "changing a domain's memory");
}

int verb_mem_max(struct cli *c, int argc, char **argv)
{
    return set_memory(c, argc, argv, "max_kib", "changing the most that a domain may have");
}

/* ------------------------------------------------------------------ weights and caps */

static const struct table_column credit_columns[] = {
    { .title = "Name", .least = 8 },
    { .title = "ID", .right = true },
    { .title = "Weight", .right = true },
    { .title = "Cap", .right = true },
};

static void credit_row(struct table *t, const char *name, int64_t id, uint64_t weight, uint64_t cap)
{
    char i[24], w[24], p[24];

    snprintf(i, sizeof(i), "%" PRId64, id);
    snprintf(w, sizeof(w), "%" PRIu64, weight);
    snprintf(p, sizeof(p), "%" PRIu64, cap);
    table_row(t, (const char *[]){ name, id < 0 ? NULL : i, w, p });
}

static int show_credit(struct cli *c, const char *name)
{
    struct domain *list = NULL, one;
    json_t *json, *all = must(json_array());
    struct table t;
    size_t n = 1;
    int rc = name ? domain_get(c, name, &json, &one) : domains_get(c, &json, &list, &n);

    if (!rc) {
        const struct domain *d = name ? &one : list;

        table_begin(&t, credit_columns, ARRAY_SIZE(credit_columns));
        for (size_t i = 0; i < n; i++) {
            credit_row(&t, d[i].name, d[i].id, d[i].weight, d[i].cap);
            json_array_append_new(all, json_pack("{s:s, s:i, s:i}", "name", d[i].name, "weight",
                                                 (int)d[i].weight, "cap", (int)d[i].cap));
        }
        if (c->json) {
            say_json(name ? json_array_get(all, 0) : all);
            table_end(&t);
        } else {
            say_table(c, &t);
        }
        free(list);
        json_decref(json);
    }
    json_decref(all);
    return rc;
}

int verb_sched_credit(struct cli *c, int argc, char **argv)
{
    const char *name = NULL;
    uint64_t v;
    json_t *body = must(json_object());
    int o, rc = CLI_OK;

    while ((o = getopt(argc, argv, "d:w:c:")) >= 0 && !rc) {
        if (o == 'd')
            name = optarg;
        else if (o == 'w' && units_number(optarg, 1, 65535, &v))
            json_object_set_new(body, "weight", json_integer((json_int_t)v));
        else if (o == 'w')
            rc = complain(c, CLI_USAGE, NULL, "%s is no weight: from 1 to 65535, 256 is usual", optarg);
        else if (o == 'c' && units_number(optarg, 0, 100 * MAX_VCPUS, &v))
            json_object_set_new(body, "cap", json_integer((json_int_t)v));
        else if (o == 'c')
            rc = complain(c, CLI_USAGE, NULL, "%s is no cap: per cent of one CPU, 0 for none", optarg);
        else
            rc = verb_usage(c, argv[0]);
    }
    if (!rc && (argc != optind || (!name && json_object_size(body))))
        rc = verb_usage(c, argv[0]);
    if (!rc && !json_object_size(body))
        rc = show_credit(c, name);
    else if (!rc)
        rc = domain_call(c, name, "PUT", "/scheduler", "changing weights and caps", body, NULL);
    json_decref(body);
    return rc;
}
