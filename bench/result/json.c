/* A result as the JSON object that result.h describes. */
#include "bench/result/model.h"

/* What jansson had no memory for is NULL, and an object that takes NULL says so: one flag gathers it. */
struct maker {
    bool is_short; /* of memory */
};

static void set(struct maker *m, json_t *object, const char *key, json_t *value)
{
    if (json_object_set_new(object, key, value)) m->is_short = true;
}

static void append(struct maker *m, json_t *array, json_t *value)
{
    if (json_array_append_new(array, value)) m->is_short = true;
}

static json_t *count(uint64_t n)
{
    return json_integer((json_int_t)n);
}

static json_t *figure(double v)
{
    return v >= 0 ? json_real(v) : json_null();
}

static void set_bounds(struct maker *m, json_t *object, const struct interval *i, double unit)
{
    set(m, object, "low", i->is_known ? json_real(i->low / unit) : json_null());
    set(m, object, "high", i->is_known ? json_real(i->high / unit) : json_null());
}

static json_t *make_quantiles(struct maker *m, const struct dist *d, unsigned batch)
{
    static const struct {
        const char *name;
        double share;
    } quantile[] = {{"p50", 0.5}, {"p90", 0.9}, {"p99", 0.99}, {"p999", 0.999}};
    json_t *all = json_object();
    for (unsigned i = 0; i < 4; i++) {
        json_t *one = json_object();
        const struct interval bounds = dist_interval(d, quantile[i].share);
        set(m, one, "ticks", json_real((double)dist_quantile(d, quantile[i].share) / batch));
        set_bounds(m, one, &bounds, batch);
        set(m, all, quantile[i].name, one);
    }
    return all;
}

static json_t *make_dist(struct maker *m, const struct dist *d, unsigned batch)
{
    json_t *h = json_object(), *hist = json_array();
    set(m, h, "count", count(d->count));
    set(m, h, "min", count(d->min));
    set(m, h, "max", count(d->max));
    set(m, h, "sum", json_real(d->sum));
    set(m, h, "quantiles", make_quantiles(m, d, batch));
    for (unsigned i = 0; i < d->buckets; i++) {
        json_t *pair = json_array();
        append(m, pair, count(d->bucket[i].value));
        append(m, pair, count(d->bucket[i].count));
        append(m, hist, pair);
    }
    set(m, h, "hist", hist);
    return h;
}

static json_t *make_phases(struct maker *m, const struct result_row *r)
{
    json_t *phases = json_object();
    for (unsigned p = 0; p < PHASE_COUNT; p++)
        if (r->phase[p].count) set(m, phases, phase_name(p), make_dist(m, &r->phase[p], r->batch));
    return phases;
}

static json_t *make_processes(struct maker *m, const struct result_row *r)
{
    json_t *list = json_array();
    for (unsigned i = 0; i < r->processes; i++) {
        json_t *p = json_object();
        set(m, p, "status", json_string(row_status_name(r->process[i].status)));
        set(m, p, "p50", figure(r->process[i].p50));
        set(m, p, "baseline", figure(r->process[i].baseline));
        append(m, list, p);
    }
    return list;
}

static json_t *make_p50s(struct maker *m, const struct result_row *r)
{
    json_t *list = json_array();
    for (unsigned i = 0; i < r->processes; i++)
        if (r->process[i].p50 >= 0) append(m, list, json_real(r->process[i].p50));
    return list;
}

static json_t *make_headline(struct maker *m, const struct result_row *r, double hz)
{
    json_t *h = json_object();
    struct interval bounds;
    const double ticks = row_headline(r, &bounds);
    set(m, h, "phase", json_string(phase_name(row_headline_phase(r))));
    set(m, h, "p50", figure(ticks));
    set_bounds(m, h, &bounds, 1);
    set(m, h, "ns", figure(ticks * 1e9 / hz));
    return h;
}

static json_t *make_exits(struct maker *m, const struct result_row *r)
{
    if (!r->has_exits) return json_null();
    json_t *x = json_object();
    set(m, x, "expected", r->has_expected ? count(r->exits_expected) : json_null());
    set(m, x, "counted", count(r->exits_counted));
    set(m, x, "source", json_string(r->exits_source));
    set(m, x, "agrees", r->has_expected ? json_boolean(r->exits_agree) : json_null());
    return x;
}

static json_t *make_identity(struct maker *m, const struct result_row *r)
{
    if (!r->has_identity) return json_null();
    json_t *x = json_object();
    set(m, x, "holds", json_boolean(r->identity_holds));
    set(m, x, "residual", json_real(r->identity_residual));
    return x;
}

static json_t *make_row(struct maker *m, const struct result_row *r, double hz)
{
    json_t *row = json_object();
    set(m, row, "row", json_string(r->id));
    set(m, row, "group", r->group[0] ? json_string(r->group) : json_null());
    set(m, row, "status", json_string(row_status_name(r->status)));
    set(m, row, "detail", json_string(r->detail));
    set(m, row, "batch", json_integer(r->batch));
    set(m, row, "samples", count(r->samples));
    set(m, row, "disturbed", count(r->disturbed));
    set(m, row, "exits", make_exits(m, r));
    set(m, row, "baseline", figure(row_baseline(r)));
    set(m, row, "identity", make_identity(m, r));
    set(m, row, "headline", make_headline(m, r, hz));
    set(m, row, "p50s", make_p50s(m, r));
    set(m, row, "processes", make_processes(m, r));
    set(m, row, "phases", make_phases(m, r));
    return row;
}

json_t *result_json(const struct result *r)
{
    struct maker m = {0};
    json_t *root = json_object();
    const bool is_exits = r->kind[0] == 'e';
    set(&m, root, "schema", json_string("vireo-result-1"));
    set(&m, root, "kind", json_string(r->kind));
    set(&m, root, "environments", json_incref(r->environments));
    if (is_exits) {
        json_t *rows = json_array();
        for (unsigned i = 0; i < r->rows; i++) append(&m, rows, make_row(&m, &r->row[i], environment_hz(r)));
        set(&m, root, "rows", rows);
    } else {
        set(&m, root, "experiments", json_incref(r->experiments));
    }
    if (!m.is_short) return root;
    json_decref(root);
    return NULL;
}
