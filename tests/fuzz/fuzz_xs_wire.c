/* SPDX-License-Identifier: MIT */
/*
 * fuzz_xs_wire.c - whatever three domains send to the store, its counts hold: small quotas are
 * kept, answers are well-formed, nothing is left when the domains are gone.
 *
 * Input: commands of a byte that says who and what, a length, and bytes.
 */
/* LINK: toolstack/store/path.c toolstack/store/perm.c toolstack/store/tree.c */
/* LINK: toolstack/store/watch.c toolstack/store/txn.c toolstack/store/ops.c */
/* LINK: toolstack/store/wire.c toolstack/store/conn.c */
#include <string.h>

#include "tests/unit/store_check.h"
#include "toolstack/store/conn.h"

#define NR 3

static struct wire w;
static struct conn conn[NR];
static size_t left[NR]; /* bytes of the message that is being read; the header has been */

static void wake(struct conn *c)
{
}

static void check(void)
{
    struct client *c[NR];

    for (int i = 0; i < NR; i++) {
        c[i] = &conn[i].client;
        STORE_CHECK(c[i]->account->nodes <= w.store.quota.nodes);
        STORE_CHECK(conn[i].events <= CONN_EVENTS_MAX);
        STORE_CHECK(conn[i].event_bytes <= CONN_EVENT_BYTES + 4096 + 16);
    }
    store_check(&w.store, c, NR);
}

/* Takes out up to n bytes and looks at each header. */
static void drain(int i, size_t n)
{
    struct xsd_sockmsg m;
    char buf[256];

    while (n) {
        size_t got;

        if (left[i]) {
            got = conn_output(&conn[i], buf, MIN(MIN(left[i], sizeof(buf)), n));
            left[i] -= got;
        } else {
            got = conn_output(&conn[i], (char *)&m, sizeof(m));
            if (got) {
                STORE_CHECK(got == sizeof(m) && m.len <= XENSTORE_PAYLOAD_MAX);
                STORE_CHECK(m.type < XS_TYPE_COUNT);
                left[i] = m.len;
            }
        }
        if (!got)
            return;
        n -= MIN(got, n);
    }
}

static void feed(int i, const void *bytes, size_t len)
{
    size_t n = conn_input(&conn[i], bytes, len);

    STORE_CHECK(n == len || !conn_accepts(&conn[i]));
}

/* A message with a proper header, so that the fuzzer gets far; '|' stands for NUL. */
static void message(int i, uint8_t type, uint8_t tx, const uint8_t *bytes, size_t len)
{
    struct xsd_sockmsg m = { .type = type % 24, .tx_id = tx % 5, .len = (uint32_t)len };
    char body[256];

    if (conn[i].head_got)
        return; /* in the midst of a raw one */
    for (size_t at = 0; at < len; at++)
        body[at] = bytes[at] == '|' ? 0 : (char)bytes[at];
    drain(i, SIZE_MAX);
    feed(i, &m, sizeof(m));
    feed(i, body, len);
}

static void begin(void)
{
    char home[] = "/local/domain/1";
    struct client dom0;

    if (store_init(&w.store, 1234567))
        abort();
    w.store.quota = (struct store_quota){ 20, 4, 3, 3, 64, 8192 };
    if (client_init(&w.store, &dom0, 0, NULL))
        abort();
    for (int i = 0; i < NR; i++) {
        struct perm own = { .domid = (uint16_t)(i + 1), .access = PERM_NONE };

        home[14] = (char)('1' + i);
        ops_mkdir(&w.store, &dom0, NULL, home, 15);
        ops_set_perms(&w.store, &dom0, NULL, home, 15, &own, 1);
        if (conn_init(&conn[i], &w, (uint16_t)(i + 1), wake))
            abort();
        left[i] = 0;
    }
    client_close(&w.store, &dom0);
}

static void end(void)
{
    for (int i = 0; i < NR; i++)
        conn_close(&conn[i]);
    for (int i = 0; i < NR; i++)
        ops_domain_died(&w.store, (uint16_t)(i + 1));
    store_check(&w.store, NULL, 0);
    STORE_CHECK(w.store.tree.count == 3 && !w.store.watches.count);
    store_free(&w.store);
    for (int b = 0; b < PERM_BUCKETS; b++)
        STORE_CHECK(!w.store.tree.perms.account[b] && !w.store.tree.perms.list[b]);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    unsigned int commands = 0;

    begin();
    while (size >= 4) {
        int who = data[0] % NR;
        size_t len = MIN((size_t)data[3], size - 4);

        switch (data[0] / NR % 8) {
        default:
            message(who, data[1], data[2], data + 4, len);
            break;
        case 5:
            feed(who, data + 4, len);
            break;
        case 6:
            drain(who, (size_t)data[1] * data[2]);
            break;
        case 7:
            if (data[1] % 16 == 0) {
                conn_reset(&conn[who]);
                left[who] = 0;
            }
            break;
        }
        data += 4 + len;
        size -= 4 + len;
        if (++commands % 8 == 0)
            check();
    }
    check();
    end();
    return 0;
}
