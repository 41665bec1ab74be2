/* SPDX-License-Identifier: MIT */
/*
 * oldnet - a netfront as there were before rx-copy: it offers places for pages and takes the frames that come in them
 * (GNTTABOP_transfer), one slot a frame, one event channel, no key that newer ones write. It sends back what it gets. At the end of
 * each hundred it says how many frames it has, which must not change.
 */
#include "atomic.h"
#include "lib/string.h"
#include "runtime/event.h"
#include "runtime/grant.h"
#include "runtime/hypercall.h"
#include "runtime/log.h"
#include "runtime/loop.h"
#include "runtime/mem.h"
#include "runtime/pagetable.h"
#include "runtime/ring.h"
#include "runtime/start.h"
#include "runtime/xbdev.h"
#include "runtime/xenbus.h"

#include <xen/io/netif.h>

#define PLACES 64u                  /* for pages to come */

static struct xbdev dev;
static struct netif_tx_sring *tx;
static struct netif_rx_sring *rx;
static uint32_t tx_prod, tx_cons, rx_prod, rx_cons;
static evtchn_port_t port;
static uint8_t *place[PLACES];      /* addresses; a page is behind them when none is awaited */
static struct grant_entry_v1 *entry;
static grant_ref_t first_ref;
static uint8_t *out[256];           /* pages to send from */
static grant_ref_t out_ref[256];
static uint64_t frames, wrong;

#define CHECK(cond) \
    do { \
        if (!(cond)) { \
            log_error("oldnet: FAILED at line %d: %s", __LINE__, #cond); \
            domain_shutdown(SHUTDOWN_crash); \
        } \
    } while (0)

/* Gives the page at a place back to the hypervisor and offers the place. */
static void post(unsigned int i)
{
    pfn_t n = virt_to_pfn(place[i]);
    xen_pfn_t frame = pfn_to_mfn(n).v;
    struct xen_memory_reservation r = { .nr_extents = 1, .domid = DOMID_SELF };

    CHECK(p2m_replace(n, MFN_INVALID) == 0);
    set_xen_guest_handle(r.extent_start, &frame);
    CHECK(hc_memory_op(XENMEM_decrease_reservation, &r) == 1);
    entry[i].frame = (uint32_t)n.v;
    entry[i].domid = dev.peer_dom;
    store_release(&entry[i].flags, GTF_accept_transfer);
    rx->ring[rx_prod++ % 256].req = (struct netif_rx_request){ .id = (uint16_t)i, .gref = first_ref + i };
}

static void send_back(const uint8_t *frame, unsigned int len, uint16_t flags)
{
    unsigned int id = tx_prod % 256;
    uint8_t *p = out[id];

    if (tx_prod - tx_cons == 256) {
        wrong++;
        return;
    }
    memcpy(p, frame, len);
    memcpy(p, frame + 6, 6);
    memcpy(p + 6, frame, 6);
    tx->ring[id].req = (struct netif_tx_request){ .gref = out_ref[id], .id = (uint16_t)id,
        .size = (uint16_t)len, .flags = flags };
    tx_prod++;
}

static void take(const struct netif_rx_response *rsp)
{
    unsigned int i = rsp->id;
    uint16_t flags;

    CHECK(i < PLACES && rsp->status > 0 && rsp->offset + rsp->status <= (int)PAGE_SIZE);
    flags = load_acquire(&entry[i].flags);
    CHECK((flags & GTF_transfer_completed) && entry[i].frame);
    CHECK(p2m_replace(virt_to_pfn(place[i]), mfn(entry[i].frame)) == 0);
    entry[i].flags = 0;
    frames++;
    /* What our backend had in that page before is nobody's business. */
    for (unsigned int k = rsp->offset + (unsigned int)rsp->status; k < PAGE_SIZE; k++) {
        if (place[i][k])
            wrong++;
    }
    send_back(place[i] + rsp->offset, (unsigned int)rsp->status,
              rsp->flags & NETRXF_csum_blank ? NETTXF_csum_blank | NETTXF_data_validated : 0);
    post(i);
    if (frames % 100 == 0) {
        domid_t self = DOMID_SELF;

        log_info("oldnet: %lu frames came in pages, %lu wrong, %ld pages", frames, wrong,
                 hc_memory_op(XENMEM_current_reservation, &self));
    }
}

static void event(void *arg)
{
    do {
        uint32_t prod = ring_read_prod(&rx->rsp_prod);

        tx_cons = ring_read_prod(&tx->rsp_prod);
        while (rx_cons != prod) {
            struct netif_rx_response rsp;

            ring_copy_in(&rsp, &rx->ring[rx_cons++ % 256].rsp, sizeof(rsp));
            take(&rsp);
        }
    } while (ring_rearm(&rx->rsp_event, &rx->rsp_prod, rx_cons));
    if (ring_publish(&rx->req_prod, &rx->req_event, rx_prod) |
        ring_publish(&tx->req_prod, &tx->req_event, tx_prod))
        event_send(port);
}

static void peer_changed(struct xbdev *d, enum xenbus_state s)
{
    if (s == XenbusStateInitWait && d->state == XenbusStateInitialising) {
        CHECK(xs_read_default(0, d->peer, "feature-rx-flip", 0) == 1);
        CHECK(event_alloc_unbound(d->peer_dom, event, NULL, &port) == 0);
        (void)xs_printf(0, d->path, "tx-ring-ref", "%u", grant_offer(d->peer_dom, virt_to_mfn(tx), 0));
        (void)xs_printf(0, d->path, "rx-ring-ref", "%u", grant_offer(d->peer_dom, virt_to_mfn(rx), 0));
        (void)xs_printf(0, d->path, "event-channel", "%u", port);
        for (unsigned int i = 0; i < 256; i++)
            out_ref[i] = grant_offer(d->peer_dom, virt_to_mfn(out[i]), GRANT_READONLY);
        for (unsigned int i = 0; i < PLACES; i++)
            post(i);
        rx->req_prod = rx_prod;
        (void)xbdev_set_state(d, XenbusStateConnected);
    } else if (s == XenbusStateConnected) {
        log_info("oldnet: connected");
    }
}

void pv_main(void)
{
    CHECK(xenbus_init() == 0);
    first_ref = grant_range(PLACES, &entry);
    tx = page_alloc_zeroed();
    rx = page_alloc_zeroed();
    CHECK(first_ref && tx && rx);
    tx->req_event = tx->rsp_event = rx->req_event = rx->rsp_event = 1;
    for (unsigned int i = 0; i < PLACES; i++)
        place[i] = page_alloc();
    for (unsigned int i = 0; i < 256; i++)
        out[i] = page_alloc();
    CHECK(xbdev_open(&dev, "device/vif/0", false, peer_changed) == 0);
    (void)xbdev_set_state(&dev, XenbusStateInitialising);
    loop_run();
}
