/* The part of the page about what VM exits cost. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "bench/report/published.h"
#include "bench/report/svg.h"
#include "bench/report/view.h"

#define ROWS_MAX    64  /* there are 43; if a file has more than 64, the page says how many it leaves out */
#define POINTS_MAX  320 /* of a curve: enough for steps of 1.15 up to 2^63 samples */
#define POINT_STEP  1.15
#define P99_MIN     368 /* samples that p99 needs, as its confidence interval does; with fewer it is luck */
#define P999_MIN    3688
#define COLUMNS     "13"           /* of the table of figures */
#define ROW_OF_UNIT "mmio_wr_user" /* the row that the others of the same host are divided by */

static const struct {
    enum row_group group;
    const char *title;
} groups[] = {
    {GROUP_CONTROL, "Controls: no exit"},
    {GROUP_KERNEL, "Handled in the kernel"},
    {GROUP_USER, "Handled in the monitor"},
    {GROUP_UNKNOWN, "Not reached"},
};
#define GROUPS (sizeof(groups) / sizeof(groups[0]))

/* The rows of all results, each one once, in the order of the groups. */
struct rows {
    const char *id[ROWS_MAX];
    unsigned count, left_out;
};

static bool has_id(const struct rows *rows, const char *id)
{
    for (unsigned i = 0; i < rows->count; i++)
        if (strcmp(rows->id[i], id) == 0) return true;
    return false;
}

static void collect_group(struct rows *out, const struct result *r, enum row_group group)
{
    for (unsigned i = 0; i < r->rows; i++) {
        if (r->row[i].group != group || has_id(out, r->row[i].id)) continue;
        if (out->count < ROWS_MAX)
            out->id[out->count++] = r->row[i].id;
        else
            out->left_out++;
    }
}

static struct rows collect(const struct report *r)
{
    struct rows out = {0};
    for (unsigned g = 0; g < GROUPS; g++)
        for (unsigned k = 0; k < r->count; k++) collect_group(&out, r->view[k].result, groups[g].group);
    return out;
}

/* ---- times in nanoseconds of one operation ---- */

/* The durations of one phase of a row. dist is NULL where there are none. */
struct times {
    const struct dist *dist;
    double scale; /* of ticks of a batch */
};

static struct times phase_times(const struct report_view *v, const struct result_row *row, enum phase p)
{
    if (!row) return (struct times){0};
    return (struct times){.dist = row->phase[p].count > 0 ? &row->phase[p] : NULL,
                          .scale = v->tick_ns / (double)row->batch};
}

static struct times main_times(const struct report_view *v, const struct result_row *row)
{
    return phase_times(v, row, row ? row_headline_phase(row) : PHASE_RTT);
}

/* In nanoseconds; NaN where there are fewer samples than `enough`. */
static double quantile(const struct times *t, double share, uint64_t enough)
{
    if (!t->dist || t->dist->count < enough) return NAN;
    return (double)dist_quantile(t->dist, share) * t->scale;
}

/* Over processes, in nanoseconds; NaN where there is none. */
static double median(const struct report_view *v, const struct result_row *row)
{
    return row ? row_p50(row) * v->tick_ns : NAN;
}

/* ---- the shape: all rows in one picture ---- */

static double greatest_p99(const struct report *r)
{
    double out = 10;
    for (unsigned k = 0; k < r->count; k++) {
        for (unsigned i = 0; i < r->view[k].result->rows; i++) {
            const struct times t = main_times(&r->view[k], &r->view[k].result->row[i]);
            const double p99 = quantile(&t, 0.99, 1);
            if (p99 > out) out = p99;
        }
    }
    return out;
}

static void put_legend(const struct report *r)
{
    html_put(r->page, "<p class=\"legend\">");
    for (unsigned k = 0; k < r->count; k++)
        html_put(r->page, "<span class=\"k%u\">%s: %s, %s</span> ", k % PLOT_SERIES, r->view[k].letter, r->view[k].arch,
                 r->view[k].nature);
    html_put(r->page, "</p>");
}

/* Row i of the picture: a dot and a bar for each result, one below the other. */
static void put_shape_row(const struct report *r, struct plot *p, const char *id, unsigned i)
{
    for (unsigned k = 0; k < r->count; k++) {
        const struct result_row *row = result_row(r->view[k].result, id);
        const struct times t = main_times(&r->view[k], row);
        const double p50 = median(&r->view[k], row), p99 = quantile(&t, 0.99, 1);
        const double y = i + (k + 0.5) / r->count;
        char says[SHAPE_NAME_MAX + PLOT_TEXT_MAX + 8], text[PLOT_TEXT_MAX];
        if (!isfinite(p50)) continue;
        (void)snprintf(says, sizeof(says), "%s, %s: %s", r->view[k].letter, id, plot_text(p50, PLOT_NS, text));
        plot_bar(p, k, (struct plot_point){p50, y}, (struct plot_point){p99 > p50 ? p99 : p50, y});
        plot_dot(p, k, (struct plot_point){p50, y}, says);
    }
}

/* The rows that have a figure in at least one result. */
static struct rows with_figures(const struct report *r, const struct rows *rows)
{
    struct rows out = {0};
    for (unsigned i = 0; i < rows->count; i++) {
        unsigned k = 0;
        while (k < r->count && !isfinite(median(&r->view[k], result_row(r->view[k].result, rows->id[i])))) k++;
        if (k < r->count) out.id[out.count++] = rows->id[i];
    }
    return out;
}

static void put_shape(const struct report *r, const struct rows *all)
{
    const struct rows rows = with_figures(r, all);
    const struct plot_frame f = {
        .title = "Median and 99th percentile of each row",
        .x = {.low = 1, .high = greatest_p99(r), .is_log = true, .unit = PLOT_NS, .label = "time, log scale"},
        .names = rows.id,
        .names_count = rows.count,
    };
    struct plot p;
    html_put(r->page, "<h2>The shape</h2><p>Dot: median of the round trip as the guest sees it. Bar: from there to the "
                      "99th percentile.</p>");
    put_legend(r);
    html_put(r->page, "<figure class=\"wide\">");
    plot_begin(&p, r->page, &f);
    for (unsigned i = 0; i < rows.count; i++) put_shape_row(r, &p, rows.id[i], i);
    plot_end(&p);
    html_put(r->page, "</figure>");
}

/* ---- the figures of one result ---- */

static void put_published(FILE *page, const struct report_view *v, const char *id)
{
    const struct published *f;
    html_put(page, "<td class=\"t\">");
    for (unsigned n = 0; (f = published_find(v->arch, id, n)) != NULL; n++) {
        html_put(page, "%.0f", f->low);
        if (f->high > f->low) html_put(page, "\xe2\x80\x93%.0f", f->high);
        html_put(page, " %s <small>%s; %s; %s</small><br/>", f->unit, f->what, f->hardware, f->source);
    }
    html_put(page, "</td>");
}

static void put_count_check(FILE *page, const struct result_row *row)
{
    const bool has_count = row->counted != COUNT_UNKNOWN, has_expected = row->expected != COUNT_UNKNOWN;
    html_put(page, "<td class=\"%s\">", has_count && row->agrees == 0 ? "bad" : "");
    report_put_number(page, has_count ? (double)row->counted : NAN);
    if (has_count && has_expected && row->counted != row->expected) {
        html_put(page, " of ");
        report_put_number(page, (double)row->expected);
    }
    html_put(page, "%s</td>", has_count ? "" : "not counted");
}

static void put_quantiles(FILE *page, const struct report_view *v, const struct result_row *row)
{
    const struct times t = main_times(v, row);
    const struct headline head = row_headline(row, 1e9 / v->tick_ns);
    const bool has_bounds = !isnan(head.low);
    report_put_cell(page, head.p50 * v->tick_ns);
    html_put(page, "<td>%s", has_bounds ? "" : "n/a");
    report_put_number(page, head.low * v->tick_ns);
    html_put(page, "%s", has_bounds ? "\xe2\x80\x93" : "");
    report_put_number(page, head.high * v->tick_ns);
    html_put(page, "</td>");
    report_put_cell(page, quantile(&t, 0.9, 1));
    report_put_cell(page, quantile(&t, 0.99, P99_MIN));
    report_put_cell(page, quantile(&t, 0.999, P999_MIN));
    report_put_cell(page, t.dist ? (double)t.dist->max * t.scale : NAN);
    report_put_cell(page, head.p50);
}

static void put_row(FILE *page, const struct report_view *v, const struct result_row *row)
{
    html_put(page, "<tr><th scope=\"row\">%s</th>", row->id);
    report_put_verdict(page, row_statuses[row->status]);
    put_quantiles(page, v, row);
    report_put_cell(page, (double)row->samples);
    report_put_cell(page, (double)row->disturbed);
    put_count_check(page, row);
    put_published(page, v, row->id);
    html_put(page, "</tr>\n");
    if (row->detail[0])
        html_put(page, "<tr class=\"more\"><td></td><td class=\"t\" colspan=\"12\">%s</td></tr>\n", row->detail);
}

static const char *comparable(const struct report_view *v)
{
    if (strcmp(v->nature, "bare") == 0)
        return "Published figures are of other hardware. Ticks of our counter are not core cycles: compare them only "
               "where both run at one rate.";
    if (strcmp(v->nature, "pvm") == 0)
        return "Not comparable with the published figures: this host's KVM is software (PVM), theirs use "
               "virtualization "
               "hardware.";
    if (strcmp(v->nature, "emulated") == 0)
        return "Not comparable with the published figures: this host is emulated. Its times mean little; counts, order "
               "and relations between rows do mean something.";
    if (strcmp(v->nature, "virtual") == 0)
        return "Not comparable with the published figures, which are of bare metal: this host is itself a virtual "
               "machine.";
    return "It is not known what kind of host this was: not comparable with the published figures.";
}

/* A group's rows under its title. */
static void put_group(FILE *page, const struct report_view *v, enum row_group group, const char *title)
{
    bool is_open = false;
    for (unsigned i = 0; i < v->result->rows; i++) {
        const struct result_row *row = &v->result->row[i];
        if (row->group != group) continue;
        if (!is_open)
            html_put(page, "<tbody><tr class=\"group\"><th colspan=\"" COLUMNS "\" scope=\"rowgroup\">%s</th></tr>\n",
                     title);
        is_open = true;
        put_row(page, v, row);
    }
    if (is_open) html_put(page, "</tbody>");
}

static void put_figures(FILE *page, const struct report_view *v)
{
    html_put(page,
             "<h2>%s: %s, %s</h2><p>%s</p><div class=\"scroll\"><table><thead><tr><th>row</th><th>status</th>"
             "<th>median, ns</th><th>95&#160;%%</th><th>p90</th><th>p99</th><th>p99.9</th><th>max</th>"
             "<th>median, ticks</th><th>samples</th><th>disturbed</th><th>exits</th><th "
             "class=\"wide\">published</th></tr></thead>",
             v->letter, v->arch, v->nature, comparable(v));
    for (unsigned g = 0; g < GROUPS; g++) put_group(page, v, groups[g].group, groups[g].title);
    html_put(page,
             "</table></div><p><small>Round trip as the guest sees it, less what the same loop takes without the trap. "
             "Median over processes, with its bootstrap interval where there are ten; quantiles of all samples, "
             "where there are enough. Exits: as the kernel counted them; where another number was expected, it is "
             "said.</small></p>\n");
}

/* ---- where the time goes ---- */

static void put_phases_row(FILE *page, const struct report_view *v, const struct result_row *row)
{
    html_put(page, "<tr><th scope=\"row\">%s</th>", row->id);
    for (unsigned k = 0; k < PHASE_COUNT; k++) {
        const struct times t = phase_times(v, row, k);
        report_put_cell(page, quantile(&t, 0.5, 1));
    }
    const double scale = v->tick_ns / (double)row->batch;
    report_put_cell(page, row_baseline(row) * scale);
    report_put_cell(page, row->residual * scale);
    html_put(page, "<td class=\"t\">%s</td></tr>\n",
             row->legs_hold < 0 ? ""
             : row->legs_hold   ? "holds"
                                : "does not hold");
}

static void put_phases(FILE *page, const struct report_view *v)
{
    html_put(page, "<h3>Phases, medians in ns</h3><div class=\"scroll\"><table><thead><tr><th>row</th>");
    for (unsigned k = 0; k < PHASE_COUNT; k++) html_put(page, "<th>%s</th>", phase_names[k]);
    html_put(page, "<th>baseline</th><th>residual</th><th>identity</th></tr></thead><tbody>\n");
    for (unsigned i = 0; i < v->result->rows; i++)
        if (v->result->row[i].phase[PHASE_KVM_RUN].count > 0) put_phases_row(page, v, &v->result->row[i]);
    html_put(page,
             "</tbody></table></div><p><small>exit_leg: from the guest's last counter read to the host's first after "
             "KVM_RUN. user: in the monitor. entry_leg: back into the guest. Their sum is rtt where guest and host "
             "share a clock and nothing emulates the guest.</small></p>\n");
}

/* ---- several results side by side ---- */

static void put_cross_cell(FILE *page, const struct report_view *v, const char *id)
{
    const struct result_row *row = result_row(v->result, id);
    const double p50 = median(v, row), unit = median(v, result_row(v->result, ROW_OF_UNIT));
    char text[PLOT_TEXT_MAX];
    if (!isfinite(p50)) {
        html_put(page, "<td class=\"open\">%s</td>", row ? row_statuses[row->status] : "\xe2\x80\x93");
        return;
    }
    html_put(page, "<td>%s", plot_text(p50, PLOT_NS, text));
    if (unit > 0) html_put(page, " <small>%.2g</small>", p50 / unit);
    html_put(page, "</td>");
}

static void put_cross(const struct report *r, const struct rows *rows)
{
    FILE *page = r->page;
    html_put(page,
             "<h2>Side by side</h2><p>Medians. The small number is the ratio to " ROW_OF_UNIT " on the same host, "
             "which is what can be compared between hosts of different kinds; the times themselves can't.</p>"
             "<div class=\"scroll\"><table><thead><tr><th>row</th>");
    for (unsigned k = 0; k < r->count; k++)
        html_put(page, "<th>%s: %s, %s</th>", r->view[k].letter, r->view[k].arch, r->view[k].nature);
    html_put(page, "</tr></thead><tbody>\n");
    for (unsigned i = 0; i < rows->count; i++) {
        html_put(page, "<tr><th scope=\"row\">%s</th>", rows->id[i]);
        for (unsigned k = 0; k < r->count; k++) put_cross_cell(page, &r->view[k], rows->id[i]);
        html_put(page, "</tr>\n");
    }
    html_put(page, "</tbody></table></div>\n");
}

/* ---- distributions ---- */

struct curve {
    struct plot_point at[POINTS_MAX];
    unsigned count;
};

/* For each share p of the times, as 1/(1-p), the time that this share of them does not exceed. */
static void trace(const struct times *t, struct curve *out)
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

/* The k-th series in the plot of a row: a phase when there is one result, else the round trip in the k-th result. */
static struct times series(const struct report *r, const char *id, unsigned k)
{
    const struct report_view *v = &r->view[r->count > 1 ? k : 0];
    const struct result_row *row = result_row(v->result, id);
    return r->count > 1 ? main_times(v, row) : phase_times(v, row, k);
}

static unsigned series_count(const struct report *r)
{
    return r->count > 1 ? r->count : PHASE_COUNT;
}

static struct plot_frame frame_for(const struct report *r, const char *id)
{
    struct plot_frame f = {
        .title = id,
        .x = {.low = 1, .high = 10, .is_log = true, .unit = PLOT_TAIL, .label = "percentile"},
        .y = {.low = INFINITY, .high = 0, .is_log = true, .unit = PLOT_NS, .label = "time"},
    };
    for (unsigned k = 0; k < series_count(r); k++) {
        const struct times t = series(r, id, k);
        if (!t.dist) continue;
        const double max = (double)t.dist->max * t.scale;
        double p1 = quantile(&t, 0.01, 1);
        if (p1 < t.scale) p1 = t.scale; /* zero has no place on a log axis: draw it at one tick */
        if ((double)t.dist->count > f.x.high) f.x.high = (double)t.dist->count;
        if (p1 < f.y.low) f.y.low = p1;
        if (max > f.y.high) f.y.high = max;
    }
    return f;
}

static void put_distribution(const struct report *r, const char *id)
{
    const struct plot_frame f = frame_for(r, id);
    struct plot p;
    struct curve c;
    if (!isfinite(f.y.low)) return;
    html_put(r->page, "<figure><figcaption>%s</figcaption>", id);
    plot_begin(&p, r->page, &f);
    for (unsigned k = 0; k < series_count(r); k++) {
        const struct times t = series(r, id, k);
        if (!t.dist) continue;
        trace(&t, &c);
        plot_line(&p, k, c.at, c.count);
    }
    plot_end(&p);
    html_put(r->page, "</figure>");
}

static void put_distributions(const struct report *r, const struct rows *rows)
{
    html_put(r->page, "<h2>Distributions</h2><p>How long it took at each percentile; both axes logarithmic, so that a "
                      "tail is seen as it is.</p>");
    if (r->count > 1) {
        put_legend(r);
    } else {
        html_put(r->page, "<p class=\"legend\">");
        for (unsigned k = 0; k < PHASE_COUNT; k++)
            html_put(r->page, "<span class=\"k%u\">%s</span> ", k % PLOT_SERIES, phase_names[k]);
        html_put(r->page, "</p>");
    }
    html_put(r->page, "<div class=\"grid\">");
    for (unsigned i = 0; i < rows->count; i++) put_distribution(r, rows->id[i]);
    html_put(r->page, "</div>\n");
}

static void put_unmatched(FILE *page)
{
    const struct published *f;
    html_put(page, "<h3>Published, without a row here</h3><ul>");
    for (unsigned i = 0; (f = published_at(i)) != NULL; i++)
        if (!f->row)
            html_put(page, "<li>%s (%s): %.0f %s; %s; %s</li>", f->what, f->arch, f->low, f->unit, f->hardware,
                     f->source);
    html_put(page, "</ul>\n");
}

void report_exits(const struct report *r)
{
    const struct rows rows = collect(r);
    put_shape(r, &rows);
    if (r->count > 1) put_cross(r, &rows);
    for (unsigned k = 0; k < r->count; k++) {
        put_figures(r->page, &r->view[k]);
        put_phases(r->page, &r->view[k]);
    }
    put_unmatched(r->page);
    put_distributions(r, &rows);
    if (rows.left_out > 0) html_put(r->page, "<p>%u more rows are not shown.</p>", rows.left_out);
}
