/* SPDX-License-Identifier: MIT */
/*
 * panic.h - stop the machine with a report; assertions.
 *
 * BUG_ON() stays in release builds, ASSERT() is checked in debug builds only (the condition
 * is compiled in both, so it must have no side effects).
 */
#ifndef HV_DEV_PANIC_H
#define HV_DEV_PANIC_H

#include "compiler.h"

/* Prints text, backtrace and CPU, stops all CPUs. Then: `debugexit` on the command line ends
 * QEMU (status 3), `noreboot` halts for good, otherwise reset after 5 s. */
void panic(const char *fmt, ...) __printf(1, 2) __noreturn;

/* A panic is under way: a CPU that takes an NMI then must just stop (panic_stop_cpu). */
bool panic_in_progress(void);
void panic_stop_cpu(void) __noreturn;

/* Prints the return addresses found by following frame pointers from rbp (0: the caller's). */
void panic_backtrace(uint64_t rbp);

/* Reset the machine (keyboard controller, ACPI reset port 0xcf9, triple fault). */
void machine_restart(void) __noreturn;
/* Power off: ACPI S5 if known, `debugexit` (status 1 = code 0), else halt. */
void machine_poweroff(void) __noreturn;

#ifdef SLUICE_HOST
#include <stdlib.h>
#define BUG()           abort()
#else
void panic_bug(const char *file, int line, const char *what) __noreturn;
#define BUG()           panic_bug(__FILE__, __LINE__, "BUG")
#endif

#ifdef SLUICE_HOST
#define BUG_ON(c)       do { if (unlikely(c)) abort(); } while (0)
#define ASSERT(c)       BUG_ON(!(c))
#else
#define BUG_ON(c) \
    do { if (unlikely(c)) panic_bug(__FILE__, __LINE__, #c); } while (0)
#define ASSERT(c) \
    do { if (SLUICE_DEBUG && unlikely(!(c))) panic_bug(__FILE__, __LINE__, #c); } while (0)
#endif

#endif
