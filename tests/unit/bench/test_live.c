/* `vireo fairness` judged on made-up records: what is fair passes, what isn't is found, named and explained, and what
 * can't be known is no verdict. The last tests watch threads of this process. */
#include <errno.h>
#include <jansson.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench/live/live.h"
#include "bench/live/proc.h"
#include "tests/unit/unit.h"
#include "vmm/base/clock.h"

#define MS      1000000ull
#define SAMPLES 101 /* ten seconds */
#define STEP    (100 * MS)
#define WALL    ((SAMPLES - 1) * STEP)

static struct live_record r;
static struct live_report found;
static struct err e;

static void forget(void)
{
    live_record_free(&r);
    live_report_free(&found);
    memset(&r, 0, sizeof(r));
    memset(&found, 0, sizeof(found));
    memset(&e, 0, sizeof(e));
}

/* VMs a, b, ... with so many vCPUs each, on so many CPUs; nobody has wanted anything yet. */
static void make(unsigned cpus, unsigned vms, const unsigned *vcpus)
{
    forget();
    for (unsigned k = 0; k < vms; k++) {
        r.vm[k] = (struct live_vm){.name = {(char)('a' + k)}, .pid = 10 + (int)k, .weight = 1, .first = r.vcpus};
        r.vm[k].vcpus = vcpus[k];
        for (unsigned i = 0; i < vcpus[k]; i++) {
            r.vcpu[r.vcpus] = (struct live_vcpu){.vm = k, .index = i, .tid = 100 + (int)r.vcpus};
            for (unsigned c = 0; c < cpus; c++) CPU_SET(c, &r.vcpu[r.vcpus].cpus);
            (void)snprintf(r.vcpu[r.vcpus].cause.group.path, GROUPS_PATH_MAX, "/sys/fs/cgroup");
            r.vcpu[r.vcpus++].cause.group.weight = 100;
        }
    }
    r.vms = vms;
    assert_int_equal(live_record_alloc(&r, SAMPLES), 0);
    r.samples = SAMPLES;
    r.tick_ns = 4 * MS;
    r.slice_ns = 3 * MS;
    r.weights_from = "equal";
    r.host_ns = WALL;
    for (unsigned s = 0; s < SAMPLES; s++) r.at[s] = 5 * MS + s * STEP;
    for (unsigned c = 0; c < cpus; c++) r.cpu[c] = (struct live_cpu){.is_online = true, .busy = WALL};
}
#define MAKE(cpus, ...)                                                                                                \
    make(cpus, sizeof((unsigned[]){__VA_ARGS__}) / sizeof(unsigned), (const unsigned[]){__VA_ARGS__})

static struct live_cell *at(unsigned s, unsigned vcpu)
{
    return &r.cell[s * r.vcpus + vcpu];
}

/* From interval `from` on a vCPU is charged `ms` of each 100 ms, and waits for the rest. */
static void spin_from(unsigned vcpu, unsigned from, double ms, int cpu)
{
    for (unsigned s = 0; s < SAMPLES; s++) {
        struct live_cell *c = at(s, vcpu);
        c->cpu = cpu;
        c->wants = true;
        if (s < from || s == 0) continue;
        c->charged = at(s - 1, vcpu)->charged + (uint64_t)(ms * (double)MS);
        c->delay = at(s - 1, vcpu)->delay + (uint64_t)((100 - ms) * (double)MS);
        c->turns = at(s - 1, vcpu)->turns + 25;
    }
}

static void spin(unsigned vcpu, double ms, int cpu)
{
    spin_from(vcpu, 1, ms, cpu);
}

static void bind_to(unsigned vcpu, unsigned cpu)
{
    CPU_ZERO(&r.vcpu[vcpu].cpus);
    CPU_SET(cpu, &r.vcpu[vcpu].cpus);
}

static void taker(int pid, const char *name, unsigned cpu, double share)
{
    struct live_taker *t = &r.taker[r.takers++];
    *t = (struct live_taker){.pid = pid, .cpu = cpu, .ns = (uint64_t)(share * (double)WALL)};
    (void)snprintf(t->name, sizeof(t->name), "%s", name);
}

static const struct live_finding *judge(enum live_property property)
{
    live_report_free(&found);
    assert_int_equal(live_judge(&r, &found), 0);
    return &found.finding[property];
}

static void expect(enum live_property property, enum fair_verdict verdict)
{
    const struct live_finding *f = judge(property);
    if (f->verdict != verdict)
        fail_msg("%s is %s, not %s: %s; %s; %s", live_properties[property].id, live_verdicts[f->verdict],
                 live_verdicts[verdict], f->text, f->cause, f->reason);
}

/* ---- what is fair ---- */

static void equal_vcpus_on_one_cpu_pass(void **state)
{
    (void)state;
    MAKE(1, 2, 2);
    for (unsigned i = 0; i < 4; i++) spin(i, 25, 0);
    judge(LIVE_F1);
    for (unsigned p = 0; p < LIVE_PROPERTY_COUNT; p++) expect((enum live_property)p, FAIR_PASS);
    assert_int_equal(found.verdict, FAIR_PASS);
    assert_float_equal(found.due.had[1].due_in_all, 2.5e9, 1e6);
    assert_float_equal(found.due.had[1].waited, 7.5e9, 1e6);
}

static void weights_divide_what_all_got(void **state)
{
    (void)state;
    MAKE(1, 1, 1);
    spin(0, 75, 0);
    spin(1, 25, 0);
    expect(LIVE_F10, FAIR_FAIL);
    assert_int_equal(live_weigh(&r, "a=3,b=1", &e), 0);
    expect(LIVE_F10, FAIR_PASS);
    assert_contains(found.finding[LIVE_F10].text, "given");
}

/* One vCPU can use one CPU only, whatever its VM's weight: the rest is the others'. */
static void what_a_vm_cannot_use_is_due_to_the_others(void **state)
{
    (void)state;
    MAKE(2, 1, 3);
    spin(0, 100, 0);
    for (unsigned i = 1; i < 4; i++) spin(i, 100.0 / 3, 1);
    assert_int_equal(live_weigh(&r, "a=10", &e), 0);
    expect(LIVE_F10, FAIR_PASS);
    assert_float_equal(found.due.had[0].due_in_all, 10e9, 1e6);
    assert_float_equal(found.due.had[3].due_in_all, 10e9 / 3, 1e6);
}

static void who_wants_nothing_is_due_nothing(void **state)
{
    (void)state;
    MAKE(1, 1, 1);
    spin(0, 100, 0);
    expect(LIVE_F10, FAIR_PASS);
    assert_float_equal(found.due.had[1].due_in_all, 0, 1);
    assert_float_equal(found.due.had[0].due_in_all, 10e9, 1e6);
}

/* What others took in the first half, when only a wanted to run beside b, is not b's debt to a. */
static void a_vm_that_wants_late_owes_nothing_to_earlier_times(void **state)
{
    (void)state;
    MAKE(1, 1, 1);
    spin(0, 100, 0);
    spin(1, 0, 0);
    for (unsigned s = 0; s < SAMPLES; s++) {
        const bool is_late = s > 50;
        at(s, 1)->wants = is_late;
        at(s, 0)->charged = (s < 50 ? s * 100 : 5000 + (s - 50) * 50) * MS;
        at(s, 0)->delay = (is_late ? (s - 50) * 50 : 0) * MS;
        at(s, 1)->charged = at(s, 1)->delay = (is_late ? (s - 50) * 50 : 0) * MS;
    }
    expect(LIVE_F10, FAIR_PASS);
    assert_float_equal(found.due.had[1].due_in_all, 2.5e9, 1e8);
}

/* ---- what is not ---- */

static void a_vcpu_held_back_is_found_with_its_nice_value(void **state)
{
    (void)state;
    MAKE(1, 3);
    spin(0, 35, 0);
    spin(1, 30, 0);
    spin(2, 35, 0);
    r.vcpu[1].cause.nice = 1;
    expect(LIVE_F1, FAIR_FAIL);
    assert_int_equal(found.finding[LIVE_F1].vcpu, 1);
    assert_contains(found.finding[LIVE_F1].cause, "vm a's vCPU 1 runs at nice 1, the others at 0");
    assert_contains(found.summary, "vm a's vCPU 1 runs at nice 1");
    assert_int_equal(found.verdict, FAIR_FAIL);
}

static void flat_vms_of_one_and_three_vcpus_are_told_to_use_groups(void **state)
{
    (void)state;
    MAKE(1, 3, 1);
    for (unsigned i = 0; i < 4; i++) spin(i, 25, 0);
    expect(LIVE_F1, FAIR_PASS);
    expect(LIVE_F10, FAIR_FAIL);
    assert_int_equal(found.finding[LIVE_F10].vm, 1);
    assert_contains(found.finding[LIVE_F10].cause, "vm a has 3 vCPUs and vm b 1, all in one cgroup");
}

static void groups_come_before_threads(void **state)
{
    (void)state;
    MAKE(1, 3, 1);
    for (unsigned i = 0; i < 3; i++) spin(i, 50.0 / 3, 0);
    spin(3, 50, 0);
    expect(LIVE_F10, FAIR_PASS);
    expect(LIVE_F1, FAIR_PASS);
}

/* The sentence that is promised. */
static void a_vm_pinned_beside_a_busy_process_is_told_so(void **state)
{
    (void)state;
    MAKE(2, 1, 1);
    spin(0, 50, 1);
    spin(1, 100, 0);
    bind_to(0, 1);
    taker(123, "stress", 1, 0.49);
    expect(LIVE_F10, FAIR_FAIL);
    assert_contains(found.finding[LIVE_F10].cause,
                    "vm a's vCPU 0 may only use CPU 1, where PID 123 (stress) took 49 %");
    expect(LIVE_P1, FAIR_FAIL);
    assert_contains(found.finding[LIVE_P1].cause, "vm a's vCPU 0 may only use CPU 1, where PID 123 (stress) took 49 %");
    assert_contains(found.summary, "where PID 123 (stress) took 49 %");
}

static void a_vm_alone_pinned_while_another_cpu_idles_is_found(void **state)
{
    (void)state;
    MAKE(2, 1);
    spin(0, 50, 1);
    bind_to(0, 1);
    taker(123, "stress", 1, 0.5);
    r.cpu[0] = (struct live_cpu){.is_online = true, .idle = WALL};
    expect(LIVE_P1, FAIR_FAIL);
    assert_contains(found.finding[LIVE_P1].text, "other CPUs were idle for 10.00 s");
    r.cpu[0] = (struct live_cpu){.is_online = true, .busy = WALL};
    expect(LIVE_P1, FAIR_PASS);
    assert_contains(found.summary, "may only use CPU 1, where PID 123 (stress) took 50 %");
}

/* What a vCPU lacks of its neighbours on the same CPU is not the binding's doing. */
static void a_binding_is_not_blamed_for_a_nice_value(void **state)
{
    (void)state;
    MAKE(2, 2);
    spin(0, 25, 1);
    spin(1, 75, 1);
    bind_to(0, 1);
    bind_to(1, 1);
    r.vcpu[0].cause.nice = 5;
    expect(LIVE_P1, FAIR_PASS);
    expect(LIVE_F1, FAIR_FAIL);
}

static void a_quota_is_found_with_its_numbers(void **state)
{
    (void)state;
    MAKE(2, 1, 1);
    spin(0, 30, 0);
    spin(1, 100, 1);
    for (unsigned s = 0; s < SAMPLES; s++) at(s, 0)->delay = 0; /* some kernels tell no wait for a quota */
    r.vcpu[0].cause.group.quota_us = 30000;
    r.vcpu[0].cause.group.period_us = 100000;
    r.vcpu[0].cause.throttled = (struct groups_throttled){true, 100, 7000 * MS};
    expect(LIVE_T1, FAIR_FAIL);
    assert_contains(found.finding[LIVE_T1].text, "100 times, for 7000 ms");
    assert_contains(found.finding[LIVE_T1].cause, "30 of every 100 ms");
    assert_float_equal(found.due.had[0].waited, 7e9, 1e7);
    expect(LIVE_F10, FAIR_FAIL);
    assert_contains(found.finding[LIVE_F10].cause, "was throttled 100 times");
    expect(LIVE_F7, FAIR_PASS);
}

static void a_starved_vcpu_is_found(void **state)
{
    (void)state;
    MAKE(1, 1, 1);
    spin(0, 50, 0);
    spin(1, 50, 0);
    for (unsigned s = 30; s < SAMPLES; s++) { /* nothing for 2 s, which is told when it ends */
        const unsigned until = s < 50 ? s : 50;
        at(s, 1)->charged = (30 * 50 + (s - until) * 50) * MS;
        at(s, 1)->delay = s < 50 ? 1500 * MS : (1500 + 2000 + (s - 50) * 50) * MS;
        at(s, 1)->turns = s < 50 ? 1000 : s * 25;
    }
    expect(LIVE_F6, FAIR_FAIL);
    assert_int_equal(found.finding[LIVE_F6].vcpu, 1);
    assert_true(found.finding[LIVE_F6].statistic >= 1.9e9 && found.finding[LIVE_F6].statistic <= 2.1e9);
    assert_float_equal(found.due.had[1].waited, 6e9, 1e8); /* each wait where it was waited, and none twice */
}

static void an_idle_cpu_beside_one_who_waits_is_found(void **state)
{
    (void)state;
    MAKE(1, 1);
    spin(0, 60, 0);
    r.cpu[0] = (struct live_cpu){.is_online = true, .busy = WALL * 6 / 10, .idle = WALL * 4 / 10};
    expect(LIVE_F7, FAIR_FAIL);
}

/* ---- what can't be known ---- */

static void steal_that_could_explain_it_is_no_verdict(void **state)
{
    (void)state;
    MAKE(2, 1, 1);
    spin(0, 50, 0);
    spin(1, 80, 1);
    for (unsigned c = 0; c < 2; c++) r.cpu[c] = (struct live_cpu){.is_online = true, .busy = WALL / 2};
    expect(LIVE_F10, FAIR_FAIL);
    r.cpu[0].steal = 2000 * MS;
    expect(LIVE_F10, FAIR_INCONCLUSIVE);
    assert_contains(found.finding[LIVE_F10].reason, "steal");
    assert_int_equal(found.verdict, FAIR_INCONCLUSIVE);
    r.cpu[0].steal = 100 * MS; /* far too little for it */
    expect(LIVE_F10, FAIR_FAIL);
}

static void others_explain_uneven_balancing_but_no_nice_value(void **state)
{
    (void)state;
    MAKE(2, 1, 1);
    spin(0, 50, 0);
    spin(1, 80, 1);
    taker(77, "make", 0, 0.5);
    expect(LIVE_F10, FAIR_INCONCLUSIVE);
    assert_contains(found.finding[LIVE_F10].reason, "others took");
    r.vcpu[0].cause.nice = 3;
    expect(LIVE_F10, FAIR_FAIL);
}

static void on_one_cpu_others_are_no_excuse(void **state)
{
    (void)state;
    MAKE(1, 1, 1);
    spin(0, 20, 0);
    spin(1, 30, 0);
    taker(77, "make", 0, 0.5);
    expect(LIVE_F10, FAIR_FAIL);
}

static void figures_that_contradict_each_other_are_told(void **state)
{
    (void)state;
    MAKE(1, 1);
    spin(0, 100, 0);
    for (unsigned s = 0; s < SAMPLES; s++) at(s, 0)->delay = s * 50 * MS; /* more than there was time for */
    expect(LIVE_C1, FAIR_FAIL);
    r.cpu[0].busy = WALL / 2;
    expect(LIVE_C4, FAIR_INCONCLUSIVE);
}

/* ---- an ideal machine, with noise ---- */

static uint64_t seed;

static double chance(void)
{
    seed = seed * 6364136223846793005u + 1442695040888963407u;
    return (double)(seed >> 40) / (double)(1u << 24);
}

/* A millisecond at a time, who wants to run shares a CPU equally, but that vCPU 0 has `held` of its part withheld.
 * Others, who spin, come and go too. vCPU i sleeps and wakes so that it wants for a share `wish` of the time. */
static void simulate(unsigned vcpus, double wish, double others, double held)
{
    bool wants[8] = {false}, other = false;
    double charged[8] = {0}, waited[8] = {0};
    unsigned counts[8];
    for (unsigned k = 0; k < vcpus; k++) counts[k] = 1;
    make(1, vcpus, counts);
    for (unsigned ms = 0; ms <= 10000; ms++) {
        unsigned n = 0;
        if (ms % 20 == 0) other = chance() < others;
        for (unsigned i = 0; i < vcpus; i++) {
            if (chance() < 0.1) wants[i] = i == 1 || chance() < wish; /* vCPU 1 spins */
            n += wants[i];
        }
        n += other;
        for (unsigned i = 0; i < vcpus; i++) {
            const double part = wants[i] ? 1.0 / n * (i == 0 ? 1 - held : 1) : 0;
            if (ms % 100 == 0)
                *at(ms / 100, i) = (struct live_cell){.charged = (uint64_t)(charged[i] * 1e6),
                                                      .delay = (uint64_t)(waited[i] * 1e6),
                                                      .turns = ms,
                                                      .wants = wants[i]};
            charged[i] += part;
            waited[i] += wants[i] ? 1 - part : 0;
        }
    }
}

/* How many of 20 runs fail F10, and accuse vCPU 0. */
static unsigned alarms(unsigned vcpus, double wish, double others, double held)
{
    unsigned n = 0;
    for (unsigned k = 0; k < 20; k++) {
        simulate(vcpus, wish, others, held);
        n += judge(LIVE_F10)->verdict == FAIR_FAIL && found.finding[LIVE_F10].vm == 0;
    }
    return n;
}

static const double noises[] = {0, 0.1, 0.5, 1};

static void fair_machines_raise_no_alarm_whatever_the_noise(void **state)
{
    (void)state;
    seed = 1;
    for (unsigned k = 0; k < COUNT_OF(noises); k++)
        for (double wish = 0.25; wish <= 1; wish += 0.25) {
            unsigned failed = 0;
            for (unsigned n = 0; n < 20; n++) {
                simulate(3, wish, noises[k], 0);
                failed += judge(LIVE_F10)->verdict == FAIR_FAIL;
            }
            if (failed) fail_msg("wish %.2f, others %.1f: %u of 20", wish, noises[k], failed);
        }
}

static void a_tenth_that_is_withheld_is_found_whatever_the_noise(void **state)
{
    (void)state;
    seed = 2;
    for (unsigned k = 0; k < COUNT_OF(noises); k++) {
        const unsigned tenth = alarms(3, 1, noises[k], 0.1), twentieth = alarms(3, 1, noises[k], 0.05);
        print_message(
            "others %.1f: 10 %% found in %u of 20, 5 %% in %u, of one that sleeps half the time 20 %% in %u\n",
            noises[k], tenth, twentieth, alarms(3, 0.5, noises[k], 0.2));
        assert_true(tenth >= 18);
        assert_true(twentieth >= 14);
    }
}

/* ---- words of others ---- */

/* On a host that started a moment ago the sum's first count is a number that a CPU might have. */
static void the_sum_of_all_cpus_is_no_cpu(void **state)
{
    struct fair_cpu_time t;
    unsigned cpu = 0;
    (void)state;
    assert_true(fair_cpu_line("cpu12 100 0 50 7 1 2 3 4 0 0", &cpu, &t));
    assert_int_equal(cpu, 12);
    const uint64_t tick_ns = 1000000000u / (uint64_t)sysconf(_SC_CLK_TCK);
    assert_int_equal(t.busy, 155 * tick_ns);
    assert_int_equal(t.idle, 8 * tick_ns);
    assert_int_equal(t.steal, 4 * tick_ns);
    static const char *const others[] = {"cpu  860 0 50 7 1 2 3 4 0 0", "cpu", "", "cpu1 2 3", "intr 1 2 3 4 5 6 7 8 9",
                                         "cpu-1 1 2 3 4 5 6 7 8"};
    for (unsigned i = 0; i < COUNT_OF(others); i++) assert_false(fair_cpu_line(others[i], &cpu, &t));
}

static void a_stat_line_is_taken_apart_behind_its_name(void **state)
{
    struct proc_stat s;
    (void)state;
    assert_true(
        proc_stat_parse("77 (a) b (c) R 8 1 1 0 -1 4194560 1 2 3 4 250 50 60 10 20 0 3 0 4321 5 6 7 8 9 10 11 12 13 "
                        "14 15 16 17 18 19 20 5 0 0 0 0 0\n",
                        &s));
    assert_int_equal(s.id, 77);
    assert_string_equal(s.name, "a) b (c");
    assert_int_equal(s.state, 'R');
    assert_int_equal(s.ran_ns, 3000000000);
    assert_int_equal(s.reaped_ns, 700000000);
    assert_int_equal(s.parent, 8);
    assert_int_equal(s.threads, 3);
    assert_int_equal(s.began, 4321);
    assert_int_equal(s.cpu, 5);
    static const char *const bad[] = {
        "", "77", "77 (a", "77 (a)", "77 (a) R", "77 a) (R 1 2 3", ") ( R 1 2 3", "77 (a) R 1 1 1 1"};
    for (unsigned i = 0; i < COUNT_OF(bad); i++) assert_false(proc_stat_parse(bad[i], &s));
    assert_true(proc_stat_read("/proc/self/stat", &s));
    assert_int_equal(s.id, getpid());
}

static void refuses(int rc, int want, const char *part)
{
    if (rc != want || !strstr(e.text, part)) fail_msg("%d, not %d with \"%s\": %s", rc, want, part, e.text);
    memset(&e, 0, sizeof(e));
}

static int add(const char *page)
{
    return live_add_vm(&r, "web", page, strlen(page), &e);
}

static void pages_that_are_none_are_refused(void **state)
{
    (void)state;
    forget();
    refuses(add(""), -EINVAL, "vm web");
    refuses(add("{}"), -EINVAL, "vireo-stats-1");
    refuses(add("{\"schema\":\"vireo-stats-2\",\"pid\":1}"), -EINVAL, "vireo-stats-1");
    refuses(add("{\"schema\":\"vireo-stats-1\",\"pid\":0}"), -EINVAL, "vireo-stats-1");
    refuses(add("{\"schema\":\"vireo-stats-1\",\"pid\":1,\"threads\":[{\"tid\":1,\"name\":\"x\"}]}"), -ENODATA,
            "ended");
    refuses(add("{\"schema\":\"vireo-stats-1\",\"pid\":1,\"threads\":[{\"tid\":-5,\"vcpu\":0}]}"), -EINVAL,
            "thread -5");
    refuses(add("{\"schema\":\"vireo-stats-1\",\"pid\":1,\"threads\":[{\"tid\":2147483646,\"vcpu\":0}]}"), -ENODATA,
            "vCPU 0 has ended");
    assert_int_equal(r.vms, 0);
    assert_int_equal(r.vcpus, 0);
}

static void weights_that_do_not_fit_are_refused(void **state)
{
    (void)state;
    MAKE(1, 1, 1);
    (void)snprintf(r.vm[1].name, LIVE_NAME, "database");
    refuses(live_weigh(&r, "a", &e), -EINVAL, "write NAME=NUMBER");
    refuses(live_weigh(&r, "=1", &e), -EINVAL, "write NAME=NUMBER");
    refuses(live_weigh(&r, "a=", &e), -EINVAL, "0.001 to 1000000");
    refuses(live_weigh(&r, "a=1x", &e), -EINVAL, "0.001 to 1000000");
    refuses(live_weigh(&r, "a=0", &e), -EINVAL, "0.001 to 1000000");
    refuses(live_weigh(&r, "a=nan", &e), -EINVAL, "0.001 to 1000000");
    refuses(live_weigh(&r, "a=1,", &e), -EINVAL, "write NAME=NUMBER");
    refuses(live_weigh(&r, "database=2,database=3", &e), -EINVAL, "given twice");
    assert_int_equal(live_weigh(&r, "databse=2", &e), -EINVAL);
    assert_contains(e.text, "\"databse\" is none of the VMs");
    assert_contains(e.hint, "database");
}

static void cgroups_of_one_parent_give_their_weights(void **state)
{
    (void)state;
    MAKE(1, 2, 1);
    assert_int_equal(live_weigh(&r, NULL, &e), 0);
    assert_string_equal(r.weights_from, "equal");
    for (unsigned i = 0; i < 3; i++) {
        struct groups_cpu *g = &r.vcpu[i].cause.group;
        (void)snprintf(g->path, sizeof(g->path), "/sys/fs/cgroup/vms/vireo-%s", r.vm[r.vcpu[i].vm].name);
        g->weight = r.vcpu[i].vm ? 50 : 200;
    }
    assert_int_equal(live_weigh(&r, NULL, &e), 0);
    assert_string_equal(r.weights_from, "cgroup");
    assert_float_equal(r.vm[0].weight, 2, 1e-9);
    assert_float_equal(r.vm[1].weight, 0.5, 1e-9);
}

static void json_holds_what_was_found(void **state)
{
    char *text = NULL;
    size_t len = 0;
    (void)state;
    MAKE(2, 1, 1);
    spin(0, 50, 1);
    spin(1, 100, 0);
    bind_to(0, 1);
    taker(123, "str\"ess\n", 1, 0.49);
    judge(LIVE_F1);
    FILE *f = open_memstream(&text, &len);
    live_put_json(f, &r, &found);
    (void)fclose(f);
    json_t *o = json_loadb(text, len, JSON_REJECT_DUPLICATES, NULL);
    assert_non_null(o);
    assert_string_equal(json_string_value(json_object_get(o, "schema")), LIVE_SCHEMA);
    assert_string_equal(json_string_value(json_object_get(o, "verdict")), "fail");
    assert_int_equal(json_array_size(json_object_get(o, "properties")), LIVE_PROPERTY_COUNT);
    const json_t *vcpu = json_array_get(json_object_get(o, "vcpus"), 0);
    assert_int_equal(json_integer_value(json_object_get(vcpu, "ran_ns")), 5000000000);
    assert_int_equal(json_array_size(json_object_get(vcpu, "lane")), 10);
    const json_t *cpu = json_array_get(json_object_get(o, "cpus"), 1);
    assert_int_equal(json_integer_value(json_object_get(json_array_get(json_object_get(cpu, "others"), 0), "pid")),
                     123);
    json_decref(o);
    free(text);
    f = open_memstream(&text, &len);
    live_put_text(f, &r, &found);
    (void)fclose(f);
    assert_contains(text, "\nNo: ");
    assert_contains(text, "PID 123 (str\"ess?");
    free(text);
}

/* ---- threads of this process ---- */

static atomic_int tid;
static atomic_bool is_over;

static void *spinner(void *arg)
{
    (void)arg;
    atomic_store(&tid, gettid());
    while (!atomic_load(&is_over)) continue;
    return NULL;
}

static bool sleep_until(void *arg, uint64_t until_ns)
{
    const uint64_t *end_ns = arg, now = now_ns();
    if (end_ns && now > *end_ns) atomic_store(&is_over, true);
    if (until_ns > now) (void)usleep((useconds_t)((until_ns - now) / 1000));
    return true;
}

static int watch_spinner(pthread_t *thread, uint64_t *end_ns)
{
    char page[256];
    const struct live_watch w = {.duration_ns = 1200 * MS, .sleep = sleep_until, .arg = end_ns};
    forget();
    atomic_store(&tid, 0);
    atomic_store(&is_over, false);
    assert_int_equal(pthread_create(thread, NULL, spinner, NULL), 0);
    while (!atomic_load(&tid)) (void)usleep(1000);
    (void)snprintf(page, sizeof(page),
                   "{\"schema\":\"vireo-stats-1\",\"pid\":%d,\"threads\":[{\"tid\":%d,\"vcpu\":0}]}", getpid(),
                   atomic_load(&tid));
    assert_int_equal(add(page), 0);
    /* Another VM of the same process, whose vCPU is the thread that watches. */
    (void)snprintf(page, sizeof(page),
                   "{\"schema\":\"vireo-stats-1\",\"pid\":%d,\"threads\":[{\"tid\":%d,\"vcpu\":0}]}", getpid(),
                   gettid());
    assert_int_equal(live_add_vm(&r, "db", page, strlen(page), &e), 0);
    assert_int_equal(live_weigh(&r, NULL, &e), 0);
    return live_sample(&r, &w, &e);
}

static void a_thread_that_spins_is_seen_to_run_or_wait(void **state)
{
    pthread_t thread;
    (void)state;
    const int rc = watch_spinner(&thread, NULL);
    atomic_store(&is_over, true);
    (void)pthread_join(thread, NULL);
    if (rc) fail_msg("%s", e.text);
    judge(LIVE_C1);
    const struct live_had *h = &found.due.had[0];
    assert_true(h->wants > 0.8);
    assert_true(h->charged + h->waited > 0.7 * live_wall(&r));
    assert_true(h->charged + h->waited < 1.01 * live_wall(&r));
    assert_true(found.all_ns > 0 && r.own_ns > 0);
    assert_int_equal(r.vm[1].own_ns, 0); /* both threads of the process are vCPUs, and it is counted once */
    assert_true((double)r.vm[0].own_ns < 0.05 * live_wall(&r));
}

static void a_vm_that_ends_too_soon_is_one_sentence(void **state)
{
    pthread_t thread;
    uint64_t end_ns = now_ns() + 300 * MS;
    (void)state;
    const int rc = watch_spinner(&thread, &end_ns);
    (void)pthread_join(thread, NULL);
    assert_int_equal(rc, -ESRCH);
    assert_contains(e.text, "vm web ended after");
}

/* A shell that does nothing itself, but starts one program after another that spins for a moment. */
static void time_of_processes_between_two_looks_is_their_parents(void **state)
{
    (void)state;
    forget();
    const pid_t shell = fork();
    if (shell == 0) {
        (void)execl("/bin/sh", "sh", "-c", "while :; do sh -c 'i=0; while [ $i -lt 3000 ]; do i=$((i+1)); done'; done",
                    NULL);
        _exit(127);
    }
    struct live_takers *t = live_takers_create(&r);
    assert_non_null(t);
    (void)usleep(100000);
    live_takers_look(t);
    uint64_t ns = 0;
    for (unsigned i = 0; i < 100 && ns < 200 * MS; i++) { /* a busy machine gives them time late */
        (void)usleep(100000);
        live_takers_look(t);
        live_takers_tell(t, &r);
        ns = 0;
        for (unsigned k = 0; k < r.takers; k++) ns += r.taker[k].pid == shell ? r.taker[k].ns : 0;
    }
    (void)kill(shell, SIGKILL);
    (void)waitpid(shell, NULL, 0);
    live_takers_destroy(t);
    assert_true(ns >= 200 * MS);
}

static int gone(void **state)
{
    (void)state;
    forget();
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        UNIT(equal_vcpus_on_one_cpu_pass),
        UNIT(weights_divide_what_all_got),
        UNIT(what_a_vm_cannot_use_is_due_to_the_others),
        UNIT(who_wants_nothing_is_due_nothing),
        UNIT(a_vm_that_wants_late_owes_nothing_to_earlier_times),
        UNIT(a_vcpu_held_back_is_found_with_its_nice_value),
        UNIT(flat_vms_of_one_and_three_vcpus_are_told_to_use_groups),
        UNIT(groups_come_before_threads),
        UNIT(a_vm_pinned_beside_a_busy_process_is_told_so),
        UNIT(a_vm_alone_pinned_while_another_cpu_idles_is_found),
        UNIT(a_binding_is_not_blamed_for_a_nice_value),
        UNIT(a_quota_is_found_with_its_numbers),
        UNIT(a_starved_vcpu_is_found),
        UNIT(an_idle_cpu_beside_one_who_waits_is_found),
        UNIT(steal_that_could_explain_it_is_no_verdict),
        UNIT(others_explain_uneven_balancing_but_no_nice_value),
        UNIT(on_one_cpu_others_are_no_excuse),
        UNIT(figures_that_contradict_each_other_are_told),
        UNIT(fair_machines_raise_no_alarm_whatever_the_noise),
        UNIT(a_tenth_that_is_withheld_is_found_whatever_the_noise),
        UNIT(the_sum_of_all_cpus_is_no_cpu),
        UNIT(a_stat_line_is_taken_apart_behind_its_name),
        UNIT(pages_that_are_none_are_refused),
        UNIT(weights_that_do_not_fit_are_refused),
        UNIT(cgroups_of_one_parent_give_their_weights),
        UNIT(json_holds_what_was_found),
        UNIT(a_thread_that_spins_is_seen_to_run_or_wait),
        UNIT(a_vm_that_ends_too_soon_is_one_sentence),
        UNIT(time_of_processes_between_two_looks_is_their_parents),
    };
    return cmocka_run_group_tests(tests, NULL, gone);
}
