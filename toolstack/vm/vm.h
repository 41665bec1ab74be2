/* SPDX-License-Identifier: MIT */
/*
 * vm.h - domains of this host: creation, life cycle, what happens when one ends.
 *
 * Everything runs on the event loop. Creation is spread over many turns (decompressing a kernel
 * may take seconds); whoever asked is told by a callback. Errors come as a negative XEN_Exxx and
 * one line of text that names the domain or file and what is wrong; the same line is logged.
 */
#ifndef VM_VM_H
#define VM_VM_H

#include "xenabi.h"
#include "addr.h"
#include "lib/list.h"
#include "lib/why.h"
#include "runtime/loop.h"
#include "lib/vmconfig.h"

#define VM_WHY_MAX WHY_MAX      /* room for an error line */
#define VM_NO_REASON ~0U        /* shutdown_reason: it did not end by itself */

enum vm_state {
    VM_BUILDING,                /* being created; may have no domid yet */
    VM_RUNNING,
    VM_PAUSED,                  /* by an operator */
    VM_SUSPENDED,               /* stopped itself to be suspended, and can go on (suspend.h) */
    VM_SHUTDOWN,                /* ended by itself (reason), kept because of preserve */
    VM_DYING,                   /* being torn down */
};

struct build;
struct file;
struct kernel;
struct suspend;

struct vm {
    struct list link;
    enum vm_state state;
    domid_t domid;
    bool has_domid;
    struct vm_config cfg;

    /* Valid from the `start` hook on. Ports are the guest's; frames are read by mapping them. */
    mfn_t store_mfn, console_mfn;
    evtchn_port_t store_port, console_port;
    uint64_t pages;             /* memory at creation */
    uint64_t target_kib;        /* memory that it is asked to have (tune.h) */
    uint32_t map_mib;           /* maxmem when it was built: its memory map ends there */
    uint64_t asked_ns, created_ns;      /* system time: vm_create(), and when it ran */

    uint32_t shutdown_reason;   /* SHUTDOWN_xxx in VM_SHUTDOWN and VM_DYING; or VM_NO_REASON */
    uint32_t restarts;          /* how often it was restarted by on_xxx */

    /* vm.c's own. */
    bool restart_after, start_paused, hooked, has_nodes;
    bool announced;             /* there was an event of its creation */
    bool retargeted;            /* tune.c's: target_kib was changed */
    bool can_cancel;            /* its kernel can be told that it goes on where it was suspended */
    struct suspend *suspend;    /* suspend.c's: it was asked to, and has not yet; or NULL */
    bool suspend_overdue;       /* suspend.c's: it may still do what is no longer wanted */
    enum vm_state suspend_was;  /* suspend.c's: its state before, and after */
    struct file *ramdisk;
    struct kernel *kernel;
    bool opening_disks, has_disks;
    struct build *build;
    struct work work;
    struct timer timer;
    void (*done)(void *arg, struct vm *vm, int rc, const char *why);
    void *done_arg;
};

/*
 * Says whether a disk= can be served: 0, or a negative error with the line in why. Whoever serves disks
 * sets it before the first domain; while it is NULL, disk= is reported and left out. A domain is refused
 * for a disk that is not there: its kernel would wait for it for minutes.
 */
extern int (*vm_disk_check)(const struct vm_disk *d, char *why);

/*
 * Before a domain is built its disks are opened, which may take a while: `open` begins that for those of
 * vm->cfg and ends, later, with vm_disks_opened(). Its backends have them then. `done`: the domain
 * runs, or will not be built; called once for each open, before or after it has ended.
 *
 * `attach`: opens one more, for a domain that runs. opened() follows once, after attach() has returned; when
 * there was no error and it says true, the backend gets the disk, else it is closed again.
 */
struct vm_disk_server {
    void (*open)(struct vm *vm);
    void (*done)(struct vm *vm);
    void (*attach)(const struct vm_disk *d, bool (*opened)(void *arg, int rc, const char *why), void *arg);
};
extern const struct vm_disk_server *vm_disk_server;     /* NULL: only vm_disk_check says */

void vm_disks_opened(struct vm *vm, int rc, const char *why);

extern struct list vm_list;     /* in order of creation */
#define vm_for_each(vm) list_for_each(vm, &vm_list, link)

struct vm *vm_find(const char *name);
struct vm *vm_by_domid(domid_t dom);    /* not while it has none */

/* "building", "running" ... for the API. */
const char *vm_state_name(enum vm_state s);
/* "poweroff", "reboot", "suspend", "crash", "watchdog", "soft_reset"; "" if unknown. */
const char *vm_shutdown_name(uint32_t reason);

/*
 * Creates a domain and starts it (unless paused). Returns 0 when the work has begun: then *vm is
 * set, and done (may be NULL) is called exactly once, with rc 0 when the domain runs, or with an
 * error and vm == NULL when it could not be built and nothing of it is left. Otherwise a negative
 * error with the line in why[VM_WHY_MAX]: name or MAC in use, no such file, bad value.
 */
int vm_create(const struct vm_config *cfg, bool paused,
              void (*done)(void *arg, struct vm *vm, int rc, const char *why), void *arg,
              struct vm **vm, char *why);

/*
 * Asks the guest through its control/shutdown node: "poweroff", "reboot", "halt" (suspend.h for the
 * rest). What follows is up to the guest and to on_poweroff/on_reboot.
 */
int vm_shutdown(struct vm *vm, const char *how, char *why);

/* Ends it now. The vm leaves the list when everything is torn down. */
int vm_destroy(struct vm *vm, char *why);

/* Ends it now and builds it again from its configuration. */
int vm_restart(struct vm *vm, char *why);

int vm_pause(struct vm *vm, char *why);
int vm_unpause(struct vm *vm, char *why);

struct vm_info {
    uint64_t cpu_ns;            /* CPU time used by all its vCPUs */
    uint64_t pages, max_pages;  /* now */
    uint32_t vcpus_online;
    bool blocked, running, paused, dying;
};

/* What the hypervisor says now. 0 or a negative error. */
int vm_get_info(struct vm *vm, struct vm_info *info);

/*
 * Who serves domains (store, console, backends) registers here. start runs when a domain is built
 * and before its first instruction, in the order of registration; when one fails, stop runs for
 * those before it and the creation fails. stop runs when the domain can run no more, before its
 * memory goes: unmap what was mapped; shutdown_reason says why. Frames and ports are in *vm.
 */
struct vm_hook {
    struct list link;
    int (*start)(void *arg, struct vm *vm);     /* 0 or negative */
    void (*stop)(void *arg, struct vm *vm);     /* may be NULL */
    void *arg;
};

void vm_hook_add(struct vm_hook *h);

/* Who has to know when no domain and no creation of one is left (a host that runs just one). */
bool vm_none_left(void);

/* Binds VIRQ_DOM_EXC. Called once by main, after the store is up. 0 or a negative error. */
int vm_init(void);

#endif
