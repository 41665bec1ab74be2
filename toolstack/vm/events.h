/* SPDX-License-Identifier: MIT */
/*
 * events.h - what happened to domains, in order: a bounded ring that readers follow by number.
 *
 * Each event has a number, from 1 on. A reader keeps the number of the event that it wants next;
 * one that falls behind by more than the ring holds is told how many it missed.
 */
#ifndef VM_EVENTS_H
#define VM_EVENTS_H

#include "xenabi.h"
#include "lib/list.h"
#include "lib/vmconfig.h"

#define VM_EVENTS 256           /* kept */
#define VM_EVENT_TEXT 96

struct vm;

enum vm_event_type {
    VM_EVENT_CREATED,           /* built; is about to run */
    VM_EVENT_RUNNING,
    VM_EVENT_PAUSED,
    VM_EVENT_UNPAUSED,
    VM_EVENT_SUSPENDED,
    VM_EVENT_SUSPEND_FAILED,    /* text: why */
    VM_EVENT_RESUMED,
    VM_EVENT_SHUTDOWN,          /* ended by itself; text: the reason */
    VM_EVENT_CRASHED,
    VM_EVENT_REBOOTING,         /* ends and is built again */
    VM_EVENT_DESTROYED,         /* nothing of it is left in the hypervisor */
    VM_EVENT_RENAMED,           /* text: the old name */
    VM_EVENT_ATTACHED,          /* text: "vif 0", "vbd xvdb" */
    VM_EVENT_DETACHED,
    VM_EVENT_DETACH_FAILED,     /* text: the device, and why */
    VM_EVENT_LOST,              /* text: how many events this reader missed */
};

struct vm_event {
    uint64_t seq;
    uint64_t seconds;           /* since 1970 */
    uint32_t nanoseconds;
    enum vm_event_type type;
    bool has_domid;
    domid_t domid;
    char domain[VM_NAME_MAX];   /* name at that time */
    char text[VM_EVENT_TEXT];
};

/* "created", "device-attached" ... for the API. */
const char *vm_event_name(enum vm_event_type t);

void vm_event(const struct vm *vm, enum vm_event_type t, const char *fmt, ...) __printf(3, 4);

/*
 * The event that a reader at *seq gets next, and *seq one further (0 counts as 1, the first);
 * false: there is none yet. VM_EVENT_LOST, with no domain, stands for those that are not kept any
 * more.
 */
bool vm_events_next(uint64_t *seq, struct vm_event *e);
/* The number of the next event to happen. */
uint64_t vm_events_end(void);

/* fn runs at each event, from whatever caused it: it may queue work and nothing else. */
struct vm_event_listener {
    struct list link;
    void (*fn)(struct vm_event_listener *l);
};

void vm_events_listen(struct vm_event_listener *l);
void vm_events_unlisten(struct vm_event_listener *l);

#endif
