/* SPDX-License-Identifier: MIT */
/* test-grow.c - runs in a guest: waits until /dev/xvda has another size than now, and reads its new end. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <linux/fs.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <unistd.h>

static uint64_t size_of(int fd)
{
    uint64_t size = 0;

    return ioctl(fd, BLKGETSIZE64, &size) ? 0 : size;
}

int main(void)
{
    void *buf = aligned_alloc(4096, 4096);
    uint64_t before = 0, now;
    int fd = -1;

    for (int i = 0; i < 100 && fd < 0; i++, usleep(100000))
        fd = open("/dev/xvda", O_RDONLY | O_DIRECT);
    before = fd < 0 ? 0 : size_of(fd);
    if (!before || !buf)
        return 1;
    printf("grow: %llu KiB\n", (unsigned long long)before / 1024);
    fflush(stdout);
    while ((now = size_of(fd)) == before)
        usleep(100000);
    printf("grow: %llu KiB now\n", (unsigned long long)now / 1024);
    return pread(fd, buf, 4096, (off_t)now - 4096) == 4096 ? 0 : 2;
}
