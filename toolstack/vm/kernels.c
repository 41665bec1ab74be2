/* SPDX-License-Identifier: MIT */
/* kernels.c - kernel images, shared and kept (see kernels.h). */
#include "toolstack/vm/kernels.h"
#include "lib/string.h"
#include "runtime/log.h"
#include "runtime/mem.h"
#include "toolstack/builder/image.h"
#include "xenabi.h"

static struct list kernels = LIST_INIT(kernels);    /* most recently asked for first */

static void kernel_free(struct kernel *k)
{
    list_remove(&k->link);
    image_free(k->image);
    file_put(k->file);
    free(k);
}

struct kernel *kernel_get(struct file *f, char *why)
{
    struct kernel *k;

    list_for_each(k, &kernels, link) {
        if (k->file == f && !k->error) {
            k->refs++;
            list_remove(&k->link);
            list_push_front(&kernels, &k->link);
            return k;
        }
    }
    k = calloc(1, sizeof(*k));
    if (!k) {
        why_set(why, -XEN_ENOMEM, "%s: dom0 is out of memory", f->name);
        return NULL;
    }
    k->image = image_open(f->name, f->data, f->size, why);
    if (!k->image) {
        free(k);
        return NULL;
    }
    k->file = file_get(f);
    k->refs = 1;
    list_push_front(&kernels, &k->link);
    return k;
}

static int try_again(struct kernel *k)
{
    image_free(k->image);
    k->image = image_open(k->file->name, k->file->data, k->file->size, k->why);
    return k->image ? 1 : -XEN_ENOMEM;
}

int kernel_step(struct kernel *k, char *why)
{
    int rc = k->error;

    if (k->ready)
        return 0;
    if (!rc)
        rc = image_step(k->image, k->why);
    if (rc == -XEN_ENOMEM && !k->error && kernels_trim())
        rc = try_again(k);
    if (rc < 0) {
        k->error = rc;
        memcpy(why, k->why, WHY_MAX);
    } else if (rc == 0) {
        k->ready = true;
        log_info("%s: %s, entry 0x%lx, %lu KiB kept", k->file->name, k->image->format,
                 k->image->notes.entry, image_footprint(k->image) >> 10);
    }
    return rc;
}

static size_t footprint(const struct kernel *k)
{
    return k->image ? image_footprint(k->image) : 0;
}

/* What nobody uses may hold a quarter of the memory that dom0 may grow to; the oldest go first. */
static void bound_kept(void)
{
    struct kernel *k, *tmp;
    struct mem_stats mem;
    size_t kept = 0;

    mem_get_stats(&mem);
    list_for_each_safe(k, tmp, &kernels, link) {
        if (k->refs)
            continue;
        kept += footprint(k);
        if (kept > (mem.pages_limit << PAGE_SHIFT) / 4) {
            kept -= footprint(k);
            kernel_free(k);
        }
    }
}

void kernel_put(struct kernel *k)
{
    if (!k || --k->refs != 0)
        return;
    if (!k->ready || k->file->gone)
        kernel_free(k);
    bound_kept();
}

bool kernels_trim(void)
{
    struct kernel *k, *tmp;
    bool any = false;

    list_for_each_safe(k, tmp, &kernels, link) {
        if (k->refs == 0) {
            kernel_free(k);
            any = true;
        }
    }
    return any;
}

void kernels_forget(const struct file *f)
{
    struct kernel *k, *tmp;

    list_for_each_safe(k, tmp, &kernels, link) {
        if (k->file == f && k->refs == 0)
            kernel_free(k);
    }
}

size_t kernels_footprint(void)
{
    struct kernel *k;
    size_t bytes = 0;

    list_for_each(k, &kernels, link)
        bytes += footprint(k);
    return bytes;
}
