/* A histogram of durations: every value to three significant digits, in fixed memory.
 *
 * Log-linear: each power of two is cut into HIST_STEPS equal steps, so a bucket is never wider than a thousandth of its
 * values, and values below 2 * HIST_STEPS are exact. What is HIST_LIMIT or more shares one last bucket and is counted
 * as overflow; min, max and sum stay exact for it too.
 *
 * One writer; any number of readers while it writes. Every figure is a relaxed atomic that only grows (min only
 * shrinks), so a reader sees each as it was at some moment, but not all at the same one: the buckets may hold an event
 * that count does not hold yet. After the writer has stopped (joined) all agree.
 *
 * The buckets are the caller's zeroed memory, apart from the figures: mapped and not touched they cost nothing, and
 * each power of two that is seen costs HIST_STEPS * 8 bytes. Beside them stands how many each group of buckets holds,
 * so that a reader looks at some hundred words of a histogram and not at its thousands. */
#ifndef VIREO_BASE_HIST_H
#define VIREO_BASE_HIST_H

#include <stdatomic.h>
#include <stdint.h>

#define HIST_STEP_BITS 10 /* 1024 steps: the fewest that keep three decimal digits apart */
#define HIST_STEPS     (1u << HIST_STEP_BITS)
#define HIST_BITS      42 /* of a value: 20 minutes of a 3.5 GHz counter, an hour of nanoseconds; longer waits overflow */
#define HIST_LIMIT     (UINT64_C(1) << HIST_BITS)
#define HIST_BUCKETS   ((HIST_BITS - HIST_STEP_BITS + 1) * HIST_STEPS + 1) /* the last one: overflow */

/* Buckets: as many groups as buckets in a group, or nearly; a reader sees the least that way. */
#define HIST_GROUP  128
#define HIST_GROUPS ((HIST_BUCKETS + HIST_GROUP - 1) / HIST_GROUP)

struct hist {
    _Atomic uint64_t count, sum;
    _Atomic uint64_t min, max; /* UINT64_MAX and 0 while there is none */
    _Atomic uint64_t *bucket;  /* HIST_BUCKETS of them; written by hist_init only, as is the next */
    _Atomic uint64_t *group;   /* HIST_GROUPS of them: what the buckets of each hold together */
};

/* buckets: HIST_BUCKETS zeros, groups: HIST_GROUPS of them, which stay the caller's and outlive h. */
void hist_init(struct hist *h, _Atomic uint64_t *buckets, _Atomic uint64_t *groups);

/* What `from` holds, added to `to`, whose writer the caller is. Nobody writes `from`, else a value may be left out. */
void hist_add(struct hist *to, const struct hist *from);

/* Several that are read as one; each may be written meanwhile. */
struct hists {
    const struct hist *const *of;
    unsigned count;
};
/* out[i]: the least value that at least share[i] (0 to 1) of the values do not exceed, to three digits: nearest rank.
 * Share 0 is min, 1 is max, exactly. 0 when there is none. The n shares rise. */
void hists_quantiles(const struct hists *h, const double *share, unsigned n, uint64_t *out);
/* How the values spread over the ranges that n rising bounds end: out[i] counts those above bound[i - 1] and at most
 * bound[i], to three digits; what is above all bounds is in none. */
void hists_spread(const struct hists *h, const uint64_t *bound, unsigned n, uint64_t *out);
uint64_t hists_sum(const struct hists *h);
uint64_t hists_overflow(const struct hists *h); /* how many were HIST_LIMIT or more */

/* Of one writer: a load, an addition and a store, no locked instruction. */
static inline void hist_bump(_Atomic uint64_t *at, uint64_t by)
{
    atomic_store_explicit(at, atomic_load_explicit(at, memory_order_relaxed) + by, memory_order_relaxed);
}

/* How many values this one's bucket stands for, as a shift; they begin at a multiple of that. */
static inline unsigned hist_shift(uint64_t value)
{
    const unsigned top = 63u - (unsigned)__builtin_clzll(value | HIST_STEPS); /* the highest bit that counts */
    return top - HIST_STEP_BITS;
}

static inline unsigned hist_index(uint64_t value)
{
    if (value >= HIST_LIMIT) return HIST_BUCKETS - 1;
    const unsigned shift = hist_shift(value);
    return shift * HIST_STEPS + (unsigned)(value >> shift);
}

/* Writer only. */
static inline void hist_record(struct hist *h, uint64_t value)
{
    const unsigned index = hist_index(value);
    hist_bump(&h->bucket[index], 1);
    hist_bump(&h->group[index / HIST_GROUP], 1);
    hist_bump(&h->sum, value);
    hist_bump(&h->count, 1);
    if (value < atomic_load_explicit(&h->min, memory_order_relaxed))
        atomic_store_explicit(&h->min, value, memory_order_relaxed);
    if (value > atomic_load_explicit(&h->max, memory_order_relaxed))
        atomic_store_explicit(&h->max, value, memory_order_relaxed);
}

#endif
