/* SPDX-License-Identifier: MIT */
/* test_kernels.c - kernel images shared by domains, kept, and given up. */
/* LINK: toolstack/vm/kernels.c toolstack/vm/file.c lib/why.c lib/printf.c lib/strlcpy.c */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "runtime/log.h"
#include "runtime/mem.h"
#include "runtime/start.h"
#include "toolstack/builder/image.h"
#include "toolstack/vm/kernels.h"
#include "xenabi.h"

static unsigned int images, steps_taken;
static int image_error;
static bool out_of_memory_once;

void log_at(enum log_level level, const char *fmt, ...)
{
}

const struct boot_module *boot_module(unsigned int i)
{
    return NULL;
}

/* dom0 may grow to 64 pages; each image takes 10. */
void mem_get_stats(struct mem_stats *s)
{
    *s = (struct mem_stats){ .pages_limit = 64 };
}

struct image *image_open(const char *name, const void *data, size_t size, char *why)
{
    struct image *im;

    if (size == 0) {
        why_set(why, -XEN_ENOEXEC, "%s: file is empty", name);
        return NULL;
    }
    im = calloc(1, sizeof(*im));
    im->at = 2;     /* steps to go */
    images++;
    return im;
}

int image_step(struct image *im, char *why)
{
    steps_taken++;
    if (out_of_memory_once) {
        out_of_memory_once = false;
        return why_set(why, -XEN_ENOMEM, "no memory");
    }
    if (image_error)
        return why_set(why, image_error, "corrupt");
    return --im->at != 0;
}

size_t image_footprint(const struct image *im)
{
    return 10 * PAGE_SIZE;
}

void image_free(struct image *im)
{
    images -= im != NULL;
    free(im);
}

static struct file *f[3];
static char why[WHY_MAX];

static int setup(void **state)
{
    image_error = 0;
    out_of_memory_once = false;
    steps_taken = 0;
    for (int i = 0; i < 3; i++)
        f[i] = file_add("vmlinuz", "x", 1, NULL);
    return 0;
}

static int teardown(void **state)
{
    for (int i = 0; i < 3; i++)
        file_remove(f[i]);
    kernels_trim();
    assert_int_equal(images, 0);
    assert_int_equal(kernels_footprint(), 0);
    return 0;
}

static struct kernel *load(struct file *file)
{
    struct kernel *k = kernel_get(file, why);

    while (kernel_step(k, why) == 1)
        ;
    assert_true(k->ready);
    return k;
}

static void two_users_share_one(void **state)
{
    struct kernel *a = kernel_get(f[0], why), *b = kernel_get(f[0], why);

    assert_ptr_equal(a, b);
    assert_int_equal(kernel_step(a, why), 1);
    assert_int_equal(kernel_step(b, why), 0);
    assert_int_equal(kernel_step(a, why), 0);
    assert_int_equal(steps_taken, 2);
    kernel_put(a);
    kernel_put(b);
    assert_ptr_equal(kernel_get(f[0], why), a);     /* kept */
    assert_true(a->ready);
    assert_false(kernels_trim());                   /* in use */
    kernel_put(a);
    assert_true(kernels_trim());
}

static void an_error_is_for_all_who_share_it(void **state)
{
    struct kernel *a = kernel_get(f[0], why), *b = kernel_get(f[0], why), *c;

    image_error = -XEN_EILSEQ;
    assert_int_equal(kernel_step(a, why), -XEN_EILSEQ);
    image_error = 0;
    why[0] = 0;
    assert_int_equal(kernel_step(b, why), -XEN_EILSEQ);
    assert_string_equal(why, "corrupt");
    c = kernel_get(f[0], why);                      /* who comes later tries anew */
    assert_ptr_not_equal(c, a);
    kernel_put(a);
    kernel_put(b);
    kernel_put(c);
    assert_int_equal(images, 0);
}

static void memory_comes_from_what_nobody_uses(void **state)
{
    struct kernel *a = load(f[0]), *b;

    kernel_put(a);
    out_of_memory_once = true;
    b = load(f[1]);                                 /* a went for it */
    assert_int_equal(images, 1);
    out_of_memory_once = true;
    kernel_put(b);
    b = kernel_get(f[2], why);
    assert_int_equal(kernel_step(b, why), 1);       /* b of f[1] went */
    out_of_memory_once = true;
    assert_int_equal(kernel_step(b, why), -XEN_ENOMEM);
    kernel_put(b);
}

static void a_quarter_of_memory_is_kept(void **state)
{
    struct kernel *a = load(f[0]), *b = load(f[1]);

    kernel_put(a);
    kernel_put(b);
    assert_int_equal(images, 1);                    /* 10 of 16 pages: the newer one stays */
    assert_ptr_equal(kernel_get(f[1], why), b);
    kernel_put(b);
}

static void removed_files_are_not_kept(void **state)
{
    struct kernel *a = load(f[0]);

    file_get(f[0]);         /* for teardown */
    file_remove(f[0]);
    assert_int_equal(images, 1);
    kernel_put(a);
    assert_int_equal(images, 0);
    file_put(f[0]);
    f[0] = file_add("again", "x", 1, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(two_users_share_one, setup, teardown),
        cmocka_unit_test_setup_teardown(an_error_is_for_all_who_share_it, setup, teardown),
        cmocka_unit_test_setup_teardown(memory_comes_from_what_nobody_uses, setup, teardown),
        cmocka_unit_test_setup_teardown(a_quarter_of_memory_is_kept, setup, teardown),
        cmocka_unit_test_setup_teardown(removed_files_are_not_kept, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
