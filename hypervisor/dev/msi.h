/* SPDX-License-Identifier: MIT */
/*
 * msi.h - message signalled interrupts: where a PCI function's messages are set up.
 *
 * Configuration space is reached through ports 0xcf8/0xcfc; what dom0 had selected there is put
 * back. Under LOCK_PIRQ.
 */
#ifndef HV_DEV_MSI_H
#define HV_DEV_MSI_H

#include "compiler.h"

struct msi {
    uint8_t bus, devfn;
    uint8_t cap;                    /* offset of the MSI capability; MSI-X: of that one */
    bool is_msix, is_64, can_mask;
    uint16_t entry;                 /* MSI-X */
    volatile uint32_t *slot;        /* MSI-X: the table entry, mapped */
};

/* Finds the function's capability; MSI-X: maps entry's table slot; table_base must be where
 * the function says its table is. Masked afterwards (MSI-X). 0, -ENODEV, -EINVAL, -ENOMEM. */
int msi_open(struct msi *m, uint8_t bus, uint8_t devfn, bool msix, uint16_t entry,
             uint64_t table_base);
/* Masks it and gives the mapping back. */
void msi_close(struct msi *m);
/* Programs address and data: vector, on the CPU with that APIC id. */
void msi_program(struct msi *m, uint8_t vector, uint32_t apicid);
/* MSI without a mask bit: nothing, dom0 enables the capability itself. */
void msi_set_mask(struct msi *m, bool masked);

#endif
