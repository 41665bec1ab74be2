/* SPDX-License-Identifier: MIT */
/* slots.c - a flip window of this domain. */
#include "tests/guests/flip/slots.h"
#include "atomic.h"
#include "lib/string.h"
#include "runtime/hypercall.h"
#include "runtime/mem.h"
#include "runtime/p2m.h"
#include "runtime/pagetable.h"

#define TABLE_FRAMES (TABLE_REFS * sizeof(grant_entry_v1_t) / PAGE_SIZE)

char *slot_page;
grant_entry_v1_t *slot_table;
uint32_t slot_window;

static long map_table(void)
{
    xen_pfn_t frames[TABLE_FRAMES];
    struct gnttab_setup_table s = { .dom = DOMID_SELF, .nr_frames = TABLE_FRAMES };
    long rc;

    set_xen_guest_handle(s.frame_list, frames);
    rc = hc_grant_table_op(GNTTABOP_setup_table, &s, 1);
    if (rc || s.status)
        return rc ? rc : -XEN_EINVAL;
    slot_table = map_foreign(DOMID_SELF, (const mfn_t *)frames, TABLE_FRAMES, MAP_RW);
    return slot_table ? 0 : -XEN_ENOMEM;
}

long slots_register(void)
{
    struct sluice_flip_window w = {
        .va = (uint64_t)slot_page, .slots = NR_SLOTS, .first_ref = FIRST_REF, .id = ~0u,
    };
    long rc = hc_flip(SLUICE_FLIP_register, &w, 1);

    if (rc == 0)
        slot_window = w.id;
    return rc;
}

long slots_unregister(uint32_t id)
{
    return hc_flip(SLUICE_FLIP_unregister, &id, 1);
}

long slots_init(void)
{
    long rc = slot_table ? 0 : map_table();

    if (rc)
        return rc;
    slot_page = pages_alloc(SLOT_ORDER);
    if (!slot_page)
        return -XEN_ENOMEM;
    memset(slot_page, 0, NR_SLOTS * PAGE_SIZE);
    return slots_register();
}

static uint64_t slot_pte(uint32_t i)
{
    paddr_t at = pte_maddr(slot_addr(i));
    const uint64_t *table = pfn_to_virt(mfn_to_pfn(paddr_to_mfn(at)));

    return READ_ONCE(table[at % PAGE_SIZE / sizeof(uint64_t)]);
}

uint64_t slot_mfn(uint32_t i)
{
    uint64_t e = slot_pte(i);

    return e & PTE_PRESENT ? (e & PTE_ADDR) >> PAGE_SHIFT : ~0UL;
}

void slot_offer(uint32_t i, domid_t backend, uint16_t flags)
{
    grant_entry_v1_t *e = slot_entry(i);

    e->frame = (uint32_t)virt_to_mfn(slot_addr(i)).v;
    e->domid = backend;
    store_release(&e->flags, flags);
}

bool slot_withdraw(uint32_t i)
{
    uint16_t flags = load_acquire(&slot_entry(i)->flags);

    do {
        if (flags & (GTF_reading | GTF_writing))
            return false;
    } while (!atomic_cmpxchg(&slot_entry(i)->flags, &flags, (uint16_t)0));
    return true;
}

int slot_accept(uint32_t i)
{
    pfn_t n = virt_to_pfn(slot_addr(i));
    uint64_t e = slot_pte(i);

    if (load_acquire(&slot_entry(i)->flags))
        return 1;
    if (!(e & PTE_PRESENT) || !(e & PTE_WRITE))
        return 2;
    if ((e & PTE_ADDR) >> PAGE_SHIFT != slot_entry(i)->frame)
        return 3;
    p2m_set(n.v, mfn(slot_entry(i)->frame));
    if (mfn_to_pfn(mfn(slot_entry(i)->frame)).v != n.v)
        return 4;
    return 0;
}

static uint64_t word(uint32_t seed, uint32_t k)
{
    return (seed * 0x9e3779b97f4a7c15UL) ^ (k * 0xff51afd7ed558ccdUL);
}

void slot_fill(uint32_t i, uint32_t seed)
{
    uint64_t *p = (uint64_t *)slot_addr(i);

    for (uint32_t k = 0; k < PAGE_SIZE / sizeof(*p); k++)
        WRITE_ONCE(p[k], word(seed, k));
}

int slot_differs_behind(uint32_t i, uint32_t seed, uint32_t bytes)
{
    const uint64_t *p = (const uint64_t *)slot_addr(i);

    for (uint32_t k = bytes / sizeof(*p); k < PAGE_SIZE / sizeof(*p); k++)
        if (READ_ONCE(p[k]) != word(seed, k))
            return (int)(k * sizeof(*p));
    return -1;
}

int slot_differs(uint32_t i, uint32_t seed)
{
    return slot_differs_behind(i, seed, 0);
}

bool slot_is_zero(uint32_t i)
{
    const uint64_t *p = (const uint64_t *)slot_addr(i);

    for (uint32_t k = 0; k < PAGE_SIZE / sizeof(*p); k++)
        if (READ_ONCE(p[k]))
            return false;
    return true;
}
