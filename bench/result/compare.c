/* Two results side by side. Is b slower than a, and could chance alone have made it look so? The unit of chance is the
 * process: its p50 is one value, since what lies within one process shares a layout of memory, a CPU and a moment. */
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/result/column.h"
#include "bench/result/model.h"
#include "vmm/base/text.h"

/* The probability that chance alone makes at least one of all rows look different (Holm 1979). */
#define SIGNIFICANT 0.05

struct comparison {
    const struct result *a, *b;
    double margin;
    struct compared *row;
    unsigned rows;
    int regressions;
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
    if (!result_kind_has_rows(a->kind))
        return err_set(e, -EINVAL, "results of kind %s are verdicts, not durations: there is no ratio of them",
                       result_kind(a));
    if (!arch_of(a) || !arch_of(b)) {
        (void)err_set(e, -EINVAL, "%s is a result without a process, which can't be compared", arch_of(a) ? "B" : "A");
        err_hint(e, "no process of the program that made it told what it measured: is that a vireo?");
        return -EINVAL;
    }
    if (strcmp(arch_of(a), arch_of(b)) != 0)
        return err_set(e, -EINVAL, "results of %s and %s can't be compared; vireo report sets them side by side",
                       arch_of(a), arch_of(b));
    if (strcmp(environment_text(a, "counter.name", name_a), environment_text(b, "counter.name", name_b)) != 0)
        return err_set(e, -EINVAL, "results timed by %.80s and %.80s can't be compared", name_a, name_b);
    return 0;
}

/* The processes took turns when they began in the order first, second, first, second, and so on. Times are ISO 8601 in
 * UTC, so they can be compared as strings. */
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

static void compare_row(struct compared *c, const struct comparison *of, const struct result_row *in_a,
                        const struct result_row *in_b)
{
    double a[RESULT_PROCESSES_MAX], b[RESULT_PROCESSES_MAX];
    const unsigned n_a = row_p50s(in_a, a), n_b = row_p50s(in_b, b);
    *c = (struct compared){.processes_a = n_a,
                           .processes_b = n_b,
                           .verdict = NO_FIGURES,
                           .a_ns = NAN,
                           .b_ns = NAN,
                           .ratio = NAN,
                           .low = NAN,
                           .high = NAN,
                           .p = NAN};
    (void)snprintf(c->row, sizeof(c->row), "%s", in_a->id);
    if (n_a == 0 || n_b == 0) return;
    bool is_positive = true;
    for (unsigned i = 0; i < n_a; i++) is_positive = (a[i] *= 1e9 / environment_hz(of->a)) > 0 && is_positive;
    for (unsigned i = 0; i < n_b; i++) b[i] *= 1e9 / environment_hz(of->b);
    c->p = statistics_permutation(a, n_a, b, n_b);
    if (is_positive) {
        const struct interval i = statistics_bootstrap_ratio(a, n_a, b, n_b);
        const bool is_known = i.is_known && isfinite(i.low) && isfinite(i.high);
        c->low = is_known ? i.low : NAN;
        c->high = is_known ? i.high : NAN;
    }
    c->a_ns = statistics_median(a, n_a);
    c->b_ns = statistics_median(b, n_b);
    if (c->a_ns > 0 && c->b_ns > 0) c->ratio = c->b_ns / c->a_ns;
    if (isinf(c->ratio)) c->ratio = NAN; /* a file's figures may be as far apart as that */
    c->verdict = NO_DIFFERENCE;
}

static int by_p(const void *a, const void *b)
{
    const double x = (*(struct compared *const *)a)->p, y = (*(struct compared *const *)b)->p;
    return (x > y) - (x < y);
}

/* Holm's procedure: the smallest p is multiplied by the number of rows, the next one by one less, and so on. A row
 * differs as long as none up to it has come out above the level. */
static void judge(struct comparison *c)
{
    struct compared *order[RESULT_ROWS_MAX] = {NULL};
    unsigned n = 0;
    for (unsigned i = 0; i < c->rows; i++)
        if (c->row[i].verdict != NO_FIGURES) order[n++] = &c->row[i];
    qsort(order, n, sizeof(void *), by_p);
    for (unsigned i = 0; i < n && order[i]->p * (n - i) <= SIGNIFICANT; i++)
        order[i]->verdict = order[i]->b_ns > order[i]->a_ns ? SLOWER : FASTER;
    for (unsigned i = 0; i < n; i++) {
        order[i]->is_regression = order[i]->verdict == SLOWER && order[i]->b_ns > order[i]->a_ns * (1 + c->margin);
        c->regressions += order[i]->is_regression;
    }
}

static int compare(struct comparison *c, const struct result *a, const struct result *b, struct err *e)
{
    c->a = a;
    c->b = b;
    c->row = calloc(a->rows + 1, sizeof(*c->row));
    if (!c->row) return err_set(e, -ENOMEM, "out of memory");
    c->is_interleaved = take_turns(a, b) || take_turns(b, a);
    for (unsigned i = 0; i < a->rows; i++) {
        const struct result_row *other = result_row(b, a->row[i].id);
        if (other) compare_row(&c->row[c->rows++], c, &a->row[i], other);
    }
    judge(c);
    return c->rows ? 0 : err_set(e, -EINVAL, "the results have no row in common");
}

/* ---- what is said of them ---- */

/* Where these are the same in both results, a difference comes from what was measured, not from the host. */
static const char *const same[] = {"host.nature",   "host.cpu",        "host.microcode",    "host.kernel",
                                   "host.module",   "host.parameters", "host.halt_poll_ns", "host.mitigations",
                                   "host.governor", "host.smt",        "host.cpus",         "host.hypervisor",
                                   "options"};
#define SAME (sizeof(same) / sizeof(same[0]))

static bool differs(const struct comparison *c, const char *path)
{
    const json_t *a = environment_at(c->a, path), *b = environment_at(c->b, path);
    return a != b && !json_equal(a, b); /* both are NULL where both are unknown */
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
        text_put_safe(f, environment_text(c->a, same[i], a));
        fputs(" in A, ", f);
        text_put_safe(f, environment_text(c->b, same[i], b));
        fputs(" in B.\n", f);
    }
}

static void print_alone(FILE *f, const char *title, const struct result *in, const struct result *other)
{
    const char *before = title;
    for (unsigned i = 0; i < in->rows; i++) {
        if (result_row(other, in->row[i].id)) continue;
        fprintf(f, "%s%s", before, in->row[i].id);
        before = ", ";
    }
    if (before != title) fputs(".\n", f);
}

static const struct column columns[] = {
    COLUMN("row <", "row"),
    COLUMN("A ns", "a_ns"),
    COLUMN("B ns", "b_ns"),
    COLUMN("B/A", "ratio", .decimals = 3),
    COLUMN("95 %", "low", .to = "high", .decimals = 3),
    COLUMN("p", "p", .decimals = 4),
    COLUMN("processes", "processes_a", .to = "processes_b", .between = ", "),
    COLUMN("verdict <", "verdict"),
    {0},
};

static void print_regressions(FILE *f, const struct comparison *c)
{
    const char *before = " ";
    fprintf(f, "Regressions of more than %g %%:%s", 100 * c->margin, c->regressions ? "" : " none");
    for (unsigned i = 0; i < c->rows; i++) {
        if (!c->row[i].is_regression) continue;
        fprintf(f, "%s%s", before, c->row[i].row);
        before = ", ";
    }
    fputs(".\n", f);
}

/* Rows that differ come first. */
static void print_rows(FILE *f, const struct comparison *c)
{
    struct table t;
    columns_begin(&t, f, columns);
    for (int differ = 1; differ >= 0; differ--)
        for (unsigned i = 0; i < c->rows; i++)
            if ((c->row[i].verdict >= SLOWER) == differ)
                columns_put(&t, columns, &(struct column_source){.shape = SHAPE_compared, .in = &c->row[i]});
    table_fini(&t);
}

static void print_text(FILE *f, const struct comparison *c)
{
    print_warnings(f, c);
    print_alone(f, "Only in A: ", c->a, c->b);
    print_alone(f, "Only in B: ", c->b, c->a);
    fputs("Median over processes of their p50, without disturbed samples, and B over A with 95 % interval.\n\n", f);
    print_rows(f, c);
    fputc('\n', f);
    print_regressions(f, c);
    fprintf(
        f,
        "p: how likely chance alone, which process belongs to which result, makes such a difference or a larger one\n"
        "(permutation test of ranks). Slower and faster are said at %.0f %% over all rows together (Holm).\n"
        "Intervals need %d processes each.\n",
        100 * SIGNIFICANT, STATISTICS_BOOTSTRAP_MIN);
}

static void write_alone(struct json_out *j, const char *key, const struct result *in, const struct result *other)
{
    json_put_array(j, key);
    for (unsigned i = 0; i < in->rows; i++)
        if (!result_row(other, in->row[i].id)) json_put_string(j, NULL, in->row[i].id);
    json_put_end(j);
}

static void print_json(FILE *f, const struct comparison *c)
{
    struct json_out j = {.write = json_to_file, .arg = f};
    json_put_object(&j, NULL);
    json_put_string(&j, "schema", "vireo-comparison-1");
    json_put_bool(&j, "is_interleaved", c->is_interleaved);
    json_put_array(&j, "different");
    for (size_t i = 0; i < SAME; i++)
        if (differs(c, same[i])) json_put_string(&j, NULL, same[i]);
    json_put_end(&j);
    write_alone(&j, "only_a", c->a, c->b);
    write_alone(&j, "only_b", c->b, c->a);
    json_put_real(&j, "margin", c->margin, JSON_DIGITS);
    json_put_array(&j, "rows");
    for (unsigned i = 0; i < c->rows; i++) shape_write(&j, NULL, SHAPE_compared, &c->row[i]);
    json_put_end(&j);
    json_put_end(&j);
    fputc('\n', f);
}

int result_compare(const struct result *a, const struct result *b, double margin, const char *format,
                   result_write_fn *write, void *arg, struct err *e)
{
    struct comparison c = {.margin = margin};
    struct result_out out;
    const bool is_json = strcmp(format, "json") == 0;
    if (!is_json && strcmp(format, "text") != 0)
        return err_set(e, -EINVAL, "format \"%.40s\": a comparison is text or json", format);
    int rc = check(a, b, e);
    if (rc == 0) rc = compare(&c, a, b, e);
    if (rc == 0) rc = result_out_open(&out, e);
    if (rc == 0) {
        (is_json ? print_json : print_text)(out.f, &c);
        rc = result_out_close(&out, write, arg, e);
    }
    free(c.row);
    return rc ? rc : c.regressions;
}
