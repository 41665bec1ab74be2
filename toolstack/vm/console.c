/* SPDX-License-Identifier: MIT */
/*
 * console.c - domains' consoles: a shared page and an event channel each.
 *
 * The page is the guest's. Its bytes are copied once; our indexes are kept here and only shown in
 * the page; the guest's are checked whenever they are read, and a guest that sets impossible
 * ones has no console any more. All output is taken at once, whatever becomes of it, because a
 * guest early in its boot does nothing but wait for room.
 */
#include "toolstack/vm/console.h"

#include <stdlib.h>
#include <string.h>

#include "atomic.h"
#include "lib/printf.h"
#include "runtime/event.h"
#include "runtime/log.h"
#include "runtime/loop.h"
#include "runtime/pagetable.h"
#include "toolstack/vm/vm.h"

#define FIRST_KEEP 4096u /* grows up to CONSOLE_KEEP: most domains say little */
#define INPUT_MAX  4096u /* bytes that wait for room in the guest's ring */

#define OUT_SIZE sizeof(((struct xencons_interface *)0)->out)
#define IN_SIZE  sizeof(((struct xencons_interface *)0)->in)

struct console {
    struct list link; /* in consoles: dead ones in the order in which they died */
    char name[VM_NAME_MAX];
    struct list watches;
    /* What was written. */
    char *keep;
    uint32_t keep_size; /* a power of two, or 0 */
    uint64_t end;       /* bytes since the start; the last keep_size of them are in keep */
    /* The living domain. */
    bool alive;
    bool broken; /* lied; not looked at any more */
    domid_t domid;
    evtchn_port_t port;
    struct xencons_interface *page;
    struct work work;
    uint32_t out_cons, in_prod; /* ours */
    uint32_t input_len;
    char *input; /* INPUT_MAX, from the first input on */
};

static struct list consoles = LIST_INIT(consoles);
static unsigned int nr_dead;
static void (*mirror)(void *arg, const char *name, const char *data, size_t len);
static void *mirror_arg;

static void tell_watches(struct console *c)
{
    struct console_watch *w;

    list_for_each(w, &c->watches, link)
        w->fn(w);
}

void console_watch(struct console *c, struct console_watch *w)
{
    w->console = c;
    list_push_back(&c->watches, &w->link);
}

void console_unwatch(struct console_watch *w)
{
    list_remove(&w->link);
}

const char *console_name(const struct console *c)
{
    return c->name;
}

bool console_alive(const struct console *c)
{
    return c->alive;
}

/* ---- what is kept ---- */

/* Keeps as much of the tail as there is memory for. */
static void keep_grow(struct console *c, uint32_t size)
{
    char *bigger = malloc(size);

    if (!bigger)
        return;
    for (uint64_t pos = c->end > c->keep_size ? c->end - c->keep_size : 0; pos < c->end; pos++)
        bigger[pos % size] = c->keep[pos % c->keep_size];
    free(c->keep);
    c->keep = bigger;
    c->keep_size = size;
}

static void keep(struct console *c, const char *data, size_t len)
{
    if (c->keep_size < CONSOLE_KEEP && c->end + len > c->keep_size)
        keep_grow(c, c->keep_size ? MIN(c->keep_size * 4, CONSOLE_KEEP) : FIRST_KEEP);
    for (size_t done = 0; done < len && c->keep_size;) {
        uint32_t at = c->end % c->keep_size;
        size_t n = MIN(len - done, (size_t)(c->keep_size - at));

        memcpy(c->keep + at, data + done, n);
        c->end += n;
        done += n;
    }
    if (mirror)
        mirror(mirror_arg, c->name, data, len);
    tell_watches(c);
}

size_t console_read(struct console *c, uint64_t *pos, char *buf, size_t size)
{
    size_t done = 0;

    if (c->end > c->keep_size && *pos < c->end - c->keep_size)
        *pos = c->end - c->keep_size;
    while (done < size && *pos < c->end) {
        uint32_t at = *pos % c->keep_size;
        size_t n = MIN(size - done, c->end - *pos);

        n = MIN(n, (size_t)(c->keep_size - at));
        memcpy(buf + done, c->keep + at, n);
        *pos += n;
        done += n;
    }
    return done;
}

uint64_t console_end(const struct console *c)
{
    return c->end;
}

/* ---- the ring ---- */

static void break_off(struct console *c)
{
    c->broken = true;
    log_warn("console of %s (domain %u): impossible ring index; it is not served any more",
             c->name, c->domid);
}

/* Returns whether anything was taken. */
static bool take_output(struct console *c)
{
    uint32_t avail = load_acquire(&c->page->out_prod) - c->out_cons;
    bool any = avail != 0;
    char copy[256];

    if (avail > OUT_SIZE) {
        break_off(c);
        return false;
    }
    while (avail) {
        uint32_t at = c->out_cons % OUT_SIZE;
        uint32_t n = MIN(avail, (uint32_t)sizeof(copy));

        n = MIN(n, (uint32_t)OUT_SIZE - at);
        memcpy(copy, c->page->out + at, n);
        keep(c, copy, n);
        c->out_cons += n;
        avail -= n;
    }
    if (any)
        store_release(&c->page->out_cons, c->out_cons);
    return any;
}

/* Returns whether anything was given. */
static bool give_input(struct console *c)
{
    uint32_t used, given = 0;

    if (!c->input_len)
        return false;
    used = c->in_prod - load_acquire(&c->page->in_cons);
    if (used > IN_SIZE) {
        break_off(c);
        return false;
    }
    while (given < c->input_len && used < IN_SIZE) {
        c->page->in[c->in_prod++ % IN_SIZE] = c->input[given++];
        used++;
    }
    store_release(&c->page->in_prod, c->in_prod);
    c->input_len -= given;
    memmove(c->input, c->input + given, c->input_len);
    return given != 0;
}

static void serve(struct work *w)
{
    struct console *c = container_of(w, struct console, work);
    bool moved = !c->broken && take_output(c);

    moved |= !c->broken && give_input(c);
    if (moved)
        event_send(c->port);
}

static void console_event(void *arg)
{
    struct console *c = arg;

    if (!c->broken)
        work_queue(&c->work);
}

size_t console_input(struct console *c, const char *data, size_t len)
{
    size_t n;

    if (!c->alive || c->broken)
        return 0;
    if (!c->input)
        c->input = malloc(INPUT_MAX);
    if (!c->input)
        return 0;
    n = MIN(len, (size_t)(INPUT_MAX - c->input_len));
    memcpy(c->input + c->input_len, data, n);
    c->input_len += (uint32_t)n;
    work_queue(&c->work);
    return n;
}

/* ---- domains come and go ---- */

struct console *console_find(const char *name)
{
    struct console *c;

    list_for_each(c, &consoles, link)
        if (!strcmp(c->name, name))
            return c;
    return NULL;
}

static void console_free(struct console *c)
{
    struct console_watch *w, *tmp;

    list_for_each_safe(w, tmp, &c->watches, link) {
        list_remove(&w->link);
        w->console = NULL;
        w->fn(w);
    }
    list_remove(&c->link);
    free(c->keep);
    free(c);
}

static void drop_oldest_dead(void)
{
    struct console *c;

    list_for_each(c, &consoles, link) {
        if (c->alive)
            continue;
        nr_dead--;
        console_free(c);
        return;
    }
}

/* The one that the domain goes on in, or a new one; not among the dead any more. */
static struct console *console_get(const char *name)
{
    struct console *c = console_find(name);

    if (c) {
        nr_dead -= !c->alive;
        return c;
    }
    c = calloc(1, sizeof(*c));
    if (!c)
        return NULL;
    snprintf(c->name, sizeof(c->name), "%s", name);
    list_init(&c->watches);
    work_init(&c->work, serve);
    list_push_back(&consoles, &c->link);
    return c;
}

void console_rename(const char *old, const char *name)
{
    struct console *c = console_find(old), *dead = console_find(name);

    if (!c || c == dead)
        return;
    if (dead) {
        nr_dead--;
        console_free(dead);
    }
    snprintf(c->name, sizeof(c->name), "%s", name);
}

/* The domain is gone; what it wrote stays. */
static void console_die(struct console *c)
{
    c->alive = false;
    free(c->input);
    c->input = NULL;
    c->input_len = 0;
    c->page = NULL;
    list_remove(&c->link);
    list_push_back(&consoles, &c->link);
    tell_watches(c);
    if (++nr_dead > CONSOLE_DEAD)
        drop_oldest_dead();
}

static int vm_start(void *arg, struct vm *vm)
{
    struct console *c = console_get(vm->cfg.name);
    int rc;

    if (!c)
        return -XEN_ENOMEM;
    c->alive = true;
    c->broken = false;
    c->domid = vm->domid;
    rc = -XEN_ENOMEM;
    c->page = map_foreign(vm->domid, &vm->console_mfn, 1, MAP_RW);
    if (!c->page)
        goto die;
    c->out_cons = READ_ONCE(c->page->out_cons);
    c->in_prod = READ_ONCE(c->page->in_prod);
    rc = event_bind_interdomain(vm->domid, vm->console_port, console_event, c, &c->port);
    if (rc)
        goto unmap;
    work_queue(&c->work); /* a restored domain may have written already */
    return 0;
unmap:
    unmap_foreign(c->page, 1);
die:
    console_die(c); /* an empty one goes by itself, in time */
    return rc;
}

static void vm_stop(void *arg, struct vm *vm)
{
    struct console *c = console_find(vm->cfg.name);

    if (!c || !c->alive || c->domid != vm->domid)
        return;
    work_cancel(&c->work);
    if (!c->broken)
        take_output(c); /* its last words */
    event_close(c->port);
    unmap_foreign(c->page, 1);
    console_die(c);
}

void console_set_mirror(void (*fn)(void *arg, const char *name, const char *data, size_t len),
                        void *arg)
{
    mirror = fn;
    mirror_arg = arg;
}

int consoles_init(void)
{
    static struct vm_hook hook = { .start = vm_start, .stop = vm_stop };

    vm_hook_add(&hook);
    return 0;
}
