/* SPDX-License-Identifier: MIT */
/* routes_domain.c - endpoints about domains: list, create, end, pause, suspend. */
#include <stdlib.h>
#include "toolstack/http/api.h"
#include "lib/printf.h"
#include "lib/string.h"
#include "runtime/log.h"
#include "runtime/time.h"
#include "toolstack/vm/suspend.h"

static const char *action_name(enum vm_action a)
{
    return a == VM_DESTROY ? "destroy" : a == VM_RESTART ? "restart" : "preserve";
}

static void write_vifs(struct json_out *o, const struct vm_config *cfg)
{
    json_open(o, "vifs", '[');
    for (uint32_t i = 0; i < cfg->nr_vifs; i++) {
        const uint8_t *m = cfg->vif[i].mac;
        char mac[20];

        snprintf(mac, sizeof(mac), "%02x:%02x:%02x:%02x:%02x:%02x", m[0], m[1], m[2], m[3], m[4],
                 m[5]);
        json_open(o, NULL, '{');
        json_string(o, "mac", mac);
        json_string(o, "bridge", cfg->vif[i].bridge);
        json_uint(o, "rate", cfg->vif[i].rate);
        json_close(o, '}');
    }
    json_close(o, ']');
}

static void write_disks(struct json_out *o, const struct vm_config *cfg)
{
    json_open(o, "disks", '[');
    for (uint32_t i = 0; i < cfg->nr_disks; i++) {
        json_open(o, NULL, '{');
        json_string(o, "vdev", cfg->disk[i].vdev);
        json_string(o, "target", cfg->disk[i].target);
        json_string(o, "mode", cfg->disk[i].readonly ? "r" : "w");
        json_close(o, '}');
    }
    json_close(o, ']');
}

static void write_uuid(struct json_out *o, const uint8_t *u)
{
    char text[40];

    snprintf(text, sizeof(text),
             "%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-%02x%02x%02x%02x%02x%02x", u[0], u[1],
             u[2], u[3], u[4], u[5], u[6], u[7], u[8], u[9], u[10], u[11], u[12], u[13], u[14],
             u[15]);
    json_string(o, "uuid", text);
}

/* Seconds since 1970 when it began to run. */
static uint64_t started(const struct vm *vm)
{
    return wallclock(NULL) - (now_ns() - vm->created_ns) / NS_PER_S;
}

void api_write_domain(struct json_out *o, const void *arg)
{
    struct vm *vm = (struct vm *)(uintptr_t)arg;
    const struct vm_config *c = &vm->cfg;
    struct vm_info info;
    bool live = vm->has_domid && vm_get_info(vm, &info) == 0;
    uint64_t kib = c->memory_mib * 1024UL, max_kib = MAX(c->memory_mib, c->maxmem_mib) * 1024UL;

    json_open(o, NULL, '{');
    json_string(o, "name", c->name);
    if (vm->has_domid)
        json_uint(o, "id", vm->domid);
    write_uuid(o, c->uuid);
    json_string(o, "state", vm_state_name(vm->state));
    if (vm->state == VM_SHUTDOWN) {
        json_uint(o, "exit", vm->shutdown_reason);
        json_string(o, "reason", vm_shutdown_name(vm->shutdown_reason));
    }
    json_uint(o, "memory_kib", live ? info.pages * 4 : kib);
    json_uint(o, "target_memory_kib", vm->has_domid ? vm->target_kib : kib);
    json_uint(o, "max_memory_kib", max_kib);
    json_uint(o, "vcpus", MAX(c->vcpus, c->maxvcpus));
    json_uint(o, "vcpus_online", live ? info.vcpus_online : 0);
    json_seconds(o, "cpu_seconds", live ? info.cpu_ns : 0);
    json_bool(o, "blocked", live && info.blocked);
    json_uint(o, "weight", c->cpu_weight);
    json_uint(o, "cap", c->cpu_cap);
    write_vifs(o, c);
    write_disks(o, c);
    if (vm->state != VM_BUILDING)
        json_uint(o, "started", started(vm));
    json_uint(o, "restarts", vm->restarts);
    json_string(o, "on_poweroff", action_name(c->on_poweroff));
    json_string(o, "on_reboot", action_name(c->on_reboot));
    json_string(o, "on_crash", action_name(c->on_crash));
    json_string(o, "on_watchdog", action_name(c->on_watchdog));
    json_close(o, '}');
}

static void write_domains(struct json_out *o, const void *arg)
{
    struct vm *vm;

    json_open(o, NULL, '[');
    vm_for_each(vm)
        api_write_domain(o, vm);
    json_close(o, ']');
}

static void get_domains(struct api_call *k)
{
    api_reply_json(k->conn, 200, write_domains, NULL);
}

static void get_domain(struct api_call *k)
{
    struct vm *vm = api_find_domain(k);

    if (vm)
        api_reply_json(k->conn, 200, api_write_domain, vm);
}

static void created(void *arg, struct vm *vm, int rc, const char *why)
{
    api_created(arg, rc, why, api_write_domain, vm);
}

static void log_warning(void *arg, const char *line)
{
    log_warn("%s", line);
}

/* The body is an xl.cfg, or {"config": "the xl.cfg", "paused": true}. */
static void create(struct api_call *k)
{
    static struct vm_config cfg;
    const char *text = k->body;
    size_t len = (size_t)k->rq->content_length;
    char why[WHY_MAX], *strings = NULL;
    bool paused = false;
    struct http_deferred *d;
    struct vm *vm;
    int rc;

    if (k->rq->json) {
        struct json_value *top = api_body_json(k, &strings);

        if (!top)
            return;
        if (!api_get_string(k, top, "config", true, &text) ||
            !api_get_bool(k, top, "paused", &paused)) {
            free(strings);
            return;
        }
        len = strlen(text);
    }
    rc = vm_config_parse(&cfg, "config", text, len, log_warning, NULL, why, sizeof(why));
    free(strings);
    if (rc) {
        http_reply_error(k->conn, api_status_of(rc), why);
        return;
    }
    d = api_defer(k);
    if (!d)
        return;
    rc = vm_create(&cfg, paused, created, d, &vm, why);
    if (rc)
        api_created(d, rc, why, NULL, NULL);
}

static void act(struct api_call *k, int (*fn)(struct vm *vm, char *why))
{
    struct vm *vm = api_find_domain(k);
    char why[VM_WHY_MAX] = "";

    if (vm)
        api_reply_done(k, fn(vm, why), why);
}

static int ask_poweroff(struct vm *vm, char *why)
{
    return vm_shutdown(vm, "poweroff", why);
}

static int ask_reboot(struct vm *vm, char *why)
{
    return vm_shutdown(vm, "reboot", why);
}

static void shutdown_domain(struct api_call *k)
{
    act(k, ask_poweroff);
}

static void reboot(struct api_call *k)
{
    act(k, ask_reboot);
}

static void destroy(struct api_call *k)
{
    act(k, vm_destroy);
}

static void pause_domain(struct api_call *k)
{
    act(k, vm_pause);
}

static void unpause(struct api_call *k)
{
    act(k, vm_unpause);
}

static void suspended(void *arg, struct vm *vm, int rc, const char *why)
{
    api_done(arg, rc, why, api_write_domain, vm);
}

/* The answer comes when it is suspended, or will not be. ?timeout=SECONDS that the guest has for it. */
static void suspend(struct api_call *k)
{
    struct vm *vm = api_find_domain(k);
    struct http_deferred *d;
    char why[WHY_MAX] = "";
    uint64_t seconds;
    int rc;

    if (!vm || !api_query(k, "timeout", VM_SUSPEND_SECONDS, &seconds))
        return;
    if (seconds < 1 || seconds > VM_SUSPEND_SECONDS_MAX) {
        snprintf(why, sizeof(why), "timeout: 1 to %u seconds", VM_SUSPEND_SECONDS_MAX);
        http_reply_error(k->conn, 422, why);
        return;
    }
    d = api_defer(k);
    if (!d)
        return;
    rc = vm_suspend(vm, (uint32_t)seconds, suspended, d, why);
    if (rc)
        api_done(d, rc, why, NULL, NULL);
}

static void resume(struct api_call *k)
{
    struct vm *vm = api_find_domain(k);
    char why[WHY_MAX] = "";
    int rc = vm ? vm_resume(vm, why) : 0;

    if (rc)
        http_reply_error(k->conn, api_status_of(rc), why);
    else if (vm)
        api_reply_json(k->conn, 200, api_write_domain, vm);
}

static const struct api_route rows[] = {
    { HTTP_GET, "/v1/domains", ROLE_READER, 0, get_domains },
    { HTTP_POST, "/v1/domains", ROLE_ADMIN, HTTP_BODY_MAX, create },
    { HTTP_GET, "/v1/domains/{name}", ROLE_READER, 0, get_domain },
    { HTTP_DELETE, "/v1/domains/{name}", ROLE_ADMIN, 0, destroy },
    { HTTP_POST, "/v1/domains/{name}/shutdown", ROLE_ADMIN, 0, shutdown_domain },
    { HTTP_POST, "/v1/domains/{name}/reboot", ROLE_ADMIN, 0, reboot },
    { HTTP_POST, "/v1/domains/{name}/destroy", ROLE_ADMIN, 0, destroy },
    { HTTP_POST, "/v1/domains/{name}/pause", ROLE_ADMIN, 0, pause_domain },
    { HTTP_POST, "/v1/domains/{name}/unpause", ROLE_ADMIN, 0, unpause },
    { HTTP_POST, "/v1/domains/{name}/suspend", ROLE_ADMIN, 0, suspend },
    { HTTP_POST, "/v1/domains/{name}/resume", ROLE_ADMIN, 0, resume },
};

API_TABLE(routes_domain, rows);
