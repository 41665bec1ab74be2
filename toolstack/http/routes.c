/* SPDX-License-Identifier: MIT */
/*
 * routes.c - the HTTP API: one row per endpoint.
 *
 * Domains are named in the path by their name. Answers are JSON but for consoles and logs, which
 * are text. An error is {"error": "one line"} with a status of the 4xx or 5xx kind.
 */
#include <stdlib.h>
#include "toolstack/http/routes.h"
#include "toolstack/http/server.h"
#include "toolstack/vm/console.h"
#include "toolstack/vm/file.h"
#include "toolstack/vm/hv.h"
#include "toolstack/vm/vm.h"
#include "lib/json.h"
#include "lib/printf.h"
#include "lib/string.h"
#include "lib/why.h"
#include "runtime/log.h"
#include "runtime/loop.h"
#include "runtime/mem.h"
#include "runtime/time.h"

struct call {
    struct http_conn *conn;
    const struct http_request *rq;
    const char *body;
    char name[VM_NAME_MAX];     /* {name} of the path */
};

#define LIVE_VALUES 256     /* by how much the text may grow between two looks */

/* Answers with what write() puts out, in a buffer of the right size; clocks and counters may have
 * more digits the second time. */
static void reply_json(struct http_conn *c, int status,
                       void (*write)(struct json_out *o, const void *arg), const void *arg)
{
    struct json_out o;
    char *buf;
    size_t size;

    json_begin(&o, NULL, 0);
    write(&o, arg);
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

static int status_of(int rc)
{
    switch (-rc) {
    case XEN_EINVAL:
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
        return 501;
    }
    return 500;
}

/* ------------------------------------------------------------------ host */

static void write_host(struct json_out *o, const void *arg)
{
    struct mem_stats mem;
    struct loop_stats loop;
    struct http_stats http;
    struct hv_host host;
    uint32_t domains = 0;
    struct vm *vm;

    mem_get_stats(&mem);
    loop_get_stats(&loop);
    http_get_stats(&http);
    vm_for_each(vm)
        domains++;
    json_open(o, NULL, '{');
    json_string(o, "software", "sluice");
    json_uint(o, "uptime_ns", now_ns());
    json_uint(o, "time", wallclock(NULL));
    if (hv_host_info(&host) == 0) {
        json_uint(o, "cpus", host.cpus);
        json_uint(o, "memory_pages", host.total_pages);
        json_uint(o, "memory_free_pages", host.free_pages);
    }
    json_uint(o, "domains", domains);
    json_open(o, "dom0", '{');
    json_uint(o, "pages", mem.pages_total);
    json_uint(o, "pages_free", mem.pages_free);
    json_uint(o, "heap_bytes", mem.heap_bytes);
    json_uint(o, "busy_ns", loop.busy_ns);
    json_uint(o, "http_requests", http.requests);
    json_uint(o, "http_refused", http.refused);
    json_close(o, '}');
    json_close(o, '}');
}

static void get_host(struct call *k)
{
    reply_json(k->conn, 200, write_host, NULL);
}

#define MAX_COUNTERS 96

struct counters {
    int n;
    struct xen_sysctl_perfc_desc names[MAX_COUNTERS];
    uint32_t values[MAX_COUNTERS];
};

static void write_counters(struct json_out *o, const void *arg)
{
    const struct counters *c = arg;
    struct loop_stats loop;
    struct hv_host host = { 0 };
    uint64_t idle = 0;

    loop_get_stats(&loop);
    (void)hv_host_info(&host);
    for (uint32_t cpu = 0; cpu < host.cpus; cpu++)
        idle += hv_idle_ns(cpu);
    json_open(o, NULL, '{');
    json_uint(o, "uptime_ns", now_ns());
    json_uint(o, "idle_ns", idle);
    json_uint(o, "dom0_busy_ns", loop.busy_ns);
    for (int i = 0; i < c->n; i++) {
        if (c->values[i])
            json_uint(o, c->names[i].name, c->values[i]);
    }
    json_close(o, '}');
}

/* What the hypervisor counts, without what never happened; 32 bits wide each. */
static void get_counters(struct call *k)
{
    static struct counters c;

    c.n = hv_counters(c.names, c.values, MAX_COUNTERS);
    if (c.n < 0)
        http_reply_error(k->conn, status_of(c.n), "the hypervisor has no counters");
    else
        reply_json(k->conn, 200, write_counters, &c);
}

static void get_files(struct call *k);

static void get_log(struct call *k)
{
    uint64_t pos;
    size_t n;
    char *buf;

    if (!http_query_uint(k->rq->query, "from", 0, &pos)) {
        http_reply_error(k->conn, 400, "from must be a number");
        return;
    }
    buf = malloc(CONSOLE_KEEP);
    if (!buf) {
        http_reply_error(k->conn, 503, "out of memory");
        return;
    }
    n = log_read(&pos, buf, CONSOLE_KEEP);
    http_reply(k->conn, 200, "text/plain; charset=utf-8", buf, n);
    free(buf);
}

static void write_files(struct json_out *o, const void *arg)
{
    struct file *f;

    json_open(o, NULL, '[');
    file_for_each(f) {
        json_open(o, NULL, '{');
        json_string(o, "name", f->name);
        json_uint(o, "size", f->size);
        json_close(o, '}');
    }
    json_close(o, ']');
}

static void get_files(struct call *k)
{
    reply_json(k->conn, 200, write_files, NULL);
}

/* ------------------------------------------------------------------ domains */

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
        json_uint(o, "rate", cfg->vif[i].rate);
        json_close(o, '}');
    }
    json_close(o, ']');
}

static void write_domain(struct json_out *o, const void *arg)
{
    struct vm *vm = (struct vm *)(uintptr_t)arg;
    struct vm_info info;

    json_open(o, NULL, '{');
    json_string(o, "name", vm->cfg.name);
    json_string(o, "state", vm_state_name(vm->state));
    if (vm->has_domid)
        json_uint(o, "domid", vm->domid);
    if (vm->state == VM_SHUTDOWN)
        json_string(o, "reason", vm_shutdown_name(vm->shutdown_reason));
    json_uint(o, "memory_mib", vm->cfg.memory_mib);
    json_uint(o, "vcpus", vm->cfg.vcpus);
    json_uint(o, "cpu_weight", vm->cfg.cpu_weight);
    json_uint(o, "cap", vm->cfg.cpu_cap);
    json_string(o, "on_poweroff", action_name(vm->cfg.on_poweroff));
    json_string(o, "on_reboot", action_name(vm->cfg.on_reboot));
    json_string(o, "on_crash", action_name(vm->cfg.on_crash));
    json_uint(o, "restarts", vm->restarts);
    write_vifs(o, &vm->cfg);
    if (vm->has_domid && vm_get_info(vm, &info) == 0) {
        json_uint(o, "cpu_ns", info.cpu_ns);
        json_uint(o, "pages", info.pages);
        json_uint(o, "vcpus_online", info.vcpus_online);
        json_bool(o, "blocked", info.blocked);
    }
    json_close(o, '}');
}

static void write_domains(struct json_out *o, const void *arg)
{
    struct vm *vm;

    json_open(o, NULL, '[');
    vm_for_each(vm)
        write_domain(o, vm);
    json_close(o, ']');
}

static void get_domains(struct call *k)
{
    reply_json(k->conn, 200, write_domains, NULL);
}

static struct vm *find_domain(struct call *k)
{
    struct vm *vm = vm_find(k->name);
    char line[VM_NAME_MAX + 32];

    if (!vm) {
        snprintf(line, sizeof(line), "no domain %s", k->name);
        http_reply_error(k->conn, 404, line);
    }
    return vm;
}

static void get_domain(struct call *k)
{
    struct vm *vm = find_domain(k);

    if (vm)
        reply_json(k->conn, 200, write_domain, vm);
}

static void created(void *arg, struct vm *vm, int rc, const char *why)
{
    struct http_conn *c = http_deferred_conn(arg);

    if (!c)
        return;
    if (rc)
        http_reply_error(c, status_of(rc), why);
    else
        reply_json(c, 201, write_domain, vm);
}

static void log_warning(void *arg, const char *line)
{
    log_warn("%s", line);
}

/* The body is an xl.cfg, or {"config": "the xl.cfg", "paused": true}. */
static void create(struct call *k)
{
    static struct json j;
    static struct vm_config cfg;
    const char *text = k->body;
    size_t len = (size_t)k->rq->content_length;
    char why[WHY_MAX], *strings = NULL;
    bool paused = false;
    struct http_deferred *d;
    struct vm *vm;
    int rc = 0;

    if (k->rq->json) {
        struct json_value *top, *v;

        strings = malloc(len + JSON_VALUES);
        if (!strings) {
            http_reply_error(k->conn, 503, "out of memory");
            return;
        }
        top = json_parse(&j, text, len, strings, len + JSON_VALUES);
        v = json_member(top, "config");
        if (!top)
            rc = why_set(why, -XEN_EINVAL, "JSON, byte %zu: %s", j.error_at, j.error);
        else if (!v || v->type != JSON_STRING)
            rc = why_set(why, -XEN_EINVAL, "JSON: \"config\" must be a text, the domain's xl.cfg");
        else
            text = v->string;
        len = rc ? 0 : strlen(text);
        v = json_member(top, "paused");
        if (!rc && v && v->type != JSON_BOOL)
            rc = why_set(why, -XEN_EINVAL, "JSON: \"paused\" must be true or false");
        paused = v && v->integer;
    }
    if (!rc)
        rc = vm_config_parse(&cfg, "config", text, len, log_warning, NULL, why, sizeof(why));
    free(strings);
    if (rc) {
        http_reply_error(k->conn, status_of(rc), why);
        return;
    }
    d = http_defer(k->conn);
    if (!d) {
        http_reply_error(k->conn, 503, "out of memory");
        return;
    }
    rc = vm_create(&cfg, paused, created, d, &vm, why);
    if (rc)
        http_reply_error(http_deferred_conn(d), status_of(rc), why);
}

static void act(struct call *k, int (*fn)(struct vm *vm, char *why))
{
    struct vm *vm = find_domain(k);
    char why[VM_WHY_MAX] = "";
    int rc;

    if (!vm)
        return;
    rc = fn(vm, why);
    if (rc)
        http_reply_error(k->conn, status_of(rc), why);
    else
        http_reply(k->conn, 202, NULL, "{}\n", 3);
}

static int ask_poweroff(struct vm *vm, char *why)
{
    return vm_shutdown(vm, "poweroff", why);
}

static int ask_reboot(struct vm *vm, char *why)
{
    return vm_shutdown(vm, "reboot", why);
}

static void shutdown_domain(struct call *k)
{
    act(k, ask_poweroff);
}

static void reboot(struct call *k)
{
    act(k, ask_reboot);
}

static void destroy(struct call *k)
{
    act(k, vm_destroy);
}

static void pause_domain(struct call *k)
{
    act(k, vm_pause);
}

static void unpause(struct call *k)
{
    act(k, vm_unpause);
}

/* ------------------------------------------------------------------ consoles */

static struct console *find_console(struct call *k)
{
    struct console *c = console_find(k->name);
    char line[VM_NAME_MAX + 32];

    if (!c) {
        snprintf(line, sizeof(line), "no console of a domain %s", k->name);
        http_reply_error(k->conn, 404, line);
    }
    return c;
}

static void console_get(struct call *k)
{
    struct console *con = find_console(k);
    uint64_t pos;
    size_t n;
    char *buf;

    if (!con)
        return;
    if (!http_query_uint(k->rq->query, "from", 0, &pos)) {
        http_reply_error(k->conn, 400, "from must be a number");
        return;
    }
    buf = malloc(CONSOLE_KEEP);
    if (!buf) {
        http_reply_error(k->conn, 503, "out of memory");
        return;
    }
    n = console_read(con, &pos, buf, CONSOLE_KEEP);
    http_reply(k->conn, 200, "text/plain; charset=utf-8", buf, n);
    free(buf);
}

static void console_put(struct call *k)
{
    struct console *con = find_console(k);
    char answer[48];
    size_t n;

    if (!con)
        return;
    n = console_input(con, k->body, (size_t)k->rq->content_length);
    http_reply(k->conn, 200, NULL, answer,
               (size_t)snprintf(answer, sizeof(answer), "{\"accepted\":%zu}\n", n));
}

/* ------------------------------------------------------------------ dispatch */

static const struct {
    enum http_method method;
    const char *path;           /* {name}: a domain's */
    void (*fn)(struct call *k);
} routes[] = {
    { HTTP_GET,    "/v1/host", get_host },
    { HTTP_GET,    "/v1/log", get_log },
    { HTTP_GET,    "/v1/counters", get_counters },
    { HTTP_GET,    "/v1/files", get_files },
    { HTTP_GET,    "/v1/domains", get_domains },
    { HTTP_POST,   "/v1/domains", create },
    { HTTP_GET,    "/v1/domains/{name}", get_domain },
    { HTTP_DELETE, "/v1/domains/{name}", destroy },
    { HTTP_POST,   "/v1/domains/{name}/shutdown", shutdown_domain },
    { HTTP_POST,   "/v1/domains/{name}/reboot", reboot },
    { HTTP_POST,   "/v1/domains/{name}/destroy", destroy },
    { HTTP_POST,   "/v1/domains/{name}/pause", pause_domain },
    { HTTP_POST,   "/v1/domains/{name}/unpause", unpause },
    { HTTP_GET,    "/v1/domains/{name}/console", console_get },
    { HTTP_POST,   "/v1/domains/{name}/console", console_put },
};

/* Does path fit the pattern? Copies what stands for {name}. */
static bool path_fits(const char *pattern, const char *path, char *name)
{
    const char *brace = strchr(pattern, '{');
    size_t before = brace ? (size_t)(brace - pattern) : strlen(pattern), n = 0;

    if (strncmp(pattern, path, before))
        return false;
    path += before;
    if (!brace)
        return !*path;
    while (path[n] && path[n] != '/')
        n++;
    if (!n || n >= VM_NAME_MAX)
        return false;
    memcpy(name, path, n);
    name[n] = '\0';
    return !strcmp(path + n, strchr(brace, '}') + 1);
}

static void dispatch(struct http_conn *conn, const struct http_request *rq, const char *body)
{
    struct call k = { .conn = conn, .rq = rq, .body = body };
    enum http_method method = rq->method == HTTP_HEAD ? HTTP_GET : rq->method;
    bool known = false;

    for (size_t i = 0; i < ARRAY_SIZE(routes); i++) {
        if (!path_fits(routes[i].path, rq->path, k.name))
            continue;
        known = true;
        if (routes[i].method == method) {
            routes[i].fn(&k);
            return;
        }
    }
    if (known)
        http_reply_error(conn, 405, "this path knows other methods only");
    else
        http_reply_error(conn, 404, "no such path");
}

int api_start(struct stream_net *net, uint16_t port)
{
    return http_listen(net, port, dispatch);
}
