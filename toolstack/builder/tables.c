/* SPDX-License-Identifier: MIT */
/*
 * tables.c - contents of a new domain's page tables.
 *
 * A tree is stored as its L3s, L2s and L1s in this order, each level in order of address; so the
 * entry for an address in table k of a level points to the table of the next level whose number
 * is the address's block minus the first address's block.
 */
#include "toolstack/builder/tables.h"
#include "lib/string.h"

#define LEAF  0x023UL       /* present, writable, accessed */
#define LEAF_RO 0x021UL
#define UPPER 0x067UL       /* present, writable, user, accessed, dirty */

/*
 * Entries of table k of a level (shift: address bits that one entry covers): they point to
 * consecutive pages from first_pfn on, one for each block of the tree.
 */
static void fill_level(const struct table_tree *t, const uint64_t *p2m, unsigned int shift,
                       uint64_t k, uint64_t first_pfn, uint64_t flags, uint64_t table[512])
{
    uint64_t first = t->va >> shift, last = (t->end - 1) >> shift;    /* blocks of this size */
    uint64_t base = ((t->va >> (shift + 9)) + k) << 9;                /* block of entry 0 */
    uint64_t from = MAX(first, base), to = MIN(last, base + 511);
    const uint64_t *frame = p2m + first_pfn + (from - first);

    for (uint64_t b = from; b <= to; b++)
        table[b - base] = *frame++ << PAGE_SHIFT | flags;
}

/* L1 number k maps pages from first_pfn on; those that are tables may not be writable. */
static void protect(const struct table_tree *t, uint64_t k, uint64_t first_pfn,
                    const struct pfn_range *ro, uint64_t table[512])
{
    uint64_t base = ((t->va >> 21) + k) << 9, first = t->va >> PAGE_SHIFT;
    uint64_t ro_from = ro->pfn - first_pfn + first, ro_to = ro_from + ro->n;    /* as blocks */
    uint64_t end = MIN((t->end - 1) >> PAGE_SHIFT, base + 511) + 1;

    if (ro->pfn < first_pfn)
        return;
    for (uint64_t b = MAX(ro_from, base); b < MIN(ro_to, end); b++)
        table[b - base] = (table[b - base] & ~LEAF) | LEAF_RO;
}

/* Table i of a tree whose tables lie at tables_pfn and which maps pages from content_pfn on. */
static void fill_tree(const struct layout *l, const struct table_tree *t, const uint64_t *p2m,
                      uint64_t i, uint64_t tables_pfn, uint64_t content_pfn, uint64_t table[512])
{
    uint64_t l2s = tables_pfn + t->l3, l1s = l2s + t->l2;

    memset(table, 0, PAGE_SIZE);
    if (i < t->l3) {
        fill_level(t, p2m, 30, i, l2s, UPPER, table);
    } else if (i < t->l3 + t->l2) {
        fill_level(t, p2m, 21, i - t->l3, l1s, UPPER, table);
    } else {
        i -= t->l3 + t->l2;
        fill_level(t, p2m, PAGE_SHIFT, i, content_pfn, LEAF, table);
        protect(t, i, content_pfn, &l->tables, table);
        protect(t, i, content_pfn, &l->p2m_tables, table);
    }
}

void tables_fill(const struct layout *l, const uint64_t *p2m, uint64_t i, uint64_t table[512])
{
    if (i > 0) {
        fill_tree(l, &l->main_tree, p2m, i - 1, l->tables.pfn + 1, 0, table);
        return;
    }
    memset(table, 0, PAGE_SIZE);
    for (uint64_t n = 0; n < l->main_tree.l3; n++)
        table[((l->virt_base >> 39) + n) & 511] = p2m[l->tables.pfn + 1 + n] << PAGE_SHIFT | UPPER;
    for (uint64_t n = 0; l->p2m_outside && n < l->p2m_tree.l3; n++)
        table[((l->p2m_va >> 39) + n) & 511] = p2m[l->p2m_tables.pfn + n] << PAGE_SHIFT | UPPER;
}

void tables_fill_p2m(const struct layout *l, const uint64_t *p2m, uint64_t i, uint64_t table[512])
{
    fill_tree(l, &l->p2m_tree, p2m, i, l->p2m_tables.pfn, l->p2m.pfn, table);
}
