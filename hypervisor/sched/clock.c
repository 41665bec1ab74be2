/* SPDX-License-Identifier: MIT */
/*
 * clock.c - system time from the TSC, calibrated once against a clock of known rate.
 *
 * References, best first: HPET, ACPI PM timer, PIT. Each CPU has a point (TSC, ns); with TSCs in
 * step they are all CPU 0's. TSCs count as in step when none was ever seen behind another, and
 * they are invariant or the machine is itself virtual (whose TSC is the host's).
 */
#include "sched/clock.h"

#include "boot/acpi.h"
#include "boot/multiboot.h"
#include "cpu/apic.h"
#include "cpu/asm.h"
#include "cpu/percpu.h"
#include "dev/console.h"
#include "dev/panic.h"
#include "lib/string.h"
#include "mm/map.h"
#include "mm/tlb.h"

#define CALIBRATE_US    10000u
#define SAMPLES         8
#define WARP_ROUNDS     2000u       /* no longer than 1/WARP_HZ s, where CPUs share a real one */
#define WARP_HZ         200u
#define SYNC_ROUNDS     16u
#define FS_PER_SEC      1000000000000000UL

#define PIT_HZ          1193182u
#define PM_TIMER_HZ     3579545u

/* A counter of known rate; wraps at mask. */
struct reference {
    const char *name;
    uint64_t hz;
    uint64_t mask;
    uint64_t (*read)(void);
};

static struct {
    struct clock_point p;
    uint64_t mul;               /* for now_ns(): p.scale as ((tsc << up) * mul) >> 64 */
    uint8_t up;
} __aligned(64) point[NR_CPUS];
static struct clock_scale apic_scale;       /* APIC timer ticks to ns */
static uint64_t tsc_hz;
static uint64_t wallclock_base;
static bool tsc_in_step;

static volatile uint8_t *hpet;
static uint16_t pm_port;

static uint64_t read_hpet(void)
{
    return *(volatile uint32_t *)(hpet + 0xf0);
}

static uint64_t read_pm_timer(void)
{
    return inl(pm_port);
}

/* Channel 2 counts down from 65536; latch, low byte, high byte. */
static uint64_t read_pit(void)
{
    uint32_t lo;

    outb(0x43, 0x80);
    lo = inb(0x42);
    return 0xffff - (lo | (uint32_t)inb(0x42) << 8);
}

static void start_pit(void)
{
    outb(0x61, (inb(0x61) & ~2) | 1);       /* gate on, speaker off */
    outb(0x43, 0xb0);                       /* channel 2, both bytes, mode 0 */
    outb(0x42, 0xff);
    outb(0x42, 0xff);
}

static struct reference find_reference(void)
{
    const struct acpi_info *ai = acpi_info();

    if (ai->hpet && (hpet = ioremap(ai->hpet, PAGE_SIZE))) {
        uint64_t period = *(volatile uint32_t *)(hpet + 4);     /* fs */

        if (period >= 1000 && period <= 100000000) {
            *(volatile uint32_t *)(hpet + 0x10) |= 1;           /* count */
            return (struct reference){ "HPET", FS_PER_SEC / period, 0xffffffff, read_hpet };
        }
    }
    if (ai->pm_timer_port) {
        pm_port = (uint16_t)ai->pm_timer_port;
        return (struct reference){ "PM timer", PM_TIMER_HZ, 0xffffff, read_pm_timer };
    }
    start_pit();
    return (struct reference){ "PIT", PIT_HZ, 0xffff, read_pit };
}

/* One moment on all three counters. */
struct sample {
    uint64_t ref, tsc;
    uint32_t apic;
};

/* Of several readings the one that took the least time, so interruptions of a virtual machine
 * do no harm. */
static struct sample take_sample(const struct reference *r)
{
    struct sample best = { 0, 0, 0 };
    uint64_t best_took = ~0UL;

    for (unsigned int i = 0; i < SAMPLES; i++) {
        uint64_t before = rdtsc_ordered(), ref = r->read(), after = rdtsc_ordered();
        uint32_t apic = apic_timer_read();

        if (after - before < best_took) {
            best_took = after - before;
            best = (struct sample){ ref, before + (after - before) / 2, apic };
        }
    }
    return best;
}

static void calibrate(void)
{
    struct reference r = find_reference();
    uint64_t want = r.hz * CALIBRATE_US / 1000000, ref, elapsed_ns;
    struct sample a, b;

    apic_timer_set(0xffffffff);
    a = take_sample(&r);
    while (((r.read() - a.ref) & r.mask) < want)
        cpu_relax();
    b = take_sample(&r);
    apic_timer_set(0);

    ref = (b.ref - a.ref) & r.mask;
    elapsed_ns = ref * NS_PER_SEC / r.hz;
    if (!elapsed_ns || b.tsc <= a.tsc)
        panic("the %s or the TSC stands still", r.name);
    tsc_hz = (b.tsc - a.tsc) * (NS_PER_SEC / 16) / elapsed_ns * 16;
    apic_scale = clock_scale_for_hz(MAX((uint64_t)(a.apic - b.apic) * NS_PER_SEC / elapsed_ns,
                                        1UL));
    printk(LOG_INFO, "clock: TSC %lu.%03lu MHz, APIC timer %lu kHz (by %s)\n", tsc_hz / 1000000,
           tsc_hz / 1000 % 1000, (a.apic - b.apic) * 1000000UL / elapsed_ns, r.name);
}

static void set_point(uint32_t cpu, struct clock_point p)
{
    int shift = p.scale.shift;

    point[cpu].p = p;
    point[cpu].mul = (uint64_t)p.scale.mul << (32 + MIN(shift, 0));
    point[cpu].up = (uint8_t)MAX(shift, 0);
}

/* Often called: one multiplication, and no choice of the way to shift. What guests compute is less by at
 * most one, as they lose bits when they shift right. */
uint64_t now_ns(void)
{
    const __typeof__(point[0]) *here = &point[this_cpu()];
    uint64_t ticks = (rdtsc() - here->p.tsc) << here->up;

    return here->p.ns + (uint64_t)(((unsigned __int128)ticks * here->mul) >> 64);
}

struct clock_point clock_point_here(void)
{
    return point[this_cpu()].p;
}

uint64_t clock_tsc_to_ns(uint64_t tsc)
{
    const struct clock_point *p = &point[this_cpu()].p;

    return tsc >= p->tsc ? p->ns + clock_scale_ticks(p->scale, tsc - p->tsc) :
                           p->ns - clock_scale_ticks(p->scale, p->tsc - tsc);
}

uint64_t clock_ns_to_tsc(uint64_t ns)
{
    const struct clock_point *p = &point[this_cpu()].p;

    return ns >= p->ns ? p->tsc + clock_unscale_ns(p->scale, ns - p->ns) :
                         p->tsc - clock_unscale_ns(p->scale, p->ns - ns);
}

uint64_t clock_tsc_khz(void)
{
    return tsc_hz / 1000;
}

uint64_t clock_ns_to_apic(uint64_t ns)
{
    return clock_unscale_ns(apic_scale, ns);
}

bool clock_tsc_stable(void)
{
    return tsc_in_step;
}

uint64_t wallclock_at_boot_ns(void)
{
    return load_relaxed(&wallclock_base);
}

void wallclock_set_at_boot_ns(uint64_t ns)
{
    store_relaxed(&wallclock_base, ns);
}

void udelay(uint64_t us)
{
    uint64_t ticks = tsc_hz ? us * (tsc_hz / 1000000) : us * 4000, start = rdtsc();

    while (rdtsc() - start < ticks)
        cpu_relax();
}

static uint8_t cmos(uint8_t reg)
{
    outb(0x70, 0x80 | reg);
    return inb(0x71);
}

static uint32_t cmos_number(uint8_t reg, bool bcd)
{
    uint32_t v = cmos(reg);

    return bcd ? (v >> 4) * 10 + (v & 15) : v;
}

/* Seconds since 1970 of a date in 2000..2099 (Gregorian, and simple there). */
static uint64_t date_to_seconds(uint32_t y, uint32_t mon, uint32_t d, uint32_t h, uint32_t m,
                                uint32_t s)
{
    static const uint16_t before[12] = { 0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334 };
    uint64_t days = 10957 + y * 365UL + (y + 3) / 4 + before[(mon - 1) % 12] + d - 1;

    if (mon > 2 && y % 4 == 0)
        days++;
    return ((days * 24 + h) * 60 + m) * 60 + s;
}

static uint64_t read_rtc(void)
{
    uint32_t v[6], again[6];
    uint8_t status;
    bool bcd;

    for (unsigned int i = 0; i < 1000000 && (cmos(0x0a) & 0x80); i++)
        cpu_relax();
    status = cmos(0x0b);
    bcd = !(status & 4);
    do {                                    /* the same twice: not in the middle of a change */
        static const uint8_t reg[6] = { 9, 8, 7, 4, 2, 0 };

        for (unsigned int i = 0; i < 6; i++)
            v[i] = cmos_number(reg[i], bcd && (reg[i] != 4 || (status & 2)));
        for (unsigned int i = 0; i < 6; i++)
            again[i] = cmos_number(reg[i], bcd && (reg[i] != 4 || (status & 2)));
    } while (memcmp(v, again, sizeof(v)));
    if (!(status & 2)) {                    /* 12-hour clock, bit 7 is PM */
        uint32_t hour = v[3] & 0x7f;

        if (bcd)
            hour = (hour >> 4) * 10 + (hour & 15);
        v[3] = hour % 12 + (v[3] & 0x80 ? 12 : 0);
    }
    if (v[1] < 1 || v[1] > 12 || v[2] < 1 || v[2] > 31)
        return 0;
    return date_to_seconds(v[0] % 100, v[1], v[2], v[3], v[4], v[5]);
}

/* What the CPU promises: the TSC's rate never changes, or it is a hypervisor's. */
static bool tsc_invariant(void)
{
    return (cpuid(0x80000000, 0).a >= 0x80000007 && (cpuid(0x80000007, 0).d & (1u << 8))) ||
           (cpuid(1, 0).c & (1u << 31));
}

static void apply_option(void)
{
    char value[16];

    if (!cmdline_find("tsc", value, sizeof(value)))
        return;
    if (!strcmp(value, "stable"))
        tsc_in_step = true;
    else if (!strcmp(value, "unstable"))
        tsc_in_step = false;
    else
        printk(LOG_WARNING, "tsc=%s: not known; stable or unstable\n", value);
}

void clock_init(void)
{
    uint64_t now;

    calibrate();
    set_point(0, (struct clock_point){ rdtsc(), 0, clock_scale_for_hz(tsc_hz) });
    tsc_in_step = tsc_invariant();
    apply_option();
    now = now_ns();
    wallclock_base = read_rtc() * NS_PER_SEC - now;
}

/* ---- bring-up of another CPU: both sides are here at the same time ---- */

static struct {
    uint32_t stage;                 /* 1: CPU 0 is here; 2: both; 3: result is there */
    uint32_t finished;
    uint32_t lock;
    uint64_t last, warp;
    uint32_t ask, answer;
    uint64_t ns;
} sync;

static void sync_wait(uint32_t *what, uint32_t value)
{
    while (load_acquire(what) != value)
        cpu_relax();
}

static void warp_test(void)
{
    uint64_t start = rdtsc();

    for (uint32_t i = 0; i < WARP_ROUNDS && rdtsc() - start < tsc_hz / WARP_HZ; i++) {
        uint64_t tsc;

        while (atomic_xchg(&sync.lock, 1u))
            cpu_relax();
        tsc = rdtsc_ordered();
        if (tsc < sync.last)
            sync.warp = MAX(sync.warp, sync.last - tsc);
        sync.last = tsc;
        store_release(&sync.lock, 0u);
        if (!(i & 7))
            cpu_relax();
    }
    (void)atomic_add_return(&sync.finished, 1u);
    sync_wait(&sync.finished, 2);
}

void clock_sync_new_cpu(uint32_t cpu)
{
    sync.finished = sync.ask = sync.answer = 0;
    sync.last = sync.warp = 0;
    store_release(&sync.stage, 1u);
    sync_wait(&sync.stage, 2);
    warp_test();
    if (sync.warp) {
        printk(LOG_WARNING, "clock: TSC of CPU %u is %lu ticks off\n", cpu, sync.warp);
        tsc_in_step = false;
        apply_option();
    }
    store_release(&sync.stage, 3u);
    for (uint32_t i = 1; i <= SYNC_ROUNDS; i++) {
        sync_wait(&sync.ask, i);
        sync.ns = now_ns();
        store_release(&sync.answer, i);
    }
}

void clock_init_cpu(void)
{
    uint64_t best = ~0UL;
    uint32_t cpu = this_cpu();
    struct clock_point mine = point[0].p;

    sync_wait(&sync.stage, 1);
    store_release(&sync.stage, 2u);
    warp_test();
    sync_wait(&sync.stage, 3);
    for (uint32_t i = 1; i <= SYNC_ROUNDS; i++) {
        uint64_t t0 = rdtsc_ordered(), t1;

        store_release(&sync.ask, i);
        sync_wait(&sync.answer, i);
        t1 = rdtsc_ordered();
        if (t1 - t0 < best) {
            best = t1 - t0;
            mine.tsc = t0 + (t1 - t0) / 2;
            mine.ns = sync.ns;
        }
    }
    set_point(cpu, tsc_in_step ? point[0].p : mine);
}
