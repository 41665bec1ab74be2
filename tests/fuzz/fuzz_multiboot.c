/* SPDX-License-Identifier: MIT */
/* LINK: hypervisor/boot/multiboot.c */
/*
 * The input is the machine's memory from address 0 on; its first byte chooses the form and the
 * information block starts at 8.
 */
#include <stdlib.h>
#include "boot/multiboot.h"
#include "lib/string.h"

static const uint8_t *memory;
static size_t memory_size;

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const void *mem(paddr_t pa, uint64_t len)
{
    return pa <= memory_size && len <= memory_size - pa ? memory + pa : NULL;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct boot_info bi;
    char v[16];

    memory = data;
    memory_size = size;
    if (size < 9 || multiboot_parse(&bi, data[0] & 1 ? 0x2badb002 : 0x36d76289, 8, mem))
        return 0;
    (void)cmdline_find_in(bi.cmdline, "a", v, sizeof(v));
    for (uint32_t i = 0; i < bi.nr_regions; i++) {
        if (bi.region[i].start >= bi.region[i].end ||
            (i && bi.region[i].start < bi.region[i - 1].end))
            abort();
    }
    for (uint32_t i = 0; i < bi.nr_modules; i++) {
        if (bi.module[i].size > size || strlen(bi.module[i].name) + strlen(bi.module[i].args) > 4096)
            abort();
    }
    return 0;
}
