/* SPDX-License-Identifier: MIT */
/*
 * multiboot.h - what the boot loader told us, in one form for multiboot 1 and 2.
 */
#ifndef HV_BOOT_MULTIBOOT_H
#define HV_BOOT_MULTIBOOT_H

#include "addr.h"

#define BOOT_MAX_MODULES    128
#define BOOT_MAX_REGIONS    128
#define BOOT_STRING_BYTES   16384   /* of all strings together */
#define BOOT_CMDLINE        2048

enum boot_region_type {         /* as in the BIOS memory map */
    REGION_RAM = 1, REGION_RESERVED = 2, REGION_ACPI = 3, REGION_NVS = 4, REGION_BAD = 5
};

struct boot_region {            /* sorted by address, no overlaps */
    paddr_t start, end;         /* [start, end) */
    uint32_t type;
};

struct boot_module {
    paddr_t start;              /* page-aligned and above 1 MiB */
    uint64_t size;              /* bytes */
    const char *name;           /* first word of the module's string: file name or URI; or "" */
    const char *args;           /* the rest, leading blanks removed; or "" */
};

struct boot_info {
    const char *loader;         /* "iPXE ...", "GRUB 2.06", "qemu"; or "" */
    const char *cmdline;        /* without the image's own name */
    uint32_t nr_modules, nr_regions;
    uint32_t nr_left_out;       /* modules beyond BOOT_MAX_MODULES, in places that no module can have, or whose
                                   strings did not fit */
    struct boot_module module[BOOT_MAX_MODULES];
    struct boot_region region[BOOT_MAX_REGIONS];
    uint8_t  rsdp[36];          /* copy of the ACPI root pointer, if the loader passed one */
    uint32_t rsdp_size;         /* 0, 20 or 36 */
    uint64_t efi_system_table;  /* physical; 0: not an EFI machine, as far as we know */
    uint32_t used_string;
    char     string[BOOT_STRING_BYTES];
};

const struct boot_info *boot_info(void);

/*
 * Looks for `key` or `key=value` among the words of the hypervisor's command line; the last
 * one counts. True if there. buf (may be NULL) gets the value, cut to n bytes with its NUL;
 * "" for a bare key.
 */
bool cmdline_find(const char *key, char *buf, size_t n);
/* The value as a number (decimal, 0x.., suffix K M G); dflt if absent or not a number. */
uint64_t cmdline_number(const char *key, uint64_t dflt);

/* Pure: the same on any string; a number as above, whole or not at all. */
bool cmdline_find_in(const char *cmdline, const char *key, char *buf, size_t n);
bool cmdline_parse_number(const char *s, uint64_t *value);

/*
 * Pure: fill bi from a multiboot 1 or 2 information block. mem(pa, len) gives access to len
 * bytes of physical memory, or NULL if there is no such memory. What the block says is checked;
 * nonsense is left out. Returns 0, or -XEN_EINVAL when nothing useful can be had of it.
 */
typedef const void *(*boot_mem_fn)(paddr_t pa, uint64_t len);
int multiboot_parse(struct boot_info *bi, uint32_t magic, paddr_t info, boot_mem_fn mem);

#endif
