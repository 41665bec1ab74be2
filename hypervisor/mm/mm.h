/* SPDX-License-Identifier: MIT */
/*
 * mm.h - paravirtual MMU: what other parts call of mm/. Hypercall semantics: PV-ABI section 5.
 */
#ifndef MM_MM_H
#define MM_MM_H

#include "domain/domain.h"
#include "mm/frame.h"

/* Hypercalls. */
long do_mmu_update(guest_ptr_t ureqs, uint64_t count, guest_ptr_t pdone, uint64_t foreigndom);
long do_mmuext_op(guest_ptr_t uops, uint64_t count, guest_ptr_t pdone, uint64_t foreigndom);
long do_update_va_mapping(uint64_t va, uint64_t val, uint64_t flags);
long do_update_va_mapping_otherdomain(uint64_t va, uint64_t val, uint64_t flags, uint64_t domid);
long do_memory_op(uint64_t cmd, guest_ptr_t arg);
long do_set_gdt(guest_ptr_t frames, uint64_t entries);
long do_update_descriptor(uint64_t maddr, uint64_t desc);

/* A write fault of guest kernel code at va on a live L1 table of its own (PV-ABI 5.5): emulates
 * the instruction at regs->rip. True when done (regs advanced). */
bool ptwrite_emulate(struct vcpu *v, uint64_t va, struct cpu_user_regs *regs);
/* Would the guest's tables, as they are now, allow the access that faulted (stale TLB entry)? */
bool pagefault_spurious(struct vcpu *v, uint64_t va, uint32_t error_code);
/* A fault at an address in the LDT window of the current vCPU: maps the page. True: retry. */
bool ldt_fault(struct vcpu *v, uint64_t offset);
/* Walks the current tables for a report on the console. */
void pagewalk_print(uint64_t cr3, uint64_t va);

/* Roots: take/drop L4 references (type and existence). m must be of d; 0, -EINVAL, or -ERESTART:
 * preempted, nothing is held, call again. A root is dropped after no CPU has it loaded. */
int root_get(struct domain *d, mfn_t m);
void root_put(struct domain *d, mfn_t m);

/* Descriptor tables of a vCPU: checks, takes PGT_SEG_DESC references, maps them; 0 or -EINVAL, and
 * then nothing changed. For the current vCPU or one that is off the CPUs. LDT pages are mapped
 * when they are used first (ldt_fault()). */
int vcpu_set_gdt(struct vcpu *v, const mfn_t *frames, uint32_t entries);
void vcpu_clear_gdt(struct vcpu *v);
int vcpu_set_ldt(struct vcpu *v, uint64_t base, uint32_t ents);
/* The current vCPU's kernel root changed: LDT pages are looked up anew. */
void vcpu_ldt_forget(struct vcpu *v);
/* Virtual addresses in the per-domain area. */
uint64_t vcpu_gdt_va(const struct vcpu *v);
uint64_t vcpu_ldt_va(const struct vcpu *v);
/* Before v runs on another CPU: its GDT window's reserved page becomes that CPU's. */
void vcpu_gdt_use_cpu(struct vcpu *v, uint32_t cpu);

/* The per-domain area (slot 260). */
int perdomain_init(struct domain *d);
void perdomain_destroy(struct domain *d);

/*
 * Entries of grant mappings in the current domain d: at va in its current address space, or at a
 * machine address in one of its L1 tables. 0 or -EINVAL (no L1 there; or what is to be removed
 * does not map m like that). Installing hands the caller's references over to the entry and drops
 * what was there; removing gives them back to the caller, who flushes TLBs before it drops
 * them. extra: PTE_AVAIL bits, and PTE_U for a mapping that user space may use. Replacing moves
 * the entry of new_va to va (0: nothing).
 */
int grant_pte_install(struct domain *d, uint64_t va, mfn_t m, bool writable, uint64_t extra);
int grant_pte_install_at(struct domain *d, paddr_t pte_maddr, mfn_t m, bool writable,
                         uint64_t extra);
int grant_pte_remove(struct domain *d, uint64_t va, mfn_t m, bool writable);
int grant_pte_remove_at(struct domain *d, paddr_t pte_maddr, mfn_t m, bool writable);
int grant_pte_replace(struct domain *d, uint64_t va, mfn_t m, bool writable, uint64_t new_va);

/*
 * Domain death: gives every frame back, tables first; bounded steps: 0 done, -ERESTART. After
 * it tot_pages is 0 but for frames that others still refer to.
 */
int domain_relinquish_memory(struct domain *d);

#endif
