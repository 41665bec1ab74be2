/* SPDX-License-Identifier: MIT */
/*
 * main.c - a guest that misuses its vCPUs. README.md says how.
 */
#include "lib/string.h"
#include "runtime/hypercall.h"
#include "runtime/log.h"
#include "runtime/mem.h"
#include "runtime/p2m.h"
#include "runtime/pagetable.h"
#include "runtime/start.h"
#include "runtime/time.h"
#include "tests/attack/expect.h"

#define HV          0xffff830000000000UL
#define NONCANON    0x0001000000000000UL
#define NOTHING     0xffffc00000000000UL        /* a hole of ours */
#define NR_VCPUS    4
#define ROUNDS      20000

static struct vcpu_guest_context context;
static uint8_t scratch[4][4096] __aligned(4096);
static uint8_t stacks[NR_VCPUS][16384] __aligned(4096);

static long vcpu_op(int cmd, uint64_t vcpu, uint64_t arg)
{
    return hypercall(__HYPERVISOR_vcpu_op, (uint64_t)cmd, vcpu, arg, 0, 0);
}

static long sched_op(int cmd, uint64_t arg)
{
    return hypercall(__HYPERVISOR_sched_op, (uint64_t)cmd, arg, 0, 0, 0);
}

static uint64_t my_root(void)
{
    uint64_t cr3;

    __asm__ volatile("mov %%cr3, %0" : "=r"(cr3));
    return cr3;
}

/* ------------------------------------------------------------------ contexts */

static void ap_main(uint64_t id);

static void good_context(uint64_t id)
{
    memset(&context, 0, sizeof(context));
    context.flags = VGCF_in_kernel;
    context.user_regs.rip = (uint64_t)ap_main;
    context.user_regs.rsp = (uint64_t)stacks[id] + sizeof(stacks[id]) - 8;
    context.user_regs.rdi = id;
    context.user_regs.cs = FLAT_KERNEL_CS;
    context.user_regs.ss = FLAT_KERNEL_SS;
    context.kernel_ss = FLAT_KERNEL_SS;
    context.kernel_sp = context.user_regs.rsp;
    context.ctrlreg[3] = my_root();
}

static void refused_context(long want, unsigned int line)
{
    long rc = vcpu_op(VCPUOP_initialise, 1, (uint64_t)&context);

    expect(rc == want, "initialise", rc, line);
    rc = vcpu_op(VCPUOP_up, 1, 0);
    expect(rc == -XEN_EINVAL, "up of what was refused", rc, line);
}

#define BAD_CONTEXT(change) \
    do { good_context(1); change; refused_context(-XEN_EINVAL, __LINE__); } while (0)

static void bad_contexts(void)
{
    uint64_t data = virt_to_mfn(scratch[0]).v;

    IS(vcpu_op(VCPUOP_initialise, 1, 0), -XEN_EFAULT);
    IS(vcpu_op(VCPUOP_initialise, 1, HV), -XEN_EFAULT);
    IS(vcpu_op(VCPUOP_initialise, 1, ~0UL), -XEN_EFAULT);
    IS(vcpu_op(VCPUOP_initialise, 1, NOTHING), -XEN_EFAULT);
    BAD_CONTEXT(context.ctrlreg[3] = 0);
    BAD_CONTEXT(context.ctrlreg[3] = data << PAGE_SHIFT);
    BAD_CONTEXT(context.ctrlreg[3] = 0xffffffffff000UL);
    BAD_CONTEXT(context.ctrlreg[3] = ~0UL);
    BAD_CONTEXT(context.ctrlreg[1] = data << PAGE_SHIFT);
    BAD_CONTEXT(context.ctrlreg[1] = 1UL << 51);
    BAD_CONTEXT((context.gdt_ents = 512, context.gdt_frames[0] = data));
    BAD_CONTEXT((context.gdt_ents = 512, context.gdt_frames[0] = my_root() >> PAGE_SHIFT));
    BAD_CONTEXT((context.gdt_ents = 1, context.gdt_frames[0] = ~0UL));
    BAD_CONTEXT((context.gdt_ents = 7169));
    BAD_CONTEXT((context.gdt_ents = ~0UL));
    BAD_CONTEXT((context.ldt_ents = 8193));
    BAD_CONTEXT((context.ldt_ents = 1, context.ldt_base = HV));
    BAD_CONTEXT((context.ldt_ents = 1, context.ldt_base = 8));
    BAD_CONTEXT((context.ldt_ents = 8192, context.ldt_base = 0xffff7ffffffff000UL));
    BAD_CONTEXT(context.user_regs.rip = NONCANON);
    BAD_CONTEXT(context.fs_base = NONCANON);
    BAD_CONTEXT(context.gs_base_kernel = NONCANON);
    BAD_CONTEXT(context.gs_base_user = 1UL << 63);
    BAD_CONTEXT(context.event_callback_eip = NONCANON);
    BAD_CONTEXT(context.syscall_callback_eip = NONCANON);
    BAD_CONTEXT(context.trap_ctxt[14].address = NONCANON);
    IS(vcpu_op(VCPUOP_is_up, 1, 0), 0);
}

/* --------------------------------------------------------- numbers and areas */

static void bad_numbers(void)
{
    static const uint64_t ids[] = { NR_VCPUS, 31, 32, 33, 64, 8191, 1u << 31, 1UL << 32, ~0UL };

    for (unsigned int i = 0; i < ARRAY_SIZE(ids); i++)
        for (int cmd = 0; cmd <= 14; cmd++)
            IS(vcpu_op(cmd, ids[i], (uint64_t)scratch[0]), -XEN_ENOENT);
    IS(vcpu_op(99, 0, (uint64_t)scratch[0]), -XEN_ENOSYS);
    IS(vcpu_op(VCPUOP_is_up, 0, 0), 1);
    IS(vcpu_op(VCPUOP_get_runstate_info, 3, (uint64_t)scratch[0]), 0);
    IS(vcpu_op(VCPUOP_get_runstate_info, 0, HV), -XEN_EFAULT);
}

static long register_info(uint64_t vcpu, uint64_t frame, uint32_t offset)
{
    struct vcpu_register_vcpu_info req = { .mfn = frame, .offset = offset };

    return vcpu_op(VCPUOP_register_vcpu_info, vcpu, (uint64_t)&req);
}

static void bad_infos(void)
{
    uint64_t data = virt_to_mfn(scratch[1]).v;

    IS(register_info(1, data, 4096 - 63), -XEN_ENXIO);
    IS(register_info(1, data, ~0u & ~63u), -XEN_ENXIO);
    IS(register_info(1, my_root() >> PAGE_SHIFT, 0), -XEN_EINVAL);
    IS(register_info(1, 0, 0), -XEN_EINVAL);
    IS(register_info(1, ~0UL, 0), -XEN_EINVAL);
    IS(register_info(1, 1UL << 40, 0), -XEN_EINVAL);
    IS(register_info(1, data, 4096 - 64), 0);
    IS(register_info(1, data, 0), -XEN_EINVAL);     /* once */
}

static long register_area(int cmd, uint64_t at)
{
    uint64_t arg = at;

    return vcpu_op(cmd, 0, (uint64_t)&arg);
}

/* Sleeps a little, so that this vCPU is switched out and in. */
static void nap(void)
{
    struct sched_poll poll = { .timeout = now_ns() + NS_PER_MS };

    IS(sched_op(SCHEDOP_poll, (uint64_t)&poll), 0);
}

static void bad_areas(void)
{
    static const int cmds[] = { VCPUOP_register_runstate_memory_area,
                                VCPUOP_register_vcpu_time_memory_area };
    /* The direct map has it read-only. */
    const uint64_t *table = pfn_to_virt(mfn_to_pfn(mfn(my_root() >> PAGE_SHIFT)));

    uint64_t before[8];

    for (unsigned int i = 0; i < ARRAY_SIZE(cmds); i++) {
        IS(register_area(cmds[i], HV), -XEN_EFAULT);
        IS(register_area(cmds[i], 0xffff800000000000UL - 8), -XEN_EFAULT);
        IS(register_area(cmds[i], NONCANON), -XEN_EFAULT);
        /* These are taken: it is the guest's business what is there when. */
        IS(register_area(cmds[i], NOTHING), 0);
        nap();
        IS(register_area(cmds[i], (uint64_t)scratch[0] + 4096 - 8), 0);
        nap();
        memcpy(before, table, sizeof(before));
        IS(register_area(cmds[i], (uint64_t)table), 0);
        nap();
        EXPECT(memcmp(before, table, sizeof(before)) == 0);
        IS(register_area(cmds[i], (uint64_t)scratch[2]), 0);
    }
}

/* ----------------------------------------------------------- timers, sleep */

static long singleshot(uint64_t vcpu, uint64_t at, uint32_t flags)
{
    struct vcpu_set_singleshot_timer t = { .timeout_abs_ns = at, .flags = flags };

    return vcpu_op(VCPUOP_set_singleshot_timer, vcpu, (uint64_t)&t);
}

static void bad_timers(void)
{
    static const uint64_t periods[] = { 0, 1, 999999, ~0UL, 1UL << 51 };

    for (unsigned int i = 0; i < ARRAY_SIZE(periods); i++)
        IS(vcpu_op(VCPUOP_set_periodic_timer, 0, (uint64_t)&periods[i]), -XEN_EINVAL);
    IS(vcpu_op(VCPUOP_set_periodic_timer, 0, HV), -XEN_EFAULT);
    IS(singleshot(0, 0, 0), 0);
    IS(singleshot(0, ~0UL, 0), 0);
    IS(singleshot(0, 1, VCPU_SSHOTTMR_future), 0);      /* the flag is ignored */
    IS(singleshot(1, now_ns(), 0), -XEN_EINVAL);
    IS(vcpu_op(VCPUOP_stop_singleshot_timer, 2, 0), -XEN_EINVAL);
    IS(vcpu_op(VCPUOP_stop_singleshot_timer, 0, 0), 0);
    for (int i = 0; i < 64; i++)
        IS(hc_set_timer_op(1UL << i), 0);
    IS(hc_set_timer_op(0), 0);
    IS(vcpu_op(VCPUOP_stop_periodic_timer, 0, 0), 0);
}

static void bad_sleep(void)
{
    static evtchn_port_t ports[2] = { 4096, ~0u };
    struct sched_poll poll = { .nr_ports = 129, .timeout = 1 };
    struct sched_remote_shutdown remote = { .domain_id = 0, .reason = SHUTDOWN_crash };

    set_xen_guest_handle(poll.ports, ports);
    IS(sched_op(SCHEDOP_poll, (uint64_t)&poll), -XEN_EINVAL);
    poll.nr_ports = ~0u;
    IS(sched_op(SCHEDOP_poll, (uint64_t)&poll), -XEN_EINVAL);
    poll.nr_ports = 2;
    IS(sched_op(SCHEDOP_poll, (uint64_t)&poll), -XEN_EINVAL);
    set_xen_guest_handle(poll.ports, (evtchn_port_t *)HV);
    IS(sched_op(SCHEDOP_poll, (uint64_t)&poll), -XEN_EFAULT);
    IS(sched_op(SCHEDOP_poll, HV), -XEN_EFAULT);
    IS(sched_op(SCHEDOP_shutdown, HV), -XEN_EFAULT);
    IS(sched_op(SCHEDOP_shutdown_code, NOTHING), -XEN_EFAULT);
    IS(sched_op(SCHEDOP_remote_shutdown, (uint64_t)&remote), -XEN_EPERM);
    IS(sched_op(77, 0), -XEN_ENOSYS);
    IS(hypercall(__HYPERVISOR_sched_op_compat, 77, 0, 0, 0, 0), -XEN_ENOSYS);
    /* What is there is no interface version. */
    IS(hypercall(__HYPERVISOR_domctl, (uint64_t)scratch[0], 0, 0, 0, 0), -XEN_EACCES);
    IS(hypercall(__HYPERVISOR_domctl, HV, 0, 0, 0, 0), -XEN_EFAULT);
    IS(hypercall(__HYPERVISOR_sysctl, (uint64_t)scratch[0], 0, 0, 0, 0), -XEN_EACCES);
}

/* ------------------------------------------------------------ all at once */

static volatile uint64_t calls[NR_VCPUS];

static uint64_t next(uint64_t *seed)
{
    *seed ^= *seed << 13;
    *seed ^= *seed >> 7;
    *seed ^= *seed << 17;
    return *seed;
}

static uint64_t some_pointer(uint64_t r)
{
    switch (r % 6) {
    case 0:
        return HV + (r >> 20);
    case 1:
        return NOTHING;
    case 2:
        return (uint64_t)scratch[2] + 4096 - 4;
    default:
        return (uint64_t)scratch[3] + (r >> 8) % 4032;
    }
}

static void random_call(uint64_t me, uint64_t *seed)
{
    uint64_t r = next(seed), other = (r >> 32) % NR_VCPUS, area[2];
    struct sched_poll poll = { .timeout = now_ns() + (r >> 40) % 50000 };

    switch (r % 16) {
    case 0:
        if (other && other != me)
            (void)vcpu_op(VCPUOP_down, other, 0);
        break;
    case 1: case 2: case 3:
        (void)vcpu_op(VCPUOP_up, other, 0);
        break;
    case 4:
        (void)vcpu_op(VCPUOP_initialise, other, some_pointer(next(seed)));
        break;
    case 5:
        (void)register_info(other, virt_to_mfn(scratch[0]).v, (uint32_t)(r >> 48) & 0xfc0);
        break;
    case 6: case 7:
        area[0] = some_pointer(next(seed));
        (void)vcpu_op(r & 64 ? VCPUOP_register_runstate_memory_area :
                               VCPUOP_register_vcpu_time_memory_area, other, (uint64_t)area);
        break;
    case 8:
        area[0] = NS_PER_MS + (r >> 44);
        (void)vcpu_op(VCPUOP_set_periodic_timer, other, (uint64_t)area);
        break;
    case 9:
        (void)vcpu_op(VCPUOP_stop_periodic_timer, other, 0);
        break;
    case 10:
        (void)singleshot(me, now_ns() + (r >> 44), 0);
        break;
    case 11:
        if (r >> 60 != VCPUOP_down)         /* the last one's would power us off */
            (void)vcpu_op((int)(r >> 60), other, some_pointer(next(seed)));
        break;
    case 12:
        (void)hc_set_timer_op(r >> 16);
        break;
    case 13:
        (void)sched_op(SCHEDOP_poll, (uint64_t)&poll);
        break;
    case 14:
        (void)vcpu_op(VCPUOP_get_runstate_info, other, some_pointer(next(seed)));
        break;
    default:
        (void)sched_op(SCHEDOP_yield, 0);
    }
    calls[me]++;
}

static volatile bool watches_hypervisor;

static void ap_main(uint64_t id)
{
    uint64_t seed = 0x9e3779b97f4a7c15UL * (id + 1);

    if ((uint64_t)hypercall(__HYPERVISOR_get_debugreg, 0, 0, 0, 0, 0) == HV)
        watches_hypervisor = true;
    for (;;)
        random_call(id, &seed);
}

static void all_at_once(void)
{
    uint64_t seed = 88172645463325252UL;

    for (uint64_t id = 1; id < NR_VCPUS; id++) {
        good_context(id);
        /* Debug registers that cannot be are ignored. */
        context.debugreg[0] = HV;
        context.debugreg[7] = 1u << 13 | 1;
        IS(vcpu_op(VCPUOP_initialise, id, (uint64_t)&context), 0);
        IS(vcpu_op(VCPUOP_initialise, id, (uint64_t)&context), -XEN_EEXIST);
        IS(vcpu_op(VCPUOP_down, id, 0), 0);             /* it is: nothing happens */
    }
    for (uint64_t id = 1; id < NR_VCPUS; id++)
        IS(vcpu_op(VCPUOP_up, id, 0), 0);
    for (unsigned int i = 0; i < ROUNDS; i++)
        random_call(0, &seed);
    for (uint64_t id = 1; id < NR_VCPUS; id++)
        EXPECT(calls[id] > 0);
    EXPECT(!watches_hypervisor);
}

void pv_main(void)
{
    bad_numbers();
    bad_contexts();
    bad_infos();
    bad_areas();
    bad_timers();
    bad_sleep();
    all_at_once();
    log_info("attack vcpu: %lu random calls", calls[0] + calls[1] + calls[2] + calls[3]);
    /* The others still run: the shutdown stops them wherever they are. */
    conclude("vcpu");
}
