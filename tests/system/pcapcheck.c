/* SPDX-License-Identifier: MIT */
/*
 * pcapcheck.c - looks through a capture of a host's wire.
 *
 *   pcapcheck FILE [MAC...]      MACs that the host may send from
 *
 * Prints what it counted; fails if a frame from the host's side has a foreign source MAC, an IPv4,
 * TCP or UDP checksum is wrong, the marks of test-spoof appear, two of the MACs talk to
 * each other here (their frames have no business on the wire), or ARP or DHCP are missing.
 */
#include <pcap/pcap.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static uint8_t macs[16][6];
static int nr_macs;
static unsigned long frames, arp, dhcp, tcp, udp, bad_sum, foreign, marks, inside;

static int is_ours(const uint8_t *m)
{
    for (int i = 0; i < nr_macs; i++)
        if (!memcmp(macs[i], m, 6))
            return 1;
    return 0;
}

/* slirp's own addresses, which are what else lives on that wire: 52:55 and the IPv4 address, and
 * its IPv6 router's. */
static int is_outside(const uint8_t *m)
{
    static const uint8_t slirp[4] = { 0x52, 0x55, 10, 0 }, router[6] = { 0x52, 0x56, 0, 0, 0, 2 };
    return !memcmp(m, slirp, 4) || !memcmp(m, router, 6);
}

static uint32_t sum(const uint8_t *p, size_t n, uint32_t s)
{
    for (size_t i = 0; i + 1 < n; i += 2)
        s += (uint32_t)p[i] << 8 | p[i + 1];
    if (n & 1)
        s += (uint32_t)p[n - 1] << 8;
    return s;
}

static uint16_t fold(uint32_t s)
{
    while (s >> 16)
        s = (s & 0xffff) + (s >> 16);
    return (uint16_t)s;
}

static void ipv4(const uint8_t *p, size_t n)
{
    static const uint8_t mark[4] = { 10, 0, 2, 66 };
    size_t head = (p[0] & 15u) * 4u, len = (size_t)p[2] << 8 | p[3];
    uint32_t s;

    if (n < 20 || head < 20 || len > n || len < head)
        return;
    if (fold(sum(p, head, 0)) != 0xffff)
        bad_sum++;
    if (!memcmp(p + 12, mark, 4))
        marks++;
    if ((p[6] & 0x3f) | p[7] || (p[9] != 6 && p[9] != 17))      /* a fragment, or neither TCP nor UDP */
        return;
    s = sum(p + 12, 8, p[9] + (uint32_t)(len - head));
    if (p[9] == 6) {
        tcp++;
    } else {
        udp++;
        if (len - head >= 8 && (p[head + 3] == 67 || p[head + 3] == 68))
            dhcp++;
        if (!(p[head + 6] | p[head + 7]))       /* no UDP checksum given */
            return;
    }
    if (fold(sum(p + head, len - head, s)) != 0xffff)
        bad_sum++;
}

int main(int argc, char **argv)
{
    static const uint8_t mark[6] = { 2, 0xde, 0xad, 0xbe, 0xef, 1 }, mark_ip[4] = { 10, 0, 2, 66 };
    char err[PCAP_ERRBUF_SIZE];
    struct pcap_pkthdr *h;
    const uint8_t *f;
    pcap_t *p = argc > 1 ? pcap_open_offline(argv[1], err) : NULL;

    if (!p) {
        fprintf(stderr, "pcapcheck: %s\n", argc > 1 ? err : "which file?");
        return 2;
    }
    for (int i = 2; i < argc && nr_macs < 16; i++, nr_macs++) {
        uint8_t *m = macs[nr_macs];
        if (sscanf(argv[i], "%hhx:%hhx:%hhx:%hhx:%hhx:%hhx", m, m + 1, m + 2, m + 3, m + 4, m + 5) != 6)
            return 2;
    }
    while (pcap_next_ex(p, &h, &f) == 1) {
        if (h->caplen < 14 || h->caplen < h->len)
            continue;
        frames++;
        if (!is_ours(f + 6) && !is_outside(f + 6)) {
            foreign++;
            printf("pcap: from %02x:%02x:%02x:%02x:%02x:%02x\n", f[6], f[7], f[8], f[9], f[10], f[11]);
        }
        if (is_ours(f + 6) && is_ours(f))
            inside++;
        if (!memcmp(f + 6, mark, 6))
            marks++;
        if (f[12] == 8 && f[13] == 6) {
            arp++;
            if (h->caplen >= 32 && !memcmp(f + 28, mark_ip, 4))
                marks++;
        } else if (f[12] == 8 && f[13] == 0) {
            ipv4(f + 14, h->caplen - 14);
        }
    }
    printf("pcap: %lu frames, %lu ARP, %lu DHCP, %lu TCP, %lu UDP; %lu bad checksums, %lu foreign MACs, "
           "%lu spoofed, %lu between guests\n", frames, arp, dhcp, tcp, udp, bad_sum, foreign, marks, inside);
    return !(frames && arp && dhcp && tcp && !bad_sum && !foreign && !marks && !inside);
}
