/* SPDX-License-Identifier: MIT */
/* LINK: toolstack/http/response.c lib/why.c lib/printf.c lib/strlcpy.c */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include "lib/why.h"
#include "toolstack/http/response.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(const struct url *u)
{
    if (!u->host[0] || !u->port || u->path[0] != '/' || strpbrk(u->path, " \r\n#") ||
        strpbrk(u->host, "/:@ \r\n"))
        __builtin_trap();
}

/* As a response, as an URL, and as a place that a server sends us to. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct url base = { .host = "h", .port = 80, .path = "/" }, u;
    char why[WHY_MAX] = "", *text = malloc(size + 1);
    struct http_response r;
    int n = http_parse_response((const char *)data, size, &r);

    if (n > (int)size)
        __builtin_trap();
    memcpy(text, data, size);
    text[size] = '\0';
    if (url_parse(&u, text, why) == 0)
        check(&u);
    if (url_resolve(&u, &base, text, why) == 0)
        check(&u);
    free(text);
    return 0;
}
