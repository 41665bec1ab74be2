/* SPDX-License-Identifier: MIT */
/*
 * fatal - a guest that does one thing that is fatal to it by design, said by `how=` on its command
 * line: the hypervisor must stop it with a report, and nothing else. tests/system/fatal.sh.
 */
#include "lib/string.h"
#include "runtime/hypercall.h"
#include "runtime/log.h"
#include "runtime/mem.h"
#include "runtime/p2m.h"
#include "runtime/pagetable.h"
#include "runtime/start.h"
#include "runtime/time.h"

#define HV_DIRECT   0xffff830000000000UL
#define NONCANON    0x0001000000000000UL

static void set_rsp_and(uint64_t rsp, bool hypercall_iret)
{
    if (hypercall_iret)
        __asm__ volatile("mov %0, %%rsp; mov $23, %%eax; syscall" :: "r"(rsp) : "memory");
    else
        __asm__ volatile("mov %0, %%rsp; ud2" :: "r"(rsp) : "memory");
}

/* A user-mode frame at hand, but no user page table. */
static void to_user(void)
{
    __asm__ volatile("push $0xe02b; push %%rsp; push $0x202; push $0xe033; push $0x1000; push $0; push $0;"
                     "push $0; push $0; mov $23, %%eax; syscall" ::: "memory");
}

/* A page-fault handler that faults: its frames run down the stack and off its end. */
static void fault_in_handler(void)
{
    struct trap_info t[2] = { { 14, 4, FLAT_KERNEL_CS, 0xffffc97fffff0000 } };

    hc_set_trap_table(t);
    __asm__ volatile("movl $1, 8" ::: "memory");
}

static void own_stack_away(void)
{
    uint64_t page = (uint64_t)__builtin_frame_address(0) & ~(PAGE_SIZE - 1);

    /* The calls below need no stack until the exception. */
    hc_update_va_mapping(page, 0, UVMF_INVLPG);
    __asm__ volatile("ud2");
}

static const struct {
    const char *name;
    uint64_t arg;
} ways[] = {
    { "no-handler", 0 }, { "stack-hypervisor", HV_DIRECT + 0x2000 }, { "stack-noncanonical", NONCANON },
    { "stack-low", 0x1000 }, { "iret-hypervisor", HV_DIRECT + 0x1000 }, { "iret-noncanonical", NONCANON },
    { "iret-unmapped", 0x2000 }, { "iret-user", 0 }, { "fault-in-handler", 0 }, { "stack-away", 0 },
    { "watchdog", 0 },
};

/* Two there are, and one of them is not fed. */
static void watchdogs(void)
{
    struct sched_watchdog w = { .id = 0, .timeout = 100 };
    uint64_t start = now_ns();

    BUG_ON(hc_sched_op(SCHEDOP_watchdog, &w) != 1);
    w.timeout = 1;
    BUG_ON(hc_sched_op(SCHEDOP_watchdog, &w) != 2);
    BUG_ON(hc_sched_op(SCHEDOP_watchdog, &w) != -XEN_ENOSPC);
    w.id = 2;
    while (now_ns() - start < 2 * NS_PER_S)
        BUG_ON(hc_sched_op(SCHEDOP_watchdog, &w));
    log_info("fatal: fed for two seconds");
    for (;;)
        (void)hc_sched_op(SCHEDOP_yield, NULL);
}

void pv_main(void)
{
    char how[32];

    if (!cmdline_get("how", how, sizeof(how)))
        strlcpy(how, "no-handler", sizeof(how));
    for (unsigned int i = 0; i < ARRAY_SIZE(ways); i++) {
        if (strcmp(how, ways[i].name))
            continue;
        log_info("fatal: %s", how);
        if (!strncmp(how, "stack-away", 10)) {
            own_stack_away();
        } else if (!strncmp(how, "stack", 5)) {
            set_rsp_and(ways[i].arg, false);
        } else if (!strcmp(how, "iret-user")) {
            to_user();
        } else if (!strncmp(how, "iret", 4)) {
            set_rsp_and(ways[i].arg, true);
        } else if (!strcmp(how, "fault-in-handler")) {
            fault_in_handler();
        } else if (!strcmp(how, "watchdog")) {
            watchdogs();
        } else {
            hc_set_trap_table(NULL);
            __asm__ volatile("ud2");
        }
    }
    log_error("fatal: survived %s", how);
    domain_shutdown(SHUTDOWN_poweroff);
}
