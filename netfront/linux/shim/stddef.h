/* SPDX-License-Identifier: MIT */
/* stddef.h - lets the kernel's build read include/sluice. */
#include <linux/stddef.h>
