/* SPDX-License-Identifier: MIT */
/*
 * main.c - dom0: starts the parts, hands each its interfaces, runs the loop.
 *
 * Words on its command line (docs/dom0.md):
 *   ip=dhcp | ADDR/BITS[,GATEWAY[,DNS]] | none     own address (dhcp)
 *   hostname=NAME                                  told to the DHCP server
 *   api=insecure  api_port=N                       API without authentication; its port (443, 80)
 *   console=com2[:DOMAIN]                          a domain's console on the second serial port
 *   solo=FILE                                      one domain; the machine ends with it
 *   bench=FILE:COUNT[:ROUNDS]                      how long creating and destroying take
 *   benchsched=FILE:COUNT[:SECONDS]                who gets how much of the CPUs
 *   disk_timeout=SECONDS                           a disk that does not answer for so long is reset (30)
 *   nic_timeout=SECONDS                            the same of a network card that sends nothing (5)
 *   dma_min=BYTES                                  network cards read guests' pages with so much in them
 *   rx_flip_min=BYTES                              shorter frames from them are copied
 *   loglevel=debug  mem_max=SIZE                   more log; how far dom0 may grow
 */
#include "dom0/com2.h"
#include "dom0/host.h"
#include "lib/string.h"
#include "blkback/blkback.h"
#include "dom0/devstats.h"
#include "dom0/disks.h"
#include "netback/netback.h"
#include "runtime/log.h"
#include "runtime/loop.h"
#include "runtime/mem.h"
#include "runtime/pci.h"
#include "runtime/start.h"
#include "runtime/time.h"
#include "toolstack/net/net.h"
#include "toolstack/store/server.h"
#include "toolstack/vm/console.h"
#include "toolstack/vm/file.h"
#include "toolstack/vm/storehook.h"
#include "toolstack/vm/vm.h"

static void log_start(void)
{
    const struct boot_module *m;
    struct mem_stats s;

    mem_get_stats(&s);
    log_info("dom0: %lu KiB of memory, %lu KiB free, may grow to %lu MiB", s.pages_total * 4,
             s.pages_free * 4, s.pages_limit >> 8);
    for (unsigned int i = 0; (m = boot_module(i)) != NULL; i++)
        log_info("dom0: module %s, %lu bytes%s%s", m->name, m->size, *m->cmdline ? ": " : "",
                 m->cmdline);
}

/* A part that does not start costs what it does, not the host. */
static void started(const char *what, int rc)
{
    if (rc)
        log_error("dom0: %s does not start: %d", what, rc);
}

static int start_store(void)
{
    uint64_t seed;
    int rc;

    random_bytes(&seed, sizeof(seed));
    rc = store_start(seed);
    if (!rc)
        xs_set_provider(&store_xs_ops, NULL);
    return rc;
}

static int devices_start(void *arg, struct vm *vm)
{
    return 0;
}

static void devices_stop(void *arg, struct vm *vm)
{
    netback_drop_domain(vm->domid);
    blkback_drop_domain(vm->domid);
}

static void start_domains_parts(void)
{
    static struct vm_hook devices = { .start = devices_start, .stop = devices_stop };

    file_add_modules();
    storehook_init();
    started("consoles", consoles_init());
    vm_hook_add(&devices);
    started("netback", netback_init());
    disks_start();
    devstats_start();
    started("domain control", vm_init());
}

/* dom0 answers to the address of the first network card, as the machine itself would. */
static void choose_mac(uint8_t mac[6])
{
    for (struct port *p = port_next(NULL); p; p = port_next(p)) {
        if (p->caps & PORT_UPLINK) {
            memcpy(mac, p->mac, 6);
            return;
        }
    }
    random_bytes(mac, 6);
    mac[0] = (uint8_t)((mac[0] & 0xfc) | 2);
}

static void start_network(void)
{
    struct net_config c = { .dhcp = true };
    char text[64];

    if (cmdline_get("ip", text, sizeof(text))) {
        if (strcmp(text, "none") == 0)
            return;
        if (!net_parse_config(text, &c)) {
            log_error("dom0: command line: ip=%s: use dhcp, none or ADDRESS/BITS[,GATEWAY[,DNS]]",
                      text);
            return;
        }
    }
    (void)cmdline_get("hostname", c.hostname, sizeof(c.hostname));
    choose_mac(c.mac);
    started("network", net_start(bridge_get(NULL), &c));
    api_bring_up();
}

static void start_console_copy(void)
{
    char text[64];

    if (cmdline_get("console", text, sizeof(text)) && strncmp(text, "com2", 4) == 0)
        com2_mirror(text[4] == ':' ? text + 5 : NULL);
}

static void start_domains(void)
{
    char file[64];

    if (cmdline_get("solo", file, sizeof(file)))
        solo_start(file);
    else if (cmdline_get("bench", file, sizeof(file)))
        bench_start(file);
    else if (cmdline_get("benchsched", file, sizeof(file)))
        bench_sched_start(file);
    else
        host_start();
}

/* Decompressing a kernel takes much memory for seconds: what is free later goes back to guests. */
static struct timer trim_timer;
static struct work grew_work;

static void trim(struct timer *t)
{
    size_t n = mem_give_back(512);

    if (n)
        log_debug("dom0: gave %lu KiB back", n * 4);
}

static void grew_later(struct work *w)
{
    timer_set_after(&trim_timer, 2 * NS_PER_S);
}

static void grew(void)
{
    work_queue(&grew_work);
}

void pv_main(void)
{
    char word[4];

    log_start();
    timer_init(&trim_timer, trim);
    work_init(&grew_work, grew_later);
    mem_on_grow(grew);
    started("store", start_store());
    pci_init();
    bridge_init();
    nic_init();
    start_domains_parts();
    start_network();
    api_hide_credentials();
    start_console_copy();
    log_info("dom0: ready, %lu us after the machine started", since_power_on_ns() / NS_PER_US);
    if (cmdline_get("marks", word, sizeof(word)))
        marks_start();
    start_domains();
    loop_run();
}
