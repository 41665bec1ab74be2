/* SPDX-License-Identifier: MIT */
/* LINK: hypervisor/boot/acpi_tables.c */
/* The input is the machine's memory from address 0 on, the root pointer at 0. Check sums are
 * made right first, or nothing would get past them. */
#include <stdlib.h>
#include "boot/acpi.h"
#include "lib/string.h"

#define MEMORY 4096u

static uint8_t memory[MEMORY];
static size_t memory_size;

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void fix_sum(uint8_t *p, size_t n, size_t where)
{
    uint8_t sum = 0;

    p[where] = 0;
    for (size_t i = 0; i < n; i++)
        sum = (uint8_t)(sum + p[i]);
    p[where] = (uint8_t)-sum;
}

/* A copy as large as what was asked for, so that reading past it is noticed. */
static const void *map(paddr_t pa, uint64_t len)
{
    static uint8_t *window;

    free(window);
    window = NULL;
    if (pa > memory_size || len > memory_size - pa)
        return NULL;
    window = malloc(len);
    memcpy(window, memory + pa, len);
    if (len > 36)
        fix_sum(window, len, 9);
    return window;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct acpi_info ai;

    if (size < 36)
        return 0;
    memory_size = MIN(size, (size_t)MEMORY);
    memcpy(memory, data, memory_size);
    memcpy(memory, "RSD PTR ", 8);
    fix_sum(memory, 20, 8);
    fix_sum(memory, 36, 32);
    (void)acpi_parse(&ai, memory, 36, map);
    return 0;
}
