/* SPDX-License-Identifier: MIT */
/* disks.h - starts blkback and tells it where files are. */
#ifndef DOM0_DISKS_H
#define DOM0_DISKS_H

void disks_start(void);

#endif
