/* Statistics of small samples: what results and fairness are judged by. Pure functions; the random ones have a
 * generator of their own with a fixed seed, so that the same figures give the same answer everywhere. */
#ifndef VIREO_BENCH_STATISTICS_H
#define VIREO_BENCH_STATISTICS_H

#include <stdbool.h>
#include <stdint.h>

#define STATISTICS_MAX 1000 /* values of one sample that is resampled: more processes than anyone has patience for */

/* A statistic of n >= 1 values, which it may put into another order. */
typedef double statistics_fn(double *x, unsigned n);

struct interval {
    double low, high;
    bool is_known; /* false: too few values for one */
};

void statistics_sort(double *x, unsigned n);     /* ascending */
double statistics_median(double *x, unsigned n); /* a statistics_fn: sorts x; the mean of the middle two */
double statistics_mean(double *x, unsigned n);

/* Where the statistic lies with 95 % confidence: percentile bootstrap (Efron 1979), 2,000 resamples. Unknown for fewer
 * than STATISTICS_BOOTSTRAP_MIN or more than STATISTICS_MAX values. */
#define STATISTICS_BOOTSTRAP_MIN 10 /* fewer repeat the same few values: the interval comes out too narrow */
struct interval statistics_bootstrap(const double *x, unsigned n, statistics_fn *of);
/* The same of median(b) / median(a), each side resampled on its own. All values above 0. */
struct interval statistics_bootstrap_ratio(const double *a, unsigned na, const double *b, unsigned nb);

/* How likely chance alone, which value stands in which sample, makes a and b differ as they do or more: two-sided
 * permutation test of the rank sum, ties at their mean rank. Exact when there are few ways to share the values out,
 * else 10,000 random ones. 1 for an empty sample or more than STATISTICS_MAX values on a side. */
double statistics_permutation(const double *a, unsigned na, const double *b, unsigned nb);

/* Of n >= 1 sorted values: the ranks, 1 to n, between which the quantile (0 < share < 1) lies with 95 % confidence, by
 * order statistics: no assumption on the distribution. false when n is too small for them: p50 needs 6 values, p99 368,
 * p99.9 3,688. */
bool statistics_quantile_ranks(uint64_t n, double share, uint64_t *low, uint64_t *high);

/* (sum x)^2 / (n * sum x^2): 1 when all are equal, 1/n when one has all (Jain 1984). 1 when all are 0. */
double statistics_jain(const double *x, unsigned n);

/* Of log y over log x, by least squares: the k of y ~ x^k. Points with a figure that is not above 0 are left out; NaN
 * when fewer than two x are left. */
double statistics_slope(const double *x, const double *y, unsigned n);

/* Share capacity out by weight where nobody can take more than limit: who would get more gets limit, and what that
 * leaves goes to the others by weight (water-filling). Weights above 0. share[i]: in the unit of capacity. */
void statistics_fill(const double *weight, unsigned n, double capacity, double limit, double *share);

#endif
