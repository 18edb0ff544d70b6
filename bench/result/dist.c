/* Distributions: histograms with the buckets of hist.h, of which only those that are not empty are kept. */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#include "bench/result/model.h"

const double dist_shares[DIST_QUANTILES] = {0.5, 0.9, 0.99, 0.999};

uint64_t dist_top(uint64_t value)
{
    return value >= HIST_LIMIT ? UINT64_MAX : value + (UINT64_C(1) << hist_shift(value)) - 1;
}

static bool is_start(uint64_t value)
{
    return value >= HIST_LIMIT ? value == HIST_LIMIT : (value & ((UINT64_C(1) << hist_shift(value)) - 1)) == 0;
}

static int read_bucket(struct dist *d, const json_t *pair, struct err *e)
{
    const json_t *value = json_array_get(pair, 0), *count = json_array_get(pair, 1);
    if (json_array_size(pair) != 2 || !json_is_integer(value) || !json_is_integer(count))
        return err_set(e, -EINVAL, "not a pair of whole numbers");
    const json_int_t given = json_integer_value(value), n = json_integer_value(count);
    const json_int_t v =
        given < (json_int_t)HIST_LIMIT ? given : (json_int_t)HIST_LIMIT; /* what overflows shares one bucket */
    struct dist_bucket *last = d->buckets ? &d->bucket[d->buckets - 1] : NULL;
    if (v < 0 || !is_start((uint64_t)v) || (last && (uint64_t)given <= last->value))
        return err_set(e, -EINVAL, "value %" JSON_INTEGER_FORMAT " does not begin the next bucket", given);
    if (n < 1 || n > RESULT_SAMPLES_MAX)
        return err_set(e, -EINVAL,
                       "value %" JSON_INTEGER_FORMAT " was seen %" JSON_INTEGER_FORMAT " times; 1 to %u are possible",
                       v, n, RESULT_SAMPLES_MAX);
    if (last && last->value == HIST_LIMIT)
        last->count += (uint64_t)n;
    else
        d->bucket[d->buckets++] = (struct dist_bucket){(uint64_t)v, (uint64_t)n};
    return 0;
}

static int read_buckets(struct dist *d, const json_t *hist, struct err *e)
{
    const size_t n = json_array_size(hist);
    if (n > HIST_BUCKETS) return err_set(e, -EINVAL, "%zu buckets; there are %u", n, HIST_BUCKETS);
    d->bucket = calloc(n ? n : 1, sizeof(*d->bucket));
    if (!d->bucket) return err_set(e, -ENOMEM, "out of memory");
    for (size_t i = 0; i < n; i++) {
        const int rc = read_bucket(d, json_array_get(hist, i), e);
        if (rc) return err_wrap(e, rc, "%zu", i);
    }
    return 0;
}

/* Do count, min and max fit the buckets? */
static bool is_consistent(const struct dist *d)
{
    uint64_t sum = 0;
    for (unsigned i = 0; i < d->buckets; i++) sum += d->bucket[i].count; /* HIST_BUCKETS * 2^28: no overflow */
    if (sum != d->count) return false;
    if (d->buckets == 0) return true;
    const uint64_t first = d->bucket[0].value, last = d->bucket[d->buckets - 1].value;
    return d->min >= first && d->min <= dist_top(first) && d->max >= last && d->max <= dist_top(last) &&
           d->min <= d->max;
}

int dist_read(struct dist *out, const json_t *h, struct err *e)
{
    struct dist d = {0};
    int rc = shape_read(SHAPE_distribution, h, &d, e);
    if (rc == 0) rc = err_wrap(e, read_buckets(&d, json_object_get(h, "hist"), e), "\"hist\"");
    if (rc == 0 && !is_consistent(&d)) rc = err_set(e, -EINVAL, "\"count\", \"min\" and \"max\" do not fit \"hist\"");
    if (rc == 0)
        *out = d;
    else
        dist_fini(&d);
    return rc;
}

void dist_write_buckets(struct json_out *j, const void *dist)
{
    const struct dist *d = dist;
    for (unsigned i = 0; i < d->buckets; i++) {
        json_put_array(j, NULL);
        json_put_uint(j, NULL, d->bucket[i].value);
        json_put_uint(j, NULL, d->bucket[i].count);
        json_put_end(j);
    }
}

int dist_merge(struct dist *into, const struct dist *from)
{
    if (from->count == 0) return 0;
    struct dist_bucket *merged = calloc(into->buckets + from->buckets, sizeof(*merged));
    if (!merged) return -ENOMEM;
    unsigned n = 0;
    for (unsigned a = 0, b = 0; a < into->buckets || b < from->buckets; n++) {
        const bool has_a = a < into->buckets, has_b = b < from->buckets;
        const uint64_t va = has_a ? into->bucket[a].value : UINT64_MAX, vb = has_b ? from->bucket[b].value : UINT64_MAX;
        merged[n].value = va < vb ? va : vb;
        if (has_a && va == merged[n].value) merged[n].count += into->bucket[a++].count;
        if (has_b && vb == merged[n].value) merged[n].count += from->bucket[b++].count;
    }
    free(into->bucket);
    into->min = into->count && into->min < from->min ? into->min : from->min;
    into->max = into->count && into->max > from->max ? into->max : from->max;
    into->count += from->count;
    into->sum += from->sum;
    into->bucket = merged;
    into->buckets = n;
    return 0;
}

void dist_fini(struct dist *d)
{
    free(d->bucket);
    *d = (struct dist){0};
}

uint64_t dist_at(const struct dist *d, uint64_t rank)
{
    uint64_t seen = 0;
    if (d->count == 0) return 0;
    for (unsigned i = 0; i < d->buckets; i++) {
        seen += d->bucket[i].count;
        if (seen < rank) continue;
        const uint64_t top = dist_top(d->bucket[i].value);
        return top < d->max ? top : d->max;
    }
    return d->max;
}

uint64_t dist_rank(const struct dist *d, double share)
{
    const double exact = share * (double)d->count;
    uint64_t rank = (uint64_t)exact;
    if ((double)rank < exact) rank++;
    if (rank < 1) rank = 1;
    return rank < d->count ? rank : d->count;
}

uint64_t dist_quantile(const struct dist *d, double share)
{
    return share <= 0 ? d->min : dist_at(d, dist_rank(d, share));
}

struct interval dist_interval(const struct dist *d, double share)
{
    uint64_t low, high;
    if (d->count == 0 || !statistics_quantile_ranks(d->count, share, &low, &high)) return (struct interval){0};
    return (struct interval){(double)dist_at(d, low), (double)dist_at(d, high), true};
}
