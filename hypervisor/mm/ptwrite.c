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
    if (p && fetch(regs->rip, &i) && insn_writes_memory(&i)) {
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
