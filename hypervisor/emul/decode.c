/* SPDX-License-Identifier: MIT */
/*
 * decode.c - instruction decoder and the arithmetic of what it decodes. Pure; see decode.h.
 */
#include "emul/decode.h"

#include "lib/string.h"
#include "xenabi.h"

#define REX_W 8u
#define REX_R 4u
#define REX_X 2u
#define REX_B 1u

#define EFLAGS_CF (1UL << 0)
#define EFLAGS_PF (1UL << 2)
#define EFLAGS_AF (1UL << 4)
#define EFLAGS_ZF (1UL << 6)
#define EFLAGS_SF (1UL << 7)
#define EFLAGS_DF (1UL << 10)
#define EFLAGS_OF (1UL << 11)
#define EFLAGS_RF (1UL << 16)
#define EFLAGS_ARITH (EFLAGS_CF | EFLAGS_PF | EFLAGS_AF | EFLAGS_ZF | EFLAGS_SF | EFLAGS_OF)

enum { RAX, RCX, RDX, RBX, RSP, RBP, RSI, RDI };

/* Bytes that may be looked at: 15 of an instruction, zeros behind them, so that reading needs no
 * check; whether they were there is asked once, at the end. The most that can be taken behind the
 * 15th prefix: two bytes of opcode, ModRM, SIB, displacement, immediate. */
#define PADDED_BYTES 32

struct decoder {
    struct insn *i;
    uint8_t b[PADDED_BYTES];
    unsigned int at;
    bool code64, opsize16, addr_short;
    uint8_t rex;                /* with its 0x40, 0: none */
    uint8_t modrm;
};

static __always_inline uint8_t take_byte(struct decoder *d)
{
    return d->b[d->at++];
}

static __always_inline int64_t take_signed(struct decoder *d, unsigned int bytes)
{
    const uint8_t *p = d->b + d->at;
    int64_t v;

    d->at += bytes;
    switch (bytes) {
    case 1:
        return (int8_t)*p;
    case 2:
        return (int16_t)(p[0] | p[1] << 8);
    case 4: {
        int32_t w;

        __builtin_memcpy(&w, p, sizeof(w));
        return w;
    }
    default:
        __builtin_memcpy(&v, p, sizeof(v));
        return v;
    }
}

/* Bit b is set for 26 2e 36 3e 64..67 f0 f2 f3. */
static const uint64_t legacy_prefixes[4] = { 0x4040404000000000, 0x000000f000000000, 0,
                                             0x000d000000000000 };

/* False: nothing but prefixes, more than fit. */
static __always_inline bool prefixes(struct decoder *d)
{
    struct insn *i = d->i;
    uint8_t b;

    for (;;) {
        b = d->b[d->at];
        if (d->code64 && (b & 0xf0) == 0x40) {
            /* Only the last byte before the opcode counts as one. */
            d->rex = b;
        } else {
            if (likely(!(legacy_prefixes[b >> 6] >> (b & 63) & 1)))
                return true;
            d->rex = 0;
            switch (b) {
            case 0x66:
                d->opsize16 = true;
                break;
            case 0x67:
                d->addr_short = true;
                break;
            case 0xf0:
                i->lock = true;
                break;
            case 0xf2:
            case 0xf3:
                i->rep = true;
                break;
            case 0x26:
                i->seg = INSN_SEG_ES;
                break;
            case 0x2e:
                i->seg = INSN_SEG_CS;
                break;
            case 0x36:
                i->seg = INSN_SEG_SS;
                break;
            case 0x3e:
                i->seg = INSN_SEG_DS;
                break;
            case 0x64:
                i->seg = INSN_SEG_FS;
                break;
            default:
                i->seg = INSN_SEG_GS;
                break;
            }
        }
        if (++d->at == INSN_MAX)
            return false;
    }
}

static uint8_t operand_size(const struct decoder *d, bool byte)
{
    if (byte)
        return 1;
    if (d->rex & REX_W)
        return 8;
    return d->opsize16 ? 2 : 4;
}

/* A byte register: without REX, 4..7 are ah ch dh bh. */
static void set_reg(const struct decoder *d, uint8_t n, uint8_t *reg, bool *high)
{
    *high = d->i->size == 1 && !d->rex && n >= 4 && n < 8;
    *reg = *high ? n - 4 : n;
}

/* ModRM, SIB, displacement. i->size is set already. */
static void modrm(struct decoder *d)
{
    struct insn *i = d->i;
    uint8_t mod, rm, sib;

    d->modrm = take_byte(d);
    mod = d->modrm >> 6;
    rm = d->modrm & 7;
    set_reg(d, (uint8_t)((d->modrm >> 3 & 7) | (d->rex & REX_R ? 8 : 0)), &i->reg, &i->reg_high);
    if (mod == 3) {
        set_reg(d, (uint8_t)(rm | (d->rex & REX_B ? 8 : 0)), &i->rm_reg, &i->rm_high);
        return;
    }
    i->is_mem = true;
    if (rm == 4) {
        sib = take_byte(d);
        i->scale = (uint8_t)(1u << (sib >> 6));
        i->index = (uint8_t)((sib >> 3 & 7) | (d->rex & REX_X ? 8 : 0));
        if (i->index == RSP)
            i->index = INSN_NO_REG;
        i->base = (uint8_t)((sib & 7) | (d->rex & REX_B ? 8 : 0));
        if ((sib & 7) == RBP && mod == 0) {
            i->base = INSN_NO_REG;
            i->disp = take_signed(d, 4);
        }
    } else if (rm == 5 && mod == 0) {
        i->rip_relative = d->code64;
        i->disp = take_signed(d, 4);
    } else {
        i->base = (uint8_t)(rm | (d->rex & REX_B ? 8 : 0));
    }
    if (mod == 1)
        i->disp = take_signed(d, 1);
    else if (mod == 2)
        i->disp = take_signed(d, 4);
}

static void immediate(struct decoder *d, unsigned int bytes)
{
    d->i->src = INSN_SRC_IMM;
    d->i->imm = (uint64_t)take_signed(d, bytes);
}

static uint8_t rm_op(struct decoder *d, bool byte, uint8_t op, enum insn_src src)
{
    d->i->size = operand_size(d, byte);
    modrm(d);
    d->i->src = (uint8_t)src;
    return op;
}

static uint8_t imm_bytes(const struct decoder *d)
{
    return MIN(d->i->size, (uint8_t)4);
}

static const uint8_t alu_ops[8] = { INSN_ADD, INSN_OR, INSN_ADC, INSN_SBB, INSN_AND, INSN_SUB,
                                    INSN_XOR, INSN_UNKNOWN /* CMP */ };

/* 80, 81, 83, C6, C7, F6, F7, FE, FF: the operation is in ModRM. */
static uint8_t group(struct decoder *d, uint8_t opcode)
{
    struct insn *i = d->i;
    unsigned int ext;

    i->size = operand_size(d, !(opcode & 1));
    modrm(d);
    ext = d->modrm >> 3 & 7;
    switch (opcode) {
    case 0x80:
    case 0x81:
        immediate(d, imm_bytes(d));
        return alu_ops[ext];
    case 0x83:
        immediate(d, 1);
        return alu_ops[ext];
    case 0xc6:
    case 0xc7:
        immediate(d, imm_bytes(d));
        return ext == 0 ? INSN_MOV : INSN_UNKNOWN;
    case 0xf6:
    case 0xf7:
        return ext == 2 ? INSN_NOT : ext == 3 ? INSN_NEG : INSN_UNKNOWN;
    default:
        return ext == 0 ? INSN_INC : ext == 1 ? INSN_DEC : INSN_UNKNOWN;
    }
}

static uint8_t port_op(struct decoder *d, uint8_t opcode, uint8_t op)
{
    struct insn *i = d->i;

    i->size = MIN(operand_size(d, !(opcode & 1)), (uint8_t)4);
    if (opcode & 8)
        i->src = INSN_SRC_REG;
    else
        immediate(d, 1);
    return op;
}

static uint8_t string_op(struct decoder *d, uint8_t opcode, uint8_t op)
{
    d->i->size = operand_size(d, !(opcode & 1));
    if (op == INSN_INS || op == INSN_OUTS)
        d->i->size = MIN(d->i->size, (uint8_t)4);
    return op;
}

/* A0..A3: mov between rax and an absolute address as wide as addresses are. */
static uint8_t moffs(struct decoder *d, uint8_t opcode)
{
    struct insn *i = d->i;

    i->size = operand_size(d, !(opcode & 1));
    i->is_mem = true;
    i->disp = i->addr_size == 8 ? take_signed(d, 8) :
              (int64_t)(uint32_t)take_signed(d, 4);
    i->reg = RAX;
    i->src = opcode & 2 ? INSN_SRC_REG : INSN_SRC_RM;
    return INSN_MOV;
}

static uint8_t one_byte(struct decoder *d, uint8_t opcode)
{
    /* 00..3f: eight operations, each in the forms r/m,r  r,r/m  and with the accumulator. Only
     * those that write to r/m. */
    if (opcode < 0x40)
        return (opcode & 7) < 2 ?
               rm_op(d, !(opcode & 1), alu_ops[opcode >> 3], INSN_SRC_REG) : INSN_UNKNOWN;
    switch (opcode) {
    case 0x6c: case 0x6d:
        return string_op(d, opcode, INSN_INS);
    case 0x6e: case 0x6f:
        return string_op(d, opcode, INSN_OUTS);
    case 0x80: case 0x81: case 0x83: case 0xc6: case 0xc7: case 0xf6: case 0xf7: case 0xfe:
    case 0xff:
        return group(d, opcode);
    case 0x86: case 0x87:
        return rm_op(d, opcode == 0x86, INSN_XCHG, INSN_SRC_REG);
    case 0x88: case 0x89:
        return rm_op(d, opcode == 0x88, INSN_MOV, INSN_SRC_REG);
    case 0x8a: case 0x8b:
        return rm_op(d, opcode == 0x8a, INSN_MOV, INSN_SRC_RM);
    case 0xa0: case 0xa1: case 0xa2: case 0xa3:
        return moffs(d, opcode);
    case 0xa4: case 0xa5:
        return string_op(d, opcode, INSN_MOVS);
    case 0xaa: case 0xab:
        return string_op(d, opcode, INSN_STOS);
    case 0xcd:
        immediate(d, 1);
        d->i->imm &= 0xff;
        return INSN_INT;
    case 0xe4: case 0xe5: case 0xec: case 0xed:
        return port_op(d, opcode, INSN_IN);
    case 0xe6: case 0xe7: case 0xee: case 0xef:
        return port_op(d, opcode, INSN_OUT);
    case 0xf4:
        return INSN_HLT;
    case 0xfa:
        return INSN_CLI;
    case 0xfb:
        return INSN_STI;
    default:
        return INSN_UNKNOWN;
    }
}

/* 0F 20..23: ModRM always means registers, and the size is that of the mode. */
static uint8_t control_reg(struct decoder *d, uint8_t opcode)
{
    static const uint8_t ops[4] = { INSN_MOV_FROM_CR, INSN_MOV_FROM_DR, INSN_MOV_TO_CR,
                                    INSN_MOV_TO_DR };
    struct insn *i = d->i;

    d->modrm = take_byte(d);
    i->size = d->code64 ? 8 : 4;
    i->creg = (uint8_t)((d->modrm >> 3 & 7) | (d->rex & REX_R ? 8 : 0));
    i->rm_reg = (uint8_t)((d->modrm & 7) | (d->rex & REX_B ? 8 : 0));
    return ops[opcode & 3];
}

/* 0F 01. */
static uint8_t group_system(struct decoder *d)
{
    static const uint8_t memory_ops[8] = { 0, 0, INSN_LGDT, INSN_LIDT, INSN_SMSW, 0, INSN_LMSW,
                                           INSN_INVLPG };

    d->i->size = 2;
    modrm(d);
    switch (d->modrm) {
    case 0xd1:
        return INSN_XSETBV;
    case 0xf8:
        return d->code64 ? INSN_SWAPGS : INSN_UNKNOWN;
    case 0xf9:
        return INSN_RDTSCP;
    default:
        if (d->i->is_mem)
            return memory_ops[d->modrm >> 3 & 7];
        switch (d->modrm >> 3 & 7) {
        case 4:
            return INSN_SMSW;
        case 6:
            return INSN_LMSW;
        default:
            return INSN_UNKNOWN;
        }
    }
}

static uint8_t bit_op(struct decoder *d, unsigned int which)
{
    static const uint8_t ops[4] = { INSN_UNKNOWN /* BT */, INSN_BTS, INSN_BTR, INSN_BTC };

    return ops[which & 3];
}

static uint8_t two_byte(struct decoder *d)
{
    struct insn *i = d->i;
    uint8_t opcode = take_byte(d), op;

    switch (opcode) {
    case 0x00:
        i->size = 2;
        modrm(d);
        op = d->modrm >> 3 & 7;
        return op == 2 ? INSN_LLDT : op == 3 ? INSN_LTR : INSN_UNKNOWN;
    case 0x01:
        return group_system(d);
    case 0x06:
        return INSN_CLTS;
    case 0x07:
        return INSN_SYSRET;
    case 0x08:
        return INSN_INVD;
    case 0x09:
        return INSN_WBINVD;
    case 0x20: case 0x21: case 0x22: case 0x23:
        return control_reg(d, opcode);
    case 0x30:
        return INSN_WRMSR;
    case 0x31:
        return INSN_RDTSC;
    case 0x32:
        return INSN_RDMSR;
    case 0x33:
        return INSN_RDPMC;
    case 0xa2:
        return INSN_CPUID;
    case 0xab: case 0xb3: case 0xbb:
        return rm_op(d, false, bit_op(d, opcode >> 3 & 3), INSN_SRC_REG);
    case 0xb0: case 0xb1:
        return rm_op(d, opcode == 0xb0, INSN_CMPXCHG, INSN_SRC_REG);
    case 0xba:
        i->size = operand_size(d, false);
        modrm(d);
        immediate(d, 1);
        op = d->modrm >> 3 & 7;
        return op >= 4 ? bit_op(d, op) : INSN_UNKNOWN;
    case 0xc0: case 0xc1:
        return rm_op(d, opcode == 0xc0, INSN_XADD, INSN_SRC_REG);
    case 0xc3:                  /* movnti */
        op = rm_op(d, false, INSN_MOV, INSN_SRC_REG);
        return i->is_mem && i->size >= 4 ? op : INSN_UNKNOWN;
    case 0xc7:
        i->size = d->rex & REX_W ? 16 : 8;
        modrm(d);
        return i->is_mem && (d->modrm >> 3 & 7) == 1 ? INSN_CMPXCHG8B : INSN_UNKNOWN;
    default:
        return INSN_UNKNOWN;
    }
}

/* lock is #UD on all but these, and on those with a register operand. */
static bool lock_allowed(const struct insn *i)
{
    return i->is_mem && ((i->op >= INSN_XCHG && i->op <= INSN_NEG && i->op != INSN_MOV));
}

static __always_inline void copy_bytes(struct decoder *d, const uint8_t *b, size_t n)
{
    if (likely(n >= INSN_MAX)) {
        __builtin_memcpy(d->b, b, 8);
        __builtin_memcpy(d->b + 7, b + 7, 8);
    } else {
        for (size_t k = 0; k < n; k++)
            d->b[k] = b[k];
    }
}

enum insn_result insn_decode(struct insn *i, const uint8_t *b, size_t n, bool code64)
{
    struct decoder d = { .i = i, .code64 = code64 };
    uint8_t opcode, op = INSN_UNKNOWN;
    bool opcode_seen;

    *i = (struct insn){ .base = INSN_NO_REG, .index = INSN_NO_REG, .scale = 1 };
    copy_bytes(&d, b, n);
    opcode_seen = prefixes(&d);
    if (likely(opcode_seen)) {
        i->addr_size = code64 ? (d.addr_short ? 4 : 8) : (d.addr_short ? 2 : 4);
        opcode = d.b[d.at++];
        op = opcode == 0x0f ? two_byte(&d) : one_byte(&d, opcode);
    }
    if (unlikely(d.at > n || d.at > INSN_MAX)) {
        *i = (struct insn){ 0 };
        return n >= INSN_MAX ? INSN_BAD : INSN_TRUNCATED;
    }
    i->op = op;
    i->len = (uint8_t)d.at;
    if (op == INSN_UNKNOWN || (i->lock && !lock_allowed(i)) ||
        (i->addr_size == 2 && (i->is_mem || op == INSN_STOS || op == INSN_MOVS ||
                               op == INSN_INS || op == INSN_OUTS))) {
        *i = (struct insn){ 0 };
        return INSN_BAD;
    }
    return INSN_OK;
}

bool insn_writes_memory(const struct insn *i)
{
    switch (i->op) {
    case INSN_STOS:
    case INSN_MOVS:
    case INSN_INS:
        return true;
    case INSN_MOV:
        return i->is_mem && i->src != INSN_SRC_RM;
    default:
        return i->is_mem && i->op > INSN_MOV && i->op <= INSN_NEG;
    }
}

/* ---- Registers ------------------------------------------------------------------------------ */

static uint64_t *reg_slot(struct cpu_user_regs *r, uint8_t n)
{
    switch (n & 15) {
    case RAX: return &r->rax;
    case RCX: return &r->rcx;
    case RDX: return &r->rdx;
    case RBX: return &r->rbx;
    case RSP: return &r->rsp;
    case RBP: return &r->rbp;
    case RSI: return &r->rsi;
    case RDI: return &r->rdi;
    case 8:   return &r->r8;
    case 9:   return &r->r9;
    case 10:  return &r->r10;
    case 11:  return &r->r11;
    case 12:  return &r->r12;
    case 13:  return &r->r13;
    case 14:  return &r->r14;
    default:  return &r->r15;
    }
}

static uint64_t size_mask(unsigned int size)
{
    return size >= 8 ? ~0UL : (1UL << (8 * size)) - 1;
}

uint64_t insn_reg_read(const struct cpu_user_regs *regs, uint8_t n, uint8_t size, bool high)
{
    uint64_t v = *reg_slot((struct cpu_user_regs *)regs, n);

    return (high ? v >> 8 : v) & size_mask(size);
}

void insn_reg_write(struct cpu_user_regs *regs, uint8_t n, uint8_t size, bool high, uint64_t v)
{
    uint64_t *slot = reg_slot(regs, n);
    unsigned int shift = high ? 8 : 0;

    if (size >= 4)
        *slot = v & size_mask(size);
    else
        *slot = (*slot & ~(size_mask(size) << shift)) | (v & size_mask(size)) << shift;
}

static uint64_t source(const struct insn *i, const struct cpu_user_regs *regs)
{
    return i->src == INSN_SRC_IMM ? i->imm & size_mask(i->size) :
           insn_reg_read(regs, i->reg, i->size, i->reg_high);
}

static bool is_bit_op(const struct insn *i)
{
    return i->op == INSN_BTS || i->op == INSN_BTR || i->op == INSN_BTC;
}

uint64_t insn_address(const struct insn *i, const struct cpu_user_regs *regs, uint64_t fs_base,
                      uint64_t gs_base)
{
    uint64_t a, mask = i->addr_size == 8 ? ~0UL : 0xffffffffUL;
    uint8_t seg = i->seg;

    switch (i->op) {
    case INSN_STOS:
    case INSN_MOVS:
    case INSN_INS:
        a = regs->rdi;
        seg = INSN_SEG_NONE;    /* es always */
        break;
    case INSN_OUTS:
        a = regs->rsi;
        break;
    default:
        a = (uint64_t)i->disp;
        if (i->rip_relative)
            a += regs->rip + i->len;
        if (i->base != INSN_NO_REG)
            a += insn_reg_read(regs, i->base, 8, false);
        if (i->index != INSN_NO_REG)
            a += insn_reg_read(regs, i->index, 8, false) * i->scale;
        if (is_bit_op(i) && i->src == INSN_SRC_REG) {
            unsigned int shift = 64 - 8 * i->size;
            int64_t bit = (int64_t)(source(i, regs) << shift) >> shift;

            /* Rounded down, also below zero. */
            a += (uint64_t)(bit >> (i->size == 8 ? 6 : i->size == 4 ? 5 : 4)) * i->size;
        }
        break;
    }
    a &= mask;
    return a + (seg == INSN_SEG_FS ? fs_base : seg == INSN_SEG_GS ? gs_base : 0);
}

/* ---- Execution ------------------------------------------------------------------------------ */

static uint64_t flags_szp(uint64_t v, unsigned int size)
{
    return (v & size_mask(size) ? 0 : EFLAGS_ZF) | (v >> (8 * size - 1) & 1 ? EFLAGS_SF : 0) |
           (__builtin_parity((unsigned int)(v & 0xff)) ? 0 : EFLAGS_PF);
}

/* Flags of r = a + b + carry, all of size bytes. */
static uint64_t flags_add(uint64_t a, uint64_t b, uint64_t r, unsigned int size)
{
    uint64_t carries = (a & b) | ((a | b) & ~r), top = 8 * size - 1;

    return flags_szp(r, size) | (carries >> top & 1 ? EFLAGS_CF : 0) |
           (carries >> 3 & 1 ? EFLAGS_AF : 0) |
           (((a ^ r) & (b ^ r)) >> top & 1 ? EFLAGS_OF : 0);
}

/* Flags of r = a - b - borrow. */
static uint64_t flags_sub(uint64_t a, uint64_t b, uint64_t r, unsigned int size)
{
    uint64_t borrows = (~a & b) | ((~a | b) & r), top = 8 * size - 1;

    return flags_szp(r, size) | (borrows >> top & 1 ? EFLAGS_CF : 0) |
           (borrows >> 3 & 1 ? EFLAGS_AF : 0) |
           (((a ^ b) & (a ^ r)) >> top & 1 ? EFLAGS_OF : 0);
}

static void set_flags(struct cpu_user_regs *regs, uint64_t which, uint64_t flags)
{
    regs->rflags = (regs->rflags & ~which) | (flags & which);
}

static uint64_t bit_result(const struct insn *i, struct cpu_user_regs *regs, uint64_t old)
{
    uint64_t bit = 1UL << (source(i, regs) & (8u * i->size - 1));

    set_flags(regs, EFLAGS_CF, old & bit ? EFLAGS_CF : 0);
    return i->op == INSN_BTS ? old | bit : i->op == INSN_BTR ? old & ~bit : old ^ bit;
}

static uint64_t alu_result(const struct insn *i, struct cpu_user_regs *regs, uint64_t old)
{
    uint64_t src = source(i, regs), carry = regs->rflags & EFLAGS_CF ? 1 : 0, r;
    uint64_t mask = size_mask(i->size);

    switch (i->op) {
    case INSN_ADD:
    case INSN_XADD:
    case INSN_ADC:
        r = (old + src + (i->op == INSN_ADC ? carry : 0)) & mask;
        set_flags(regs, EFLAGS_ARITH, flags_add(old, src, r, i->size));
        return r;
    case INSN_SUB:
    case INSN_SBB:
        r = (old - src - (i->op == INSN_SBB ? carry : 0)) & mask;
        set_flags(regs, EFLAGS_ARITH, flags_sub(old, src, r, i->size));
        return r;
    default:
        r = i->op == INSN_OR ? old | src : i->op == INSN_AND ? old & src : old ^ src;
        set_flags(regs, EFLAGS_ARITH, flags_szp(r, i->size));
        return r;
    }
}

static uint64_t unary_result(const struct insn *i, struct cpu_user_regs *regs, uint64_t old)
{
    uint64_t mask = size_mask(i->size), r;

    switch (i->op) {
    case INSN_INC:
        r = (old + 1) & mask;
        set_flags(regs, EFLAGS_ARITH & ~EFLAGS_CF, flags_add(old, 1, r, i->size));
        return r;
    case INSN_DEC:
        r = (old - 1) & mask;
        set_flags(regs, EFLAGS_ARITH & ~EFLAGS_CF, flags_sub(old, 1, r, i->size));
        return r;
    case INSN_NEG:
        r = -old & mask;
        set_flags(regs, EFLAGS_ARITH, flags_sub(0, old, r, i->size));
        return r;
    default:
        return ~old & mask;
    }
}

static void string_step(const struct insn *i, struct cpu_user_regs *regs)
{
    uint64_t mask = i->addr_size == 8 ? ~0UL : 0xffffffffUL;
    uint64_t step = regs->rflags & EFLAGS_DF ? -(uint64_t)i->size : i->size;

    regs->rdi = (regs->rdi + step) & mask;
    if (i->rep)
        regs->rcx = (regs->rcx - 1) & mask;
}

bool insn_execute(const struct insn *i, struct cpu_user_regs *regs, uint64_t *mem)
{
    uint64_t old = *mem & size_mask(i->size), acc;
    bool again = false;

    if (i->op == INSN_STOS) {
        /* One element; with rep the instruction is run again while the count lasts. */
        *mem = insn_reg_read(regs, RAX, i->size, false);
        string_step(i, regs);
        again = i->rep && (i->addr_size == 8 ? regs->rcx : (uint32_t)regs->rcx) != 0;
    } else if (!i->is_mem) {
        return false;
    } else {
        switch (i->op) {
        case INSN_MOV:
            if (i->src == INSN_SRC_RM)
                insn_reg_write(regs, i->reg, i->size, i->reg_high, old);
            else
                *mem = source(i, regs);
            break;
        case INSN_XCHG:
            *mem = source(i, regs);
            insn_reg_write(regs, i->reg, i->size, i->reg_high, old);
            break;
        case INSN_CMPXCHG:
            acc = insn_reg_read(regs, RAX, i->size, false);
            set_flags(regs, EFLAGS_ARITH,
                      flags_sub(acc, old, (acc - old) & size_mask(i->size), i->size));
            if (acc == old)
                *mem = source(i, regs);
            else
                insn_reg_write(regs, RAX, i->size, false, old);
            break;
        case INSN_XADD:
            *mem = alu_result(i, regs, old);
            insn_reg_write(regs, i->reg, i->size, i->reg_high, old);
            break;
        case INSN_ADD ... INSN_XOR:
            *mem = alu_result(i, regs, old);
            break;
        case INSN_BTS ... INSN_BTC:
            *mem = bit_result(i, regs, old);
            break;
        case INSN_INC ... INSN_NEG:
            *mem = unary_result(i, regs, old);
            break;
        default:
            return false;
        }
    }
    if (!again)
        regs->rip += i->len;
    regs->rflags &= ~EFLAGS_RF;
    return true;
}
