/* A result as CSV: what is unknown is an empty field. */
#include <math.h>

#include "bench/result/column.h"
#include "bench/result/model.h"

#define DURATION(name, at) COLUMN(name "_ticks", at, .is_in_ticks = true), COLUMN(name "_ns", at)

/* One line a phase. The headline is of one of them only. */
static const struct column phase_columns[] = {
    COLUMN("row", "row"),
    COLUMN("group", "group"),
    COLUMN("status", "status"),
    COLUMN("phase", "headline.phase"),
    COLUMN("batch", "batch"),
    COLUMN("count", "phases.*.count"),
    DURATION("min", "phases.*.min"),
    DURATION("p50", "phases.*.quantiles.p50.ticks"),
    DURATION("p90", "phases.*.quantiles.p90.ticks"),
    DURATION("p99", "phases.*.quantiles.p99.ticks"),
    DURATION("p999", "phases.*.quantiles.p999.ticks"),
    DURATION("max", "phases.*.max"),
    COLUMN("headline_ns", "headline.p50"),
    COLUMN("headline_low_ns", "headline.low"),
    COLUMN("headline_high_ns", "headline.high"),
    COLUMN("processes", "processes"),
    COLUMN("processes_ok", "processes_ok"),
    COLUMN("exits_expected", "exits.expected"),
    COLUMN("exits_counted", "exits.counted"),
    COLUMN("detail", "detail"),
    COLUMN("baseline_ns", "baseline"),
    COLUMN("ratio", "ratio"),
    {0},
};

static void put_row(FILE *f, const struct result_row *found, double hz)
{
    static const struct headline none = {.p50 = NAN, .low = NAN, .high = NAN, .ns = NAN};
    const struct result_row row = row_sum_up(found, hz);
    for (enum phase p = 0; p < PHASE_COUNT; p++) {
        const bool is_headline = p == row.headline.phase;
        struct result_row line = row;
        if (row.phase[p].count == 0 && !is_headline) continue;
        if (!is_headline) line.headline = none;
        line.headline.phase = p;
        csv_line(f, phase_columns,
                 &(struct column_source){SHAPE_row, &line, phase_names[p], 1e9 / hz, (double)row.batch});
    }
}

static void put_finding(FILE *f, const json_t *x, const struct finding *found, const char *reason)
{
    fprintf(f, "%s,", json_text(x, "id"));
    csv_text(f, json_text(x, "variant"));
    fprintf(f, ",%.0f,%s,%s,%s,", json_number_value(json_object_get(x, "process")), json_text(x, "status"), found->id,
            found->word);
    csv_number(f, found->statistic);
    fputc(',', f);
    csv_number(f, found->bound);
    const char *const texts[] = {found->unit, found->text, reason};
    for (unsigned i = 0; i < 3; i++) {
        fputc(',', f);
        csv_text(f, texts[i]);
    }
    fputc('\n', f);
}

static void put_experiment(FILE *f, const json_t *x)
{
    /* An experiment that found nothing has one line, which says why. */
    struct finding found = {.word = "", .statistic = NAN, .bound = NAN};
    size_t n = 0;
    for (; experiment_finding(x, n, &found); n++) put_finding(f, x, &found, found.reason);
    if (n == 0) put_finding(f, x, &found, json_text(x, "detail"));
}

void result_csv(FILE *f, const struct result *r)
{
    if (result_kind_has_rows(r->kind))
        csv_head(f, phase_columns);
    else
        fputs("experiment,variant,process,status,property,verdict,statistic,bound,unit,text,reason\n", f);
    for (unsigned i = 0; i < r->rows; i++) put_row(f, &r->row[i], environment_hz(r));
    for (size_t i = 0; i < json_array_size(r->experiments); i++) put_experiment(f, json_array_get(r->experiments, i));
}
