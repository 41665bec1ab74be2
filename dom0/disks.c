/* SPDX-License-Identifier: MIT */
/* disks.c - hands blkback the files that dom0 holds, and starts it. */
#include "dom0/disks.h"
#include "blkback/blkback.h"
#include "blkback/disk.h"
#include "runtime/log.h"
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

static int check(const struct vm_disk *d, char *why)
{
    struct disk *disk;
    int rc = disk_open(d->target, d->readonly, &disk, why);

    if (!rc)
        disk->close(disk);
    return rc;
}

void disks_start(void)
{
    static const struct disk_files files = { .open = open_file, .close = close_file };
    int rc;

    ramdisk_set_files(&files);
    rc = blkback_init();
    if (rc)
        log_error("dom0: blkback does not start: %d", rc);
    else
        vm_disk_check = check;
}
