/* SPDX-License-Identifier: MIT */
/* scheduling.c - sched_op, its older form, set_timer_op, vcpu_op. */
#include "calls.h"

#define PERIOD 1000000000UL

static struct vcpu_guest_context context;
static char *page;

static long poll_ports(void *ports, unsigned int n, uint64_t timeout)
{
    struct sched_poll p = { .nr_ports = n, .timeout = timeout };

    set_xen_guest_handle_raw(p.ports, ports);
    return hc_sched_op(SCHEDOP_poll, &p);
}

static long remote_shutdown(domid_t dom)
{
    struct sched_remote_shutdown r = { .domain_id = dom, .reason = SHUTDOWN_poweroff };

    return hc_sched_op(SCHEDOP_remote_shutdown, &r);
}

static long watchdog(uint32_t id, uint32_t seconds)
{
    struct sched_watchdog w = { .id = id, .timeout = seconds };

    return hc_sched_op(SCHEDOP_watchdog, &w);
}

static void sched(void)
{
    static evtchn_port_t port[200];
    struct sched_pin_override pin = { .pcpu = 0 };

    TRY(hc_sched_op(SCHEDOP_yield, NULL));
    TRY(hc_sched_op(SCHEDOP_yield, BAD_PTR));
    TRY(hc_sched_op(SCHEDOP_shutdown, BAD_PTR));
    TRY(hc_sched_op(SCHEDOP_shutdown, HV_PTR));
    TRY(hc_sched_op(SCHEDOP_poll, BAD_PTR));
    TRY(poll_ports(port, 1, 1));
    TRY(poll_ports(port, 0, 1));
    TRY(poll_ports(port, 128, 1));
    TRY(poll_ports(port, 129, 1));
    TRY(poll_ports(port, ~0u, 1));
    TRY(poll_ports(BAD_PTR, 1, 1));
    TRY(poll_ports(HV_PTR, 1, 1));
    TRY(poll_ports(BAD_PTR, 0, 1));
    TRY(poll_ports(HV_PTR, 0, 1));
    port[0] = 4095;
    TRY(poll_ports(port, 1, 1));
    port[0] = 4096;
    TRY(poll_ports(port, 1, 1));
    port[0] = ~0u;
    TRY(poll_ports(port, 1, 1));
    TRY(remote_shutdown(DOMID_SELF));
    TRY(remote_shutdown(0));
    TRY(remote_shutdown(NO_DOMAIN));
    TRY(remote_shutdown(DOMID_IO));
    TRY(hc_sched_op(SCHEDOP_remote_shutdown, BAD_PTR));
    TRY(hc_sched_op(SCHEDOP_shutdown_code, BAD_PTR));
    TRY(watchdog(1, 0));
    TRY(watchdog(3, 100));
    TRY(watchdog(3, 0));
    TRY(watchdog(0, 100) >= 0);
    TRY(watchdog(1, 100));
    TRY(watchdog(1, 0));
    TRY(watchdog(1, 0));
    TRY(watchdog(2, 0));
    TRY(hc_sched_op(SCHEDOP_watchdog, BAD_PTR));
    TRY(hc_sched_op(SCHEDOP_pin_override, &pin));
    TRY(hc_sched_op(SCHEDOP_pin_override, BAD_PTR));
    for (int cmd = 8; cmd < 11; cmd++)
        TRY(hc_sched_op(cmd, BAD_PTR));
    TRY(hc_sched_op(-1, BAD_PTR));
    for (unsigned int cmd = 3; cmd < 10; cmd++)
        TRY(hypercall(__HYPERVISOR_sched_op_compat, cmd, 0, 0, 0, 0));
    TRY(hypercall(__HYPERVISOR_sched_op_compat, SCHEDOP_yield, 0, 0, 0, 0));
}

static void timers(void)
{
    TRY(hc_set_timer_op(0));
    TRY(hc_set_timer_op(1));
    TRY(hc_set_timer_op(1UL << 62));
    TRY(hc_set_timer_op(1UL << 63));
    TRY(hc_set_timer_op(~0UL));
    TRY(hc_set_timer_op(0));
}

static long singleshot(unsigned int vcpu, uint64_t at, uint32_t flags)
{
    struct vcpu_set_singleshot_timer t = { .timeout_abs_ns = at, .flags = flags };

    return hc_vcpu_op(VCPUOP_set_singleshot_timer, vcpu, &t);
}

static long periodic(unsigned int vcpu, uint64_t ns)
{
    struct vcpu_set_periodic_timer t = { .period_ns = ns };

    return hc_vcpu_op(VCPUOP_set_periodic_timer, vcpu, &t);
}

static void vcpu_timers(void)
{
    TRY(periodic(0, PERIOD));
    TRY(periodic(0, 0));
    TRY(periodic(0, 1));
    TRY(periodic(0, 999999));
    TRY(periodic(0, 1000000));
    TRY(periodic(0, ~0UL));
    TRY(periodic(0, 1UL << 62));
    TRY(periodic(1, PERIOD));
    TRY(periodic(2, PERIOD));
    TRY(hc_vcpu_op(VCPUOP_stop_periodic_timer, 0, NULL));
    TRY(hc_vcpu_op(VCPUOP_stop_periodic_timer, 0, NULL));
    TRY(hc_vcpu_op(VCPUOP_stop_periodic_timer, 1, NULL));
    TRY(singleshot(0, ~0UL >> 2, 0));
    TRY(singleshot(0, 1, 0));
    TRY(singleshot(0, 1, VCPU_SSHOTTMR_future));
    TRY(singleshot(0, ~0UL, VCPU_SSHOTTMR_future));
    TRY(singleshot(0, ~0UL, 0));
    TRY(singleshot(0, 0, 0));
    TRY(singleshot(0, ~0UL >> 2, 0xfffe));
    TRY(singleshot(1, ~0UL >> 2, 0));
    TRY(singleshot(2, ~0UL >> 2, 0));
    TRY(hc_vcpu_op(VCPUOP_stop_singleshot_timer, 0, NULL));
    TRY(hc_vcpu_op(VCPUOP_stop_singleshot_timer, 1, NULL));
    TRY(hc_vcpu_op(VCPUOP_stop_singleshot_timer, 2, NULL));
}

static long area(int cmd, unsigned int vcpu, void *at)
{
    struct vcpu_register_runstate_memory_area a;

    memset(&a, 0, sizeof(a));
    a.addr.p = (uint64_t)at;
    return hc_vcpu_op(cmd, vcpu, &a);
}

static long register_info(unsigned int vcpu, uint64_t frame, uint32_t offset)
{
    struct vcpu_register_vcpu_info r = { .mfn = frame, .offset = offset };

    return hc_vcpu_op(VCPUOP_register_vcpu_info, vcpu, &r);
}

static void areas(void)
{
    uint64_t own = virt_to_mfn(page).v;

    for (int cmd = VCPUOP_register_runstate_memory_area;
         cmd <= VCPUOP_register_vcpu_time_memory_area; cmd += 8) {
        about("area %d", cmd);
        TRY(area(cmd, 0, page));
        TRY(area(cmd, 1, page));
        TRY(area(cmd, 2, page));
        TRY(area(cmd, 0, BAD_PTR));
        TRY(area(cmd, 0, HV_PTR));
        TRY(area(cmd, 0, HOLE_PTR));
        TRY(area(cmd, 0, NULL));
        TRY(area(cmd, 1, NULL));
    }
    about("%s", __func__);
    TRY(register_info(0, own, 4096 - 64));
    TRY(register_info(1, NO_FRAME, 0));
    TRY(register_info(1, DEVICE_FRAME, 0));
    TRY(register_info(1, virt_to_mfn((void *)start_info->pt_base).v, 0));
    TRY(register_info(1, own, 4096));
    TRY(register_info(1, own, 4095));
    TRY(register_info(1, own, 4096 - 63));
    TRY(register_info(1, own, 1));
    TRY(register_info(1, own, ~0u));
    TRY(register_info(1, own, 8));
    TRY(register_info(1, own, 64));
    TRY(register_info(1, own, 128));
    TRY(register_info(2, own, 128));
}

static void fresh_context(void)
{
    memset(&context, 0, sizeof(context));
    context.flags = VGCF_in_kernel;
    context.user_regs.rip = (uint64_t)fresh_context;
    context.user_regs.cs = FLAT_KERNEL_CS;
    context.user_regs.ss = FLAT_KERNEL_SS;
    context.user_regs.rflags = 0x200;
    context.kernel_ss = FLAT_KERNEL_SS;
    context.ctrlreg[3] = virt_to_maddr((void *)start_info->pt_base);
}

static long initialise(unsigned int vcpu)
{
    long rc = hc_vcpu_op(VCPUOP_initialise, vcpu, &context);

    fresh_context();
    return rc;
}

/* The call with a context that is wrong in one way. */
#define WITH(...) \
    do { \
        (void)(__VA_ARGS__); \
        TRY(initialise(1)); \
    } while (0)

/* One thing wrong each time; vCPU 1 stays without a context until the end. */
static void contexts(void)
{
    char *gdt = page_alloc_zeroed();

    MUST(gdt);
    fresh_context();
    TRY(initialise(0));
    TRY(initialise(2));
    TRY(initialise(~0u));
    TRY(hc_vcpu_op(VCPUOP_initialise, 1, BAD_PTR));
    TRY(hc_vcpu_op(VCPUOP_initialise, 1, HV_PTR));
    TRY(hc_vcpu_op(VCPUOP_up, 1, NULL));
    WITH(context.user_regs.rip = BAD_ADDR);
    WITH(context.kernel_sp = BAD_ADDR);
    WITH(context.event_callback_eip = BAD_ADDR);
    WITH(context.failsafe_callback_eip = BAD_ADDR);
    WITH(context.syscall_callback_eip = BAD_ADDR);
    WITH(context.fs_base = BAD_ADDR);
    WITH(context.gs_base_kernel = BAD_ADDR);
    WITH(context.gs_base_user = BAD_ADDR);
    WITH(context.trap_ctxt[3].address = BAD_ADDR);
    WITH(context.ldt_ents = 8193);
    WITH(context.ldt_base = 5, context.ldt_ents = 1);
    WITH(context.ldt_base = HV_ADDR, context.ldt_ents = 1);
    WITH(context.gdt_ents = 512 * 16);
    WITH(context.gdt_ents = 8, context.gdt_frames[0] = NO_FRAME);
    WITH(context.gdt_frames[0] = virt_to_mfn(gdt).v, context.gdt_ents = 8);    /* writable */
    WITH(context.ctrlreg[3] = 0);
    WITH(context.ctrlreg[3] = NO_FRAME << PAGE_SHIFT);
    WITH(context.ctrlreg[3] = virt_to_maddr(gdt));
    WITH(context.ctrlreg[1] = virt_to_maddr(gdt));
    WITH(context.ctrlreg[1] = NO_FRAME << PAGE_SHIFT);
    TRY(hc_vcpu_op(VCPUOP_is_up, 1, NULL));
    TRY(hc_vcpu_op(VCPUOP_up, 1, NULL));
    TRY(hc_vcpu_op(VCPUOP_down, 1, NULL));
    WITH(context.ctrlreg[0] = ~0UL,
         context.ctrlreg[4] = ~0UL,
         context.user_regs.cs = 8,
         context.user_regs.ss = 16,
         context.user_regs.rflags = ~0UL,
         context.debugreg[7] = ~0UL);
    TRY(initialise(1));
    TRY(hc_vcpu_op(VCPUOP_is_up, 1, NULL));
}

static void vcpus(void)
{
    static struct vcpu_runstate_info run;

    for (unsigned int vcpu = 0; vcpu < 3; vcpu++) {
        about("vcpu %u", vcpu);
        TRY(hc_vcpu_op(VCPUOP_is_up, vcpu, NULL));
        TRY(hc_vcpu_op(VCPUOP_is_up, vcpu, BAD_PTR));
        TRY(hc_vcpu_op(VCPUOP_get_runstate_info, vcpu, &run));
        TRY(hc_vcpu_op(VCPUOP_get_runstate_info, vcpu, BAD_PTR));
        TRY(hc_vcpu_op(VCPUOP_get_physid, vcpu, page));
        TRY(hc_vcpu_op(VCPUOP_get_physid, vcpu, BAD_PTR));
        if (vcpu)
            TRY(hc_vcpu_op(VCPUOP_down, vcpu, NULL));
        for (int cmd = 14; cmd < 18; cmd++)
            TRY(hc_vcpu_op(cmd, vcpu, BAD_PTR));
        TRY(hc_vcpu_op(-1, vcpu, BAD_PTR));
    }
    about("%s", __func__);
    TRY(hc_vcpu_op(VCPUOP_up, 0, NULL));
    TRY(hc_vcpu_op(VCPUOP_up, 2, NULL));
    TRY(hc_vcpu_op(VCPUOP_up, ~0u, NULL));
    TRY(hc_vcpu_op(VCPUOP_send_nmi, 1, NULL));
    TRY(hc_vcpu_op(VCPUOP_send_nmi, 2, NULL));
    for (int cmd = 0; cmd < 14; cmd++) {
        if (cmd == VCPUOP_up || cmd == VCPUOP_down || cmd == VCPUOP_send_nmi ||
            cmd == VCPUOP_stop_periodic_timer || cmd == VCPUOP_stop_singleshot_timer)
            continue;
        about("vcpu_op %d", cmd);
        TRY(hc_vcpu_op(cmd, 0, BAD_PTR));
        TRY(hc_vcpu_op(cmd, 1, HV_PTR));
    }
}

void try_scheduling(void)
{
    page = page_alloc_zeroed();
    MUST(page);
    PART(sched);
    PART(timers);
    PART(vcpu_timers);
    PART(vcpus);
    PART(areas);
    PART(contexts);
    PART(vcpus);
}
