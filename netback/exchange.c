/* SPDX-License-Identifier: MIT */
/* exchange.c - batches of flips; see exchange.h. */
#include "netback/exchange.h"
#include "runtime/hypercall.h"
#include "runtime/log.h"

struct sluice_flip_op exchange_op[EXCHANGE_BATCH];
struct exchange exchange_what[EXCHANGE_BATCH];
unsigned int exchange_count, exchange_more;
static struct exchange_stats stats;

bool exchange_offered(void)
{
    static int offered = -1;
    struct sluice_flip_query q = { 0 };

    if (offered < 0)
        offered = hc_flip(SLUICE_FLIP_query, &q, 1) == 0 && q.version >= SLUICE_FLIP_VERSION;
    return offered;
}

bool exchange_extents(void)
{
    static int offered = -1;

    if (offered < 0)
        offered = hc_flip(SLUICE_FLIP_extent, NULL, 0) >= (long)NETFLIP_EXTENT;
    return offered;
}

/* The references are ordinary grants, too, those of an extent page by page. */
static void copy_instead(const struct sluice_flip_op *op, struct exchange *x)
{
    unsigned int left = x->len, offset = x->offset;

    for (unsigned int i = 0; left; i++, offset = 0) {
        struct gnttab_copy *c = copy_add(x->direct ? &x->copy_failed : x->failed);
        unsigned int here = MIN(left, (unsigned int)PAGE_SIZE - offset);

        grant_copy_ref(&c->source, op->from_dom, op->from_ref + i, (uint16_t)offset);
        grant_copy_ref(&c->dest, op->to_dom, op->to_ref + i, (uint16_t)offset);
        c->len = (uint16_t)here;
        c->flags = GNTCOPY_source_gref | GNTCOPY_dest_gref;
        left -= here;
    }
}

/* Copies what was refused. */
static void copy_refused(unsigned int n)
{
    for (unsigned int i = 0; i < n; i++) {
        if (exchange_op[i].status != SLUICE_FLIP_okay) {
            stats.refused += exchange_op[i].more + 1u;
            copy_instead(&exchange_op[i], &exchange_what[i]);
        }
    }
    copy_run();
    for (unsigned int i = 0; i < n; i++) {
        struct exchange *x = &exchange_what[i];

        if (x->copy_failed)
            x->slot->flags |= NETFLIP_LOST;
    }
}

static void run(void)
{
    unsigned int n = exchange_count, refused = 0;
    long rc;

    if (!n)
        return;
    exchange_count = 0;
    rc = hc_flip(SLUICE_FLIP_exchange, exchange_op, n);
    if (unlikely(rc))
        log_error("flip of %u: %ld", n, rc);
    for (unsigned int i = 0; i < n; i++)
        refused |= (unsigned int)exchange_op[i].status;
    stats.flipped += n + exchange_more;
    exchange_more = 0;
    if (unlikely(refused))
        copy_refused(n);
}

void exchange_add(const struct frag *g, domid_t dom, grant_ref_t ref, uint8_t *failed)
{
    exchange_room(1);
    exchange_op[exchange_count] =
        (struct sluice_flip_op){ .from_dom = g->dom, .to_dom = dom, .from_ref = g->ref, .to_ref = ref,
                                 .status = SLUICE_FLIP_from_busy };
    exchange_what[exchange_count++] =
        (struct exchange){ .failed = failed, .offset = g->offset, .len = g->len };
}

void moves_run_queued(void)
{
    copy_run();
    run();
}

void exchange_get_stats(struct exchange_stats *s)
{
    *s = stats;
}
