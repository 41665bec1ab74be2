/* SPDX-License-Identifier: MIT */
/* tune.c - what a domain may use, changed while it runs (see tune.h). */
#include "toolstack/vm/tune.h"
#include "lib/cpulist.h"
#include "lib/string.h"
#include "runtime/log.h"
#include "toolstack/vm/console.h"
#include "toolstack/vm/devices.h"
#include "toolstack/vm/events.h"
#include "toolstack/vm/hv.h"

#define KIB_PER_PAGE (PAGE_SIZE >> 10)

static bool lives(const struct vm *vm)
{
    return vm->state == VM_RUNNING || vm->state == VM_PAUSED;
}

static int not_now(const struct vm *vm, const char *what, char *why)
{
    return why_set(why, -XEN_EBUSY, "%s: cannot %s: domain is %s", vm->cfg.name, what,
                   vm_state_name(vm->state));
}

/* Memory ------------------------------------------------------------------------------------- */

/* What it may take beyond what it has. Asks only about domains whose target was ever changed. */
static uint64_t promised_to(struct vm *vm)
{
    uint64_t target = vm->target_kib / KIB_PER_PAGE;
    struct vm_info info;

    if (!vm->retargeted || !lives(vm) || vm_get_info(vm, &info) || info.pages >= target)
        return 0;
    return target - info.pages;
}

uint64_t vm_promised_pages(void)
{
    uint64_t sum = 0;
    struct vm *vm;

    vm_for_each(vm)
        sum += promised_to(vm);
    return sum;
}

/* Has the host what it would grow by, beside what was promised to others? */
static int check_free(struct vm *vm, uint64_t pages, char *why)
{
    uint64_t others = vm_promised_pages() - promised_to(vm), available;
    struct hv_host host = { 0 };
    struct vm_info info;
    int rc = vm_get_info(vm, &info);

    if (!rc)
        rc = hv_host_info(&host);
    if (rc)
        return why_set(why, rc, "%s: the hypervisor does not tell its memory (error %d)",
                       vm->cfg.name, -rc);
    available = host.free_pages > others ? host.free_pages - others : 0;
    if (pages <= info.pages || pages - info.pages <= available)
        return 0;
    return why_set(
        why, -XEN_ENOMEM,
        "%s: cannot have %lu KiB: that is %lu KiB more than now, and %lu KiB are free on "
        "the host",
        vm->cfg.name, pages * KIB_PER_PAGE, (pages - info.pages) * KIB_PER_PAGE,
        available * KIB_PER_PAGE);
}

int vm_set_memory(struct vm *vm, uint64_t target_kib, char *why)
{
    uint64_t most = (uint64_t)MIN(vm->cfg.maxmem_mib, vm->map_mib) << 10, old = vm->target_kib;
    uint64_t least = MIN((uint64_t)VM_MEMORY_MIN_KIB, vm->pages * KIB_PER_PAGE);
    uint64_t pages = target_kib / KIB_PER_PAGE;
    const char *name = vm->cfg.name;
    int rc;

    if (!lives(vm))
        return not_now(vm, "change its memory", why);
    if (target_kib > most && most < (uint64_t)vm->cfg.maxmem_mib << 10)
        return why_set(why, -XEN_EINVAL, "%s: cannot have %lu KiB before it is created anew: it began with room for %lu KiB",
                       name, target_kib, most);
    if (target_kib > most)
        return why_set(why, -XEN_EINVAL, "%s: cannot have %lu KiB: its maxmem is %lu KiB", name,
                       target_kib, most);
    if (target_kib < least)
        return why_set(why, -XEN_EINVAL, "%s: cannot live with %lu KiB: at least %lu KiB", name,
                       target_kib, least);
    rc = check_free(vm, pages, why);
    if (rc)
        return rc;
    /* Before it is asked: it may begin at once. One that does not give memory back gets no more. */
    rc = hv_max_mem(vm->domid, pages);
    if (rc)
        return why_set(why, rc, "%s: its limit was refused (error %d)", name, -rc);
    rc = devices_set_memory(vm, pages * KIB_PER_PAGE);
    if (rc) {
        (void)hv_max_mem(vm->domid, old / KIB_PER_PAGE);
        return why_set(why, rc, "%s: cannot write memory/target (error %d)", name, -rc);
    }
    vm->target_kib = pages * KIB_PER_PAGE;
    vm->retargeted = true;
    vm->cfg.memory_mib = (uint32_t)DIV_ROUND_UP(vm->target_kib, 1024UL);
    log_info("%s: memory target %lu KiB", name, vm->target_kib);
    return 0;
}

int vm_set_max_memory(struct vm *vm, uint64_t max_kib, char *why)
{
    const char *name = vm->cfg.name;
    int rc;

    if (!lives(vm))
        return not_now(vm, "change its maxmem", why);
    if (max_kib % 1024 || max_kib >> 10 > VM_MEMORY_MAX_MIB)
        return why_set(why, -XEN_EINVAL, "%s: maxmem cannot be %lu KiB: whole MiB, up to %lu", name, max_kib,
                       VM_MEMORY_MAX_MIB);
    if (max_kib < vm->target_kib)
        return why_set(why, -XEN_EINVAL, "%s: maxmem cannot be %lu KiB: less than its target, %lu KiB", name, max_kib,
                       vm->target_kib);
    rc = devices_set_max_memory(vm, max_kib);
    if (rc)
        return why_set(why, rc, "%s: cannot write memory/static-max (error %d)", name, -rc);
    vm->cfg.maxmem_mib = (uint32_t)(max_kib >> 10);
    log_info("%s: maxmem %lu KiB", name, max_kib);
    return 0;
}

/* CPUs --------------------------------------------------------------------------------------- */

int vm_set_vcpus(struct vm *vm, uint32_t online, char *why)
{
    int rc;

    if (!lives(vm))
        return not_now(vm, "change its vCPUs", why);
    if (online < 1 || online > vm->cfg.maxvcpus)
        return why_set(why, -XEN_EINVAL, "%s: cannot have %u vCPUs online: 1 to %u (maxvcpus)",
                       vm->cfg.name, online, vm->cfg.maxvcpus);
    rc = devices_set_vcpus(vm, online);
    if (rc)
        return why_set(why, rc, "%s: cannot write cpu/N/availability (error %d)", vm->cfg.name,
                       -rc);
    vm->cfg.vcpus = online;
    log_info("%s: is to have %u vCPU%s", vm->cfg.name, online, online == 1 ? "" : "s");
    return 0;
}

int vm_set_scheduling(struct vm *vm, uint32_t weight, uint32_t cap, char *why)
{
    int rc;

    if (!lives(vm))
        return not_now(vm, "change its share of the CPUs", why);
    if (weight < 1 || weight > 65535)
        return why_set(why, -XEN_EINVAL, "%s: weight %u: 1 to 65535", vm->cfg.name, weight);
    if (cap > vm->cfg.maxvcpus * 100)
        return why_set(why, -XEN_EINVAL, "%s: cap %u: 0 (none) to %u, 100 for each vCPU",
                       vm->cfg.name, cap, vm->cfg.maxvcpus * 100);
    rc = hv_set_scheduling(vm->domid, weight, cap);
    if (rc)
        return why_set(why, rc, "%s: weight %u, cap %u was refused (error %d)", vm->cfg.name,
                       weight, cap, -rc);
    vm->cfg.cpu_weight = weight;
    vm->cfg.cpu_cap = cap;
    log_info("%s: weight %u, cap %u", vm->cfg.name, weight, cap);
    return 0;
}

/* A bit for each CPU of the host; 0: it does not tell. */
static uint64_t host_cpus(void)
{
    struct hv_host host = { 0 };

    if (hv_host_info(&host) || !host.cpus)
        return 0;
    return CPULIST_ALL >> (CPULIST_CPUS - MIN(host.cpus, CPULIST_CPUS));
}

/* For vCPU i of c: some of the CPUs that it may run on (0: any) must be there. */
static int check_cpus(const struct vm_config *c, uint32_t i, uint64_t hard, char *why)
{
    uint64_t there = host_cpus();
    char wanted[CPULIST_TEXT], have[CPULIST_TEXT];

    if (!hard || hard & there)
        return 0;
    return why_set(why, -XEN_EINVAL, "%s: vCPU %u cannot run on CPU %.64s: this host has %s", c->name, i,
                   cpulist_text(hard, wanted), cpulist_text(there, have));
}

int vm_check_affinity(const struct vm_config *c, char *why)
{
    int rc = 0;

    for (uint32_t i = 0; i < MAX(c->vcpus, c->maxvcpus) && !rc; i++)
        rc = check_cpus(c, i, c->cpus[i], why);
    return rc;
}

static int apply_affinity(domid_t dom, uint32_t i, uint64_t hard, uint64_t soft)
{
    return hv_set_affinity(dom, i, (struct hv_affinity){ hard ? hard : CPULIST_ALL, soft ? soft : CPULIST_ALL });
}

int vm_apply_affinity(const struct vm *vm)
{
    int rc = 0;

    for (uint32_t i = 0; i < vm->cfg.maxvcpus && !rc; i++) {
        if (vm->cfg.cpus[i] | vm->cfg.cpus_soft[i])
            rc = apply_affinity(vm->domid, i, vm->cfg.cpus[i], vm->cfg.cpus_soft[i]);
    }
    return rc;
}

int vm_set_affinity(struct vm *vm, uint32_t vcpu, uint64_t hard, uint64_t soft, char *why)
{
    struct vm_config *c = &vm->cfg;
    uint32_t first = vcpu == VM_ALL_VCPUS ? 0 : vcpu, end = vcpu == VM_ALL_VCPUS ? c->maxvcpus : vcpu + 1;
    char text[CPULIST_TEXT];
    int rc;

    if (!lives(vm))
        return not_now(vm, "tie its vCPUs to CPUs", why);
    if (first >= c->maxvcpus)
        return why_set(why, -XEN_ESRCH, "%s: there is no vCPU %u: it has %u, from 0", c->name, vcpu, c->maxvcpus);
    rc = check_cpus(c, first, hard, why);
    if (rc)
        return rc;
    for (uint32_t i = first; i < end; i++) {
        uint64_t may = hard ? hard : c->cpus[i], rather = soft ? soft : c->cpus_soft[i];

        rc = apply_affinity(vm->domid, i, may, rather);
        if (rc)
            return why_set(why, rc, "%s: vCPU %u cannot be tied to these CPUs (error %d)", c->name, i, -rc);
        c->cpus[i] = may;
        c->cpus_soft[i] = rather;
        if (hard)
            log_info("%s: vCPU %u may run on CPUs %s", c->name, i, cpulist_text(hard & host_cpus(), text));
        if (soft)
            log_info("%s: vCPU %u would rather run on CPUs %s", c->name, i, cpulist_text(soft & host_cpus(), text));
    }
    return 0;
}

int vm_get_vcpus(struct vm *vm, struct vm_vcpu list[VM_VCPUS])
{
    uint32_t n = vm->cfg.maxvcpus;
    uint64_t there = host_cpus();

    if (!vm->has_domid)
        return -XEN_ESRCH;
    for (uint32_t i = 0; i < n; i++) {
        struct xen_domctl_getvcpuinfo info;
        struct hv_affinity a;
        int rc = hv_get_vcpu(vm->domid, i, &info, &a);

        if (rc)
            return rc;
        list[i].hard = (a.hard & there) == there ? CPULIST_ALL : a.hard & there;
        list[i].soft = (a.soft & there) == there ? CPULIST_ALL : a.soft & there;
        list[i].online = info.online;
        list[i].running = info.running;
        list[i].blocked = info.blocked;
        list[i].cpu = info.cpu;
        list[i].cpu_ns = info.cpu_time;
    }
    return (int)n;
}

/* Its name ----------------------------------------------------------------------------------- */

int vm_rename(struct vm *vm, const char *name, char *why)
{
    char old[VM_NAME_MAX];
    struct vm *other = vm_find(name);
    int rc;

    if (!lives(vm) && vm->state != VM_SHUTDOWN)
        return not_now(vm, "rename it", why);
    rc = vm_name_check(name, why);
    if (rc)
        return rc;
    if (other == vm)
        return 0;
    if (other)
        return why_set(why, -XEN_EEXIST,
                       "%s: cannot be called %s: a domain of this name exists (%s)", vm->cfg.name,
                       name, vm_state_name(other->state));
    strlcpy(old, vm->cfg.name, sizeof(old));
    rc = devices_rename(vm, name);
    if (rc)
        return why_set(why, rc, "%s: cannot write its name to the store (error %d)", old, -rc);
    strlcpy(vm->cfg.name, name, sizeof(vm->cfg.name));
    console_rename(old, name);
    log_info("%s: is called %s now", old, name);
    vm_event(vm, VM_EVENT_RENAMED, "%s", old);
    return 0;
}
