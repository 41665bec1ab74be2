/* SPDX-License-Identifier: MIT */
/*
 * others.c - xen_version, vm_assist, console_io, physdev_op, multicall; what only the initial
 * domain may do; numbers without a hypercall.
 */
#include "calls.h"

static void version(void)
{
    static char buf[4096];

    for (int cmd = 0; cmd < 16; cmd++) {
        about("xen_version %d", cmd);
        memset(buf, 0, sizeof(buf));
        TRY(hc_xen_version(cmd, buf));
        TRY(hc_xen_version(cmd, BAD_PTR));
        TRY(hc_xen_version(cmd, HV_PTR));
    }
    about("%s", __func__);
    TRY(hc_xen_version(-1, buf));
    for (uint32_t map = 0; map < 4; map++) {
        struct xen_feature_info f = { .submap_idx = map };

        TRY(hc_xen_version(XENVER_get_features, &f));
        TRY(f.submap);
    }
}

static void assists(void)
{
    for (unsigned int type = 0; type < 8; type++)
        for (unsigned int cmd = 0; cmd < 3; cmd++) {
            about("vm_assist %u %u", cmd, type);
            TRY(hc_vm_assist(cmd, type));
        }
    TRY(hc_vm_assist(0, 32));
    TRY(hc_vm_assist(0, 63));
    TRY(hc_vm_assist(0, 64));
    TRY(hc_vm_assist(0, ~0u));
    TRY(hc_vm_assist(7, 64));
    TRY(hc_vm_assist(VMASST_CMD_disable, VMASST_TYPE_runstate_update_flag));
}

static void console(void)
{
    static char buf[16];

    for (int cmd = 0; cmd < 4; cmd++) {
        TRY(hc_console_io(cmd, 0, buf));
        TRY(hc_console_io(cmd, 4, buf));
        TRY(hc_console_io(cmd, 4, BAD_PTR));
    }
    TRY(hc_console_io(-1, 4, BAD_PTR));
}

static long iopl(unsigned int level)
{
    struct physdev_set_iopl a = { .iopl = level };

    return hc_physdev_op(PHYSDEVOP_set_iopl, &a);
}

static long iobitmap(uint32_t ports)
{
    struct physdev_set_iobitmap a = { .nr_ports = ports };

    return hc_physdev_op(PHYSDEVOP_set_iobitmap, &a);
}

static void physdev(void)
{
    static uint64_t arg[16];
    struct physdev_op op;

    for (unsigned int level = 0; level < 5; level++)
        TRY(iopl(level));
    TRY(iopl(~0u));
    TRY(iopl(1));
    TRY(iobitmap(0));
    TRY(iobitmap(65536));
    TRY(iobitmap(65537));
    TRY(iobitmap(~0u));
    TRY(iobitmap(0));
    for (int cmd = 0; cmd < 34; cmd++) {
        if (cmd == PHYSDEVOP_set_iopl)
            continue;
        about("physdev_op %d", cmd);
        memset(arg, 0, sizeof(arg));
        TRY(hc_physdev_op(cmd, arg));
        memset(arg, 0xff, sizeof(arg));
        TRY(hc_physdev_op(cmd, arg));
        TRY(hc_physdev_op(cmd, BAD_PTR));
    }
    about("%s", __func__);
    TRY(hc_physdev_op(-1, arg));
    for (unsigned int cmd = 0; cmd < 32; cmd++) {
        about("physdev_op_compat %u", cmd);
        memset(&op, 0, sizeof(op));
        op.cmd = cmd;
        TRY(hypercall(__HYPERVISOR_physdev_op_compat, HC_PTR(&op), 0, 0, 0, 0));
    }
    about("%s", __func__);
    TRY(hypercall(__HYPERVISOR_physdev_op_compat, HC_PTR(BAD_PTR), 0, 0, 0, 0));
    TRY(iopl(1));
}

static struct multicall_entry list[3];

static long batch(uint64_t op, uint64_t arg0)
{
    memset(list, 0, sizeof(list));
    list[0].op = op;
    list[0].args[0] = arg0;
    list[0].result = 4242;
    list[1].op = __HYPERVISOR_xen_version;
    list[1].args[0] = XENVER_pagesize;
    list[1].result = 4242;
    return hc_multicall(list, 2);
}

static void multicalls(void)
{
    struct multicall_entry *locked = page_alloc_zeroed();

    MUST(locked);
    TRY(batch(__HYPERVISOR_xen_version, XENVER_version));
    TRY((long)list[0].result);
    TRY((long)list[1].result);
    TRY(batch(__HYPERVISOR_multicall, 0));
    TRY((long)list[0].result);
    TRY((long)list[1].result);
    TRY(batch(11, 0));
    TRY((long)list[0].result);
    TRY(batch(1000, 0));
    TRY((long)list[0].result);
    TRY(batch(1UL << 32 | __HYPERVISOR_xen_version, 0));
    TRY((long)list[0].result);
    TRY(batch(~0UL, 0));
    TRY((long)list[0].result);
    TRY(batch(__HYPERVISOR_domctl, 0x1000));
    TRY((long)list[0].result);
    TRY(hc_multicall(BAD_PTR, 1));
    TRY(hc_multicall(BAD_PTR, 0));
    TRY(hc_multicall(HV_PTR, 1));
    TRY(hc_multicall(HV_PTR, 0));
    TRY(hc_multicall(HOLE_PTR, 1));
    TRY(hypercall(__HYPERVISOR_multicall, HC_PTR(BAD_PTR), 1UL << 32, 0, 0, 0));
    locked->op = __HYPERVISOR_xen_version;
    MUST(direct_map_protect(virt_to_pfn(locked), false) == 0);
    TRY(hc_multicall(locked, 1));
    MUST(direct_map_protect(virt_to_pfn(locked), true) == 0);
}

static long domctl(uint32_t cmd, domid_t dom, uint32_t version)
{
    static struct xen_domctl c;

    memset(&c, 0, sizeof(c));
    c.cmd = cmd;
    c.domain = dom;
    c.interface_version = version;
    return hypercall(__HYPERVISOR_domctl, HC_PTR(&c), 0, 0, 0, 0);
}

static long sysctl(uint32_t cmd, uint32_t version)
{
    static struct xen_sysctl c;

    memset(&c, 0, sizeof(c));
    c.cmd = cmd;
    c.interface_version = version;
    return hypercall(__HYPERVISOR_sysctl, HC_PTR(&c), 0, 0, 0, 0);
}

static long platform(uint32_t cmd, uint32_t version)
{
    static struct xen_platform_op c;

    memset(&c, 0, sizeof(c));
    c.cmd = cmd;
    c.interface_version = version;
    return hypercall(__HYPERVISOR_platform_op, HC_PTR(&c), 0, 0, 0, 0);
}

static void control(void)
{
    static const domid_t dom[] = { DOMID_SELF, NO_DOMAIN };

    for (uint32_t cmd = 1; cmd < 88; cmd += 4) {
        about("domctl %u", cmd);
        for (unsigned int i = 0; i < ARRAY_SIZE(dom); i++)
            TRY(domctl(cmd, dom[i], XEN_DOMCTL_INTERFACE_VERSION));
    }
    about("%s", __func__);
    TRY(domctl(1000, DOMID_SELF, XEN_DOMCTL_INTERFACE_VERSION));
    TRY(domctl(1000, 0, XEN_DOMCTL_INTERFACE_VERSION));
    TRY(domctl(XEN_DOMCTL_getdomaininfo, 0, XEN_DOMCTL_INTERFACE_VERSION + 1));
    TRY(domctl(XEN_DOMCTL_getdomaininfo, NO_DOMAIN, 0));
    TRY(hypercall(__HYPERVISOR_domctl, HC_PTR(BAD_PTR), 0, 0, 0, 0));
    TRY(hypercall(__HYPERVISOR_domctl, HC_PTR(HV_PTR), 0, 0, 0, 0));
    for (uint32_t cmd = 0; cmd < 32; cmd++)
        TRY(sysctl(cmd, XEN_SYSCTL_INTERFACE_VERSION));
    TRY(sysctl(XEN_SYSCTL_physinfo, 0));
    TRY(hypercall(__HYPERVISOR_sysctl, HC_PTR(BAD_PTR), 0, 0, 0, 0));
    for (uint32_t cmd = 0; cmd < 70; cmd += 3)
        TRY(platform(cmd, XENPF_INTERFACE_VERSION));
    TRY(platform(XENPF_settime, 0));
    TRY(hypercall(__HYPERVISOR_platform_op, HC_PTR(BAD_PTR), 0, 0, 0, 0));
}

/* Numbers without a handler, and hypercalls that we leave out. */
static void unknown(void)
{
    static const uint64_t nr[] = {
        11, __HYPERVISOR_xsm_op, __HYPERVISOR_xenoprof_op, __HYPERVISOR_hvm_op,
        __HYPERVISOR_kexec_op, __HYPERVISOR_tmem_op, __HYPERVISOR_argo_op, __HYPERVISOR_xenpmu_op,
        __HYPERVISOR_dm_op, __HYPERVISOR_hypfs_op, 43, 44, 45, 46, 47, __HYPERVISOR_arch_0,
        __HYPERVISOR_arch_1, __HYPERVISOR_arch_2, 51, 52, 53, 54, 55, 56, 63, 64, 65, 1000,
        0x7fffffff, 0xffffffff,
    };

    for (unsigned int i = 0; i < ARRAY_SIZE(nr); i++) {
        about("hypercall %lu", nr[i]);
        TRY(hypercall((unsigned int)nr[i], 0, 0, 0, 0, 0));
        TRY(hypercall((unsigned int)nr[i], ~0UL, ~0UL, ~0UL, ~0UL, ~0UL));
        TRY(hypercall((unsigned int)nr[i], 1, HC_PTR(BAD_PTR), 1, 1, 1));
    }
}

void try_others(void)
{
    PART(version);
    PART(assists);
    PART(console);
    PART(physdev);
    PART(multicalls);
    PART(control);
    PART(unknown);
}
