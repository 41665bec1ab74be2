/* SPDX-License-Identifier: MIT */
/*
 * pci.h - PCI functions: find, configure, map registers, get interrupts.
 *
 * Configuration space through ports 0xcf8/0xcfc (first 256 bytes of segment 0), which the
 * hypervisor lets dom0 use. Devices are found once at start and never go away.
 */
#ifndef RUNTIME_PCI_H
#define RUNTIME_PCI_H

#include "addr.h"
#include "runtime/event.h"

struct pci_bar {
    paddr_t addr;               /* machine address or port number; 0: not there */
    uint64_t size;
    bool is_io;
    bool is_64;                 /* takes the next BAR's register, too */
};

struct pci_dev {
    uint8_t bus, dev, fn;
    uint8_t header_type, irq_line, irq_pin;     /* pin 0: no INTx */
    uint16_t vendor, device, subvendor, subdevice;
    uint32_t class_code;        /* 24 bits: class, subclass, interface */
    uint8_t msi_cap, msix_cap;  /* offsets, 0: none */
    uint16_t msix_entries;
    struct pci_bar bar[6];
    bool claimed;               /* a driver has it */
};

#define PCI_CAP_MSI    0x05
#define PCI_CAP_VENDOR 0x09
#define PCI_CAP_MSIX   0x11

/* Finds all functions and tells the hypervisor of them. Logs each. Returns how many. */
unsigned int pci_init(void);

/* The function after prev (NULL: the first), or NULL. */
struct pci_dev *pci_next(struct pci_dev *prev);

uint8_t pci_read8(const struct pci_dev *d, unsigned int reg);
uint16_t pci_read16(const struct pci_dev *d, unsigned int reg);
uint32_t pci_read32(const struct pci_dev *d, unsigned int reg);
void pci_write8(const struct pci_dev *d, unsigned int reg, uint8_t v);
void pci_write16(const struct pci_dev *d, unsigned int reg, uint16_t v);
void pci_write32(const struct pci_dev *d, unsigned int reg, uint32_t v);

/* Offset of the first capability `id` after `after` (0: from the start); 0 when there is none. */
unsigned int pci_find_cap(const struct pci_dev *d, uint8_t id, unsigned int after);

/* Turns memory (and I/O) decoding and bus mastering on. */
void pci_enable(struct pci_dev *d);

/* Bus mastering off: the device cannot touch memory any more. */
void pci_disable_dma(struct pci_dev *d);

/* Maps a memory BAR, uncached: len bytes from offset (len 0: to its end). NULL on failure. */
volatile void *pci_map_bar(struct pci_dev *d, unsigned int bar, uint64_t offset, uint64_t len);

enum pci_irq_kind { PCI_IRQ_NONE, PCI_IRQ_INTX, PCI_IRQ_MSI, PCI_IRQ_MSIX };

/* One interrupt of a device. */
struct pci_irq {
    enum pci_irq_kind kind;
    int pirq;
    evtchn_port_t port;
    uint16_t entry;             /* MSI-X table entry */
};

/*
 * Gets `want` interrupts, each calling fn[i](arg[i]) from the loop: MSI-X when the device has
 * enough entries, else one MSI, else one INTx (INTx handlers are called for others' interrupts,
 * too: read the device's status). Returns how many it got (1..want: handlers 0..n-1 are used), or
 * a negative error. Enables the capability.
 */
int pci_irq_alloc(struct pci_dev *d, struct pci_irq *irqs, unsigned int want, const event_fn *fn,
                  void *const *arg);
void pci_irq_free(struct pci_dev *d, struct pci_irq *irqs, unsigned int n);

/* Port I/O, for the few devices that need it. */
uint8_t port_in8(uint16_t port);
uint16_t port_in16(uint16_t port);
uint32_t port_in32(uint16_t port);
void port_out8(uint16_t port, uint8_t v);
void port_out16(uint16_t port, uint16_t v);
void port_out32(uint16_t port, uint32_t v);

#endif
