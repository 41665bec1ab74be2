/* SPDX-License-Identifier: MIT */
/* frames.c - the machine's frame allocator: one struct buddy, its lock, its counts. */
#include "boot/bootmem.h"
#include "dev/panic.h"
#include "lib/string.h"
#include "mm/buddy.h"
#include "spinlock.h"

static spinlock_t lock = SPINLOCK_INIT(LOCK_BUDDY);
static struct buddy buddy;
static uint64_t total;

/* Debug builds: a frame in the allocator is nobody's, and nobody refers to it. */
static void check_unused(uint64_t frame, unsigned int order, const char *when)
{
    for (uint64_t m = frame; SLUICE_DEBUG && m < frame + (1UL << order); m++) {
        const struct page *pg = mfn_to_page(mfn(m));

        if (pg->count || pg->owner != DOMID_NONE || buddy_is_free(&buddy, (uint32_t)m))
            panic("frame %lx of a block of order %u in use when %s: count %x, owner %u, type %x", m,
                  order, when, pg->count, pg->owner, pg->type);
    }
}

mfn_t frames_alloc(unsigned int order, unsigned int flags)
{
    uint32_t frame;

    if (order >= BUDDY_ORDERS)
        return MFN_INVALID;
    spin_lock(&lock);
    frame = buddy_alloc(&buddy, order, flags & MEMF_LOW);
    if (frame != FRAME_NIL)
        check_unused(frame, order, "taken");
    spin_unlock(&lock);
    return frame == FRAME_NIL ? MFN_INVALID : mfn(frame);
}

void frames_free(mfn_t m, unsigned int order)
{
    ASSERT(m.v <= max_mfn && !(m.v & ((1UL << order) - 1)));
    spin_lock(&lock);
    check_unused(m.v, order, "freed");
    buddy_free(&buddy, (uint32_t)m.v, order);
    spin_unlock(&lock);
}

void frames_scrub(mfn_t m, unsigned int order)
{
    memset(mfn_to_virt(m), 0, PAGE_SIZE << order);
}

void *page_alloc_zeroed(void)
{
    mfn_t m = frames_alloc(0, 0);

    if (!mfn_is_valid_value(m))
        return NULL;
    frames_scrub(m, 0);
    return mfn_to_virt(m);
}

void page_free(void *page)
{
    if (page)
        frames_free(virt_to_mfn(page), 0);
}

uint64_t frames_free_count(void)
{
    return READ_ONCE(buddy.free[0]) + READ_ONCE(buddy.free[1]);
}

uint64_t frames_free_low(void)
{
    return READ_ONCE(buddy.free[0]);
}

uint64_t frames_total(void)
{
    return total;
}

void frames_init(void)
{
    const struct boot_info *bi = boot_info();
    const struct ranges *rest = bootmem_finish();

    buddy_init(&buddy, mfn_to_page(mfn(0)), max_mfn + 1);
    for (uint32_t i = 0; i < rest->n; i++) {
        uint64_t first = DIV_ROUND_UP(rest->r[i].start, PAGE_SIZE);
        uint64_t end = MIN(rest->r[i].end / PAGE_SIZE, max_mfn + 1);

        if (first < end)
            buddy_add(&buddy, first, end - first);
    }
    for (uint32_t i = 0; i < bi->nr_regions; i++) {
        if (bi->region[i].type == REGION_RAM)
            total += (bi->region[i].end - bi->region[i].start) / PAGE_SIZE;
    }
}
