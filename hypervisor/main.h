/* SPDX-License-Identifier: MIT */
/* main.h - where boot/head.S and boot/smp.c enter C. */
#ifndef HV_MAIN_H
#define HV_MAIN_H

#include "compiler.h"

/* Boot CPU, 64-bit mode, first stack; magic and info from the boot loader. */
void hv_main(uint32_t magic, uint32_t info) __noreturn;

#endif
