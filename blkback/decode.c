/* SPDX-License-Identifier: MIT */
/* decode.c - requests of blkif as the guest wrote them. Pure; see decode.h. */
#include "blkback/decode.h"
#include "blkback/disk.h"

bool blk_segments(struct blk_request *r, const struct blkif_request_segment *list, uint32_t n,
                  uint32_t logical)
{
    uint32_t unit = logical >> SECTOR_SHIFT;

    r->sectors = 0;
    for (uint32_t i = 0; i < n; i++) {
        uint32_t first = list[i].first_sect, last = list[i].last_sect;

        if (last < first || last >= PAGE_SIZE / SECTOR_SIZE || (first | (last + 1)) & (unit - 1))
            return false;
        r->seg[i] = (struct copy_ref){
            .ref = list[i].gref,
            .offset = (uint16_t)(first * SECTOR_SIZE),
            .bytes = (uint16_t)((last - first + 1) * SECTOR_SIZE),
        };
        r->sectors += last - first + 1;
    }
    return true;
}

static int16_t decode_data(struct blk_request *r, const struct blkif_request *q, uint32_t logical)
{
    r->sector = q->sector_number;
    r->nr_segs = q->nr_segments;
    /* A barrier may come without data; it is a flush then. */
    if (r->nr_segs > BLK_INLINE_SEGS || (!r->nr_segs && r->op != BLKIF_OP_WRITE_BARRIER))
        return BLKIF_RSP_ERROR;
    return blk_segments(r, q->seg, r->nr_segs, logical) ? BLKIF_RSP_OKAY : BLKIF_RSP_ERROR;
}

static int16_t decode_indirect(struct blk_request *r, const struct blkif_request_indirect *q,
                               uint32_t max_segs)
{
    r->op = q->indirect_op;         /* what the answer must name */
    if (r->op != BLKIF_OP_READ && r->op != BLKIF_OP_WRITE)
        return BLKIF_RSP_ERROR;
    if (!q->nr_segments || q->nr_segments > max_segs)
        return BLKIF_RSP_ERROR;
    r->is_indirect = true;
    r->nr_segs = q->nr_segments;
    r->sector = q->sector_number;
    r->indirect = q->indirect_grefs[0];
    return BLKIF_RSP_OKAY;
}

static int16_t decode_discard(struct blk_request *r, const struct blkif_request_discard *q)
{
    if (q->flag & BLKIF_DISCARD_SECURE)
        return BLKIF_RSP_EOPNOTSUPP;
    r->sector = q->sector_number;
    r->sectors = q->nr_sectors;
    return q->nr_sectors ? BLKIF_RSP_OKAY : BLKIF_RSP_ERROR;
}

int16_t blk_decode(struct blk_request *r, const struct blkif_request *entry, uint32_t max_segs,
                   uint32_t logical)
{
    _Static_assert(offsetof(struct blkif_request_indirect, id) == offsetof(struct blkif_request, id),
                   "one place for the id");

    r->id = entry->id;
    r->op = entry->operation;
    r->nr_segs = 0;
    r->is_indirect = false;
    r->sector = r->sectors = 0;
    r->seg = r->inline_seg;
    switch (entry->operation) {
    case BLKIF_OP_READ:
    case BLKIF_OP_WRITE:
    case BLKIF_OP_WRITE_BARRIER:
        return decode_data(r, entry, logical);
    case BLKIF_OP_INDIRECT:
        return decode_indirect(r, (const void *)entry, max_segs);
    case BLKIF_OP_FLUSH_DISKCACHE:
        return BLKIF_RSP_OKAY;      /* every other field may be stale (NetBSD) */
    case BLKIF_OP_DISCARD:
        return decode_discard(r, (const void *)entry);
    default:
        return BLKIF_RSP_EOPNOTSUPP;
    }
}
