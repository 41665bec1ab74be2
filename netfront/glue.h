/* SPDX-License-Identifier: MIT */
/*
 * glue.h - all that netfront needs of the kernel around it. To take the driver into another kernel, write
 * these functions again; the rest of netfront/ uses nothing else but <xen/...>, include/ and memcpy.
 *
 * Also used as they are: xs_read_u32, xs_read_str, xs_read_default, xs_printf, xs_rm (the store), the xbdev
 * states, work items and timers (a function called soon, or after a while, from the same thread), loop_send_last()
 * (which may send the event at once).
 */
#ifndef NETFRONT_GLUE_H
#define NETFRONT_GLUE_H

#include "atomic.h"
#include "lib/string.h"
#include "runtime/event.h"
#include "runtime/grant.h"
#include "runtime/hypercall.h"
#include "runtime/log.h"
#include "runtime/loop.h"
#include "runtime/mem.h"
#include "runtime/p2m.h"
#include "runtime/pagetable.h"
#include "runtime/ring.h"
#include "runtime/time.h"
#include "runtime/xbdev.h"

/* 2^order pages in one piece of address space, each mapped there alone, whose tables stay. */
static inline void *glue_pages(unsigned int order)
{
    return pages_alloc(order);
}

static inline void glue_pages_free(void *p, unsigned int order)
{
    pages_free(p, order);
}

static inline uint32_t glue_frame(const void *va)
{
    return (uint32_t)virt_to_mfn(va).v;
}

/* Another frame is behind a page now: what the kernel keeps of it (for suspend) is to follow. */
static inline void glue_frame_changed(uint64_t pfn, uint32_t frame)
{
    p2m_change(pfn, mfn(frame));
}

/* The same for many: where the frames of pages from pfn on are kept. Until anything else of the kernel is called. */
static inline uint64_t *glue_frames(uint64_t pfn)
{
    uint64_t *frames = p2m_list + pfn;

    __asm__("" : "+r"(frames));         /* one register in the caller's loop, not a sum of two */
    return frames;
}

static inline uint64_t glue_pfn(const void *va)
{
    return virt_to_pfn(va).v;
}

/*
 * Takes a grant back. False: the other end is still at it. *was: its flags until now; 0: a flip had taken it back, maybe
 * just now, on another CPU.
 */
static inline bool glue_grant_end(struct grant_entry_v1 *e, uint16_t *was)
{
    *was = load_acquire(&e->flags);
    while (*was) {
        if (*was & (GTF_reading | GTF_writing))
            return false;
        if (atomic_cmpxchg(&e->flags, was, (uint16_t)0))
            break;
    }
    return true;
}

#endif
