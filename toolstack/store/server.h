/* SPDX-License-Identifier: MIT */
/*
 * server.h - the store that runs in dom0: domains behind rings, dom0's own parts behind
 * runtime/xs.h. One instance; everything runs from the loop.
 */
#ifndef STORE_SERVER_H
#define STORE_SERVER_H

#include "runtime/xs.h"
#include "xenabi.h"

/*
 * Makes the store with its first nodes (/tool, /local/domain), before anything else of this
 * header is used. seed: not known to guests. 0 or -XEN_ENOMEM.
 */
int store_start(uint64_t seed);

/* dom0's own access: give it to xs_set_provider(), with no context. Acts as domain 0. */
extern const struct xs_ops store_xs_ops;

/*
 * Serves a domain: ring is its store page, mapped and mapped until store_domain_disconnect();
 * the indexes in it are taken over as they are, so a restored domain goes on where it was.
 * remote is the port that the domain offers to us. Fires @introduceDomain.
 * 0, -XEN_EEXIST, -XEN_ENOMEM, or what binding the port returned.
 */
int store_domain_connect(domid_t domid, void *ring, evtchn_port_t remote);

/*
 * The domain is gone for good: its port is closed, the ring page not touched any more; watches,
 * transactions and the nodes that it owns go, permissions forget it, @releaseDomain fires.
 * Nodes that dom0 owns (the domain's directory, backends) are the toolstack's to remove.
 * Also right for a domain that was never connected.
 */
void store_domain_disconnect(domid_t domid);

/* The domain shut down (whatever the reason) but still exists: fires @releaseDomain. */
void store_domain_shutdown(domid_t domid);

/* It runs again (a save was cancelled): the next shutdown is news again. */
void store_domain_resumed(domid_t domid);

bool store_domain_is_connected(domid_t domid);

struct store_stats {
    unsigned int nodes, domains, watchpoints;
};

void store_get_stats(struct store_stats *s);
/* What one domain holds; false if it holds nothing. */
bool store_get_usage(domid_t domid, unsigned int *nodes, size_t *bytes);

#endif
