/* SPDX-License-Identifier: MIT */
/*
 * traps.c - exceptions and interrupts: emulate, reflect, fix up or panic; the exit path.
 *
 * entry.S calls with interrupts off and wants them off on return. What a guest's exception leads
 * to runs with interrupts on, except for a page fault that is simply reflected.
 */
#include "cpu/traps.h"

#include "cpu/asm.h"
#include "cpu/asm_vcpu.h"
#include "cpu/counters.h"
#include "cpu/cpuid.h"
#include "cpu/desc.h"
#include "cpu/extable.h"
#include "cpu/fpu.h"
#include "dev/console.h"
#include "dev/panic.h"
#include "emul/privop.h"
#include "event/evtchn.h"
#include "hypercall/hypercall.h"
#include "lib/string.h"
#include "mm/map.h"
#include "mm/mm.h"
#include "sched/sched.h"
#include "sched/softirq.h"

#define VECTOR_INT80    0x80
#define PFEC_P          1u
#define PFEC_W          2u
#define PFEC_U          4u
#define PFEC_I          16u

/* TF, IF, DF, IOPL, NT, RF, VM, AC, ID stays. */
#define SFMASK          0x77700

#define VECTOR_STUB_BYTES 16
extern const char vector_stubs[], syscall_entry[], syscall32_entry[], iret_to_guest[],
    iret_to_guest_fast[];

static irq_handler irq_handlers[256];
static bool (*nmi_handler)(void);

/* What each CPU's LSTAR points to: it alone knows its stack without any register to look with. */
#define STUB_BYTES 32
static uint8_t syscall_stubs[NR_CPUS][2][STUB_BYTES] __aligned(64) __section(".stubs");

static const char *const trap_names[32] = {
    "divide error", "debug", "NMI", "breakpoint", "overflow", "bound range", "invalid opcode",
    "device not available", "double fault", "9", "invalid TSS", "segment not present",
    "stack fault", "general protection", "page fault", "15", "x87 error", "alignment check",
    "machine check", "SIMD error", "20", "control protection",
};

static const char *trap_name(uint32_t vector)
{
    return vector < 32 && trap_names[vector] ? trap_names[vector] : "?";
}

void irq_set_handler(uint8_t vector, irq_handler fn)
{
    BUG_ON(vector < 32 || vector == VECTOR_INT80 || irq_handlers[vector]);
    irq_handlers[vector] = fn;
}

void nmi_set_handler(bool (*fn)(void))
{
    nmi_handler = fn;
}

/*
 * movabs %rax, regs.rax; mov $cpu_info, %rax; xchg %rax, %rsp; jmp target. Uses no register but
 * rax and leaves the guest's rsp in it.
 */
static void syscall_stub_write(uint8_t *stub, const struct cpu_info *ci, const char *target)
{
    uint64_t rax_slot = (uint64_t)&ci->regs.rax, base = (uint64_t)ci;
    int32_t rel = (int32_t)(target - (const char *)(stub + 27));

    stub = map_writable_alias(stub);
    stub[0] = 0x48;
    stub[1] = 0xa3;
    memcpy(stub + 2, &rax_slot, 8);
    stub[10] = 0x48;
    stub[11] = 0xb8;
    memcpy(stub + 12, &base, 8);
    stub[20] = 0x48;
    stub[21] = 0x94;
    stub[22] = 0xe9;
    memcpy(stub + 23, &rel, 4);
}

void traps_init(void)
{
    for (unsigned int n = 0; n < 256; n++) {
        unsigned int ist = n == 2 ? IST_NMI : n == 8 ? IST_DF : n == 18 ? IST_MC :
                           n == 1 ? IST_DB : 0;
        /* int3, into; int 0x80: 32-bit system calls need not take the way through #GP. */
        unsigned int dpl = n == 3 || n == 4 || n == VECTOR_INT80 ? 3 : 0;

        idt_set_gate((uint8_t)n, vector_stubs + n * VECTOR_STUB_BYTES, ist, dpl);
    }
    hypercall_init();
}

void traps_init_cpu(void)
{
    struct cpu_info *ci = this_cpu_info();

    ci->cr4 = read_cr4();
    syscall_stub_write(syscall_stubs[ci->cpu][0], ci, syscall_entry);
    syscall_stub_write(syscall_stubs[ci->cpu][1], ci, syscall32_entry);
    wrmsr(MSR_STAR, (uint64_t)SEL_GUEST_CS32 << 48 | (uint64_t)SEL_HV_CS << 32);
    wrmsr(MSR_LSTAR, (uint64_t)syscall_stubs[ci->cpu][0]);
    wrmsr(MSR_CSTAR, (uint64_t)syscall_stubs[ci->cpu][1]);
    wrmsr(MSR_SFMASK, SFMASK);
    wrmsr(MSR_EFER, rdmsr(MSR_EFER) | EFER_SCE);
    wrmsr(MSR_SYSENTER_CS, 0);          /* sysenter: #GP */
    cpuid_enable_faulting();
}

/* ---- Exceptions of the hypervisor itself -------------------------------------------------- */

static void __noreturn trap_fatal(const struct cpu_user_regs *regs)
{
    console_force();
    printk(LOG_ERROR, "CPU %u: %s (vector %u, error %#x) in the hypervisor, cr2 %016lx\n",
           this_cpu(), trap_name(regs->entry_vector), regs->entry_vector, regs->error_code,
           read_cr2());
    printk(LOG_ERROR, "rip %04x:%016lx rsp %016lx rflags %08lx cr3 %016lx\n", regs->cs, regs->rip,
           regs->rsp, regs->rflags, read_cr3());
    printk(LOG_ERROR, "rax %016lx rbx %016lx rcx %016lx rdx %016lx\n", regs->rax, regs->rbx,
           regs->rcx, regs->rdx);
    printk(LOG_ERROR, "rsi %016lx rdi %016lx rbp %016lx r8  %016lx\n", regs->rsi, regs->rdi,
           regs->rbp, regs->r8);
    printk(LOG_ERROR, "r9  %016lx r10 %016lx r11 %016lx r12 %016lx\n", regs->r9, regs->r10,
           regs->r11, regs->r12);
    printk(LOG_ERROR, "r13 %016lx r14 %016lx r15 %016lx\n", regs->r13, regs->r14, regs->r15);
    if (((regs->rsp ^ (uint64_t)this_cpu_info()) & ~(STACK_SIZE - 1UL)) == 0) {
        const uint64_t *sp = (const uint64_t *)(regs->rsp & ~7UL);

        for (unsigned int i = 0; i < 32 && ((uint64_t)(sp + i) & (STACK_SIZE - 1)); i += 4)
            printk(LOG_ERROR, "  %016lx %016lx %016lx %016lx\n", sp[i], sp[i + 1], sp[i + 2],
                   sp[i + 3]);
    }
    panic_backtrace(regs->rbp);
    panic("fatal exception in the hypervisor: %s", trap_name(regs->entry_vector));
}

/*
 * A page fault of ours. In the LDT window: the guest's LDT page is mapped when it is first used,
 * and we retry. A protection fault at an instruction with a fix-up may come from a TLB entry
 * that the guest made stale by raising permissions; hardware has dropped it now, so try once
 * more before taking the fix-up.
 */
static bool own_pagefault_retry(const struct cpu_user_regs *regs, uint64_t va)
{
    struct cpu_info *ci = this_cpu_info();
    struct vcpu *v = ci->vcpu;

    if (va >= PERDOMAIN_START && va < PERDOMAIN_END)
        return v && !v->is_idle && ldt_fault(v, va - vcpu_ldt_va(v));
    if (!(regs->error_code & PFEC_P) || !extable_find(regs->rip))
        return false;
    if (ci->retry_rip == regs->rip && ci->retry_va == va) {
        ci->retry_rip = 0;
        return false;
    }
    ci->retry_rip = regs->rip;
    ci->retry_va = va;
    return true;
}

void trap_from_hypervisor(struct cpu_user_regs *regs)
{
    uint64_t fix;

    if (regs->entry_vector == 14 && own_pagefault_retry(regs, read_cr2()))
        return;
    fix = extable_find(regs->rip);
    if (!fix)
        trap_fatal(regs);
    if (regs->rip == (uint64_t)iret_to_guest || regs->rip == (uint64_t)iret_to_guest_fast)
        this_cpu_info()->scratch = (uint64_t)regs->entry_vector << 32 | regs->error_code;
    regs->rip = fix;
}

/* NMI, #DF, #MC: on their own stacks, from guest or hypervisor. */
void trap_paranoid(struct cpu_user_regs *regs)
{
    if (regs->entry_vector == 2) {
        if (nmi_handler && nmi_handler())
            return;
        printk(LOG_WARNING, "CPU %u: unexpected NMI\n", this_cpu());
        return;
    }
    trap_fatal(regs);
}

/* ---- Interrupts --------------------------------------------------------------------------- */

void irq_dispatch(struct cpu_user_regs *regs)
{
    irq_handler fn = irq_handlers[(uint8_t)regs->entry_vector];

    count(CNT_IRQ);
    if (likely(fn))
        fn(regs);
    else
        printk(LOG_WARNING, "CPU %u: unexpected interrupt %#x\n", this_cpu(), regs->entry_vector);
}

/* ---- Exceptions of guests ----------------------------------------------------------------- */

/* A fault in our range. Nothing may tell a guest what is mapped there: all but the machine-to-phys
 * table, which it may read, is not present, whatever the processor found. */
static void guest_pagefault_in_ours(struct vcpu *v, uint64_t va, uint32_t ec)
{
    if (!(ec & PFEC_U) && va - PERDOMAIN_START < PERDOMAIN_END - PERDOMAIN_START) {
        /* The processor's own look at a descriptor. */
        uint64_t offset = va - vcpu_ldt_va(v);
        bool done;

        irq_enable();
        done = ldt_fault(v, offset);
        irq_disable();
        if (done)
            return;
        if (offset / 8 < v->ldt_ents)
            va = v->ldt_base + offset;          /* where the guest has it */
    }
    if (va - FRAMETABLE_START < HV_VIRT_END - FRAMETABLE_START)
        ec &= PFEC_W | PFEC_I;
    guest_inject_pagefault(v, va, v->kernel_mode ? ec & ~PFEC_U : ec | PFEC_U);
}

static void guest_pagefault(struct vcpu *v, struct cpu_user_regs *regs)
{
    uint64_t va = read_cr2();
    uint32_t ec = regs->error_code;

    count(CNT_PAGEFAULT);
    if (unlikely(va - HV_VIRT_START < HV_VIRT_END - HV_VIRT_START)) {
        guest_pagefault_in_ours(v, va, ec);
        return;
    }
    if (v->kernel_mode && (ec & PFEC_P)) {
        bool done;

        irq_enable();
        done = ((ec & PFEC_W) && ptwrite_emulate(v, va, regs)) || pagefault_spurious(v, va, ec);
        irq_disable();
        if (done)
            return;
    }
    guest_inject_pagefault(v, va, v->kernel_mode ? ec & ~PFEC_U : ec | PFEC_U);
}

static void guest_debug(struct vcpu *v)
{
    uint64_t dr6 = read_dr6();

    write_dr6(DR6_DEFAULT);
    /* What happened is added to the guest's; BT and the like keep their meaning. */
    v->dr[6] |= (dr6 ^ DR6_DEFAULT) & 0x1e00f;
    guest_inject_exception(v, 1, 0);
}

static void guest_no_device(struct vcpu *v)
{
    bool first = fpu_first_use(v);

    if (!(v->guest_cr0 & CR0_TS)) {
        if (!first)
            clts();
        return;
    }
    v->guest_cr0 &= ~CR0_TS;
    clts();
    guest_inject_exception(v, 7, 0);
}

static void guest_int80(struct vcpu *v, struct cpu_user_regs *regs)
{
    const struct trap_info *t = &v->traps[VECTOR_INT80];

    if (t->address && TI_GET_DPL(t) >= (v->kernel_mode ? 1 : 3)) {
        guest_inject_exception(v, VECTOR_INT80, 0);
        return;
    }
    regs->rip -= 2;
    guest_inject_gp(v, VECTOR_INT80 << 3 | 2);
}

void trap_from_guest(struct cpu_user_regs *regs)
{
    struct vcpu *v = current;
    bool done;

    switch (regs->entry_vector) {
    case 14:
        guest_pagefault(v, regs);
        break;
    case 13:
        count(CNT_EMULATED);
        irq_enable();
        done = privop_emulate_gp(v, regs);
        irq_disable();
        if (!done)
            guest_inject_gp(v, regs->error_code);
        break;
    case 6:
        count(CNT_EMULATED);
        irq_enable();
        done = privop_emulate_ud(v, regs);
        irq_disable();
        if (!done)
            guest_inject_exception(v, 6, 0);
        break;
    case 7:
        guest_no_device(v);
        break;
    case 1:
        guest_debug(v);
        break;
    case VECTOR_INT80:
        guest_int80(v, regs);
        break;
    default:
        guest_inject_exception(v, (uint8_t)regs->entry_vector, regs->error_code);
        break;
    }
}

/* ---- The way out -------------------------------------------------------------------------- */

/* Whoever sends one sees to it that its target comes this way or through the idle loop. */
static void deliver_nmi(struct vcpu *v)
{
    if (likely(!READ_ONCE(v->nmi_pending)) || v->nmi_masked || !v->traps[2].address)
        return;
    WRITE_ONCE(v->nmi_pending, false);
    v->nmi_masked = true;
    guest_inject_exception(v, 2, 0);
}

void exit_to_guest_work(void)
{
    struct cpu_info *ci = this_cpu_info();

    for (;;) {
        struct vcpu *v;
        uint32_t pending = READ_ONCE(ci->softirqs);

        /* Mostly a vCPU that goes to sleep. */
        if (pending == 1u << SOFTIRQ_SCHEDULE) {
            atomic_and(&ci->softirqs, ~(1u << SOFTIRQ_SCHEDULE));
            schedule();
        } else if (pending) {
            softirq_run();
        }
        v = ci->vcpu;
        if (v->is_idle)
            enter_idle();
        deliver_nmi(v);
        if (vcpu_event_deliverable(v) && v->event_cb.eip)
            vcpu_deliver_upcall(v);
        if (likely(!READ_ONCE(ci->softirqs)))
            return;
    }
}

void idle_loop(void)
{
    for (;;) {
        softirq_run();
        if (!current->is_idle) {
            irq_disable();
            deliver_nmi(current);
            return_to_guest();
        }
        sched_idle_wait();
    }
}
