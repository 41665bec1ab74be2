/* SPDX-License-Identifier: MIT */
/*
 * hello - the smallest guest: says hello on its console, waits a moment on a timer, powers off.
 * Words on its command line: `forever` keeps it running, `crash` makes it fault.
 */
#include "runtime/log.h"
#include "runtime/loop.h"
#include "runtime/mem.h"
#include "runtime/start.h"
#include "runtime/time.h"

static void tick(struct timer *t)
{
    static unsigned int ticks;
    char word[4];

    log_info("hello: tick %u", ++ticks);
    if (ticks >= 3 && !cmdline_get("forever", word, sizeof(word)))
        domain_shutdown(SHUTDOWN_poweroff);
    timer_set_after(t, NS_PER_S / 5);
}

void pv_main(void)
{
    static struct timer timer;
    struct mem_stats s;
    char word[4];

    mem_get_stats(&s);
    log_info("hello: a guest with %lu KiB of memory", s.pages_total * 4);
    if (cmdline_get("crash", word, sizeof(word)))
        __asm__ volatile("movl $1, 8");
    timer_init(&timer, tick);
    timer_set_after(&timer, NS_PER_S / 5);
    loop_run();
}
