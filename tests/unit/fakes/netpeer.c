/* SPDX-License-Identifier: MIT */
/* netpeer.c - see netpeer.h. */
#include "tests/unit/fakes/netpeer.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct netpeer peers[3];
static volatile uint8_t sink;

/* The frontend's user ------------------------------------------------------------------------- */

/* Reads every byte that it is told of, and hands the pages back. */
static void receive(void *arg, const struct netfront_frame *f)
{
    struct netpeer *p = arg;
    unsigned int len = f->head_len;

    for (unsigned int i = 0; i < f->head_len; i++)
        sink ^= f->head[i];
    for (unsigned int i = 0; i < f->nr_frags; i++) {
        const struct netfront_frag *g = &f->frag[i];
        const uint8_t *at = (const uint8_t *)netfront_page_va(p->nf, g->page) + g->offset;

        if (!g->len || g->offset + g->len > (g->page < NETFRONT_PAGES ? 1 : NETFRONT_EXTENT_PAGES) * (int)PAGE_SIZE || p->nf->state[g->page] != PAGE_USER)
            abort();
        for (unsigned int k = 0; k < g->len; k++)
            sink ^= at[k];
        len += g->len;
    }
    if (f->head_len < 14 || f->head_len > NETFRONT_HEAD_MAX || len != f->len ||
        ((f->flags & (NETFRONT_GSO_TCPV4 | NETFRONT_GSO_TCPV6)) && !f->gso_size))
        abort();
    for (unsigned int i = 0; i < f->nr_frags; i++)
        netfront_page_put(p->nf, f->frag[i].page);
    p->last = *f;
    p->got++;
    if (p->on_receive)
        p->on_receive(p);
}

static void receive_burst(void *arg, const struct netfront_frame *f, unsigned int n)
{
    if (!n || n > NETFRONT_BURST)
        abort();
    for (unsigned int i = 0; i < n; i++)
        receive(arg, &f[i]);
}

unsigned int netpeer_send_burst(struct netpeer *p, unsigned int frames, unsigned int pages)
{
    static uint8_t head[NETFRONT_BURST][NETFRONT_HEAD_MAX];
    static struct netfront_frame f[NETFRONT_BURST];
    unsigned int ready, sent;

    for (unsigned int i = 0; i < frames; i++) {
        memset(&f[i], 0xff, sizeof(f[i]));
        f[i].head = head[i];
        f[i].sizes = 0;
        f[i].head_len = 66;
        f[i].len = (uint16_t)(66 + pages * 100);
        f[i].nr_frags = (uint8_t)pages;
        head[i][0] = (uint8_t)p->nr_sent++;
        for (unsigned int k = 0; k < pages; k++) {
            f[i].frag[k].offset = 8;
            f[i].frag[k].len = 100;
        }
    }
    ready = netfront_frames_get(p->nf, f, frames);
    for (unsigned int i = 0; i < ready * pages; i++)
        memset(netfront_page_va(p->nf, f[i / pages].frag[i % pages].page), 0x33, PAGE_SIZE);
    sent = netfront_send_burst(p->nf, f, ready);
    netfront_frames_put(p->nf, f + sent, ready - sent);
    p->nr_sent -= frames - sent;
    return sent;
}

bool netpeer_send(struct netpeer *p, unsigned int n)
{
    uint8_t head[NETFRONT_HEAD_MAX] = { 2 };
    struct netfront_frame f = { .head = head, .head_len = 66, .len = (uint16_t)(66 + n * 100),
                                .nr_frags = (uint8_t)n };

    for (unsigned int i = 0; i < n; i++) {
        int page = netfront_page_get(p->nf);

        if (page < 0) {
            while (i--)
                netfront_page_put(p->nf, f.frag[i].page);
            return false;
        }
        f.frag[i] = (struct netfront_frag){ (uint16_t)page, 8, 100 };
        memset(netfront_page_va(p->nf, (unsigned int)page), 0x33, PAGE_SIZE);
    }
    if (netfront_send(p->nf, &f))
        return true;
    for (unsigned int i = 0; i < n; i++)
        netfront_page_put(p->nf, f.frag[i].page);
    return false;
}

void netpeer_init(void)
{
    static const unsigned int flags[3] = { 0, NETFRONT_NO_FLIP, NETFRONT_BIG };
    static const struct netfront_ops ops[2] = { { .receive = receive, .receive_burst = receive_burst },
                                                { .receive = receive } };

    fake_world_reset();
    for (unsigned int i = 0; i < 3; i++) {
        struct netpeer *p = &peers[i];
        char path[80];

        snprintf(p->front, sizeof(p->front), "device/vif/%u", i);
        snprintf(p->back, sizeof(p->back), "/local/domain/7/backend/vif/9/%u", i);
        snprintf(path, sizeof(path), "%s/backend", p->front);
        fake_write(path, p->back);
        snprintf(path, sizeof(path), "%s/backend-id", p->front);
        fake_write(path, "7");
        snprintf(path, sizeof(path), "%s/mac", p->front);
        fake_write(path, "00:16:3e:00:00:01");
        netpeer_write(p, "state", "1");
        p->nf = netfront_open(i, flags[i], &ops[i % 2], p);
        if (!p->nf)
            abort();
    }
    fake_run();
}

struct netpeer *netpeer_get(unsigned int i)
{
    return &peers[i];
}

/* Store -------------------------------------------------------------------------------------- */

void netpeer_write(struct netpeer *p, const char *key, const char *value)
{
    char path[128];

    snprintf(path, sizeof(path), "%s/%s", p->back, key);
    fake_write(path, value);
}

void netpeer_remove(struct netpeer *p, const char *key)
{
    char path[128];

    snprintf(path, sizeof(path), "%s/%s", p->back, key);
    fake_remove(path);
}

void netpeer_state_to(struct netpeer *p, const char *state)
{
    if (state)
        netpeer_write(p, "state", state);
    else
        netpeer_remove(p, "state");
    fake_run();
}

static const char *front_key(struct netpeer *p, const char *key)
{
    char path[128];

    snprintf(path, sizeof(path), "%s/%s", p->front, key);
    return fake_read(path);
}

int netpeer_state(struct netpeer *p)
{
    return atoi(front_key(p, "state"));
}

/* Connecting ---------------------------------------------------------------------------------- */

static void *map_one(struct netpeer *p, unsigned int at, grant_ref_t ref)
{
    front_map(ref, true);
    p->mapped[at] = ref;
    return front_page(ref);
}

static void *map_half(struct netpeer *p, unsigned int half, const char *key)
{
    const char *s = front_key(p, key);
    void *first = NULL;

    for (unsigned int i = 0; i < NETFLIP_PAGES; i++) {
        void *va = map_one(p, half * NETFLIP_PAGES + i, (grant_ref_t)strtoul(s, (char **)&s, 10));

        first = i ? first : va;
    }
    return first;
}

void netpeer_map(struct netpeer *p)
{
    p->flips = atoi(front_key(p, "request-sluice-flip")) == 1;
    p->rx_ref_cons = p->tx_cons = p->rx_prod = p->ref_prod = p->rx_ext_cons = p->ext_prod = 0;
    p->stx_cons = p->stx_prod = p->srx_prod = 0;
    if (p->flips) {
        p->tx = map_half(p, 0, "flip-tx-refs");
        p->rx = map_half(p, 1, "flip-rx-refs");
        p->tx_slot = (void *)((uint8_t *)p->tx + PAGE_SIZE);
        p->rx_slot = (void *)((uint8_t *)p->rx + PAGE_SIZE);
    } else {
        p->stx = map_one(p, 0, (grant_ref_t)atoi(front_key(p, "tx-ring-ref")));
        p->srx = map_one(p, 1, (grant_ref_t)atoi(front_key(p, "rx-ring-ref")));
    }
}

void netpeer_unmap(struct netpeer *p)
{
    for (unsigned int i = 0; i < ARRAY_SIZE(p->mapped); i++) {
        if (p->mapped[i])
            front_map(p->mapped[i], false);
        p->mapped[i] = GRANT_NONE;
    }
}

bool netpeer_connect(struct netpeer *p)
{
    netpeer_state_to(p, "2");
    if (netpeer_state(p) != XenbusStateConnected)
        return false;
    netpeer_map(p);
    netpeer_state_to(p, "4");
    return netfront_is_up(p->nf);
}

bool netpeer_come_up(struct netpeer *p)
{
    netpeer_write(p, "feature-sluice-flip", "1");
    netpeer_write(p, "feature-sluice-flip-extents", "1");
    netpeer_write(p, "feature-split-event-channels", "1");
    return netpeer_connect(p);
}

void netpeer_close(struct netpeer *p)
{
    p->on_receive = NULL;
    netpeer_unmap(p);
    for (unsigned int i = 0; i < p->nf->nr_pages; i++)
        front_map(p->nf->first_ref + i, false);
    netpeer_state_to(p, "5");
    netpeer_state_to(p, "6");
    /* Whatever was kept is asked for again when a backend comes: one that comes and goes. */
    netpeer_state_to(p, "2");
    fake_advance(NS_PER_S);
    netpeer_state_to(p, "6");
}

/* Frames ------------------------------------------------------------------------------------- */

void netpeer_event(struct netpeer *p)
{
    fake_signal_port(p->nf->tx_port);
    fake_signal_port(p->nf->rx_port);
    fake_run();
}

void netpeer_push(struct netpeer *p)
{
    if (p->flips)
        store_release(&p->rx->slot_prod, p->rx_prod);
    else
        store_release(&p->srx->rsp_prod, p->srx_prod);
}

struct netflip_head *netpeer_head(struct netpeer *p, unsigned int inline_len, unsigned int len)
{
    struct netflip_head *h = &p->rx_slot[p->rx_prod++ % NETFLIP_SLOTS];

    memset(h, 0, sizeof(*h));
    h->inline_len = (uint8_t)inline_len;
    h->len = (uint16_t)(inline_len + len);
    return h;
}

struct netflip_frag *netpeer_frag(struct netflip_head *h)
{
    return (void *)(h->data + 72);      /* behind 66 bytes */
}

grant_ref_t netpeer_posted(struct netpeer *p)
{
    if (p->rx_ref_cons == p->rx->ref_prod)
        abort();
    return p->rx->ref[p->rx_ref_cons++ % NETFLIP_REFS];
}

grant_ref_t netpeer_sent(struct netpeer *p)
{
    if (p->tx_cons != p->tx->slot_prod)
        p->tx_cons++;
    store_release(&p->tx->slot_cons, p->tx_cons);
    return netpeer_frag(&p->tx_slot[(p->tx_cons - 1) % NETFLIP_SLOTS])->ref;
}

void netpeer_give_back(struct netpeer *p, grant_ref_t ref)
{
    p->tx->ref[p->ref_prod++ % NETFLIP_REFS] = ref;
    store_release(&p->tx->ref_prod, p->ref_prod);
}

grant_ref_t netpeer_posted_extent(struct netpeer *p)
{
    return p->rx_ext_cons == p->rx->ext_prod ? 0 : p->rx->ext[p->rx_ext_cons++ % NETFLIP_EXTENTS];
}

/* The first one last. */
bool netpeer_flip_extent(grant_ref_t ref, unsigned int n, uint8_t fill)
{
    while (n--)
        if (!front_flip(ref + n, fill))
            return false;
    return true;
}

void netpeer_give_extent(struct netpeer *p, grant_ref_t ref)
{
    p->tx->ext[p->ext_prod++ % NETFLIP_EXTENTS] = ref;
    store_release(&p->tx->ext_prod, p->ext_prod);
}

bool netpeer_send_extent(struct netpeer *p, unsigned int offset, unsigned int len)
{
    uint8_t head[NETFRONT_HEAD_MAX] = { 2 };
    struct netfront_frame f = { .head = head, .head_len = 66, .len = (uint16_t)(66 + len), .nr_frags = 1 };
    int page = netfront_extent_get(p->nf);

    if (page < 0)
        return false;
    f.frag[0] = (struct netfront_frag){ (uint32_t)page, (uint16_t)offset, (uint16_t)len };
    memset((uint8_t *)netfront_page_va(p->nf, (unsigned int)page) + offset, 0x33, len);
    if (netfront_send(p->nf, &f))
        return true;
    netfront_page_put(p->nf, (unsigned int)page);
    return false;
}

unsigned int netpeer_send_extents(struct netpeer *p, unsigned int n, unsigned int len)
{
    static uint8_t head[NETFRONT_HEAD_MAX] = { 2 };
    struct netfront_frame f[NETFRONT_BURST];
    unsigned int ready, sent;

    for (unsigned int i = 0; i < n; i++) {
        f[i] = (struct netfront_frame){ .head = head, .head_len = 66, .len = (uint16_t)(66 + len), .nr_frags = 1 };
        f[i].frag[0].len = (uint16_t)len;
    }
    ready = netfront_extents_get(p->nf, f, n);
    for (unsigned int i = 0; i < ready; i++)
        memset(netfront_page_va(p->nf, f[i].frag[0].page), 0x33, len);
    sent = netfront_send_burst(p->nf, f, ready);
    netfront_frames_put(p->nf, f + sent, ready - sent);
    return sent;
}

uint16_t netpeer_sent_id(struct netpeer *p)
{
    return p->stx->ring[p->stx_cons++ % 256].req.id;
}

void netpeer_answer(struct netpeer *p, uint16_t id, int status)
{
    p->stx->ring[p->stx_prod++ % 256].rsp = (struct netif_tx_response){ .id = id, .status = (int16_t)status };
    store_release(&p->stx->rsp_prod, p->stx_prod);
}

void netpeer_bring(struct netpeer *p, int id, int offset, int status, int flags)
{
    union netif_rx_sring_entry *e = &p->srx->ring[p->srx_prod % 256];

    e->rsp = (struct netif_rx_response){ .id = (uint16_t)(p->srx_prod++ % 256 + (unsigned int)id),
        .offset = (uint16_t)offset, .status = (int16_t)status, .flags = (uint16_t)flags };
}

void netpeer_extra(struct netpeer *p, const struct netif_extra_info *e)
{
    memcpy(&p->srx->ring[p->srx_prod++ % 256], e, sizeof(*e));
}

static bool works_flip(struct netpeer *p)
{
    struct netflip_head *h = netpeer_head(p, 66, 1400);
    grant_ref_t ref = netpeer_posted(p);

    h->nr_frags = 1;
    *netpeer_frag(h) = (struct netflip_frag){ ref, 0, 1400 };
    if (!front_flip(ref, 0x44))
        return false;
    netpeer_push(p);
    netpeer_event(p);
    if (!p->got || p->last.len != 1466 || !netpeer_send(p, 1))
        return false;
    netpeer_event(p);
    ref = netpeer_sent(p);
    if (!front_page(ref) || *((uint8_t *)front_page(ref) + 8) != 0x33)
        return false;
    netpeer_give_back(p, ref);
    netpeer_event(p);
    return !front_page(ref) || p->nf->state[ref - p->nf->first_ref] == PAGE_RX;
}

static bool works_standard(struct netpeer *p)
{
    uint8_t *page = front_page(p->nf->first_ref + p->nf->std.rx_page[p->srx_prod % 256]);
    uint16_t head, body;

    if (!page)
        return false;
    memset(page, 0x44, PAGE_SIZE);
    netpeer_bring(p, 0, 0, 1466, 0);
    netpeer_push(p);
    netpeer_event(p);
    if (!p->got || p->last.len != 1466 || !netpeer_send(p, 1))
        return false;
    netpeer_event(p);
    head = netpeer_sent_id(p);
    body = netpeer_sent_id(p);
    netpeer_answer(p, head, NETIF_RSP_OKAY);
    netpeer_answer(p, body, NETIF_RSP_OKAY);
    netpeer_event(p);
    return p->nf->std.nr_free_ids == 256;
}

bool netpeer_works(struct netpeer *p)
{
    p->got = 0;
    return (p->flips ? works_flip(p) : works_standard(p)) && netfront_is_up(p->nf) && p->got == 1 &&
           netpeer_pages_right(p);
}

/* Pages --------------------------------------------------------------------------------------- */

unsigned int netpeer_pages(struct netpeer *p, enum page_state s)
{
    unsigned int n = 0;

    for (unsigned int i = 0; i < NETFRONT_PAGES; i++)
        n += p->nf->state[i] == s;
    return n;
}

static bool extents_right(struct netpeer *p)
{
    const struct netfront *nf = p->nf;
    unsigned int nr_free = 0;

    for (unsigned int page = NETFRONT_PAGES; page < nf->nr_pages; page += NETFRONT_EXTENT_PAGES) {
        if (nf->state[page] == PAGE_USER)
            return false;
        nr_free += nf->state[page] == PAGE_FREE;
        for (unsigned int i = 0; nf->state[page] == PAGE_FREE && i < NETFRONT_EXTENT_PAGES; i++)
            if (nf->entry[page + i].flags || nf->entry[page + i].frame != glue_frame(page_at(nf, page + i)))
                return false;
    }
    for (unsigned int i = 0; i < nf->nr_free_extents; i++)
        if (!extent_known(nf, nf->free_extent[i]) || nf->state[nf->free_extent[i]] != PAGE_FREE)
            return false;
    return nr_free == nf->nr_free_extents;
}

bool netpeer_pages_right(struct netpeer *p)
{
    bool seen[NETFRONT_PAGES] = { false };

    for (unsigned int i = 0; i < p->nf->nr_free; i++) {
        unsigned int page = p->nf->free_page[i];

        if (page >= NETFRONT_PAGES || seen[page] || p->nf->state[page] != PAGE_FREE)
            return false;
        seen[page] = true;
    }
    for (unsigned int i = 0; i < NETFRONT_PAGES; i++) {
        bool ours = p->nf->state[i] == PAGE_FREE || p->nf->state[i] == PAGE_USER;

        if (ours && (p->nf->entry[i].flags || p->nf->entry[i].frame != glue_frame(page_at(p->nf, i))))
            return false;
    }
    return netpeer_pages(p, PAGE_FREE) == p->nf->nr_free && netpeer_pages(p, PAGE_USER) == 0 && extents_right(p);
}
