/* SPDX-License-Identifier: MIT */
/*
 * liar - our frontends against a backend in another guest, which does all that a backend can do to them.
 *
 *   role=netfront        our netfront; looks after its pages
 *   role=netback         lies: noise on the rings, flips and copies to whatever the frontend may have granted, grants kept
 *                        mapped, states in any order
 *     front=DIRECTORY    of a frontend elsewhere than in data/front: a stock guest's
 *   role=netback honest  sends each frame back in another page
 *   role=blkfront, role=blkback, role=blkback honest       the same for disks
 */
#include "tests/guests/liar/liar.h"
#include "runtime/xenbus.h"

static uint32_t my_id;

uint32_t find_domain(const char *node)
{
    char path[96], value[16];

    for (uint32_t d = 1; d < 64; d++) {
        (void)snprintf(path, sizeof(path), "/local/domain/%u/%s", d, node);
        if (d != my_id && xs_read(XS_NO_TXN, path, value, sizeof(value)) > 0)
            return d;
    }
    return 0;
}

void make_directory(const char *path)
{
    struct xs_perm p = { .dom = (domid_t)my_id, .access = XS_PERM_READ };

    CHECK(xs_mkdir(XS_NO_TXN, path) == 0);
    CHECK(xs_set_perms(XS_NO_TXN, path, &p, 1) == 0);
}

void pv_main(void)
{
    char role[16] = "", word[8];
    bool honest;

    CHECK(xenbus_init() == 0);
    CHECK(xs_read(XS_NO_TXN, "domid", word, sizeof(word)) > 0);
    for (const char *s = word; *s >= '0' && *s <= '9'; s++)
        my_id = my_id * 10 + (uint32_t)(*s - '0');
    (void)cmdline_get("role", role, sizeof(role));
    honest = cmdline_get("honest", word, sizeof(word));
    if (!strcmp(role, "netfront"))
        netfront_run();
    if (!strcmp(role, "netback"))
        netback_run(honest);
    if (!strcmp(role, "blkfront"))
        blkfront_run();
    blkback_run(honest);
}
