/* SPDX-License-Identifier: MIT */
/* copy.c - batches of grant copies; see copy.h. */
#include "netback/copy.h"
#include "lib/string.h"

static struct gnttab_copy ops[COPY_BATCH];
static uint8_t *failed_flag[COPY_BATCH];
unsigned int copy_count;

void copy_run(void)
{
    unsigned int n = copy_count;

    if (!n)
        return;
    copy_count = 0;
    if (!grant_copy(ops, n))
        return;
    for (unsigned int i = 0; i < n; i++) {
        if (ops[i].status != GNTST_okay)
            *failed_flag[i] = 1;
    }
}

struct gnttab_copy *copy_add(uint8_t *failed)
{
    struct gnttab_copy *op;

    if (copy_count == COPY_BATCH)
        copy_run();
    op = &ops[copy_count];
    failed_flag[copy_count++] = failed;
    op->flags = 0;
    return op;
}

static unsigned int piece_len(const struct frame *f, unsigned int piece)
{
    return piece ? f->frags[piece - 1].len : f->head_len;
}

void frame_seek(struct frame_cursor *c, const struct frame *f, unsigned int offset)
{
    c->f = f;
    c->piece = 0;
    c->at = offset;
    while (c->at >= piece_len(f, c->piece) && c->piece < f->nr_frags)
        c->at -= piece_len(f, c->piece++);
}

/* How many of `want` bytes lie in the piece under the cursor; moves on past an empty rest. */
static unsigned int here(struct frame_cursor *c, unsigned int want)
{
    unsigned int left = piece_len(c->f, c->piece) - c->at;

    if (!left) {
        c->piece++;
        c->at = 0;
        left = piece_len(c->f, c->piece);
    }
    return MIN(left, want);
}

/* Own memory under the cursor, or NULL: it is a grant. */
static uint8_t *own_memory(const struct frame_cursor *c)
{
    const struct frag *g;

    if (!c->piece)
        return c->f->head + c->at;
    g = &c->f->frags[c->piece - 1];
    return g->kind == FRAG_MEM ? (uint8_t *)g->va + c->at : NULL;
}

void frame_copy_own(struct frame_cursor *c, uint8_t *to, unsigned int len, uint8_t *failed)
{
    while (len) {
        unsigned int n = here(c, len);
        uint8_t *own = own_memory(c);

        if (own) {
            memcpy(to, own, n);
        } else {
            struct gnttab_copy *op = copy_add(failed);

            const struct frag *g = &c->f->frags[c->piece - 1];

            grant_copy_ref(&op->source, g->dom, g->ref, (uint16_t)(g->offset + c->at));
            grant_copy_own(&op->dest, to);
            op->len = (uint16_t)n;
            op->flags = GNTCOPY_source_gref;
        }
        c->at += n;
        to += n;
        len -= n;
    }
}

/* What is under the cursor as the source of a copy. Returns the flags that this needs. */
static uint16_t source_side(const struct frame_cursor *c, struct gnttab_copy_ptr *side)
{
    const struct frag *g;

    if (!c->piece) {
        frame_copy_head(side, c->f, c->at);
        return 0;
    }
    g = &c->f->frags[c->piece - 1];
    if (g->kind == FRAG_MEM) {
        grant_copy_own(side, (uint8_t *)g->va + c->at);
        return 0;
    }
    grant_copy_ref(side, g->dom, g->ref, (uint16_t)(g->offset + c->at));
    return GNTCOPY_source_gref;
}

void frame_copy_ref(struct frame_cursor *c, domid_t dom, grant_ref_t ref, unsigned int offset,
                    unsigned int len, uint8_t *failed)
{
    while (len) {
        unsigned int n = here(c, len);
        struct gnttab_copy *op = copy_add(failed);

        grant_copy_ref(&op->dest, dom, ref, (uint16_t)offset);
        op->len = (uint16_t)n;
        op->flags = (uint16_t)(GNTCOPY_dest_gref | source_side(c, &op->source));
        c->at += n;
        offset += n;
        len -= n;
    }
}
