/* SPDX-License-Identifier: MIT */
/*
 * The store against a model that is simple enough to be right: random operations of three clients,
 * inside and outside of transactions. A transaction that commits must be as if all of it had
 * happened at its end: its operations are done again on the model then, with the same answers.
 */
/* In a second round memory is short at random: what fails for that must have changed nothing. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "tests/unit/store_check.h"
#include "xenabi.h"

/* One allocation in so many fails; 0: none. */
static unsigned int scarce;
static unsigned int pick(unsigned int n);

static void *scarce_malloc(size_t n)
{
    return scarce && !pick(scarce) ? NULL : malloc(n);
}

static void *scarce_calloc(size_t n, size_t size)
{
    return scarce && !pick(scarce) ? NULL : calloc(n, size);
}

#define malloc scarce_malloc
#define calloc scarce_calloc
#include "toolstack/store/path.c"
#include "toolstack/store/perm.c"
#undef FIRST_BITS
#include "toolstack/store/tree.c"
#undef FIRST_BITS
#define grow watch_grow
#include "toolstack/store/watch.c"
#undef FIRST_BITS
#undef grow
#define grow txn_grow
#include "toolstack/store/txn.c"
#undef grow
#include "toolstack/store/ops.c"
#undef malloc
#undef calloc

#define CLIENTS 3
#define NAMES   3
#define DEPTH   3
#define NODES   40 /* 1 + 3 + 9 + 27: "/" is 0, children of i are 3i + 1 .. 3i + 3 */
#define LOG_MAX 64

/* ---- the model ---- */

struct mnode {
    bool exists;
    int value;
    unsigned int count;
    struct perm perm[3];
};

struct model {
    struct mnode n[NODES];
};

enum op { READ, WRITE, MKDIR, RM, LIST, GET_PERMS, SET_PERMS, OPS };

struct step {
    enum op op;
    int client, node, value;
    unsigned int count;
    struct perm perm[3];
    long answer; /* value, set of children, hash of permissions, or a negative error */
};

static int parent(int i)
{
    return i ? (i - 1) / NAMES : -1;
}

static unsigned int m_access(const struct mnode *n, int client)
{
    if (!client || n->perm[0].domid == client)
        return PERM_ALL;
    for (unsigned int i = 1; i < n->count; i++)
        if (n->perm[i].domid == client)
            return n->perm[i].access;
    return n->perm[0].access;
}

static long m_find(const struct model *m, int client, int i, unsigned int need)
{
    int up = i;

    if (m->n[i].exists)
        return (m_access(&m->n[i], client) & need) == need ? 0 : -XEN_EACCES;
    while (!m->n[up].exists)
        up = parent(up);
    return m_access(&m->n[up], client) & need ? -XEN_ENOENT : -XEN_EACCES;
}

static void m_create(struct model *m, int client, int i)
{
    if (m->n[i].exists)
        return;
    m_create(m, client, parent(i));
    m->n[i] = m->n[parent(i)];
    m->n[i].value = 0;
    if (client)
        m->n[i].perm[0].domid = (uint16_t)client;
}

static void m_remove(struct model *m, int i)
{
    m->n[i].exists = false;
    for (int c = NAMES * i + 1; c <= NAMES * i + NAMES && c < NODES; c++)
        m_remove(m, c);
}

static long perms_answer(const struct perm *p, unsigned int count)
{
    long h = count;

    for (unsigned int i = 0; i < count; i++)
        h = h * 31 + p[i].domid * 4 + p[i].access;
    return h;
}

static long m_list(const struct model *m, int i)
{
    long set = 0;

    for (int c = 0; c < NAMES && NAMES * i + 1 + c < NODES; c++)
        set |= (long)m->n[NAMES * i + 1 + c].exists << c;
    return set;
}

static long m_set_perms(struct model *m, const struct step *s)
{
    struct mnode *n = &m->n[s->node];
    long rc = m_find(m, s->client, s->node, PERM_WRITE | PERM_OWNER);

    if (rc)
        return rc;
    if (s->client && n->perm[0].domid != s->perm[0].domid)
        return -XEN_EPERM;
    if (!s->node && s->perm[0].domid)
        return -XEN_EINVAL;
    n->count = s->count;
    memcpy(n->perm, s->perm, sizeof(n->perm));
    return 0;
}

static long m_do(struct model *m, const struct step *s)
{
    struct mnode *n = &m->n[s->node];
    bool reads = s->op == READ || s->op == LIST || s->op == GET_PERMS;
    long rc = m_find(m, s->client, s->node, reads ? PERM_READ : PERM_WRITE);

    switch (s->op) {
    case READ:
        return rc ? rc : n->value;
    case LIST:
        return rc ? rc : m_list(m, s->node);
    case GET_PERMS:
        return rc ? rc : perms_answer(n->perm, n->count);
    case SET_PERMS:
        return m_set_perms(m, s);
    case RM:
        if (rc == -XEN_ENOENT)
            return m->n[parent(s->node)].exists ? 0 : rc;
        if (!rc && !s->node)
            return -XEN_EINVAL;
        if (!rc)
            m_remove(m, s->node);
        return rc;
    default:
        if (rc && rc != -XEN_ENOENT)
            return rc;
        m_create(m, s->client, s->node);
        if (s->op == WRITE)
            n->value = s->value;
        return 0;
    }
}

/* ---- the store ---- */

static struct store store;
static struct client client[CLIENTS];

static void event(struct client *c, struct watch *w, const char *path, size_t len)
{
}

static size_t node_name(int i, char *path)
{
    char names[DEPTH];
    int depth = 0;
    size_t len = 0;

    for (; i; i = parent(i))
        names[depth++] = (char)('a' + (i - 1) % NAMES);
    while (depth) {
        path[len++] = '/';
        path[len++] = names[--depth];
    }
    if (!len)
        path[len++] = '/';
    return len;
}

static void add_name(void *arg, const char *name, size_t len)
{
    long bit = 1L << (name[0] - 'a');

    assert_int_equal(len, 1);
    assert_false(*(long *)arg & bit); /* each once */
    *(long *)arg |= bit;
}

static long s_do(const struct step *s, struct txn *x)
{
    char path[16];
    size_t len = node_name(s->node, path);
    struct client *c = &client[s->client];
    const struct value *v = NULL;
    const struct perms *p = NULL;
    long set = 0;
    int rc;

    switch (s->op) {
    case READ:
        rc = ops_read(&store, c, x, path, len, &v);
        return rc ? rc : v ? *(const int *)v->bytes : 0;
    case LIST:
        rc = ops_directory(&store, c, x, path, len, add_name, &set, NULL);
        return rc ? rc : set;
    case GET_PERMS:
        rc = ops_get_perms(&store, c, x, path, len, &p);
        return rc ? rc : perms_answer(p->entry, p->count);
    case SET_PERMS:
        return ops_set_perms(&store, c, x, path, len, s->perm, s->count);
    case RM:
        return ops_rm(&store, c, x, path, len);
    case MKDIR:
        return ops_mkdir(&store, c, x, path, len);
    default:
        return ops_write(&store, c, x, path, len, &s->value, s->value ? sizeof(s->value) : 0);
    }
}

/* ---- random steps ---- */

static uint64_t rng;

static unsigned int pick(unsigned int n)
{
    rng ^= rng << 13;
    rng ^= rng >> 7;
    rng ^= rng << 17;
    return (unsigned int)(rng >> 20) % n;
}

static struct step random_step(int who)
{
    static const enum op often[] = { READ, WRITE, WRITE, MKDIR, RM, LIST, GET_PERMS, SET_PERMS };
    struct step s = { .op = often[pick(8)], .client = who, .node = (int)pick(NODES) };

    s.value = pick(4) ? (int)pick(1000) + 1 : 0;
    s.count = 1 + pick(3);
    for (unsigned int i = 0; i < s.count; i++)
        s.perm[i] = (struct perm){ .domid = (uint16_t)pick(CLIENTS), .access = (uint16_t)pick(4) };
    if (pick(3))
        s.perm[0].domid = (uint16_t)who;
    return s;
}

static void same(const struct model *m)
{
    for (int i = 0; i < NODES; i++) {
        struct step read = { .op = READ, .node = i }, list = { .op = LIST, .node = i };
        struct step perms = { .op = GET_PERMS, .node = i };

        assert_int_equal(m_do((struct model *)m, &read), s_do(&read, NULL));
        if (!m->n[i].exists)
            continue;
        assert_int_equal(m_do((struct model *)m, &list), s_do(&list, NULL));
        assert_int_equal(m_do((struct model *)m, &perms), s_do(&perms, NULL));
    }
}

static struct {
    struct txn *x;
    unsigned int steps;
    struct step log[LOG_MAX];
} open_txn[CLIENTS];

static unsigned int commits, conflicts, refused;

static void end_txn(struct model *m, int who)
{
    bool commit = pick(8) != 0;
    int rc = ops_txn_end(&store, open_txn[who].x, commit);

    open_txn[who].x = NULL;
    if (!commit)
        assert_int_equal(rc, 0);
    if (rc == -XEN_EAGAIN) {
        conflicts++;
        return;
    }
    assert_int_equal(rc, 0);
    if (!commit)
        return;
    for (unsigned int i = 0; i < open_txn[who].steps; i++)
        assert_int_equal(m_do(m, &open_txn[who].log[i]), open_txn[who].log[i].answer);
    commits++;
}

static void one_step(struct model *m)
{
    int who = (int)pick(CLIENTS);
    struct step s = random_step(who);

    if (open_txn[who].x && pick(3)) {
        if (open_txn[who].steps == LOG_MAX || !pick(10)) {
            end_txn(m, who);
            return;
        }
        s.answer = s_do(&s, open_txn[who].x);
        if (s.answer == -XEN_ENOMEM)
            return;
        open_txn[who].log[open_txn[who].steps++] = s;
    } else if (!open_txn[who].x && !pick(6)) {
        if (ops_txn_start(&store, &client[who], &open_txn[who].x))
            open_txn[who].x = NULL;
        open_txn[who].steps = 0;
    } else {
        s.answer = s_do(&s, NULL);
        if (s.answer == -XEN_ENOMEM)
            refused++;
        else
            assert_int_equal(s.answer, m_do(m, &s));
    }
}

static void run_seed(uint64_t seed, unsigned int steps, unsigned int short_of)
{
    struct client *all[CLIENTS];
    struct model m;

    rng = seed;
    memset(&m, 0, sizeof(m));
    m.n[0].exists = true;
    m.n[0].count = 1;
    memset(open_txn, 0, sizeof(open_txn));
    assert_int_equal(store_init(&store, seed), 0);
    for (int i = 0; i < CLIENTS; i++) {
        assert_int_equal(client_init(&store, &client[i], (uint16_t)i, event), 0);
        all[i] = &client[i];
    }
    for (unsigned int i = 0; i < steps; i++) {
        scarce = short_of;
        one_step(&m);
        scarce = 0;
        if (i % 64 == 0) {
            same(&m);
            store_check(&store, all, CLIENTS);
        }
    }
    for (int i = 0; i < CLIENTS; i++)
        client_close(&store, &client[i]);
    ops_domain_died(&store, 1);
    store_check(&store, NULL, 0);
    store_free(&store);
}

static void test_model(void **state)
{
    for (uint64_t seed = 1; seed <= 200; seed++)
        run_seed(seed * 0x9e3779b97f4a7c15UL, 1500, 0);
    assert_true(commits > 2000);
    assert_true(conflicts > 500);
    assert_int_equal(refused, 0);
}

static void test_no_memory(void **state)
{
    for (uint64_t seed = 1; seed <= 200; seed++)
        run_seed(seed * 0x9e3779b97f4a7c15UL, 1500, 2 + seed % 12);
    assert_true(refused > 5000);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_model), cmocka_unit_test(test_no_memory) };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
