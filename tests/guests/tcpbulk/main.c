/* SPDX-License-Identifier: MIT */
/*
 * tcpbulk - sends or receives one stream over TCP, on netfront alone: handshake, windows, acknowledgements, retransmission
 * after a timeout, FIN both ways; a receiver takes what is in order. Its payload lies in whole pages that netfront can flip. Speaks with any
 * TCP/IPv4 station on its network; answers ARP.
 *
 *   role=send ip=A.B.C.D to=A.B.C.D port=N bytes=N     connects, sends, waits for the other's FIN
 *   role=receive ip=A.B.C.D port=N                     takes connections, one after another
 *   check=full                                         the receiver looks at every byte, else at a word of each page
 *   drop=N                                             loses every Nth segment that comes, to be sent again
 *   mode=flip|copy|standard
 *
 * Byte k of the stream follows from k, so that nothing need be kept to be sent again.
 */
#include "tests/guests/tcpbulk/tcp.h"
#include "lib/string.h"
#include "runtime/log.h"
#include "runtime/loop.h"
#include "runtime/start.h"
#include "runtime/time.h"
#include "runtime/xenbus.h"
#include "runtime/xs.h"

static bool full;
static uint64_t got, wrong;

static uint64_t word_of(uint64_t k)
{
    return (k / 8 + 1) * 0x9e3779b97f4a7c15UL;
}

/* Bytes [k, k + len) of the stream: all of them, or the words at the ends; k is a multiple of 8. */
static void fill(uint8_t *p, unsigned int len, uint64_t k)
{
    unsigned int words = len / 8;

    if (len == PAGE_SIZE && !full) {
        uint64_t first = word_of(k), last = word_of(k + PAGE_SIZE - 8);

        __builtin_memcpy(p, &first, 8);
        __builtin_memcpy(p + PAGE_SIZE - 8, &last, 8);
        return;
    }
    for (unsigned int i = 0; i < words; i += full || words < 2 ? 1 : words - 1) {
        uint64_t w = word_of(k + i * 8);

        __builtin_memcpy(p + i * 8, &w, 8);
    }
    for (unsigned int i = words * 8; i < len; i++)
        p[i] = (uint8_t)(word_of(k + i) >> 8 * ((k + i) % 8));
}

static void check(const uint8_t *p, unsigned int len, uint64_t k)
{
    got += len;
    if (full) {
        for (unsigned int i = 0; i < len; i++)
            wrong += p[i] != (uint8_t)(word_of(k + i) >> 8 * ((k + i) % 8));
    } else if (len >= 8 && k % PAGE_SIZE == 0) {
        uint64_t w;

        __builtin_memcpy(&w, p, 8);
        wrong += w != word_of(k);
    }
}

static void mark(const char *what)
{
    (void)xs_write(XS_NO_TXN, "data/mark", what, strlen(what));
}

static bool parse_ip(const char *s, uint32_t *ip)
{
    *ip = 0;
    for (unsigned int i = 0; i < 4; i++) {
        unsigned int n = 0;

        while (*s >= '0' && *s <= '9')
            n = n * 10 + (unsigned int)(*s++ - '0');
        if (n > 255 || (i < 3 && *s++ != '.'))
            return false;
        *ip = *ip << 8 | n;
    }
    return !*s;
}

static uint32_t ip_arg(const char *key)
{
    char text[24];
    uint32_t ip;

    if (!cmdline_get(key, text, sizeof(text)) || !parse_ip(text, &ip)) {
        log_error("tcpbulk: %s=A.B.C.D is missing", key);
        domain_shutdown(SHUTDOWN_crash);
    }
    return ip;
}

static unsigned int mode(void)
{
    char text[16] = "";

    (void)cmdline_get("mode", text, sizeof(text));
    return !strcmp(text, "copy") ? NETFRONT_COPY : !strcmp(text, "standard") ? NETFRONT_NO_FLIP : NETFRONT_BIG;
}

static void send_all(struct tcp *t)
{
    uint64_t bytes = cmdline_get_u64("bytes", 1 << 20), start;

    bulk_connect(t, ip_arg("to"), (uint16_t)cmdline_get_u64("port", 7), bytes);
    while (bulk_state(t) == TCP_SYN_SENT || bulk_state(t) == TCP_DOWN)
        loop_turn(true);
    mark("begin tcp");
    start = now_ns();
    while (bulk_state(t) != TCP_CLOSED)
        loop_turn(true);
    start = now_ns() - start;
    mark("end tcp");
    log_info("tcpbulk: sent %lu bytes, %lu acknowledged, %lu ns, %lu sent again: %s", bytes,
             bulk_acked(t), start, bulk_resent(t), bulk_acked(t) == bytes ? "ok" : "WRONG");
}

void pv_main(void)
{
    static const struct tcp_user user = { .fill = fill, .check = check };
    char text[16] = "";
    struct tcp *t;

    BUG_ON(xenbus_init());
    full = cmdline_get("check", text, sizeof(text)) && !strcmp(text, "full");
    t = bulk_open(mode(), ip_arg("ip"), (unsigned int)cmdline_get_u64("drop", 0), &user);
    if (!t)
        domain_shutdown(SHUTDOWN_crash);
    (void)cmdline_get("role", text, sizeof(text));
    if (!strcmp(text, "send")) {
        mark("begin nothing");
        mark("end nothing");
        send_all(t);
        log_info("tcpbulk: end");
        loop_run();
    }
    for (;;) {
        got = wrong = 0;
        bulk_listen(t, (uint16_t)cmdline_get_u64("port", 7));
        while (bulk_state(t) != TCP_CLOSED)
            loop_turn(true);
        log_info("tcpbulk: received %lu bytes, %lu wrong: %s", got, wrong, wrong ? "WRONG" : "ok");
    }
}
