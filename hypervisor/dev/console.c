/* SPDX-License-Identifier: MIT */
/*
 * console.c - log levels, the log ring, serial output and input.
 *
 * One lock orders output. An NMI or a panic may come while this CPU holds it: console_force()
 * makes everybody pass without it, and by then the other CPUs are stopped.
 */
#include "dev/console.h"

#include "boot/multiboot.h"
#include "boot/smp.h"
#include "cpu/apic.h"
#include "cpu/ioapic.h"
#include "cpu/traps.h"
#include "dev/serial.h"
#include "lib/printf.h"
#include "lib/string.h"
#include "sched/clock.h"
#include "sched/softirq.h"
#include "sched/timer.h"
#include "spinlock.h"

#define COM1_PORT       0x3f8
#define COM2_PORT       0x2f8
#define COM1_IRQ        4
#define COM2_IRQ        3
#define DEFAULT_BAUD    115200u
#define LINE_BYTES      512
#define RX_BYTES        1024u
#define RX_POLL_NS      (20 * NS_PER_MS)
#define PREFIX          "(hv) "

static spinlock_t lock = SPINLOCK_INIT(LOCK_CONSOLE);
static bool forced;
static bool serial_on;
static bool line_start = true;
static enum log_level serial_level = LOG_INFO;
static char ring[CONSOLE_RING_SIZE];
static uint64_t ring_end;               /* bytes ever logged */
static uint64_t ring_start;             /* oldest that is kept or was not cleared */

static spinlock_t rx_lock = SPINLOCK_INIT(LOCK_CONSOLE_RX);
static char rx[RX_BYTES];
static uint32_t rx_prod, rx_cons;
static void (*input_handler)(void);
static struct timer rx_timer;

static uint64_t output_begin(void)
{
    return forced ? irq_save() : spin_lock_irqsave(&lock);
}

static void output_end(uint64_t flags)
{
    if (forced)
        irq_restore(flags);
    else
        spin_unlock_irqrestore(&lock, flags);
}

static void ring_put(const char *s, size_t n)
{
    for (size_t i = 0; i < n; i++)
        ring[ring_end++ % CONSOLE_RING_SIZE] = s[i];
    if (ring_end - ring_start > CONSOLE_RING_SIZE)
        ring_start = ring_end - CONSOLE_RING_SIZE;
}

static void serial_put(const char *s, size_t n)
{
    if (!serial_on)
        return;
    for (size_t i = 0; i < n; i++) {
        if (s[i] == '\n')
            serial_putc('\r');
        serial_putc(s[i]);
    }
}

/* Caller holds the lock. Every line of ours starts with a prefix, on both ways out. */
static void put_lines(const char *s, size_t n, bool to_serial)
{
    while (n) {
        const char *nl = memchr(s, '\n', n);
        size_t part = nl ? (size_t)(nl - s) + 1 : n;

        if (line_start) {
            ring_put(PREFIX, sizeof(PREFIX) - 1);
            if (to_serial)
                serial_put(PREFIX, sizeof(PREFIX) - 1);
        }
        ring_put(s, part);
        if (to_serial)
            serial_put(s, part);
        line_start = nl != NULL;
        s += part;
        n -= part;
    }
}

void vprintk(enum log_level level, const char *fmt, va_list ap)
{
    char buf[LINE_BYTES];
    int n = vsnprintf(buf, sizeof(buf), fmt, ap);
    uint64_t flags;

    if (n <= 0)
        return;
    if ((size_t)n >= sizeof(buf)) {
        n = sizeof(buf) - 1;
        buf[n - 1] = '\n';
    }
    flags = output_begin();
    put_lines(buf, (size_t)n, forced || level <= serial_level);
    output_end(flags);
}

void printk(enum log_level level, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    vprintk(level, fmt, ap);
    va_end(ap);
}

void console_write(const char *text, size_t n)
{
    uint64_t flags = output_begin();

    ring_put(text, n);
    serial_put(text, n);
    if (n)
        line_start = text[n - 1] == '\n';
    output_end(flags);
}

size_t console_ring_read(uint64_t *pos, char *buf, size_t n)
{
    uint64_t flags = output_begin();
    size_t done = 0;

    if (*pos < ring_start)
        *pos = ring_start;
    while (done < n && *pos < ring_end)
        buf[done++] = ring[(*pos)++ % CONSOLE_RING_SIZE];
    output_end(flags);
    return done;
}

void console_ring_clear(void)
{
    uint64_t flags = output_begin();

    ring_start = ring_end;
    output_end(flags);
}

/* Takes what the UART has; false if that was nothing. */
static bool rx_fetch(void)
{
    uint64_t flags = spin_lock_irqsave(&rx_lock);
    bool any = false;
    int c;

    while ((c = serial_getc()) >= 0) {
        if (rx_prod - rx_cons < RX_BYTES)   /* full: the newest is lost */
            rx[rx_prod++ % RX_BYTES] = (char)c;
        any = true;
    }
    spin_unlock_irqrestore(&rx_lock, flags);
    return any;
}

static void rx_softirq(void)
{
    if (input_handler)
        input_handler();
}

static void rx_interrupt(struct cpu_user_regs *regs)
{
    apic_eoi();
    if (rx_fetch())
        softirq_raise_local(SOFTIRQ_CONSOLE);
}

/* Polled, where the UART's interrupt leads nowhere. */
static void rx_poll(void *arg)
{
    if (rx_fetch())
        rx_softirq();
    timer_set(&rx_timer, now_ns() + RX_POLL_NS);
}

size_t console_read(char *buf, size_t n)
{
    uint64_t flags = spin_lock_irqsave(&rx_lock);
    size_t done = 0;

    while (done < n && rx_cons != rx_prod)
        buf[done++] = rx[rx_cons++ % RX_BYTES];
    spin_unlock_irqrestore(&rx_lock, flags);
    return done;
}

void console_set_input_handler(void (*fn)(void))
{
    uint8_t irq = serial_port() == COM1_PORT ? COM1_IRQ : COM2_IRQ;
    uint32_t gsi = ioapic_isa_gsi(irq);
    bool level = false, low = false;

    input_handler = fn;
    if (!serial_port())
        return;
    softirq_register(SOFTIRQ_CONSOLE, rx_softirq);
    if ((serial_port() != COM1_PORT && serial_port() != COM2_PORT) || !ioapic_has_gsi(gsi)) {
        timer_init(&rx_timer, rx_poll, NULL, 0);
        timer_set(&rx_timer, now_ns() + RX_POLL_NS);
        return;
    }
    (void)ioapic_override(gsi, &level, &low);
    irq_set_handler(VECTOR_SERIAL, rx_interrupt);
    ioapic_route(gsi, VECTOR_SERIAL, cpu_apicid(this_cpu()), level, low);
    ioapic_unmask(gsi);
    serial_enable_rx_irq();
    (void)rx_fetch();                   /* what came before would hold the line */
}

void console_force(void)
{
    forced = true;
}

void console_early_init(void)
{
    serial_on = serial_init(COM1_PORT, DEFAULT_BAUD);
}

/* com1=BAUD[@PORT] */
static void set_com1(const char *spec)
{
    uint32_t baud = 0, port = 0;
    const char *p = spec;

    while (*p >= '0' && *p <= '9')
        baud = baud * 10 + (uint32_t)(*p++ - '0');
    if (*p == '@') {
        p++;
        if (p[0] == '0' && p[1] == 'x')
            p += 2;
        for (; *p; p++) {
            uint32_t digit = *p >= '0' && *p <= '9' ? (uint32_t)(*p - '0') :
                             *p >= 'a' && *p <= 'f' ? (uint32_t)(*p - 'a') + 10 : 16;
            if (digit == 16)
                break;
            port = port * 16 + digit;
        }
    }
    serial_on = serial_init(port && port < 0x10000 ? (uint16_t)port : COM1_PORT,
                            baud ? baud : DEFAULT_BAUD);
}

void console_init(void)
{
    static const char *const names[] = { "error", "warning", "info", "debug" };
    char value[32];

    if (cmdline_find("com1", value, sizeof(value)))
        set_com1(value);
    if (cmdline_find("console", value, sizeof(value)) && !strcmp(value, "none"))
        serial_on = false;
    if (cmdline_find("loglvl", value, sizeof(value))) {
        for (unsigned int i = 0; i < ARRAY_SIZE(names); i++) {
            if (!strcmp(value, names[i]))
                serial_level = (enum log_level)i;
        }
    }
}
