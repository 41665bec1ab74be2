/* SPDX-License-Identifier: MIT */
/*
 * xenabi.h - the one way to include Xen's public headers (Debian: libxen-dev), so that
 * every part sees the same interface version and the toolstack's structures.
 */
#ifndef XENABI_H
#define XENABI_H

#include <stddef.h>
#include <stdint.h>

#define __XEN_INTERFACE_VERSION__ 0x00040e00
#ifndef __XEN_TOOLS__
#define __XEN_TOOLS__ 1
#endif

#include <xen/xen.h>
#include <xen/event_channel.h>
#include <xen/grant_table.h>
#include <xen/memory.h>
#include <xen/sched.h>
#include <xen/vcpu.h>
#include <xen/version.h>
#include <xen/features.h>
#include <xen/callback.h>
#include <xen/nmi.h>
#include <xen/physdev.h>
#include <xen/platform.h>
#include <xen/elfnote.h>
#include <xen/domctl.h>
#include <xen/sysctl.h>
#include <xen/arch-x86/cpuid.h>
#include <xen/io/ring.h>
#include <xen/io/xenbus.h>
#include <xen/io/xs_wire.h>
#include <xen/io/console.h>

#define XEN_ERRNO(name, value) XEN_##name = value,
enum xen_errno {
#include <xen/errno.h>
};

/* Ours alone, never seen by a guest: "preempted, call again". */
#define XEN_ERESTART 85

/* Of dom0's network connections; never seen by a guest. */
#define XEN_ECONNRESET   104
#define XEN_EHOSTUNREACH 113

#endif
