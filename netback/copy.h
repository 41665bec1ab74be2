/* SPDX-License-Identifier: MIT */
/*
 * copy.h - grant copies, collected from all ports and done in as few hypercalls as possible.
 *
 * A queued copy is done by the next copy_run() at the latest; the bridge calls that before any
 * port's flush(). Sides: grant_copy_own() and grant_copy_ref() of runtime/grant.h.
 */
#ifndef NETBACK_COPY_H
#define NETBACK_COPY_H

#include "runtime/grant.h"
#include "runtime/port.h"

#define COPY_BATCH 256

/*
 * A new operation for the caller to fill in: source, dest, len. When it fails, *failed becomes 1;
 * that byte must stay in place until the copy is done.
 */
struct gnttab_copy *copy_add(uint8_t *failed);

/* Does everything that is queued: so many. */
void copy_run(void);
extern unsigned int copy_count;

/* Byte `at` of a frame's head as one side of a copy. */
static inline void frame_copy_head(struct gnttab_copy_ptr *side, const struct frame *f,
                                   unsigned int at)
{
    if (unlikely(!f->head_mfn.v)) {
        grant_copy_own(side, f->head + at);
        return;
    }
    side->u.gmfn = f->head_mfn.v;
    side->domid = DOMID_SELF;
    side->offset = (uint16_t)(((uintptr_t)f->head + at) & (PAGE_SIZE - 1));
}

/* Where in a frame one reads: byte `at` of head (piece 0) or of frags[piece - 1]. */
struct frame_cursor {
    const struct frame *f;
    unsigned int piece;
    unsigned int at;
};

/* Puts the cursor at byte `offset` <= f->len. */
void frame_seek(struct frame_cursor *c, const struct frame *f, unsigned int offset);

/*
 * Copies the next len bytes of a frame to own memory, which must lie within one page: at once
 * what is in dom0, queued what is granted. At most what is left of the frame may be asked for.
 */
void frame_copy_own(struct frame_cursor *c, uint8_t *to, unsigned int len, uint8_t *failed);

/* Queues the next len bytes of a frame for another domain's granted page, from `offset` there. */
void frame_copy_ref(struct frame_cursor *c, domid_t dom, grant_ref_t ref, unsigned int offset,
                    unsigned int len, uint8_t *failed);

#endif
