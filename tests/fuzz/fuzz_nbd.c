/* SPDX-License-Identifier: MIT */
/* fuzz_nbd.c - a server's bytes in a handshake, cut at any place; and targets. */
/* LINK: blkback/nbdproto.c lib/strlcpy.c */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include "blkback/nbdproto.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint8_t out[NBD_HELLO_OUT];
    struct nbd_target t;
    struct nbd_hello h;
    const char *why;
    size_t at = 1, cut = size ? data[0] % 61 + 1 : 1;
    char *text;

    nbd_hello_init(&h, "export");
    while (at < size && h.state < NBD_HELLO_DONE) {
        size_t out_len, n = size - at < cut ? size - at : cut;
        size_t taken = nbd_hello_input(&h, data + at, n, out, &out_len);

        if (taken > n || out_len > sizeof(out) || (taken < n && h.state < NBD_HELLO_DONE))
            abort();
        at += taken;
    }
    if (h.state == NBD_HELLO_DONE && (!h.has_export || h.info.size > INT64_MAX))
        abort();
    if (strnlen(h.why, sizeof(h.why)) == sizeof(h.why))
        abort();
    text = malloc(size + 1);
    if (!text)
        return 0;
    memcpy(text, data, size);
    text[size] = '\0';
    (void)nbd_parse_target(text, &t, &why);
    free(text);
    return 0;
}
