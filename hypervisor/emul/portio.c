/* SPDX-License-Identifier: MIT */
/* portio.c - see portio.h. */
#include "emul/portio.h"

#ifndef SLUICE_HOST
#include "cpu/asm.h"
#endif

static struct port_range {
    uint16_t first, last;
} ours[] = {
    { 0x20, 0x21 },             /* interrupt controllers */
    { 0xa0, 0xa1 },
    { 0x4d0, 0x4d1 },
    { 0x40, 0x43 },             /* timer, and its gate */
    { 0x61, 0x61 },
    { 1, 0 },                   /* serial console: portio_reserve_serial() */
};

bool portio_is_ours(uint16_t port, unsigned int size)
{
    uint32_t end = (uint32_t)port + size;

    for (unsigned int i = 0; i < ARRAY_SIZE(ours); i++)
        if (port <= ours[i].last && end > ours[i].first && ours[i].first <= ours[i].last)
            return true;
    return false;
}

void portio_reserve_serial(uint16_t base)
{
    struct port_range *r = &ours[ARRAY_SIZE(ours) - 1];

    *r = base ? (struct port_range){ base, (uint16_t)(base + 7) } : (struct port_range){ 1, 0 };
}

#ifndef SLUICE_HOST
static uint32_t no_device(uint16_t port, unsigned int size)
{
    /* Linux times its CPU against this counter; 0 makes it give up at once. */
    if (port == 0x42 || port == 0x61)
        return 0;
    return size == 4 ? ~0u : (1u << (size * 8)) - 1;
}

uint32_t portio_read(const struct domain *d, uint16_t port, unsigned int size)
{
    if (!d->io_all || portio_is_ours(port, size))
        return no_device(port, size);
    return size == 1 ? inb(port) : size == 2 ? inw(port) : inl(port);
}

void portio_write(const struct domain *d, uint16_t port, unsigned int size, uint32_t value)
{
    if (!d->io_all || portio_is_ours(port, size))
        return;
    if (size == 1)
        outb(port, (uint8_t)value);
    else if (size == 2)
        outw(port, (uint16_t)value);
    else
        outl(port, value);
}
#endif
