/* SPDX-License-Identifier: MIT */
/*
 * suspend.h - suspends and resumes a domain where it is, with its help: its kernel stops what runs in it, lets go of what
 * ties it to this host (grant table, shared page), and stops. When it is resumed it takes all that up again, and its devices
 * go on. What a saved or moved domain does, too; but there it would go on elsewhere.
 */
#ifndef VM_SUSPEND_H
#define VM_SUSPEND_H

#include "toolstack/vm/vm.h"

#define VM_SUSPEND_SECONDS 60       /* that a guest has when nobody says otherwise */
#define VM_SUSPEND_SECONDS_MAX 600

/* vm is NULL when there is an error. */
typedef void (*vm_suspended_fn)(void *arg, struct vm *vm, int rc, const char *why);

/*
 * Asks the guest by control/shutdown. 0, and done() runs once: rc 0 when the domain is VM_SUSPENDED, else a negative error with
 * one line in why: it did not within so many seconds, and the request was withdrawn; or it has ended. A guest that had taken
 * the request and stops later than that goes on at once. Otherwise a negative error with the line in why (WHY_MAX) and nothing
 * has changed: it does not run, it has not said that it can, its kernel could not be resumed.
 */
int vm_suspend(struct vm *vm, uint32_t seconds, vm_suspended_fn done, void *arg, char *why);

/* A VM_SUSPENDED one goes on, in the state that it had. 0, or a negative error with a line in why. */
int vm_resume(struct vm *vm, char *why);

/* vm.c's: the domain stopped with SHUTDOWN_suspend, asked or not. True: it is suspended. False: it ended, for good. */
bool suspend_happened(struct vm *vm);
/* vm.c's: the domain can run no more. */
void suspend_domain_ends(struct vm *vm);

#endif
