/* SPDX-License-Identifier: MIT */
/*
 * test_credit.c - scheduling policy: single decisions, then a simulated machine that applies
 * them the way sched/sched.c does, in steps of 50 us.
 */
/* LINK: hypervisor/sched/credit.c */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "sched/credit.h"

#define MS          1000000ull
#define SEC         (1000 * MS)
#define STEP        50000ull
#define MAX_V       64
#define MAX_CPU     4

struct sim_vcpu {
    struct credit_vcpu c;
    struct credit_domain *dom;
    uint64_t run_ns, sleep_ns;  /* works so long, then sleeps so long; sleep 0: a hog */
    uint64_t work_left, wakes_at, woke_at;
    bool asleep, parked;        /* parked: its cap is used up */
    int cpu;
    unsigned int pinned;        /* the CPUs that it may run on, a bit each */
    uint64_t ran, worst_latency;
};

struct sim_cpu {
    int curr;                   /* -1: idle */
    uint64_t vnow, turn_start, looked_around, idled;
    struct credit_spare spare;
};

static struct sim_vcpu vs[MAX_V];
static struct sim_cpu cpus[MAX_CPU];
static struct credit_domain doms[MAX_V];
static int nr_v, nr_cpu;
static uint64_t sim_now;

static void sim_init(int n)
{
    memset(vs, 0, sizeof(vs));
    nr_v = 0;
    nr_cpu = n;
    sim_now = 0;
    for (int i = 0; i < MAX_CPU; i++)
        cpus[i] = (struct sim_cpu){ .curr = -1 };
}

static int add(uint32_t weight, uint32_t cap, uint64_t run_ns, uint64_t sleep_ns)
{
    struct sim_vcpu *v = &vs[nr_v];

    credit_domain_init(&doms[nr_v]);
    assert_true(credit_domain_set(&doms[nr_v], weight, cap));
    v->dom = &doms[nr_v];
    v->run_ns = run_ns;
    v->sleep_ns = sleep_ns;
    v->work_left = sleep_ns ? run_ns : UINT64_MAX;
    v->cpu = nr_v % nr_cpu;
    v->pinned = ~0u;
    return nr_v++;
}

static void pin(int i, unsigned int to)
{
    vs[i].pinned = to;
    if (!(to >> vs[i].cpu & 1))
        vs[i].cpu = __builtin_ctz(to);
}

static bool on_cpu(int i)
{
    for (int c = 0; c < nr_cpu; c++)
        if (cpus[c].curr == i)
            return true;
    return false;
}

static bool waits(int i, int cpu, uint64_t now)
{
    return (cpu < 0 || vs[i].cpu == cpu) && !vs[i].asleep && !on_cpu(i) &&
           !vs[i].parked;
}

/* The waiting vCPU with the least virtual time, of one CPU or (-1) of all; -1: none. */
static int best_waiting(int cpu, uint64_t now)
{
    int best = -1;

    for (int i = 0; i < nr_v; i++)
        if (waits(i, cpu, now) &&
            (best < 0 || vtime_before(vs[i].c.vtime, vs[best].c.vtime)))
            best = i;
    return best;
}

/* The same of those who wait elsewhere and may run on this CPU. */
static int best_elsewhere(int cpu, uint64_t now)
{
    int best = -1;

    for (int i = 0; i < nr_v; i++)
        if (waits(i, -1, now) && vs[i].cpu != cpu && vs[i].pinned >> cpu & 1 &&
            (best < 0 || vtime_before(vs[i].c.vtime, vs[best].c.vtime)))
            best = i;
    return best;
}

static void start(int cpu, int i, uint64_t now)
{
    struct sim_cpu *c = &cpus[cpu];
    struct sim_vcpu *v = &vs[i];

    if (v->cpu != cpu) {
        v->cpu = cpu;
        credit_migrate(&v->c, v->dom->weight, c->vnow);
    }
    if (v->woke_at) {
        if (now - v->woke_at > v->worst_latency)
            v->worst_latency = now - v->woke_at;
        v->woke_at = 0;
    }
    c->curr = i;
    c->turn_start = now;
}

static struct credit_wants wants(const struct sim_vcpu *v)
{
    return (struct credit_wants){ v->c.vtime, v->dom->weight };
}

static void step_cpu(int cpu, uint64_t now)
{
    struct sim_cpu *c = &cpus[cpu];
    struct sim_vcpu *v = c->curr < 0 ? NULL : &vs[c->curr];
    bool whole_turn = v && now - c->turn_start >= credit_turn(v->dom->weight);
    bool look_around = now - c->looked_around >= CREDIT_SLICE_NS;
    int head, other;
    uint64_t ask;

    credit_spare_add(&c->spare, now, STEP, !v);
    if (v) {
        credit_charge(&v->c, v->dom->weight, STEP);
        if (v->dom->cap)
            credit_cap_charge(v->dom, STEP);
        v->ran += STEP;
        head = best_waiting(cpu, now);
        c->vnow = credit_vnow(c->vnow, v->c.vtime, head < 0 ? NULL : &vs[head].c.vtime);
        if (v->sleep_ns && (v->work_left -= STEP) == 0) {
            v->asleep = true;
            v->wakes_at = now + v->sleep_ns;
        }
        v->parked = !credit_cap_left(v->dom, now);
        if (v->asleep || v->parked) {
            c->curr = -1;
            v = NULL;
        }
    }
    head = best_waiting(cpu, now);
    if (v && head >= 0) {
        if (credit_switch(wants(&vs[head]), wants(v), now - c->turn_start, &ask))
            start(cpu, head, now);
        else if (whole_turn)
            c->turn_start = now;
    } else if (!v && head >= 0) {
        start(cpu, head, now);
    }
    if (c->curr >= 0 && !look_around)
        return;
    c->looked_around = now;
    c->idled += c->curr < 0 ? STEP : 0;
    other = best_elsewhere(cpu, now);
    if (other >= 0 && (c->curr < 0 || (!credit_spare_serves(&cpus[vs[other].cpu].spare) &&
                                       credit_should_steal(vs[c->curr].c.vtime, vs[other].c.vtime)))) {
        start(cpu, other, now);
        return;
    }
    other = best_waiting(-1, now);
    if (other >= 0 && vs[other].cpu != cpu && c->curr >= 0 && best_waiting(cpu, now) < 0)
        credit_lone(&vs[c->curr].c, vs[c->curr].dom->weight, cpus[vs[other].cpu].vnow);
}

/* Somebody comes to this CPU: if it was idle now and then, its time is no less than the others'. */
static void catch_up_idle(int cpu)
{
    uint64_t least = UINT64_MAX;

    if (cpus[cpu].curr >= 0 || cpus[cpu].idled < CREDIT_IDLED_NS)
        return;
    cpus[cpu].idled = 0;
    for (int c = 0; c < nr_cpu; c++) {
        if (cpus[c].curr >= 0 && cpus[c].vnow < least)
            least = cpus[c].vnow;
    }
    if (least != UINT64_MAX && vtime_before(cpus[cpu].vnow, least))
        cpus[cpu].vnow = least;
}

/* A new period: on its CPU or an idle one, like everybody who wakes up. */
static void unpark(int i, uint64_t now)
{
    struct sim_vcpu *v = &vs[i];
    int idle = -1;

    if (!v->parked || !credit_cap_left(v->dom, now))
        return;
    v->parked = false;
    for (int c = nr_cpu - 1; c >= 0; c--) {
        if (cpus[c].curr < 0 && best_waiting(c, now) < 0 && (idle != v->cpu) && v->pinned >> c & 1)
            idle = c;
    }
    if (idle >= 0) {
        if (vtime_before(cpus[idle].vnow, cpus[v->cpu].vnow))
            cpus[idle].vnow = cpus[v->cpu].vnow;
        v->cpu = idle;
    } else {
        for (int c = 0; c < nr_cpu; c++)
            if (v->pinned >> c & 1 && credit_spare_better(&cpus[v->cpu].spare, &cpus[c].spare))
                v->cpu = c;
    }
    catch_up_idle(v->cpu);
    credit_place(&v->c, v->dom->weight, cpus[v->cpu].vnow);
}

static void sim_run(uint64_t ns)
{
    uint64_t end = sim_now + ns;

    while (sim_now < end) {
        uint64_t now = sim_now += STEP;

        for (int i = 0; i < nr_v; i++) {
            if (vs[i].asleep && vs[i].wakes_at <= now) {
                vs[i].asleep = false;
                vs[i].work_left = vs[i].run_ns;
                vs[i].woke_at = now;
                credit_place(&vs[i].c, vs[i].dom->weight, cpus[vs[i].cpu].vnow);
            }
            unpark(i, now);
        }
        for (int c = 0; c < nr_cpu; c++)
            step_cpu(c, now);
    }
}

static void assert_near(uint64_t got, uint64_t want, unsigned int percent)
{
    if (got < want - want * percent / 100 || got > want + want * percent / 100)
        fail_msg("got %llu us, want %llu us within %u %%", (unsigned long long)got / 1000,
                 (unsigned long long)want / 1000, percent);
}

/* ------------------------------------------------------------------ decisions */

static void charge_keeps_fractions(void **state)
{
    struct credit_vcpu a = { 0 }, b = { 0 };

    for (int i = 0; i < 1000; i++)
        credit_charge(&a, 65535, 100);
    credit_charge(&b, 65535, 100000);
    assert_int_equal(a.vtime, b.vtime);
    assert_int_equal(a.vtime, 100000ull * 256 / 65535);
}

static void place_is_bounded_both_ways(void **state)
{
    struct credit_vcpu v = { .vtime = 0 };

    credit_place(&v, 256, 100 * SEC);
    assert_int_equal(v.vtime, 100 * SEC - CREDIT_WAKE_BONUS_NS);
    credit_place(&v, 256, 1 * SEC);
    assert_int_equal(v.vtime, 1 * SEC + 2 * CREDIT_SLICE_NS);
    v.vtime = 50 * SEC;
    credit_place(&v, 256, 50 * SEC + 1);
    assert_int_equal(v.vtime, 50 * SEC);
}

static void vtime_wraps(void **state)
{
    struct credit_vcpu v = { .vtime = UINT64_MAX - 10 };

    credit_charge(&v, 256, 100);
    assert_true(vtime_before(UINT64_MAX - 10, v.vtime));
    credit_place(&v, 256, 5);
    assert_int_equal(v.vtime, 89);
}

static void wakeup_waits_for_min_run(void **state)
{
    struct credit_wants first = { 0, 256 }, late = { 5 * MS, 256 }, near = { CREDIT_PREEMPT_NS / 2, 256 };
    uint64_t ask = 0;

    assert_false(credit_switch(first, late, CREDIT_MIN_RUN_NS - 10, &ask));
    assert_int_equal(ask, 10);
    assert_true(credit_switch(first, late, CREDIT_MIN_RUN_NS, &ask));
    /* Hardly better placed: waits for the end of the turn. */
    assert_false(credit_switch(first, near, 1 * MS, &ask));
    assert_int_equal(ask, CREDIT_SLICE_NS - 1 * MS);
    assert_true(credit_switch(first, near, CREDIT_SLICE_NS, &ask));
    /* Nobody is better placed than who runs. */
    assert_false(credit_switch(late, first, CREDIT_SLICE_NS + 5, &ask));
    assert_int_equal(ask, CREDIT_SLICE_NS);
}

static void turns_of_the_light_are_shorter(void **state)
{
    struct credit_wants first = { 0, 256 }, near = { CREDIT_PREEMPT_NS / 2, 128 };
    uint64_t ask = 0;

    assert_int_equal(credit_turn(256), CREDIT_SLICE_NS);
    assert_int_equal(credit_turn(2048), CREDIT_SLICE_NS);
    assert_int_equal(credit_turn(128), CREDIT_SLICE_NS / 2);
    assert_int_equal(credit_turn(1), CREDIT_TURN_MIN_NS);
    assert_true(credit_switch(first, near, CREDIT_SLICE_NS / 2, &ask));
    assert_false(credit_switch(first, near, CREDIT_SLICE_NS / 2 - 1, &ask));
    assert_int_equal(ask, 1);
}

/* What a hog of little weight does is not worth that others wait for it. */
static void min_run_is_shorter_before_the_much_heavier(void **state)
{
    assert_int_equal(credit_min_run(256, 256), CREDIT_MIN_RUN_NS);
    assert_int_equal(credit_min_run(1024, 16), CREDIT_MIN_RUN_NS);
    assert_int_equal(credit_min_run(256, 256 * CREDIT_MUCH_HEAVIER), CREDIT_MIN_RUN_NS);
    assert_int_equal(credit_min_run(16, 16 * 2 * CREDIT_MUCH_HEAVIER), CREDIT_MIN_RUN_NS / 2);
    assert_true(credit_min_run(16, 1024) < 20000);
    assert_true(credit_min_run(CREDIT_WEIGHT_MIN, CREDIT_WEIGHT_MAX) < 20000);
}

static void weights_and_caps_are_checked(void **state)
{
    struct credit_domain d;

    credit_domain_init(&d);
    assert_false(credit_domain_set(&d, 0, 0));
    assert_false(credit_domain_set(&d, 65536, 0));
    assert_false(credit_domain_set(&d, 256, CREDIT_CAP_MAX + 1));
    assert_int_equal(d.weight, 256);
    assert_true(credit_domain_set(&d, 65535, 150));
}

static void cap_budget_refills_and_debts_are_paid(void **state)
{
    struct credit_domain d;
    uint64_t now = 7 * SEC;

    credit_domain_init(&d);
    assert_int_equal(credit_cap_left(&d, now), UINT64_MAX);
    assert_true(credit_domain_set(&d, 256, 25));
    credit_cap_wake(&d, now);
    assert_int_equal(credit_cap_left(&d, now), CREDIT_PERIOD_NS / 4);
    credit_cap_charge(&d, CREDIT_PERIOD_NS / 2);        /* a quarter too much */
    assert_int_equal(credit_cap_left(&d, now), 0);
    now = credit_cap_refill_time(&d);
    assert_true(credit_cap_left(&d, now - 1) == 0);
    assert_true(credit_cap_left(&d, now) > 0);
    /* A sleeper's savings do not pile up, */
    now += 100 * CREDIT_PERIOD_NS;
    credit_cap_wake(&d, now);
    assert_int_equal(credit_cap_left(&d, now), CREDIT_PERIOD_NS / 4);
    /* those of one that has to wait do, up to a bound, */
    assert_int_equal(credit_cap_left(&d, now + 2 * CREDIT_PERIOD_NS), CREDIT_PERIOD_NS / 4 * 3);
    assert_int_equal(credit_cap_left(&d, now + 100 * CREDIT_PERIOD_NS),
                     CREDIT_PERIOD_NS / 4 * CREDIT_KEPT_PERIODS);
    /* but not beyond a change of the cap. */
    assert_true(credit_domain_set(&d, 256, 10));
    assert_int_equal(credit_cap_left(&d, now + 100 * CREDIT_PERIOD_NS), CREDIT_PERIOD_NS / 10);
}

/* ----------------------------------------------------------------- simulation */

static void weights_1_2_4(void **state)
{
    sim_init(1);
    int a = add(128, 0, 0, 0), b = add(256, 0, 0, 0), c = add(512, 0, 0, 0);

    sim_run(20 * SEC);
    assert_near(vs[a].ran, 20 * SEC / 7, 3);
    assert_near(vs[b].ran, 20 * SEC * 2 / 7, 3);
    assert_near(vs[c].ran, 20 * SEC * 4 / 7, 3);
}

static void three_equals_on_two_cpus(void **state)
{
    sim_init(2);
    for (int i = 0; i < 3; i++)
        add(256, 0, 0, 0);
    sim_run(20 * SEC);
    for (int i = 0; i < 3; i++)
        assert_near(vs[i].ran, 20 * SEC * 2 / 3, 3);
}

static void weights_on_two_cpus(void **state)
{
    static const uint32_t w[] = { 128, 128, 256, 256, 512, 512 };

    sim_init(2);
    for (int i = 0; i < 6; i++)
        add(w[i], 0, 0, 0);
    sim_run(30 * SEC);
    for (int i = 0; i < 6; i++)
        assert_near(vs[i].ran, 60 * SEC * w[i] / 1792, 5);
}

/* A weight that asks for more than a CPU takes one CPU and no more; the others share the rest. */
static void greedy_weight_starves_nobody(void **state)
{
    sim_init(2);
    int big = add(65535, 0, 0, 0), a = add(256, 0, 0, 0), b = add(256, 0, 0, 0);

    sim_run(20 * SEC);
    assert_near(vs[big].ran, 20 * SEC, 3);
    assert_near(vs[a].ran, 10 * SEC, 5);
    assert_near(vs[b].ran, 10 * SEC, 5);
}

/* ... and once all are equal again, neither has it anything to catch up with. */
static void changed_weights_hold_at_once(void **state)
{
    static const uint32_t before[] = { 128, 256, 384, 512, 128 };
    uint64_t at[5];

    sim_init(4);
    for (int i = 0; i < 5; i++)
        add(before[i], 0, 0, 0);
    sim_run(20 * SEC);
    for (int i = 0; i < 5; i++) {
        assert_true(credit_domain_set(&doms[i], 256, 0));
        at[i] = vs[i].ran;
    }
    sim_run(10 * SEC);
    for (int i = 0; i < 5; i++)
        assert_near(vs[i].ran - at[i], 8 * SEC, 3);
}

static void caps_hold(void **state)
{
    sim_init(2);
    int a = add(256, 25, 0, 0), b = add(1024, 50, 0, 0), c = add(256, 0, 0, 0);

    sim_run(20 * SEC);
    assert_near(vs[a].ran, 5 * SEC, 3);
    assert_near(vs[b].ran, 10 * SEC, 3);
    assert_true(vs[c].ran > 20 * SEC * 2 / 3);  /* its share at least */
}

/* What domain i is due of `total`: by weight, but no more than its cap and one CPU; the rest of
 * such a one is shared out among the others. */
static void share_out(uint64_t total, uint64_t ns, uint64_t due[MAX_V])
{
    bool settled[MAX_V] = { false }, again = true;

    while (again) {
        uint64_t weights = 0;

        again = false;
        for (int i = 0; i < nr_v; i++)
            weights += settled[i] ? 0 : doms[i].weight;
        for (int i = 0; i < nr_v && !again; i++) {
            uint64_t most = doms[i].cap ? ns / 100 * doms[i].cap : ns;

            if (settled[i])
                continue;
            due[i] = total / weights * doms[i].weight;
            if (due[i] > most) {
                due[i] = most;
                total -= MIN(most, total);
                settled[i] = again = true;
            }
        }
    }
}

/* The phases of dom0/bench_sched.c, one after another on machines of several sizes. */
static void changing_shares_hold_everywhere(void **state)
{
    static const int machines[] = { 1, 2, 4 }, domains[] = { 2, 3, 5, 8, 16 };

    for (unsigned int m = 0; m < 15; m++) {
        uint64_t due[MAX_V], before[MAX_V], ns = 10 * SEC;
        int n = domains[m % 5], c = machines[m / 5];

        sim_init(c);
        for (int i = 0; i < n; i++)
            add(256, 0, 0, 0);
        for (int phase = 0; phase < 4; phase++) {
            for (int i = 0; i < n; i++)
                assert_true(
                    credit_domain_set(&doms[i], phase & 1 ? 128 * (1 + (uint32_t)i % 4) : 256,
                                      phase & 2 && i % 3 == 0 ? (uint32_t)MAX(c * 50 / n, 1) : 0));
            sim_run(SEC / 2);
            for (int i = 0; i < n; i++)
                before[i] = vs[i].ran;
            sim_run(ns);
            share_out((uint64_t)c * ns, ns, due);
            for (int i = 0; i < n; i++) {
                uint64_t ran = vs[i].ran - before[i],
                         off = ran > due[i] ? ran - due[i] : due[i] - ran;

                if (off * 100 > due[i] * 3)
                    fail_msg("%d domains, %d CPUs, phase %d: domain %d ran %llu us, due %llu us", n,
                             c, phase, i, (unsigned long long)ran / 1000,
                             (unsigned long long)due[i] / 1000);
            }
        }
    }
}

/* Something like dom0: wakes 1000 times a second for 0.1 ms among four hogs. */
static void sleeper_gets_on_quickly(void **state)
{
    sim_init(1);
    int d0 = add(2048, 0, MS / 10, MS - MS / 10);

    for (int i = 0; i < 4; i++)
        add(256, 0, 0, 0);
    /* At first all stand at the same virtual time. */
    sim_run(SEC);
    vs[d0].worst_latency = vs[d0].ran = 0;
    sim_run(10 * SEC);
    assert_near(vs[d0].ran, SEC, 15);
    assert_true(vs[d0].worst_latency <= 2 * CREDIT_MIN_RUN_NS);
}

/* One that sleeps just enough to be favoured gets no more than its share plus the bonus. */
static void sleeper_starves_nobody(void **state)
{
    sim_init(1);
    int trick = add(256, 0, 9 * MS, STEP), hog = add(256, 0, 0, 0);

    sim_run(20 * SEC);
    assert_true(vs[hog].ran > 8 * SEC);
    assert_true(vs[trick].ran > 8 * SEC);
}

static void nobody_starves_among_many(void **state)
{
    sim_init(4);
    for (int i = 0; i < 40; i++)
        add(i % 3 ? 256 : 64, 0, i % 5 ? 0 : 3 * MS, i % 5 ? 0 : 2 * MS);
    sim_run(20 * SEC);
    for (int i = 0; i < 40; i++)
        assert_true(vs[i].ran > 20 * SEC * 4 / 40 / 8);
}

/* ---- Tied to CPUs: everybody has what the CPUs that he may use leave him. */

static void pinned_ones_take_turns_with_the_others(void **state)
{
    sim_init(2);
    for (int i = 0; i < 3; i++)
        add(256, 0, 0, 0);
    pin(0, 1);
    sim_run(20 * SEC);
    for (int i = 0; i < 3; i++)
        assert_near(vs[i].ran, 20 * SEC * 2 / 3, 5);
}

static void who_may_go_leaves_the_crowd(void **state)
{
    sim_init(2);
    for (int i = 0; i < 5; i++)
        add(256, 0, 0, 0);
    for (int i = 0; i < 3; i++)
        pin(i, 1);
    sim_run(20 * SEC);
    for (int i = 0; i < 3; i++)
        assert_near(vs[i].ran, 20 * SEC / 3, 5);
    assert_near(vs[3].ran, 10 * SEC, 5);
    assert_near(vs[4].ran, 10 * SEC, 5);
}

static void caps_and_weights_hold_when_pinned(void **state)
{
    sim_init(2);
    int capped = add(1024, 25, 0, 0), heavy = add(512, 0, 0, 0), light = add(256, 0, 0, 0), free = add(256, 0, 0, 0);

    pin(capped, 1);
    pin(heavy, 1);
    pin(light, 1);
    pin(free, 2);
    sim_run(20 * SEC);
    assert_near(vs[capped].ran, 5 * SEC, 3);
    assert_near(vs[heavy].ran, 10 * SEC, 3);
    assert_near(vs[light].ran, 5 * SEC, 3);
    assert_near(vs[free].ran, 20 * SEC, 3);
}

/* Whatever the CPUs' times were while all were tied: untied, they share, and nobody catches up. */
static void untied_they_share_at_once(void **state)
{
    static const int on_second[] = { 1, 2 };

    for (int t = 0; t < 2; t++) {
        uint64_t at[6];

        sim_init(2);
        for (int i = 0; i < 6; i++) {
            add(256, 0, 0, 0);
            pin(i, i < on_second[t] ? 2 : 1);
        }
        sim_run(20 * SEC);
        for (int i = 0; i < 6; i++) {
            pin(i, ~0u);
            at[i] = vs[i].ran;
        }
        sim_run(10 * SEC);
        for (int i = 0; i < 6; i++)
            assert_near(vs[i].ran - at[i], 20 * SEC / 6, 4);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(charge_keeps_fractions),
        cmocka_unit_test(place_is_bounded_both_ways),
        cmocka_unit_test(vtime_wraps),
        cmocka_unit_test(wakeup_waits_for_min_run),
        cmocka_unit_test(turns_of_the_light_are_shorter),
        cmocka_unit_test(min_run_is_shorter_before_the_much_heavier),
        cmocka_unit_test(weights_and_caps_are_checked),
        cmocka_unit_test(cap_budget_refills_and_debts_are_paid),
        cmocka_unit_test(weights_1_2_4),
        cmocka_unit_test(three_equals_on_two_cpus),
        cmocka_unit_test(weights_on_two_cpus),
        cmocka_unit_test(greedy_weight_starves_nobody),
        cmocka_unit_test(changed_weights_hold_at_once),
        cmocka_unit_test(changing_shares_hold_everywhere),
        cmocka_unit_test(caps_hold),
        cmocka_unit_test(sleeper_gets_on_quickly),
        cmocka_unit_test(sleeper_starves_nobody),
        cmocka_unit_test(nobody_starves_among_many),
        cmocka_unit_test(pinned_ones_take_turns_with_the_others),
        cmocka_unit_test(who_may_go_leaves_the_crowd),
        cmocka_unit_test(caps_and_weights_hold_when_pinned),
        cmocka_unit_test(untied_they_share_at_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
