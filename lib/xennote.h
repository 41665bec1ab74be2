/* SPDX-License-Identifier: MIT */
/*
 * xennote.h - what a PV kernel image says about itself: ELF notes with owner "Xen", or, in older
 * kernels, one string in a section named `__xen_guest`. Pure; the file may be hostile.
 */
#ifndef LIB_XENNOTE_H
#define LIB_XENNOTE_H

#include "lib/elf.h"

#define XEN_NOTES_MAX 32    /* note types below this are kept */

struct xen_notes {
    uint32_t have;              /* bit n: the file has XEN_ELFNOTE number n, or its old key */
    bool legacy;                /* from `__xen_guest`, not from notes */
    bool bsd_symtab;            /* wants its symbol table loaded behind the BSS */
    uint64_t entry;             /* virtual; always given */
    uint64_t virt_base;         /* virtual address of pseudo-physical 0; default 0 */
    uint64_t paddr_offset;      /* load address = p_paddr - paddr_offset + virt_base */
    uint64_t hypercall_page;    /* virtual, valid if XEN_ELFNOTE_HYPERCALL_PAGE is in have */
    uint64_t init_p2m;          /* virtual, valid if XEN_ELFNOTE_INIT_P2M is in have */
    uint64_t hv_start_low;
    uint64_t supported_features;
    bool mod_start_pfn;         /* copes with an unmapped initrd */
    bool suspend_cancel;
    char guest_os[16];          /* for people to read; cleaned of what is not printable */
    char features[128];
};

static inline bool xen_notes_have(const struct xen_notes *n, unsigned int type)
{
    return (n->have >> type) & 1;
}

/*
 * Reads the notes of an opened file: from PT_NOTE segments, else from note sections, else from
 * the `__xen_guest` section.
 * Returns 0; -XEN_ENOENT if the file has none of the three; -XEN_ENOEXEC if what it has makes no
 * sense (no entry point, malformed note or key). *why is a constant text then.
 */
int xen_notes_read(const struct elf *e, struct xen_notes *n, const char **why);

/*
 * The same in parts, for who does not hold the file in one piece: scan adds what one note segment
 * of size bytes says (n zeroed before the first), check judges the result. 0 or -XEN_ENOEXEC.
 */
int xen_notes_scan(struct xen_notes *n, const void *segment, uint64_t size, const char **why);
int xen_notes_check(const struct xen_notes *n, const char **why);

#endif
