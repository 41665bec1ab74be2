/* SPDX-License-Identifier: MIT */
/*
 * deliver.c - the event upcall: enter the guest's event callback, PV-ABI 3.5.
 *
 * The exit path calls it when upcall_pending is set and upcall_mask is clear, with interrupts
 * off, so nothing can change between the test and the delivery but what the guest itself does.
 * The callback runs masked; upcall_pending stays, the guest clears it.
 */
#include "cpu/counters.h"
#include "cpu/traps.h"
#include "event/evtchn.h"

void vcpu_deliver_upcall(struct vcpu *v)
{
    count(CNT_UPCALL);
    guest_inject_upcall(v);
}
