/* SPDX-License-Identifier: MIT */
/*
 * hotplug.h - interfaces and disks of a domain that runs: attach, detach, what state they are in.
 *
 * Functions return 0, or a negative error with one line in why (WHY_MAX) and nothing changed. What
 * is attached or detached here stays so after a restart of the domain.
 */
#ifndef VM_HOTPLUG_H
#define VM_HOTPLUG_H

#include "toolstack/vm/devices.h"
#include "toolstack/vm/vm.h"

/* How long a guest may take to close a device before operators are told that it does not. */
#define VM_DETACH_NS (10UL * 1000000000UL)

/* A new interface, with the first number that is free (*id); an address is chosen when v has none.
 */
int vm_attach_vif(struct vm *vm, const struct vm_vif *v, uint32_t *id, char *why);

/*
 * A new disk. It is opened first, which may take a while: 0, and attached() runs once, perhaps before this returns;
 * then it is there (the last of vm->cfg.disk), or rc and the line say why not. vm is NULL when the domain ended meanwhile.
 */
typedef void (*vm_attached_fn)(void *arg, struct vm *vm, int rc, const char *why);
int vm_attach_disk(struct vm *vm, const struct vm_disk *d, vm_attached_fn attached, void *arg, char *why);

/*
 * Asks the guest to close it (backend: online 0, state Closing), and removes it once that has
 * happened: vm_event() tells when, or that it took longer than VM_DETACH_NS; it then still goes as
 * soon as the guest lets go. One that the guest does not use goes at once. With force it goes at
 * once whatever the guest does with it, also when it is being detached already.
 */
int vm_detach_vif(struct vm *vm, uint32_t id, bool force, char *why);
int vm_detach_disk(struct vm *vm, uint32_t device, bool force, char *why);

/* The vif of that number or MAC address, the disk of that vdev or number; NULL: none. */
const struct vm_vif *vm_find_vif(const struct vm *vm, const char *which);
const struct vm_disk *vm_find_disk(const struct vm *vm, const char *which);

/* "initialising", "waiting", "connected", "closing", "closed", "detaching", or "" when it has none.
 */
const char *vm_device_state(const struct vm *vm, enum vm_device kind, uint32_t id);

/* vm.c's: the domain can run no more. What was being detached does not come back with a restart. */
void hotplug_domain_ends(struct vm *vm);

#endif
