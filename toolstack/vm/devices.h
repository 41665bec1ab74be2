/* SPDX-License-Identifier: MIT */
/* devices.h - the nodes of a domain in the store: what it finds there, and its devices. */
#ifndef VM_DEVICES_H
#define VM_DEVICES_H

#include "compiler.h"

struct vm;
struct vm_vif;
struct vm_disk;

/*
 * Writes the domain's directory, its /vm entry and both ends of its devices, in one transaction,
 * so that a backend sees a device complete or not at all. 0 or a negative error.
 */
int devices_create(const struct vm *vm);

/* Removes all of it; missing nodes are no error. Backends see their directory go. */
void devices_remove(const struct vm *vm);

/*
 * What a running domain follows: memory/target and static-max (KiB), cpu/N/availability of all its vCPUs, its
 * name. 0 or a negative error, and then nothing was written.
 */
int devices_set_memory(const struct vm *vm, uint64_t kib);
int devices_set_max_memory(const struct vm *vm, uint64_t kib);
int devices_set_vcpus(const struct vm *vm, uint32_t online);
int devices_rename(const struct vm *vm, const char *name);

/* Devices one by one, while the domain runs. 0 or a negative error, and then nothing was written.
 */
enum vm_device { VM_DEVICE_VIF, VM_DEVICE_VBD };

#define DEVICES_PATH 128

const char *devices_class(enum vm_device kind);     /* "vif", "vbd" */
/* Its backend's directory. */
void devices_back(const struct vm *vm, enum vm_device kind, uint32_t id, char path[DEVICES_PATH]);

int devices_add_vif(const struct vm *vm, const struct vm_vif *v);
int devices_add_disk(const struct vm *vm, const struct vm_disk *d);
/* Asks both ends to close it: online 0, state Closing. */
int devices_close_one(const struct vm *vm, enum vm_device kind, uint32_t id);
/* Removes both ends' nodes. */
void devices_remove_one(const struct vm *vm, enum vm_device kind, uint32_t id);

/* control/shutdown. 0 or a negative error. */
int devices_request_shutdown(const struct vm *vm, const char *how);
/* What stands there, a request that the guest has not taken yet; "" for none. */
void devices_requested_shutdown(const struct vm *vm, char *how, size_t size);
/* Did the guest say that it can do this (control/feature-HOW)? */
bool devices_shutdown_offered(const struct vm *vm, const char *how);

#endif
