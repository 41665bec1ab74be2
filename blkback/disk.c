/* SPDX-License-Identifier: MIT */
/*
 * disk.c - between those who use disks and those who provide them: kinds of targets, who may have
 * which medium open, what is a valid request, counting.
 */
#include "blkback/disk.h"
#include "lib/string.h"
#include "runtime/log.h"
#include "xenabi.h"

static struct list kinds = LIST_INIT(kinds);
static struct list disks = LIST_INIT(disks);        /* open ones */
static struct list waiting = LIST_INIT(waiting);    /* opens, for a disk that is being closed */

/* ------------------------------------------------------------------ requests */

static bool is_data(uint8_t op)
{
    return op == DISK_READ || op == DISK_WRITE;
}

static int check_caps(const struct disk *d, const struct disk_io *io)
{
    static const uint32_t needs[DISK_OPS] = {
        [DISK_DISCARD] = DISK_CAP_DISCARD, [DISK_WRITE_ZEROES] = DISK_CAP_ZEROES,
    };

    if (io->op >= DISK_OPS || (needs[io->op] & ~d->caps))
        return -XEN_EOPNOTSUPP;
    if ((io->flags & DISK_FUA) && !(d->caps & DISK_CAP_FUA))
        return -XEN_EOPNOTSUPP;
    if (d->readonly && io->op != DISK_READ && io->op != DISK_FLUSH)
        return -XEN_EROFS;
    return 0;
}

static int check_range(const struct disk *d, const struct disk_io *io)
{
    uint64_t unit = d->logical >> SECTOR_SHIFT;
    uint64_t most = is_data(io->op) ? d->max_sectors : d->max_discard;

    if (!io->sectors || (io->sector | io->sectors) & (unit - 1))
        return -XEN_EINVAL;
    if (io->sector > d->sectors || io->sectors > d->sectors - io->sector)
        return -XEN_EINVAL;
    if (most && io->sectors > most)
        return -XEN_EINVAL;
    if (is_data(io->op) && !(d->caps & DISK_BY_COPY) &&
        (!io->nr_segs || (d->max_segs && io->nr_segs > d->max_segs)))
        return -XEN_EINVAL;
    return 0;
}

void disk_submit(struct disk *d, struct disk_io *io)
{
    int rc = d->closing ? -XEN_EIO : check_caps(d, io);

    io->disk = d;
    d->stats.in_flight++;
    if (!rc && io->op != DISK_FLUSH)
        rc = check_range(d, io);
    if (rc)
        disk_done(io, rc);
    else if (io->op == DISK_FLUSH && !(d->caps & DISK_CAP_FLUSH))
        disk_done(io, 0);
    else
        d->driver->submit(d, io);
}

void disk_done(struct disk_io *io, int rc)
{
    struct disk_stats *s = &io->disk->stats;

    s->in_flight--;
    if (rc) {
        s->errors++;
    } else {
        s->ops[io->op]++;
        if (io->op != DISK_FLUSH)
            s->bytes[io->op] += io->sectors << SECTOR_SHIFT;
    }
    io->done(io, rc);
}

void disk_resized(struct disk *d, uint64_t sectors)
{
    if (d->sectors == sectors)
        return;
    d->sectors = sectors;
    if (d->resized && !d->closing)
        d->resized(d);
}

/* ------------------------------------------------------------------ opening and closing */

void disk_kind_add(struct disk_kind *k)
{
    list_push_back(&kinds, &k->link);
}

static struct disk_kind *find_kind(const char *target, const char **name)
{
    struct disk_kind *k;

    *name = target;
    list_for_each(k, &kinds, link) {
        size_t n = strlen(k->prefix);

        if (strncmp(target, k->prefix, n) == 0) {
            *name = target + n;
            return k;
        }
    }
    list_for_each(k, &kinds, link) {
        if (k->knows && k->knows(target))
            return k;
    }
    return NULL;
}

void disk_open(struct disk_open *o)
{
    o->under_way = true;
    o->priv = NULL;
    o->disk = NULL;
    list_init(&o->waiting);
    o->kind = find_kind(o->spec.target, &o->name);
    if (o->kind)
        o->kind->open(o);
    else
        disk_not_opened(o, -XEN_ENOENT, "no such file or device on this host");
}

void disk_open_cancel(struct disk_open *o)
{
    if (!o->under_way)
        return;
    o->under_way = false;
    if (!o->disk) {
        o->kind->cancel(o);
        return;
    }
    list_remove(&o->waiting);
    o->disk->closing = true;
    o->disk->driver->close(o->disk);
}

/* Who has it open so that the two cannot have it together? */
static struct disk *in_the_way(const struct disk *d)
{
    struct disk *other;

    list_for_each(other, &disks, link) {
        bool overlap = other->id_start < d->id_start + d->sectors &&
                       d->id_start < other->id_start + other->sectors;

        if (d->id[0] && !strcmp(other->id, d->id) && overlap &&
            !(other->readonly && d->readonly) && !other->shared && !d->shared)
            return other;
    }
    return NULL;
}

/* It is open as far as its provider is concerned: may the user have it? */
static void admit(struct disk_open *o)
{
    struct disk *d = o->disk;
    const struct disk *other = in_the_way(d);

    if (other && other->closing) {
        list_push_back(&waiting, &o->waiting);
        return;
    }
    o->disk = NULL;
    if (other) {
        d->closing = true;
        disk_not_opened(o, -XEN_EBUSY, "already in use%s; \"w!\" shares it all the same",
                        other->readonly ? "" : " by somebody who writes to it");
        d->driver->close(d);
        return;
    }
    list_push_back(&disks, &d->link);
    o->under_way = false;
    o->opened(o, 0, d, "");
}

void disk_opened(struct disk_open *o, struct disk *d)
{
    d->closing = false;
    d->shared = o->spec.shared;
    d->spec = o->spec;
    d->parked_by = NULL;
    d->closed = NULL;
    list_init(&d->link);
    o->disk = d;
    admit(o);
}

void disk_not_opened(struct disk_open *o, int rc, const char *fmt, ...)
{
    char what[WHY_MAX], why[WHY_MAX];
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(what, sizeof(what), fmt, ap);
    va_end(ap);
    (void)why_set(why, rc, "disk \"%s\": %s", o->spec.target, what);
    o->under_way = false;
    o->opened(o, rc, NULL, why);
}

void disk_close(struct disk *d, void (*closed)(void *arg), void *arg)
{
    BUG_ON(d->closing);
    d->closing = true;
    d->resized = NULL;
    d->closed = closed;
    d->closed_arg = arg;
    d->driver->close(d);
}

void disk_closed(struct disk *d)
{
    void (*closed)(void *arg) = d->closed;
    struct list again = LIST_INIT(again);
    void *arg = d->closed_arg;

    list_remove(&d->link);
    if (closed)
        closed(arg);
    while (!list_empty(&waiting)) {
        struct disk_open *o = list_first(&waiting, struct disk_open, waiting);

        list_remove(&o->waiting);
        list_push_back(&again, &o->waiting);
    }
    while (!list_empty(&again)) {
        struct disk_open *o = list_first(&again, struct disk_open, waiting);

        list_remove(&o->waiting);
        admit(o);
    }
}

/* ------------------------------------------------------------------ parking */

void disk_park(struct disk *d, const void *by)
{
    d->parked_by = by;
}

static bool same_spec(const struct disk_spec *a, const struct disk_spec *b)
{
    return a->readonly == b->readonly && a->shared == b->shared && !strcmp(a->target, b->target);
}

void disk_open_parked(struct disk_open *o)
{
    struct disk *d;

    list_for_each(d, &disks, link) {
        if (d->parked_by && !d->closing && same_spec(&d->spec, &o->spec)) {
            d->parked_by = NULL;
            o->under_way = false;
            o->opened(o, 0, d, "");
            return;
        }
    }
    disk_open(o);
}

void disk_unpark(const void *by)
{
    struct disk *d, *tmp;

    list_for_each_safe(d, tmp, &disks, link) {
        if (d->parked_by == by && !d->closing)
            disk_close(d, NULL, NULL);
    }
}
