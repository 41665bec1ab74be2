/* SPDX-License-Identifier: MIT */
/*
 * uaccess.c - copy_from_guest, copy_to_guest: the one way to touch guest memory.
 *
 * Ring 0 can reach everything, so the address check is what keeps a guest from making us read or
 * write our own memory. Write protection of guest page tables holds for us too: CR0.WP is set.
 */
#include "mm/uaccess.h"
#include "xenabi.h"

bool guest_range_ok(guest_ptr_t p, uint64_t bytes)
{
    uint64_t last = p.v + (bytes ? bytes - 1 : 0);

    if (last < p.v)
        return false;
    return last < GUEST_LOWER_END || p.v >= HV_VIRT_END;
}

/* 0, or the number of bytes that were not copied. Eight bytes at a time, as far as that goes. */
static uint64_t copy_words(void *dst, const void *src, uint64_t n)
{
    uint64_t words = n / 8, tail = n % 8;

    __asm__ volatile("1: rep movsq\n\t"
                     "mov %[tail], %%rcx\n\t"
                     "2: rep movsb\n\t"
                     "jmp 4f\n"
                     "3: lea (%[tail], %%rcx, 8), %%rcx\n"
                     "4:\n\t"
                     EXTABLE("1b", "3b")
                     EXTABLE("2b", "4b")
                     : "+D"(dst), "+S"(src), "+c"(words)
                     : [tail] "r"(tail) : "memory");
    return words;
}

/* Small multiples of 8: most of what hypercalls pass. */
static inline bool load_word(uint64_t *v, const uint64_t *p)
{
    __asm__ goto volatile("1: movq %[p], %[v]\n\t" EXTABLE("1b", "%l[fault]")
                          : [v] "=r"(*v) : [p] "m"(*p) : : fault);
    return true;
fault:
    return false;
}

static inline bool store_word(uint64_t *p, uint64_t v)
{
    __asm__ goto volatile("1: movq %[v], %[p]\n\t" EXTABLE("1b", "%l[fault]")
                          : : [p] "m"(*p), [v] "r"(v) : "memory" : fault);
    return true;
fault:
    return false;
}

int copy_from_guest(void *dst, guest_ptr_t src, size_t n)
{
    if (unlikely(!guest_range_ok(src, n)))
        return -XEN_EFAULT;
    if (n <= 32 && n % 8 == 0 && ((uintptr_t)dst & 7) == 0) {
        const uint64_t *s = (const uint64_t *)src.v;
        uint64_t *d = dst;

        for (; n; n -= 8)
            if (unlikely(!load_word(d++, s++)))
                return -XEN_EFAULT;
        return 0;
    }
    return copy_words(dst, (const void *)src.v, n) ? -XEN_EFAULT : 0;
}

int copy_to_guest(guest_ptr_t dst, const void *src, size_t n)
{
    if (unlikely(!guest_range_ok(dst, n)))
        return -XEN_EFAULT;
    if (n <= 32 && n % 8 == 0 && ((uintptr_t)src & 7) == 0) {
        const uint64_t *s = src;
        uint64_t *d = (uint64_t *)dst.v;

        for (; n; n -= 8)
            if (unlikely(!store_word(d++, *s++)))
                return -XEN_EFAULT;
        return 0;
    }
    return copy_words((void *)dst.v, src, n) ? -XEN_EFAULT : 0;
}

int clear_guest(guest_ptr_t dst, size_t n)
{
    uint64_t words = n / 8, tail = n % 8;
    void *d = (void *)dst.v;

    if (unlikely(!guest_range_ok(dst, n)))
        return -XEN_EFAULT;
    __asm__ volatile("1: rep stosq\n\t"
                     "mov %[tail], %%rcx\n\t"
                     "2: rep stosb\n\t"
                     "jmp 4f\n"
                     "3: lea (%[tail], %%rcx, 8), %%rcx\n"
                     "4:\n\t"
                     EXTABLE("1b", "3b")
                     EXTABLE("2b", "4b")
                     : "+D"(d), "+c"(words)
                     : [tail] "r"(tail), "a"(0) : "memory");
    return words ? -XEN_EFAULT : 0;
}

int read_guest_u64(uint64_t *v, guest_ptr_t p)
{
    if (unlikely(!guest_range_ok(p, sizeof(*v))) || !load_word(v, (const uint64_t *)p.v))
        return -XEN_EFAULT;
    return 0;
}

int cmpxchg_guest_u64(guest_ptr_t p, uint64_t *old, uint64_t new_value)
{
    uint64_t *at = (uint64_t *)p.v, seen = *old;

    if (unlikely(!guest_range_ok(p, sizeof(*old))))
        return -XEN_EFAULT;
    __asm__ goto volatile("1: lock cmpxchgq %[new], %[at]\n\t" EXTABLE("1b", "%l[fault]")
                          : "+a"(seen), [at] "+m"(*at) : [new] "r"(new_value) : "memory" : fault);
    if (seen == *old)
        return 0;
    *old = seen;
    return 1;
fault:
    return -XEN_EFAULT;
}
