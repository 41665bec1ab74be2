/* SPDX-License-Identifier: MIT */
/* host.h - which domains a host starts by itself. */
#ifndef DOM0_HOST_H
#define DOM0_HOST_H

/*
 * Reads host.cfg (a boot module; it may be missing) and starts the domains it lists. Syntax of
 * xl.cfg, keys:
 *   autostart = [ "web.cfg", ... ]     domain configurations, boot modules, in this order
 * Each mistake is one line in the log and costs only what it is about.
 */
void host_start(void);

/*
 * The command line's solo=FILE: starts that one domain; when it has ended for good, ends the
 * machine: by QEMU's isa-debug-exit with SOLO_xx where there is one, else by power-off. This is
 * what tests/run-guest uses.
 */
void solo_start(const char *file);

/*
 * The command line's bench=FILE:COUNT[:ROUNDS]: creates and destroys that domain COUNT times and
 * logs how long each took, all of it ROUNDS (1 to 9) times; then ends QEMU.
 */
void bench_start(const char *spec);

/* The command line's word `marks`: logs the host's counters whenever a domain writes data/mark. */
void marks_start(void);
/* The same at any place of dom0; nothing without that word. */
void marks_point(const char *text);

/* benchsched=FILE:COUNT[:SECONDS]: COUNT busy domains under changing weights and caps; then ends
 * QEMU. */
void bench_sched_start(const char *spec);

/*
 * Starts the API: HTTPS with the boot modules api.crt, api.key, api.ca, api.tokens; plain HTTP with
 * api=insecure; else none, and the log says what is missing. After net_start().
 */
void api_bring_up(void);
/* Takes those modules out of reach of domains. After file_add_modules() and api_bring_up(). */
void api_hide_credentials(void);

#define SOLO_POWEROFF   0x10
#define SOLO_CRASH      0x11
#define SOLO_NOT_BUILT  0x13    /* 0x12 is the hypervisor's own */

#endif
