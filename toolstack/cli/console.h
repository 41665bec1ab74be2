/* SPDX-License-Identifier: MIT */
/* console.h - a domain's console on this terminal. */
#ifndef CLI_CONSOLE_H
#define CLI_CONSOLE_H

#include "toolstack/cli/cli.h"

struct console_options {
    bool unpause;               /* once attached: the domain was created paused for this */
    bool output_only;           /* standard input is left alone */
};

/* Until the domain has ended, Ctrl-], or the end of standard input. Returns an exit status. */
int console_run(struct cli *c, const char *domain, const struct console_options *o);

#endif
