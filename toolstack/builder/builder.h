/* SPDX-License-Identifier: MIT */
/*
 * builder.h - makes a domain from a kernel image, step by step.
 *
 * The builder makes the domain, gives it memory, fills it and sets its first registers; it stays
 * paused. Everything that others see (store, console, names) is the caller's.
 */
#ifndef BUILDER_BUILDER_H
#define BUILDER_BUILDER_H

#include "addr.h"
#include "lib/why.h"
#include "xenabi.h"

struct image;

struct build_request {
    const char *name;           /* of the domain, for messages */
    const struct image *image;  /* ready; image, initrd and strings stay until build_free() */
    const void *initrd;
    size_t initrd_size;         /* 0 = none */
    const char *initrd_name;
    const char *cmdline;
    uint64_t pages;             /* that it gets, and may have until somebody changes that */
    uint64_t max_pages;         /* that its memory map has room for, at least pages */
    uint64_t promised_pages;    /* of the host's free memory that are not for it */
    uint32_t vcpus, weight, cap;
    uint8_t uuid[16];
};

struct build;

/*
 * Checks the request against kernel and host and creates the empty domain: *dom. NULL with a
 * line in why when it cannot be built (*rc set): nothing is left then.
 */
struct build *build_start(const struct build_request *r, domid_t *dom, int *rc, char *why);

/*
 * Goes on for a bounded time: 1 = call again, 0 = built, negative = failed with a line in why. A
 * domain that failed is the caller's to destroy.
 */
int build_step(struct build *b, char *why);

struct build_result {
    mfn_t store, console;
    evtchn_port_t store_port, console_port;     /* the guest's ends, unbound, for dom0 */
};

/* Valid after build_step() returned 0. */
struct build_result build_result(const struct build *b);

/* Frees the builder's own memory; nothing of the domain stays mapped. NULL is allowed. */
void build_free(struct build *b);

#endif
