/* SPDX-License-Identifier: MIT */
/*
 * console_io.c - the console_io hypercall: dom0 writes to and reads from the serial line.
 *
 * Other domains are refused, as by the reference, because serial output is slow and would let a
 * guest keep a CPU and the log busy; `guest_console` on the command line lets them in (early
 * boot of a new kind of kernel, before its console ring works).
 */
#include "boot/multiboot.h"
#include "dev/console.h"
#include "event/evtchn.h"
#include "hypercall/hypercall.h"
#include "mm/uaccess.h"
#include "sched/sched.h"

#define CHUNK 256u

static long console_io_write(guest_ptr_t buf, uint64_t count)
{
    char text[CHUNK];
    uint64_t done = 0;

    while (done < count) {
        size_t n = MIN(count - done, (uint64_t)CHUNK);

        if (done && hypercall_preempt_check())
            return hypercall_continue(__HYPERVISOR_console_io, 3, (uint64_t)CONSOLEIO_write,
                                      count - done, buf.v + done);
        if (copy_from_guest(text, guest_ptr_add(buf, done), n))
            return -XEN_EFAULT;
        console_write(text, n);
        done += n;
    }
    return 0;
}

static long console_io_read(guest_ptr_t buf, uint64_t count)
{
    char text[CHUNK];
    size_t n;

    if (!guest_range_ok(buf, MIN(count, (uint64_t)CHUNK)))
        return -XEN_EFAULT;
    n = console_read(text, MIN(count, (uint64_t)CHUNK));
    return copy_to_guest(buf, text, n) ? -XEN_EFAULT : (long)n;
}

long do_console_io(uint64_t cmd, uint64_t count, guest_ptr_t buf)
{
    bool dom0_calls = current->domain->privileged;

    if (!dom0_calls && (cmd != CONSOLEIO_write || !cmdline_find("guest_console", NULL, 0)))
        return -XEN_EPERM;
    switch (cmd) {
    case CONSOLEIO_write:
        return count > (1u << 20) ? -XEN_EINVAL : console_io_write(buf, count);
    case CONSOLEIO_read:
        return console_io_read(buf, count);
    }
    return -XEN_ENOSYS;
}

static void input_arrived(void)
{
    evtchn_raise_global_virq(VIRQ_CONSOLE);
}

void console_io_init(void)
{
    console_set_input_handler(input_arrived);
}
