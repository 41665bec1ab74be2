/* SPDX-License-Identifier: MIT */
/*
 * wait.h - send an event and go to sleep, in one hypercall. Our extension of the guest ABI.
 *
 * What a server's loop does at the end of each turn: EVTCHNOP_send, then SCHEDOP_block, each with its way in and out and
 * its look at the clock, and an upcall that only ends the block. Here the processor goes straight from who sends to who
 * is woken, when nobody else waits for it.
 */
#ifndef SLUICE_WAIT_H
#define SLUICE_WAIT_H

/* long sluice_wait(unsigned int cmd, uint64_t port): arch-specific hypercall 6, which the reference does not use;
 * -ENOSYS where it does not exist, or for another cmd. */
#define __HYPERVISOR_sluice_wait    54

/* Returns SLUICE_WAIT_VERSION or more. */
#define SLUICE_WAIT_query           0
#define SLUICE_WAIT_VERSION         1

/*
 * As EVTCHNOP_send of port (0: nothing is sent), then SCHEDOP_block, but that evtchn_upcall_mask stays as it is: sleeps unless
 * evtchn_upcall_pending is set, until it becomes so, masked or not. For callers that keep upcalls masked and look at the
 * pending bits themselves. Can return early. In a multicall it sleeps at the end of the list.
 *   0          sent, has slept or did not have to
 *   -EINVAL    no such port, or not one to send on: has not slept
 */
#define SLUICE_WAIT_event           1

#endif
