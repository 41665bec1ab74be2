/* SPDX-License-Identifier: MIT */
/* say.c - results, complaints, progress (see say.h). */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include "toolstack/cli/say.h"
#include "toolstack/cli/units.h"

static char *format(const char *fmt, va_list ap)
{
    char *s = NULL;

    if (vasprintf(&s, fmt, ap) < 0)
        s = NULL;
    return must(s);
}

void (*say_terminal_back)(void);

int complain(struct cli *c, enum cli_exit code, const char *hint, const char *fmt, ...)
{
    va_list ap;
    char *raw, *line;

    va_start(ap, fmt);
    raw = format(fmt, ap);
    va_end(ap);
    line = clean(raw);
    free(raw);
    if (say_terminal_back)
        say_terminal_back();
    fflush(stdout);
    if (c->json) {
        json_t *o = json_pack("{s:s, s:i}", "error", line, "exit", (int)code);

        if (o && hint) {
            char *h = clean(hint);

            json_object_set_new(o, "hint", json_string(h));
            free(h);
        }
        json_dumpf(o, stderr, JSON_ENSURE_ASCII);
        fputc('\n', stderr);
        json_decref(o);
    } else {
        bool color = c->color && c->err_tty;

        fprintf(stderr, "%ssluice:%s %s\n", color ? "\033[1;31m" : "", color ? "\033[0m" : "", line);
        if (hint) {
            char *h = clean(hint);

            fprintf(stderr, "        %s\n", h);
            free(h);
        }
    }
    free(line);
    return code;
}

void note(struct cli *c, const char *fmt, ...)
{
    va_list ap;
    char *raw, *line;

    if (c->quiet || c->json)
        return;
    va_start(ap, fmt);
    raw = format(fmt, ap);
    va_end(ap);
    line = clean(raw);
    fprintf(stderr, "%s\n", line);
    free(line);
    free(raw);
}

int say_json(json_t *value)
{
    json_dumpf(value, stdout, JSON_INDENT(2) | JSON_ENSURE_ASCII | JSON_ENCODE_ANY);
    putchar('\n');
    return CLI_OK;
}

void say_text(struct cli *c, const char *text, size_t len)
{
    char *copy;

    if (!c->out_tty) {
        fwrite(text, 1, len, stdout);
        return;
    }
    copy = must(malloc(len + 1));
    memcpy(copy, text, len);
    clean_bytes(copy, len, true);
    fwrite(copy, 1, len, stdout);
    free(copy);
}

int say_table(struct cli *c, struct table *t)
{
    bool color = c->color && c->out_tty;
    char *text = table_text(t, c->width, color ? "\033[1m" : "", color ? "\033[0m" : "",
                            c->utf8 ? "\u2026" : "~");

    fputs(text, stdout);
    free(text);
    table_end(t);
    return CLI_OK;
}

int say_done(struct cli *c, int rc)
{
    if (fflush(stdout) && errno != EPIPE && !rc)
        return complain(c, CLI_FAILED, NULL, "standard output: %s", strerror(errno));
    return rc;
}

/* ------------------------------------------------------------------ progress */

uint64_t clock_ms(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

void progress_begin(struct progress *p, struct cli *c, const char *what)
{
    *p = (struct progress){ .c = c, .what = what, .start_ms = clock_ms() };
}

#define FIRST_MS   1000     /* what is quicker shows nothing */
#define AGAIN_MS   200

void progress_show(struct progress *p, uint64_t done, uint64_t total)
{
    uint64_t now = clock_ms();
    char line[160];

    if (!p->what || !p->c->err_tty || p->c->quiet || now - p->start_ms < FIRST_MS ||
        now - p->shown_ms < AGAIN_MS)
        return;
    p->shown_ms = now;
    p->visible = true;
    units_progress(line, sizeof(line), p->what, done, total, now - p->start_ms);
    fprintf(stderr, "\r\033[K%s", line);
    fflush(stderr);
}

void progress_end(struct progress *p)
{
    if (p->visible)
        fputs("\r\033[K", stderr);
    p->visible = false;
}
