/* SPDX-License-Identifier: MIT */
/* string.h - for third-party code in dom0: memory and strings. */
#ifndef LIBC_STRING_H
#define LIBC_STRING_H

#include "lib/string.h"

#endif
