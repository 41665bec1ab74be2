/* SPDX-License-Identifier: MIT */
/* tricks.c - what an end does to a slot besides offering it. */
#include "tests/guests/flip/test.h"

int64_t end_trick(uint32_t trick, uint32_t slot)
{
    (void)trick;
    (void)slot;
    return -1;
}
