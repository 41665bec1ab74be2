/* SPDX-License-Identifier: MIT */
/* lz4.h - decodes LZ4 blocks, and finds them in the legacy frame that kernels use. Pure. */
#ifndef LIB_LZ4_H
#define LIB_LZ4_H

#include "compiler.h"

#define LZ4_LEGACY_MAGIC      0x184c2102U
#define LZ4_LEGACY_BLOCK_SIZE (8UL << 20)   /* each block but the last decodes to this much */

/*
 * Decodes one block of in_len hostile bytes into out, which has room for out_size.
 * Returns the number of bytes decoded, or -1 if the block is corrupt or does not fit.
 */
long lz4_block(uint8_t *out, size_t out_size, const uint8_t *in, size_t in_len);

#endif
