/* SPDX-License-Identifier: MIT */
/* test_cpuid.c - what guests see of the processor. */
/* LINK: hypervisor/cpu/cpuid.c */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>
#include "cpu/cpuid.h"

/* A CPU that has everything: all bits of the feature leaves set. */
static struct cpuid_regs host(uint32_t leaf, uint32_t sub)
{
    switch (leaf) {
    case 0:
        return (struct cpuid_regs){ 0x16, 0x756e6547, 0x6c65746e, 0x49656e69 };
    case 0x80000000:
        return (struct cpuid_regs){ 0x8000001f, 0, 0, 0 };
    case 0xd:
        switch (sub) {
        case 0:
            return (struct cpuid_regs){ 0xe7, 0x988, 0xa88, 0 };
        case 2:
            return (struct cpuid_regs){ 0x100, 576, 0, 0 };
        case 5:
            return (struct cpuid_regs){ 64, 1088, 0, 0 };
        case 6:
            return (struct cpuid_regs){ 512, 1152, 2, 0 };
        case 7:
            return (struct cpuid_regs){ 1024, 1664, 2, 0 };
        default:
            return (struct cpuid_regs){ ~0u, ~0u, ~0u, ~0u };
        }
    case 0x80000008:
        return (struct cpuid_regs){ 0x302e, ~0u, ~0u, ~0u };
    default:
        return (struct cpuid_regs){ ~0u, ~0u, ~0u, ~0u };
    }
}

static struct cpuid_env env = { .host = host, .xcr0_mask = 7, .xcr0 = 1, .osxsave = true,
                                .tsc_stable = true, .tsc_khz = 1000000, .vcpu_id = 3,
                                .maddr_bits = 40 };

#define BIT(n) (1u << (n))

static void test_signature(void **state)
{
    struct cpuid_regs r = cpuid_policy(&env, 0x40000000, 0);

    assert_int_equal(r.a, 0x40000005);
    assert_memory_equal(&r.b, "XenV", 4);
    assert_memory_equal(&r.c, "MMXe", 4);
    assert_memory_equal(&r.d, "nVMM", 4);
    assert_int_equal(cpuid_policy(&env, 0x40000001, 0).a >> 16, 4);
    r = cpuid_policy(&env, 0x40000002, 0);
    assert_int_equal(r.a, 1);
    assert_int_equal(r.b, 0x40000000);
    assert_int_equal(r.c & 1, 1);
    assert_int_equal(cpuid_policy(&env, 0x40000005, 0).b, 40);
    for (uint32_t leaf = 0x40000100; leaf < 0x40010000; leaf += 0x100) {
        r = cpuid_policy(&env, leaf, 0);
        assert_int_equal(r.a | r.b | r.c | r.d, 0);
    }
}

static void test_hidden(void **state)
{
    struct cpuid_regs r = cpuid_policy(&env, 1, 0);

    /* PSE VME MCE SEP MTRR PGE MCA PSE36 ACPI DS HTT TM PBE */
    assert_int_equal(r.d & (BIT(3) | BIT(1) | BIT(7) | BIT(11) | BIT(12) | BIT(13) | BIT(14) |
                            BIT(17) | BIT(21) | BIT(22) | BIT(28) | BIT(29) | BIT(31)), 0);
    /* MONITOR DTES64 VMX SMX EIST TM2 PDCM PCID DCA x2APIC TSC-deadline */
    assert_int_equal(r.c & (BIT(3) | BIT(2) | BIT(5) | BIT(6) | BIT(7) | BIT(8) | BIT(15) |
                            BIT(17) | BIT(18) | BIT(21) | BIT(24)), 0);
    r = cpuid_policy(&env, 7, 0);
    /* FSGSBASE TSC_ADJUST SGX HLE SMEP INVPCID RTM PQM MPX AVX512F SMAP PT */
    assert_int_equal(r.b & (BIT(0) | BIT(1) | BIT(2) | BIT(4) | BIT(7) | BIT(10) | BIT(11) |
                            BIT(12) | BIT(14) | BIT(16) | BIT(20) | BIT(25)), 0);
    /* UMIP PKU OSPKE WAITPKG CET LA57 ENQCMD */
    assert_int_equal(r.c & (BIT(2) | BIT(3) | BIT(4) | BIT(5) | BIT(7) | BIT(16) | BIT(29)), 0);
    /* IBRS STIBP ARCH_CAPABILITIES SSBD AMX */
    assert_int_equal(r.d & (BIT(26) | BIT(27) | BIT(29) | BIT(31) | BIT(22) | BIT(24)), 0);
    assert_int_equal(r.a, 0);
    r = cpuid_policy(&env, 7, 1);
    assert_int_equal(r.a | r.b | r.c | r.d, 0);
    r = cpuid_policy(&env, 0x80000001, 0);
    /* PSE PGE MTRR MCA PSE36 PAGE1GB; SVM LWP IBS TOPOEXT */
    assert_int_equal(r.d & (BIT(3) | BIT(13) | BIT(12) | BIT(14) | BIT(17) | BIT(26)), 0);
    assert_int_equal(r.c & (BIT(2) | BIT(15) | BIT(10) | BIT(22)), 0);
    for (uint32_t leaf = 5; leaf <= 0xc; leaf++) {
        if (leaf == 7)
            continue;
        r = cpuid_policy(&env, leaf, 0);
        assert_int_equal(r.a | r.b | r.c | r.d, 0);
    }
    /* Beyond the last leaf that is shown. */
    assert_int_equal(cpuid_policy(&env, 0, 0).a, 0xd);
    assert_int_equal(cpuid_policy(&env, 0x80000000, 0).a, 0x80000008);
    assert_int_equal(cpuid_policy(&env, 0x14, 0).a, 0);
    assert_int_equal(cpuid_policy(&env, 0x8000001f, 0).a, 0);
    assert_int_equal(cpuid_policy(&env, 0xffffffff, 0).a, 0);
}

static void test_shown(void **state)
{
    struct cpuid_regs r = cpuid_policy(&env, 1, 0);
    uint32_t d = BIT(0) | BIT(2) | BIT(4) | BIT(5) | BIT(6) | BIT(8) | BIT(9) | BIT(15) | BIT(16) |
                 BIT(19) | BIT(23) | BIT(24) | BIT(25) | BIT(26);

    assert_int_equal(r.d, d);
    assert_true(r.c & BIT(31));
    assert_true(r.c & BIT(13));
    assert_int_equal(r.b >> 24, 6);
    r = cpuid_policy(&env, 0x80000001, 0);
    assert_int_equal(r.d & (BIT(11) | BIT(20) | BIT(27) | BIT(29)),
                     BIT(11) | BIT(20) | BIT(27) | BIT(29));
    assert_int_equal(cpuid_policy(&env, 0x80000007, 0).d, BIT(8));
    env.tsc_stable = false;
    assert_int_equal(cpuid_policy(&env, 0x80000007, 0).d, 0);
    env.tsc_stable = true;
}

static void test_xsave(void **state)
{
    struct cpuid_regs r;

    assert_true(cpuid_policy(&env, 1, 0).c & BIT(26));
    assert_true(cpuid_policy(&env, 1, 0).c & BIT(27));
    assert_true(cpuid_policy(&env, 1, 0).c & BIT(28));
    r = cpuid_policy(&env, 0xd, 0);
    assert_int_equal(r.a, 7);
    assert_int_equal(r.b, 576);             /* for xcr0 = 1 */
    assert_int_equal(r.c, 576 + 256);
    env.xcr0 = 7;
    assert_int_equal(cpuid_policy(&env, 0xd, 0).b, 832);
    r = cpuid_policy(&env, 0xd, 1);
    assert_int_equal(r.a, 7);               /* no XSAVES */
    assert_int_equal(r.b, 832);
    assert_int_equal(r.c | r.d, 0);
    assert_int_equal(cpuid_policy(&env, 0xd, 2).b, 576);
    assert_int_equal(cpuid_policy(&env, 0xd, 5).a, 0);
    assert_int_equal(cpuid_policy(&env, 0xd, 9).a, 0);
    assert_int_equal(cpuid_policy(&env, 0xd, 64).a, 0);
    /* With AVX-512: components 6, 7 are aligned in the compacted form. */
    env.xcr0_mask = env.xcr0 = 0xe7;
    assert_int_equal(cpuid_policy(&env, 0xd, 0).b, 1664 + 1024);
    assert_int_equal(cpuid_policy(&env, 0xd, 1).b, 832 + 64 + 512 + 1024);
    assert_true(cpuid_policy(&env, 7, 0).b & BIT(16));
    /* Without XSAVE nothing of AVX is left. */
    env.xcr0_mask = 0;
    r = cpuid_policy(&env, 1, 0);
    assert_int_equal(r.c & (BIT(12) | BIT(26) | BIT(27) | BIT(28) | BIT(29)), 0);
    assert_int_equal(cpuid_policy(&env, 7, 0).b & BIT(5), 0);
    assert_int_equal(cpuid_policy(&env, 0xd, 0).a, 0);
    env.xcr0_mask = 7;
    env.xcr0 = 1;
    /* OSXSAVE as the caller says. */
    env.osxsave = false;
    assert_int_equal(cpuid_policy(&env, 1, 0).c & BIT(27), 0);
    env.osxsave = true;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_signature), cmocka_unit_test(test_hidden),
        cmocka_unit_test(test_shown), cmocka_unit_test(test_xsave),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
