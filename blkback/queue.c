/* SPDX-License-Identifier: MIT */
/*
 * queue.c - a vbd's rings: what the frontend says about them, mapping and binding them.
 *
 * One queue has its keys in the frontend's own directory, several have them in queue-N below it. A
 * ring of one page has ring-ref, a larger one ring-refN.
 */
#include <stdlib.h>
#include "blkback/vbd.h"
#include <xen/io/protocols.h>
#include "lib/printf.h"
#include "lib/string.h"
#include "runtime/ring.h"

/* Entries of a ring of so many pages: as the public header's macros have it. */
static uint32_t ring_size(uint32_t pages)
{
    uint32_t n = (uint32_t)((pages * PAGE_SIZE - offsetof(struct blkif_sring, ring)) /
                            sizeof(((struct blkif_sring *)0)->ring[0]));

    return 1u << (31 - __builtin_clz(n));
}

static int read_refs(const char *dir, uint32_t pages, grant_ref_t *refs)
{
    char name[24];
    int rc;

    for (uint32_t i = 0; i < pages; i++) {
        snprintf(name, sizeof(name), "ring-ref%u", i);
        rc = xs_read_u32(XS_NO_TXN, dir, name, &refs[i]);
        if (rc && pages == 1)
            rc = xs_read_u32(XS_NO_TXN, dir, "ring-ref", &refs[i]);
        if (rc)
            return rc;
    }
    return 0;
}

static void queue_event(void *arg)
{
    struct vbd_queue *q = arg;

    work_queue(&q->work);
}

static int queue_connect(struct vbd_queue *q, const char *dir, uint32_t pages, char *why)
{
    grant_ref_t refs[1u << VBD_RING_ORDER];
    struct vbd *v = q->vbd;
    uint32_t remote;
    int rc = read_refs(dir, pages, refs);

    if (!rc)
        rc = xs_read_u32(XS_NO_TXN, dir, "event-channel", &remote);
    if (rc)
        return why_set(why, rc, "%s: no ring-ref or event-channel", dir);
    rc = grant_map(v->dom, refs, pages, 0, &q->map);
    if (rc)
        return why_set(why, rc, "%s: its ring cannot be mapped", dir);
    q->ring = q->map.va;
    q->size = ring_size(pages);
    q->cons = q->rsp = READ_ONCE(q->ring->rsp_prod);
    rc = event_bind_interdomain(v->dom, remote, queue_event, q, &q->port);
    if (!rc)
        return 0;
    grant_unmap(&q->map);
    q->ring = NULL;
    return why_set(why, rc, "%s: event-channel %u cannot be bound", dir, remote);
}

/* How many pages each ring has; 0: not a number that we take. */
static uint32_t ring_pages(const char *peer)
{
    uint32_t order = xs_read_default(XS_NO_TXN, peer, "ring-page-order", 0);
    uint32_t pages = xs_read_default(XS_NO_TXN, peer, "num-ring-pages", 1);

    if (order > VBD_RING_ORDER || !pages || pages > 1u << VBD_RING_ORDER)
        return 0;
    return order ? 1u << order : pages;
}

static int check_protocol(const char *peer, char *why)
{
    char abi[32];

    if (xs_read_str(XS_NO_TXN, peer, "protocol", abi, sizeof(abi)) >= 0 &&
        strcmp(abi, XEN_IO_PROTO_ABI_X86_64))
        return why_set(why, -XEN_EINVAL, "protocol %s is not served, only " XEN_IO_PROTO_ABI_X86_64,
                       abi);
    return 0;
}

int vbd_queues_connect(struct vbd *v, char *why)
{
    uint32_t n = xs_read_default(XS_NO_TXN, v->dev.peer, "multi-queue-num-queues", 1);
    uint32_t pages = ring_pages(v->dev.peer);
    char dir[XB_PATH_MAX + 24];
    int rc = check_protocol(v->dev.peer, why);

    if (rc)
        return rc;
    if (!n || n > VBD_QUEUES || !pages)
        return why_set(why, -XEN_EINVAL, "it wants %u queues of %u pages", n, pages);
    v->queue = calloc(n, sizeof(*v->queue));
    if (!v->queue)
        return why_set(why, -XEN_ENOMEM, "out of memory");
    v->nr_queues = n;
    for (uint32_t i = 0; i < n; i++) {
        v->queue[i].vbd = v;
        list_init(&v->queue[i].finished);
        work_init(&v->queue[i].work, vbd_queue_work);
    }
    for (uint32_t i = 0; i < n && !rc; i++) {
        if (n == 1)
            strlcpy(dir, v->dev.peer, sizeof(dir));
        else
            snprintf(dir, sizeof(dir), "%s/queue-%u", v->dev.peer, i);
        rc = queue_connect(&v->queue[i], dir, pages, why);
    }
    if (rc)
        vbd_queues_disconnect(v);
    return rc;
}

void vbd_queues_disconnect(struct vbd *v)
{
    for (uint32_t i = 0; i < v->nr_queues; i++) {
        struct vbd_queue *q = &v->queue[i];

        work_cancel(&q->work);
        if (!q->ring)
            continue;
        event_close(q->port);
        vbd_queue_drop(q);
        grant_unmap(&q->map);
    }
    free(v->queue);
    v->queue = NULL;
    v->nr_queues = 0;
}
