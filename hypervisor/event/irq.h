/* SPDX-License-Identifier: MIT */
/*
 * irq.h - device interrupts: vectors, and their delivery to guests as event channels ("pirq").
 *
 * A pirq is a number in one domain for one physical interrupt: a GSI of the IOAPIC or an MSI.
 * GSIs below 16 get the pirq of the same number. A pirq fires: the handler acknowledges (level
 * interrupts are masked until the guest's EOI), the softirq calls evtchn_raise_port().
 */
#ifndef HV_EVENT_IRQ_H
#define HV_EVENT_IRQ_H

#include "domain/domain.h"

#define NR_PIRQS        256u            /* pirq numbers of a domain: 0 .. NR_PIRQS - 1 */

/* A free vector 0x30..0xdf whose handler is fn (interrupts off, acknowledges); 0: none left. */
uint8_t irq_vector_alloc(void (*fn)(struct cpu_user_regs *regs));

/* EVTCHNOP_bind_pirq: port of d gets the interrupts of pirq. -EINVAL: no such pirq mapped (a
 * legacy GSI is mapped on the way), -EEXIST: it has a port. Under d's event_lock. */
int pirq_bind(struct domain *d, uint32_t pirq, evtchn_port_t port, bool will_share);
/* EVTCHNOP_close of such a port: masks the interrupt. Under d's event_lock. */
void pirq_unbind(struct domain *d, uint32_t pirq);
/* PHYSDEVOP_eoi and the implied EOI of EVTCHNOP_unmask: unmask a level interrupt. */
void pirq_eoi(struct domain *d, uint32_t pirq);
/* Domain death: unmaps all pirqs of d. */
void pirq_destroy_all(struct domain *d);

void irq_init(void);

#endif
