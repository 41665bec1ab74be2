/* SPDX-License-Identifier: MIT */
/* test_decode.c - instruction decoder and its arithmetic. */
/* LINK: hypervisor/emul/decode.c */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>
#include "emul/decode.h"
#include "xenabi.h"

struct row {
    const char *text;
    uint8_t len;
    uint8_t b[INSN_MAX];
    uint8_t op, size, src, reg, base, index, scale;
    int64_t disp;
    uint64_t imm;
};

#define NO INSN_NO_REG

/* Memory operands, 64-bit code. */
static const struct row rows[] = {
    { "mov %rax,(%rdi)", 3, { 0x48, 0x89, 0x07 }, INSN_MOV, 8, INSN_SRC_REG, 0, 7, NO, 1, 0, 0 },
    { "mov %r9,8(%r12)", 5, { 0x4d, 0x89, 0x4c, 0x24, 0x08 }, INSN_MOV, 8, INSN_SRC_REG, 9, 12, NO,
      1, 8, 0 },
    { "mov (%rbx),%eax", 2, { 0x8b, 0x03 }, INSN_MOV, 4, INSN_SRC_RM, 0, 3, NO, 1, 0, 0 },
    { "movq $-2,(%rbp)", 8, { 0x48, 0xc7, 0x45, 0, 0xfe, 0xff, 0xff, 0xff }, INSN_MOV, 8,
      INSN_SRC_IMM, 0, 5, NO, 1, 0, -2UL },
    { "movw $5,(%rax)", 5, { 0x66, 0xc7, 0x00, 5, 0 }, INSN_MOV, 2, INSN_SRC_IMM, 0, 0, NO, 1, 0,
      5 },
    { "movb $5,(%rax)", 3, { 0xc6, 0x00, 5 }, INSN_MOV, 1, INSN_SRC_IMM, 0, 0, NO, 1, 0, 5 },
    { "xchg %rax,(%rdi,%rcx,8)", 4, { 0x48, 0x87, 0x04, 0xcf }, INSN_XCHG, 8, INSN_SRC_REG, 0, 7, 1,
      8, 0, 0 },
    { "lock andb $-3,(%rsi)", 4, { 0xf0, 0x80, 0x26, 0xfd }, INSN_AND, 1, INSN_SRC_IMM, 4, 6, NO, 1,
      0, -3UL },
    { "lock orb $2,1(%rsi)", 5, { 0xf0, 0x80, 0x4e, 0x01, 2 }, INSN_OR, 1, INSN_SRC_IMM, 1, 6, NO,
      1, 1, 2 },
    { "lock btrq $1,(%rdi)", 6, { 0xf0, 0x48, 0x0f, 0xba, 0x37, 1 }, INSN_BTR, 8, INSN_SRC_IMM, 6,
      7, NO, 1, 0, 1 },
    { "lock btsq $5,(%rdi)", 6, { 0xf0, 0x48, 0x0f, 0xba, 0x2f, 5 }, INSN_BTS, 8, INSN_SRC_IMM, 5,
      7, NO, 1, 0, 5 },
    { "btcl %ecx,(%rdi)", 3, { 0x0f, 0xbb, 0x0f }, INSN_BTC, 4, INSN_SRC_REG, 1, 7, NO, 1, 0, 0 },
    { "lock cmpxchg %rdx,(%rdi)", 5, { 0xf0, 0x48, 0x0f, 0xb1, 0x17 }, INSN_CMPXCHG, 8,
      INSN_SRC_REG, 2, 7, NO, 1, 0, 0 },
    { "lock cmpxchg16b (%rdi)", 5, { 0xf0, 0x48, 0x0f, 0xc7, 0x0f }, INSN_CMPXCHG8B, 16,
      INSN_SRC_NONE, 1, 7, NO, 1, 0, 0 },
    { "lock xadd %eax,(%rdi)", 4, { 0xf0, 0x0f, 0xc1, 0x07 }, INSN_XADD, 4, INSN_SRC_REG, 0, 7, NO,
      1, 0, 0 },
    { "addq $16,(%rax)", 4, { 0x48, 0x83, 0x00, 16 }, INSN_ADD, 8, INSN_SRC_IMM, 0, 0, NO, 1, 0,
      16 },
    { "and %rbx,(%r13)", 4, { 0x49, 0x21, 0x5d, 0 }, INSN_AND, 8, INSN_SRC_REG, 3, 13, NO, 1, 0, 0 },
    { "xor %al,(%rax,%rax)", 3, { 0x30, 0x04, 0x00 }, INSN_XOR, 1, INSN_SRC_REG, 0, 0, 0, 1, 0, 0 },
    { "incl 0x12345678(,%rax,4)", 7, { 0xff, 0x04, 0x85, 0x78, 0x56, 0x34, 0x12 }, INSN_INC, 4,
      INSN_SRC_NONE, 0, NO, 0, 4, 0x12345678, 0 },
    { "decq (%rax)", 3, { 0x48, 0xff, 0x08 }, INSN_DEC, 8, INSN_SRC_NONE, 1, 0, NO, 1, 0, 0 },
    { "notq (%rax)", 3, { 0x48, 0xf7, 0x10 }, INSN_NOT, 8, INSN_SRC_NONE, 2, 0, NO, 1, 0, 0 },
    { "negq (%rax)", 3, { 0x48, 0xf7, 0x18 }, INSN_NEG, 8, INSN_SRC_NONE, 3, 0, NO, 1, 0, 0 },
    { "movnti %rax,(%rdi)", 4, { 0x48, 0x0f, 0xc3, 0x07 }, INSN_MOV, 8, INSN_SRC_REG, 0, 7, NO, 1,
      0, 0 },
    { "movabs %rax,moffs", 10, { 0x48, 0xa3, 1, 2, 3, 4, 5, 6, 7, 8 }, INSN_MOV, 8, INSN_SRC_REG, 0,
      NO, NO, 1, 0x0807060504030201, 0 },
};

static void test_memory(void **state)
{
    for (size_t k = 0; k < ARRAY_SIZE(rows); k++) {
        const struct row *r = &rows[k];
        struct insn i;

        print_message("%s\n", r->text);
        assert_int_equal(insn_decode(&i, r->b, INSN_MAX, true), INSN_OK);
        assert_int_equal(i.op, r->op);
        assert_int_equal(i.len, r->len);
        assert_int_equal(i.size, r->size);
        assert_int_equal(i.src, r->src);
        if (r->src == INSN_SRC_REG || r->src == INSN_SRC_RM)
            assert_int_equal(i.reg, r->reg);
        assert_true(i.is_mem);
        assert_int_equal(i.base, r->base);
        assert_int_equal(i.index, r->index);
        assert_int_equal(i.scale, r->scale);
        assert_int_equal(i.disp, r->disp);
        if (r->src == INSN_SRC_IMM)
            assert_int_equal(i.imm, r->imm);
        /* Cut short anywhere, it is neither taken for another instruction nor read beyond. */
        for (size_t n = 0; n < r->len; n++) {
            uint8_t *cut = test_malloc(n ? n : 1);

            memcpy(cut, r->b, n);
            assert_int_equal(insn_decode(&i, cut, n, true), INSN_TRUNCATED);
            assert_int_equal(i.op, INSN_UNKNOWN);
            test_free(cut);
        }
    }
}

struct simple {
    uint8_t len;
    uint8_t b[4];
    uint8_t op;
};

static void test_privileged(void **state)
{
    static const struct simple s[] = {
        { 1, { 0xfa }, INSN_CLI }, { 1, { 0xfb }, INSN_STI }, { 1, { 0xf4 }, INSN_HLT },
        { 2, { 0x0f, 0x06 }, INSN_CLTS }, { 2, { 0x0f, 0x09 }, INSN_WBINVD },
        { 2, { 0x0f, 0x08 }, INSN_INVD }, { 2, { 0x0f, 0x30 }, INSN_WRMSR },
        { 2, { 0x0f, 0x32 }, INSN_RDMSR }, { 2, { 0x0f, 0x31 }, INSN_RDTSC },
        { 2, { 0x0f, 0x33 }, INSN_RDPMC }, { 2, { 0x0f, 0xa2 }, INSN_CPUID },
        { 3, { 0x0f, 0x01, 0xd1 }, INSN_XSETBV }, { 3, { 0x0f, 0x01, 0xf9 }, INSN_RDTSCP },
        { 3, { 0x0f, 0x01, 0xf8 }, INSN_SWAPGS }, { 3, { 0x0f, 0x01, 0x10 }, INSN_LGDT },
        { 3, { 0x0f, 0x01, 0x18 }, INSN_LIDT }, { 3, { 0x0f, 0x01, 0x38 }, INSN_INVLPG },
        { 3, { 0x0f, 0x01, 0xe0 }, INSN_SMSW }, { 3, { 0x0f, 0x01, 0xf0 }, INSN_LMSW },
        { 3, { 0x0f, 0x00, 0xd0 }, INSN_LLDT }, { 3, { 0x0f, 0x00, 0xd8 }, INSN_LTR },
        { 2, { 0xcd, 0x80 }, INSN_INT }, { 3, { 0x0f, 0x20, 0xc0 }, INSN_MOV_FROM_CR },
        { 3, { 0x0f, 0x22, 0xd8 }, INSN_MOV_TO_CR }, { 3, { 0x0f, 0x21, 0xf8 }, INSN_MOV_FROM_DR },
        { 3, { 0x0f, 0x23, 0xf8 }, INSN_MOV_TO_DR }, { 1, { 0xec }, INSN_IN },
        { 2, { 0xe6, 0x70 }, INSN_OUT }, { 1, { 0x6c }, INSN_INS }, { 2, { 0xf3, 0x6f }, INSN_OUTS },
        { 3, { 0x48, 0x0f, 0x07 }, INSN_SYSRET },
    };

    for (size_t k = 0; k < ARRAY_SIZE(s); k++) {
        struct insn i;

        assert_int_equal(insn_decode(&i, s[k].b, s[k].len, true), INSN_OK);
        assert_int_equal(i.op, s[k].op);
        assert_int_equal(i.len, s[k].len);
        for (size_t n = 0; n < s[k].len; n++)
            assert_int_equal(insn_decode(&i, s[k].b, n, true), INSN_TRUNCATED);
    }
}

static void test_operands(void **state)
{
    struct insn i;

    /* mov %r15,%cr4; mov %cr8,%rax */
    assert_int_equal(insn_decode(&i, (uint8_t[]){ 0x41, 0x0f, 0x22, 0xe7 }, 4, true), INSN_OK);
    assert_int_equal(i.creg, 4);
    assert_int_equal(i.rm_reg, 15);
    assert_int_equal(insn_decode(&i, (uint8_t[]){ 0x44, 0x0f, 0x20, 0xc0 }, 4, true), INSN_OK);
    assert_int_equal(i.creg, 8);
    assert_int_equal(i.rm_reg, 0);
    /* in $0x71,%al; out %ax,%dx; outl %eax,%dx with REX.W is still 32 bits wide */
    assert_int_equal(insn_decode(&i, (uint8_t[]){ 0xe4, 0x71 }, 2, true), INSN_OK);
    assert_int_equal(i.src, INSN_SRC_IMM);
    assert_int_equal(i.imm, 0x71);
    assert_int_equal(i.size, 1);
    assert_int_equal(insn_decode(&i, (uint8_t[]){ 0x66, 0xef }, 2, true), INSN_OK);
    assert_int_equal(i.src, INSN_SRC_REG);
    assert_int_equal(i.size, 2);
    assert_int_equal(insn_decode(&i, (uint8_t[]){ 0x48, 0xef }, 2, true), INSN_OK);
    assert_int_equal(i.size, 4);
    /* mov %ah,(%rax); with REX the same number is spl */
    assert_int_equal(insn_decode(&i, (uint8_t[]){ 0x88, 0x20 }, 2, true), INSN_OK);
    assert_true(i.reg_high);
    assert_int_equal(i.reg, 0);
    assert_int_equal(insn_decode(&i, (uint8_t[]){ 0x40, 0x88, 0x20 }, 3, true), INSN_OK);
    assert_false(i.reg_high);
    assert_int_equal(i.reg, 4);
    /* A REX that is not last does not count; fs override. */
    assert_int_equal(insn_decode(&i, (uint8_t[]){ 0x48, 0x64, 0x89, 0x07 }, 4, true), INSN_OK);
    assert_int_equal(i.size, 4);
    assert_int_equal(i.seg, INSN_SEG_FS);
    /* rip-relative in 64-bit code is absolute in 32-bit code. */
    assert_int_equal(insn_decode(&i, (uint8_t[]){ 0x89, 0x05, 1, 0, 0, 0 }, 6, true), INSN_OK);
    assert_true(i.rip_relative);
    assert_int_equal(insn_decode(&i, (uint8_t[]){ 0x89, 0x05, 1, 0, 0, 0 }, 6, false), INSN_OK);
    assert_false(i.rip_relative);
    assert_int_equal(i.disp, 1);
    assert_int_equal(i.addr_size, 4);
}

static void test_refused(void **state)
{
    uint8_t long_one[16];
    struct insn i;

    /* lock where it is an invalid opcode; cmp and bt do not write; 16-bit addresses; add r,rm */
    assert_int_equal(insn_decode(&i, (uint8_t[]){ 0xf0, 0x89, 0x07 }, 3, true), INSN_BAD);
    assert_int_equal(insn_decode(&i, (uint8_t[]){ 0xf0, 0x01, 0xc0 }, 3, true), INSN_BAD);
    assert_int_equal(insn_decode(&i, (uint8_t[]){ 0x80, 0x3f, 1 }, 3, true), INSN_BAD);
    assert_int_equal(insn_decode(&i, (uint8_t[]){ 0x0f, 0xba, 0x27, 1 }, 4, true), INSN_BAD);
    assert_int_equal(insn_decode(&i, (uint8_t[]){ 0x67, 0x89, 0x07, 0 }, 4, false), INSN_BAD);
    assert_int_equal(insn_decode(&i, (uint8_t[]){ 0x03, 0x07 }, 2, true), INSN_BAD);
    assert_int_equal(insn_decode(&i, (uint8_t[]){ 0x90 }, 1, true), INSN_BAD);
    /* 15 bytes are the limit, whatever follows. */
    memset(long_one, 0x66, sizeof(long_one));
    long_one[15] = 0xfa;
    assert_int_equal(insn_decode(&i, long_one, 16, true), INSN_BAD);
    long_one[14] = 0xfa;
    assert_int_equal(insn_decode(&i, long_one, 16, true), INSN_OK);
    assert_int_equal(i.len, 15);
}

/* Decodes, executes on *mem, returns the new value. */
static uint64_t run(struct cpu_user_regs *r, const uint8_t *b, size_t n, uint64_t mem)
{
    struct insn i;
    uint64_t rip = r->rip;

    assert_int_equal(insn_decode(&i, b, n, true), INSN_OK);
    assert_true(insn_execute(&i, r, &mem));
    assert_int_equal(r->rip, rip + n);
    return mem;
}
#define RUN(r, mem, ...) run(r, (uint8_t[]){ __VA_ARGS__ }, sizeof((uint8_t[]){ __VA_ARGS__ }), mem)

static void test_execute(void **state)
{
    struct cpu_user_regs r = { .rax = 0x1111222233334444, .rdx = 0xdeadbeefcafebabe };

    assert_int_equal(RUN(&r, 0x55, 0x48, 0x87, 0x17), 0xdeadbeefcafebabe);  /* xchg %rdx */
    assert_int_equal(r.rdx, 0x55);
    assert_int_equal(RUN(&r, 0x67, 0xf0, 0x80, 0x27, 0xfd), 0x65);          /* lock andb */
    assert_false(r.rflags & 1);
    assert_int_equal(RUN(&r, 0x80000000000001e3, 0xf0, 0x48, 0x0f, 0xba, 0x37, 0),
                     0x80000000000001e2);                                   /* lock btr $0 */
    assert_true(r.rflags & 1);
    assert_int_equal(RUN(&r, 8, 0xf0, 0x48, 0x0f, 0xba, 0x2f, 63), 0x8000000000000008);
    assert_false(r.rflags & 1);
    /* cmpxchg: differs, then equal */
    r.rdx = 7;
    assert_int_equal(RUN(&r, 5, 0xf0, 0x48, 0x0f, 0xb1, 0x17), 5);
    assert_int_equal(r.rax, 5);
    assert_false(r.rflags & 0x40);
    assert_int_equal(RUN(&r, 5, 0xf0, 0x48, 0x0f, 0xb1, 0x17), 7);
    assert_true(r.rflags & 0x40);
    /* xadd %eax: upper half of rax goes */
    r.rax = 0xffffffff00000001;
    assert_int_equal(RUN(&r, 0xffffffff, 0xf0, 0x0f, 0xc1, 0x07), 0);
    assert_int_equal(r.rax, 0xffffffff);
    assert_int_equal(r.rflags & 0x8d5, 1 | 4 | 0x10 | 0x40);
    /* adc, sbb use the carry */
    r.rflags = 1;
    assert_int_equal(RUN(&r, 1, 0x48, 0x83, 0x10, 1), 3);
    r.rflags = 1;
    assert_int_equal(RUN(&r, 1, 0x48, 0x83, 0x18, 1), ~0UL);
    assert_int_equal(r.rflags & 0x8d5, 1 | 4 | 0x10 | 0x80);
    /* inc keeps the carry; neg; not */
    assert_int_equal(RUN(&r, 0x7f, 0xfe, 0x00), 0x80);
    assert_int_equal(r.rflags & 0x8d5, 1 | 0x10 | 0x80 | 0x800);
    assert_int_equal(RUN(&r, 1, 0x48, 0xf7, 0x18), ~0UL);
    assert_int_equal(RUN(&r, 1, 0x48, 0xf7, 0x10), ~1UL);
    /* mov from memory zero-extends */
    r.rbx = ~0UL;
    RUN(&r, 0x89abcdef, 0x8b, 0x1f);
    assert_int_equal(r.rbx, 0x89abcdef);
    /* stos, and rep stos which stays until the count is used up */
    r.rax = 0;
    r.rdi = 0x1000;
    assert_int_equal(RUN(&r, 5, 0x48, 0xab), 0);
    assert_int_equal(r.rdi, 0x1008);
}

static void test_rep_stos(void **state)
{
    struct cpu_user_regs r = { .rcx = 2, .rdi = 0x1000, .rip = 0x100, .rax = 3 };
    const uint8_t b[] = { 0xf3, 0x48, 0xab };
    struct insn i;
    uint64_t mem = 9;

    assert_int_equal(insn_decode(&i, b, sizeof(b), true), INSN_OK);
    assert_true(insn_execute(&i, &r, &mem));
    assert_int_equal(mem, 3);
    assert_int_equal(r.rip, 0x100);
    assert_true(insn_execute(&i, &r, &mem));
    assert_int_equal(r.rip, 0x103);
    assert_int_equal(r.rcx, 0);
}

static void test_address(void **state)
{
    struct cpu_user_regs r = { .rax = 0x1000, .rcx = 3, .rip = 0x400000, .rdi = 0xffffffff00000010 };
    struct insn i;

    /* 0x10(%rax,%rcx,8) */
    assert_int_equal(insn_decode(&i, (uint8_t[]){ 0x48, 0x89, 0x54, 0xc8, 0x10 }, 5, true), INSN_OK);
    assert_int_equal(insn_address(&i, &r, 0, 0), 0x1000 + 24 + 0x10);
    /* %gs:0x20(%rip) */
    assert_int_equal(insn_decode(&i, (uint8_t[]){ 0x65, 0x89, 0x05, 0x20, 0, 0, 0 }, 7, true),
                     INSN_OK);
    assert_int_equal(insn_address(&i, &r, 0x111, 0x10000), 0x10000 + 0x400007 + 0x20);
    /* (%edi) */
    assert_int_equal(insn_decode(&i, (uint8_t[]){ 0x67, 0x89, 0x07 }, 3, true), INSN_OK);
    assert_int_equal(insn_address(&i, &r, 0, 0), 0x10);
    /* bts %rcx,(%rax): the bit may be far away, on both sides */
    assert_int_equal(insn_decode(&i, (uint8_t[]){ 0x48, 0x0f, 0xab, 0x08 }, 4, true), INSN_OK);
    r.rcx = 130;
    assert_int_equal(insn_address(&i, &r, 0, 0), 0x1010);
    r.rcx = (uint64_t)-1;
    assert_int_equal(insn_address(&i, &r, 0, 0), 0xff8);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_memory),      cmocka_unit_test(test_privileged),
        cmocka_unit_test(test_operands),    cmocka_unit_test(test_refused),
        cmocka_unit_test(test_execute),     cmocka_unit_test(test_rep_stos),
        cmocka_unit_test(test_address),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
