/* SPDX-License-Identifier: MIT */
/*
 * fuzz_netflip.c - two guests on the flip channel and one on standard rings, that write anything into their shared
 * pages at any time, offer pages and take them back.
 */
/* LINK: netback/netback.c netback/tx.c netback/rx.c netback/bridge.c netback/copy.c */
/* LINK: netback/frame.c netback/shape.c netback/dma.c netback/rxpool.c netback/fdb.c netback/filter.c lib/rate.c */
/* LINK: netback/exchange.c netback/flip.c netback/fliptx.c netback/fliprow.c netback/fliprx.c netback/transfer.c */
/* LINK: netback/headers.c netback/csum.c runtime/xs.c runtime/xbdev.c runtime/loglimit.c runtime/loop.c */
/* LINK: runtime/cmdline.c runtime/xbroot.c lib/strlcpy.c tests/unit/fakes/vifs.c */
/* LINK: tests/unit/fakes/guest.c tests/unit/fakes/world.c */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "netback/netback.h"
#include "runtime/port.h"
#include "sluice/netflip.h"
#include "tests/unit/fakes/vifs.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define GUESTS 3
#define PAGES  16

/* Of guest 2 the first pages are a transmit and a receive ring. */
static uint8_t half[GUESTS][2][NETFLIP_PAGES][4096] __aligned(4096);
static uint8_t page[GUESTS][PAGES][4096] __aligned(4096);

static void grants(unsigned int g)
{
    for (unsigned int h = 0; h < 2; h++) {
        for (unsigned int i = 0; i < NETFLIP_PAGES; i++)
            fake_grant((domid_t)(g + 1), 300 + h * 10 + i, half[g][h][i], false);
    }
    for (unsigned int i = 0; i < PAGES; i++)
        fake_offer((domid_t)(g + 1), i, page[g][i]);
}

static void make(unsigned int g)
{
    static const char *const front[][2] = {
        { "event-channel", "7" }, { "request-rx-copy", "1" }, { "feature-sg", "1" },
        { "feature-gso-tcpv4", "1" }, { "tx-ring-ref", "300" }, { "rx-ring-ref", "310" },
        { "flip-tx-refs", "300 301 302 303 304 305 306 307 308" },
        { "flip-rx-refs", "310 311 312 313 314 315 316 317 318" },
    };
    char text[64];
    unsigned int dom = g + 1;

    memset(half[g], 0, sizeof(half[g]));
    grants(g);
    snprintf(text, sizeof(text), "02:02:02:02:02:%02x", dom * 2);
    vif_write((domid_t)dom, BACK, "mac", text);
    for (unsigned int i = 0; i < sizeof(front) / sizeof(front[0]); i++)
        vif_write((domid_t)dom, FRONT, front[i][0], front[i][1]);
    vif_write((domid_t)dom, FRONT, "request-sluice-flip-extents", "1");
    vif_write((domid_t)dom, FRONT, "request-sluice-flip", g == 2 ? "0" : "1");
    vif_write((domid_t)dom, FRONT, "state", "4");
    snprintf(text, sizeof(text), "/local/domain/%u/device/vif/0", dom);
    vif_write((domid_t)dom, BACK, "frontend", text);
    snprintf(text, sizeof(text), "%u", dom);
    vif_write((domid_t)dom, BACK, "frontend-id", text);
    vif_write((domid_t)dom, BACK, "state", "1");
    fake_run();
}

/* Moves an index of a flip channel on by a little, or by anything. */
static void move(unsigned int g, unsigned int which, unsigned int by)
{
    struct netflip_index *tx = (void *)half[g][0], *rx = (void *)half[g][1];
    uint32_t *index[] = { &tx->slot_prod, &rx->ref_prod, &rx->slot_cons, &tx->ref_event, &rx->ext_prod };

    *index[which] += by == 255 ? 0x7fffff00u : by;
}

/* Commands of four bytes: guest and kind, page or index, offset / 16, length; then data. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static bool started;

    if (!started)
        bridge_init();
    started = true;
    fake_reset();
    fake_flips_busy = false;
    if (netback_init())
        abort();
    for (unsigned int g = 0; g < GUESTS; g++)
        make(g);
    while (size >= 4) {
        unsigned int g = data[0] % GUESTS, kind = data[0] >> 4 & 7;
        unsigned int which = data[1], at = data[2] * 16u, len = data[3];
        bool write = kind < 3;

        data += 4;
        size -= 4;
        if (write) {
            len = len > size ? (unsigned int)size : len;
            len = len > 4096 - at ? 4096 - at : len;
            memcpy((kind == 2 ? page[g][which % PAGES] : half[g][kind][which % NETFLIP_PAGES]) + at,
                   data, len);
            data += len;
            size -= len;
        } else if (kind == 3) {
            move(g, which & 16 ? 4 : which % 4, len);
        } else if (kind == 4) {
            fake_grant((domid_t)(g + 1), which % PAGES, NULL, false);
        } else if (kind == 5) {
            grants(g);
        } else if (kind == 6) {
            fake_flips_busy = len & 1;
            fake_advance(300000000);
        }
        fake_signal((domid_t)(1 + g), 7);
        fake_run();
    }
    for (unsigned int g = 0; g < GUESTS; g++)
        vif_remove((domid_t)(g + 1));
    if (fake_mapped(1) || fake_mapped(2) || fake_mapped(3) || fake_bound() || port_next(NULL))
        abort();
    return 0;
}
