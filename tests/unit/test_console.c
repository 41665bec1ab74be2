/* SPDX-License-Identifier: MIT */
/* Consoles of domains: what is kept, input, rings that lie, domains that come and go. */
/* LINK: toolstack/vm/console.c */
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
#include "runtime/loop.h"
#include "runtime/pagetable.h"
#include "toolstack/vm/console.h"
#include "toolstack/vm/vm.h"

static struct list works = LIST_INIT(works);
static event_fn port_fn;
static void *port_arg;
static unsigned int sent, warnings, mapped;
static bool refuse_map, refuse_bind;
static struct vm_hook *hook;
static struct xencons_interface page;
static struct vm vm;

void work_queue(struct work *w)
{
    if (!w->queued)
        list_push_back(&works, &w->link);
    w->queued = true;
}

void work_cancel(struct work *w)
{
    list_remove(&w->link);
    w->queued = false;
}

int event_bind_interdomain(domid_t dom, evtchn_port_t remote, event_fn fn, void *arg,
                           evtchn_port_t *port)
{
    if (refuse_bind)
        return -XEN_EINVAL;
    *port = 3;
    port_fn = fn;
    port_arg = arg;
    return 0;
}

void event_close(evtchn_port_t port)
{
    port_fn = NULL;
}

void event_send(evtchn_port_t port)
{
    assert_non_null(port_fn);
    sent++;
}

void log_at(enum log_level level, const char *fmt, ...)
{
    warnings++;
}

void *map_foreign(domid_t dom, const mfn_t *frames, size_t n, enum map_mode mode)
{
    mapped += !refuse_map;
    return refuse_map ? NULL : &page;
}

void unmap_foreign(void *va, size_t n)
{
    mapped--;
}

void vm_hook_add(struct vm_hook *h)
{
    hook = h;
}

static void run(void)
{
    while (!list_empty(&works)) {
        struct work *w = list_first(&works, struct work, link);

        work_cancel(w);
        w->fn(w);
    }
}

static void start(const char *name)
{
    memset(&page, 0, sizeof(page));
    snprintf(vm.cfg.name, sizeof(vm.cfg.name), "%s", name);
    vm.domid++;
    assert_int_equal(hook->start(hook->arg, &vm), 0);
    run();
}

static void stop(void)
{
    hook->stop(hook->arg, &vm);
    assert_int_equal(mapped, 0);
    assert_null(port_fn);
}

/* What a guest does to print; the daemon takes everything, so there is always room. */
static void print(const char *s)
{
    for (; *s; s++) {
        page.out[page.out_prod++ % sizeof(page.out)] = *s;
        if (page.out_prod - page.out_cons == sizeof(page.out)) {
            port_fn(port_arg);
            run();
        }
    }
    port_fn(port_arg);
    run();
}

static const char *text(const char *name, uint64_t pos)
{
    static char buf[CONSOLE_KEEP + 1];
    size_t n = console_read(console_find(name), &pos, buf, CONSOLE_KEEP);

    buf[n] = 0;
    return buf;
}

static void test_output(void **state)
{
    uint64_t pos = 0;
    char buf[4];

    start("a");
    assert_null(console_find("b"));
    assert_string_equal(text("a", 0), "");
    print("hello ");
    assert_true(sent > 0);
    assert_int_equal(page.out_cons, 6);
    print("world");
    assert_string_equal(text("a", 0), "hello world");
    assert_string_equal(text("a", 6), "world");
    assert_string_equal(text("a", 100), "");
    assert_int_equal(console_read(console_find("a"), &pos, buf, 4), 4);
    assert_int_equal(pos, 4);
    assert_memory_equal(buf, "hell", 4);
    stop();
    assert_string_equal(text("a", 0), "hello world"); /* after its end */
    start("a");
    print("!");
    assert_string_equal(text("a", 0), "hello world!"); /* and goes on */
    page.out[page.out_prod++ % 2048] = '?'; /* last words without an event */
    stop();
    assert_string_equal(text("a", 0), "hello world!?");
}

static void test_keep(void **state)
{
    char line[32];
    uint64_t pos = 5, end;

    start("long");
    for (int i = 0; i < 20000; i++) {
        snprintf(line, sizeof(line), "line %05d\n", i);
        print(line);
    }
    end = console_end(console_find("long"));
    assert_int_equal(end, 20000 * 11);
    const char *all = text("long", 0);
    assert_int_equal(strlen(all), CONSOLE_KEEP);
    assert_string_equal(all + CONSOLE_KEEP - 11, "line 19999\n");
    for (const char *p = strchr(all, '\n') + 1; *p; p += 11)
        assert_int_equal(atoi(p + 5), 20000 - (all + CONSOLE_KEEP - p) / 11);
    assert_int_equal(console_read(console_find("long"), &pos, line, 1), 1);
    assert_int_equal(pos, end - CONSOLE_KEEP + 1);
    stop();
}

static void test_input(void **state)
{
    char much[5000];

    start("in");
    assert_int_equal(console_input(console_find("in"), "ls\n", 3), 3);
    run();
    assert_int_equal(page.in_prod, 3);
    assert_memory_equal(page.in, "ls\n", 3);
    page.in_cons = 3;
    for (size_t i = 0; i < sizeof(much); i++)
        much[i] = (char)i;
    assert_int_equal(console_input(console_find("in"), much, 5000), 4096);
    run();
    assert_int_equal(page.in_prod, 1027);
    assert_int_equal(console_input(console_find("in"), much + 4096, 904), 904);
    for (size_t i = 0; i < 5000; i++) {
        if (page.in_cons == page.in_prod) {
            port_fn(port_arg);
            run();
        }
        assert_int_equal(page.in[page.in_cons++ % 1024], (char)i);
    }
    stop();
    assert_int_equal(console_input(console_find("in"), "x", 1), 0);
}

static void test_lies(void **state)
{
    start("liar");
    print("true");
    page.out_prod = page.out_cons + 2049;
    port_fn(port_arg);
    run();
    assert_int_equal(warnings, 1);
    port_fn(port_arg);
    assert_true(list_empty(&works));
    assert_int_equal(console_input(console_find("liar"), "x", 1), 0);
    stop();
    assert_string_equal(text("liar", 0), "true");
    start("liar"); /* the next one gets its chance */
    print(" again");
    assert_string_equal(text("liar", 0), "true again");
    page.out_cons = 77; /* ours is kept elsewhere */
    print(".");
    assert_string_equal(text("liar", 0), "true again.");
    page.in_cons = 1;
    console_input(console_find("liar"), "x", 1);
    run();
    assert_int_equal(warnings, 2);
    stop();
    warnings = 0;
}

static void test_failures(void **state)
{
    refuse_map = true;
    snprintf(vm.cfg.name, sizeof(vm.cfg.name), "f");
    assert_int_equal(hook->start(hook->arg, &vm), -XEN_ENOMEM);
    refuse_map = false;
    refuse_bind = true;
    assert_int_equal(hook->start(hook->arg, &vm), -XEN_EINVAL);
    refuse_bind = false;
    assert_int_equal(mapped, 0);
    stop(); /* of one that never started */
    start("f");
    print("f");
    stop();
}

static void test_dead_are_bounded(void **state)
{
    char name[16];

    for (int i = 0; i < 40; i++) {
        snprintf(name, sizeof(name), "d%d", i);
        start(name);
        print(name);
        stop();
    }
    assert_null(console_find("d23"));
    assert_string_equal(text("d24", 0), "d24");
    start("d24"); /* a living one is not forgotten */
    struct vm kept = vm;
    event_fn fn = port_fn;
    port_fn = NULL;
    mapped = 0;
    for (int i = 50; i < 90; i++) {
        snprintf(name, sizeof(name), "d%d", i);
        start(name);
        stop();
    }
    assert_string_equal(text("d24", 0), "d24");
    port_fn = fn;
    mapped = 1;
    hook->stop(hook->arg, &kept);
}

static size_t mirrored;

static void on_mirror(void *arg, const char *name, const char *data, size_t len)
{
    assert_string_equal(name, "m");
    mirrored += len;
}

static void test_mirror(void **state)
{
    start("m");
    console_set_mirror(on_mirror, NULL);
    print("123");
    assert_int_equal(mirrored, 3);
    console_set_mirror(NULL, NULL);
    stop();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_output),   cmocka_unit_test(test_keep),
        cmocka_unit_test(test_input),    cmocka_unit_test(test_lies),
        cmocka_unit_test(test_failures), cmocka_unit_test(test_dead_are_bounded),
        cmocka_unit_test(test_mirror),
    };

    consoles_init();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
