/* SPDX-License-Identifier: MIT */
/*
 * panic.c - stop the machine with a report.
 *
 * The first CPU to come here reports; others that fail meanwhile just stop.
 */
#include "dev/panic.h"

#include "boot/acpi.h"
#include "boot/multiboot.h"
#include "boot/smp.h"
#include "cpu/asm.h"
#include "cpu/percpu.h"
#include "dev/console.h"
#include "sched/clock.h"

#define DEBUGEXIT_PORT  0xf4
#define RESET_PORT      0xcf9
#define RESET_DELAY_US  5000000u
#define RESET_SETTLE_US 10000u
#define MAX_FRAMES      24

extern const char hv_text_start[], hv_text_end[];

static uint32_t panicking;

void panic_stop_cpu(void)
{
    for (;;) {
        irq_disable();
        halt();
    }
}

bool panic_in_progress(void)
{
    return load_relaxed(&panicking) != 0;
}

void machine_restart(void)
{
    static const struct descriptor_ptr no_idt;

    const struct acpi_info *ai = acpi_info();

    irq_disable();
    if (ai->reset_port) {
        outb(ai->reset_port, ai->reset_value);
        udelay(RESET_SETTLE_US);
    }
    outb(RESET_PORT, 0x02);
    outb(RESET_PORT, 0x06);
    for (unsigned int i = 0; i < 100000 && (inb(0x64) & 2); i++)
        cpu_relax();
    outb(0x64, 0xfe);
    for (unsigned int i = 0; i < 100000; i++)
        cpu_relax();
    lidt(&no_idt);
    __asm__ volatile("ud2");
    panic_stop_cpu();
}

/* Return addresses only: without frame pointers rbp is just a register, so every step checks
 * that it stays on this CPU's stack. */
void panic_backtrace(uint64_t rbp)
{
    uint64_t lo = (uint64_t)this_cpu_info() & ~(STACK_SIZE - 1UL);
    uint64_t hi = (uint64_t)this_cpu_info();

    if (!rbp)
        rbp = (uint64_t)__builtin_frame_address(0);
    for (unsigned int i = 0; i < MAX_FRAMES; i++) {
        const uint64_t *frame = (const uint64_t *)rbp;

        if (rbp < lo || rbp > hi - 16 || (rbp & 7))
            break;
        if (frame[1] >= (uint64_t)hv_text_start && frame[1] < (uint64_t)hv_text_end)
            printk(LOG_ERROR, "    from %016lx\n", frame[1]);
        if (frame[0] <= rbp)
            break;
        rbp = frame[0];
    }
}

/* What looks like return addresses on the stack, for builds without frame pointers. */
static void dump_stack(void)
{
    const uint64_t *p = __builtin_frame_address(0);
    const uint64_t *end = (const uint64_t *)this_cpu_info();

    printk(LOG_ERROR, "text addresses on the stack of CPU %u:\n", this_cpu());
    for (unsigned int n = 0; p < end && n < MAX_FRAMES; p++) {
        if (*p >= (uint64_t)hv_text_start && *p < (uint64_t)hv_text_end) {
            printk(LOG_ERROR, "    %016lx\n", *p);
            n++;
        }
    }
}

static void __noreturn panic_end(void)
{
    if (cmdline_find("debugexit", NULL, 0))
        outb(DEBUGEXIT_PORT, 1);
    if (cmdline_find("noreboot", NULL, 0)) {
        printk(LOG_ERROR, "stopped (noreboot)\n");
        panic_stop_cpu();
    }
    printk(LOG_ERROR, "restarting in 5 seconds\n");
    udelay(RESET_DELAY_US);
    machine_restart();
}

static void panic_begin(void)
{
    irq_disable();
    if (atomic_xchg(&panicking, 1u))
        panic_stop_cpu();
    console_force();
    smp_stop_others();
}

void panic(const char *fmt, ...)
{
    va_list ap;

    panic_begin();
    printk(LOG_ERROR, "\n");
    printk(LOG_ERROR, "PANIC on CPU %u: ", this_cpu());
    va_start(ap, fmt);
    vprintk(LOG_ERROR, fmt, ap);
    va_end(ap);
    printk(LOG_ERROR, "\n");
    dump_stack();
    panic_end();
}

void panic_bug(const char *file, int line, const char *what)
{
    panic("%s:%d: %s", file, line, what);
}

void machine_poweroff(void)
{
    const struct acpi_info *ai = acpi_info();

    irq_disable();
    if (cmdline_find("debugexit", NULL, 0))
        outb(DEBUGEXIT_PORT, 0);
    if (ai->pm1a_cnt)
        outw(ai->pm1a_cnt, ai->s5_a);
    if (ai->pm1b_cnt)
        outw(ai->pm1b_cnt, ai->s5_b);
    udelay(RESET_SETTLE_US);
    printk(LOG_ERROR, "the machine can be switched off now\n");
    panic_stop_cpu();
}
