/* SPDX-License-Identifier: MIT */
/* com2.h - the host's second serial port, as an outlet for one domain's console. */
#ifndef DOM0_COM2_H
#define DOM0_COM2_H

/* Copies the console of the domain of that name ("" or NULL: of every domain) to COM2. */
void com2_mirror(const char *name);

/* Ends QEMU through its isa-debug-exit device, with exit status 2 * code + 1; without that
 * device nothing happens. */
void debug_exit(unsigned char code);

#endif
