/* Statistics of small samples, by which results and fairness are judged. Pure functions: those that draw at random have
 * a generator of their own with a fixed seed, so that the same figures give the same answer everywhere. */
#ifndef VIREO_BENCH_STATISTICS_H
#define VIREO_BENCH_STATISTICS_H

#include <stdbool.h>
#include <stdint.h>

#define STATISTICS_MAX 1000 /* values of a sample that is resampled: more processes than anyone waits for */

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
/* The same of median(b) / median(a), where each side is resampled on its own. All values must be above 0. */
struct interval statistics_bootstrap_ratio(const double *a, unsigned na, const double *b, unsigned nb);

/* How likely chance alone makes a and b differ at least as much as they do: two-sided permutation test of the rank sum,
 * with ties at their mean rank. It is exact when there are few ways to divide the values between a and b, otherwise it
 * tries 10,000 random ones. 1 for an empty sample or more than STATISTICS_MAX values on a side. */
double statistics_permutation(const double *a, unsigned na, const double *b, unsigned nb);

/* The ranks, 1 to n, between which a quantile (0 < share < 1) of n >= 1 sorted values lies with 95 % confidence. They
 * are order statistics, which assume nothing of the distribution. false: n is too small. p50 needs 6 values, p99 368,
 * p99.9 3,688. */
bool statistics_quantile_ranks(uint64_t n, double share, uint64_t *low, uint64_t *high);

/* (sum x)^2 / (n * sum x^2): 1 when all are equal, 1/n when one has all (Jain 1984). 1 when all are 0. */
double statistics_jain(const double *x, unsigned n);

/* The k of y ~ x^k: the slope of log y over log x, by least squares. Points where x or y is not above 0 are left out.
 * NaN when fewer than two different x are left. */
double statistics_slope(const double *x, const double *y, unsigned n);

/* Divide capacity by weight where nobody can take more than limit: whoever would get more gets limit, and the rest goes
 * to the others by weight (water-filling). Weights must be above 0. share[i] is in the unit of capacity. */
void statistics_fill(const double *weight, unsigned n, double capacity, double limit, double *share);

#endif
