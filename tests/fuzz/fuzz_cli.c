/* SPDX-License-Identifier: MIT */
/* LINK: toolstack/cli/conf.c toolstack/cli/metrics.c toolstack/cli/replay.c toolstack/cli/text.c lib/utf8.c */
/* What the operator's command reads by itself: sluice.conf, metrics, old console output, names. */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include "toolstack/cli/conf.h"
#include "toolstack/cli/metrics.h"
#include "toolstack/cli/replay.h"
#include "toolstack/cli/text.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct metrics_moved *everybody(void *arg, const char *name, size_t len)
{
    return arg;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct conf f;
    struct metrics_moved m = { 0 };
    struct replay r = { .n = 0 };
    char *why = NULL, *out = malloc(size + REPLAY_HELD);

    (void)conf_parse(&f, "/etc/sluice.conf", (const char *)data, size, "/root", &why);
    conf_free(&f);
    free(why);
    metrics_read((const char *)data, size, everybody, &m);
    (void)replay_filter(&r, (const char *)data, size, out);
    (void)replay_end(&r, out);
    memcpy(out, data, size);
    clean_bytes(out, size, true);
    for (size_t i = 0; i < size; i++)
        if ((unsigned char)out[i] < 0x20 && out[i] != '\n' && out[i] != '\t')
            abort();
    free(out);
    return 0;
}
