/* SPDX-License-Identifier: MIT */
/*
 * table.c - the hypercall table: number, handler, how many arguments.
 *
 * A number without a row answers -ENOSYS. cpu/entry.S calls through hypercall_vector[], which
 * is made from the table at boot and has no gaps.
 */
#include "hypercall/hypercall.h"

#include "cpu/percpu.h"
#include "cpu/traps.h"
#include "dev/panic.h"
#include "event/evtchn.h"
#include "grant/grant.h"
#include "sluice/flip.h"
#include "sluice/wait.h"
#include "mm/mm.h"
#include "sched/sched.h"

struct hypercall_row {
    uint8_t nr;
    uint8_t nargs;
    void *fn;
    const char *name;
};

#define ROW(nargs, nr, fn) { nr, nargs, (void *)(fn), #fn }
/* Of the initial domain only, and not offered to it either; each is counted under a name of its own. */
#define ABSENT(nr, name) { nr, 0, (void *)do_absent_privileged, name }

static const struct hypercall_row table[] = {
    ROW(1, __HYPERVISOR_set_trap_table, do_set_trap_table),
    ROW(4, __HYPERVISOR_mmu_update, do_mmu_update),
    ROW(2, __HYPERVISOR_set_gdt, do_set_gdt),
    ROW(2, __HYPERVISOR_stack_switch, do_stack_switch),
    ROW(3, __HYPERVISOR_set_callbacks, do_set_callbacks),
    ROW(1, __HYPERVISOR_fpu_taskswitch, do_fpu_taskswitch),
    ROW(2, __HYPERVISOR_sched_op_compat, do_sched_op_compat),
    ROW(2, __HYPERVISOR_set_debugreg, do_set_debugreg),
    ROW(1, __HYPERVISOR_get_debugreg, do_get_debugreg),
    ROW(2, __HYPERVISOR_update_descriptor, do_update_descriptor),
    ROW(2, __HYPERVISOR_memory_op, do_memory_op),
    ROW(2, __HYPERVISOR_multicall, do_multicall),
    ROW(3, __HYPERVISOR_update_va_mapping, do_update_va_mapping),
    ROW(1, __HYPERVISOR_set_timer_op, do_set_timer_op),
    ROW(1, __HYPERVISOR_event_channel_op_compat, do_event_channel_op_compat),
    ROW(2, __HYPERVISOR_xen_version, do_xen_version),
    ROW(3, __HYPERVISOR_console_io, do_console_io),
    ROW(1, __HYPERVISOR_physdev_op_compat, do_physdev_op_compat),
    ROW(3, __HYPERVISOR_grant_table_op, do_grant_table_op),
    ROW(2, __HYPERVISOR_vm_assist, do_vm_assist),
    ROW(4, __HYPERVISOR_update_va_mapping_otherdomain, do_update_va_mapping_otherdomain),
    ROW(0, __HYPERVISOR_iret, do_iret),
    ROW(3, __HYPERVISOR_vcpu_op, do_vcpu_op),
    ROW(2, __HYPERVISOR_set_segment_base, do_set_segment_base),
    ROW(4, __HYPERVISOR_mmuext_op, do_mmuext_op),
    ROW(2, __HYPERVISOR_sched_op, do_sched_op),
    ROW(2, __HYPERVISOR_callback_op, do_callback_op),
    ROW(2, __HYPERVISOR_event_channel_op, do_event_channel_op),
    ROW(2, __HYPERVISOR_physdev_op, do_physdev_op),
    ROW(3, __HYPERVISOR_sluice_flip, do_sluice_flip),
    ROW(2, __HYPERVISOR_sluice_wait, do_sluice_wait),
    ROW(1, __HYPERVISOR_sysctl, do_sysctl),
    ROW(1, __HYPERVISOR_domctl, do_domctl),
    ROW(2, __HYPERVISOR_nmi_op, do_nmi_op),
    ROW(1, __HYPERVISOR_platform_op, do_platform_op),
    ABSENT(__HYPERVISOR_kexec_op, "do_kexec_op"),
    ABSENT(__HYPERVISOR_hypfs_op, "do_hypfs_op"),
    ABSENT(__HYPERVISOR_arch_0, "do_mca"),
    ROW(0, __HYPERVISOR_xenpmu_op, do_xenpmu_op),
};

hypercall_fn hypercall_vector[NR_HYPERCALLS];
static const struct hypercall_row *row_of[NR_HYPERCALLS];
_Static_assert(sizeof(((struct cpu_info *)0)->hypercalls) == NR_HYPERCALLS * sizeof(uint64_t), "one for each");

static long no_hypercall(uint64_t a, uint64_t b, uint64_t c, uint64_t d, uint64_t e)
{
    return -XEN_ENOSYS;
}

void hypercall_init(void)
{
    for (unsigned int i = 0; i < NR_HYPERCALLS; i++)
        hypercall_vector[i] = no_hypercall;
    for (unsigned int i = 0; i < ARRAY_SIZE(table); i++) {
        const struct hypercall_row *r = &table[i];

        BUG_ON(r->nr >= NR_HYPERCALLS || row_of[r->nr]);
        row_of[r->nr] = r;
        hypercall_vector[r->nr] = (hypercall_fn)r->fn;
    }
}

const char *hypercall_name(uint32_t nr)
{
    return nr < NR_HYPERCALLS && row_of[nr] ? row_of[nr]->name + 3 : NULL;
}

uint64_t hypercall_count(uint32_t nr)
{
    uint64_t n = 0;

    for (uint32_t cpu = 0; cpu < NR_CPUS; cpu++)
        n += cpu_info_of[cpu] ? cpu_info_of[cpu]->hypercalls[nr] : 0;
    return n;
}
