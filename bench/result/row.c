/* Rows of exits: read, merged over processes, summed up. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/result/parse.h"

#define BATCH_MAX 1000000 /* operations between two counter reads: a second of the fastest ones */

const char *phase_name(enum phase p)
{
    static const char *const names[PHASE_COUNT] = {"rtt",  "rtt_undisturbed", "exit_leg",
                                                   "user", "entry_leg",       "kvm_run"};
    return names[p];
}

static const char *const statuses[ROW_STATUS_COUNT] = {"ok", "no-exit", "timeout", "unsupported", "failed"};

const char *row_status_name(enum row_status s)
{
    return statuses[s];
}

int row_status_find(const char *name)
{
    for (int i = 0; i < ROW_STATUS_COUNT; i++)
        if (strcmp(statuses[i], name) == 0) return i;
    return -1;
}

/* ---- reading ---- */

static const struct shape exits_shape[] = {
    {"expected", SHAPE_COUNT, false, NULL},
    {"counted", SHAPE_COUNT, false, NULL},
    {"source", SHAPE_TEXT, false, NULL},
    {"agrees", SHAPE_BOOL, false, NULL},
    {0},
};
static const struct shape identity_shape[] = {
    {"holds", SHAPE_BOOL, true, NULL},
    {"residual", SHAPE_NUMBER, false, NULL},
    {0},
};
static const struct shape process_shape[] = {
    {"status", SHAPE_TEXT, true, NULL},
    {"p50", SHAPE_NUMBER, false, NULL},
    {"baseline", SHAPE_NUMBER, false, NULL},
    {0},
};
static const struct shape row_shape[] = {
    {"row", SHAPE_ID, true, NULL},
    {"status", SHAPE_TEXT, true, NULL},
    {"group", SHAPE_TEXT, false, NULL},
    {"detail", SHAPE_TEXT, false, NULL},
    {"batch", SHAPE_COUNT, false, NULL},
    {"samples", SHAPE_COUNT, false, NULL},
    {"disturbed", SHAPE_COUNT, false, NULL},
    {"exits", SHAPE_OBJECT, false, exits_shape},
    {"baseline", SHAPE_NUMBER, false, NULL},
    {"identity", SHAPE_OBJECT, false, identity_shape},
    {"processes", SHAPE_OBJECTS, false, process_shape},
    {0},
};

static int parse_status(enum row_status *out, const json_t *object, struct err *e)
{
    const char *name = json_text(object, "status", "");
    const int s = row_status_find(name);
    if (s < 0)
        return err_set(e, -EINVAL, "\"status\": \"%.40s\" is none; ok, no-exit, timeout, unsupported or failed", name);
    *out = (enum row_status)s;
    return 0;
}

static int parse_group(struct result_row *r, const char *name, struct err *e)
{
    static const char *const groups[] = {"", "control", "kernel", "user"};
    for (unsigned i = 0; i < sizeof(groups) / sizeof(groups[0]); i++) {
        if (strcmp(groups[i], name) != 0) continue;
        (void)snprintf(r->group, sizeof(r->group), "%s", name);
        return 0;
    }
    return err_set(e, -EINVAL, "\"group\": \"%.40s\" is none; control, kernel or user", name);
}

static int parse_phases(struct result_row *r, const json_t *phases, struct err *e)
{
    for (unsigned p = 0; p < PHASE_COUNT; p++) {
        const json_t *h = json_object_get(phases, phase_name(p));
        if (!h || json_is_null(h)) continue;
        const int rc = dist_parse(&r->phase[p], h, e);
        if (rc) return err_wrap(e, rc, "phase %s", phase_name(p));
    }
    return 0;
}

static int parse_processes(struct result_row *r, const json_t *list, struct err *e)
{
    const size_t n = json_array_size(list);
    if (n < 1 || n > RESULT_PROCESSES_MAX)
        return err_set(e, -EINVAL, "%zu processes; 1 to %u are possible", n, RESULT_PROCESSES_MAX);
    r->process = calloc(n, sizeof(*r->process));
    if (!r->process) return err_set(e, -ENOMEM, "out of memory");
    for (size_t i = 0; i < n; i++) {
        const json_t *p = json_array_get(list, i);
        struct row_process *out = &r->process[r->processes++];
        const int rc = parse_status(&out->status, p, e);
        if (rc) return rc;
        out->p50 = json_figure(p, "p50", -1);
        out->baseline = json_figure(p, "baseline", -1);
    }
    return 0;
}

/* A worker's row: the process is the row. */
static int make_process(struct result_row *r, double baseline, struct err *e)
{
    const struct dist *d = &r->phase[row_headline_phase(r)];
    const bool has_p50 = r->status == ROW_OK && d->count > 0;
    r->process = malloc(sizeof(*r->process));
    if (!r->process) return err_set(e, -ENOMEM, "out of memory");
    *r->process = (struct row_process){
        .status = r->status, .p50 = has_p50 ? (double)dist_quantile(d, 0.5) / r->batch : -1, .baseline = baseline};
    r->processes = 1;
    return 0;
}

static int parse_numbers(struct result_row *r, const json_t *row, struct err *e)
{
    const json_t *exits = json_object_get(row, "exits"), *identity = json_object_get(row, "identity");
    const uint64_t batch = json_count(row, "batch", 1);
    if (batch < 1 || batch > BATCH_MAX)
        return err_set(e, -EINVAL, "a batch of %llu; 1 to %d are possible", (unsigned long long)batch, BATCH_MAX);
    r->batch = (unsigned)batch;
    r->samples = json_count(row, "samples", 0);
    r->disturbed = json_count(row, "disturbed", 0);
    if (r->samples > RESULT_SAMPLES_MAX || r->disturbed > RESULT_SAMPLES_MAX)
        return err_set(e, -EINVAL, "more than %llu samples", RESULT_SAMPLES_MAX);
    r->has_exits = json_object_size(exits) > 0;
    r->has_expected = json_is_integer(json_object_get(exits, "expected"));
    r->exits_expected = json_count(exits, "expected", 0);
    r->exits_counted = json_count(exits, "counted", 0);
    r->exits_agree = !r->has_expected || json_is_true(json_object_get(exits, "agrees"));
    r->has_identity = json_object_size(identity) > 0;
    r->identity_holds = json_is_true(json_object_get(identity, "holds"));
    r->identity_residual = json_figure(identity, "residual", 0);
    return 0;
}

static int parse_row(struct result_row *r, const json_t *row, struct err *e)
{
    int rc = parse_group(r, json_text(row, "group", ""), e);
    if (rc) return rc;
    r->detail = strdup(json_text(row, "detail", ""));
    r->exits_source = strdup(json_text(json_object_get(row, "exits"), "source", ""));
    if (!r->detail || !r->exits_source) return err_set(e, -ENOMEM, "out of memory");
    rc = parse_status(&r->status, row, e);
    if (rc == 0) rc = parse_numbers(r, row, e);
    if (rc == 0) rc = parse_phases(r, json_object_get(row, "phases"), e);
    if (rc) return rc;
    const json_t *processes = json_object_get(row, "processes");
    return json_is_array(processes) ? parse_processes(r, processes, e)
                                    : make_process(r, json_figure(row, "baseline", -1), e);
}

int row_parse(struct result_row *out, const json_t *row, struct err *e)
{
    int rc = shape_check(row, row_shape, e);
    if (rc) return err_wrap(e, rc, "row");
    (void)snprintf(out->id, sizeof(out->id), "%s", json_text(row, "row", ""));
    rc = parse_row(out, row, e);
    if (rc == 0) return 0;
    (void)err_wrap(e, rc, "row %s", out->id);
    row_fini(out);
    return rc;
}

void row_fini(struct result_row *r)
{
    for (unsigned p = 0; p < PHASE_COUNT; p++) dist_fini(&r->phase[p]);
    free(r->detail);
    free(r->exits_source);
    free(r->process);
    *r = (struct result_row){0};
}

/* ---- merging ---- */

static int check_merge(const struct result_row *into, const struct result_row *from, struct err *e)
{
    if (into->processes + from->processes > RESULT_PROCESSES_MAX)
        return err_set(e, -E2BIG, "row %s: more than %u processes", into->id, RESULT_PROCESSES_MAX);
    if (into->samples + from->samples > RESULT_SAMPLES_MAX)
        return err_set(e, -E2BIG, "row %s: more than %llu samples", into->id, RESULT_SAMPLES_MAX);
    for (unsigned p = 0; p < PHASE_COUNT; p++) {
        if (into->phase[p].count + from->phase[p].count > RESULT_SAMPLES_MAX)
            return err_set(e, -E2BIG, "row %s: more than %llu samples", into->id, RESULT_SAMPLES_MAX);
        if (into->phase[p].count && from->phase[p].count && into->batch != from->batch)
            return err_set(e, -EINVAL, "row %s: a batch of %u in one process and of %u in another", into->id,
                           into->batch, from->batch);
    }
    return 0;
}

/* Where one process did it and another did not, the figures are those of the one that did: a duration of what timed out
 * or did not exit is no duration of the row. */
static bool counts_beside(const struct result_row *r, const struct result_row *other)
{
    return r->status == ROW_OK || other->status != ROW_OK;
}

/* Merged copies, and what they are merged into stays until all are there. */
static int merge_phases(struct result_row *into, const struct result_row *from)
{
    struct dist merged[PHASE_COUNT] = {{0}};
    int rc = 0;
    for (unsigned p = 0; p < PHASE_COUNT && rc == 0; p++) {
        if (counts_beside(into, from)) rc = dist_merge(&merged[p], &into->phase[p]);
        if (rc == 0 && counts_beside(from, into)) rc = dist_merge(&merged[p], &from->phase[p]);
    }
    for (unsigned p = 0; p < PHASE_COUNT; p++) {
        struct dist *old = rc == 0 ? &into->phase[p] : &merged[p];
        dist_fini(old);
        if (rc == 0) *old = merged[p];
    }
    return rc;
}

static void merge_facts(struct result_row *into, const struct result_row *from)
{
    if (into->group[0] == '\0') memcpy(into->group, from->group, sizeof(into->group));
    if (!counts_beside(into, from)) into->samples = into->disturbed = 0;
    if (counts_beside(from, into)) {
        into->samples += from->samples;
        into->disturbed += from->disturbed;
    }
    into->exits_agree = into->exits_agree && from->exits_agree;
    into->has_exits |= from->has_exits;
    into->has_expected |= from->has_expected;
    into->exits_expected += from->exits_expected; /* wraps for no row that a guest could make */
    into->exits_counted += from->exits_counted;
    into->identity_holds =
        (!into->has_identity || into->identity_holds) && (!from->has_identity || from->identity_holds);
    into->has_identity |= from->has_identity;
    if (__builtin_fabs(from->identity_residual) > __builtin_fabs(into->identity_residual))
        into->identity_residual = from->identity_residual;
}

static void swap_text(char **a, char **b)
{
    char *old = *a;
    *a = *b;
    *b = old;
}

int row_merge(struct result_row *into, struct result_row *from, struct err *e)
{
    int rc = check_merge(into, from, e);
    if (rc) return rc;
    struct row_process *process = calloc(into->processes + from->processes, sizeof(*process));
    if (!process) return err_set(e, -ENOMEM, "out of memory");
    const bool was_empty = into->phase[row_headline_phase(into)].count == 0 || !counts_beside(into, from);
    if (merge_phases(into, from)) {
        free(process);
        return err_set(e, -ENOMEM, "out of memory");
    }
    if (was_empty) into->batch = from->batch;
    merge_facts(into, from);
    memcpy(process, into->process, into->processes * sizeof(*process));
    memcpy(process + into->processes, from->process, from->processes * sizeof(*process));
    free(into->process);
    into->process = process;
    into->processes += from->processes;
    if (from->exits_source[0] && !into->exits_source[0]) swap_text(&into->exits_source, &from->exits_source);
    if (from->detail[0] && (!into->detail[0] || (into->status == ROW_OK && from->status != ROW_OK)))
        swap_text(&into->detail, &from->detail);
    if (from->status == ROW_OK) into->status = ROW_OK;
    row_fini(from);
    return 0;
}

/* ---- summing up ---- */

enum phase row_headline_phase(const struct result_row *r)
{
    return r->phase[PHASE_RTT].count == 0 && r->phase[PHASE_KVM_RUN].count > 0 ? PHASE_KVM_RUN : PHASE_RTT;
}

unsigned row_p50s(const struct result_row *r, double *p50)
{
    unsigned n = 0;
    for (unsigned i = 0; i < r->processes; i++)
        if (r->process[i].p50 >= 0) p50[n++] = r->process[i].p50;
    return n;
}

double row_headline(const struct result_row *r, struct interval *interval)
{
    double p50[RESULT_PROCESSES_MAX] = {0};
    const unsigned n = row_p50s(r, p50);
    if (interval) *interval = statistics_bootstrap(p50, n, statistics_median);
    return n ? statistics_median(p50, n) : -1;
}

double row_baseline(const struct result_row *r)
{
    double baseline[RESULT_PROCESSES_MAX];
    unsigned n = 0;
    for (unsigned i = 0; i < r->processes; i++)
        if (r->process[i].baseline >= 0) baseline[n++] = r->process[i].baseline;
    return n ? statistics_median(baseline, n) : -1;
}

unsigned row_count_status(const struct result_row *r, enum row_status s)
{
    unsigned n = 0;
    for (unsigned i = 0; i < r->processes; i++) n += r->process[i].status == s;
    return n;
}
