/* SPDX-License-Identifier: MIT */
/*
 * transfer.h - a file on its way into dom0's memory: from an upload or from another server. When all
 * of it is there it becomes a file (file.h).
 */
#ifndef VM_TRANSFER_H
#define VM_TRANSFER_H

#include "lib/list.h"
#include "lib/why.h"

#define TRANSFERS 16            /* at one time, failed ones that are kept included */
#define TRANSFER_NAME_MAX 64

struct bigbuf;
struct file;

struct transfer {
    struct list link;
    char name[TRANSFER_NAME_MAX];
    const char *source;         /* "upload", "url" */
    bool sized;                 /* size is known */
    bool failed;
    uint64_t size, received;
    struct bigbuf *data;
    char error[WHY_MAX];        /* when failed */
    void (*cancel)(struct transfer *t);     /* stops what feeds it; NULL: cannot be stopped */
    void *feeder;
};

/*
 * A transfer under that name: NULL with *rc and one line in why when the name cannot be (-EINVAL),
 * is taken by a boot module, a file in use or a transfer (-EBUSY), or there are too many (-ENOMEM).
 * One of that name that failed is replaced.
 */
struct transfer *transfer_begin(const char *name, const char *source, int *rc, char *why);

/* How long it will be. -XEN_E2BIG with one line in why when there is not so much memory. */
int transfer_size(struct transfer *t, uint64_t size, char *why);

/* The next bytes; not more than size in total. False: memory has run out meanwhile. */
bool transfer_data(struct transfer *t, const void *data, size_t len);

/* All is there: the file (in place of an unused one of that name), or NULL with why. t is gone. */
struct file *transfer_done(struct transfer *t, int *rc, char *why);

/* Its memory goes; kept under its name with the line, for who asks. */
void transfer_fail(struct transfer *t, const char *why);
/* Nothing is left. */
void transfer_drop(struct transfer *t);

struct transfer *transfer_find(const char *name);

/* How many domains are made of it: their configuration names it. */
unsigned int file_users(const struct file *f);

/* Removes what was uploaded or fetched. -XEN_EBUSY with one line: a module, or in use. */
int file_delete(struct file *f, char *why);

extern struct list transfer_list;
#define transfer_for_each(t) list_for_each(t, &transfer_list, link)

#endif
