/* SPDX-License-Identifier: MIT */
/*
 * console.c - log output. The initial domain writes through the hypervisor's console; any other
 * domain through its console ring. What was written last is kept for log_read().
 */
#include "runtime/log.h"
#include "atomic.h"
#include "lib/printf.h"
#include "lib/string.h"
#include "runtime/hypercall.h"
#include "runtime/console.h"
#include "runtime/start.h"
#include "runtime/time.h"

#define LOG_RING 65536u

static char log_ring[LOG_RING];
static uint64_t log_end;                /* bytes ever written */
static void (*on_write)(void);
static enum log_level max_level = LOG_INFO;
static struct xencons_interface *ring;  /* NULL: console_io */
static evtchn_port_t ring_port;

void console_init(struct xencons_interface *page, uint32_t port)
{
    ring = page;
    ring_port = port;
}

static void ring_kick(void)
{
    struct evtchn_send send = { .port = ring_port };

    (void)hc_event_channel_op(EVTCHNOP_send, &send);
}

/* The reader may be slow, but one that takes nothing for so long must not stop us again and again. */
#define READER_PATIENCE (20 * NS_PER_S)

static void ring_write(const char *text, size_t n)
{
    static XENCONS_RING_IDX given_up_at;
    static bool given_up;
    uint64_t moved = now_ns();

    while (n) {
        XENCONS_RING_IDX prod = ring->out_prod;
        uint32_t room = sizeof(ring->out) - (prod - load_acquire(&ring->out_cons));

        if (room > sizeof(ring->out))
            return;
        if (!room) {
            given_up = given_up && given_up_at == prod;
            if (given_up)
                return;
            if (now_ns() - moved > READER_PATIENCE) {
                given_up = true;
                given_up_at = prod;
                return;
            }
            ring_kick();
            (void)hc_sched_op(SCHEDOP_yield, NULL);
            continue;
        }
        for (; room && n; room--, n--)
            ring->out[MASK_XENCONS_IDX(prod++, ring->out)] = *text++;
        store_release(&ring->out_prod, prod);
        moved = now_ns();
    }
    ring_kick();
}

void console_write(const char *text, size_t n)
{
    for (size_t i = 0; i < n; i++)
        log_ring[(log_end + i) % LOG_RING] = text[i];
    log_end += n;
    if (ring)
        ring_write(text, n);
    else
        (void)hc_console_io(CONSOLEIO_write, (unsigned int)n, (char *)(uintptr_t)text);
    if (on_write)
        on_write();
}

uint64_t log_position(void)
{
    return log_end;
}

void log_on_write(void (*fn)(void))
{
    on_write = fn;
}

size_t log_read(uint64_t *pos, char *buf, size_t size)
{
    size_t n = 0;

    if (log_end > LOG_RING && *pos < log_end - LOG_RING)
        *pos = log_end - LOG_RING;
    for (; n < size && *pos < log_end; n++, ++*pos)
        buf[n] = log_ring[*pos % LOG_RING];
    return n;
}

void log_set_level(enum log_level level)
{
    max_level = level;
}

/*
 * Guests can cause log lines, and the console is slow: beyond a burst only so many a second are
 * written. What is left out is counted.
 */
#define LINES_BURST  2000u
#define LINES_SECOND 50u

static bool line_allowed(uint64_t now)
{
    static uint64_t filled_at, tokens = LINES_BURST, dropped;
    uint64_t fresh = (now - filled_at) * LINES_SECOND / NS_PER_S;
    char note[64];

    if (fresh) {
        tokens = MIN(tokens + fresh, (uint64_t)LINES_BURST);
        filled_at = now;
    }
    if (!tokens) {
        dropped++;
        return false;
    }
    tokens--;
    if (dropped && tokens > LINES_SECOND) {
        int n = snprintf(note, sizeof(note), "(%lu lines of the log left out)\n", dropped);

        dropped = 0;
        console_write(note, (size_t)n);
    }
    return true;
}

/* Text of guests' comes here, too: it must not begin a line of its own, nor speak to the terminal that shows it. */
static void tame(char *s)
{
    for (; *s; s++) {
        if ((*s > 0 && *s < ' ') || *s == 0x7f)
            *s = '?';
    }
}

static void log_line(const char *mark, const char *fmt, va_list ap)
{
    char line[512];
    uint64_t ms = now_ns() / NS_PER_MS;
    int at = snprintf(line, sizeof(line), "[%5lu.%03lu] %s", ms / 1000, ms % 1000, mark);
    int n = vsnprintf(line + at, sizeof(line) - (size_t)at - 2, fmt, ap);
    size_t len = strlen(line);

    if (n > 0 && line[len - 1] == '\n')
        line[--len] = '\0';
    tame(line);
    line[len++] = '\n';
    line[len] = '\0';
    console_write(line, len);
}

void log_at(enum log_level level, const char *fmt, ...)
{
    static const char *const marks[] = { "error: ", "warning: ", "", "debug: " };
    va_list ap;

    if (level > max_level || !line_allowed(now_ns()))
        return;
    va_start(ap, fmt);
    log_line(marks[level], fmt, ap);
    va_end(ap);
}

void panic(const char *fmt, ...)
{
    static bool again;
    va_list ap;

    if (!again) {
        again = true;
        va_start(ap, fmt);
        log_line("PANIC: ", fmt, ap);
        va_end(ap);
    }
    domain_shutdown(SHUTDOWN_crash);
}
