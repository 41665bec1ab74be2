/* SPDX-License-Identifier: MIT */
/*
 * console.h - domains' consoles: output is kept, readable while the domain runs and after it died;
 * input goes in. One console per domain name: a restarted domain goes on in the same one.
 */
#ifndef VM_CONSOLE_H
#define VM_CONSOLE_H

#include "lib/list.h"

#define CONSOLE_KEEP    65536u      /* bytes of output kept for each name */
#define CONSOLE_DEAD    16u         /* consoles of ended domains kept at most; the oldest goes */

struct console;

/* Somebody who reads along. */
struct console_watch {
    struct list link;
    struct console *console;    /* NULL: it is not kept any more */
    /* Output came, or the domain ended. May queue work and nothing else. */
    void (*fn)(struct console_watch *w);
};

/* Registers itself for domains' start and end (vm_hook_add). 0 or a negative error. */
int consoles_init(void);

/* The console of the domain of that name, living or dead; NULL: never heard of. The result is good
 * until the caller returns to the loop. */
struct console *console_find(const char *name);

/* Copies kept output from position *pos (bytes since the start; one that is already overwritten
 * moves up to the oldest byte) and advances *pos. Returns the bytes copied. */
size_t console_read(struct console *c, uint64_t *pos, char *buf, size_t size);
/* The position after the last byte written so far. */
uint64_t console_end(const struct console *c);

void console_watch(struct console *c, struct console_watch *w);
/* Also when its console is gone. */
void console_unwatch(struct console_watch *w);
const char *console_name(const struct console *c);
/* Its domain lives. */
bool console_alive(const struct console *c);

/* Puts bytes where the domain reads its input. Returns how many fitted (a bounded queue in front
 * of its ring); 0 also for a dead domain. */
size_t console_input(struct console *c, const char *data, size_t len);

/* The domain called old has another name now: its console goes on under that, in place of a dead
 * one's. */
void console_rename(const char *old, const char *name);

/* fn sees all output as it comes in; one at most. For a copy of a console on a serial port. */
void console_set_mirror(void (*fn)(void *arg, const char *name, const char *data, size_t len),
                        void *arg);

#endif
