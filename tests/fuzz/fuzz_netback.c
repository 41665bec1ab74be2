/* SPDX-License-Identifier: MIT */
/* fuzz_netback.c - two guests that write anything into their rings at any time. */
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
#include "tests/unit/fakes/vifs.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Per guest: tx ring, rx ring, and pages that it grants as references 0 to 15; those from 8 on
 * are read-only. */
static uint8_t ring[2][2][4096] __aligned(4096), page[2][16][4096] __aligned(4096);

static void make(unsigned int dom)
{
    static const char *const front[][2] = {
        { "tx-ring-ref", "500" }, { "rx-ring-ref", "501" }, { "event-channel", "7" },
        { "request-rx-copy", "1" }, { "feature-sg", "1" }, { "feature-gso-tcpv4", "1" },
    };
    char text[64];

    memset(ring[dom - 1], 0, sizeof(ring[0]));
    fake_grant((domid_t)dom, 500, ring[dom - 1][0], false);
    fake_grant((domid_t)dom, 501, ring[dom - 1][1], false);
    for (unsigned int i = 0; i < 16; i++)
        fake_grant((domid_t)dom, i, page[dom - 1][i], i >= 8);
    snprintf(text, sizeof(text), "02:02:02:02:02:%02x", dom * 2);
    vif_write((domid_t)dom, BACK, "mac", text);
    /* The second one takes no fragments, so that frames for it are reshaped. */
    for (unsigned int i = 0; i < sizeof(front) / sizeof(front[0]) - (dom == 2 ? 2 : 0); i++)
        vif_write((domid_t)dom, FRONT, front[i][0], front[i][1]);
    vif_write((domid_t)dom, FRONT, "state", "4");
    snprintf(text, sizeof(text), "/local/domain/%u/device/vif/0", dom);
    vif_write((domid_t)dom, BACK, "frontend", text);
    snprintf(text, sizeof(text), "%u", dom);
    vif_write((domid_t)dom, BACK, "frontend-id", text);
    vif_write((domid_t)dom, BACK, "state", "1");
    fake_run();
}

/* Commands: guest and kind in one byte, then two bytes of position, one of length, and data. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static bool started;

    if (!started)
        bridge_init();
    started = true;
    fake_reset();
    if (netback_init())
        abort();
    make(1);
    make(2);
    while (size >= 4) {
        unsigned int guest = data[0] & 1, kind = data[0] >> 1 & 3;
        unsigned int at = data[1] | (data[2] & 15u) << 8, len = data[3];

        data += 4;
        size -= 4;
        if (len > size)
            len = (unsigned int)size;
        if (len > 4096 - at)
            len = 4096 - at;
        if (kind < 2)
            memcpy(ring[guest][kind] + at, data, len);
        else
            memcpy(page[guest][data[-2] >> 4] + at, data, len);
        data += len;
        size -= len;
        fake_signal((domid_t)(1 + guest), 7);
        if (kind == 3)
            fake_advance(300000000);
        else
            fake_run();
    }
    vif_remove(1);
    vif_remove(2);
    if (fake_mapped(1) || fake_mapped(2) || fake_bound() || port_next(NULL))
        abort();
    return 0;
}
