/* SPDX-License-Identifier: MIT */
/* disks.c - hands blkback the files that dom0 holds, and starts it. */
#include "dom0/disks.h"
#include "blkback/blkback.h"
#include "blkback/disk.h"
#include "blkback/nbd.h"
#include "blkback/physdisk.h"
#include "lib/string.h"
#include "runtime/log.h"
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

static int check(const struct vm_disk *d, char *why)
{
    struct result r = { .why = why };

    strlcpy(r.open.spec.target, d->target, sizeof(r.open.spec.target));
    r.open.spec.readonly = d->readonly;
    r.open.opened = opened;
    r.open.arg = &r;
    disk_open(&r.open);
    disk_open_cancel(&r.open);
    return r.rc;
}

void disks_start(void)
{
    static const struct disk_files files = { .open = open_file, .close = close_file };
    int rc;

    nbd_init(net_streams());
    ramdisk_init(&files);
    physdisk_init();
    rc = blkback_init();
    if (rc)
        log_error("dom0: blkback does not start: %d", rc);
    else
        vm_disk_check = check;
}
