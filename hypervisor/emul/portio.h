/* SPDX-License-Identifier: MIT */
/*
 * portio.h - I/O ports of guests.
 *
 * A domain without I/O rights reads all-ones (0 from port 0x42: PV-ABI 4.2) and its writes
 * vanish. dom0 (domain.io_all) reaches the real ports, except those of devices that the
 * hypervisor drives itself.
 */
#ifndef EMUL_PORTIO_H
#define EMUL_PORTIO_H

#include "domain/domain.h"

/* size 1, 2, 4. */
uint32_t portio_read(const struct domain *d, uint16_t port, unsigned int size);
void portio_write(const struct domain *d, uint16_t port, unsigned int size, uint32_t value);

/* Pure: is any port of [port, port + size) one of the hypervisor's own? */
bool portio_is_ours(uint16_t port, unsigned int size);

/* The serial console's ports, when there is one; base 0: none. */
void portio_reserve_serial(uint16_t base);

#endif
