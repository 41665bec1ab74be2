/* SPDX-License-Identifier: MIT */
/* memory.c - memory_op. */
#include "calls.h"

static char *page;

static long reserve(unsigned int cmd, void *list, uint64_t n, unsigned int order, domid_t dom)
{
    struct xen_memory_reservation r = { .nr_extents = n, .extent_order = order, .domid = dom };

    set_xen_guest_handle_raw(r.extent_start, list);
    return hc_memory_op(cmd, &r);
}

/* A frame that nothing maps any more. */
static uint64_t loose(void)
{
    char *p = page_alloc_zeroed();
    uint64_t m = virt_to_mfn(p).v;

    MUST(p && p2m_replace(virt_to_pfn(p), MFN_INVALID) == 0);
    return m;
}

static void reservations(void)
{
    uint64_t list[4];
    static const unsigned int cmds[] = { XENMEM_increase_reservation, XENMEM_decrease_reservation,
                                         XENMEM_populate_physmap };

    for (unsigned int i = 0; i < ARRAY_SIZE(cmds); i++) {
        unsigned int cmd = cmds[i];

        TRY(hc_memory_op(cmd, BAD_PTR));
        TRY(hc_memory_op(cmd, HV_PTR));
        TRY(reserve(cmd, list, 0, 0, DOMID_SELF));
        TRY(reserve(cmd, BAD_PTR, 1, 0, DOMID_SELF));
        TRY(reserve(cmd, HV_PTR, 1, 0, DOMID_SELF));
        TRY(reserve(cmd, list, 1, 0, 0));
        TRY(reserve(cmd, list, 1, 0, NO_DOMAIN));
        TRY(reserve(cmd, list, 1, 0, DOMID_IO));
        TRY(reserve(cmd, list, 1, 0, DOMID_XEN));
        TRY(reserve(cmd, list, 1, 63, DOMID_SELF));
        TRY(reserve(cmd, list, ~0UL, 0, DOMID_SELF));
        TRY(reserve(cmd, list, ~0UL >> 6, 20, DOMID_SELF));
        TRY(hc_memory_op(cmd | 5 << 6, BAD_PTR));
    }
    /* Frames that cannot go, or only partly. */
    list[0] = NO_FRAME;
    TRY(reserve(XENMEM_decrease_reservation, list, 1, 0, DOMID_SELF));
    list[0] = DEVICE_FRAME;
    TRY(reserve(XENMEM_decrease_reservation, list, 1, 0, DOMID_SELF));
    list[0] = start_info->shared_info >> PAGE_SHIFT;
    TRY(reserve(XENMEM_decrease_reservation, list, 1, 0, DOMID_SELF));
    list[0] = loose();
    list[1] = NO_FRAME;
    TRY(reserve(XENMEM_decrease_reservation, list, 2, 0, DOMID_SELF));
    TRY(reserve(XENMEM_decrease_reservation, list, 1, 0, DOMID_SELF));
    /* And back: as much as we had, and not more. */
    list[0] = 5;
    TRY(reserve(XENMEM_populate_physmap, list, 1, 0, DOMID_SELF));
    list[0] = 6;
    TRY(reserve(XENMEM_populate_physmap, list, 1, 10, DOMID_SELF));
    TRY(reserve(XENMEM_populate_physmap, list, 1, 11, DOMID_SELF));
}

static long asked(unsigned int cmd, domid_t dom)
{
    return hc_memory_op(cmd, &dom);
}

static void queries(void)
{
    long now = asked(XENMEM_current_reservation, DOMID_SELF);

    TRY(hc_memory_op(XENMEM_maximum_ram_page, NULL) > 0);
    TRY(hc_memory_op(XENMEM_maximum_ram_page, BAD_PTR) > 0);
    TRY(asked(XENMEM_maximum_reservation, DOMID_SELF) >= now);
    TRY(asked(XENMEM_maximum_gpfn, DOMID_SELF) >= 0);
    for (unsigned int cmd = XENMEM_current_reservation; cmd <= XENMEM_maximum_reservation; cmd++) {
        TRY(asked(cmd, 0));
        TRY(asked(cmd, NO_DOMAIN));
        TRY(asked(cmd, DOMID_IO));
        TRY(hc_memory_op(cmd, BAD_PTR));
    }
    TRY(asked(XENMEM_maximum_gpfn, 0));
    TRY(asked(XENMEM_maximum_gpfn, NO_DOMAIN));
    TRY(hc_memory_op(XENMEM_maximum_gpfn, BAD_PTR));
}

static void maps(void)
{
    static char buf[4096];
    struct xen_memory_map map = { .nr_entries = 0 };
    struct xen_foreign_memory_map set = { .domid = DOMID_SELF };
    struct xen_machphys_mapping mm;
    struct xen_machphys_mfn_list list = { .max_extents = 1 };

    set_xen_guest_handle_raw(map.buffer, buf);
    TRY(hc_memory_op(XENMEM_memory_map, &map));
    TRY(map.nr_entries);
    map.nr_entries = 64;
    TRY(hc_memory_op(XENMEM_memory_map, &map));
    TRY(map.nr_entries);
    map.nr_entries = 64;
    set_xen_guest_handle_raw(map.buffer, BAD_PTR);
    TRY(hc_memory_op(XENMEM_memory_map, &map));
    TRY(hc_memory_op(XENMEM_memory_map, BAD_PTR));
    TRY(hc_memory_op(XENMEM_machine_memory_map, &map));
    TRY(hc_memory_op(XENMEM_machine_memory_map, BAD_PTR));

    set_xen_guest_handle_raw(set.map.buffer, buf);
    TRY(hc_memory_op(XENMEM_set_memory_map, &set));
    set.map.nr_entries = 64;
    TRY(hc_memory_op(XENMEM_set_memory_map, &set));
    set.map.nr_entries = 1025;
    TRY(hc_memory_op(XENMEM_set_memory_map, &set));
    set.domid = 0;
    set.map.nr_entries = 0;
    TRY(hc_memory_op(XENMEM_set_memory_map, &set));
    set.domid = NO_DOMAIN;
    TRY(hc_memory_op(XENMEM_set_memory_map, &set));
    TRY(hc_memory_op(XENMEM_set_memory_map, BAD_PTR));

    TRY(hc_memory_op(XENMEM_machphys_mapping, &mm));
    TRY(mm.v_start);
    TRY(mm.v_end);
    TRY(hc_memory_op(XENMEM_machphys_mapping, BAD_PTR));
    set_xen_guest_handle_raw(list.extent_start, (void *)buf);
    TRY(hc_memory_op(XENMEM_machphys_mfn_list, &list));
    TRY(list.nr_extents);
    set_xen_guest_handle_raw(list.extent_start, BAD_PTR);
    TRY(hc_memory_op(XENMEM_machphys_mfn_list, &list));
    TRY(hc_memory_op(XENMEM_machphys_mfn_list, BAD_PTR));
    TRY(hc_memory_op(XENMEM_machphys_compat_mfn_list, BAD_PTR));
}

struct swap {
    uint64_t in[4], out[4];
    struct xen_memory_exchange x;
};

static struct swap *swap_of(uint64_t n_in, unsigned int order_in, uint64_t n_out,
                            unsigned int order_out)
{
    static struct swap s;

    memset(&s, 0, sizeof(s));
    s.x.in.nr_extents = n_in;
    s.x.in.extent_order = order_in;
    s.x.out.nr_extents = n_out;
    s.x.out.extent_order = order_out;
    s.x.in.domid = s.x.out.domid = DOMID_SELF;
    set_xen_guest_handle_raw(s.x.in.extent_start, s.in);
    set_xen_guest_handle_raw(s.x.out.extent_start, s.out);
    for (unsigned int i = 0; i < 4; i++)
        s.in[i] = NO_FRAME;
    return &s;
}

static void exchange(void)
{
    struct swap *s;

    TRY(hc_memory_op(XENMEM_exchange, BAD_PTR));
    TRY(hc_memory_op(XENMEM_exchange, &swap_of(0, 0, 0, 0)->x));
    TRY(hc_memory_op(XENMEM_exchange, &swap_of(1, 0, 2, 0)->x));
    TRY(hc_memory_op(XENMEM_exchange, &swap_of(2, 0, 1, 1)->x));
    TRY(hc_memory_op(XENMEM_exchange, &swap_of(1, 1, 2, 0)->x));
    TRY(hc_memory_op(XENMEM_exchange, &swap_of(1, 63, 1, 63)->x));
    TRY(hc_memory_op(XENMEM_exchange, &swap_of(1, 10, 1, 10)->x));
    TRY(hc_memory_op(XENMEM_exchange, &swap_of(~0UL, 0, ~0UL, 0)->x));
    s = swap_of(1, 0, 1, 0);
    TRY(hc_memory_op(XENMEM_exchange, &s->x));
    TRY(s->x.nr_exchanged);
    s = swap_of(1, 0, 1, 0);
    s->in[0] = virt_to_mfn(page).v;             /* mapped */
    TRY(hc_memory_op(XENMEM_exchange, &s->x));
    TRY(s->x.nr_exchanged);
    s = swap_of(1, 0, 1, 0);
    s->x.nr_exchanged = 1;
    TRY(hc_memory_op(XENMEM_exchange, &s->x));
    s->x.nr_exchanged = 2;
    TRY(hc_memory_op(XENMEM_exchange, &s->x));
    s = swap_of(1, 0, 1, 0);
    s->x.in.domid = s->x.out.domid = 0;
    TRY(hc_memory_op(XENMEM_exchange, &s->x));
    s->x.in.domid = DOMID_SELF;
    TRY(hc_memory_op(XENMEM_exchange, &s->x));
    s->x.in.domid = s->x.out.domid = NO_DOMAIN;
    TRY(hc_memory_op(XENMEM_exchange, &s->x));
    s = swap_of(1, 0, 1, 0);
    set_xen_guest_handle_raw(s->x.in.extent_start, BAD_PTR);
    TRY(hc_memory_op(XENMEM_exchange, &s->x));
    set_xen_guest_handle_raw(s->x.in.extent_start, HV_PTR);
    TRY(hc_memory_op(XENMEM_exchange, &s->x));
    s = swap_of(1, 0, 1, 0);
    s->in[0] = loose();
    s->out[0] = 7;
    TRY(hc_memory_op(XENMEM_exchange, &s->x));
    TRY(s->x.nr_exchanged);
    TRY(mfn_to_pfn(mfn(s->out[0])).v);
}

/* Operations for others: the toolstack, guests with translated memory, features of the reference. */
static void foreign(void)
{
    static uint64_t zero[32];

    for (unsigned int cmd = 0; cmd < 40; cmd++) {
        switch (cmd) {
        case XENMEM_increase_reservation:
        case XENMEM_decrease_reservation:
        case XENMEM_populate_physmap:
        case XENMEM_maximum_ram_page:
        case XENMEM_maximum_gpfn:
        case XENMEM_current_reservation:
        case XENMEM_maximum_reservation:
            continue;
        }
        about("memory_op %u", cmd);
        memset(zero, 0, sizeof(zero));
        TRY(hc_memory_op(cmd, zero));
        TRY(hc_memory_op(cmd, BAD_PTR));
    }
}

static long physmap(unsigned int cmd, domid_t dom, unsigned int space)
{
    struct xen_add_to_physmap a = { .domid = dom, .space = space };

    return hc_memory_op(cmd, &a);
}

static void physmaps(void)
{
    struct xen_remove_from_physmap r = { .domid = DOMID_SELF, .gpfn = 5 };
    struct xen_add_to_physmap_batch b = { .domid = DOMID_SELF, .space = XENMAPSPACE_gmfn };

    for (unsigned int space = 0; space < 7; space++)
        TRY(physmap(XENMEM_add_to_physmap, DOMID_SELF, space));
    TRY(physmap(XENMEM_add_to_physmap, 0, XENMAPSPACE_shared_info));
    TRY(physmap(XENMEM_add_to_physmap, NO_DOMAIN, XENMAPSPACE_shared_info));
    TRY(hc_memory_op(XENMEM_add_to_physmap, BAD_PTR));
    TRY(hc_memory_op(XENMEM_remove_from_physmap, &r));
    r.gpfn = ~0UL;
    TRY(hc_memory_op(XENMEM_remove_from_physmap, &r));
    r.domid = NO_DOMAIN;
    TRY(hc_memory_op(XENMEM_remove_from_physmap, &r));
    TRY(hc_memory_op(XENMEM_remove_from_physmap, BAD_PTR));
    TRY(hc_memory_op(XENMEM_add_to_physmap_batch, &b));
    b.size = 1;
    TRY(hc_memory_op(XENMEM_add_to_physmap_batch, &b));
    b.domid = NO_DOMAIN;
    TRY(hc_memory_op(XENMEM_add_to_physmap_batch, &b));
    TRY(hc_memory_op(XENMEM_add_to_physmap_batch, BAD_PTR));
}

void try_memory(void)
{
    page = page_alloc_zeroed();
    MUST(page);
    PART(reservations);
    PART(queries);
    PART(maps);
    PART(exchange);
    PART(physmaps);
    PART(foreign);
}
