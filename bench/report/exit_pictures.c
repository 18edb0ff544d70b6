/* Pictures of exits: the distribution of every row on one axis, and how long it took at each percentile. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "bench/report/exits.h"
#include "bench/report/published.h"
#include "bench/report/strips.h"

#define BINS       200 /* of a strip, which is some 500 pixels wide */
#define STRIP_PX   21
#define POINTS_MAX 320 /* of a curve: enough for steps of 1.15 up to 2^63 samples */
#define POINT_STEP 1.15

/* ---- densities ---- */

struct density {
    double count[BINS];
};

/* Count a phase's samples along the axis, a little smoothed. Those beyond its ends are left out. */
static void fill(struct density *out, const struct plot_axis *x, const struct exit_times *t)
{
    double raw[BINS + 2] = {0};
    for (unsigned i = 0; t->dist && i < t->dist->buckets; i++) {
        const double middle = ((double)t->dist->bucket[i].value + (double)dist_top(t->dist->bucket[i].value)) / 2;
        const double ns = middle * t->scale;
        if (ns < x->low || ns > x->high) continue;
        const unsigned bin = (unsigned)(axis_part(x, ns) * (BINS - 1));
        raw[bin + 1] += (double)t->dist->bucket[i].count;
    }
    for (unsigned i = 0; i < BINS; i++) out->count[i] = raw[i] / 4 + raw[i + 1] / 2 + raw[i + 2] / 4;
}

static double greatest(const struct density *d)
{
    double out = 0;
    for (unsigned i = 0; i < BINS; i++) out = fmax(out, d->count[i]);
    return out;
}

/* Square roots, so that a tail of a thousandth is still seen. Runs of equal height are one line. */
static void put_density(struct strips *s, const char *look, const struct density *d, double peak)
{
    struct plot_point at[BINS];
    unsigned n = 0;
    for (unsigned i = 0; i < BINS && peak > 0; i++) {
        const double x = s->x.low * pow(s->x.high / s->x.low, (double)i / (BINS - 1)), y = sqrt(d->count[i] / peak);
        const bool is_flat = n > 1 && at[n - 1].y == y && at[n - 2].y == y;
        if (is_flat) n--;
        at[n++] = (struct plot_point){x, y};
    }
    strip_area(s, look, at, n);
}

/* ---- the shape: all rows on one axis ---- */

/* Cycles at the rate of our counter. */
static double published_ns(const struct report_view *v, const struct published *f)
{
    return (f->low + f->high) / 2 * (strcmp(f->unit, "ns") == 0 ? 1 : v->tick_ns);
}

/* Marks at published figures. */
static void put_published(struct strips *s, const struct report_view *v, const char *id)
{
    const struct published *f;
    for (unsigned n = 0; (f = published_find(v->arch, id, n)) != NULL; n++) {
        const double ns = published_ns(v, f);
        char says[400];
        (void)snprintf(says, sizeof(says), "%s, %s: %.0f-%.0f %s (%s)", f->what, f->hardware, f->low, f->high, f->unit,
                       f->source);
        if (ns >= s->x.low && ns <= s->x.high) strip_mark(s, "pub", ns, says);
    }
}

static void put_band(struct strips *s, const struct report *r, unsigned k, const char *id, char figure[PLOT_TEXT_MAX])
{
    static const char *const full[PLOT_SERIES] = {"f0", "f1", "f2", "f3", "f4", "f5"};
    static const char *const pale[PLOT_SERIES] = {"p0", "p1", "p2", "p3", "p4", "p5"};
    const struct report_view *v = &r->view[k];
    const struct result_row *row = result_row(v->result, id);
    const double median = exit_median(v, row);
    struct density all, undisturbed;
    (void)snprintf(figure, PLOT_TEXT_MAX, "%s", "\xe2\x80\x93");
    if (!isfinite(median)) return;
    const struct exit_times all_times = exit_times_of(v, row, row->phase[PHASE_RTT].count ? PHASE_RTT : PHASE_KVM_RUN);
    const struct exit_times quiet = exit_times_of(v, row, PHASE_UNDISTURBED);
    fill(&all, &s->x, &all_times);
    fill(&undisturbed, &s->x, quiet.dist ? &quiet : &all_times);
    strip_band(s, k);
    put_density(s, pale[k % PLOT_SERIES], &all, greatest(&all));
    put_density(s, full[k % PLOT_SERIES], &undisturbed, greatest(&all));
    put_published(s, v, id);
    strip_mark(s, "mark", median, NULL);
    (void)plot_text(median, PLOT_NS, figure);
}

static void put_row(struct strips *s, const struct report *r, const char *id)
{
    char text[REPORT_RESULTS_MAX][PLOT_TEXT_MAX];
    const char *figures[REPORT_RESULTS_MAX];
    strip_begin(s, id, r->count);
    for (unsigned k = 0; k < r->count; k++) {
        put_band(s, r, k, id, text[k]);
        figures[k] = text[k];
    }
    strip_end(s, figures);
}

static void widen(struct plot_axis *x, double low, double high)
{
    if (isfinite(low) && low > 0 && low < x->low) x->low = low;
    if (isfinite(high) && high > x->high) x->high = high;
}

/* From the fastest row's first percentile to the slowest's 99th, medians included. */
static struct plot_axis fit(const struct report *r, const struct exit_rows *rows)
{
    struct plot_axis x = {.low = INFINITY, .is_log = true, .unit = PLOT_NS, .label = "time, log scale"};
    for (unsigned i = 0; i < rows->count; i++) {
        for (unsigned k = 0; k < r->count; k++) {
            const struct result_row *row = result_row(r->view[k].result, rows->id[i]);
            const double median = exit_median(&r->view[k], row);
            if (!isfinite(median)) continue;
            const struct exit_times t = exit_times_of(&r->view[k], row, row_headline_phase(row));
            widen(&x, exit_quantile(&t, 0.01, 1), exit_quantile(&t, 0.99, 1));
            widen(&x, median, median);
        }
    }
    x.low /= 1.2;
    x.high *= 1.2;
    return x;
}

/* Is a published figure drawn beside one of these rows? */
static bool has_published(const struct report *r, const struct exit_rows *rows, const struct plot_axis *x)
{
    const struct published *f;
    for (const struct report_view *v = r->view; v < r->view + r->count; v++) {
        for (unsigned i = 0; i < rows->count; i++) {
            for (unsigned n = 0; (f = published_find(v->arch, rows->id[i], n)) != NULL; n++) {
                const double ns = published_ns(v, f);
                if (ns >= x->low && ns <= x->high) return true;
            }
        }
    }
    return false;
}

/* Rows that cause no exit have no place on the axis of those that do. */
static void put_left_out(const struct report *r, const struct exit_rows *shown)
{
    const struct exit_rows rows = exit_rows_of(r, GROUP_CONTROL);
    bool is_first = true;
    if (rows.count > 0) html_put(r->page, "<p class=\"note\">Not in the picture, as they cause no exit: ");
    for (unsigned i = 0; i < rows.count; i++) report_put_item(r->page, &is_first, rows.id[i]);
    if (rows.count > 0) html_put(r->page, ".</p>\n");
    if (shown->left_out > 0) html_put(r->page, "<p>%u more rows are not shown.</p>\n", shown->left_out);
}

void exit_put_shape(const struct report *r)
{
    static const struct report_look looks[] = {
        {LOOK_PATCH, "f0", "undisturbed samples"},
        {LOOK_PATCH, "p0", "those in which the host did something else"},
        {LOOK_MARK, "mark", "median"},
        {LOOK_MARK, "pub", "published, on other hardware"},
    };
    static const struct {
        enum row_group group;
        const char *title;
    } groups[] = {{GROUP_SANDBOX, "Of a sandbox"},
                  {GROUP_USER, "Handled in the monitor"},
                  {GROUP_KERNEL, "Handled in the kernel"}};
    struct exit_rows rows[3], all = {.count = 0};
    struct strips s;
    for (unsigned g = 0; g < 3; g++) {
        rows[g] = exit_rows_of(r, groups[g].group);
        for (unsigned i = 0; i < rows[g].count && all.count < EXIT_ROWS_MAX; i++) all.id[all.count++] = rows[g].id[i];
        all.left_out += rows[g].left_out;
    }
    if (all.count > 0) {
        const struct plot_axis x = fit(r, &all);
        report_legend(r->page, looks + (r->count > 1 ? 2 : 0), (r->count > 1 ? 1u : 3u) + has_published(r, &all, &x));
        report_legend_results(r);
        strips_begin(&s, r->page, "Distribution of the times of each row", &x, STRIP_PX);
        for (unsigned g = 0; g < 3; g++) {
            if (rows[g].count > 0) strips_group(&s, groups[g].title);
            for (unsigned i = 0; i < rows[g].count; i++) put_row(&s, r, rows[g].id[i]);
        }
        strips_end(&s);
        html_put(r->page, "<p class=\"note\">How long it takes, on a log scale: the higher, the more samples "
                          "(by square root). The number is the median. The slowest hundredth of a row may lie beyond "
                          "the right end.</p>\n");
    }
    put_left_out(r, &all);
}

/* ---- percentiles ---- */

struct curve {
    struct plot_point at[POINTS_MAX];
    unsigned count;
};

/* For each share p of the times, as 1/(1-p), the time that this share of them does not exceed. */
static void trace(const struct exit_times *t, struct curve *out)
{
    double seen = 0, last = 0;
    const struct dist *d = t->dist;
    out->count = 0;
    for (unsigned i = 0; i < d->buckets; i++) {
        const double tail = (double)d->count / ((double)d->count - seen); /* above 0, as this bucket is not seen yet */
        if (tail >= last * POINT_STEP && out->count < POINTS_MAX - 1) {
            out->at[out->count++] = (struct plot_point){tail, (double)d->bucket[i].value * t->scale};
            last = tail;
        }
        seen += (double)d->bucket[i].count;
    }
    out->at[out->count++] = (struct plot_point){(double)d->count, (double)d->max * t->scale};
}

static bool is_of_sandbox(const struct report *r)
{
    return r->view[0].result->kind == RESULT_SANDBOX;
}

#define EXIT_PHASES    PHASE_YARDSTICK /* all before it */
#define SANDBOX_PHASES 3u
static enum phase phase_at(const struct report *r, unsigned k)
{
    static const enum phase sandbox[SANDBOX_PHASES] = {PHASE_RTT, PHASE_UNDISTURBED, PHASE_YARDSTICK};
    return is_of_sandbox(r) && k < SANDBOX_PHASES ? sandbox[k] : (enum phase)k;
}

/* The k-th series in the plot of a row: a phase when there is one result, else the round trip in the k-th result. */
static struct exit_times series(const struct report *r, const char *id, unsigned k)
{
    const struct report_view *v = &r->view[r->count > 1 ? k : 0];
    const struct result_row *row = result_row(v->result, id);
    return exit_times_of(v, row, r->count > 1 && row ? row_headline_phase(row) : phase_at(r, k));
}

static unsigned series_count(const struct report *r)
{
    return r->count > 1 ? r->count : is_of_sandbox(r) ? SANDBOX_PHASES : EXIT_PHASES;
}

static struct plot_frame frame_for(const struct report *r, const char *id)
{
    struct plot_frame f = {
        .title = id,
        .x = {.low = 1, .high = 10, .is_log = true, .unit = PLOT_TAIL, .label = "percentile"},
        .y = {.low = INFINITY, .high = 0, .is_log = true, .unit = PLOT_NS, .label = "time"},
    };
    for (unsigned k = 0; k < series_count(r); k++) {
        const struct exit_times t = series(r, id, k);
        if (!t.dist) continue;
        f.x.high = fmax(f.x.high, (double)t.dist->count);
        /* Zero has no place on a log axis: it is drawn at one tick. */
        f.y.low = fmin(f.y.low, fmax(exit_quantile(&t, 0.01, 1), t.scale));
        f.y.high = fmax(f.y.high, (double)t.dist->max * t.scale);
    }
    return f;
}

static void put_percentiles_of(const struct report *r, const char *id)
{
    const struct plot_frame f = frame_for(r, id);
    struct plot p;
    struct curve c;
    if (!isfinite(f.y.low)) return;
    html_put(r->page, "<figure><figcaption>%s</figcaption>", id);
    plot_begin(&p, r->page, &f);
    for (unsigned k = 0; k < series_count(r); k++) {
        const struct exit_times t = series(r, id, k);
        if (!t.dist) continue;
        trace(&t, &c);
        plot_line(&p, k, c.at, c.count);
    }
    plot_end(&p);
    html_put(r->page, "</figure>\n");
}

void exit_put_percentiles(const struct report *r)
{
    static const struct report_look looks[EXIT_PHASES] = {
        {LOOK_LINE, "s0", "rtt"},  {LOOK_LINE, "s1", "rtt_undisturbed"}, {LOOK_LINE, "s2", "exit_leg"},
        {LOOK_LINE, "s3", "user"}, {LOOK_LINE, "s4", "entry_leg"},       {LOOK_LINE, "s5", "kvm_run"},
    };
    static const struct report_look of_sandbox[SANDBOX_PHASES] = {
        {LOOK_LINE, "s0", "time"}, {LOOK_LINE, "s1", "undisturbed"}, {LOOK_LINE, "s2", "yardstick"}};
    static const enum row_group order[] = {GROUP_SANDBOX, GROUP_USER, GROUP_KERNEL, GROUP_CONTROL};
    report_fold(r->page, "How long it takes at each percentile");
    if (r->count == 1)
        report_legend(r->page, is_of_sandbox(r) ? of_sandbox : looks, series_count(r));
    else
        report_legend_results(r);
    html_put(r->page, "<p class=\"note\">Both axes are logarithmic, so that a tail is seen as it is.</p><div "
                      "class=\"grid\">\n");
    for (unsigned g = 0; g < sizeof(order) / sizeof(order[0]); g++) {
        const struct exit_rows rows = exit_rows_of(r, order[g]);
        for (unsigned i = 0; i < rows.count; i++) put_percentiles_of(r, rows.id[i]);
    }
    html_put(r->page, "</div>\n");
    report_unfold(r->page);
}
