/* SPDX-License-Identifier: MIT */
/* devstats.c - what went through a domain's devices (see devstats.h). */
#include "toolstack/vm/devstats.h"
#include "lib/string.h"

static const struct devstats_ops *ops;

void vm_devstats_set(const struct devstats_ops *o)
{
    ops = o;
}

bool vm_vif_stats(domid_t dom, uint32_t id, struct vif_stats *s)
{
    memset(s, 0, sizeof(*s));
    return ops && ops->vif(dom, id, s);
}

bool vm_vbd_stats(domid_t dom, uint32_t device, struct vbd_stats *s)
{
    memset(s, 0, sizeof(*s));
    return ops && ops->vbd(dom, device, s);
}

void vm_host_disks(void (*fn)(void *arg, const struct host_disk *d), void *arg)
{
    if (ops)
        ops->disks(fn, arg);
}
