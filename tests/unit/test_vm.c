/* SPDX-License-Identifier: MIT */
/*
 * test_vm.c - life cycle of domains over a fake hypervisor, a fake builder and the real store:
 * what happens in which order, what is left when something fails.
 */
/* LINK: toolstack/vm/vm.c toolstack/vm/devices.c toolstack/vm/file.c lib/vmconfig.c lib/vmvif.c lib/vmdisk.c lib/vmcpus.c lib/cpulist.c lib/words.c lib/xlkeys.c */
/* LINK: lib/why.c lib/xlcfg.c lib/strlcpy.c runtime/xs.c runtime/cmdline.c */
/* LINK: toolstack/store/path.c toolstack/store/perm.c toolstack/store/tree.c */
/* LINK: toolstack/store/watch.c toolstack/store/txn.c toolstack/store/ops.c */
/* LINK: toolstack/store/wire.c toolstack/store/conn.c toolstack/store/ringconn.c runtime/loglimit.c lib/rate.c */
/* LINK: toolstack/store/local.c toolstack/vm/tune.c toolstack/vm/events.c */
/* LINK: tests/unit/fakes/vmhost.c toolstack/vm/hotplug.c toolstack/vm/suspend.c toolstack/vm/mac.c */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "runtime/time.h"
#include "runtime/xs.h"
#include "toolstack/store/server.h"
#include "tests/unit/fakes/vmhost.h"
#include "toolstack/builder/image.h"
#include "toolstack/vm/events.h"
#include "toolstack/vm/file.h"
#include "toolstack/vm/suspend.h"
#include "toolstack/vm/vm.h"

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
    vmhost_reset();
    hook_error = 0;
    told = 0;
    told_rc = 0;
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
    vmhost_assert_clean();
    assert_int_equal(hooks_on, 0);
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

static void names_macs_and_uuids_are_unique(void **state)
{
    struct vm *vm = create();

    assert_int_equal(vm_create(&cfg, false, NULL, NULL, NULL, why), -XEN_EEXIST);
    strcpy(cfg.name, "other");
    memcpy(cfg.vif[0].mac, vm->cfg.vif[0].mac, 6);
    assert_int_equal(vm_create(&cfg, false, NULL, NULL, NULL, why), -XEN_EEXIST);
    assert_non_null(strstr(why, "in use by web"));
    memset(cfg.vif[0].mac, 0, 6);
    memcpy(cfg.uuid, vm->cfg.uuid, sizeof(cfg.uuid));
    assert_int_equal(vm_create(&cfg, false, NULL, NULL, NULL, why), -XEN_EEXIST);
    assert_string_equal(why, "other: its uuid is that of web (running)");
    memset(cfg.uuid, 0, sizeof(cfg.uuid));
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
    vm = create();
    ends(vm->domid, SHUTDOWN_watchdog);     /* on_watchdog: destroy */
    assert_true(vm_none_left());
}

static void restarts_but_not_in_a_hurry(void **state)
{
    struct vm *vm;

    cfg.on_crash = cfg.on_watchdog = VM_RESTART;
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
    assert_int_equal(timers_set(), 0);
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
    assert_int_equal(timers_set(), 0);
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

/* Suspend and resume -------------------------------------------------------------------------- */

#define CONTROL "/local/domain/1/control/"

/* control/shutdown is that now. */
static void requested(const char *what)
{
    char value[32];

    assert_true(xs_read(XS_NO_TXN, CONTROL "shutdown", value, sizeof(value)) >= 0);
    assert_string_equal(value, what);
}

static struct vm *create_able(void)
{
    struct vm *vm = create();

    assert_int_equal(xs_write(XS_NO_TXN, CONTROL "feature-suspend", "1", 1), 0);
    told = 0;
    told_why[0] = '\0';
    return vm;
}

static void ask(struct vm *vm)
{
    told = 0;
    assert_int_equal(vm_suspend(vm, 10, done, NULL, why), 0);
    requested("suspend");
    assert_int_equal(told, 0);
}

static void taken(void)
{
    assert_int_equal(xs_write(XS_NO_TXN, CONTROL "shutdown", "", 0), 0);
}

static void suspends_and_resumes(void **state)
{
    struct vm *vm = create_able();

    for (int i = 0; i < 3; i++) {
        ask(vm);
        taken();
        ends(1, SHUTDOWN_suspend);
        assert_true(told == 1 && told_rc == 0);
        assert_int_equal(vm->state, VM_SUSPENDED);
        assert_int_equal(timers_set(), 0);
        assert_int_equal(hooks_on, 2);
        dom_exc(NULL);          /* somebody else's end */
        assert_int_equal(vm_suspend(vm, 10, done, NULL, why), -XEN_EBUSY);
        assert_string_equal(why, "web: cannot suspend: domain is suspended");
        assert_int_equal(vm_pause(vm, why), -XEN_EBUSY);
        assert_int_equal(vm_unpause(vm, why), -XEN_EBUSY);
        assert_int_equal(vm_shutdown(vm, "poweroff", why), -XEN_EBUSY);
        assert_int_equal(vm_resume(vm, why), 0);
        assert_true(vm->state == VM_RUNNING && dom[1].flags == 0);
        assert_int_equal(vm_resume(vm, why), -XEN_EBUSY);
        assert_string_equal(why, "web: cannot resume: domain is running");
    }
    ends(1, SHUTDOWN_poweroff);
    assert_true(vm_none_left());
}

static void suspends_only_who_can(void **state)
{
    struct vm *vm = create();

    assert_int_equal(vm_suspend(vm, 10, done, NULL, why), -XEN_EBUSY);
    assert_string_equal(why, "web: cannot suspend: the guest does not offer it (control/feature-suspend)");
    assert_int_equal(xs_write(XS_NO_TXN, CONTROL "feature-suspend", "0", 1), 0);
    assert_int_equal(vm_suspend(vm, 10, done, NULL, why), -XEN_EBUSY);
    assert_int_equal(xs_write(XS_NO_TXN, CONTROL "feature-suspend", "1", 1), 0);
    assert_int_equal(vm_shutdown(vm, "poweroff", why), 0);
    assert_int_equal(vm_suspend(vm, 10, done, NULL, why), -XEN_EBUSY);
    requested("poweroff");
    taken();
    assert_int_equal(vm_pause(vm, why), 0);
    assert_int_equal(vm_suspend(vm, 10, done, NULL, why), -XEN_EBUSY);
    assert_int_equal(vm_unpause(vm, why), 0);
    assert_int_equal(vm_shutdown(vm, "suspend", why), -XEN_EINVAL);
    requested("");
    ask(vm);
    assert_int_equal(vm_suspend(vm, 10, done, NULL, why), -XEN_EBUSY);
    assert_int_equal(vm_shutdown(vm, "poweroff", why), -XEN_EBUSY);
    requested("suspend");
    destroy(vm);
    assert_true(told == 1 && told_rc == -XEN_ESRCH);

    image.notes.suspend_cancel = false;
    next_dom = 0;
    vm = create_able();
    assert_int_equal(vm_suspend(vm, 10, done, NULL, why), -XEN_EBUSY);
    assert_non_null(strstr(why, "no SUSPEND_CANCEL"));
    ends(1, SHUTDOWN_suspend);
    assert_int_equal(vm->state, VM_SHUTDOWN);
    assert_int_equal(vm_resume(vm, why), -XEN_EBUSY);
    destroy(vm);
}

static void a_request_that_is_not_taken_is_withdrawn(void **state)
{
    struct vm *vm = create_able();

    ask(vm);
    run_timer();
    assert_true(told == 1 && told_rc == -XEN_ETIMEDOUT);
    assert_string_equal(told_why, "web: did not take the request to suspend within 10 s; it goes on");
    requested("");
    assert_int_equal(vm->state, VM_RUNNING);
    /* Nobody waits for that one: it was not even seen. */
    ends(1, SHUTDOWN_suspend);
    assert_int_equal(vm->state, VM_SUSPENDED);
    assert_int_equal(vm_resume(vm, why), 0);
    destroy(vm);
}

static void one_who_suspends_too_late_goes_on(void **state)
{
    struct vm *vm = create_able();

    ask(vm);
    taken();
    run_timer();
    assert_true(told == 1 && told_rc == -XEN_ETIMEDOUT);
    assert_string_equal(told_why, "web: took the request to suspend, but did not stop within 10 s; it goes on");
    ends(1, SHUTDOWN_suspend);
    assert_true(vm->state == VM_RUNNING && dom[1].flags == 0);
    ends(1, SHUTDOWN_suspend);      /* another time nobody asked */
    assert_int_equal(vm->state, VM_SUSPENDED);
    assert_int_equal(vm_resume(vm, why), 0);
    /* The late one serves whoever asks again meanwhile. */
    ask(vm);
    taken();
    run_timer();
    ask(vm);
    ends(1, SHUTDOWN_suspend);
    assert_true(told == 1 && told_rc == 0 && vm->state == VM_SUSPENDED);
    requested("");                  /* and what it did not take is gone */
    destroy(vm);
}

static void ends_while_it_is_to_suspend(void **state)
{
    static const uint32_t reasons[] = { SHUTDOWN_poweroff, SHUTDOWN_crash };
    struct vm *vm;

    for (unsigned int i = 0; i < ARRAY_SIZE(reasons); i++) {
        next_dom = 0;
        cfg.on_crash = VM_PRESERVE;
        vm = create_able();
        ask(vm);
        ends(1, reasons[i]);
        assert_true(told == 1 && told_rc == -XEN_ESRCH);
        assert_string_equal(told_why, "web: it ended instead of being suspended");
        assert_int_equal(timers_set(), 0);
        if (reasons[i] == SHUTDOWN_crash) {
            assert_int_equal(vm_resume(vm, why), -XEN_EBUSY);
            destroy(vm);
        }
    }
}

static void suspended_for_good(void **state)
{
    struct vm *vm = create_able();

    ask(vm);
    assert_int_equal(vm_pause(vm, why), 0);         /* between its last instruction and the news of it */
    ends(1, SHUTDOWN_suspend);
    assert_int_equal(vm->state, VM_SUSPENDED);
    refuse_resume = true;
    assert_int_equal(vm_resume(vm, why), -XEN_EINVAL);
    assert_int_equal(vm->state, VM_SUSPENDED);
    refuse_resume = false;
    assert_int_equal(vm_resume(vm, why), 0);
    assert_int_equal(vm->state, VM_PAUSED);
    assert_int_equal(vm_unpause(vm, why), 0);
    ask(vm);
    ends(1, SHUTDOWN_suspend);
    assert_int_equal(vm_restart(vm, why), 0);
    run();
    if (vm->state == VM_BUILDING)
        run_timer();
    assert_true(vm->state == VM_RUNNING && vm->domid == 2);
    destroy(vm);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(runs_and_is_destroyed, setup, clean),
        cmocka_unit_test_setup_teardown(a_failure_at_any_step_leaves_nothing, setup, clean),
        cmocka_unit_test_setup_teardown(missing_files_are_refused_at_once, setup, clean),
        cmocka_unit_test_setup_teardown(names_macs_and_uuids_are_unique, setup, clean),
        cmocka_unit_test_setup_teardown(ends_by_itself, setup, clean),
        cmocka_unit_test_setup_teardown(restarts_but_not_in_a_hurry, setup, clean),
        cmocka_unit_test_setup_teardown(destroyed_while_it_is_built, setup, clean),
        cmocka_unit_test_setup_teardown(destroyed_while_it_ends, setup, clean),
        cmocka_unit_test_setup_teardown(pause_and_shutdown, setup, clean),
        cmocka_unit_test_setup_teardown(suspends_and_resumes, setup, clean),
        cmocka_unit_test_setup_teardown(suspends_only_who_can, setup, clean),
        cmocka_unit_test_setup_teardown(a_request_that_is_not_taken_is_withdrawn, setup, clean),
        cmocka_unit_test_setup_teardown(one_who_suspends_too_late_goes_on, setup, clean),
        cmocka_unit_test_setup_teardown(ends_while_it_is_to_suspend, setup, clean),
        cmocka_unit_test_setup_teardown(suspended_for_good, setup, clean),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
