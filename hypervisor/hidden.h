/* SPDX-License-Identifier: MIT */
/*
 * hidden.h - included before everything else (mk/hypervisor.mk): every symbol is hidden, so that
 * code finds it relative to rip and not through a table of addresses.
 */
#ifndef __ASSEMBLY__
#pragma GCC visibility push(hidden)
#endif
