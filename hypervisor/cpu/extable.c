/* SPDX-License-Identifier: MIT */
/*
 * extable.c - look up the fix-up of an instruction that faulted. The table is short and faults
 * are rare, so it is searched from end to end.
 */
#include "cpu/extable.h"

struct extable_entry {
    uint64_t from, to;
};

/* Bounds of section ex_table, from the linker. */
extern const struct extable_entry __start_ex_table[], __stop_ex_table[];

uint64_t extable_find(uint64_t rip)
{
    for (const struct extable_entry *e = __start_ex_table; e < __stop_ex_table; e++)
        if (e->from == rip)
            return e->to;
    return 0;
}
