/* SPDX-License-Identifier: MIT */
/*
 * traps.c - exceptions of our own code. An address in the fixup table continues at its fixup;
 * everything else is a bug of ours and ends the domain with a readable report.
 */
#include "runtime/traps.h"
#include "runtime/hypercall.h"
#include "runtime/log.h"
#include "runtime/start.h"

/* As trap_common in head.S lays it out, lowest address first. */
struct trap_frame {
    uint64_t r15, r14, r13, r12, r11, r10, r9, r8, rdi, rsi, rbp, rbx, rdx, rcx, rax;
    uint64_t vector, error, rip, cs, rflags, rsp, ss;
};

struct extable_entry {
    uint64_t at, fixup;
};

extern const struct extable_entry _extable_start[], _extable_end[];
extern char _image_start[], _image_end[];
extern void upcall_entry(void), failsafe_entry(void);

void trap_handler(struct trap_frame *f);
void failsafe_handler(void);

#define TRAP_ENTRY(n) extern void trap_##n(void)
TRAP_ENTRY(0); TRAP_ENTRY(1); TRAP_ENTRY(2); TRAP_ENTRY(3); TRAP_ENTRY(4); TRAP_ENTRY(5);
TRAP_ENTRY(6); TRAP_ENTRY(7); TRAP_ENTRY(8); TRAP_ENTRY(10); TRAP_ENTRY(11); TRAP_ENTRY(12);
TRAP_ENTRY(13); TRAP_ENTRY(14); TRAP_ENTRY(16); TRAP_ENTRY(17); TRAP_ENTRY(18); TRAP_ENTRY(19);

/* Flag 4: upcalls masked in the handler. Selector: the hypervisor's flat 64-bit code. */
#define TRAP(n) { n, 4, FLAT_KERNEL_CS, (unsigned long)trap_##n }
static const struct trap_info *trap_table(void)
{
    static const struct trap_info table[] = {
        TRAP(0), TRAP(1), TRAP(2), TRAP(3), TRAP(4), TRAP(5), TRAP(6), TRAP(7), TRAP(8), TRAP(10),
        TRAP(11), TRAP(12), TRAP(13), TRAP(14), TRAP(16), TRAP(17), TRAP(18), TRAP(19),
        { 0, 0, 0, 0 },
    };
    return table;
}

static const char *const trap_names[20] = {
    "divide error", "debug", "NMI", "breakpoint", "overflow", "bound", "invalid opcode",
    "device not available", "double fault", "9", "invalid TSS", "segment not present",
    "stack fault", "general protection", "page fault", "15", "x87 error", "alignment check",
    "machine check", "SIMD error",
};

static bool is_text(uint64_t a)
{
    return a >= (uint64_t)_image_start && a < (uint64_t)_image_end;
}

/* Return addresses that are on the stack: not exact, but enough to find the place. */
static void report_stack(uint64_t rsp)
{
    const uint64_t *p = (const uint64_t *)(rsp & ~7UL);
    unsigned int shown = 0;

    for (unsigned int i = 0; i < 256 && shown < 12; i++) {
        uint64_t v;

        if (!try_read64(&p[i], &v))
            return;
        if (is_text(v)) {
            log_error("  stack +%03x: %016lx", i * 8, v);
            shown++;
        }
    }
}

void trap_handler(struct trap_frame *f)
{
    static bool reporting;

    for (const struct extable_entry *e = _extable_start; e < _extable_end; e++) {
        if (e->at == f->rip) {
            f->rip = e->fixup;
            return;
        }
    }
    if (reporting)
        domain_shutdown(SHUTDOWN_crash);
    reporting = true;
    log_error("exception %lu (%s), error %lx, address %lx", f->vector,
              f->vector < 20 ? trap_names[f->vector] : "?", f->error,
              f->vector == 14 ? shared_info->vcpu_info[0].arch.cr2 : 0);
    log_error("  rip %016lx rsp %016lx flags %lx cs %lx", f->rip, f->rsp, f->rflags, f->cs);
    log_error("  rax %016lx rbx %016lx rcx %016lx rdx %016lx", f->rax, f->rbx, f->rcx, f->rdx);
    log_error("  rsi %016lx rdi %016lx rbp %016lx r8  %016lx", f->rsi, f->rdi, f->rbp, f->r8);
    log_error("  r9  %016lx r10 %016lx r11 %016lx r12 %016lx", f->r9, f->r10, f->r11, f->r12);
    log_error("  r13 %016lx r14 %016lx r15 %016lx", f->r13, f->r14, f->r15);
    report_stack(f->rsp);
    panic("unexpected exception");
}

void failsafe_handler(void)
{
    panic("failsafe callback");
}

bool try_read64(const volatile uint64_t *p, uint64_t *value)
{
    uint64_t v;
    bool ok = true;

    __asm__ volatile("1: mov (%2), %0\n"
                     "2:\n"
                     ".pushsection .text.fixup, \"ax\"\n"
                     "3: movb $0, %1\n"
                     "   xor %k0, %k0\n"
                     "   jmp 2b\n"
                     ".popsection\n"
                     ".pushsection .extable, \"a\"\n"
                     ".quad 1b, 3b\n"
                     ".popsection\n"
                     : "=&r"(v), "+q"(ok)
                     : "r"(p)
                     : "memory");
    *value = v;
    return ok;
}

void traps_init(void)
{
    struct callback_register cb = { .type = CALLBACKTYPE_event };
    long rc = hc_set_trap_table(trap_table());

    BUG_ON(rc);
    cb.address = (unsigned long)upcall_entry;
    rc = hc_callback_op(CALLBACKOP_register, &cb);
    BUG_ON(rc);
    cb.type = CALLBACKTYPE_failsafe;
    cb.address = (unsigned long)failsafe_entry;
    rc = hc_callback_op(CALLBACKOP_register, &cb);
    BUG_ON(rc);
}
