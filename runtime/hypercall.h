/* SPDX-License-Identifier: MIT */
/*
 * hypercall.h - one typed wrapper per hypercall.
 *
 * A hypercall is `syscall` with the number in rax and up to five arguments; the hypervisor
 * keeps every register but rax, rcx and r11. Results: >= 0, or a negative XEN_Exxx value.
 * Pointers are to our own kernel addresses. None of these touch upcalls: the loop polls them.
 */
#ifndef RUNTIME_HYPERCALL_H
#define RUNTIME_HYPERCALL_H

#include "xenabi.h"
#include "compiler.h"
#include "sluice/flip.h"
#include "sluice/wait.h"

#ifdef SLUICE_HOST
/* Unit tests: each test brings its own hypervisor. */
long hypercall(unsigned int nr, uint64_t a1, uint64_t a2, uint64_t a3, uint64_t a4, uint64_t a5);
#else
static inline long hypercall(unsigned int nr, uint64_t a1, uint64_t a2, uint64_t a3, uint64_t a4,
                             uint64_t a5)
{
    register uint64_t r10 __asm__("r10") = a4;
    register uint64_t r8 __asm__("r8") = a5;
    long rc;

    __asm__ volatile("syscall"
                     : "=a"(rc), "+D"(a1), "+S"(a2), "+d"(a3), "+r"(r10), "+r"(r8)
                     : "a"((uint64_t)nr)
                     : "rcx", "r11", "memory");
    return rc;
}
#endif

#define HC_PTR(p) ((uint64_t)(uintptr_t)(p))

/* Processor state of the calling vCPU. */

/* Handlers for exceptions; the list ends with an entry whose address is 0. */
static inline long hc_set_trap_table(const struct trap_info *traps)
{
    return hypercall(__HYPERVISOR_set_trap_table, HC_PTR(traps), 0, 0, 0, 0);
}

/* The guest part of the GDT: machine frames (read-only for us from now on), number of entries. */
static inline long hc_set_gdt(const xen_pfn_t *frames, unsigned int entries)
{
    return hypercall(__HYPERVISOR_set_gdt, HC_PTR(frames), entries, 0, 0, 0);
}

static inline long hc_stack_switch(uint64_t ss, uint64_t sp)
{
    return hypercall(__HYPERVISOR_stack_switch, ss, sp, 0, 0, 0);
}

static inline long hc_update_descriptor(uint64_t maddr, uint64_t desc)
{
    return hypercall(__HYPERVISOR_update_descriptor, maddr, desc, 0, 0, 0);
}

/* which: SEGBASE_FS, SEGBASE_GS_KERNEL, ... */
static inline long hc_set_segment_base(unsigned int which, uint64_t base)
{
    return hypercall(__HYPERVISOR_set_segment_base, which, base, 0, 0, 0);
}

static inline long hc_callback_op(int cmd, const void *arg)
{
    return hypercall(__HYPERVISOR_callback_op, (uint64_t)cmd, HC_PTR(arg), 0, 0, 0);
}

static inline long hc_vm_assist(unsigned int cmd, unsigned int type)
{
    return hypercall(__HYPERVISOR_vm_assist, cmd, type, 0, 0, 0);
}

/* Memory. */

/* done may be NULL. dom: DOMID_SELF, or the owner of the frames that the entries refer to. */
static inline long hc_mmu_update(const struct mmu_update *req, unsigned int n, unsigned int *done,
                                 domid_t dom)
{
    return hypercall(__HYPERVISOR_mmu_update, HC_PTR(req), n, HC_PTR(done), dom, 0);
}

static inline long hc_mmuext_op(const struct mmuext_op *op, unsigned int n, unsigned int *done,
                                domid_t dom)
{
    return hypercall(__HYPERVISOR_mmuext_op, HC_PTR(op), n, HC_PTR(done), dom, 0);
}

/* flags: UVMF_xxx. */
static inline long hc_update_va_mapping(uint64_t va, uint64_t pte, uint64_t flags)
{
    return hypercall(__HYPERVISOR_update_va_mapping, va, pte, flags, 0, 0);
}

static inline long hc_update_va_mapping_otherdomain(uint64_t va, uint64_t pte, uint64_t flags,
                                                    domid_t dom)
{
    return hypercall(__HYPERVISOR_update_va_mapping_otherdomain, va, pte, flags, dom, 0);
}

static inline long hc_memory_op(unsigned int cmd, void *arg)
{
    return hypercall(__HYPERVISOR_memory_op, cmd, HC_PTR(arg), 0, 0, 0);
}

static inline long hc_grant_table_op(unsigned int cmd, void *ops, unsigned int n)
{
    return hypercall(__HYPERVISOR_grant_table_op, cmd, HC_PTR(ops), n, 0, 0);
}

/* cmd: SLUICE_FLIP_xxx of <sluice/flip.h>. -XEN_ENOSYS: another hypervisor. */
static inline long hc_flip(unsigned int cmd, void *arg, unsigned int count)
{
    return hypercall(__HYPERVISOR_sluice_flip, cmd, HC_PTR(arg), count, 0, 0);
}

/* Events, scheduling, time. */

static inline long hc_event_channel_op(int cmd, void *arg)
{
    return hypercall(__HYPERVISOR_event_channel_op, (uint64_t)cmd, HC_PTR(arg), 0, 0, 0);
}

static inline long hc_sched_op(int cmd, void *arg)
{
    return hypercall(__HYPERVISOR_sched_op, (uint64_t)cmd, HC_PTR(arg), 0, 0, 0);
}

/* Sends on the port, 0: on none; sleeps until an event is pending. Of our hypervisor only. */
static inline long hc_wait(evtchn_port_t port)
{
    return hypercall(__HYPERVISOR_sluice_wait, SLUICE_WAIT_event, port, 0, 0, 0);
}

static inline long hc_vcpu_op(int cmd, unsigned int vcpu, void *arg)
{
    return hypercall(__HYPERVISOR_vcpu_op, (uint64_t)cmd, vcpu, HC_PTR(arg), 0, 0);
}

/* One-shot VIRQ_TIMER at this system time in ns; 0 stops it. */
static inline long hc_set_timer_op(uint64_t abs_ns)
{
    return hypercall(__HYPERVISOR_set_timer_op, abs_ns, 0, 0, 0, 0);
}

/* The rest. */

static inline long hc_console_io(int cmd, unsigned int count, char *buf)
{
    return hypercall(__HYPERVISOR_console_io, (uint64_t)cmd, count, HC_PTR(buf), 0, 0);
}

static inline long hc_xen_version(int cmd, void *arg)
{
    return hypercall(__HYPERVISOR_xen_version, (uint64_t)cmd, HC_PTR(arg), 0, 0, 0);
}

static inline long hc_multicall(struct multicall_entry *list, unsigned int n)
{
    return hypercall(__HYPERVISOR_multicall, HC_PTR(list), n, 0, 0, 0);
}

static inline long hc_physdev_op(int cmd, void *arg)
{
    return hypercall(__HYPERVISOR_physdev_op, (uint64_t)cmd, HC_PTR(arg), 0, 0, 0);
}

static inline long hc_platform_op(struct xen_platform_op *op)
{
    return hypercall(__HYPERVISOR_platform_op, HC_PTR(op), 0, 0, 0, 0);
}

/* The caller fills in cmd, domain and u; the interface version is set here. */
static inline long hc_domctl(struct xen_domctl *op)
{
    op->interface_version = XEN_DOMCTL_INTERFACE_VERSION;
    return hypercall(__HYPERVISOR_domctl, HC_PTR(op), 0, 0, 0, 0);
}

static inline long hc_sysctl(struct xen_sysctl *op)
{
    op->interface_version = XEN_SYSCTL_INTERFACE_VERSION;
    return hypercall(__HYPERVISOR_sysctl, HC_PTR(op), 0, 0, 0, 0);
}

#endif
