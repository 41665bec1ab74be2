/* SPDX-License-Identifier: MIT */
/* serial.h - a 16550 UART: polled output, input by byte. No locks: dev/console.c has them. */
#ifndef HV_DEV_SERIAL_H
#define HV_DEV_SERIAL_H

#include "compiler.h"

/* 8N1 at baud, FIFOs on. False when no UART answers there; the others then do nothing. */
bool serial_init(uint16_t port, uint32_t baud);
void serial_putc(char c);
/* -1: nothing there. */
int serial_getc(void);
/* Interrupt on received data, wired or not. */
void serial_enable_rx_irq(void);
uint16_t serial_port(void);         /* 0: none */

#endif
