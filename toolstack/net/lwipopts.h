/* SPDX-License-Identifier: MIT */
/*
 * lwipopts.h - how lwIP is built for dom0: raw API, one thread, IPv4, memory from runtime/mem.h.
 */
#ifndef NET_LWIPOPTS_H
#define NET_LWIPOPTS_H

#include "compiler.h"

/* No threads, no sockets: callbacks from the run loop. */
#define NO_SYS               1
#define SYS_LIGHTWEIGHT_PROT 0
#define LWIP_SOCKET          0
#define LWIP_NETCONN         0
#define LWIP_STATS           0
#define LWIP_TIMERS_CUSTOM   1  /* netif.c */

/* Everything from malloc; what bounds it are the limits on connections and windows. */
#define MEM_LIBC_MALLOC 1
#define MEMP_MEM_MALLOC 1
#define MEM_ALIGNMENT   8

#define LWIP_IPV4                1
#define LWIP_IPV6                0
#define LWIP_ARP                 1
#define LWIP_ICMP                1
#define LWIP_UDP                 1
#define LWIP_RAW                 0
#define LWIP_DHCP                1
#define LWIP_DHCP_DOES_ACD_CHECK 0
#define DHCP_DOES_ARP_CHECK      0
#define LWIP_DNS                 1
#define LWIP_AUTOIP              0
#define LWIP_IGMP                0
#define IP_REASSEMBLY            0
#define IP_FRAG                  0
#define ARP_TABLE_SIZE           64
#define ARP_QUEUEING             1
#define LWIP_NETIF_HOSTNAME        1
#define LWIP_NETIF_STATUS_CALLBACK 1

/* TCP: windows that fill a fast link with a disk's traffic. */
#define LWIP_TCP                 1
#define TCP_MSS                  1460
#define LWIP_WND_SCALE           1
#define TCP_RCV_SCALE            2
#define TCP_WND                  (96 * TCP_MSS)
#define TCP_SND_BUF              (96 * TCP_MSS)
#define TCP_SND_QUEUELEN         512
#define TCP_SNDLOWAT             (2 * TCP_MSS)
#define TCP_SNDQUEUELOWAT        16
#define TCP_OOSEQ_MAX_BYTES      (96 * TCP_MSS)
#define TCP_OOSEQ_MAX_PBUFS      128
#define TCP_MSL                  10000UL    /* ms; closed connections are kept twice as long */
#define TCP_LISTEN_BACKLOG       1
#define TCP_DEFAULT_LISTEN_BACKLOG 32
#define LWIP_TCP_KEEPALIVE       1
#define TCP_KEEPIDLE_DEFAULT     60000
#define TCP_KEEPINTVL_DEFAULT    10000
#define TCP_KEEPCNT_DEFAULT      6
#define PBUF_POOL_BUFSIZE        1536
#define LWIP_RANDOMIZE_INITIAL_LOCAL_PORTS 1

/* Large frames are received where they lie (link.c); bigseg.c keeps a number beside a connection. */
#define LWIP_SUPPORT_CUSTOM_PBUF  1
#define LWIP_TCP_PCB_NUM_EXT_ARGS 1

/* Received frames whose checksum somebody trusted has checked are not checked again (link.c). */
#define LWIP_CHECKSUM_CTRL_PER_NETIF 1

#include "toolstack/net/csum.h"
#define LWIP_CHKSUM net_chksum

/* Sequence numbers that outsiders cannot guess (isn.c); what a listener is sent (handshake.c). */
#include "lwip/arch.h"
struct ip4_addr;
struct pbuf;
struct tcp_hdr;
struct tcp_pcb_listen;
u32_t net_tcp_isn(const struct ip4_addr *local, u16_t local_port, const struct ip4_addr *remote,
                  u16_t remote_port);
/* A header in host byte order, its options and what follows it. True: lwIP is to forget it. */
bool net_listener_input(const struct tcp_pcb_listen *l, const struct tcp_hdr *h,
                        const u8_t *options, u16_t options_len, const struct pbuf *payload);
#define LWIP_HOOK_TCP_ISN net_tcp_isn
/* A frame's headers are in one piece (link.c), so all options follow. */
#define LWIP_HOOK_TCP_INPACKET_PCB(pcb, hdr, optlen, opt1len, opt2, p)                             \
    ((pcb)->state == LISTEN && (optlen) == (opt1len) &&                                            \
     net_listener_input((const struct tcp_pcb_listen *)(pcb), (hdr), (const u8_t *)((hdr) + 1),    \
                        (optlen), (p)) ? ERR_ABRT : ERR_OK)

#endif
