/* SPDX-License-Identifier: MIT */
/*
 * dma.h - memory that a device reads and writes.
 *
 * A device needs machine addresses. A single page always has one (virt_to_maddr); more than a
 * page in one piece must be asked for here.
 */
#ifndef RUNTIME_DMA_H
#define RUNTIME_DMA_H

#include "addr.h"

/* 2^order pages, zeroed, contiguous in machine memory (order 0: any page; else by exchange with
 * the hypervisor). *maddr gets the machine address. NULL when there is none. */
void *dma_alloc(unsigned int order, paddr_t *maddr);
void dma_free(void *p, unsigned int order);

#endif
