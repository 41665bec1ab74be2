/* SPDX-License-Identifier: MIT */
/*
 * decode.h - instruction decoder: bytes in, struct out. Pure.
 *
 * It knows what a PV guest may run that the hypervisor has to finish: stores and read-modify-
 * writes that hit a page table (mm/ptwrite.c), and privileged instructions and port I/O
 * (emul/privop.c). Everything else is INSN_UNKNOWN. It reads no memory but the bytes given and
 * no registers; operands are named, insn_address() and insn_execute() follow the names.
 */
#ifndef EMUL_DECODE_H
#define EMUL_DECODE_H

#include "compiler.h"

struct cpu_user_regs;

#define INSN_MAX 15             /* bytes of the longest instruction */

enum insn_op {
    INSN_UNKNOWN,
    /* Memory or register operand, with or without a source: insn_execute() computes these. */
    INSN_MOV, INSN_XCHG, INSN_CMPXCHG, INSN_CMPXCHG8B,      /* 8B: also 16B, by size */
    INSN_ADD, INSN_OR, INSN_ADC, INSN_SBB, INSN_AND, INSN_SUB, INSN_XOR,
    INSN_XADD, INSN_BTS, INSN_BTR, INSN_BTC,
    INSN_INC, INSN_DEC, INSN_NOT, INSN_NEG,
    INSN_STOS, INSN_MOVS,
    /* Port I/O: the port is imm (src INSN_SRC_IMM) or dx (INSN_SRC_REG). */
    INSN_IN, INSN_OUT, INSN_INS, INSN_OUTS,
    /* Privileged, or trapped on demand. */
    INSN_CLI, INSN_STI, INSN_HLT, INSN_CLTS, INSN_INVD, INSN_WBINVD,
    INSN_MOV_FROM_CR, INSN_MOV_TO_CR, INSN_MOV_FROM_DR, INSN_MOV_TO_DR, /* creg, rm_reg */
    INSN_LMSW, INSN_SMSW,
    INSN_RDMSR, INSN_WRMSR, INSN_RDTSC, INSN_RDTSCP, INSN_RDPMC, INSN_CPUID, INSN_XSETBV,
    INSN_INVLPG, INSN_LGDT, INSN_LIDT, INSN_LLDT, INSN_LTR, INSN_SWAPGS, INSN_SYSRET,
    INSN_INT,                   /* imm: the vector */
};

enum insn_src {
    INSN_SRC_NONE,              /* INC, NOT, STOS ... */
    INSN_SRC_REG,               /* reg */
    INSN_SRC_IMM,               /* imm */
    INSN_SRC_RM,                /* MOV reg <- r/m: the memory operand is read, reg written */
};

enum insn_seg { INSN_SEG_NONE, INSN_SEG_ES, INSN_SEG_CS, INSN_SEG_SS, INSN_SEG_DS, INSN_SEG_FS,
                INSN_SEG_GS };

#define INSN_NO_REG 0xff

struct insn {
    uint8_t op;                 /* enum insn_op */
    uint8_t len;                /* bytes, prefixes included */
    uint8_t size;               /* of the operand, bytes: 1, 2, 4, 8 (16: CMPXCHG8B only) */
    uint8_t addr_size;          /* 4 or 8 (2 is INSN_UNKNOWN) */
    uint8_t src;                /* enum insn_src */
    uint8_t reg;                /* 0..15, hardware numbering: rax rcx rdx rbx rsp rbp rsi rdi .. */
    uint8_t creg;               /* control or debug register number */
    uint8_t seg;                /* override, or INSN_SEG_NONE */
    bool lock;
    bool rep;                   /* F3 or F2 prefix */
    bool reg_high;              /* reg is ah, ch, dh, bh (number 0..3) */
    bool rm_high;
    bool is_mem;                /* operand is memory: base + index * scale + disp */
    bool rip_relative;
    uint8_t rm_reg;             /* !is_mem: the register */
    uint8_t base, index;        /* INSN_NO_REG: none */
    uint8_t scale;              /* 1, 2, 4, 8 */
    int64_t disp;
    uint64_t imm;               /* sign-extended to 64 bits */
};

enum insn_result {
    INSN_OK = 0,
    INSN_TRUNCATED,             /* more bytes are needed than n; never with n >= INSN_MAX */
    INSN_BAD,                   /* not one that we know, or longer than INSN_MAX */
};

/* Decodes at b, of which n bytes are there. code64: 64-bit code segment, else 32-bit. On
 * anything but INSN_OK, *i has op INSN_UNKNOWN. */
enum insn_result insn_decode(struct insn *i, const uint8_t *b, size_t n, bool code64);

/* Does it write to the memory operand? (STOS, MOVS, INS: to es:rdi.) */
bool insn_writes_memory(const struct insn *i);

/* Linear address of the memory operand (is_mem; STOS, MOVS, INS: rdi; OUTS: rsi), regs as at
 * the start of the instruction. fs_base and gs_base: of the active mode; others count as 0.
 * For BTS/BTR/BTC with a register bit offset it includes the whole operands that are skipped. */
uint64_t insn_address(const struct insn *i, const struct cpu_user_regs *regs, uint64_t fs_base,
                      uint64_t gs_base);

/*
 * Executes MOV .. NEG and STOS on a memory operand whose old value is *mem (i->size bytes, zero
 * extended): sets *mem to the new value, changes destination registers and flags in regs,
 * advances rip. Not for CMPXCHG8B, MOVS. False: not such an instruction, nothing changed.
 * The caller stores *mem back (when insn_writes_memory()) before it takes over regs: call it on
 * a copy, and again with the newer old value if the store lost a race.
 */
bool insn_execute(const struct insn *i, struct cpu_user_regs *regs, uint64_t *mem);

/* Register n, zero-extended from `size` bytes; writes follow the rules of 64-bit mode: 4 bytes
 * clear the upper half, 1 and 2 leave the rest. high: ah and its like. */
uint64_t insn_reg_read(const struct cpu_user_regs *regs, uint8_t n, uint8_t size, bool high);
void insn_reg_write(struct cpu_user_regs *regs, uint8_t n, uint8_t size, bool high, uint64_t v);

#endif
