/* SPDX-License-Identifier: MIT */
/*
 * console.h - the log: printk() to the serial line and into a ring; serial input.
 *
 * Command line: `com1=115200` (speed; `com1=115200@0x2f8` another port), `console=none` (ring
 * only), `loglvl=debug|info|warning|error` (what reaches the serial line; the ring gets all).
 */
#ifndef HV_DEV_CONSOLE_H
#define HV_DEV_CONSOLE_H

#include <stdarg.h>
#include "compiler.h"

enum log_level { LOG_ERROR, LOG_WARNING, LOG_INFO, LOG_DEBUG };

#define CONSOLE_RING_SIZE   (128u << 10)

/*
 * One piece of the log, as printf; end it with \n. Lines longer than about 500 bytes are cut.
 * Works in every context: under any lock, in interrupts, from the first C line on.
 */
void printk(enum log_level level, const char *fmt, ...) __printf(2, 3);
void vprintk(enum log_level level, const char *fmt, va_list ap) __printf(2, 0);

/* Text of a guest (console_io write, domain crash dumps): as it is, no level, n bytes. */
void console_write(const char *text, size_t n);

/*
 * Copies up to n bytes of the log that start at position *pos (bytes since boot; 0 = oldest
 * kept) into buf, advances *pos, returns how many. clear: forget what has been read.
 */
size_t console_ring_read(uint64_t *pos, char *buf, size_t n);
void console_ring_clear(void);

/* Serial input, oldest first: up to n bytes into buf; returns how many. Never waits. */
size_t console_read(char *buf, size_t n);
/* fn is called in softirq context after input arrived. One listener; once. IOAPICs and timers
 * must work. */
void console_set_input_handler(void (*fn)(void));

/* console_io.c: input goes to dom0 (VIRQ_CONSOLE) from now on. */
void console_io_init(void);

/* First C line: serial at its default. Then, when the command line is known: its options. */
void console_early_init(void);
void console_init(void);
/* panic(): take no more locks, drop colour and levels; other CPUs are stopped. */
void console_force(void);

#endif
