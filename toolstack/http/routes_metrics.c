/* SPDX-License-Identifier: MIT */
/*
 * routes_metrics.c - /metrics, Prometheus' text format. Each family: HELP, TYPE, then all its
 * samples, as the format demands. The whole is written twice, as JSON answers are: to see how long
 * it is, then into a buffer of that size.
 */
#include <stdarg.h>
#include <stdlib.h>
#include "toolstack/http/api.h"
#include "toolstack/net/net.h"
#include "toolstack/net/tls.h"
#include "toolstack/vm/devstats.h"
#include "toolstack/vm/hv.h"
#include "lib/printf.h"
#include "lib/string.h"
#include "runtime/loop.h"
#include "runtime/mem.h"
#include "runtime/port.h"
#include "runtime/time.h"
#include "version.h"

#define LIVE_DIGITS  4096       /* by how much it may grow between two looks */
#define MAX_COUNTERS 128

struct out {
    char *buf;
    size_t size, len;
};

static void put(struct out *o, const char *fmt, ...) __printf(2, 3);

static void put(struct out *o, const char *fmt, ...)
{
    size_t room = o->len < o->size ? o->size - o->len : 0;
    va_list ap;

    va_start(ap, fmt);
    o->len += (size_t)vsnprintf(room ? o->buf + o->len : NULL, room, fmt, ap);
    va_end(ap);
}

static void family(struct out *o, const char *name, const char *type, const char *help)
{
    put(o, "# HELP sluice_%s %s\n# TYPE sluice_%s %s\n", name, help, name, type);
}

/* One family without labels. */
static void one(struct out *o, const char *name, const char *type, const char *help, uint64_t v)
{
    family(o, name, type, help);
    put(o, "sluice_%s %lu\n", name, v);
}

static void seconds(struct out *o, uint64_t ns)
{
    put(o, "%lu.%09lu\n", ns / NS_PER_S, ns % NS_PER_S);
}

/* ---- host and dom0 ---- */

static void tcp_state(struct out *o, const char *state, unsigned int n)
{
    put(o, "sluice_dom0_tcp_connections{state=\"%s\"} %u\n", state, n);
}

static void write_cpus(struct out *o, uint32_t cpus)
{
    family(o, "cpu_idle_seconds_total", "counter", "Time that a physical CPU had nothing to run.");
    for (uint32_t cpu = 0; cpu < cpus; cpu++) {
        put(o, "sluice_cpu_idle_seconds_total{cpu=\"%u\"} ", cpu);
        seconds(o, hv_idle_ns(cpu));
    }
}

static void write_host(struct out *o)
{
    struct hv_host h = { 0 };

    (void)hv_host_info(&h);
    family(o, "info", "gauge", "The version of dom0; always 1.");
    put(o, "sluice_info{version=\"%s\"} 1\n", SLUICE_VERSION);
    family(o, "uptime_seconds", "gauge", "Time since the hypervisor started.");
    put(o, "sluice_uptime_seconds ");
    seconds(o, now_ns());
    one(o, "cpus", "gauge", "Physical CPUs.", h.cpus);
    one(o, "memory_bytes", "gauge", "Memory of the host.", h.total_pages << PAGE_SHIFT);
    one(o, "memory_free_bytes", "gauge", "Memory that belongs to no domain.",
        h.free_pages << PAGE_SHIFT);
    write_cpus(o, h.cpus);
}

static void write_dom0(struct out *o)
{
    struct mem_stats mem;
    struct loop_stats loop;
    struct http_stats http;
    struct net_tcp_stats tcp;
    struct tls_stats tls;

    mem_get_stats(&mem);
    loop_get_stats(&loop);
    http_get_stats(&http);
    net_get_tcp_stats(&tcp);
    tls_get_stats(&tls);
    one(o, "dom0_memory_bytes", "gauge", "Memory that dom0 has.", mem.pages_total << PAGE_SHIFT);
    one(o, "dom0_memory_free_bytes", "gauge", "Of it not allocated.", mem.pages_free << PAGE_SHIFT);
    one(o, "dom0_heap_bytes", "gauge", "Allocated and not freed.", mem.heap_bytes);
    one(o, "dom0_heap_objects", "gauge", "Allocations not freed.", mem.heap_objects);
    family(o, "dom0_busy_seconds_total", "counter", "Time that dom0's loop was not blocked.");
    put(o, "sluice_dom0_busy_seconds_total ");
    seconds(o, loop.busy_ns);
    one(o, "dom0_loop_turns_total", "counter", "Turns of dom0's loop.", loop.turns);
    family(o, "dom0_tcp_connections", "gauge", "TCP connections of dom0: open, closed here alone, in TIME_WAIT.");
    tcp_state(o, "open", tcp.open);
    tcp_state(o, "closing", tcp.closing);
    tcp_state(o, "time_wait", tcp.waiting);
    one(o, "http_requests_total", "counter", "Requests to the API with a good head.",
        http.requests);
    one(o, "http_refused_total", "counter", "Requests refused for their form or size.",
        http.refused);
    one(o, "http_evicted_total", "counter", "Connections ended to make room for others.",
        http.evicted);
    one(o, "http_connections", "gauge", "Open connections to the API.", http.connections);
    one(o, "http_streams", "gauge", "Of them with a streaming answer.", http.streams);
    one(o, "tls_handshakes_total", "counter", "TLS handshakes that were finished.", tls.handshakes);
    one(o, "tls_handshakes_failed_total", "counter", "TLS handshakes that failed or took too long.",
        tls.failed);
}

/* The hypervisor's counters, under the names that it gives them. They are 32 bits wide and wrap,
 * which Prometheus takes for a restart. */
static void write_counters(struct out *o)
{
    static struct xen_sysctl_perfc_desc names[MAX_COUNTERS];
    static uint32_t values[MAX_COUNTERS];
    static const char prefix[] = "hypercall ";
    const size_t skip = sizeof(prefix) - 1;
    int n = hv_counters(names, values, MAX_COUNTERS);

    family(o, "hypercalls_total", "counter", "Hypercalls of all domains, by their number's name.");
    for (int i = 0; i < n; i++)
        if (!strncmp(names[i].name, prefix, skip))
            put(o, "sluice_hypercalls_total{hypercall=\"%s\"} %u\n", names[i].name + skip,
                values[i]);
    family(o, "hypervisor_events_total", "counter",
           "What else the hypervisor counted: flushes, interrupts, switches, copies.");
    for (int i = 0; i < n; i++)
        if (strncmp(names[i].name, prefix, skip))
            put(o, "sluice_hypervisor_events_total{event=\"%s\"} %u\n", names[i].name, values[i]);
}

/* ---- domains ---- */

/* Names of domains are letters, digits and a few marks: nothing to escape. */
static void domain_label(struct out *o, const char *name, const struct vm *vm)
{
    put(o, "sluice_%s{domain=\"%s\",id=\"%u\"} ", name, vm->cfg.name, vm->domid);
}

struct domain_family {
    const char *name, *type, *help;
    bool is_time;
    uint64_t (*value)(const struct vm *vm, const struct vm_info *i);
};

static uint64_t cpu_ns(const struct vm *vm, const struct vm_info *i)
{
    return i->cpu_ns;
}

static uint64_t memory(const struct vm *vm, const struct vm_info *i)
{
    return i->pages << PAGE_SHIFT;
}

static uint64_t memory_max(const struct vm *vm, const struct vm_info *i)
{
    return i->max_pages << PAGE_SHIFT;
}

static uint64_t online(const struct vm *vm, const struct vm_info *i)
{
    return i->vcpus_online;
}

static uint64_t is_running(const struct vm *vm, const struct vm_info *i)
{
    return vm->state == VM_RUNNING;
}

/* What each domain that the hypervisor knows uses, asked once for both looks. */
struct sample {
    const struct vm *vm;
    struct vm_info info;
};

struct samples {
    struct sample *list;
    size_t n;
};

static bool take_samples(struct samples *s)
{
    struct vm *vm;
    size_t n = 0;

    vm_for_each(vm)
        n++;
    s->n = 0;
    s->list = malloc(MAX(n, (size_t)1) * sizeof(*s->list));
    if (!s->list)
        return false;
    vm_for_each(vm) {
        s->list[s->n].vm = vm;
        if (vm->has_domid && vm_get_info(vm, &s->list[s->n].info) == 0)
            s->n++;
    }
    return true;
}

static void write_domains(struct out *o, const struct samples *s)
{
    static const struct domain_family families[] = {
        { "domain_cpu_seconds_total", "counter", "CPU time used by all its vCPUs.", true, cpu_ns },
        { "domain_memory_bytes", "gauge", "Memory that the domain has.", false, memory },
        { "domain_memory_max_bytes", "gauge", "Memory that it may have.", false, memory_max },
        { "domain_vcpus_online", "gauge", "vCPUs that it uses.", false, online },
        { "domain_running", "gauge", "1: neither paused, nor ended, nor being built.", false,
          is_running },
    };

    for (size_t f = 0; f < ARRAY_SIZE(families); f++) {
        family(o, families[f].name, families[f].type, families[f].help);
        for (size_t i = 0; i < s->n; i++) {
            uint64_t v = families[f].value(s->list[i].vm, &s->list[i].info);

            domain_label(o, families[f].name, s->list[i].vm);
            if (families[f].is_time)
                seconds(o, v);
            else
                put(o, "%lu\n", v);
        }
    }
}

/* ---- disks ---- */

struct disk_family {
    const char *name, *type, *help;
    size_t offset;              /* in struct vbd_stats */
};

static void write_disks_of(struct out *o, const struct disk_family *f, const struct vm *vm)
{
    struct vbd_stats s;

    for (uint32_t i = 0; i < vm->cfg.nr_disks; i++) {
        if (!vm_vbd_stats(vm->domid, vm->cfg.disk[i].device, &s))
            continue;
        put(o, "sluice_%s{domain=\"%s\",vdev=\"%s\"} %lu\n", f->name, vm->cfg.name,
            vm->cfg.disk[i].vdev, *(const uint64_t *)((const char *)&s + f->offset));
    }
}

static void write_disks(struct out *o, const struct samples *s)
{
    static const struct disk_family families[] = {
        { "vbd_sectors", "gauge", "Size of the disk in 512 bytes.",
          offsetof(struct vbd_stats, sectors) },
        { "vbd_read_ops_total", "counter", "Reads.", offsetof(struct vbd_stats, rd_ops) },
        { "vbd_read_bytes_total", "counter", "Bytes read.", offsetof(struct vbd_stats, rd_bytes) },
        { "vbd_write_ops_total", "counter", "Writes, of zeroes too.",
          offsetof(struct vbd_stats, wr_ops) },
        { "vbd_write_bytes_total", "counter", "Bytes written.",
          offsetof(struct vbd_stats, wr_bytes) },
        { "vbd_flushes_total", "counter", "Flushes.", offsetof(struct vbd_stats, flushes) },
        { "vbd_errors_total", "counter", "Requests that failed.",
          offsetof(struct vbd_stats, errors) },
    };

    for (size_t f = 0; f < ARRAY_SIZE(families); f++) {
        family(o, families[f].name, families[f].type, families[f].help);
        for (size_t i = 0; i < s->n; i++)
            write_disks_of(o, &families[f], s->list[i].vm);
    }
}

/* ---- ports of the bridges: vifs, network cards, dom0 ---- */

struct port_family {
    const char *name, *help;
    size_t offset;              /* in struct port_stats */
};

/* A vif's port is called vifDOMID.INDEX; its guest receives what goes out of the port. */
static bool is_vif(const struct port *p, unsigned int *domid, unsigned int *index)
{
    const char *s = p->name + 3;
    unsigned int v[2] = { 0, 0 }, part = 0;

    if (strncmp(p->name, "vif", 3))
        return false;
    for (; *s; s++) {
        if (*s == '.' && part == 0)
            part = 1;
        else if (*s >= '0' && *s <= '9')
            v[part] = v[part] * 10 + (unsigned int)(*s - '0');
        else
            return false;
    }
    *domid = v[0];
    *index = v[1];
    return true;
}

/* The labels of a port without the closing brace. */
static void port_labels(struct out *o, const struct port *p)
{
    unsigned int domid, index;
    struct vm *vm;

    if (!is_vif(p, &domid, &index)) {
        put(o, "{port=\"%s\"", p->name);
        return;
    }
    vm = vm_by_domid((domid_t)domid);
    put(o, "{port=\"%s\",domain=\"%s\",vif=\"%u\"", p->name, vm ? vm->cfg.name : "", index);
}

static void write_drops(struct out *o, const struct port *p, const char *direction,
                        const uint64_t *dropped)
{
    for (unsigned int why = 0; why < DROP_REASONS; why++) {
        if (!dropped[why])      /* most never happen, and a host has many ports */
            continue;
        put(o, "sluice_port_dropped_packets_total");
        port_labels(o, p);
        put(o, ",direction=\"%s\",reason=\"%s\"} %lu\n", direction,
            port_drop_name((enum port_drop)why), dropped[why]);
    }
}

static void write_ports(struct out *o)
{
    static const struct port_family families[] = {
        { "port_in_bytes_total", "Into the bridge from this port: what a guest sent.",
          offsetof(struct port_stats, rx_bytes) },
        { "port_in_packets_total", "The same in packets; before they are cut into wire's size.",
          offsetof(struct port_stats, rx_frames) },
        { "port_out_bytes_total", "Out of the bridge to this port: what a guest received.",
          offsetof(struct port_stats, tx_bytes) },
        { "port_out_packets_total", "The same in packets.",
          offsetof(struct port_stats, tx_frames) },
    };

    for (size_t f = 0; f < ARRAY_SIZE(families); f++) {
        family(o, families[f].name, "counter", families[f].help);
        for (struct port *p = port_next(NULL); p; p = port_next(p)) {
            put(o, "sluice_%s", families[f].name);
            port_labels(o, p);
            put(o, "} %lu\n", *(const uint64_t *)((const char *)&p->stats + families[f].offset));
        }
    }
    family(o, "port_dropped_packets_total", "counter", "Packets that went nowhere, and why.");
    for (struct port *p = port_next(NULL); p; p = port_next(p)) {
        write_drops(o, p, "in", p->stats.rx_dropped);
        write_drops(o, p, "out", p->stats.tx_dropped);
    }
}

static void write_all(struct out *o, const struct samples *s)
{
    write_host(o);
    write_dom0(o);
    write_counters(o);
    write_domains(o, s);
    write_disks(o, s);
    write_ports(o);
}

static void get_metrics(struct api_call *k)
{
    struct out o = { 0 };
    struct samples s;

    if (!take_samples(&s)) {
        http_reply_error(k->conn, 503, "out of memory");
        return;
    }
    write_all(&o, &s);
    o.size = o.len + LIVE_DIGITS;
    o.buf = malloc(o.size);
    o.len = 0;
    if (o.buf)
        write_all(&o, &s);
    free(s.list);
    if (o.buf && o.len < o.size)
        http_reply(k->conn, 200, "text/plain; version=0.0.4; charset=utf-8", o.buf, o.len);
    else
        http_reply_error(k->conn, 503, "out of memory");
    free(o.buf);
}

static const struct api_route rows[] = {
    { HTTP_GET, "/metrics", ROLE_READER, 0, get_metrics },
};

API_TABLE(routes_metrics, rows);
