/* A result as CSV (RFC 4180, lines ended by LF). What is unknown is an empty field. */
#include <math.h>

#include "bench/result/model.h"

static void put_text(FILE *f, const char *s)
{
    fputs(",\"", f);
    for (; *s; s++) {
        if (*s == '"') fputc('"', f);
        fputc((unsigned char)*s < ' ' ? ' ' : *s, f);
    }
    fputc('"', f);
}

static void put_number(FILE *f, double v)
{
    fputc(',', f);
    if (!isnan(v)) fprintf(f, "%.12g", v);
}

static double count(uint64_t n)
{
    return n == COUNT_UNKNOWN ? NAN : (double)n;
}

static void put_phase(FILE *f, const struct result_row *r, enum phase p, double ns)
{
    static const double share[] = {0, 0.5, 0.9, 0.99, 0.999, 1};
    const struct headline none = {.p50 = NAN, .low = NAN, .high = NAN};
    const struct headline h = p == row_headline_phase(r) ? row_headline(r, 1e9 / ns) : none;
    const char *group = r->group == GROUP_UNKNOWN ? "" : row_groups[r->group];
    fprintf(f, "%s,%s,%s,%s", r->id, group, row_statuses[r->status], phase_names[p]);
    put_number(f, (double)r->batch);
    put_number(f, (double)r->phase[p].count);
    for (unsigned i = 0; i < sizeof(share) / sizeof(share[0]); i++) {
        const double ticks = row_quantile(r, p, share[i]);
        put_number(f, ticks);
        put_number(f, ticks * ns);
    }
    put_number(f, h.p50 * ns);
    put_number(f, h.low * ns);
    put_number(f, h.high * ns);
    put_number(f, r->processes);
    put_number(f, count(r->expected));
    put_number(f, count(r->counted));
    put_text(f, r->detail);
    fputc('\n', f);
}

static void put_rows(FILE *f, const struct result *r)
{
    fputs("row,group,status,phase,batch,count,min_ticks,min_ns,p50_ticks,p50_ns,p90_ticks,p90_ns,p99_ticks,p99_ns,"
          "p999_ticks,p999_ns,max_ticks,max_ns,headline_ns,headline_low_ns,headline_high_ns,processes,exits_expected,"
          "exits_counted,detail\n",
          f);
    for (unsigned i = 0; i < r->rows; i++) {
        const struct result_row *row = &r->row[i];
        for (unsigned p = 0; p < PHASE_COUNT; p++)
            if (row->phase[p].count || p == row_headline_phase(row)) put_phase(f, row, p, 1e9 / environment_hz(r));
    }
}

static void put_finding(FILE *f, const json_t *x, const struct finding *found, const char *reason)
{
    fputs(json_text(x, "id"), f);
    put_text(f, json_text(x, "variant"));
    fprintf(f, ",%.0f,%s,%s,%s", json_number_value(json_object_get(x, "process")), json_text(x, "status"), found->id,
            found->word);
    put_number(f, found->statistic);
    put_number(f, found->bound);
    put_text(f, found->unit);
    put_text(f, found->text);
    put_text(f, reason);
    fputc('\n', f);
}

static void put_experiments(FILE *f, const struct result *r)
{
    fputs("experiment,variant,process,status,property,verdict,statistic,bound,unit,text,reason\n", f);
    for (size_t i = 0; i < json_array_size(r->experiments); i++) {
        const json_t *x = json_array_get(r->experiments, i);
        /* An experiment that found nothing has one line, which says why. */
        struct finding found = {.word = "", .id = "", .unit = "", .text = "", .statistic = NAN, .bound = NAN};
        size_t n = 0;
        for (; experiment_finding(x, n, &found); n++) put_finding(f, x, &found, found.reason);
        if (n == 0) put_finding(f, x, &found, json_text(x, "detail"));
    }
}

void result_csv(FILE *f, const struct result *r)
{
    if (r->kind == RESULT_EXITS)
        put_rows(f, r);
    else
        put_experiments(f, r);
}
