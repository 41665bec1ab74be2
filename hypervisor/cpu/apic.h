/* SPDX-License-Identifier: MIT */
/*
 * apic.h - this CPU's local APIC: acknowledging, IPIs, one-shot timer; the fixed vectors.
 *
 * xAPIC by default; x2APIC when firmware left it on.
 */
#ifndef HV_CPU_APIC_H
#define HV_CPU_APIC_H

#include "addr.h"
#include "cpu/cpumask.h"

/* 0x20..0x2f: the old PICs, masked for good; 0x30..0xdf: irq_vector_alloc(). */
#define VECTOR_PIC          0x20
#define VECTOR_DYN_FIRST    0x30
#define VECTOR_DYN_LAST     0xdf
#define VECTOR_SERIAL       0xe0
#define VECTOR_CALL         0xf0        /* smp_call_function */
#define VECTOR_KICK         0xf1        /* smp_kick */
#define VECTOR_TLB          0xf2
#define VECTOR_TIMER        0xf3
#define VECTOR_ERROR        0xfe
#define VECTOR_SPURIOUS     0xff

/* Boot CPU, before all else here: finds and maps the APIC, silences the old PICs. */
void apic_init(paddr_t base);
/* Each CPU: enables it. Vectors need handlers by then. */
void apic_init_cpu(void);

uint32_t apic_id(void);                 /* of this CPU */
bool apic_is_x2apic(void);
void apic_eoi(void);

void apic_send_ipi(uint32_t apicid, uint8_t vector);
void apic_send_ipi_mask(cpumask_t cpus, uint8_t vector);
void apic_send_nmi(uint32_t apicid);
void apic_send_init(uint32_t apicid);
void apic_send_startup(uint32_t apicid, uint8_t page);

/* One-shot timer, in its own ticks; 0 stops it. apic_timer_read: ticks left. */
void apic_timer_set(uint32_t ticks);
uint32_t apic_timer_read(void);

#endif
