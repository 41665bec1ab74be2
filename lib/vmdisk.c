/* SPDX-License-Identifier: MIT */
/* vmdisk.c - the key disk of an xl.cfg: target, name in the guest, access, limits. Pure. */
#include "lib/string.h"
#include "lib/vmparse.h"

/* Number of a virtual disk as in Xen's vbd-interface(7): xvda = 51712, hda = 768, sda = 2048. */
static bool parse_vdev(const char *s, uint32_t *device)
{
    uint32_t disk = 0, part = 0;
    size_t i = 0;
    char kind = 0;

    if (!strncmp(s, "xvd", 3))
        kind = 'x';
    else if (!strncmp(s, "hd", 2))
        kind = 'h';
    else if (!strncmp(s, "sd", 2))
        kind = 's';
    else
        return false;
    s += kind == 'x' ? 3 : 2;
    for (; s[i] >= 'a' && s[i] <= 'z' && i < 2; i++)
        disk = (disk + (i ? 1 : 0)) * 26 + (uint32_t)(s[i] - 'a');
    if (!i)
        return false;
    for (s += i, i = 0; s[i] >= '0' && s[i] <= '9' && i < 2; i++)
        part = part * 10 + (uint32_t)(s[i] - '0');
    if (s[i])
        return false;
    if (kind == 'x' && disk < 16 && part < 16)
        *device = 202 << 8 | disk << 4 | part;
    else if (kind == 'x')
        *device = 1u << 28 | disk << 8 | part;
    else if (kind == 's' && disk < 16 && part < 16)
        *device = 8 << 8 | disk << 4 | part;
    else if (kind == 'h' && disk < 4 && part < 64)
        *device = (disk < 2 ? 3u << 8 : 22u << 8) | (disk & 1) << 6 | part;
    else
        return false;
    return true;
}

static int disk_access(struct parse *p, struct xlcfg_node *n, struct word w, struct vm_disk *d)
{
    if (word_is(w, "r") || word_is(w, "ro"))
        d->readonly = true;
    else if (word_is(w, "w!") || word_is(w, "rw!"))
        d->shared = true;
    else if (!word_is(w, "w") && !word_is(w, "rw"))
        return BAD(p, n, "disk: access is r, w or w!, not '%.*s'", (int)w.len, w.s);
    return 0;
}

static int disk_field(struct parse *p, struct xlcfg_node *n, unsigned int field, struct word w,
                      struct vm_disk *d)
{
    switch (field) {
    case 0:
        return word_copy(w, d->target, sizeof(d->target)) ? 0 : BAD(p, n, "disk: target too long");
    case 1:
        return !w.len || word_is(w, "raw") ? 0
                   : BAD(p, n, "disk: format '%.*s' is not supported, only raw", (int)w.len, w.s);
    case 2:
        return word_copy(w, d->vdev, sizeof(d->vdev)) ? 0 : BAD(p, n, "disk: vdev too long");
    case 3:
        return disk_access(p, n, w, d);
    }
    return BAD(p, n, "disk: too many fields; see xl-disk-configuration(5)");
}

static int disk_iops(struct parse *p, struct xlcfg_node *n, struct word w, struct vm_disk *d)
{
    uint64_t v;

    if (!word_number(&w, 10000000, &v) || w.len)
        return BAD(p, n, "disk: iops is a number of requests a second, up to 10000000");
    d->iops = (uint32_t)v;
    return 0;
}

static int disk_bps(struct parse *p, struct xlcfg_node *n, struct word w, struct vm_disk *d)
{
    if (!word_rate(w, &d->bps))
        return BAD(p, n, "disk: bps is a rate such as 20MB/s, not '%.*s'", (int)w.len, w.s);
    return 0;
}

/* Words that stand alone; 1: this is none of them. */
static int disk_word(struct parse *p, struct xlcfg_node *n, struct word w, struct vm_disk *d)
{
    if (word_is(w, "cdrom"))
        d->cdrom = d->readonly = true;
    else if (word_is(w, "no-discard"))
        d->no_discard = true;
    else if (!word_is(w, "discard") && !word_is(w, "direct-io-safe"))
        return 1;
    return 0;
}

static int disk_option(struct parse *p, struct xlcfg_node *n, struct word key, struct word value,
                       struct vm_disk *d)
{
    if (word_is(key, "target"))
        return disk_field(p, n, 0, value, d);
    if (word_is(key, "format"))
        return disk_field(p, n, 1, value, d);
    if (word_is(key, "vdev"))
        return disk_field(p, n, 2, value, d);
    if (word_is(key, "access"))
        return disk_field(p, n, 3, value, d);
    if (word_is(key, "devtype") && (word_is(value, "disk") || word_is(value, "cdrom")))
        return word_is(value, "disk") ? 0 : disk_word(p, n, value, d);
    if (word_is(key, "iops"))
        return disk_iops(p, n, value, d);
    if (word_is(key, "bps"))
        return disk_bps(p, n, value, d);
    if (word_is(key, "script"))
        return BAD(p, n, "disk: script= is not supported: no script makes disks; name the disk "
                         "itself (nbd:HOST:PORT:EXPORT, a file of the host, phy:/dev/DISK)");
    if (word_is(key, "backend"))
        return BAD(p, n, "disk: backend= is not supported: there are no driver domains; delete it");
    if (word_is(key, "backendtype"))
        return BAD(p, n, "disk: backendtype= is not supported: there is one kind; delete it");
    return BAD(p, n, "disk: key '%.*s' is not supported", (int)key.len, key.s);
}

/* The old way of writing it, "phy:/dev/vda,xvda,w", has no format between target and vdev. */
static bool skips_format(const struct vm_disk *d, struct word w)
{
    return (strncmp(d->target, "phy:", 4) == 0 || strncmp(d->target, "file:", 5) == 0 ||
            strncmp(d->target, "nbd:", 4) == 0) && w.len && !word_is(w, "raw");
}

int apply_disk_one(struct parse *p, struct xlcfg_node *e, struct vm_disk *d)
{
    static const char *const options[] = { "target", "format", "vdev", "access", "backendtype",
                                           "script", "devtype", "backend", "iops", "bps" };
    const char *rest = e->string;
    unsigned int field = 0, refused = p->refused;

    while (*rest) {
        const char *here = rest;
        struct word w = next_word(&rest, ","), key, value;
        bool option = false;
        int rc;

        if (word_split(w, &key, &value))
            for (size_t i = 0; i < ARRAY_SIZE(options); i++)
                option |= word_is(key, options[i]);
        if (option) {
            /* target= takes everything up to the end, commas included; but if that would leave the
             * disk without a vdev, other keys follow. */
            if (word_is(key, "target") && d->vdev[0]) {
                const char *eq = strchr(here, '=');
                value = (struct word){ eq + 1, strlen(eq + 1) };
                rest = here + strlen(here);
            }
            rc = disk_option(p, e, key, value, d);
        } else if ((rc = disk_word(p, e, w, d)) != 0) {
            field += field == 1 && skips_format(d, w);
            rc = disk_field(p, e, field++, w, d);
        }
        if (rc && !passed_over(p))
            return rc;
    }
    if (p->refused != refused)
        return 0;               /* what is missing may be what was refused */
    if (!d->target[0])
        return BAD(p, e, "disk: no target given");
    if (!parse_vdev(d->vdev, &d->device))
        return BAD(p, e, "disk: '%s' is no virtual disk such as xvda, hda or sda1", d->vdev);
    return 0;
}

static int apply_disk_element(struct parse *p, struct xlcfg_node *e)
{
    unsigned int refused = p->refused;
    struct vm_disk *d;
    int rc;

    if (e->type != XLCFG_STRING)
        return BAD(p, e, "disk: each disk is a text in quotes");
    if (p->cfg->nr_disks == VM_DISKS)
        return BAD(p, e, "more than %d disks", VM_DISKS);
    d = &p->cfg->disk[p->cfg->nr_disks];
    memset(d, 0, sizeof(*d));       /* a review may have left one here that it passed over */
    rc = apply_disk_one(p, e, d);
    if (rc || p->refused != refused)
        return rc;
    for (uint32_t i = 0; i < p->cfg->nr_disks; i++)
        if (p->cfg->disk[i].device == d->device)
            return BAD(p, e, "disk: two disks are called %s", d->vdev);
    p->cfg->nr_disks++;
    return 0;
}

int apply_disk(struct parse *p, struct xlcfg_node *n)
{
    if (n->type != XLCFG_LIST)
        return BAD(p, n, "disk must be a list: disk = [ \"target,raw,xvda,w\" ]");
    return apply_list(p, n, apply_disk_element);
}
