/* SPDX-License-Identifier: MIT */
/* startinfo.h - what a new domain finds at its first instruction, apart from tables. Pure. */
#ifndef BUILDER_STARTINFO_H
#define BUILDER_STARTINFO_H

#include "addr.h"
#include "toolstack/builder/layout.h"
#include "xenabi.h"

struct startinfo {
    mfn_t shared_info, store, console;
    evtchn_port_t store_port, console_port;     /* the guest's ends */
    uint64_t initrd_bytes;
    const char *cmdline;
};

/* Fills in the start_info page; page is PAGE_SIZE bytes, zeroed. */
void startinfo_fill(void *page, const struct layout *l, const struct startinfo *s);

/* The hypercall page: stub n at 32 * n calls hypercall n and changes only rax. */
void hypercall_page_fill(uint8_t page[4096]);

/* shared_info, zeroed before: upcalls are masked on every vCPU. */
void shared_info_fill(struct shared_info *s);

/* Registers of vCPU 0; c zeroed. entry: virtual; l4: the initial page table. */
void vcpu_context_fill(struct vcpu_guest_context *c, const struct layout *l, uint64_t entry,
                       mfn_t l4);

#endif
