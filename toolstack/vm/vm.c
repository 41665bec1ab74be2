/* SPDX-License-Identifier: MIT */
/*
 * vm.c - life cycle of domains.
 *
 *   BUILDING --> RUNNING <--> PAUSED,  RUNNING <--> SUSPENDED (suspend.c)
 *      |            |  domain ends (VIRQ_DOM_EXC), or an operator ends it
 *      v            v
 *    DYING <----- SHUTDOWN (on_xxx = preserve)
 *      |
 *      +--> gone, or BUILDING again (on_xxx = restart)
 *
 * BUILDING and DYING are worked off by the vm's work item, a bit in each turn of the loop.
 */
#include "toolstack/vm/vm.h"
#include "lib/printf.h"
#include "lib/string.h"
#include "runtime/event.h"
#include "runtime/log.h"
#include "runtime/mem.h"
#include "runtime/time.h"
#include "toolstack/builder/builder.h"
#include "toolstack/builder/image.h"
#include "toolstack/vm/devices.h"
#include "toolstack/vm/events.h"
#include "toolstack/vm/file.h"
#include "toolstack/vm/hotplug.h"
#include "toolstack/vm/hv.h"
#include "toolstack/vm/kernels.h"
#include "toolstack/vm/mac.h"
#include "toolstack/vm/suspend.h"
#include "toolstack/vm/tune.h"

/* A turn builds or tears down for so long before others get theirs. */
#define TURN_NS (2 * NS_PER_MS)
/* A domain that ended sooner than this after its start is restarted only when it is over. */
#define MIN_LIFE_NS (2 * NS_PER_S)

struct list vm_list = LIST_INIT(vm_list);
int (*vm_disk_check)(const struct vm_disk *d, char *why);
const struct vm_disk_server *vm_disk_server;
static struct list hooks = LIST_INIT(hooks);

static void vm_work(struct work *w);
static void vm_timer(struct timer *t);

/* Looking up --------------------------------------------------------------------------------- */

struct vm *vm_find(const char *name)
{
    struct vm *vm;

    vm_for_each(vm) {
        if (strcmp(vm->cfg.name, name) == 0)
            return vm;
    }
    return NULL;
}

struct vm *vm_by_domid(domid_t dom)
{
    struct vm *vm;

    vm_for_each(vm) {
        if (vm->has_domid && vm->domid == dom)
            return vm;
    }
    return NULL;
}

bool vm_none_left(void)
{
    return list_empty(&vm_list);
}

const char *vm_state_name(enum vm_state s)
{
    static const char *const names[] = { "building", "running", "paused", "suspended", "shutdown", "dying" };

    return names[s];
}

const char *vm_shutdown_name(uint32_t reason)
{
    static const char *const names[] = { "poweroff", "reboot",   "suspend",
                                         "crash",    "watchdog", "soft_reset" };

    return reason < ARRAY_SIZE(names) ? names[reason] : "";
}

void vm_hook_add(struct vm_hook *h)
{
    list_push_back(&hooks, &h->link);
}

/* Hooks ------------------------------------------------------------------------------------- */

static void stop_hooks_before(struct vm *vm, struct vm_hook *end)
{
    struct vm_hook *h;

    list_for_each(h, &hooks, link) {
        if (h == end)
            return;
        if (h->stop)
            h->stop(h->arg, vm);
    }
}

static int start_hooks(struct vm *vm)
{
    struct vm_hook *h;

    list_for_each(h, &hooks, link) {
        int rc = h->start ? h->start(h->arg, vm) : 0;

        if (rc) {
            stop_hooks_before(vm, h);
            return rc;
        }
    }
    vm->hooked = true;
    return 0;
}

/* Ending ------------------------------------------------------------------------------------- */

static void drop_sources(struct vm *vm)
{
    build_free(vm->build);
    kernel_put(vm->kernel);
    file_put(vm->ramdisk);
    vm->build = NULL;
    vm->kernel = NULL;
    vm->ramdisk = NULL;
}

static void release_disks(struct vm *vm)
{
    if (vm->has_disks)
        vm_disk_server->done(vm);
    vm->has_disks = vm->opening_disks = false;
}

static void vm_free(struct vm *vm)
{
    work_cancel(&vm->work);
    timer_cancel(&vm->timer);
    list_remove(&vm->link);
    drop_sources(vm);
    release_disks(vm);
    free(vm);
}

/* The creation is over, one way or the other. */
static void tell(struct vm *vm, int rc, const char *why)
{
    void (*done)(void *, struct vm *, int, const char *) = vm->done;

    vm->done = NULL;
    if (done)
        done(vm->done_arg, rc ? NULL : vm, rc, why);
}

static void begin_dying(struct vm *vm, uint32_t reason, bool restart)
{
    if (vm->state == VM_DYING) {
        vm->restart_after &= restart;
        return;
    }
    vm->state = VM_DYING;
    vm->shutdown_reason = reason;
    vm->restart_after = restart;
    drop_sources(vm);
    release_disks(vm);
    hotplug_domain_ends(vm);
    suspend_domain_ends(vm);
    if (vm->hooked)
        stop_hooks_before(vm, NULL);
    vm->hooked = false;
    if (vm->has_nodes)
        devices_remove(vm);
    vm->has_nodes = false;
    work_queue(&vm->work);
}

static void begin_building(struct vm *vm);

/* The domain is gone from the hypervisor. */
static void dead(struct vm *vm)
{
    uint64_t now = now_ns(), earliest = vm->created_ns + MIN_LIFE_NS;

    if (vm->has_domid)
        log_info("%s: domain %u is gone", vm->cfg.name, vm->domid);
    if (vm->announced)
        vm_event(vm, VM_EVENT_DESTROYED, "%s", "");
    vm->announced = false;
    vm->has_domid = false;
    if (!vm->restart_after) {
        vm_free(vm);
        return;
    }
    vm->restart_after = false;
    vm->restarts++;
    vm->state = VM_BUILDING;
    if (earliest > now) {
        log_warn("%s: ended after %lu ms; restart in %lu ms", vm->cfg.name,
                 (now - vm->created_ns) / NS_PER_MS, (earliest - now) / NS_PER_MS);
        timer_set(&vm->timer, earliest);
    } else {
        begin_building(vm);
    }
}

static void tear_down(struct vm *vm)
{
    uint64_t until = now_ns() + TURN_NS;
    int rc;

    do
        rc = vm->has_domid ? hv_destroy(vm->domid) : 0;
    while (rc == 1 && now_ns() < until);
    if (rc == 1) {
        work_queue(&vm->work);
        return;
    }
    if (rc && rc != -XEN_ESRCH)
        log_error("%s: cannot destroy domain %u (error %d)", vm->cfg.name, vm->domid, -rc);
    dead(vm);
}

/* Disks -------------------------------------------------------------------------------------- */

/* First its disks, then the building. */
static void open_disks(struct vm *vm)
{
    if (!vm->cfg.nr_disks || !vm_disk_server) {
        work_queue(&vm->work);
        return;
    }
    vm->has_disks = vm->opening_disks = true;
    vm_disk_server->open(vm);
}

/* Building ----------------------------------------------------------------------------------- */

/* It could not be built, or started; what there is of it goes. */
static void give_up(struct vm *vm, int rc, const char *why)
{
    log_error("%s", why);
    tell(vm, rc, why);
    if (vm->has_domid)
        begin_dying(vm, VM_NO_REASON, false);
    else
        vm_free(vm);
}

static int start_build(struct vm *vm, char *why)
{
    const struct vm_config *c = &vm->cfg;
    struct build_request r = {
        .name = c->name,
        .image = vm->kernel->image,
        .initrd = vm->ramdisk ? vm->ramdisk->data : NULL,
        .initrd_size = vm->ramdisk ? vm->ramdisk->size : 0,
        .initrd_name = vm->ramdisk ? vm->ramdisk->name : "",
        .cmdline = c->cmdline,
        .pages = (uint64_t)c->memory_mib << (20 - PAGE_SHIFT),
        .max_pages = (uint64_t)c->maxmem_mib << (20 - PAGE_SHIFT),
        .promised_pages = vm_promised_pages(),
        .vcpus = c->maxvcpus,
        .weight = c->cpu_weight,
        .cap = c->cpu_cap,
    };
    int rc = 0;

    memcpy(r.uuid, c->uuid, sizeof(r.uuid));
    vm->build = build_start(&r, &vm->domid, &rc, why);
    vm->has_domid = vm->build != NULL;
    vm->pages = r.pages;
    vm->map_mib = c->maxmem_mib;
    vm->target_kib = r.pages << (PAGE_SHIFT - 10);
    vm->retargeted = false;
    vm->can_cancel = vm->kernel->image->notes.suspend_cancel;
    return rc ? rc : 1;
}

/* The domain is built: make it known, and let it run. */
static int start_running(struct vm *vm, char *why)
{
    struct build_result r = build_result(vm->build);
    const char *name = vm->cfg.name;
    int rc;

    vm->store_mfn = r.store;
    vm->console_mfn = r.console;
    vm->store_port = r.store_port;
    vm->console_port = r.console_port;
    vm->created_ns = now_ns();
    rc = vm_apply_affinity(vm);
    if (rc)
        return why_set(why, rc, "%s: its vCPUs cannot be tied to the CPUs of cpus= (error %d)", name, -rc);
    vm->has_nodes = true;
    rc = devices_create(vm);
    if (rc)
        return why_set(why, rc, "%s: cannot write its nodes to the store (error %d)", name, -rc);
    rc = start_hooks(vm);
    if (rc)
        return why_set(why, rc, "%s: a service of dom0 refused it (error %d)", name, -rc);
    if (!vm->start_paused)
        rc = hv_unpause(vm->domid);
    if (rc)
        return why_set(why, rc, "%s: cannot unpause domain %u (error %d)", name, vm->domid, -rc);
    return 0;
}

static void built(struct vm *vm)
{
    char why[WHY_MAX];
    int rc = start_running(vm, why);

    if (rc) {
        give_up(vm, rc, why);
        return;
    }
    drop_sources(vm);
    release_disks(vm);
    vm->state = vm->start_paused ? VM_PAUSED : VM_RUNNING;
    vm->announced = true;
    vm_event(vm, VM_EVENT_CREATED, "%s", "");
    vm_event(vm, vm->start_paused ? VM_EVENT_PAUSED : VM_EVENT_RUNNING, "%s", "");
    log_info("%s: domain %u started%s after %lu us, %u MiB, %u vCPU%s", vm->cfg.name, vm->domid,
             vm->start_paused ? " paused" : "", (now_ns() - vm->asked_ns) / NS_PER_US,
             vm->cfg.memory_mib, vm->cfg.vcpus, vm->cfg.vcpus == 1 ? "" : "s");
    vm->start_paused = false;
    tell(vm, 0, "");
}

/* The image comes a bit further; once it is there, the building begins. */
static int load_kernel(struct vm *vm, char *why)
{
    char inner[WHY_MAX];
    int rc = kernel_step(vm->kernel, inner);

    if (rc < 0)
        return why_set(why, rc, "%s: kernel %s", vm->cfg.name, inner);
    return rc ? rc : start_build(vm, why);
}

static void build_some(struct vm *vm)
{
    uint64_t until = now_ns() + TURN_NS;
    char why[WHY_MAX] = "";
    int rc;

    do
        rc = vm->build ? build_step(vm->build, why) : load_kernel(vm, why);
    while (rc == 1 && now_ns() < until);
    if (rc == 1)
        work_queue(&vm->work);
    else if (rc == 0)
        built(vm);
    else
        give_up(vm, rc, why);
}

static struct file *find_file(const struct vm *vm, const char *what, const char *name, char *why)
{
    struct file *f = file_find(name);

    if (f)
        return file_get(f);
    why_set(why, -XEN_ENOENT, "%s: %s \"%s\": no such file on this host", vm->cfg.name, what, name);
    return NULL;
}

/* Finds the files; the rest happens in vm_work(). */
static int open_sources(struct vm *vm, char *why)
{
    struct file *f = find_file(vm, "kernel", vm->cfg.kernel, why);
    char inner[WHY_MAX];
    int rc = 0;

    if (!f)
        return -XEN_ENOENT;
    vm->kernel = kernel_get(f, inner);
    file_put(f);
    if (!vm->kernel)
        return why_set(why, -XEN_ENOEXEC, "%s: kernel %s", vm->cfg.name, inner);
    if (vm->cfg.ramdisk[0]) {
        vm->ramdisk = find_file(vm, "ramdisk", vm->cfg.ramdisk, why);
        rc = vm->ramdisk ? 0 : -XEN_ENOENT;
    }
    if (rc)
        drop_sources(vm);
    return rc;
}

/* A restart: the same configuration, a new domain. */
static void begin_building(struct vm *vm)
{
    char why[WHY_MAX];
    int rc = open_sources(vm, why);

    vm->state = VM_BUILDING;
    vm->asked_ns = now_ns();
    if (rc)
        give_up(vm, rc, why);
    else
        open_disks(vm);
}

void vm_disks_opened(struct vm *vm, int rc, const char *why)
{
    char line[WHY_MAX];

    vm->opening_disks = false;
    if (rc)
        give_up(vm, why_set(line, rc, "%s: %s", vm->cfg.name, why), line);
    else
        work_queue(&vm->work);
}

static void vm_timer(struct timer *t)
{
    struct vm *vm = container_of(t, struct vm, timer);

    if (vm->state == VM_BUILDING)
        begin_building(vm);
}

static void vm_work(struct work *w)
{
    struct vm *vm = container_of(w, struct vm, work);

    if (vm->state == VM_BUILDING && !vm->opening_disks)
        build_some(vm);
    else if (vm->state == VM_DYING)
        tear_down(vm);
}

/* Creation ----------------------------------------------------------------------------------- */

/* Who has the address of vif n of c already? */
static const char *vif_mac_user(const struct vm_config *c, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++) {
        if (memcmp(c->vif[i].mac, c->vif[n].mac, 6) == 0)
            return c->name;
    }
    return mac_user(c->vif[n].mac);
}

/* Whose is it? Its nodes in the store are found by it. */
static const struct vm *uuid_user(const uint8_t uuid[16])
{
    struct vm *vm;

    vm_for_each(vm) {
        if (memcmp(vm->cfg.uuid, uuid, 16) == 0)
            return vm;
    }
    return NULL;
}

/* Makes one up if there is none; refuses that of another domain. */
static int complete_uuid(struct vm_config *c, char *why)
{
    static const uint8_t none[sizeof(c->uuid)];
    const struct vm *other;

    if (!memcmp(c->uuid, none, sizeof(none))) {
        random_bytes(c->uuid, sizeof(c->uuid));
        c->uuid[6] = (c->uuid[6] & 0x0f) | 0x40;    /* version 4, random */
        c->uuid[8] = (c->uuid[8] & 0x3f) | 0x80;
    }
    other = uuid_user(c->uuid);
    return other ? why_set(why, -XEN_EEXIST, "%s: its uuid is that of %s (%s)", c->name, other->cfg.name,
                           vm_state_name(other->state)) : 0;
}

/* Fills in what was left open and checks it against the other domains. */
static int complete_config(struct vm_config *c, char *why)
{
    struct vm *other = vm_find(c->name);
    int rc = vm_config_check(c, why, WHY_MAX);

    if (rc)
        return rc;
    if (other)
        return why_set(why, -XEN_EEXIST, "%s: a domain of this name exists (%s)", c->name,
                       vm_state_name(other->state));
    c->maxmem_mib = MAX(c->maxmem_mib, c->memory_mib);
    c->maxvcpus = MAX(c->maxvcpus, c->vcpus);
    rc = vm_check_affinity(c, why);
    if (rc)
        return rc;
    for (uint32_t i = 0; i < c->nr_vifs; i++)
        c->vif[i].id = i;
    if (c->nr_disks && !vm_disk_check) {
        log_warn("%s: disk: this host serves no disks; the domain runs without", c->name);
        c->nr_disks = 0;
    }
    for (uint32_t i = 0; i < c->nr_disks && !vm_disk_server; i++) {
        char what[WHY_MAX];

        rc = vm_disk_check(&c->disk[i], what);
        if (rc)
            return why_set(why, rc, "%s: %s", c->name, what);
    }
    for (uint32_t i = 0; i < c->nr_vifs; i++) {
        uint8_t *m = c->vif[i].mac;
        const char *user;
        char text[20];

        if (mac_is_zero(m))
            mac_choose(m, c->name, i);
        user = vif_mac_user(c, i);
        if (user)
            return why_set(why, -XEN_EEXIST, "%s: vif %u: MAC %s is in use by %s", c->name, i,
                           mac_text(m, text), user);
    }
    return complete_uuid(c, why);
}

static int create(struct vm *vm, char *why)
{
    int rc = complete_config(&vm->cfg, why);

    return rc ? rc : open_sources(vm, why);
}

int vm_create(const struct vm_config *cfg, bool paused,
              void (*done)(void *arg, struct vm *vm, int rc, const char *why), void *arg,
              struct vm **out, char *why)
{
    char line[WHY_MAX];
    struct vm *vm = calloc(1, sizeof(*vm));
    int rc;

    if (!vm)
        return why_set(why, -XEN_ENOMEM, "%s: dom0 is out of memory", cfg->name);
    vm->cfg = *cfg;
    vm->state = VM_BUILDING;
    vm->start_paused = paused;
    vm->shutdown_reason = VM_NO_REASON;
    vm->asked_ns = vm->created_ns = now_ns();
    list_init(&vm->link);
    work_init(&vm->work, vm_work);
    timer_init(&vm->timer, vm_timer);
    rc = create(vm, line);
    if (rc) {
        log_error("%s", line);
        why_set(why, rc, "%s", line);
        vm_free(vm);
        return rc;
    }
    vm->done = done;
    vm->done_arg = arg;
    list_push_back(&vm_list, &vm->link);
    if (out)
        *out = vm;
    open_disks(vm);
    return 0;
}

/* Operators ---------------------------------------------------------------------------------- */

static int wrong_state(const struct vm *vm, const char *what, char *why)
{
    return why_set(why, -XEN_EBUSY, "%s: cannot %s: domain is %s", vm->cfg.name, what,
                   vm_state_name(vm->state));
}

int vm_shutdown(struct vm *vm, const char *how, char *why)
{
    int rc;

    if (strcmp(how, "poweroff") && strcmp(how, "reboot") && strcmp(how, "halt"))
        return why_set(why, -XEN_EINVAL, "%s: cannot shut down by \"%s\": poweroff, reboot or halt",
                       vm->cfg.name, how);
    if (vm->state != VM_RUNNING && vm->state != VM_PAUSED)
        return wrong_state(vm, "shut down", why);
    if (vm->suspend)
        return why_set(why, -XEN_EBUSY, "%s: cannot shut down: it is being suspended", vm->cfg.name);
    rc = devices_request_shutdown(vm, how);
    return rc ? why_set(why, rc, "%s: cannot write control/shutdown (error %d)", vm->cfg.name, -rc)
              : 0;
}

/* While it is being built: whoever waits for it is told. */
static void end_now(struct vm *vm, bool restart)
{
    char why[WHY_MAX];

    if (vm->state == VM_BUILDING && !restart)
        tell(vm,
             why_set(why, -XEN_ESRCH, "%s: destroyed while it was built", vm->cfg.name), why);
    timer_cancel(&vm->timer);
    begin_dying(vm, vm->state == VM_SHUTDOWN ? vm->shutdown_reason : VM_NO_REASON, restart);
}

int vm_destroy(struct vm *vm, char *why)
{
    if (vm->state == VM_DYING && !vm->restart_after)
        return wrong_state(vm, "destroy", why);
    end_now(vm, false);
    return 0;
}

int vm_restart(struct vm *vm, char *why)
{
    if (vm->state == VM_BUILDING || vm->state == VM_DYING)
        return wrong_state(vm, "restart", why);
    vm_event(vm, VM_EVENT_REBOOTING, "%s", "");
    end_now(vm, true);
    return 0;
}

int vm_pause(struct vm *vm, char *why)
{
    int rc;

    if (vm->state == VM_PAUSED)
        return 0;
    if (vm->state != VM_RUNNING)
        return wrong_state(vm, "pause", why);
    rc = hv_pause(vm->domid);
    if (rc)
        return why_set(why, rc, "%s: cannot pause (error %d)", vm->cfg.name, -rc);
    vm->state = VM_PAUSED;
    vm_event(vm, VM_EVENT_PAUSED, "%s", "");
    return 0;
}

int vm_unpause(struct vm *vm, char *why)
{
    int rc;

    if (vm->state == VM_RUNNING)
        return 0;
    if (vm->state != VM_PAUSED)
        return wrong_state(vm, "unpause", why);
    rc = hv_unpause(vm->domid);
    if (rc)
        return why_set(why, rc, "%s: cannot unpause (error %d)", vm->cfg.name, -rc);
    vm->state = VM_RUNNING;
    vm_event(vm, VM_EVENT_UNPAUSED, "%s", "");
    return 0;
}

int vm_get_info(struct vm *vm, struct vm_info *info)
{
    struct xen_domctl_getdomaininfo i;
    int rc = vm->has_domid ? hv_get_info(vm->domid, &i) : -XEN_ESRCH;

    memset(info, 0, sizeof(*info));
    if (rc)
        return rc;
    info->cpu_ns = i.cpu_time;
    info->pages = i.tot_pages;
    info->max_pages = i.max_pages;
    info->vcpus_online = i.nr_online_vcpus;
    info->blocked = i.flags & XEN_DOMINF_blocked;
    info->running = i.flags & XEN_DOMINF_running;
    info->paused = i.flags & XEN_DOMINF_paused;
    info->dying = i.flags & XEN_DOMINF_dying;
    return 0;
}

/* Domains that end by themselves ------------------------------------------------------------- */

static enum vm_action action_for(const struct vm *vm, uint32_t reason)
{
    switch (reason) {
    case SHUTDOWN_poweroff:
        return vm->cfg.on_poweroff;
    case SHUTDOWN_reboot:
    case SHUTDOWN_soft_reset:
        return vm->cfg.on_reboot;
    case SHUTDOWN_watchdog:
        return vm->cfg.on_watchdog;
    case SHUTDOWN_suspend:      /* its kernel could not go on */
        return VM_PRESERVE;
    default:
        return vm->cfg.on_crash;
    }
}

static void ended(struct vm *vm, uint32_t reason)
{
    static const char *const done[] = { "destroying", "restarting", "preserving" };
    enum vm_action action = action_for(vm, reason);
    bool crashed = reason == SHUTDOWN_crash || reason == SHUTDOWN_watchdog;

    vm_event(vm, crashed ? VM_EVENT_CRASHED : VM_EVENT_SHUTDOWN, "%s", vm_shutdown_name(reason));
    if (action == VM_RESTART)
        vm_event(vm, VM_EVENT_REBOOTING, "%s", "");
    log_at(crashed ? LOG_WARN : LOG_INFO,
           "%s: domain %u ended: %s; %s it", vm->cfg.name, vm->domid, vm_shutdown_name(reason),
           done[action]);
    if (action == VM_PRESERVE) {
        suspend_domain_ends(vm);
        vm->state = VM_SHUTDOWN;
        vm->shutdown_reason = reason;
        return;
    }
    begin_dying(vm, reason, action == VM_RESTART);
}

static void check_one(const struct xen_domctl_getdomaininfo *i)
{
    struct vm *vm = vm_by_domid(i->domain);
    uint32_t reason;

    if (!vm || (vm->state != VM_RUNNING && vm->state != VM_PAUSED))
        return;
    reason = (i->flags >> XEN_DOMINF_shutdownshift) & XEN_DOMINF_shutdownmask;
    if (i->flags & XEN_DOMINF_shutdown && !(reason == SHUTDOWN_suspend && suspend_happened(vm)))
        ended(vm, reason);
}

/* VIRQ_DOM_EXC says that something ended, not what. */
static void check_all(void *arg)
{
    struct xen_domctl_getdomaininfo list[16];
    domid_t first = 1;
    int n;

    do {
        n = hv_list(first, list, ARRAY_SIZE(list));
        for (int i = 0; i < n; i++)
            check_one(&list[i]);
        if (n > 0)
            first = list[n - 1].domain + 1;
    } while (n == (int)ARRAY_SIZE(list));
}

int vm_init(void)
{
    evtchn_port_t port;

    return event_bind_virq(VIRQ_DOM_EXC, check_all, NULL, &port);
}
