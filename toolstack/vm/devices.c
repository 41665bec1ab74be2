/* SPDX-License-Identifier: MIT */
/*
 * devices.c - the nodes of a domain in the store.
 *
 * A new node has its parent's permissions, so a directory is made with the right ones first and
 * then filled. Three kinds: read-only for the domain (it belongs to dom0), the domain's own, and
 * a frontend's directory (the domain's own, which the backend's domain may read).
 */
#include "toolstack/vm/devices.h"
#include "lib/printf.h"
#include "lib/string.h"
#include "runtime/xs.h"
#include "toolstack/vm/vm.h"

#define PATH DEVICES_PATH

/* One attempt to write everything; the first error stays and makes the rest do nothing. */
struct writer {
    xs_txn txn;
    int rc;
    domid_t dom;
    char home[32];              /* /local/domain/N */
};

static void dir(struct writer *w, const char *path, domid_t owner, domid_t other, uint8_t access)
{
    struct xs_perm perm[2] = { { owner, 0 }, { other, access } };

    if (w->rc == 0)
        w->rc = xs_mkdir(w->txn, path);
    if (w->rc == 0)
        w->rc = xs_set_perms(w->txn, path, perm, other == owner ? 1 : 2);
}

static void __printf(4, 5) put(struct writer *w, const char *where, const char *name,
                               const char *fmt, ...)
{
    char value[512];
    char path[2 * PATH];
    va_list ap;
    int n;

    if (w->rc)
        return;
    va_start(ap, fmt);
    n = vsnprintf(value, sizeof(value), fmt, ap);
    va_end(ap);
    if (n >= (int)sizeof(value) ||
        snprintf(path, sizeof(path), "%s/%s", where, name) >= (int)sizeof(path))
        w->rc = -XEN_E2BIG;
    else
        w->rc = xs_write(w->txn, path, value, (size_t)n);
}

/* A directory or node below the domain's home. */
static const char *below(struct writer *w, char *path, const char *name)
{
    snprintf(path, PATH, "%s/%s", w->home, name);
    return path;
}

static void uuid_text(const uint8_t *u, char text[40])
{
    snprintf(text, 40, "%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-%02x%02x%02x%02x%02x%02x", u[0],
             u[1], u[2], u[3], u[4], u[5], u[6], u[7], u[8], u[9], u[10], u[11], u[12], u[13],
             u[14], u[15]);
}

static void write_vm(struct writer *w, const struct vm *vm)
{
    char path[PATH], uuid[40];

    uuid_text(vm->cfg.uuid, uuid);
    snprintf(path, sizeof(path), "/vm/%s", uuid);
    dir(w, path, 0, w->dom, XS_PERM_READ);
    put(w, path, "name", "%s", vm->cfg.name);
    put(w, path, "uuid", "%s", uuid);
    put(w, w->home, "vm", "%s", path);
}

static void write_cpus(struct writer *w, uint32_t all, uint32_t online)
{
    char cpu[32];

    for (uint32_t i = 0; i < all; i++) {
        snprintf(cpu, sizeof(cpu), "cpu/%u/availability", i);
        put(w, w->home, cpu, "%s", i < online ? "online" : "offline");
    }
}

static void write_home(struct writer *w, const struct vm *vm)
{
    static const char *const own[] = { "control/shutdown", "control/feature-poweroff",
                                       "control/feature-reboot", "control/feature-suspend",
                                       "control/sysrq", "device/suspend/event-channel", "data",
                                       "drivers", "feature", "attr", "error" };
    const struct vm_config *c = &vm->cfg;
    char path[PATH];

    dir(w, w->home, 0, w->dom, XS_PERM_READ);
    put(w, w->home, "name", "%s", c->name);
    put(w, w->home, "domid", "%u", w->dom);
    put(w, w->home, "memory/static-max", "%lu", c->maxmem_mib * 1024UL);
    put(w, w->home, "memory/target", "%lu", vm->target_kib);
    put(w, w->home, "memory/videoram", "0");
    put(w, w->home, "store/port", "%u", vm->store_port);
    put(w, w->home, "store/ring-ref", "%lu", vm->store_mfn.v);
    put(w, w->home, "console/port", "%u", vm->console_port);
    put(w, w->home, "console/ring-ref", "%lu", vm->console_mfn.v);
    put(w, w->home, "console/type", "sluice");
    put(w, w->home, "console/limit", "%u", 65536);
    write_cpus(w, c->maxvcpus, c->vcpus);
    dir(w, below(w, path, "control"), 0, w->dom, XS_PERM_READ);
    dir(w, below(w, path, "device"), 0, w->dom, XS_PERM_READ);
    for (size_t i = 0; i < ARRAY_SIZE(own); i++)
        dir(w, below(w, path, own[i]), w->dom, w->dom, 0);
}

/* The nodes that each end of a device has: where the other is, and its state. */
static void write_ends(struct writer *w, const char *class, uint32_t id, char *front, char *back)
{
    snprintf(front, PATH, "%s/device/%s/%u", w->home, class, id);
    snprintf(back, PATH, "/local/domain/0/backend/%s/%u/%u", class, w->dom, id);
    dir(w, back, 0, w->dom, XS_PERM_READ);
    put(w, back, "frontend", "%s", front);
    put(w, back, "frontend-id", "%u", w->dom);
    put(w, back, "online", "1");
    dir(w, front, w->dom, 0, XS_PERM_READ);
    put(w, front, "backend", "%s", back);
    put(w, front, "backend-id", "0");
}

static void write_vif(struct writer *w, const struct vm_vif *v)
{
    char front[PATH], back[PATH], mac[20], ips[VM_VIF_IPS * 16 + 1] = "";
    uint32_t interval = v->rate_interval_us ? v->rate_interval_us : 50000;
    size_t n = 0;

    snprintf(mac, sizeof(mac), "%02x:%02x:%02x:%02x:%02x:%02x", v->mac[0], v->mac[1], v->mac[2],
             v->mac[3], v->mac[4], v->mac[5]);
    for (unsigned int i = 0; i < v->nr_ips && i < VM_VIF_IPS; i++)
        n += (size_t)snprintf(ips + n, sizeof(ips) - n, "%s%u.%u.%u.%u", i ? " " : "",
                              v->ip[i] >> 24, v->ip[i] >> 16 & 255, v->ip[i] >> 8 & 255,
                              v->ip[i] & 255);
    write_ends(w, "vif", v->id, front, back);
    put(w, back, "handle", "%u", v->id);
    put(w, back, "mac", "%s", mac);
    put(w, back, "bridge", "%s", v->bridge);
    if (v->nr_ips)
        put(w, back, "ip", "%s", ips);
    /* Bytes in each interval, and the interval in microseconds, as xl writes it. */
    if (v->rate)
        put(w, back, "rate", "%lu,%u", MAX(v->rate * interval / 1000000, 1UL), interval);
    put(w, back, "state", "%u", XenbusStateInitialising);
    put(w, front, "handle", "%u", v->id);
    put(w, front, "mac", "%s", mac);
    put(w, front, "state", "%u", XenbusStateInitialising);
}

static void write_disk(struct writer *w, const struct vm_disk *d)
{
    char front[PATH], back[PATH];
    const char *type = d->cdrom ? "cdrom" : "disk";

    write_ends(w, "vbd", d->device, front, back);
    put(w, back, "params", "%s", d->target);
    put(w, back, "dev", "%s", d->vdev);
    put(w, back, "mode", "%s", d->readonly ? "r" : d->shared ? "w!" : "w");
    put(w, back, "discard-enable", "%u", !d->no_discard);
    if (d->iops)
        put(w, back, "limit-iops", "%u", d->iops);
    if (d->bps)
        put(w, back, "limit-bytes", "%luB/s", d->bps);
    put(w, back, "device-type", "%s", type);
    put(w, back, "removable", "%u", d->cdrom);
    put(w, back, "bootable", "1");
    put(w, back, "state", "%u", XenbusStateInitialising);
    put(w, front, "virtual-device", "%u", d->device);
    put(w, front, "device-type", "%s", type);
    put(w, front, "state", "%u", XenbusStateInitialising);
}

static void writer_init(struct writer *w, const struct vm *vm)
{
    memset(w, 0, sizeof(*w));
    w->dom = vm->domid;
    snprintf(w->home, sizeof(w->home), "/local/domain/%u", vm->domid);
}

/* Does all that write() does in one transaction, or nothing. */
static int in_transaction(const struct vm *vm,
                          void (*write)(struct writer *w, const struct vm *vm, const void *arg),
                          const void *arg)
{
    struct writer w;
    int rc;

    do {
        writer_init(&w, vm);
        rc = xs_txn_start(&w.txn);
        if (rc)
            return rc;
        write(&w, vm, arg);
        rc = xs_txn_end(w.txn, w.rc == 0);
        if (w.rc)
            rc = w.rc;
    } while (rc == -XEN_EAGAIN);
    return rc;
}

static void write_all(struct writer *w, const struct vm *vm, const void *arg)
{
    const struct vm_config *c = &vm->cfg;

    write_home(w, vm);
    write_vm(w, vm);
    for (uint32_t i = 0; i < c->nr_vifs; i++)
        write_vif(w, &c->vif[i]);
    for (uint32_t i = 0; i < c->nr_disks; i++)
        write_disk(w, &c->disk[i]);
}

int devices_create(const struct vm *vm)
{
    return in_transaction(vm, write_all, NULL);
}

static void write_vcpus(struct writer *w, const struct vm *vm, const void *online)
{
    write_cpus(w, vm->cfg.maxvcpus, *(const uint32_t *)online);
}

int devices_set_vcpus(const struct vm *vm, uint32_t online)
{
    return in_transaction(vm, write_vcpus, &online);
}

int devices_set_memory(const struct vm *vm, uint64_t kib)
{
    struct writer w;

    writer_init(&w, vm);
    put(&w, w.home, "memory/target", "%lu", kib);
    return w.rc;
}

int devices_set_max_memory(const struct vm *vm, uint64_t kib)
{
    struct writer w;

    writer_init(&w, vm);
    put(&w, w.home, "memory/static-max", "%lu", kib);
    return w.rc;
}

static void write_name(struct writer *w, const struct vm *vm, const void *name)
{
    char path[PATH], uuid[40];

    uuid_text(vm->cfg.uuid, uuid);
    snprintf(path, sizeof(path), "/vm/%s", uuid);
    put(w, path, "name", "%s", (const char *)name);
    put(w, w->home, "name", "%s", (const char *)name);
}

int devices_rename(const struct vm *vm, const char *name)
{
    return in_transaction(vm, write_name, name);
}

const char *devices_class(enum vm_device kind)
{
    return kind == VM_DEVICE_VIF ? "vif" : "vbd";
}

void devices_back(const struct vm *vm, enum vm_device kind, uint32_t id, char path[DEVICES_PATH])
{
    snprintf(path, PATH, "/local/domain/0/backend/%s/%u/%u", devices_class(kind), vm->domid, id);
}

static void write_new_vif(struct writer *w, const struct vm *vm, const void *vif)
{
    write_vif(w, vif);
}

int devices_add_vif(const struct vm *vm, const struct vm_vif *v)
{
    return in_transaction(vm, write_new_vif, v);
}

static void write_new_disk(struct writer *w, const struct vm *vm, const void *disk)
{
    write_disk(w, disk);
}

int devices_add_disk(const struct vm *vm, const struct vm_disk *d)
{
    return in_transaction(vm, write_new_disk, d);
}

static void write_closing(struct writer *w, const struct vm *vm, const void *back)
{
    put(w, back, "online", "0");
    put(w, back, "state", "%u", XenbusStateClosing);
}

int devices_close_one(const struct vm *vm, enum vm_device kind, uint32_t id)
{
    char back[PATH];

    devices_back(vm, kind, id, back);
    return in_transaction(vm, write_closing, back);
}

void devices_remove_one(const struct vm *vm, enum vm_device kind, uint32_t id)
{
    char path[PATH];

    devices_back(vm, kind, id, path);
    xs_rm(XS_NO_TXN, path);
    snprintf(path, sizeof(path), "/local/domain/%u/device/%s/%u", vm->domid, devices_class(kind),
             id);
    xs_rm(XS_NO_TXN, path);
    snprintf(path, sizeof(path), "/local/domain/%u/error/device/%s/%u", vm->domid,
             devices_class(kind), id);
    xs_rm(XS_NO_TXN, path);
}

void devices_remove(const struct vm *vm)
{
    char path[PATH], uuid[40];

    snprintf(path, sizeof(path), "/local/domain/0/backend/vif/%u", vm->domid);
    xs_rm(XS_NO_TXN, path);
    snprintf(path, sizeof(path), "/local/domain/0/backend/vbd/%u", vm->domid);
    xs_rm(XS_NO_TXN, path);
    uuid_text(vm->cfg.uuid, uuid);
    snprintf(path, sizeof(path), "/vm/%s", uuid);
    xs_rm(XS_NO_TXN, path);
    snprintf(path, sizeof(path), "/local/domain/%u", vm->domid);
    xs_rm(XS_NO_TXN, path);
}

int devices_request_shutdown(const struct vm *vm, const char *how)
{
    struct writer w;

    writer_init(&w, vm);
    put(&w, w.home, "control/shutdown", "%s", how);
    return w.rc;
}

void devices_requested_shutdown(const struct vm *vm, char *how, size_t size)
{
    char path[PATH];

    snprintf(path, sizeof(path), "/local/domain/%u/control/shutdown", vm->domid);
    if (xs_read(XS_NO_TXN, path, how, size) < 0)
        how[0] = '\0';
}

bool devices_shutdown_offered(const struct vm *vm, const char *how)
{
    char path[PATH], name[32];

    snprintf(path, sizeof(path), "/local/domain/%u/control", vm->domid);
    snprintf(name, sizeof(name), "feature-%s", how);
    return xs_read_default(XS_NO_TXN, path, name, 0) == 1;
}
