/* SPDX-License-Identifier: MIT */
/*
 * back.c - traffic of a benchmark's guest to an echo and back, every byte checked.
 *
 *   back udp ADDRESS PORT SIZE COUNT     datagrams, 32 under way
 *   back tcp ADDRESS PORT MIB            a stream
 *
 * Not in bench.c, whose measurements of fork() depend on which of its pages its code lies in.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

static char pattern[1 << 17], in[1 << 17];

static void die(const char *what)
{
    perror(what);
    exit(1);
}

static int connected(int type, const char *ip, int port)
{
    struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons((uint16_t)port) };
    int s = socket(AF_INET, type, 0);

    if (s < 0 || inet_pton(AF_INET, ip, &a.sin_addr) != 1 || connect(s, (const struct sockaddr *)&a, sizeof(a)))
        die("connect");
    return s;
}

static void udp(const char *ip, int port, size_t size, uint64_t count)
{
    uint64_t out = 0, good = 0, bad = 0, lost = 0, n = 0;
    struct timeval tv = { .tv_sec = 1 };
    int s = connected(SOCK_DGRAM, ip, port), rb = 4 << 20;

    setsockopt(s, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv));
    setsockopt(s, SOL_SOCKET, SO_RCVBUF, &rb, sizeof(rb));
    while (good + bad + lost < count) {
        ssize_t r;

        for (; out < count && out - good - bad - lost < 32; out++) {
            memcpy(pattern, &out, sizeof(out));
            if (send(s, pattern, size, 0) != (ssize_t)size)
                die("send");
        }
        r = recv(s, in, sizeof(in), 0);
        if (r < 0) {
            lost = out - good - bad;
            continue;
        }
        memcpy(&n, in, sizeof(n));
        if (r == (ssize_t)size && n < out && !memcmp(in + sizeof(n), pattern + sizeof(n), size - sizeof(n)))
            good++;
        else
            bad++;
    }
    printf("R back_udp size=%zu sent=%llu good=%llu bad=%llu lost=%llu\n", size, (unsigned long long)count,
           (unsigned long long)good, (unsigned long long)bad, (unsigned long long)lost);
}

/* How much of `len` bytes from that place in the stream on there is before the pattern begins anew. */
static size_t piece(uint64_t at, uint64_t len)
{
    size_t left = sizeof(pattern) - at % sizeof(pattern);

    return len < left ? (size_t)len : left;
}

static void tcp(const char *ip, int port, int mib)
{
    uint64_t total = (uint64_t)mib << 20, out = 0, back = 0, bad = 0;
    int s = connected(SOCK_STREAM, ip, port);

    fcntl(s, F_SETFL, O_NONBLOCK);
    while (back < total) {
        struct pollfd p = { .fd = s, .events = out < total ? POLLIN | POLLOUT : POLLIN };

        if (poll(&p, 1, -1) < 0)
            die("poll");
        if (p.revents & POLLOUT) {
            ssize_t w = write(s, pattern + out % sizeof(pattern), piece(out, total - out));

            if (w < 0 && errno != EAGAIN)
                die("write");
            out += w > 0 ? (uint64_t)w : 0;
        }
        if (p.revents & ~POLLOUT) {
            ssize_t r = read(s, in, sizeof(in));

            if (r == 0 || (r < 0 && errno != EAGAIN))
                die("read");
            for (size_t i = 0, n; r > 0 && i < (size_t)r; i += n, back += n) {
                n = piece(back, (size_t)r - i);
                bad += memcmp(in + i, pattern + back % sizeof(pattern), n) != 0;
            }
        }
    }
    printf("R back_tcp MiB=%d bad=%llu\n", mib, (unsigned long long)bad);
}

int main(int argc, char **argv)
{
    for (size_t i = 0; i < sizeof(pattern); i++)
        pattern[i] = (char)(i * 7 + (i >> 8));
    if (argc == 6 && !strcmp(argv[1], "udp") && atoi(argv[4]) >= 8)
        udp(argv[2], atoi(argv[3]), (size_t)atoi(argv[4]), (uint64_t)atoi(argv[5]));
    else if (argc == 5 && !strcmp(argv[1], "tcp"))
        tcp(argv[2], atoi(argv[3]), atoi(argv[4]));
    else
        return 2;
    return 0;
}
