/* SPDX-License-Identifier: MIT */
/*
 * calls - makes every hypercall that a guest can make, mostly wrongly, and prints each with its
 * result: "calls: SUBJECT: TEXT = RESULT". tests/system/calls.sh runs it on two hypervisors and compares.
 * Nothing that differs from machine to machine (addresses, times, frame numbers) is printed.
 */
#include "calls.h"
#include "lib/printf.h"
#include "lib/string.h"
#include "runtime/console.h"

static char subject[64];

void about(const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(subject, sizeof(subject), fmt, ap);
    va_end(ap);
}

/* Not by the log, which leaves lines out when there are many. */
static void __printf(1, 2) say(const char *fmt, ...)
{
    char line[256];
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(line, sizeof(line), fmt, ap);
    va_end(ap);
    console_write(line, strlen(line));
}

void answer(const char *call, long result)
{
    say("calls: %s: %s = %ld\n", subject, call, result);
}

void pv_main(void)
{
    /* While the vcpu_info is where it was at the start. */
    try_iret();
    try_faults();
    try_mmu();
    try_memory();
    try_events();
    try_scheduling();
    try_others();
    try_processor();
    say("calls: end\n");
}
