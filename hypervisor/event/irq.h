/* SPDX-License-Identifier: MIT */
/*
 * irq.h - device interrupts: vectors, and their delivery to guests as event channels ("pirq").
 *
 * A pirq is a number in one domain for one physical interrupt: a GSI of the IOAPIC or an MSI.
 * A GSI's pirq has the number of the GSI. A pirq fires: the handler acknowledges (level
 * interrupts are masked until the guest's EOI), the softirq calls evtchn_raise_port().
 */
#ifndef HV_EVENT_IRQ_H
#define HV_EVENT_IRQ_H

#include "domain/domain.h"

#define NR_PIRQS        256u            /* pirq numbers of a domain: 0 .. NR_PIRQS - 1 */

/* EVTCHNOP_bind_pirq: port of d gets the interrupts of pirq. -EINVAL: no such pirq mapped (a
 * legacy GSI of a domain with hardware access is mapped on the way), -EEXIST: it has a port.
 * Under d's event_lock. */
int pirq_bind(struct domain *d, uint32_t pirq, evtchn_port_t port, bool will_share);
/* EVTCHNOP_close of such a port: masks the interrupt. Under d's event_lock. */
void pirq_unbind(struct domain *d, uint32_t pirq);
/* PHYSDEVOP_eoi and the implied EOI of EVTCHNOP_unmask: unmask a level interrupt. -EINVAL: no
 * such pirq. */
int pirq_eoi(struct domain *d, uint32_t pirq);
/* Domain death: unmaps all pirqs of d. */
void pirq_destroy_all(struct domain *d);

/* For dev/physdev.c. Map a GSI or an MSI (index of MSI-X entry, table_base 0: plain MSI) for d;
 * *pirq: the number wanted, or -1: choose; the result. */
int pirq_map_gsi(struct domain *d, uint32_t gsi, int *pirq);
int pirq_map_msi(struct domain *d, uint8_t bus, uint8_t devfn, bool msix, uint16_t entry,
                 uint64_t table_base, int *pirq);
/* -EINVAL: not mapped; -EBUSY: a port is bound to it. */
int pirq_unmap(struct domain *d, uint32_t pirq);
/* How a GSI signals, before it is mapped. -EEXIST: it is mapped (and stays as it is). */
int pirq_setup_gsi(uint32_t gsi, bool level, bool low);
/* Does pirq need an EOI from the guest? */
bool pirq_needs_eoi(struct domain *d, uint32_t pirq);
int pirq_find_free(struct domain *d);

void irq_init(void);

#endif
