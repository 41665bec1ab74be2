/* SPDX-License-Identifier: MIT */
/* decode.h - one request of <xen/io/blkif.h>, from our copy of the ring's entry. Pure. */
#ifndef BLKBACK_DECODE_H
#define BLKBACK_DECODE_H

#include "xenabi.h"
#include <xen/io/blkif.h>
#include "blkback/copy.h"

#define BLK_INLINE_SEGS BLKIF_MAX_SEGMENTS_PER_REQUEST
#define BLK_SEGS_MAX    256u        /* of an indirect request: half a page of them */

/* What is asked. */
struct blk_request {
    uint64_t id;
    uint8_t op;                     /* BLKIF_OP_, of an indirect request the one inside: the answer's */
    uint16_t nr_segs;
    grant_ref_t indirect;           /* the page with the segments, if they are not inline */
    bool is_indirect;
    uint64_t sector, sectors;       /* sectors of data: filled in by blk_segments() */
    struct copy_ref *seg;           /* inline_seg, or nr_segs of memory that the caller gives */
    struct copy_ref inline_seg[BLK_INLINE_SEGS];
};

/*
 * Reads the entry: BLKIF_RSP_OKAY, or the answer it gets: ERROR for one that makes no sense,
 * EOPNOTSUPP for an operation that is not known. r->id and r->op are set in any case. Segments that
 * stand in the entry are checked and in r->seg; for an indirect request the caller fetches the page
 * and calls blk_segments() with memory for r->nr_segs in r->seg.
 */
int16_t blk_decode(struct blk_request *r, const struct blkif_request *entry, uint32_t max_segs,
                   uint32_t logical);

/* n segments as the guest gave them, in our own memory. False: not pieces of pages, or not whole
 * sectors. */
bool blk_segments(struct blk_request *r, const struct blkif_request_segment *list, uint32_t n,
                  uint32_t logical);

#endif
