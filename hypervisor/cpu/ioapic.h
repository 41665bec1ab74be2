/* SPDX-License-Identifier: MIT */
/*
 * ioapic.h - IOAPICs: global system interrupts (GSIs) to vectors of CPUs.
 *
 * All functions take LOCK_IRQ with interrupts off, so handlers may call them.
 */
#ifndef HV_CPU_IOAPIC_H
#define HV_CPU_IOAPIC_H

#include "compiler.h"

/* Maps all IOAPICs of the MADT and masks every input. */
void ioapic_init(void);
/* GSIs are 0 .. ioapic_nr_gsis() - 1; there may be holes. */
uint32_t ioapic_nr_gsis(void);
bool ioapic_has_gsi(uint32_t gsi);
/* The GSI that an ISA interrupt is wired to, and how it signals, by the MADT. */
uint32_t ioapic_isa_gsi(uint8_t irq);
/* True if the MADT says how gsi signals (an override); then level and low are set. */
bool ioapic_override(uint32_t gsi, bool *level, bool *low);

/* Sends gsi to vector on the CPU with that APIC id, fixed delivery; masked at first. */
void ioapic_route(uint32_t gsi, uint8_t vector, uint32_t apicid, bool level, bool low);
void ioapic_mask(uint32_t gsi);
void ioapic_unmask(uint32_t gsi);

/* Raw register of the IOAPIC at physical address pa, for dom0's look; 0 if there is none. */
uint32_t ioapic_read_raw(uint64_t pa, uint32_t reg);

#endif
