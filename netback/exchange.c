/* SPDX-License-Identifier: MIT */
/* exchange.c - batches of flips; see exchange.h. */
#include "netback/exchange.h"
#include "runtime/hypercall.h"
#include "runtime/log.h"

#define EXCHANGE_BATCH 256

static struct sluice_flip_op ops[EXCHANGE_BATCH];
/* What they are for, in the same order. */
static struct exchange {
    struct vif_flip *from;          /* direct: whose page comes back; else NULL */
    struct netflip_head *slot;      /* direct: what is to be marked */
    uint8_t *failed;                /* else: what becomes 1 */
    uint16_t offset, len;
    uint8_t copy_failed;
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
static void copy_instead(const struct sluice_flip_op *op, struct exchange *x)
{
    struct gnttab_copy *c = copy_add(x->failed ? x->failed : &x->copy_failed);

    grant_copy_ref(&c->source, op->from_dom, op->from_ref, x->offset);
    grant_copy_ref(&c->dest, op->to_dom, op->to_ref, x->offset);
    c->len = x->len;
    c->flags = GNTCOPY_source_gref | GNTCOPY_dest_gref;
}

/* Copies what was refused. */
static void copy_refused(unsigned int n)
{
    for (unsigned int i = 0; i < n; i++) {
        if (ops[i].status != SLUICE_FLIP_okay) {
            stats.refused++;
            copy_instead(&ops[i], &what[i]);
        }
    }
    copy_run();
    for (unsigned int i = 0; i < n; i++) {
        if (what[i].copy_failed)
            what[i].slot->flags |= NETFLIP_LOST;
    }
}

static void run(void)
{
    unsigned int n = nr_ops, refused = 0;
    long rc;

    if (!n)
        return;
    nr_ops = 0;
    rc = hc_flip(SLUICE_FLIP_exchange, ops, n);
    if (unlikely(rc))
        log_error("flip of %u: %ld", n, rc);
    for (unsigned int i = 0; i < n; i++) {
        struct vif_flip *from = what[i].from;

        refused |= (unsigned int)ops[i].status;
        if (from)
            from->tx->ref[from->ref_prod++ % NETFLIP_REFS] = ops[i].from_ref;
    }
    stats.flipped += n;
    if (unlikely(refused))
        copy_refused(n);
}

static struct exchange *add(domid_t from_dom, grant_ref_t from_ref, domid_t dom, grant_ref_t ref)
{
    if (nr_ops == EXCHANGE_BATCH)
        moves_run();
    ops[nr_ops] = (struct sluice_flip_op){ .from_dom = from_dom, .to_dom = dom, .from_ref = from_ref,
                                           .to_ref = ref, .status = SLUICE_FLIP_from_busy };
    return &what[nr_ops++];
}

void exchange_add(const struct frag *g, domid_t dom, grant_ref_t ref, uint8_t *failed)
{
    *add(g->dom, g->ref, dom, ref) =
        (struct exchange){ .failed = failed, .offset = g->offset, .len = g->len };
}

void exchange_add_direct(struct vif_flip *v, grant_ref_t from_ref, uint16_t offset, uint16_t len,
                         domid_t dom, grant_ref_t ref, struct netflip_head *slot)
{
    *add(v->vif->dom, from_ref, dom, ref) =
        (struct exchange){ .from = v, .slot = slot, .offset = offset, .len = len };
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
