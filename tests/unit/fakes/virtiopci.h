/* SPDX-License-Identifier: MIT */
/* virtiopci.h - a virtio device's capabilities and the registers behind them, which are plain memory. */
#ifndef FAKES_VIRTIOPCI_H
#define FAKES_VIRTIOPCI_H

#include "runtime/pci.h"

/* By kind of capability: 1 common, 2 notify, 3 isr, 4 device. */
extern uint8_t fake_virtio[5][4096];

#endif
