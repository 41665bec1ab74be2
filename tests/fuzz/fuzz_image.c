/* SPDX-License-Identifier: MIT */
/* fuzz_image.c - hostile kernel files: bzImage, ELF, every compression, notes. */
/* LINK: lib/elf.c lib/xennote.c lib/why.c lib/printf.c lib/strlcpy.c lib/lz4.c toolstack/builder/image.c */
/* LINK: toolstack/builder/decomp.c tests/unit/fakes/page.c build/libdecomp-host.a */
#include <stdlib.h>
#include <string.h>
#include "toolstack/builder/image.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static uint8_t page[PAGE_SIZE];
    char why[WHY_MAX] = "";
    struct image *im = image_open("fuzz", data, size, why);
    uint64_t steps = 0;
    int rc;

    if (!im) {
        if (!why[0])
            abort();
        return 0;
    }
    while ((rc = image_step(im, why)) == 1 && ++steps < 2000)
        ;
    if (rc < 0 && !why[0])
        abort();
    for (uint64_t v = im->virt_start; rc == 0 && v < im->virt_end && v < im->virt_start + (1 << 20);
         v += sizeof(page))
        image_copy(im, v, page, sizeof(page));
    image_free(im);
    return 0;
}
