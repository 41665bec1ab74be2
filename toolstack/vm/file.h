/* SPDX-License-Identifier: MIT */
/*
 * file.h - files that dom0 holds in memory: boot modules and what was uploaded.
 *
 * A boot module's name is the first word of its command line without directories (what
 * boot_module() gives). file_find() takes a name as people write it in xl.cfg: the full text is
 * compared first, then only what follows its last slash, so kernel="/boot/vmlinuz" finds the
 * module "vmlinuz". Of two files with one name the one that was added last is found.
 */
#ifndef VM_FILE_H
#define VM_FILE_H

#include "lib/list.h"

struct file {
    struct list link;
    const void *data;
    size_t size;
    uint32_t id;            /* never used again for another file: keys of caches */
    uint32_t refs;
    const char *source;     /* "module"; else who added it says: "upload", "url" */
    bool gone;              /* removed; freed when the last reference goes */
    void (*release)(struct file *f);    /* frees data; may be NULL */
    void *keeper;           /* release()'s own */
    char name[];
};

/* Adds a file of size bytes; release, when not NULL, is called once the file is removed and
 * nobody uses it. NULL when out of memory. */
struct file *file_add(const char *name, const void *data, size_t size,
                      void (*release)(struct file *f));

/* Adds all boot modules. Called once by main. */
void file_add_modules(void);

/* NULL: no such file. The result stays only while the caller does not return to the loop, or
 * holds a reference. */
struct file *file_find(const char *name);

struct file *file_get(struct file *f);
void file_put(struct file *f);      /* NULL is allowed */

/* Not found any more; freed with its last reference. */
void file_remove(struct file *f);

/* All files: file_for_each(f) { ... } */
extern struct list file_list;
#define file_for_each(f) list_for_each(f, &file_list, link)

#endif
