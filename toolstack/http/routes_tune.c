/* SPDX-License-Identifier: MIT */
/* routes_tune.c - endpoints that change what a running domain may use: memory, vCPUs, shares; its
 * name. */
#include <stdlib.h>
#include "toolstack/http/api.h"
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

static void write_vcpus(struct json_out *o, const void *arg)
{
    struct vm_vcpu list[VM_VCPUS];
    int n = vm_get_vcpus((struct vm *)(uintptr_t)arg, list);

    json_open(o, NULL, '[');
    for (int i = 0; i < n; i++) {
        json_open(o, NULL, '{');
        json_uint(o, "vcpu", (uint64_t)i);
        json_bool(o, "online", list[i].online);
        json_bool(o, "running", list[i].running);
        json_bool(o, "blocked", list[i].blocked);
        json_uint(o, "cpu", list[i].cpu);
        json_seconds(o, "cpu_seconds", list[i].cpu_ns);
        json_open(o, "affinity", '[');      /* empty: any CPU */
        for (uint32_t c = 0; c < 64 && list[i].affinity != ~0UL; c++) {
            if (list[i].affinity >> c & 1)
                json_uint(o, NULL, c);
        }
        json_close(o, ']');
        json_close(o, '}');
    }
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
    { HTTP_GET, "/v1/domains/{name}/scheduler", ROLE_READER, 0, get_scheduler },
    { HTTP_PUT, "/v1/domains/{name}/scheduler", ROLE_ADMIN, BODY, put_scheduler },
    { HTTP_POST, "/v1/domains/{name}/rename", ROLE_ADMIN, BODY, rename_domain },
};

API_TABLE(routes_tune, rows);
