/* SPDX-License-Identifier: MIT */
/* traps_weak.c - lets the image link until cpu/traps.c is there; goes away with it. */
#include "cpu/traps.h"

__attribute__((weak)) void traps_init(void)
{
}

__attribute__((weak)) void traps_init_cpu(void)
{
}

__attribute__((weak)) void irq_set_handler(uint8_t vector, irq_handler fn)
{
}
