/* SPDX-License-Identifier: MIT */
/* devstats.h - tells the toolstack what the backends counted. */
#ifndef DOM0_DEVSTATS_H
#define DOM0_DEVSTATS_H

void devstats_start(void);

#endif
