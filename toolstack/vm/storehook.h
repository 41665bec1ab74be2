/* SPDX-License-Identifier: MIT */
/* storehook.h - connects domains to the store when they start. */
#ifndef VM_STOREHOOK_H
#define VM_STOREHOOK_H

/* Registers itself for domains' start and end (vm_hook_add), before those who need the store.
 * After store_start(). */
void storehook_init(void);

#endif
