/* SPDX-License-Identifier: MIT */
/* xennote.c - ELF notes of PV kernels and the string that preceded them (see xennote.h). */
#include "lib/xennote.h"
#include "lib/string.h"
#include "overflow.h"
#include "xenabi.h"

static int bad(const char **why, const char *text)
{
    *why = text;
    return -XEN_ENOEXEC;
}

static void copy_text(char *dst, size_t size, const char *src, size_t len)
{
    size_t i;

    for (i = 0; i < len && i + 1 < size && src[i]; i++)
        dst[i] = src[i] >= ' ' && src[i] < 127 ? src[i] : '?';
    dst[i] = 0;
}

/* Numbers come as 4 or 8 bytes, whatever the kernel's assembler was told. */
static bool get_number(const uint8_t *p, uint32_t len, uint64_t *v)
{
    if (len != 4 && len != 8)
        return false;
    *v = 0;
    for (uint32_t i = len; i-- > 0;)
        *v = *v << 8 | p[i];
    return true;
}

static bool said_yes(const char *p, size_t len)
{
    return len >= 3 && strncmp(p, "yes", 3) == 0;
}

static int take_note(struct xen_notes *n, uint32_t type, const uint8_t *desc, uint32_t len,
                     const char **why)
{
    uint64_t v, *number = NULL;

    switch (type) {
    case XEN_ELFNOTE_ENTRY:
        number = &n->entry;
        break;
    case XEN_ELFNOTE_HYPERCALL_PAGE:
        number = &n->hypercall_page;
        break;
    case XEN_ELFNOTE_VIRT_BASE:
        number = &n->virt_base;
        break;
    case XEN_ELFNOTE_PADDR_OFFSET:
        number = &n->paddr_offset;
        break;
    case XEN_ELFNOTE_HV_START_LOW:
        number = &n->hv_start_low;
        break;
    case XEN_ELFNOTE_INIT_P2M:
        number = &n->init_p2m;
        break;
    case XEN_ELFNOTE_SUPPORTED_FEATURES:
        number = &n->supported_features;
        break;
    case XEN_ELFNOTE_MOD_START_PFN:
    case XEN_ELFNOTE_SUSPEND_CANCEL:
        if (!get_number(desc, len, &v))
            return bad(why, "Xen note has a wrong size");
        if (type == XEN_ELFNOTE_MOD_START_PFN)
            n->mod_start_pfn = v != 0;
        else
            n->suspend_cancel = v != 0;
        break;
    case XEN_ELFNOTE_GUEST_OS:
        copy_text(n->guest_os, sizeof(n->guest_os), (const char *)desc, len);
        break;
    case XEN_ELFNOTE_FEATURES:
        copy_text(n->features, sizeof(n->features), (const char *)desc, len);
        break;
    case XEN_ELFNOTE_BSD_SYMTAB:
        n->bsd_symtab = said_yes((const char *)desc, len);
        break;
    default:
        if (type >= XEN_NOTES_MAX)
            return 0;
        break;
    }
    if (number && !get_number(desc, len, number))
        return bad(why, "Xen note has a wrong size");
    n->have |= 1U << type;
    return 0;
}

/* Each note: name size, descriptor size, type, then both padded to 4 bytes. */
int xen_notes_scan(struct xen_notes *n, const void *segment, uint64_t size, const char **why)
{
    const uint8_t *p = segment;
    uint64_t at = 0;

    while (range_inside(at, 12UL, size)) {
        uint32_t head[3];
        uint64_t name, desc, end;
        int rc;

        memcpy(head, p + at, sizeof(head));
        name = at + 12;
        desc = name + ROUND_UP((uint64_t)head[0], 4);
        end = desc + ROUND_UP((uint64_t)head[1], 4);
        if (desc > size || head[1] > size - desc)
            return bad(why, "ELF note runs past the end of its segment");
        if (head[0] == 4 && memcmp(p + name, "Xen", 4) == 0) {
            rc = take_note(n, head[2], p + desc, head[1], why);
            if (rc)
                return rc;
        }
        at = end;
    }
    return 0;
}

static int notes_from_segments(const struct elf *e, struct xen_notes *n, const char **why)
{
    int rc = 0;

    for (unsigned int i = 0; i < e->phnum && rc == 0; i++) {
        struct elf_segment s = elf_segment(e, i);
        const void *p = elf_bytes(e, s.offset, s.filesz);

        if (s.type == ELF_PT_NOTE && p)
            rc = xen_notes_scan(n, p, s.filesz, why);
    }
    return rc;
}

static int notes_from_sections(const struct elf *e, struct xen_notes *n, const char **why)
{
    int rc = 0;

    for (unsigned int i = 0; i < e->shnum && rc == 0; i++) {
        struct elf_section s = elf_section(e, i);
        const void *p = elf_bytes(e, s.offset, s.size);

        if (s.type == ELF_SHT_NOTE && p)
            rc = xen_notes_scan(n, p, s.size, why);
    }
    return rc;
}

static bool parse_hex(const char *p, size_t len, uint64_t *v)
{
    uint64_t base = 10;

    *v = 0;
    if (len > 2 && p[0] == '0' && (p[1] == 'x' || p[1] == 'X')) {
        base = 16;
        p += 2;
        len -= 2;
    }
    if (len == 0)
        return false;
    for (size_t i = 0; i < len; i++) {
        unsigned int c = (unsigned char)p[i] | 0x20, digit;

        if (c >= '0' && c <= '9')
            digit = c - '0';
        else if (c >= 'a' && c <= 'f')
            digit = c - 'a' + 10;
        else
            return false;
        if (digit >= base || mul_overflows(*v, base, v) || add_overflows(*v, digit, v))
            return false;
    }
    return true;
}

struct legacy {
    uint64_t hypercall_pfn;
    bool have_offset, have_hypercall;
};

static bool key_is(const char *key, size_t len, const char *name)
{
    return strlen(name) == len && memcmp(key, name, len) == 0;
}

static int take_key(struct xen_notes *n, struct legacy *l, const char *key, size_t klen,
                    const char *val, size_t vlen, const char **why)
{
    uint64_t *number = NULL;

    if (key_is(key, klen, "VIRT_BASE")) {
        number = &n->virt_base;
        n->have |= 1U << XEN_ELFNOTE_VIRT_BASE;
    } else if (key_is(key, klen, "VIRT_ENTRY")) {
        number = &n->entry;
        n->have |= 1U << XEN_ELFNOTE_ENTRY;
    } else if (key_is(key, klen, "ELF_PADDR_OFFSET")) {
        number = &n->paddr_offset;
        n->have |= 1U << XEN_ELFNOTE_PADDR_OFFSET;
        l->have_offset = true;
    } else if (key_is(key, klen, "HYPERCALL_PAGE")) {
        number = &l->hypercall_pfn;
        l->have_hypercall = true;
    } else if (key_is(key, klen, "GUEST_OS")) {
        copy_text(n->guest_os, sizeof(n->guest_os), val, vlen);
        n->have |= 1U << XEN_ELFNOTE_GUEST_OS;
    } else if (key_is(key, klen, "FEATURES")) {
        copy_text(n->features, sizeof(n->features), val, vlen);
        n->have |= 1U << XEN_ELFNOTE_FEATURES;
    } else if (key_is(key, klen, "BSD_SYMTAB")) {
        n->bsd_symtab = vlen == 0 || said_yes(val, vlen);
        n->have |= 1U << XEN_ELFNOTE_BSD_SYMTAB;
    }
    if (number && !parse_hex(val, vlen, number))
        return bad(why, "bad number in the __xen_guest section");
    return 0;
}

/* "KEY=VALUE,KEY=VALUE...", ended by NUL or by the section. */
static int legacy_string(const struct elf *e, struct xen_notes *n, const char *p, uint64_t size,
                         const char **why)
{
    struct legacy l = { 0 };
    uint64_t page;

    n->legacy = true;
    for (uint64_t at = 0; at < size && p[at];) {
        uint64_t key = at, eq, end;
        int rc;

        for (end = at; end < size && p[end] && p[end] != ','; end++)
            ;
        for (eq = key; eq < end && p[eq] != '='; eq++)
            ;
        rc = take_key(n, &l, p + key, eq - key, p + MIN(eq + 1, end), end - MIN(eq + 1, end), why);
        if (rc)
            return rc;
        at = end < size && p[end] == ',' ? end + 1 : end;
    }
    /* Images of that age give virtual addresses as p_paddr unless they say otherwise. */
    if (!l.have_offset)
        n->paddr_offset = n->virt_base;
    if (!xen_notes_have(n, XEN_ELFNOTE_ENTRY)) {
        n->entry = e->entry;
        n->have |= 1U << XEN_ELFNOTE_ENTRY;
    }
    if (l.have_hypercall) {
        /* A page number relative to VIRT_BASE. */
        if (mul_overflows(l.hypercall_pfn, PAGE_SIZE, &page) ||
            add_overflows(page, n->virt_base, &n->hypercall_page))
            return bad(why, "HYPERCALL_PAGE in the __xen_guest section is out of range");
        n->have |= 1U << XEN_ELFNOTE_HYPERCALL_PAGE;
    }
    return 0;
}

static int notes_from_legacy(const struct elf *e, struct xen_notes *n, const char **why)
{
    for (unsigned int i = 0; i < e->shnum; i++) {
        struct elf_section s = elf_section(e, i);
        const char *p = elf_bytes(e, s.offset, s.size);

        /* Newer kernels keep an empty section of that name beside their notes. */
        if (strcmp(s.name, "__xen_guest") == 0 && s.type != ELF_SHT_NOBITS && p && s.size && p[0])
            return legacy_string(e, n, p, s.size, why);
    }
    return 0;
}

int xen_notes_read(const struct elf *e, struct xen_notes *n, const char **why)
{
    int rc;

    memset(n, 0, sizeof(*n));
    rc = notes_from_segments(e, n, why);
    if (rc == 0 && n->have == 0)
        rc = notes_from_sections(e, n, why);
    if (rc == 0 && n->have == 0)
        rc = notes_from_legacy(e, n, why);
    if (rc)
        return rc;
    if (n->have == 0) {
        *why = "no Xen notes: not a paravirtual kernel";
        return -XEN_ENOENT;
    }
    /* The file's own entry point counts, but for a kernel that can only be started in another way. */
    if (!xen_notes_have(n, XEN_ELFNOTE_ENTRY) && !xen_notes_have(n, XEN_ELFNOTE_PHYS32_ENTRY)) {
        n->entry = e->entry;
        n->have |= 1U << XEN_ELFNOTE_ENTRY;
    }
    return xen_notes_check(n, why);
}

int xen_notes_check(const struct xen_notes *n, const char **why)
{
    if (!xen_notes_have(n, XEN_ELFNOTE_ENTRY))
        return bad(why, "Xen notes without an entry point: not a paravirtual kernel");
    return 0;
}
