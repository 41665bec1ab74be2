/* SPDX-License-Identifier: MIT */
/* exchange.c - batches of flips; see exchange.h. */
#include "netback/exchange.h"
#include "runtime/hypercall.h"
#include "runtime/log.h"

#define EXCHANGE_BATCH 256

static struct sluice_flip_op ops[EXCHANGE_BATCH];
static struct {
    const struct frag *g;
    uint8_t *failed;
} what[EXCHANGE_BATCH];
static unsigned int nr_ops;
static struct exchange_stats stats;

bool exchange_offered(void)
{
    static int offered = -1;
    struct sluice_flip_query q = { 0 };

    if (offered < 0)
        offered = hc_flip(SLUICE_FLIP_query, &q, 1) == 0 && q.version >= SLUICE_FLIP_VERSION;
    return offered;
}

/* The references are ordinary grants, too. */
static void copy_instead(const struct sluice_flip_op *op, const struct frag *g, uint8_t *failed)
{
    struct gnttab_copy *c = copy_add(failed);

    grant_copy_ref(&c->source, g->dom, g->ref, g->offset);
    grant_copy_ref(&c->dest, op->to_dom, op->to_ref, g->offset);
    c->len = g->len;
    c->flags = GNTCOPY_source_gref | GNTCOPY_dest_gref;
}

static void run(void)
{
    unsigned int n = nr_ops;
    long rc;

    if (!n)
        return;
    nr_ops = 0;
    rc = hc_flip(SLUICE_FLIP_exchange, ops, n);
    if (unlikely(rc))
        log_error("flip of %u: %ld", n, rc);
    for (unsigned int i = 0; i < n; i++) {
        if (likely(ops[i].status == SLUICE_FLIP_okay)) {
            stats.flipped++;
            continue;
        }
        stats.refused++;
        copy_instead(&ops[i], what[i].g, what[i].failed);
    }
    copy_run();
}

void exchange_add(const struct frag *g, domid_t dom, grant_ref_t ref, uint8_t *failed)
{
    if (nr_ops == EXCHANGE_BATCH)
        moves_run();
    ops[nr_ops] = (struct sluice_flip_op){ .from_dom = g->dom, .to_dom = dom, .from_ref = g->ref,
                                           .to_ref = ref, .status = SLUICE_FLIP_from_busy };
    what[nr_ops].g = g;
    what[nr_ops++].failed = failed;
}

void moves_run(void)
{
    copy_run();
    run();
}

void exchange_get_stats(struct exchange_stats *s)
{
    *s = stats;
}
