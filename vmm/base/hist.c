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

void hist_init(struct hist *h, _Atomic uint64_t *buckets, _Atomic uint64_t *groups)
{
    h->bucket = buckets;
    h->group = groups;
    reset(h);
}

/* The groups that may hold something: reading the others' buckets would only touch their pages. A writer at work
 * records an event before it widens min and max, so a reader may miss the newest extreme and nothing else. */
struct span {
    unsigned first, end;
};

static struct span used(const struct hist *h)
{
    const uint64_t min = load(&h->min), max = load(&h->max);
    if (min > max) return (struct span){0, 0};
    return (struct span){hist_index(min) / HIST_GROUP, hist_index(max) / HIST_GROUP + 1};
}

static unsigned end_of(unsigned group)
{
    const unsigned end = (group + 1) * HIST_GROUP;
    return end < HIST_BUCKETS ? end : HIST_BUCKETS;
}

void hist_clear(struct hist *h)
{
    const struct span s = used(h);
    for (unsigned g = s.first; g < s.end; g++) {
        if (load(&h->group[g]) == 0) continue;
        for (unsigned i = g * HIST_GROUP; i < end_of(g); i++) store(&h->bucket[i], 0);
        store(&h->group[g], 0);
    }
    reset(h);
}

/* What hist_bump does, but the first touch of a page is a write. Where it is a read, the kernel maps a page of zeros,
 * which the write that follows replaces: a second fault, and every CPU that runs a thread of ours is interrupted. */
static void add(_Atomic uint64_t *at, uint64_t by)
{
    (void)atomic_fetch_add_explicit(at, by, memory_order_relaxed);
}

static uint64_t merge_group(struct hist *into, const struct hist *from, unsigned g)
{
    uint64_t added = 0;
    for (unsigned i = g * HIST_GROUP; i < end_of(g); i++) {
        const uint64_t n = load(&from->bucket[i]);
        if (n == 0) continue;
        add(&into->bucket[i], n);
        added += n;
    }
    add(&into->group[g], added);
    return added;
}

void hist_merge(struct hist *into, const struct hist *from)
{
    const uint64_t min = load(&from->min), max = load(&from->max);
    const struct span s = used(from);
    uint64_t added = 0;
    for (unsigned g = s.first; g < s.end; g++)
        if (load(&from->group[g])) added += merge_group(into, from, g);
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

/* The value of the rank-th of a group. A writer may have counted in the group what its buckets don't show yet: then it
 * is the highest that they show. */
static uint64_t find_in(const struct hist *h, unsigned g, uint64_t rank)
{
    unsigned at = g * HIST_GROUP;
    uint64_t seen = 0;
    for (unsigned i = at; i < end_of(g) && seen < rank; i++) {
        const uint64_t n = load(&h->bucket[i]);
        if (n) at = i;
        seen += n;
    }
    const uint64_t max = load(&h->max), top = top_of(at);
    return at == HIST_BUCKETS - 1 || top > max ? max : top;
}

uint64_t hist_quantile(const struct hist *h, double share)
{
    const struct span s = used(h);
    uint64_t total = 0, seen = 0;
    for (unsigned g = s.first; g < s.end; g++) total += load(&h->group[g]);
    if (total == 0) return 0;
    if (share <= 0) return load(&h->min);
    if (share >= 1) return load(&h->max);
    const uint64_t rank = rank_of(share, total);
    for (unsigned g = s.first; g < s.end; g++) {
        const uint64_t n = load(&h->group[g]);
        if (seen + n >= rank) return find_in(h, g, rank - seen);
        seen += n;
    }
    return load(&h->max);
}

void hist_spread(const struct hist *h, const uint64_t *bound, unsigned n, uint64_t *out)
{
    const struct span s = used(h);
    unsigned at = 0;
    for (unsigned i = 0; i < n; i++) out[i] = 0;
    for (unsigned g = s.first; g < s.end; g++) {
        if (load(&h->group[g]) == 0) continue;
        for (unsigned i = g * HIST_GROUP; i < end_of(g) && i < HIST_BUCKETS - 1; i++) {
            const uint64_t count = load(&h->bucket[i]);
            if (count == 0) continue;
            while (at < n && top_of(i) > bound[at]) at++;
            if (at == n) return;
            out[at] += count;
        }
    }
}

uint64_t hist_overflow(const struct hist *h)
{
    return load(&h->max) < HIST_LIMIT ? 0 : load(&h->bucket[HIST_BUCKETS - 1]);
}
