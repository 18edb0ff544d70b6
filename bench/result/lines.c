/* A result for other programs: CSV, HdrHistogram's percentile text, lines as kvm-unit-tests' vmexit prints them. */
#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "bench/result/model.h"
#include "bench/result/parse.h"
#include "bench/result/table.h"

/* ---- CSV (RFC 4180, lines ended by LF) ---- */

static void csv_text(FILE *f, const char *s)
{
    fputc('"', f);
    for (; *s; s++) {
        if (*s == '"') fputc('"', f);
        fputc((unsigned char)*s < ' ' ? ' ' : *s, f);
    }
    fputc('"', f);
}

static void csv_number(FILE *f, bool is_known, double v)
{
    fputc(',', f); /* unknown: an empty field */
    if (is_known) fprintf(f, "%.12g", v);
}

static void csv_phase(FILE *f, const struct result_row *r, enum phase p, double ns)
{
    static const double share[] = {0, 0.5, 0.9, 0.99, 0.999, 1};
    const struct dist *d = &r->phase[p];
    struct interval bounds;
    const bool is_headline = p == row_headline_phase(r);
    const double headline = row_headline(r, &bounds);
    fprintf(f, "%s,%s,%s,%s,%u,%" PRIu64, r->id, r->group, row_status_name(r->status), phase_name(p), r->batch,
            d->count);
    for (unsigned i = 0; i < 6; i++) {
        const double ticks = (double)dist_quantile(d, share[i]) / r->batch;
        csv_number(f, d->count, ticks);
        csv_number(f, d->count, ticks * ns);
    }
    csv_number(f, is_headline && headline >= 0, headline * ns);
    csv_number(f, is_headline && bounds.is_known, bounds.low * ns);
    csv_number(f, is_headline && bounds.is_known, bounds.high * ns);
    csv_number(f, true, r->processes);
    csv_number(f, r->has_expected, (double)r->exits_expected);
    csv_number(f, r->has_exits, (double)r->exits_counted);
    fputc(',', f);
    csv_text(f, r->detail);
    fputc('\n', f);
}

static void csv_exits(FILE *f, const struct result *r)
{
    fputs("row,group,status,phase,batch,count,min_ticks,min_ns,p50_ticks,p50_ns,p90_ticks,p90_ns,p99_ticks,p99_ns,"
          "p999_ticks,p999_ns,max_ticks,max_ns,headline_ns,headline_low_ns,headline_high_ns,processes,exits_expected,"
          "exits_counted,detail\n",
          f);
    for (unsigned i = 0; i < r->rows; i++) {
        const struct result_row *row = &r->row[i];
        for (unsigned p = 0; p < PHASE_COUNT; p++)
            if (row->phase[p].count || p == row_headline_phase(row)) csv_phase(f, row, p, 1e9 / environment_hz(r));
    }
}

static void csv_finding(FILE *f, const json_t *x, const json_t *finding, const char *verdict)
{
    const json_t *statistic = json_object_get(finding, "statistic"), *bound = json_object_get(finding, "bound");
    fprintf(f, "%s,", json_text(x, "id", ""));
    csv_text(f, json_text(x, "variant", ""));
    fprintf(f, ",%.0f,%s,%s,%s", json_number_value(json_object_get(x, "process")), json_text(x, "status", ""),
            json_text(finding, "id", ""), verdict);
    csv_number(f, json_is_number(statistic), json_number_value(statistic));
    csv_number(f, json_is_number(bound), json_number_value(bound));
    fputc(',', f);
    csv_text(f, json_text(finding, "unit", ""));
    fputc(',', f);
    csv_text(f, json_text(finding, "text", ""));
    fputc(',', f);
    csv_text(f, finding ? json_text(finding, "reason", "") : json_text(x, "detail", ""));
    fputc('\n', f);
}

static void csv_experiments(FILE *f, const struct result *r)
{
    fputs("experiment,variant,process,status,property,verdict,statistic,bound,unit,text,reason\n", f);
    for (size_t i = 0; i < json_array_size(r->experiments); i++) {
        const json_t *x = json_array_get(r->experiments, i), *one;
        const json_t *identities = json_object_get(x, "identities"), *properties = json_object_get(x, "properties");
        size_t n;
        json_array_foreach(identities, n, one)
        {
            const json_t *holds = json_object_get(one, "holds");
            csv_finding(f, x, one, json_is_true(holds) ? "holds" : json_is_false(holds) ? "fails" : "unknown");
        }
        json_array_foreach(properties, n, one)
        {
            csv_finding(f, x, one, json_text(one, "verdict", ""));
        }
        if (json_array_size(identities) + json_array_size(properties) == 0) csv_finding(f, x, NULL, "");
    }
}

void result_csv(FILE *f, const struct result *r)
{
    if (strcmp(r->kind, "exits") == 0)
        csv_exits(f, r);
    else
        csv_experiments(f, r);
}

/* ---- HdrHistogram's percentile distribution ----
 *
 * Four columns: value, percentile as a share, how many values are at or below it, 1/(1 - share). The steps between
 * percentiles halve each time the distance to 1 halves, STEPS of them each time; the last line has share 1 and no
 * fourth column; figures of the whole follow behind '#'. */

#define STEPS 5 /* in a half distance, as HdrHistogram's own output has by default */

static void hgrm_line(FILE *f, const struct dist *d, double share, double unit)
{
    const uint64_t value = dist_quantile(d, share), rank = dist_rank(d, share);
    uint64_t below = 0; /* all of the value's bucket: what is printed stands at or below it */
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
    fprintf(f, "#[Row = %s, phase = %s, unit = ns, status = %s]\n", r->id, phase_name(row_headline_phase(r)),
            row_status_name(r->status));
    if (d->count == 0) return;
    fputs("          Value     Percentile TotalCount 1/(1-Percentile)\n\n", f);
    double distance = 1; /* to share 1, halved as the shares pass its middle */
    for (unsigned step = 0; (1 - distance) * (double)d->count < (double)d->count - 0.5;) {
        hgrm_line(f, d, 1 - distance + distance / 2 * step / STEPS, unit);
        if (++step < STEPS) continue;
        step = 0;
        distance /= 2;
    }
    hgrm_line(f, d, 1, unit);
    fprintf(f, "#[Mean    = %12.3f, StdDeviation   = %12.3f]\n", mean * unit, deviation(d, mean) * unit);
    fprintf(f, "#[Max     = %12.3f, Total count    = %12" PRIu64 "]\n", (double)d->max * unit, d->count);
    fprintf(f, "#[Buckets = %12d, SubBuckets     = %12u]\n", DIST_POWERS, DIST_STEPS);
}

void result_hgrm(FILE *f, const struct result *r)
{
    for (unsigned i = 0; i < r->rows; i++) hgrm_row(f, &r->row[i], 1e9 / environment_hz(r) / r->row[i].batch);
}

/* ---- kvm-unit-tests ---- */

void result_kut(FILE *f, const struct result *r)
{
    for (unsigned i = 0; i < r->rows; i++) {
        const struct result_row *row = &r->row[i];
        const double ticks = row_headline(row, NULL);
        if (ticks >= 0)
            fprintf(f, "%s %.0f\n", row->id, ticks);
        else
            fprintf(f, "SKIP %s (%s)\n", row->id, row_status_name(row->status));
    }
}
