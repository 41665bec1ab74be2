/* SPDX-License-Identifier: MIT */
/* storehook.c - connects domains to the store when they start: maps the page, binds the port. */
#include "toolstack/vm/storehook.h"

#include <stdlib.h>

#include "runtime/pagetable.h"
#include "toolstack/store/server.h"
#include "toolstack/vm/vm.h"

struct page {
    struct list link;
    domid_t domid;
    void *ring;
};

static struct list pages = LIST_INIT(pages);

static int vm_start(void *arg, struct vm *vm)
{
    struct page *p = calloc(1, sizeof(*p));
    int rc = -XEN_ENOMEM;

    if (!p)
        return rc;
    p->domid = vm->domid;
    p->ring = map_foreign(vm->domid, &vm->store_mfn, 1, MAP_RW);
    if (!p->ring)
        goto free;
    rc = store_domain_connect(vm->domid, p->ring, vm->store_port);
    if (rc)
        goto unmap;
    list_push_front(&pages, &p->link);
    return 0;
unmap:
    unmap_foreign(p->ring, 1);
free:
    free(p);
    return rc;
}

static void vm_stop(void *arg, struct vm *vm)
{
    struct page *p;

    store_domain_disconnect(vm->domid);
    list_for_each(p, &pages, link) {
        if (p->domid != vm->domid)
            continue;
        unmap_foreign(p->ring, 1);
        list_remove(&p->link);
        free(p);
        return;
    }
}

void storehook_init(void)
{
    static struct vm_hook hook = { .start = vm_start, .stop = vm_stop };

    vm_hook_add(&hook);
}
