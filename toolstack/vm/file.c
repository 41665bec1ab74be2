/* SPDX-License-Identifier: MIT */
/* file.c - files that dom0 holds in memory (see file.h). */
#include "toolstack/vm/file.h"
#include "lib/string.h"
#include "runtime/log.h"
#include "runtime/mem.h"
#include "runtime/start.h"

struct list file_list = LIST_INIT(file_list);

struct file *file_add(const char *name, const void *data, size_t size,
                      void (*release)(struct file *f))
{
    static uint32_t last_id;
    size_t len = strlen(name) + 1;
    struct file *f = calloc(1, sizeof(*f) + len);

    if (!f)
        return NULL;
    memcpy(f->name, name, len);
    f->data = data;
    f->size = size;
    f->release = release;
    f->source = "module";
    f->refs = 1;
    f->id = ++last_id;
    list_push_front(&file_list, &f->link);
    return f;
}

void file_add_modules(void)
{
    const struct boot_module *m;

    for (unsigned int i = 0; (m = boot_module(i)) != NULL; i++) {
        if (!file_add(m->name, m->data, m->size, NULL))
            log_error("%s: out of memory, boot module left out", m->name);
    }
}

static struct file *find_exact(const char *name)
{
    struct file *f;

    file_for_each(f) {
        if (strcmp(f->name, name) == 0)
            return f;
    }
    return NULL;
}

struct file *file_find(const char *name)
{
    struct file *f = find_exact(name);
    const char *slash = strrchr(name, '/');

    return f || !slash ? f : find_exact(slash + 1);
}

struct file *file_get(struct file *f)
{
    f->refs++;
    return f;
}

void file_put(struct file *f)
{
    if (!f || --f->refs != 0)
        return;
    if (f->release)
        f->release(f);
    free(f);
}

void file_remove(struct file *f)
{
    if (f->gone)
        return;
    f->gone = true;
    list_remove(&f->link);
    file_put(f);
}
