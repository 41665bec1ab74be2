/* SPDX-License-Identifier: MIT */
/* fuzz_elf.c - ELF headers, notes and the __xen_guest string from hostile bytes. */
/* LINK: lib/elf.c lib/xennote.c */
#include <stdlib.h>
#include "lib/elf.h"
#include "lib/xennote.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct elf e;
    struct elf_extent x;
    struct xen_notes n;
    const char *why = NULL;

    if (elf_open(&e, data, size, &why)) {
        if (!why)
            abort();
        return 0;
    }
    why = NULL;
    if (elf_load_extent(&e, &x, &why) && !why)
        abort();
    why = NULL;
    if (xen_notes_read(&e, &n, &why) && !why)
        abort();
    return 0;
}
