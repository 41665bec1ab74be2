/* SPDX-License-Identifier: MIT */
/*
 * test-phys.c - runs in a guest with up to eight disks, /dev/xvda to /dev/xvdh. On each that can be
 * written: pieces of all sizes are written at random places and read back directly (O_DIRECT), flushed,
 * a range is zeroed, a range discarded and written again. Then every disk is read whole, and its size,
 * sector size and CRC-32 printed, which the test compares with what stands in the host's image file.
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

#define CHECK(c) do { if (!(c)) { printf("phys: %s: line %d: %s (errno %d)\n", name, __LINE__, #c, errno); exit(1); } } while (0)
#define CHUNK 262144u

static const char *name = "";
static uint8_t *buf, *want;

static uint32_t crc32_more(uint32_t crc, const uint8_t *p, size_t n)
{
    static uint32_t table[256];

    for (uint32_t i = 0; !table[255] && i < 256; i++) {
        uint32_t c = i;

        for (int k = 0; k < 8; k++)
            c = c & 1 ? 0xedb88320u ^ c >> 1 : c >> 1;
        table[i] = c;
    }
    crc = ~crc;
    for (size_t i = 0; i < n; i++)
        crc = table[(crc ^ p[i]) & 255] ^ crc >> 8;
    return ~crc;
}

static void pattern(uint8_t *to, uint64_t seed, size_t bytes)
{
    for (size_t at = 0; at < bytes; at += 8, seed = seed * 6364136223846793005u + 1442695040888963407u)
        memcpy(to + at, &seed, 8);
}

static int open_wait(const char *path)
{
    for (int i = 0; i < 50; i++) {
        int fd = open(path, O_RDONLY | O_DIRECT);

        if (fd >= 0 || errno != ENOENT)
            return fd;
        usleep(100000);
    }
    return -1;
}

static void write_some(int fd, uint64_t size, uint32_t block)
{
    unsigned int seed = (unsigned int)name[8];

    for (int i = 0; i < 150; i++) {
        /* Odd numbers of blocks, at addresses that are no page borders, up to 64 pages. */
        size_t n = (size_t)(rand_r(&seed) % (CHUNK / 2 / block) + 1) * block;
        uint64_t at = (uint64_t)rand_r(&seed) % ((size - n) / block + 1) * block;
        size_t skew = (size_t)rand_r(&seed) % 8 * block % 4096;

        pattern(want, at ^ (uint64_t)i << 40, n);
        memcpy(buf + skew, want, n);
        CHECK(pwrite(fd, buf + skew, n, (off_t)at) == (ssize_t)n);
        memset(buf, 0, CHUNK);
        CHECK(pread(fd, buf + skew, n, (off_t)at) == (ssize_t)n);
        CHECK(!memcmp(buf + skew, want, n));
        if (i % 32 == 0)
            CHECK(fsync(fd) == 0);
    }
}

static void range(int fd, unsigned long op, uint64_t start, uint64_t length, const char *what)
{
    uint64_t r[2] = { start, length };
    int rc = ioctl(fd, op, r);

    printf("phys: %s: %s %s\n", name, what, rc == 0 ? "ok" : strerror(errno));
    if (rc)
        return;
    if (op == BLKZEROOUT) {
        memset(want, 0, length);
        CHECK(pread(fd, buf, length, (off_t)start) == (ssize_t)length);
        CHECK(!memcmp(buf, want, length));
    }
    pattern(want, start + op, length);
    CHECK(pwrite(fd, want, length, (off_t)start) == (ssize_t)length);
}

int main(void)
{
    int nr = 0;

    buf = aligned_alloc(4096, CHUNK);
    want = aligned_alloc(4096, CHUNK);
    for (char c = 'a'; c <= 'h'; c++) {
        char path[16];
        uint64_t size = 0;
        uint32_t crc = 0;
        int fd, block = 0, ro = 0;

        sprintf(path, "/dev/xvd%c", c);
        name = path;
        fd = c == 'a' ? open_wait(path) : open(path, O_RDONLY | O_DIRECT);
        if (fd < 0)
            break;
        nr++;
        CHECK(ioctl(fd, BLKGETSIZE64, &size) == 0 && ioctl(fd, BLKSSZGET, &block) == 0);
        CHECK(ioctl(fd, BLKROGET, &ro) == 0 && size >= 4 * CHUNK && size % CHUNK == 0);
        if (!ro) {
            int w = open(path, O_RDWR | O_DIRECT);

            CHECK(w >= 0);
            write_some(w, size, (uint32_t)block);
            range(w, BLKZEROOUT, 65536, 131072, "zero");
            range(w, BLKDISCARD, 262144, 131072, "discard");
            CHECK(fsync(w) == 0);
            close(w);
        } else {
            int w = open(path, O_RDWR | O_DIRECT);

            CHECK(w < 0 || pwrite(w, buf, (size_t)block, 0) < 0);
        }
        for (uint64_t at = 0; at < size; at += CHUNK) {
            CHECK(pread(fd, buf, CHUNK, (off_t)at) == CHUNK);
            crc = crc32_more(crc, buf, CHUNK);
        }
        printf("phys: xvd%c %llu %d %s %08x\n", c, (unsigned long long)size, block, ro ? "ro" : "rw", crc);
        close(fd);
    }
    printf("phys: %d disks\n", nr);
    return nr == 0;
}
