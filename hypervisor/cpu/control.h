/* SPDX-License-Identifier: MIT */
/* control.h - control registers and MSRs that are the same on all CPUs. */
#ifndef HV_CPU_CONTROL_H
#define HV_CPU_CONTROL_H

/* PAT entries: WB, WT, UC-, UC, WC, WP, UC, UC; what guests of the ABI expect. */
#define PAT_VALUE 0x0000050100070406UL

/* SMEP on, SMAP off (TCG's IRET reads ring-3 stacks with supervisor rights; PV kernels' stacks
 * are user pages), PAT. FPU and XSAVE state: cpu/fpu.c. Each CPU, once. */
void control_init_cpu(void);

#endif
