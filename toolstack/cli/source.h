/* SPDX-License-Identifier: MIT */
/*
 * source.h - a domain's description on the command line: an xl.cfg and what is set over it, and what
 * its reader, the one that hosts use, finds wrong with it.
 */
#ifndef CLI_SOURCE_H
#define CLI_SOURCE_H

#include "lib/vmconfig.h"
#include "toolstack/cli/cli.h"

#define SOURCE_MAX 65536u       /* what a host takes as a configuration */

struct source {
    char *name;                 /* of the file, for messages; NULL = only what was set over it */
    char *text;                 /* file and overrides */
    size_t len;
    unsigned int file_lines;    /* lines behind these are overrides */
};

/* Reads the file ("-" = standard input; NULL = none). Complains. */
int source_read(struct cli *c, struct source *s, const char *file);
/* One more "key=value" line, quoted when the value is a bare word, as xl has it. Complains. */
int source_set(struct cli *c, struct source *s, const char *setting);
void source_free(struct source *s);

/*
 * Reads the text with the host's own reader into cfg and tells what it finds on standard error (or,
 * with json, appends to it). *refused counts what a host refuses.
 */
void source_review(struct cli *c, const struct source *s, struct vm_config *cfg, unsigned int *refused,
                   unsigned int *noted, void *json);

#endif
