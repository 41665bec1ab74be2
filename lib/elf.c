/* SPDX-License-Identifier: MIT */
/* elf.c - reads the headers of an ELF64 file (see elf.h). */
#include "lib/elf.h"
#include "lib/string.h"
#include "overflow.h"
#include "unaligned.h"
#include "xenabi.h"

#define EHDR_SIZE 64
#define PHDR_SIZE 56
#define SHDR_SIZE 64
#define EM_X86_64 62
#define ET_EXEC   2
#define ET_DYN    3

static int bad(const char **why, const char *text)
{
    *why = text;
    return -XEN_ENOEXEC;
}

const void *elf_bytes(const struct elf *e, uint64_t off, uint64_t len)
{
    return range_inside(off, len, e->size) ? e->data + off : NULL;
}

int elf_open(struct elf *e, const void *data, uint64_t size, const char **why)
{
    const uint8_t *h = data;
    unsigned int type;

    memset(e, 0, sizeof(*e));
    if (size < 4 || memcmp(h, "\177ELF", 4) != 0)
        return bad(why, "not an ELF file");
    if (size < EHDR_SIZE)
        return bad(why, "truncated ELF header");
    if (h[4] != 2)
        return bad(why, "ELF file is not 64-bit");
    type = get16(h + 16);
    if (h[5] != 1 || get16(h + 18) != EM_X86_64)
        return bad(why, "ELF file is for another machine, not x86-64");
    if (h[6] != 1 || get32(h + 20) != 1)
        return bad(why, "unknown ELF version");
    if (type != ET_EXEC && type != ET_DYN)
        return bad(why, "ELF file is not an executable");

    e->data = h;
    e->size = size;
    e->entry = get64(h + 24);
    e->phoff = get64(h + 32);
    e->shoff = get64(h + 40);
    e->phnum = get16(h + 56);
    e->shnum = get16(h + 60);
    e->shstrndx = get16(h + 62);

    if (e->phnum == 0 || e->phnum > ELF_MAX_SEGMENTS)
        return bad(why, "ELF file has no program headers, or too many");
    if (get16(h + 54) != PHDR_SIZE)
        return bad(why, "ELF program headers have an unknown size");
    if (!elf_bytes(e, e->phoff, (uint64_t)e->phnum * PHDR_SIZE))
        return bad(why, "ELF program headers lie outside the file");
    if (e->shnum > ELF_MAX_SECTIONS || get16(h + 58) != SHDR_SIZE ||
        !elf_bytes(e, e->shoff, (uint64_t)e->shnum * SHDR_SIZE))
        e->shnum = 0;
    return 0;
}

struct elf_segment elf_segment(const struct elf *e, unsigned int i)
{
    const uint8_t *p = e->data + e->phoff + (uint64_t)i * PHDR_SIZE;

    return (struct elf_segment){
        .type = get32(p),
        .flags = get32(p + 4),
        .offset = get64(p + 8),
        .vaddr = get64(p + 16),
        .paddr = get64(p + 24),
        .filesz = get64(p + 32),
        .memsz = get64(p + 40),
        .align = get64(p + 48),
    };
}

/* The string at offset off of section table entry strndx, if it ends inside the file. */
static const char *section_string(const struct elf *e, unsigned int strndx, uint32_t off)
{
    const uint8_t *sh;
    uint64_t start, size;

    if (strndx >= e->shnum)
        return "";
    sh = e->data + e->shoff + (uint64_t)strndx * SHDR_SIZE;
    start = get64(sh + 24);
    size = get64(sh + 32);
    if (get32(sh + 4) == ELF_SHT_NOBITS || !elf_bytes(e, start, size) || off >= size ||
        !memchr(e->data + start + off, 0, size - off))
        return "";
    return (const char *)e->data + start + off;
}

struct elf_section elf_section(const struct elf *e, unsigned int i)
{
    const uint8_t *p = e->data + e->shoff + (uint64_t)i * SHDR_SIZE;

    return (struct elf_section){
        .name = section_string(e, e->shstrndx, get32(p)),
        .type = get32(p + 4),
        .flags = get64(p + 8),
        .addr = get64(p + 16),
        .offset = get64(p + 24),
        .size = get64(p + 32),
        .link = get32(p + 40),
        .info = get32(p + 44),
        .entsize = get64(p + 56),
    };
}

static bool overlap(const struct elf_segment *a, const struct elf_segment *b)
{
    return a->paddr < b->paddr + b->memsz && b->paddr < a->paddr + a->memsz;
}

int elf_load_extent(const struct elf *e, struct elf_extent *x, const char **why)
{
    *x = (struct elf_extent){ .paddr = ~0UL };
    for (unsigned int i = 0; i < e->phnum; i++) {
        struct elf_segment s = elf_segment(e, i);
        uint64_t mem_end, file_end;

        if (s.type != ELF_PT_LOAD || s.memsz == 0)
            continue;
        if (s.filesz > s.memsz)
            return bad(why, "ELF segment has more bytes in the file than in memory");
        if (add_overflows(s.paddr, s.memsz, &mem_end) ||
            add_overflows(s.offset, s.filesz, &file_end))
            return bad(why, "ELF segment wraps around");
        for (unsigned int j = 0; j < i; j++) {
            struct elf_segment other = elf_segment(e, j);

            if (other.type == ELF_PT_LOAD && other.memsz != 0 && overlap(&s, &other))
                return bad(why, "ELF segments overlap");
        }
        x->paddr = MIN(x->paddr, s.paddr);
        x->paddr_end = MAX(x->paddr_end, mem_end);
        if (s.filesz != 0)
            x->file_end = MAX(x->file_end, file_end);
    }
    if (x->paddr_end == 0)
        return bad(why, "ELF file has nothing to load");
    return 0;
}
