/* SPDX-License-Identifier: MIT */
/* calls.h - what the parts of this guest share. Each part makes the calls of one area. */
#ifndef CALLS_H
#define CALLS_H

#include "atomic.h"
#include "lib/string.h"
#include "runtime/hypercall.h"
#include "runtime/log.h"
#include "runtime/mem.h"
#include "runtime/p2m.h"
#include "runtime/pagetable.h"
#include "runtime/start.h"

/* What the next calls are about, printed in front of each. */
void about(const char *fmt, ...) __printf(1, 2);
#define PART(fn) (about("%s", #fn), (fn)())
/* Prints the call's text and its result. */
#define TRY(call) answer(#call, (long)(call))
void answer(const char *call, long result);

/* Preparation that must work on both hypervisors. */
#define MUST(cond) \
    do { \
        if (!(cond)) \
            panic("calls: line %d of %s: %s", __LINE__, __FILE__, #cond); \
    } while (0)

/* Addresses that are never right. */
#define BAD_PTR   ((void *)0x1000UL)                /* not mapped */
#define HV_PTR    ((void *)0xffff830000000000UL)    /* the hypervisor's */
#define HOLE_PTR  ((void *)0x8000000000000000UL)    /* not canonical */
#define BAD_ADDR  0x8000000000000000UL
#define HV_ADDR   0xffff830000000000UL

#define NO_DOMAIN 4000u                             /* a number that no domain has */
#define NO_FRAME  0xfffffffffUL                     /* beyond all memory */
#define DEVICE_FRAME 0xfee00UL                      /* the local APIC */

void try_mmu(void);
void try_memory(void);
void try_events(void);
void try_scheduling(void);
void try_processor(void);
void try_others(void);
void try_iret(void);
void try_faults(void);

#endif
