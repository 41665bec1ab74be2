/* SPDX-License-Identifier: MIT */
/* pending.c - lets the image link until the last parts are there; goes away with them. */
#include "cpu/traps.h"
#include "dev/panic.h"
#include "hypercall/hypercall.h"
#include "mm/mm.h"
#include "mm/validate.h"

#define PENDING(type, name, ...) \
    __attribute__((weak)) type name(__VA_ARGS__) { panic("%s is missing", #name); }
#define PENDING_CALL(name, ...) \
    __attribute__((weak)) long name(__VA_ARGS__) { return -XEN_ENOSYS; }

PENDING_CALL(do_domctl, guest_ptr_t a)
PENDING_CALL(do_sysctl, guest_ptr_t a)
PENDING_CALL(do_memory_op, uint64_t a, guest_ptr_t b)
PENDING_CALL(do_mmu_update, guest_ptr_t a, uint64_t b, guest_ptr_t c, uint64_t d)
PENDING_CALL(do_mmuext_op, guest_ptr_t a, uint64_t b, guest_ptr_t c, uint64_t d)
PENDING_CALL(do_set_gdt, guest_ptr_t a, uint64_t b)
PENDING_CALL(do_update_descriptor, uint64_t a, uint64_t b)
PENDING_CALL(do_update_va_mapping, uint64_t a, uint64_t b, uint64_t c)
PENDING_CALL(do_update_va_mapping_otherdomain, uint64_t a, uint64_t b, uint64_t c, uint64_t d)
PENDING(int, grant_pte_install, struct domain *d, uint64_t va, mfn_t m, bool writable, uint64_t a)
PENDING(int, grant_pte_install_at, struct domain *d, paddr_t p, mfn_t m, bool w, uint64_t a)
PENDING(int, grant_pte_remove, struct domain *d, uint64_t va, mfn_t m, bool w)
PENDING(int, grant_pte_remove_at, struct domain *d, paddr_t p, mfn_t m, bool w)
PENDING(int, grant_pte_replace, struct domain *d, uint64_t va, mfn_t m, bool w, uint64_t n)
PENDING(bool, ldt_fault, struct vcpu *v, uint64_t offset)
PENDING(bool, pagefault_spurious, struct vcpu *v, uint64_t va, uint32_t error_code)
PENDING(bool, ptwrite_emulate, struct vcpu *v, uint64_t va, struct cpu_user_regs *regs)
PENDING(void, pagewalk_print, uint64_t cr3, uint64_t va)
PENDING(int, root_get, struct domain *d, mfn_t m)
PENDING(void, root_put, struct domain *d, mfn_t m)
PENDING(void, vcpu_gdt_use_cpu, struct vcpu *v, uint32_t cpu)
PENDING(uint64_t, vcpu_gdt_va, const struct vcpu *v)
PENDING(uint64_t, vcpu_ldt_va, const struct vcpu *v)
PENDING(int, vcpu_set_gdt, struct vcpu *v, const mfn_t *frames, uint32_t entries)
PENDING(int, vcpu_set_ldt, struct vcpu *v, uint64_t base, uint32_t ents)
PENDING(int, table_get, struct page *pg, uint32_t type)
PENDING(void, table_put, struct page *pg)
PENDING(int, perdomain_init, struct domain *d)
PENDING(void, perdomain_destroy, struct domain *d)
PENDING(int, domain_relinquish_memory, struct domain *d)
