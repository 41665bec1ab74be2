/* SPDX-License-Identifier: MIT */
/*
 * faults.c - reads, writes and jumps to addresses that are not the guest's, by its kernel and by a user
 * program: what the error code of the fault tells. Only places that both hypervisors have alike.
 */
#include "tests/guests/calls/calls.h"
#include "runtime/traps.h"
#include "tests/guests/touch.h"

static void places(const char *who, long (*by)(const char *))
{
    static const uint64_t place[] = {
        0xffff800000000000, 0xffff808000000000, 0xffff810000000000, 0xffff818000000000,
        0xffff82d040000000, 0xffff82d040200000,
        0xffff830000000000, 0xffff830000100000, 0xffff830001000000, 0xffff87fffffff000, 0x1000,
    };

    for (size_t i = 0; i < ARRAY_SIZE(place); i++) {
        touched = place[i];
        about("%s at %lx", who, touched);
        TRY(by(TOUCH_READ));
        TRY(trapped_error);
        TRY(by(TOUCH_WRITE));
        TRY(trapped_error);
        TRY(by(TOUCH_JUMP));
        TRY(trapped_error);
    }
}

void try_faults(void)
{
    MUST(catch_all() == 0);
    touch_begin();
    places("kernel", by_kernel);
    places("user", by_user);
    traps_init();
}
