/* SPDX-License-Identifier: MIT */
/*
 * grants - two domains, "owner" and "user" on their command lines, try each grant operation on each
 * other: map (by address and by entry), unmap, unmap-and-replace, copy, transfer, with what must be
 * refused. They find each other through the store. Each prints "grants NAME: ok" or what failed.
 */
#include "lib/printf.h"
#include "lib/string.h"
#include "runtime/grant.h"
#include "runtime/hypercall.h"
#include "runtime/log.h"
#include "runtime/loop.h"
#include "runtime/mem.h"
#include "runtime/p2m.h"
#include "runtime/pagetable.h"
#include "runtime/start.h"
#include "runtime/time.h"
#include "runtime/xenbus.h"
#include "runtime/xs.h"

static const char *me;

#define CHECK(cond) \
    do { \
        if (!(cond)) { \
            log_error("grants %s: FAILED at line %d: %s", me, __LINE__, #cond); \
            domain_shutdown(SHUTDOWN_crash); \
        } \
    } while (0)

#define TAKE_REF 400u           /* far from what the pool hands out in so short a life */

static uint32_t my_id;

/* A node of ours that everybody may read. */
static void publish(const char *node, const char *value)
{
    struct xs_perm p = { .dom = (domid_t)my_id, .access = XS_PERM_READ };

    CHECK(xs_write(0, node, value, strlen(value)) == 0);
    CHECK(xs_set_perms(0, node, &p, 1) == 0);
}

/* Waits until some domain has published that node and returns its number. */
static uint32_t await(const char *node, char *value, size_t size)
{
    char path[96];

    for (;;) {
        for (uint32_t d = 1; d < 16; d++) {
            (void)snprintf(path, sizeof(path), "/local/domain/%u/%s", d, node);
            if (d != my_id && xs_read(0, path, value, size) > 0)
                return d;
        }
        loop_turn(false);
    }
}

static grant_entry_v1_t *own_table(void)
{
    xen_pfn_t frame = 0;
    struct gnttab_setup_table s = { .dom = DOMID_SELF, .nr_frames = 1 };
    mfn_t m;

    set_xen_guest_handle(s.frame_list, &frame);
    CHECK(hc_grant_table_op(GNTTABOP_setup_table, &s, 1) == 0 && s.status == GNTST_okay);
    m = mfn(frame);
    return map_foreign(DOMID_SELF, &m, 1, MAP_RW);
}

/* ------------------------------------------------------------------ the one who offers */

/* Makes room for the frame that is to come: its page number becomes a hole. */
static pfn_t make_hole(void)
{
    void *page = page_alloc();
    pfn_t n = virt_to_pfn(page);
    xen_pfn_t frame = virt_to_mfn(page).v;
    struct xen_memory_reservation r = { .nr_extents = 1, .domid = DOMID_SELF };

    CHECK(p2m_replace(n, MFN_INVALID) == 0);
    set_xen_guest_handle(r.extent_start, &frame);
    CHECK(hc_memory_op(XENMEM_decrease_reservation, &r) == 1);
    return n;
}

static void owner(void)
{
    grant_entry_v1_t *table = own_table();
    char *a = page_alloc_zeroed(), *b = page_alloc_zeroed(), text[64];
    grant_ref_t ra, rb;
    uint32_t user;
    pfn_t hole = make_hole();

    user = await("data/user", text, sizeof(text));
    (void)strlcpy(a, "owner's words", PAGE_SIZE);
    (void)strlcpy(b, "read only", PAGE_SIZE);
    ra = grant_offer((domid_t)user, virt_to_mfn(a), 0);
    rb = grant_offer((domid_t)user, virt_to_mfn(b), GRANT_READONLY);
    CHECK(ra && rb);
    table[TAKE_REF].domid = (domid_t)user;
    table[TAKE_REF].frame = (uint32_t)hole.v;
    __atomic_store_n(&table[TAKE_REF].flags, GTF_accept_transfer, __ATOMIC_RELEASE);
    (void)snprintf(text, sizeof(text), "%u %u", ra, rb);
    publish("data/owner", text);

    (void)await("data/done", text, sizeof(text));
    CHECK(!strcmp(a, "user's words"));
    CHECK(!memcmp(a + 100, "copied by the hypervisor", 25));
    CHECK(!strcmp(b, "read only"));
    /* Nobody uses them any more, so they can be taken back. */
    CHECK(grant_end(ra) && grant_end(rb));
    CHECK(table[TAKE_REF].flags ==
          (GTF_accept_transfer | GTF_transfer_committed | GTF_transfer_completed));
    CHECK(((const uint64_t *)machine_to_phys_mapping)[table[TAKE_REF].frame] == hole.v);
    CHECK(p2m_replace(hole, mfn(table[TAKE_REF].frame)) == 0);
    CHECK(!strcmp(pfn_to_virt(hole), "this frame moved"));
}

/* ------------------------------------------------------------------ the one who uses */

static int16_t map_one(uint64_t where, uint32_t flags, uint32_t peer, grant_ref_t ref,
                       grant_handle_t *h)
{
    struct gnttab_map_grant_ref op = {
        .host_addr = where, .flags = flags, .ref = ref, .dom = (domid_t)peer,
    };

    CHECK(hc_grant_table_op(GNTTABOP_map_grant_ref, &op, 1) == 0);
    *h = op.handle;
    return op.status;
}

static int16_t unmap_one(uint64_t where, grant_handle_t h)
{
    struct gnttab_unmap_grant_ref op = { .host_addr = where, .handle = h };

    CHECK(hc_grant_table_op(GNTTABOP_unmap_grant_ref, &op, 1) == 0);
    return op.status;
}

static void test_map(uint32_t peer, grant_ref_t ra, grant_ref_t rb)
{
    char *va = va_alloc(2);
    uint64_t at = (uintptr_t)va;
    grant_handle_t h, h2;

    CHECK(map_one(at, GNTMAP_host_map, peer, 100000, &h) == GNTST_bad_gntref);
    CHECK(map_one(at, GNTMAP_host_map, 4000, ra, &h) == GNTST_bad_domain);
    CHECK(map_one(at, GNTMAP_host_map, peer, rb, &h) == GNTST_general_error);
    CHECK(map_one(at, GNTMAP_host_map, peer, TAKE_REF, &h) == GNTST_general_error);
    CHECK(map_one(at, 0, peer, ra, &h) != GNTST_okay);
    CHECK(map_one(0x1000, GNTMAP_host_map, peer, ra, &h) != GNTST_okay);
    CHECK(map_one(0xffff830000000000UL, GNTMAP_host_map, peer, ra, &h) != GNTST_okay);

    CHECK(map_one(at, GNTMAP_host_map, peer, ra, &h) == GNTST_okay);
    CHECK(!strcmp(va, "owner's words"));
    (void)strlcpy(va, "user's words", PAGE_SIZE);
    CHECK(map_one(pte_maddr(va + PAGE_SIZE),
                  GNTMAP_host_map | GNTMAP_contains_pte | GNTMAP_readonly, peer, rb, &h2) ==
          GNTST_okay);
    CHECK(!strcmp(va + PAGE_SIZE, "read only"));
    /* The wrong place, the wrong handle: refused, and what is mapped stays. */
    CHECK(unmap_one(at + PAGE_SIZE, h) != GNTST_okay);
    CHECK(unmap_one(at, h + 1000) == GNTST_bad_handle);
    CHECK(!strcmp(va, "user's words"));
    CHECK(unmap_one(at, h) == GNTST_okay);
    CHECK(unmap_one(at, h) == GNTST_bad_handle);
    CHECK(unmap_one(pte_maddr(va + PAGE_SIZE), h2) == GNTST_okay);
    va_free(va, 2);
}

/* Pages for devices, mapped nowhere: many in one call, right and wrong ones among each other. */
static void test_devices(uint32_t peer, grant_ref_t ra, grant_ref_t rb)
{
    static const int16_t mapped[] = { GNTST_okay, GNTST_okay, GNTST_general_error, GNTST_bad_gntref,
                                      GNTST_bad_domain, GNTST_okay, GNTST_okay };
    static const int16_t unmapped[] = { GNTST_bad_dev_addr, GNTST_bad_handle, GNTST_okay, GNTST_okay, GNTST_okay };
    struct gnttab_map_grant_ref m[7];
    struct gnttab_unmap_grant_ref u[5];
    char *va = va_alloc(1);

    for (unsigned int i = 0; i < ARRAY_SIZE(m); i++)
        m[i] = (struct gnttab_map_grant_ref){ .flags = GNTMAP_device_map, .ref = ra, .dom = (domid_t)peer };
    m[1].ref = m[2].ref = rb;
    m[1].flags |= GNTMAP_readonly;
    m[3].ref = 100000;
    m[4].dom = 4000;
    m[5].flags |= GNTMAP_readonly;
    m[6].flags |= GNTMAP_host_map;
    m[6].host_addr = (uintptr_t)va;
    CHECK(hc_grant_table_op(GNTTABOP_map_grant_ref, m, ARRAY_SIZE(m)) == 0);
    for (unsigned int i = 0; i < ARRAY_SIZE(m); i++)
        CHECK(m[i].status == mapped[i]);
    CHECK(m[0].dev_bus_addr && m[0].dev_bus_addr == m[5].dev_bus_addr && m[6].dev_bus_addr == m[0].dev_bus_addr);
    CHECK(m[1].dev_bus_addr && m[1].dev_bus_addr != m[0].dev_bus_addr);
    CHECK(m[0].handle != m[1].handle && m[0].handle != m[5].handle && m[1].handle != m[5].handle);
    CHECK(!strcmp(va, "user's words"));

    for (unsigned int i = 0; i < ARRAY_SIZE(u); i++)
        u[i] = (struct gnttab_unmap_grant_ref){ .dev_bus_addr = m[0].dev_bus_addr, .handle = m[0].handle };
    u[0].dev_bus_addr = m[1].dev_bus_addr;
    u[1].handle += 1000;
    u[3].dev_bus_addr = m[1].dev_bus_addr;
    u[3].handle = m[1].handle;
    u[4].handle = m[5].handle;
    CHECK(hc_grant_table_op(GNTTABOP_unmap_grant_ref, u, ARRAY_SIZE(u)) == 0);
    for (unsigned int i = 0; i < ARRAY_SIZE(u); i++)
        CHECK(u[i].status == unmapped[i]);
    for (unsigned int i = 2; i < ARRAY_SIZE(u); i++)
        CHECK(hc_grant_table_op(GNTTABOP_unmap_grant_ref, &u[i], 1) == 0 && u[i].status == GNTST_bad_handle);
    /* The one that is mapped, too: first the device's mapping goes, then the other. */
    CHECK(!strcmp(va, "user's words"));
    u[0] = (struct gnttab_unmap_grant_ref){ .dev_bus_addr = m[0].dev_bus_addr, .handle = m[6].handle };
    CHECK(hc_grant_table_op(GNTTABOP_unmap_grant_ref, u, 1) == 0 && u[0].status == GNTST_okay);
    CHECK(!strcmp(va, "user's words"));
    CHECK(unmap_one((uintptr_t)va, m[6].handle) == GNTST_okay);
    va_free(va, 1);
}

static void test_replace(uint32_t peer, grant_ref_t ra)
{
    char *va = va_alloc(2), *own = page_alloc_zeroed();
    mfn_t m = virt_to_mfn(own);
    struct gnttab_unmap_and_replace op;
    grant_handle_t h;

    (void)strlcpy(own, "mine", PAGE_SIZE);
    CHECK(map_at(va + PAGE_SIZE, DOMID_SELF, &m, 1, MAP_RO, NULL) == 0);
    CHECK(map_one((uintptr_t)va, GNTMAP_host_map, peer, ra, &h) == GNTST_okay);
    op = (struct gnttab_unmap_and_replace){
        .host_addr = (uintptr_t)va, .new_addr = (uintptr_t)va + PAGE_SIZE, .handle = h,
    };
    CHECK(hc_grant_table_op(GNTTABOP_unmap_and_replace, &op, 1) == 0);
    CHECK(op.status == GNTST_okay);
    CHECK(!strcmp(va, "mine"));
    unmap_at(va, 1);
    va_free(va, 2);
    page_free(own);
}

static int16_t copy(struct gnttab_copy op)
{
    CHECK(hc_grant_table_op(GNTTABOP_copy, &op, 1) == 0);
    return op.status;
}

static void test_copy(uint32_t peer, grant_ref_t ra, grant_ref_t rb)
{
    char *own = page_alloc_zeroed();
    struct gnttab_copy op = { .flags = GNTCOPY_dest_gref, .len = 25 };

    (void)strlcpy(own, "copied by the hypervisor", PAGE_SIZE);
    grant_copy_own(&op.source, own);
    grant_copy_ref(&op.dest, (domid_t)peer, ra, 100);
    CHECK(copy(op) == GNTST_okay);
    op.dest.offset = PAGE_SIZE - 24;
    CHECK(copy(op) == GNTST_bad_copy_arg);
    op.dest.offset = 0;
    op.dest.u.ref = rb;
    CHECK(copy(op) == GNTST_general_error);
    op.dest.u.ref = 100000;
    CHECK(copy(op) == GNTST_bad_gntref);
    /* Another domain's frames by number, or a frame that is not RAM. */
    op.flags = 0;
    op.dest.u.gmfn = virt_to_mfn(own).v;
    CHECK(copy(op) == GNTST_permission_denied);
    op.dest.domid = DOMID_SELF;
    op.dest.u.gmfn = 0xfee00;
    CHECK(copy(op) == GNTST_bad_page);
    /* A page table of our own is no place to copy to. */
    op.dest.u.gmfn = pte_maddr(own) >> PAGE_SHIFT;
    CHECK(copy(op) == GNTST_general_error);

    op = (struct gnttab_copy){ .flags = GNTCOPY_source_gref, .len = 10 };
    grant_copy_ref(&op.source, (domid_t)peer, rb, 0);
    grant_copy_own(&op.dest, own + 2048);
    CHECK(copy(op) == GNTST_okay);
    CHECK(!strcmp(own + 2048, "read only"));
    page_free(own);
}

/* A page that nothing maps any more, as a transfer wants it. */
static mfn_t loose_frame(const char *text)
{
    char *page = page_alloc_zeroed();
    mfn_t m = virt_to_mfn(page);

    (void)strlcpy(page, text, PAGE_SIZE);
    CHECK(p2m_replace(virt_to_pfn(page), MFN_INVALID) == 0);
    return m;
}

static int16_t transfer(mfn_t m, uint32_t to, grant_ref_t ref)
{
    struct gnttab_transfer op = { .mfn = m.v, .domid = (domid_t)to, .ref = ref };

    CHECK(hc_grant_table_op(GNTTABOP_transfer, &op, 1) == 0);
    return op.status;
}

static void test_transfer(uint32_t peer)
{
    char *mapped = page_alloc_zeroed();
    mfn_t m;

    CHECK(transfer(virt_to_mfn(mapped), peer, TAKE_REF) == GNTST_bad_page);
    /* The frame is gone even after an error, unless it is bad_page. */
    m = loose_frame("a");
    CHECK(transfer(m, peer, TAKE_REF + 1) == GNTST_general_error);
    CHECK(map_foreign(DOMID_SELF, &m, 1, MAP_RO) == NULL);
    m = loose_frame("b");
    CHECK(transfer(m, 4000, TAKE_REF) == GNTST_bad_domain);
    CHECK(map_foreign(DOMID_SELF, &m, 1, MAP_RO) == NULL);
    m = loose_frame("this frame moved");
    CHECK(transfer(m, peer, TAKE_REF) == GNTST_okay);
    CHECK(transfer(m, peer, TAKE_REF) == GNTST_bad_page);
    /* Gone: it cannot be mapped again. */
    CHECK(map_foreign(DOMID_SELF, &m, 1, MAP_RO) == NULL);
}

static void user(void)
{
    struct gnttab_set_version v = { .version = 2 };
    char text[64];
    uint32_t peer;
    grant_ref_t ra = 0, rb = 0;
    const char *s = text;

    CHECK(hc_grant_table_op(GNTTABOP_set_version, &v, 1) == -XEN_ENOSYS);
    v.version = 1;
    CHECK(hc_grant_table_op(GNTTABOP_set_version, &v, 1) == 0);
    publish("data/user", "1");
    peer = await("data/owner", text, sizeof(text));
    for (; *s >= '0' && *s <= '9'; s++)
        ra = ra * 10 + (grant_ref_t)(*s - '0');
    for (s++; *s >= '0' && *s <= '9'; s++)
        rb = rb * 10 + (grant_ref_t)(*s - '0');
    test_map(peer, ra, rb);
    test_devices(peer, ra, rb);
    test_replace(peer, ra);
    test_copy(peer, ra, rb);
    test_transfer(peer);
    publish("data/done", "1");
}

void pv_main(void)
{
    char word[8];

    me = cmdline_get("owner", word, sizeof(word)) ? "owner" : "user";
    CHECK(xenbus_init() == 0);
    CHECK(xs_read(0, "domid", word, sizeof(word)) > 0);
    for (const char *s = word; *s; s++)
        my_id = my_id * 10 + (uint32_t)(*s - '0');
    if (me[0] == 'o')
        owner();
    else
        user();
    log_info("grants %s: ok", me);
    loop_run();
}
