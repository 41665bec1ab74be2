/* SPDX-License-Identifier: MIT */
/* perfc.c - XEN_SYSCTL_perfc_op: the counters of cpu/counters.h and those of hypercalls. */
#include "cpu/counters.h"
#include "domain/domain_impl.h"
#include "hypercall/hypercall.h"
#include "lib/printf.h"
#include "lib/string.h"
#include "mm/uaccess.h"

static const char *const names[NR_COUNTERS] = {
#define COUNTER_NAME(id, name) [id] = name,
    COUNTERS(COUNTER_NAME)
};

static uint64_t counter_sum(uint32_t c)
{
    uint64_t n = 0;

    for (uint32_t cpu = 0; cpu < nr_cpus; cpu++)
        n += READ_ONCE(cpu_info_of[cpu]->counters[c]);
    /* The entry paths count themselves; each of them is a load. */
    if (c == CNT_CR3)
        n += counter_sum(CNT_SYSCALL) + counter_sum(CNT_FAULT_FAST) + counter_sum(CNT_IRET_USER);
    return n;
}

/* Values are 32 bits wide in this interface: they wrap. */
static int put(const struct xen_sysctl_perfc_op *req, uint32_t at, const char *prefix,
               const char *name, uint64_t n)
{
    struct xen_sysctl_perfc_desc desc = { .nr_vals = 1 };
    uint32_t val = (uint32_t)n;

    snprintf(desc.name, sizeof(desc.name), "%s%s", prefix, name);
    if (req->desc.p && copy_to_guest_at(guest_ptr((uint64_t)req->desc.p), at, &desc))
        return -XEN_EFAULT;
    if (req->val.p && copy_to_guest_at(guest_ptr((uint64_t)req->val.p), at, &val))
        return -XEN_EFAULT;
    return 0;
}

long sysctl_perfc(struct xen_sysctl *op)
{
    struct xen_sysctl_perfc_op *req = &op->u.perfc_op;
    uint32_t n = 0;
    int rc = 0;

    if (req->cmd != XEN_SYSCTL_PERFCOP_query)
        return -XEN_EINVAL;
    for (uint32_t c = 0; c < NR_COUNTERS && !rc; c++)
        rc = put(req, n++, "", names[c], counter_sum(c));
    for (uint32_t nr = 0; nr < NR_HYPERCALLS && !rc; nr++) {
        if (hypercall_name(nr))
            rc = put(req, n++, "hypercall ", hypercall_name(nr), hypercall_count(nr));
    }
    req->nr_counters = req->nr_vals = n;
    return rc;
}
