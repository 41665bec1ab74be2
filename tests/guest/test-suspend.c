/* SPDX-License-Identifier: MIT */
/*
 * test-suspend.c - runs in a guest that is suspended and resumed meanwhile: TCP in both directions, every byte compared; pieces
 * of all lengths written to /dev/xvda and read back, two at a time; two clocks watched. Says how far it is four times a second;
 * a line on its console is answered with the time, and ends it if it is "end", when all that was sent has arrived. In the environment: peer=ADDR, whom it connects
 * to; serve=1, it waits for one who connects. Both: two connections.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define CHECK(c) do { if (!(c)) { printf("suspend: line %d: %s (errno %d)\n", __LINE__, #c, errno); exit(1); } } while (0)

#define PIECE 131072

/* A connection, and what its streams are made of. */
struct conn {
    int sock;
    uint64_t out, in;
    volatile uint64_t sent, received;
};

static struct conn client = { .out = 1, .in = 2 }, server = { .out = 2, .in = 1 };
static volatile uint64_t pieces[2];
static volatile int stop;

/* What byte n of a stream is; streams differ by their seed. */
static uint8_t byte_at(uint64_t seed, uint64_t n)
{
    uint64_t x = (n >> 3) * 0x9e3779b97f4a7c15ull + seed;

    x ^= x >> 29;
    x *= 0xbf58476d1ce4e5b9ull;
    x ^= x >> 32;
    return (uint8_t)(x >> (n & 7) * 8);
}

static void *send_all(void *arg)
{
    struct conn *c = arg;
    uint8_t buf[32768];

    while (!stop) {
        size_t n = 1 + (size_t)(c->sent * 7919 % sizeof(buf)), done = 0;

        for (size_t i = 0; i < n; i++)
            buf[i] = byte_at(c->out, c->sent + i);
        while (done < n) {
            ssize_t w = write(c->sock, buf + done, n - done);

            CHECK(w > 0);
            done += (size_t)w;
        }
        c->sent += n;
    }
    shutdown(c->sock, SHUT_WR);
    return NULL;
}

/* Until the peer has no more to send. */
static void *receive_all(void *arg)
{
    struct conn *c = arg;
    uint8_t buf[32768];
    ssize_t n;

    while ((n = read(c->sock, buf, sizeof(buf))) > 0) {
        for (ssize_t i = 0; i < n; i++)
            CHECK(buf[i] == byte_at(c->in, c->received + (uint64_t)i));
        c->received += (uint64_t)n;
    }
    CHECK(n == 0);
    return NULL;
}

static int connect_to(const char *peer)
{
    struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons(5001) };
    int s = socket(AF_INET, SOCK_STREAM, 0);

    CHECK(inet_pton(AF_INET, peer, &a.sin_addr) == 1);
    while (connect(s, (struct sockaddr *)&a, sizeof(a))) {      /* the server may still be booting */
        close(s);
        usleep(200000);
        s = socket(AF_INET, SOCK_STREAM, 0);
    }
    return s;
}

static int wait_for_client(void)
{
    struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons(5001) };
    int s = socket(AF_INET, SOCK_STREAM, 0), one = 1, c;

    setsockopt(s, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
    CHECK(bind(s, (struct sockaddr *)&a, sizeof(a)) == 0 && listen(s, 1) == 0);
    c = accept(s, NULL, NULL);
    CHECK(c >= 0);
    return c;
}

/* Half h of the disk, write and read back until the end. */
static void *disk_half(void *half)
{
    unsigned int h = (unsigned int)(uintptr_t)half, seed = h + 1;
    uint8_t *out = aligned_alloc(4096, PIECE), *in = aligned_alloc(4096, PIECE);
    int fd = open("/dev/xvda", O_RDWR | O_DIRECT);
    uint64_t size = 0, sectors;

    CHECK(fd >= 0 && in && out && ioctl(fd, BLKGETSIZE64, &size) == 0 && size >= 4 * PIECE);
    sectors = size / 1024;
    while (!stop) {
        size_t n = (size_t)(rand_r(&seed) % (PIECE / 512) + 1) * 512;
        uint64_t s = h * sectors + (uint64_t)rand_r(&seed) % (sectors - n / 512);

        for (size_t i = 0; i < n; i++)
            out[i] = byte_at(pieces[h] * 2 + h, i);
        CHECK(pwrite(fd, out, n, (off_t)(s * 512)) == (ssize_t)n);
        CHECK(pieces[h] % 16 || fsync(fd) == 0);
        CHECK(pread(fd, in, n, (off_t)(s * 512)) == (ssize_t)n && !memcmp(in, out, n));
        pieces[h]++;
    }
    return NULL;
}

static double now(clockid_t c)
{
    struct timespec t;

    CHECK(clock_gettime(c, &t) == 0);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void *watch_clocks(void *unused)
{
    double mono = 0, real = 0, said = 0;

    while (!stop) {
        double m = now(CLOCK_MONOTONIC), r = now(CLOCK_REALTIME);

        CHECK(m >= mono && r >= real);
        mono = m;
        real = r;
        if (m >= said + 0.25) {
            said = m;
            printf("suspend: %llu asked %llu served %llu pieces\n", (unsigned long long)client.received >> 10,
                   (unsigned long long)server.received >> 10, (unsigned long long)(pieces[0] + pieces[1]));
        }
        usleep(5000);
    }
    return NULL;
}

int main(void)
{
    const char *peer = getenv("peer");
    bool serve = getenv("serve") != NULL;
    pthread_t t[7];
    int n = 0;
    char line[16];

    setvbuf(stdout, NULL, _IOLBF, 0);
    if (peer) {
        client.sock = connect_to(peer);
        pthread_create(&t[n++], NULL, send_all, &client);
        pthread_create(&t[n++], NULL, receive_all, &client);
    }
    if (serve) {
        server.sock = wait_for_client();
        pthread_create(&t[n++], NULL, send_all, &server);
        pthread_create(&t[n++], NULL, receive_all, &server);
    }
    pthread_create(&t[n++], NULL, disk_half, (void *)0);
    pthread_create(&t[n++], NULL, disk_half, (void *)1);
    pthread_create(&t[n++], NULL, watch_clocks, NULL);
    do {
        CHECK(fgets(line, sizeof(line), stdin));
        printf("suspend: clock %.3f\n", now(CLOCK_REALTIME));
    } while (strncmp(line, "end", 3));
    stop = 1;
    while (n > 0)
        pthread_join(t[--n], NULL);
    printf("suspend: all right: client %llu %llu server %llu %llu end\n", (unsigned long long)client.sent,
           (unsigned long long)client.received, (unsigned long long)server.sent, (unsigned long long)server.received);
    return 0;
}
