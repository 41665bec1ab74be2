/* SPDX-License-Identifier: MIT */
/* The allocator over a few MiB of host memory, with a hypervisor that gives and takes pages. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

static uint64_t direct_map;
#define DIRECT_MAP direct_map

#define malloc rt_malloc
#define calloc rt_calloc
#define realloc rt_realloc
#define free rt_free
#define strdup rt_strdup
#include "runtime/mem.c"
#undef malloc
#undef calloc
#undef realloc
#undef free
#undef strdup

#define FIRST 1024u             /* pages at the start */
#define MOST  2048u             /* pages that it may grow to */

static uint64_t frames[MOST];   /* the fake p2m: a page's frame, ~0 for none */
size_t p2m_nr;
static bool mapped[MOST];

void panic(const char *fmt, ...)
{
    abort();
}

pfn_t virt_to_pfn(const void *p)
{
    return pfn(((uint64_t)p - direct_map) >> PAGE_SHIFT);
}

mfn_t pfn_to_mfn(pfn_t n)
{
    return mfn(n.v < p2m_nr ? frames[n.v] : ~0UL);
}

mfn_t virt_to_mfn(const void *p)
{
    return pfn_to_mfn(virt_to_pfn(p));
}

void p2m_set(uint64_t n, mfn_t m)
{
    frames[n] = m.v;
    p2m_nr = MAX(p2m_nr, n + 1);
}

int direct_map_extend(uint64_t first, uint64_t end)
{
    for (; first < end; first++) {
        assert_false(mapped[first]);
        mapped[first] = true;
    }
    return 0;
}

void direct_map_drop(uint64_t first, uint64_t end)
{
    for (; first < end; first++) {
        assert_true(mapped[first]);
        mapped[first] = false;
    }
}

void *va_alloc(size_t pages)
{
    return NULL;
}

void va_free(void *va, size_t pages)
{
}

int map_at(void *va, domid_t dom, const mfn_t *m, size_t n, enum map_mode mode, int *errs)
{
    return -XEN_ENOSYS;
}

void unmap_at(void *va, size_t n)
{
}

long hypercall(unsigned int nr, uint64_t a1, uint64_t a2, uint64_t a3, uint64_t a4, uint64_t a5)
{
    struct xen_memory_reservation *r = (void *)a2;

    assert_int_equal(nr, __HYPERVISOR_memory_op);
    for (uint64_t i = 0; i < r->nr_extents; i++) {
        if (a1 == XENMEM_populate_physmap)
            r->extent_start.p[i] += 7000;
        else
            assert_true(r->extent_start.p[i] >= 7000 + FIRST);
    }
    return (long)r->nr_extents;
}

static int set_up(void **state)
{
    void *table = calloc(MOST, MEM_INFO_SIZE);

    direct_map = (uint64_t)aligned_alloc(4UL << 20, (size_t)MOST << PAGE_SHIFT);
    for (p2m_nr = 0; p2m_nr < FIRST; p2m_nr++) {
        frames[p2m_nr] = p2m_nr + 7000;
        mapped[p2m_nr] = true;
    }
    mem_begin(table, MOST);
    mem_add(3, 500);
    mem_add(500, FIRST);
    return 0;
}

static int tear_down(void **state)
{
    free((void *)direct_map);
    free(info);
    return 0;
}

static void pages_join_again(void **state)
{
    struct mem_stats s;
    void *p[64], *big;

    for (unsigned int i = 0; i < 64; i++) {
        p[i] = pages_alloc(i % 4);
        assert_non_null(p[i]);
        assert_int_equal((uint64_t)p[i] % (PAGE_SIZE << (i % 4)), 0);
        memset(p[i], 0x5a, PAGE_SIZE << (i % 4));
    }
    for (unsigned int i = 0; i < 64; i++)
        pages_free(p[(i * 13) % 64], ((i * 13) % 64) % 4);
    mem_get_stats(&s);
    assert_int_equal(s.pages_total, FIRST - 3);
    assert_int_equal(s.pages_free, FIRST - 3);
    big = pages_alloc(8);
    assert_non_null(big);
    assert_int_equal((uint64_t)big % (PAGE_SIZE << 8), 0);
    pages_free(big, 8);
    assert_null(pages_alloc(11));
}

#define OBJECTS 300
static struct {
    uint8_t *p;
    size_t n;
    uint8_t fill;
} object[OBJECTS];

static size_t some_size(void)
{
    static const size_t edges[] = { 1, 15, 16, 17, 512, 513, 2015, 2016, 2017, 4096, 4097, 40000 };

    return rand() % 3 ? 1 + (size_t)rand() % 3000 : edges[(size_t)rand() % ARRAY_SIZE(edges)];
}

static void check(unsigned int i)
{
    for (size_t k = 0; k < object[i].n; k += 1 + k / 16)
        assert_int_equal(object[i].p[k], object[i].fill);
}

static void objects_keep_what_is_theirs(void **state)
{
    struct mem_stats s;

    srand(2);
    for (unsigned int round = 0; round < 20000; round++) {
        unsigned int i = (unsigned int)rand() % OBJECTS;
        size_t n = some_size();

        if (object[i].p && rand() % 3 == 0) {
            uint8_t *p = rt_realloc(object[i].p, n);

            if (!p)
                continue;
            for (size_t k = 0; k < MIN(n, object[i].n); k++)
                assert_int_equal(p[k], object[i].fill);
            object[i].p = p;
        } else {
            if (object[i].p)
                check(i);
            rt_free(object[i].p);
            object[i].p = rt_malloc(n);
        }
        object[i].n = object[i].p ? n : 0;
        object[i].fill = (uint8_t)rand();
        assert_int_equal((uint64_t)object[i].p % 16, 0);
        if (object[i].p)
            memset(object[i].p, object[i].fill, n);
    }
    for (unsigned int i = 0; i < OBJECTS; i++) {
        check(i);
        rt_free(object[i].p);
    }
    mem_get_stats(&s);
    assert_int_equal(s.heap_bytes, 0);
    assert_int_equal(s.heap_objects, 0);
    /* One empty slab may stay for each size. */
    assert_true(s.pages_free >= s.pages_total - 4 * CLASSES);
}

static void odd_requests(void **state)
{
    uint8_t *p = rt_calloc(7, 9);

    assert_non_null(p);
    for (unsigned int i = 0; i < 63; i++)
        assert_int_equal(p[i], 0);
    rt_free(p);
    rt_free(NULL);
    assert_null(rt_calloc(1UL << 40, 1UL << 40));
    assert_null(rt_malloc(~0UL));
    p = (uint8_t *)rt_strdup("text");
    assert_string_equal((char *)p, "text");
    rt_free(p);
}

static void grows_and_gives_back(void **state)
{
    struct mem_stats s;
    void *p[FIRST + 400];

    for (unsigned int round = 0; round < 3; round++) {
        for (unsigned int i = 0; i < ARRAY_SIZE(p); i++) {
            p[i] = page_alloc();
            assert_non_null(p[i]);
        }
        mem_get_stats(&s);
        assert_true(s.pages_total > FIRST + 400);
        for (unsigned int i = 0; i < ARRAY_SIZE(p); i++)
            page_free(p[i]);
        assert_true(mem_give_back(200) > 300);
        mem_get_stats(&s);
        assert_true(s.pages_total < FIRST + 100);
        assert_true(s.pages_free >= 200);
    }
    /* Not beyond the limit. */
    assert_true(mem_grow(10 * MOST) <= MOST);
    mem_get_stats(&s);
    assert_true(s.pages_total <= MOST);
    assert_int_equal(p2m_nr, MOST);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pages_join_again),
        cmocka_unit_test(objects_keep_what_is_theirs),
        cmocka_unit_test(odd_requests),
        cmocka_unit_test(grows_and_gives_back),
    };

    return cmocka_run_group_tests(tests, set_up, tear_down);
}
