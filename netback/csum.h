/* SPDX-License-Identifier: MIT */
/*
 * csum.h - Internet checksums, and cutting a big TCP frame into packets. Pure.
 */
#ifndef NETBACK_CSUM_H
#define NETBACK_CSUM_H

#include "compiler.h"

/* Adds len bytes to a ones' complement sum that began as 0. Only the last piece may be odd. */
uint64_t csum_add(uint64_t sum, const void *p, size_t len);

/* The sum as it is put into a header, in memory order; not yet complemented. */
uint16_t csum_fold(uint64_t sum);

/*
 * Computes the TCP or UDP checksum of a flat frame whose field holds anything, and writes it.
 * False, and nothing is written: not a whole TCP or UDP packet over IPv4 or IPv6.
 */
bool csum_complete(uint8_t *frame, size_t len);

/* Where TCP's or UDP's header starts in a frame and where in it the checksum lies, as a NIC that
 * completes it wants to know. False: neither TCP nor UDP. */
bool csum_place(const uint8_t *head, size_t head_len, size_t frame_len, uint16_t *start,
                uint16_t *offset);

/* A TCP frame with more payload than fits one packet. */
struct gso {
    uint16_t headers;           /* bytes of Ethernet, IP and TCP headers */
    uint16_t l3, l4;            /* offsets */
    uint16_t size;              /* payload per packet */
    uint8_t version;            /* 4, 6 */
    uint32_t payload;           /* bytes in all */
    uint32_t packets;           /* >= 1 */
};

/*
 * Checks that head has all headers of a TCP frame of frame_len bytes over this IP version, to be
 * cut at `size` bytes of payload. False: it has not, or size is 0.
 */
bool gso_plan(struct gso *g, const uint8_t *head, size_t head_len, size_t frame_len,
              unsigned int version, uint16_t size);

/* Payload of packet i < g->packets: `*offset` bytes from the start of the payload. Returns its
 * length. */
uint32_t gso_payload(const struct gso *g, uint32_t i, uint32_t *offset);

/*
 * Writes the g->headers bytes of packet i to out: lengths, identification, sequence number, flags
 * and IPv4's checksum are right; TCP's field holds the pseudo-header's sum (a blank checksum).
 */
void gso_headers(const struct gso *g, const uint8_t *head, uint32_t i, uint8_t *out);

#endif
