/* SPDX-License-Identifier: MIT */
/* stdio.h - for third-party code in dom0: formatted text (there are no files). */
#ifndef LIBC_STDIO_H
#define LIBC_STDIO_H

#include <stddef.h>
#include "lib/printf.h"

typedef struct file FILE;

#endif
