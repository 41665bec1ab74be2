/* SPDX-License-Identifier: MIT */
/* decomp.c - zlib, zstd, liblzma and our LZ4 behind one reading interface (see decomp.h). */
#include <stdlib.h>
#include <lzma.h>
#include <zlib.h>
#include <zstd.h>
#include <zstd_errors.h>
#include "toolstack/builder/decomp.h"
#include "lib/lz4.h"
#include "lib/string.h"
#include "xenabi.h"

/* Kernels are packed with dictionaries of up to 128 MiB (zstd --ultra); more is not believable. */
#define XZ_MEMORY_LIMIT (192UL << 20)

struct lz4_stream {
    const uint8_t *in, *end;
    uint8_t *block;             /* LZ4_LEGACY_BLOCK_SIZE bytes, allocated at the first read */
    size_t have, taken;         /* bytes decoded into block, and of them handed out */
    bool last;
};

struct decomp {
    enum decomp_format format;
    const uint8_t *data;
    size_t size;
    bool started, ended;
    union {
        z_stream gzip;
        lzma_stream xz;
        struct {
            ZSTD_DStream *ds;
            ZSTD_inBuffer in;
        } zstd;
        struct lz4_stream lz4;
    };
};

enum decomp_format decomp_detect(const void *data, size_t size)
{
    static const struct {
        const char *magic;
        uint8_t len, format;
    } known[] = {
        { "\x1f\x8b", 2, DECOMP_GZIP },
        { "\xfd" "7zXZ", 6, DECOMP_XZ },
        { "\x28\xb5\x2f\xfd", 4, DECOMP_ZSTD },
        { "\x02\x21\x4c\x18", 4, DECOMP_LZ4 },
    };

    for (size_t i = 0; i < ARRAY_SIZE(known); i++) {
        if (size >= known[i].len && memcmp(data, known[i].magic, known[i].len) == 0)
            return (enum decomp_format)known[i].format;
    }
    return DECOMP_NONE;
}

const char *decomp_name(enum decomp_format f)
{
    static const char *const names[] = { "uncompressed", "gzip", "xz", "zstd", "lz4" };

    return names[f];
}

struct decomp *decomp_open(enum decomp_format f, const void *data, size_t size)
{
    struct decomp *d = calloc(1, sizeof(*d));

    if (!d)
        return NULL;
    d->format = f;
    d->data = data;
    d->size = size;
    return d;
}

static void *gzip_alloc(void *opaque, unsigned int items, unsigned int size)
{
    return calloc(items, size);
}

static void gzip_free(void *opaque, void *p)
{
    free(p);
}

static long gzip_start(struct decomp *d)
{
    int rc;

    d->gzip.zalloc = gzip_alloc;
    d->gzip.zfree = gzip_free;
    d->gzip.next_in = (void *)(uintptr_t)d->data;
    d->gzip.avail_in = (unsigned int)MIN(d->size, 0xffffffffUL);
    rc = inflateInit2(&d->gzip, 15 + 16);    /* the largest window; gzip's header and checksum */
    return rc == Z_OK ? 0 : -XEN_ENOMEM;
}

static long gzip_read(struct decomp *d, void *buf, size_t n)
{
    int rc;

    d->gzip.next_out = buf;
    d->gzip.avail_out = (unsigned int)n;
    rc = inflate(&d->gzip, Z_NO_FLUSH);
    if (rc == Z_STREAM_END)
        d->ended = true;
    else if (rc == Z_MEM_ERROR)
        return -XEN_ENOMEM;
    else if (rc != Z_OK && rc != Z_BUF_ERROR)
        return -XEN_EILSEQ;
    else if (d->gzip.avail_out != 0)
        return -XEN_ENODATA;
    return (long)(n - d->gzip.avail_out);
}

static long xz_start(struct decomp *d)
{
    if (lzma_stream_decoder(&d->xz, XZ_MEMORY_LIMIT, 0) != LZMA_OK)
        return -XEN_ENOMEM;
    d->xz.next_in = d->data;
    d->xz.avail_in = d->size;
    return 0;
}

static long xz_read(struct decomp *d, void *buf, size_t n)
{
    d->xz.next_out = buf;
    d->xz.avail_out = n;
    while (d->xz.avail_out) {
        size_t in = d->xz.avail_in, out = d->xz.avail_out;
        lzma_ret rc = lzma_code(&d->xz, LZMA_RUN);

        if (rc == LZMA_STREAM_END) {
            d->ended = true;
            break;
        }
        if (rc == LZMA_MEM_ERROR || rc == LZMA_MEMLIMIT_ERROR)
            return -XEN_ENOMEM;
        if (rc == LZMA_BUF_ERROR)
            return -XEN_ENODATA;
        if (rc != LZMA_OK)
            return -XEN_EILSEQ;
        if (in == 0 && d->xz.avail_in == 0 && out == d->xz.avail_out)
            return -XEN_ENODATA;
    }
    return (long)(n - d->xz.avail_out);
}

static long zstd_start(struct decomp *d)
{
    d->zstd.ds = ZSTD_createDStream();
    if (!d->zstd.ds)
        return -XEN_ENOMEM;
    d->zstd.in = (ZSTD_inBuffer){ .src = d->data, .size = d->size };
    return 0;
}

static long zstd_read(struct decomp *d, void *buf, size_t n)
{
    ZSTD_outBuffer out = { .dst = buf, .size = n };

    while (out.pos < out.size) {
        size_t in_pos = d->zstd.in.pos, out_pos = out.pos;
        size_t rc = ZSTD_decompressStream(d->zstd.ds, &out, &d->zstd.in);

        if (ZSTD_isError(rc))
            return ZSTD_getErrorCode(rc) == ZSTD_error_memory_allocation ? -XEN_ENOMEM
                                                                         : -XEN_EILSEQ;
        if (rc == 0) {
            d->ended = true;
            break;
        }
        if (in_pos == d->zstd.in.pos && out_pos == out.pos)
            return -XEN_ENODATA;
    }
    return (long)out.pos;
}

static long lz4_start(struct decomp *d)
{
    d->lz4.block = malloc(LZ4_LEGACY_BLOCK_SIZE);
    if (!d->lz4.block)
        return -XEN_ENOMEM;
    d->lz4.in = d->data + 4;
    d->lz4.end = d->data + d->size;
    return 0;
}

/*
 * The legacy frame has no end mark: a row of {u32 size, block}, and behind it whatever the kernel
 * build appended, which is the uncompressed size. So a rest of 4 bytes or less is the end, and a
 * block that decodes to less than a full one is the last.
 */
static long lz4_next_block(struct lz4_stream *s)
{
    uint32_t len;
    long n;

    do {
        if (s->last || s->end - s->in <= 4)
            return 0;
        memcpy(&len, s->in, 4);
        s->in += 4;
    } while (len == LZ4_LEGACY_MAGIC);    /* frames may be concatenated */
    if (len > (size_t)(s->end - s->in))
        return -XEN_ENODATA;
    n = lz4_block(s->block, LZ4_LEGACY_BLOCK_SIZE, s->in, len);
    if (n <= 0)
        return -XEN_EILSEQ;
    s->in += len;
    s->last = n < (long)LZ4_LEGACY_BLOCK_SIZE;
    s->have = (size_t)n;
    s->taken = 0;
    return n;
}

static long lz4_read(struct decomp *d, void *buf, size_t n)
{
    struct lz4_stream *s = &d->lz4;
    uint8_t *out = buf;
    size_t done = 0;

    while (done < n) {
        size_t some = MIN(s->have - s->taken, n - done);

        if (some == 0) {
            long rc = lz4_next_block(s);

            if (rc < 0)
                return rc;
            if (rc == 0) {
                d->ended = true;
                break;
            }
            continue;
        }
        memcpy(out + done, s->block + s->taken, some);
        s->taken += some;
        done += some;
    }
    return (long)done;
}

static const struct {
    long (*start)(struct decomp *);
    long (*read)(struct decomp *, void *, size_t);
} coder[] = {
    [DECOMP_GZIP] = { gzip_start, gzip_read },
    [DECOMP_XZ] = { xz_start, xz_read },
    [DECOMP_ZSTD] = { zstd_start, zstd_read },
    [DECOMP_LZ4] = { lz4_start, lz4_read },
};

long decomp_read(struct decomp *d, void *buf, size_t n)
{
    if (d->ended || n == 0)
        return 0;
    if (!d->started) {
        long rc = coder[d->format].start(d);

        if (rc)
            return rc;
        d->started = true;
    }
    return coder[d->format].read(d, buf, n);
}

void decomp_close(struct decomp *d)
{
    if (d && d->started && d->format == DECOMP_GZIP)
        inflateEnd(&d->gzip);
    else if (d && d->started && d->format == DECOMP_XZ)
        lzma_end(&d->xz);
    else if (d && d->started && d->format == DECOMP_ZSTD)
        ZSTD_freeDStream(d->zstd.ds);
    else if (d && d->started && d->format == DECOMP_LZ4)
        free(d->lz4.block);
    free(d);
}
