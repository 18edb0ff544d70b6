/* Fairness judged on made-up records: what is fair passes, what isn't is found and named, and a disturbed host is no
 * verdict. The figures are small enough to follow by hand. */
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>

#include "bench/fair/judge.h"
#include "tests/unit/unit.h"

#define MS      1000000ull
#define SAMPLES 101 /* five seconds */
#define TICK    (4 * MS)
#define SLICE   (3 * MS) /* so Q is 4 ms, and 2 Q are 8 */
#define LOOPS   40       /* a charged ms */

static struct fair_options o;
static struct fair_plan p;
static struct fair_record r;
static struct fair_report found;
static struct err e;

/* n spinning vCPUs of one VM on one CPU, each charged an equal part of every 50 ms and waiting for the rest. */
static void make(unsigned n)
{
    fair_record_free(&r);
    p = (struct fair_plan){.id = "E0", .vm_count = 1, .vcpu_count = n, .vm[0].vcpus = n, .cpu_count = 1};
    for (unsigned i = 0; i < n; i++) p.vcpu[i].weight = 1;
    assert_int_equal(fair_record_alloc(&r, SAMPLES, n), 0);
    r.tick_ns = TICK;
    r.slice_ns = SLICE;
    r.ticks_per_ns = 2;
    for (unsigned s = 0; s < SAMPLES; s++) {
        r.at[s] = 7 * MS + s * FAIR_BASE_NS;
        for (unsigned i = 0; i < n; i++) {
            struct fair_count *c = &r.count[s * n + i];
            c->charged = s * FAIR_BASE_NS / n;
            c->delay = c->steal = c->lost = s * FAIR_BASE_NS - c->charged;
            c->progress = c->charged / MS * LOOPS;
            c->is_running = true;
            r.guest[i].has_steal = true;
        }
    }
    r.host.busy = (SAMPLES - 1) * FAIR_BASE_NS;
}

static struct fair_count *at(unsigned s, unsigned vcpu)
{
    return &r.count[s * r.vcpus + vcpu];
}

/* From sample `from` on, a vCPU has `ns` more in each, or less, than what it was charged before. */
static void shift(unsigned vcpu, unsigned from, int64_t ns)
{
    for (unsigned s = from; s < SAMPLES; s++) at(s, vcpu)->charged += (uint64_t)ns;
}

static const struct fair_finding *judge(enum fair_property property)
{
    p.judged |= 1u << property;
    fair_judge(&o, &p, &r, &found);
    for (unsigned i = 0; i < found.count; i++)
        if (found.finding[i].property == property) return &found.finding[i];
    fail_msg("%s was not judged", fair_properties[property].id);
    return NULL;
}

static void verdict(enum fair_property property, enum fair_verdict wanted)
{
    const struct fair_finding *f = judge(property);
    if (f->verdict != wanted)
        fail_msg("%s: %u, not %u: %s; %s", fair_properties[property].id, f->verdict, wanted, f->text, f->reason);
}

static int fresh(void **state)
{
    (void)state;
    memset(&e, 0, sizeof(e));
    o = (struct fair_options){.duration_ns = (SAMPLES - 1) * FAIR_BASE_NS};
    fair_options_init(&o);
    assert_int_equal(fair_options_check(&o, &e), 0);
    make(4);
    return 0;
}

static int gone(void **state)
{
    (void)state;
    fair_record_free(&r);
    fair_options_fini(&o);
    return 0;
}

static void a_fair_record_passes_all_that_equal_vcpus_are_held_to(void **state)
{
    (void)state;
    static const enum fair_property all[] = {FAIR_F1, FAIR_F3, FAIR_F6, FAIR_F7, FAIR_F13,
                                             FAIR_C1, FAIR_C2, FAIR_C3, FAIR_C4};
    for (unsigned n = 2; n <= FAIR_THREADS; n *= 2) {
        make(n);
        for (unsigned i = 0; i < sizeof(all) / sizeof(all[0]); i++) verdict(all[i], FAIR_PASS);
    }
    assert_string_equal(found.disturbed, "");
}

static void a_vcpu_held_back_by_a_tenth_is_found_and_named(void **state)
{
    (void)state;
    for (unsigned held = 0; held < 4; held++) {
        make(4);
        for (unsigned s = 0; s < SAMPLES; s++) {
            const uint64_t lost = at(s, held)->charged / 10;
            for (unsigned i = 0; i < 4; i++) at(s, i)->charged += lost / 3;
            at(s, held)->charged -= lost + lost / 3;
            for (unsigned i = 0; i < 4; i++) at(s, i)->progress = at(s, i)->charged / MS * LOOPS;
            at(s, held)->progress = at(s, held)->progress * 9 / 10;
        }
        const struct fair_finding *f = judge(FAIR_F1);
        char name[16];
        (void)snprintf(name, sizeof(name), "vCPU %u", held);
        assert_int_equal(f->verdict, FAIR_FAIL);
        assert_int_equal(f->vcpu, held);
        assert_contains(f->text, name);
        assert_contains(f->text, "less than its share of 0.25");
        f = judge(FAIR_F13);
        assert_int_equal(f->verdict, FAIR_FAIL);
        assert_int_equal(f->vcpu, held);
        assert_contains(f->text, name);
    }
}

static void of_two_vcpus_the_one_that_lacks_is_named(void **state)
{
    (void)state;
    for (unsigned held = 0; held < 2; held++) {
        make(2);
        shift(held, 50, -20 * (int64_t)MS);
        shift(1 - held, 50, 20 * (int64_t)MS);
        assert_int_equal(judge(FAIR_F1)->vcpu, held);
        assert_int_equal(judge(FAIR_F3)->vcpu, held);
        for (unsigned s = 0; s < SAMPLES; s++) at(s, held)->progress = at(s, held)->progress * 9 / 10;
        assert_int_equal(judge(FAIR_F13)->vcpu, held);
        verdict(FAIR_F13, FAIR_FAIL);
    }
}

/* 4 of 5 ms in one window of 50: |5 - 50/4 ...| by hand: C = 12.5 - 7.9 for one, + 7.9 for another; the sum stays. */
static void the_distance_from_a_share_is_judged_in_every_window(void **state)
{
    (void)state;
    static const struct {
        int64_t off;
        enum fair_verdict verdict;
    } rows[] = {{7900000, FAIR_PASS}, {8000000, FAIR_FAIL}, {-7900000, FAIR_PASS}, {-8000000, FAIR_FAIL}};
    for (unsigned i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        make(4);
        shift(2, 60, rows[i].off);
        shift(3, 60, -rows[i].off);
        const struct fair_finding *f = judge(FAIR_F1);
        assert_int_equal(f->verdict, rows[i].verdict);
        assert_true(f->figures.statistic > 7.89e6 && f->figures.statistic < 8.01e6);
        assert_true(f->figures.bound == 8e6);
    }
}

/* Q is 4 ms: two vCPUs of weight 1 may differ by 16 ms, of which start-time fair queueing would allow half. */
static void two_vcpus_are_held_to_what_the_running_scheduler_proves(void **state)
{
    (void)state;
    static const struct {
        int64_t off;
        enum fair_verdict verdict;
    } rows[] = {{4500000, FAIR_PASS}, {7990000, FAIR_PASS}, {8010000, FAIR_FAIL}};
    for (unsigned i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        make(4);
        shift(2, 60, rows[i].off);
        shift(3, 60, -rows[i].off);
        const struct fair_finding *f = judge(FAIR_F3);
        assert_int_equal(f->verdict, rows[i].verdict);
        assert_true(f->figures.bound == 16e6);
        assert_contains(f->text, "start-time fair queueing promises 8.0 ms");
    }
}

/* Two of the others are faster and slower by a fifth in turn, from sample to sample: three standard errors of that,
 * over a hundred samples of three vCPUs, are about 6 %. */
static void a_cpu_that_changes_its_own_speed_accuses_nobody(void **state)
{
    (void)state;
    static const struct {
        unsigned percent;
        bool scatters;
        enum fair_verdict verdict;
    } rows[] = {{96, false, FAIR_PASS}, {94, false, FAIR_FAIL}, {94, true, FAIR_INCONCLUSIVE}, {80, true, FAIR_FAIL}};
    for (unsigned k = 0; k < sizeof(rows) / sizeof(rows[0]); k++) {
        make(4);
        for (unsigned s = 0; s < SAMPLES; s++) {
            at(s, 2)->progress = at(s, 2)->progress * rows[k].percent / 100;
            if (!rows[k].scatters || s % 2 == 0) continue;
            const uint64_t step = at(s, 0)->progress - at(s - 1, 0)->progress;
            at(s, 0)->progress += step / 5;
            at(s, 1)->progress -= step / 5;
        }
        verdict(FAIR_F13, rows[k].verdict);
        assert_int_equal(judge(FAIR_F13)->vcpu, 2);
    }
}

static void shares_follow_weights_and_no_more_than_a_cpu(void **state)
{
    (void)state;
    p.vcpu_count = 3;
    p.vcpu[0].weight = 8;
    fair_judge(&o, &p, &r, &found);
    assert_true(found.share[0] > 0.79999 && found.share[0] < 0.80001);
    p.cpu_count = 2; /* 8:1:1 of two CPUs: 1.6 is too much for one, so 1, 0.5 and 0.5 */
    fair_judge(&o, &p, &r, &found);
    assert_true(found.share[0] > 0.49999 && found.share[0] < 0.50001);
    assert_true(found.share[1] > 0.24999 && found.share[1] < 0.25001);
}

static void a_lag_that_stays_converges_and_one_that_grows_does_not(void **state)
{
    (void)state;
    make(2);
    for (unsigned s = 1; s < SAMPLES; s += 3) at(s, 0)->charged += 3 * MS;
    verdict(FAIR_F5, FAIR_PASS);
    for (unsigned s = 0; s < SAMPLES; s++) at(s, 0)->charged += at(s, 1)->charged / 10;
    verdict(FAIR_F5, FAIR_FAIL);
    o.window_count = 3;
    verdict(FAIR_F5, FAIR_INCONCLUSIVE);
}

static void a_gap_is_bounded_by_the_others_slices(void **state)
{
    (void)state;
    r.guest[2].longest = 2 * 32 * MS; /* ticks of half a ns: 2 N Q = 32 ms */
    verdict(FAIR_F6, FAIR_PASS);
    r.guest[2].longest += 2;
    verdict(FAIR_F6, FAIR_FAIL);
    assert_int_equal(judge(FAIR_F6)->vcpu, 2);
    p.pause_ns = r.paused_ns = MS; /* which is nobody's fault */
    verdict(FAIR_F6, FAIR_PASS);
}

static void idle_beside_work_is_found(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 4; i++) shift(i, SAMPLES - 1, -13 * (int64_t)MS); /* 52 of 5,000 ms */
    r.host.busy -= 52 * MS;
    r.host.idle += 52 * MS;
    verdict(FAIR_F7, FAIR_FAIL);
    verdict(FAIR_C4, FAIR_PASS);
    r.host.idle -= 52 * MS; /* ... and nobody had it: 52 ms are gone, about one in a hundred */
    verdict(FAIR_C4, FAIR_PASS);
    verdict(FAIR_F7, FAIR_INCONCLUSIVE); /* no vCPU's fault: the CPU was never idle */
    assert_contains(judge(FAIR_F7)->reason, "others, interrupts and this host's host could explain up to 52.0 ms");
    r.host.busy -= 60 * MS; /* ... but ours were charged more than the CPUs were busy */
    for (unsigned i = 0; i < 4; i++) shift(i, SAMPLES - 1, -15 * (int64_t)MS);
    verdict(FAIR_C4, FAIR_FAIL);
}

static void a_host_that_counts_more_time_than_passed_is_not_believed(void **state)
{
    (void)state;
    r.host.busy += 2000 * MS;
    verdict(FAIR_C4, FAIR_INCONCLUSIVE);
    assert_contains(judge(FAIR_C4)->reason, "/proc/stat");
    verdict(FAIR_F1, FAIR_PASS);
    assert_string_equal(found.disturbed, ""); /* ours were charged nearly all of it: no room for others */
    for (unsigned i = 0; i < 4; i++) shift(i, SAMPLES - 1, 100 * (int64_t)MS);
    verdict(FAIR_C4, FAIR_FAIL); /* more than passed was charged to ours: that is no matter of /proc/stat */
}

/* ---- noise ---- */

/* Others have a part of the CPU, in permille, so that each vCPU has the less and waits the longer. */
static void let_others_take(unsigned permille)
{
    for (unsigned s = 0; s < SAMPLES; s++)
        for (unsigned i = 0; i < r.vcpus; i++) {
            struct fair_count *c = at(s, i);
            const uint64_t taken = c->charged * permille / 1000;
            c->charged -= taken;
            c->delay += taken;
            c->steal = c->lost = c->delay;
            c->progress = c->progress * (1000 - permille) / 1000;
        }
}

/* By the end a vCPU has so much less, bit by bit, and another so much more. */
static void move(unsigned from, unsigned to, int64_t ns)
{
    for (unsigned s = 0; s < SAMPLES; s++) {
        at(s, from)->charged -= (uint64_t)ns * s / (SAMPLES - 1);
        at(s, to)->charged += (uint64_t)ns * s / (SAMPLES - 1);
    }
}

/* A guest sees that switches take a little, and at sample 50 that its CPU had stood still. */
static void stand_still(unsigned vcpu, uint64_t ns)
{
    for (unsigned s = 0; s < SAMPLES; s++) at(s, vcpu)->lost += s * MS / 10 + (s < 50 ? 0 : ns);
}

/* Each vCPU's share is a share of what all of them had, so what others took is no excuse. They may only move the sum of
 * the vCPUs' lags: by 2 * 4 ms * 1/4 * 2 = 4 ms for the share of one of four, and by nothing for a pair. */
static void others_excuse_no_unequal_shares(void **state)
{
    (void)state;
    static const struct {
        unsigned others; /* permille */
        double missing;  /* ms, of a vCPU's share */
        enum fair_verdict of_share, of_pair;
    } rows[] = {
        {0, 7.9, FAIR_PASS, FAIR_PASS},           {0, 8.1, FAIR_FAIL, FAIR_FAIL},
        {77, 7.9, FAIR_PASS, FAIR_PASS},          {77, 8.1, FAIR_INCONCLUSIVE, FAIR_FAIL},
        {77, 11.9, FAIR_INCONCLUSIVE, FAIR_FAIL}, {77, 12.1, FAIR_FAIL, FAIR_FAIL},
        {900, 7.9, FAIR_PASS, FAIR_PASS},         {900, 12.1, FAIR_FAIL, FAIR_FAIL},
        {900, 30, FAIR_FAIL, FAIR_FAIL},
    };
    for (unsigned i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        make(4);
        let_others_take(rows[i].others);
        move(1, 2, (int64_t)(rows[i].missing * 1e6));
        verdict(FAIR_F1, rows[i].of_share);
        verdict(FAIR_F3, rows[i].of_pair);
        assert_int_equal(judge(FAIR_F1)->vcpu, 1);
        assert_int_equal(judge(FAIR_F3)->vcpu, 1);
    }
}

/* 12.8 to 87.2 of two vCPUs, others at 7.7 %: this was seen, and was no verdict once. */
static void a_vcpu_that_gets_an_eighth_beside_its_equal_is_found_whatever_others_take(void **state)
{
    (void)state;
    for (unsigned others = 0; others <= 900; others += 300) {
        make(2);
        let_others_take(others ? others : 77);
        for (unsigned s = 0; s < SAMPLES; s++) {
            const uint64_t both = at(s, 0)->charged + at(s, 1)->charged;
            at(s, 0)->charged = both * 128 / 1000;
            at(s, 1)->charged = both - at(s, 0)->charged;
        }
        verdict(FAIR_F1, FAIR_FAIL);
        verdict(FAIR_F3, FAIR_FAIL);
        verdict(FAIR_F5, FAIR_FAIL);
        assert_contains(judge(FAIR_F1)->text, "vCPU 0 got");
    }
}

/* The CPU stood still once, for so long, under the guest of vCPU 2. Its slice became as much longer, and what others
 * were behind then is no fault of the scheduler: by twice that, since two are compared. */
static void a_cpu_that_stands_still_excuses_twice_that(void **state)
{
    (void)state;
    static const struct {
        double stalled, missing; /* ms */
        enum fair_verdict verdict;
    } rows[] = {{0, 20, FAIR_FAIL},           {51, 7, FAIR_PASS},   {51, 20, FAIR_INCONCLUSIVE},
                {51, 109, FAIR_INCONCLUSIVE}, {51, 111, FAIR_FAIL}, {400, 500, FAIR_INCONCLUSIVE}};
    for (unsigned i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        make(4);
        move(1, 3, (int64_t)(rows[i].missing * 1e6));
        stand_still(2, (uint64_t)(rows[i].stalled * 1e6));
        verdict(FAIR_F1, rows[i].verdict);
    }
    assert_contains(found.disturbed, "stood still for 8.0 %");
    assert_contains(judge(FAIR_F1)->reason, "a CPU that stood still, could explain up to 800.2 ms");
}

/* What each gap costs is no stall, not even where it adds up unseen; nor is a wait that the guest did not notice yet.
 */
static void what_switches_cost_is_no_stall(void **state)
{
    (void)state;
    for (unsigned s = 1; s < SAMPLES; s++) at(s, 2)->lost += s * MS * 6 / 10;
    at(40, 2)->lost -= 100 * MS;
    move(1, 3, 20 * (int64_t)MS);
    verdict(FAIR_F1, FAIR_FAIL);
    assert_string_equal(found.disturbed, "");
}

/* 100 of 5,000 ms were not the vCPUs'. Who took them decides. */
static void work_is_excused_by_what_was_taken_and_not_by_idle_time(void **state)
{
    (void)state;
    static const struct {
        unsigned others, steal, idle, throttled; /* ms */
        enum fair_verdict verdict;
    } rows[] = {
        {100, 0, 0, 0, FAIR_INCONCLUSIVE}, {0, 100, 0, 0, FAIR_INCONCLUSIVE}, {0, 0, 100, 0, FAIR_FAIL},
        {40, 0, 60, 0, FAIR_FAIL},         {60, 0, 40, 0, FAIR_INCONCLUSIVE}, {0, 0, 100, 60, FAIR_INCONCLUSIVE},
    };
    for (unsigned i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        make(4);
        let_others_take(20);
        r.host = (struct fair_cpu_time){
            .busy = (4900 + rows[i].others) * MS, .idle = rows[i].idle * MS, .steal = rows[i].steal * MS};
        r.throttled = rows[i].throttled != 0;
        r.throttled_ns = rows[i].throttled * MS;
        verdict(FAIR_F7, rows[i].verdict);
        verdict(FAIR_F1, FAIR_PASS);
    }
}

static void a_gap_an_interactive_vcpu_and_a_waiting_share_are_excused_by_what_was_taken(void **state)
{
    (void)state;
    for (unsigned others = 0; others <= 500; others += 500) {
        make(4);
        let_others_take(others);
        r.guest[2].longest = 2 * 100 * MS;
        verdict(FAIR_F6, others ? FAIR_INCONCLUSIVE : FAIR_FAIL);
        verdict(FAIR_C3, others ? FAIR_INCONCLUSIVE : FAIR_PASS);
        p.vcpu[0].work = FAIR_INTERACTIVE;
        p.vcpu[0].period_ns = 20 * MS;
        p.vcpu[0].busy_ns = 6 * MS; /* 1,500 ms; it had 1,250, or 625 */
        verdict(FAIR_F8, others ? FAIR_INCONCLUSIVE : FAIR_FAIL);
    }
}

/* A vCPU that got less for each charged second got it whoever else was there. */
static void others_excuse_no_slow_vcpu(void **state)
{
    (void)state;
    for (unsigned others = 0; others <= 900; others += 300) {
        make(4);
        let_others_take(others);
        for (unsigned s = 0; s < SAMPLES; s++) at(s, 3)->progress = at(s, 3)->progress * 90 / 100;
        verdict(FAIR_F13, FAIR_FAIL);
        assert_int_equal(judge(FAIR_F13)->vcpu, 3);
        stand_still(3, 100 * MS);
        verdict(FAIR_F13, FAIR_INCONCLUSIVE);
    }
}

/* A tenth of 5,000 ms asleep, whatever others take; waits that no sample saw the end of speak for it, as far as they
 * can: what lies between two samples. */
static void a_vcpu_that_sleeps_is_found_whatever_others_take(void **state)
{
    (void)state;
    for (unsigned others = 0; others <= 900; others += 300) {
        make(4);
        let_others_take(others);
        for (unsigned s = 0; s < SAMPLES; s++) at(s, 1)->lost = at(s, 1)->delay -= s * FAIR_BASE_NS / 10;
        verdict(FAIR_C1, FAIR_FAIL);
        for (unsigned s = 0; s < SAMPLES; s++) at(s, 1)->is_running = false;
        verdict(FAIR_C1, FAIR_FAIL);
        assert_int_equal(judge(FAIR_C1)->vcpu, 1);
        assert_contains(judge(FAIR_C1)->reason, "vCPU 1 neither ran nor waited for 4");
        for (unsigned s = 0; s < SAMPLES; s++) at(s, 1)->lost = at(s, 1)->delay += s * FAIR_BASE_NS / 11;
        verdict(FAIR_C1, FAIR_INCONCLUSIVE); /* 1 %, which is 50 ms: one wait could be it */
    }
}

static void samples_that_took_long_tell_nothing_of_shares(void **state)
{
    (void)state;
    shift(1, 60, -20 * (int64_t)MS); /* in one sample alone, as its clock was read 20 ms before the others' */
    shift(1, 61, 20 * (int64_t)MS);
    verdict(FAIR_F1, FAIR_FAIL);
    r.width[60] = MS;
    verdict(FAIR_F1, FAIR_PASS);
    for (unsigned s = 0; s < SAMPLES; s++) r.width[s] = MS;
    verdict(FAIR_F1, FAIR_INCONCLUSIVE);
}

/* Where others leave 4 of 100 ms to four vCPUs, no window below 400 ms holds a round of theirs. */
static void convergence_is_judged_by_what_was_served(void **state)
{
    (void)state;
    let_others_take(960);
    verdict(FAIR_F5, FAIR_INCONCLUSIVE); /* too few lengths are left */
    make(4);
    let_others_take(900);
    for (unsigned s = 1; s < SAMPLES; s += 3) at(s, 0)->charged += MS;
    verdict(FAIR_F5, FAIR_PASS);
    for (unsigned s = 0; s < SAMPLES; s++) at(s, 0)->charged += at(s, 1)->charged / 2;
    verdict(FAIR_F5, FAIR_FAIL);
}

/* ---- why ---- */

static void the_accused_is_shown_with_what_differs(void **state)
{
    (void)state;
    r.cause[1].nice = 1;
    move(1, 2, 20 * (int64_t)MS);
    assert_string_equal(judge(FAIR_F1)->reason, "vCPU 1 runs at nice 1, the others at 0");
    p.vcpu[1].nice = 1; /* that was the plan */
    assert_contains(judge(FAIR_F1)->reason, "vCPU 1 is told to run as the others are");
    (void)snprintf(r.cause_changed[1], FAIR_TEXT, "vCPU 1 may use CPUs 1, before CPUs 0-1");
    assert_string_equal(judge(FAIR_F1)->reason, "vCPU 1 may use CPUs 1, before CPUs 0-1");
}

static void a_vm_is_compared_with_other_vms(void **state)
{
    (void)state;
    p.vm_count = 2;
    p.vm[0] = p.vm[1] = (struct fair_vm_plan){.vcpus = 2, .has_cgroup = true};
    for (unsigned i = 0; i < 4; i++) p.vcpu[i].vm = i / 2;
    for (unsigned i = 0; i < 4; i++) (void)snprintf(r.cause[i].group.path, 8, "/vm%u", i / 2); /* as planned */
    r.cause[2].throttled.times = r.cause[3].throttled.times = 9;
    move(2, 0, 20 * (int64_t)MS);
    assert_string_equal(judge(FAIR_F10)->reason, "VM 1 vCPU 0 was throttled 9 times, the others 0 times");
}

static void what_passes_accuses_nobody(void **state)
{
    (void)state;
    r.cause[1].nice = 1;
    assert_string_equal(judge(FAIR_F1)->reason, "");
}

static void a_figure_fails_only_where_noise_cannot_explain_it(void **state)
{
    (void)state;
    static const struct {
        enum relation relation;
        struct fair_figures figures; /* statistic, bound, unit, explained */
        enum fair_verdict verdict;
    } rows[] = {
        {NOT_JUDGED, {9, 1, 1, 0}, FAIR_REPORTED}, {LESS, {7, 8, 1, 0}, FAIR_PASS},
        {LESS, {8, 8, 1, 0}, FAIR_FAIL},           {LESS, {9, 8, 1, 0}, FAIR_FAIL},
        {AT_MOST, {8, 8, 1, 0}, FAIR_PASS},        {AT_MOST, {10, 8, 1, 2}, FAIR_INCONCLUSIVE},
        {AT_MOST, {10.5, 8, 1, 2}, FAIR_FAIL},     {AT_LEAST, {8, 8, 1, 0}, FAIR_PASS},
        {AT_LEAST, {7, 8, 10, 9}, FAIR_FAIL},      {AT_LEAST, {7, 8, 10, 10}, FAIR_INCONCLUSIVE},
        {AT_MOST, {10, 8, 0, 1e9}, FAIR_FAIL}, /* no time explains it */
    };
    for (unsigned i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        assert_int_equal(fair_verdict(rows[i].relation, &rows[i].figures), rows[i].verdict);
    assert_true(fair_missing_ns(AT_LEAST, &rows[9].figures) == 10);
}

static void time_that_vanishes_is_found(void **state)
{
    (void)state;
    for (unsigned s = 0; s < SAMPLES; s++) at(s, 3)->delay = at(s, 3)->delay * 99 / 100; /* 0.75 % of W */
    verdict(FAIR_C1, FAIR_FAIL);
    assert_int_equal(judge(FAIR_C1)->vcpu, 3);
    verdict(FAIR_C2, FAIR_PASS); /* 37.5 ms of 4 + 50 */
    for (unsigned s = 0; s < SAMPLES; s++) at(s, 3)->steal += at(s, 3)->steal / 20;
    verdict(FAIR_C2, FAIR_FAIL);
    r.guest[0].has_steal = false;
    verdict(FAIR_C2, FAIR_INCONCLUSIVE);
}

/* What a waiting vCPU has waited so far is not counted yet: only samples that caught it running tell. */
static void waits_that_are_not_over_do_not_count(void **state)
{
    (void)state;
    at(0, 1)->is_running = at(SAMPLES - 1, 1)->is_running = false;
    at(SAMPLES - 1, 1)->delay -= 100 * MS;
    verdict(FAIR_C1, FAIR_PASS);
    for (unsigned s = 20; s < SAMPLES; s++) at(s, 1)->is_running = false;
    at(SAMPLES - 1, 1)->delay += 40 * MS; /* what is left may be one wait: it ran within 50 ms before */
    verdict(FAIR_C1, FAIR_INCONCLUSIVE);
}

static void a_pause_is_not_the_vcpus_time(void **state)
{
    (void)state;
    p.pause_ns = r.paused_ns = 1000 * MS;
    r.pause_sample = 40;
    for (unsigned s = 40; s < SAMPLES; s++) r.at[s] += 1000 * MS;
    verdict(FAIR_C1, FAIR_PASS);
    verdict(FAIR_F7, FAIR_PASS);
    for (unsigned s = 40; s < SAMPLES; s++) at(s, 2)->delay += 30 * MS; /* it waited for a turn, to leave the guest, */
    verdict(FAIR_C1, FAIR_FAIL);
    r.pausing_ns = 20 * MS; /* and 25 ms are allowed */
    verdict(FAIR_C1, FAIR_INCONCLUSIVE);
}

static void a_cap_allows_what_the_kernel_may_give(void **state)
{
    (void)state;
    p.vm[0].quota_us = 30000;
    p.vm[0].period_us = 100000;
    for (unsigned s = 0; s < SAMPLES; s++)
        for (unsigned i = 0; i < 4; i++) at(s, i)->charged = at(s, i)->charged * 3 / 10;
    r.host = (struct fair_cpu_time){.busy = 1550 * MS, .idle = 3450 * MS};
    verdict(FAIR_F11, FAIR_PASS);
    shift(0, 50, 50 * (int64_t)MS); /* in 50 ms 15 + 50, of 30 * 1.5 + 5 */
    verdict(FAIR_F11, FAIR_FAIL);
}

static void groups_are_equal_however_many_vcpus_they_have(void **state)
{
    (void)state;
    p.vm_count = 2;
    p.vm[0].vcpus = 1;
    p.vm[1].vcpus = 3;
    for (unsigned i = 1; i < 4; i++) p.vcpu[i].vm = 1;
    verdict(FAIR_F10, FAIR_FAIL); /* a quarter each: 25 to 75 */
    for (unsigned s = 0; s < SAMPLES; s++)
        for (unsigned i = 0; i < 4; i++) at(s, i)->charged = s * FAIR_BASE_NS / (i ? 6 : 2);
    verdict(FAIR_F10, FAIR_PASS);
    p.vm[0].weight = 100;
    p.vm[1].weight = 200;
    verdict(FAIR_F10, FAIR_FAIL);
}

static void an_interactive_vcpu_is_held_to_its_own_demand(void **state)
{
    (void)state;
    p.vcpu[0].work = FAIR_INTERACTIVE;
    p.vcpu[0].period_ns = 20 * MS;
    p.vcpu[0].busy_ns = 2 * MS;
    for (unsigned s = 0; s < SAMPLES; s++) at(s, 0)->charged = s * FAIR_BASE_NS / 10;
    verdict(FAIR_F8, FAIR_PASS);
    for (unsigned s = 0; s < SAMPLES; s++) at(s, 0)->charged = s * FAIR_BASE_NS / 11;
    shift(1, SAMPLES - 1, 800 * (int64_t)MS); /* who had the rest */
    verdict(FAIR_F8, FAIR_FAIL);
}

static void only_gains_of_a_dodger_count(void **state)
{
    (void)state;
    make(2);
    shift(0, 50, -20 * (int64_t)MS);
    verdict(FAIR_F9, FAIR_PASS);
    shift(0, 50, 60 * (int64_t)MS);
    verdict(FAIR_F9, FAIR_FAIL);
}

static void what_is_reported_is_not_judged(void **state)
{
    (void)state;
    shift(0, 50, 500 * (int64_t)MS);
    p.reported = FAIR_BIT(F1) | FAIR_BIT(F4);
    verdict(FAIR_F1, FAIR_REPORTED);
    verdict(FAIR_F4, FAIR_REPORTED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, fresh, gone)
        T(a_fair_record_passes_all_that_equal_vcpus_are_held_to),
        T(a_vcpu_held_back_by_a_tenth_is_found_and_named),
        T(of_two_vcpus_the_one_that_lacks_is_named),
        T(the_distance_from_a_share_is_judged_in_every_window),
        T(two_vcpus_are_held_to_what_the_running_scheduler_proves),
        T(a_cpu_that_changes_its_own_speed_accuses_nobody),
        T(shares_follow_weights_and_no_more_than_a_cpu),
        T(a_lag_that_stays_converges_and_one_that_grows_does_not),
        T(a_gap_is_bounded_by_the_others_slices),
        T(idle_beside_work_is_found),
        T(a_host_that_counts_more_time_than_passed_is_not_believed),
        T(others_excuse_no_unequal_shares),
        T(a_vcpu_that_gets_an_eighth_beside_its_equal_is_found_whatever_others_take),
        T(a_cpu_that_stands_still_excuses_twice_that),
        T(what_switches_cost_is_no_stall),
        T(work_is_excused_by_what_was_taken_and_not_by_idle_time),
        T(a_gap_an_interactive_vcpu_and_a_waiting_share_are_excused_by_what_was_taken),
        T(others_excuse_no_slow_vcpu),
        T(a_vcpu_that_sleeps_is_found_whatever_others_take),
        T(samples_that_took_long_tell_nothing_of_shares),
        T(convergence_is_judged_by_what_was_served),
        T(the_accused_is_shown_with_what_differs),
        T(a_vm_is_compared_with_other_vms),
        T(what_passes_accuses_nobody),
        T(a_figure_fails_only_where_noise_cannot_explain_it),
        T(time_that_vanishes_is_found),
        T(waits_that_are_not_over_do_not_count),
        T(a_pause_is_not_the_vcpus_time),
        T(a_cap_allows_what_the_kernel_may_give),
        T(groups_are_equal_however_many_vcpus_they_have),
        T(an_interactive_vcpu_is_held_to_its_own_demand),
        T(only_gains_of_a_dodger_count),
        T(what_is_reported_is_not_judged),
#undef T
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
