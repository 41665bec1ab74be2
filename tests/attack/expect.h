/* SPDX-License-Identifier: MIT */
/* expect.h - attempts, and how many of them did not end as they must. For one file per guest. */
#ifndef ATTACK_EXPECT_H
#define ATTACK_EXPECT_H

#include "runtime/log.h"

static unsigned int tried, failed;

static void expect(bool ok, const char *what, long rc, unsigned int line)
{
    tried++;
    if (ok)
        return;
    failed++;
    log_error("attack: line %u: %s: result %ld", line, what, rc);
}

#define REFUSED(call) \
    do { long rc_ = (call); expect(rc_ < 0, #call, rc_, __LINE__); } while (0)
#define IS(call, want) \
    do { long rc_ = (call); expect(rc_ == (want), #call, rc_, __LINE__); } while (0)
#define TRUE(cond) expect((cond), #cond, 0, __LINE__)

#endif
