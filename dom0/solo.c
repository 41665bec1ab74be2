/* SPDX-License-Identifier: MIT */
/* solo.c - a host that lives as long as one domain. */
#include "dom0/com2.h"
#include "dom0/host.h"
#include "lib/why.h"
#include "runtime/log.h"
#include "runtime/loop.h"
#include "runtime/start.h"
#include "runtime/time.h"
#include "toolstack/vm/file.h"
#include "toolstack/vm/vm.h"

static unsigned char result;
static struct timer end_timer;

static void end_now(struct timer *t)
{
    debug_exit(result);
    domain_shutdown(SHUTDOWN_poweroff);
}

/* Not at once: what the domain wrote last is still on its way to the serial port. */
static void end_soon(unsigned char code)
{
    result = code;
    timer_set_after(&end_timer, 50 * NS_PER_MS);
}

static int on_start(void *arg, struct vm *vm)
{
    return 0;
}

static void on_stop(void *arg, struct vm *vm)
{
    if (vm->restart_after || timer_is_set(&end_timer))
        return;
    end_soon(vm->shutdown_reason == SHUTDOWN_crash || vm->shutdown_reason == SHUTDOWN_watchdog
                 ? SOLO_CRASH : SOLO_POWEROFF);
}

static struct vm_hook hook = { .start = on_start, .stop = on_stop };

static void created(void *arg, struct vm *vm, int rc, const char *why)
{
    if (rc)
        end_soon(SOLO_NOT_BUILT);
}

static void warn(void *arg, const char *line)
{
    log_warn("%s", line);
}

void solo_start(const char *file)
{
    static struct vm_config cfg;
    struct file *f = file_find(file);
    char why[WHY_MAX];

    timer_init(&end_timer, end_now);
    vm_hook_add(&hook);
    com2_mirror(NULL);
    if (!f)
        log_error("solo=%s: no such boot module", file);
    else if (vm_config_parse(&cfg, f->name, f->data, f->size, warn, NULL, why, sizeof(why)))
        log_error("%s", why);
    else if (vm_create(&cfg, false, created, NULL, NULL, why) == 0)    /* logs what is wrong */
        return;
    end_soon(SOLO_NOT_BUILT);
}
