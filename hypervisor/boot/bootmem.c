/* SPDX-License-Identifier: MIT */
/*
 * bootmem.c - takes over from the boot loader, and hands out RAM until mm/buddy.c can.
 *
 * Only the low 4 GiB are mapped at first. Whatever the loader placed (information block,
 * strings, modules) is read and moved before anything else writes to memory that is not ours.
 */
#include "boot/bootmem.h"

#include "dev/console.h"
#include "dev/panic.h"
#include "lib/string.h"
#include "mm/map.h"

#define BOOT_MAPPED     0x100000000UL

extern const char hv_end[];

static struct boot_info info_block;
static struct ranges free_ram;
static paddr_t mapped_limit = BOOT_MAPPED;

const struct boot_info *boot_info(void)
{
    return &info_block;
}

bool cmdline_find(const char *key, char *buf, size_t n)
{
    return info_block.cmdline && cmdline_find_in(info_block.cmdline, key, buf, n);
}

uint64_t cmdline_number(const char *key, uint64_t dflt)
{
    char text[32];
    uint64_t v;

    if (!cmdline_find(key, text, sizeof(text)) || !cmdline_parse_number(text, &v))
        return dflt;
    return v;
}

static const void *boot_mem(paddr_t pa, uint64_t len)
{
    if (pa >= BOOT_MAPPED || len > BOOT_MAPPED - pa)
        return NULL;
    return paddr_to_virt(pa);
}

static void occupy(paddr_t start, paddr_t end)
{
    ranges_remove(&free_ram, ROUND_DOWN(start, PAGE_SIZE), ROUND_UP(end, PAGE_SIZE));
}

static void move_module(struct boot_module *m)
{
    paddr_t to = ranges_take_high(&free_ram, ROUND_UP(m->size, PAGE_SIZE), PAGE_SIZE, BOOT_MAPPED);

    if (!to)
        panic("no memory to move the module '%s' (%lu bytes) to", m->name, m->size);
    memcpy(paddr_to_virt(to), paddr_to_virt(m->start), m->size);
    m->start = to;
}

void boot_info_init(uint32_t magic, uint32_t info)
{
    struct boot_info *bi = &info_block;

    if (multiboot_parse(bi, magic, info, boot_mem))
        panic("the boot loader (magic %#x) left no usable multiboot information at %#x",
              magic, info);
    for (uint32_t i = 0; i < bi->nr_regions; i++) {
        if (bi->region[i].type == REGION_RAM)
            ranges_add(&free_ram, bi->region[i].start, bi->region[i].end);
    }
    ranges_remove(&free_ram, 0, LOW_MEMORY_END);
    occupy(HV_LOAD_PADDR, virt_to_paddr(hv_end));
    for (uint32_t i = 0; i < bi->nr_modules; i++)
        occupy(bi->module[i].start, bi->module[i].start + bi->module[i].size);
    for (uint32_t i = 0; i < bi->nr_modules; i++) {
        struct boot_module *m = &bi->module[i];

        if (m->size && (m->start < LOW_MEMORY_END || m->start % PAGE_SIZE))
            move_module(m);
    }
}

paddr_t bootmem_alloc(uint64_t size, uint64_t align)
{
    paddr_t pa = ranges_take_high(&free_ram, ROUND_UP(size, PAGE_SIZE), MAX(align, PAGE_SIZE),
                                  mapped_limit);

    if (!pa)
        panic("not enough memory to start: %lu KiB wanted", size >> 10);
    memset(paddr_to_virt(pa), 0, ROUND_UP(size, PAGE_SIZE));
    return pa;
}

void bootmem_set_limit(paddr_t limit)
{
    mapped_limit = limit;
}

const struct ranges *bootmem_finish(void)
{
    mapped_limit = 0;
    return &free_ram;
}
