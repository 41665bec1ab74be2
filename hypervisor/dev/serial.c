/* SPDX-License-Identifier: MIT */
/*
 * serial.c - a 16550 UART, polled. A line whose other end stopped must not stop the machine, so
 * every wait is bounded.
 */
#include "dev/serial.h"

#include "atomic.h"
#include "cpu/asm.h"

enum { RBR = 0, THR = 0, DLL = 0, IER = 1, DLM = 1, FCR = 2, LCR = 3, MCR = 4, LSR = 5, SCR = 7 };

#define LSR_DATA        0x01
#define LSR_THR_EMPTY   0x20
#define LCR_DLAB        0x80
#define TX_SPINS        200000u
#define FIFO_BYTES      16u

static uint16_t base;               /* 0: no UART */
static unsigned int tx_room;        /* bytes that surely fit into the transmit FIFO */

bool serial_init(uint16_t port, uint32_t baud)
{
    uint32_t divisor = baud ? 115200 / baud : 1;

    outb(port + SCR, 0x5a);
    if (inb(port + SCR) != 0x5a || inb(port + LSR) == 0xff) {
        base = 0;
        return false;
    }
    if (!divisor || divisor > 0xffff)
        divisor = 1;
    outb(port + IER, 0);
    outb(port + LCR, LCR_DLAB | 3);
    outb(port + DLL, divisor & 0xff);
    outb(port + DLM, divisor >> 8);
    outb(port + LCR, 3);
    outb(port + FCR, 0x07);
    outb(port + MCR, 0x0b);         /* DTR, RTS, OUT2 (lets the interrupt out) */
    base = port;
    tx_room = 0;
    return true;
}

void serial_putc(char c)
{
    if (!base)
        return;
    if (!tx_room) {
        for (unsigned int i = 0; i < TX_SPINS && !(inb(base + LSR) & LSR_THR_EMPTY); i++)
            cpu_relax();
        tx_room = FIFO_BYTES;
    }
    tx_room--;
    outb(base + THR, (uint8_t)c);
}

int serial_getc(void)
{
    if (!base || !(inb(base + LSR) & LSR_DATA))
        return -1;
    return inb(base + RBR);
}

void serial_enable_rx_irq(void)
{
    if (base)
        outb(base + IER, 1);
}

uint16_t serial_port(void)
{
    return base;
}
