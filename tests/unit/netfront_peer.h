/* SPDX-License-Identifier: MIT */
/*
 * netfront_peer.h - netfront against a backend that lies: in its rings, in the store, in its states. Whatever it does, each
 * page has one place, nothing outside of the pages is touched, the vif goes down with one line that says why (or a
 * frame is lost), and a right backend can connect again. For tests of each of these.
 */
#ifndef NETFRONT_PEER_H
#define NETFRONT_PEER_H

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "tests/unit/fakes/netpeer.h"

static struct netpeer *p;           /* the one under test */

static inline int setup_flip(void **unused)
{
    p = netpeer_get(0);
    assert_true(netpeer_come_up(p));
    assert_true(netfront_flips(p->nf));
    fake_log[0] = '\0';
    return 0;
}

static inline int setup_extents(void **unused)
{
    p = netpeer_get(2);
    assert_true(netpeer_come_up(p));
    assert_true(netfront_flips(p->nf) && netfront_extents(p->nf));
    fake_log[0] = '\0';
    return 0;
}

static inline int setup_standard(void **unused)
{
    p = netpeer_get(1);
    assert_true(netpeer_come_up(p));
    assert_false(netfront_flips(p->nf));
    fake_log[0] = '\0';
    return 0;
}

/* Whatever a test did: a right backend gets a connection that works, and no page is missing. */
static inline int teardown(void **unused)
{
    netpeer_close(p);
    assert_true(netpeer_pages_right(p));
    assert_int_equal(netpeer_pages(p, PAGE_FREE), NETFRONT_PAGES);
    assert_int_equal(front_grants(), 0);
    assert_int_equal(front_pages(), NETPEER_PAGES);
    assert_int_equal(p->nf->nr_free_extents, extent_count(p->nf));
    assert_true(netpeer_come_up(p));
    assert_true(netpeer_works(p));
    netpeer_close(p);
    return 0;
}

static inline unsigned int lines(const char *what)
{
    unsigned int n = 0;

    for (const char *s = fake_log; (s = strstr(s, what)) != NULL; s++)
        n++;
    return n;
}

/* The vif is down, one line said why, and the pages are where they should be. */
static inline void expect_down(const char *why)
{
    netpeer_event(p);
    netpeer_event(p);
    assert_false(netfront_is_up(p->nf));
    assert_int_equal(lines("the backend is wrong"), 1);
    if (!strstr(fake_log, why))
        fail_msg("no \"%s\" in: %s", why, fake_log);
    assert_true(netpeer_pages_right(p));
    assert_int_equal(netpeer_state(p), XenbusStateClosed);
}

static inline void come_up_again(void)
{
    netpeer_close(p);
    assert_true(netpeer_come_up(p));
    fake_log[0] = '\0';
}

static inline void expect_lost(uint64_t lost)
{
    struct netfront_stats s;

    netpeer_event(p);
    netfront_get_stats(p->nf, &s);
    assert_int_equal(s.rx_lost, lost);
    assert_true(netfront_is_up(p->nf));
    assert_int_equal(lines("the backend is wrong"), 0);
    assert_true(netpeer_pages_right(p));
}

static inline uint64_t lost_now(void)
{
    struct netfront_stats s;

    netfront_get_stats(p->nf, &s);
    return s.rx_lost;
}

static const uint32_t steps[] = { NETFLIP_REFS + 1, 0x10000, 0x7fffffff, 0x80000000u, 0xffffffffu };

static inline void gso_nothing(struct netflip_head *h) { h->flags = NETFLIP_GSO_TCPV4; }
static inline void gso_both(struct netflip_head *h)
{
    h->flags = NETFLIP_GSO_TCPV4 | NETFLIP_GSO_TCPV6;
    h->gso_size = 1448;
}

#endif
