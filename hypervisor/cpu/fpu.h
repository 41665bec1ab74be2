/* SPDX-License-Identifier: MIT */
/*
 * fpu.h - the x87, SSE and AVX registers of vCPUs.
 *
 * Saved whenever a vCPU leaves its CPU, loaded when another one comes: the registers of one
 * guest are never there for another. The hypervisor itself uses none of them, so a vCPU that
 * comes back to the CPU it left, with only dom0 or idling in between, finds them as they were.
 *
 * dom0 is compiled without them: as long as it never used them it has nothing to be saved or loaded, and
 * runs with CR0.TS set; its first use traps and ends that for good. Guests always have their own loaded: a
 * processor that runs ahead may read registers in spite of CR0.TS (CVE-2018-3665).
 */
#ifndef CPU_FPU_H
#define CPU_FPU_H

#include "domain/domain.h"

/* What the CPU can: called once on the boot CPU, then on each (turns XSAVE on). */
void fpu_init(void);
void fpu_init_cpu(void);
/* XCR0 bits that guests may use, 0: there is no XSAVE. All are switched. */
extern uint64_t fpu_xcr0_mask;
/* Would the CPU take v as XCR0, and is it within the mask? */
bool fpu_xcr0_valid(uint64_t v);
/* xsetbv of the current vCPU; v is valid. */
void fpu_set_xcr0(struct vcpu *v, uint64_t xcr0);

/* A new vCPU: allocates v->fpu in its initial state (FCW 0x37f, MXCSR 0x1f80). 0 or -ENOMEM. */
int fpu_vcpu_init(struct vcpu *v);
void fpu_vcpu_destroy(struct vcpu *v);
/* The legacy 512-byte FXSAVE image in vcpu_guest_context, of a vCPU that is off the CPUs. What a
 * guest or tool gives is made safe to load (MXCSR). */
void fpu_set_fxsave(struct vcpu *v, const void *image);
void fpu_get_fxsave(const struct vcpu *v, void *image);

/* context_switch(): registers to v->fpu, if v->fpu_used; and back, with XCR0, after which CR0.TS has
 * to be set as v needs it (vcpu_load_control()). Interrupts off. */
void fpu_save(struct vcpu *v);
void fpu_load(struct vcpu *v);
/* #NM of the current vCPU: was it its first use of these registers? They are loaded then. */
bool fpu_first_use(struct vcpu *v);

#endif
