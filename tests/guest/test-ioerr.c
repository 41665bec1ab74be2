/* SPDX-License-Identifier: MIT */
/*
 * test-ioerr.c - runs in a guest whose disks from /dev/xvdc on are slow, full or fail now and then. Writes each
 * once in pieces of 64 KiB, past the page cache, and reads back what was acknowledged, trying again where that
 * fails. Says how many calls failed; what was acknowledged must be there.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define PIECE 65536
#define PIECES_MAX 256
#define TRIES 100

static uint8_t *buf, *want;

static void fill(uint8_t *p, unsigned int n)
{
    for (size_t i = 0; i < PIECE; i += 8)
        memcpy(p + i, &(uint64_t){ (uint64_t)n << 32 | i }, 8);
}

static int wrong(const char *path, const char *what, unsigned int n)
{
    printf("ioerr: %s: %s piece %u: errno %d\n", path, what, n, errno);
    return 1;
}

static int try_disk(const char *path, int fd)
{
    unsigned int written = 0, refused = 0, retried = 0, pieces;
    bool there[PIECES_MAX];
    uint64_t size;

    if (ioctl(fd, BLKGETSIZE64, &size) || size / PIECE > PIECES_MAX)
        return wrong(path, "size in", PIECES_MAX);
    pieces = (unsigned int)(size / PIECE);
    for (unsigned int n = 0; n < pieces; n++) {
        fill(buf, n);
        there[n] = pwrite(fd, buf, PIECE, (off_t)n * PIECE) == PIECE;
        if (!there[n] && errno != EIO && errno != ENOSPC)
            return wrong(path, "write of", n);
        written += there[n];
        refused += !there[n];
    }
    for (unsigned int n = 0; n < pieces; n++) {
        unsigned int tries = 0;

        while (there[n] && pread(fd, buf, PIECE, (off_t)n * PIECE) != PIECE) {
            if (errno != EIO || ++tries == TRIES)
                return wrong(path, "read of", n);
            retried++;
        }
        fill(want, n);
        if (there[n] && memcmp(buf, want, PIECE))
            return wrong(path, "contents of", n);
    }
    printf("ioerr: %s: %u written, %u refused, %u reads tried again\n", path, written, refused, retried);
    return 0;
}

int main(void)
{
    char path[] = "/dev/xvdc";
    int bad = 0, fd;

    buf = aligned_alloc(4096, PIECE);
    want = aligned_alloc(4096, PIECE);
    if (!buf || !want)
        return 1;
    while ((fd = open(path, O_RDWR | O_DIRECT)) >= 0) {
        bad |= try_disk(path, fd);
        close(fd);
        path[8]++;
    }
    return bad || path[8] == 'c';
}
