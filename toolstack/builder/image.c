/* SPDX-License-Identifier: MIT */
/*
 * image.c - kernel files: recognise, decode, check (see image.h).
 *
 * A compressed kernel is decoded page by page. The first page holds the program headers; they say
 * which pages of the file are loaded, and only those are kept. If the file has no PT_NOTE segment
 * with Xen notes, its sections have to be looked at, which lie behind everything else: then it is
 * decoded with all pages kept.
 */
#include "toolstack/builder/image.h"
#include "toolstack/builder/decomp.h"
#include "lib/printf.h"
#include "lib/string.h"
#include "overflow.h"
#include "runtime/mem.h"
#include "unaligned.h"
#include "xenabi.h"

/* Larger kernels are refused: it bounds what a small file can decode to. */
#define IMAGE_FILE_MAX  (512UL << 20)
#define IMAGE_LOAD_MAX  (1UL << 30)
#define STEP_PAGES      16
#define NOTES_MAX       65536UL

static int bad(struct image *im, char *why, int rc, const char *text)
{
    return why_set(why, rc, "%s: %s", im->name, text);
}

/* Where things are --------------------------------------------------------------------------- */

static bool is_elf(const uint8_t *p, size_t size)
{
    return size >= 4 && memcmp(p, "\177ELF", 4) == 0;
}

static bool is_bzimage(const uint8_t *p, size_t size)
{
    return size >= 0x250 && p[0x1fe] == 0x55 && p[0x1ff] == 0xaa &&
           memcmp(p + 0x202, "HdrS", 4) == 0;
}

/* Boot protocol 2.08: the payload's place, relative to the protected-mode part. */
static int open_bzimage(struct image *im, const uint8_t *p, size_t size, char *why)
{
    unsigned int version = p[0x206] | p[0x207] << 8;
    uint64_t setup = (p[0x1f1] ? p[0x1f1] : 4) + 1, offset;

    if (version < 0x208)
        return bad(im, why, -XEN_ENOEXEC, "bzImage is too old (boot protocol below 2.08)");
    offset = setup * 512 + get32(p + 0x248);
    im->payload_size = get32(p + 0x24c);
    if (!range_inside(offset, im->payload_size, size))
        return bad(im, why, -XEN_ENODATA, "truncated bzImage: its kernel ends behind the file");
    im->payload = p + offset;
    im->format_code = DECOMP_NONE;
    if (!is_elf(im->payload, im->payload_size)) {
        im->format_code = (int)decomp_detect(im->payload, im->payload_size);
        if (im->format_code == DECOMP_NONE)
            return bad(im, why, -XEN_ENOEXEC,
                       "bzImage is compressed in a way that is not supported, or corrupt "
                       "(known: gzip, xz, zstd, lz4)");
    }
    snprintf(im->format, sizeof(im->format), "bzImage (%s)",
             decomp_name((enum decomp_format)im->format_code));
    return 0;
}

static int recognise(struct image *im, const uint8_t *p, size_t size, char *why)
{
    if (size == 0)
        return bad(im, why, -XEN_ENOEXEC, "file is empty");
    if (is_bzimage(p, size))
        return open_bzimage(im, p, size, why);
    im->payload = p;
    im->payload_size = size;
    im->format_code = is_elf(p, size) ? DECOMP_NONE : (int)decomp_detect(p, size);
    if (im->format_code == DECOMP_NONE && !is_elf(p, size))
        return bad(im, why, -XEN_ENOEXEC, "not a kernel: neither a bzImage nor an ELF file");
    snprintf(im->format, sizeof(im->format), "ELF (%s)",
             decomp_name((enum decomp_format)im->format_code));
    return 0;
}

struct image *image_open(const char *name, const void *data, size_t size, char *why)
{
    struct image *im = calloc(1, sizeof(*im));

    if (!im) {
        why_set(why, -XEN_ENOMEM, "%s: dom0 is out of memory", name);
        return NULL;
    }
    strlcpy(im->name, name, sizeof(im->name));
    if (recognise(im, data, size, why)) {
        image_free(im);
        return NULL;
    }
    if (im->format_code == DECOMP_NONE)
        im->flat = im->payload;
    return im;
}

/* Checking and placing ----------------------------------------------------------------------- */

static bool canonical_guest_range(uint64_t start, uint64_t end)
{
    bool low = end <= 0x800000000000UL;
    bool high = start >= 0xffff880000000000UL && end > start;

    return low || high;
}

/* Load address = p_paddr - PADDR_OFFSET + VIRT_BASE; never p_vaddr. */
static int place(struct image *im, const struct elf *e, char *why)
{
    const struct xen_notes *n = &im->notes;
    uint64_t shift = n->virt_base - n->paddr_offset;    /* modulo 2^64 on purpose */

    im->virt_start = im->extent.paddr + shift;
    im->virt_end = im->extent.paddr_end + shift;
    /* A BSD kernel finds the size of its symbol table behind the BSS: 0 says there is none. */
    if (n->bsd_symtab)
        im->virt_end = ROUND_UP(im->virt_end, 8) + 4;
    if (im->extent.paddr_end - im->extent.paddr > IMAGE_LOAD_MAX)
        return bad(im, why, -XEN_ENOEXEC, "kernel is larger than 1 GiB in memory");
    if (im->virt_end <= im->virt_start || im->virt_start < n->virt_base ||
        im->virt_start - n->virt_base > IMAGE_LOAD_MAX ||
        !canonical_guest_range(n->virt_base, im->virt_end))
        return bad(im, why, -XEN_ENOEXEC,
                   "kernel loads outside of what its Xen notes map (VIRT_BASE, PADDR_OFFSET)");
    if (n->virt_base & ((4UL << 20) - 1))
        return bad(im, why, -XEN_ENOEXEC, "Xen note VIRT_BASE is not a multiple of 4 MiB");
    if (n->entry < im->virt_start || n->entry >= im->virt_end)
        return bad(im, why, -XEN_ENOEXEC, "entry point lies outside of the kernel");
    if (xen_notes_have(n, XEN_ELFNOTE_HYPERCALL_PAGE) &&
        (n->hypercall_page & (PAGE_SIZE - 1) || n->hypercall_page < im->virt_start ||
         n->hypercall_page > im->virt_end || im->virt_end - n->hypercall_page < PAGE_SIZE))
        return bad(im, why, -XEN_ENOEXEC, "hypercall page lies outside of the kernel");

    im->nr_parts = 0;
    for (unsigned int i = 0; i < e->phnum; i++) {
        struct elf_segment s = elf_segment(e, i);

        if (s.type == ELF_PT_LOAD && s.memsz != 0 && s.filesz != 0)
            im->part[im->nr_parts++] = (struct image_part){
                .virt = s.paddr + shift,
                .offset = s.offset,
                .size = s.filesz,
            };
    }
    return 0;
}

static int open_flat(struct image *im, struct elf *e, const uint8_t *p, uint64_t size, char *why)
{
    const char *text;

    if (elf_open(e, p, size, &text) || elf_load_extent(e, &im->extent, &text))
        return bad(im, why, -XEN_ENOEXEC, text);
    if (im->extent.file_end > size)
        return bad(im, why, -XEN_ENODATA, "truncated kernel: segments end behind the file");
    return 0;
}

static int finish_flat(struct image *im, char *why)
{
    struct elf e;
    const char *text;
    int rc = open_flat(im, &e, im->flat, im->payload_size, why);

    if (rc)
        return rc;
    rc = xen_notes_read(&e, &im->notes, &text);
    if (rc)
        return bad(im, why, -XEN_ENOEXEC, text);
    rc = place(im, &e, why);
    im->ready = rc == 0;
    return rc;
}

/* Decoding ----------------------------------------------------------------------------------- */

static void drop_pages(struct image *im)
{
    for (size_t i = 0; i < im->nr_pages; i++) {
        if (im->pages[i])
            page_free(im->pages[i]);
    }
    free(im->pages);
    if (im->page)
        page_free(im->page);
    im->pages = NULL;
    im->page = NULL;
    im->nr_pages = 0;
    im->pages_used = 0;
}

static int start_stream(struct image *im, char *why)
{
    decomp_close(im->stream);
    drop_pages(im);
    im->at = 0;
    im->stream = decomp_open((enum decomp_format)im->format_code, im->payload, im->payload_size);
    return im->stream ? 0 : bad(im, why, -XEN_ENOMEM, "dom0 is out of memory");
}

/* Room in the page table for n pages of the file. */
static bool reserve_pages(struct image *im, size_t n)
{
    uint8_t **p;

    if (n <= im->nr_pages)
        return true;
    p = realloc(im->pages, n * sizeof(*p));
    if (!p)
        return false;
    memset(p + im->nr_pages, 0, (n - im->nr_pages) * sizeof(*p));
    im->pages = p;
    im->nr_pages = n;
    return true;
}

/* The first page has come: it must hold the program headers, which say what is to be kept. */
static int first_page(struct image *im, size_t got, char *why)
{
    struct elf e;
    const char *text;
    bool notes = false;

    if (elf_open(&e, im->page, got, &text) || elf_load_extent(&e, &im->extent, &text))
        return bad(im, why, -XEN_ENOEXEC, text);
    if (im->extent.file_end > IMAGE_FILE_MAX)
        return bad(im, why, -XEN_ENOEXEC, "kernel file is larger than 512 MiB");
    for (unsigned int i = 0; i < e.phnum; i++)
        notes |= elf_segment(&e, i).type == ELF_PT_NOTE;
    im->keep_all |= !notes;
    return 0;
}

static bool page_wanted(const struct image *im, const struct elf *e, uint64_t offset)
{
    if (im->keep_all || offset == 0)
        return true;
    for (unsigned int i = 0; i < e->phnum; i++) {
        struct elf_segment s = elf_segment(e, i);

        if ((s.type == ELF_PT_LOAD || (s.type == ELF_PT_NOTE && s.filesz <= NOTES_MAX)) &&
            offset + PAGE_SIZE > s.offset && offset < s.offset + s.filesz)
            return true;
    }
    return false;
}

static bool all_zero(const uint8_t *page)
{
    const uint64_t *p = (const uint64_t *)(const void *)page;

    for (unsigned int i = 0; i < PAGE_SIZE / 8; i += 8) {
        if (p[i] | p[i + 1] | p[i + 2] | p[i + 3] | p[i + 4] | p[i + 5] | p[i + 6] | p[i + 7])
            return false;
    }
    return true;
}

/* The stream's headers, which stay in its first page. */
static bool stream_elf(const struct image *im, struct elf *e)
{
    const char *text;

    return im->nr_pages != 0 && im->pages[0] &&
           elf_open(e, im->pages[0], MIN(im->at, PAGE_SIZE), &text) == 0;
}

/* Takes the page of `got` bytes that was just decoded. */
static int take_page(struct image *im, size_t got, char *why)
{
    uint64_t offset = im->at;
    struct elf e;

    im->at += got;
    if (offset >= IMAGE_FILE_MAX)
        return bad(im, why, -XEN_ENOEXEC, "kernel file is larger than 512 MiB");
    if (offset == 0) {
        int rc = first_page(im, got, why);

        if (rc)
            return rc;
    } else if (!stream_elf(im, &e) || !page_wanted(im, &e, offset)) {
        return 0;
    }
    memset(im->page + got, 0, PAGE_SIZE - got);
    if (offset / PAGE_SIZE >= im->nr_pages) {
        size_t n = DIV_ROUND_UP(im->extent.file_end, PAGE_SIZE);

        if (!reserve_pages(im, MAX(n, (offset / PAGE_SIZE + 1) * 5 / 4)))
            return bad(im, why, -XEN_ENOMEM, "dom0 is out of memory for the decompressed kernel");
    }
    if (offset == 0 || !all_zero(im->page)) {
        im->pages[offset / PAGE_SIZE] = im->page;
        im->pages_used++;
        im->page = NULL;
    }
    return 0;
}

static void read_file(const struct image *im, uint64_t offset, uint8_t *dst, uint64_t n)
{
    if (im->flat) {
        memcpy(dst, im->flat + offset, n);
        return;
    }
    while (n) {
        uint64_t in_page = offset & (PAGE_SIZE - 1), some = MIN(n, PAGE_SIZE - in_page);
        const uint8_t *page = im->pages[offset / PAGE_SIZE];

        if (page)
            memcpy(dst, page + in_page, some);
        offset += some;
        dst += some;
        n -= some;
    }
}

/* Have the pages of [offset, offset + n) been decoded (and, if not zero, kept)? */
static bool have_bytes(const struct image *im, uint64_t offset, uint64_t n)
{
    return range_inside(offset, n, im->at) &&
           DIV_ROUND_UP(offset + n, PAGE_SIZE) <= im->nr_pages;
}

/* Notes from the PT_NOTE segments; notes.have stays 0 if there are none of Xen. */
static int stream_notes(struct image *im, const struct elf *e, char *why)
{
    const char *text = NULL;
    int rc = 0;

    memset(&im->notes, 0, sizeof(im->notes));
    for (unsigned int i = 0; i < e->phnum && rc == 0; i++) {
        struct elf_segment s = elf_segment(e, i);
        uint8_t *buf;

        if (s.type != ELF_PT_NOTE || s.filesz > NOTES_MAX || !have_bytes(im, s.offset, s.filesz))
            continue;
        buf = calloc(1, s.filesz + 1);
        if (!buf)
            return bad(im, why, -XEN_ENOMEM, "dom0 is out of memory");
        read_file(im, s.offset, buf, s.filesz);
        rc = xen_notes_scan(&im->notes, buf, s.filesz, &text);
        free(buf);
    }
    if (rc == 0 && im->notes.have != 0)
        rc = xen_notes_check(&im->notes, &text);
    return rc ? bad(im, why, -XEN_ENOEXEC, text) : 0;
}

/* Notes from sections, or the __xen_guest section: needs the file in one piece for a moment. */
static int section_notes(struct image *im, char *why)
{
    const char *text;
    struct elf e;
    uint8_t *file = have_bytes(im, 0, im->at) ? calloc(1, im->at) : NULL;
    int rc;

    if (!file)
        return bad(im, why, -XEN_ENOMEM, "dom0 is out of memory for the decompressed kernel");
    read_file(im, 0, file, im->at);
    rc = elf_open(&e, file, im->at, &text);
    if (rc == 0)
        rc = xen_notes_read(&e, &im->notes, &text);
    free(file);
    return rc ? bad(im, why, -XEN_ENOEXEC, text) : 0;
}

/* The stream has ended: 0, 1 = it has to be decoded once more, or an error. */
static int finish_stream(struct image *im, char *why)
{
    struct elf e;
    int rc;

    decomp_close(im->stream);
    im->stream = NULL;
    if (im->page)
        page_free(im->page);
    im->page = NULL;
    if (!stream_elf(im, &e))
        return bad(im, why, -XEN_ENOEXEC, "compressed file does not hold an ELF kernel");
    if (im->extent.file_end > im->at)
        return bad(im, why, -XEN_ENODATA, "truncated kernel: segments end behind the file");
    if (!reserve_pages(im, DIV_ROUND_UP(im->keep_all ? im->at : im->extent.file_end, PAGE_SIZE)))
        return bad(im, why, -XEN_ENOMEM, "dom0 is out of memory");
    rc = stream_notes(im, &e, why);
    if (rc == 0 && im->notes.have == 0) {
        if (!im->keep_all) {
            im->keep_all = true;
            return 1;
        }
        rc = section_notes(im, why);
    }
    if (rc == 0)
        rc = place(im, &e, why);
    im->ready = rc == 0;
    return rc;
}

static int stream_error(struct image *im, char *why, int rc)
{
    const char *format = decomp_name((enum decomp_format)im->format_code);

    if (rc == -XEN_ENOMEM)
        return why_set(why, rc, "%s: dom0 has not enough memory to decompress it (%s)", im->name,
                       format);
    if (rc == -XEN_ENODATA)
        return why_set(why, rc, "%s: truncated: its %s data end too early", im->name, format);
    return why_set(why, rc, "%s: corrupt %s data after %lu KiB of output", im->name, format,
                   im->at >> 10);
}

int image_step(struct image *im, char *why)
{
    if (im->ready)
        return 0;
    if (im->flat)
        return finish_flat(im, why);
    if (!im->stream) {
        int rc = start_stream(im, why);

        if (rc)
            return rc;
    }
    for (unsigned int i = 0; i < STEP_PAGES; i++) {
        long got;
        int rc;

        if (!im->page)
            im->page = page_alloc();
        if (!im->page)
            return stream_error(im, why, -XEN_ENOMEM);
        got = decomp_read(im->stream, im->page, PAGE_SIZE);
        if (got < 0)
            return stream_error(im, why, (int)got);
        if (got == 0)
            return finish_stream(im, why);
        rc = take_page(im, (size_t)got, why);
        if (rc)
            return rc;
    }
    return 1;
}

/* Using it ----------------------------------------------------------------------------------- */

void image_copy(const struct image *im, uint64_t virt, uint8_t *dst, uint64_t n)
{
    for (unsigned int i = 0; i < im->nr_parts; i++) {
        const struct image_part *p = &im->part[i];
        uint64_t from = MAX(virt, p->virt), to = MIN(virt + n, p->virt + p->size);

        if (from < to)
            read_file(im, p->offset + (from - p->virt), dst + (from - virt), to - from);
    }
}

size_t image_footprint(const struct image *im)
{
    return im->pages_used * PAGE_SIZE + im->nr_pages * sizeof(*im->pages) + sizeof(*im);
}

void image_free(struct image *im)
{
    if (!im)
        return;
    decomp_close(im->stream);
    drop_pages(im);
    free(im);
}
