/* SPDX-License-Identifier: MIT */
/*
 * say.h - what the command says to people: results on standard output, complaints and progress on
 * standard error. What came from a host never reaches a terminal with control characters in it.
 */
#ifndef CLI_SAY_H
#define CLI_SAY_H

#include <jansson.h>
#include "toolstack/cli/cli.h"
#include "toolstack/cli/table.h"
#include "toolstack/cli/text.h"

/* Called before a complaint: whoever changed the terminal sets it right. NULL = nobody. */
extern void (*say_terminal_back)(void);

/*
 * Says in one line what is wrong; hint (may be NULL) says what to do, on a line of its own. With
 * --json both stand in an object. Returns code.
 */
int complain(struct cli *c, enum cli_exit code, const char *hint, const char *fmt, ...)
    __printf(4, 5);
/* A line for people that is no result: silent with --quiet. */
void note(struct cli *c, const char *fmt, ...) __printf(2, 3);

/* Prints a value as JSON. Returns CLI_OK. */
int say_json(json_t *value);
/* Text of a host: control characters other than newline and tab are shown as '?' on a terminal. */
void say_text(struct cli *c, const char *text, size_t len);
/* Prints a table as wide as the terminal, and frees it. Returns CLI_OK. */
int say_table(struct cli *c, struct table *t);
/* CLI_OK, or a complaint when standard output could not be written. */
int say_done(struct cli *c, int rc);

/*
 * One line on a terminal that is written over: what is being waited for, and how far it is.
 * total 0 = unknown. Shows nothing in the first second, and nothing at all when standard error
 * is no terminal.
 */
struct progress {
    struct cli *c;
    const char *what;
    uint64_t start_ms, shown_ms;
    bool visible;
};

void progress_begin(struct progress *p, struct cli *c, const char *what);
void progress_show(struct progress *p, uint64_t done, uint64_t total);
void progress_end(struct progress *p);

uint64_t clock_ms(void);

#endif
