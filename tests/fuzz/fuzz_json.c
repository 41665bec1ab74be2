/* SPDX-License-Identifier: MIT */
/* LINK: lib/json.c lib/utf8.c */
#include <stddef.h>
#include <stdint.h>
#include "lib/json.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct json j;
    char text[512];
    struct json_value *v = json_parse(&j, (const char *)data, size, text, sizeof(text));

    if (!v && !j.error)
        __builtin_trap();
    if (v)
        (void)json_member(v, "config");
    return 0;
}
