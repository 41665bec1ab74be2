/* SPDX-License-Identifier: MIT */
/*
 * test-spoof.c - runs in a guest: sends frames that are not its own to send: a foreign source MAC, a
 * foreign source IP, an ARP reply in somebody else's name. The host must drop them all; whoever
 * captures the wire looks for the marks 02:de:ad:be:ef:01 and 10.0.2.66.
 */
#include <arpa/inet.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <netpacket/packet.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

int main(void)
{
    int s = socket(AF_PACKET, SOCK_RAW, htons(ETH_P_ALL));
    struct ifreq ifr = { .ifr_name = "eth0" };
    struct sockaddr_ll to = { .sll_family = AF_PACKET, .sll_halen = 6 };
    static const uint8_t other[6] = { 2, 0xde, 0xad, 0xbe, 0xef, 1 };
    uint8_t mac[6], f[60];

    if (s < 0 || ioctl(s, SIOCGIFHWADDR, &ifr))
        return 2;
    memcpy(mac, ifr.ifr_hwaddr.sa_data, 6);
    ioctl(s, SIOCGIFINDEX, &ifr);
    to.sll_ifindex = ifr.ifr_ifindex;
    for (int i = 0; i < 30; i++) {
        memset(f, 0, sizeof(f));
        memset(f, 0xff, 6);
        memcpy(f + 6, i % 3 == 0 ? other : mac, 6);
        if (i % 3 == 1) {               /* IPv4/UDP from 10.0.2.66 */
            static const uint8_t ip[28] = { 0x45, 0, 0, 28, 0, 0, 0, 0, 64, 17, 0, 0, 10, 0, 2, 66,
                                            10, 0, 2, 2, 0x10, 0, 0x10, 0, 0, 8, 0, 0 };
            f[12] = 8;
            memcpy(f + 14, ip, sizeof(ip));
        } else {                        /* ARP reply: 10.0.2.66 is here */
            static const uint8_t arp[8] = { 0, 1, 8, 0, 6, 4, 0, 2 };
            f[12] = 8;
            f[13] = 6;
            memcpy(f + 14, arp, sizeof(arp));
            memcpy(f + 22, i % 3 == 0 ? other : mac, 6);
            memcpy(f + 28, (uint8_t[]){ 10, 0, 2, 66 }, 4);
        }
        if (sendto(s, f, sizeof(f), 0, (struct sockaddr *)&to, sizeof(to)) != sizeof(f))
            return 1;
        usleep(10000);
    }
    return 0;
}
