/* SPDX-License-Identifier: MIT */
/*
 * builder.c - the steps of making a domain (see builder.h).
 *
 * Frames come zeroed from the hypervisor and know their page numbers (M2P), so only what is not
 * zero is written: through a window of dom0's address space into which stretches of the new
 * domain are mapped. Nothing may be mapped writable when the tables are pinned, so every stretch
 * is unmapped before the next.
 */
#include "toolstack/builder/builder.h"
#include "lib/string.h"
#include "runtime/mem.h"
#include "runtime/pagetable.h"
#include "toolstack/builder/image.h"
#include "toolstack/builder/layout.h"
#include "toolstack/builder/startinfo.h"
#include "toolstack/builder/tables.h"
#include "toolstack/vm/hv.h"

#define WINDOW_PAGES   512UL
#define POPULATE_PAGES 8192UL       /* in one step */

struct build {
    struct build_request req;
    struct layout l;
    domid_t dom;
    mfn_t *frames;                  /* of pages [0, l.nr_pages) */
    uint64_t populated;
    unsigned int step;              /* index in steps[] */
    uint64_t at;                    /* pages done of the present step's range */
    mfn_t shared_info;
    struct build_result result;
};

/* 2 MiB of addresses with their tables, kept from one build to the next. */
static uint8_t *window;

static int out_of_memory(const struct build *b, char *why)
{
    return why_set(why, -XEN_ENOMEM, "%s: dom0 is out of memory", b->req.name);
}

static uint64_t mib(uint64_t pages)
{
    return DIV_ROUND_UP(pages, (1UL << 20) >> PAGE_SHIFT);
}

static int host_is_short(const struct build *b, char *why)
{
    struct hv_host host = { 0 };

    hv_host_info(&host);
    if (b->req.promised_pages)
        return why_set(why, -XEN_ENOMEM, "%s: not enough memory: %lu MiB wanted, %lu MiB free on the "
                       "host of which %lu MiB are promised to growing domains", b->req.name,
                       mib(b->l.nr_pages), host.free_pages >> (20 - PAGE_SHIFT),
                       mib(b->req.promised_pages));
    return why_set(why, -XEN_ENOMEM,
                   "%s: not enough memory: %lu MiB wanted, %lu MiB free on the host",
                   b->req.name, mib(b->l.nr_pages), host.free_pages >> (20 - PAGE_SHIFT));
}

/* Writing into the domain -------------------------------------------------------------------- */

/* Writes pages [pfn, pfn + n), which are mapped at p. */
typedef void (*writer)(struct build *b, uint64_t pfn, uint64_t n, uint8_t *p);

/* The next stretch of r: 1 = more to come, 0 = all of r is written. */
static int write_some(struct build *b, const struct pfn_range *r, writer write, char *why)
{
    uint64_t pfn = r->pfn + b->at, n = MIN(r->n - b->at, WINDOW_PAGES);
    int rc;

    if (n == 0)
        return 0;
    rc = map_at(window, b->dom, b->frames + pfn, n, MAP_RW, NULL);
    if (rc)
        return why_set(why, rc, "%s: cannot map its memory (error %d)", b->req.name, -rc);
    write(b, pfn, n, window);
    unmap_at(window, n);
    b->at += n;
    return b->at < r->n;
}

static void write_kernel(struct build *b, uint64_t pfn, uint64_t n, uint8_t *p)
{
    const struct image *im = b->req.image;
    uint64_t va = layout_va(&b->l, pfn), page = im->notes.hypercall_page;

    image_copy(im, va, p, n << PAGE_SHIFT);
    if (xen_notes_have(&im->notes, XEN_ELFNOTE_HYPERCALL_PAGE) && page >= va &&
        page - va < n << PAGE_SHIFT)
        hypercall_page_fill(p + (page - va));
}

static void write_initrd(struct build *b, uint64_t pfn, uint64_t n, uint8_t *p)
{
    uint64_t from = (pfn - b->l.initrd.pfn) << PAGE_SHIFT;

    memcpy(p, (const uint8_t *)b->req.initrd + from,
           MIN(n << PAGE_SHIFT, b->req.initrd_size - from));
}

static void write_p2m(struct build *b, uint64_t pfn, uint64_t n, uint8_t *p)
{
    uint64_t from = (pfn - b->l.p2m.pfn) * (PAGE_SIZE / 8);
    uint64_t count = MIN(n * (PAGE_SIZE / 8), b->l.nr_pages - from);

    memcpy(p, b->frames + from, count * 8);
    /* What is behind the last page of the domain is no page. */
    memset(p + count * 8, 0xff, (n << PAGE_SHIFT) - count * 8);
}

static const uint64_t *p2m_of(const struct build *b)
{
    return &b->frames->v;
}

static void write_p2m_tables(struct build *b, uint64_t pfn, uint64_t n, uint8_t *p)
{
    for (uint64_t i = 0; i < n; i++)
        tables_fill_p2m(&b->l, p2m_of(b), pfn + i - b->l.p2m_tables.pfn,
                        (uint64_t *)(void *)(p + (i << PAGE_SHIFT)));
}

static void write_tables(struct build *b, uint64_t pfn, uint64_t n, uint8_t *p)
{
    for (uint64_t i = 0; i < n; i++)
        tables_fill(&b->l, p2m_of(b), pfn + i - b->l.tables.pfn,
                    (uint64_t *)(void *)(p + (i << PAGE_SHIFT)));
}

static void write_start_info(struct build *b, uint64_t pfn, uint64_t n, uint8_t *p)
{
    struct startinfo s = {
        .shared_info = b->shared_info,
        .store = b->result.store,
        .console = b->result.console,
        .store_port = b->result.store_port,
        .console_port = b->result.console_port,
        .initrd_bytes = b->req.initrd_size,
        .cmdline = b->req.cmdline,
    };

    startinfo_fill(p, &b->l, &s);
}

/* The steps ---------------------------------------------------------------------------------- */

/* Kernels that ask get one range; those that are not answered assume 8 MiB too much. */
static int step_memory_map(struct build *b, char *why)
{
    int rc = hv_set_memory_map(b->dom, MAX(b->l.nr_pages, b->req.max_pages));

    if (rc && rc != -XEN_ENOSYS)
        return why_set(why, rc, "%s: its memory map was refused (error %d)", b->req.name, -rc);
    return 0;
}

static int step_populate(struct build *b, char *why)
{
    uint64_t n = MIN(b->l.nr_pages - b->populated, POPULATE_PAGES);
    uint64_t got = hv_populate(b->dom, b->populated, n, b->frames + b->populated);

    b->populated += got;
    if (got < n)
        return host_is_short(b, why);
    return b->populated < b->l.nr_pages;
}

static int step_kernel(struct build *b, char *why)
{
    return write_some(b, &b->l.kernel, write_kernel, why);
}

static int step_initrd(struct build *b, char *why)
{
    return write_some(b, &b->l.initrd, write_initrd, why);
}

static int step_p2m(struct build *b, char *why)
{
    return write_some(b, &b->l.p2m, write_p2m, why);
}

static int step_p2m_tables(struct build *b, char *why)
{
    return write_some(b, &b->l.p2m_tables, write_p2m_tables, why);
}

static int step_tables(struct build *b, char *why)
{
    return write_some(b, &b->l.tables, write_tables, why);
}

/* Ports, and the two pages behind them; the page that tells the guest about them. */
static int step_start_info(struct build *b, char *why)
{
    struct xen_domctl_getdomaininfo info;
    int rc;

    if (b->at)
        return 0;
    b->result.store = b->frames[b->l.store.pfn];
    b->result.console = b->frames[b->l.console.pfn];
    rc = hv_get_info(b->dom, &info);
    if (rc == 0)
        rc = hv_alloc_port(b->dom, &b->result.store_port);
    if (rc == 0)
        rc = hv_alloc_port(b->dom, &b->result.console_port);
    if (rc)
        return why_set(why, rc, "%s: cannot allocate its event channels (error %d)", b->req.name,
                       -rc);
    b->shared_info = mfn(info.shared_info_frame);
    return write_some(b, &b->l.start_info, write_start_info, why);
}

/* Pages that are no memory of the domain: shared_info, and the first frame of its grant table. */
static int step_shared(struct build *b, char *why)
{
    mfn_t frames[2] = { b->shared_info };
    struct grant_entry_v1 *grants = (void *)(window + PAGE_SIZE);
    int rc = hv_grant_frame(b->dom, &frames[1]);

    if (rc == 0)
        rc = map_at(window, b->dom, frames, 2, MAP_RW, NULL);
    if (rc)
        return why_set(why, rc, "%s: cannot map its shared pages (error %d)", b->req.name, -rc);
    shared_info_fill((struct shared_info *)(void *)window);
    grants[GNTTAB_RESERVED_CONSOLE].domid = 0;
    grants[GNTTAB_RESERVED_CONSOLE].frame = (uint32_t)b->result.console.v;
    grants[GNTTAB_RESERVED_CONSOLE].flags = GTF_permit_access;
    grants[GNTTAB_RESERVED_XENSTORE].domid = 0;
    grants[GNTTAB_RESERVED_XENSTORE].frame = (uint32_t)b->result.store.v;
    grants[GNTTAB_RESERVED_XENSTORE].flags = GTF_permit_access;
    unmap_at(window, 2);
    return 0;
}

static int step_pin(struct build *b, char *why)
{
    int rc = hv_pin_l4(b->dom, b->frames[b->l.tables.pfn]);

    return rc ? why_set(why, rc, "%s: its page tables were refused (error %d)", b->req.name, -rc)
              : 0;
}

static int step_context(struct build *b, char *why)
{
    struct vcpu_guest_context *c = calloc(1, sizeof(*c));
    int rc;

    if (!c)
        return out_of_memory(b, why);
    vcpu_context_fill(c, &b->l, b->req.image->notes.entry, b->frames[b->l.tables.pfn]);
    rc = hv_set_context(b->dom, 0, c);
    free(c);
    if (rc)
        return why_set(why, rc, "%s: its first registers were refused (error %d)", b->req.name,
                       -rc);
    return 0;
}

static int (*const steps[])(struct build *b, char *why) = {
    step_memory_map, step_populate, step_kernel,     step_initrd, step_p2m,
    step_p2m_tables, step_tables,   step_start_info, step_shared, step_pin,
    step_context,
};

int build_step(struct build *b, char *why)
{
    int rc;

    if (b->step == ARRAY_SIZE(steps))
        return 0;
    rc = steps[b->step](b, why);
    if (rc == 0) {
        b->step++;
        b->at = 0;
        return b->step < ARRAY_SIZE(steps);
    }
    return rc;
}

/* Beginning and end -------------------------------------------------------------------------- */

static int check(struct build *b, char *why)
{
    const struct build_request *r = &b->req;
    struct hv_host host;
    uint64_t need = layout_make(&b->l, &r->image->notes, r->image->virt_start,
                                r->image->virt_end, r->initrd_size, r->pages);

    if (need == ~0UL)
        return why_set(why, -XEN_E2BIG,
                       "%s: %s with %s and %lu MiB of memory does not fit in its initial mapping",
                       r->name, r->image->name, r->initrd_size ? r->initrd_name : "no ramdisk",
                       mib(r->pages));
    if (need)
        return why_set(why, -XEN_ENOMEM, "%s: memory=%lu is too small for %s%s%s: at least %lu",
                       r->name, mib(r->pages), r->image->name, r->initrd_size ? " and " : "",
                       r->initrd_size ? r->initrd_name : "", mib(need));
    if (hv_host_info(&host) == 0 && host.free_pages < r->pages + r->promised_pages)
        return host_is_short(b, why);
    if (!window)
        window = va_alloc(WINDOW_PAGES);
    b->frames = malloc(r->pages * sizeof(*b->frames));
    return window && b->frames ? 0 : out_of_memory(b, why);
}

struct build *build_start(const struct build_request *r, domid_t *dom, int *rc, char *why)
{
    struct build *b = calloc(1, sizeof(*b));
    struct hv_create create = { .vcpus = r->vcpus, .max_pages = r->pages };

    if (!b) {
        *rc = why_set(why, -XEN_ENOMEM, "%s: dom0 is out of memory", r->name);
        return NULL;
    }
    b->req = *r;
    *rc = check(b, why);
    if (*rc)
        goto fail;
    memcpy(create.uuid, r->uuid, sizeof(create.uuid));
    *rc = hv_create(&create, &b->dom);
    if (*rc) {
        why_set(why, *rc, "%s: the hypervisor cannot create a domain with %u vCPUs (error %d)",
                r->name, r->vcpus, -*rc);
        goto fail;
    }
    *rc = hv_set_scheduling(b->dom, r->weight, r->cap);
    if (*rc) {
        why_set(why, *rc, "%s: cpu_weight %u or cap %u was refused (error %d)", r->name, r->weight,
                r->cap, -*rc);
        while (hv_destroy(b->dom) == 1)    /* owns nothing yet: ends at once */
            ;
        goto fail;
    }
    *dom = b->dom;
    return b;
fail:
    build_free(b);
    return NULL;
}

struct build_result build_result(const struct build *b)
{
    return b->result;
}

void build_free(struct build *b)
{
    if (!b)
        return;
    free(b->frames);
    free(b);
}
