/* SPDX-License-Identifier: MIT */
/*
 * test-disk.c - runs in a guest with two disks made from one module: /dev/xvda writable, /dev/xvdb
 * read-only. Sector n of the module begins with n as eight bytes and is filled with n's low byte.
 * Compares what is there, writes pieces of all sizes and reads them back directly (O_DIRECT),
 * flushes, discards, and looks that the read-only disk has seen none of it.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define CHECK(c) do { if (!(c)) { printf("disk: line %d: %s (errno %d)\n", __LINE__, #c, errno); exit(1); } } while (0)

#define CHUNK 131072

static void pattern(uint8_t *buf, uint64_t sector, size_t bytes)
{
    for (size_t at = 0; at < bytes; at += 512, sector++) {
        memset(buf + at, (int)(sector & 255), 512);
        memcpy(buf + at, &sector, 8);
    }
}

static int open_wait(const char *path, int flags)
{
    for (int i = 0; i < 100; i++) {
        int fd = open(path, flags);

        if (fd >= 0)
            return fd;
        usleep(100000);
    }
    return -1;
}

int main(void)
{
    int a = open_wait("/dev/xvda", O_RDWR | O_DIRECT), b = open_wait("/dev/xvdb", O_RDONLY | O_DIRECT);
    uint8_t *buf = aligned_alloc(4096, CHUNK), *want = aligned_alloc(4096, CHUNK);
    uint64_t size = 0, sectors;
    unsigned int seed = 1;

    CHECK(a >= 0 && b >= 0 && buf && want);
    CHECK(ioctl(a, BLKGETSIZE64, &size) == 0 && size >= 8 * CHUNK);
    sectors = size / 512;
    for (uint64_t at = 0; at + CHUNK <= size; at += CHUNK) {
        CHECK(pread(a, buf, CHUNK, (off_t)at) == CHUNK);
        pattern(want, at / 512, CHUNK);
        CHECK(!memcmp(buf, want, CHUNK));
    }
    for (int i = 0; i < 300; i++) {
        size_t n = (size_t)(rand_r(&seed) % (CHUNK / 512) + 1) * 512;
        uint64_t s = (uint64_t)rand_r(&seed) % (sectors - n / 512);

        pattern(want, s ^ 0x5555, n);
        CHECK(pwrite(a, want, n, (off_t)(s * 512)) == (ssize_t)n);
        CHECK(pread(a, buf, n, (off_t)(s * 512)) == (ssize_t)n);
        CHECK(!memcmp(buf, want, n));
        if (i % 50 == 0)
            CHECK(fsync(a) == 0);
    }
    /* What is discarded reads as zeroes; what is beside it stays. */
    {
        uint64_t range[2] = { 8 * 512, CHUNK - 16 * 512 };

        pattern(want, 77, CHUNK);
        CHECK(pwrite(a, want, CHUNK, 0) == CHUNK);
        CHECK(ioctl(a, BLKDISCARD, range) == 0);
        memset(want + range[0], 0, range[1]);
        CHECK(pread(a, buf, CHUNK, 0) == CHUNK);
        CHECK(!memcmp(buf, want, CHUNK));
    }
    for (uint64_t at = 0; at + CHUNK <= size; at += CHUNK) {
        CHECK(pread(b, buf, CHUNK, (off_t)at) == CHUNK);
        pattern(want, at / 512, CHUNK);
        CHECK(!memcmp(buf, want, CHUNK));
    }
    CHECK(open("/dev/xvdb", O_WRONLY) < 0 || write(open("/dev/xvdb", O_WRONLY), want, 512) < 0);
    CHECK(pread(a, buf, 4096, (off_t)size) == 0);
    printf("disk: %llu sectors, all right\n", (unsigned long long)sectors);
    return 0;
}
