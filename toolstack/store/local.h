/* SPDX-License-Identifier: MIT */
/* local.h - what ringconn.c and local.c share: the one store of dom0. */
#ifndef STORE_LOCAL_H
#define STORE_LOCAL_H

#include "toolstack/store/wire.h"

extern struct wire store_wire;

#endif
