/* SPDX-License-Identifier: MIT */
/* exchange.c - batches of flips; see exchange.h. */
#include "netback/exchange.h"
#include "runtime/hypercall.h"
#include "runtime/log.h"

struct sluice_flip_op exchange_op[EXCHANGE_BATCH];
struct exchange exchange_what[EXCHANGE_BATCH];
unsigned int exchange_count;
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
static void copy_instead(const struct sluice_flip_op *op, struct exchange *x)
{
    struct gnttab_copy *c = copy_add(x->direct ? &x->copy_failed : x->failed);

    grant_copy_ref(&c->source, op->from_dom, op->from_ref, x->offset);
    grant_copy_ref(&c->dest, op->to_dom, op->to_ref, x->offset);
    c->len = x->len;
    c->flags = GNTCOPY_source_gref | GNTCOPY_dest_gref;
}

/* Copies what was refused. */
static void copy_refused(unsigned int n)
{
    for (unsigned int i = 0; i < n; i++) {
        if (exchange_op[i].status != SLUICE_FLIP_okay) {
            stats.refused++;
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
    stats.flipped += n;
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

void moves_run(void)
{
    copy_run();
    run();
}

void exchange_get_stats(struct exchange_stats *s)
{
    *s = stats;
}
