/* SPDX-License-Identifier: MIT */
/* LINK: lib/xlcfg.c lib/strlcpy.c toolstack/vm/config.c lib/why.c */
#include <stddef.h>
#include <stdint.h>
#include "toolstack/vm/config.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct vm_config cfg;
    char why[256];

    (void)vm_config_parse(&cfg, "fuzz.cfg", (const char *)data, size, NULL, NULL, why, sizeof(why));
    return 0;
}
