/* The histogram against the truth: a sorted array of the same values. */
#include "vmm/base/hist.h"

#include <stdlib.h>

#include "tests/unit/unit.h"

#define VALUES 20000 /* enough for a p99.9 with twenty values beyond it */

struct rig {
    struct hist h;
    _Atomic uint64_t bucket[HIST_BUCKETS], group[HIST_GROUPS];
};

static struct rig *make(void)
{
    struct rig *b = calloc(1, sizeof(*b));
    assert_non_null(b);
    hist_init(&b->h, b->bucket, b->group);
    return b;
}

/* One alone, as those that are read together. */
#define ONE(b) (&(struct hists){(const struct hist *[]){&(b)->h}, 1})

static uint64_t quantile(const struct hists *h, double share)
{
    uint64_t out;
    hists_quantiles(h, &share, 1, &out);
    return out;
}

/* xorshift64: the same values every time. */
static uint64_t next(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}

/* Spread over all sizes: a random number of a random length. */
static uint64_t draw(uint64_t *state)
{
    const uint64_t bits = next(state) % HIST_BITS;
    return next(state) & ((UINT64_C(1) << (bits + 1)) - 1);
}

static int ascending(const void *a, const void *b)
{
    const uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

static void must_be_near(uint64_t got, uint64_t truth)
{
    assert_true(got >= truth);
    assert_true(got - truth <= truth / HIST_STEPS);
}

static void quantiles_are_those_of_the_sorted_values_to_three_digits(void **state)
{
    static const double shares[] = {0.001, 0.1, 0.25, 0.5, 0.9, 0.99, 0.999, 0.9999};
    static uint64_t values[VALUES];
    uint64_t random = 1, got[COUNT_OF(shares)];
    struct rig *b = make();

    (void)state;
    for (size_t i = 0; i < VALUES; i++) {
        values[i] = draw(&random);
        hist_record(&b->h, values[i]);
    }
    qsort(values, VALUES, sizeof(values[0]), ascending);
    hists_quantiles(ONE(b), shares, COUNT_OF(shares), got);
    for (size_t i = 0; i < COUNT_OF(shares); i++) {
        size_t rank = 1; /* brute force: the first whose share is reached */
        while ((double)rank < shares[i] * VALUES) rank++;
        must_be_near(got[i], values[rank - 1]);
    }
    assert_int_equal(quantile(ONE(b), 0), values[0]);
    assert_int_equal(quantile(ONE(b), 1), values[VALUES - 1]);
    assert_int_equal(b->h.count, VALUES);
    free(b);
}

static void every_small_value_has_a_bucket_of_its_own(void **state)
{
    (void)state;
    for (uint64_t v = 0; v < 2 * HIST_STEPS; v++) assert_int_equal(hist_index(v), v);
}

static void buckets_follow_each_other_without_gap_or_step_back(void **state)
{
    (void)state;
    for (unsigned bit = HIST_STEP_BITS + 1; bit < HIST_BITS; bit++) {
        const uint64_t power = UINT64_C(1) << bit;
        assert_int_equal(hist_index(power), hist_index(power - 1) + 1);
        assert_int_equal(hist_index(power + power / HIST_STEPS), hist_index(power) + 1);
    }
    assert_int_equal(hist_index(HIST_LIMIT - 1), HIST_BUCKETS - 2);
    assert_int_equal(hist_index(HIST_LIMIT), HIST_BUCKETS - 1);
    assert_int_equal(hist_index(UINT64_MAX), HIST_BUCKETS - 1);
}

static void several_are_read_as_if_all_had_been_recorded_in_one(void **state)
{
    static const double shares[] = {0, 0.001, 0.1, 0.5, 0.9, 0.99, 0.999, 1};
    enum { PARTS = 3, BOUNDS = 40 };
    uint64_t random = 7, bound[BOUNDS], got[BOUNDS], truth[BOUNDS];
    struct rig *part[PARTS] = {make(), make(), make()}, *whole = make();
    const struct hist *of[PARTS + 1] = {&part[0]->h, &part[1]->h, &part[2]->h, &make()->h}; /* and an empty one */
    const struct hists all = {of, COUNT_OF(of)};

    (void)state;
    for (size_t i = 0; i < VALUES; i++) {
        const uint64_t value = draw(&random) << (i % 100 == 0 ? 20 : 0); /* some overflow */
        hist_record(&part[i % PARTS]->h, value);
        hist_record(&whole->h, value);
    }
    for (size_t i = 0; i < COUNT_OF(shares); i++)
        assert_int_equal(quantile(&all, shares[i]), quantile(ONE(whole), shares[i]));
    assert_int_equal(hists_sum(&all), whole->h.sum);
    assert_int_not_equal(hists_overflow(ONE(whole)), 0);
    assert_int_equal(hists_overflow(&all), hists_overflow(ONE(whole)));
    for (unsigned i = 0; i < BOUNDS; i++) bound[i] = (UINT64_C(3) << i) / 2;
    hists_spread(&all, bound, BOUNDS, got);
    hists_spread(ONE(whole), bound, BOUNDS, truth);
    assert_memory_equal(got, truth, sizeof(got));
    assert_int_not_equal(got[BOUNDS - 1], 0);
    for (size_t i = 0; i < COUNT_OF(of); i++) free((void *)of[i]); /* what make gave begins with it */
    free(whole);
}

static void what_is_too_long_is_counted_and_its_max_is_exact(void **state)
{
    struct rig *b = make();

    (void)state;
    hist_record(&b->h, 3);
    assert_int_equal(hists_overflow(ONE(b)), 0);
    hist_record(&b->h, HIST_LIMIT);
    hist_record(&b->h, HIST_LIMIT + 12345);
    assert_int_equal(hists_overflow(ONE(b)), 2);
    assert_int_equal(quantile(ONE(b), 0.99), HIST_LIMIT + 12345);
    assert_int_equal(b->h.max, HIST_LIMIT + 12345);
    assert_int_equal(b->h.sum, 2 * HIST_LIMIT + 12348);
    free(b);
}

static void a_value_that_is_alone_is_told_exactly(void **state)
{
    struct rig *b = make();
    const uint64_t value = 123456789;
    (void)state;
    for (unsigned i = 0; i < 3; i++) hist_record(&b->h, value);
    assert_int_equal(quantile(ONE(b), 0.5), value);
    assert_int_equal(quantile(ONE(b), 0.999), value);
    free(b);
}

static void an_empty_one_has_quantiles_of_zero(void **state)
{
    uint64_t bound = 10, out = 1;
    struct rig *b = make();

    (void)state;
    assert_int_equal(quantile(ONE(b), 0), 0);
    assert_int_equal(quantile(ONE(b), 0.5), 0);
    assert_int_equal(quantile(ONE(b), 1), 0);
    hists_spread(ONE(b), &bound, 1, &out);
    assert_int_equal(out, 0);
    assert_int_equal(hists_overflow(ONE(b)), 0);
    free(b);
}

static void ranges_count_what_lies_in_them_to_three_digits(void **state)
{
    enum { BOUNDS = 40 };
    uint64_t bound[BOUNDS], low[BOUNDS] = {0}, out[BOUNDS], random = 7, sum = 0;
    struct rig *b = make();

    (void)state;
    for (unsigned i = 0; i < BOUNDS; i++) bound[i] = (UINT64_C(3) << i) / 2;
    for (unsigned n = 0; n < VALUES; n++) {
        const uint64_t value = draw(&random);
        hist_record(&b->h, value);
        for (unsigned i = 0; i < BOUNDS; i++)
            low[i] += value + value / HIST_STEPS <= bound[i]; /* surely in its bounds */
    }
    hists_spread(ONE(b), bound, BOUNDS, out);
    for (unsigned i = 0; i < BOUNDS; i++) {
        uint64_t most = low[i];
        sum += out[i];
        if (i + 1 < BOUNDS) most = low[i + 1];
        assert_in_range(sum, low[i], most);
    }
    hist_record(&b->h, bound[BOUNDS - 1] * 2);
    hist_record(&b->h, HIST_LIMIT);
    hists_spread(ONE(b), bound, BOUNDS, out);
    for (unsigned i = 0; i < BOUNDS; i++) sum -= out[i];
    assert_int_equal(sum, 0); /* what is above all bounds is in no range */
    free(b);
}

static void a_range_that_ends_at_a_bucket_is_exact(void **state)
{
    static const uint64_t bound[] = {9, 10, 2047};
    uint64_t out[COUNT_OF(bound)];
    struct rig *b = make();

    (void)state;
    for (uint64_t v = 0; v < 3000; v++) hist_record(&b->h, v);
    hists_spread(ONE(b), bound, COUNT_OF(bound), out);
    assert_int_equal(out[0], 10);
    assert_int_equal(out[1], 1);
    assert_int_equal(out[2], 2037);
    free(b);
}

UNIT_MAIN(UNIT(quantiles_are_those_of_the_sorted_values_to_three_digits),
          UNIT(every_small_value_has_a_bucket_of_its_own), UNIT(buckets_follow_each_other_without_gap_or_step_back),
          UNIT(several_are_read_as_if_all_had_been_recorded_in_one),
          UNIT(what_is_too_long_is_counted_and_its_max_is_exact), UNIT(an_empty_one_has_quantiles_of_zero),
          UNIT(a_value_that_is_alone_is_told_exactly), UNIT(ranges_count_what_lies_in_them_to_three_digits),
          UNIT(a_range_that_ends_at_a_bucket_is_exact))
