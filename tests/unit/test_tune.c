/* SPDX-License-Identifier: MIT */
/*
 * test_tune.c - memory, vCPUs, scheduling and name of a domain that runs: what is written where,
 * what is refused, what two operators do to each other; and the events of all that.
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
#include "toolstack/vm/tune.h"
#include "toolstack/vm/vm.h"

static struct vm_config cfg;
static char why[WHY_MAX];
static uint64_t seen;           /* events before the test */

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
    vm_config_init(&cfg);
    strcpy(cfg.kernel, "vmlinuz");
    cfg.memory_mib = 64;
    cfg.maxmem_mib = 256;
    cfg.vcpus = 2;
    cfg.maxvcpus = 4;
    seen = vm_events_end();
    return 0;
}

static int clean(void **state)
{
    vmhost_assert_clean();
    return 0;
}

static struct vm *create(const char *name)
{
    strcpy(cfg.name, name);
    memset(cfg.uuid, 0, sizeof(cfg.uuid));
    cfg.uuid[0] = (uint8_t)name[0];
    assert_int_equal(vm_create(&cfg, false, NULL, NULL, NULL, why), 0);
    run();
    return vm_find(name);
}

static void destroy(struct vm *vm)
{
    assert_int_equal(vm_destroy(vm, why), 0);
    run();
}

static const char *node(const char *path)
{
    static char value[128];

    assert_true(xs_read(XS_NO_TXN, path, value, sizeof(value)) >= 0);
    return value;
}

#define MIB 1024UL

static void memory_follows_the_target(void **state)
{
    struct vm *vm = create("web");

    assert_string_equal(node("/local/domain/1/memory/static-max"), "262144");
    assert_string_equal(node("/local/domain/1/memory/target"), "65536");
    assert_int_equal(dom[1].max_pages, 64 << 8);
    assert_int_equal(vm_set_memory(vm, 200 * MIB, why), 0);
    assert_string_equal(node("/local/domain/1/memory/target"), "204800");
    assert_int_equal(dom[1].max_pages, 200 << 8);
    assert_int_equal(vm_promised_pages(), 136 << 8);
    dom[1].tot_pages = 200 << 8;
    assert_int_equal(vm_promised_pages(), 0);
    assert_int_equal(vm_set_memory(vm, 32 * MIB + 3, why), 0);
    assert_int_equal(vm->target_kib, 32 * MIB);      /* whole pages */
    assert_int_equal(dom[1].max_pages, 32 << 8); /* what it has not given back, it cannot replace */
    assert_int_equal(vm_promised_pages(), 0);
    destroy(vm);
}

static void the_most_may_change(void **state)
{
    struct vm *vm = create("web");

    assert_int_equal(vm_set_max_memory(vm, 64 * MIB - 1024, why), -XEN_EINVAL);
    assert_string_equal(why, "web: maxmem cannot be 64512 KiB: less than its target, 65536 KiB");
    assert_int_equal(vm_set_max_memory(vm, 100 * MIB + 1, why), -XEN_EINVAL);
    assert_int_equal(vm_set_max_memory(vm, (1UL << 32) + 1024, why), -XEN_EINVAL);
    assert_int_equal(vm_set_max_memory(vm, ~0UL << 10, why), -XEN_EINVAL);
    assert_string_equal(node("/local/domain/1/memory/static-max"), "262144");
    assert_int_equal(vm_set_max_memory(vm, 100 * MIB, why), 0);
    assert_string_equal(node("/local/domain/1/memory/static-max"), "102400");
    assert_int_equal(vm_set_memory(vm, 101 * MIB, why), -XEN_EINVAL);
    assert_string_equal(why, "web: cannot have 103424 KiB: its maxmem is 102400 KiB");
    assert_int_equal(vm_set_memory(vm, 100 * MIB, why), 0);

    /* More than it began with: when it begins anew. */
    assert_int_equal(vm_set_max_memory(vm, 512 * MIB, why), 0);
    assert_int_equal(vm_set_memory(vm, 256 * MIB, why), 0);
    assert_int_equal(vm_set_memory(vm, 257 * MIB, why), -XEN_EINVAL);
    assert_string_equal(why, "web: cannot have 263168 KiB before it is created anew: it began with room for 262144 KiB");
    assert_int_equal(vm->cfg.maxmem_mib, 512);
    destroy(vm);
    assert_int_equal(vm_set_max_memory(create("db"), 64 * MIB, why), 0);
    destroy(vm_find("db"));
}

static void memory_that_is_not_there_is_refused(void **state)
{
    struct vm *vm = create("web"), *db = create("db");

    assert_int_equal(vm_set_memory(vm, 257 * MIB, why), -XEN_EINVAL);
    assert_string_equal(why, "web: cannot have 263168 KiB: its maxmem is 262144 KiB");
    assert_int_equal(vm_set_memory(vm, 15 * MIB, why), -XEN_EINVAL);
    assert_string_equal(why, "web: cannot live with 15360 KiB: at least 16384 KiB");
    assert_int_equal(vm_set_memory(vm, 0, why), -XEN_EINVAL);
    assert_int_equal(vm_set_memory(vm, ~0UL, why), -XEN_EINVAL);
    host_free_pages = 100 << 8;
    assert_int_equal(vm_set_memory(vm, 165 * MIB, why), -XEN_ENOMEM);
    assert_string_equal(why, "web: cannot have 168960 KiB: that is 103424 KiB more than now, and "
                             "102400 KiB are free on the host");
    /* What is promised to one is not free for the other; one's own promise is. */
    assert_int_equal(vm_set_memory(vm, 124 * MIB, why), 0);
    assert_int_equal(vm_set_memory(db, 105 * MIB, why), -XEN_ENOMEM);
    assert_int_equal(vm_set_memory(db, 104 * MIB, why), 0);
    assert_int_equal(vm_set_memory(vm, 125 * MIB, why), -XEN_ENOMEM);
    assert_int_equal(vm_set_memory(vm, 100 * MIB, why), 0);
    assert_string_equal(node("/local/domain/1/memory/target"), "102400");
    /* One that keeps what it should give back owes nothing to anybody. */
    dom[2].tot_pages = 200 << 8;
    assert_int_equal(vm_promised_pages(), 36 << 8);
    destroy(vm);
    assert_int_equal(vm_promised_pages(), 0);
    destroy(db);
}

static void small_domains_may_stay_small(void **state)
{
    struct vm *vm;

    cfg.memory_mib = 8;
    vm = create("tiny");
    assert_int_equal(vm_set_memory(vm, 8 * MIB, why), 0);
    assert_int_equal(vm_set_memory(vm, 7 * MIB, why), -XEN_EINVAL);
    destroy(vm);
}

static void vcpus_come_and_go(void **state)
{
    struct vm *vm = create("web");
    struct vm_vcpu list[VM_VCPUS];

    assert_string_equal(node("/local/domain/1/cpu/1/availability"), "online");
    assert_string_equal(node("/local/domain/1/cpu/2/availability"), "offline");
    assert_int_equal(vm_set_vcpus(vm, 4, why), 0);
    assert_string_equal(node("/local/domain/1/cpu/3/availability"), "online");
    assert_int_equal(vm_set_vcpus(vm, 1, why), 0);
    assert_string_equal(node("/local/domain/1/cpu/0/availability"), "online");
    assert_string_equal(node("/local/domain/1/cpu/1/availability"), "offline");
    assert_int_equal(vm_set_vcpus(vm, 0, why), -XEN_EINVAL);
    assert_int_equal(vm_set_vcpus(vm, 5, why), -XEN_EINVAL);
    assert_string_equal(why, "web: cannot have 5 vCPUs online: 1 to 4 (maxvcpus)");
    assert_int_equal(vm_get_vcpus(vm, list), 4);
    assert_true(list[0].online && !list[3].online && list[3].cpu_ns == 3000);
    destroy(vm);
}

static void shares_change(void **state)
{
    struct vm *vm = create("web");

    assert_int_equal(vm_set_scheduling(vm, 512, 50, why), 0);
    assert_true(dom[1].weight == 512 && dom[1].cap == 50);
    assert_int_equal(vm_set_scheduling(vm, 0, 0, why), -XEN_EINVAL);
    assert_int_equal(vm_set_scheduling(vm, 65536, 0, why), -XEN_EINVAL);
    assert_int_equal(vm_set_scheduling(vm, 1, 401, why), -XEN_EINVAL);
    assert_string_equal(why, "web: cap 401: 0 (none) to 400, 100 for each vCPU");
    assert_true(dom[1].weight == 512 && vm->cfg.cpu_weight == 512 && vm->cfg.cpu_cap == 50);
    destroy(vm);
}

static void vcpus_are_tied_to_cpus(void **state)
{
    struct vm_vcpu list[VM_VCPUS];
    struct vm *vm;

    cfg.cpus[0] = 3;
    cfg.cpus[1] = 0xff;         /* more than there are: a configuration may be for larger hosts, too */
    cfg.cpus_soft[2] = 8;
    vm = create("web");
    assert_true(dom[1].affinity[0].hard == 3 && dom[1].affinity[0].soft == ~0UL);
    assert_true(dom[1].affinity[2].hard == ~0UL && dom[1].affinity[2].soft == 8);
    assert_int_equal(vm_get_vcpus(vm, list), 4);
    assert_true(list[0].hard == 3 && list[1].hard == ~0UL && list[2].soft == 8 && list[3].soft == ~0UL);

    assert_int_equal(vm_set_affinity(vm, 1, 4, 0, why), 0);
    assert_true(dom[1].affinity[1].hard == 4 && dom[1].affinity[1].soft == ~0UL);
    assert_int_equal(vm_set_affinity(vm, 1, 0, 2, why), 0);
    assert_true(dom[1].affinity[1].hard == 4 && dom[1].affinity[1].soft == 2 && dom[1].affinity[0].hard == 3);
    assert_int_equal(vm_set_affinity(vm, 0, 0xf0, 1, why), -XEN_EINVAL);
    assert_string_equal(why, "web: vCPU 0 cannot run on CPU 4-7: this host has 0-3");
    assert_int_equal(vm_set_affinity(vm, 4, 1, 0, why), -XEN_ESRCH);
    assert_string_equal(why, "web: there is no vCPU 4: it has 4, from 0");
    assert_int_equal(vm_set_affinity(vm, VM_ALL_VCPUS, 0xf0, 0, why), -XEN_EINVAL);
    assert_true(dom[1].affinity[0].hard == 3 && dom[1].affinity[0].soft == ~0UL && dom[1].affinity[3].hard == ~0UL);
    assert_int_equal(vm_set_affinity(vm, VM_ALL_VCPUS, 0x11, 0, why), 0);
    for (unsigned int i = 0; i < 4; i++)
        assert_true(dom[1].affinity[i].hard == 0x11);

    clock_ns += 10000000000UL;
    assert_int_equal(vm_restart(vm, why), 0);
    run();
    assert_true(dom[2].affinity[3].hard == 0x11 && dom[2].affinity[1].soft == 2 && dom[2].affinity[2].soft == 8);
    destroy(vm);

    cfg.cpus[1] = 0x30;
    strcpy(cfg.name, "db");
    assert_int_equal(vm_create(&cfg, false, NULL, NULL, NULL, why), -XEN_EINVAL);
    assert_string_equal(why, "db: vCPU 1 cannot run on CPU 4-5: this host has 0-3");
}

/* A restart is with what was set last. */
static void a_restart_keeps_it(void **state)
{
    struct vm *vm = create("web");

    assert_int_equal(vm_set_memory(vm, 100 * MIB, why), 0);
    assert_int_equal(vm_set_vcpus(vm, 3, why), 0);
    clock_ns += 10000000000UL;
    assert_int_equal(vm_restart(vm, why), 0);
    run();
    assert_int_equal(vm->state, VM_RUNNING);
    assert_string_equal(node("/local/domain/2/memory/target"), "102400");
    assert_string_equal(node("/local/domain/2/memory/static-max"), "262144");
    assert_string_equal(node("/local/domain/2/cpu/2/availability"), "online");
    assert_string_equal(node("/local/domain/2/cpu/3/availability"), "offline");
    assert_int_equal(vm_promised_pages(), 0);
    destroy(vm);
}

static void names_change(void **state)
{
    struct vm *vm = create("web"), *db = create("db");

    assert_int_equal(vm_rename(vm, "db", why), -XEN_EEXIST);
    assert_string_equal(why, "web: cannot be called db: a domain of this name exists (running)");
    assert_int_equal(vm_rename(vm, "", why), -XEN_EINVAL);
    assert_int_equal(vm_rename(vm, "a/b", why), -XEN_EINVAL);
    assert_int_equal(
        vm_rename(vm, "0123456789012345678901234567890123456789012345678901234567890123", why),
        -XEN_EINVAL);
    assert_int_equal(vm_rename(vm, "web", why), 0);
    assert_int_equal(vm_rename(vm, "www", why), 0);
    assert_null(vm_find("web"));
    assert_ptr_equal(vm_find("www"), vm);
    assert_string_equal(node("/local/domain/1/name"), "www");
    assert_int_equal(vm_rename(db, "web", why), 0);      /* free again */
    destroy(vm);
    destroy(db);
}

/* Two administrators at once: each step of one between any two of the other. */
static void opposite_things_at_once(void **state)
{
    slow = true;
    for (unsigned int at = 0; at < 14; at++) {
        struct vm *vm;

        strcpy(cfg.name, "web");
        assert_int_equal(vm_create(&cfg, false, NULL, NULL, NULL, why), 0);
        for (unsigned int i = 0; i < at; i++)
            turn();
        vm = vm_find("web");
        if (vm->state == VM_BUILDING) {
            assert_int_equal(vm_set_memory(vm, 128 * MIB, why), -XEN_EBUSY);
            assert_int_equal(vm_set_vcpus(vm, 1, why), -XEN_EBUSY);
            assert_int_equal(vm_set_scheduling(vm, 1, 0, why), -XEN_EBUSY);
            assert_int_equal(vm_rename(vm, "www", why), -XEN_EBUSY);
            assert_string_equal(why, "web: cannot rename it: domain is building");
        } else {
            assert_int_equal(vm_set_memory(vm, 128 * MIB, why), 0);
            assert_int_equal(vm_rename(vm, "www", why), 0);
            assert_int_equal(vm_rename(vm, "web", why), 0);
        }
        assert_int_equal(vm_create(&cfg, false, NULL, NULL, NULL, why), -XEN_EEXIST);
        assert_int_equal(vm_destroy(vm, why), 0);
        for (unsigned int i = 0; vm_find("web"); i++) {
            assert_int_equal(vm_rename(vm, "www", why), -XEN_EBUSY);
            assert_int_equal(vm_set_memory(vm, 64 * MIB, why), -XEN_EBUSY);
            assert_int_equal(vm_set_vcpus(vm, 1, why), -XEN_EBUSY);
            assert_int_equal(vm_destroy(vm, why), -XEN_EBUSY);
            assert_int_equal(vm_create(&cfg, false, NULL, NULL, NULL, why), -XEN_EEXIST);
            assert_true(turn() && i < 20);
        }
        vmhost_assert_clean();
    }
}

static void expect(uint64_t *seq, const char *name, const char *domain, const char *text)
{
    struct vm_event e;

    assert_true(vm_events_next(seq, &e));
    assert_string_equal(vm_event_name(e.type), name);
    assert_string_equal(e.domain, domain);
    assert_string_equal(e.text, text);
}

static void events_tell_the_story(void **state)
{
    struct vm *vm = create("web");
    struct vm_event e;

    assert_int_equal(vm_pause(vm, why), 0);
    assert_int_equal(vm_unpause(vm, why), 0);
    assert_int_equal(vm_rename(vm, "www", why), 0);
    clock_ns += 10000000000UL;
    ends(vm->domid, SHUTDOWN_reboot);
    cfg.on_crash = VM_DESTROY;
    clock_ns += 10000000000UL;
    ends(vm->domid, SHUTDOWN_crash);
    expect(&seen, "created", "web", "");
    expect(&seen, "running", "web", "");
    expect(&seen, "paused", "web", "");
    expect(&seen, "unpaused", "web", "");
    expect(&seen, "renamed", "www", "web");
    expect(&seen, "shutdown", "www", "reboot");
    expect(&seen, "rebooting", "www", "");
    expect(&seen, "destroyed", "www", "");
    expect(&seen, "created", "www", "");
    expect(&seen, "running", "www", "");
    expect(&seen, "crashed", "www", "crash");
    expect(&seen, "destroyed", "www", "");
    assert_false(vm_events_next(&seen, &e));
}

static unsigned int heard;

static void hear(struct vm_event_listener *l)
{
    heard++;
}

static void slow_readers_are_told_what_they_missed(void **state)
{
    struct vm_event_listener l = { .fn = hear };
    struct vm *vm = create("web");
    uint64_t seq = vm_events_end(), first = seq;
    struct vm_event e;
    char text[16];

    vm_events_listen(&l);
    for (unsigned int i = 0; i < VM_EVENTS + 44; i++)
        vm_event(vm, VM_EVENT_ATTACHED, "vif %u", i);
    vm_events_unlisten(&l);
    assert_int_equal(heard, VM_EVENTS + 44);
    expect(&seq, "lost", "", "44");
    for (unsigned int i = 44; i < VM_EVENTS + 44; i++) {
        snprintf(text, sizeof(text), "vif %u", i);
        assert_int_equal(seq, first + i);
        expect(&seq, "device-attached", "web", text);
    }
    assert_false(vm_events_next(&seq, &e));
    destroy(vm);
    assert_int_equal(heard, VM_EVENTS + 44);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(memory_follows_the_target, setup, clean),
        cmocka_unit_test_setup_teardown(the_most_may_change, setup, clean),
        cmocka_unit_test_setup_teardown(memory_that_is_not_there_is_refused, setup, clean),
        cmocka_unit_test_setup_teardown(small_domains_may_stay_small, setup, clean),
        cmocka_unit_test_setup_teardown(vcpus_come_and_go, setup, clean),
        cmocka_unit_test_setup_teardown(shares_change, setup, clean),
        cmocka_unit_test_setup_teardown(vcpus_are_tied_to_cpus, setup, clean),
        cmocka_unit_test_setup_teardown(a_restart_keeps_it, setup, clean),
        cmocka_unit_test_setup_teardown(names_change, setup, clean),
        cmocka_unit_test_setup_teardown(opposite_things_at_once, setup, clean),
        cmocka_unit_test_setup_teardown(events_tell_the_story, setup, clean),
        cmocka_unit_test_setup_teardown(slow_readers_are_told_what_they_missed, setup, clean),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
