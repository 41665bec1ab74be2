/* SPDX-License-Identifier: MIT */
/* perdomain.h - the leaf entries of the descriptor-table windows, for descpages.c. */
#ifndef MM_PERDOMAIN_H
#define MM_PERDOMAIN_H

#include "domain/domain.h"
#include "mm/map.h"

#define GDT_WINDOW_PAGES    16u
#define LDT_WINDOW_PAGES    16u

/* The processor sets accessed bits in descriptors, hence RW. Guests cannot reach it: no U. */
#define PERDOMAIN_FLAGS     (PTE_P | PTE_RW | PTE_A | PTE_D | PTE_NX)

/* Stands for GDT pages that the guest did not give. Nothing in it is present, so the processor
 * sets no bit and it can be read-only. */
extern const uint64_t perdomain_no_descriptors[512];
#define PERDOMAIN_FLAGS_NONE    (PTE_P | PTE_A | PTE_NX)

pte_t *perdomain_gdt_ptes(const struct vcpu *v);
pte_t *perdomain_ldt_ptes(const struct vcpu *v);

#endif
