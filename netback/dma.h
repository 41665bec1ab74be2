/* SPDX-License-Identifier: MIT */
/*
 * dma.h - frames whose payload a NIC reads out of the sending guest's own pages.
 *
 * The pages are pinned: the hypervisor says where they are and keeps them, whatever becomes of the guest, until they are
 * unpinned. That happens when the port has dropped its last reference; only then the sender hears that its frame is gone.
 * Heads are ours, as everywhere: what the filter has seen is what is sent.
 */
#ifndef NETBACK_DMA_H
#define NETBACK_DMA_H

#include "netback/frame.h"

/*
 * Fragments must have so many bytes, one with another, or the frame is copied home: with one frame in a turn the two cost the same
 * at about 1000 bytes, with many DMA costs less from 128 on (docs/benchmarks.md, "To and from the wire"). dma_min=BYTES on the
 * command line says otherwise.
 */
#define DMA_MIN 512

void dma_init(void);

/* Can frame f, which is not in a form for port `to`, go there by DMA, and does that pay? */
bool dma_suits(const struct port *to, const struct frame *f);

/* Makes a frame of f's head and pages, to be pinned, and appends it to list. False: no memory. */
bool dma_add(struct frame *f, struct port *to, bool may_wait, struct list *list);

/* Pins what was added. What the guest does not grant makes its frame a failed one. */
void dma_settle(void);

/* A frame of dma_add() that has failed goes; the reference to its source becomes the caller's. */
struct frame *dma_give_up(struct mem_frame *m);

/* Unpins the pages of frames that are done, and lets go of their sources. */
void dma_release(void);

#endif
