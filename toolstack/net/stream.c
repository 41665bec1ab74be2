/* SPDX-License-Identifier: MIT */
/*
 * stream.c - runtime/stream.h over lwIP's raw TCP.
 *
 * lwIP's callbacks only note what happened and queue the stream's work item; the owner's
 * callbacks run from there, outside of lwIP, so they may close, abort or write as they like.
 */
#include "runtime/stream.h"
#include "lib/string.h"
#include "runtime/log.h"
#include "runtime/loop.h"
#include "runtime/mem.h"
#include "toolstack/net/internal.h"
#include "toolstack/net/net.h"
#include "xenabi.h"
#include "lwip/dns.h"
#include "lwip/priv/tcp_priv.h"
#include "lwip/tcp.h"

#define STREAMS_MAX 256u        /* connections at one time, both directions */
#define ACCEPTED_MAX 128u       /* of them from others: they leave room for those of our own */

typedef int (*accept_fn)(void *arg, struct stream *s, struct stream_addr peer);

struct listener {
    accept_fn accept;
    void *arg;
    struct tcp_pcb *pcb;
};

struct tcp_stream {
    struct stream base;
    struct tcp_pcb *pcb;        /* NULL: lwIP has freed it (error) */
    const struct stream_events *ev;
    void *arg;
    struct listener *listener;  /* accepted, owner not told yet */
    struct pbuf *unread;        /* received and not taken: a chain (its tot_len means nothing) */
    struct pbuf *unread_last;
    size_t unread_bytes;        /* may be a whole window: more than fits into tot_len */
    struct work work;
    int error;                  /* why pcb is NULL */
    bool connecting, connected; /* connect in progress; done, owner not told yet */
    bool stopped;               /* owner did not take all: wait for resume */
    bool got_fin, fin_told;
    bool want_room, room;       /* a write was cut; acknowledgements came since */
    size_t acked;               /* bytes, of which the owner was not told yet */
    bool accepted;              /* counts in nr_accepted */
    bool mute;                  /* counts in nr_mute: nothing leaves any more */
    bool in_work, gone;         /* gone: free it when its work returns */
};

static unsigned int nr_streams, nr_accepted, nr_mute;

static const struct stream_ops ops;

static int error_of(err_t e)
{
    switch (e) {
    case ERR_OK:
        return 0;
    case ERR_MEM:
    case ERR_BUF:
        return -XEN_ENOMEM;
    case ERR_RTE:
        return -XEN_EHOSTUNREACH;
    case ERR_RST:
        return -XEN_ECONNRESET;
    case ERR_ABRT:
    case ERR_TIMEOUT:
        return -XEN_ETIMEDOUT;
    case ERR_USE:
        return -XEN_EADDRINUSE;
    case ERR_CLSD:
    case ERR_CONN:
        return -XEN_ENOTCONN;
    default:
        return -XEN_EIO;
    }
}

static struct tcp_stream *of(struct stream *s)
{
    return container_of(s, struct tcp_stream, base);
}

/* Ends of life. */

static void detach(struct tcp_stream *s)
{
    if (!s->pcb)
        return;
    tcp_arg(s->pcb, NULL);
    tcp_recv(s->pcb, NULL);
    tcp_sent(s->pcb, NULL);
    tcp_err(s->pcb, NULL);
}

/* Takes n bytes off what was received and opens the window by as many. */
static void consume(struct tcp_stream *s, size_t n)
{
    s->unread_bytes -= n;
    while (n) {
        u16_t k = (u16_t)MIN(n, (size_t)0xffff);

        if (s->pcb)
            bigseg_recved(s->pcb, k);
        s->unread = pbuf_free_header(s->unread, k);
        n -= k;
    }
}

static void drop_unread(struct tcp_stream *s)
{
    consume(s, s->unread_bytes);
    if (s->unread)
        pbuf_free(s->unread);       /* buffers of length 0 may be left */
    s->unread = NULL;
}

static void release(struct tcp_stream *s)
{
    work_cancel(&s->work);
    if (s->in_work) {
        s->gone = true;
        return;
    }
    nr_streams--;
    nr_accepted -= s->accepted;
    nr_mute -= s->mute;
    free(s);
}

static void stop(struct tcp_stream *s, bool abort)
{
    struct tcp_pcb *pcb;

    /* What was not read must count as read, or lwIP resets instead of finishing. */
    drop_unread(s);
    detach(s);
    pcb = s->pcb;
    s->pcb = NULL;
    if (pcb && (abort || tcp_close(pcb) != ERR_OK))
        tcp_abort(pcb);
    release(s);
}

static void op_close(struct stream *s)
{
    stop(of(s), false);
}

static void op_abort(struct stream *s)
{
    stop(of(s), true);
}

/* What lwIP tells. */

static err_t on_recv(void *arg, struct tcp_pcb *pcb, struct pbuf *p, err_t err)
{
    struct tcp_stream *s = arg;

    if (!p)
        s->got_fin = true;
    else if (s->unread)
        s->unread_last->next = p;
    else
        s->unread = p;
    for (; p; p = p->next) {
        s->unread_last = p;
        s->unread_bytes += p->len;
    }
    work_queue(&s->work);
    return ERR_OK;
}

static err_t on_sent(void *arg, struct tcp_pcb *pcb, u16_t n)
{
    struct tcp_stream *s = arg;

    if (s->want_room)
        s->room = true;
    if (s->ev && s->ev->acked)
        s->acked += n;
    if (s->room || s->acked)
        work_queue(&s->work);
    return ERR_OK;
}

static void on_error(void *arg, err_t err)
{
    struct tcp_stream *s = arg;

    s->pcb = NULL;
    s->error = error_of(err);
    work_queue(&s->work);
}

static err_t on_connected(void *arg, struct tcp_pcb *pcb, err_t err)
{
    struct tcp_stream *s = arg;

    s->connected = true;
    work_queue(&s->work);
    return ERR_OK;
}

/* What the owner is told, one step each; false: the stream is gone. */

static bool tell_start(struct tcp_stream *s)
{
    struct listener *l = s->listener;
    struct stream_addr peer;

    if (s->connected) {
        s->connected = s->connecting = false;
        s->ev->connected(s->arg, 0);
    } else if (l && s->pcb) {
        s->listener = NULL;
        peer = (struct stream_addr){ lwip_ntohl(s->pcb->remote_ip.addr), s->pcb->remote_port };
        if (l->accept(l->arg, &s->base, peer) || !s->ev) {
            if (!s->gone)
                stop(s, true);
        }
    }
    return !s->gone;
}

/* Buffers stay until all of this turn's were handed out. */
static bool tell_data(struct tcp_stream *s)
{
    size_t taken = 0;

    for (struct pbuf *p = s->unread; p && !s->stopped; p = p->next) {
        size_t n, len = p->len;

        if (!len)                   /* lwIP cuts what came twice and leaves the buffer */
            continue;
        s->stopped = true;          /* unless all is taken, or the owner resumes meanwhile */
        n = s->ev->received(s->arg, p->payload, len);
        if (s->gone)
            return false;
        taken += MIN(n, len);
        if (n < len)
            break;
        s->stopped = false;
    }
    if (taken && s->ev->received_all)
        s->ev->received_all(s->arg);
    if (s->gone)
        return false;
    consume(s, taken);
    while (s->unread && !s->unread->len) {
        struct pbuf *p = s->unread;

        s->unread = p->next;
        p->next = NULL;
        pbuf_free(p);
    }
    return true;
}

static bool tell_acked(struct tcp_stream *s)
{
    size_t n = s->acked;

    s->acked = 0;
    if (n && s->ev->acked)
        s->ev->acked(s->arg, n);
    return !s->gone;
}

static bool tell_room(struct tcp_stream *s)
{
    if (!s->room)
        return true;
    s->room = s->want_room = false;
    if (s->ev->writable)
        s->ev->writable(s->arg);
    return !s->gone;
}

/* The peer finished; or lwIP gave the connection up. */
static void tell_end(struct tcp_stream *s)
{
    if (!s->pcb) {
        if (s->connecting)
            s->ev->connected(s->arg, s->error);
        else
            s->ev->closed(s->arg, s->error);
        if (!s->gone)
            stop(s, true);
    } else if (s->got_fin && !s->unread && !s->fin_told) {
        s->fin_told = true;
        if (s->ev->finished) {
            s->ev->finished(s->arg);
            return;
        }
        s->ev->closed(s->arg, 0);
        if (!s->gone)
            stop(s, false);
    }
}

static void run_stream(struct work *w)
{
    struct tcp_stream *s = container_of(w, struct tcp_stream, work);

    s->in_work = true;
    if (!s->pcb && !s->ev)
        s->gone = true;             /* reset before its owner heard of it */
    else if (tell_start(s) && tell_acked(s) && tell_data(s) && tell_room(s))
        tell_end(s);
    s->in_work = false;
    if (s->gone) {
        drop_unread(s);
        release(s);
    } else if (s->pcb) {
        (void)tcp_output(s->pcb);
    }
}

/* What the owner does. */

static size_t op_room(struct stream *stream)
{
    struct tcp_stream *s = of(stream);

    if (!s->pcb || s->connecting || tcp_sndqueuelen(s->pcb) >= TCP_SND_QUEUELEN - 8)
        return 0;
    return tcp_sndbuf(s->pcb);
}

static size_t op_write(struct stream *stream, const void *data, size_t len, unsigned int flags)
{
    struct tcp_stream *s = of(stream);
    size_t done = 0;

    if (s->pcb && len)
        bigseg_tune(s->pcb);
    while (done < len) {
        size_t n = MIN(len - done, op_room(stream));
        bool more = flags & STREAM_MORE;

        n = MIN(n, (size_t)0x8000);
        more = more || done + n < len;
        if (!n || tcp_write(s->pcb, (const char *)data + done, (u16_t)n,
                            (flags & STREAM_REF ? 0 : TCP_WRITE_FLAG_COPY) |
                            (more ? TCP_WRITE_FLAG_MORE : 0)) != ERR_OK)
            break;
        done += n;
    }
    if (done < len)
        s->want_room = true;
    if (s->pcb && !s->in_work && (!(flags & STREAM_MORE) || done < len))
        (void)tcp_output(s->pcb);
    return done;
}

static void op_resume(struct stream *stream)
{
    struct tcp_stream *s = of(stream);

    s->stopped = false;
    if (s->unread || s->got_fin)
        work_queue(&s->work);
}

static bool op_by_dma(struct stream *stream)
{
    struct tcp_stream *s = of(stream);

    return s->pcb && link_by_dma(s->pcb->remote_ip.addr);
}

static void op_mute(struct stream *stream)
{
    struct tcp_stream *s = of(stream);

    nr_mute += !s->mute;
    s->mute = true;
}

bool net_is_mute(uint32_t remote_ip_be, uint16_t remote_port, uint16_t local_port)
{
    for (struct tcp_pcb *pcb = nr_mute ? tcp_active_pcbs : NULL; pcb; pcb = pcb->next) {
        struct tcp_stream *s = pcb->callback_arg;

        if (pcb->remote_port == remote_port && pcb->local_port == local_port &&
            pcb->remote_ip.addr == remote_ip_be)
            return s && s->mute;
    }
    return false;
}

static void op_keepalive(struct stream *stream, unsigned int idle_s, unsigned int interval_s,
                         unsigned int count)
{
    struct tcp_stream *s = of(stream);

    if (!s->pcb)
        return;
    s->pcb->keep_idle = idle_s * 1000;
    s->pcb->keep_intvl = interval_s * 1000;
    s->pcb->keep_cnt = count;
}

static void op_set_events(struct stream *stream, const struct stream_events *ev, void *arg)
{
    struct tcp_stream *s = of(stream);

    s->ev = ev;
    s->arg = arg;
}

static const struct stream_ops ops = {
    .write = op_write,
    .room = op_room,
    .resume = op_resume,
    .by_dma = op_by_dma,
    .mute = op_mute,
    .close = op_close,
    .abort = op_abort,
    .set_events = op_set_events,
    .keepalive = op_keepalive,
};

static struct tcp_stream *stream_new(struct tcp_pcb *pcb)
{
    struct tcp_stream *s = nr_streams < STREAMS_MAX ? calloc(1, sizeof(*s)) : NULL;

    if (!s)
        return NULL;
    nr_streams++;
    s->base.ops = &ops;
    s->pcb = pcb;
    work_init(&s->work, run_stream);
    tcp_nagle_disable(pcb);
    ip_set_option(pcb, SOF_KEEPALIVE);
    tcp_arg(pcb, s);
    tcp_recv(pcb, on_recv);
    tcp_sent(pcb, on_sent);
    tcp_err(pcb, on_error);
    return s;
}

static int net_connect(void *ctx, struct stream_addr to, const struct stream_events *ev, void *arg,
                       struct stream **out)
{
    struct tcp_pcb *pcb = tcp_new();
    struct tcp_stream *s = pcb ? stream_new(pcb) : NULL;
    ip_addr_t ip = { lwip_htonl(to.ip) };
    err_t e;

    if (!s) {
        if (pcb)
            tcp_abort(pcb);
        return -XEN_ENOMEM;
    }
    s->ev = ev;
    s->arg = arg;
    s->connecting = true;
    e = tcp_connect(pcb, &ip, to.port, on_connected);
    net_tcp_clock();
    if (e != ERR_OK) {
        stop(s, true);
        return error_of(e);
    }
    *out = &s->base;
    return 0;
}

static err_t on_accept(void *arg, struct tcp_pcb *pcb, err_t err)
{
    struct tcp_stream *s;

    if (err != ERR_OK || !pcb)
        return ERR_VAL;
    s = nr_accepted < ACCEPTED_MAX ? stream_new(pcb) : NULL;
    if (!s) {
        tcp_abort(pcb);
        return ERR_ABRT;
    }
    nr_accepted++;
    s->accepted = true;
    s->listener = arg;
    work_queue(&s->work);
    return ERR_OK;
}

static int net_listen(void *ctx, uint16_t port, accept_fn accept, void *arg)
{
    struct listener *l = malloc(sizeof(*l));
    struct tcp_pcb *pcb = tcp_new(), *listening;
    err_t e = pcb && l ? tcp_bind(pcb, IP_ANY_TYPE, port) : ERR_MEM;

    if (e == ERR_OK) {
        listening = tcp_listen(pcb);
        if (listening) {
            *l = (struct listener){ .accept = accept, .arg = arg, .pcb = listening };
            tcp_arg(listening, l);
            tcp_accept(listening, on_accept);
            return 0;
        }
        e = ERR_MEM;
    }
    if (pcb)
        tcp_abort(pcb);
    free(l);
    return error_of(e);
}

/* Names. */

struct lookup {
    void (*fn)(void *arg, int rc, uint32_t ip);
    void *arg;
};

static void on_resolved(const char *name, const ip_addr_t *ip, void *arg)
{
    struct lookup l = *(struct lookup *)arg;

    free(arg);
    l.fn(l.arg, ip ? 0 : -XEN_ENOENT, ip ? lwip_ntohl(ip->addr) : 0);
}

static void net_resolve(void *ctx, const char *name, void (*fn)(void *arg, int rc, uint32_t ip),
                        void *arg)
{
    struct lookup *l;
    ip_addr_t found;
    uint32_t ip;
    err_t e;

    if (net_parse_ip(name, &ip)) {
        fn(arg, 0, ip);
        return;
    }
    l = malloc(sizeof(*l));
    if (!l) {
        fn(arg, -XEN_ENOMEM, 0);
        return;
    }
    *l = (struct lookup){ fn, arg };
    e = dns_gethostbyname(name, &found, on_resolved, l);
    if (e == ERR_INPROGRESS)
        return;
    free(l);
    fn(arg, error_of(e), e == ERR_OK ? lwip_ntohl(found.addr) : 0);
}

struct stream_net *net_streams(void)
{
    static struct stream_net net = {
        .connect = net_connect, .listen = net_listen, .resolve = net_resolve,
    };

    return &net;
}
