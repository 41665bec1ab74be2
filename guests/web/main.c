/* SPDX-License-Identifier: MIT */
/*
 * web - a web server as a domain of its own: lwIP on netfront, ready some milliseconds after it was started. The example to
 * copy for a small server.
 *
 *   ip=dhcp | ip=ADDR/BITS[,GATEWAY[,DNS]]     its address (dhcp)
 *
 * Answers GET: "/" is a page, "/N" are N bytes; all else is not found. Connections are kept, as HTTP/1.1 says.
 */
#include "lib/printf.h"
#include "lib/string.h"
#include "netback/netback.h"
#include "netfront/port.h"
#include "runtime/log.h"
#include "runtime/loop.h"
#include "runtime/mem.h"
#include "runtime/start.h"
#include "runtime/xenbus.h"
#include "toolstack/net/net.h"

#define REQUEST_MAX 2048        /* bytes of a request's head */
#define BYTES_MAX   (64u << 20)

static const char page[] =
    "<!DOCTYPE html><title>Sluice</title><h1>It works</h1><p>A web server in a domain of its own.</p>\n";
static const char pattern[] = "0123456789abcdef";

struct client {
    struct stream *s;
    char request[REQUEST_MAX];
    size_t have;
    size_t left, at;            /* bytes of "/N" to be sent, and how many were */
    bool close;                 /* after this answer */
};

static void end(struct client *c)
{
    stream_close(c->s);
    free(c);
}

static bool answer(struct client *c, const char *status, const char *type, size_t length)
{
    char head[256];
    int n = snprintf(head, sizeof(head), "HTTP/1.1 %s\r\nServer: sluice-web\r\nContent-Type: %s\r\n"
                     "Content-Length: %lu\r\nConnection: %s\r\n\r\n", status, type, length,
                     c->close ? "close" : "keep-alive");

    return stream_write(c->s, head, (size_t)n, length ? STREAM_MORE : 0) == (size_t)n;
}

/* Sends what there is room for. True: all of the answer is on its way. */
static bool send_bytes(struct client *c)
{
    while (c->left) {
        char piece[1024];
        size_t n = MIN(c->left, sizeof(piece)), took;

        for (size_t i = 0; i < n; i++)
            piece[i] = pattern[(c->at + i) % 16];
        took = stream_write(c->s, piece, n, n < c->left ? STREAM_MORE : 0);
        c->left -= took;
        c->at += took;
        if (took < n)
            return false;
    }
    return true;
}

/* One request; false: the connection cannot go on. */
static bool serve(struct client *c)
{
    char *path = c->request + 4, *rest;
    size_t n = 0;

    if (strncmp(c->request, "GET /", 5) != 0)
        return false;
    rest = strchr(path, ' ');
    if (!rest)
        return false;
    *rest++ = '\0';
    c->close = strncmp(rest, "HTTP/1.1", 8) != 0 || strstr(rest, "onnection: close");
    if (strcmp(path, "/") == 0)
        return answer(c, "200 OK", "text/html", sizeof(page) - 1) &&
               stream_write(c->s, page, sizeof(page) - 1, 0) == sizeof(page) - 1;
    for (path++; *path >= '0' && *path <= '9' && n <= BYTES_MAX; path++)
        n = n * 10 + (size_t)(*path - '0');
    if (*path || !n || n > BYTES_MAX)
        return answer(c, "404 Not Found", "text/plain", 0);
    c->left = n;
    c->at = 0;
    return answer(c, "200 OK", "application/octet-stream", n);
}

static void go_on(struct client *c)
{
    if (send_bytes(c) && c->close)
        end(c);
}

static size_t received(void *arg, const uint8_t *data, size_t len)
{
    struct client *c = arg;
    size_t n = MIN(len, REQUEST_MAX - 1 - c->have), used;
    char *head_end;

    if (c->left)
        return 0;               /* the next request waits until this one is answered */
    memcpy(c->request + c->have, data, n);
    c->request[c->have + n] = '\0';
    head_end = strstr(c->request, "\r\n\r\n");
    if (!head_end) {
        c->have += n;
        if (c->have < REQUEST_MAX - 1)
            return n;
        end(c);
        return len;
    }
    used = (size_t)(head_end + 4 - c->request) - c->have;
    c->have = 0;
    if (!serve(c)) {
        end(c);
        return len;
    }
    go_on(c);
    return used;
}

static void writable(void *arg)
{
    struct client *c = arg;
    struct stream *s = c->s;
    bool more = c->left != 0, last = c->close;

    go_on(c);
    if (more && !last)
        stream_resume(s);
}

static void finished(void *arg)
{
    end(arg);
}

static void closed(void *arg, int rc)
{
    free(arg);
}

static const struct stream_events events = { .received = received, .writable = writable,
                                             .finished = finished, .closed = closed };

static int accept(void *arg, struct stream *s, struct stream_addr peer)
{
    struct client *c = calloc(1, sizeof(*c));

    if (!c)
        return -XEN_ENOMEM;
    c->s = s;
    stream_set_events(s, &events, c);
    return 0;
}

static void address_changed(void *arg, const struct net_status *s)
{
    char text[16];

    if (s->up)
        log_info("web: serving on %s", net_ip_text(s->ip, text));
}

void pv_main(void)
{
    struct net_config c = { .dhcp = true };
    struct net_status status;
    struct stream_net *net;
    char text[64];

    BUG_ON(xenbus_init());
    if (cmdline_get("ip", text, sizeof(text)) && !net_parse_config(text, &c)) {
        log_error("web: ip=%s: use dhcp or ADDRESS/BITS[,GATEWAY[,DNS]]", text);
        domain_shutdown(SHUTDOWN_crash);
    }
    bridge_init();
    if (netfront_port(0, bridge_get(NULL))) {
        log_error("web: no vif");
        domain_shutdown(SHUTDOWN_crash);
    }
    netfront_port_mac(c.mac);
    /* A question for an address that is asked too early is asked again after seconds only. */
    while (!netfront_port_is_up())
        loop_turn(true);
    BUG_ON(net_start(bridge_get(NULL), &c));
    net_on_change(address_changed, NULL);
    net_get_status(&status);
    address_changed(NULL, &status);
    net = net_streams();
    BUG_ON(net->listen(net->ctx, 80, accept, NULL));
    log_info("web: listening");
    loop_run();
}
