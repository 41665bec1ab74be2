/* SPDX-License-Identifier: MIT */
/*
 * test-cpu.c - runs in a guest: processor state that a hypervisor has to carry and exceptions
 * that it has to hand on. Single steps and breakpoints, software interrupts, 32-bit code, LDT,
 * segment bases, vector registers across switches, what user programs may not do.
 */
#define _GNU_SOURCE
#include <asm/ldt.h>
#include <asm/prctl.h>
#include <cpuid.h>
#include <errno.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

#define CHECK(c) do { if (!(c)) { printf("cpu: %s:%d: %s (errno %d)\n", __func__, __LINE__, #c, errno); \
                      exit(1); } } while (0)

/* ---- Exceptions as signals ---- */

static sigjmp_buf back;
static volatile siginfo_t last;

static void on_signal(int sig, siginfo_t *si, void *ctx)
{
    memcpy((void *)&last, si, sizeof(*si));
    siglongjmp(back, sig);
}

static void (*volatile action)(void);

/* The signal that doing `what` leads to, 0: none. */
static int signal_of(void (*what)(void))
{
    int sig;

    action = what;
    sig = sigsetjmp(back, 1);
    if (!sig)
        action();
    return sig;
}

static void do_ud2(void) { __asm__ volatile("ud2"); }
static void do_hlt(void) { __asm__ volatile("hlt"); }
static void do_cli(void) { __asm__ volatile("cli"); }
static void do_in(void) { __asm__ volatile("inb $0x70, %%al" ::: "rax"); }
static void do_out(void) { __asm__ volatile("outb %%al, $0x80" ::: "memory"); }
static void do_int3(void) { __asm__ volatile("int3"); }
static void do_int5(void) { __asm__ volatile("int $5"); }
static void do_int_bad(void) { __asm__ volatile("int $0x99"); }
static void do_rdmsr(void) { __asm__ volatile("rdmsr" :: "c"(0x10) : "rax", "rdx"); }
static void do_cr3(void) { __asm__ volatile("mov %%cr3, %%rax" ::: "rax"); }
static void do_div0(void) { __asm__ volatile("xor %%edx, %%edx; xor %%ecx, %%ecx; div %%ecx" ::: "rax", "rcx", "rdx"); }
static void do_noncanonical(void) { *(volatile int *)0x8000000000000000ul; }
static void do_null(void) { __asm__ volatile("movl $1, 8" ::: "memory"); }
static void do_kernel_read(void) { *(volatile int *)0xffff880000000000ul; }
static void do_hypervisor_read(void) { *(volatile int *)0xffff830000000000ul; }
static void do_hypervisor_image(void) { *(volatile int *)0xffff82d040200000ul = 0; }
static void do_bad_segment(void) { __asm__ volatile("mov %0, %%ds" :: "r"(0xfff8)); }
static void do_jump_out(void) { ((void (*)(void))0x1234567890ab0000ul)(); }
static void do_pushf_tf(void) { __asm__ volatile("pushfq; orl $0x100, (%%rsp); popfq; nop; nop" ::: "memory"); }
static void do_lgdt(void) { char b[10] = { 0 }; __asm__ volatile("lgdt %0" :: "m"(b)); }
static void do_swapgs(void) { __asm__ volatile("swapgs"); }
static void do_wbinvd(void) { __asm__ volatile("wbinvd"); }
static void do_sysret(void) { __asm__ volatile("sysretq"); }
static void do_x87_div0(void)
{
    unsigned short cw = 0x37b;              /* zero divide not masked */

    __asm__ volatile("fninit; fldcw %0; fldz; fld1; fdivp; fld1; fldz; fdivp; fwait" :: "m"(cw));
}
static void do_iret_bad_cs(void)
{
    __asm__ volatile("mov %%rsp, %%rax; pushq $0x2b; push %%rax; pushfq; pushq $0xe008; lea 1f(%%rip), %%rax;"
                     "push %%rax; iretq; 1:" ::: "rax", "memory");
}

static void exceptions(void)
{
    static const struct {
        void (*what)(void);
        int sig;
    } t[] = {
        { do_ud2, SIGILL }, { do_hlt, SIGSEGV }, { do_cli, SIGSEGV }, { do_in, SIGSEGV },
        { do_out, SIGSEGV }, { do_int3, SIGTRAP }, { do_int5, SIGSEGV }, { do_int_bad, SIGSEGV },
        { do_rdmsr, SIGSEGV }, { do_cr3, SIGSEGV }, { do_div0, SIGFPE },
        { do_noncanonical, SIGSEGV }, { do_null, SIGSEGV }, { do_kernel_read, SIGSEGV },
        { do_hypervisor_read, SIGSEGV }, { do_hypervisor_image, SIGSEGV },
        { do_bad_segment, SIGSEGV }, { do_jump_out, SIGSEGV }, { do_pushf_tf, SIGTRAP },
        { do_lgdt, SIGSEGV }, { do_swapgs, SIGSEGV }, { do_wbinvd, SIGSEGV }, { do_sysret, SIGSEGV },
        { do_x87_div0, SIGFPE },
        { do_iret_bad_cs, SIGSEGV },
    };
    struct sigaction sa = { .sa_sigaction = on_signal, .sa_flags = SA_SIGINFO | SA_NODEFER };

    sigaction(SIGILL, &sa, NULL);
    sigaction(SIGSEGV, &sa, NULL);
    sigaction(SIGBUS, &sa, NULL);
    sigaction(SIGTRAP, &sa, NULL);
    sigaction(SIGFPE, &sa, NULL);
    for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
        int sig = signal_of(t[i].what);

        if (sig != t[i].sig) {
            printf("cpu: exceptions: case %zu gave signal %d, not %d\n", i, sig, t[i].sig);
            exit(1);
        }
        if (t[i].what == do_null)
            CHECK(last.si_addr == (void *)8);
    }
    for (int s = 1; s < 32; s++)
        signal(s, SIG_DFL);
}

/* ---- Debugging another process ---- */

static volatile int watched, unwatched;

static void debugging(void)
{
    pid_t p = fork();
    unsigned long n = 0, dr6;
    int st;

    if (p == 0) {
        ptrace(PTRACE_TRACEME, 0, 0, 0);
        raise(SIGSTOP);
        for (int i = 0; i < 100; i++)
            unwatched++;
        watched = 1;
        unwatched++;
        _exit(watched + 6);
    }
    CHECK(waitpid(p, &st, 0) == p && WIFSTOPPED(st));
    for (; n < 500; n++) {
        CHECK(ptrace(PTRACE_SINGLESTEP, p, 0, 0) == 0);
        CHECK(waitpid(p, &st, 0) == p && WIFSTOPPED(st) && WSTOPSIG(st) == SIGTRAP);
    }
    /* Break on writes to `watched`, 4 bytes. */
    CHECK(ptrace(PTRACE_POKEUSER, p, offsetof(struct user, u_debugreg[0]), &watched) == 0);
    CHECK(ptrace(PTRACE_POKEUSER, p, offsetof(struct user, u_debugreg[7]), 0xd0001ul) == 0);
    CHECK(ptrace(PTRACE_CONT, p, 0, 0) == 0);
    CHECK(waitpid(p, &st, 0) == p);
    CHECK(WIFSTOPPED(st) && WSTOPSIG(st) == SIGTRAP);
    dr6 = (unsigned long)ptrace(PTRACE_PEEKUSER, p, offsetof(struct user, u_debugreg[6]), 0);
    CHECK(dr6 & 1);
    CHECK(ptrace(PTRACE_PEEKDATA, p, &watched, 0) == 1 || (int)ptrace(PTRACE_PEEKDATA, p, &watched, 0) == 1);
    CHECK(ptrace(PTRACE_CONT, p, 0, 0) == 0);
    CHECK(waitpid(p, &st, 0) == p && WIFEXITED(st) && WEXITSTATUS(st) == 7);
}

/* ---- 32-bit code ---- */

/* Assembled by hand: at 32-bit code, sets eax by `int $0x80` and comes back to 64-bit code. */
static long int80(long nr)
{
    long r;

    __asm__ volatile("int $0x80" : "=a"(r) : "a"(nr) : "memory", "r8", "r9", "r10", "r11");
    return r;
}

static void compat(void)
{
    /* mov $20,%eax (getpid); int $0x80; ljmp to 64-bit code: push cs, push address, lret */
    unsigned char *code = mmap((void *)0x10000000, 8192, PROT_READ | PROT_WRITE | PROT_EXEC,
                               MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT | MAP_FIXED, -1, 0);
    unsigned char body[] = { 0xb8, 20, 0, 0, 0, 0xcd, 0x80, 0x6a, 0x33, 0x68, 0, 0, 0, 0, 0xcb };
    unsigned char back64[] = { 0xc3 };
    unsigned int target = 0x10000100, stack = 0x10001ff0;
    long pid;

    CHECK(code == (void *)0x10000000);
    memcpy(body + 10, &target, 4);
    memcpy(code, body, sizeof(body));
    memcpy(code + 0x100, back64, sizeof(back64));
    *(uint64_t *)(uintptr_t)stack = 0;
    __asm__ volatile("push %%rbp\n"
                     "mov %%rsp, %%rbx\n"
                     "mov %[stack], %%esp\n"
                     "lea 1f(%%rip), %%rax\n"
                     "mov %%rax, (%%rsp)\n"
                     "sub $8, %%rsp\n"
                     "movl $0x10000000, (%%rsp)\n"
                     "movl $0x23, 4(%%rsp)\n"
                     "lretl\n"
                     "1: mov %%rbx, %%rsp\n"
                     "pop %%rbp\n"
                     : "=a"(pid) : [stack] "r"(stack)
                     : "rbx", "rcx", "rdx", "rsi", "rdi", "r8", "r9", "r10", "r11", "memory");
    CHECK((int)pid == getpid());
    CHECK(int80(20) == getpid());
    munmap(code, 8192);
}

static void ldt(void)
{
    static uint32_t cell = 0xabcd1234;
    struct user_desc d = { .entry_number = 1, .base_addr = (unsigned int)(uintptr_t)&cell, .limit = 3,
                           .seg_32bit = 1, .useable = 1 };
    void *volatile self = __builtin_thread_pointer();
    uint32_t v;

    if (syscall(SYS_modify_ldt, 1, &d, sizeof(d)))
        return;                 /* a kernel without it */
    for (int i = 0; i < 100; i++) {
        long r;

        /* fs is the thread pointer: put it back before anything else. */
        __asm__ volatile("mov %2, %%fs; mov %%fs:0, %1; syscall" : "=a"(r), "=&r"(v)
                         : "r"(0xf), "0"(SYS_arch_prctl), "D"(ARCH_SET_FS), "S"(self)
                         : "rcx", "r11", "memory");
        CHECK(r == 0);
        CHECK(v == 0xabcd1234);
    }
}

/* A child process stays on the same CPUs with other values in the same registers. */
static void state_across_switches(void)
{
    unsigned int a, b, c, d;
    bool avx = __get_cpuid(1, &a, &b, &c, &d) && (c & (1u << 28)) && (c & (1u << 27));
    unsigned long gs_area[4] = { 0 };
    pid_t p = fork();
    unsigned long seed = p ? 0x1111111111111111ul : 0x2222222222222222ul, gs, got[8];
    int st;

    CHECK(syscall(SYS_arch_prctl, ARCH_SET_GS, gs_area) == 0);
    for (int i = 0; i < 3000; i++) {
        unsigned long v[4] = { seed + (unsigned long)i, seed ^ (unsigned long)i, seed, ~seed };

        gs_area[1] = seed + (unsigned long)i;
        if (avx)
            __asm__ volatile("vmovdqu %1, %%ymm7\n\tmov %2, %%eax\n\tsyscall\n\tvmovdqu %%ymm7, %0"
                             : "=m"(*(char (*)[32])got) : "m"(*(char (*)[32])v), "i"(SYS_sched_yield)
                             : "rax", "rcx", "r11", "xmm7", "memory");
        else
            __asm__ volatile("movdqu %1, %%xmm7\n\tmov %2, %%eax\n\tsyscall\n\tmovdqu %%xmm7, %0"
                             : "=m"(*(char (*)[16])got) : "m"(*(char (*)[16])v), "i"(SYS_sched_yield)
                             : "rax", "rcx", "r11", "xmm7", "memory");
        CHECK(!memcmp(got, v, avx ? 32 : 16));
        __asm__ volatile("mov %%gs:8, %0" : "=r"(gs));
        CHECK(gs == seed + (unsigned long)i);
    }
    if (!p)
        _exit(0);
    CHECK(waitpid(p, &st, 0) == p && st == 0);
}

/* Every register comes back from a system call but rax, rcx, r11. */
static void registers(void)
{
    unsigned long in[13], out[13];

    for (int i = 0; i < 13; i++)
        in[i] = 0x0123456789abcdefUL * (unsigned long)(i + 3);
    for (int n = 0; n < 1000; n++) {
        __asm__ volatile("push %%rbp\n push %%rbx\n mov %0, %%rax\n push %1\n"
                         "mov 0(%%rax), %%rbx\n mov 8(%%rax), %%rdx\n mov 16(%%rax), %%rsi\n"
                         "mov 24(%%rax), %%rdi\n mov 32(%%rax), %%rbp\n mov 40(%%rax), %%r8\n"
                         "mov 48(%%rax), %%r9\n mov 56(%%rax), %%r10\n mov 64(%%rax), %%r12\n"
                         "mov 72(%%rax), %%r13\n mov 80(%%rax), %%r14\n mov 88(%%rax), %%r15\n"
                         "mov $39, %%eax\n syscall\n pop %%rax\n"
                         "mov %%rbx, 0(%%rax)\n mov %%rdx, 8(%%rax)\n mov %%rsi, 16(%%rax)\n"
                         "mov %%rdi, 24(%%rax)\n mov %%rbp, 32(%%rax)\n mov %%r8, 40(%%rax)\n"
                         "mov %%r9, 48(%%rax)\n mov %%r10, 56(%%rax)\n mov %%r12, 64(%%rax)\n"
                         "mov %%r13, 72(%%rax)\n mov %%r14, 80(%%rax)\n mov %%r15, 88(%%rax)\n"
                         "pop %%rbx\n pop %%rbp\n"
                         :: "r"(in), "r"(out) : "rax", "rcx", "rdx", "rsi", "rdi", "r8", "r9", "r10",
                            "r11", "r12", "r13", "r14", "r15", "memory");
        CHECK(!memcmp(in, out, 12 * 8));
    }
}

/* Page faults, taken while all registers hold known values, leave them alone. */
static void registers_across_faults(void)
{
    size_t len = 256 * 4096;

    for (int n = 0; n < 20; n++) {
        char *m = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        unsigned long sum = 0, bad = 0;

        CHECK(m != MAP_FAILED);
        for (size_t i = 0; i < len; i += 4096) {
            __asm__ volatile("mov $0x11, %%rsi\n mov $0x22, %%rdx\n mov $0x33, %%rcx\n mov $0x44, %%r8\n"
                             "mov $0x55, %%r9\n mov $0x66, %%r10\n mov $0x77, %%r11\n mov $0x88, %%rdi\n"
                             "std\n movb $1, (%2)\n pushfq\n cld\n andq $0x400, (%%rsp)\n popq %0\n"
                             "shr $10, %0\n xor $1, %0\n"
                             "sub $0x11, %%rsi\n or %%rsi, %0\n sub $0x22, %%rdx\n or %%rdx, %0\n"
                             "sub $0x33, %%rcx\n or %%rcx, %0\n sub $0x44, %%r8\n or %%r8, %0\n"
                             "sub $0x55, %%r9\n or %%r9, %0\n sub $0x66, %%r10\n or %%r10, %0\n"
                             "sub $0x77, %%r11\n or %%r11, %0\n sub $0x88, %%rdi\n or %%rdi, %0\n"
                             : "=&r"(bad), "=m"(m[i]) : "r"(m + i)
                             : "rsi", "rdx", "rcx", "r8", "r9", "r10", "r11", "rdi", "cc", "memory");
            sum |= bad;
        }
        CHECK(sum == 0);
        munmap(m, len);
    }
}

int main(void)
{
    registers();
    registers_across_faults();
    exceptions();
    state_across_switches();
    compat();
    debugging();
    ldt();
    return 0;
}
