/* SPDX-License-Identifier: MIT */
/* LINK: toolstack/http/parse.c */
#include <stddef.h>
#include <stdint.h>
#include "toolstack/http/parse.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct http_request rq;
    int n = http_parse_head((const char *)data, size, &rq);
    uint64_t v;

    if (n > (int)size || (n < 0 && (!rq.why || n > -400)))
        __builtin_trap();
    if (n > 0)
        (void)http_query_uint(rq.query, "from", 0, &v);
    return 0;
}
