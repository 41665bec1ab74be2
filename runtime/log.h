/* SPDX-License-Identifier: MIT */
/*
 * log.h - log output, and how to stop when we are wrong.
 *
 * Lines go to the hypervisor's console (dom0) or the console ring (mini guests), and into a ring
 * of 64 KiB that the API reads. One call is one line; the newline is added when it is missing.
 */
#ifndef RUNTIME_LOG_H
#define RUNTIME_LOG_H

#include <stdarg.h>
#include "compiler.h"

enum log_level {
    LOG_ERROR,      /* an operation that was asked for failed */
    LOG_WARN,       /* somebody misbehaves, or something is degraded */
    LOG_INFO,       /* what an operator wants to read once: a device found, a domain started */
    LOG_DEBUG,      /* kept out unless asked for on the command line (loglevel=debug) */
};

void log_at(enum log_level level, const char *fmt, ...) __printf(2, 3);
void log_set_level(enum log_level level);

#define log_error(...) log_at(LOG_ERROR, __VA_ARGS__)
#define log_warn(...)  log_at(LOG_WARN, __VA_ARGS__)
#define log_info(...)  log_at(LOG_INFO, __VA_ARGS__)
#define log_debug(...) log_at(LOG_DEBUG, __VA_ARGS__)

/*
 * Copies kept log text from position *pos (bytes since the start; a position that is already
 * overwritten moves up to the oldest byte) and advances *pos. Returns the bytes copied.
 */
size_t log_read(uint64_t *pos, char *buf, size_t size);

/* The position after the last byte written. */
uint64_t log_position(void);

/* fn runs after each write; it may queue work and nothing else. One at most. */
void log_on_write(void (*fn)(void));

/* Prints the line, then stops this domain (shutdown reason: crash). */
void panic(const char *fmt, ...) __printf(1, 2) __noreturn;

/* "We are wrong": stops the domain. BUG_ON is always compiled in, ASSERT only in debug builds. */
#define BUG_ON(cond) \
    do { \
        if (unlikely(cond)) \
            panic("BUG at %s:%d: %s", __FILE__, __LINE__, #cond); \
    } while (0)
#define ASSERT(cond) BUG_ON(SLUICE_DEBUG && !(cond))

#endif
