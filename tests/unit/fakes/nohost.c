/* SPDX-License-Identifier: MIT */
/* nohost.c - what dom0's TCP needs of a host and never uses: pages that are the test's, no events, no hypervisor. */
#include <stdlib.h>
#include <string.h>
#include "netback/frame.h"
#include "netback/rxpool.h"
#include "runtime/event.h"
#include "runtime/hypercall.h"
#include "runtime/mem.h"
#include "runtime/pagetable.h"

void *page_alloc_zeroed(void)
{
    void *p = page_alloc();

    return p ? memset(p, 0, PAGE_SIZE) : NULL;
}

void page_free(void *p)
{
    free(p);
}

mfn_t virt_to_mfn(const void *p)
{
    return mfn((uint64_t)p >> PAGE_SHIFT);
}

void rx_frame_done(struct frame *f)
{
}

int event_bind_virq(unsigned int virq, event_fn fn, void *arg, evtchn_port_t *port)
{
    return 0;
}

void event_send(evtchn_port_t port)
{
}

bool event_any_pending(void)
{
    return false;
}

bool event_poll(void)
{
    return false;
}

long hypercall(unsigned int nr, uint64_t a1, uint64_t a2, uint64_t a3, uint64_t a4, uint64_t a5)
{
    return 0;
}
