/* SPDX-License-Identifier: MIT */
/* nic.c - find the network cards and join them to the host's bridge. */
#include "netback/nic.h"
#include "netback/netback.h"
#include "lib/printf.h"
#include "runtime/log.h"

static int (*const probes[])(struct pci_dev *, const char *, struct port **) = {
    virtio_net_probe,
    e1000e_probe,
};

void nic_link(struct port *port, bool up)
{
    if (port->up == up)
        return;
    port->up = up;
    log_info("%s: link %s", port->name, up ? "up" : "down");
}

static bool probe(struct pci_dev *pci, const char *name)
{
    for (unsigned int i = 0; i < ARRAY_SIZE(probes); i++) {
        struct port *port = NULL;
        int rc = probes[i](pci, name, &port);

        if (rc == -XEN_ENODEV)
            continue;
        if (!rc)
            rc = port_join(port, bridge_get(NULL));
        return rc == 0;
    }
    return false;
}

unsigned int nic_init(void)
{
    unsigned int found = 0;

    for (struct pci_dev *pci = pci_next(NULL); pci; pci = pci_next(pci)) {
        char name[16];

        if (pci->claimed || pci->class_code >> 16 != 0x02)
            continue;
        snprintf(name, sizeof(name), "nic%u", found);
        if (probe(pci, name))
            found++;
        else
            log_warn("pci %02x:%02x.%u: network card %04x:%04x is not in use", pci->bus, pci->dev,
                     pci->fn, pci->vendor, pci->device);
    }
    if (!found)
        log_warn("no network card found");
    return found;
}
