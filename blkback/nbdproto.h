/* SPDX-License-Identifier: MIT */
/*
 * nbdproto.h - the NBD protocol, as a client speaks it: targets, fixed newstyle handshake with
 * NBD_OPT_GO, requests and simple replies. Pure.
 *
 * Structured replies are never asked for, so a server may not send any.
 */
#ifndef BLKBACK_NBDPROTO_H
#define BLKBACK_NBDPROTO_H

#include "compiler.h"

#define NBD_PORT        10809
#define NBD_EXPORT_MAX  160         /* with the NUL */
#define NBD_CONNS_MAX   8u

/* HOST[:PORT]/EXPORT[?KEY=VALUE[&KEY=VALUE]]; in front of it "//" is taken, too. */
struct nbd_target {
    char host[96];
    uint16_t port;
    char export[NBD_EXPORT_MAX];    /* may be "" */
    uint32_t timeout;               /* seconds that requests wait for a server that is gone; 0: for ever */
    uint32_t connections;           /* at most so many, if the server allows more than one */
};

/* False: *why says in a few words what is wrong. */
bool nbd_parse_target(const char *text, struct nbd_target *t, const char **why);

/* ------------------------------------------------------------------ handshake */

#define NBD_FLAG_READ_ONLY    0x0002u
#define NBD_FLAG_FLUSH        0x0004u
#define NBD_FLAG_FUA          0x0008u
#define NBD_FLAG_TRIM         0x0020u
#define NBD_FLAG_WRITE_ZEROES 0x0040u
#define NBD_FLAG_MULTI_CONN   0x0100u

struct nbd_export {
    uint64_t size;                  /* bytes */
    uint16_t flags;                 /* NBD_FLAG_ */
    uint32_t min_block, preferred_block, max_block;     /* 0: not said */
};

enum nbd_hello_state {
    NBD_HELLO_GREETING, NBD_HELLO_REPLY, NBD_HELLO_DATA, NBD_HELLO_SKIP,
    NBD_HELLO_DONE,
    NBD_HELLO_FAILED,
};

/* A handshake under way. */
struct nbd_hello {
    enum nbd_hello_state state;
    const char *export;             /* stays the caller's */
    struct nbd_export info;
    char why[160];                  /* NBD_HELLO_FAILED: what the server did or said */
    bool refused;                   /* ... and will do so again (it is not just shutting down) */

    uint8_t buf[128];               /* the message that is being read, up to `need` bytes */
    uint32_t have, need;
    uint32_t type, skip;            /* of the reply that is being read; bytes of it to pass over */
    uint32_t replies;
    bool has_export;
};

void nbd_hello_init(struct nbd_hello *h, const char *export);

/* Takes bytes from the server; returns how many (all, unless the handshake ended before). *out gets
 * what is to be sent now, *out_len bytes, 0: nothing; out holds NBD_HELLO_OUT. */
#define NBD_HELLO_OUT (4 + 16 + 4 + NBD_EXPORT_MAX + 4)
size_t nbd_hello_input(struct nbd_hello *h, const uint8_t *data, size_t len, uint8_t *out,
                       size_t *out_len);

/* ------------------------------------------------------------------ transmission */

enum nbd_command {
    NBD_CMD_READ, NBD_CMD_WRITE, NBD_CMD_DISC, NBD_CMD_FLUSH, NBD_CMD_TRIM,
    NBD_CMD_WRITE_ZEROES = 6,
};
#define NBD_CMD_FUA 0x0001u

#define NBD_REQUEST_SIZE 28u
#define NBD_REPLY_SIZE   16u

void nbd_put_request(uint8_t out[NBD_REQUEST_SIZE], enum nbd_command c, uint16_t flags,
                     uint64_t handle, uint64_t offset, uint32_t length);

struct nbd_reply {
    uint32_t error;                 /* NBD's number, 0: success */
    uint64_t handle;
};

/* False: this is no simple reply. */
bool nbd_get_reply(const uint8_t in[NBD_REPLY_SIZE], struct nbd_reply *r);

/* NBD's error number as a negative XEN_Exxx. */
int nbd_error(uint32_t error);

#define NBD_ESHUTDOWN 108u          /* the server is about to go; ask again elsewhere or later */

#endif
