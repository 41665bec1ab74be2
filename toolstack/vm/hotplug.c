/* SPDX-License-Identifier: MIT */
/* hotplug.c - interfaces and disks of a domain that runs (see hotplug.h). */
#include "toolstack/vm/hotplug.h"
#include "lib/printf.h"
#include "lib/string.h"
#include "runtime/log.h"
#include "runtime/mem.h"
#include "runtime/time.h"
#include "runtime/xs.h"
#include "toolstack/vm/events.h"
#include "toolstack/vm/mac.h"

/* A device that the guest was asked to close. */
struct detach {
    struct list link;
    struct vm *vm;
    enum vm_device kind;
    uint32_t id;
    struct timer timer;
    struct xs_watch watch;
    char back[DEVICES_PATH];
    char state[DEVICES_PATH + 8];
};

/* A disk that is being opened. */
struct attach {
    struct list link;
    struct vm *vm;
    struct vm_disk disk;
    vm_attached_fn attached;
    void *arg;
};

static struct list detaches = LIST_INIT(detaches);
static struct list attaches = LIST_INIT(attaches);

static int cannot_now(const struct vm *vm, const char *what, char *why)
{
    return why_set(why, -XEN_EBUSY, "%s: cannot %s: domain is %s", vm->cfg.name, what,
                   vm_state_name(vm->state));
}

static bool lives(const struct vm *vm)
{
    return vm->state == VM_RUNNING || vm->state == VM_PAUSED;
}

/* The configuration ---------------------------------------------------------------------------- */

static struct vm_vif *vif_of(const struct vm *vm, uint32_t id)
{
    for (uint32_t i = 0; i < vm->cfg.nr_vifs; i++) {
        if (vm->cfg.vif[i].id == id)
            return (struct vm_vif *)&vm->cfg.vif[i];
    }
    return NULL;
}

static struct vm_disk *disk_of(const struct vm *vm, uint32_t device)
{
    for (uint32_t i = 0; i < vm->cfg.nr_disks; i++) {
        if (vm->cfg.disk[i].device == device)
            return (struct vm_disk *)&vm->cfg.disk[i];
    }
    return NULL;
}

/* "vif 0", "vbd xvdb". */
static const char *device_text(const struct vm *vm, enum vm_device kind, uint32_t id, char text[32])
{
    const struct vm_disk *d = kind == VM_DEVICE_VBD ? disk_of(vm, id) : NULL;

    if (d)
        snprintf(text, 32, "vbd %s", d->vdev);
    else
        snprintf(text, 32, "%s %u", kind == VM_DEVICE_VBD ? "vbd" : "vif", id);
    return text;
}

static void forget(struct vm *vm, enum vm_device kind, uint32_t id)
{
    struct vm_config *c = &vm->cfg;
    struct vm_vif *v = kind == VM_DEVICE_VIF ? vif_of(vm, id) : NULL;
    struct vm_disk *d = kind == VM_DEVICE_VBD ? disk_of(vm, id) : NULL;

    if (v) {
        memmove(v, v + 1, (size_t)(&c->vif[c->nr_vifs] - (v + 1)) * sizeof(*v));
        c->nr_vifs--;
    } else if (d) {
        memmove(d, d + 1, (size_t)(&c->disk[c->nr_disks] - (d + 1)) * sizeof(*d));
        c->nr_disks--;
    }
}

const struct vm_vif *vm_find_vif(const struct vm *vm, const char *which)
{
    char text[20];

    for (uint32_t i = 0; i < vm->cfg.nr_vifs; i++) {
        const struct vm_vif *v = &vm->cfg.vif[i];

        snprintf(text, sizeof(text), "%u", v->id);
        if (strcmp(text, which) == 0)
            return v;
        mac_text(v->mac, text);
        if (strcmp(text, which) == 0)
            return v;
    }
    return NULL;
}

const struct vm_disk *vm_find_disk(const struct vm *vm, const char *which)
{
    char text[16];

    for (uint32_t i = 0; i < vm->cfg.nr_disks; i++) {
        const struct vm_disk *d = &vm->cfg.disk[i];

        snprintf(text, sizeof(text), "%u", d->device);
        if (strcmp(text, which) == 0 || strcmp(d->vdev, which) == 0)
            return d;
    }
    return NULL;
}

/* Attaching ---------------------------------------------------------------------------------- */

static uint32_t free_vif_id(const struct vm *vm)
{
    uint32_t id = 0;

    while (vif_of(vm, id))
        id++;
    return id;
}

static int added(struct vm *vm, enum vm_device kind, uint32_t id, int rc, char *why)
{
    char text[32];

    device_text(vm, kind, id, text);
    if (rc) {
        forget(vm, kind, id);
        return why_set(why, rc, "%s: cannot write the nodes of %s to the store (error %d)",
                       vm->cfg.name, text, -rc);
    }
    log_info("%s: %s attached", vm->cfg.name, text);
    vm_event(vm, VM_EVENT_ATTACHED, "%s", text);
    return 0;
}

int vm_attach_vif(struct vm *vm, const struct vm_vif *v, uint32_t *id, char *why)
{
    struct vm_config *c = &vm->cfg;
    struct vm_vif new = *v;
    const char *user;
    char mac[20];

    if (!lives(vm))
        return cannot_now(vm, "attach a vif", why);
    if (c->nr_vifs == VM_VIFS)
        return why_set(why, -XEN_ENOSPC, "%s: has %d vifs already, the most that it can", c->name,
                       VM_VIFS);
    new.id = free_vif_id(vm);
    if (mac_is_zero(new.mac))
        mac_choose(new.mac, c->name, new.id);
    user = mac_user(new.mac);
    if (user)
        return why_set(why, -XEN_EEXIST, "%s: MAC %s is in use by %s", c->name,
                       mac_text(new.mac, mac), user);
    c->vif[c->nr_vifs++] = new;
    *id = new.id;
    return added(vm, VM_DEVICE_VIF, new.id, devices_add_vif(vm, &new), why);
}

/* May it have this disk, now? */
static int may_attach(const struct vm *vm, const struct vm_disk *d, char *why)
{
    const struct vm_config *c = &vm->cfg;
    uint32_t disks = c->nr_disks;
    struct attach *a;

    if (!lives(vm))
        return cannot_now(vm, "attach a disk", why);
    if (disk_of(vm, d->device))
        return why_set(why, -XEN_EEXIST, "%s: has a disk %s already", c->name, d->vdev);
    list_for_each(a, &attaches, link) {
        if (a->vm != vm)
            continue;
        if (a->disk.device == d->device)
            return why_set(why, -XEN_EBUSY, "%s: a disk %s is being attached already", c->name, d->vdev);
        disks++;
    }
    if (disks >= VM_DISKS)
        return why_set(why, -XEN_ENOSPC, "%s: has %d disks already, the most that it can", c->name,
                       VM_DISKS);
    return 0;
}

static int add_disk(struct vm *vm, const struct vm_disk *d, char *why)
{
    vm->cfg.disk[vm->cfg.nr_disks++] = *d;
    return added(vm, VM_DEVICE_VBD, d->device, devices_add_disk(vm, d), why);
}

static void attach_free(struct attach *a)
{
    list_remove(&a->link);
    free(a);
}

/* True: the disk is for the domain's backend. */
static bool disk_opened_for(void *arg, int rc, const char *text)
{
    struct attach *a = arg, was = *a;
    char why[WHY_MAX] = "";

    attach_free(a);
    if (!was.vm)
        return false;
    if (rc)
        (void)why_set(why, rc, "%s: %s", was.vm->cfg.name, text);
    else
        rc = may_attach(was.vm, &was.disk, why);
    if (!rc)
        rc = add_disk(was.vm, &was.disk, why);
    was.attached(was.arg, was.vm, rc, why);
    return !rc;
}

int vm_attach_disk(struct vm *vm, const struct vm_disk *d, vm_attached_fn attached, void *arg, char *why)
{
    int rc = may_attach(vm, d, why);
    struct attach *a;
    char what[WHY_MAX];

    if (rc)
        return rc;
    if (vm_disk_server) {
        a = calloc(1, sizeof(*a));
        if (!a)
            return why_set(why, -XEN_ENOMEM, "%s: dom0 is out of memory", vm->cfg.name);
        *a = (struct attach){ .vm = vm, .disk = *d, .attached = attached, .arg = arg };
        list_push_back(&attaches, &a->link);
        vm_disk_server->attach(d, disk_opened_for, a);
        return 0;
    }
    if (!vm_disk_check)
        return why_set(why, -XEN_EOPNOTSUPP, "%s: this host serves no disks", vm->cfg.name);
    rc = vm_disk_check(d, what);
    if (rc)
        return why_set(why, rc, "%s: %s", vm->cfg.name, what);
    rc = add_disk(vm, d, why);
    if (!rc)
        attached(arg, vm, 0, "");
    return rc;
}

/* Detaching ---------------------------------------------------------------------------------- */

static struct detach *find_detach(const struct vm *vm, enum vm_device kind, uint32_t id)
{
    struct detach *t;

    list_for_each(t, &detaches, link) {
        if (t->vm == vm && t->kind == kind && t->id == id)
            return t;
    }
    return NULL;
}

static void detach_free(struct detach *t)
{
    xs_unwatch(&t->watch);
    timer_cancel(&t->timer);
    list_remove(&t->link);
    free(t);
}

/* It is closed, or shall be gone without that. */
static void remove_now(struct vm *vm, enum vm_device kind, uint32_t id)
{
    struct detach *t = find_detach(vm, kind, id);
    char text[32];

    device_text(vm, kind, id, text);
    if (t)
        detach_free(t);
    devices_remove_one(vm, kind, id);
    forget(vm, kind, id);
    log_info("%s: %s detached", vm->cfg.name, text);
    vm_event(vm, VM_EVENT_DETACHED, "%s", text);
}

/*
 * Does a guest still hold it? Only while the backend is connected, or told to close and has not
 * closed. A frontend that closed and starts again has let go all the same.
 */
static bool in_use(const char *back)
{
    uint32_t s = xs_read_default(XS_NO_TXN, back, "state", XenbusStateClosed);

    return s == XenbusStateConnected || s == XenbusStateClosing;
}

static void state_changed(struct xs_watch *w, const char *path)
{
    struct detach *t = container_of(w, struct detach, watch);

    if (!in_use(t->back))
        remove_now(t->vm, t->kind, t->id);
}

/* What the guest wrote about its device, if anything; only printable characters of it. */
static void guests_reason(const struct detach *t, char *text, size_t size)
{
    char path[DEVICES_PATH + 16];

    snprintf(path, sizeof(path), "/local/domain/%u/error/device/%s/%u/error", t->vm->domid,
             devices_class(t->kind), t->id);
    if (xs_read(XS_NO_TXN, path, text, size) < 0)
        text[0] = '\0';
    for (char *p = text; *p; p++) {
        if (*p < ' ' || *p > '~')
            *p = '?';
    }
}

static void took_too_long(struct timer *timer)
{
    struct detach *t = container_of(timer, struct detach, timer);
    char device[32], reason[60];

    device_text(t->vm, t->kind, t->id, device);
    guests_reason(t, reason, sizeof(reason));
    log_warn("%s: %s: the guest does not close it%s%s; it goes when it does, or by force",
             t->vm->cfg.name, device, reason[0] ? ": " : "", reason);
    vm_event(t->vm, VM_EVENT_DETACH_FAILED, "%s%s%s", device, reason[0] ? ": " : "", reason);
}

static int ask_to_close(struct vm *vm, enum vm_device kind, uint32_t id, const char *back,
                        char *why)
{
    struct detach *t = calloc(1, sizeof(*t));
    int rc;

    if (!t)
        return why_set(why, -XEN_ENOMEM, "%s: dom0 is out of memory", vm->cfg.name);
    t->vm = vm;
    t->kind = kind;
    t->id = id;
    strlcpy(t->back, back, sizeof(t->back));
    snprintf(t->state, sizeof(t->state), "%s/state", back);
    timer_init(&t->timer, took_too_long);
    rc = xs_watch(&t->watch, t->state, state_changed);
    if (rc)
        goto fail;
    rc = devices_close_one(vm, kind, id);
    if (rc)
        goto unwatch;
    list_push_back(&detaches, &t->link);
    timer_set(&t->timer, now_ns() + VM_DETACH_NS);
    return 0;
unwatch:
    xs_unwatch(&t->watch);
fail:
    free(t);
    return why_set(why, rc, "%s: cannot write the device's state to the store (error %d)",
                   vm->cfg.name, -rc);
}

static int detach(struct vm *vm, enum vm_device kind, uint32_t id, bool force, char *why)
{
    char back[DEVICES_PATH], text[32];

    device_text(vm, kind, id, text);
    if (!lives(vm))
        return cannot_now(vm, "detach a device", why);
    if (kind == VM_DEVICE_VIF ? !vif_of(vm, id) : !disk_of(vm, id))
        return why_set(why, -XEN_ENOENT, "%s: has no %s", vm->cfg.name, text);
    if (!force && find_detach(vm, kind, id))
        return why_set(why, -XEN_EBUSY, "%s: %s is being detached already", vm->cfg.name, text);
    devices_back(vm, kind, id, back);
    if (!force && in_use(back))
        return ask_to_close(vm, kind, id, back, why);
    remove_now(vm, kind, id);
    return 0;
}

int vm_detach_vif(struct vm *vm, uint32_t id, bool force, char *why)
{
    return detach(vm, VM_DEVICE_VIF, id, force, why);
}

int vm_detach_disk(struct vm *vm, uint32_t device, bool force, char *why)
{
    return detach(vm, VM_DEVICE_VBD, device, force, why);
}

/* State -------------------------------------------------------------------------------------- */

const char *vm_device_state(const struct vm *vm, enum vm_device kind, uint32_t id)
{
    static const char *const names[] = { "", "initialising", "waiting", "initialised", "connected",
                                         "closing", "closed", "reconfiguring", "reconfigured" };
    char back[DEVICES_PATH];
    uint32_t s;

    if (find_detach(vm, kind, id))
        return "detaching";
    devices_back(vm, kind, id, back);
    s = vm->has_nodes ? xs_read_default(XS_NO_TXN, back, "state", 0) : 0;
    return s < ARRAY_SIZE(names) ? names[s] : "";
}

void hotplug_domain_ends(struct vm *vm)
{
    struct detach *t, *tmp;
    char why[WHY_MAX];
    struct attach *a;

    list_for_each(a, &attaches, link) {
        if (a->vm != vm)
            continue;
        a->vm = NULL;
        (void)why_set(why, -XEN_EBUSY, "%s: ended before its disk %s was there", vm->cfg.name, a->disk.vdev);
        a->attached(a->arg, NULL, -XEN_EBUSY, why);
    }

    list_for_each_safe(t, tmp, &detaches, link) {
        if (t->vm != vm)
            continue;
        forget(vm, t->kind, t->id);
        detach_free(t);
    }
}
