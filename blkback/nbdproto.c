/* SPDX-License-Identifier: MIT */
/* nbdproto.c - the NBD protocol. Pure; see nbdproto.h. */
#include "blkback/nbdproto.h"
#include "lib/printf.h"
#include "lib/string.h"
#include "xenabi.h"

#define MAGIC_GREETING   0x4e42444d41474943UL   /* NBDMAGIC */
#define MAGIC_OPTION     0x49484156454f5054UL   /* IHAVEOPT */
#define MAGIC_OPT_REPLY  0x0003e889045565a9UL
#define MAGIC_REQUEST    0x25609513u
#define MAGIC_REPLY      0x67446698u

#define FIXED_NEWSTYLE   1u
#define NO_ZEROES        2u
#define OPT_GO           7u
#define REP_ACK          1u
#define REP_INFO         3u
#define REP_ERROR        0x80000000u
#define REP_ERR_UNSUP    1u
#define REP_ERR_POLICY   2u
#define REP_ERR_TLS_REQD 5u
#define REP_ERR_UNKNOWN  6u
#define REP_ERR_SHUTDOWN 7u
#define INFO_EXPORT      0u
#define INFO_BLOCK_SIZE  3u

#define GREETING_SIZE    18u
#define OPT_REPLY_SIZE   20u
#define REPLIES_MAX      64u            /* of one option: more is no server that means it */
#define REPLY_DATA_MAX   65536u

/* ------------------------------------------------------------------ bytes */

static uint64_t get(const uint8_t *p, unsigned int bytes)
{
    uint64_t v = 0;

    while (bytes--)
        v = v << 8 | *p++;
    return v;
}

static uint8_t *put(uint8_t *p, uint64_t v, unsigned int bytes)
{
    for (unsigned int i = bytes; i-- > 0; v >>= 8)
        p[i] = (uint8_t)v;
    return p + bytes;
}

/* ------------------------------------------------------------------ targets */

static bool number(const char *s, size_t len, uint32_t max, uint32_t *v)
{
    uint64_t n = 0;

    if (!len || len > 9)
        return false;
    for (size_t i = 0; i < len; i++) {
        if (s[i] < '0' || s[i] > '9')
            return false;
        n = n * 10 + (uint64_t)(s[i] - '0');
    }
    *v = (uint32_t)n;
    return n <= max;
}

static bool option(const char *s, size_t len, struct nbd_target *t)
{
    if (len > 8 && !strncmp(s, "timeout=", 8))
        return number(s + 8, len - 8, 1000000, &t->timeout);
    if (len > 12 && !strncmp(s, "connections=", 12))
        return number(s + 12, len - 12, NBD_CONNS_MAX, &t->connections) && t->connections;
    return false;
}

static bool parse_options(const char *s, struct nbd_target *t)
{
    for (;;) {
        const char *end = strchr(s, '&');
        size_t len = end ? (size_t)(end - s) : strlen(s);

        if (!option(s, len, t))
            return false;
        if (!end)
            return true;
        s = end + 1;
    }
}

static bool copy(char *to, size_t size, const char *from, size_t len)
{
    if (len >= size)
        return false;
    memcpy(to, from, len);
    to[len] = '\0';
    return true;
}

bool nbd_parse_target(const char *s, struct nbd_target *t, const char **why)
{
    const char *slash, *colon, *question;
    size_t len;
    uint32_t port = NBD_PORT;

    *t = (struct nbd_target){ .timeout = 300, .connections = 2 };
    if (!strncmp(s, "//", 2))
        s += 2;
    question = strchr(s, '?');
    if (question && !parse_options(question + 1, t)) {
        *why = "behind the ? stand timeout=SECONDS and connections=1..8, with & between them";
        return false;
    }
    len = question ? (size_t)(question - s) : strlen(s);
    slash = memchr(s, '/', len);
    if (!copy(t->export, sizeof(t->export), slash ? slash + 1 : "",
              slash ? len - (size_t)(slash + 1 - s) : 0)) {
        *why = "the export's name is too long";
        return false;
    }
    len = slash ? (size_t)(slash - s) : len;
    colon = memchr(s, ':', len);
    if (colon && (!number(colon + 1, len - (size_t)(colon + 1 - s), 65535, &port) || !port)) {
        *why = "the port is no number from 1 to 65535";
        return false;
    }
    t->port = (uint16_t)port;
    len = colon ? (size_t)(colon - s) : len;
    *why = "a target is nbd:HOST[:PORT]/EXPORT";
    return len && copy(t->host, sizeof(t->host), s, len);
}

/* ------------------------------------------------------------------ handshake */

void nbd_hello_init(struct nbd_hello *h, const char *export)
{
    memset(h, 0, sizeof(*h));
    h->export = export;
    h->need = GREETING_SIZE;
}

static void fail(struct nbd_hello *h, const char *what)
{
    h->state = NBD_HELLO_FAILED;
    h->refused = true;
    strlcpy(h->why, what, sizeof(h->why));
}

static void expect(struct nbd_hello *h, enum nbd_hello_state state, uint32_t need)
{
    h->state = state;
    h->have = 0;
    h->need = need;
}

static void greeting(struct nbd_hello *h, uint8_t *out, size_t *out_len)
{
    uint16_t flags = (uint16_t)get(h->buf + 16, 2);
    size_t name = strlen(h->export);
    uint8_t *p = out;

    if (get(h->buf, 8) != MAGIC_GREETING) {
        fail(h, "this is no NBD server");
        return;
    }
    if (get(h->buf + 8, 8) != MAGIC_OPTION || !(flags & FIXED_NEWSTYLE)) {
        fail(h, "the server does not speak fixed newstyle");
        return;
    }
    p = put(p, FIXED_NEWSTYLE | (flags & NO_ZEROES), 4);
    p = put(p, MAGIC_OPTION, 8);
    p = put(p, OPT_GO, 4);
    p = put(p, 4 + name + 2 + 2, 4);
    p = put(p, name, 4);
    memcpy(p, h->export, name);
    p = put(p + name, 1, 2);            /* one information request */
    p = put(p, INFO_BLOCK_SIZE, 2);
    *out_len = (size_t)(p - out);
    expect(h, NBD_HELLO_REPLY, OPT_REPLY_SIZE);
}

static void acknowledged(struct nbd_hello *h)
{
    if (!h->has_export)
        fail(h, "the server did not say how large the export is");
    else if (h->info.size > INT64_MAX)
        fail(h, "the export is larger than can be");
    else
        h->state = NBD_HELLO_DONE;
}

static void reply_header(struct nbd_hello *h)
{
    uint32_t len = (uint32_t)get(h->buf + 16, 4);

    h->type = (uint32_t)get(h->buf + 12, 4);
    if (get(h->buf, 8) != MAGIC_OPT_REPLY || get(h->buf + 8, 4) != OPT_GO) {
        fail(h, "the server answers what was not asked");
        return;
    }
    if (++h->replies > REPLIES_MAX || len > REPLY_DATA_MAX) {
        fail(h, "the server's answer has no end");
        return;
    }
    /* What is of interest stands at the beginning. */
    expect(h, NBD_HELLO_DATA, MIN(len, (uint32_t)sizeof(h->buf) - 1));
    h->skip = len - h->need;
}

static void take_info(struct nbd_hello *h)
{
    uint32_t what = h->need >= 2 ? (uint32_t)get(h->buf, 2) : ~0u;

    if (what == INFO_EXPORT && h->need == 12 && !h->skip) {
        h->info.size = get(h->buf + 2, 8);
        h->info.flags = (uint16_t)get(h->buf + 10, 2);
        h->has_export = true;
    } else if (what == INFO_BLOCK_SIZE && h->need == 14 && !h->skip) {
        h->info.min_block = (uint32_t)get(h->buf + 2, 4);
        h->info.preferred_block = (uint32_t)get(h->buf + 6, 4);
        h->info.max_block = (uint32_t)get(h->buf + 10, 4);
    } else if (what == INFO_EXPORT || what == INFO_BLOCK_SIZE) {
        fail(h, "the server describes the export wrongly");
    }
}

static const char *refusal(uint32_t type)
{
    switch (type & ~REP_ERROR) {
    case REP_ERR_UNSUP:
        return "the server does not know NBD_OPT_GO";
    case REP_ERR_POLICY:
        return "the server forbids it";
    case REP_ERR_TLS_REQD:
        return "the server wants TLS";
    case REP_ERR_UNKNOWN:
        return "the server has no such export";
    case REP_ERR_SHUTDOWN:
        return "the server is shutting down";
    default:
        return "the server refuses";
    }
}

/* The server may say why in its own words; only plain characters of them are kept. */
static void refused(struct nbd_hello *h)
{
    h->buf[h->need] = '\0';
    for (uint32_t i = 0; i < h->need; i++)
        if (h->buf[i] < 0x20 || h->buf[i] > 0x7e)
            h->buf[i] = '?';
    h->state = NBD_HELLO_FAILED;
    h->refused = (h->type & ~REP_ERROR) != REP_ERR_SHUTDOWN;
    snprintf(h->why, sizeof(h->why), "%s%s%.100s", refusal(h->type), h->need ? ": " : "",
             (const char *)h->buf);
}

static void reply_data(struct nbd_hello *h)
{
    if (h->type & REP_ERROR) {
        refused(h);
    } else if (h->type == REP_ACK) {
        if (h->need || h->skip)
            fail(h, "the server acknowledges with data");
        else
            acknowledged(h);
    } else if (h->type == REP_INFO) {
        take_info(h);
    }
    if (h->state == NBD_HELLO_DATA)
        expect(h, h->skip ? NBD_HELLO_SKIP : NBD_HELLO_REPLY, h->skip ? h->skip : OPT_REPLY_SIZE);
}

/* All of the message that was being read is there. */
static void step(struct nbd_hello *h, uint8_t *out, size_t *out_len)
{
    switch (h->state) {
    case NBD_HELLO_GREETING:
        greeting(h, out, out_len);
        break;
    case NBD_HELLO_REPLY:
        reply_header(h);
        break;
    case NBD_HELLO_DATA:
        reply_data(h);
        break;
    default:
        expect(h, NBD_HELLO_REPLY, OPT_REPLY_SIZE);
        break;
    }
}

size_t nbd_hello_input(struct nbd_hello *h, const uint8_t *data, size_t len, uint8_t *out,
                       size_t *out_len)
{
    size_t at = 0;

    *out_len = 0;
    while (h->state < NBD_HELLO_DONE) {
        uint32_t n = (uint32_t)MIN((size_t)(h->need - h->have), len - at);

        if (h->state != NBD_HELLO_SKIP)
            memcpy(h->buf + h->have, data + at, n);
        h->have += n;
        at += n;
        if (h->have < h->need)
            break;
        step(h, out, out_len);
    }
    return at;
}

/* ------------------------------------------------------------------ transmission */

void nbd_put_request(uint8_t out[NBD_REQUEST_SIZE], enum nbd_command c, uint16_t flags,
                     uint64_t handle, uint64_t offset, uint32_t length)
{
    uint8_t *p = put(out, MAGIC_REQUEST, 4);

    p = put(p, flags, 2);
    p = put(p, c, 2);
    p = put(p, handle, 8);
    p = put(p, offset, 8);
    (void)put(p, length, 4);
}

bool nbd_get_reply(const uint8_t in[NBD_REPLY_SIZE], struct nbd_reply *r)
{
    r->error = (uint32_t)get(in + 4, 4);
    r->handle = get(in + 8, 8);
    return get(in, 4) == MAGIC_REPLY;
}

int nbd_error(uint32_t error)
{
    switch (error) {
    case 0:
        return 0;
    case 1:
        return -XEN_EROFS;          /* EPERM: written although it is read-only */
    case 12:
        return -XEN_ENOMEM;
    case 22:
        return -XEN_EINVAL;
    case 28:
        return -XEN_ENOSPC;
    case 95:
        return -XEN_EOPNOTSUPP;
    default:
        return -XEN_EIO;
    }
}
