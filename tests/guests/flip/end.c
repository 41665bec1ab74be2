/* SPDX-License-Identifier: MIT */
/* end.c - one end of the flips: a window, and the backend's commands. */
#include "tests/guests/flip/test.h"
#include "tests/guests/flip/slots.h"
#include "atomic.h"
#include "lib/printf.h"
#include "lib/string.h"
#include "runtime/event.h"
#include "runtime/grant.h"
#include "runtime/hypercall.h"
#include "runtime/loop.h"
#include "runtime/mem.h"
#include "runtime/pagetable.h"

static struct peer_page *page;
static evtchn_port_t port;
static domid_t backend;

static int64_t over_slots(uint32_t cmd, uint32_t a, uint32_t n, uint32_t seed)
{
    for (uint32_t i = 0; i < n; i++) {
        int rc = 0;

        switch (cmd) {
        case CMD_OFFER:
            slot_offer(a + i, backend, (uint16_t)seed);
            break;
        case CMD_ACCEPT:
            rc = slot_accept(a + i);
            break;
        case CMD_AGAIN:
            rc = slot_accept(a + i);
            if (rc == 0)
                slot_offer(a + i, backend, (uint16_t)seed);
            break;
        case CMD_FILL:
            slot_fill(a + i, seed + i);
            break;
        case CMD_DIFFERS:
            rc = slot_differs(a + i, seed + i) >= 0 ? (int)i + 1 : 0;
            break;
        case CMD_ZERO:
            rc = slot_is_zero(a + i) ? 0 : (int)i + 1;
            break;
        }
        if (rc)
            return rc;
    }
    return 0;
}

static void *hole[NR_HOLES];

/* The classic way to take frames: first give some away. */
static int64_t holes(uint32_t n)
{
    for (uint32_t i = 0; i < n; i++) {
        grant_entry_v1_t *e = &slot_table[HOLE_REF + i];
        xen_pfn_t m;
        struct xen_memory_reservation r = { .nr_extents = 1, .domid = DOMID_SELF };

        if (!hole[i])
            hole[i] = page_alloc();
        m = virt_to_mfn(hole[i]).v;
        set_xen_guest_handle(r.extent_start, &m);
        if (p2m_replace(virt_to_pfn(hole[i]), MFN_INVALID) ||
            hc_memory_op(XENMEM_decrease_reservation, &r) != 1)
            return -1;
        e->frame = (uint32_t)virt_to_pfn(hole[i]).v;
        e->domid = backend;
        store_release(&e->flags, (uint16_t)GTF_accept_transfer);
    }
    return 0;
}

static int64_t fill_holes(uint32_t n)
{
    for (uint32_t i = 0; i < n; i++)
        if (slot_table[HOLE_REF + i].flags != (GTF_accept_transfer | GTF_transfer_committed |
                                               GTF_transfer_completed) ||
            p2m_replace(virt_to_pfn(hole[i]), mfn(slot_table[HOLE_REF + i].frame)))
            return -1;
    return 0;
}

static int64_t command(const struct peer_page *p)
{
    domid_t self = DOMID_SELF;

    switch (p->cmd) {
    case CMD_WITHDRAW:
        return slot_withdraw(p->a);
    case CMD_WRITE:
        *(volatile uint64_t *)slot_addr(p->a) = p->b;
        return 0;
    case CMD_MFN:
        return (int64_t)slot_mfn(p->a);
    case CMD_REGISTER:
        return slots_register();
    case CMD_UNREGISTER:
        return slots_unregister(slot_window);
    case CMD_PAGES:
        return hc_memory_op(XENMEM_current_reservation, &self);
    case CMD_HOLES:
        return holes(p->a);
    case CMD_FILL_HOLES:
        return fill_holes(p->a);
    case CMD_END:
        domain_shutdown(SHUTDOWN_poweroff);
    default:
        return over_slots(p->cmd, p->a, p->b, p->c);
    }
}

static void on_event(void *arg)
{
    uint32_t asked = load_acquire(&page->asked);

    (void)arg;
    if (asked == page->done)
        return;
    page->result = command(page);
    store_release(&page->done, asked);
    event_send(port);
}

void end_run(void)
{
    char text[64];
    grant_ref_t ref;

    CHECK(grant_init() == 0);
    CHECK(slots_init() == 0);
    backend = (domid_t)await("data/back", text, sizeof(text));
    page = page_alloc_zeroed();
    ref = grant_offer(backend, virt_to_mfn(page), 0);
    CHECK(ref && event_alloc_unbound(backend, on_event, NULL, &port) == 0);
    (void)snprintf(text, sizeof(text), "%u %u", ref, port);
    (void)snprintf(text + 32, 32, "data/%s", my_role);
    publish(text + 32, text);
    loop_run();
}
