/* SPDX-License-Identifier: MIT */
/*
 * main.c - a guest that does to the processor whatever it can think of. README.md says what.
 *
 * attempt() goes to some place with some registers by the iret hypercall; whatever happens there
 * (any exception, a system call, the timer) comes back as if attempt() had returned.
 */
#include "atomic.h"
#include "lib/string.h"
#include "runtime/event.h"
#include "runtime/hypercall.h"
#include "runtime/log.h"
#include "runtime/mem.h"
#include "runtime/pagetable.h"
#include "runtime/start.h"
#include "runtime/time.h"
#include "runtime/traps.h"
#include "tests/attack/expect.h"
#include "tests/attack/ap.h"

#define HV_START    0xffff800000000000UL
#define HV_END      0xffff880000000000UL
#define ATTEMPT_NS  (300 * NS_PER_US)

/* The iret hypercall's frame, then the other registers. */
struct regs {
    uint64_t rax, r11, rcx, flags, rip, cs, rflags, rsp, ss;
    uint64_t rbx, rdx, rsi, rdi, rbp, r8, r9, r10, r12, r13, r14, r15;
};

void attempt(const struct regs *r, void *frame);
extern char recover[], recover_event[];
extern uint64_t came_back, by_event;

__asm__(".text\n"
        ".globl attempt, recover, recover_event\n"
        "attempt:\n"
        "    push %rbx; push %rbp; push %r12; push %r13; push %r14; push %r15\n"
        "    mov %rsp, saved_rsp(%rip)\n"
        "    mov %rsi, %rsp\n"
        "    mov 72(%rdi), %rbx; mov 80(%rdi), %rdx; mov 88(%rdi), %rsi; mov 104(%rdi), %rbp\n"
        "    mov 112(%rdi), %r8; mov 120(%rdi), %r9; mov 128(%rdi), %r10; mov 136(%rdi), %r12\n"
        "    mov 144(%rdi), %r13; mov 152(%rdi), %r14; mov 160(%rdi), %r15\n"
        "    mov 96(%rdi), %rdi\n"
        "    mov $23, %eax\n"
        "    syscall\n"
        "    ud2\n"
        "recover_event:\n"
        "    incq by_event(%rip)\n"
        "recover:\n"
        "    incq came_back(%rip)\n"
        "    mov saved_rsp(%rip), %rsp\n"
        "    pushq $0x202\n"
        "    popfq\n"
        "    pop %r15; pop %r14; pop %r13; pop %r12; pop %rbp; pop %rbx\n"
        "    ret\n"
        ".bss\n"
        ".globl saved_rsp, came_back, by_event\n"
        "saved_rsp: .skip 8\n"
        "came_back: .skip 8\n"
        "by_event: .skip 8\n"
        ".text\n");

static uint64_t rng = 1;
static uint8_t *code;           /* a page of code */
static uint64_t *ldt;
static char *stack;             /* where attempts have theirs; its end */
static char *frames;            /* where frames for iret lie */
static uint64_t *table;         /* a live L1, read-only for us */
static evtchn_port_t timer_port;

static uint64_t rnd64(void)
{
    rng ^= rng << 13;
    rng ^= rng >> 7;
    rng ^= rng << 17;
    return rng * 0x2545f4914f6cdd1dUL;
}

static uint32_t rnd(uint32_t n)
{
    return (uint32_t)((rnd64() >> 32) % n);
}

/* ---- Handlers: all of them lead to recover -------------------------------------------------- */

static void set_handlers(const char *to)
{
    static struct trap_info t[257];
    static const uint16_t type[] = { CALLBACKTYPE_event, CALLBACKTYPE_failsafe,
                                     CALLBACKTYPE_syscall, CALLBACKTYPE_syscall32 };

    for (unsigned int i = 0; i < 256; i++)
        t[i] = (struct trap_info){ .vector = (uint8_t)i, .flags = 4 | 3, .cs = FLAT_KERNEL_CS,
                                   .address = (unsigned long)to };
    BUG_ON(hc_set_trap_table(t));
    for (unsigned int i = 0; i < ARRAY_SIZE(type); i++) {
        struct callback_register cb = {
            .type = type[i], .flags = CALLBACKF_mask_events,
            .address = (unsigned long)(i == 0 ? recover_event : to),
        };
        BUG_ON(hc_callback_op(CALLBACKOP_register, &cb));
    }
}

/* Undone after each attempt, before we may fault ourselves or wait. */
static void ordinary_again(void)
{
    /* First, or what follows meets a breakpoint. */
    (void)hypercall(__HYPERVISOR_set_debugreg, 7, 0, 0, 0, 0);
    WRITE_ONCE(shared_info->vcpu_info[0].evtchn_upcall_mask, 1);
    (void)hc_set_timer_op(0);
    event_mask(timer_port);
    clear_bit(timer_port, (uint64_t *)shared_info->evtchn_pending);
    shared_info->vcpu_info[0].evtchn_upcall_pending = 0;
    shared_info->vcpu_info[0].evtchn_pending_sel = 0;
    traps_init();
}

static void try_at(struct regs *r, void *frame)
{
    set_handlers(recover);
    event_unmask(timer_port);
    (void)hc_stack_switch(FLAT_KERNEL_SS, (uint64_t)stack - 0x800);
    (void)hc_set_timer_op(now_ns() + ATTEMPT_NS);
    attempt(r, frame);
    ordinary_again();
}

static void try(struct regs *r)
{
    memcpy(frames, r, 72);
    try_at(r, frames);
}

/* ---- Values ----------------------------------------------------------------------------------- */

static uint64_t value(void)
{
    static const uint64_t v[] = {
        0, 1, 8, 0x7fffffffffffUL, 0x800000000000UL, 0xffff7fffffffffffUL, HV_START, HV_END - 8, HV_END,
        0xffff804000000000UL, 0xffff820000000000UL, 0xffff82d040200000UL, 0xffff830000000000UL,
        0xffff8a0000000000UL, ~0UL, 0x8000000000000000UL, 0xfffffffffffffff8UL, 0xc0000080, 0xc0000101,
        0x1b, 0x3f8, 0x20, 0x80, 0xcf8, 0x6e0,
    };

    switch (rnd(6)) {
    case 0:
        return rnd64();
    case 1:
        return rnd64() >> rnd(64);
    case 2:
        return (uint64_t)code + rnd(PAGE_SIZE);
    case 3:
        return (uint64_t)table + 8 * rnd(512);
    default:
        return v[rnd(ARRAY_SIZE(v))];
    }
}

static uint16_t selector(void)
{
    switch (rnd(6)) {
    case 0:
        return (uint16_t)rnd64();
    case 1:
        return FLAT_RING3_CS32;
    case 2:
    case 3:
        return (uint16_t)(rnd(512) << 3 | 7);   /* LDT */
    default:
        return FLAT_RING3_CS64;
    }
}

static void random_regs(struct regs *r)
{
    uint64_t *p = (uint64_t *)r;

    for (unsigned int i = 0; i < sizeof(*r) / 8; i++)
        p[i] = value();
    r->flags = rnd(4) ? 0 : rnd(2) ? VGCF_in_syscall : rnd64();
    r->rip = (uint64_t)code;
    r->cs = FLAT_RING3_CS64;
    r->ss = FLAT_RING3_SS64;
    r->rflags = 0x200;
    r->rsp = (uint64_t)stack - 0x1000;
}

static void user_mode(struct regs *r, bool user)
{
    /* In the kernel only 64-bit code: other would cut off the stack pointer. */
    r->cs = user ? r->cs | 3 : FLAT_RING3_CS64 & ~3UL;
}

/* ---- Attempts --------------------------------------------------------------------------------- */

static void odd_frames(unsigned int n)
{
    struct regs r;

    memset(code, 0xcc, PAGE_SIZE);
    while (n--) {
        random_regs(&r);
        if (rnd(3) == 0)
            r.cs = selector();
        if (rnd(3) == 0)
            r.ss = selector();
        if (rnd(3) == 0)
            r.rip = value();
        if (rnd(2))
            r.rflags = rnd(2) ? rnd64() : 0x202UL | 1UL << rnd(22);
        user_mode(&r, rnd(2));
        /* In kernel mode a bad stack would be the end. */
        if ((r.cs & 3) == 3 && rnd(2))
            r.rsp = value();
        if (rnd(8) == 0)
            (void)hc_set_segment_base(rnd(4), rnd(2) ? value() : selector());
        if (rnd(8) == 0)
            (void)hypercall(__HYPERVISOR_fpu_taskswitch, rnd(2), 0, 0, 0, 0);
        try(&r);
    }
}

static void debug_registers(unsigned int n)
{
    struct regs r;

    memset(code, 0x90, PAGE_SIZE);
    code[PAGE_SIZE - 1] = 0xcc;
    while (n--) {
        uint64_t at[] = { (uint64_t)frames, (uint64_t)code, (uint64_t)stack - 0x800 - 8,
                          (uint64_t)shared_info, value() };

        random_regs(&r);
        user_mode(&r, rnd(2));
        for (unsigned int i = 0; i < 4; i++)
            (void)hypercall(__HYPERVISOR_set_debugreg, i, at[rnd(ARRAY_SIZE(at))] + rnd(8), 0, 0, 0);
        memcpy(frames, &r, 72);
        set_handlers(recover);
        event_unmask(timer_port);
        (void)hc_stack_switch(FLAT_KERNEL_SS, (uint64_t)stack - 0x800);
        (void)hc_set_timer_op(now_ns() + ATTEMPT_NS);
        (void)hypercall(__HYPERVISOR_set_debugreg, 7, (rnd64() & 0xffff0000UL) | 0x455 << rnd(2), 0, 0, 0);
        attempt(&r, frames);
        ordinary_again();
    }
}

static void random_code(unsigned int n)
{
    static const uint8_t first[] = {
        0x0f, 0x0f, 0x0f, 0x66, 0x67, 0xf0, 0xf2, 0xf3, 0x2e, 0x64, 0x65, 0x48, 0x4c, 0xcd, 0xcc, 0xce,
        0xcf, 0xe4, 0xe5, 0xe6, 0xe7, 0xec, 0xed, 0xee, 0xef, 0x6c, 0x6d, 0x6e, 0x6f, 0xfa, 0xfb, 0xf4,
        0x8e, 0x9d, 0xca, 0xff, 0x8c, 0x63,
    };
    struct regs r;

    while (n--) {
        bool user = rnd(4) != 0;

        random_regs(&r);
        for (unsigned int i = 0; i < 64; i++)
            code[i] = rnd(2) ? first[rnd(ARRAY_SIZE(first))] : (uint8_t)rnd64();
        memset(code + 64, 0xcc, 64);
        if (!user) {
            /* Nothing that can move the stack: one two-byte or port instruction, then int3. */
            code[0] = rnd(2) ? 0x0f : (uint8_t)(0x6c + rnd(4));
            if (code[0] == 0x0f) {
                static const uint8_t second[] = { 0x00, 0x01, 0x06, 0x08, 0x09, 0x0b, 0x20, 0x21, 0x22,
                                                  0x23, 0x30, 0x31, 0x32, 0x33, 0x34, 0x35, 0xa2, 0xae,
                                                  0xc7, 0x01 };
                code[1] = second[rnd(ARRAY_SIZE(second))];
                code[2] = (uint8_t)(rnd(256) & ~0x20);
                code[2] = (code[2] & 7) == 4 ? 0xc0 : code[2];
                /* Those without operands. */
                if ((code[1] > 1 && code[1] < 0x20) || (code[1] & 0xf0) == 0x30 || code[1] == 0xa2)
                    code[2] = 0xcc;
            }
            memset(code + (code[0] == 0x0f ? 3 : 1), 0xcc, 60);
        } else if (rnd(2)) {
            r.cs = selector();
        }
        if (rnd(4) == 0)
            r.rip = (uint64_t)code + PAGE_SIZE - 1 - rnd(4);
        user_mode(&r, user);
        try(&r);
    }
}

/* Stores to a live table, by instructions that hardly anybody writes. */
static void odd_stores(unsigned int n)
{
    static const uint8_t op[] = { 0x00, 0x01, 0x08, 0x09, 0x10, 0x11, 0x20, 0x21, 0x28, 0x29, 0x30, 0x31,
                                  0x80, 0x81, 0x83, 0x86, 0x87, 0x88, 0x89, 0xc6, 0xc7, 0xf6, 0xf7, 0xfe,
                                  0xd0, 0xd1, 0xd2, 0xd3, 0xaa, 0xab, 0xa4, 0xa5, 0x8f };
    static const uint8_t op2[] = { 0xb0, 0xb1, 0xc0, 0xc1, 0xab, 0xb3, 0xbb, 0xba, 0xc7, 0xc3, 0xa4, 0x11 };
    struct regs r;

    while (n--) {
        unsigned int i = 0;
        uint8_t modrm = (uint8_t)(rnd(256) & 0x1f);

        random_regs(&r);
        user_mode(&r, false);
        memset(code, 0xcc, 64);
        if (rnd(4) == 0)
            code[i++] = 0xf0;
        if (rnd(4) == 0)
            code[i++] = rnd(2) ? 0x66 : 0xf3;
        if (rnd(2))
            code[i++] = 0x48;
        if (rnd(3) == 0) {
            code[i++] = 0x0f;
            code[i++] = op2[rnd(ARRAY_SIZE(op2))];
        } else {
            code[i++] = op[rnd(ARRAY_SIZE(op))];
        }
        if ((modrm & 7) == 4 || (modrm & 7) == 5)
            modrm ^= 6;
        if ((code[i - 1] & 0xf0) == 0xa0 && (i == 1 || code[i - 2] != 0x0f))
            modrm = 0xcc;               /* string instructions have none */
        code[i++] = modrm;
        /* An immediate operand if it has one, else harmless code. */
        memset(&code[i], rnd(2) ? 0xcc : 0x90, 4);
        /* All pointers into the table, some not aligned; contents of other registers: entries. */
        r.rax = r.rcx = r.rdx = r.rbx = (uint64_t)table + (rnd(3) ? 8 * rnd(512) : rnd(4096));
        r.rsi = rnd(2) ? r.rax : virt_to_maddr(code) | rnd(0x1000);
        r.rdi = (uint64_t)table + rnd(4096);
        switch (rnd(4)) {
        case 0:
            r.rdx = virt_to_maddr(table) | PTE_PRESENT | PTE_WRITE | PTE_USER;
            break;
        case 1:
            r.rcx = virt_to_maddr(code) | PTE_PRESENT | PTE_WRITE | PTE_USER;
            break;
        }
        try(&r);
        /* Whatever was stored: no writable entry of a table. */
        for (unsigned int k = 0; k < 512; k++) {
            uint64_t e = table[k];

            if ((e & 3) == 3 && (e & PTE_ADDR) == virt_to_maddr(table)) {
                log_error("attack: the table maps itself writable at %u", k);
                failed++;
                return;
            }
        }
    }
}

static uint64_t random_descriptor(void)
{
    uint64_t d = rnd64();

    /* Mostly present, ring 3, code or data. */
    return rnd(4) ? (d & ~0xf000000000UL) | 0xf00000000000UL : d;
}

static void change_ldt(void)
{
    struct mmuext_op op = { .cmd = MMUEXT_SET_LDT };

    for (unsigned int i = 0; i < 32; i++)
        (void)hc_update_descriptor(virt_to_maddr(ldt) + 8 * rnd(512), random_descriptor());
    op.arg1.linear_addr = rnd(8) ? (uint64_t)ldt : value() & ~0xfffUL;
    op.arg2.nr_ents = rnd(4) ? 512 : rnd(9000);
    (void)hc_mmuext_op(&op, 1, NULL, DOMID_SELF);
}

/* syscall as the last two bytes of the lower half: what follows is not canonical. */
static void canonical_limit(void)
{
    uint64_t *t[3], va = 0x7ffffffff000UL, slot[4] = { 511, 511, 511, 255 };
    struct mmu_update u;
    struct regs r;
    uint64_t child = virt_to_maddr(code);

    memset(code, 0x90, PAGE_SIZE);
    code[PAGE_SIZE - 2] = 0x0f;
    code[PAGE_SIZE - 1] = 0x05;
    for (unsigned int i = 0; i < 3; i++) {
        t[i] = page_alloc_zeroed();
        t[i][slot[i]] = child | PTE_PRESENT | PTE_USER | PTE_WRITE | PTE_ACCESSED | PTE_DIRTY;
        child = virt_to_maddr(t[i]);
        IS(direct_map_protect(virt_to_pfn(t[i]), false), 0);
    }
    u.ptr = virt_to_maddr((void *)start_info->pt_base) + 8 * slot[3];
    u.val = child | PTE_PRESENT | PTE_USER | PTE_WRITE | PTE_ACCESSED | PTE_DIRTY;
    IS(hc_mmu_update(&u, 1, NULL, DOMID_SELF), 0);
    for (unsigned int i = 0; i < 400; i++) {
        random_regs(&r);
        r.rip = va + PAGE_SIZE - 2 - rnd(3);
        r.rax = rnd(2) ? 17 : 63;       /* xen_version */
        user_mode(&r, rnd(2));
        if (rnd(4) == 0)
            r.rip = va + PAGE_SIZE - rnd(2);
        r.flags = rnd(2) ? VGCF_in_syscall : 0;
        try(&r);
    }
    u.val = 0;
    IS(hc_mmu_update(&u, 1, NULL, DOMID_SELF), 0);
}

static void sleeper(unsigned int cpu)
{
}

/* Contexts for a vCPU that never ran. */
static void contexts(void)
{
    static struct vcpu_guest_context c;
    unsigned int cpu = 1;

    if (ap_count() < 2)
        return;
    for (unsigned int i = 0; i < 300; i++) {
        uint64_t *p = (uint64_t *)&c;

        memset(&c, 0, sizeof(c));
        c.ctrlreg[3] = virt_to_maddr((void *)start_info->pt_base);
        c.user_regs.rip = (uint64_t)recover;
        if (i > 0)
            for (unsigned int k = 0; k < 1 + rnd(6); k++)
                p[rnd(sizeof(c) / 8)] = value();
        if (i > 0 && rnd(2))
            c.user_regs.cs = selector();
        /* A context that is accepted stays, so each of these must be refused. */
        c.flags = i & 1 ? VGCF_in_kernel : 0;
        c.ctrlreg[1] = 0;
        if (c.flags & VGCF_in_kernel)
            c.ctrlreg[3] = rnd64();
        if (hc_vcpu_op(VCPUOP_initialise, cpu, &c) == 0) {
            log_error("attack: context %u was accepted", i);
            failed++;
            (void)hc_vcpu_op(VCPUOP_up, cpu, NULL);
            return;
        }
        IS(hc_vcpu_op(VCPUOP_up, cpu, NULL), -XEN_EINVAL);
    }
    IS(ap_start(cpu, sleeper), 0);
}

/* ---- What ends the domain ----------------------------------------------------------------------- */

static void the_end(unsigned int what)
{
    struct regs r;
    static const uint64_t bad[] = { HV_START + 0x40, HV_END, HV_END + 8, 0x800000000000UL, 0x7ffffffffff8UL,
                                    8, 0, HV_START + 8, 0xffff7ffffffffff8UL, 0xffff830000000100UL,
                                    0xffff82d040200100UL };
    uint64_t at = bad[(what / 4) % ARRAY_SIZE(bad)];

    random_regs(&r);
    memset(code, 0xcc, PAGE_SIZE);
    set_handlers(recover);
    switch (what % 4) {
    case 0:                                     /* the frame of iret */
        attempt(&r, (void *)at);
        break;
    case 1:                                     /* the kernel's stack, from user mode */
        (void)hc_stack_switch(FLAT_KERNEL_SS, at);
        memcpy(frames, &r, 72);
        attempt(&r, frames);
        break;
    case 2:                                     /* the same, in kernel mode */
        user_mode(&r, false);
        r.rsp = at;
        memcpy(frames, &r, 72);
        attempt(&r, frames);
        break;
    case 3:                                     /* handlers that fault, over and over */
        set_handlers((char *)(at < 1UL << 47 || at >= HV_START ? at : HV_START));
        memcpy(frames, &r, 72);
        attempt(&r, frames);
        break;
    }
    log_info("attack cpu: case %u came back", what);
    /* A stack that happens to be mapped is no harm. */
    domain_shutdown(SHUTDOWN_crash);
}

/* The runtime's port for the timer. */
static evtchn_port_t find_timer_port(void)
{
    for (evtchn_port_t p = 1; p < 64; p++) {
        struct evtchn_status s = { .dom = DOMID_SELF, .port = p };

        if (!hc_event_channel_op(EVTCHNOP_status, &s) && s.status == EVTCHNSTAT_virq &&
            s.u.virq == VIRQ_TIMER)
            return p;
    }
    panic("no port for the timer");
}

void pv_main(void)
{
    struct mmuext_op op = { .cmd = MMUEXT_NEW_USER_BASEPTR };
    unsigned int rounds = (unsigned int)cmdline_get_u64("rounds", 600);
    uint64_t one = cmdline_get_u64("case", ~0UL);
    void *window;

    rng = cmdline_get_u64("seed", 1) * 0x9e3779b97f4a7c15UL;
    code = pages_alloc(1);      /* executable, and the page behind it, too */
    ldt = page_alloc_zeroed();
    stack = (char *)pages_alloc(2) + 4 * PAGE_SIZE;
    frames = (char *)pages_alloc(1) + PAGE_SIZE;
    BUG_ON(!code || !ldt);
    for (unsigned int i = 0; i < 2; i++)
        BUG_ON(hc_update_va_mapping((uint64_t)code + i * PAGE_SIZE,
                                    virt_to_maddr(code + i * PAGE_SIZE) | PTE_PRESENT | PTE_WRITE,
                                    UVMF_INVLPG | UVMF_ALL));
    BUG_ON(direct_map_protect(virt_to_pfn(ldt), false));
    window = va_alloc(512);
    window = (void *)ROUND_UP((uint64_t)window, 512 * PAGE_SIZE);
    /* The last-level table behind the window, mapped read-only. */
    table = va_alloc(1);
    BUG_ON(hc_update_va_mapping((uint64_t)table, (pte_maddr(window) & PTE_ADDR) | PTE_PRESENT,
                                UVMF_INVLPG | UVMF_ALL));
    op.arg1.mfn = virt_to_mfn((void *)start_info->pt_base).v;
    BUG_ON(hc_mmuext_op(&op, 1, NULL, DOMID_SELF));
    timer_port = find_timer_port();

    if (one != ~0UL)
        the_end((unsigned int)one);
    contexts();
    canonical_limit();
    log_info("attack cpu: frames");
    for (unsigned int i = 0; i < 8; i++) {
        change_ldt();
        odd_frames(rounds / 8);
    }
    log_info("attack cpu: breakpoints");
    debug_registers(rounds / 4);
    log_info("attack cpu: code");
    for (unsigned int i = 0; i < 8; i++) {
        change_ldt();
        random_code(rounds / 4);
    }
    log_info("attack cpu: stores");
    odd_stores(rounds);
    /* What others sent meanwhile. */
    shared_info->vcpu_info[0].evtchn_pending_sel = ~0UL;
    shared_info->vcpu_info[0].evtchn_upcall_pending = 1;
    log_info("attack cpu: %lu came back, %lu of them by the timer", came_back, by_event);
    conclude("cpu");
}
