/* SPDX-License-Identifier: MIT */
/* test_netfrontlife.c - netfront's life: keys in the store, states in any order, backends that keep rings and pages, suspension. */
/* LINK: netfront/netfront.c netfront/flip.c netfront/fliptx.c netfront/fliprx.c netfront/flipext.c netfront/extent.c netfront/standard.c runtime/grant.c runtime/xs.c */
/* LINK: runtime/xbdev.c runtime/loglimit.c lib/rate.c runtime/loop.c runtime/cmdline.c lib/strlcpy.c */
/* LINK: tests/unit/fakes/front.c tests/unit/fakes/world.c tests/unit/fakes/netpeer.c */
#include "tests/unit/netfront_peer.h"

static void keys(void **unused)
{
    static const char *const names[] = { "feature-sluice-flip", "feature-split-event-channels" };
    static const char *const values[] = { "", "-1", "99999999999999999999999", "4294967296", "zwei",
                                          "0x", "1 2", "4294967295" };

    for (unsigned int k = 0; k < ARRAY_SIZE(names); k++) {
        for (unsigned int v = 0; v < ARRAY_SIZE(values); v++) {
            netpeer_close(p);
            netpeer_write(p, names[k], values[v]);
            assert_true(netpeer_connect(p));
            assert_true(netpeer_works(p));
        }
        netpeer_close(p);
        netpeer_remove(p, names[k]);
        assert_true(netpeer_connect(p));
        assert_true(netpeer_works(p));
    }
}

/* What the store says of a vif that cannot be: one line, and nothing is left. */
static void no_such_vif(void **unused)
{
    static const struct netfront_ops ops = { 0 };
    static const struct { const char *key, *value; } bad[] = {
        { "backend", NULL }, { "backend-id", NULL }, { "mac", NULL }, { "backend-id", "" },
        { "backend-id", "-1" }, { "backend-id", "32752" }, { "backend-id", "65536" },
        { "backend-id", "4294967296" }, { "backend-id", "dom" }, { "mac", "" }, { "mac", "00:16:3e" },
        { "mac", "00:16:3e:00:00:01:00:16:3e:00:00:01" }, { "backend", "long" },
    };
    unsigned int pages = front_pages(), grants = front_grants();
    char path[64], text[200];

    memset(text, 'x', sizeof(text));
    text[sizeof(text) - 1] = '\0';
    for (unsigned int i = 0; i < ARRAY_SIZE(bad); i++) {
        fake_write("device/vif/5/backend", "/local/domain/7/backend/vif/9/5");
        fake_write("device/vif/5/backend-id", "7");
        fake_write("device/vif/5/mac", "00:16:3e:00:00:01");
        snprintf(path, sizeof(path), "device/vif/5/%s", bad[i].key);
        if (bad[i].value)
            fake_write(path, strcmp(bad[i].value, "long") ? bad[i].value : text);
        else
            fake_remove(path);
        fake_log[0] = '\0';
        assert_null(netfront_open(5, 0, &ops, NULL));
        fake_run();
        assert_int_equal(lines("device/vif/5: "), 1);
        assert_int_equal(front_pages(), pages);
        assert_int_equal(front_grants(), grants);
    }
}

/* Any state after any other, at each step of a connection, with the rings mapped or not. */
static void any_state(void **unused)
{
    static const char *const states[] = { "0", "1", "2", "3", "4", "5", "6", "7", "8", "9", "-4", "",
                                          "4294967298", "closed", NULL };

    for (unsigned int step = 0; step < 3; step++) {
        for (unsigned int i = 0; i < ARRAY_SIZE(states); i++) {
            for (unsigned int k = 0; k < ARRAY_SIZE(states); k++) {
                netpeer_close(p);
                if (step)
                    netpeer_write(p, "state", "2");
                fake_run();
                if (step == 2)
                    assert_true(netpeer_come_up(p));
                netpeer_state_to(p, states[i]);
                netpeer_state_to(p, states[k]);
                assert_true(netpeer_pages_right(p));
            }
        }
    }
    assert_int_equal(lines("the backend is wrong"), 0);
}

/* One that closes, whatever we have seen of it, waits for us to close. */
static void closing_is_answered(void **unused)
{
    netpeer_close(p);
    assert_int_equal(netpeer_state(p), XenbusStateInitialising);
    netpeer_state_to(p, "5");
    assert_int_equal(netpeer_state(p), XenbusStateClosed);
    assert_true(netpeer_come_up(p));
    netfront_suspend(p->nf);
    netpeer_state_to(p, "5");
    netfront_resume(p->nf);
    fake_run();
    assert_int_equal(netpeer_state(p), XenbusStateClosed);
}

/* A backend that goes through its states but keeps what it mapped gets nothing more. */
static void rings_kept(void **unused)
{
    unsigned int pages = front_pages();

    for (unsigned int i = 0; i < 20; i++) {
        netpeer_write(p, "state", "6");
        fake_run();
        netpeer_write(p, "state", "2");
        fake_run();
    }
    assert_int_equal(front_pages(), pages);
    assert_int_equal(netpeer_state(p), XenbusStateInitialising);
    assert_int_equal(lines("still maps"), 1);
    netpeer_unmap(p);
    fake_advance(NS_PER_S);
    assert_int_equal(netpeer_state(p), XenbusStateConnected);
    netpeer_map(p);
    netpeer_write(p, "state", "4");
    fake_run();
    assert_true(netpeer_works(p));
}

/* Pages that it keeps are missing until it lets go, and no other. */
static void pages_kept(void **unused)
{
    unsigned int kept_pages = 0;

    for (unsigned int i = 0; i < NETFRONT_PAGES; i++) {
        if (p->nf->state[i] == PAGE_RX && kept_pages < 30) {
            front_map(p->nf->first_ref + i, true);
            kept_pages++;
        }
    }
    netpeer_unmap(p);
    netpeer_state_to(p, "6");
    assert_int_equal(netpeer_pages(p, PAGE_LOST), 30);
    assert_true(netpeer_come_up(p));
    assert_true(netpeer_works(p));
    assert_int_equal(netpeer_pages(p, PAGE_LOST), 30);
    for (unsigned int i = 0; i < NETFRONT_PAGES; i++) {
        if (p->nf->state[i] != PAGE_LOST)
            continue;
        front_map(p->nf->first_ref + i, false);
        /* Some it flips now: the offer was never taken back. */
        (void)(i % 2 && front_flip(p->nf->first_ref + i, 0x22));
    }
}

/* The driver lets go and comes again, with frames under way in both directions. */
static void suspended(void **unused)
{
    for (unsigned int i = 0; i < 5; i++) {
        for (unsigned int k = 0; k < 10; k++)
            assert_true(netpeer_send(p, 1));
        netfront_suspend(p->nf);
        assert_false(netfront_is_up(p->nf));
        assert_false(netpeer_send(p, 0));
        fake_run();
        netpeer_write(p, "state", "2");     /* nobody listens */
        fake_run();
        assert_false(netfront_is_up(p->nf));
        netfront_resume(p->nf);
        netpeer_unmap(p);
        fake_run();
        netpeer_write(p, "state", "5");
        fake_run();
        assert_true(netpeer_come_up(p));
        assert_true(netpeer_works(p));
    }
}

/* A flip on another CPU, at any moment while the grant is being taken back. */
static grant_ref_t flipping;
static bool enough;

static void *flips(void *unused)
{
    while (!load_acquire(&enough))
        (void)front_flip(flipping, 0);
    return NULL;
}

static void flip_while_ending(void **unused)
{
    struct netfront *nf = p->nf;
    int page = netfront_page_get(nf);
    uint64_t flipped = 0, copied = 0;
    pthread_t other;

    assert_true(page >= 0);
    flipping = nf->first_ref + (unsigned int)page;
    store_release(&enough, false);
    assert_int_equal(pthread_create(&other, NULL, flips, NULL), 0);
    for (unsigned int i = 0; i < 200000; i++) {
        page_offer(nf, (unsigned int)page, GTF_permit_access | SLUICE_GTF_flip, PAGE_TX);
        for (unsigned int k = i % 64; k; k--)
            __asm__ volatile("");
        assert_true(page_end(nf, (unsigned int)page, &flipped, &copied));
        assert_int_equal(nf->entry[page].flags, 0);
        assert_int_equal(nf->entry[page].frame, glue_frame(page_at(nf, (unsigned int)page)));
    }
    store_release(&enough, true);
    assert_int_equal(pthread_join(other, NULL), 0);
    assert_true(front_frames_right());
    assert_int_equal(flipped + copied, 200000);
    nf->state[page] = PAGE_USER;
    netfront_page_put(nf, (unsigned int)page);
}

int main(void)
{
#define F(f) cmocka_unit_test_setup_teardown(f, setup_flip, teardown)
#define S(f) cmocka_unit_test_setup_teardown(f, setup_standard, teardown)
#define E(f) cmocka_unit_test_setup_teardown(f, setup_extents, teardown)
    const struct CMUnitTest tests[] = {
        F(keys), S(keys), F(no_such_vif), F(any_state), S(any_state), F(closing_is_answered),
        S(closing_is_answered), F(rings_kept), S(rings_kept), F(pages_kept), S(pages_kept),
        F(suspended), S(suspended), F(flip_while_ending), E(any_state), E(rings_kept), E(suspended),
    };

    netpeer_init();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
