/* SPDX-License-Identifier: MIT */
/* LINK: lib/xlcfg.c lib/strlcpy.c lib/vmconfig.c lib/vmvif.c lib/vmdisk.c lib/vmcpus.c lib/cpulist.c lib/words.c lib/xlkeys.c lib/why.c */
#include <stddef.h>
#include <stdint.h>
#include "lib/vmconfig.h"

static void found(void *arg, const struct vm_config_finding *f)
{
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct vm_config cfg;
    char why[256];

    (void)vm_config_parse(&cfg, "fuzz.cfg", (const char *)data, size, NULL, NULL, why, sizeof(why));
    (void)vm_config_review(&cfg, (const char *)data, size, found, NULL);
    return 0;
}
