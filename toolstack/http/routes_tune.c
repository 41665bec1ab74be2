/* SPDX-License-Identifier: MIT */
/* routes_tune.c - endpoints that change what a running domain may use: memory, vCPUs, shares; its
 * name. */
#include <stdlib.h>
#include "toolstack/http/api.h"
#include "lib/cpulist.h"
#include "lib/printf.h"
#include "lib/string.h"
#include "lib/words.h"
#include "toolstack/vm/tune.h"

#define BODY 4096

/* Numbers that a body gives a domain. */
struct wanted {
    const char *key[2];         /* the second may be missing */
    uint64_t value[2];          /* as it is; what the body says */
};

/* Domain and body; NULL after answering. */
static struct vm *take(struct api_call *k, struct wanted *w, bool first_needed)
{
    struct vm *vm = api_find_domain(k);
    struct json_value *top;
    char *strings;
    bool ok;

    if (!vm)
        return NULL;
    top = api_body_json(k, &strings);
    if (!top)
        return NULL;
    ok = api_get_uint(k, top, w->key[0], first_needed, INT64_MAX, &w->value[0]) &&
         (!w->key[1] || api_get_uint(k, top, w->key[1], false, UINT32_MAX, &w->value[1]));
    free(strings);
    return ok ? vm : NULL;
}

/* One of the two, so that a call which is refused has changed nothing. */
static void put_memory(struct api_call *k)
{
    struct wanted w = { .key = { "target_kib", "max_kib" }, .value = { ~0UL, ~0UL } };
    struct vm *vm = take(k, &w, false);
    char why[WHY_MAX] = "";

    if (!vm)
        return;
    if ((w.value[0] == ~0UL) == (w.value[1] == ~0UL))
        http_reply_error(k->conn, 422, "one of target_kib and max_kib is wanted");
    else if (w.value[0] != ~0UL)
        api_reply_done(k, vm_set_memory(vm, w.value[0], why), why);
    else
        api_reply_done(k, vm_set_max_memory(vm, w.value[1], why), why);
}

/* Empty: any CPU. */
static void write_cpus(struct json_out *o, const char *key, uint64_t cpus)
{
    json_open(o, key, '[');
    for (uint32_t c = 0; c < CPULIST_CPUS && cpus != CPULIST_ALL; c++) {
        if (cpus >> c & 1)
            json_uint(o, NULL, c);
    }
    json_close(o, ']');
}

static void write_vcpu(struct json_out *o, uint32_t nr, const struct vm_vcpu *v)
{
    json_open(o, NULL, '{');
    json_uint(o, "vcpu", nr);
    json_bool(o, "online", v->online);
    json_bool(o, "running", v->running);
    json_bool(o, "blocked", v->blocked);
    json_uint(o, "cpu", v->cpu);
    json_seconds(o, "cpu_seconds", v->cpu_ns);
    write_cpus(o, "affinity", v->hard);
    write_cpus(o, "soft_affinity", v->soft);
    json_close(o, '}');
}

static void write_vcpus(struct json_out *o, const void *arg)
{
    struct vm_vcpu list[VM_VCPUS];
    int n = vm_get_vcpus((struct vm *)(uintptr_t)arg, list);

    json_open(o, NULL, '[');
    for (int i = 0; i < n; i++)
        write_vcpu(o, (uint32_t)i, &list[i]);
    json_close(o, ']');
}

static void get_vcpus(struct api_call *k)
{
    struct vm *vm = api_find_domain(k);

    if (vm)
        api_reply_json(k->conn, 200, write_vcpus, vm);
}

static void put_vcpus(struct api_call *k)
{
    struct wanted w = { .key = { "online" } };
    struct vm *vm = take(k, &w, true);
    char why[WHY_MAX] = "";

    if (vm)
        api_reply_done(k, vm_set_vcpus(vm, (uint32_t)MIN(w.value[0], UINT32_MAX), why), why);
}

/* A list of CPUs, empty: any. False after answering 422. *cpus stays 0 when there is none. */
static bool take_cpus(struct api_call *k, struct json_value *top, const char *key, uint64_t *cpus)
{
    struct json_value *m = json_member(top, key);
    char line[WHY_MAX];
    bool ok = !m || m->type == JSON_ARRAY;

    if (m && ok && !m->child)
        *cpus = CPULIST_ALL;
    for (struct json_value *e = m && ok ? m->child : NULL; e && ok; e = e->next) {
        ok = e->type == JSON_INT && e->integer >= 0 && e->integer < CPULIST_CPUS;
        if (ok)
            *cpus |= 1UL << e->integer;
    }
    if (!ok) {
        snprintf(line, sizeof(line), "JSON: \"%s\" must be a list of CPUs, from 0 to %u; empty for any", key,
                 CPULIST_CPUS - 1);
        http_reply_error(k->conn, 422, line);
    }
    return ok;
}

/* What the body leaves out stays. Which: a number, or "all". */
static void patch_vcpu(struct api_call *k)
{
    struct vm *vm = api_find_domain(k);
    struct word w = { k->item, strlen(k->item) };
    uint64_t hard = 0, soft = 0, nr = VM_ALL_VCPUS;
    char why[WHY_MAX] = "", *strings;
    struct json_value *top;
    bool ok;
    int rc;

    if (!vm)
        return;
    if (strcmp(k->item, "all") && (!word_number(&w, VM_VCPUS - 1, &nr) || w.len)) {
        snprintf(why, sizeof(why), "%s: there is no vCPU %.32s", vm->cfg.name, k->item);
        http_reply_error(k->conn, 404, why);
        return;
    }
    top = api_body_json(k, &strings);
    if (!top)
        return;
    ok = take_cpus(k, top, "affinity", &hard) && take_cpus(k, top, "soft_affinity", &soft);
    free(strings);
    if (!ok)
        return;
    if (!hard && !soft) {
        http_reply_error(k->conn, 422, "affinity or soft_affinity is wanted");
        return;
    }
    rc = vm_set_affinity(vm, (uint32_t)nr, hard, soft, why);
    if (rc)
        http_reply_error(k->conn, api_status_of(rc), why);
    else
        api_reply_json(k->conn, 200, write_vcpus, vm);
}

static void write_scheduler(struct json_out *o, const void *arg)
{
    const struct vm *vm = arg;

    json_open(o, NULL, '{');
    json_uint(o, "weight", vm->cfg.cpu_weight);
    json_uint(o, "cap", vm->cfg.cpu_cap);
    json_close(o, '}');
}

static void get_scheduler(struct api_call *k)
{
    struct vm *vm = api_find_domain(k);

    if (vm)
        api_reply_json(k->conn, 200, write_scheduler, vm);
}

/* What the body leaves out stays. */
static void put_scheduler(struct api_call *k)
{
    struct wanted w = { .key = { "weight", "cap" }, .value = { ~0UL, ~0UL } };
    struct vm *vm = take(k, &w, false);
    char why[WHY_MAX] = "";
    int rc;

    if (!vm)
        return;
    rc = vm_set_scheduling(vm,
                           w.value[0] == ~0UL ? vm->cfg.cpu_weight
                                              : (uint32_t)MIN(w.value[0], UINT32_MAX),
                           w.value[1] == ~0UL ? vm->cfg.cpu_cap : (uint32_t)w.value[1], why);
    if (rc)
        http_reply_error(k->conn, api_status_of(rc), why);
    else
        api_reply_json(k->conn, 200, write_scheduler, vm);
}

static void rename_domain(struct api_call *k)
{
    struct vm *vm = api_find_domain(k);
    struct json_value *top;
    char why[WHY_MAX] = "", *strings;
    const char *name;
    int rc;

    if (!vm)
        return;
    top = api_body_json(k, &strings);
    if (!top)
        return;
    if (api_get_string(k, top, "name", true, &name)) {
        rc = vm_rename(vm, name, why);
        if (rc)
            http_reply_error(k->conn, api_status_of(rc), why);
        else
            api_reply_json(k->conn, 200, api_write_domain, vm);
    }
    free(strings);
}

static const struct api_route rows[] = {
    { HTTP_PUT, "/v1/domains/{name}/memory", ROLE_ADMIN, BODY, put_memory },
    { HTTP_GET, "/v1/domains/{name}/vcpus", ROLE_READER, 0, get_vcpus },
    { HTTP_PUT, "/v1/domains/{name}/vcpus", ROLE_ADMIN, BODY, put_vcpus },
    { HTTP_PATCH, "/v1/domains/{name}/vcpus/{vcpu}", ROLE_ADMIN, BODY, patch_vcpu },
    { HTTP_GET, "/v1/domains/{name}/scheduler", ROLE_READER, 0, get_scheduler },
    { HTTP_PUT, "/v1/domains/{name}/scheduler", ROLE_ADMIN, BODY, put_scheduler },
    { HTTP_POST, "/v1/domains/{name}/rename", ROLE_ADMIN, BODY, rename_domain },
};

API_TABLE(routes_tune, rows);
