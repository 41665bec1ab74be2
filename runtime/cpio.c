/* SPDX-License-Identifier: MIT */
/* cpio.c - reads archives in cpio's "newc" format: headers of 8-digit hex fields. */
#include "runtime/cpio.h"
#include "lib/string.h"
#include "overflow.h"

#define HEADER 110u             /* magic and 13 fields of 8 digits */
#define FIELD_MODE     1
#define FIELD_FILESIZE 6
#define FIELD_NAMESIZE 11

bool cpio_is_archive(const void *archive, size_t size)
{
    return size >= HEADER && memcmp(archive, "070701", 6) == 0;
}

static bool hex_field(const uint8_t *header, unsigned int field, uint32_t *value)
{
    const uint8_t *p = header + 6 + field * 8;
    uint32_t v = 0;

    for (unsigned int i = 0; i < 8; i++) {
        unsigned int c = p[i] | 0x20;

        if (p[i] >= '0' && p[i] <= '9')
            v = v << 4 | (p[i] - '0');
        else if (c >= 'a' && c <= 'f')
            v = v << 4 | (c - 'a' + 10);
        else
            return false;
    }
    *value = v;
    return true;
}

bool cpio_next(const void *archive, size_t size, size_t *pos, struct cpio_entry *e)
{
    const uint8_t *base = archive;
    uint32_t file, name;
    size_t at = *pos, data;

    if (at > size || !cpio_is_archive(base + at, size - at))
        return false;
    if (!hex_field(base + at, FIELD_FILESIZE, &file) ||
        !hex_field(base + at, FIELD_NAMESIZE, &name) || !hex_field(base + at, FIELD_MODE, &e->mode))
        return false;
    if (!name || !range_inside(at + HEADER, name, size) || base[at + HEADER + name - 1] != '\0')
        return false;
    e->name = (const char *)base + at + HEADER;
    if (strcmp(e->name, "TRAILER!!!") == 0)
        return false;
    data = ROUND_UP(at + HEADER + name, (size_t)4);
    if (!range_inside(data, file, size))
        return false;
    e->data = base + data;
    e->size = file;
    *pos = ROUND_UP(data + file, (size_t)4);
    return true;
}
