/* SPDX-License-Identifier: MIT */
/* mac.h - addresses of vifs: which are taken, which one to take. */
#ifndef VM_MAC_H
#define VM_MAC_H

#include "compiler.h"

bool mac_is_zero(const uint8_t mac[6]);

/* "00:16:3e:12:34:56"; returns text. */
const char *mac_text(const uint8_t mac[6], char text[20]);

/* An address of Xen's range, the same for the same name and number on every host and start. */
void mac_choose(uint8_t mac[6], const char *name, uint32_t number);

/* The domain of this host that has this address, by name; NULL: nobody. */
const char *mac_user(const uint8_t mac[6]);

#endif
