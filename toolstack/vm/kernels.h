/* SPDX-License-Identifier: MIT */
/*
 * kernels.h - kernel images in use, and those kept because decoding them again is dear.
 *
 * Domains that start from one file share one image, also while it is being decoded: whoever steps
 * it brings it forward for all. A decoded image stays after its last user until memory is wanted.
 */
#ifndef VM_KERNELS_H
#define VM_KERNELS_H

#include "lib/list.h"
#include "lib/why.h"
#include "toolstack/vm/file.h"

struct image;

struct kernel {
    struct list link;
    struct file *file;
    struct image *image;
    uint32_t refs;
    int error;                  /* of image_step(), for everybody who shares it */
    bool ready;
    char why[WHY_MAX];
};

/* NULL with a line in why: it cannot be a kernel, or dom0 is out of memory. */
struct kernel *kernel_get(struct file *f, char *why);

/* 1 = call again, 0 = ready, negative = error with a line in why. */
int kernel_step(struct kernel *k, char *why);

void kernel_put(struct kernel *k);      /* NULL is allowed */

/* Frees images that nobody uses. True if there was one. */
bool kernels_trim(void);
/* The file was removed: what is kept of it and nobody uses goes. */
void kernels_forget(const struct file *f);

/* Bytes held by decoded images. */
size_t kernels_footprint(void);

#endif
