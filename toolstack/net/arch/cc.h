/* SPDX-License-Identifier: MIT */
/* cc.h - lwIP's view of compiler and platform. */
#ifndef NET_ARCH_CC_H
#define NET_ARCH_CC_H

#include <stdint.h>
#include "runtime/log.h"
#include "runtime/time.h"

#define LWIP_NO_UNISTD_H 1
#define LWIP_NO_CTYPE_H  1

#define LWIP_PLATFORM_DIAG(x)      do { } while (0)
#define LWIP_PLATFORM_ASSERT(text) panic("lwip: %s", text)

#define LWIP_RAND() random_u32()

/* What lwIP copies may be pinned data, which cannot be read like memory (linkout.c). */
#include <stddef.h>
void net_copy(void *to, const void *from, size_t n);
#define MEMCPY(to, from, n) net_copy(to, from, n)

#endif
