/* SPDX-License-Identifier: MIT */
/*
 * test_vm.c - life cycle of domains over a fake hypervisor, a fake builder and the real store:
 * what happens in which order, what is left when something fails.
 */
/* LINK: toolstack/vm/vm.c toolstack/vm/devices.c toolstack/vm/file.c lib/vmconfig.c lib/xlkeys.c */
/* LINK: lib/why.c lib/xlcfg.c lib/strlcpy.c runtime/xs.c runtime/cmdline.c */
/* LINK: toolstack/store/path.c toolstack/store/perm.c toolstack/store/tree.c */
/* LINK: toolstack/store/watch.c toolstack/store/txn.c toolstack/store/ops.c */
/* LINK: toolstack/store/wire.c toolstack/store/conn.c toolstack/store/ringconn.c */
/* LINK: toolstack/store/local.c */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "runtime/event.h"
#include "runtime/log.h"
#include "runtime/start.h"
#include "runtime/time.h"
#include "runtime/xs.h"
#include "toolstack/builder/builder.h"
#include "toolstack/store/server.h"
#include "toolstack/vm/file.h"
#include "toolstack/vm/hv.h"
#include "toolstack/vm/kernels.h"
#include "toolstack/vm/vm.h"

/* The runtime ------------------------------------------------------------------------------- */

static struct list works = LIST_INIT(works);
static struct timer *timer;
static uint64_t clock_ns;
static event_fn dom_exc;

void work_queue(struct work *w)
{
    if (!w->queued)
        list_push_back(&works, &w->link);
    w->queued = true;
}

void work_queue_last(struct work *w)
{
    work_queue(w);
}

void work_cancel(struct work *w)
{
    list_remove(&w->link);
    w->queued = false;
}

void timer_set(struct timer *t, uint64_t due)
{
    t->due = due;
    t->slot = 1;
    timer = t;
}

void timer_cancel(struct timer *t)
{
    if (timer == t)
        timer = NULL;
    t->slot = 0;
}

uint64_t now_ns(void)
{
    return clock_ns += 1000;
}

void random_bytes(void *buf, size_t n)
{
    memset(buf, 0x5a, n);
}

void log_at(enum log_level level, const char *fmt, ...)
{
}

const struct boot_module *boot_module(unsigned int i)
{
    return NULL;
}

int event_bind_virq(unsigned int virq, event_fn fn, void *arg, evtchn_port_t *port)
{
    assert_int_equal(virq, VIRQ_DOM_EXC);
    dom_exc = fn;
    *port = 1;
    return 0;
}

int event_bind_interdomain(domid_t dom, evtchn_port_t remote, event_fn fn, void *arg,
                           evtchn_port_t *port)
{
    return -XEN_ENOSYS;
}

void event_close(evtchn_port_t port)
{
}

void event_send(evtchn_port_t port)
{
}

/* One turn. */
static bool turn(void)
{
    struct list now;
    bool any = !list_empty(&works);

    list_init(&now);
    while (!list_empty(&works)) {
        struct work *w = list_first(&works, struct work, link);

        list_remove(&w->link);
        list_push_back(&now, &w->link);
    }
    while (!list_empty(&now)) {
        struct work *w = list_first(&now, struct work, link);

        list_remove(&w->link);
        w->queued = false;
        w->fn(w);
    }
    return any;
}

static void run(void)
{
    while (turn())
        ;
}

static void run_timer(void)
{
    struct timer *t = timer;

    assert_non_null(t);
    clock_ns = t->due;
    timer_cancel(t);
    t->fn(t);
    run();
}

/* The hypervisor ----------------------------------------------------------------------------- */

#define DOMS 16
static struct {
    bool exists, unpaused;
    unsigned int destroy_steps;
    uint32_t flags;
} dom[DOMS];
static domid_t next_dom;
static bool slow;                   /* each step takes longer than a turn */
static bool refuse_unpause;

int hv_destroy(domid_t d)
{
    assert_true(dom[d].exists);
    if (slow)
        clock_ns += NS_PER_S;
    if (dom[d].destroy_steps) {
        dom[d].destroy_steps--;
        return 1;
    }
    dom[d].exists = false;
    return 0;
}

int hv_unpause(domid_t d)
{
    if (refuse_unpause)
        return -XEN_EINVAL;
    dom[d].unpaused = true;
    return 0;
}

int hv_pause(domid_t d)
{
    dom[d].unpaused = false;
    return 0;
}

int hv_get_info(domid_t d, struct xen_domctl_getdomaininfo *info)
{
    memset(info, 0, sizeof(*info));
    return dom[d].exists ? 0 : -XEN_ESRCH;
}

int hv_list(domid_t first, struct xen_domctl_getdomaininfo *list, uint32_t max)
{
    int n = 0;

    for (domid_t d = first; d < DOMS && n < (int)max; d++) {
        if (dom[d].exists)
            list[n++] = (struct xen_domctl_getdomaininfo){ .domain = d, .flags = dom[d].flags };
    }
    return n;
}

static unsigned int doms_alive(void)
{
    unsigned int n = 0;

    for (unsigned int i = 0; i < DOMS; i++)
        n += dom[i].exists;
    return n;
}

/* A domain ends by itself. */
static void ends(domid_t d, uint32_t reason)
{
    dom[d].flags = XEN_DOMINF_shutdown | reason << XEN_DOMINF_shutdownshift;
    dom_exc(NULL);
    run();
}

/* Builder and kernels ------------------------------------------------------------------------ */

struct build {
    unsigned int steps;
};
static unsigned int builds, kernels_held, build_steps, kernel_steps;
static int start_error, step_error, kernel_error;

struct build *build_start(const struct build_request *r, domid_t *d, int *rc, char *why)
{
    struct build *b;

    *rc = start_error;
    if (start_error) {
        why_set(why, start_error, "%s: not enough memory", r->name);
        return NULL;
    }
    b = calloc(1, sizeof(*b));
    b->steps = build_steps;
    builds++;
    *d = ++next_dom;
    memset(&dom[*d], 0, sizeof(dom[*d]));
    dom[*d].exists = true;
    dom[*d].destroy_steps = 3;
    return b;
}

int build_step(struct build *b, char *why)
{
    if (slow)
        clock_ns += NS_PER_S;
    if (b->steps == 0)
        return step_error ? why_set(why, step_error, "x: refused") : 0;
    b->steps--;
    return 1;
}

struct build_result build_result(const struct build *b)
{
    return (struct build_result){ mfn(10), mfn(11), 1, 2 };
}

void build_free(struct build *b)
{
    builds -= b != NULL;
    free(b);
}

struct kernel *kernel_get(struct file *f, char *why)
{
    struct kernel *k = calloc(1, sizeof(*k));

    kernels_held++;
    k->refs = kernel_steps;
    return k;
}

int kernel_step(struct kernel *k, char *why)
{
    if (slow)
        clock_ns += NS_PER_S;
    if (k->refs == 0)
        return kernel_error ? why_set(why, kernel_error, "corrupt") : 0;
    k->refs--;
    return 1;
}

void kernel_put(struct kernel *k)
{
    kernels_held -= k != NULL;
    free(k);
}

/* The tests ---------------------------------------------------------------------------------- */

static struct vm_config cfg;
static unsigned int told, hooks_on;
static int told_rc, hook_error;
static char told_why[WHY_MAX], why[WHY_MAX];

static void done(void *arg, struct vm *vm, int rc, const char *text)
{
    told++;
    told_rc = rc;
    assert_true((vm != NULL) == (rc == 0));
    snprintf(told_why, sizeof(told_why), "%s", text);
}

static int hook_start(void *arg, struct vm *vm)
{
    char path[64], value[32];

    if (arg && hook_error)
        return hook_error;
    /* By now the domain can be found in the store, and has not run. */
    snprintf(path, sizeof(path), "/local/domain/%u/name", vm->domid);
    assert_true(xs_read(XS_NO_TXN, path, value, sizeof(value)) > 0);
    assert_string_equal(value, vm->cfg.name);
    assert_false(dom[vm->domid].unpaused);
    hooks_on++;
    return 0;
}

static void hook_stop(void *arg, struct vm *vm)
{
    assert_true(dom[vm->domid].exists);
    hooks_on--;
}

static int setup(void **state)
{
    static struct vm_hook first = { .start = hook_start, .stop = hook_stop };
    static struct vm_hook second = { .start = hook_start, .stop = hook_stop, .arg = &second };
    static bool begun;

    if (!begun) {
        assert_int_equal(store_start(1), 0);
        xs_set_provider(&store_xs_ops, NULL);
        assert_non_null(file_add("vmlinuz", "x", 1, NULL));
        assert_non_null(file_add("initrd", "y", 1, NULL));
        vm_hook_add(&first);
        vm_hook_add(&second);
        assert_int_equal(vm_init(), 0);
        begun = true;
    }
    slow = refuse_unpause = false;
    start_error = step_error = kernel_error = hook_error = 0;
    build_steps = kernel_steps = 3;
    next_dom = 0;
    told = 0;
    told_rc = 0;
    timer = NULL;
    vm_config_init(&cfg);
    strcpy(cfg.name, "web");
    strcpy(cfg.kernel, "/boot/vmlinuz");
    strcpy(cfg.ramdisk, "initrd");
    cfg.memory_mib = 64;
    cfg.nr_vifs = 1;
    return 0;
}

/* Nothing of any domain is left anywhere. */
static int clean(void **state)
{
    char names[256];

    assert_true(vm_none_left());
    assert_int_equal(doms_alive(), 0);
    assert_int_equal(builds + kernels_held + hooks_on, 0);
    /* At most dom0's own directory. */
    assert_true(xs_directory(XS_NO_TXN, "/local/domain", names, sizeof(names)) <= 2);
    assert_true(xs_directory(XS_NO_TXN, "/local/domain/0/backend/vif", names, sizeof(names)) <= 0);
    assert_true(xs_directory(XS_NO_TXN, "/vm", names, sizeof(names)) <= 0);
    assert_true(file_find("vmlinuz")->refs == 1 && file_find("initrd")->refs == 1);
    return 0;
}

static struct vm *create(void)
{
    struct vm *vm = NULL;

    assert_int_equal(vm_create(&cfg, false, done, NULL, &vm, why), 0);
    run();
    return vm_find("web");
}

static void destroy(struct vm *vm)
{
    assert_int_equal(vm_destroy(vm, why), 0);
    run();
}

static void runs_and_is_destroyed(void **state)
{
    struct vm *vm = create();
    char value[64];

    assert_int_equal(told, 1);
    assert_int_equal(told_rc, 0);
    assert_int_equal(vm->state, VM_RUNNING);
    assert_true(dom[vm->domid].unpaused);
    assert_int_equal(hooks_on, 2);
    assert_int_equal(builds + kernels_held, 0);
    assert_true(xs_read(XS_NO_TXN, "/local/domain/0/backend/vif/1/0/frontend", value, 64) > 0);
    assert_string_equal(value, "/local/domain/1/device/vif/0");
    assert_true(xs_read(XS_NO_TXN, "/local/domain/1/control/shutdown", value, 64) == 0);
    destroy(vm);
    assert_int_equal(told, 1);
}

static void a_failure_at_any_step_leaves_nothing(void **state)
{
    kernel_error = -XEN_EILSEQ;
    assert_null(create());
    assert_string_equal(told_why, "web: kernel corrupt");
    clean(NULL);
    kernel_error = 0;
    start_error = -XEN_ENOMEM;
    assert_null(create());
    assert_int_equal(told_rc, -XEN_ENOMEM);
    clean(NULL);
    start_error = 0;
    step_error = -XEN_EINVAL;
    assert_null(create());
    assert_string_equal(told_why, "x: refused");
    clean(NULL);
    step_error = 0;
    hook_error = -XEN_ENOSPC;
    assert_null(create());
    assert_int_equal(told_rc, -XEN_ENOSPC);
    clean(NULL);
    hook_error = 0;
    refuse_unpause = true;
    assert_null(create());
    clean(NULL);
    assert_int_equal(told, 5);
}

static void missing_files_are_refused_at_once(void **state)
{
    strcpy(cfg.ramdisk, "nothing");
    assert_int_equal(vm_create(&cfg, false, done, NULL, NULL, why), -XEN_ENOENT);
    assert_string_equal(why, "web: ramdisk \"nothing\": no such file on this host");
    strcpy(cfg.kernel, "neither");
    assert_int_equal(vm_create(&cfg, false, done, NULL, NULL, why), -XEN_ENOENT);
    assert_int_equal(told, 0);
}

static void names_and_macs_are_unique(void **state)
{
    struct vm *vm = create();

    assert_int_equal(vm_create(&cfg, false, NULL, NULL, NULL, why), -XEN_EEXIST);
    strcpy(cfg.name, "other");
    memcpy(cfg.vif[0].mac, vm->cfg.vif[0].mac, 6);
    assert_int_equal(vm_create(&cfg, false, NULL, NULL, NULL, why), -XEN_EEXIST);
    assert_non_null(strstr(why, "in use by web"));
    memset(cfg.vif[0].mac, 0, 6);
    assert_int_equal(vm_create(&cfg, false, NULL, NULL, NULL, why), 0);
    run();
    assert_memory_not_equal(vm_find("other")->cfg.vif[0].mac, vm->cfg.vif[0].mac, 6);
    destroy(vm_find("other"));
    destroy(vm);
}

static void ends_by_itself(void **state)
{
    struct vm *vm = create();

    ends(vm->domid, SHUTDOWN_poweroff);
    assert_true(vm_none_left());

    cfg.on_crash = VM_PRESERVE;
    vm = create();
    ends(vm->domid, SHUTDOWN_crash);
    assert_int_equal(vm->state, VM_SHUTDOWN);
    assert_int_equal(vm->shutdown_reason, SHUTDOWN_crash);
    dom_exc(NULL);      /* somebody else's end: nothing new about this one */
    run();
    assert_int_equal(vm->state, VM_SHUTDOWN);
    destroy(vm);
}

static void restarts_but_not_in_a_hurry(void **state)
{
    struct vm *vm;

    cfg.on_crash = VM_RESTART;
    vm = create();
    clock_ns += 10 * NS_PER_S;
    ends(vm->domid, SHUTDOWN_crash);
    assert_int_equal(vm->state, VM_RUNNING);        /* lived long: at once */
    assert_int_equal(vm->domid, 2);
    assert_int_equal(vm->restarts, 1);
    ends(vm->domid, SHUTDOWN_watchdog);
    assert_int_equal(vm->state, VM_BUILDING);
    assert_int_equal(doms_alive(), 0);
    run_timer();
    assert_int_equal(vm->state, VM_RUNNING);
    assert_int_equal(vm->domid, 3);
    assert_int_equal(told, 1);
    ends(vm->domid, SHUTDOWN_crash);
    destroy(vm);                                    /* while it waits */
    assert_null(timer);
}

static void destroyed_while_it_is_built(void **state)
{
    slow = true;
    for (unsigned int turns = 0; turns < 8; turns++) {
        assert_int_equal(vm_create(&cfg, false, done, NULL, NULL, why), 0);
        for (unsigned int i = 0; i < turns; i++)
            turn();
        assert_int_equal(vm_find("web")->state, turns < 8 ? VM_BUILDING : VM_RUNNING);
        destroy(vm_find("web"));
        assert_int_equal(told, turns + 1);
        assert_true(told_rc < 0);
        clean(NULL);
    }
}

static void destroyed_while_it_ends(void **state)
{
    struct vm *vm;

    cfg.on_crash = VM_RESTART;
    vm = create();
    slow = true;
    dom[vm->domid].flags = XEN_DOMINF_shutdown | SHUTDOWN_crash << XEN_DOMINF_shutdownshift;
    dom_exc(NULL);
    turn();
    assert_int_equal(vm->state, VM_DYING);
    assert_int_equal(vm_create(&cfg, false, NULL, NULL, NULL, why), -XEN_EEXIST);
    assert_int_equal(vm_destroy(vm, why), 0);       /* no restart then */
    assert_int_equal(vm_destroy(vm, why), -XEN_EBUSY);
    run();
    assert_null(timer);
}

static void pause_and_shutdown(void **state)
{
    struct vm *vm = create();
    char value[32];

    assert_int_equal(vm_pause(vm, why), 0);
    assert_int_equal(vm_pause(vm, why), 0);
    assert_false(dom[1].unpaused);
    assert_int_equal(vm_unpause(vm, why), 0);
    assert_true(dom[1].unpaused && vm->state == VM_RUNNING);
    assert_int_equal(vm_shutdown(vm, "explode", why), -XEN_EINVAL);
    assert_int_equal(vm_shutdown(vm, "reboot", why), 0);
    assert_true(xs_read(XS_NO_TXN, "/local/domain/1/control/shutdown", value, 32) > 0);
    assert_string_equal(value, "reboot");
    destroy(vm);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(runs_and_is_destroyed, setup, clean),
        cmocka_unit_test_setup_teardown(a_failure_at_any_step_leaves_nothing, setup, clean),
        cmocka_unit_test_setup_teardown(missing_files_are_refused_at_once, setup, clean),
        cmocka_unit_test_setup_teardown(names_and_macs_are_unique, setup, clean),
        cmocka_unit_test_setup_teardown(ends_by_itself, setup, clean),
        cmocka_unit_test_setup_teardown(restarts_but_not_in_a_hurry, setup, clean),
        cmocka_unit_test_setup_teardown(destroyed_while_it_is_built, setup, clean),
        cmocka_unit_test_setup_teardown(destroyed_while_it_ends, setup, clean),
        cmocka_unit_test_setup_teardown(pause_and_shutdown, setup, clean),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
