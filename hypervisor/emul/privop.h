/* SPDX-License-Identifier: MIT */
/*
 * privop.h - instructions that guests may not execute, done for them.
 */
#ifndef EMUL_PRIVOP_H
#define EMUL_PRIVOP_H

#include "domain/domain.h"

/* #GP of the current vCPU: int n, privileged instructions of its kernel, port I/O. True: done
 * (regs advanced, or another exception injected); false: reflect the #GP. */
bool privop_emulate_gp(struct vcpu *v, struct cpu_user_regs *regs);
/* #UD: CPUID behind the forced-emulation prefix. */
bool privop_emulate_ud(struct vcpu *v, struct cpu_user_regs *regs);

#endif
