/* SPDX-License-Identifier: MIT */
/*
 * test_hotplug.c - devices that come and go while a domain runs, over the real store: what each
 * end finds there, guests that close, that do not, that die meanwhile, and what is left.
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
#include "runtime/xs.h"
#include "tests/unit/fakes/vmhost.h"
#include "toolstack/store/server.h"
#include "toolstack/vm/events.h"
#include "toolstack/vm/file.h"
#include "toolstack/vm/hotplug.h"
#include "toolstack/vm/vm.h"

static struct vm_config cfg;
static char why[WHY_MAX];
static uint64_t seen;

static int check_disk(const struct vm_disk *d, char *text)
{
    return strcmp(d->target, "missing")
               ? 0
               : why_set(text, -XEN_ENOENT, "disk %s: no such file", d->target);
}

/* What vm_attach_disk() came to: told once each. */
static struct told {
    unsigned int times;
    struct vm *vm;
    int rc;
    char why[WHY_MAX];
} told;

static void attached(void *arg, struct vm *vm, int rc, const char *text)
{
    struct told *t = arg;

    t->times++;
    t->vm = vm;
    t->rc = rc;
    strcpy(t->why, text);
}

/* A disk server that opens when it is told to. */
static bool (*opening[4])(void *arg, int rc, const char *text);
static void *opening_arg[4];
static unsigned int nr_opening;

static void server_open(struct vm *vm)
{
    vm_disks_opened(vm, 0, "");
}

static void server_done(struct vm *vm)
{
}

static void server_attach(const struct vm_disk *d, bool (*opened)(void *arg, int rc, const char *text),
                          void *arg)
{
    opening[nr_opening] = opened;
    opening_arg[nr_opening++] = arg;
}

static const struct vm_disk_server server = { server_open, server_done, server_attach };

static int setup(void **state)
{
    static bool begun;

    if (!begun) {
        assert_int_equal(store_start(1), 0);
        xs_set_provider(&store_xs_ops, NULL);
        assert_non_null(file_add("vmlinuz", "x", 1, NULL));
        assert_int_equal(vm_init(), 0);
        begun = true;
    }
    vmhost_reset();
    vm_disk_check = check_disk;
    vm_disk_server = NULL;
    nr_opening = 0;
    memset(&told, 0, sizeof(told));
    vm_config_init(&cfg);
    strcpy(cfg.kernel, "vmlinuz");
    strcpy(cfg.name, "web");
    cfg.memory_mib = 64;
    return 0;
}

static int clean(void **state)
{
    vmhost_assert_clean();
    return 0;
}

static struct vm *create(void)
{
    assert_int_equal(vm_create(&cfg, false, NULL, NULL, NULL, why), 0);
    run();
    seen = vm_events_end();
    return vm_find(cfg.name);
}

static void destroy(struct vm *vm)
{
    assert_int_equal(vm_destroy(vm, why), 0);
    run();
}

static void put(const char *dir, const char *name, const char *value)
{
    assert_int_equal(xs_printf(XS_NO_TXN, dir, name, "%s", value), 0);
    run();
}

static const char *get(const char *dir, const char *name)
{
    static char value[128];

    return xs_read_str(XS_NO_TXN, dir, name, value, sizeof(value)) < 0 ? "none" : value;
}

static void expect(const char *name, const char *text)
{
    struct vm_event e;

    assert_true(vm_events_next(&seen, &e));
    assert_string_equal(vm_event_name(e.type), name);
    assert_string_equal(e.text, text);
}

static struct vm_vif vif(const char *spec)
{
    struct vm_vif v;

    assert_int_equal(vm_vif_parse(&v, spec, why), 0);
    return v;
}

static struct vm_disk disk(const char *spec)
{
    struct vm_disk d;

    assert_int_equal(vm_disk_parse(&d, spec, why), 0);
    return d;
}

#define FRONT "/local/domain/1/device/vif/0"
#define BACK  "/local/domain/0/backend/vif/1/0"

static uint32_t attach_vif(struct vm *vm, const char *spec)
{
    struct vm_vif v = vif(spec);
    uint32_t id = 99;

    assert_int_equal(vm_attach_vif(vm, &v, &id, why), 0);
    run();
    return id;
}

static void a_vif_comes_and_goes(void **state)
{
    struct vm *vm = create();

    for (unsigned int round = 0; round < 20; round++) {
        assert_int_equal(attach_vif(vm, "mac=00:16:3e:01:02:03,rate=1MB/s"), 0);
        expect("device-attached", "vif 0");
        assert_string_equal(get(BACK, "frontend"), FRONT);
        assert_string_equal(get(BACK, "online"), "1");
        assert_string_equal(get(FRONT, "mac"), "00:16:3e:01:02:03");
        assert_string_equal(vm_device_state(vm, VM_DEVICE_VIF, 0), "initialising");
        put(BACK, "state", "4");
        assert_int_equal(vm_detach_vif(vm, 0, false, why), 0);
        run();
        assert_string_equal(vm_device_state(vm, VM_DEVICE_VIF, 0), "detaching");
        assert_string_equal(get(BACK, "online"), "0");
        assert_string_equal(get(BACK, "state"), "5");
        assert_int_equal(vm_detach_vif(vm, 0, false, why), -XEN_EBUSY);
        assert_string_equal(why, "web: vif 0 is being detached already");
        put(FRONT, "state", "6");
        put(BACK, "state", "6");
        expect("device-detached", "vif 0");
        assert_string_equal(get(BACK, "frontend"), "none");
        assert_string_equal(get(FRONT, "backend"), "none");
        assert_int_equal(vm->cfg.nr_vifs, 0);
        assert_int_equal(timers_set(), 0);
    }
    assert_int_equal(vm_detach_vif(vm, 0, false, why), -XEN_ENOENT);
    assert_string_equal(why, "web: has no vif 0");
    destroy(vm);
}

static void numbers_are_used_again_and_addresses_are_unique(void **state)
{
    struct vm *vm;
    struct vm_vif v;
    uint32_t id;

    cfg.nr_vifs = 3;
    vm = create();
    assert_int_equal(vm_detach_vif(vm, 1, false, why), 0); /* the guest has no driver: at once */
    assert_int_equal(vm->cfg.nr_vifs, 2);
    assert_true(vm->cfg.vif[0].id == 0 && vm->cfg.vif[1].id == 2);
    assert_int_equal(attach_vif(vm, ""), 1);
    assert_int_equal(attach_vif(vm, "mac=00:16:3e:01:02:03"), 3);
    v = vif("mac=00:16:3e:01:02:03");
    assert_int_equal(vm_attach_vif(vm, &v, &id, why), -XEN_EEXIST);
    assert_string_equal(why, "web: MAC 00:16:3e:01:02:03 is in use by web");
    assert_ptr_equal(vm_find_vif(vm, "3"), vm_find_vif(vm, "00:16:3e:01:02:03"));
    assert_null(vm_find_vif(vm, "4"));
    for (unsigned int i = 4; i < VM_VIFS; i++)
        assert_int_equal(attach_vif(vm, ""), i);
    v = vif("");
    assert_int_equal(vm_attach_vif(vm, &v, &id, why), -XEN_ENOSPC);
    assert_string_equal(why, "web: has 8 vifs already, the most that it can");
    destroy(vm);
}

static void disks(void **state)
{
    static const char back[] = "/local/domain/0/backend/vbd/1/51728";
    struct vm *vm = create();
    struct vm_disk d = disk("image,raw,xvdb,w");

    assert_int_equal(vm_attach_disk(vm, &d, attached, &told, why), 0);
    assert_string_equal(get(back, "params"), "image");
    assert_string_equal(get("/local/domain/1/device/vbd/51728", "virtual-device"), "51728");
    expect("device-attached", "vbd xvdb");
    assert_int_equal(vm_attach_disk(vm, &d, attached, &told, why), -XEN_EEXIST);
    assert_string_equal(why, "web: has a disk xvdb already");
    d = disk("missing,raw,xvdc,w");
    assert_int_equal(vm_attach_disk(vm, &d, attached, &told, why), -XEN_ENOENT);
    assert_string_equal(why, "web: disk missing: no such file");
    assert_int_equal(vm->cfg.nr_disks, 1);
    assert_ptr_equal(vm_find_disk(vm, "xvdb"), vm_find_disk(vm, "51728"));
    vm_disk_check = NULL;
    assert_int_equal(vm_attach_disk(vm, &d, attached, &told, why), -XEN_EOPNOTSUPP);

    put(back, "state", "4");
    assert_int_equal(vm_detach_disk(vm, 51728, false, why), 0);
    put("/local/domain/1/error/device/vbd/51728", "error", "16 Device in use; refusing\n\x1b[2J");
    run_timer();
    expect("device-detach-failed", "vbd xvdb: 16 Device in use; refusing??[2J");
    assert_string_equal(vm_device_state(vm, VM_DEVICE_VBD, 51728), "detaching");
    put(back, "state", "6");                /* in the end it does */
    expect("device-detached", "vbd xvdb");
    assert_string_equal(get("/local/domain/1/error/device/vbd", "51728"), "none");
    destroy(vm);
}

/* A disk that takes its time to open, and one that does not open. */
static void disks_that_open_later(void **state)
{
    struct vm *vm = create();
    struct vm_disk d = disk("nbd:a/,raw,xvdb,w"), e = disk("nbd:b/,raw,xvdc,w");

    vm_disk_server = &server;
    assert_int_equal(vm_attach_disk(vm, &d, attached, &told, why), 0);
    assert_int_equal(vm_attach_disk(vm, &e, attached, &told, why), 0);
    assert_int_equal(told.times + vm->cfg.nr_disks, 0);
    assert_int_equal(vm_attach_disk(vm, &d, attached, &told, why), -XEN_EBUSY);
    assert_string_equal(why, "web: a disk xvdb is being attached already");
    assert_false(opening[0](opening_arg[0], -XEN_EIO, "disk nbd:a/: no answer"));
    assert_int_equal(told.times, 1);
    assert_int_equal(told.rc, -XEN_EIO);
    assert_string_equal(told.why, "web: disk nbd:a/: no answer");
    assert_string_equal(get("/local/domain/0/backend/vbd/1/51728", "params"), "none");
    assert_true(opening[1](opening_arg[1], 0, ""));
    assert_int_equal(told.times, 2);
    assert_int_equal(told.rc, 0);
    assert_ptr_equal(told.vm, vm);
    assert_int_equal(vm->cfg.nr_disks, 1);
    assert_string_equal(get("/local/domain/0/backend/vbd/1/51744", "params"), "nbd:b/");
    /* The domain ends while one is being opened. */
    assert_int_equal(vm_attach_disk(vm, &d, attached, &told, why), 0);
    destroy(vm);
    assert_int_equal(told.times, 3);
    assert_int_equal(told.rc, -XEN_EBUSY);
    assert_null(told.vm);
    assert_string_equal(told.why, "web: ended before its disk xvdb was there");
    assert_false(opening[2](opening_arg[2], 0, ""));
    assert_int_equal(told.times, 3);
}

static void force(void **state)
{
    struct vm *vm = create();

    assert_int_equal(attach_vif(vm, ""), 0);
    put(BACK, "state", "4");
    assert_int_equal(vm_detach_vif(vm, 0, true, why), 0);
    assert_string_equal(get(BACK, "frontend"), "none");
    assert_int_equal(attach_vif(vm, ""), 0);
    put(BACK, "state", "4");
    assert_int_equal(vm_detach_vif(vm, 0, false, why), 0);
    run();
    assert_int_equal(vm_detach_vif(vm, 0, true, why), 0);
    run();
    assert_int_equal(timers_set() + vm->cfg.nr_vifs, 0);
    destroy(vm);
}

/* A frontend that goes through every state and back, and writes what is no state. */
static void wild_states(void **state)
{
    static const char *const states[] = { "5", "4", "0", "9", "-1", "4294967300", "x", "", "6", "1",
                                          "2", "4", "5" };
    struct vm *vm = create();

    for (unsigned int i = 0; i < ARRAY_SIZE(states); i++) {
        assert_int_equal(attach_vif(vm, ""), 0);
        put(BACK, "state", "4");
        assert_int_equal(vm_detach_vif(vm, 0, false, why), 0);
        for (unsigned int k = 0; k < ARRAY_SIZE(states); k++)
            put(FRONT, "state", states[(i + k) % ARRAY_SIZE(states)]);
        /* Only the backend's state counts; and it may be started anew before anybody looked. */
        assert_int_equal(vm->cfg.nr_vifs, 1);
        assert_int_equal(xs_printf(XS_NO_TXN, BACK, "state", "6"), 0);
        assert_int_equal(xs_printf(XS_NO_TXN, BACK, "state", "2"), 0);
        run();
        assert_int_equal(vm->cfg.nr_vifs, 0);
        /* It removes its directory itself, which is its own. */
        assert_int_equal(attach_vif(vm, ""), 0);
        put(BACK, "state", "4");
        assert_int_equal(xs_rm(XS_NO_TXN, FRONT), 0);
        assert_int_equal(vm_detach_vif(vm, 0, true, why), 0);
        run();
    }
    destroy(vm);
}

static void ends_meanwhile(void **state)
{
    struct vm *vm;

    cfg.on_crash = VM_RESTART;
    vm = create();
    assert_int_equal(attach_vif(vm, ""), 0);
    assert_int_equal(attach_vif(vm, "mac=00:16:3e:01:02:03"), 1);
    put(BACK, "state", "4");
    assert_int_equal(vm_detach_vif(vm, 0, false, why), 0);
    clock_ns += 10000000000UL;
    ends(1, SHUTDOWN_crash);
    assert_int_equal(vm->state, VM_RUNNING);
    /* What was attached is there again, what was being detached is not. */
    assert_string_equal(get("/local/domain/0/backend/vif/2/0", "mac"), "none");
    assert_string_equal(get("/local/domain/0/backend/vif/2/1", "mac"), "00:16:3e:01:02:03");
    assert_int_equal(timers_set(), 0);
    put("/local/domain/0/backend/vif/2/1", "state", "4");
    assert_int_equal(vm_detach_vif(vm, 1, false, why), 0);
    destroy(vm);
}

/* Attached, detached, destroyed by two at once, at each step of the domain's life. */
static void only_while_it_runs(void **state)
{
    struct vm_vif v = vif("");
    struct vm_disk d = disk("image,raw,xvdb,w");
    uint32_t id;

    cfg.nr_vifs = 1;
    slow = true;
    for (unsigned int at = 0; at < 14; at++) {
        struct vm *vm;

        assert_int_equal(vm_create(&cfg, false, NULL, NULL, NULL, why), 0);
        for (unsigned int i = 0; i < at; i++)
            turn();
        vm = vm_find("web");
        if (vm->state == VM_BUILDING) {
            assert_int_equal(vm_attach_vif(vm, &v, &id, why), -XEN_EBUSY);
            assert_string_equal(why, "web: cannot attach a vif: domain is building");
            assert_int_equal(vm_detach_vif(vm, 0, true, why), -XEN_EBUSY);
        } else {
            assert_int_equal(vm_attach_vif(vm, &v, &id, why), 0);
            assert_int_equal(vm_attach_disk(vm, &d, attached, &told, why), 0);
            (void)xs_printf(XS_NO_TXN, "/local/domain/0/backend/vbd/1/51728", "state", "4");
            (void)vm_detach_disk(vm, d.device, false, why);
        }
        assert_int_equal(vm_destroy(vm, why), 0);
        while (vm_find("web")) {
            assert_int_equal(vm_attach_vif(vm, &v, &id, why), -XEN_EBUSY);
            assert_int_equal(vm_attach_disk(vm, &d, attached, &told, why), -XEN_EBUSY);
            assert_int_equal(vm_detach_vif(vm, 0, true, why), -XEN_EBUSY);
            assert_true(turn());
        }
        run();
        vmhost_assert_clean();
        next_dom = 0;
    }
}

static void specifications_that_are_none(void **state)
{
    struct vm_disk d;
    struct vm_vif v;

    assert_int_equal(vm_vif_parse(&v, "mac=1:2", why), -XEN_EINVAL);
    assert_string_equal(why, "vif: '1:2' is no MAC address");
    assert_int_equal(vm_vif_parse(&v, "colour=red", why), -XEN_EINVAL);
    assert_int_equal(vm_disk_parse(&d, "", why), -XEN_EINVAL);
    assert_string_equal(why, "disk: no target given");
    assert_int_equal(vm_disk_parse(&d, "image,raw,tape,w", why), -XEN_EINVAL);
    assert_int_equal(vm_disk_parse(&d, "image,qcow2,xvda,w", why), -XEN_EINVAL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_vif_comes_and_goes, setup, clean),
        cmocka_unit_test_setup_teardown(numbers_are_used_again_and_addresses_are_unique, setup,
                                        clean),
        cmocka_unit_test_setup_teardown(disks, setup, clean),
        cmocka_unit_test_setup_teardown(disks_that_open_later, setup, clean),
        cmocka_unit_test_setup_teardown(force, setup, clean),
        cmocka_unit_test_setup_teardown(wild_states, setup, clean),
        cmocka_unit_test_setup_teardown(ends_meanwhile, setup, clean),
        cmocka_unit_test_setup_teardown(only_while_it_runs, setup, clean),
        cmocka_unit_test_setup_teardown(specifications_that_are_none, setup, clean),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
