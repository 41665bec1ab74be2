/* SPDX-License-Identifier: MIT */
/*
 * bootmem.h - RAM before the frame allocator runs: what is occupied, what can be taken.
 */
#ifndef HV_BOOT_BOOTMEM_H
#define HV_BOOT_BOOTMEM_H

#include "boot/multiboot.h"

#define LOW_MEMORY_END  0x100000UL      /* kept out of the allocators: firmware, AP trampoline */

/* A set of disjoint ranges. Pure. */
#define RANGES_MAX      512

struct ranges {
    uint32_t n;
    struct {
        paddr_t start, end;
    } r[RANGES_MAX];
};

void ranges_add(struct ranges *s, paddr_t start, paddr_t end);
/* Takes [start, end) out. False when the set became too ragged to hold; then more is gone. */
bool ranges_remove(struct ranges *s, paddr_t start, paddr_t end);
/* The highest place for size bytes with that alignment below limit, taken out; 0: none. */
paddr_t ranges_take_high(struct ranges *s, uint64_t size, uint64_t align, paddr_t limit);

/*
 * First thing in C: read what the loader left, move modules that lie in low memory or not on a
 * page boundary, mark what is occupied. Then low memory is free to use. Panics if there is
 * no usable memory map.
 */
void boot_info_init(uint32_t magic, uint32_t info);

/* size bytes of RAM for good, zeroed, mapped at paddr_to_virt(); panics when there are none.
 * Only until frames_init() takes the rest. */
paddr_t bootmem_alloc(uint64_t size, uint64_t align);
/* From now on memory up to limit is mapped (at first: 4 GiB). */
void bootmem_set_limit(paddr_t limit);
/* The rest, for the frame allocator; bootmem_alloc() is over. */
const struct ranges *bootmem_finish(void);

#endif
