/* A result as JSON: what the table of shapes keeps, and figures that follow from it, for readers of the file. */
#include <math.h>

#include "bench/result/model.h"

/* When jansson is out of memory, it gives back NULL, and refuses to put NULL into an object. Such a refusal is noted
 * here, so that one check at the end will do. */
struct maker {
    bool is_out_of_memory;
    double hz;
};

/* Put value in the place that shape_write left for it, or at the end. */
static void set(struct maker *m, json_t *object, const char *key, json_t *value)
{
    if (json_object_set_new(object, key, value)) m->is_out_of_memory = true;
}

static void append(struct maker *m, json_t *array, json_t *value)
{
    if (json_array_append_new(array, value)) m->is_out_of_memory = true;
}

static json_t *make_quantiles(struct maker *m, const struct result_row *r, enum phase p)
{
    static const double shares[] = {0.5, 0.9, 0.99, 0.999};
    static const char *const names[] = {"p50", "p90", "p99", "p999"};
    json_t *all = json_object();
    for (unsigned i = 0; i < 4; i++) {
        const struct quantile q = row_quantile_bounds(r, p, shares[i]);
        set(m, all, names[i], shape_write(SHAPE_quantile, &q));
    }
    return all;
}

static json_t *make_dist(struct maker *m, const struct result_row *r, enum phase p)
{
    const struct dist *d = &r->phase[p];
    json_t *h = shape_write(SHAPE_distribution, d), *hist = json_array();
    for (unsigned i = 0; i < d->buckets; i++)
        append(m, hist, json_pack("[I, I]", (json_int_t)d->bucket[i].value, (json_int_t)d->bucket[i].count));
    set(m, h, "quantiles", make_quantiles(m, r, p));
    set(m, h, "hist", hist);
    return h;
}

static json_t *make_row(struct maker *m, const struct result_row *r)
{
    json_t *row = shape_write(SHAPE_row, r);
    json_t *p50s = json_array(), *processes = json_array(), *phases = json_object();
    const struct headline h = row_headline(r, m->hz);
    const double baseline = row_baseline(r);
    for (unsigned i = 0; i < r->processes; i++) {
        if (!isnan(r->process[i].p50)) append(m, p50s, json_real(r->process[i].p50));
        append(m, processes, shape_write(SHAPE_process, &r->process[i]));
    }
    for (unsigned p = 0; p < PHASE_COUNT; p++)
        if (r->phase[p].count) set(m, phases, phase_names[p], make_dist(m, r, p));
    set(m, row, "baseline", isnan(baseline) ? json_null() : json_real(baseline));
    set(m, row, "headline", shape_write(SHAPE_headline, &h));
    set(m, row, "p50s", p50s);
    set(m, row, "processes", processes);
    set(m, row, "phases", phases);
    return row;
}

json_t *result_json(const struct result *r)
{
    struct maker m = {.hz = environment_hz(r)};
    json_t *root = json_object(), *rows = r->kind == RESULT_EXITS ? json_array() : NULL;
    set(&m, root, "schema", json_string(RESULT_SCHEMA));
    set(&m, root, "kind", json_string(result_kind(r)));
    set(&m, root, "environments", json_incref(r->environments));
    for (unsigned i = 0; i < r->rows; i++) append(&m, rows, make_row(&m, &r->row[i]));
    if (rows)
        set(&m, root, "rows", rows);
    else
        set(&m, root, "experiments", json_incref(r->experiments));
    if (!m.is_out_of_memory) return root;
    json_decref(root);
    return NULL;
}
