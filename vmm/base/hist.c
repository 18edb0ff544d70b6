#include "vmm/base/hist.h"

static uint64_t load(const _Atomic uint64_t *at)
{
    return atomic_load_explicit(at, memory_order_relaxed);
}

void hist_init(struct hist *h, _Atomic uint64_t *buckets, _Atomic uint64_t *groups)
{
    h->bucket = buckets;
    h->group = groups;
    atomic_store_explicit(&h->count, 0, memory_order_relaxed);
    atomic_store_explicit(&h->sum, 0, memory_order_relaxed);
    atomic_store_explicit(&h->min, UINT64_MAX, memory_order_relaxed);
    atomic_store_explicit(&h->max, 0, memory_order_relaxed);
}

/* ---- several as one ---- */

/* The least and the highest value, and the groups that may hold something: reading the others' buckets would only touch
 * their pages. A writer at work records an event before it widens min and max, so a reader may miss the newest extreme
 * and nothing else. */
struct span {
    uint64_t min, max;
    unsigned first, end; /* groups */
};

static struct span used(const struct hists *h)
{
    struct span s = {.min = UINT64_MAX};
    for (unsigned i = 0; i < h->count; i++) {
        const uint64_t min = load(&h->of[i]->min), max = load(&h->of[i]->max);
        if (min < s.min) s.min = min;
        if (max > s.max) s.max = max;
    }
    if (s.min > s.max) return s;
    s.first = hist_index(s.min) / HIST_GROUP;
    s.end = hist_index(s.max) / HIST_GROUP + 1;
    return s;
}

static unsigned end_of(unsigned group)
{
    const unsigned end = (group + 1) * HIST_GROUP;
    return end < HIST_BUCKETS ? end : HIST_BUCKETS;
}

/* How many values the groups have, and all of them. Histogram by histogram: their memory, which other CPUs write, is
 * fetched ahead where it is read in a row. */
static uint64_t read_groups(const struct hists *h, const struct span *s, uint64_t group[HIST_GROUPS])
{
    uint64_t total = 0;
    for (unsigned g = s->first; g < s->end; g++) group[g] = 0;
    for (unsigned i = 0; i < h->count; i++) {
        for (unsigned g = s->first; g < s->end; g++) {
            const uint64_t n = load(&h->of[i]->group[g]);
            group[g] += n;
            total += n;
        }
    }
    return total;
}

/* How many values each bucket of a group has. */
static void read_group(const struct hists *h, unsigned group, uint64_t bucket[HIST_GROUP])
{
    const unsigned first = group * HIST_GROUP, n = end_of(group) - first;
    for (unsigned b = 0; b < HIST_GROUP; b++) bucket[b] = 0;
    for (unsigned i = 0; i < h->count; i++) {
        if (load(&h->of[i]->group[group]) == 0) continue;
        for (unsigned b = 0; b < n; b++) bucket[b] += load(&h->of[i]->bucket[first + b]);
    }
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

/* The value of the rank-th of a group, whose buckets these are. A writer may have counted in the group what its buckets
 * don't show yet: then it is the highest that they show. */
static uint64_t find_in(const uint64_t bucket[HIST_GROUP], unsigned group, uint64_t rank, uint64_t max)
{
    uint64_t seen = 0;
    unsigned at = 0;
    for (unsigned b = 0; b < HIST_GROUP && seen < rank; b++) {
        if (bucket[b]) at = b;
        seen += bucket[b];
    }
    const unsigned index = group * HIST_GROUP + at;
    const uint64_t top = top_of(index);
    return index == HIST_BUCKETS - 1 || top > max ? max : top;
}

void hist_add(struct hist *to, const struct hist *from)
{
    const struct hist *const one[] = {from};
    const struct hists h = {one, 1};
    const struct span s = used(&h);
    for (unsigned g = s.first; g < s.end; g++) {
        if (load(&from->group[g]) == 0) continue;
        hist_bump(&to->group[g], load(&from->group[g]));
        for (unsigned i = g * HIST_GROUP; i < end_of(g); i++)
            if (load(&from->bucket[i])) hist_bump(&to->bucket[i], load(&from->bucket[i]));
    }
    hist_bump(&to->sum, load(&from->sum));
    hist_bump(&to->count, load(&from->count));
    if (s.min < load(&to->min)) atomic_store_explicit(&to->min, s.min, memory_order_relaxed);
    if (s.max > load(&to->max)) atomic_store_explicit(&to->max, s.max, memory_order_relaxed);
}

void hists_quantiles(const struct hists *h, const double *share, unsigned n, uint64_t *out)
{
    const struct span s = used(h);
    uint64_t group[HIST_GROUPS], bucket[HIST_GROUP] = {0}, below = 0;
    unsigned at = s.first, is_read = HIST_GROUPS; /* the group whose buckets were read; none yet */
    if (s.min == s.max) {                         /* as of a single one: no bucket need be touched */
        for (unsigned i = 0; i < n; i++) out[i] = s.min;
        return;
    }
    const uint64_t total = read_groups(h, &s, group);
    for (unsigned i = 0; i < n; i++) {
        if (total == 0 || share[i] <= 0 || share[i] >= 1) {
            out[i] = total == 0 ? 0 : share[i] <= 0 ? s.min : s.max;
            continue;
        }
        const uint64_t rank = rank_of(share[i], total);
        while (below + group[at] < rank) below += group[at++]; /* it ends: rank is no more than all together */
        if (is_read != at) read_group(h, is_read = at, bucket);
        out[i] = find_in(bucket, at, rank - below, s.max);
    }
}

void hists_spread(const struct hists *h, const uint64_t *bound, unsigned n, uint64_t *out)
{
    const struct span s = used(h);
    uint64_t group[HIST_GROUPS];
    unsigned at = 0;
    for (unsigned i = 0; i < n; i++) out[i] = 0;
    (void)read_groups(h, &s, group);
    for (unsigned g = s.first; g < s.end; g++) {
        uint64_t bucket[HIST_GROUP];
        if (group[g] == 0) continue;
        read_group(h, g, bucket);
        for (unsigned i = g * HIST_GROUP; i < end_of(g) && i < HIST_BUCKETS - 1; i++) {
            const uint64_t count = bucket[i - g * HIST_GROUP];
            if (count == 0) continue;
            while (at < n && top_of(i) > bound[at]) at++;
            if (at == n) return;
            out[at] += count;
        }
    }
}

uint64_t hists_sum(const struct hists *h)
{
    uint64_t sum = 0;
    for (unsigned i = 0; i < h->count; i++) sum += load(&h->of[i]->sum);
    return sum;
}

uint64_t hists_overflow(const struct hists *h)
{
    uint64_t sum = 0;
    for (unsigned i = 0; i < h->count; i++)
        if (load(&h->of[i]->max) >= HIST_LIMIT) sum += load(&h->of[i]->bucket[HIST_BUCKETS - 1]);
    return sum;
}
