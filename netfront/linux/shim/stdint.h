/* SPDX-License-Identifier: MIT */
/* stdint.h - lets the kernel's build read include/sluice. */
#include <linux/types.h>
