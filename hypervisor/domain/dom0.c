/* SPDX-License-Identifier: MIT */
/*
 * dom0.c - builds the first domain from the boot modules: module 0 is its kernel, an uncompressed
 * ELF64 with Xen notes; the others are files for it, whose frames it gets as they lie.
 *
 * Pseudo-physical layout (PV-ABI 1.4), mapped from the kernel's VIRT_BASE up to "mapped":
 *
 *   0 .. | kernel | p2m list * | module list | start_info | store | console | tables | stack |
 *   slack, to a multiple of 4 MiB || initrd + | p2m list and its tables ** | rest of RAM | modules
 *
 *   *  without INIT_P2M     **  with it     +  only with dom0=unprivileged
 *
 * `dom0=unprivileged` starts any PV kernel as an ordinary guest without dom0's rights, module 1
 * being its initrd: an aid to debugging, before there is a dom0 that builds guests.
 *
 * Runs once, at boot, on one CPU; whatever goes wrong ends in a panic that says what.
 */
#include "boot/multiboot.h"
#include "boot/smp.h"
#include "dev/console.h"
#include "dev/panic.h"
#include "domain/domain.h"
#include "domain/domain_impl.h"
#include "domain/hypercall_page.h"
#include "event/evtchn.h"
#include "lib/elf.h"
#include "lib/printf.h"
#include "lib/string.h"
#include "lib/xennote.h"
#include "mm/buddy.h"
#include "mm/frame.h"
#include "mm/heap.h"
#include "mm/mm.h"
#include "sched/sched.h"
#include "atomic.h"

#define DOM0_DEFAULT_BYTES      (32UL << 20)
#define DOM0_DEFAULT_WEIGHT     2048    /* everybody's devices: should not wait for hogs */
#define MAX_MODULES             BOOT_MAX_MODULES
#define SLACK_BYTES             (512UL << 10)
#define MAP_ALIGN               (4UL << 20)
#define MAX_ORDER               9u

#define LEAF_FLAGS              (PTE_P | PTE_RW | PTE_A)
#define TABLE_FLAGS             (PTE_P | PTE_RW | PTE_U | PTE_A | PTE_D)

struct range {                  /* pages [pfn, pfn + n) */
    uint64_t pfn, n;
};

/* A tree of tables for [va, end), in frames from pfn on: L3s, L2s, L1s. */
struct tree {
    uint64_t va, end;
    uint64_t l3, l2, l1;        /* how many */
    uint64_t pfn;
};

struct build {
    struct domain *d;
    struct vcpu *v;
    bool privileged;

    const struct boot_module *kernel_mod;
    struct elf elf;
    struct xen_notes notes;
    uint64_t virt_start, virt_end;      /* of the kernel */

    uint64_t nr_pages;                  /* all of them, adopted ones too */
    uint64_t mapped;
    struct range kernel, p2m, modlist, start_info, store, console, tables, stack;
    struct tree main_tree, p2m_tree;
    uint64_t p2m_va;
    bool p2m_outside;

    uint32_t nr_files;                  /* boot modules handed over */
    struct range file[MAX_MODULES];

    uint64_t *mfn_of;                   /* by PFN; ~0: not there yet */
};

/* --------------------------------------------------------------- small tools */

static uint64_t pages_of(uint64_t bytes)
{
    return (bytes + PAGE_SIZE - 1) >> PAGE_SHIFT;
}

static uint64_t va_of(const struct build *b, uint64_t pfn)
{
    return b->notes.virt_base + (pfn << PAGE_SHIFT);
}

static void *page_at(const struct build *b, uint64_t pfn)
{
    return mfn_to_virt(mfn(b->mfn_of[pfn]));
}

/* Copies into pseudo-physical memory; n bytes of zeros when src is NULL. */
static void store_bytes(const struct build *b, uint64_t paddr, const void *src, uint64_t n)
{
    while (n) {
        uint64_t in = paddr & ~PAGE_MASK, len = MIN(n, PAGE_SIZE - in);
        char *dst = (char *)page_at(b, paddr >> PAGE_SHIFT) + in;

        if (src) {
            memcpy(dst, src, len);
            src = (const char *)src + len;
        } else {
            memset(dst, 0, len);
        }
        paddr += len;
        n -= len;
    }
}

static uint64_t spans(uint64_t va, uint64_t end, unsigned int shift)
{
    return ((end - 1) >> shift) - (va >> shift) + 1;
}

static struct tree make_tree(uint64_t va, uint64_t end)
{
    return (struct tree){
        .va = va, .end = end, .l3 = spans(va, end, 39), .l2 = spans(va, end, 30),
        .l1 = spans(va, end, 21),
    };
}

static uint64_t tree_tables(const struct tree *t)
{
    return t->l3 + t->l2 + t->l1;
}

/* ----------------------------------------------------------------- the kernel */

static void open_kernel(struct build *b)
{
    const struct boot_module *m = b->kernel_mod;
    struct elf_extent x;
    const char *why;

    if (elf_open(&b->elf, paddr_to_virt(m->start), m->size, &why))
        panic("dom0 kernel %s: %s", m->name, why);
    if (xen_notes_read(&b->elf, &b->notes, &why))
        panic("dom0 kernel %s: %s", m->name, why);
    if (elf_load_extent(&b->elf, &x, &why))
        panic("dom0 kernel %s: %s", m->name, why);
    if (x.file_end > m->size)
        panic("dom0 kernel %s: truncated", m->name);
    b->virt_start = x.paddr - b->notes.paddr_offset + b->notes.virt_base;
    b->virt_end = x.paddr_end - b->notes.paddr_offset + b->notes.virt_base;
    if (b->virt_start < b->notes.virt_base || b->virt_end <= b->virt_start ||
        b->notes.virt_base & (PAGE_SIZE - 1) ||
        (b->notes.virt_base < HV_VIRT_END && b->virt_end > HV_VIRT_START))
        panic("dom0 kernel %s: load address %#lx is impossible", m->name, b->virt_start);
    if (b->notes.entry < b->virt_start || b->notes.entry >= b->virt_end)
        panic("dom0 kernel %s: entry %#lx outside of it", m->name, b->notes.entry);
}

static void load_kernel(const struct build *b)
{
    for (unsigned int i = 0; i < b->elf.phnum; i++) {
        struct elf_segment s = elf_segment(&b->elf, i);
        uint64_t paddr = s.paddr - b->notes.paddr_offset;       /* from virt_base on */

        /* By p_paddr: Linux's per-CPU segment has a virtual address of 0. Frames are zeroed. */
        if (s.type == ELF_PT_LOAD && s.filesz)
            store_bytes(b, paddr, elf_bytes(&b->elf, s.offset, s.filesz), s.filesz);
    }
}

static void fill_hypercall_page(const struct build *b)
{
    uint64_t at = b->notes.hypercall_page - b->notes.virt_base;

    if (!xen_notes_have(&b->notes, XEN_ELFNOTE_HYPERCALL_PAGE))
        return;
    if (b->notes.hypercall_page < b->virt_start || at & ~PAGE_MASK ||
        b->notes.hypercall_page > b->virt_end - PAGE_SIZE)
        panic("dom0 kernel: hypercall page at %#lx", b->notes.hypercall_page);
    hypercall_page_fill(page_at(b, at >> PAGE_SHIFT));
}

/* --------------------------------------------------------------------- layout */

/* Bytes of the module list: entries, then strings. */
static uint64_t modlist_bytes(const struct build *b)
{
    const struct boot_info *bi = boot_info();
    uint64_t n = b->nr_files * sizeof(struct xen_multiboot_mod_list);

    for (uint32_t i = 0; i < b->nr_files; i++)
        n += strlen(bi->module[i + 1].name) + strlen(bi->module[i + 1].args) + 2;
    return n;
}

static uint64_t place(struct range *r, uint64_t at, uint64_t n)
{
    *r = (struct range){ at, n };
    return at + n;
}

/* Everything up to "mapped". The tables cover themselves, so look for the count that fits. */
static void lay_out_mapped(struct build *b, uint64_t p2m_pages)
{
    uint64_t first = (b->virt_start - b->notes.virt_base) >> PAGE_SHIFT;
    uint64_t at, base, n = 1;

    at = place(&b->kernel, first, pages_of(b->virt_end - b->notes.virt_base) - first);
    if (!b->p2m_outside)
        at = place(&b->p2m, at, p2m_pages);
    at = place(&b->modlist, at, b->privileged ? pages_of(modlist_bytes(b)) : 0);
    at = place(&b->start_info, at, 1);
    at = place(&b->store, at, 1);
    at = place(&b->console, at, 1);
    for (base = at;; n++) {
        uint64_t end;

        at = place(&b->tables, base, n);
        at = place(&b->stack, at, 1);
        end = ROUND_UP(va_of(b, at) + SLACK_BYTES, MAP_ALIGN);
        b->main_tree = make_tree(b->notes.virt_base, end);
        b->main_tree.pfn = base + 1;
        b->mapped = (end - b->notes.virt_base) >> PAGE_SHIFT;
        if (1 + tree_tables(&b->main_tree) <= n)
            break;
    }
}

static void lay_out(struct build *b, uint64_t ram_pages)
{
    const struct boot_info *bi = boot_info();
    uint64_t file_pages = 0, p2m_pages, at;

    for (uint32_t i = 0; i < b->nr_files; i++) {
        b->file[i].n = pages_of(bi->module[i + 1].size);
        file_pages += b->file[i].n;
    }
    b->nr_pages = ram_pages + file_pages;
    p2m_pages = pages_of(b->nr_pages * sizeof(uint64_t));
    b->p2m_outside = xen_notes_have(&b->notes, XEN_ELFNOTE_INIT_P2M);
    lay_out_mapped(b, p2m_pages);

    at = b->mapped;
    if (!b->privileged)         /* the initrd comes before the p2m list */
        for (uint32_t i = 0; i < b->nr_files; i++)
            at = place(&b->file[i], at, b->file[i].n);
    b->p2m_va = va_of(b, b->p2m.pfn);
    if (b->p2m_outside) {
        b->p2m_va = b->notes.init_p2m;
        at = place(&b->p2m, at, p2m_pages);
        b->p2m_tree = make_tree(b->p2m_va, b->p2m_va + (p2m_pages << PAGE_SHIFT));
        b->p2m_tree.pfn = at;
        at += tree_tables(&b->p2m_tree);
    }
    if (b->privileged) {
        if (at > ram_pages)
            panic("dom0_mem: %lu MiB is too little, %s needs at least %lu MiB", ram_pages >> 8,
                  b->kernel_mod->name, (at + 255) >> 8);
        at = ram_pages;
        for (uint32_t i = 0; i < b->nr_files; i++)
            at = place(&b->file[i], at, b->file[i].n);
    }
    if (at > b->nr_pages)
        panic("dom0_mem: %lu MiB is too little, %s needs at least %lu MiB", ram_pages >> 8,
              b->kernel_mod->name, (at - file_pages + 255) >> 8);
}

/* --------------------------------------------------------------------- memory */

/* The frames of a boot module become pages of the domain, without a copy. */
static void adopt_module(struct build *b, const struct boot_module *m, struct range at)
{
    for (uint64_t i = 0; i < at.n; i++) {
        mfn_t frame = paddr_to_mfn(m->start + (i << PAGE_SHIFT));

        if (!page_give(b->d, mfn_to_page(frame), at.pfn + i))
            panic("dom0: cannot take over module %s", m->name);
        b->mfn_of[at.pfn + i] = frame.v;
    }
    /* Behind its end is whatever was there before. */
    if (m->size & ~PAGE_MASK)
        store_bytes(b, (at.pfn << PAGE_SHIFT) + m->size, NULL, PAGE_SIZE - (m->size & ~PAGE_MASK));
}

/* RAM for the PFNs that have none yet, in blocks as large as they come: what a driver wants to be
 * contiguous mostly is. */
static void populate(struct build *b)
{
    uint64_t p = 0;

    while (p < b->nr_pages) {
        unsigned int order = MAX_ORDER;
        uint64_t gap = 0;
        mfn_t m;

        if (b->mfn_of[p] != ~0UL) {
            p++;
            continue;
        }
        while (p + gap < b->nr_pages && gap < (1UL << MAX_ORDER) && b->mfn_of[p + gap] == ~0UL)
            gap++;
        while ((1UL << order) > gap || (p & ((1UL << order) - 1)))
            order--;
        while (!mfn_is_valid_value(m = domain_alloc_frames(b->d, order, FRAMES_ANY, p)) && order)
            order--;
        if (!mfn_is_valid_value(m))
            panic("dom0_mem: the machine has not %lu MiB free", b->nr_pages >> 8);
        for (uint64_t i = 0; i < (1UL << order); i++)
            b->mfn_of[p + i] = m.v + i;
        p += 1UL << order;
    }
}

/* --------------------------------------------------------------------- tables */

static bool is_table(const struct build *b, uint64_t p)
{
    return (p >= b->tables.pfn && p < b->tables.pfn + b->tables.n) ||
           (b->p2m_outside && p >= b->p2m_tree.pfn &&
            p < b->p2m_tree.pfn + tree_tables(&b->p2m_tree));
}

/* Links table number `child` of the next level into the table at `parent`, once. */
static void link_table(const struct build *b, uint64_t parent, unsigned int index, uint64_t child)
{
    pte_t *t = page_at(b, parent);

    t[index] = pte_make(mfn(b->mfn_of[child]), TABLE_FLAGS);
}

/* Maps [t->va, t->end) to PFNs from `to` on. */
static void fill_tree(const struct build *b, const struct tree *t, uint64_t to)
{
    uint64_t l4 = b->tables.pfn, l3 = t->pfn, l2 = l3 + t->l3, l1 = l2 + t->l2;

    for (uint64_t va = t->va; va < t->end && va >= t->va; va += PAGE_SIZE, to++) {
        uint64_t n3 = l3 + (va >> 39) - (t->va >> 39);
        uint64_t n2 = l2 + (va >> 30) - (t->va >> 30);
        uint64_t n1 = l1 + (va >> 21) - (t->va >> 21);
        pte_t *leaf = page_at(b, n1);

        if (va == t->va || !(va & ((1UL << 21) - 1))) {
            link_table(b, l4, l4_index(va), n3);
            link_table(b, n3, l3_index(va), n2);
            link_table(b, n2, l2_index(va), n1);
        }
        leaf[l1_index(va)] = pte_make(mfn(b->mfn_of[to]),
                                      is_table(b, to) ? LEAF_FLAGS & ~PTE_RW : LEAF_FLAGS);
    }
}

static void fill_p2m(const struct build *b)
{
    store_bytes(b, b->p2m.pfn << PAGE_SHIFT, b->mfn_of, b->nr_pages * sizeof(uint64_t));
}

/* --------------------------------------------------------------- start of day */

static void fill_modlist(const struct build *b)
{
    const struct boot_info *bi = boot_info();
    uint64_t at = b->modlist.pfn << PAGE_SHIFT;
    uint64_t text = at + b->nr_files * sizeof(struct xen_multiboot_mod_list);

    for (uint32_t i = 0; i < b->nr_files; i++) {
        const struct boot_module *m = &bi->module[i + 1];
        struct xen_multiboot_mod_list e = {
            .mod_start = (uint32_t)(b->file[i].pfn << PAGE_SHIFT),
            .mod_end = (uint32_t)((b->file[i].pfn << PAGE_SHIFT) + m->size - 1),
            .cmdline = (uint32_t)text,
        };

        store_bytes(b, at + i * sizeof(e), &e, sizeof(e));
        store_bytes(b, text, m->name, strlen(m->name));
        text += strlen(m->name);
        store_bytes(b, text++, " ", 1);
        store_bytes(b, text, m->args, strlen(m->args) + 1);
        text += strlen(m->args) + 1;
    }
}

static void fill_start_info(const struct build *b)
{
    struct start_info *s = page_at(b, b->start_info.pfn);
    const struct boot_info *bi = boot_info();

    strlcpy(s->magic, "xen-3.0-x86_64", sizeof(s->magic));
    s->nr_pages = b->nr_pages;
    s->shared_info = mfn_to_paddr(page_to_mfn(b->d->shared_page));
    s->pt_base = va_of(b, b->tables.pfn);
    s->nr_pt_frames = b->tables.n;
    s->mfn_list = b->p2m_va;
    s->flags = SIF_VIRT_P2M_4TOOLS;
    if (b->p2m_outside) {
        s->first_p2m_pfn = b->p2m.pfn;
        s->nr_p2m_frames = b->p2m.n + tree_tables(&b->p2m_tree);
    }
    if (strlcpy((char *)s->cmd_line, b->kernel_mod->args, MAX_GUEST_CMDLINE) >= MAX_GUEST_CMDLINE)
        printk(LOG_WARNING, "dom0: command line cut to %u bytes\n", MAX_GUEST_CMDLINE - 1);
    if (b->privileged) {
        s->flags |= SIF_PRIVILEGED | SIF_INITDOMAIN | SIF_MULTIBOOT_MOD;
        if (b->nr_files) {
            s->mod_start = va_of(b, b->modlist.pfn);
            s->mod_len = b->nr_files * sizeof(struct xen_multiboot_mod_list);
        }
        return;
    }
    s->store_mfn = b->mfn_of[b->store.pfn];
    s->console.domU.mfn = b->mfn_of[b->console.pfn];
    if (b->nr_files) {
        s->flags |= SIF_MOD_START_PFN;
        s->mod_start = b->file[0].pfn;
        s->mod_len = bi->module[1].size;
    }
}

static void pin_root(struct domain *d, mfn_t l4)
{
    int rc;

    do {
        rc = root_get(d, l4);
    } while (rc == -XEN_ERESTART);
    if (rc)
        panic("dom0: its page tables are refused, error %d", rc);
    atomic_or(&mfn_to_page(l4)->type, PGT_PINNED);
}

static void set_context(const struct build *b)
{
    struct vcpu_guest_context *c = xzalloc(struct vcpu_guest_context);
    int rc;

    if (!c)
        panic("dom0: out of memory");
    c->flags = VGCF_in_kernel | VGCF_online;
    c->user_regs.rip = b->notes.entry;
    c->user_regs.rsp = va_of(b, b->stack.pfn + b->stack.n);
    c->user_regs.rsi = va_of(b, b->start_info.pfn);
    c->user_regs.cs = FLAT_KERNEL_CS;
    c->user_regs.ss = FLAT_KERNEL_SS;
    c->user_regs.rflags = 0x200;
    c->kernel_ss = FLAT_KERNEL_SS;
    c->kernel_sp = c->user_regs.rsp;
    c->ctrlreg[3] = b->mfn_of[b->tables.pfn] << PAGE_SHIFT;
    c->debugreg[6] = 0xffff0ff0;
    c->debugreg[7] = 0x400;
    rc = vcpu_set_context(b->v, c);
    if (rc)
        panic("dom0: its first context is refused, error %d", rc);
    xfree(c);
}

static void create(struct build *b, uint64_t max_pages)
{
    struct domain_config cfg = {
        .id = 0,
        .privileged = b->privileged,
        .max_vcpus = (uint32_t)MIN(cmdline_number("dom0_max_vcpus", 1), (uint64_t)MAX_VCPUS),
        .max_evtchn_port = EVTCHN_MAX_PORTS,
        .max_grant_frames = 64,
        .max_maptrack_frames = 1024,
    };

    if (!cfg.max_vcpus || domain_create(&cfg, &b->d))
        panic("dom0: cannot create it");
    /* dom0 asks for more when it needs it (kernels to decompress, uploads); it limits itself. */
    b->d->max_pages = b->privileged ? UINT32_MAX : max_pages;
    b->d->io_all = b->privileged;
    for (uint32_t i = 0; i < cfg.max_vcpus; i++)
        if (vcpu_create(b->d, i))
            panic("dom0: cannot create vCPU %u", i);
    for (uint32_t i = 0; i < cfg.max_vcpus && cmdline_find("dom0_vcpus_pin", NULL, 0); i++)
        (void)sched_set_affinity(b->d->vcpu[i], cpumask_of(i % nr_cpus), CPUMASK_ALL);
    b->v = b->d->vcpu[0];
    if (!credit_domain_set(&b->d->credit,
                           (uint32_t)cmdline_number("dom0_weight", DOM0_DEFAULT_WEIGHT), 0))
        printk(LOG_WARNING, "dom0_weight: out of range, ignored\n");
}

/* The kernel's file is not needed any more. */
static void free_module(const struct boot_module *m)
{
    for (uint64_t i = 0; i < pages_of(m->size); i++)
        frames_free(paddr_to_mfn(m->start + (i << PAGE_SHIFT)), 0);
}

void dom0_build(void)
{
    static struct build b;
    const struct boot_info *bi = boot_info();
    char mode[16] = "";
    uint64_t ram;

    if (!bi->nr_modules)
        panic("no dom0: the boot loader gave no module");
    if (cmdline_find("dom0", mode, sizeof(mode)) && strcmp(mode, "unprivileged"))
        printk(LOG_WARNING, "dom0=%s: not known, ignored\n", mode);
    b.privileged = strcmp(mode, "unprivileged") != 0;
    b.kernel_mod = &bi->module[0];
    open_kernel(&b);
    b.nr_files = bi->nr_modules - 1;
    if (!b.privileged) {
        b.nr_files = MIN(b.nr_files, 1u);
        if (b.nr_files && !b.notes.mod_start_pfn)
            panic("dom0=unprivileged: %s needs a mapped initrd, which is not supported",
                  b.kernel_mod->name);
    }
    ram = pages_of(cmdline_number("dom0_mem", DOM0_DEFAULT_BYTES));
    lay_out(&b, ram);
    create(&b, b.nr_pages);

    b.mfn_of = xzalloc_array(uint64_t, b.nr_pages);
    if (!b.mfn_of)
        panic("dom0: out of memory");
    memset(b.mfn_of, 0xff, b.nr_pages * sizeof(uint64_t));
    for (uint32_t i = 0; i < b.nr_files; i++)
        adopt_module(&b, &bi->module[i + 1], b.file[i]);
    populate(&b);

    load_kernel(&b);
    fill_hypercall_page(&b);
    fill_p2m(&b);
    fill_tree(&b, &b.main_tree, 0);
    if (b.p2m_outside)
        fill_tree(&b, &b.p2m_tree, b.p2m.pfn);
    if (b.privileged)
        fill_modlist(&b);
    fill_start_info(&b);
    pin_root(b.d, mfn(b.mfn_of[b.tables.pfn]));
    set_context(&b);
    printk(LOG_INFO, "dom0: %s, %s, entry %#lx, %lu MiB, %u vCPU%s, %u file%s\n",
           b.kernel_mod->name, b.notes.guest_os, b.notes.entry, b.nr_pages >> 8, b.d->max_vcpus,
           b.d->max_vcpus == 1 ? "" : "s", b.nr_files, b.nr_files == 1 ? "" : "s");

    xfree(b.mfn_of);
    free_module(b.kernel_mod);
    dom0 = b.d;             /* without its rights, too: the machine ends when it does */
    domain_first_start(b.d);
}
