#include "bench/sandbox/sandbox.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "bench/bench.h"
#include "bench/line.h"
#include "bench/provenance.h"
#include "bench/result/model.h"
#include "vmm/base/nearest.h"
#include "vmm/config/value.h"

#define SAMPLES_MAX 100000
#define WARM_UP     3
#define TIMEOUT_MS  600000 /* a row of hashing in an emulated host takes minutes */

struct options {
    bool has_rows, is_quick;
    bool is_wanted[SANDBOX_ROWS_MAX];
    uint32_t samples; /* 0: each row's own */
};

/* ---- items and options ---- */

static const struct bench_item *item(unsigned index)
{
    static _Thread_local struct bench_item it;
    if (index >= SANDBOX_ROWS_MAX) return NULL;
    for (unsigned i = 0; i <= index; i++)
        if (!sandbox_rows[i].id) return NULL;
    it = (struct bench_item){.id = sandbox_rows[index].id, .title = sandbox_rows[index].title};
    return &it;
}

static void init(void *options)
{
    *(struct options *)options = (struct options){0};
}

static void fini(void *options)
{
    (void)options;
}

static int want(struct options *o, const char *name, struct err *e)
{
    const char *names[SANDBOX_ROWS_MAX + 1] = {NULL};
    const bool is_all = strcmp(name, "all") == 0;
    bool is_found = false;
    for (unsigned i = 0; sandbox_rows[i].id; i++) {
        names[i] = sandbox_rows[i].id;
        if (is_all || strcmp(sandbox_rows[i].id, name) == 0) o->is_wanted[i] = is_found = true;
    }
    if (is_found) return 0;
    err_set(e, -EINVAL, "rows: there is no row \"%.60s\"", name);
    nearest_err_hint(e, name, WORDS_IN(names));
    err_hint(e, "`vireo bench sandbox --list` names them");
    return -EINVAL;
}

static int set_rows(void *options, const char *value, struct err *e)
{
    struct options *o = options;
    char *list = strdup(value), *rest = list;
    int rc = list ? 0 : err_set(e, -ENOMEM, "no memory for the list of rows");
    for (const char *name; !rc && (name = strsep(&rest, ",")) != NULL;) rc = want(o, name, e);
    free(list);
    if (!rc) o->has_rows = true;
    return rc;
}

static int set_samples(void *options, const char *value, struct err *e)
{
    uint64_t n;
    if (!value_u64(value, &n) || n < 1 || n > SAMPLES_MAX)
        return err_set(e, -EINVAL, "samples: \"%.60s\" is not a whole number from 1 to %d", value, SAMPLES_MAX);
    ((struct options *)options)->samples = (uint32_t)n;
    return 0;
}

static int set_quick(void *options, const char *value, struct err *e)
{
    struct options *o = options;
    if (value_bool(value, &o->is_quick)) return 0;
    return err_set(e, -EINVAL, "quick: \"%.60s\" is neither true nor false", value);
}

static const struct setting options[] = {
    {"rows", "LIST", "rows to measure, separated by commas (default all)", .set = set_rows},
    {"samples", "N", "samples of each row in each process (default 5 to 5000, by the row)", .set = set_samples},
    {"quick", NULL, "a twentieth of the samples", .set = set_quick},
    {0},
};

/* ---- a row ---- */

struct taken {
    uint64_t *row, *yardstick, *undisturbed; /* ticks, one a sample */
    uint32_t count, calm, disturbed;
    enum row_status status;
    char detail[ERR_TEXT_MAX];
};

/* Involuntary switches of this thread: somebody else ran meanwhile. */
static long switches(void)
{
    struct rusage u;
    return getrusage(RUSAGE_THREAD, &u) == 0 ? u.ru_nivcsw : 0;
}

static int sample(struct taken *t, struct sandbox_work *w, const struct sandbox_row *row, bool is_kept, struct err *e)
{
    const int64_t yardstick = row->measure(w, row, e);
    const long before = switches();
    const int64_t took = yardstick < 0 ? yardstick : row->operate(w, row, e);
    const bool is_disturbed = switches() != before;
    if (took < 0) return (int)took;
    if (!is_kept) return 0;
    t->yardstick[t->count] = (uint64_t)yardstick;
    t->row[t->count++] = (uint64_t)took;
    if (is_disturbed)
        t->disturbed++;
    else
        t->undisturbed[t->calm++] = (uint64_t)took;
    return 0;
}

static int ascending(const void *a, const void *b)
{
    const uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

static void sort(uint64_t *list, uint32_t n)
{
    qsort(list, n, sizeof(*list), ascending);
}

/* What can't be measured here is the row's status. */
static void take(struct taken *t, const struct sandbox_row *row, uint32_t samples, const struct bench_sink *sink)
{
    struct sandbox_work w;
    struct err e = {0};
    int rc = sandbox_work_begin(&w, row, &e);
    for (uint32_t i = 0; !rc && i < samples + WARM_UP; i++) {
        if (sink->is_stopped && atomic_load(sink->is_stopped)) break;
        rc = sample(t, &w, row, i >= WARM_UP, &e);
    }
    sandbox_work_end(&w);
    if (!rc) return;
    t->status = rc == -ENOTSUP ? ROW_UNSUPPORTED : ROW_FAILED;
    (void)snprintf(t->detail, sizeof(t->detail), "%s", e.text);
}

static void put_row(struct json_out *j, const struct sandbox_row *row, const struct taken *t)
{
    json_put_string(j, "row", row->id);
    json_put_string(j, "group", row_groups[GROUP_SANDBOX]);
    json_put_string(j, "status", row_statuses[t->status]);
    json_put_string(j, "detail", t->detail);
    json_put_uint(j, "batch", 1);
    json_put_uint(j, "samples", t->count);
    json_put_uint(j, "disturbed", t->disturbed);
    json_put_null(j, "exits");
    json_put_object(j, "phases");
    if (t->count) bench_line_put_histogram(j, phase_names[PHASE_RTT], t->row, t->count);
    if (t->calm) bench_line_put_histogram(j, phase_names[PHASE_UNDISTURBED], t->undisturbed, t->calm);
    if (t->count) bench_line_put_histogram(j, phase_names[PHASE_YARDSTICK], t->yardstick, t->count);
    json_put_end(j);
    if (t->count)
        json_put_uint(j, "baseline", t->yardstick[t->count / 2]);
    else
        json_put_null(j, "baseline");
    json_put_null(j, "identity");
}

static int emit(const struct sandbox_row *row, struct taken *t, const struct bench_sink *sink, struct err *e)
{
    struct bench_line l;
    sort(t->row, t->count);
    sort(t->yardstick, t->count);
    sort(t->undisturbed, t->calm);
    const int rc = bench_line_begin(&l, "row", e);
    if (rc) return rc;
    put_row(&l.json, row, t);
    return bench_line_end(&l, sink, e);
}

static int measure_row(const struct sandbox_row *row, const struct options *o, const struct bench_sink *sink,
                       struct err *e)
{
    const uint32_t samples = o->samples ? o->samples : o->is_quick ? row->quick : row->samples;
    int rc = bench_line_item(sink, row->id, TIMEOUT_MS, e);
    if (rc) return rc;
    struct taken t = {.row = calloc(samples, sizeof(*t.row)),
                      .yardstick = calloc(samples, sizeof(*t.yardstick)),
                      .undisturbed = calloc(samples, sizeof(*t.undisturbed))};
    if (t.row && t.yardstick && t.undisturbed) {
        take(&t, row, samples, sink);
        rc = emit(row, &t, sink, e);
    } else {
        rc = err_set(e, -ENOMEM, "no memory for %u samples", samples);
    }
    free(t.row);
    free(t.yardstick);
    free(t.undisturbed);
    return err_wrap(e, rc, "row %s", row->id);
}

static int emit_environment(const struct options *o, const struct bench_sink *sink, struct err *e)
{
    struct counter c;
    struct bench_line l;
    counter_init(&c);
    const int rc = bench_line_begin(&l, "environment", e);
    if (rc) return rc;
    provenance_put(&l.json, "sandbox");
    json_put_object(&l.json, "options");
    json_put_bool(&l.json, "quick", o->is_quick);
    if (o->samples)
        json_put_uint(&l.json, "samples", o->samples);
    else
        json_put_null(&l.json, "samples");
    json_put_end(&l.json);
    provenance_put_counter(&l.json, &c, true, 0);
    return bench_line_end(&l, sink, e);
}

static int run(const void *opaque, const struct bench_sink *sink, struct err *e)
{
    const struct options *o = opaque;
    int rc = emit_environment(o, sink, e);
    for (unsigned i = 0; !rc && sandbox_rows[i].id; i++) {
        if (sink->is_stopped && atomic_load(sink->is_stopped)) return -ECANCELED;
        if (!o->has_rows || o->is_wanted[i]) rc = measure_row(&sandbox_rows[i], o, sink, e);
    }
    return rc;
}

const struct bench_kind bench_sandbox = {
    .name = "sandbox",
    .help = "what sandboxes cost on this host: made, cloned, called, put back",
    .options = options,
    .select = "rows",
    .processes = 10,
    .item = item,
    .options_size = sizeof(struct options),
    .init = init,
    .fini = fini,
    .run = run,
};
