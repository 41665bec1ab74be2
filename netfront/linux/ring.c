// SPDX-License-Identifier: MIT
/*
 * ring.c - both rings of include/sluice/netflip.h: when they are looked at, and what becomes of them when the backend goes, or the domain is
 * suspended. What moves through them: rx.c, tx.c.
 */
#include <xen/events.h>

#include "driver.h"

void vif_broken(struct vif *v, const char *what)
{
	if (!v->broken)
		netdev_err(v->net, "backend: %s; the interface stops\n", what);
	v->broken = true;
	netif_carrier_off(v->net);
}

static bool tx_came_back(const struct vif *v)
{
	const struct netflip_index *x = v->tx.index;

	return READ_ONCE(x->ref_prod) != v->tx_ref_cons || READ_ONCE(x->ext_prod) != v->tx_ext_cons || tx_is_due(v);
}

static void tx_poll(struct vif *v)
{
	struct netdev_queue *q = netdev_get_tx_queue(v->net, 0);

	__netif_tx_lock(q, smp_processor_id());
	tx_reap(v);
	if (!v->broken) {
		if (netif_tx_queue_stopped(q) && tx_has_room(v))
			netif_tx_wake_queue(q);
		tx_arm(v);
	}
	__netif_tx_unlock(q);
}

int vif_poll(struct napi_struct *napi, int budget)
{
	struct vif *v = container_of(napi, struct vif, napi);
	bool more;
	int done;

	if (!v->up || v->broken) {
		napi_complete_done(napi, 0);
		return 0;
	}
	done = rx_poll(v, budget);
	if (!v->broken)
		rx_post(v);
	if (!v->broken && tx_came_back(v))
		tx_poll(v);
	if (done >= budget || !napi_complete_done(napi, done))
		return done;
	/* Armed first, then looked at: what came in between is seen. */
	WRITE_ONCE(v->rx.index->slot_event, v->rx_cons + 1);
	smp_mb();
	more = READ_ONCE(v->rx.index->slot_prod) != v->rx_cons || tx_is_due(v);
	if (more && !v->broken)
		napi_schedule(napi);
	return done;
}

/* Events for nothing slow down those that follow. */
irqreturn_t vif_interrupt(int irq, void *arg)
{
	struct vif *v = arg;
	unsigned int flags = XEN_EOI_FLAG_SPURIOUS;

	if (v->broken)
		return IRQ_HANDLED;	/* no more of them */
	if (READ_ONCE(v->rx.index->slot_prod) != v->rx_cons || READ_ONCE(v->tx.index->ref_prod) != v->tx_ref_cons ||
	    READ_ONCE(v->tx.index->ext_prod) != v->tx_ext_cons || READ_ONCE(v->tx.index->slot_cons) != v->tx_cons)
		flags = 0;
	if (v->up)
		napi_schedule(&v->napi);
	xen_irq_lateeoi(irq, flags);
	return IRQ_HANDLED;
}

/* ------------------------------------------------------------------------------------------ */

void ring_start(struct vif *v)
{
	/* What an earlier backend has kept so long may be there now. */
	ring_stop(v);
	if (v->backend != v->dev->otherend_id)
		memset(v->stale, true, sizeof(v->stale));
	v->backend = v->dev->otherend_id;
	v->tx_prod = v->tx_sent = v->tx_cons = v->tx_ref_cons = v->tx_ext_cons = 0;
	v->rx_cons = v->rx_ref_prod = v->rx_ext_prod = 0;
	v->tx.index->slot_event = v->rx.index->slot_event = 1;
	v->tx.index->ref_event = v->tx.index->ext_event = NEVER;
	v->tx.index->cons_event = v->rx.index->cons_event = v->rx.index->ref_event = NEVER;
	rx_post(v);
}

void ring_stop(struct vif *v)
{
	pool_take_all(&v->tx_pool);
	tx_restart(v);
	pool_take_all(&v->pool);
	rx_restart(v);
}

void ring_suspend(struct vif *v)
{
	pool_hold(&v->tx_pool);
	pool_hold(&v->pool);
}

void ring_resume(struct vif *v, bool same)
{
	if (same) {
		pool_offer_held(&v->tx_pool, v->dev->otherend_id);
		pool_offer_held(&v->pool, v->dev->otherend_id);
		return;
	}
	pool_forget(&v->tx_pool);
	tx_restart(v);
	pool_forget(&v->pool);
	rx_restart(v);
	/* Another domain may have the number that the backend had. */
	memset(v->stale, true, sizeof(v->stale));
}
