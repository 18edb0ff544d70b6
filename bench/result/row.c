/* Rows of exits: read, merged over processes, summed up. */
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "bench/result/model.h"

/* ---- reading ---- */

static int read_processes(struct result_row *r, const json_t *list, struct err *e)
{
    const size_t n = json_array_size(list);
    if (n < 1 || n > RESULT_PROCESSES_MAX)
        return err_set(e, -EINVAL, "\"processes\": %zu of them; 1 to %u are possible", n, RESULT_PROCESSES_MAX);
    r->process = calloc(n, sizeof(*r->process));
    if (!r->process) return err_set(e, -ENOMEM, "out of memory");
    for (; r->processes < n; r->processes++) {
        const int rc = shape_read(SHAPE_process, json_array_get(list, r->processes), &r->process[r->processes], e);
        if (rc) return err_wrap(e, rc, "\"processes\": %u", r->processes);
    }
    return 0;
}

/* A worker's row is of one process, which has the figures of the row. */
static int make_process(struct result_row *r, struct err *e)
{
    const bool is_ok = r->status == ROW_OK, has_rest = dist_interval(&r->phase[PHASE_UNDISTURBED], 0.5).is_known;
    r->process = malloc(sizeof(*r->process));
    if (!r->process) return err_set(e, -ENOMEM, "out of memory");
    *r->process = (struct row_process){
        .status = r->status,
        .p50 = is_ok ? row_quantile(r, row_headline_phase(r), 0.5) : NAN,
        .undisturbed = is_ok && has_rest ? row_quantile(r, PHASE_UNDISTURBED, 0.5) : NAN,
        .baseline = r->baseline,
    };
    r->processes = 1;
    return 0;
}

int row_read(struct result_row *out, const json_t *row, struct err *e)
{
    const json_t *processes = json_object_get(row, "processes");
    int rc = shape_read(SHAPE_row, row, out, e);
    /* A file of an earlier version knows only whether the count agrees. */
    if (rc == 0 && out->verdict == COUNT_NONE && out->agrees >= 0)
        out->verdict = out->agrees ? COUNT_AGREES : out->counted < out->expected ? COUNT_FEWER : COUNT_MORE;
    if (rc == 0) rc = json_is_array(processes) ? read_processes(out, processes, e) : make_process(out, e);
    if (rc == 0) return 0;
    (void)err_wrap(e, rc, out->id[0] ? "row %s" : "row%s", out->id);
    row_fini(out);
    return rc;
}

void row_fini(struct result_row *r)
{
    for (unsigned p = 0; p < PHASE_COUNT; p++) dist_fini(&r->phase[p]);
    free(r->process);
    *r = (struct result_row){0};
}

/* ---- merging ---- */

static int check_merge(const struct result_row *a, const struct result_row *b, struct err *e)
{
    bool has_too_many = a->samples + b->samples > RESULT_SAMPLES_MAX;
    if (a->processes + b->processes > RESULT_PROCESSES_MAX)
        return err_set(e, -E2BIG, "row %s: more than %u processes", a->id, RESULT_PROCESSES_MAX);
    for (unsigned p = 0; p < PHASE_COUNT; p++) {
        has_too_many |= a->phase[p].count + b->phase[p].count > RESULT_SAMPLES_MAX;
        if (a->phase[p].count && b->phase[p].count && a->batch != b->batch)
            return err_set(e, -EINVAL, "row %s: a batch of %" PRIu64 " in one process and of %" PRIu64 " in another",
                           a->id, a->batch, b->batch);
    }
    return has_too_many ? err_set(e, -E2BIG, "row %s: more than %u samples", a->id, RESULT_SAMPLES_MAX) : 0;
}

/* Do the durations of r count, when it is merged with the other? See MERGE_SUM_OK. */
static bool counts_beside(const struct result_row *r, const struct result_row *other)
{
    return r->status == ROW_OK || other->status != ROW_OK;
}

/* The next two functions merge the members that keep one key. NULL stands for a process that does not count. */

static int merge_dists(struct dist *out, const struct dist *a, const struct dist *b)
{
    const int rc = a ? dist_merge(out, a) : 0;
    return rc == 0 && b ? dist_merge(out, b) : rc;
}

static void merge_counts(uint64_t *out, const uint64_t *a, const uint64_t *b)
{
    const bool has_a = a && *a != COUNT_UNKNOWN, has_b = b && *b != COUNT_UNKNOWN;
    *out = has_a || has_b ? (has_a ? *a : 0) + (has_b ? *b : 0) : COUNT_UNKNOWN;
}

static int merge_key(const struct key *k, struct result_row *out, const struct result_row *a,
                     const struct result_row *b)
{
    void *to = (char *)out + k->offset;
    const void *x = (const char *)a + k->offset, *y = (const char *)b + k->offset;
    switch (k->merge) {
    case MERGE_FIRST: memcpy(to, key_is_known(k, a) ? x : y, k->size); break;
    case MERGE_SUM: merge_counts(to, x, y); break;
    case MERGE_SUM_OK:
        if (!counts_beside(a, b)) x = NULL;
        if (!counts_beside(b, a)) y = NULL;
        if (k->type == VALUE_DIST) return merge_dists(to, x, y);
        merge_counts(to, x, y);
        break;
    case MERGE_ALL: memcpy(to, key_is_known(k, a) && (!key_is_known(k, b) || !*(const int *)x) ? x : y, k->size); break;
    case MERGE_LARGEST: {
        const double p = *(const double *)x, q = *(const double *)y;
        *(double *)to = isnan(p) || fabs(q) > fabs(p) ? q : p;
        break;
    }
    case MERGE_WORST: memcpy(to, *(const int *)y > *(const int *)x ? y : x, k->size); break; /* unknown is -1 */
    case MERGE_NONE:
    case MERGE_OWN: break;
    }
    return 0;
}

static int merge_processes(struct result_row *out, const struct result_row *a, const struct result_row *b)
{
    out->processes = a->processes + b->processes;
    out->process = calloc(out->processes, sizeof(*out->process));
    if (!out->process) return -ENOMEM;
    memcpy(out->process, a->process, a->processes * sizeof(*a->process));
    memcpy(out->process + a->processes, b->process, b->processes * sizeof(*b->process));
    return 0;
}

int row_merge(struct result_row *into, struct result_row *from, struct err *e)
{
    struct result_row out = {0};
    int rc = check_merge(into, from, e);
    if (rc) return rc;
    const bool is_empty = into->phase[row_headline_phase(into)].count == 0 || !counts_beside(into, from);
    const bool is_reason = from->detail[0] && (!into->detail[0] || (into->status == ROW_OK && from->status != ROW_OK));
    out.status = from->status == ROW_OK ? ROW_OK : into->status;
    out.batch = is_empty ? from->batch : into->batch;
    memcpy(out.detail, is_reason ? from->detail : into->detail, sizeof(out.detail));
    for (const struct key *k = result_keys; k->key && rc == 0; k++) rc = merge_key(k, &out, into, from);
    if (rc == 0) rc = merge_processes(&out, into, from);
    if (rc) {
        row_fini(&out);
        return err_set(e, rc, "out of memory");
    }
    row_fini(into);
    row_fini(from);
    *into = out;
    return 0;
}

/* ---- summing up ---- */

enum phase row_headline_phase(const struct result_row *r)
{
    return r->phase[PHASE_RTT].count == 0 && r->phase[PHASE_KVM_RUN].count > 0 ? PHASE_KVM_RUN : PHASE_RTT;
}

double row_quantile(const struct result_row *r, enum phase p, double share)
{
    return r->phase[p].count ? (double)dist_quantile(&r->phase[p], share) / (double)r->batch : NAN;
}

/* Is the headline that of the samples in which the host was not seen to do something else? */
static bool is_disturbed(const struct result_row *r)
{
    bool is_known = false;
    for (unsigned i = 0; i < r->processes; i++) is_known |= !isnan(r->process[i].undisturbed);
    return is_known && r->disturbed > 0 && row_headline_phase(r) == PHASE_RTT;
}

static unsigned known_p50s(const struct result_row *r, bool is_undisturbed, double p50[RESULT_PROCESSES_MAX])
{
    unsigned n = 0;
    for (unsigned i = 0; i < r->processes; i++) {
        p50[n] = is_undisturbed ? r->process[i].undisturbed : r->process[i].p50;
        if (!isnan(p50[n])) n++;
    }
    return n;
}

unsigned row_p50s(const struct result_row *r, double p50[RESULT_PROCESSES_MAX])
{
    return known_p50s(r, is_disturbed(r), p50);
}

double row_p50(const struct result_row *r)
{
    double p50[RESULT_PROCESSES_MAX];
    const unsigned n = row_p50s(r, p50);
    return n ? statistics_median(p50, n) : NAN;
}

struct headline row_headline(const struct result_row *r, double hz)
{
    double p50[RESULT_PROCESSES_MAX] = {0}, all[RESULT_PROCESSES_MAX];
    const struct interval i = statistics_bootstrap(p50, row_p50s(r, p50), statistics_median);
    const unsigned n = known_p50s(r, false, all);
    return (struct headline){
        .phase = is_disturbed(r) ? PHASE_UNDISTURBED : row_headline_phase(r),
        .p50 = row_p50(r),
        .low = i.is_known ? i.low : NAN,
        .high = i.is_known ? i.high : NAN,
        .ns = row_p50(r) * 1e9 / hz,
        .all = n ? statistics_median(all, n) : NAN,
    };
}

double row_baseline(const struct result_row *r)
{
    double baseline[RESULT_PROCESSES_MAX];
    unsigned n = 0;
    for (unsigned i = 0; i < r->processes; i++)
        if (!isnan(r->process[i].baseline)) baseline[n++] = r->process[i].baseline;
    return n ? statistics_median(baseline, n) : NAN;
}

static void sum_up_dist(struct dist *d, double batch)
{
    if (d->count == 0) d->min = d->max = COUNT_UNKNOWN;
    for (unsigned i = 0; i < DIST_QUANTILES; i++) {
        const struct interval bounds = dist_interval(d, dist_shares[i]);
        const bool is_known = d->count && (bounds.is_known || dist_shares[i] <= 0.5);
        d->quantile[i] = (struct quantile){
            .ticks = is_known ? (double)dist_quantile(d, dist_shares[i]) / batch : NAN,
            .low = bounds.is_known ? bounds.low / batch : NAN,
            .high = bounds.is_known ? bounds.high / batch : NAN,
        };
    }
}

struct result_row row_sum_up(const struct result_row *r, double hz)
{
    struct result_row out = *r;
    for (unsigned p = 0; p < PHASE_COUNT; p++) sum_up_dist(&out.phase[p], (double)r->batch);
    out.headline = row_headline(r, hz);
    out.baseline = row_baseline(r);
    out.ratio = r->group == GROUP_SANDBOX ? out.headline.p50 * (double)r->batch / out.baseline : NAN;
    out.processes_ok = row_count_status(r, ROW_OK);
    return out;
}

unsigned row_count_status(const struct result_row *r, enum row_status s)
{
    unsigned n = 0;
    for (unsigned i = 0; i < r->processes; i++) n += r->process[i].status == s;
    return n;
}

/* ---- writing ---- */

void row_write_p50s(struct json_out *j, const void *row)
{
    double p50[RESULT_PROCESSES_MAX];
    const unsigned n = row_p50s(row, p50);
    for (unsigned i = 0; i < n; i++) json_put_real(j, NULL, p50[i], JSON_DIGITS);
}

void row_write_processes(struct json_out *j, const void *row)
{
    const struct result_row *r = row;
    for (unsigned i = 0; i < r->processes; i++) shape_write(j, NULL, SHAPE_process, &r->process[i]);
}
