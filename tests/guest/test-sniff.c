/* SPDX-License-Identifier: MIT */
/*
 * test-sniff.c - runs in a guest: listens on eth0 in promiscuous mode and fails if a unicast frame
 * for somebody else comes in, but for the first few of each address: a bridge that has not
 * learnt an address yet must flood. Ends after SECONDS (default 20).
 */
#include <arpa/inet.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <netpacket/packet.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

int main(void)
{
    const char *seconds = getenv("SECONDS");
    time_t end = time(NULL) + (seconds ? atoi(seconds) : 20);
    int s = socket(AF_PACKET, SOCK_RAW, htons(ETH_P_ALL));
    struct ifreq ifr = { .ifr_name = "eth0" };
    struct timeval tv = { 1, 0 };
    struct sockaddr_ll sll = { .sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_ALL) };
    struct packet_mreq mr = { .mr_type = PACKET_MR_PROMISC };
    uint8_t mac[6], f[2048];
    unsigned int all = 0, foreign = 0;

    if (s < 0 || ioctl(s, SIOCGIFHWADDR, &ifr))
        return 2;
    memcpy(mac, ifr.ifr_hwaddr.sa_data, 6);
    ioctl(s, SIOCGIFINDEX, &ifr);
    sll.sll_ifindex = mr.mr_ifindex = ifr.ifr_ifindex;
    if (bind(s, (struct sockaddr *)&sll, sizeof(sll)) ||
        setsockopt(s, SOL_PACKET, PACKET_ADD_MEMBERSHIP, &mr, sizeof(mr)))
        return 2;
    setsockopt(s, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv));
    while (time(NULL) < end) {
        ssize_t n = read(s, f, sizeof(f));

        if (n < 14)
            continue;
        all++;
        if (!(f[0] & 1) && memcmp(f, mac, 6) && memcmp(f + 6, mac, 6))
            foreign++;
    }
    printf("sniff: %u frames, %u unicast ones for others\n", all, foreign);
    return foreign > 8;
}
