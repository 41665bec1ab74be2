/* SPDX-License-Identifier: MIT */
/* LINK: runtime/cpio.c */
#include <string.h>
#include "runtime/cpio.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct cpio_entry e;
    size_t pos = 0, seen = 0;

    while (cpio_next(data, size, &pos, &e)) {
        for (size_t i = 0; i < e.size; i++)
            seen += e.data[i];
        seen += strlen(e.name);
    }
    return seen == (size_t)-1;
}
