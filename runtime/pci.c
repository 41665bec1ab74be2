/* SPDX-License-Identifier: MIT */
/*
 * pci.c - PCI functions: find, configure, map registers, get interrupts.
 *
 * The hypervisor owns the interrupt hardware: it is asked for a "pirq" (physical interrupt), and
 * writes MSI-X table entries and MSI addresses itself. Legacy INTx lines are taken from the
 * interrupt line register, as firmware set it; that is the global interrupt on machines that wire
 * PCI to the ISA range (QEMU's pc). Devices with neither MSI are rare enough for that.
 */
#include "runtime/pci.h"
#include "lib/string.h"
#include "runtime/hypercall.h"
#include "runtime/log.h"
#include "runtime/pagetable.h"

#define DEVICES_MAX 64u
#define CONFIG_ADDR 0xcf8
#define CONFIG_DATA 0xcfc

#define REG_VENDOR    0x00
#define REG_COMMAND   0x04
#define REG_STATUS    0x06
#define REG_CLASS     0x08
#define REG_HEADER    0x0e
#define REG_BAR0      0x10
#define REG_SECONDARY 0x19
#define REG_SUBSYSTEM 0x2c
#define REG_CAPS      0x34
#define REG_IRQ_LINE  0x3c
#define REG_IRQ_PIN   0x3d

#define COMMAND_IO       0x0001
#define COMMAND_MEMORY   0x0002
#define COMMAND_MASTER   0x0004
#define COMMAND_INTX_OFF 0x0400
#define STATUS_CAPS      0x0010

#define MSIX_CONTROL 2
#define MSIX_TABLE   4
#define MSIX_ENABLE  0x8000
#define MSIX_MASKALL 0x4000
#define MSI_CONTROL  2
#define MSI_ENABLE   0x0001

static struct pci_dev devices[DEVICES_MAX];
static unsigned int nr_devices;

uint8_t port_in8(uint16_t port)
{
    uint8_t v;

    __asm__ volatile("inb %1, %0" : "=a"(v) : "Nd"(port));
    return v;
}

uint16_t port_in16(uint16_t port)
{
    uint16_t v;

    __asm__ volatile("inw %1, %0" : "=a"(v) : "Nd"(port));
    return v;
}

uint32_t port_in32(uint16_t port)
{
    uint32_t v;

    __asm__ volatile("inl %1, %0" : "=a"(v) : "Nd"(port));
    return v;
}

void port_out8(uint16_t port, uint8_t v)
{
    __asm__ volatile("outb %0, %1" : : "a"(v), "Nd"(port));
}

void port_out16(uint16_t port, uint16_t v)
{
    __asm__ volatile("outw %0, %1" : : "a"(v), "Nd"(port));
}

void port_out32(uint16_t port, uint32_t v)
{
    __asm__ volatile("outl %0, %1" : : "a"(v), "Nd"(port));
}

/* Configuration space. */

static void select(const struct pci_dev *d, unsigned int reg)
{
    port_out32(CONFIG_ADDR, 0x80000000u | (uint32_t)d->bus << 16 | (uint32_t)d->dev << 11 |
                                (uint32_t)d->fn << 8 | (reg & 0xfc));
}

uint8_t pci_read8(const struct pci_dev *d, unsigned int reg)
{
    select(d, reg);
    return port_in8((uint16_t)(CONFIG_DATA + (reg & 3)));
}

uint16_t pci_read16(const struct pci_dev *d, unsigned int reg)
{
    select(d, reg);
    return port_in16((uint16_t)(CONFIG_DATA + (reg & 2)));
}

uint32_t pci_read32(const struct pci_dev *d, unsigned int reg)
{
    select(d, reg);
    return port_in32(CONFIG_DATA);
}

void pci_write8(const struct pci_dev *d, unsigned int reg, uint8_t v)
{
    select(d, reg);
    port_out8((uint16_t)(CONFIG_DATA + (reg & 3)), v);
}

void pci_write16(const struct pci_dev *d, unsigned int reg, uint16_t v)
{
    select(d, reg);
    port_out16((uint16_t)(CONFIG_DATA + (reg & 2)), v);
}

void pci_write32(const struct pci_dev *d, unsigned int reg, uint32_t v)
{
    select(d, reg);
    port_out32(CONFIG_DATA, v);
}

unsigned int pci_find_cap(const struct pci_dev *d, uint8_t id, unsigned int after)
{
    unsigned int at, left = 48;         /* a list with a loop in it must end, too */

    if (!(pci_read16(d, REG_STATUS) & STATUS_CAPS))
        return 0;
    at = pci_read8(d, after ? after + 1 : REG_CAPS) & 0xfc;
    for (; at >= 0x40 && left; left--) {
        if (pci_read8(d, at) == id)
            return at;
        at = pci_read8(d, at + 1) & 0xfc;
    }
    return 0;
}

/* Finding devices. */

static void size_bar(struct pci_dev *d, unsigned int i)
{
    struct pci_bar *b = &d->bar[i];
    unsigned int reg = REG_BAR0 + i * 4;
    uint32_t lo = pci_read32(d, reg), hi = 0;
    uint64_t mask;

    b->is_io = lo & 1;
    b->is_64 = !b->is_io && (lo & 6) == 4 && i < 5;
    pci_write32(d, reg, ~0u);
    mask = pci_read32(d, reg) & (b->is_io ? ~3u : ~15u);
    pci_write32(d, reg, lo);
    if (b->is_io)
        mask |= 0xffff0000u;
    if (b->is_64) {
        hi = pci_read32(d, reg + 4);
        pci_write32(d, reg + 4, ~0u);
        mask |= (uint64_t)pci_read32(d, reg + 4) << 32;
        pci_write32(d, reg + 4, hi);
    } else {
        mask |= 0xffffffff00000000u;
    }
    if (!(uint32_t)mask && !b->is_64)
        return;
    b->size = ~mask + 1;
    b->addr = (lo & (b->is_io ? ~3u : ~15u)) | (uint64_t)hi << 32;
}

static void size_bars(struct pci_dev *d)
{
    uint16_t command = pci_read16(d, REG_COMMAND);

    pci_write16(d, REG_COMMAND, command & (uint16_t)~(COMMAND_IO | COMMAND_MEMORY));
    for (unsigned int i = 0; i < 6; i += d->bar[i].is_64 ? 2 : 1)
        size_bar(d, i);
    pci_write16(d, REG_COMMAND, command);
}

static void tell_hypervisor(const struct pci_dev *d)
{
    struct physdev_pci_device_add add = {
        .bus = d->bus, .devfn = (uint8_t)(d->dev << 3 | d->fn),
    };
    long rc = hc_physdev_op(PHYSDEVOP_pci_device_add, &add);

    if (rc && rc != -XEN_ENOSYS)
        log_debug("pci: %02x:%02x.%u: the hypervisor says %ld", d->bus, d->dev, d->fn, rc);
}

static void scan_bus(uint8_t bus, unsigned int depth);

/* One function; false when there is none. */
static bool scan_function(const struct pci_dev *at, unsigned int depth)
{
    uint32_t id = pci_read32(at, REG_VENDOR);
    struct pci_dev *d = &devices[nr_devices];

    if ((id & 0xffff) == 0xffff || (id & 0xffff) == 0)
        return false;
    if (nr_devices == DEVICES_MAX) {
        log_warn("pci: more than %u functions; the rest is not used", DEVICES_MAX);
        return true;
    }
    nr_devices++;
    *d = *at;
    d->vendor = (uint16_t)id;
    d->device = (uint16_t)(id >> 16);
    d->class_code = pci_read32(d, REG_CLASS) >> 8;
    d->header_type = pci_read8(d, REG_HEADER);
    tell_hypervisor(d);
    if ((d->header_type & 0x7f) == 1) {
        uint8_t secondary = pci_read8(d, REG_SECONDARY);

        if (secondary > d->bus && depth < 8)
            scan_bus(secondary, depth + 1);
        return true;
    }
    d->subvendor = pci_read16(d, REG_SUBSYSTEM);
    d->subdevice = pci_read16(d, REG_SUBSYSTEM + 2);
    d->irq_line = pci_read8(d, REG_IRQ_LINE);
    d->irq_pin = pci_read8(d, REG_IRQ_PIN);
    d->msi_cap = (uint8_t)pci_find_cap(d, PCI_CAP_MSI, 0);
    d->msix_cap = (uint8_t)pci_find_cap(d, PCI_CAP_MSIX, 0);
    if (d->msix_cap)
        d->msix_entries = (pci_read16(d, d->msix_cap + MSIX_CONTROL) & 0x7ff) + 1;
    size_bars(d);
    log_info("pci: %02x:%02x.%u %04x:%04x class %06x%s%s", d->bus, d->dev, d->fn, d->vendor,
             d->device, d->class_code, d->msix_cap ? " MSI-X" : "", d->msi_cap ? " MSI" : "");
    return true;
}

static void scan_bus(uint8_t bus, unsigned int depth)
{
    for (uint8_t dev = 0; dev < 32; dev++) {
        struct pci_dev at = { .bus = bus, .dev = dev };

        if (!scan_function(&at, depth) || !(pci_read8(&at, REG_HEADER) & 0x80))
            continue;
        for (at.fn = 1; at.fn < 8; at.fn++)
            (void)scan_function(&at, depth);
    }
}

unsigned int pci_init(void)
{
    struct physdev_set_iopl iopl = { .iopl = 1 };
    long rc = hc_physdev_op(PHYSDEVOP_set_iopl, &iopl);

    if (rc) {
        log_error("pci: no access to I/O ports: %ld", rc);
        return 0;
    }
    scan_bus(0, 0);
    return nr_devices;
}

struct pci_dev *pci_next(struct pci_dev *prev)
{
    unsigned int i = prev ? (unsigned int)(prev - devices) + 1 : 0;

    return i < nr_devices ? &devices[i] : NULL;
}

void pci_enable(struct pci_dev *d)
{
    uint16_t command = pci_read16(d, REG_COMMAND) | COMMAND_MEMORY | COMMAND_MASTER;

    for (unsigned int i = 0; i < 6; i++) {
        if (d->bar[i].size && d->bar[i].is_io)
            command |= COMMAND_IO;
    }
    pci_write16(d, REG_COMMAND, command);
}

void pci_disable_dma(struct pci_dev *d)
{
    pci_write16(d, REG_COMMAND, pci_read16(d, REG_COMMAND) & (uint16_t)~COMMAND_MASTER);
}

volatile void *pci_map_bar(struct pci_dev *d, unsigned int bar, uint64_t offset, uint64_t len)
{
    const struct pci_bar *b = &d->bar[bar];

    if (bar >= 6 || b->is_io || !b->addr || offset >= b->size)
        return NULL;
    if (!len)
        len = b->size - offset;
    if (len > b->size - offset)
        return NULL;
    return ioremap(b->addr + offset, len);
}

/* Interrupts. */

static int map_msi(struct pci_dev *d, uint16_t entry, uint64_t table)
{
    struct physdev_map_pirq map = {
        .domid = DOMID_SELF,
        .type = MAP_PIRQ_TYPE_MSI_SEG,
        .index = -1,
        .pirq = -1,
        .bus = d->bus,
        .devfn = d->dev << 3 | d->fn,
        .entry_nr = entry,
        .table_base = table,
    };
    long rc = hc_physdev_op(PHYSDEVOP_map_pirq, &map);

    return rc ? (int)rc : map.pirq;
}

static int map_intx(struct pci_dev *d)
{
    struct physdev_setup_gsi setup = { .gsi = d->irq_line, .triggering = 1, .polarity = 0 };
    struct physdev_map_pirq map = {
        .domid = DOMID_SELF, .type = MAP_PIRQ_TYPE_GSI, .index = d->irq_line, .pirq = d->irq_line,
    };
    long rc;

    if (!d->irq_pin || d->irq_line == 0 || d->irq_line == 255)
        return -XEN_ENODEV;
    /* Refused with EEXIST when the line is set up already. */
    (void)hc_physdev_op(PHYSDEVOP_setup_gsi, &setup);
    rc = hc_physdev_op(PHYSDEVOP_map_pirq, &map);
    return rc ? (int)rc : map.pirq;
}

static void unmap_pirq(int pirq)
{
    struct physdev_unmap_pirq unmap = { .domid = DOMID_SELF, .pirq = pirq };

    (void)hc_physdev_op(PHYSDEVOP_unmap_pirq, &unmap);
}

static int bind(struct pci_irq *irq, enum pci_irq_kind kind, int pirq, event_fn fn, void *arg)
{
    int rc;

    if (pirq < 0)
        return pirq;
    *irq = (struct pci_irq){ .kind = kind, .pirq = pirq };
    rc = event_bind_pirq((unsigned int)pirq, kind == PCI_IRQ_INTX ? EVENT_SHARED : 0, fn, arg,
                         &irq->port);
    if (rc && kind != PCI_IRQ_INTX)
        unmap_pirq(pirq);
    return rc;
}

static int alloc_msix(struct pci_dev *d, struct pci_irq *irqs, unsigned int want,
                      const event_fn *fn, void *const *arg)
{
    uint32_t table = pci_read32(d, d->msix_cap + MSIX_TABLE);
    const struct pci_bar *b = &d->bar[(table & 7) < 6 ? table & 7 : 0];
    uint16_t control = pci_read16(d, d->msix_cap + MSIX_CONTROL);
    unsigned int n = 0;
    int rc = 0;

    if ((table & 7) >= 6 || !b->addr || b->is_io)
        return -XEN_ENODEV;
    /* All masked while entries are filled in. */
    pci_write16(d, d->msix_cap + MSIX_CONTROL, control | MSIX_ENABLE | MSIX_MASKALL);
    for (; n < MIN(want, (unsigned int)d->msix_entries); n++) {
        int pirq = map_msi(d, (uint16_t)n, b->addr + (table & ~7u));

        rc = bind(&irqs[n], PCI_IRQ_MSIX, pirq, fn[n], arg[n]);
        if (rc)
            break;
        irqs[n].entry = (uint16_t)n;
    }
    control = pci_read16(d, d->msix_cap + MSIX_CONTROL);
    control &= (uint16_t)~(MSIX_MASKALL | (n ? 0 : MSIX_ENABLE));
    pci_write16(d, d->msix_cap + MSIX_CONTROL, control | (n ? MSIX_ENABLE : 0));
    return n ? (int)n : rc;
}

static int alloc_msi(struct pci_dev *d, struct pci_irq *irqs, event_fn fn, void *arg)
{
    uint16_t control;
    int rc = bind(irqs, PCI_IRQ_MSI, map_msi(d, 0, 0), fn, arg);

    if (rc)
        return rc;
    control = pci_read16(d, d->msi_cap + MSI_CONTROL);
    pci_write16(d, d->msi_cap + MSI_CONTROL, control | MSI_ENABLE);
    return 1;
}

int pci_irq_alloc(struct pci_dev *d, struct pci_irq *irqs, unsigned int want, const event_fn *fn,
                  void *const *arg)
{
    uint16_t command = pci_read16(d, REG_COMMAND);
    int rc = -XEN_ENODEV;

    if (d->msix_cap)
        rc = alloc_msix(d, irqs, want, fn, arg);
    if (rc < 0 && d->msi_cap)
        rc = alloc_msi(d, irqs, fn[0], arg[0]);
    if (rc > 0) {
        pci_write16(d, REG_COMMAND, command | COMMAND_INTX_OFF);
        return rc;
    }
    if (rc != -XEN_ENODEV)
        log_warn("pci: %02x:%02x.%u: no MSI (%d), using INTx", d->bus, d->dev, d->fn, rc);
    rc = bind(irqs, PCI_IRQ_INTX, map_intx(d), fn[0], arg[0]);
    pci_write16(d, REG_COMMAND, command & (uint16_t)~COMMAND_INTX_OFF);
    return rc ? rc : 1;
}

void pci_irq_free(struct pci_dev *d, struct pci_irq *irqs, unsigned int n)
{
    uint16_t control;

    for (unsigned int i = 0; i < n; i++) {
        event_close(irqs[i].port);
        unmap_pirq(irqs[i].pirq);
    }
    if (n && irqs[0].kind == PCI_IRQ_MSIX) {
        control = pci_read16(d, d->msix_cap + MSIX_CONTROL);
        pci_write16(d, d->msix_cap + MSIX_CONTROL, control & (uint16_t)~MSIX_ENABLE);
    }
    if (n && irqs[0].kind == PCI_IRQ_MSI) {
        control = pci_read16(d, d->msi_cap + MSI_CONTROL);
        pci_write16(d, d->msi_cap + MSI_CONTROL, control & (uint16_t)~MSI_ENABLE);
    }
}
