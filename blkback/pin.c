/* SPDX-License-Identifier: MIT */
/*
 * pin.c - pages of guests' requests, pinned for DMA. Pins and unpins are collected and carried out together:
 * those of a turn's requests in one hypercall, if they are few.
 */
#include "blkback/pin.h"

static struct grant_pin pins[GRANT_PINS_MAX], unpins[GRANT_PINS_MAX];
static uint32_t nr_pins, nr_unpins;
static struct {
    paddr_t *maddr;
    grant_handle_t *handle;
    bool *failed;
} who[GRANT_PINS_MAX];              /* wants pins[i] */

void pin_settle(void)
{
    uint32_t n = nr_pins;

    nr_pins = 0;
    if (n)
        grant_pin(pins, n);
    for (uint32_t i = 0; i < n; i++) {
        *who[i].handle = pins[i].handle;
        *who[i].maddr += pins[i].maddr;
        if (pins[i].handle == GRANT_UNPINNED)
            *who[i].failed = true;
    }
}

void pin_page(domid_t dom, grant_ref_t ref, bool readonly, paddr_t *maddr, grant_handle_t *handle,
              bool *failed)
{
    if (nr_pins == GRANT_PINS_MAX)
        pin_settle();
    *handle = GRANT_UNPINNED;
    pins[nr_pins] = (struct grant_pin){ .dom = dom, .ref = ref, .flags = readonly ? GRANT_READONLY : 0 };
    who[nr_pins].maddr = maddr;
    who[nr_pins].handle = handle;
    who[nr_pins++].failed = failed;
}

void unpin_settle(void)
{
    uint32_t n = nr_unpins;

    nr_unpins = 0;
    if (n)
        grant_unpin(unpins, n);
}

void unpin_page(paddr_t maddr, grant_handle_t handle)
{
    if (handle == GRANT_UNPINNED)
        return;
    if (nr_unpins == GRANT_PINS_MAX)
        unpin_settle();
    unpins[nr_unpins++] = (struct grant_pin){
        .handle = handle, .maddr = maddr & ~(paddr_t)(PAGE_SIZE - 1),
    };
}

void unpin_set(struct pinned *p)
{
    void (*gone)(void *arg) = p->gone;
    void *arg = p->arg;

    for (uint32_t i = 0; i < p->nr; i++)
        unpin_page(p->piece[i].maddr, p->piece[i].handle);
    pinned_free(p);
    if (gone)
        gone(arg);
}
