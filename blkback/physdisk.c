/* SPDX-License-Identifier: MIT */
/*
 * physdisk.c - the disks of this machine and their partitions: which there are, what they are called,
 * who has them open.
 *
 * Names (docs/disks.md), with or without "phy:":
 *   /dev/nvme0n1p2  /dev/disk/by-partuuid/UUID  /dev/disk/by-partlabel/LABEL
 * and with it also nvme0n1p2, PARTUUID=UUID and PARTLABEL=LABEL.
 */
#include <stdlib.h>
#include "blkback/physdisk.h"
#include "lib/string.h"
#include "runtime/log.h"
#include "runtime/start.h"
#include "runtime/time.h"
#include "xenabi.h"

#define TIMEOUT_S 30u

/* An open that waits until it can be told what its name means; settled(). */
struct waiter {
    struct list link;
    struct disk_open *open;
};

static struct list disks = LIST_INIT(disks);
static struct list waiters = LIST_INIT(waiters);
static unsigned int holds;

static void open_now(struct disk_open *o);
static bool settled(const char *name);

uint64_t physdisk_timeout_ns(void)
{
    static uint64_t ns;

    if (!ns)
        ns = MAX(cmdline_get_u64("disk_timeout", TIMEOUT_S), 1UL) * NS_PER_S;
    return ns;
}

/* ------------------------------------------------------------------ finding disks */

void physdisk_hold(void)
{
    holds++;
}

static struct waiter *ready_waiter(void)
{
    struct waiter *w;

    list_for_each(w, &waiters, link) {
        if (settled(w->open->name))
            return w;
    }
    return NULL;
}

void physdisk_release(void)
{
    struct waiter *w;

    BUG_ON(!holds);
    holds--;
    while ((w = ready_waiter()) != NULL) {      /* opening one may change the others */
        struct disk_open *o = w->open;

        list_remove(&w->link);
        free(w);
        open_now(o);
    }
}

void phys_part_name(const struct physdisk *p, const struct phys_part *part, char *name, size_t size)
{
    size_t n = strlen(p->name);
    bool digit = n && p->name[n - 1] >= '0' && p->name[n - 1] <= '9';

    snprintf(name, size, "%s%s%u", p->name, digit ? "p" : "", part->number);
}

static void scanned(struct physdisk *p, struct phys_part *parts, uint32_t n)
{
    char name[PHYS_PART_NAME];

    free(p->parts);
    p->parts = parts;
    p->nr_parts = n;
    p->scanning = false;
    for (uint32_t i = 0; i < n; i++) {
        phys_part_name(p, &parts[i], name, sizeof(name));
        log_info("%s: %lu MiB, PARTUUID %s%s%s%s", name, parts[i].sectors >> 11, parts[i].uuid,
                 parts[i].label[0] ? ", \"" : "", parts[i].label, parts[i].label[0] ? "\"" : "");
    }
    physdisk_release();
}

static void scan(struct physdisk *p)
{
    if (p->scanning)
        return;
    p->scanning = true;
    physdisk_hold();
    physscan_start(p, scanned);
}

void physdisk_add(struct physdisk *p)
{
    list_init(&p->opens);
    list_push_back(&disks, &p->link);
    log_info("%s: %s, %lu MiB, sectors of %u bytes%s%s%s", p->name, p->model, p->sectors >> 11, p->logical,
             p->readonly ? ", read-only" : "", p->caps & DISK_CAP_FLUSH ? ", write cache" : "",
             p->caps & DISK_CAP_DISCARD ? ", discard" : "");
    scan(p);
}

void physdisk_resized(struct physdisk *p, uint64_t sectors)
{
    struct phys_open *o;

    if (p->sectors == sectors)
        return;
    log_info("%s: %lu MiB now, %lu MiB before", p->name, sectors >> 11, p->sectors >> 11);
    p->sectors = sectors;
    list_for_each(o, &p->opens, link) {
        if (o->whole)
            disk_resized(&o->disk, sectors);
    }
}

const struct physdisk *physdisk_next(const struct physdisk *p)
{
    const struct list *next = p ? p->link.next : disks.next;

    return next == &disks ? NULL : list_entry(next, const struct physdisk, link);
}

/* ------------------------------------------------------------------ requests */

static void phys_submit(struct disk *d, struct disk_io *io)
{
    struct physdisk *p = container_of(d, struct phys_open, disk)->phys;

    p->driver->submit(p, io);
}

static void phys_kick(struct disk *d)
{
    struct physdisk *p = container_of(d, struct phys_open, disk)->phys;

    p->driver->kick(p);
}

static void closed(struct phys_open *o)
{
    struct physdisk *p = o->phys;
    bool table_may_differ = o->whole && !o->disk.readonly;

    list_remove(&o->link);
    disk_closed(&o->disk);
    free(o);
    if (table_may_differ)
        scan(p);
}

/* Whoever hears of his last request may let go of the disk: it is not looked at after that. */
void physdisk_done(struct disk_io *io, int rc)
{
    struct disk *d = io->disk;
    bool last = d->closing && d->stats.in_flight == 1;

    disk_done(io, rc);
    if (last)
        closed(container_of(d, struct phys_open, disk));
}

static void phys_close(struct disk *d)
{
    if (!d->stats.in_flight)
        closed(container_of(d, struct phys_open, disk));
}

static const struct disk_driver phys_driver = {
    .submit = phys_submit, .close = phys_close, .kick = phys_kick,
};

/* ------------------------------------------------------------------ names */

/* What a name leads to: a disk, and a partition of it unless that is NULL. */
struct place {
    struct physdisk *phys;
    const struct phys_part *part;
    unsigned int matches;
};

enum by { BY_NAME, BY_UUID, BY_LABEL };

static bool same_uuid(const char *a, const char *b)
{
    for (; *a && *b; a++, b++) {
        char c = *a >= 'A' && *a <= 'F' ? (char)(*a | 0x20) : *a;

        if (c != *b)
            return false;
    }
    return *a == *b;
}

static int hex_digit(char c)
{
    return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* udev writes what it does not like in a label as \xHH. */
static bool same_label(const char *name, const char *label)
{
    for (; *name && *label; name++, label++) {
        char c = *name;

        if (c == '\\' && name[1] == 'x' && hex_digit(name[2]) >= 0 && hex_digit(name[3]) >= 0) {
            c = (char)(hex_digit(name[2]) << 4 | hex_digit(name[3]));
            name += 3;
        }
        if (c != *label)
            return false;
    }
    return *name == *label;
}

static bool after(const char **name, const char *prefix)
{
    size_t n = strlen(prefix);

    if (strncmp(*name, prefix, n) != 0)
        return false;
    *name += n;
    return true;
}

static enum by kind_of_name(const char **name)
{
    if (after(name, "/dev/disk/by-partuuid/") || after(name, "PARTUUID="))
        return BY_UUID;
    if (after(name, "/dev/disk/by-partlabel/") || after(name, "PARTLABEL="))
        return BY_LABEL;
    (void)after(name, "/dev/");
    return BY_NAME;
}

static bool part_matches(const struct physdisk *p, const struct phys_part *part, enum by by, const char *name)
{
    char own[PHYS_PART_NAME];

    if (by == BY_UUID)
        return same_uuid(name, part->uuid);
    if (by == BY_LABEL)
        return same_label(name, part->label);
    phys_part_name(p, part, own, sizeof(own));
    return !strcmp(name, own);
}

static void find(struct place *at, const char *name)
{
    enum by by = kind_of_name(&name);
    struct physdisk *p;

    *at = (struct place){ .matches = 0 };
    list_for_each(p, &disks, link) {
        if (by == BY_NAME && !strcmp(name, p->name)) {
            at->phys = p;
            at->matches++;
        }
        for (uint32_t i = 0; i < p->nr_parts; i++) {
            if (!part_matches(p, &p->parts[i], by, name))
                continue;
            at->phys = p;
            at->part = &p->parts[i];
            at->matches++;
        }
    }
}

/*
 * Can it be said by now what the name means? A disk found is a disk found, and its partitions are known
 * when its table was read; for whatever could still turn up, or turn up twice, all have to be there.
 */
static bool settled(const char *name)
{
    struct place at;

    if (!holds)
        return true;
    find(&at, name);
    return at.matches && kind_of_name(&name) == BY_NAME && (!at.part || !at.phys->scanning);
}

/* ------------------------------------------------------------------ opening */

static struct phys_open *new_open(const struct place *at, bool readonly)
{
    const struct physdisk *p = at->phys;
    struct phys_open *n = calloc(1, sizeof(*n));

    if (!n)
        return NULL;
    n->phys = at->phys;
    n->start = at->part ? at->part->start : 0;
    n->whole = !at->part;
    n->disk = (struct disk){
        .driver = &phys_driver,
        .id_start = n->start,
        .sectors = at->part ? at->part->sectors : p->sectors,
        .logical = p->logical,
        .physical = p->physical,
        .caps = p->caps | DISK_BY_FRAME,
        .max_segs = p->max_segs,
        .max_sectors = p->max_sectors,
        .max_discard = p->max_discard,
        .discard_granularity = p->discard_granularity,
        .readonly = readonly || p->readonly,
    };
    snprintf(n->disk.id, sizeof(n->disk.id), "phy:%s", p->name);
    list_push_back(&at->phys->opens, &n->link);
    return n;
}

static void open_now(struct disk_open *o)
{
    struct phys_open *n;
    struct place at;

    find(&at, o->name);
    if (!at.matches) {
        disk_not_opened(o, -XEN_ENOENT, "this host has no such disk or partition");
        return;
    }
    if (at.matches > 1) {
        disk_not_opened(o, -XEN_EINVAL, "%u partitions of this host are called so", at.matches);
        return;
    }
    if (at.phys->readonly && !o->spec.readonly) {
        disk_not_opened(o, -XEN_EROFS, "%s is read-only", at.phys->name);
        return;
    }
    n = new_open(&at, o->spec.readonly);
    if (n)
        disk_opened(o, &n->disk);
    else
        disk_not_opened(o, -XEN_ENOMEM, "out of memory");
}

static void open_phys(struct disk_open *o)
{
    struct waiter *w;

    if (settled(o->name)) {
        open_now(o);
        return;
    }
    w = calloc(1, sizeof(*w));
    if (!w) {
        disk_not_opened(o, -XEN_ENOMEM, "out of memory");
        return;
    }
    w->open = o;
    list_push_back(&waiters, &w->link);
}

static void cancel(struct disk_open *o)
{
    struct waiter *w, *tmp;

    list_for_each_safe(w, tmp, &waiters, link) {
        if (w->open == o) {
            list_remove(&w->link);
            free(w);
        }
    }
}

static bool knows(const char *name)
{
    return strncmp(name, "/dev/", 5) == 0;
}

static int (*const probes[])(struct pci_dev *, unsigned int) = { virtio_blk_probe, nvme_probe };

void physdisk_init(void)
{
    static struct disk_kind kind = {
        .prefix = "phy:", .knows = knows, .open = open_phys, .cancel = cancel,
    };
    unsigned int found[ARRAY_SIZE(probes)] = { 0 };

    disk_kind_add(&kind);
    for (struct pci_dev *pci = pci_next(NULL); pci; pci = pci_next(pci)) {
        for (unsigned int i = 0; i < ARRAY_SIZE(probes) && !pci->claimed; i++) {
            int rc = probes[i](pci, found[i]);

            if (rc == -XEN_ENODEV)
                continue;
            found[i]++;
            break;
        }
    }
}
