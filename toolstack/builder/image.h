/* SPDX-License-Identifier: MIT */
/*
 * image.h - a kernel file, made ready to be loaded any number of times.
 *
 * Takes bzImage (payload gzip, xz, zstd, lz4 or plain), ELF64, and ELF64 compressed as a whole.
 * An uncompressed ELF is used where it lies. A compressed one is decoded once, step by step, into
 * pages of which the all-zero ones are left out. The file is hostile; everything in it is checked
 * here, so that what builds domains can trust struct image.
 */
#ifndef BUILDER_IMAGE_H
#define BUILDER_IMAGE_H

#include "lib/why.h"
#include "lib/xennote.h"

struct decomp;

/* Part of the loaded image that has bytes in the file. */
struct image_part {
    uint64_t virt;              /* where it goes */
    uint64_t offset;            /* of its first byte in the file */
    uint64_t size;
};

struct image {
    char name[64];              /* for messages */
    char format[24];            /* "bzImage (xz)" ... for people */
    struct xen_notes notes;
    uint64_t virt_start;        /* the kernel occupies [virt_start, virt_end), not page-aligned; */
    uint64_t virt_end;          /* behind BSS, and what stands for a symbol table */
    unsigned int nr_parts;
    struct image_part part[ELF_MAX_SEGMENTS];

    /* The file's bytes: where they lie, or page by page (NULL: all zero). */
    const uint8_t *flat;
    uint8_t **pages;
    size_t nr_pages;
    size_t pages_used;          /* of them allocated */

    /* While it is being decoded. */
    const uint8_t *payload;
    size_t payload_size;
    int format_code;            /* enum decomp_format */
    struct decomp *stream;
    struct elf_extent extent;
    uint64_t at;                /* bytes decoded so far */
    uint8_t *page;              /* the page being filled, file offset `at` rounded down */
    bool keep_all;              /* sections may be needed: keep also what is not loaded */
    bool ready;
};

/*
 * Begins with a file of size bytes at data, which must stay until image_free(). Returns NULL with
 * a line in why that begins with the file's name, if it cannot be a kernel or memory is short.
 */
struct image *image_open(const char *name, const void *data, size_t size, char *why);

/*
 * Goes on: 1 = call again, 0 = ready, negative = error with a line in why (-XEN_ENOEXEC not a
 * kernel for us, -XEN_EILSEQ corrupt, -XEN_ENODATA truncated, -XEN_ENOMEM). A step decodes about
 * 64 KiB.
 */
int image_step(struct image *im, char *why);

/*
 * Copies what the image has for virtual addresses [virt, virt + n) to dst, which the caller has
 * zeroed: bytes that the file does not have, and pages of zeros, are not written.
 */
void image_copy(const struct image *im, uint64_t virt, uint8_t *dst, uint64_t n);

/* Bytes of memory that it holds besides the file. */
size_t image_footprint(const struct image *im);

void image_free(struct image *im);      /* NULL is allowed */

#endif
