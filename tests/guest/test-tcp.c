/* SPDX-License-Identifier: MIT */
/*
 * test-tcp.c - runs in a guest: exchanges data over TCP in both directions at once and compares
 * every byte. The environment's peer=ADDR[:PORT] makes it a client (default port 5001); without
 * it, it is the server for one client. MIB (default 4) megabytes go each way.
 */
#include <arpa/inet.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

static uint64_t total = 4 << 20;
static int sock;

/* What byte n of a stream is; the two directions differ by their seed. */
static uint8_t byte_at(uint64_t seed, uint64_t n)
{
    uint64_t x = (n >> 3) * 0x9e3779b97f4a7c15ull + seed;

    x ^= x >> 29;
    x *= 0xbf58476d1ce4e5b9ull;
    x ^= x >> 32;
    return (uint8_t)(x >> (n & 7) * 8);
}

static void *sender(void *arg)
{
    uint64_t seed = *(uint64_t *)arg;
    uint8_t buf[32768];

    for (uint64_t at = 0; at < total;) {
        size_t n = 1 + (size_t)(at * 7919 % sizeof(buf)), done = 0;

        if (n > total - at)
            n = total - at;
        for (size_t i = 0; i < n; i++)
            buf[i] = byte_at(seed, at + i);
        while (done < n) {
            ssize_t w = write(sock, buf + done, n - done);
            if (w <= 0) {
                perror("tcp: write");
                exit(1);
            }
            done += (size_t)w;
        }
        at += n;
    }
    shutdown(sock, SHUT_WR);
    return NULL;
}

static int receive(uint64_t seed)
{
    uint8_t buf[32768];
    uint64_t at = 0;
    ssize_t n;

    while ((n = read(sock, buf, sizeof(buf))) > 0) {
        for (ssize_t i = 0; i < n; i++) {
            if (buf[i] != byte_at(seed, at + (uint64_t)i)) {
                printf("tcp: byte %llu is wrong\n", (unsigned long long)at + (unsigned long long)i);
                return 1;
            }
        }
        at += (uint64_t)n;
    }
    if (at != total) {
        printf("tcp: %llu bytes came instead of %llu\n", (unsigned long long)at, (unsigned long long)total);
        return 1;
    }
    return 0;
}

static int open_client(const char *peer)
{
    struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons(5001) };
    char host[64];
    char *colon;

    snprintf(host, sizeof(host), "%s", peer);
    colon = strchr(host, ':');
    if (colon) {
        *colon = '\0';
        a.sin_port = htons((uint16_t)atoi(colon + 1));
    }
    if (inet_pton(AF_INET, host, &a.sin_addr) != 1)
        return -1;
    for (int i = 0; i < 120; i++) {     /* the server may still be booting */
        int s = socket(AF_INET, SOCK_STREAM, 0);

        if (connect(s, (struct sockaddr *)&a, sizeof(a)) == 0)
            return s;
        close(s);
        usleep(500000);
    }
    perror("tcp: connect");
    return -1;
}

static int open_server(void)
{
    struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons(5001) };
    int s = socket(AF_INET, SOCK_STREAM, 0), one = 1, client;

    setsockopt(s, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
    if (bind(s, (struct sockaddr *)&a, sizeof(a)) || listen(s, 1)) {
        perror("tcp: listen");
        return -1;
    }
    client = accept(s, NULL, NULL);
    close(s);                           /* others are refused, and try again */
    return client;
}

int main(void)
{
    const char *peer = getenv("peer"), *mib = getenv("MIB");
    uint64_t up = 1, down = 2;
    pthread_t t;
    int rc;

    if (mib)
        total = (uint64_t)atoi(mib) << 20;
    sock = peer ? open_client(peer) : open_server();
    if (sock < 0)
        return 2;
    pthread_create(&t, NULL, sender, peer ? &up : &down);
    rc = receive(peer ? down : up);
    pthread_join(t, NULL);
    if (!rc)
        printf("tcp: %llu bytes each way, all right\n", (unsigned long long)total);
    return rc;
}
