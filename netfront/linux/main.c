// SPDX-License-Identifier: MIT
/*
 * main.c - a network device for stock Linux kernels on the flip channel (docs/flip.md).
 *
 * Drives a vif whose backend offers feature-sluice-flip; others are left to the kernel's own
 * xen-netfront. Load it first, or instead.
 */
#include <linux/delay.h>
#include <linux/etherdevice.h>
#include <linux/if_vlan.h>
#include <linux/ethtool.h>
#include <linux/module.h>
#include <linux/rtnetlink.h>
#include <linux/syscore_ops.h>
#include <asm/xen/page.h>
#include <xen/events.h>
#include <xen/page.h>
#include <xen/xen.h>

#include "driver.h"

#define HALF_ORDER	4		/* 9 pages of 16 */
#define BACKEND_WAIT_MS	10000

/* Rings ------------------------------------------------------------------------------------ */

static int half_init(struct vif *v, struct half *h, char *refs, size_t size)
{
	unsigned long at = __get_free_pages(GFP_KERNEL | __GFP_ZERO, HALF_ORDER);
	size_t n = 0;
	unsigned int i;
	int rc;

	if (!at)
		return -ENOMEM;
	h->index = (void *)at;
	h->slot = (void *)(at + PAGE_SIZE);
	for (i = 0; i < NETFLIP_PAGES; i++) {
		rc = gnttab_grant_foreign_access(v->dev->otherend_id, virt_to_gfn((void *)(at + i * PAGE_SIZE)), 0);
		if (rc < 0)
			return rc;
		h->ref[i] = rc;
		n += scnprintf(refs + n, size - n, i ? " %u" : "%u", h->ref[i]);
	}
	return 0;
}

/* False: the backend still maps some of them. They stay, until it has let go and this is tried again. */
static bool half_exit(struct half *h)
{
	unsigned int i, kept = 0;

	if (!h->index)
		return true;
	for (i = 0; i < NETFLIP_PAGES; i++) {
		if (h->ref[i] && !gnttab_try_end_foreign_access(h->ref[i]))
			kept++;
		else
			h->ref[i] = 0;
	}
	if (kept)
		return false;
	free_pages((unsigned long)h->index, HALF_ORDER);
	memset(h, 0, sizeof(*h));
	return true;
}

static void vif_disconnect(struct vif *v)
{
	if (!v->rings)
		return;
	v->rings = false;
	netif_carrier_off(v->net);
	netif_tx_lock_bh(v->net);
	v->up = false;
	netif_stop_queue(v->net);
	netif_tx_unlock_bh(v->net);
	if (v->irq) {
		unbind_from_irqhandler(v->irq, v);
		v->irq = 0;
	} else if (v->port) {
		xenbus_free_evtchn(v->dev, v->port);
	}
	v->port = 0;
	/* One that is disabled would be waited for for ever. */
	rtnl_lock();
	if (netif_running(v->net))
		napi_synchronize(&v->napi);
	rtnl_unlock();
	ring_stop(v);
	half_exit(&v->tx);
	half_exit(&v->rx);
}

static int vif_write_keys(struct vif *v, const char *tx_refs, const char *rx_refs)
{
	struct xenbus_transaction xt;
	const struct {
		const char *key;
		unsigned int value;
	} number[] = {
		{ "request-sluice-flip", NETFLIP_VERSION },
		{ "request-sluice-flip-extents", v->extents },
		{ "event-channel", v->port },
		{ "feature-sg", 1 },
		{ "feature-gso-tcpv4", 1 },
		{ "feature-gso-tcpv6", 1 },
		{ "feature-ipv6-csum-offload", 1 },
	};
	unsigned int i;
	int rc;

again:
	rc = xenbus_transaction_start(&xt);
	if (rc)
		return rc;
	rc = xenbus_printf(xt, v->dev->nodename, "flip-tx-refs", "%s", tx_refs);
	if (!rc)
		rc = xenbus_printf(xt, v->dev->nodename, "flip-rx-refs", "%s", rx_refs);
	for (i = 0; i < ARRAY_SIZE(number) && !rc; i++)
		rc = xenbus_printf(xt, v->dev->nodename, number[i].key, "%u", number[i].value);
	if (rc) {
		xenbus_transaction_end(xt, 1);
		return rc;
	}
	rc = xenbus_transaction_end(xt, 0);
	if (rc == -EAGAIN)
		goto again;
	return rc;
}

static int vif_connect(struct vif *v)
{
	char tx_refs[NETFLIP_PAGES * 11 + 1], rx_refs[NETFLIP_PAGES * 11 + 1];
	int rc;

	/* One that keeps rings gets no others, whatever states it goes through. */
	if (!half_exit(&v->tx) || !half_exit(&v->rx)) {
		net_err_ratelimited("%s: backend: still maps the rings of the last connection\n", v->net->name);
		return -EBUSY;
	}
	if (xenbus_read_unsigned(v->dev->otherend, "feature-sluice-flip", 0) < NETFLIP_VERSION) {
		net_err_ratelimited("%s: backend: has come back without flips\n", v->net->name);
		return -ENODEV;
	}
	v->rings = true;
	rc = half_init(v, &v->tx, tx_refs, sizeof(tx_refs));
	if (!rc)
		rc = half_init(v, &v->rx, rx_refs, sizeof(rx_refs));
	if (rc)
		goto fail;
	rc = xenbus_alloc_evtchn(v->dev, &v->port);
	if (rc)
		goto fail;
	rc = bind_evtchn_to_irqhandler_lateeoi(v->port, vif_interrupt, 0, v->net->name, v);
	if (rc < 0)
		goto fail;
	v->irq = rc;
	v->broken = false;
	v->extents = xenbus_read_unsigned(v->dev->otherend, "feature-sluice-flip-extents", 0) == 1;
	ring_start(v);
	rc = vif_write_keys(v, tx_refs, rx_refs);
	if (rc)
		goto fail;
	return xenbus_switch_state(v->dev, XenbusStateConnected);

fail:
	vif_disconnect(v);
	xenbus_dev_fatal(v->dev, rc, "connecting");
	return rc;
}

static void vif_come_up(struct vif *v)
{
	netif_tx_lock_bh(v->net);
	v->up = true;
	netif_tx_unlock_bh(v->net);
	netif_carrier_on(v->net);
	netif_wake_queue(v->net);
	napi_schedule(&v->napi);
}

/* Device ----------------------------------------------------------------------------------- */

static int vif_open(struct net_device *net)
{
	struct vif *v = netdev_priv(net);

	napi_enable(&v->napi);
	netif_start_queue(net);
	local_bh_disable();
	napi_schedule(&v->napi);
	local_bh_enable();
	return 0;
}

static int vif_stop(struct net_device *net)
{
	struct vif *v = netdev_priv(net);

	netif_stop_queue(net);
	napi_disable(&v->napi);
	return 0;
}

static const struct net_device_ops vif_netdev_ops = {
	.ndo_open = vif_open,
	.ndo_stop = vif_stop,
	.ndo_start_xmit = vif_xmit,
	.ndo_set_mac_address = eth_mac_addr,
	.ndo_validate_addr = eth_validate_addr,
};

static const char vif_stat_names[][ETH_GSTRING_LEN] = {
	"rx_pages_flipped", "rx_pages_copied", "rx_frames_lost", "tx_pages_flipped", "tx_pages_copied",
};

static int vif_sset_count(struct net_device *net, int set)
{
	return set == ETH_SS_STATS ? ARRAY_SIZE(vif_stat_names) : -EOPNOTSUPP;
}

static void vif_strings(struct net_device *net, u32 set, u8 *data)
{
	if (set == ETH_SS_STATS)
		memcpy(data, vif_stat_names, sizeof(vif_stat_names));
}

static void vif_stats(struct net_device *net, struct ethtool_stats *stats, u64 *data)
{
	const struct vif *v = netdev_priv(net);

	data[0] = v->rx_flipped;
	data[1] = v->rx_copied;
	data[2] = v->rx_lost;
	data[3] = v->tx_back - v->tx_copied;
	data[4] = v->tx_copied;
}

static const struct ethtool_ops vif_ethtool_ops = {
	.get_link = ethtool_op_get_link,
	.get_sset_count = vif_sset_count,
	.get_strings = vif_strings,
	.get_ethtool_stats = vif_stats,
};

static LIST_HEAD(vifs);		/* under the xenbus' probing */

static int read_mac(struct vif *v)
{
	char *text = xenbus_read(XBT_NIL, v->dev->nodename, "mac", NULL);
	u8 mac[ETH_ALEN];
	bool good;

	if (IS_ERR(text))
		return PTR_ERR(text);
	good = mac_pton(text, mac);
	kfree(text);
	if (!good)
		return -ENOENT;
	eth_hw_addr_set(v->net, mac);
	return 0;
}

static void vif_free(struct vif *v)
{
	ring_stop(v);
	pool_exit(&v->pool);
	pool_exit(&v->tx_pool);
	free_netdev(v->net);
}

/* The backend's features are there once it waits for us. */
static bool backend_flips(struct xenbus_device *dev)
{
	unsigned int waited;

	for (waited = 0; waited < BACKEND_WAIT_MS; waited += 10) {
		enum xenbus_state state = xenbus_read_driver_state(dev->otherend);

		if (state == XenbusStateInitWait || state == XenbusStateConnected)
			break;
		msleep(10);
	}
	return xenbus_read_unsigned(dev->otherend, "feature-sluice-flip", 0) >= NETFLIP_VERSION;
}

static int vif_probe(struct xenbus_device *dev, const struct xenbus_device_id *id)
{
	struct net_device *net;
	struct vif *v;
	int rc;

	if (!backend_flips(dev))
		return -ENODEV;
	net = alloc_etherdev(sizeof(*v));
	if (!net)
		return -ENOMEM;
	v = netdev_priv(net);
	v->net = net;
	v->dev = dev;
	rc = read_mac(v);
	if (!rc)
		rc = pool_init(&v->pool, RX_CHUNKS);
	if (!rc)
		rc = pool_init(&v->tx_pool, TX_CHUNKS);
	if (rc) {
		vif_free(v);
		xenbus_dev_fatal(dev, rc, "setting up");
		return rc;
	}
	ring_stop(v);
	net->netdev_ops = &vif_netdev_ops;
	net->ethtool_ops = &vif_ethtool_ops;
	net->features = NETIF_F_SG | NETIF_F_IP_CSUM | NETIF_F_IPV6_CSUM | NETIF_F_TSO | NETIF_F_TSO6 |
			NETIF_F_RXCSUM;
	net->hw_features = net->features;
	net->min_mtu = ETH_MIN_MTU;
	net->max_mtu = NETFLIP_FRAME_MAX - VLAN_ETH_HLEN;
	netif_set_tso_max_size(net, NETFLIP_FRAME_MAX);
	netif_napi_add(net, &v->napi, vif_poll);
	netif_carrier_off(net);
	SET_NETDEV_DEV(net, &dev->dev);
	dev_set_drvdata(&dev->dev, v);
	rc = register_netdev(net);
	if (rc) {
		netif_napi_del(&v->napi);
		vif_free(v);
		return rc;
	}
	list_add(&v->link, &vifs);
	xenbus_switch_state(dev, XenbusStateInitialising);
	return 0;
}

static void vif_remove(struct xenbus_device *dev)
{
	struct vif *v = dev_get_drvdata(&dev->dev);

	list_del(&v->link);
	vif_disconnect(v);		/* first: the carrier of a device that is gone must not change */
	unregister_netdev(v->net);
	netif_napi_del(&v->napi);
	vif_free(v);
}

static void vif_backend_changed(struct xenbus_device *dev, enum xenbus_state state)
{
	struct vif *v = dev_get_drvdata(&dev->dev);

	switch (state) {
	case XenbusStateInitWait:
		/* It has come back, or begins anew. */
		if (dev->state == XenbusStateConnected || dev->state == XenbusStateClosed) {
			vif_disconnect(v);
			xenbus_switch_state(dev, XenbusStateInitialising);
		}
		if (dev->state == XenbusStateInitialising)
			vif_connect(v);
		break;
	case XenbusStateConnected:
		if (dev->state == XenbusStateConnected && v->rings && !v->up)
			vif_come_up(v);
		break;
	case XenbusStateClosing:
	case XenbusStateClosed:
		vif_disconnect(v);
		xenbus_frontend_closed(dev);
		break;
	default:
		break;
	}
}

static int vif_resume(struct xenbus_device *dev)
{
	struct vif *v = dev_get_drvdata(&dev->dev);

	vif_disconnect(v);
	return 0;
}

/*
 * The domain is saved or moved, or that is given up: what must not be there then is a window, an offer, or a page table
 * entry of the grant table's. One that goes on elsewhere (vif_resume) has new backends and nothing of what it had granted.
 */
static int vifs_suspend(void)
{
	struct vif *v;

	list_for_each_entry(v, &vifs, link) {
		pool_suspend(&v->pool);
		pool_suspend(&v->tx_pool);
		ring_suspend(v);
	}
	grants_suspend();
	return 0;
}

static void vifs_resume(void)
{
	bool same = grants_resume();
	struct vif *v;

	list_for_each_entry(v, &vifs, link) {
		pool_resume(&v->pool);
		pool_resume(&v->tx_pool);
		if (!same)
			v->up = false;
		ring_resume(v, same);
	}
}

static struct syscore_ops vif_syscore_ops = {
	.suspend = vifs_suspend,
	.resume = vifs_resume,
};

static const struct xenbus_device_id vif_ids[] = { { "vif" }, { "" } };

static struct xenbus_driver vif_driver = {
	.name = "sluice-netfront",
	.ids = vif_ids,
	.probe = vif_probe,
	.remove = vif_remove,
	.resume = vif_resume,
	.otherend_changed = vif_backend_changed,
};

static int __init vif_init(void)
{
	int rc;

	if (!xen_domain() || !flips_available())
		return -ENODEV;
	rc = grants_init();
	if (rc)
		return rc;
	rc = xenbus_register_frontend(&vif_driver);
	if (rc)
		grants_exit();
	else
		register_syscore_ops(&vif_syscore_ops);
	return rc;
}
module_init(vif_init);

static void __exit vif_exit(void)
{
	unregister_syscore_ops(&vif_syscore_ops);
	xenbus_unregister_driver(&vif_driver);
	grants_exit();
}
module_exit(vif_exit);

MODULE_LICENSE("Dual MIT/GPL");
MODULE_DESCRIPTION("Network interfaces on Sluice hosts, with flipped pages");
MODULE_ALIAS("xen:vif");
