/* SPDX-License-Identifier: MIT */
/*
 * multiboot.c - reads the boot loader's information block into struct boot_info. Pure but for
 * boot_info() itself; what acts on memory is boot/bootmem.c.
 *
 * Everything is read through mem(), checked and copied: loaders put blocks, strings and modules
 * anywhere (seen: a module at 0x3000), and the memory is used for other things soon.
 */
#include "boot/multiboot.h"

#include "layout.h"
#include "lib/string.h"
#include "unaligned.h"
#include "xenabi.h"

#define MB1_MAGIC           0x2badb002u
#define MB2_MAGIC           0x36d76289u

#define MB1_HAS_MEM         (1u << 0)
#define MB1_HAS_CMDLINE     (1u << 2)
#define MB1_HAS_MODULES     (1u << 3)
#define MB1_HAS_MMAP        (1u << 6)
#define MB1_HAS_LOADER      (1u << 9)

#define MB1_INFO_BYTES      116u
#define MB1_MMAP_MAX        (1u << 20)
#define MB2_INFO_MAX        (16u << 20)

enum mb2_tag {
    MB2_END = 0, MB2_CMDLINE = 1, MB2_LOADER = 2, MB2_MODULE = 3, MB2_MEMINFO = 4,
    MB2_MMAP = 6, MB2_EFI64 = 12, MB2_RSDP1 = 14, MB2_RSDP2 = 15
};

/* What the memory map says before overlaps are sorted out. */
struct raw_map {
    uint32_t n;
    struct boot_region r[BOOT_MAX_REGIONS];
};

#define BOOT_NAME_ROOM      128         /* of the pool of strings, for a module to be taken */

/* Copies a NUL-terminated string of at most max bytes into bi's pool; "" if there is none. */
static const char *keep_string(struct boot_info *bi, boot_mem_fn mem, paddr_t pa, uint32_t max)
{
    char *dst = bi->string + bi->used_string;
    uint32_t room = (uint32_t)sizeof(bi->string) - bi->used_string, n = 0;

    if (room < 2)
        return "";
    while (n < max && n < room - 1) {
        const char *c = mem(pa + n, 1);
        if (!c || !*c)
            break;
        dst[n++] = *c;
    }
    dst[n] = 0;
    bi->used_string += n + 1;
    return dst;
}

static const char *skip_blanks(const char *s)
{
    while (*s == ' ' || *s == '\t')
        s++;
    return s;
}

static const char *skip_word(const char *s)
{
    while (*s && *s != ' ' && *s != '\t')
        s++;
    return s;
}

static void add_region(struct raw_map *map, uint64_t start, uint64_t len, uint32_t type)
{
    uint64_t end = start + len;

    if (end < start)                    /* beyond 2^64: up to the end of what can be addressed */
        end = ~0UL & PAGE_MASK;
    if (type == REGION_RAM) {           /* whole pages only; never claim more than there is */
        if (start > ~0UL - PAGE_SIZE)
            return;
        start = ROUND_UP(start, PAGE_SIZE);
        end = MIN(ROUND_DOWN(end, PAGE_SIZE), (uint64_t)DIRECTMAP_SIZE);
    } else {
        start = ROUND_DOWN(start, PAGE_SIZE);
        end = end > ~0UL - PAGE_SIZE ? ~0UL & PAGE_MASK : ROUND_UP(end, PAGE_SIZE);
    }
    if (start >= end || map->n == BOOT_MAX_REGIONS)
        return;
    map->r[map->n++] = (struct boot_region){ start, end, type };
}

/* The type of a stretch that several entries cover: RAM only if all of them say so. */
static uint32_t type_at(const struct raw_map *map, uint64_t a)
{
    uint32_t type = 0;

    for (uint32_t i = 0; i < map->n; i++) {
        const struct boot_region *r = &map->r[i];
        if (a >= r->start && a < r->end && (!type || type == REGION_RAM))
            type = r->type;
    }
    return type;
}

/* Sorted, without overlaps, neighbours of one type joined. */
static void settle_regions(struct boot_info *bi, const struct raw_map *map)
{
    uint64_t at = 0;

    for (;;) {
        uint64_t next = ~0UL;           /* the first boundary above `at` */
        uint32_t type = type_at(map, at);
        struct boot_region *last = bi->nr_regions ? &bi->region[bi->nr_regions - 1] : NULL;

        for (uint32_t i = 0; i < map->n; i++) {
            if (map->r[i].start > at && map->r[i].start < next)
                next = map->r[i].start;
            if (map->r[i].end > at && map->r[i].end < next)
                next = map->r[i].end;
        }
        if (next == ~0UL)
            return;
        if (type && last && last->end == at && last->type == type)
            last->end = next;
        else if (type && bi->nr_regions < BOOT_MAX_REGIONS)
            bi->region[bi->nr_regions++] = (struct boot_region){ at, next, type };
        at = next;
    }
}

static void add_module(struct boot_info *bi, boot_mem_fn mem, uint64_t start, uint64_t end,
                       paddr_t string)
{
    struct boot_module *m;
    char *split;

    if (end < start || bi->nr_modules == BOOT_MAX_MODULES ||
        (end > start && !mem(start, end - start)) || sizeof(bi->string) - bi->used_string < BOOT_NAME_ROOM) {
        bi->nr_left_out++;
        return;
    }
    m = &bi->module[bi->nr_modules++];
    m->start = start;
    m->size = end - start;
    m->name = string ? skip_blanks(keep_string(bi, mem, string, BOOT_CMDLINE)) : "";
    split = (char *)skip_word(m->name);
    m->args = skip_blanks(split);
    if (*split)
        *split = 0;
}

static int parse_mb1(struct boot_info *bi, struct raw_map *map, paddr_t info, boot_mem_fn mem)
{
    const uint8_t *mbi = mem(info, MB1_INFO_BYTES);
    uint32_t flags;

    if (!mbi)
        return -XEN_EINVAL;
    flags = get32(mbi);
    if (flags & MB1_HAS_LOADER)
        bi->loader = keep_string(bi, mem, get32(mbi + 64), 80);
    if (flags & MB1_HAS_CMDLINE) {
        bi->cmdline = skip_blanks(keep_string(bi, mem, get32(mbi + 16), BOOT_CMDLINE));
        /* All but GRUB 2 begin with the image's file name or URI. */
        if (strncmp(bi->loader, "GRUB", 4) != 0)
            bi->cmdline = skip_blanks(skip_word(bi->cmdline));
    }
    if (flags & MB1_HAS_MODULES) {
        uint32_t count = get32(mbi + 20);
        paddr_t list = get32(mbi + 24);

        for (uint32_t i = 0; i < count; i++) {
            const uint8_t *m = i < 2 * BOOT_MAX_MODULES ? mem(list + i * 16, 16) : NULL;
            if (!m) {
                bi->nr_left_out += count - i;
                break;
            }
            add_module(bi, mem, get32(m), get32(m + 4), get32(m + 8));
        }
    }
    if (flags & MB1_HAS_MMAP) {
        uint32_t len = MIN(get32(mbi + 44), MB1_MMAP_MAX), off = 0;
        paddr_t list = get32(mbi + 48);

        while (off < len && len - off >= 24) {
            const uint8_t *e = mem(list + off, 24);
            uint32_t size;

            if (!e)
                break;
            size = get32(e);
            add_region(map, get64(e + 4), get64(e + 12), get32(e + 20));
            if (size < 20 || size > len - off - 4)
                break;
            off += size + 4;
        }
    } else if (flags & MB1_HAS_MEM) {
        add_region(map, 0, (uint64_t)get32(mbi + 4) << 10, REGION_RAM);
        add_region(map, 1u << 20, (uint64_t)get32(mbi + 8) << 10, REGION_RAM);
    }
    return 0;
}

static void parse_mb2_mmap(struct raw_map *map, const uint8_t *tag, uint32_t size)
{
    uint32_t entry = size >= 16 ? get32(tag + 8) : 0;

    if (entry < 20)
        return;
    for (uint32_t off = 16; off < size && size - off >= 20; off += entry) {
        const uint8_t *e = tag + off;
        add_region(map, get64(e), get64(e + 8), get32(e + 16));
        if (entry > size - off)
            break;
    }
}

static void keep_rsdp(struct boot_info *bi, const uint8_t *tag, uint32_t size, uint32_t want)
{
    if (size < 8 + want || bi->rsdp_size > want)
        return;
    memcpy(bi->rsdp, tag + 8, want);
    bi->rsdp_size = want;
}

static int parse_mb2(struct boot_info *bi, struct raw_map *map, paddr_t info, boot_mem_fn mem)
{
    const uint8_t *head = mem(info, 8), *block;
    uint32_t total, off = 8;
    uint64_t low = 0, high = 0;

    if (!head)
        return -XEN_EINVAL;
    total = get32(head);
    if (total < 16 || total > MB2_INFO_MAX || !(block = mem(info, total)))
        return -XEN_EINVAL;

    while (off <= total - 8) {
        const uint8_t *tag = block + off;
        uint32_t type = get32(tag), size = get32(tag + 4);

        if (type == MB2_END || size < 8 || size > total - off)
            break;
        switch (type) {
        case MB2_CMDLINE:
            bi->cmdline = skip_blanks(keep_string(bi, mem, info + off + 8,
                                                  MIN(size - 8, (uint32_t)BOOT_CMDLINE)));
            break;
        case MB2_LOADER:
            bi->loader = keep_string(bi, mem, info + off + 8, MIN(size - 8, 80u));
            break;
        case MB2_MODULE:
            if (size > 16)
                add_module(bi, mem, get32(tag + 8), get32(tag + 12), info + off + 16);
            break;
        case MB2_MEMINFO:
            if (size >= 16) {
                low = get32(tag + 8);
                high = get32(tag + 12);
            }
            break;
        case MB2_MMAP:
            parse_mb2_mmap(map, tag, size);
            break;
        case MB2_EFI64:
            if (size >= 16)
                bi->efi_system_table = get64(tag + 8);
            break;
        case MB2_RSDP1:
            keep_rsdp(bi, tag, size, 20);
            break;
        case MB2_RSDP2:
            keep_rsdp(bi, tag, size, 36);
            break;
        }
        if (size > total - off - 7)
            break;
        off += ROUND_UP(size, 8u);
    }
    if (!map->n) {
        add_region(map, 0, low << 10, REGION_RAM);
        add_region(map, 1u << 20, high << 10, REGION_RAM);
    }
    return 0;
}

int multiboot_parse(struct boot_info *bi, uint32_t magic, paddr_t info, boot_mem_fn mem)
{
    static struct raw_map map;          /* too big for the stack; used once, by one CPU */
    int rc;

    memset(bi, 0, sizeof(*bi));
    memset(&map, 0, sizeof(map));
    bi->loader = bi->cmdline = "";
    if (magic == MB1_MAGIC)
        rc = parse_mb1(bi, &map, info, mem);
    else if (magic == MB2_MAGIC)
        rc = parse_mb2(bi, &map, info, mem);
    else
        rc = -XEN_EINVAL;
    if (rc)
        return rc;
    settle_regions(bi, &map);
    for (uint32_t i = 0; i < bi->nr_regions; i++) {
        if (bi->region[i].type == REGION_RAM)
            return 0;
    }
    return -XEN_EINVAL;
}

/* The end of a word of the command line; blanks between quotes do not end it. */
static const char *word_end(const char *s)
{
    bool quoted = false;

    for (; *s && (quoted || (*s != ' ' && *s != '\t')); s++) {
        if (*s == '"')
            quoted = !quoted;
    }
    return s;
}

/* [s, end) without quotes, as a string in buf. */
static void copy_unquoted(char *buf, size_t n, const char *s, const char *end)
{
    for (; s < end && n > 1; s++) {
        if (*s != '"') {
            *buf++ = *s;
            n--;
        }
    }
    *buf = 0;
}

/* GRUB turns key="a b" into "key=a b"; both are understood. */
bool cmdline_find_in(const char *cmdline, const char *key, char *buf, size_t n)
{
    size_t len = strlen(key);
    bool found = false;

    for (const char *w = skip_blanks(cmdline), *end; *w; w = skip_blanks(end)) {
        const char *name = *w == '"' ? w + 1 : w;

        end = word_end(w);
        if (strncmp(name, key, len))
            continue;
        name += len;
        if (name != end && *name != '=' && *name != '"')
            continue;
        found = true;
        if (buf && n)
            copy_unquoted(buf, n, *name == '=' ? name + 1 : end, end);
    }
    return found;
}

static uint32_t digit_of(char c)
{
    if (c >= '0' && c <= '9')
        return (uint32_t)(c - '0');
    if (c >= 'a' && c <= 'f')
        return (uint32_t)(c - 'a') + 10;
    if (c >= 'A' && c <= 'F')
        return (uint32_t)(c - 'A') + 10;
    return 99;
}

bool cmdline_parse_number(const char *s, uint64_t *value)
{
    uint64_t v = 0, base = 10;
    unsigned int shift = 0;
    const char *start;

    if (s[0] == '0' && s[1] == 'x') {
        base = 16;
        s += 2;
    }
    for (start = s; digit_of(*s) < base; s++) {
        if (v > (~0UL - 15) / base)
            return false;
        v = v * base + digit_of(*s);
    }
    if (s == start)
        return false;
    if (*s == 'K' || *s == 'k')
        shift = 10;
    else if (*s == 'M' || *s == 'm')
        shift = 20;
    else if (*s == 'G' || *s == 'g')
        shift = 30;
    if ((shift && s[1]) || (!shift && *s) || v > (~0UL >> shift))
        return false;
    *value = v << shift;
    return true;
}
