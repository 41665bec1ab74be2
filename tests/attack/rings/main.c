/* SPDX-License-Identifier: MIT */
/* rings - writes noise into every ring that dom0 reads; see README.md. */
#include "atomic.h"
#include "lib/string.h"
#include "runtime/event.h"
#include "runtime/grant.h"
#include "runtime/hypercall.h"
#include "runtime/log.h"
#include "runtime/loop.h"
#include "runtime/mem.h"
#include "runtime/pagetable.h"
#include "runtime/start.h"
#include "runtime/time.h"
#include "runtime/xbdev.h"
#include "runtime/xenbus.h"
#include <xen/io/netif.h>

static struct xbdev dev;
static struct netif_tx_sring *tx;
static struct netif_rx_sring *rx;
static grant_ref_t tx_ref, rx_ref, page_ref;
static evtchn_port_t port;
static uint8_t *page;

static void nothing(void *arg)
{
}

static void peer_changed(struct xbdev *d, enum xenbus_state s)
{
}

/* Runs the loop until the backend is in that state; false after two seconds. */
static bool wait_peer(enum xenbus_state s)
{
    uint64_t end = now_ns() + 2 * NS_PER_S;

    while (dev.peer_state != s && now_ns() < end)
        loop_turn(false);
    return dev.peer_state == s;
}

static bool connect(void)
{
    memset(tx, 0, PAGE_SIZE);
    memset(rx, 0, PAGE_SIZE);
    tx->req_event = tx->rsp_event = rx->req_event = rx->rsp_event = 1;
    if (!wait_peer(XenbusStateInitWait))
        return false;
    (void)xs_printf(0, dev.path, "tx-ring-ref", "%u", tx_ref);
    (void)xs_printf(0, dev.path, "rx-ring-ref", "%u", rx_ref);
    (void)xs_printf(0, dev.path, "event-channel", "%u", port);
    (void)xs_printf(0, dev.path, "request-rx-copy", "1");
    (void)xs_printf(0, dev.path, "feature-rx-notify", "1");
    (void)xs_printf(0, dev.path, "feature-sg", "1");
    (void)xs_printf(0, dev.path, "feature-gso-tcpv4", "1");
    (void)xbdev_set_state(&dev, XenbusStateConnected);
    return wait_peer(XenbusStateConnected);
}

static void begin_anew(void)
{
    (void)xbdev_set_state(&dev, XenbusStateClosed);
    (void)wait_peer(XenbusStateClosed);
    event_close(port);
    BUG_ON(event_alloc_unbound(dev.peer_dom, nothing, NULL, &port));
    (void)xbdev_set_state(&dev, XenbusStateInitialising);
}

/* A broadcast ARP question from our own address, so that at least one frame passes. */
static void good_frame(void)
{
    static const uint8_t arp[42] = {
        255, 255, 255, 255, 255, 255, 0x00, 0x16, 0x3e, 0, 0, 0x66, 8, 6, 0, 1, 8, 0, 6, 4, 0, 1,
        0x00, 0x16, 0x3e, 0, 0, 0x66, 10, 0, 2, 99, 0, 0, 0, 0, 0, 0, 10, 0, 2, 2,
    };
    uint64_t end = now_ns() + NS_PER_S;

    memcpy(page, arp, sizeof(arp));
    tx->ring[0].req = (struct netif_tx_request){ .gref = page_ref, .size = 42 };
    store_release(&tx->req_prod, 1);
    event_send(port);
    while (load_acquire(&tx->rsp_prod) != 1 && now_ns() < end)
        loop_turn(false);
    log_info("rings: a good frame was answered with %d", tx->ring[0].rsp.status);
}

/* What is left of the noise in a request: each bit of `kind` makes one thing right. */
static void tame(struct netif_tx_request *q, uint32_t kind)
{
    if (kind & 1)
        q->flags &= NETTXF_more_data | NETTXF_csum_blank | NETTXF_data_validated;
    if (kind & 2)
        q->gref = page_ref;
    if (kind & 4)
        q->size = 60 + q->size % 1400;
    if (kind & 8)
        q->offset %= 2048;
    if (kind & 16)
        q->flags &= (uint16_t)~NETTXF_more_data;
}

/* Until the backend has enough of it, or for a while. */
static void noise(uint32_t kind)
{
    uint64_t end = now_ns() + NS_PER_S / 4;
    unsigned int rounds = 0;

    while (now_ns() < end && dev.peer_state == XenbusStateConnected) {
        uint32_t n = random_u32() % 40;

        for (uint32_t i = 0; i < n; i++) {
            struct netif_tx_request *q = &tx->ring[(tx->req_prod + i) % 256].req;
            struct netif_rx_request *r = &rx->ring[(rx->req_prod + i) % 256].req;

            random_bytes(q, sizeof(*q));
            tame(q, kind);
            random_bytes(r, sizeof(*r));
            if (kind & 2)
                r->gref = i % 3 ? page_ref : tx_ref;
        }
        random_bytes(page, 2048);
        memcpy(page + 6, "\x00\x16\x3e\x00\x00\x66", 6);
        store_release(&tx->req_prod, tx->req_prod + n);
        store_release(&rx->req_prod, rx->req_prod + n % 5);
        event_send(port);
        loop_turn(false);
        rounds++;
        if (kind & 16)          /* never more than the ring holds: only contents are wrong */
            while (tx->req_prod - load_acquire(&tx->rsp_prod) > 200 && now_ns() < end &&
                   dev.peer_state == XenbusStateConnected)
                loop_turn(false);
    }
    log_info("rings: noise %x: %u rounds, %u answers, the backend is in state %d", kind, rounds,
             tx->rsp_prod, dev.peer_state);
}

static void bad_indices(void)
{
    static const uint32_t steps[] = { 257, 0x10000, 0x80000000u, 0xffffffffu };

    for (unsigned int i = 0; i < ARRAY_SIZE(steps); i++) {
        tx->req_prod += steps[i];
        rx->req_prod -= steps[i];
        event_send(port);
        for (unsigned int k = 0; k < 100; k++)
            loop_turn(false);
    }
    log_info("rings: bad indices, the backend is in state %d", dev.peer_state);
}

/* Taken down and up as fast as it goes: two lines of dom0's log each time, if it let us. */
static void again_and_again(void)
{
    unsigned int n = 0;

    while (n < 100 && connect()) {
        tx->req_prod += 257;
        event_send(port);
        (void)wait_peer(XenbusStateClosing);
        begin_anew();
        n++;
    }
    log_info("rings: taken down %u times", n);
}

/* The ring pages go away under the backend, as far as the hypervisor lets them. */
static void take_pages_back(void)
{
    bool ended = grant_end(tx_ref) | grant_end(rx_ref) | grant_end(page_ref);

    event_close(port);
    log_info("rings: pages taken back: %s", ended ? "some" : "none, all in use");
}

static void attack_vif(void)
{
    if (xbdev_open(&dev, "device/vif/0", false, peer_changed)) {
        log_info("rings: no vif");
        return;
    }
    page = page_alloc_zeroed();
    tx = page_alloc_zeroed();
    rx = page_alloc_zeroed();
    page_ref = grant_offer(dev.peer_dom, virt_to_mfn(page), 0);
    tx_ref = grant_offer(dev.peer_dom, virt_to_mfn(tx), 0);
    rx_ref = grant_offer(dev.peer_dom, virt_to_mfn(rx), 0);
    BUG_ON(event_alloc_unbound(dev.peer_dom, nothing, NULL, &port));
    for (uint32_t kind = 0; kind < 32; kind += 1 + (kind >= 8 ? 1 : 0)) {
        if (!connect()) {
            log_info("rings: the backend does not connect any more");
            break;
        }
        if (kind == 0)
            good_frame();
        noise(kind);
        if (kind == 30)
            bad_indices();
        begin_anew();
    }
    again_and_again();
    take_pages_back();
}

static void pause_ms(unsigned int ms)
{
    uint64_t end = now_ns() + ms * NS_PER_MS;

    while (now_ns() < end)
        (void)hc_sched_op(SCHEDOP_yield, NULL);
}

static void attack_store(void)
{
    struct xenstore_domain_interface *s = pfn_to_virt(mfn_to_pfn(mfn(start_info->store_mfn)));
    static const uint32_t lengths[] = { 0, 1, 4096, 4097, 0xffffffffu };

    for (unsigned int i = 0; i < 200; i++) {
        struct xsd_sockmsg m;
        const char *p = (const char *)&m;
        uint32_t prod = s->req_prod;

        random_bytes(&m, sizeof(m));
        m.type %= 25;
        m.len = lengths[i % ARRAY_SIZE(lengths)];
        for (unsigned int k = 0; k < sizeof(m); k++)
            s->req[prod++ % XENSTORE_RING_SIZE] = p[k];
        store_release(&s->req_prod, prod + random_u32() % 600);
        s->rsp_cons = s->rsp_prod;
        event_send(start_info->store_evtchn);
        pause_ms(1);
    }
    s->req_prod = s->req_cons + 5000;
    s->rsp_cons = 0x7fffffff;
    event_send(start_info->store_evtchn);
    pause_ms(20);
    log_info("rings: store attacked");
}

static void attack_console(void)
{
    struct xencons_interface *c = pfn_to_virt(mfn_to_pfn(mfn(start_info->console.domU.mfn)));

    uint64_t end = now_ns() + 2 * NS_PER_S;

    while (load_acquire(&c->out_cons) != c->out_prod && now_ns() < end)
        pause_ms(1);            /* what was said so far is to be read */
    for (unsigned int i = 0; i < 100; i++) {
        c->out_prod = random_u32();
        c->in_cons = random_u32();
        event_send(start_info->console.domU.evtchn);
        pause_ms(1);
    }
}

void pv_main(void)
{
    BUG_ON(xenbus_init());
    attack_vif();
    attack_store();
    log_info("attack rings: ok (the console is last)");
    attack_console();
}
