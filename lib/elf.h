/* SPDX-License-Identifier: MIT */
/*
 * elf.h - reads the headers of an x86-64 ELF64 file that may be hostile. Pure: looks at the
 * bytes it was given and nothing else, and never past their end.
 */
#ifndef LIB_ELF_H
#define LIB_ELF_H

#include "compiler.h"

#define ELF_PT_LOAD  1
#define ELF_PT_NOTE  4
#define ELF_PF_X     1
#define ELF_PF_W     2
#define ELF_PF_R     4

#define ELF_SHT_SYMTAB 2
#define ELF_SHT_STRTAB 3
#define ELF_SHT_NOTE   7
#define ELF_SHT_NOBITS 8

/* More of either is refused: no kernel comes near, and it bounds every loop over them. */
#define ELF_MAX_SEGMENTS 64
#define ELF_MAX_SECTIONS 4096

struct elf {
    const uint8_t *data;    /* the file, or its beginning */
    uint64_t size;          /* bytes at data */
    uint64_t entry;
    uint64_t phoff, shoff;
    unsigned int phnum;     /* all inside data */
    unsigned int shnum;     /* all inside data, or 0: a file without sections is still loadable */
    unsigned int shstrndx;
};

/* A program header, copied. */
struct elf_segment {
    uint32_t type, flags;
    uint64_t offset, vaddr, paddr, filesz, memsz, align;
};

/* A section header, copied. name points into the file and is NUL-terminated ("" if unknown). */
struct elf_section {
    const char *name;
    uint32_t type, link, info;
    uint64_t flags, addr, offset, size, entsize;
};

/*
 * Checks the file header and where the header tables lie. size may be less than the whole file
 * as long as the program headers are inside (a stream's beginning); section headers that are not
 * inside are treated as absent.
 * Returns 0, or -XEN_ENOEXEC with *why set to a constant text.
 */
int elf_open(struct elf *e, const void *data, uint64_t size, const char **why);

/* Program header i < e->phnum. Its values are as the file has them, unchecked. */
struct elf_segment elf_segment(const struct elf *e, unsigned int i);

/* Section header i < e->shnum, values unchecked except the name. */
struct elf_section elf_section(const struct elf *e, unsigned int i);

/* The bytes [off, off + len) of the file, or NULL if they are not all there. */
const void *elf_bytes(const struct elf *e, uint64_t off, uint64_t len);

struct elf_extent {
    uint64_t paddr, paddr_end;  /* all PT_LOAD segments lie in [paddr, paddr_end), by p_paddr */
    uint64_t file_end;          /* their bytes lie below this offset of the file */
};

/*
 * Checks the PT_LOAD segments that have a size (memsz > 0): filesz <= memsz, no wrap-around, no
 * two overlap, and gives their extent. Whether the file really has file_end bytes is left to the
 * caller, who may hold only its beginning.
 * Returns 0, or -XEN_ENOEXEC with *why set.
 */
int elf_load_extent(const struct elf *e, struct elf_extent *x, const char **why);

#endif
