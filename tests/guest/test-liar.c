/* SPDX-License-Identifier: MIT */
/*
 * test-liar.c - runs in a stock guest: gives its vif to a backend in another domain that lies (tests/guests/liar), sends all kinds of
 * frames while that is there, and takes dom0's again when it is gone.
 *
 * A frontend's directory is the guest's own, so it says there who its backend is.
 */
#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define VIF    "device/vif/0"
#define DRIVER "/sys/bus/xen/drivers/sluice-netfront/"
#define SECRET 0xa5

enum { DIRECTORY = 1, READ, WRITE = 11, SET_PERMS = 14, ERROR = 16 };

static int store;
static char answer[4097];

/* A request of some strings, each with its 0 but the last value of a WRITE. NULL: refused. */
static const char *ask(uint32_t type, const char *payload, size_t len)
{
    struct { uint32_t type, req, tx, len; } h = { type, 0, 0, (uint32_t)len };
    char msg[1024];
    size_t have = 0;

    memcpy(msg, &h, sizeof(h));
    memcpy(msg + sizeof(h), payload, len);
    if (write(store, msg, sizeof(h) + len) != (ssize_t)(sizeof(h) + len) || read(store, &h, sizeof(h)) != sizeof(h) ||
        h.len >= sizeof(answer))
        exit(3);
    while (have < h.len) {
        ssize_t n = read(store, answer + have, h.len - have);

        if (n <= 0)
            exit(4);
        have += (size_t)n;
    }
    answer[have] = 0;
    return h.type == ERROR ? NULL : answer;
}

static const char *get(const char *path)
{
    return ask(READ, path, strlen(path) + 1);
}

static void put(const char *key, const char *value)
{
    char p[256];
    int n = snprintf(p, sizeof(p), VIF "/%s", key) + 1;

    memcpy(p + n, value, strlen(value));
    if (!ask(WRITE, p, (size_t)n + strlen(value))) {
        printf("liar: %s cannot be written: %s\n", key, answer);
        exit(1);
    }
}

/* All may read it, and what is made in it from now on. */
static void open_one(const char *me, const char *key)
{
    char p[256];
    int n = snprintf(p, sizeof(p), VIF "%s%s", *key ? "/" : "", key) + 1;

    n += snprintf(p + n, sizeof(p) - (size_t)n, "r%s", me) + 1;
    if (!ask(SET_PERMS, p, (size_t)n))
        printf("liar: permissions of %s: %s\n", key, answer);
}

static void open_up(const char *me)
{
    const char *all = ask(DIRECTORY, VIF, sizeof(VIF));
    char keys[4096];
    size_t n = 0;

    for (; all && (*all || n == 0); n += strlen(all) + 1, all += strlen(all) + 1)
        memcpy(keys + n, all, strlen(all) + 1);
    open_one(me, "");
    for (const char *k = keys; k < keys + n; k += strlen(k) + 1)
        open_one(me, k);
}

static int find_liar(void)
{
    char path[64];

    for (int d = 1; d < 64; d++) {
        snprintf(path, sizeof(path), "/local/domain/%d/data/back/state", d);
        if (get(path))
            return d;
    }
    return 0;
}

static void to_file(const char *path, const char *text)
{
    int fd = open(path, O_WRONLY);

    if (fd >= 0 && write(fd, text, strlen(text)) < 0)
        printf("liar: %s: %m\n", path);
    close(fd);
}

static long number(const char *path)
{
    char text[32] = "";
    int fd = open(path, O_RDONLY);

    if (fd >= 0 && read(fd, text, sizeof(text) - 1) < 0)
        text[0] = 0;
    close(fd);
    return atol(text);
}

static long free_kib(void)
{
    FILE *f = fopen("/proc/meminfo", "r");
    char line[128];
    long n = -1;

    to_file("/proc/sys/vm/drop_caches", "3");
    while (f && fgets(line, sizeof(line), f))
        sscanf(line, "MemFree: %ld", &n);
    if (f)
        fclose(f);
    return n;
}

/* From now on the vif's backend is that directory of that domain. */
static void take_backend(const char *path, const char *id)
{
    to_file(DRIVER "unbind", "vif-0");
    put("backend", path);
    put("backend-id", id);
    put("state", "1");
    /* The liar does not always say that it flips. */
    for (int i = 0; i < 100 && access("/sys/class/net/eth0", F_OK); i++) {
        to_file(DRIVER "bind", "vif-0");
        usleep(10000);
    }
    if (system("ifconfig eth0 $(cat /run/ip) netmask 255.255.255.0 up && ifconfig eth0 promisc"))
        printf("liar: no eth0\n");
}

/* Frames ------------------------------------------------------------------------------------ */

struct frame {
    struct { uint8_t flags, gso_type; uint16_t hdr_len, gso_size, csum_start, csum_offset; } v;
    uint8_t eth[14], ip[20], tcp[20], data[60000];
} __attribute__((packed));

static int open_eth0(void)
{
    struct sockaddr_ll to = { .sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_ALL) };
    struct timeval tv = { .tv_usec = 100000 };
    int fd = socket(AF_PACKET, SOCK_RAW, htons(ETH_P_ALL)), on = 1;

    to.sll_ifindex = (int)if_nametoindex("eth0");
    if (setsockopt(fd, SOL_PACKET, PACKET_VNET_HDR, &on, sizeof(on)) || setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &tv, sizeof(tv)) ||
        bind(fd, (struct sockaddr *)&to, sizeof(to))) {
        close(fd);
        return -1;
    }
    return fd;
}

/* TCP of any length, to be cut if it is long; and whatever came is taken. */
static int send_some(int fd)
{
    static struct frame f;
    static char in[70000];
    size_t n = rand() % 4 ? (size_t)(rand() % 1400) : (size_t)(rand() % (int)sizeof(f.data));

    memset(f.data, SECRET, sizeof(f.data));
    memset(f.eth, 2, 12);
    memcpy(f.eth + 12, "\x08\x00", 2);
    memcpy(f.ip, "\x45\x00\x00\x00\x00\x00\x00\x00\x40\x06\x00\x00\x0a\x00\x02\x15\x0a\x00\x02\x63", 20);
    f.ip[2] = (uint8_t)((n + 40) >> 8);
    f.ip[3] = (uint8_t)(n + 40);
    f.tcp[12] = 0x50;
    memset(&f.v, 0, sizeof(f.v));
    f.v.flags = 1;
    f.v.csum_start = 34;
    f.v.csum_offset = 16;
    if (n > 1400) {
        f.v.gso_type = 1;
        f.v.gso_size = 1400;
        f.v.hdr_len = 54;
    }
    while (recv(fd, in, sizeof(in), MSG_DONTWAIT) > 0)
        ;
    return send(fd, &f, sizeof(f) - sizeof(f.data) + n, MSG_DONTWAIT) > 0;
}

int main(void)
{
    char me[16], path[64], id[16], home[64], home_id[16];
    long sent = 0, ups = 0, before, after;
    time_t said = 0;
    int liar, fd;

    store = open("/dev/xen/xenbus", O_RDWR);
    if (store < 0)
        return 2;
    snprintf(me, sizeof(me), "%s", get("domid"));
    snprintf(home, sizeof(home), "%s", get(VIF "/backend"));
    snprintf(home_id, sizeof(home_id), "%s", get(VIF "/backend-id"));
    before = free_kib();
    printf("liar: domain %s waits, %ld KiB free\n", me, before);
    while (!(liar = find_liar()))
        usleep(100000);
    open_up(me);
    snprintf(path, sizeof(path), "/local/domain/%d/data/back", liar);
    snprintf(id, sizeof(id), "%d", liar);
    take_backend(path, id);
    strcat(path, "/state");
    fd = open_eth0();
    while (get(path)) {
        for (int i = 0; i < 50; i++)
            sent += fd >= 0 && send_some(fd);
        usleep(1000);
        if (time(NULL) != said) {
            said = time(NULL);
            ups = number("/sys/class/net/eth0/carrier_up_count");
            printf("liar linux: %ld connections, %ld sent, %ld KiB free\n", ups, sent, free_kib());
            fflush(stdout);
        }
    }
    close(fd);
    take_backend(home, home_id);
    for (int i = 0; i < 300 && number("/sys/class/net/eth0/carrier") != 1; i++)
        usleep(100000);
    after = free_kib();
    printf("liar linux: at home again, %ld KiB free, %ld before\n", after, before);
    return number("/sys/class/net/eth0/carrier") == 1 && ups > 0 && sent > 100 && after > before - 6000 ? 0 : 1;
}
