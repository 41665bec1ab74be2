/* SPDX-License-Identifier: MIT */
/* console.h - where log.h's lines go. */
#ifndef RUNTIME_CONSOLE_H
#define RUNTIME_CONSOLE_H

#include "xenabi.h"

/* Output through this ring from now on (mini guests). Without it: the console_io hypercall. */
void console_init(struct xencons_interface *page, uint32_t port);

/* Raw text, no time stamp; also kept for log_read(). */
void console_write(const char *text, size_t n);

#endif
