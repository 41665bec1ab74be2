/* SPDX-License-Identifier: MIT */
/*
 * peer.h - how the backend of the tests tells the two ends what to do: a shared page of each end, in
 * which the backend writes a command and the end its result; events in both directions.
 */
#ifndef TESTS_FLIP_PEER_H
#define TESTS_FLIP_PEER_H

#include "xenabi.h"

enum peer_cmd {
    CMD_OFFER = 1,      /* slots [a, a + b) with flags c */
    CMD_WITHDRAW,       /* slot a: 1 or 0 */
    CMD_ACCEPT,         /* slot_accept() of slots [a, a + b): the first result that is not 0 */
    CMD_FILL,           /* slots [a, a + b), seeds c, c + 1, ... */
    CMD_DIFFERS,        /* slots [a, a + b), seeds c, ...: 0, or 1 + the first slot that differs */
    CMD_ZERO,           /* slots [a, a + b) are zero: 0 or 1 + the first that is not */
    CMD_WRITE,          /* the first word of slot a = b */
    CMD_MFN,            /* of slot a, from the page tables */
    CMD_REGISTER,       /* the window again */
    CMD_UNREGISTER,
    CMD_PAGES,          /* how many frames the domain has */
    CMD_AGAIN,          /* CMD_ACCEPT of slots [a, a + b), then CMD_OFFER with flags c */
    CMD_HOLES,          /* a pages without frames, and offers to take some (GNTTABOP_transfer) */
    CMD_FILL_HOLES,     /* what came into them */
    CMD_END,            /* the end powers off */
};

struct peer_page {
    uint32_t asked;     /* number of the last command, the backend's */
    uint32_t done;      /* the same, the end's */
    uint32_t cmd, a, b, c;
    int64_t result;
};

#endif
