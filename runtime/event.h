/* SPDX-License-Identifier: MIT */
/*
 * event.h - event channels: ports and their handlers.
 *
 * Upcalls stay masked: loop.c looks at the pending bits itself and calls handlers one after the
 * other, so handlers never interrupt anything and may call everything. An event is a hint that
 * is never lost after it was sent: a handler looks at its ring, not at a count.
 * Every bind returns 0 and a port (never 0), or a negative error.
 */
#ifndef RUNTIME_EVENT_H
#define RUNTIME_EVENT_H

#include "xenabi.h"
#include "compiler.h"

typedef void (*event_fn)(void *arg);

/* Connects to a port that domain dom offers us. */
int event_bind_interdomain(domid_t dom, evtchn_port_t remote, event_fn fn, void *arg,
                           evtchn_port_t *port);

/* Makes a port of ours that domain dom may bind to. */
int event_alloc_unbound(domid_t dom, event_fn fn, void *arg, evtchn_port_t *port);

int event_bind_virq(unsigned int virq, event_fn fn, void *arg, evtchn_port_t *port);

/* A physical interrupt (pci.h makes pirqs). After the handler the line is re-armed if the
 * hypervisor asks for it. share: EVENT_SHARED allows other handlers on a level line. */
#define EVENT_SHARED 1u
int event_bind_pirq(unsigned int pirq, unsigned int share, event_fn fn, void *arg,
                    evtchn_port_t *port);

/* Gives a port that exists already (store, console) a handler. Unmasks it. */
int event_attach(evtchn_port_t port, event_fn fn, void *arg);

/* Forgets the handler and closes the port. Port 0 is ignored. */
void event_close(evtchn_port_t port);

/* Signals the other end. An invalid port is ignored. */
void event_send(evtchn_port_t port);

/* A masked port keeps its event until it is unmasked; unmask delivers what came meanwhile. */
void event_mask(evtchn_port_t port);
void event_unmask(evtchn_port_t port);

/* Runs the handlers of all pending, unmasked ports; true when there was any. For loop.c. */
bool event_poll(void);

/* True when event_poll would find something. */
bool event_any_pending(void);

/* Start of day: masks everything. */
void event_init(void);

#endif
