/* SPDX-License-Identifier: MIT */
/* replay.c - old console output made fit to be shown again (see replay.h). */
#include <string.h>
#include "toolstack/cli/replay.h"

#define ENQ 0x05
#define ESC 0x1b

/* What a byte more makes of the sequence that is held. */
enum verdict { GOES_ON, PASSES, QUESTION };

/* ESC [ parameters letter: n asks for status and cursor, c and x for what the terminal is, $p for modes. */
static enum verdict control_sequence(const struct replay *r)
{
    unsigned char last = (unsigned char)r->held[r->n - 1];

    if (last < 0x20 || last > 0x7e)
        return PASSES;              /* broken off */
    if (last < 0x40)
        return GOES_ON;
    if (last == 'n' || last == 'c' || last == 'x')
        return QUESTION;
    return last == 'p' && r->held[r->n - 2] == '$' ? QUESTION : PASSES;
}

/* ESC ] text BEL, or ESC ] text ESC \: with a '?' it asks for a colour or the like. */
static enum verdict system_command(const struct replay *r)
{
    char last = r->held[r->n - 1];

    if (last != '\a' && !(last == '\\' && r->held[r->n - 2] == ESC))
        return GOES_ON;
    return memchr(r->held, '?', r->n) ? QUESTION : PASSES;
}

static enum verdict judge(const struct replay *r)
{
    if (r->held[0] == ENQ)
        return QUESTION;
    if (r->held[0] != ESC)
        return PASSES;
    if (r->n == 1)
        return GOES_ON;
    if (r->held[1] == 'Z')
        return QUESTION;
    if (r->held[1] != '[' && r->held[1] != ']')
        return PASSES;
    if (r->n == 2)
        return GOES_ON;
    return r->held[1] == '[' ? control_sequence(r) : system_command(r);
}

size_t replay_end(struct replay *r, char *out)
{
    size_t n = r->n;

    memcpy(out, r->held, n);
    r->n = 0;
    return n;
}

size_t replay_filter(struct replay *r, const char *data, size_t len, char *out)
{
    size_t done = 0;

    for (size_t i = 0; i < len; i++) {
        enum verdict v;

        r->held[r->n++] = data[i];
        v = judge(r);
        if (v == QUESTION)
            r->n = 0;
        else if (v == PASSES || r->n == REPLAY_HELD)
            done += replay_end(r, out + done);
    }
    return done;
}
