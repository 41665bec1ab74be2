/* SPDX-License-Identifier: MIT */
/* csum.c - lwIP's checksum routine. */
#include "toolstack/net/csum.h"
#include "lib/inetsum.h"

uint16_t net_chksum(const void *data, int n)
{
    return inetsum_fold(inetsum(0, data, (size_t)n));
}
