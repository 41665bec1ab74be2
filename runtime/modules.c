/* SPDX-License-Identifier: MIT */
/*
 * modules.c - files that came with us.
 *
 * Sluice hands dom0 a list of boot modules (struct xen_multiboot_mod_list, addresses in our
 * pseudo-physical memory). Other hosts and builders know one module, the initrd; when it is a
 * cpio archive, the files in it are the modules.
 */
#include "runtime/modules.h"
#include "lib/string.h"
#include "runtime/cpio.h"
#include "runtime/log.h"
#include "runtime/mem.h"
#include "runtime/pagetable.h"
#include "runtime/start.h"

#define VIRT_BASE   0xffffffff80000000UL
#define CMDLINE_MAX 4096u

static struct boot_module modules[MODULES_MAX];
static char names[MODULES_MAX][64];
static unsigned int nr_modules, nr_left_out;

static const void *at_paddr(uint64_t paddr)
{
    return (const char *)pfn_to_virt(pfn(0)) + paddr;
}

/* The file name of a path or URL: what follows the last slash. */
static void set_name(struct boot_module *m, const char *path, size_t n)
{
    char *name = names[m - modules];
    size_t from = n;

    while (from > 0 && path[from - 1] != '/')
        from--;
    n = MIN(n - from, sizeof(names[0]) - 1);
    memcpy(name, path + from, n);
    name[n] = '\0';
    m->name = name;
}

static struct boot_module *add(const void *data, size_t size)
{
    struct boot_module *m = &modules[nr_modules];

    if (nr_modules == MODULES_MAX) {
        nr_left_out++;
        return NULL;
    }
    nr_modules++;
    *m = (struct boot_module){ .name = "", .cmdline = "", .data = data, .size = size };
    return m;
}

static void add_listed(const struct xen_multiboot_mod_list *e)
{
    struct boot_module *m = add(at_paddr(e->mod_start), e->mod_end - e->mod_start + 1);
    const char *line = at_paddr(e->cmdline);
    size_t n = 0;

    if (!m)
        return;
    start_use_bytes(e->mod_start, (uint64_t)e->mod_end + 1);
    if (!e->cmdline)
        return;
    start_use_bytes(e->cmdline, e->cmdline + strnlen(line, CMDLINE_MAX) + 1);
    while (line[n] && line[n] != ' ')
        n++;
    set_name(m, line, n);
    while (line[n] == ' ')
        n++;
    m->cmdline = line + n;
}

static void add_archive(const void *data, size_t size)
{
    struct cpio_entry e;
    size_t pos = 0;

    while (cpio_next(data, size, &pos, &e)) {
        struct boot_module *m;

        if ((e.mode & 0170000) != 0100000)
            continue;
        m = add(e.data, e.size);
        if (m)
            set_name(m, e.name, strlen(e.name));
    }
}

static void find(void)
{
    const struct start_info *si = start_info;
    uint64_t paddr;
    struct boot_module *m;

    if (!si->mod_len)
        return;
    if (si->flags & SIF_MULTIBOOT_MOD) {
        const struct xen_multiboot_mod_list *list = (const void *)si->mod_start;

        start_use_bytes(si->mod_start - VIRT_BASE, si->mod_start - VIRT_BASE + si->mod_len);
        for (size_t i = 0; i < si->mod_len / sizeof(*list); i++)
            add_listed(&list[i]);
        return;
    }
    paddr = si->flags & SIF_MOD_START_PFN ? si->mod_start << PAGE_SHIFT
                                          : si->mod_start - VIRT_BASE;
    start_use_bytes(paddr, paddr + si->mod_len);
    if (cpio_is_archive(at_paddr(paddr), si->mod_len)) {
        add_archive(at_paddr(paddr), si->mod_len);
        return;
    }
    m = add(at_paddr(paddr), si->mod_len);
    if (m)
        set_name(m, "initrd", 6);
}

void modules_find(void)
{
    find();
    if (nr_left_out)
        log_warn("%u boot modules are left out: at most %u are taken", nr_left_out, MODULES_MAX);
}

uint64_t modules_pages(void)
{
    uint64_t n = 0;

    for (unsigned int i = 0; i < nr_modules; i++)
        n += modules[i].size / PAGE_SIZE + 1;
    return n;
}

const struct boot_module *boot_module(unsigned int i)
{
    return i < nr_modules ? &modules[i] : NULL;
}

const struct boot_module *boot_module_find(const char *name)
{
    for (unsigned int i = 0; i < nr_modules; i++) {
        if (modules[i].data && strcmp(modules[i].name, name) == 0)
            return &modules[i];
    }
    return NULL;
}

/* True when another module has bytes in this page. */
static bool page_shared(uint64_t page, const struct boot_module *except)
{
    for (unsigned int i = 0; i < nr_modules; i++) {
        uint64_t first = (uint64_t)modules[i].data, end = first + modules[i].size;

        if (&modules[i] != except && modules[i].data && first < page + PAGE_SIZE && end > page)
            return true;
    }
    return false;
}

void boot_module_free(const struct boot_module *module)
{
    struct boot_module *m = &modules[module - modules];
    uint64_t first = ROUND_UP((uint64_t)m->data, PAGE_SIZE);
    uint64_t end = ROUND_DOWN((uint64_t)m->data + m->size, PAGE_SIZE);

    if (!m->data)
        return;
    while (first < end && page_shared(first, m))
        first += PAGE_SIZE;
    while (first < end && page_shared(end - PAGE_SIZE, m))
        end -= PAGE_SIZE;
    if (first < end)
        mem_add(virt_to_pfn((void *)first).v, (virt_to_pfn((void *)first).v +
                                               ((end - first) >> PAGE_SHIFT)));
    m->data = NULL;
    m->size = 0;
}
