/* SPDX-License-Identifier: MIT */
/* xenbus.h - client of the store over the ring that start_info names (mini guests). */
#ifndef RUNTIME_XENBUS_H
#define RUNTIME_XENBUS_H

/* Makes the ring client the provider behind xs.h. 0 or a negative error. */
int xenbus_init(void);

#endif
