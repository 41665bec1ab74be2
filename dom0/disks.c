/* SPDX-License-Identifier: MIT */
/* disks.c - hands blkback the files that dom0 holds, and starts it. */
#include <stdlib.h>
#include "dom0/disks.h"
#include "blkback/blkback.h"
#include "blkback/disk.h"
#include "blkback/nbd.h"
#include "blkback/physdisk.h"
#include "lib/string.h"
#include "runtime/log.h"
#include "runtime/time.h"
#include "toolstack/net/net.h"
#include "toolstack/vm/file.h"
#include "toolstack/vm/vm.h"

static bool open_file(const char *name, struct disk_file *f)
{
    struct file *file = file_find(name);

    if (!file)
        return false;
    *f = (struct disk_file){ .data = file->data, .size = file->size, .handle = file_get(file) };
    return true;
}

static void close_file(struct disk_file *f)
{
    file_put(f->handle);
}

/* What an open that ended at once came to. */
struct result {
    struct disk_open open;
    int rc;
    char *why;
};

static void opened(struct disk_open *o, int rc, struct disk *d, const char *why)
{
    struct result *r = o->arg;

    r->rc = rc;
    if (rc)
        strlcpy(r->why, why, WHY_MAX);
    else
        disk_close(d, NULL, NULL);
}

static void fill_spec(struct disk_spec *s, const struct vm_disk *d)
{
    strlcpy(s->target, d->target, sizeof(s->target));
    s->readonly = d->readonly;
    s->shared = d->shared;
}

static int check(const struct vm_disk *d, char *why)
{
    struct result r = { .why = why };

    fill_spec(&r.open.spec, d);
    r.open.opened = opened;
    r.open.arg = &r;
    disk_open(&r.open);
    disk_open_cancel(&r.open);
    return r.rc;
}

#define TAKE_TIME (10 * NS_PER_S)       /* for blkback, once the domain's nodes are there */

/* The disks of a domain that is being created, or one more of one that runs: opened, and parked until blkback
 * takes them. */
struct opening {
    struct list link;
    struct vm *vm;              /* NULL: it has what it wanted, or nothing any more */
    bool (*attached)(void *arg, int rc, const char *why);       /* one more: who wants it */
    void *arg;
    uint32_t nr, answered;
    int rc;
    char why[WHY_MAX];
    struct work work;
    struct timer timer;
    struct disk_open open[];    /* nr of them */
};

static struct list openings = LIST_INIT(openings);

static void opening_free(struct opening *o);

static void all_answered(struct work *w)
{
    struct opening *o = container_of(w, struct opening, work);

    if (!o->attached)
        vm_disks_opened(o->vm, o->rc, o->why);
    else if (o->attached(o->arg, o->rc, o->why) && !o->rc)
        timer_set_after(&o->timer, TAKE_TIME);
    else
        opening_free(o);
}

static void one_opened(struct disk_open *open, int rc, struct disk *d, const char *why)
{
    struct opening *o = open->arg;

    if (d)
        disk_park(d, o);
    if (rc && !o->rc) {
        o->rc = rc;
        strlcpy(o->why, why, sizeof(o->why));
    }
    if (++o->answered == o->nr)
        work_queue(&o->work);
}

static void opening_free(struct opening *o)
{
    for (uint32_t i = 0; i < o->nr; i++)
        disk_open_cancel(&o->open[i]);
    disk_unpark(o);
    work_cancel(&o->work);
    timer_cancel(&o->timer);
    list_remove(&o->link);
    free(o);
}

static void take_time_is_over(struct timer *t)
{
    opening_free(container_of(t, struct opening, timer));
}

static struct opening *opening_new(uint32_t nr)
{
    struct opening *o = calloc(1, sizeof(*o) + nr * sizeof(o->open[0]));

    if (!o)
        panic("out of memory for the disks of a domain");
    o->nr = nr;
    work_init(&o->work, all_answered);
    timer_init(&o->timer, take_time_is_over);
    list_push_back(&openings, &o->link);
    return o;
}

static void opening_start(struct opening *o, const struct vm_disk *disks)
{
    for (uint32_t i = 0; i < o->nr; i++) {
        fill_spec(&o->open[i].spec, &disks[i]);
        o->open[i].opened = one_opened;
        o->open[i].arg = o;
        disk_open(&o->open[i]);
    }
}

static void open_disks(struct vm *vm)
{
    struct opening *o = opening_new(vm->cfg.nr_disks);

    o->vm = vm;
    opening_start(o, vm->cfg.disk);
}

static void attach_disk(const struct vm_disk *d, bool (*opened_fn)(void *arg, int rc, const char *why), void *arg)
{
    struct opening *o = opening_new(1);

    o->attached = opened_fn;
    o->arg = arg;
    opening_start(o, d);
}

static void disks_done(struct vm *vm)
{
    struct opening *o;

    list_for_each(o, &openings, link) {
        if (o->vm != vm)
            continue;
        o->vm = NULL;
        if (o->answered == o->nr && !o->rc && vm->has_nodes)
            timer_set_after(&o->timer, TAKE_TIME);
        else
            opening_free(o);
        return;
    }
}

void disks_start(void)
{
    static const struct disk_files files = { .open = open_file, .close = close_file };
    static const struct vm_disk_server server = { .open = open_disks, .done = disks_done, .attach = attach_disk };
    int rc;

    nbd_init(net_streams());
    ramdisk_init(&files);
    physdisk_init();
    rc = blkback_init();
    if (rc) {
        log_error("dom0: blkback does not start: %d", rc);
        return;
    }
    vm_disk_check = check;
    vm_disk_server = &server;
}
