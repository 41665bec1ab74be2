/* SPDX-License-Identifier: MIT */
/*
 * context.h - what of a struct vcpu_guest_context is acceptable, and its small translations.
 * Pure. The frames it names are checked by who takes references to them.
 */
#ifndef DOMAIN_CONTEXT_H
#define DOMAIN_CONTEXT_H

#include "compiler.h"
#include "xenabi.h"

#define EFLAGS_FIXED    0x0002u         /* reads as one */
#define EFLAGS_TF       0x0100u
#define EFLAGS_IF       0x0200u
#define EFLAGS_IOPL     0x3000u
/* Flags that guest code may have set: arithmetic, TF, IF, DF, AC, ID. */
#define EFLAGS_GUEST    0x00240fd5u

#define LDT_MAX_ENTRIES 8192u

/* Does address a have its upper bits all alike? */
static inline bool canonical(uint64_t a)
{
    return (uint64_t)((int64_t)(a << 16) >> 16) == a;
}

/* Checks everything that needs no frame: 0 or -EINVAL. */
int context_check(const struct vcpu_guest_context *c);

/* A code or stack selector as a guest in ring 3 must have it. */
static inline uint16_t context_selector(uint16_t sel)
{
    return sel | 3;
}

/* The flags to run with (real IF always 1, IOPL 0), and the virtual IOPL among what was given. */
uint64_t context_eflags(uint64_t eflags);
static inline uint8_t context_iopl(uint64_t eflags)
{
    return (eflags & EFLAGS_IOPL) >> 12;
}

/* GDT frames that the context really has: gdt_ents counts entries, so the rest is not looked at. */
static inline uint32_t context_gdt_frames(uint64_t ents)
{
    return (uint32_t)((ents + 511) / 512);
}

#endif
