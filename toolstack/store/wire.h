/* SPDX-License-Identifier: MIT */
/*
 * wire.h - one message of the store's protocol (<xen/io/xs_wire.h>): parse, do, answer. Pure.
 */
#ifndef STORE_WIRE_H
#define STORE_WIRE_H

#include "toolstack/store/ops.h"
#include "xenabi.h"

/* What serves all connections. */
struct wire {
    struct store store;
    /* What only the acting side knows; all may be NULL. 0 or a negative error. */
    int (*introduce)(uint16_t domid, uint64_t gfn, uint32_t port);
    int (*release)(uint16_t domid);
    int (*resume)(uint16_t domid);
    bool (*is_introduced)(uint16_t domid);
    char reply[XENSTORE_PAYLOAD_MAX];
};

/*
 * Does what the request asks on behalf of c. payload has msg->len bytes (at most
 * XENSTORE_PAYLOAD_MAX). On return *msg is the header of the answer, whose msg->len bytes stand
 * in w->reply. Events that the request causes go through c->event meanwhile.
 */
void wire_handle(struct wire *w, struct client *c, struct xsd_sockmsg *msg, const char *payload);

/* Puts the answer "failed with this negative error" into w->reply. */
void wire_error(struct wire *w, struct xsd_sockmsg *msg, int rc);

#endif
