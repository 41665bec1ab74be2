/* SPDX-License-Identifier: MIT */
/*
 * iret.c - the iret hypercall with frames that are odd: where it leads, or what it ends with. Only back into
 * kernel mode: a guest without page tables for user mode that asks for that is ended.
 */
#include "tests/guests/calls/calls.h"
#include "runtime/traps.h"
#include "tests/guests/catch.h"

/* The vector that it ends with, or NO_TRAP: then iret_seen says how it is there. */
static long iret(uint64_t cs, uint64_t ss, uint64_t rflags, uint64_t flags, uint64_t rip)
{
    iret_to.cs = cs;
    iret_to.ss = ss;
    iret_to.rflags = rflags;
    iret_to.flags = flags;
    iret_to.rip = rip;
    return vector_of_iret();
}

/* Bits that the arithmetic before has left do not count. */
#define SEEN_FLAGS ((long)(iret_seen.rflags & ~0x8d5UL))

/* In one line, as there are many: flags, selectors, mask. */
static long found(void)
{
    return SEEN_FLAGS << 36 | (long)((iret_seen.cs & 0xffff) << 20 | (iret_seen.ss & 0xffff) << 4 | iret_seen.mask);
}

static void where(void)
{
    if (trapped == NO_TRAP)
        TRY(found());
    else
        TRY(trapped_error);
}

void try_iret(void)
{
    static const uint64_t rflags[] = {
        0, 2, 0x202, 0x602, 0x1202, 0x3202, 0x3002, 0x4202, 0x8202, 0x10202, 0x20202, 0x40202,
        0x80202, 0x100202, 0x180202, 0x200202, 0x400202, 0xffffffff00000202,
    };
    static const uint64_t selectors[] = {
        0xe030, 0xe028, 0xe008, 0xe010, 0xe040, 0xe050, 0xfff8, 0, 0xffffe030,
    };
    static const uint64_t stacks[] = {
        0xe02b, 0xe028, 0xe033, 0xe010, 0xe013, 0xe043, 0xfffb, 0xffffe02b,
    };
    static const uint64_t rips[] = { 0x1000, 0x1000000000000, HV_ADDR, BAD_ADDR };

    MUST(catch_all() == 0);
    for (size_t i = 0; i < ARRAY_SIZE(rflags); i++) {
        about("iret, flags %lx", rflags[i]);
        TRY(iret(0xe030, 0xe02b, rflags[i], 0, 0));
        where();
    }
    for (size_t i = 0; i < ARRAY_SIZE(selectors); i++) {
        about("iret, cs %lx", selectors[i]);
        TRY(iret(selectors[i], 0xe02b, 0x202, 0, 0));
        where();
    }
    for (size_t i = 0; i < ARRAY_SIZE(stacks); i++) {
        about("iret, ss %lx", stacks[i]);
        TRY(iret(0xe030, stacks[i], 0x202, 0, 0));
        where();
    }
    for (size_t i = 0; i < ARRAY_SIZE(rips); i++) {
        about("iret, rip %lx", rips[i]);
        TRY(iret(0xe030, 0xe02b, 0x202, 0, rips[i]));
        where();
    }
    for (uint64_t bit = 1; bit; bit <<= 1) {
        about("iret, word %lx", bit);
        TRY(iret(0xe030, 0xe02b, 0x202, bit, 0));
        where();
    }
    traps_init();
}
