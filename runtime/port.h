/* SPDX-License-Identifier: MIT */
/*
 * port.h - a bridge port: what a NIC driver, a vif and dom0's own IP stack look like to the
 * bridge, and the frames that travel between them.
 *
 * A frame is `head` (the first bytes, in our own memory, already checked: Ethernet and, when the
 * sender had them, IP and TCP headers) followed by fragments, each of them dom0 memory or a page
 * that a guest has granted. Fragments are not read by the bridge; whoever sends the frame on
 * copies or maps them. Nobody changes a frame after it was handed on.
 */
#ifndef RUNTIME_PORT_H
#define RUNTIME_PORT_H

#include "addr.h"
#include "xenabi.h"
#include "lib/list.h"

#define FRAME_HEAD_MAX  128     /* bytes of a frame that a receiver copies into head, at most */
#define FRAME_FRAGS_MAX 19      /* 18 slots of netif.h and one for a rest of the first */
#define FRAME_LEN_MAX   65535

enum frag_kind {
    FRAG_MEM,                   /* dom0 memory at va, machine address maddr */
    FRAG_GRANT,                 /* page `ref` of domain `dom`, from `offset` */
};

/* A piece of a frame; within one page. */
struct frag {
    uint8_t kind;               /* enum frag_kind */
    uint16_t offset;            /* FRAG_GRANT: byte in the granted page */
    uint16_t len;               /* 1..PAGE_SIZE */
    domid_t dom;
    union {
        grant_ref_t ref;
        struct {
            const void *va;
            paddr_t maddr;
        } mem;
    };
};

/* Frame flags. */
#define FRAME_CSUM_BLANK     0x01   /* TCP/UDP checksum holds only the pseudo-header's sum */
#define FRAME_CSUM_VALID     0x02   /* checked by somebody trusted, or made here */
#define FRAME_BROADCAST      0x04   /* destination has the group bit (filled in by the bridge) */

enum frame_gso { GSO_NONE, GSO_TCPV4, GSO_TCPV6 };

struct port;

struct frame {
    struct list link;           /* for whoever holds it */
    struct port *from;          /* port it came in at */
    uint8_t *head;              /* head_len bytes, own memory, not crossing a page */
    uint16_t head_len;          /* >= 14 and <= len */
    uint16_t len;               /* whole frame: head_len + all fragments; no FCS */
    uint8_t flags;
    uint8_t gso;                /* enum frame_gso */
    uint16_t gso_size;          /* TCP payload bytes per packet when gso != GSO_NONE */
    uint8_t nr_frags;
    uint32_t refs;              /* frame_get/frame_put; 1 when made */
    void (*done)(struct frame *f);  /* the last reference went: answer the sender, free it */
    struct frag frags[FRAME_FRAGS_MAX];
};

static inline void frame_get(struct frame *f)
{
    f->refs++;
}

static inline void frame_put(struct frame *f)
{
    if (--f->refs == 0)
        f->done(f);
}

/* What a port can take; frames beyond that are brought into shape by the bridge before. */
#define PORT_CSUM  0x01         /* frames with FRAME_CSUM_BLANK */
#define PORT_TSO4  0x02         /* frames with GSO_TCPV4 */
#define PORT_TSO6  0x04
#define PORT_GRANT 0x08         /* FRAG_GRANT fragments; else only FRAG_MEM */

struct port_stats {
    uint64_t rx_frames, rx_bytes, tx_frames, tx_bytes;  /* rx: into the bridge from this port */
    uint64_t rx_dropped, tx_dropped, rx_errors;
};

struct port {
    struct list link;           /* the bridge's list */
    char name[24];              /* "nic0", "vif3.0", "dom0" */
    uint8_t mac[6];             /* its own address, where it has one (not a vif's peer) */
    uint32_t caps;              /* PORT_xxx */
    uint32_t mtu;
    bool up;                    /* carrier */
    struct port_stats stats;

    /* Set by the port's owner: sends n frames out. The port takes its own references on what it
     * keeps beyond the call; what it cannot take it drops and counts. */
    void (*send)(struct port *p, struct frame **frames, unsigned int n);
    /* May be NULL. Called once after a batch of send() calls: ring doorbells, notify guests. */
    void (*flush)(struct port *p);

    /* Set by the bridge when the port is added; the owner calls port_receive(). */
    void (*receive)(struct port *p, struct frame **frames, unsigned int n);
    void *bridge;
};

/* Frames that came in at p. The bridge takes its own references; the caller drops its one after. */
static inline void port_receive(struct port *p, struct frame **frames, unsigned int n)
{
    if (p->receive)
        p->receive(p, frames, n);
}

#endif
