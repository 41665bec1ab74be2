/* SPDX-License-Identifier: MIT */
/*
 * vmconfig.h - what a domain is to be: the values of its xl.cfg, checked and in our units.
 *
 * vmconfig.c fills it in from text: for a host, whose vm.c builds from it and keeps a copy for
 * restarts, and for the operator's command, so that both read a file alike. Plain data without
 * pointers: copy it by assignment. vm_config_init() gives the defaults of xl.
 */
#ifndef LIB_VMCONFIG_H
#define LIB_VMCONFIG_H

#include "compiler.h"

#define VM_NAME_MAX    64       /* with the NUL, as all of these */
#define VM_FILE_MAX    256
#define VM_CMDLINE_MAX 1024
#define VM_VIFS        8
#define VM_DISKS       16
#define VM_VIF_IPS     4
#define VM_VCPUS       32       /* vcpu_info slots in shared_info */

enum vm_action { VM_DESTROY, VM_RESTART, VM_PRESERVE };

struct vm_vif {
    uint32_t id;                /* its number in xenstore; vm.c's: as listed, then the first free */
    uint8_t mac[6];             /* all zero: chosen by vm.c, stable for name and index */
    char bridge[16];            /* "" = the host's only bridge */
    char model[16];             /* as given; paravirtual whatever it says */
    uint32_t ip[VM_VIF_IPS];    /* host byte order; only these source addresses are let through */
    uint8_t nr_ips;             /* 0: no filter by IP */
    uint64_t rate;              /* bytes per second that the guest may send, 0 = unlimited */
    uint32_t rate_interval_us;  /* credit is replenished so often; 0 = 50000 */
};

struct vm_disk {
    char target[VM_FILE_MAX];   /* docs/disks.md */
    char vdev[16];              /* "xvda", "xvdb1", "hda" ... as given */
    uint32_t device;            /* its number in xenstore: xvda = 51712 */
    bool readonly;
    bool shared;                /* "w!": others may have it, too */
    bool cdrom;
    bool no_discard;
    uint32_t iops;              /* requests a second, 0 = unlimited */
    uint64_t bps;               /* bytes a second, 0 = unlimited */
};

struct vm_config {
    char name[VM_NAME_MAX];
    char kernel[VM_FILE_MAX];   /* required */
    char ramdisk[VM_FILE_MAX];  /* "" = none */
    char cmdline[VM_CMDLINE_MAX];   /* root=, extra= and cmdline= joined */
    uint8_t uuid[16];           /* all zero: made by vm.c */
    uint32_t memory_mib;
    uint32_t maxmem_mib;        /* 0 = memory_mib */
    uint32_t vcpus;
    uint32_t maxvcpus;          /* 0 = vcpus */
    uint32_t cpu_weight;        /* 1..65535, default 256 */
    uint32_t cpu_cap;           /* percent of one CPU, 0 = none */
    uint64_t cpus[VM_VCPUS];    /* of each vCPU: CPUs that it may run on, a bit each; 0 = any */
    uint64_t cpus_soft[VM_VCPUS];   /* and those that it would rather run on */
    enum vm_action on_poweroff, on_reboot, on_crash, on_watchdog;
    uint32_t nr_vifs, nr_disks;
    struct vm_vif vif[VM_VIFS];
    struct vm_disk disk[VM_DISKS];
};

/* One interface or disk as in vif=[ "..." ] and disk=[ "..." ]. 0, or -XEN_EINVAL with one line in
 * why. */
int vm_vif_parse(struct vm_vif *v, const char *spec, char *why);
int vm_disk_parse(struct vm_disk *d, const char *spec, char *why);

/* Can a domain be called that? 0, or -XEN_EINVAL with one line in why. */
int vm_name_check(const char *name, char *why);

/* Defaults: 1 vCPU, weight 256, on_poweroff, on_crash and on_watchdog destroy, on_reboot restart. */
void vm_config_init(struct vm_config *c);

/*
 * Reads an xl.cfg. Returns 0; or -XEN_EINVAL with one line in why: "file:line:column: what". c is
 * then unspecified. warn (may be NULL) gets a line for each key that has no effect here.
 */
int vm_config_parse(struct vm_config *c, const char *file, const char *text, size_t len,
                    void (*warn)(void *arg, const char *line), void *warn_arg, char *why,
                    size_t why_size);

/* One thing about a file that whoever wrote it should know. */
struct vm_config_finding {
    bool refused;               /* else it has no effect */
    unsigned int line, column;  /* 0 = of the file as a whole */
    const char *text;           /* what, and what to do: one line without the place */
};

/*
 * Reads like vm_config_parse(), but goes on after what is refused and tells found() all of it.
 * Returns how many findings were refusals; c holds what could be read.
 */
unsigned int vm_config_review(struct vm_config *c, const char *text, size_t len,
                              void (*found)(void *arg, const struct vm_config_finding *f),
                              void *arg);

/* True when a key of that name is applied, whatever its value. */
bool vm_config_applies(const char *key);

/*
 * Checks what does not depend on other domains: name and kernel given, sizes in range. Returns 0,
 * or -XEN_EINVAL with one line in why. vm_create() calls it as well.
 */
int vm_config_check(const struct vm_config *c, char *why, size_t why_size);

#endif
