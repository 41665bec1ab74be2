/* SPDX-License-Identifier: MIT */
/*
 * privop.c - privileged instructions of guest kernels, port I/O, int n. PV-ABI 3.4, 4.
 *
 * The instruction is fetched once and decoded from the copy; another vCPU may change it
 * meanwhile, which then is that guest's race as on a real machine. All that is refused here
 * is reflected as #GP, the registers unchanged.
 */
#include "emul/privop.h"

#include "cpu/asm.h"
#include "cpu/asm_vcpu.h"
#include "cpu/cpuid.h"
#include "cpu/desc.h"
#include "cpu/extable.h"
#include "cpu/fpu.h"
#include "cpu/traps.h"
#include "cpu/vcpu_regs.h"
#include "emul/decode.h"
#include "emul/portio.h"
#include "lib/string.h"
#include "mm/uaccess.h"

#define ERROR_IDT       2u      /* bit of a #GP's error code: it names an IDT entry */
#define STRING_BUDGET   256     /* iterations of rep ins/outs before the guest gets a look in */

static const uint8_t cpuid_prefix[] = { 0x0f, 0x0b, 'x', 'e', 'n', 0x0f, 0xa2 };

/* Bytes at rip; the page behind may be missing when the instruction is shorter. */
static size_t fetch(const struct cpu_user_regs *regs, uint8_t *b)
{
    size_t in_page = PAGE_SIZE - (regs->rip & (PAGE_SIZE - 1));

    if (in_page >= INSN_MAX)
        return copy_from_guest(b, guest_ptr(regs->rip), INSN_MAX) ? 0 : INSN_MAX;
    if (copy_from_guest(b, guest_ptr(regs->rip), in_page))
        return 0;
    if (copy_from_guest(b + in_page, guest_ptr(regs->rip + in_page), INSN_MAX - in_page))
        return in_page;
    return INSN_MAX;
}

static void advance(struct cpu_user_regs *regs, unsigned int bytes)
{
    regs->rip += bytes;
    regs->rflags &= ~(1UL << 16);       /* RF */
}

/* Guests have 32-bit code only in user mode, in segments that are theirs: everything but the
 * 64-bit selectors that we know needs a look at the descriptor. */
static bool in_code64(const struct cpu_user_regs *regs)
{
    uint32_t access;
    bool ok;

    if (regs->cs == SEL_GUEST_CS64)
        return true;
    /* It may be in a page of the LDT that cannot be read (any more). */
    __asm__ volatile("xorl %0, %0\n"
                     "1: lar %2, %0\n"
                     "2: setz %1\n\t"
                     EXTABLE("1b", "2b")
                     : "=&r"(access), "=&q"(ok) : "r"((uint32_t)regs->cs) : "cc");
    return ok && (access & (1u << 21));
}

static void do_cpuid(struct vcpu *v, struct cpu_user_regs *regs, bool forced)
{
    struct cpuid_regs r = cpuid_guest(v, (uint32_t)regs->rax, (uint32_t)regs->rcx,
                                      forced && v->kernel_mode);

    regs->rax = r.a;
    regs->rbx = r.b;
    regs->rcx = r.c;
    regs->rdx = r.d;
}

bool privop_emulate_ud(struct vcpu *v, struct cpu_user_regs *regs)
{
    uint8_t b[sizeof(cpuid_prefix)];

    if (copy_from_guest(b, guest_ptr(regs->rip), sizeof(b)) ||
        memcmp(b, cpuid_prefix, sizeof(b)))
        return false;
    do_cpuid(v, regs, true);
    advance(regs, sizeof(b));
    return true;
}

/* ---- Port I/O ----------------------------------------------------------------------------- */

/* Privilege 1 is the guest's kernel, 3 its users. */
static bool io_allowed(const struct vcpu *v)
{
    return v->iopl >= (v->kernel_mode ? 1 : 3);
}

static bool port_io(struct vcpu *v, struct cpu_user_regs *regs, const struct insn *i)
{
    uint16_t port = i->src == INSN_SRC_IMM ? (uint8_t)i->imm : (uint16_t)regs->rdx;

    if (!io_allowed(v))
        return false;
    if (i->op == INSN_OUT)
        portio_write(v->domain, port, i->size, (uint32_t)insn_reg_read(regs, 0, i->size, false));
    else
        insn_reg_write(regs, 0, i->size, false, portio_read(v->domain, port, i->size));
    return true;
}

/* ins, outs, with or without rep. Done in pieces: rip stays until the count is used up. A fault
 * on the memory is the guest's page fault. */
static bool port_string_io(struct vcpu *v, struct cpu_user_regs *regs, const struct insn *i)
{
    uint64_t mask = i->addr_size == 8 ? ~0UL : 0xffffffffUL;
    int64_t step = regs->rflags & 0x400 ? -(int64_t)i->size : i->size;
    uint16_t port = (uint16_t)regs->rdx;
    unsigned int budget = STRING_BUDGET;

    if (!io_allowed(v))
        return false;
    while (!i->rep || (regs->rcx & mask)) {
        guest_ptr_t p = guest_ptr(insn_address(i, regs, rdmsr(MSR_FS_BASE), rdmsr(MSR_GS_BASE)));
        uint64_t *index = i->op == INSN_INS ? &regs->rdi : &regs->rsi;
        uint32_t value = 0;
        bool bad;

        if (i->op == INSN_INS) {
            /* Look first: the port must not be read twice when the page is missing. */
            bad = copy_from_guest(&value, p, i->size);
            if (!bad) {
                value = portio_read(v->domain, port, i->size);
                bad = copy_to_guest(p, &value, i->size);
            }
        } else {
            bad = copy_from_guest(&value, p, i->size);
            if (!bad)
                portio_write(v->domain, port, i->size, value);
        }
        if (bad) {
            irq_disable();
            guest_inject_pagefault(v, p.v, (i->op == INSN_INS ? 2 : 0) | (v->kernel_mode ? 0 : 4));
            return true;
        }
        *index = (*index & ~mask) | ((*index + (uint64_t)step) & mask);
        if (!i->rep)
            break;
        regs->rcx = (regs->rcx & ~mask) | ((regs->rcx - 1) & mask);
        if (!--budget)
            return true;
    }
    advance(regs, i->len);
    return true;
}

/* ---- int n --------------------------------------------------------------------------------- */

/* Our gates are closed to ring 3, so `int n` is a #GP that names the vector; the vector is taken
 * from the instruction, because some machines get the error code wrong. */
static bool software_interrupt(struct vcpu *v, struct cpu_user_regs *regs)
{
    const struct trap_info *t;
    uint8_t b[2];

    if (copy_from_guest(b, guest_ptr(regs->rip), sizeof(b)) || b[0] != 0xcd)
        return false;
    t = &v->traps[b[1]];
    irq_disable();
    if (!t->address || TI_GET_DPL(t) < (v->kernel_mode ? 1 : 3)) {
        guest_inject_gp(v, b[1] << 3 | ERROR_IDT);
    } else {
        advance(regs, 2);
        /* A software interrupt never has an error code, whatever its vector. */
        guest_inject_callback(v, t->address, TI_GET_IF(t) != 0);
    }
    return true;
}

/* ---- Registers ------------------------------------------------------------------------------ */

static bool read_cr(struct vcpu *v, unsigned int cr, uint64_t *value)
{
    switch (cr) {
    case 0:
        *value = (read_cr0() & ~CR0_TS) | (v->guest_cr0 & CR0_TS);
        return true;
    case 2:
        *value = v->info->arch.cr2;
        return true;
    case 3:
        *value = mfn_to_paddr(v->kernel_root);
        return true;
    case 4:
        *value = vcpu_read_cr4(v);
        return true;
    case 8:
        *value = 0;
        return true;
    default:
        return false;
    }
}

static bool write_cr(struct vcpu *v, unsigned int cr, uint64_t value)
{
    switch (cr) {
    case 0:
        if ((value ^ read_cr0()) & ~CR0_TS)
            return false;
        do_fpu_taskswitch(value & CR0_TS);
        return true;
    case 2:
        v->info->arch.cr2 = value;
        return true;
    case 4:
        vcpu_write_cr4(v, value);
        return true;
    default:
        return false;           /* cr3: the guest has a hypercall */
    }
}

/* Before the guest has a #GP handler nothing may come of an MSR that we do not know. */
static bool before_traps(const struct vcpu *v)
{
    return !v->traps[13].address;
}

static void set_edx_eax(struct cpu_user_regs *regs, uint64_t value)
{
    regs->rax = (uint32_t)value;
    regs->rdx = value >> 32;
}

static uint64_t get_edx_eax(const struct cpu_user_regs *regs)
{
    return (uint32_t)regs->rax | regs->rdx << 32;
}

/* The kernel's own instructions; true: done. */
static bool kernel_op(struct vcpu *v, struct cpu_user_regs *regs, const struct insn *i)
{
    uint64_t value = 0;
    long rc;

    switch (i->op) {
    case INSN_CLI:
    case INSN_STI:
        /* No effect on the mask: the matching popf cannot be seen. */
        return io_allowed(v);
    case INSN_CLTS:
        do_fpu_taskswitch(0);
        return true;
    case INSN_WBINVD:
        if (v->domain->io_all)
            wbinvd();
        return true;
    case INSN_MOV_FROM_CR:
        if (!read_cr(v, i->creg, &value))
            return false;
        insn_reg_write(regs, i->rm_reg, 8, false, value);
        return true;
    case INSN_MOV_TO_CR:
        return write_cr(v, i->creg, insn_reg_read(regs, i->rm_reg, 8, false));
    case INSN_MOV_FROM_DR:
        rc = do_get_debugreg(i->creg);
        if (i->creg > 7)
            return false;
        insn_reg_write(regs, i->rm_reg, 8, false, (uint64_t)rc);
        return true;
    case INSN_MOV_TO_DR:
        return do_set_debugreg(i->creg, insn_reg_read(regs, i->rm_reg, 8, false)) == 0;
    case INSN_RDMSR:
        if (!vcpu_rdmsr(v, (uint32_t)regs->rcx, &value) && !before_traps(v))
            return false;
        set_edx_eax(regs, value);
        return true;
    case INSN_WRMSR:
        return vcpu_wrmsr(v, (uint32_t)regs->rcx, get_edx_eax(regs)) || before_traps(v);
    case INSN_RDTSC:
        set_edx_eax(regs, rdtsc());
        return true;
    case INSN_RDTSCP:
        set_edx_eax(regs, rdtsc());
        regs->rcx = v->tsc_aux;
        return true;
    case INSN_XSETBV:
        if ((uint32_t)regs->rcx != 0 || !(v->guest_cr4 & CR4_OSXSAVE) ||
            !fpu_xcr0_valid(get_edx_eax(regs)))
            return false;
        irq_disable();
        fpu_set_xcr0(v, get_edx_eax(regs));
        irq_enable();
        return true;
    default:
        return false;
    }
}

bool privop_emulate_gp(struct vcpu *v, struct cpu_user_regs *regs)
{
    uint8_t b[INSN_MAX];
    struct insn i;

    if (regs->error_code & ERROR_IDT)
        return software_interrupt(v, regs);
    if (regs->error_code)
        return false;
    if (insn_decode(&i, b, fetch(regs, b), in_code64(regs)) != INSN_OK || i.lock)
        return false;
    switch (i.op) {
    case INSN_IN:
    case INSN_OUT:
        if (!port_io(v, regs, &i))
            return false;
        break;
    case INSN_INS:
    case INSN_OUTS:
        return port_string_io(v, regs, &i);
    case INSN_CPUID:
        do_cpuid(v, regs, false);
        break;
    case INSN_CLI:
    case INSN_STI:
        if (!io_allowed(v))
            return false;
        break;
    default:
        if (!v->kernel_mode || !kernel_op(v, regs, &i))
            return false;
        break;
    }
    advance(regs, i.len);
    return true;
}
