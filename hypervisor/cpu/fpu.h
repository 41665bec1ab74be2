/* SPDX-License-Identifier: MIT */
/* fpu.h - the x87, SSE and AVX registers of vCPUs. */
#ifndef CPU_FPU_H
#define CPU_FPU_H

#include "domain/domain.h"

/* A new vCPU: allocates v->fpu in its initial state (FCW 0x37f, MXCSR 0x1f80). 0 or -ENOMEM. */
int fpu_vcpu_init(struct vcpu *v);
void fpu_vcpu_destroy(struct vcpu *v);
/* The legacy 512-byte FXSAVE image in vcpu_guest_context, of a vCPU that is off the CPUs. What a
 * guest or tool gives is made safe to load (MXCSR). */
void fpu_set_fxsave(struct vcpu *v, const void *image);
void fpu_get_fxsave(const struct vcpu *v, void *image);

#endif
