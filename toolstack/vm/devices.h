/* SPDX-License-Identifier: MIT */
/* devices.h - the nodes of a domain in the store: what it finds there, and its devices. */
#ifndef VM_DEVICES_H
#define VM_DEVICES_H

#include "compiler.h"

struct vm;

/*
 * Writes the domain's directory, its /vm entry and both ends of its devices, in one transaction,
 * so that a backend sees a device complete or not at all. 0 or a negative error.
 */
int devices_create(const struct vm *vm);

/* Removes all of it; missing nodes are no error. Backends see their directory go. */
void devices_remove(const struct vm *vm);

/*
 * What a running domain follows: memory/target (KiB), cpu/N/availability of all its vCPUs, its
 * name. 0 or a negative error, and then nothing was written.
 */
int devices_set_memory(const struct vm *vm, uint64_t kib);
int devices_set_vcpus(const struct vm *vm, uint32_t online);
int devices_rename(const struct vm *vm, const char *name);

/* control/shutdown. 0 or a negative error. */
int devices_request_shutdown(const struct vm *vm, const char *how);

#endif
