/* Cases worked out by hand, or by counting. */
#include <math.h>

#include "bench/statistics.h"
#include "tests/unit/unit.h"

static void assert_near(double got, double want, double within)
{
    if (!(__builtin_fabs(got - want) <= within)) fail_msg("%.12g is not %.12g within %g", got, want, within);
}

static void median_is_the_middle_or_between_the_middle_two(void **state)
{
    (void)state;
    double odd[] = {9, 1, 5}, even[] = {4, 1, 3, 100}, one[] = {7};
    assert_near(statistics_median(odd, 3), 5, 0);
    assert_near(statistics_median(even, 4), 3.5, 0);
    assert_near(statistics_median(one, 1), 7, 0);
}

static void bootstrap_needs_ten_values(void **state)
{
    (void)state;
    const double x[10] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10};
    assert_false(statistics_bootstrap(x, 9, statistics_median).is_known);
    assert_true(statistics_bootstrap(x, 10, statistics_median).is_known);
    assert_false(statistics_bootstrap_ratio(x, 10, x, 9).is_known);
}

/* Of a mean the interval is known: 1.96 standard errors to each side. 1 to 100: mean 50.5, deviation 28.87. */
static void bootstrap_of_a_mean_is_two_standard_errors_wide(void **state)
{
    (void)state;
    double x[100];
    for (unsigned i = 0; i < 100; i++) x[i] = i + 1;
    const struct interval got = statistics_bootstrap(x, 100, statistics_mean);
    assert_near(got.low, 50.5 - 1.96 * 2.887, 0.5);
    assert_near(got.high, 50.5 + 1.96 * 2.887, 0.5);
}

static void bootstrap_of_equal_values_has_no_width(void **state)
{
    (void)state;
    const double x[12] = {3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3}, y[12] = {6, 6, 6, 6, 6, 6, 6, 6, 6, 6, 6, 6};
    const struct interval one = statistics_bootstrap(x, 12, statistics_median);
    const struct interval ratio = statistics_bootstrap_ratio(x, 12, y, 12);
    assert_near(one.low, 3, 0);
    assert_near(one.high, 3, 0);
    assert_near(ratio.low, 2, 0);
    assert_near(ratio.high, 2, 0);
}

static void same_figures_give_the_same_interval(void **state)
{
    (void)state;
    const double x[11] = {5, 9, 2, 8, 4, 4, 7, 1, 3, 6, 10};
    const struct interval a = statistics_bootstrap(x, 11, statistics_median);
    const struct interval b = statistics_bootstrap(x, 11, statistics_median);
    assert_near(a.low, b.low, 0);
    assert_near(a.high, b.high, 0);
}

/* 3 and 3 values, all of one below all of the other: 2 of the 20 ways are as extreme. With 4 and 4, 2 of 70. One value
 * that crosses over, {1, 2, 4} against {3, 5, 6}: rank sums 6, 7 and 14, 15, so 4 of 20. */
static void permutation_counts_the_ways(void **state)
{
    (void)state;
    const double low[] = {1, 2, 3, 4}, high[] = {11, 12, 13, 14}, a[] = {1, 2, 4}, b[] = {3, 5, 6};
    assert_near(statistics_permutation(low, 3, high, 3), 2.0 / 20, 1e-12);
    assert_near(statistics_permutation(high, 3, low, 3), 2.0 / 20, 1e-12);
    assert_near(statistics_permutation(low, 4, high, 4), 2.0 / 70, 1e-12);
    assert_near(statistics_permutation(a, 3, b, 3), 4.0 / 20, 1e-12);
}

static void permutation_of_equal_values_is_one(void **state)
{
    (void)state;
    const double x[] = {7, 7, 7, 7}, many[50] = {0};
    assert_near(statistics_permutation(x, 4, x, 4), 1, 1e-12);
    assert_near(statistics_permutation(many, 50, many, 50), 1, 1e-12);
    assert_near(statistics_permutation(x, 0, x, 4), 1, 0);
}

/* {1, 1} against {1, 2}, doubled ranks 4, 4, 4, 8: of the 6 ways 3 hold the 8, all are as far from the middle. */
static void ties_have_their_mean_rank(void **state)
{
    (void)state;
    const double a[] = {1, 1}, b[] = {1, 2};
    assert_near(statistics_permutation(a, 2, b, 2), 1, 1e-12);
}

/* Where all ways are too many: 20 against 20 that do not overlap are 2 of 1.4e11; interleaved ones are no different. */
static void permutation_by_chance_agrees_with_what_is_known(void **state)
{
    (void)state;
    double low[20], high[20], even[20], odd[20];
    for (unsigned i = 0; i < 20; i++) {
        low[i] = i;
        high[i] = 100 + i;
        even[i] = 2 * i;
        odd[i] = 2 * i + 1;
    }
    assert_near(statistics_permutation(low, 20, high, 20), 1.0 / 10001, 1e-12);
    assert_true(statistics_permutation(even, 20, odd, 20) > 0.7);
    /* Rank sum 78; of all 184,756 ways 0.04326 are as far from 105 (all were counted once). */
    const double a[10] = {1, 2, 3, 4, 5, 7, 9, 11, 17, 19}, b[10] = {6, 8, 10, 12, 13, 14, 15, 16, 18, 20};
    assert_near(statistics_permutation(a, 10, b, 10), 0.04326, 0.006);
}

/* The numbers of samples below which a quantile has no upper bound: 0.025 = share^n. */
static void quantiles_need_their_samples(void **state)
{
    (void)state;
    static const struct {
        double share;
        uint64_t least;
    } cases[] = {{0.5, 6}, {0.9, 36}, {0.99, 368}, {0.999, 3688}};
    uint64_t low, high;
    for (unsigned i = 0; i < COUNT_OF(cases); i++) {
        assert_false(statistics_quantile_ranks(cases[i].least - 1, cases[i].share, &low, &high));
        assert_true(statistics_quantile_ranks(cases[i].least, cases[i].share, &low, &high));
        assert_int_equal(high, cases[i].least);
    }
}

/* Ten values, median: P(Bin(10, 1/2) <= 1) = 11/1024 = 0.011, <= 2 0.055; so ranks 2 and 9. */
static void quantile_ranks_are_those_of_the_binomial(void **state)
{
    (void)state;
    uint64_t low = 0, high = 0;
    assert_true(statistics_quantile_ranks(10, 0.5, &low, &high));
    assert_int_equal(low, 2);
    assert_int_equal(high, 9);
    /* A million: 1.96 * sqrt(n/4) = 980 to each side. */
    assert_true(statistics_quantile_ranks(1000000, 0.5, &low, &high));
    assert_in_range(low, 499018, 499022);
    assert_in_range(high, 500979, 500983);
}

static void jain_is_one_for_equals_and_one_over_n_for_one(void **state)
{
    (void)state;
    const double equal[] = {5, 5, 5}, one[] = {0, 0, 8, 0}, nothing[] = {0, 0}, lost[] = {1, 1, 1, 1, 1, 1, 1, 0.8};
    assert_near(statistics_jain(equal, 3), 1, 1e-15);
    assert_near(statistics_jain(one, 4), 0.25, 1e-15);
    assert_near(statistics_jain(nothing, 2), 1, 0);
    assert_near(statistics_jain(lost, 8), 7.8 * 7.8 / (8 * 7.64), 1e-15); /* 0.9954: a fifth lost hardly shows */
}

static void slope_finds_the_power(void **state)
{
    (void)state;
    const double x[] = {1, 10, 100, 1000}, inverse[] = {7, 0.7, 0.07, 0.007}, square[] = {2, 200, 20000, 2e6};
    const double holes[] = {7, 0, 0.07, -1}, flat[] = {4, 4, 4, 4}, same[] = {3, 3, 3, 3};
    assert_near(statistics_slope(x, inverse, 4), -1, 1e-12);
    assert_near(statistics_slope(x, square, 4), 2, 1e-12);
    assert_near(statistics_slope(x, holes, 4), -1, 1e-12);
    assert_near(statistics_slope(x, flat, 4), 0, 1e-12);
    assert_true(isnan(statistics_slope(same, inverse, 4)));
    assert_true(isnan(statistics_slope(x, holes, 1)));
}

/* Capacity 2 CPUs, nobody more than 1. */
static void weights_nobody_can_use_go_to_the_others(void **state)
{
    (void)state;
    static const struct {
        double weight[4], share[4];
        unsigned n;
    } cases[] = {
        {{1, 1, 1, 1}, {0.5, 0.5, 0.5, 0.5}, 4},
        {{1, 10, 1}, {0.5, 1, 0.5}, 3}, /* 10/12 of 2 is more than one CPU */
        {{1, 2, 4, 8}, {1.0 / 7, 2.0 / 7, 4.0 / 7, 1}, 4},
        {{100, 10, 1}, {1, 10.0 / 11, 1.0 / 11}, 3},
        {{100, 10, 1, 1}, {1, 10.0 / 12, 1.0 / 12, 1.0 / 12}, 4},
        {{1, 1}, {1, 1}, 2},
        {{3}, {1}, 1}, /* and one CPU stays idle */
    };
    for (unsigned i = 0; i < COUNT_OF(cases); i++) {
        double share[4];
        statistics_fill(cases[i].weight, cases[i].n, 2, 1, share);
        for (unsigned v = 0; v < cases[i].n; v++) assert_near(share[v], cases[i].share[v], 1e-12);
    }
}

UNIT_MAIN(UNIT(median_is_the_middle_or_between_the_middle_two), UNIT(bootstrap_needs_ten_values),
          UNIT(bootstrap_of_a_mean_is_two_standard_errors_wide), UNIT(bootstrap_of_equal_values_has_no_width),
          UNIT(same_figures_give_the_same_interval), UNIT(permutation_counts_the_ways),
          UNIT(permutation_of_equal_values_is_one), UNIT(ties_have_their_mean_rank),
          UNIT(permutation_by_chance_agrees_with_what_is_known), UNIT(quantiles_need_their_samples),
          UNIT(quantile_ranks_are_those_of_the_binomial), UNIT(jain_is_one_for_equals_and_one_over_n_for_one),
          UNIT(slope_finds_the_power), UNIT(weights_nobody_can_use_go_to_the_others))
