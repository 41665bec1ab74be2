/* SPDX-License-Identifier: MIT */
/*
 * domain.h - domains and their vCPUs.
 *
 * Fields are grouped by what guards them. A domain is found by domain_get(id), which takes a
 * reference, and lives until the last domain_put(). The current vCPU's domain needs no extra
 * reference. Lock order: locks.h.
 */
#ifndef DOMAIN_DOMAIN_H
#define DOMAIN_DOMAIN_H

#include "addr.h"
#include "compiler.h"
#include "xenabi.h"
#include "lib/list.h"
#include "spinlock.h"
#include "cpu/percpu.h"
#include "sched/affinity.h"
#include "sched/credit.h"
#include "sched/timer.h"

struct evtchn;
struct grant_table;
struct page;
struct fpu_state;

#define MAX_VCPUS       32              /* of a domain: the legacy vcpu_info slots */
#define MAX_POLL_PORTS  128             /* of one SCHEDOP_poll */
#define NR_WATCHDOGS    2               /* of a domain */

/* A guest's handlers that are not exceptions (callback_op, set_callbacks). */
struct guest_callback {
    uint64_t eip;                       /* 0: none */
    bool mask_events;
};

enum vcpu_state {                       /* as the scheduler sees it; under its runqueue lock */
    VCPU_OFFLINE,                       /* has a reason not to run: pause_flags, pause_count */
    VCPU_RUNNABLE,                      /* on a run queue */
    VCPU_PARKED,                        /* would run, but its domain used up its cap */
    VCPU_LEAVING,                       /* ran, goes to another CPU once its registers are saved */
    VCPU_RUNNING,
};

#define SHUTDOWN_CODE_NONE (~0u)

/* Pause reasons, bits of vcpu.pause_flags: any set bit keeps the vCPU off the CPUs. */
#define VPF_DOWN        (1u << 0)       /* VCPUOP_down, or never brought up */
#define VPF_BLOCKED     (1u << 1)       /* SCHEDOP_block */
#define VPF_POLL        (1u << 2)       /* SCHEDOP_poll: waits for its ports or timeout */
#define VPF_SHUTDOWN    (1u << 3)       /* the domain shut down (resumedomain clears it) */

struct vcpu {
    struct domain *domain;
    uint32_t id;
    bool is_idle;
    bool initialised;                   /* VCPUOP_initialise or setvcpucontext happened */

    /* ---- Register state. Belongs to the CPU that runs the vCPU; to whoever paused it else. */
    struct cpu_user_regs regs;          /* valid while not running; else in cpu_info */
    bool kernel_mode;                   /* the guest's mode flag; CPL is 3 in both */
    uint8_t iopl;                       /* virtual, 0..3 (PHYSDEVOP_set_iopl) */
    mfn_t kernel_root, user_root;       /* L4s; user_root may be MFN_INVALID. Type refs held */
    uint64_t cr3_kernel, cr3_user;      /* the same as values for CR3 */
    uint64_t kernel_sp;
    uint64_t kernel_ss;
    uint64_t fs_base, gs_base_kernel, gs_base_user;     /* gs_base_*: kernel/user mode's GS */
    uint64_t cr2;                       /* last reflected */
    uint64_t guest_cr0;                 /* only TS is the guest's */
    uint64_t guest_cr4;
    uint64_t xcr0;
    uint64_t dr[8];                     /* 6, 7: virtual */
    uint32_t tsc_aux;
    struct trap_info *traps;            /* 256 entries */
    struct guest_callback event_cb, failsafe_cb, syscall_cb, syscall32_cb, sysenter_cb;
    bool nmi_pending;                   /* VCPUOP_send_nmi; any CPU sets it */
    bool nmi_masked;                    /* its handler runs: until iret */
    struct fpu_state *fpu;              /* XSAVE area, cpu/fpu.c */
    bool fpu_used;                      /* false: dom0's, initial, and CR0.TS is set */

    /* Descriptor tables: frames are PGT_SEG_DESC; mapped in the per-domain area. */
    mfn_t gdt_frames[FIRST_RESERVED_GDT_PAGE];
    uint32_t gdt_ents;
    uint64_t ldt_base;                  /* guest virtual, page aligned */
    uint32_t ldt_ents;                  /* 0: none */
    uint16_t ldt_mapped;                /* pages of it that are mapped; under mmu_lock */
    uint32_t gdt_of_cpu;                /* whose GDT page the window has, + 1; 0: none */

    /* ---- Shared with the guest. */
    struct vcpu_info *info;             /* ours to write through the direct map; never NULL */
    struct page *info_page;             /* registered by VCPUOP_register_vcpu_info, or NULL */
    guest_ptr_t runstate_area;          /* v == 0: none. Valid in the kernel root only */
    guest_ptr_t time_area;
    bool areas_stale;                   /* to be written when it is in kernel mode next */

    /* ---- Time. */
    uint64_t tsc_offset;
    struct timer singleshot;            /* raises VIRQ_TIMER */
    struct timer periodic;
    uint64_t periodic_ns;               /* 0: off */
    struct timer poll_timer;
    struct vcpu_time_info time;         /* what was last published, and for which CPU */
    uint32_t time_cpu;
    uint32_t time_area_version;         /* of .time, as last written to time_area */

    /* ---- Event channels bound to this vCPU: port or 0. Under domain.event_lock. */
    evtchn_port_t virq_port[NR_VIRQS];
    evtchn_port_t poll_ports[MAX_POLL_PORTS];
    uint32_t poll_nr;                   /* 0: not polling, or any event will do */

    /* ---- Scheduling: sched/sched.c, under the runqueue lock of .cpu. */
    uint32_t cpu;                       /* where it runs, or ran last */
    enum vcpu_state state;
    struct list run_link;
    uint32_t pause_flags;               /* VPF_*, atomic */
    uint32_t pause_count;               /* atomic; > 0: kept off the CPUs */
    bool running;                       /* its state is on a CPU; cleared after it was saved */
    struct affinity affinity;           /* where it may run */
    cpumask_t dirty_cpus;               /* CPUs whose TLB may hold entries of it: at most one */
    struct credit_vcpu credit;
    struct vcpu_runstate_info runstate; /* accounting, ns; under that lock too */

    /* ---- Page-table work of its current hypercall (mm/budget.c): the current CPU only. */
    struct {
        uint32_t steps, steps_ok;       /* tables done; as of when it was found fit to go on */
        uint32_t nr_deferred;           /* tables left half devalidated: MFNs */
        uint32_t deferred[8];
    } mm;

    /* ---- Multicall and continuations (hypercall/continue.c): the current CPU only. */
    bool in_multicall;
    bool preempted;                     /* the sub-call asked for a continuation */
    struct multicall_entry mc;
};

enum domain_state {
    DOMAIN_BUILDING,                    /* created, never unpaused */
    DOMAIN_ALIVE,
    DOMAIN_DYING,                       /* destroydomain began: no new references to resources */
    DOMAIN_DEAD,                        /* resources gone, waits for references */
};

struct domain {
    domid_t id;
    bool privileged;                    /* may use domctl, sysctl, foreign mappings: dom0 */
    bool is_idle;
    uint8_t handle[16];                 /* the toolstack's uuid */
    uint32_t refs;                      /* atomic. One for being listed, one while tot_pages > 0 */
    struct list link;                   /* structs to reuse, domain/domain.c */

    spinlock_t lock;                    /* LOCK_DOMAIN: vCPUs initialised, up and down; watchdogs */
    struct vcpu *vcpu[MAX_VCPUS];       /* set once, before the domain runs */
    uint32_t max_vcpus;
    uint32_t pause_count;               /* by the toolstack: domctl_lock. A new domain has 1 */
    uint32_t poll_mask;                 /* vCPUs inside SCHEDOP_poll; atomic */

    enum domain_state state;            /* under domctl_lock */
    bool shutting_down, shut_down;      /* SCHEDOP_shutdown; under shutdown_lock */
    bool may_resume;                    /* it stopped to be suspended, and for nothing else */
    uint32_t shutdown_code;             /* SHUTDOWN_*; SHUTDOWN_CODE_NONE: not known yet */
    spinlock_t shutdown_lock;

    /* ---- Memory. */
    spinlock_t page_lock;               /* page list and counts */
    uint32_t page_list;                 /* first frame (struct page.next), FRAME_NIL */
    uint32_t relinquish_cursor;         /* domain_relinquish_memory(): next frame to look at, */
    bool relinquish_begun, relinquish_again;    /* and whether another sweep is needed */
    bool relinquish_disown;                     /* tables are dismantled: frames go */
    uint64_t tot_pages, max_pages;
    uint64_t shared_pages;              /* PGC_HYPERVISOR pages: leak check */

    spinlock_t mmu_lock;                /* contents and validation of its page tables */
    uint64_t *perdomain_l3;             /* slot 260 of all its L4s */
    uint64_t **perdomain_l1;            /* L1 tables of the GDT/LDT windows, one per 16 vCPUs */
    uint64_t vm_assist;                 /* bits of VMASST_TYPE_* */
    struct e820_map *e820;              /* XENMEM_memory_map; NULL: one region. mm/memop.c */
    bool no_global_pages;               /* its kernel pages have U set: never give them G */

    struct shared_info *shared;
    struct page *shared_page;

    /* ---- Event channels: event/evtchn.c. */
    spinlock_t event_lock;              /* binding and closing; state of all ports */
    struct evtchn **evtchn_bucket;      /* ports in groups, allocated on demand */
    uint32_t max_evtchn_port;           /* limit for this domain */
    uint32_t nr_evtchns;                /* in use */
    uint32_t evtchn_hint;               /* no free port below */

    struct grant_table *grant;          /* grant/table.c */

    cpumask_t dirty_cpus;               /* CPUs that may hold TLB entries of it */
    bool held;                          /* CPUs that begin to run it wait: domain_hold() */

    /* ---- Physical interrupts and ports (dom0 and driver domains): event/irq.c, portio.c. */
    struct list pirqs;
    bool io_all;                        /* may use every I/O port and map MMIO */

    /* ---- Scheduling policy. */
    struct credit_domain credit;        /* weight and cap: under domctl_lock, read anywhere */
    spinlock_t cap_lock;                /* the rest of it, and parked vCPUs (LOCK_CAP) */
    struct list parked;                 /* vcpu.run_link */
    struct timer cap_timer;             /* the next period of its cap begins */

    /* ---- SCHEDOP_watchdog: sched/schedop.c. */
    uint32_t watchdog_used;             /* bits; under lock */
    struct timer watchdog[NR_WATCHDOGS];

    uint64_t time_offset_seconds;
    uint32_t wc_version;                /* of the wall clock in shared_info */
    uint32_t cpuid_flags;

    /* ---- Teardown: domain/destroy.c. */
    uint32_t destroy_stage;             /* under domctl_lock */
    struct domain *free_next;
};

extern struct domain *dom0;

/*
 * Holds d at rest: true if no CPU has anything of it in its TLB; then none begins to run it until domain_let_go(), which is to be
 * called either way. One holder at a time (that of its grant lock), for microseconds, waiting for nobody meanwhile.
 */
static inline bool domain_hold(struct domain *d)
{
    (void)atomic_xchg(&d->held, true);
    return load_relaxed(&d->dirty_cpus) == CPUMASK_NONE;
}

static inline void domain_let_go(struct domain *d)
{
    store_release(&d->held, false);
}
extern struct domain *idle_domain;      /* owner of the idle vCPUs */
extern struct vcpu *idle_vcpu[NR_CPUS]; /* one for each CPU, made by sched_init_cpu() */

void domain_init(void);                 /* boot, before sched_init(): the idle domain */
/* Makes dom0 from the boot modules and starts it (domain/dom0.c); panics if it cannot. */
void dom0_build(void);

/* Takes a reference; NULL when there is none of that id or it is dead. DOMID_SELF is not known
 * here: use domain_of_arg(). */
struct domain *domain_get(domid_t id);
void domain_ref(struct domain *d);
void domain_put(struct domain *d);
/* n at once. */
void domain_refs(struct domain *d, uint32_t n);
void domain_puts(struct domain *d, uint32_t n);
/* The domain that a hypercall argument names: DOMID_SELF or a number; NULL: -ESRCH. */
struct domain *domain_of_arg(domid_t id);
/* Unreferenced look-up by frame owner, for code that holds a reference to the frame: a domain
 * lives while it has frames (mm/frame.c: domain_ref() when tot_pages leaves 0, domain_put() when
 * it comes back). Also finds dead domains. */
struct domain *domain_of_owner(uint16_t owner);
/* The domain with the least id >= id, referenced; NULL: none. Dying ones too. */
struct domain *domain_get_from(uint32_t id);

struct domain_config {
    domid_t id;
    bool privileged;
    uint32_t max_vcpus;                 /* 1 .. MAX_VCPUS */
    uint32_t max_evtchn_port;           /* limit; at most EVTCHN_MAX_PORTS */
    uint32_t max_grant_frames, max_maptrack_frames;
    uint8_t handle[16];
};
/* A new domain without vCPUs and memory, paused once by the toolstack. 0, -EEXIST (id in use) or
 * -errno; *dp has one reference for the caller. */
int domain_create(const struct domain_config *cfg, struct domain **dp);
int vcpu_create(struct domain *d, uint32_t id);
/* Loads registers, tables and bases; checks everything first. For setvcpucontext and
 * VCPUOP_initialise; v must be down or its domain paused. It is left as it was when this fails:
 * -EINVAL, or -ERESTART: preempted, call again. */
int vcpu_set_context(struct vcpu *v, const struct vcpu_guest_context *c);
void vcpu_get_context(struct vcpu *v, struct vcpu_guest_context *c);

/* The guest did something fatal: report (registers, page walk, reason) and shut the domain
 * down with SHUTDOWN_crash. Usable from any handler of the current vCPU; returns, and the
 * caller must go back to the exit path without touching guest state further. */
void domain_crash(struct domain *d, const char *fmt, ...) __printf(2, 3);
/* SCHEDOP_shutdown: stops all vCPUs, tells dom0 by VIRQ_DOM_EXC. The machine goes down or
 * restarts when it is dom0. */
void domain_shutdown(struct domain *d, uint32_t reason);
/* The reverse (resumedomain): its vCPUs go on where they stopped. -EINVAL for a domain that did not stop to be suspended:
 * one that crashed, or was powered off, has nothing to go on with. */
int domain_resume(struct domain *d);

/* Destruction (domain/destroy.c): marks it dying, stops it, gives back all that it has, in
 * bounded steps: 0 done, -ERESTART call again. Under domctl_lock. */
int domain_destroy_step(struct domain *d);

/* domctl and sysctl, one at a time; also guards domain.state, weights, caps. */
extern spinlock_t domctl_lock;

#define for_each_vcpu(d, v) \
    for (uint32_t i_##v = 0; i_##v < (d)->max_vcpus; i_##v++) \
        if (((v) = (d)->vcpu[i_##v]) != NULL)

static inline bool domain_dying(const struct domain *d)
{
    return READ_ONCE(d->state) >= DOMAIN_DYING;
}

#endif
