/* SPDX-License-Identifier: MIT */
/* routes_host.c - endpoints about the host: what it is, what it counted, what it wrote. */
#include <stdlib.h>
#include "toolstack/http/api.h"
#include "toolstack/net/net.h"
#include "version.h"
#include "toolstack/vm/devstats.h"
#include "toolstack/vm/hv.h"
#include "lib/string.h"
#include "runtime/log.h"
#include "runtime/loop.h"
#include "runtime/mem.h"
#include "runtime/start.h"
#include "runtime/time.h"

#define LOG_KEEP   65536    /* what runtime/log.h keeps */
#define HV_LOG_MAX 65536u   /* more than the hypervisor keeps */

static void write_host(struct json_out *o, const void *arg)
{
    struct mem_stats mem;
    struct loop_stats loop;
    struct http_stats http;
    struct net_tcp_stats tcp;
    struct hv_host host;
    uint32_t domains = 0;
    char name[64] = "";
    struct vm *vm;

    mem_get_stats(&mem);
    loop_get_stats(&loop);
    http_get_stats(&http);
    net_get_tcp_stats(&tcp);
    vm_for_each(vm)
        domains++;
    (void)cmdline_get("hostname", name, sizeof(name));
    json_open(o, NULL, '{');
    json_string(o, "software", "sluice");
    json_string(o, "version", SLUICE_VERSION);
    json_string(o, "name", name);
    json_uint(o, "uptime_ns", now_ns());
    json_uint(o, "time", wallclock(NULL));
    if (hv_host_info(&host) == 0) {
        json_uint(o, "cpus", host.cpus);
        json_uint(o, "cpu_khz", host.cpu_khz);
        json_uint(o, "memory_pages", host.total_pages);
        json_uint(o, "memory_free_pages", host.free_pages);
    }
    json_uint(o, "domains", domains);
    json_open(o, "dom0", '{');
    json_uint(o, "pages", mem.pages_total);
    json_uint(o, "pages_free", mem.pages_free);
    json_uint(o, "heap_bytes", mem.heap_bytes);
    json_uint(o, "heap_objects", mem.heap_objects);
    json_uint(o, "busy_ns", loop.busy_ns);
    json_uint(o, "http_requests", http.requests);
    json_uint(o, "http_refused", http.refused);
    json_uint(o, "http_evicted", http.evicted);
    json_uint(o, "http_connections", http.connections);
    json_uint(o, "tcp_open", tcp.open);
    json_uint(o, "tcp_closing", tcp.closing);
    json_uint(o, "tcp_time_wait", tcp.waiting);
    json_close(o, '}');
    json_close(o, '}');
}

static void get_host(struct api_call *k)
{
    api_reply_json(k->conn, 200, write_host, NULL);
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
static void get_counters(struct api_call *k)
{
    static struct counters c;

    c.n = hv_counters(c.names, c.values, MAX_COUNTERS);
    if (c.n < 0)
        http_reply_error(k->conn, api_status_of(c.n), "the hypervisor has no counters");
    else
        api_reply_json(k->conn, 200, write_counters, &c);
}

/* ---- dom0's log ---- */

struct follower {
    struct list link;
    struct http_conn *conn;
    uint64_t pos;
};

static struct list followers = LIST_INIT(followers);

static void on_log(void)
{
    struct follower *f;

    list_for_each(f, &followers, link)
        http_wake(f->conn);
}

static long follow_fill(void *arg, char *buf, size_t size)
{
    return (long)log_read(&((struct follower *)arg)->pos, buf, size);
}

static void follow_gone(void *arg)
{
    struct follower *f = arg;

    list_remove(&f->link);
    free(f);
}

static void follow_log(struct api_call *k, uint64_t pos)
{
    static const struct http_source source = { .fill = follow_fill, .gone = follow_gone };
    struct follower *f = calloc(1, sizeof(*f));

    if (!f) {
        http_reply_error(k->conn, 503, "out of memory");
        return;
    }
    f->conn = k->conn;
    f->pos = pos;
    list_push_back(&followers, &f->link);
    log_on_write(on_log);
    http_reply_stream(k->conn, TEXT_PLAIN, &source, f);
}

static void get_log(struct api_call *k)
{
    uint64_t pos, follow;
    size_t n;
    char *buf;

    if (!api_query(k, "from", 0, &pos) || !api_query(k, "follow", 0, &follow))
        return;
    if (follow) {
        follow_log(k, pos);
        return;
    }
    buf = malloc(LOG_KEEP);
    if (!buf) {
        http_reply_error(k->conn, 503, "out of memory");
        return;
    }
    n = log_read(&pos, buf, LOG_KEEP);
    http_set_next(k->conn, pos);
    http_reply(k->conn, 200, TEXT_PLAIN, buf, n);
    free(buf);
}

/* ---- the hypervisor's ---- */

static void get_hypervisor_log(struct api_call *k)
{
    uint64_t pos;
    uint32_t index;
    size_t len = 0;
    char *buf;
    int n = 0;

    if (!api_query(k, "from", 0, &pos))
        return;
    buf = malloc(HV_LOG_MAX);
    if (!buf) {
        http_reply_error(k->conn, 503, "out of memory");
        return;
    }
    index = (uint32_t)pos;
    while (len < HV_LOG_MAX && (n = hv_read_console(&index, buf + len, HV_LOG_MAX - (uint32_t)len)) > 0)
        len += (size_t)n;
    http_set_next(k->conn, index);
    if (n < 0)
        http_reply_error(k->conn, api_status_of(n), "the hypervisor does not tell");
    else
        http_reply(k->conn, 200, TEXT_PLAIN, buf, len);
    free(buf);
}

static void write_host_disk(void *arg, const struct host_disk *d)
{
    struct json_out *o = arg;

    json_open(o, NULL, '{');
    json_string(o, "name", d->name);
    json_string(o, "kind", d->partition ? "partition" : "disk");
    json_string(o, "model", d->model);
    json_string(o, "label", d->label);
    json_string(o, "uuid", d->uuid);
    json_uint(o, "sectors", d->sectors);
    json_uint(o, "sector_bytes", d->sector_bytes);
    json_string(o, "mode", d->readonly ? "r" : "w");
    json_close(o, '}');
}

static void write_host_disks(struct json_out *o, const void *arg)
{
    json_open(o, NULL, '[');
    vm_host_disks(write_host_disk, o);
    json_close(o, ']');
}

static void get_host_disks(struct api_call *k)
{
    api_reply_json(k->conn, 200, write_host_disks, NULL);
}

static void get_openapi(struct api_call *k)
{
    extern const char openapi_json[], openapi_json_end[];

    http_reply_static(k->conn, "application/json", NULL, NULL, openapi_json,
                      (size_t)(openapi_json_end - openapi_json));
}

static const struct api_route rows[] = {
    { HTTP_GET, "/v1/openapi.json", ROLE_ANYBODY, 0, get_openapi },
    { HTTP_GET, "/v1/host", ROLE_READER, 0, get_host },
    { HTTP_GET, "/v1/disks", ROLE_READER, 0, get_host_disks },
    { HTTP_GET, "/v1/log", ROLE_READER, 0, get_log },
    { HTTP_GET, "/v1/hypervisor-log", ROLE_READER, 0, get_hypervisor_log },
    { HTTP_PUT, "/v1/tokens", ROLE_ADMIN, AUTH_TEXT_MAX, api_replace_tokens },
    { HTTP_GET, "/v1/counters", ROLE_READER, 0, get_counters },
};

API_TABLE(routes_host, rows);
