/* SPDX-License-Identifier: MIT */
/* domain_impl.h - what the files of domain/ share among themselves. */
#ifndef DOMAIN_DOMAIN_IMPL_H
#define DOMAIN_DOMAIN_IMPL_H

#include "domain/domain.h"

/* domain.c: gives back what domain_create() and vcpu_create() allocated. */
void domain_free_parts(struct domain *d);
/* domain.c: takes a domain without references off the table; its number is free again. */
void domain_unlist(struct domain *d);
/* domain.c: after SCHEDOP_shutdown, waits until the last vCPU has left its CPU. */
void domain_shutdown_wait(struct domain *d);
uint32_t domain_count(void);
/* Is there a domain of that number, living, dying or dead? */
bool domain_id_taken(uint32_t id);
/* dominfo.c: what getdomaininfo says about d. Under domctl_lock. */
void domain_info(struct domain *d, struct xen_domctl_getdomaininfo *info);

/* perfc.c: XEN_SYSCTL_perfc_op. */
long sysctl_perfc(struct xen_sysctl *op);

/* The toolstack's pause count of d, under domctl_lock or at boot. */
void domain_pause_by_toolstack(struct domain *d);
int domain_unpause_by_toolstack(struct domain *d);      /* -EINVAL: it is not paused */
/* dom0's vCPU 0 is ready: off it goes. */
void domain_first_start(struct domain *d);

/* vcpu.c */
void vcpu_free(struct vcpu *v);
/* Drops the roots, descriptor tables and the registered vcpu_info of a vCPU that will not run
 * again (or is given all that anew). */
void vcpu_drop_references(struct vcpu *v);
/* VCPUOP_register_vcpu_info: once per vCPU. */
int vcpu_register_info(struct vcpu *v, mfn_t m, uint32_t offset);

/* destroy.c: the last reference went; frees d from a softirq, as locks may be held here. */
void domain_free_later(struct domain *d);
void destroy_init(void);

#endif
