/* SPDX-License-Identifier: MIT */
/* cpio.h - reads archives in cpio's "newc" format. Pure. */
#ifndef RUNTIME_CPIO_H
#define RUNTIME_CPIO_H

#include "compiler.h"

struct cpio_entry {
    const char *name;           /* NUL-terminated, in the archive */
    const uint8_t *data;
    size_t size;
    uint32_t mode;              /* as in stat: type and permissions */
};

bool cpio_is_archive(const void *archive, size_t size);

/* The entry at *pos, which moves past it. False at the end (the trailer, or bytes that are no
 * whole entry). *pos starts at 0. */
bool cpio_next(const void *archive, size_t size, size_t *pos, struct cpio_entry *e);

#endif
