/* SPDX-License-Identifier: MIT */
/*
 * tune.h - what a domain may use, changed while it runs: memory, vCPUs, share of the CPUs.
 *
 * All return 0, or a negative error with one line in why (WHY_MAX) and nothing changed. What is
 * set here also holds after a restart of the domain.
 */
#ifndef VM_TUNE_H
#define VM_TUNE_H

#include "toolstack/vm/vm.h"

/* No domain is asked to live with less, unless it was created with less. */
#define VM_MEMORY_MIN_KIB (16u << 10)

/*
 * Asks the guest to have target_kib of memory (its balloon driver follows memory/target) and lets
 * it have no more than that from now on. Refused beyond maxmem, below the minimum, and when the
 * host has not got what the domain would grow by.
 */
int vm_set_memory(struct vm *vm, uint64_t target_kib, char *why);

/*
 * How far it can be asked to go: whole MiB, not below its target. Beyond what it began with only from its next creation or
 * restart on: its memory map has no more room.
 */
#define VM_MEMORY_MAX_MIB (1UL << 22)
int vm_set_max_memory(struct vm *vm, uint64_t max_kib, char *why);

/* Pages that domains may still take because their target was set to more than they have. */
uint64_t vm_promised_pages(void);

/* Asks the guest to have so many vCPUs online, numbers 0 to online - 1; 1 to maxvcpus. */
int vm_set_vcpus(struct vm *vm, uint32_t online, char *why);

/* weight 1..65535; cap in percent of one CPU, 0 = none, at most 100 for each vCPU. */
int vm_set_scheduling(struct vm *vm, uint32_t weight, uint32_t cap, char *why);

/*
 * CPUs that a vCPU may run on and those it would rather, a bit each; 0: as it is. VM_ALL_VCPUS: each of them, or when
 * refused none. Refused when the host has none of those it may run on; -XEN_ESRCH: no such vCPU.
 */
#define VM_ALL_VCPUS ~0u
int vm_set_affinity(struct vm *vm, uint32_t vcpu, uint64_t hard, uint64_t soft, char *why);
/* The same of a domain that is to be: are its cpus on this host? */
int vm_check_affinity(const struct vm_config *c, char *why);
/* Ties the vCPUs of one that was built as its configuration says. 0 or a negative error. */
int vm_apply_affinity(const struct vm *vm);

struct vm_vcpu {
    bool online, running, blocked;
    uint32_t cpu;               /* where it runs or ran last */
    uint64_t cpu_ns;            /* CPU time used */
    uint64_t hard, soft;        /* CPUs that it may, and would rather run on, one bit each; all ones: any */
};

/* What the hypervisor says of each vCPU; returns how many there are, or a negative error. */
int vm_get_vcpus(struct vm *vm, struct vm_vcpu list[VM_VCPUS]);

/* A new name, unique on this host; store and consoles follow. Only while it runs or is kept. */
int vm_rename(struct vm *vm, const char *name, char *why);

#endif
