/* SPDX-License-Identifier: MIT */
/* nic.c - find the network cards and join them to the host's bridge. */
#include "netback/nic.h"
#include "netback/netback.h"
#include "lib/printf.h"
#include "runtime/log.h"
#include "runtime/start.h"

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

#define WATCH_NS (1 * NS_PER_S)
#define LOG_NS   (60 * NS_PER_S)

static uint64_t timeout_ns = NIC_TIMEOUT * NS_PER_S;

void nic_watch_start(struct nic_watch *w)
{
    w->seen = w->done;
    w->since = now_ns();
    timer_set_after(&w->timer, WATCH_NS);
}

/* Logged once a minute: a card can do that as often as it likes. */
static void reset(struct nic_watch *w, uint64_t now)
{
    if (!w->logged || now - w->logged > LOG_NS) {
        if (w->wrong)
            log_warn("%s: says what no card says, %u frames are lost; it is reset", w->port->name, w->sent - w->done);
        else
            log_warn("%s: has sent nothing for %u s, %u frames are lost; it is reset", w->port->name,
                     (unsigned int)((now - w->since) / NS_PER_S), w->sent - w->done);
        w->logged = now;
    }
    w->wrong = false;
    w->hung(w);
    w->since = now;
}

void nic_watch_wrong(struct nic_watch *w)
{
    w->wrong = true;
    if (!timer_is_set(&w->timer))
        nic_watch_start(w);
}

static void watch(struct timer *t)
{
    struct nic_watch *w = container_of(t, struct nic_watch, timer);
    uint64_t now = now_ns();

    if (w->look)
        w->look(w);
    if (w->wrong) {
        timer_set_after(t, WATCH_NS);
        reset(w, now);
        return;
    }
    if (w->done == w->sent)
        return;                     /* the next frame starts it again */
    if (w->done != w->seen) {
        nic_watch_start(w);
        return;
    }
    timer_set_after(t, WATCH_NS);
    if (now - w->since >= timeout_ns)
        reset(w, now);
}

void nic_watch_init(struct nic_watch *w, struct port *port, void (*look)(struct nic_watch *w),
                    void (*hung)(struct nic_watch *w))
{
    *w = (struct nic_watch){ .port = port, .look = look, .hung = hung };
    timer_init(&w->timer, watch);
}

void nic_lost(struct port *port, struct nic_watch *w)
{
    log_error("%s: does not come back from a reset; it is not used any more", port->name);
    w->lost = true;
    port->up = false;
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
    uint64_t timeout = cmdline_get_u64("nic_timeout", NIC_TIMEOUT);
    unsigned int found = 0;

    timeout_ns = timeout >= 1 && timeout <= 3600 ? timeout * NS_PER_S : timeout_ns;

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
