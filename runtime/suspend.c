/* SPDX-License-Identifier: MIT */
/* suspend.c - a mini guest is suspended and resumed where it is (see suspend.h). */
#include "runtime/suspend.h"
#include "lib/string.h"
#include "runtime/hypercall.h"
#include "runtime/log.h"
#include "runtime/loop.h"
#include "runtime/pagetable.h"
#include "runtime/start.h"
#include "runtime/xs.h"

#define REQUEST "control/shutdown"

static struct list users = LIST_INIT(users);
static struct xs_watch watch;
static struct work asked;

void suspend_add(struct suspend_user *u)
{
    list_push_back(&users, &u->link);
}

void suspend_now(void)
{
    struct sched_shutdown op = { .reason = SHUTDOWN_suspend };
    struct suspend_user *u;
    long rc;

    for (struct list *l = users.prev; l != &users; l = l->prev) {
        u = container_of(l, struct suspend_user, link);
        if (u->suspend)
            u->suspend(u->arg);
    }
    /* The third argument is where a toolstack that saves us finds the start_info. */
    rc = hypercall(__HYPERVISOR_sched_op, SCHEDOP_shutdown, (uint64_t)&op, virt_to_mfn(start_info).v, 0, 0);
    if (rc != 1)
        panic("suspend: resumed elsewhere (%ld), which is not possible", rc);
    list_for_each(u, &users, link) {
        if (u->resume)
            u->resume(u->arg);
    }
}

static void suspend_if_asked(struct work *w)
{
    char what[16];

    if (xs_read(XS_NO_TXN, REQUEST, what, sizeof(what)) < 0 || strcmp(what, "suspend") != 0)
        return;
    if (xs_write(XS_NO_TXN, REQUEST, "", 0) == 0)
        suspend_now();
}

static void request_changed(struct xs_watch *w, const char *path)
{
    work_queue(&asked);
}

int suspend_offer(void)
{
    int rc;

    work_init(&asked, suspend_if_asked);
    rc = xs_watch(&watch, REQUEST, request_changed);
    return rc ? rc : xs_write(XS_NO_TXN, "control/feature-suspend", "1", 1);
}
