/* SPDX-License-Identifier: MIT */
/* transfer.c - files on their way into dom0's memory (see transfer.h). */
#include "toolstack/vm/transfer.h"
#include <stdlib.h>
#include "lib/string.h"
#include "runtime/bigbuf.h"
#include "runtime/mem.h"
#include "toolstack/vm/file.h"
#include "toolstack/vm/hv.h"
#include "toolstack/vm/kernels.h"
#include "toolstack/vm/vm.h"

#define RESERVE_PAGES 1024UL      /* stay free for everything else in dom0 */

struct list transfer_list = LIST_INIT(transfer_list);
static unsigned int nr_transfers;

static bool name_char(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           (c && strchr("._-+~", c));
}

static bool name_ok(const char *s)
{
    size_t n = 0;

    while (n < TRANSFER_NAME_MAX && name_char(s[n]))
        n++;
    return n && n < TRANSFER_NAME_MAX && !s[n] && s[0] != '.';
}

static void release(struct file *f)
{
    bigbuf_free(f->keeper);
}

unsigned int file_users(const struct file *f)
{
    unsigned int n = 0;
    struct vm *vm;

    vm_for_each(vm)
        n += file_find(vm->cfg.kernel) == f || (vm->cfg.ramdisk[0] && file_find(vm->cfg.ramdisk) == f);
    return n;
}

int file_delete(struct file *f, char *why)
{
    unsigned int users = file_users(f);

    if (strcmp(f->source, "module") == 0)
        return why_set(why, -XEN_EBUSY, "%s: came with the host and stays", f->name);
    if (users)
        return why_set(why, -XEN_EBUSY, "%s: %u domain%s made of it", f->name, users,
                       users == 1 ? " is" : "s are");
    f->refs++;
    file_remove(f);
    kernels_forget(f);
    file_put(f);
    return 0;
}

/* Under the very name, not only its end. */
static struct file *exact(const char *name)
{
    struct file *f = file_find(name);

    return f && strcmp(f->name, name) == 0 ? f : NULL;
}

static int may_replace(const char *name, char *why)
{
    struct file *f = exact(name);

    if (f && (strcmp(f->source, "module") == 0 || file_users(f)))
        return why_set(why, -XEN_EBUSY, "%s: there is one, %s", name,
                       strcmp(f->source, "module") ? "and a domain is made of it"
                                                   : "a boot module of the host");
    return 0;
}

struct transfer *transfer_find(const char *name)
{
    struct transfer *t;

    transfer_for_each(t)
        if (strcmp(t->name, name) == 0)
            return t;
    return NULL;
}

void transfer_drop(struct transfer *t)
{
    list_remove(&t->link);
    nr_transfers--;
    bigbuf_free(t->data);
    free(t);
}

/* One that failed makes room. */
static void drop_oldest_failed(void)
{
    struct transfer *t;

    transfer_for_each(t) {
        if (t->failed) {
            transfer_drop(t);
            return;
        }
    }
}

struct transfer *transfer_begin(const char *name, const char *source, int *rc, char *why)
{
    struct transfer *t = transfer_find(name);

    *rc = 0;
    if (!name_ok(name))
        *rc = why_set(why, -XEN_EINVAL, "a file's name has up to %u letters, digits and ._-+~, and does "
                      "not begin with a dot", TRANSFER_NAME_MAX - 1);
    else if (t && !t->failed)
        *rc = why_set(why, -XEN_EBUSY, "%s: is being received already", name);
    else
        *rc = may_replace(name, why);
    if (*rc)
        return NULL;
    if (t)
        transfer_drop(t);
    if (nr_transfers == TRANSFERS)
        drop_oldest_failed();
    t = nr_transfers < TRANSFERS ? calloc(1, sizeof(*t)) : NULL;
    if (!t) {
        *rc = why_set(why, -XEN_ENOMEM, "too many files are being received");
        return NULL;
    }
    strlcpy(t->name, name, sizeof(t->name));
    t->source = source;
    list_push_back(&transfer_list, &t->link);
    nr_transfers++;
    return t;
}

/* What others have been promised and not yet received. */
static uint64_t promised(void)
{
    struct transfer *t;
    uint64_t n = 0;

    transfer_for_each(t)
        n += t->data ? t->size - t->received : 0;
    return n;
}

/* Bytes that a file may have now. */
static uint64_t room(void)
{
    uint64_t grow, pages, taken = promised() + (RESERVE_PAGES << PAGE_SHIFT);
    struct mem_stats mem;
    struct hv_host host;

    mem_get_stats(&mem);
    grow = mem.pages_limit - mem.pages_total;
    if (hv_host_info(&host) == 0)
        grow = MIN(grow, host.free_pages);
    pages = mem.pages_free + grow;
    return pages << PAGE_SHIFT > taken ? (pages << PAGE_SHIFT) - taken : 0;
}

int transfer_size(struct transfer *t, uint64_t size, char *why)
{
    uint64_t most = room();

    if (size > most)
        return why_set(why, -XEN_E2BIG, "%s: %lu bytes, and dom0 has room for %lu (mem_max=)", t->name,
                       size, most);
    t->data = bigbuf_new(size);
    if (!t->data)
        return why_set(why, -XEN_E2BIG, "%s: no memory for %lu bytes", t->name, size);
    t->size = size;
    t->sized = true;
    return 0;
}

bool transfer_data(struct transfer *t, const void *data, size_t len)
{
    len = MIN(len, t->size - t->received);
    if (!bigbuf_reach(t->data, t->received + len))
        return false;
    memcpy((char *)bigbuf_data(t->data) + t->received, data, len);
    t->received += len;
    return true;
}

struct file *transfer_done(struct transfer *t, int *rc, char *why)
{
    struct file *old = exact(t->name), *f = NULL;

    *rc = may_replace(t->name, why);
    if (!*rc && t->received != t->size)
        *rc = why_set(why, -XEN_ENOMEM, "%s: no memory left for all of it", t->name);
    if (!*rc && old)
        *rc = file_delete(old, why);
    if (!*rc) {
        f = file_add(t->name, bigbuf_data(t->data), t->size, release);
        if (!f)
            *rc = why_set(why, -XEN_ENOMEM, "out of memory");
    }
    if (f) {
        f->source = t->source;
        f->keeper = t->data;
        t->data = NULL;
    }
    transfer_drop(t);
    return f;
}

void transfer_fail(struct transfer *t, const char *why)
{
    bigbuf_free(t->data);
    t->data = NULL;
    t->failed = true;
    t->cancel = NULL;
    strlcpy(t->error, why, sizeof(t->error));
}
