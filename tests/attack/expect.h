/* SPDX-License-Identifier: MIT */
/* expect.h - attempts, how many of them did not end as they must, and the verdict. For one file per guest. */
#ifndef ATTACK_EXPECT_H
#define ATTACK_EXPECT_H

#include "runtime/log.h"
#include "runtime/start.h"

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
#define EXPECT(cond) expect((cond), #cond, 0, __LINE__)

/* The verdict, in the words that attack.sh looks for, and the end. */
static __noreturn void conclude(const char *name)
{
    log_info("attack %s: %u attempts, %u failed", name, tried, failed);
    log_info("attack %s: %s", name, failed ? "FAILED" : "ok");
    domain_shutdown(failed ? SHUTDOWN_crash : SHUTDOWN_poweroff);
}

#endif
