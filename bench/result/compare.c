/* Two results side by side. Is b slower than a, and could chance alone have made it look so? The unit of chance is the
 * process: its p50 is one value, since what lies within one process shares a layout of memory, a CPU and a moment. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/result/model.h"
#include "bench/result/table.h"

#define SIGNIFICANT 0.05 /* that chance calls any row different: over all rows together (Holm 1979) */

struct compared {
    const struct result_row *a, *b;
    double ns_a, ns_b; /* medians over processes */
    unsigned n_a, n_b;
    double ratio, p; /* b over a */
    struct interval interval;
    bool is_significant;
};

struct comparison {
    const struct result *a, *b;
    struct compared *row;
    unsigned rows;
    bool is_interleaved;
};

/* ---- may they be compared? ---- */

static const char *arch_of(const struct result *r)
{
    return json_string_value(environment_at(r, "arch"));
}

static int check(const struct result *a, const struct result *b, struct err *e)
{
    char name_a[ENVIRONMENT_TEXT_MAX], name_b[ENVIRONMENT_TEXT_MAX];
    if (a->kind != b->kind)
        return err_set(e, -EINVAL, "results of kind %s and %s can't be compared", result_kind(a), result_kind(b));
    if (a->kind != RESULT_EXITS)
        return err_set(e, -EINVAL, "results of kind %s are verdicts, not durations: there is no ratio of them",
                       result_kind(a));
    if (!arch_of(a) || !arch_of(b)) return err_set(e, -EINVAL, "a result without a process can't be compared");
    if (strcmp(arch_of(a), arch_of(b)) != 0)
        return err_set(e, -EINVAL, "results of %s and %s can't be compared; vireo report sets them side by side",
                       arch_of(a), arch_of(b));
    if (strcmp(environment_text(a, "counter.name", name_a), environment_text(b, "counter.name", name_b)) != 0)
        return err_set(e, -EINVAL, "results timed by %.80s and %.80s can't be compared", name_a, name_b);
    return 0;
}

/* The processes took turns when each of one began no later than its fellow of the other, and no earlier than the one
 * before. Times are ISO 8601 in UTC: their order is that of their letters. */
static bool take_turns(const struct result *first, const struct result *second)
{
    const size_t n = json_array_size(first->environments);
    const char *last = "";
    if (n != json_array_size(second->environments)) return false;
    for (size_t i = 0; i < 2 * n; i++) {
        const struct result *r = i % 2 ? second : first;
        const char *time = json_string_value(json_object_get(json_array_get(r->environments, i / 2), "time"));
        if (!time || strcmp(time, last) < 0) return false;
        last = time;
    }
    return true;
}

/* ---- the figures ---- */

static void compare_row(struct compared *c, double ns_per_tick_a, double ns_per_tick_b)
{
    double a[RESULT_PROCESSES_MAX], b[RESULT_PROCESSES_MAX];
    c->n_a = row_p50s(c->a, a);
    c->n_b = row_p50s(c->b, b);
    c->p = 1;
    if (c->n_a == 0 || c->n_b == 0) return;
    for (unsigned i = 0; i < c->n_a; i++) a[i] *= ns_per_tick_a;
    for (unsigned i = 0; i < c->n_b; i++) b[i] *= ns_per_tick_b;
    c->p = statistics_permutation(a, c->n_a, b, c->n_b);
    bool is_positive = true;
    for (unsigned i = 0; i < c->n_a; i++) is_positive = is_positive && a[i] > 0;
    if (is_positive) c->interval = statistics_bootstrap_ratio(a, c->n_a, b, c->n_b);
    c->ns_a = statistics_median(a, c->n_a);
    c->ns_b = statistics_median(b, c->n_b);
    c->ratio = c->ns_a > 0 ? c->ns_b / c->ns_a : 0;
}

struct rank {
    double p;
    unsigned row;
};

static int by_p(const void *a, const void *b)
{
    const struct rank *x = a, *y = b;
    return (x->p > y->p) - (x->p < y->p);
}

static bool has_figures(const struct compared *c)
{
    return c->n_a > 0 && c->n_b > 0;
}

static void judge(struct comparison *c)
{
    struct rank order[RESULT_ROWS_MAX] = {{0}};
    unsigned n = 0;
    for (unsigned i = 0; i < c->rows; i++)
        if (has_figures(&c->row[i])) order[n++] = (struct rank){c->row[i].p, i};
    qsort(order, n, sizeof(order[0]), by_p);
    for (unsigned i = 0; i < n && order[i].p * (n - i) <= SIGNIFICANT; i++) c->row[order[i].row].is_significant = true;
}

static int compare(struct comparison *c, const struct result *a, const struct result *b, struct err *e)
{
    *c = (struct comparison){.a = a, .b = b, .row = calloc(a->rows + 1, sizeof(*c->row))};
    if (!c->row) return err_set(e, -ENOMEM, "out of memory");
    c->is_interleaved = take_turns(a, b) || take_turns(b, a);
    for (unsigned i = 0; i < a->rows; i++) {
        const struct result_row *other = result_row(b, a->row[i].id);
        if (!other) continue;
        struct compared *row = &c->row[c->rows++];
        *row = (struct compared){.a = &a->row[i], .b = other};
        compare_row(row, 1e9 / environment_hz(a), 1e9 / environment_hz(b));
    }
    judge(c);
    return c->rows ? 0 : err_set(e, -EINVAL, "the results have no row in common");
}

/* ---- what is said of them ---- */

/* What must be the same for a difference to be one of the builds. */
static const char *const same[] = {"host.nature",   "host.cpu",        "host.microcode",    "host.kernel",
                                   "host.module",   "host.parameters", "host.halt_poll_ns", "host.mitigations",
                                   "host.governor", "host.smt",        "host.cpus",         "host.hypervisor",
                                   "options"};
#define SAME (sizeof(same) / sizeof(same[0]))

static bool differs(const struct comparison *c, const char *path)
{
    const json_t *a = environment_at(c->a, path), *b = environment_at(c->b, path);
    return a != b && !json_equal(a, b); /* both NULL: both unknown */
}

static const char *verdict(const struct comparison *c, const struct compared *row)
{
    (void)c;
    if (!has_figures(row)) return "no figures";
    if (!row->is_significant) return "no difference shown";
    return row->ns_b > row->ns_a ? "slower" : "faster";
}

static void print_warnings(FILE *f, const struct comparison *c)
{
    char a[ENVIRONMENT_TEXT_MAX], b[ENVIRONMENT_TEXT_MAX];
    if (!c->is_interleaved)
        fputs(
            "The processes of the two did not take turns: what changed on the host meanwhile looks like a difference.\n"
            "vireo bench exits --against lets them.\n",
            f);
    for (size_t i = 0; i < SAME; i++) {
        if (!differs(c, same[i])) continue;
        fprintf(f, "Different environments: %s is ", same[i]);
        print_safe(f, environment_text(c->a, same[i], a));
        fputs(" in A, ", f);
        print_safe(f, environment_text(c->b, same[i], b));
        fputs(" in B.\n", f);
    }
}

static void print_row(struct table *t, const struct comparison *c, const struct compared *row)
{
    table_cell(t, "%s", row->a->id);
    if (has_figures(row)) {
        table_cell(t, "%.0f", row->ns_a);
        table_cell(t, "%.0f", row->ns_b);
        table_cell(t, row->ratio > 0 ? "%.3f" : "n/a", row->ratio);
        table_cell(t, row->interval.is_known ? "%.3f-%.3f" : "n/a", row->interval.low, row->interval.high);
        table_cell(t, "%.4f", row->p);
    } else {
        for (unsigned i = 0; i < 5; i++) table_cell(t, "n/a");
    }
    table_cell(t, "%u, %u", row->n_a, row->n_b);
    table_cell(t, "%s", verdict(c, row));
    table_end_row(t);
}

static void print_text(FILE *f, const struct comparison *c)
{
    struct table t;
    print_warnings(f, c);
    fputs("Median over processes of their p50, and B over A with 95 % interval.\n\n", f);
    table_init(&t, f, "row <|A ns|B ns|B/A|95 %|p|processes|verdict <");
    for (unsigned i = 0; i < c->rows; i++) print_row(&t, c, &c->row[i]);
    table_fini(&t);
    fprintf(
        f,
        "\np: how likely chance alone, which process belongs to which result, makes such a difference or a larger one\n"
        "(permutation test of ranks). Slower and faster are said at %.0f %% over all rows together (Holm).\n"
        "Intervals need %d processes each.\n",
        100 * SIGNIFICANT, STATISTICS_BOOTSTRAP_MIN);
}

static json_t *json_known(bool is_known, double v)
{
    return is_known ? json_real(v) : json_null();
}

static json_t *make_row(const struct comparison *c, const struct compared *r)
{
    const bool has = has_figures(r);
    return json_pack("{s:s, s:o, s:o, s:o, s:o, s:o, s:o, s:[i, i], s:s}", "row", r->a->id, "a_ns",
                     json_known(has, r->ns_a), "b_ns", json_known(has, r->ns_b), "ratio",
                     json_known(r->ratio > 0, r->ratio), "low", json_known(r->interval.is_known, r->interval.low),
                     "high", json_known(r->interval.is_known, r->interval.high), "p", json_known(has, r->p),
                     "processes", (int)r->n_a, (int)r->n_b, "verdict", verdict(c, r));
}

static void print_json(FILE *f, const struct comparison *c)
{
    json_t *rows = json_array(), *different = json_array();
    int rc = 0;
    for (unsigned i = 0; i < c->rows; i++) rc |= json_array_append_new(rows, make_row(c, &c->row[i]));
    for (size_t i = 0; i < SAME; i++)
        if (differs(c, same[i])) rc |= json_array_append_new(different, json_string(same[i]));
    json_t *root = json_pack("{s:s, s:b, s:o, s:o}", "schema", "vireo-comparison-1", "is_interleaved",
                             c->is_interleaved, "different", different, "rows", rows);
    if (rc || !root || json_dumpf(root, f, JSON_COMPACT | JSON_REAL_PRECISION(12))) errno = ENOMEM;
    json_decref(root);
    fputc('\n', f);
}

int result_compare(const struct result *a, const struct result *b, const char *format, result_write_fn *write,
                   void *arg, struct err *e)
{
    struct comparison c = {0};
    struct result_out out;
    const bool is_json = strcmp(format, "json") == 0;
    if (!is_json && strcmp(format, "text") != 0)
        return err_set(e, -EINVAL, "format \"%.40s\": a comparison is text or json", format);
    int rc = check(a, b, e);
    if (rc == 0) rc = compare(&c, a, b, e);
    if (rc == 0) rc = result_out_open(&out, e);
    if (rc == 0) {
        if (is_json)
            print_json(out.f, &c);
        else
            print_text(out.f, &c);
        rc = result_out_close(&out, write, arg, e);
    }
    free(c.row);
    return rc;
}
