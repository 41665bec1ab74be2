/* SPDX-License-Identifier: MIT */
/* memop.h - what the files of memory_op share. */
#ifndef MM_MEMOP_H
#define MM_MEMOP_H

#include "domain/domain.h"
#include "mm/frame.h"

/* domain_alloc_frames() below the address width in mem_flags, if there is one. */
__must_check mfn_t memop_alloc(struct domain *d, unsigned int order, unsigned int mem_flags,
                               uint64_t gpfn);
/* The largest extent that the caller may ask for. */
unsigned int memop_max_order(void);

/* exchange.c */
long memop_exchange(guest_ptr_t arg);
/* Operations that we do not have: memabsent.c. */
long memop_absent(unsigned int op, guest_ptr_t arg);

#endif
