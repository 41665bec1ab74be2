/* SPDX-License-Identifier: MIT */
/* fuzz_headers.c - header parser, spoofing filter, checksum completion, segmentation. */
/* LINK: netback/headers.c netback/filter.c netback/csum.c */
#include <stdlib.h>
#include <string.h>
#include "netback/csum.h"
#include "netback/filter.h"
#include "netback/headers.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void try_to_cut(const uint8_t *head, size_t n, size_t size, unsigned int version)
{
    static uint8_t out[144];
    struct gso g;
    uint32_t offset, done = 0;

    if (!gso_plan(&g, head, n, size, version, 1 + head[0]))
        return;
    if (g.headers > n || g.headers + g.payload > size)
        abort();
    for (uint32_t i = 0; i < g.packets; i++) {
        done += gso_payload(&g, i, &offset);
        gso_headers(&g, head, i, out);
    }
    if (done != g.payload)
        abort();
}

/* The first byte chooses the filter, the rest is the frame; only the head is in the buffer that
 * the code may look at, so that reading past it is noticed. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct filter f = { .mac = { 2, 2, 2, 2, 2, 2 } };
    struct headers h;
    size_t n;
    uint8_t *head, *flat;

    if (size < 1 || size > 65535)
        return 0;
    (void)filter_parse_ips(&f, *data & 1 ? "" : "10.0.0.5 2001:db8::5");
    data++;
    size--;
    n = size < 144 ? size : 144;
    head = malloc(n ? n : 1);
    flat = malloc(size ? size : 1);
    memcpy(head, data, n);
    memcpy(flat, data, size);
    if (n >= 12)
        memcpy(head + 6, f.mac, 6);
    (void)filter_pass(&f, head, n, size);
    if (headers_parse(&h, head, n, size)) {
        if (h.version && h.l4 && (h.l4 > n || (size_t)h.l4 + h.l4_len > size))
            abort();
        (void)headers_hash(&h, head, n);
        try_to_cut(head, n, size, 4);
        try_to_cut(head, n, size, 6);
    }
    (void)csum_complete(flat, size);
    free(head);
    free(flat);
    return 0;
}
