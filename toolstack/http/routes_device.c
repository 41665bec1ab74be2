/* SPDX-License-Identifier: MIT */
/* routes_device.c - endpoints about a domain's interfaces and disks: list, attach, detach. */
#include <stdlib.h>
#include "toolstack/http/api.h"
#include "lib/printf.h"
#include "toolstack/vm/devstats.h"
#include "toolstack/vm/hotplug.h"
#include "toolstack/vm/mac.h"

#define BODY 4096

/* Interfaces --------------------------------------------------------------------------------- */

static void write_ips(struct json_out *o, const struct vm_vif *v)
{
    char text[20];

    json_open(o, "ip", '[');
    for (unsigned int i = 0; i < v->nr_ips; i++) {
        snprintf(text, sizeof(text), "%u.%u.%u.%u", v->ip[i] >> 24, v->ip[i] >> 16 & 255,
                 v->ip[i] >> 8 & 255, v->ip[i] & 255);
        json_string(o, NULL, text);
    }
    json_close(o, ']');
}

static void write_network(struct json_out *o, const struct vm *vm, const struct vm_vif *v)
{
    struct vif_stats s;
    char mac[20];

    (void)vm_vif_stats(vm->domid, v->id, &s);
    json_open(o, NULL, '{');
    json_uint(o, "devid", v->id);
    json_string(o, "mac", mac_text(v->mac, mac));
    json_string(o, "bridge", v->bridge);
    write_ips(o, v);
    json_uint(o, "rate", v->rate);
    json_string(o, "state", vm_device_state(vm, VM_DEVICE_VIF, v->id));
    json_uint(o, "rx_bytes", s.rx_bytes);
    json_uint(o, "rx_packets", s.rx_packets);
    json_uint(o, "rx_dropped", s.rx_dropped);
    json_uint(o, "tx_bytes", s.tx_bytes);
    json_uint(o, "tx_packets", s.tx_packets);
    json_uint(o, "tx_dropped", s.tx_dropped);
    json_close(o, '}');
}

static void write_networks(struct json_out *o, const void *arg)
{
    const struct vm *vm = arg;

    json_open(o, NULL, '[');
    for (uint32_t i = 0; i < vm->cfg.nr_vifs; i++)
        write_network(o, vm, &vm->cfg.vif[i]);
    json_close(o, ']');
}

static void get_networks(struct api_call *k)
{
    struct vm *vm = api_find_domain(k);

    if (vm)
        api_reply_json(k->conn, 200, write_networks, vm);
}

static void write_last_network(struct json_out *o, const void *arg)
{
    const struct vm *vm = arg;

    write_network(o, vm, &vm->cfg.vif[vm->cfg.nr_vifs - 1]);
}

static void attach_network(struct api_call *k, struct vm *vm, const char *spec)
{
    char why[WHY_MAX] = "";
    struct vm_vif v;
    uint32_t id;
    int rc = vm_vif_parse(&v, spec, why);

    if (!rc)
        rc = vm_attach_vif(vm, &v, &id, why);
    if (rc)
        http_reply_error(k->conn, api_status_of(rc), why);
    else
        api_reply_json(k->conn, 201, write_last_network, vm);
}

/* Disks -------------------------------------------------------------------------------------- */

static void write_disk(struct json_out *o, const struct vm *vm, const struct vm_disk *d)
{
    struct vbd_stats s;

    (void)vm_vbd_stats(vm->domid, d->device, &s);
    json_open(o, NULL, '{');
    json_uint(o, "devid", d->device);
    json_string(o, "vdev", d->vdev);
    json_string(o, "target", d->target);
    json_string(o, "mode", d->readonly ? "r" : "w");
    json_string(o, "state", vm_device_state(vm, VM_DEVICE_VBD, d->device));
    json_uint(o, "sectors", s.sectors);
    json_uint(o, "rd_ops", s.rd_ops);
    json_uint(o, "rd_bytes", s.rd_bytes);
    json_uint(o, "wr_ops", s.wr_ops);
    json_uint(o, "wr_bytes", s.wr_bytes);
    json_uint(o, "flushes", s.flushes);
    json_uint(o, "errors", s.errors);
    json_close(o, '}');
}

static void write_disks(struct json_out *o, const void *arg)
{
    const struct vm *vm = arg;

    json_open(o, NULL, '[');
    for (uint32_t i = 0; i < vm->cfg.nr_disks; i++)
        write_disk(o, vm, &vm->cfg.disk[i]);
    json_close(o, ']');
}

static void get_disks(struct api_call *k)
{
    struct vm *vm = api_find_domain(k);

    if (vm)
        api_reply_json(k->conn, 200, write_disks, vm);
}

static void write_last_disk(struct json_out *o, const void *arg)
{
    const struct vm *vm = arg;

    write_disk(o, vm, &vm->cfg.disk[vm->cfg.nr_disks - 1]);
}

static void disk_attached(void *arg, struct vm *vm, int rc, const char *why)
{
    api_created(arg, rc, why, write_last_disk, vm);
}

/* The answer comes when the disk has been opened, or cannot be. */
static void attach_disk(struct api_call *k, struct vm *vm, const char *spec)
{
    struct http_deferred *later;
    char why[WHY_MAX] = "";
    struct vm_disk d;
    int rc = vm_disk_parse(&d, spec, why);

    if (rc) {
        http_reply_error(k->conn, api_status_of(rc), why);
        return;
    }
    later = api_defer(k);
    if (!later)
        return;
    rc = vm_attach_disk(vm, &d, disk_attached, later, why);
    if (rc)
        api_created(later, rc, why, NULL, NULL);
}

/* Both --------------------------------------------------------------------------------------- */

static void post(struct api_call *k, const char *key,
                 void (*attach)(struct api_call *k, struct vm *vm, const char *spec))
{
    struct vm *vm = api_find_domain(k);
    struct json_value *top;
    const char *spec;
    char *strings;

    if (!vm)
        return;
    top = api_body_json(k, &strings);
    if (!top)
        return;
    if (api_get_string(k, top, key, true, &spec))
        attach(k, vm, spec);
    free(strings);
}

static void post_network(struct api_call *k)
{
    post(k, "vif", attach_network);
}

static void post_disk(struct api_call *k)
{
    post(k, "disk", attach_disk);
}

static void none_such(struct api_call *k, struct vm *vm, const char *what)
{
    char line[WHY_MAX];

    snprintf(line, sizeof(line), "%s: has no %s %s", vm->cfg.name, what, k->item);
    http_reply_error(k->conn, 404, line);
}

static void delete_network(struct api_call *k)
{
    struct vm *vm = api_find_domain(k);
    const struct vm_vif *v;
    char why[WHY_MAX] = "";
    uint64_t force;

    if (!vm || !api_query(k, "force", 0, &force))
        return;
    v = vm_find_vif(vm, k->item);
    if (v)
        api_reply_done(k, vm_detach_vif(vm, v->id, force, why), why);
    else
        none_such(k, vm, "interface");
}

static void delete_disk(struct api_call *k)
{
    struct vm *vm = api_find_domain(k);
    const struct vm_disk *d;
    char why[WHY_MAX] = "";
    uint64_t force;

    if (!vm || !api_query(k, "force", 0, &force))
        return;
    d = vm_find_disk(vm, k->item);
    if (d)
        api_reply_done(k, vm_detach_disk(vm, d->device, force, why), why);
    else
        none_such(k, vm, "disk");
}

static const struct api_route rows[] = {
    { HTTP_GET, "/v1/domains/{name}/networks", ROLE_READER, 0, get_networks },
    { HTTP_POST, "/v1/domains/{name}/networks", ROLE_ADMIN, BODY, post_network },
    { HTTP_DELETE, "/v1/domains/{name}/networks/{item}", ROLE_ADMIN, 0, delete_network },
    { HTTP_GET, "/v1/domains/{name}/disks", ROLE_READER, 0, get_disks },
    { HTTP_POST, "/v1/domains/{name}/disks", ROLE_ADMIN, BODY, post_disk },
    { HTTP_DELETE, "/v1/domains/{name}/disks/{item}", ROLE_ADMIN, 0, delete_disk },
};

API_TABLE(routes_device, rows);
