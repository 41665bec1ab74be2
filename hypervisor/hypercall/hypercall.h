/* SPDX-License-Identifier: MIT */
/*
 * hypercall.h - dispatch, continuations, batches.
 *
 * A handler takes up to five words and returns the guest's rax. A long operation does bounded
 * steps, asks hypercall_preempt_check(), and returns hypercall_continue(): the guest's registers
 * (or the multicall entry) are rewritten so that the same call is made again with new arguments
 * after pending work was done.
 */
#ifndef HYPERCALL_HYPERCALL_H
#define HYPERCALL_HYPERCALL_H

#include "domain/domain.h"

typedef long (*hypercall_fn)(uint64_t, uint64_t, uint64_t, uint64_t, uint64_t);

#define NR_HYPERCALLS 64

/* Handlers by number, none NULL: what cpu/entry.S and multicall call, interrupts on. */
extern hypercall_fn hypercall_vector[NR_HYPERCALLS];
void hypercall_init(void);              /* fills it; boot CPU */

/* Name of a hypercall, for reports; NULL: there is none of that number. */
const char *hypercall_name(uint32_t nr);
/* How often it was called directly, on all CPUs together. */
uint64_t hypercall_count(uint32_t nr);

/* Arranges for hypercall nr to be called again with nargs arguments; return its value. */
long hypercall_continue(uint32_t nr, uint32_t nargs, ...);

long do_multicall(guest_ptr_t list, uint64_t nr);
long do_xen_version(uint64_t cmd, guest_ptr_t arg);
long do_platform_op(guest_ptr_t arg);                                   /* hypercall/absent.c */
long do_absent_privileged(void);
long do_xenpmu_op(void);
long do_vm_assist(uint64_t cmd, uint64_t type);
long do_console_io(uint64_t cmd, uint64_t count, guest_ptr_t buf);      /* dev/console.c */
long do_physdev_op(uint64_t cmd, guest_ptr_t arg);                      /* dev/physdev.c */
long do_physdev_op_compat(guest_ptr_t arg);
long do_domctl(guest_ptr_t arg);                                        /* domain/domctl.c */
long do_sysctl(guest_ptr_t arg);                                        /* domain/sysctl.c */

#endif
