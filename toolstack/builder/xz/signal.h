/* SPDX-License-Identifier: MIT */
/* signal.h - xz includes it for its threaded coders, which we leave out. */
#ifndef XZ_SIGNAL_H
#define XZ_SIGNAL_H

typedef unsigned long sigset_t;

#endif
