/* SPDX-License-Identifier: MIT */
/* virtiopci.c - see virtiopci.h. */
#include "tests/unit/fakes/virtiopci.h"

uint8_t fake_virtio[5][4096] __aligned(4096);

unsigned int pci_find_cap(const struct pci_dev *d, uint8_t id, unsigned int after)
{
    return after == 0 ? 0x40 : after < 0x70 ? after + 0x10 : 0;
}

uint8_t pci_read8(const struct pci_dev *d, unsigned int reg)
{
    return (uint8_t)((reg - 0x30) / 0x10);          /* kind, and the BAR has the same number */
}

uint32_t pci_read32(const struct pci_dev *d, unsigned int reg)
{
    return reg % 16 == 12 ? 4096 : 0;
}

volatile void *pci_map_bar(struct pci_dev *d, unsigned int n, uint64_t offset, uint64_t len)
{
    return fake_virtio[n];
}
