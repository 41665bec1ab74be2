/* SPDX-License-Identifier: MIT */
/*
 * physdev.c - physdev_op: I/O privilege for every guest; interrupts and PCI for domains with
 * hardware access (dom0).
 *
 * dom0 finds and configures PCI devices itself. What it cannot do is program where interrupts
 * go: it names a GSI or a function's MSI, and gets a pirq (event/irq.c).
 */
#include "cpu/ioapic.h"
#include "dev/console.h"
#include "event/irq.h"
#include "hypercall/hypercall.h"
#include "mm/uaccess.h"

#define IOAPIC_REG_VERSION 1u

union physdev_arg {
    struct physdev_set_iopl set_iopl;
    struct physdev_set_iobitmap set_iobitmap;
    struct physdev_irq_status_query status;
    struct physdev_eoi eoi;
    struct physdev_apic apic;
    struct physdev_irq irq;
    struct physdev_map_pirq map;
    struct physdev_unmap_pirq unmap;
    struct physdev_setup_gsi setup_gsi;
    struct physdev_get_free_pirq free_pirq;
    struct physdev_pci_mmcfg_reserved mmcfg;
    struct physdev_pci_device_add add;
    struct physdev_pci_device device;
    struct physdev_manage_pci manage;
    struct physdev_manage_pci_ext manage_ext;
    struct physdev_pirq_eoi_gmfn eoi_gmfn;
    struct physdev_restore_msi restore;
};

static long set_iopl(const struct physdev_set_iopl *a)
{
    if (a->iopl > 3)
        return -XEN_EINVAL;
    current->iopl = (uint8_t)a->iopl;
    return 0;
}

static long map_pirq(struct physdev_map_pirq *m)
{
    struct domain *d = current->domain;
    bool msix = m->table_base != 0;
    int rc;

    if (m->domid != DOMID_SELF && m->domid != d->id)
        return -XEN_EOPNOTSUPP;
    switch (m->type) {
    case MAP_PIRQ_TYPE_GSI:
        return m->index < 0 ? -XEN_EINVAL : pirq_map_gsi(d, (uint32_t)m->index, &m->pirq);
    case MAP_PIRQ_TYPE_MSI:
        m->bus &= 0xff;             /* the older form has no segment */
        break;
    case MAP_PIRQ_TYPE_MSI_SEG:
        break;
    case MAP_PIRQ_TYPE_MULTI_MSI:
        if (m->entry_nr != 1)
            return -XEN_EOPNOTSUPP;
        m->entry_nr = 0;
        break;
    default:
        return -XEN_EINVAL;
    }
    /* Segment 0 only: configuration space is reached through ports. */
    if ((uint32_t)m->bus > 0xff || (uint32_t)m->devfn > 0xff || (uint32_t)m->entry_nr > 2047 ||
        (!msix && m->entry_nr))
        return -XEN_EINVAL;
    rc = pirq_map_msi(d, (uint8_t)m->bus, (uint8_t)m->devfn, msix, (uint16_t)m->entry_nr,
                      m->table_base, &m->pirq);
    if (m->type == MAP_PIRQ_TYPE_MULTI_MSI)
        m->entry_nr = 1;
    return rc;
}

/* Operations of domains with hardware access. *writes: the argument goes back to the guest. */
static long hardware_op(uint64_t cmd, union physdev_arg *a, bool *writes)
{
    struct domain *d = current->domain;
    int nr;

    switch (cmd) {
    case PHYSDEVOP_eoi:
        return pirq_eoi(d, a->eoi.irq);
    case PHYSDEVOP_irq_status_query:
        if (a->status.irq >= NR_PIRQS)
            return -XEN_EINVAL;
        a->status.flags = pirq_needs_eoi(d, a->status.irq) ? XENIRQSTAT_needs_eoi : 0;
        *writes = true;
        return 0;
    case PHYSDEVOP_map_pirq:
        *writes = true;
        return map_pirq(&a->map);
    case PHYSDEVOP_unmap_pirq:
        if (a->unmap.domid != DOMID_SELF && a->unmap.domid != d->id)
            return -XEN_EOPNOTSUPP;
        return a->unmap.pirq < 0 ? -XEN_EINVAL : pirq_unmap(d, (uint32_t)a->unmap.pirq);
    case PHYSDEVOP_setup_gsi:
        return a->setup_gsi.gsi < 0 ? -XEN_EINVAL :
               pirq_setup_gsi((uint32_t)a->setup_gsi.gsi, a->setup_gsi.triggering != 0,
                              a->setup_gsi.polarity != 0);
    case PHYSDEVOP_get_free_pirq:
        nr = pirq_find_free(d);
        if (nr < 0)
            return nr;
        a->free_pirq.pirq = (uint32_t)nr;
        *writes = true;
        return 0;
    case PHYSDEVOP_alloc_irq_vector:    /* vectors are ours; the number only has to be one */
        a->irq.vector = 0;
        *writes = true;
        return 0;
    case PHYSDEVOP_apic_read:
        a->apic.value = ioapic_read_raw(a->apic.apic_physbase, a->apic.reg);
        *writes = true;
        return 0;
    case PHYSDEVOP_apic_write:          /* routes are ours: nothing of it counts */
    case PHYSDEVOP_pci_device_add:      /* every function is dom0's until there is an IOMMU */
    case PHYSDEVOP_pci_device_remove:
    case PHYSDEVOP_manage_pci_add:
    case PHYSDEVOP_manage_pci_remove:
    case PHYSDEVOP_pci_mmcfg_reserved:
        return 0;
    }
    return -XEN_ENOSYS;
}

/* How much argument each operation reads; 0: we do not know it. */
static size_t arg_bytes(uint64_t cmd)
{
    switch (cmd) {
    case PHYSDEVOP_set_iopl:
        return sizeof(struct physdev_set_iopl);
    case PHYSDEVOP_set_iobitmap:
        return sizeof(struct physdev_set_iobitmap);
    case PHYSDEVOP_irq_status_query:
        return sizeof(struct physdev_irq_status_query);
    case PHYSDEVOP_eoi:
        return sizeof(struct physdev_eoi);
    case PHYSDEVOP_apic_read:
    case PHYSDEVOP_apic_write:
        return sizeof(struct physdev_apic);
    case PHYSDEVOP_alloc_irq_vector:
        return sizeof(struct physdev_irq);
    case PHYSDEVOP_map_pirq:
        return sizeof(struct physdev_map_pirq);
    case PHYSDEVOP_unmap_pirq:
        return sizeof(struct physdev_unmap_pirq);
    case PHYSDEVOP_setup_gsi:
        return sizeof(struct physdev_setup_gsi);
    case PHYSDEVOP_get_free_pirq:
        return sizeof(struct physdev_get_free_pirq);
    case PHYSDEVOP_pci_mmcfg_reserved:
        return sizeof(struct physdev_pci_mmcfg_reserved);
    case PHYSDEVOP_pci_device_add:
        /* Its optional tail is not read. */
        return offsetof(struct physdev_pci_device_add, optarr);
    case PHYSDEVOP_pci_device_remove:
    case PHYSDEVOP_restore_msi_ext:
    case PHYSDEVOP_prepare_msix:
    case PHYSDEVOP_release_msix:
        return sizeof(struct physdev_pci_device);
    case PHYSDEVOP_manage_pci_add_ext:
        return sizeof(struct physdev_manage_pci_ext);
    case PHYSDEVOP_restore_msi:
        return sizeof(struct physdev_restore_msi);
    case PHYSDEVOP_pirq_eoi_gmfn_v1:
    case PHYSDEVOP_pirq_eoi_gmfn_v2:
        return sizeof(struct physdev_pirq_eoi_gmfn);
    case PHYSDEVOP_manage_pci_add:
    case PHYSDEVOP_manage_pci_remove:
        return sizeof(struct physdev_manage_pci);
    }
    return 0;
}

/* Is there a domain that a guest may name here? It may not do anything to it all the same. */
static long refuse_domain(domid_t id)
{
    struct domain *d = domain_of_arg(id);

    if (!d)
        return -XEN_ESRCH;
    domain_put(d);
    return -XEN_EPERM;
}

/* What a domain without hardware hears. 0: this it may do, too. */
static long refuse(uint64_t cmd, const union physdev_arg *a)
{
    switch (cmd) {
    case PHYSDEVOP_irq_status_query:
    case PHYSDEVOP_eoi:                 /* of an interrupt that it has not got */
        return 0;
    case PHYSDEVOP_map_pirq:
        return refuse_domain(a->map.domid);
    case PHYSDEVOP_unmap_pirq:
        return refuse_domain(a->unmap.domid);
    case PHYSDEVOP_setup_gsi:
        return a->setup_gsi.gsi < 0 ? -XEN_EINVAL : -XEN_EPERM;
    case PHYSDEVOP_manage_pci_add_ext:
        return a->manage_ext.is_extfn > 1 || a->manage_ext.is_virtfn > 1 ? -XEN_EINVAL : -XEN_EPERM;
    case PHYSDEVOP_pirq_eoi_gmfn_v1:
    case PHYSDEVOP_pirq_eoi_gmfn_v2:
        return -XEN_EINVAL;
    }
    return -XEN_EPERM;
}

/* Refused before anything is read. */
static bool refused_at_once(uint64_t cmd)
{
    return cmd == PHYSDEVOP_pci_mmcfg_reserved || cmd == PHYSDEVOP_dbgp_op;
}

static long physdev_op(uint64_t cmd, guest_ptr_t arg)
{
    size_t n = arg_bytes(cmd);
    union physdev_arg a;
    bool writes = false;
    long rc;

    if (cmd == PHYSDEVOP_IRQ_UNMASK_NOTIFY)     /* of old kernels: nothing to do */
        return 0;
    if (!current->domain->io_all && refused_at_once(cmd))
        return -XEN_EPERM;
    if (!n)
        return -XEN_ENOSYS;
    if (copy_from_guest(&a, arg, n))
        return -XEN_EFAULT;
    if (cmd == PHYSDEVOP_set_iopl)
        return set_iopl(&a.set_iopl);
    if (cmd == PHYSDEVOP_set_iobitmap)  /* accepted; user code without IOPL gets #GP all the same */
        return a.set_iobitmap.nr_ports > 65536 ? -XEN_EINVAL : 0;
    rc = current->domain->io_all ? 0 : refuse(cmd, &a);
    if (rc)
        return rc;
    rc = hardware_op(cmd, &a, &writes);
    if (writes && !rc && copy_to_guest(arg, &a, n))
        rc = -XEN_EFAULT;
    return rc;
}

long do_physdev_op(uint64_t cmd, guest_ptr_t arg)
{
    return physdev_op(cmd, arg);
}

/* The older form: {u32 cmd; argument at offset 8}. */
long do_physdev_op_compat(guest_ptr_t arg)
{
    uint32_t cmd;

    if (copy_from_guest(&cmd, arg, sizeof(cmd)))
        return -XEN_EFAULT;
    return physdev_op(cmd, guest_ptr_add(arg, offsetof(struct physdev_op, u)));
}
