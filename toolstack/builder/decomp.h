/* SPDX-License-Identifier: MIT */
/*
 * decomp.h - compressed data as a stream that is read piece by piece, so that a long decompression
 * can be spread over many turns of the event loop. Pure: input lies in memory, working memory
 * comes from malloc (xz takes the size of its dictionary, 32 MiB for Debian's kernels).
 */
#ifndef BUILDER_DECOMP_H
#define BUILDER_DECOMP_H

#include "compiler.h"

enum decomp_format { DECOMP_NONE, DECOMP_GZIP, DECOMP_XZ, DECOMP_ZSTD, DECOMP_LZ4 };

struct decomp;

/* What the data begins with; DECOMP_NONE if it is none of the known magic numbers. */
enum decomp_format decomp_detect(const void *data, size_t size);

/* "gzip", "xz" ... for messages. */
const char *decomp_name(enum decomp_format f);

/*
 * Opens size bytes at data, which must stay until decomp_close. What follows the end of the
 * compressed stream is ignored (kernels append their size).
 * Returns NULL if memory is short.
 */
struct decomp *decomp_open(enum decomp_format f, const void *data, size_t size);

/*
 * Decodes up to n bytes into buf. Returns how many: n, or less at the end of the stream, 0 after
 * it. -XEN_EILSEQ: corrupt, -XEN_ENODATA: truncated, -XEN_ENOMEM: no working memory; the stream
 * can only be closed then.
 */
long decomp_read(struct decomp *d, void *buf, size_t n);

/* Frees d; NULL is allowed. */
void decomp_close(struct decomp *d);

#endif
