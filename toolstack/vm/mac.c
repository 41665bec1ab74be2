/* SPDX-License-Identifier: MIT */
/* mac.c - addresses of vifs (see mac.h). */
#include "toolstack/vm/mac.h"
#include "lib/printf.h"
#include "lib/string.h"
#include "toolstack/vm/vm.h"

bool mac_is_zero(const uint8_t mac[6])
{
    static const uint8_t zero[6];

    return memcmp(mac, zero, 6) == 0;
}

const char *mac_text(const uint8_t mac[6], char text[20])
{
    snprintf(text, 20, "%02x:%02x:%02x:%02x:%02x:%02x", mac[0], mac[1], mac[2], mac[3], mac[4],
             mac[5]);
    return text;
}

void mac_choose(uint8_t mac[6], const char *name, uint32_t number)
{
    uint32_t h = 2166136261U;

    for (const char *p = name; *p; p++)
        h = (h ^ (uint8_t)*p) * 16777619U;
    h = (h ^ number) * 16777619U;
    h ^= h >> 15;
    mac[0] = 0x00;
    mac[1] = 0x16;
    mac[2] = 0x3e;
    mac[3] = h >> 16 & 0x7f;
    mac[4] = h >> 8 & 0xff;
    mac[5] = h & 0xff;
}

const char *mac_user(const uint8_t mac[6])
{
    struct vm *vm;

    vm_for_each(vm) {
        for (uint32_t i = 0; i < vm->cfg.nr_vifs; i++) {
            if (memcmp(vm->cfg.vif[i].mac, mac, 6) == 0)
                return vm->cfg.name;
        }
    }
    return NULL;
}
