/* SPDX-License-Identifier: MIT */
/*
 * glue.h - all that blkfront needs of the kernel around it. To take the driver into another kernel, write
 * these functions again; the rest of blkfront/ uses nothing else but <xen/...>, include/ and memcpy.
 *
 * Also used as they are: grant_offer and grant_end, event_alloc_unbound, event_send and event_close, the
 * store (xs_read_u32, xs_read_str, xs_read_default, xs_printf, xs_rm, xs_watch) with the xbdev states, work
 * items and timers (a function called soon, or after a while, from the same thread).
 */
#ifndef BLKFRONT_GLUE_H
#define BLKFRONT_GLUE_H

#include "atomic.h"
#include "lib/string.h"
#include "runtime/event.h"
#include "runtime/grant.h"
#include "runtime/log.h"
#include "runtime/loop.h"
#include "runtime/mem.h"
#include "runtime/pagetable.h"
#include "runtime/ring.h"
#include "runtime/time.h"
#include "runtime/xbdev.h"

/* 2^order pages in one piece of address space. */
static inline void *glue_pages(unsigned int order)
{
    return pages_alloc(order);
}

static inline void glue_pages_free(void *p, unsigned int order)
{
    pages_free(p, order);
}

/* The frame behind an address that the driver's user or glue_pages() gave. */
static inline mfn_t glue_frame(const void *va)
{
    return virt_to_mfn(va);
}

#endif
