/* SPDX-License-Identifier: MIT */
/*
 * report.c - what a guest looked like when it did something fatal.
 */
#include "cpu/traps.h"

#include "cpu/asm.h"
#include "dev/console.h"
#include "lib/printf.h"
#include "mm/mm.h"
#include "mm/uaccess.h"

#define CODE_BEFORE 16
#define CODE_BYTES  32
#define STACK_WORDS 24

/* Bytes around rip, the one at rip in angle brackets. */
static void report_code(uint64_t rip)
{
    char line[CODE_BYTES * 3 + 8];
    size_t at = 0;

    for (unsigned int i = 0; i < CODE_BYTES; i++) {
        uint8_t b;

        if (copy_from_guest(&b, guest_ptr(rip - CODE_BEFORE + i), 1)) {
            if (i >= CODE_BEFORE)
                break;
            continue;
        }
        at += (size_t)snprintf(line + at, sizeof(line) - at, i == CODE_BEFORE ? "<%02x> " : "%02x ",
                               b);
    }
    line[at] = 0;
    printk(LOG_WARNING, "  code: %s\n", line);
}

static void report_stack(uint64_t rsp)
{
    for (unsigned int i = 0; i < STACK_WORDS; i += 4) {
        uint64_t w[4];

        if (copy_from_guest(w, guest_ptr((rsp & ~7UL) + i * 8), sizeof(w))) {
            printk(LOG_WARNING, "  stack: %016lx cannot be read\n", rsp + i * 8);
            return;
        }
        printk(LOG_WARNING, "  %016lx  %016lx %016lx %016lx %016lx\n", (rsp & ~7UL) + i * 8, w[0],
               w[1], w[2], w[3]);
    }
}

void guest_report(struct vcpu *v)
{
    bool here = v == current;
    const struct cpu_user_regs *r = here ? guest_regs() : &v->regs;

    printk(LOG_WARNING, "d%uv%u on CPU %u, %s mode, vector %u error %#x\n", v->domain->id, v->id,
           this_cpu(), v->kernel_mode ? "kernel" : "user", r->entry_vector, r->error_code);
    printk(LOG_WARNING, "  rip %04x:%016lx  rsp %04x:%016lx  rflags %08lx\n", r->cs, r->rip, r->ss,
           r->rsp, r->rflags);
    printk(LOG_WARNING, "  rax %016lx rbx %016lx rcx %016lx rdx %016lx\n", r->rax, r->rbx, r->rcx,
           r->rdx);
    printk(LOG_WARNING, "  rsi %016lx rdi %016lx rbp %016lx r8  %016lx\n", r->rsi, r->rdi, r->rbp,
           r->r8);
    printk(LOG_WARNING, "  r9  %016lx r10 %016lx r11 %016lx r12 %016lx\n", r->r9, r->r10, r->r11,
           r->r12);
    printk(LOG_WARNING, "  r13 %016lx r14 %016lx r15 %016lx\n", r->r13, r->r14, r->r15);
    printk(LOG_WARNING, "  kernel root %#lx user root %#lx cr2 %016lx gs %016lx/%016lx fs %016lx\n",
           v->cr3_kernel, v->cr3_user, v->cr2,
           here ? rdmsr(MSR_GS_BASE) : v->gs_base_kernel,
           here ? rdmsr(MSR_KERNEL_GS_BASE) : v->gs_base_user,
           here ? rdmsr(MSR_FS_BASE) : v->fs_base);
    printk(LOG_WARNING, "  upcall pending %u mask %u, event callback %lx, kernel stack %lx\n",
           v->info->evtchn_upcall_pending, v->info->evtchn_upcall_mask, v->event_cb.eip,
           v->kernel_sp);
    if (!here)
        return;
    report_code(r->rip);
    report_stack(r->rsp);
    if (r->entry_vector == 14)
        pagewalk_print(this_cpu_info()->cr3, v->cr2);
}
