/* SPDX-License-Identifier: MIT */
/* grant.c - grant tables: offering own pages, mapping and copying what others offer. */
#include "runtime/grant.h"
#include "atomic.h"
#include "lib/string.h"
#include "runtime/hypercall.h"
#include "runtime/log.h"
#include "runtime/mem.h"
#include "runtime/pagetable.h"

#define FRAMES_MAX  32u
#define PER_FRAME   (PAGE_SIZE / sizeof(struct grant_entry_v1))
#define BATCH       32u

static struct grant_entry_v1 *table;
static grant_ref_t *free_refs;      /* stack of unused references */
static uint32_t nr_free;

int grant_error(int16_t status)
{
    switch (status) {
    case GNTST_okay:
        return 0;
    case GNTST_bad_domain:
        return -XEN_ESRCH;
    case GNTST_permission_denied:
        return -XEN_EPERM;
    case GNTST_no_device_space:
        return -XEN_ENOSPC;
    case GNTST_eagain:
        return -XEN_EAGAIN;
    default:
        return -XEN_EINVAL;
    }
}

/* What others offer us. */

static int map_batch(domid_t dom, const grant_ref_t *refs, uint32_t n, unsigned int flags,
                     char *va, grant_handle_t *handles, uint32_t *mapped)
{
    struct gnttab_map_grant_ref op[BATCH];
    long rc;
    int first_error = 0;

    for (uint32_t i = 0; i < n; i++) {
        op[i] = (struct gnttab_map_grant_ref){
            .host_addr = (uint64_t)va + ((uint64_t)i << PAGE_SHIFT),
            .flags = GNTMAP_host_map | (flags & GRANT_READONLY ? GNTMAP_readonly : 0),
            .ref = refs[i],
            .dom = dom,
            .status = GNTST_general_error,
        };
    }
    rc = hc_grant_table_op(GNTTABOP_map_grant_ref, op, n);
    /* Some may be mapped after one that was refused: only what succeeded is to be undone. */
    for (uint32_t i = 0; i < n; i++) {
        handles[i] = op[i].status == GNTST_okay ? op[i].handle : ~0u;
        if (op[i].status != GNTST_okay && !first_error)
            first_error = rc < 0 ? (int)rc : grant_error(op[i].status);
    }
    *mapped = n;
    return first_error;
}

static void unmap_batch(char *va, const grant_handle_t *handles, uint32_t n)
{
    struct gnttab_unmap_grant_ref op[BATCH];
    uint32_t k = 0;

    for (uint32_t i = 0; i < n; i++) {
        if (handles[i] == ~0u)
            continue;
        op[k++] = (struct gnttab_unmap_grant_ref){
            .host_addr = (uint64_t)va + ((uint64_t)i << PAGE_SHIFT),
            .handle = handles[i],
        };
    }
    if (k && hc_grant_table_op(GNTTABOP_unmap_grant_ref, op, k))
        panic("cannot unmap a grant");
}

static void unmap_all(struct grant_mapping *m, uint32_t n)
{
    for (uint32_t at = 0; at < n; at += BATCH)
        unmap_batch((char *)m->va + ((size_t)at << PAGE_SHIFT), m->handles + at,
                    MIN(n - at, (uint32_t)BATCH));
    va_free(m->va, m->n);
    if (m->handles != &m->one)
        free(m->handles);
    m->va = NULL;
    m->n = 0;
}

int grant_map(domid_t dom, const grant_ref_t *refs, uint32_t n, unsigned int flags,
              struct grant_mapping *m)
{
    uint32_t done = 0;

    m->n = n;
    m->handles = n == 1 ? &m->one : malloc(n * sizeof(grant_handle_t));
    m->va = n && m->handles ? va_alloc(n) : NULL;
    if (!m->va) {
        if (m->handles != &m->one)
            free(m->handles);
        return -XEN_ENOMEM;
    }
    while (done < n) {
        uint32_t k = MIN(n - done, (uint32_t)BATCH), mapped = 0;
        int rc = map_batch(dom, refs + done, k, flags,
                           (char *)m->va + ((size_t)done << PAGE_SHIFT), m->handles + done,
                           &mapped);

        done += mapped;
        if (rc) {
            unmap_all(m, done);
            return rc;
        }
    }
    return 0;
}

void grant_unmap(struct grant_mapping *m)
{
    if (m->va)
        unmap_all(m, m->n);
}

void grant_pin(struct grant_pin *ops, uint32_t n)
{
    struct gnttab_map_grant_ref op[GRANT_PINS_MAX];

    BUG_ON(n > GRANT_PINS_MAX);
    for (uint32_t i = 0; i < n; i++) {
        op[i] = (struct gnttab_map_grant_ref){
            .flags = GNTMAP_device_map | (ops[i].flags & GRANT_READONLY ? GNTMAP_readonly : 0),
            .ref = ops[i].ref,
            .dom = ops[i].dom,
            .status = GNTST_general_error,
        };
    }
    (void)hc_grant_table_op(GNTTABOP_map_grant_ref, op, n);
    for (uint32_t i = 0; i < n; i++) {
        ops[i].handle = op[i].status == GNTST_okay ? op[i].handle : GRANT_UNPINNED;
        ops[i].maddr = op[i].dev_bus_addr;
    }
}

void grant_unpin(const struct grant_pin *ops, uint32_t n)
{
    struct gnttab_unmap_grant_ref op[GRANT_PINS_MAX];

    BUG_ON(n > GRANT_PINS_MAX);
    for (uint32_t i = 0; i < n; i++)
        op[i] = (struct gnttab_unmap_grant_ref){ .dev_bus_addr = ops[i].maddr, .handle = ops[i].handle };
    if (n && hc_grant_table_op(GNTTABOP_unmap_grant_ref, op, n))
        panic("cannot unpin a grant");
}

uint32_t grant_copy(struct gnttab_copy *ops, uint32_t n)
{
    uint32_t failed = 0;
    long rc;

    if (!n)
        return 0;
    for (uint32_t i = 0; i < n; i++)
        ops[i].status = GNTST_general_error;
    rc = hc_grant_table_op(GNTTABOP_copy, ops, n);
    if (rc < 0)
        log_error("grant copy of %u: %ld", n, rc);
    for (uint32_t i = 0; i < n; i++)
        failed += ops[i].status != GNTST_okay;
    return failed;
}

void grant_copy_own(struct gnttab_copy_ptr *side, const void *p)
{
    side->u.gmfn = virt_to_mfn(p).v;
    side->domid = DOMID_SELF;
    side->offset = (uint16_t)((uint64_t)p & (PAGE_SIZE - 1));
}

/* What we offer. */

int grant_init(void)
{
    struct gnttab_query_size size = { .dom = DOMID_SELF };
    struct gnttab_setup_table setup = { .dom = DOMID_SELF, .nr_frames = 4 };
    xen_pfn_t frames[FRAMES_MAX];
    uint32_t entries;
    long rc;

    if (table)
        return 0;
    rc = hc_grant_table_op(GNTTABOP_query_size, &size, 1);
    if (!rc && size.status == GNTST_okay)
        setup.nr_frames = MIN(size.max_nr_frames, FRAMES_MAX);
    set_xen_guest_handle(setup.frame_list, frames);
    rc = hc_grant_table_op(GNTTABOP_setup_table, &setup, 1);
    if (rc || setup.status != GNTST_okay)
        return rc ? (int)rc : grant_error(setup.status);
    entries = setup.nr_frames * (uint32_t)PER_FRAME;
    free_refs = malloc(entries * sizeof(*free_refs));
    if (!free_refs)
        return -XEN_ENOMEM;
    table = map_foreign(DOMID_SELF, (const mfn_t *)frames, setup.nr_frames, MAP_RW);
    if (!table) {
        free(free_refs);
        return -XEN_ENOMEM;
    }
    for (grant_ref_t ref = entries; ref-- > GNTTAB_NR_RESERVED_ENTRIES;)
        free_refs[nr_free++] = ref;
    return 0;
}

grant_ref_t grant_offer(domid_t dom, mfn_t frame, unsigned int flags)
{
    grant_ref_t ref;

    if ((!table && grant_init()) || !nr_free)
        return GRANT_NONE;
    ref = free_refs[--nr_free];
    table[ref].frame = (uint32_t)frame.v;
    table[ref].domid = dom;
    store_release(&table[ref].flags,
                  GTF_permit_access | (flags & GRANT_READONLY ? GTF_readonly : 0));
    return ref;
}

bool grant_end(grant_ref_t ref)
{
    uint16_t flags = load_acquire(&table[ref].flags);

    do {
        if (flags & (GTF_reading | GTF_writing))
            return false;
    } while (!atomic_cmpxchg(&table[ref].flags, &flags, (uint16_t)0));
    free_refs[nr_free++] = ref;
    return true;
}

/* The highest references lie at the bottom of the stack, so they are the last to be handed out. */
grant_ref_t grant_range(uint32_t n, struct grant_entry_v1 **entries)
{
    grant_ref_t last;

    if ((!table && grant_init()) || n > nr_free || !n)
        return GRANT_NONE;
    last = free_refs[0];
    for (uint32_t i = 0; i < n; i++) {
        if (free_refs[i] != last - i)
            return GRANT_NONE;
    }
    nr_free -= n;
    memmove(free_refs, free_refs + n, nr_free * sizeof(*free_refs));
    *entries = &table[last - n + 1];
    return last - n + 1;
}
