/* SPDX-License-Identifier: MIT */
/* internal.h - between netif.c and stream.c. */
#ifndef NET_INTERNAL_H
#define NET_INTERNAL_H

/* lwIP was called and may have started or moved a timeout: look at its clock this turn. */
void net_touch(void);

#endif
