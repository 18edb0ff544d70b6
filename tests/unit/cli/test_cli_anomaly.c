/* The detector of changes, on made-up series whose changes are known, and on noise that holds none. */
#include <math.h>

#include "tests/unit/unit.h"
#include "vmm/cli/anomaly.c"

#define HOUR 3600 /* samples of a second */
#define SEED 0x9e3779b97f4a7c15u

static const struct anomaly_rule rule = {.least = 50, .ratio = 0.5};

struct feeder {
    struct anomaly a;
    struct anomaly_alarm alarm; /* of the last event */
    uint64_t t, random;
    unsigned begins, ends, settles, slow;
};

static double uniform(struct feeder *f) /* above 0, at most 1 */
{
    f->random ^= f->random << 13;
    f->random ^= f->random >> 7;
    f->random ^= f->random << 17;
    return ((double)(f->random >> 11) + 1) / 9007199254740992.0;
}

static double poisson(struct feeder *f, double mean)
{
    double left = 0;
    unsigned n = 0;
    for (left = -log(uniform(f)); left < mean; n++) left -= log(uniform(f));
    return n;
}

static double normal(struct feeder *f)
{
    return sqrt(-2 * log(uniform(f))) * cos(2 * 3.141592653589793 * uniform(f));
}

static enum anomaly_event give(struct feeder *f, double value)
{
    struct anomaly_alarm alarm;
    const enum anomaly_event event = anomaly_feed(&f->a, &rule, ++f->t * 1000, value, &alarm);
    if (event == ANOMALY_NONE) return event;
    f->alarm = alarm;
    f->begins += event == ANOMALY_BEGINS;
    f->ends += event == ANOMALY_ENDS;
    f->settles += event == ANOMALY_SETTLES;
    f->slow += event == ANOMALY_BEGINS && alarm.is_slow;
    return event;
}

/* Poisson counts of that mean. Returns after how many the first alarm began, 0: none. */
static unsigned give_poisson(struct feeder *f, double mean, unsigned n)
{
    const unsigned before = f->begins;
    for (unsigned i = 1; i <= n; i++) {
        (void)give(f, poisson(f, mean));
        if (f->begins > before) return i;
    }
    return 0;
}

static void a_step_is_told_within_eight_samples_with_its_evidence(void **state)
{
    (void)state;
    for (unsigned run = 0; run < 100; run++) {
        struct feeder f = {.random = SEED + run};
        assert_int_equal(give_poisson(&f, 100, 130), 0);
        assert_in_range(give_poisson(&f, 400, 30), 2, 8); /* what came before it by chance may be as high */
        assert_true(fabs(f.alarm.value - 400) < 80);
        assert_true(fabs(f.alarm.median - 100) < 10);
        assert_true(f.alarm.mad > 3 && f.alarm.mad < 12);
        assert_in_range(f.alarm.since_ns, 129 * 1000, 131 * 1000);
        assert_int_equal(f.alarm.before, 120);
        assert_true(f.alarm.odds >= 1e6 && !f.alarm.is_slow);
        assert_ptr_equal(anomaly_now(&f.a), &f.a.fast.alarm);
    }
}

static void the_chance_is_that_of_the_ranks(void **state)
{
    struct feeder f = {.random = SEED};
    (void)state;
    for (unsigned i = 0; i < 120; i++) (void)give(&f, 100 + i % 7);
    for (unsigned i = 0; i < 4; i++) (void)give(&f, 1000);
    assert_int_equal(f.begins, 1);
    assert_true(fabs(f.alarm.odds - 9381251) < 1); /* C(124, 4) */
    assert_true(f.alarm.median == 103 && f.alarm.mad == 2);
}

static void a_spike_is_none(void **state)
{
    struct feeder f = {.random = SEED};
    (void)state;
    for (unsigned i = 0; i < HOUR; i++) (void)give(&f, i % 200 < 3 ? 1e6 : poisson(&f, 100));
    assert_int_equal(f.begins, 0);
}

static void what_returns_ends_and_what_stays_settles(void **state)
{
    struct feeder f = {.random = SEED};
    (void)state;
    (void)give_poisson(&f, 100, 130);
    for (unsigned i = 0; i < 20; i++) (void)give(&f, poisson(&f, 1000));
    assert_int_equal(f.begins, 1);
    assert_int_equal(give_poisson(&f, 100, 200), 0);
    assert_true(f.begins == 1 && f.ends == 1 && f.settles == 0 && !anomaly_now(&f.a));
    assert_true(f.alarm.value > 950); /* the greatest since */
    for (unsigned i = 0; i < HOUR; i++) (void)give(&f, poisson(&f, 1000));
    assert_true(f.begins == 2 && f.ends == 1 && f.settles == 1 && !anomaly_now(&f.a));
}

static void what_comes_back_every_half_minute_becomes_usual(void **state)
{
    struct feeder f = {.random = SEED};
    (void)state;
    for (unsigned i = 0; i < HOUR; i++) (void)give(&f, poisson(&f, i % 30 < 8 ? 1000 : 100));
    assert_in_range(f.begins, 0, 4);
}

static void a_rise_that_creeps_is_told_by_the_slow_series(void **state)
{
    struct feeder f = {.random = SEED};
    (void)state;
    for (unsigned i = 0; i < HOUR; i++) (void)give(&f, poisson(&f, 300));
    assert_int_equal(f.begins, 0);
    for (unsigned i = 0; i < HOUR / 2; i++) (void)give(&f, poisson(&f, 300 + 400.0 * i / (HOUR / 2)));
    assert_int_equal(f.begins, 1);
    assert_int_equal(f.slow, 1);
    assert_true(f.a.slow.alarm.is_slow && f.a.slow.alarm.median > 280 && f.a.slow.alarm.median < 340);
}

static void from_nothing_at_all_only_what_is_large_is_told(void **state)
{
    struct feeder f = {.random = SEED};
    (void)state;
    for (unsigned i = 0; i < HOUR; i++) (void)give(&f, 0);
    for (unsigned i = 0; i < 60; i++) (void)give(&f, 49);
    assert_int_equal(f.begins, 0);
    for (unsigned i = 0; i < HOUR; i++) (void)give(&f, 0);
    for (unsigned i = 0; i < 4; i++) (void)give(&f, 51);
    assert_int_equal(f.begins, 1);
    assert_true(f.alarm.median == 0 && f.alarm.mad == 0);
}

static void rare_events_are_none(void **state)
{
    struct feeder f = {.random = SEED};
    (void)state;
    for (unsigned i = 0; i < 10 * HOUR; i++) (void)give(&f, uniform(&f) < 0.02 ? 1000 : 0);
    assert_int_equal(f.begins, 0);
}

static void a_fall_is_none_and_the_return_from_it_is_none(void **state)
{
    struct feeder f = {.random = SEED};
    (void)state;
    (void)give_poisson(&f, 1000, 200);
    for (unsigned i = 0; i < 50; i++) (void)give(&f, 0); /* a pause */
    assert_int_equal(give_poisson(&f, 1000, 200), 0);
    assert_int_equal(f.begins, 0);
}

static void without_a_baseline_nothing_is_told(void **state)
{
    struct feeder f = {.random = SEED};
    (void)state;
    for (unsigned i = 0; i < ANOMALY_LEAST - 1; i++) (void)give(&f, 1);
    assert_false(anomaly_is_ready(&f.a));
    (void)give(&f, 1e9);
    assert_int_equal(f.begins, 0);
}

/* ---- noise ---- */

enum noise { POISSON_3, POISSON_100, NORMAL, PARETO, LOGNORMAL, NOISES };

static double noise(struct feeder *f, enum noise kind)
{
    switch (kind) {
    case POISSON_3: return 20 * poisson(f, 3); /* so that one more is worth a word */
    case POISSON_100: return poisson(f, 100);
    case NORMAL: return fmax(0, 200 + 100 * normal(f));
    case PARETO: return 100 * pow(uniform(f), -1 / 1.2); /* no variance, hardly a mean */
    default: return 100 * exp(2 * normal(f));
    }
}

/* Five looks a sample, each wrong once in a million, are at most 0.7 alarms in 40 hours. */
static void noise_alarms_at_most_once_in_forty_hours(void **state)
{
    static const char *const names[NOISES] = {"Poisson 3", "Poisson 100", "normal", "Pareto 1.2", "lognormal"};
    (void)state;
    for (unsigned kind = 0; kind < NOISES; kind++) {
        struct feeder f = {.random = SEED + kind};
        for (unsigned i = 0; i < 40 * HOUR; i++) (void)give(&f, noise(&f, (enum noise)kind));
        print_message("%s: %u alarms in 40 hours\n", names[kind], f.begins);
        assert_in_range(f.begins, 0, 1);
    }
}

UNIT_MAIN(UNIT(a_step_is_told_within_eight_samples_with_its_evidence), UNIT(the_chance_is_that_of_the_ranks),
          UNIT(a_spike_is_none), UNIT(what_returns_ends_and_what_stays_settles),
          UNIT(what_comes_back_every_half_minute_becomes_usual), UNIT(a_rise_that_creeps_is_told_by_the_slow_series),
          UNIT(from_nothing_at_all_only_what_is_large_is_told), UNIT(rare_events_are_none),
          UNIT(a_fall_is_none_and_the_return_from_it_is_none), UNIT(without_a_baseline_nothing_is_told),
          UNIT(noise_alarms_at_most_once_in_forty_hours))
