/* SPDX-License-Identifier: MIT */
/*
 * start.h - start of day: what the domain was given, and where its own code begins.
 */
#ifndef RUNTIME_START_H
#define RUNTIME_START_H

#include "xenabi.h"
#include "addr.h"

extern struct start_info *start_info;       /* the builder's page */
extern struct shared_info *shared_info;     /* mapped by start.c */

/* The image's own main: dom0/main.c, or a mini guest's. Everything of runtime/ is up. When it
 * returns the domain powers off. */
void pv_main(void);

/* True for dom0 (SIF_INITDOMAIN). */
bool start_is_initial_domain(void);

/* A file that came with us: a boot module (dom0), or the initrd. */
struct boot_module {
    const char *name;       /* first word of its command line without directories */
    const char *cmdline;    /* the rest of it */
    const void *data;       /* page-aligned or not; read-only by convention */
    size_t size;
};

/* Module i, or NULL past the last. A newc cpio archive that is the only module counts as the
 * files in it. */
const struct boot_module *boot_module(unsigned int i);
const struct boot_module *boot_module_find(const char *name);

/* Gives the pages of a module back to the allocator (data is gone). */
void boot_module_free(const struct boot_module *m);

/* Value of key=value on our command line: copied to buf, true; a bare word `key` gives "". The
 * last one wins. */
bool cmdline_get(const char *key, char *buf, size_t size);
uint64_t cmdline_get_u64(const char *key, uint64_t otherwise);

/* Powers off, reboots or crashes this domain: SHUTDOWN_poweroff, ... */
void domain_shutdown(unsigned int reason) __noreturn;

#endif
