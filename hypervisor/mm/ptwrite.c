/* SPDX-License-Identifier: MIT */
/*
 * ptwrite.c - stores of a guest kernel that hit one of its live L1 tables, which are read-only to
 * it: the instruction is carried out here, with the checks of an mmu_update.
 *
 * The store is committed against the entry that was read: only the processor's accessed and dirty
 * bits can change it meanwhile, as the domain's mmu_lock is held; then it is done again.
 */
#include "cpu/counters.h"
#include "emul/decode.h"
#include "mm/mm.h"
#include "mm/mmlog.h"
#include "mm/pte.h"
#include "mm/type.h"
#include "mm/uaccess.h"
#include "mm/validate.h"
#include "mm/walk.h"
#include "atomic.h"

#define EFLAGS_RF   (1UL << 16)

/* The instruction at rip; what lies behind the end of its page is tried only if needed. */
static bool fetch(uint64_t rip, struct insn *i)
{
    uint8_t b[INSN_MAX];
    size_t n = MIN(PAGE_SIZE - (rip & ~PAGE_MASK), (uint64_t)INSN_MAX);
    enum insn_result r;

    if (copy_from_guest(b, guest_ptr(rip), n))
        return false;
    r = insn_decode(i, b, n, true);
    if (r == INSN_TRUNCATED && n < INSN_MAX) {
        if (copy_from_guest(b + n, guest_ptr(rip + n), INSN_MAX - n))
            return false;
        r = insn_decode(i, b, INSN_MAX, true);
    }
    return r == INSN_OK;
}

/* The entry behind va, if va is a read-only mapping of a live L1 of d. Lock held. */
static pte_t *entry_behind(const struct domain *d, mfn_t root, uint64_t va)
{
    pte_t *map = walk_l1_locked(d, root, va), e = map ? READ_ONCE(*map) : 0;
    const struct page *pg;

    if (!(e & PTE_P) || (e & PTE_RW) || !mfn_valid(pte_mfn(e)))
        return NULL;
    pg = mfn_to_page(pte_mfn(e));
    if (pg->owner != d->id ||
        (pg->type & (PGT_TYPE_MASK | PGT_VALIDATED)) != (PGT_L1 | PGT_VALIDATED))
        return NULL;
    return (pte_t *)((char *)mfn_to_virt(pte_mfn(e)) + (va & ~PAGE_MASK & ~7UL));
}

/* Executes i on the bytes of *p that addr names. */
static bool emulate(struct domain *d, pte_t *p, const struct insn *i, uint64_t addr,
                    struct cpu_user_regs *regs)
{
    struct mmu_target t = mmu_target_self(d);
    unsigned int shift = (addr & 7) * 8;
    uint64_t mask = i->size == 8 ? ~0UL : ((1UL << (i->size * 8)) - 1) << shift;

    for (;;) {
        struct cpu_user_regs after = *regs;
        pte_t old = READ_ONCE(*p), new_entry;
        uint64_t part = (old & mask) >> shift;
        int rc;

        if (!insn_execute(i, &after, &part))
            return false;
        new_entry = (old & ~mask) | ((part << shift) & mask);
        rc = l1_replace_locked(d, p, old, new_entry, &t);
        if (rc < 0)
            return false;
        if (rc == 0) {
            *regs = after;
            return true;
        }
        cpu_relax();
    }
}

/*
 * The one instruction that Linux uses all the time, for get-and-clear: xchg of a 64-bit register
 * and memory addressed by a register and perhaps a displacement. NULL: it is another one.
 */
static uint64_t *simple_xchg(const uint8_t *b, uint64_t va, struct cpu_user_regs *regs,
                             unsigned int *len)
{
    static const uint8_t at[16] = {
        offsetof(struct cpu_user_regs, rax), offsetof(struct cpu_user_regs, rcx),
        offsetof(struct cpu_user_regs, rdx), offsetof(struct cpu_user_regs, rbx),
        offsetof(struct cpu_user_regs, rsp), offsetof(struct cpu_user_regs, rbp),
        offsetof(struct cpu_user_regs, rsi), offsetof(struct cpu_user_regs, rdi),
        offsetof(struct cpu_user_regs, r8),  offsetof(struct cpu_user_regs, r9),
        offsetof(struct cpu_user_regs, r10), offsetof(struct cpu_user_regs, r11),
        offsetof(struct cpu_user_regs, r12), offsetof(struct cpu_user_regs, r13),
        offsetof(struct cpu_user_regs, r14), offsetof(struct cpu_user_regs, r15),
    };
    unsigned int rex = b[0], mod = b[2] >> 6, rm = b[2] & 7;
    uint64_t address;

    /* REX.W, no index; no SIB byte, no rip-relative address. */
    if ((rex & ~5u) != 0x48 || b[1] != 0x87 || mod > 1 || rm == 4 || (mod == 0 && rm == 5))
        return NULL;
    address = *(uint64_t *)((char *)regs + at[rm | (rex & 1) << 3]);
    if (mod == 1)
        address += (uint64_t)(int64_t)(int8_t)b[3];
    if (address != va || (va & 7))
        return NULL;
    *len = mod == 1 ? 4 : 3;
    return (uint64_t *)((char *)regs + at[(b[2] >> 3 & 7) | (rex & 4) << 1]);
}

static bool emulate_xchg(struct domain *d, pte_t *p, uint64_t va, struct cpu_user_regs *regs)
{
    struct mmu_target t = mmu_target_self(d);
    unsigned int len = 0;
    uint64_t code, *reg;
    pte_t old;
    int rc;

    if (read_guest_u64(&code, guest_ptr(regs->rip)))
        return false;
    reg = simple_xchg((const uint8_t *)&code, va, regs, &len);
    if (!reg)
        return false;
    do {
        old = READ_ONCE(*p);
        rc = l1_replace_locked(d, p, old, *reg, &t);
    } while (rc > 0);
    if (rc)
        return false;
    *reg = old;
    regs->rip += len;
    regs->rflags &= ~EFLAGS_RF;
    return true;
}

bool ptwrite_emulate(struct vcpu *v, uint64_t va, struct cpu_user_regs *regs)
{
    struct domain *d = v->domain;
    struct insn i;
    uint64_t addr;
    bool done = false;
    pte_t *p;

    /* Most write faults have nothing to do with page tables: look before reading code. */
    spin_lock(&d->mmu_lock);
    p = entry_behind(d, v->kernel_root, va);
    if (p && likely(emulate_xchg(d, p, va, regs))) {
        done = true;
    } else if (p && fetch(regs->rip, &i) && insn_writes_memory(&i)) {
        addr = insn_address(&i, regs, v->fs_base, v->gs_base_kernel);
        if ((addr & ~7UL) == (va & ~7UL) && (addr & 7) + i.size <= 8)
            done = emulate(d, p, &i, addr, regs);
    }
    spin_unlock(&d->mmu_lock);
    if (done)
        count(CNT_PTWRITE);
    else if (p)
        mm_log(d, "cannot emulate the write to %lx at rip %lx", va, regs->rip);
    return done;
}
