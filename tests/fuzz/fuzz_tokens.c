/* SPDX-License-Identifier: MIT */
/* LINK: toolstack/http/auth.c lib/why.c lib/printf.c lib/strlcpy.c build/libmbedtls-host.a */
#include <stddef.h>
#include <stdint.h>
#include "lib/why.h"
#include "toolstack/http/auth.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct auth_tokens t;
    char why[WHY_MAX] = "";
    int rc = auth_parse_tokens(&t, (const char *)data, size, why);

    if (t.n > AUTH_TOKENS || (rc && (t.n || !why[0])))
        __builtin_trap();
    for (uint32_t i = 0; i < t.n; i++)
        if (t.token[i].revoked ? t.token[i].role != ROLE_ANYBODY
                               : t.token[i].role != ROLE_READER && t.token[i].role != ROLE_ADMIN)
            __builtin_trap();
    if (auth_token_role(&t, "") != ROLE_ANYBODY)
        __builtin_trap();
    return 0;
}
