/* SPDX-License-Identifier: MIT */
/* vifs.c - see vifs.h. */
#include "tests/unit/fakes/vifs.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "netback/headers.h"

struct port fake_nic;
uint8_t fake_nic_frame[80][2048];
unsigned int fake_nic_len[80], fake_nic_got;

static const char *path_of(domid_t dom, const char *directory, const char *key)
{
    static char path[128];
    int n = snprintf(path, sizeof(path), directory, dom);

    snprintf(path + n, sizeof(path) - (size_t)n, "%s", key);
    return path;
}

void vif_write(domid_t dom, const char *directory, const char *key, const char *value)
{
    fake_write(path_of(dom, directory, key), value);
}

const char *vif_read(domid_t dom, const char *directory, const char *key)
{
    return fake_read(path_of(dom, directory, key));
}

int vif_state(domid_t dom)
{
    return atoi(vif_read(dom, BACK, "state"));
}

void vif_make(domid_t dom, const char *ip, const char *rate)
{
    char text[64];

    snprintf(text, sizeof(text), "00:16:3e:00:00:%02x", dom);
    vif_write(dom, BACK, "mac", text);
    vif_write(dom, FRONT, "state", "1");
    snprintf(text, sizeof(text), "/local/domain/%u/device/vif/0", dom);
    vif_write(dom, BACK, "frontend", text);
    if (ip)
        vif_write(dom, BACK, "ip", ip);
    if (rate)
        vif_write(dom, BACK, "rate", rate);
    snprintf(text, sizeof(text), "%u", dom);
    vif_write(dom, BACK, "frontend-id", text);
    vif_write(dom, BACK, "state", "1");
    fake_run();
}

void vif_remove(domid_t dom)
{
    char path[64];

    snprintf(path, sizeof(path), "/local/domain/0/backend/vif/%u", dom);
    fake_remove(path);
    fake_run();
}

void vif_begin_anew(domid_t dom)
{
    vif_write(dom, FRONT, "state", "6");
    fake_run();
    vif_write(dom, FRONT, "state", "1");
    fake_run();
}

void vif_ether(uint8_t *p, unsigned int from, unsigned int to)
{
    static const uint8_t mac[6] = { 0, 0x16, 0x3e, 0, 0, 0 };

    memcpy(p, mac, 6);
    p[5] = (uint8_t)to;
    memcpy(p + 6, mac, 6);
    p[11] = (uint8_t)from;
    put_be16(p + 12, ETH_P_IP);
    if (to == 0xff)
        memset(p, 0xff, 6);
}

static bool nic_send(struct port *p, struct frame *f)
{
    if (!frame_is_flat(f) || fake_nic_got == ARRAY_SIZE(fake_nic_frame))
        abort();
    memcpy(fake_nic_frame[fake_nic_got], f->head, f->len);
    fake_nic_len[fake_nic_got++] = f->len;
    return true;
}

void fake_nic_join(void)
{
    fake_nic = (struct port){ .name = "nic0", .mtu = 1500, .caps = PORT_UPLINK, .up = true,
                              .send = nic_send };
    fake_nic_got = 0;
    if (port_join(&fake_nic, bridge_get(NULL)))
        abort();
}
