/* SPDX-License-Identifier: MIT */
/* e820.h - a domain's memory map, in the layout of the BIOS's and of XENMEM_memory_map. */
#ifndef MM_E820_H
#define MM_E820_H

#include "compiler.h"

#define E820_ENTRIES_MAX    64u

struct e820_entry {
    uint64_t addr, size;
    uint32_t type;
} __packed;

struct e820_map {
    uint32_t n;
    struct e820_entry e[E820_ENTRIES_MAX];
};

_Static_assert(sizeof(struct e820_entry) == 20, "part of the ABI");

#endif
