/* SPDX-License-Identifier: MIT */
/* vmcpus.c - the keys cpus and cpus_soft of an xl.cfg: where vCPUs run. Pure. */
#include "lib/cpulist.h"
#include "lib/printf.h"
#include "lib/string.h"
#include "lib/vmparse.h"

/* xl takes a number for the CPU of that number. */
static int take_cpus(struct parse *p, const char *key, struct xlcfg_node *e, uint64_t *cpus)
{
    char text[24], why[WHY_MAX];

    if (e->type == XLCFG_LIST)
        return BAD(p, e, "%s: an element must be a text such as \"0-3,^1\"", key);
    snprintf(text, sizeof(text), "%lu", e->number);
    if (cpulist_parse(e->type == XLCFG_NUMBER ? text : e->string, cpus, why))
        return BAD(p, e, "%s: %s", key, why);
    return 0;
}

/* One text is for all vCPUs; of a list the first is for vCPU 0 and so on, the rest may run anywhere. */
static int apply(struct parse *p, struct xlcfg_node *n, uint64_t cpus[VM_VCPUS])
{
    uint32_t i = 0;

    memset(cpus, 0, VM_VCPUS * sizeof(*cpus));
    if (n->type != XLCFG_LIST) {
        int rc = take_cpus(p, n->key, n, &cpus[0]);

        for (i = 1; i < VM_VCPUS; i++)
            cpus[i] = cpus[0];
        return rc;
    }
    for (struct xlcfg_node *e = n->child; e; e = e->next, i++) {
        int rc = i < VM_VCPUS ? take_cpus(p, n->key, e, &cpus[i])
                              : BAD(p, e, "%s is for more than %d vCPUs", n->key, VM_VCPUS);

        if (rc && !passed_over(p))
            return rc;
    }
    return 0;
}

int apply_cpus(struct parse *p, struct xlcfg_node *n)
{
    return apply(p, n, p->cfg->cpus);
}

int apply_cpus_soft(struct parse *p, struct xlcfg_node *n)
{
    return apply(p, n, p->cfg->cpus_soft);
}
