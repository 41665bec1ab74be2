/* SPDX-License-Identifier: MIT */
/*
 * hv.h - domain control: one typed function per domctl or sysctl that the toolstack uses
 * (docs/domctl.md). All return 0 or a negative XEN_Exxx unless said otherwise.
 */
#ifndef VM_HV_H
#define VM_HV_H

#include "addr.h"
#include "xenabi.h"

struct hv_create {
    uint8_t uuid[16];
    uint32_t vcpus;
    uint64_t max_pages;         /* 0: no limit set yet */
};

/* A paused domain without memory. *dom is set; on an error nothing is left. */
int hv_create(const struct hv_create *c, domid_t *dom);

int hv_max_mem(domid_t dom, uint64_t pages);
int hv_pause(domid_t dom);
int hv_unpause(domid_t dom);

/*
 * A domain that stopped to be suspended goes on: the call by which it did so returns 1, "cancelled", on vCPU 0.
 * -XEN_EINVAL for one that runs or ended for another reason, and nothing of it has changed.
 */
int hv_resume(domid_t dom);

/* Tears it down a bit further: 1 = call again in a later turn. */
int hv_destroy(domid_t dom);

/* weight 1..65535, cap in percent of one CPU (0: none). */
int hv_set_scheduling(domid_t dom, uint32_t weight, uint32_t cap);

/* -XEN_ESRCH when there is no such domain. */
int hv_get_info(domid_t dom, struct xen_domctl_getdomaininfo *info);

/* Where a vCPU runs: a bit for each CPU of the first 64. */
struct hv_affinity {
    uint64_t hard;              /* may */
    uint64_t soft;              /* would rather */
};

int hv_get_vcpu(domid_t dom, uint32_t vcpu, struct xen_domctl_getvcpuinfo *info,
                struct hv_affinity *affinity);
/* -XEN_EINVAL: the host has none of the CPUs of a.hard. Nothing has changed then. */
int hv_set_affinity(domid_t dom, uint32_t vcpu, struct hv_affinity a);

/* Up to max domains with ids >= first; returns how many. */
int hv_list(domid_t first, struct xen_domctl_getdomaininfo *list, uint32_t max);

int hv_set_context(domid_t dom, uint32_t vcpu, struct vcpu_guest_context *c);

struct hv_host {
    uint32_t cpus, cpu_khz;
    uint64_t total_pages, free_pages;
};

int hv_host_info(struct hv_host *h);

/*
 * The hypervisor's counters: names[i] and values[i] of the first max; returns how many there are,
 * or a negative error. Values wrap. names may be NULL.
 */
int hv_counters(struct xen_sysctl_perfc_desc *names, uint32_t *values, uint32_t max);
/*
 * What the hypervisor wrote, from byte *index on (one that is overwritten moves up to the oldest);
 * advances *index. Returns how many bytes, 0 at the end, or a negative error.
 */
int hv_read_console(uint32_t *index, char *buf, uint32_t size);
/* How long CPU n was idle since it came up, in ns; 0 for one that is not there. */
uint64_t hv_idle_ns(uint32_t cpu);

/*
 * Gives the domain memory for pages [pfn, pfn + n) and writes their machine frames to frames[0..n).
 * Returns how many it got, which is less than n only when the host's memory is used up.
 */
uint64_t hv_populate(domid_t dom, uint64_t pfn, uint64_t n, mfn_t *frames);

/* What the domain is told about its memory: one range of RAM of so many pages. */
int hv_set_memory_map(domid_t dom, uint64_t pages);

int hv_pin_l4(domid_t dom, mfn_t l4);

/* An event channel of domain dom that dom0 may bind to. */
int hv_alloc_port(domid_t dom, evtchn_port_t *port);

/* The first frame of its grant table. */
int hv_grant_frame(domid_t dom, mfn_t *frame);

#endif
