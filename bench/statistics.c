#include "bench/statistics.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define RESAMPLES     2000  /* so each bound of a 95 % interval rests on 50 of them */
#define PERMUTATIONS  10000 /* p = 0.05 comes out within 0.004 */
#define EXACT_MAX     20000 /* try all divisions if there are no more; 8 and 8 values have 12,870 */
#define EXACT_BITS    32    /* values of both samples, of which a bit mask is a set */
#define CONFIDENCE    0.95
#define TAIL          ((1 - CONFIDENCE) / 2)
#define TERM_VANISHED 1e-18 /* part of the largest term; the sum of all that follow is below a double's last place */

static int by_value(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

void statistics_sort(double *x, unsigned n)
{
    qsort(x, n, sizeof(*x), by_value);
}

double statistics_median(double *x, unsigned n)
{
    statistics_sort(x, n);
    return n % 2 ? x[n / 2] : (x[n / 2 - 1] + x[n / 2]) / 2;
}

double statistics_mean(double *x, unsigned n)
{
    double sum = 0;
    for (unsigned i = 0; i < n; i++) sum += x[i];
    return sum / n;
}

/* ---- chance: a 64-bit counter whose every step is scrambled ---- */

static uint64_t next_random(uint64_t *state)
{
    uint64_t z = *state += UINT64_C(0x9e3779b97f4a7c15); /* 2^64 / golden ratio; odd, so all 2^64 states occur */
    z = (z ^ z >> 32) * UINT64_C(0xd6e8feb86659fd93);
    z = (z ^ z >> 32) * UINT64_C(0xd6e8feb86659fd93);
    return z ^ z >> 32;
}

/* 0 to n - 1, by the upper bits of a product, whose bias is 2^-22 for n this small. */
static unsigned next_below(uint64_t *state, unsigned n)
{
    return (unsigned)((next_random(state) >> 32) * n >> 32);
}

static double resampled(const double *x, unsigned n, statistics_fn *of, uint64_t *state)
{
    double drawn[STATISTICS_MAX];
    for (unsigned i = 0; i < n; i++) drawn[i] = x[next_below(state, n)];
    return of(drawn, n);
}

static bool can_resample(unsigned n)
{
    return n >= STATISTICS_BOOTSTRAP_MIN && n <= STATISTICS_MAX;
}

/* The interval between the tails of RESAMPLES values. */
static struct interval middle(double *value)
{
    const unsigned cut = (unsigned)(RESAMPLES * TAIL);
    statistics_sort(value, RESAMPLES);
    return (struct interval){value[cut], value[RESAMPLES - 1 - cut], true};
}

struct interval statistics_bootstrap(const double *x, unsigned n, statistics_fn *of)
{
    double value[RESAMPLES];
    uint64_t state = 0;
    if (!can_resample(n)) return (struct interval){0};
    for (unsigned i = 0; i < RESAMPLES; i++) value[i] = resampled(x, n, of, &state);
    return middle(value);
}

struct interval statistics_bootstrap_ratio(const double *a, unsigned na, const double *b, unsigned nb)
{
    double value[RESAMPLES];
    uint64_t state = 0;
    if (!can_resample(na) || !can_resample(nb)) return (struct interval){0};
    for (unsigned i = 0; i < RESAMPLES; i++) {
        const double below = resampled(a, na, statistics_median, &state);
        value[i] = resampled(b, nb, statistics_median, &state) / below;
    }
    return middle(value);
}

/* ---- permutation test ---- */

/* Ranks are doubled, so that the mean of two is whole. */
struct ranks {
    uint32_t rank[2 * STATISTICS_MAX]; /* of a's values first, then of b's */
    unsigned n, na;
    uint64_t centre; /* what twice the rank sum of a is on average */
};

struct ranked {
    double value;
    unsigned index;
};

static int by_ranked_value(const void *a, const void *b)
{
    return by_value(&((const struct ranked *)a)->value, &((const struct ranked *)b)->value);
}

static void rank_all(struct ranks *r, const double *a, const double *b)
{
    struct ranked sorted[2 * STATISTICS_MAX] = {{0}};
    for (unsigned i = 0; i < r->n; i++) sorted[i] = (struct ranked){i < r->na ? a[i] : b[i - r->na], i};
    qsort(sorted, r->n, sizeof(sorted[0]), by_ranked_value);
    for (unsigned first = 0, end; first < r->n; first = end) {
        for (end = first + 1; end < r->n && sorted[end].value <= sorted[first].value;) end++;
        for (unsigned i = first; i < end; i++) r->rank[sorted[i].index] = first + 1 + end;
    }
}

static uint64_t distance(const struct ranks *r, uint64_t sum)
{
    return sum > r->centre ? sum - r->centre : r->centre - sum;
}

static uint64_t ways(unsigned n, unsigned k)
{
    uint64_t c = 1;
    for (unsigned i = 1; i <= k && c <= EXACT_MAX; i++) c = c * (n - k + i) / i;
    return c;
}

static double try_all(const struct ranks *r, uint64_t seen)
{
    uint64_t extreme = 0, tried = 0;
    for (uint64_t set = (1ull << r->na) - 1; set < 1ull << r->n; tried++) {
        uint64_t sum = 0;
        for (uint64_t left = set; left; left &= left - 1) sum += r->rank[__builtin_ctzll(left)];
        extreme += distance(r, sum) >= seen;
        const uint64_t up = set + (set & -set); /* the next larger number with as many bits */
        set = up | (set ^ up) >> (2 + __builtin_ctzll(set));
    }
    return (double)extreme / (double)tried;
}

/* The division that was seen counts too, so that chance is never called impossible. */
static double try_some(struct ranks *r, uint64_t seen)
{
    uint64_t state = 0, extreme = 1;
    for (unsigned t = 0; t < PERMUTATIONS; t++) {
        uint64_t sum = 0;
        for (unsigned i = 0; i < r->na; i++) {
            const unsigned other = i + next_below(&state, r->n - i);
            const uint32_t drawn = r->rank[other];
            r->rank[other] = r->rank[i];
            r->rank[i] = drawn;
            sum += drawn;
        }
        extreme += distance(r, sum) >= seen;
    }
    return (double)extreme / (PERMUTATIONS + 1);
}

double statistics_permutation(const double *a, unsigned na, const double *b, unsigned nb)
{
    if (na == 0 || nb == 0 || na > STATISTICS_MAX || nb > STATISTICS_MAX) return 1;
    struct ranks r = {.n = na + nb, .na = na, .centre = (uint64_t)na * (na + nb + 1)};
    uint64_t sum = 0;
    rank_all(&r, a, b);
    for (unsigned i = 0; i < na; i++) sum += r.rank[i];
    const uint64_t seen = distance(&r, sum);
    const bool is_small = r.n <= EXACT_BITS && ways(r.n, na) <= EXACT_MAX;
    return is_small ? try_all(&r, seen) : try_some(&r, seen);
}

/* ---- quantiles ---- */

/* The number of values below the quantile is binomial. Its terms are computed from the largest one outwards, each from
 * its neighbour, and divided by their sum at the end. This needs no factorial, and nothing can underflow. */
struct binomial {
    uint64_t n, first, mode;
    double share;
};

static double step_up(const struct binomial *b, uint64_t k) /* term k + 1 over term k */
{
    return (double)(b->n - k) / (double)(k + 1) * (b->share / (1 - b->share));
}

/* The sum of all terms, of which the largest is 1. b->first becomes the first one that matters, *at_first its size. */
static double sum_terms(struct binomial *b, double *at_first)
{
    double sum = 1, term = 1;
    for (uint64_t k = b->mode; k < b->n && term > TERM_VANISHED; k++) sum += term *= step_up(b, k);
    term = 1;
    for (b->first = b->mode; b->first > 0 && term > TERM_VANISHED; b->first--) sum += term /= step_up(b, b->first - 1);
    *at_first = term;
    return sum;
}

bool statistics_quantile_ranks(uint64_t n, double share, uint64_t *low, uint64_t *high)
{
    struct binomial b = {.n = n, .share = share, .mode = (uint64_t)((double)n * share)};
    double term, below = 0;
    const double all = sum_terms(&b, &term);
    uint64_t from = 0;
    for (uint64_t k = b.first; k < n; k++) { /* below: the chance that at most k values are under the quantile */
        below += term / all;
        term *= step_up(&b, k);
        if (below <= TAIL) from = k + 1;
        if (below < 1 - TAIL) continue;
        if (from == 0) return false;
        *low = from;
        *high = k + 1;
        return true;
    }
    return false;
}

/* ---- fairness ---- */

double statistics_jain(const double *x, unsigned n)
{
    double sum = 0, squares = 0;
    for (unsigned i = 0; i < n; i++) {
        sum += x[i];
        squares += x[i] * x[i];
    }
    return squares > 0 ? sum * sum / (n * squares) : 1;
}

double statistics_slope(const double *x, const double *y, unsigned n)
{
    double sx = 0, sy = 0, sxx = 0, sxy = 0, used = 0;
    for (unsigned pass = 0; pass < 2; pass++) { /* the means first, as differences from them lose no digits */
        const double mx = pass ? sx / used : 0, my = pass ? sy / used : 0;
        for (unsigned i = 0; i < n; i++) {
            if (!(x[i] > 0 && y[i] > 0)) continue;
            const double lx = log(x[i]) - mx, ly = log(y[i]) - my;
            if (pass == 0) {
                sx += lx;
                sy += ly;
                used++;
            } else {
                sxx += lx * lx;
                sxy += lx * ly;
            }
        }
    }
    return sxx > 0 ? sxy / sxx : NAN;
}

void statistics_fill(const double *weight, unsigned n, double capacity, double limit, double *share)
{
    for (unsigned i = 0; i < n; i++) share[i] = -1; /* not limited yet */
    for (bool has_changed = true; has_changed;) {
        double weights = 0, left = capacity;
        for (unsigned i = 0; i < n; i++) {
            if (share[i] >= 0)
                left -= limit;
            else
                weights += weight[i];
        }
        has_changed = false;
        for (unsigned i = 0; i < n; i++) {
            if (share[i] >= 0 || left * weight[i] <= limit * weights) continue;
            share[i] = limit;
            has_changed = true;
        }
        for (unsigned i = 0; i < n && !has_changed; i++)
            if (share[i] < 0) share[i] = left * weight[i] / weights;
    }
}
