/* A result as HdrHistogram's percentile distribution, and as lines like those of kvm-unit-tests' vmexit.
 *
 * A distribution has four columns: value, percentile as a share, how many values are at or below it, 1/(1 - share). The
 * steps between percentiles halve each time the distance to 1 halves, STEPS of them each time. The last line has share
 * 1 and no fourth column. Lines with '#' follow, with figures of the whole. */
#include <inttypes.h>
#include <math.h>

#include "bench/result/model.h"

#define STEPS 5 /* in each half of the distance; what HdrHistogram itself prints by default */

static void hgrm_line(FILE *f, const struct dist *d, double share, double unit)
{
    const uint64_t value = dist_quantile(d, share), rank = dist_rank(d, share);
    uint64_t below = 0; /* with all values of the bucket, as they are at or below the value that is printed */
    for (unsigned i = 0; i < d->buckets && below < rank; i++) below += d->bucket[i].count;
    fprintf(f, "%15.3f %2.12f %10" PRIu64, (double)value * unit, share, below);
    if (share < 1) fprintf(f, " %14.2f", 1 / (1 - share));
    fputc('\n', f);
}

/* The middle of each bucket stands for its values. */
static double deviation(const struct dist *d, double mean)
{
    double squares = 0;
    for (unsigned i = 0; i < d->buckets; i++) {
        const uint64_t low = d->bucket[i].value, top = dist_top(low) < d->max ? dist_top(low) : d->max;
        const double off = ((double)low + (double)top) / 2 - mean;
        squares += off * off * (double)d->bucket[i].count;
    }
    return sqrt(squares / (double)d->count);
}

static void hgrm_row(FILE *f, const struct result_row *r, double unit)
{
    const struct dist *d = &r->phase[row_headline_phase(r)];
    const double mean = d->count ? d->sum / (double)d->count : 0;
    fprintf(f, "#[Row = %s, phase = %s, unit = ns, status = %s]\n", r->id, phase_names[row_headline_phase(r)],
            row_statuses[r->status]);
    if (d->count == 0) return;
    fputs("          Value     Percentile TotalCount 1/(1-Percentile)\n\n", f);
    double distance = 1; /* from the last halving to share 1 */
    for (unsigned step = 0; (1 - distance) * (double)d->count < (double)d->count - 0.5;) {
        hgrm_line(f, d, 1 - distance + distance / 2 * step / STEPS, unit);
        if (++step < STEPS) continue;
        step = 0;
        distance /= 2;
    }
    hgrm_line(f, d, 1, unit);
    for (unsigned i = 1; i < DIST_QUANTILES; i++)
        if (!dist_interval(d, dist_shares[i]).is_known)
            fprintf(f, "#[Note: p%g is n/a: %" PRIu64 " values are too few for it]\n", 100 * dist_shares[i], d->count);
    fprintf(f, "#[Mean    = %12.3f, StdDeviation   = %12.3f]\n", mean * unit, deviation(d, mean) * unit);
    fprintf(f, "#[Max     = %12.3f, Total count    = %12" PRIu64 "]\n", (double)d->max * unit, d->count);
    fprintf(f, "#[Buckets = %12d, SubBuckets     = %12u]\n", DIST_POWERS, DIST_STEPS);
}

void result_hgrm(FILE *f, const struct result *r)
{
    for (unsigned i = 0; i < r->rows; i++) hgrm_row(f, &r->row[i], 1e9 / environment_hz(r) / (double)r->row[i].batch);
}

void result_kut(FILE *f, const struct result *r)
{
    for (unsigned i = 0; i < r->rows; i++) {
        const struct result_row *row = &r->row[i];
        const double ticks = row_p50(row);
        if (isnan(ticks))
            fprintf(f, "SKIP %s (%s)\n", row->id, row_statuses[row->status]);
        else
            fprintf(f, "%s %.0f\n", row->id, ticks);
    }
}
