/* SPDX-License-Identifier: MIT */
/*
 * user.h - page tables for user mode with one page of code and one of data, for guests that have
 * a user program. For one file per guest.
 */
#ifndef GUESTS_USER_H
#define GUESTS_USER_H

#include "lib/string.h"
#include "runtime/hypercall.h"
#include "runtime/log.h"
#include "runtime/mem.h"
#include "runtime/p2m.h"
#include "runtime/pagetable.h"
#include "runtime/start.h"

#define USER_CODE   0x400000UL
#define USER_DATA   0x401000UL
#define USER_HOLE   0x500000UL      /* not mapped */

/* Makes them the user page tables of this vCPU, the bytes at code being at USER_CODE. Returns the data
 * page as the kernel sees it. */
static void *user_space(const void *code, size_t bytes)
{
    uint64_t *t[4], flags = 0x67;
    uint8_t *text = page_alloc_zeroed(), *data = page_alloc_zeroed();
    struct mmuext_op op;
    long rc = 0;

    for (unsigned int i = 0; i < 4; i++)
        t[i] = page_alloc_zeroed();
    memcpy(text, code, bytes);
    t[0][0] = virt_to_maddr(t[1]) | flags;
    t[1][0] = virt_to_maddr(t[2]) | flags;
    t[2][2] = virt_to_maddr(t[3]) | flags;
    t[3][0] = virt_to_maddr(text) | 0x25;
    t[3][1] = virt_to_maddr(data) | flags;
    for (unsigned int i = 0; i < 4; i++)
        rc = rc ?: hc_update_va_mapping(HC_PTR(t[i]), virt_to_maddr(t[i]) | PTE_PRESENT, UVMF_INVLPG);
    op = (struct mmuext_op){ .cmd = MMUEXT_PIN_L4_TABLE, .arg1.mfn = virt_to_mfn(t[0]).v };
    rc = rc ?: hc_mmuext_op(&op, 1, NULL, DOMID_SELF);
    op.cmd = MMUEXT_NEW_USER_BASEPTR;
    rc = rc ?: hc_mmuext_op(&op, 1, NULL, DOMID_SELF);
    if (rc)
        panic("no user space: %ld", rc);
    return data;
}

#endif
