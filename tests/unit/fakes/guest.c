/* SPDX-License-Identifier: MIT */
/* guest.c - see guest.h. */
#include "tests/unit/fakes/guest.h"
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "runtime/hypercall.h"
#include "runtime/log.h"
#include "runtime/loop.h"
#include "runtime/mem.h"
#include "runtime/pagetable.h"
#include "runtime/time.h"

#define GRANTS 4096
#define PORTS  64
#define NODES  512

static struct grant { domid_t dom; grant_ref_t ref; uint8_t *page; bool readonly, offered, takes; unsigned int maps; }
    grants[GRANTS];
static struct channel { domid_t dom; evtchn_port_t remote; event_fn fn; void *arg;
                        unsigned int signals; bool pending; } channels[PORTS];
static struct node { char path[128], value[512]; } nodes[NODES];
static struct list watches = LIST_INIT(watches);
/* What watches have to hear, in order; a watch that goes takes its own away. */
static struct { struct xs_watch *watch; char path[128]; } news[4096];
static unsigned int nr_news;
static uint64_t clock_ns = 1000000000;
static unsigned int nr_mapped[16];

unsigned long fake_copies, fake_copy_calls, fake_flipped, fake_flip_calls, fake_transferred;
bool fake_flips = true, fake_flips_busy;
unsigned int fake_pinned;
char fake_log[4096];

/* Grants ------------------------------------------------------------------------------------ */

static struct grant *find_grant(domid_t dom, grant_ref_t ref)
{
    struct grant *g = &grants[(dom * 1024u + ref) % GRANTS];

    return g->page && g->dom == dom && g->ref == ref ? g : NULL;
}

void fake_grant(domid_t dom, grant_ref_t ref, void *page, bool readonly)
{
    grants[(dom * 1024u + ref) % GRANTS] =
        (struct grant){ .dom = dom, .ref = ref, .page = page, .readonly = readonly };
}

void fake_offer(domid_t dom, grant_ref_t ref, void *page)
{
    fake_grant(dom, ref, page, false);
    find_grant(dom, ref)->offered = true;
}

void fake_accept(domid_t dom, grant_ref_t ref, void *page)
{
    fake_grant(dom, ref, page, true);
    find_grant(dom, ref)->takes = true;
}

bool fake_is_granted(domid_t dom, grant_ref_t ref)
{
    return find_grant(dom, ref) != NULL;
}

unsigned int fake_mapped(domid_t dom)
{
    return nr_mapped[dom];
}

int grant_map(domid_t dom, const grant_ref_t *refs, uint32_t n, unsigned int flags,
              struct grant_mapping *m)
{
    struct grant *g = n ? find_grant(dom, refs[0]) : NULL;

    /* Several pages must lie next to each other: nothing is mapped here. */
    for (uint32_t i = 1; g && i < n; i++) {
        struct grant *other = find_grant(dom, refs[i]);

        if (!other || other->page != g->page + i * PAGE_SIZE)
            return -XEN_EINVAL;
    }
    if (!g)
        return -XEN_EINVAL;
    *m = (struct grant_mapping){ .va = g->page, .n = n };
    m->one = dom;
    nr_mapped[dom] += n;
    return 0;
}

void grant_unmap(struct grant_mapping *m)
{
    if (m->va)
        nr_mapped[m->one] -= m->n;
    m->va = NULL;
}

void grant_pin(struct grant_pin *ops, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++) {
        struct grant *g = find_grant(ops[i].dom, ops[i].ref);
        bool ok = g && (!g->readonly || (ops[i].flags & GRANT_READONLY));

        ops[i].handle = ok ? ops[i].ref : GRANT_UNPINNED;
        ops[i].maddr = ok ? (paddr_t)g->page : 0;
        fake_pinned += ok;
    }
}

void grant_unpin(const struct grant_pin *ops, uint32_t n)
{
    fake_pinned -= n;
}

void grant_copy_own(struct gnttab_copy_ptr *side, const void *p)
{
    side->domid = DOMID_SELF;
    side->u.gmfn = (uint64_t)p & PAGE_MASK;
    side->offset = (uint16_t)((uint64_t)p & (PAGE_SIZE - 1));
}

static uint8_t *side_of(const struct gnttab_copy_ptr *s, unsigned int len, bool gref, bool write)
{
    struct grant *g;

    if (s->offset + len > PAGE_SIZE || len == 0)
        return NULL;
    if (!gref) {
        if (s->domid != DOMID_SELF)
            abort();
        return (uint8_t *)s->u.gmfn + s->offset;
    }
    g = find_grant(s->domid, s->u.ref);
    return g && !(write && g->readonly) ? g->page + s->offset : NULL;
}

uint32_t grant_copy(struct gnttab_copy *ops, uint32_t n)
{
    uint32_t failed = 0;

    fake_copy_calls++;
    fake_copies += n;
    for (uint32_t i = 0; i < n; i++) {
        struct gnttab_copy *op = &ops[i];
        uint8_t *from = side_of(&op->source, op->len, op->flags & GNTCOPY_source_gref, false);
        uint8_t *to = side_of(&op->dest, op->len, op->flags & GNTCOPY_dest_gref, true);

        op->status = from && to ? GNTST_okay : GNTST_bad_gntref;
        if (from && to)
            memmove(to, from, op->len);
        else
            failed++;
    }
    return failed;
}

/* Events ------------------------------------------------------------------------------------ */

static struct channel *find_channel(domid_t dom, evtchn_port_t remote)
{
    for (unsigned int i = 1; i < PORTS; i++) {
        if (channels[i].fn && channels[i].dom == dom && channels[i].remote == remote)
            return &channels[i];
    }
    return NULL;
}

int event_bind_interdomain(domid_t dom, evtchn_port_t remote, event_fn fn, void *arg,
                           evtchn_port_t *port)
{
    for (unsigned int i = 1; i < PORTS; i++) {
        if (channels[i].fn)
            continue;
        channels[i] = (struct channel){ .dom = dom, .remote = remote, .fn = fn, .arg = arg };
        *port = i;
        return 0;
    }
    return -XEN_ENOSPC;
}

void event_close(evtchn_port_t port)
{
    channels[port].fn = NULL;
}

void event_send(evtchn_port_t port)
{
    channels[port].signals++;
}

void fake_signal(domid_t dom, evtchn_port_t port)
{
    struct channel *c = find_channel(dom, port);

    if (c)
        c->pending = true;
}

unsigned int fake_signalled(domid_t dom, evtchn_port_t port)
{
    struct channel *c = find_channel(dom, port);
    unsigned int n = c ? c->signals : 0;

    if (c)
        c->signals = 0;
    return n;
}

unsigned int fake_bound(void)
{
    unsigned int n = 0;

    for (unsigned int i = 1; i < PORTS; i++)
        n += channels[i].fn != NULL;
    return n;
}

bool event_poll(void)
{
    bool any = false;

    for (unsigned int i = 1; i < PORTS; i++) {
        if (!channels[i].fn || !channels[i].pending)
            continue;
        channels[i].pending = false;
        channels[i].fn(channels[i].arg);
        any = true;
    }
    return any;
}

bool event_any_pending(void)
{
    return false;
}

int event_bind_virq(unsigned int virq, event_fn fn, void *arg, evtchn_port_t *port)
{
    return -XEN_ENOSYS;
}

/* Store ------------------------------------------------------------------------------------- */

static struct node *find_node(const char *path)
{
    for (unsigned int i = 0; i < NODES; i++) {
        if (nodes[i].path[0] && strcmp(nodes[i].path, path) == 0)
            return &nodes[i];
    }
    return NULL;
}

static bool is_below(const char *path, const char *top)
{
    size_t n = strlen(top);

    return strncmp(path, top, n) == 0 && (!path[n] || path[n] == '/');
}

static void add_news(struct xs_watch *w, const char *path)
{
    if (nr_news == ARRAY_SIZE(news))
        abort();
    news[nr_news].watch = w;
    snprintf(news[nr_news++].path, sizeof(news[0].path), "%s", path);
}

static void changed(const char *path)
{
    struct xs_watch *w;

    list_for_each(w, &watches, link) {
        if (is_below(path, w->path) || is_below(w->path, path))
            add_news(w, path);
    }
}

static void deliver_news(void)
{
    for (unsigned int i = 0; i < nr_news; i++) {
        if (news[i].watch)
            news[i].watch->fn(news[i].watch, news[i].path);
    }
    nr_news = 0;
}

void fake_write(const char *path, const char *value)
{
    struct node *n = find_node(path);

    for (unsigned int i = 0; !n && i < NODES; i++) {
        if (!nodes[i].path[0])
            n = &nodes[i];
    }
    if (!n)
        abort();
    snprintf(n->path, sizeof(n->path), "%s", path);
    snprintf(n->value, sizeof(n->value), "%s", value);
    changed(path);
}

const char *fake_read(const char *path)
{
    struct node *n = find_node(path);

    return n ? n->value : "";
}

void fake_remove(const char *path)
{
    for (unsigned int i = 0; i < NODES; i++) {
        if (nodes[i].path[0] && is_below(nodes[i].path, path))
            nodes[i].path[0] = '\0';
    }
    changed(path);
}

static int store_read(void *ctx, xs_txn t, const char *path, char *buf, size_t size)
{
    struct node *n = find_node(path);

    if (!n)
        return -XEN_ENOENT;
    snprintf(buf, size, "%s", n->value);
    return (int)strlen(n->value);
}

static int store_write(void *ctx, xs_txn t, const char *path, const void *value, size_t len)
{
    char text[512];

    memcpy(text, value, len);
    text[len] = '\0';
    fake_write(path, text);
    return 0;
}

static int store_directory(void *ctx, xs_txn t, const char *path, char *buf, size_t size)
{
    size_t n = strlen(path), used = 0;

    for (unsigned int i = 0; i < NODES; i++) {
        const char *name = nodes[i].path + n + 1;
        size_t len;
        bool known = false;

        if (!nodes[i].path[0] || !is_below(nodes[i].path, path) || !nodes[i].path[n])
            continue;
        len = strcspn(name, "/");
        for (size_t at = 0; at < used; at += strlen(buf + at) + 1)
            known = known || (strlen(buf + at) == len && !memcmp(buf + at, name, len));
        if (known || used + len + 1 > size)
            continue;
        memcpy(buf + used, name, len);
        buf[used + len] = '\0';
        used += len + 1;
    }
    return used ? (int)used : -XEN_ENOENT;
}

static int store_watch(void *ctx, struct xs_watch *w)
{
    list_push_back(&watches, &w->link);
    add_news(w, w->path);
    return 0;
}

static void store_unwatch(void *ctx, struct xs_watch *w)
{
    list_remove(&w->link);
    for (unsigned int i = 0; i < nr_news; i++) {
        if (news[i].watch == w)
            news[i].watch = NULL;
    }
}

static const struct xs_ops store_ops = { .read = store_read, .write = store_write,
    .directory = store_directory, .watch = store_watch, .unwatch = store_unwatch };

/* The rest ---------------------------------------------------------------------------------- */

uint64_t now_ns(void)
{
    return clock_ns;
}

uint32_t random_u32(void)
{
    return 4711;
}

void log_at(enum log_level level, const char *fmt, ...)
{
    va_list ap;

    size_t used = strlen(fake_log);

    va_start(ap, fmt);
    vsnprintf(fake_log + used, sizeof(fake_log) - used, fmt, ap);
    va_end(ap);
}

void panic(const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    vfprintf(stderr, fmt, ap);
    va_end(ap);
    abort();
}

/* 0: netback asks each time. */
mfn_t virt_to_mfn(const void *p)
{
    return mfn(0);
}

pfn_t virt_to_pfn(const void *p)
{
    return pfn((uint64_t)p >> PAGE_SHIFT);
}

mfn_t pfn_to_mfn(pfn_t n)
{
    return mfn(n.v);
}

int p2m_replace(pfn_t n, mfn_t m)
{
    return 0;
}

paddr_t virt_to_maddr(const void *p)
{
    return (paddr_t)p;
}

void *page_alloc(void)
{
    return aligned_alloc(PAGE_SIZE, PAGE_SIZE);
}

void *page_alloc_zeroed(void)
{
    void *p = page_alloc();

    return memset(p, 0, PAGE_SIZE);
}

void page_free(void *p)
{
    free(p);
}

void fake_reset(void)
{
    fake_log[0] = '\0';
    memset(grants, 0, sizeof(grants));
    memset(channels, 0, sizeof(channels));
    memset(nodes, 0, sizeof(nodes));
    memset(nr_mapped, 0, sizeof(nr_mapped));
    list_init(&watches);
    nr_news = 0;
    xs_set_provider(&store_ops, NULL);
}

/* Turns until surely nothing changes any more. */
void fake_run(void)
{
    deliver_news();
    for (unsigned int i = 0; i < 40; i++)
        loop_turn(false);
    deliver_news();
}

void fake_advance(uint64_t ns)
{
    clock_ns += ns;
    fake_run();
}

/* Frames change places: here, what is in the pages does. */
static int16_t flip(const struct sluice_flip_op *op)
{
    struct grant *from = find_grant(op->from_dom, op->from_ref);
    struct grant *to = find_grant(op->to_dom, op->to_ref);
    uint8_t tmp[4096];

    if (from == to)
        return SLUICE_FLIP_bad_op;
    if (!from)
        return SLUICE_FLIP_from_gone;
    if (!to)
        return SLUICE_FLIP_to_gone;
    if (!from->offered || fake_flips_busy)
        return SLUICE_FLIP_from_busy;
    if (!to->offered)
        return SLUICE_FLIP_to_busy;
    memcpy(tmp, from->page, sizeof(tmp));
    memcpy(from->page, to->page, sizeof(tmp));
    memcpy(to->page, tmp, sizeof(tmp));
    from->page = to->page = NULL;
    fake_flipped++;
    return SLUICE_FLIP_okay;
}

/* A page is given away: its contents go to what the guest has at that reference, once. */
static void transfer(struct gnttab_transfer *op)
{
    struct grant *g = find_grant(op->domid, op->ref);

    op->status = g && g->takes ? GNTST_okay : GNTST_bad_page;
    if (op->status != GNTST_okay)
        return;
    memcpy(g->page, (void *)(op->mfn << PAGE_SHIFT), 4096);
    g->takes = false;
    fake_transferred++;
}

long hypercall(unsigned int nr, uint64_t a1, uint64_t a2, uint64_t a3, uint64_t a4, uint64_t a5)
{
    struct sluice_flip_op *op = (void *)a2;

    if (nr == __HYPERVISOR_grant_table_op && a1 == GNTTABOP_transfer) {
        for (uint64_t i = 0; i < a3; i++)
            transfer((struct gnttab_transfer *)a2 + i);
        return 0;
    }
    if (nr == __HYPERVISOR_memory_op && a1 == XENMEM_populate_physmap)
        return (long)((struct xen_memory_reservation *)a2)->nr_extents;
    if (nr != __HYPERVISOR_sluice_flip)
        return 0;               /* the run loop's: nothing ever blocks here */
    if (!fake_flips)
        return -XEN_ENOSYS;
    if (a1 == SLUICE_FLIP_query) {
        *(struct sluice_flip_query *)a2 = (struct sluice_flip_query){ .version = 1 };
        return 0;
    }
    if (a1 != SLUICE_FLIP_exchange)
        return -XEN_ENOSYS;
    fake_flip_calls++;
    for (uint64_t i = 0; i < a3; i++)
        op[i].status = flip(&op[i]);
    return 0;
}
