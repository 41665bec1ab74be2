/* SPDX-License-Identifier: MIT */
/*
 * com2.c - writes a domain's console to the host's second serial port (a 16550 at 0x2f8), for
 * tests and for machines whose operators look at a serial line. Output only.
 */
#include "dom0/com2.h"
#include "lib/string.h"
#include "lib/vmconfig.h"
#include "toolstack/vm/console.h"

#define COM2        0x2f8
#define UART_DATA   (COM2 + 0)
#define UART_IER    (COM2 + 1)
#define UART_FCR    (COM2 + 2)
#define UART_LCR    (COM2 + 3)
#define UART_LSR    (COM2 + 5)
#define LSR_THRE    0x20        /* the transmitter takes another byte */
#define FIFO_BYTES  16

static char only[VM_NAME_MAX];

/* Port I/O of ring 3 is carried out by the hypervisor. */
static inline void out8(uint16_t port, uint8_t v)
{
    __asm__ volatile("outb %0, %1" :: "a"(v), "Nd"(port));
}

static inline uint8_t in8(uint16_t port)
{
    uint8_t v;

    __asm__ volatile("inb %1, %0" : "=a"(v) : "Nd"(port));
    return v;
}

/* A port that is absent or stuck costs a bounded wait for each FIFO's worth, then the bytes. */
static void wait_ready(void)
{
    for (int i = 0; i < 10000 && !(in8(UART_LSR) & LSR_THRE); i++)
        __builtin_ia32_pause();
}

static void mirror(void *arg, const char *name, const char *data, size_t len)
{
    if (only[0] && strcmp(only, name))
        return;
    for (size_t i = 0; i < len; i++) {
        if (i % FIFO_BYTES == 0)
            wait_ready();
        out8(UART_DATA, (uint8_t)data[i]);
    }
}

void com2_mirror(const char *name)
{
    strlcpy(only, name ? name : "", sizeof(only));
    out8(UART_IER, 0);
    out8(UART_LCR, 0x80);
    out8(UART_DATA, 1);         /* 115200 */
    out8(UART_IER, 0);
    out8(UART_LCR, 0x03);       /* 8n1 */
    out8(UART_FCR, 0x07);       /* FIFOs on, emptied */
    console_set_mirror(mirror, NULL);
}

void debug_exit(unsigned char code)
{
    out8(0xf4, code);
}
