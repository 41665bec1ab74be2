/* SPDX-License-Identifier: MIT */
/*
 * port.h - a bridge port: what a NIC driver, a vif and dom0's own IP stack look like to the
 * bridge, and the frames that travel between them.
 *
 * A frame is `head` (in our own memory, so what was checked is what will be delivered) followed
 * by fragments, each of them dom0 memory or a page that a guest has granted. A frame without
 * fragments is called flat. The bridge looks only at head; whoever sends the frame on copies or
 * maps the rest. Nobody changes a frame after it was handed on.
 *
 * Ports never see a frame in a form that they did not announce in caps: the bridge copies it into
 * dom0 memory, cuts it into packets and completes checksums where the next port asks for that.
 * One thread, no locks.
 */
#ifndef RUNTIME_PORT_H
#define RUNTIME_PORT_H

#include "addr.h"
#include "xenabi.h"
#include "lib/list.h"

#define FRAME_HEAD_MAX  144     /* bytes kept of a granted frame: Ethernet, VLAN, IPv4 and TCP
                                   headers with all their options fit */
#define FRAME_FRAGS_MAX 19      /* 18 slots of netif.h and one for what a page boundary adds */
#define FRAME_LEN_MAX   65535
#define FRAME_LEN_MIN   14      /* an Ethernet header */
#define FRAME_ROOM      2048    /* bytes that a frame from frame_new() has */

enum frag_kind {
    FRAG_MEM,                   /* dom0 memory at va */
    FRAG_GRANT,                 /* page `ref` of domain `dom`, from `offset` */
    FRAG_DMA,                   /* a guest's memory at machine address maddr, pinned; not mapped.
                                   `pinned` is its maker's */
};

/* A piece of a frame; within one page. */
struct frag {
    uint8_t kind;               /* enum frag_kind */
    union {
        domid_t dom;            /* FRAG_GRANT */
        uint16_t pinned;        /* FRAG_DMA */
    };
    uint16_t offset;            /* FRAG_GRANT: byte in the granted page */
    uint16_t len;               /* 1..PAGE_SIZE */
    union {
        grant_ref_t ref;
        void *va;
        paddr_t maddr;
    };
};

/* Frame flags. */
#define FRAME_CSUM_BLANK     0x01   /* TCP/UDP checksum holds only the pseudo-header's sum */
#define FRAME_CSUM_VALID     0x02   /* checked by somebody trusted, or made here */
#define FRAME_FLIP           0x04   /* for one receiver: granted fragments are flip offers (sluice/flip.h),
                                       or it is one of netback/rxpool.h */

#define FRAME_PINNED         0x08   /* has fragments of kind FRAG_DMA and is for ports with PORT_DMA only: the bridge
                                       cannot bring it into shape, see port_caps_to() */

enum frame_gso { GSO_NONE, GSO_TCPV4, GSO_TCPV6 };

struct port;

struct frame {
    struct list link;           /* bridge: on a port's list of waiting frames */
    struct port *from;          /* port it came in at */
    void (*done)(struct frame *f);  /* the last reference went: answer the sender, free it */
    uint8_t *head;              /* head_len bytes, own memory, not crossing a page */
    mfn_t head_mfn;             /* the frame behind it, kept with the memory; 0: not known */
    uint16_t head_len;          /* >= FRAME_LEN_MIN and <= len */
    uint16_t len;               /* whole frame: head_len + all fragments; no FCS */
    uint16_t gso_size;          /* TCP payload bytes per packet when gso != GSO_NONE */
    uint8_t gso;                /* enum frame_gso */
    uint8_t flags;
    uint8_t nr_frags;
    uint8_t failed;             /* a copy out of its fragments failed: the sender's fault */
    uint16_t refs;              /* frame_get/frame_put; 1 when made */
    struct frag frags[FRAME_FRAGS_MAX];
};

static inline bool frame_is_flat(const struct frame *f)
{
    return f->nr_frags == 0;
}

static inline void frame_get(struct frame *f)
{
    f->refs++;
}

static inline void frame_put(struct frame *f)
{
    if (--f->refs == 0)
        f->done(f);
}

/*
 * A flat frame in dom0 memory: head points at FRAME_ROOM bytes within one page, head_len and len
 * are 0, one reference, done gives it back to the pool. NULL when the pool is at its limit: drop
 * and count. from is the port that will hand it to port_receive(). Write head, set head_len and
 * len, hand it on, frame_put().
 */
struct frame *frame_new(struct port *from);

/*
 * As frame_new(), with room for `bytes` in all (up to FRAME_LEN_MAX): the first FRAME_ROOM in head, the
 * rest in own pages as fragments, of which the last may be part of a page. len and head_len are set.
 */
struct frame *frame_new_big(struct port *from, unsigned int bytes);

/* What a port can take; other frames are brought into shape by the bridge before. */
#define PORT_CSUM  0x01         /* frames with FRAME_CSUM_BLANK over IPv4 */
#define PORT_CSUM6 0x02         /* the same over IPv6 */
#define PORT_TSO4  0x04         /* frames with GSO_TCPV4 (needs PORT_SG) */
#define PORT_TSO6  0x08
#define PORT_SG    0x10         /* fragments; else flat frames only */
#define PORT_GRANT 0x20         /* ... also of kind FRAG_GRANT */
#define PORT_DMA   0x40         /* ... also of kind FRAG_DMA, until it drops its reference */
/* What the bridge should know about what is behind it. */
#define PORT_UPLINK 0x100       /* others are there that the bridge does not know: frames to
                                   unknown addresses go here and sources are learned */

/* Why a frame was dropped. The names for the API stand in bridge.c, port_drop_name(). */
enum port_drop {
    DROP_MALFORMED,     /* too short, or headers that make no sense */
    DROP_SPOOFED,       /* sender address is not the vif's */
    DROP_NO_ROOM,       /* receiver does not take it, or not in time */
    DROP_TOO_LONG,      /* above the receiver's MTU */
    DROP_NO_TARGET,     /* nobody has that address, or only the sender itself */
    DROP_COPY,          /* the sender's memory could not be read */
    DROP_NO_MEMORY,     /* dom0 is short of buffers */
    DROP_DEVICE,        /* the device reported an error */
    DROP_REASONS
};

struct port_stats {
    uint64_t rx_frames, rx_bytes;       /* into the bridge from this port, dropped ones included */
    uint64_t tx_frames, tx_bytes;       /* out of this port; its owner counts, as it may fail */
    uint64_t rx_dropped[DROP_REASONS], tx_dropped[DROP_REASONS];
};

struct bridge;

struct port {
    char name[24];              /* "nic0", "vif3.0", "dom0" */
    uint8_t mac[6];             /* whose frames come here; all zero for an uplink's */
    uint16_t mtu;               /* largest IP packet: frames have up to mtu + 18 bytes */
    uint32_t caps;              /* PORT_xxx */
    bool up;                    /* carrier; a port that is down gets nothing */
    struct port_stats stats;

    /*
     * Set by the port's owner: sends one frame out. True: taken, with a reference of its own
     * if it looks at the frame after returning. False: no room now; nothing was taken, and the
     * owner calls port_room() when there is room again. Never called from inside port_receive()
     * of the same port, nor after port_leave().
     */
    bool (*send)(struct port *p, struct frame *f);
    /*
     * May be NULL. Called once a turn after send() calls or port_touch(), after all queued grant
     * copies were done: ring doorbells, answer and notify guests.
     */
    void (*flush)(struct port *p);

    /* The bridge's; filled in by port_join(). */
    struct bridge *bridge;
    struct list link;           /* the bridge's list of ports */
    struct list touched;        /* to be flushed */
    struct list waiting;        /* frames that send() had no room for */
    uint16_t nr_waiting, waiting_frags;
    uint16_t nr_shaping;        /* frames that are brought into shape for it; others wait behind them */
    uint16_t nr_shaped_from;    /* frames of the pool that what came from it has for that now */
    bool stalled;               /* let frames wait in vain: none waits until it has room */
    uint64_t waiting_since;     /* time of last progress while frames wait */
};

/* Names a bridge, made when it is asked for first. "" or NULL: the host's own, with the NICs. */
struct bridge *bridge_get(const char *name);

/*
 * Adds a port; name, mac, mtu, caps, up, send, flush are set. -XEN_EEXIST: another port has that
 * address; -XEN_ENOSPC: the bridge has no room for more addresses.
 */
int port_join(struct port *p, struct bridge *b);

/* PORT_xxx of the port that a frame from p to that address would go to now; 0: to none, or to several. */
uint32_t port_caps_to(const struct port *p, const uint8_t mac[6]);

/* Takes it away again, with all frames that came from it or wait for it. Harmless when not in. */
void port_leave(struct port *p);

/* Frames that came in at p. The caller keeps its references and drops them after. */
void port_receive(struct port *p, struct frame **frames, unsigned int n);

/* send() would succeed again. */
void port_room(struct port *p);

/* Have flush() called at the end of this turn. */
void port_touch(struct port *p);

/* The ports of all bridges for listing: the one after p, NULL: the first. */
struct port *port_next(struct port *p);
const char *port_drop_name(enum port_drop why);

static inline void port_count_rx_drop(struct port *p, enum port_drop why)
{
    p->stats.rx_dropped[why]++;
}

static inline void port_count_tx_drop(struct port *p, enum port_drop why)
{
    p->stats.tx_dropped[why]++;
}

#endif
