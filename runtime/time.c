/* SPDX-License-Identifier: MIT */
/* time.c - system time from the hypervisor's per-vCPU time page; wall clock; random numbers. */
#include "runtime/time.h"
#include "atomic.h"
#include "lib/string.h"
#include "runtime/start.h"

static inline uint64_t rdtsc(void)
{
    uint32_t lo, hi;

    __asm__ volatile("rdtsc" : "=a"(lo), "=d"(hi));
    return (uint64_t)hi << 32 | lo;
}

static uint64_t scale(uint64_t delta, uint32_t mul, int8_t shift)
{
    delta = shift >= 0 ? delta << shift : delta >> -shift;
    return (uint64_t)(((unsigned __int128)delta * mul) >> 32);
}

uint64_t now_ns(void)
{
    static uint64_t last;
    const volatile struct vcpu_time_info *t;
    uint32_t version;
    uint64_t ns;

    if (!shared_info)
        return 0;
    t = &shared_info->vcpu_info[0].time;
    do {
        version = load_acquire(&t->version) & ~1u;
        ns = t->system_time + scale(rdtsc() - t->tsc_timestamp, t->tsc_to_system_mul, t->tsc_shift);
        smp_rmb();
    } while (unlikely(version != t->version));
    /* The parameters are corrected now and then; time still must not run backwards. */
    if (ns > last)
        last = ns;
    return last;
}

uint64_t since_power_on_ns(void)
{
    const volatile struct vcpu_time_info *t = &shared_info->vcpu_info[0].time;

    return scale(rdtsc(), t->tsc_to_system_mul, t->tsc_shift);
}

uint64_t wallclock(uint32_t *ns)
{
    const volatile struct shared_info *s = shared_info;
    uint32_t version;
    uint64_t sec, frac;

    do {
        version = load_acquire(&s->wc_version) & ~1u;
        sec = s->wc_sec | (uint64_t)s->wc_sec_hi << 32;
        frac = s->wc_nsec;
        smp_rmb();
    } while (unlikely(version != s->wc_version));
    frac += now_ns();
    if (ns)
        *ns = (uint32_t)(frac % NS_PER_S);
    return sec + frac / NS_PER_S;
}

void delay_us(unsigned int us)
{
    uint64_t end = now_ns() + us * NS_PER_US;

    while (now_ns() < end)
        cpu_relax();
}

static bool have_rdrand(void)
{
    static int8_t known = -1;
    uint32_t a = 1, b, c = 0, d;

    if (known < 0) {
        __asm__ volatile("cpuid" : "+a"(a), "=b"(b), "+c"(c), "=d"(d));
        known = (c >> 30) & 1;
    }
    return known;
}

bool hardware_random(uint64_t *v)
{
    uint8_t ok = 0;

    if (!have_rdrand())
        return false;
    for (int i = 0; i < 10 && !ok; i++)
        __asm__ volatile("rdrand %0; setc %1" : "=r"(*v), "=qm"(ok) : : "cc");
    return ok;
}

/* splitmix64's finisher: every input bit changes every output bit. */
static uint64_t mix(uint64_t x)
{
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9UL;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebUL;
    return x ^ (x >> 31);
}

static uint64_t random_u64(void)
{
    static uint64_t pool;
    uint64_t hw = 0;

    (void)hardware_random(&hw);
    pool = mix(pool + 0x9e3779b97f4a7c15UL) ^ mix(rdtsc()) ^ hw;
    return mix(pool);
}

uint32_t random_u32(void)
{
    return (uint32_t)random_u64();
}

void random_bytes(void *buf, size_t n)
{
    uint8_t *p = buf;

    while (n) {
        uint64_t v = random_u64();
        size_t k = MIN(n, sizeof(v));

        memcpy(p, &v, k);
        p += k;
        n -= k;
    }
}
