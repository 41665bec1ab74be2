/* SPDX-License-Identifier: MIT */
/*
 * suspend.h - for a mini guest that lets itself be suspended, and goes on where it was. It may not go on elsewhere: grants,
 * shared page and event channels are not made anew.
 */
#ifndef RUNTIME_SUSPEND_H
#define RUNTIME_SUSPEND_H

#include "lib/list.h"

/* Who has to do something around it, from the loop. The caller's memory, for good. */
struct suspend_user {
    struct list link;
    void (*suspend)(void *arg);         /* may be NULL */
    void (*resume)(void *arg);
    void *arg;
};

/* They suspend in the reverse order of their registration, and resume in order. */
void suspend_add(struct suspend_user *u);

/* Says that we can (control/feature-suspend), and does it when we are asked. After xenbus_init(); 0 or a negative error. */
int suspend_offer(void);

/* Now, asked or not; returns when the domain was resumed. */
void suspend_now(void);

#endif
