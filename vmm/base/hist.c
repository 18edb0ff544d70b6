#include "vmm/base/hist.h"

static uint64_t load(const _Atomic uint64_t *at)
{
    return atomic_load_explicit(at, memory_order_relaxed);
}

static void store(_Atomic uint64_t *at, uint64_t value)
{
    atomic_store_explicit(at, value, memory_order_relaxed);
}

/* The figures of an empty histogram; its buckets are zero. */
static void reset(struct hist *h)
{
    store(&h->count, 0);
    store(&h->sum, 0);
    store(&h->min, UINT64_MAX);
    store(&h->max, 0);
}

void hist_init(struct hist *h, _Atomic uint64_t *buckets)
{
    h->bucket = buckets;
    reset(h);
}

/* The buckets that may hold something: reading the others would only touch their pages. A writer at work records an
 * event before it widens min and max, so a reader may miss the newest extreme and nothing else. */
struct span {
    unsigned first, end;
};

static struct span used(const struct hist *h)
{
    const uint64_t min = load(&h->min), max = load(&h->max);
    if (min > max) return (struct span){0, 0};
    return (struct span){hist_index(min), hist_index(max) + 1};
}

void hist_clear(struct hist *h)
{
    const struct span s = used(h);
    for (unsigned i = s.first; i < s.end; i++) store(&h->bucket[i], 0);
    reset(h);
}

void hist_merge(struct hist *into, const struct hist *from)
{
    const uint64_t min = load(&from->min), max = load(&from->max);
    const struct span s = used(from);
    uint64_t added = 0;
    for (unsigned i = s.first; i < s.end; i++) {
        const uint64_t n = load(&from->bucket[i]);
        if (n == 0) continue;
        hist_bump(&into->bucket[i], n);
        added += n;
    }
    hist_bump(&into->count, added);
    hist_bump(&into->sum, load(&from->sum));
    if (min < load(&into->min)) store(&into->min, min);
    if (max > load(&into->max)) store(&into->max, max);
}

/* The highest value of a bucket. */
static uint64_t top_of(unsigned index)
{
    if (index < 2 * HIST_STEPS) return index;
    const unsigned shift = index / HIST_STEPS - 1;
    const uint64_t step = index % HIST_STEPS + HIST_STEPS;
    return ((step + 1) << shift) - 1;
}

/* How many values stand at or below the one that is asked for: 1..total. */
static uint64_t rank_of(double share, uint64_t total)
{
    const double exact = share * (double)total;
    uint64_t rank = (uint64_t)exact;
    if ((double)rank < exact) rank++;
    if (rank < 1) rank = 1;
    return rank < total ? rank : total;
}

uint64_t hist_quantile(const struct hist *h, double share)
{
    const uint64_t min = load(&h->min), max = load(&h->max);
    const struct span s = used(h);
    uint64_t total = 0, seen = 0;
    for (unsigned i = s.first; i < s.end; i++) total += load(&h->bucket[i]);
    if (total == 0) return 0;
    if (share <= 0) return min;
    if (share >= 1) return max;
    const uint64_t rank = rank_of(share, total);
    for (unsigned i = s.first; i < s.end; i++) {
        seen += load(&h->bucket[i]);
        if (seen < rank) continue;
        const uint64_t top = i == HIST_BUCKETS - 1 ? max : top_of(i);
        return top < max ? top : max;
    }
    return max;
}

uint64_t hist_overflow(const struct hist *h)
{
    return load(&h->max) < HIST_LIMIT ? 0 : load(&h->bucket[HIST_BUCKETS - 1]);
}
