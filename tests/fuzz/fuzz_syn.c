/* SPDX-License-Identifier: MIT */
/* fuzz_syn.c - options of a SYN: what is taken from them survives the way through a cookie. */
/* LINK: toolstack/net/syncookie.c lib/hash.c */
#include <stdlib.h>
#include <string.h>
#include "toolstack/net/syncookie.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const uint64_t key[2] = { 1, 2 };
    struct syn_conn c = { .local = 1, .seq = 3 };
    struct syn_options in, out;
    uint8_t *exact = malloc(size ? size : 1);
    uint32_t cookie;

    memcpy(exact, data, size);
    syn_parse_options(exact, size, &in);
    free(exact);
    if (!in.mss || in.scale > SYN_SCALE_NONE)
        abort();
    cookie = syncookie_make(key, &c, &in, 77);
    if (!syncookie_check(key, &c, cookie, 77, &out) || out.mss != syncookie_mss(in.mss) ||
        out.scale != in.scale || (out.mss > in.mss && out.mss != 64))
        abort();
    return 0;
}
