/* SPDX-License-Identifier: MIT */
/* assert.h - for third-party code in dom0: a failed assertion stops the domain. */
#ifndef LIBC_ASSERT_H
#define LIBC_ASSERT_H

#include "runtime/log.h"

#define assert(cond) BUG_ON(!(cond))
#ifndef static_assert
#define static_assert _Static_assert
#endif

#endif
