/* SPDX-License-Identifier: MIT */
/*
 * netbsd - does what a NetBSD kernel does and Linux does not, in the order of its start, and looks whether that
 * had its effect: docs/netbsd.md. Two vCPUs. Prints "netbsd: ok".
 */
#include "atomic.h"
#include "lib/string.h"
#include "runtime/hypercall.h"
#include "runtime/log.h"
#include "runtime/mem.h"
#include "runtime/p2m.h"
#include "runtime/pagetable.h"
#include "runtime/start.h"
#include "runtime/time.h"
#include "runtime/traps.h"

#define RECURSIVE   255u                        /* L4 slot that maps the L4 itself */
#define PTE_BASE    0x7f8000000000UL
#define USER_SLOT   3u                          /* of the live L4, as for a process */
#define TABLE       (PTE_PRESENT | PTE_WRITE | PTE_USER | PTE_ACCESSED | PTE_DIRTY)
#define BATCH       2048u
#define PATIENCE    (60 * NS_PER_S)

static unsigned int failed;

#define CHECK(c) do { if (!(c)) { failed++; log_error("netbsd: line %d: %s", __LINE__, #c); } } while (0)

static long ext(unsigned int cmd, uint64_t arg1, uint64_t arg2)
{
    struct mmuext_op op = { .cmd = cmd, .arg1.mfn = arg1, .arg2.src_mfn = arg2 };
    unsigned int done;

    return hc_mmuext_op(&op, 1, &done, DOMID_SELF);
}

static long update(paddr_t at, uint64_t value)
{
    struct mmu_update u = { at | MMU_NORMAL_PT_UPDATE, value };
    unsigned int done = 0;
    long rc = hc_mmu_update(&u, 1, &done, DOMID_SELF);

    return rc ? rc : done == 1 ? 0 : -1;
}

static uint64_t *root(void)
{
    return (uint64_t *)start_info->pt_base;
}

/* ---- Time: the kernel spins, without a call, until the version changes -------------------------- */

static bool version_changes(unsigned int cpu)
{
    volatile uint32_t *version = &shared_info->vcpu_info[cpu].time.version;
    uint32_t first = *version;
    uint64_t end = now_ns() + PATIENCE;

    while (*version == first)
        if (now_ns() > end)
            return false;
    return true;
}

/* ---- Calls that are older than Linux ------------------------------------------------------------ */

static long old_event(struct evtchn_op *op, uint32_t cmd)
{
    op->cmd = cmd;
    return hypercall(__HYPERVISOR_event_channel_op_compat, HC_PTR(op), 0, 0, 0, 0);
}

static void old_calls(void)
{
    struct evtchn_op op = { .u.bind_ipi.vcpu = 0 };
    struct physdev_op iopl = { .cmd = PHYSDEVOP_set_iopl, .u.set_iopl.iopl = 3 };
    evtchn_port_t port;
    uint64_t flags;
    uint8_t byte;

    CHECK(old_event(&op, EVTCHNOP_bind_ipi) == 0);
    port = op.u.bind_ipi.port;
    shared_info->evtchn_mask[port / 64] |= 1UL << port % 64;
    op.u.send.port = port;
    CHECK(old_event(&op, EVTCHNOP_send) == 0);
    CHECK(shared_info->evtchn_pending[port / 64] >> port % 64 & 1);
    op.u.close.port = port;
    CHECK(old_event(&op, EVTCHNOP_close) == 0);
    CHECK(old_event(&op, EVTCHNOP_close) < 0);
    CHECK(hypercall(__HYPERVISOR_sched_op_compat, SCHEDOP_yield, 0, 0, 0, 0) == 0);
    CHECK(hypercall(__HYPERVISOR_physdev_op_compat, HC_PTR(&iopl), 0, 0, 0, 0) == 0);
    __asm__ volatile("inb $0x80, %0; pushfq; popq %1" : "=a"(byte), "=r"(flags));
    CHECK(byte == 0xff);
    CHECK((flags & 0x3200) == 0x200);
}

/* ---- Page tables ---------------------------------------------------------------------------------- */

static uint64_t *pte_of(const volatile void *va)
{
    return (uint64_t *)(PTE_BASE + (((uint64_t)va & 0x0000fffffffff000UL) >> 9));
}

/* The kernel finds its entries, and their machine addresses, through the L4 that maps itself. */
static void recursive_table(void)
{
    uint64_t *page = page_alloc_zeroed(), *other = page_alloc_zeroed();
    paddr_t at;

    CHECK(update(virt_to_maddr(root()) + RECURSIVE * 8, virt_to_maddr(root()) | PTE_PRESENT | PTE_USER) == 0);
    CHECK((*pte_of(page) & PTE_ADDR) == virt_to_maddr(page));
    CHECK((*pte_of(pte_of(page)) & PTE_ADDR) == (pte_maddr(page) & PTE_ADDR));
    /* Another frame behind that address, and back: seen at once after INVLPG of all. */
    page[1] = 1;
    other[1] = 2;
    at = (*pte_of(pte_of(page)) & PTE_ADDR) | ((uint64_t)pte_of(page) & ~PAGE_MASK);
    CHECK(update(at, virt_to_maddr(other) | PTE_PRESENT) == 0);
    CHECK(ext(MMUEXT_INVLPG_ALL, (uint64_t)page, 0) == 0);
    CHECK(READ_ONCE(page[1]) == 2);
    CHECK(update(at, virt_to_maddr(page) | PTE_PRESENT | PTE_WRITE) == 0);
    CHECK(ext(MMUEXT_INVLPG_ALL, (uint64_t)page, 0) == 0);
    CHECK(READ_ONCE(page[1]) == 1);
    page_free(page);
    page_free(other);
}

static void *table_page(uint64_t entry, unsigned int slot)
{
    uint64_t *t = page_alloc_zeroed();

    t[slot] = entry;
    CHECK(hc_update_va_mapping(HC_PTR(t), virt_to_maddr(t) | PTE_PRESENT, UVMF_NONE) == 0);
    return t;
}

/* A process comes and goes: entries of the L4 in use change, tables are such by reference alone, and are none any
 * more when the last has gone. */
static void live_root(void)
{
    uint64_t *data = page_alloc_zeroed(), *t[3], value = 0;
    volatile uint64_t *va = (uint64_t *)((uint64_t)USER_SLOT << 39);

    data[0] = 0x5a5a;
    t[0] = table_page(virt_to_maddr(data) | TABLE, 0);
    t[1] = table_page(virt_to_maddr(t[0]) | TABLE, 0);
    t[2] = table_page(virt_to_maddr(t[1]) | TABLE, 0);
    CHECK(update(virt_to_maddr(root()) + USER_SLOT * 8, virt_to_maddr(t[2]) | TABLE) == 0);
    CHECK(ext(MMUEXT_TLB_FLUSH_LOCAL, 0, 0) == 0);
    CHECK(try_read64(va, &value) && value == 0x5a5a);
    CHECK((*pte_of(va) & PTE_ADDR) == virt_to_maddr(data));
    for (unsigned int i = 0; i < 3; i++)
        CHECK(ext(MMUEXT_CLEAR_PAGE, virt_to_mfn(t[i]).v, 0) < 0);
    CHECK(update(virt_to_maddr(root()) + USER_SLOT * 8, 0) == 0);
    CHECK(ext(MMUEXT_TLB_FLUSH_LOCAL, 0, 0) == 0);
    CHECK(!try_read64(va, &value));
    for (unsigned int i = 0; i < 3; i++) {
        CHECK(ext(MMUEXT_CLEAR_PAGE, virt_to_mfn(t[i]).v, 0) == 0);
        CHECK(hc_update_va_mapping(HC_PTR(t[i]), virt_to_maddr(t[i]) | PTE_PRESENT | PTE_WRITE,
                                   UVMF_INVLPG) == 0);
        CHECK(t[i][0] == 0);
        page_free(t[i]);
    }
    page_free(data);
}

/* Its queue: full, and empty; of stores to a page that is no table. */
static void queue(void)
{
    struct mmu_update *u = pages_alloc(3);
    uint64_t *page = page_alloc_zeroed();
    unsigned int done = 77;

    CHECK(hc_mmu_update(u, 0, &done, DOMID_SELF) == 0);
    for (unsigned int i = 0; i < BATCH; i++)
        u[i] = (struct mmu_update){ virt_to_maddr(page) + i % 512 * 8, i };
    CHECK(hc_mmu_update(u, BATCH, &done, DOMID_SELF) == 0);
    CHECK(done == BATCH);
    for (unsigned int i = 0; i < 512; i++)
        CHECK(page[i] == BATCH - 512 + i);
    pages_free(u, 3);
    page_free(page);
}

static void whole_pages(void)
{
    uint64_t *a = page_alloc(), *b = page_alloc();

    memset(a, 1, PAGE_SIZE);
    memset(b, 2, PAGE_SIZE);
    CHECK(ext(MMUEXT_COPY_PAGE, virt_to_mfn(a).v, virt_to_mfn(b).v) == 0);
    CHECK(memcmp(a, b, PAGE_SIZE) == 0);
    CHECK(ext(MMUEXT_CLEAR_PAGE, virt_to_mfn(b).v, 0) == 0);
    for (unsigned int i = 0; i < 512; i++)
        CHECK(b[i] == 0);
    page_free(a);
    page_free(b);
}

/* ---- Descriptors ---------------------------------------------------------------------------------- */

#define CODE64      0x00affa000000ffffUL        /* ring 3 */
#define DATA        0x00cff2000000ffffUL
#define RUBBISH     0x123400000067UL            /* an old page-table entry: not present as a descriptor */
#define GATE        0x0000ec00000b0000UL        /* call gate of ring 3 to the guest's own code, first half */

/* 18 entries with gates; a data segment of it is loaded all the time. */
static void local_descriptors(void)
{
    uint64_t *ldt = page_alloc_zeroed();
    uint16_t ds;

    ldt[0] = GATE;
    ldt[7] = DATA;
    ldt[100] = RUBBISH;
    CHECK(direct_map_protect(virt_to_pfn(ldt), false) == 0);
    CHECK(ext(MMUEXT_SET_LDT, (uint64_t)ldt, 18) == 0);
    __asm__ volatile("mov %1, %%ds; mov %%ds, %0; mov %2, %%ds" : "=&r"(ds) : "r"(0x3f), "r"(0));
    CHECK(ds == 0x3f);
    CHECK((READ_ONCE(ldt[0]) >> 45 & 3) == 0);      /* nobody comes through the gate */
    CHECK(ldt[100] == RUBBISH);
    CHECK(ext(MMUEXT_SET_LDT, 0, 0) == 0);
    CHECK(direct_map_protect(virt_to_pfn(ldt), true) == 0);
    page_free(ldt);
}

/* ---- The second processor -------------------------------------------------------------------------- */

static struct {
    uint16_t cs, ss;
    uint64_t rflags, arg;
    bool time, done;
} ap;

static void ap_main(uint64_t arg)
{
    ap.arg = arg;
    __asm__ volatile("mov %%cs, %0; mov %%ss, %1; pushfq; popq %2" : "=r"(ap.cs), "=r"(ap.ss), "=r"(ap.rflags));
    ap.time = version_changes(1);
    store_release(&ap.done, true);
    for (;;)
        (void)hc_vcpu_op(VCPUOP_down, 1, NULL);
}

static void second_processor(void)
{
    static struct vcpu_guest_context c;
    static uint8_t stack[16384] __aligned(16);
    uint64_t *gdt = page_alloc_zeroed(), end;
    struct vcpu_runstate_info run;
    unsigned int n = 0;
    long rc;

    while ((rc = hc_vcpu_op(VCPUOP_get_runstate_info, n, &run)) == 0)
        n++;
    CHECK(rc == -XEN_ENOENT && n == 2);
    gdt[1] = CODE64;
    gdt[2] = DATA;
    gdt[300] = RUBBISH;
    CHECK(direct_map_protect(virt_to_pfn(gdt), false) == 0);
    /* gdt_ents says how many pages; what is behind the first is whatever was on the stack. */
    memset(c.gdt_frames, 0xa5, sizeof(c.gdt_frames));
    c.gdt_frames[0] = virt_to_mfn(gdt).v;
    c.gdt_ents = 1;
    c.flags = VGCF_in_kernel | 0x20;
    c.user_regs.rip = (uint64_t)ap_main;
    c.user_regs.rdi = 0x1234;
    c.user_regs.cs = 0x0b;
    c.user_regs.ss = c.user_regs.ds = c.user_regs.es = 0x13;
    c.user_regs.rsp = (uint64_t)stack + sizeof(stack) - 8;
    c.kernel_ss = 0x13;
    c.kernel_sp = c.user_regs.rsp;
    c.ctrlreg[2] = (uint64_t)ap_main;
    c.ctrlreg[3] = virt_to_maddr(root());
    c.ctrlreg[4] = 0x620;
    shared_info->vcpu_info[1].evtchn_upcall_mask = 1;
    CHECK(hc_vcpu_op(VCPUOP_initialise, 1, &c) == 0);
    CHECK(hc_vcpu_op(VCPUOP_down, 1, NULL) == 0);
    CHECK(!load_acquire(&ap.done));
    CHECK(hc_vcpu_op(VCPUOP_up, 1, NULL) == 0);
    end = now_ns() + 2 * PATIENCE;
    while (!load_acquire(&ap.done) && now_ns() < end)
        cpu_relax();
    CHECK(ap.done && ap.time && ap.arg == 0x1234);
    CHECK(ap.cs == 0x0b && ap.ss == 0x13 && (ap.rflags & 0x3200) == 0x200);
}

void pv_main(void)
{
    CHECK(version_changes(0));
    old_calls();
    recursive_table();
    live_root();
    queue();
    whole_pages();
    local_descriptors();
    second_processor();
    log_info(failed ? "netbsd: FAILED" : "netbsd: ok");
    domain_shutdown(failed ? SHUTDOWN_crash : SHUTDOWN_poweroff);
}
