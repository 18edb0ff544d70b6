/* The part of the page about what VM exits cost. What was found in a sentence, the distribution of every row on one
 * axis, then tables: the figures, what the time goes into, and what speaks for and against them. */
#include "bench/report/exits.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "bench/report/axis.h"
#include "bench/report/published.h"

#define P90_MIN  36
#define P99_MIN  368 /* samples that p99 needs, as its confidence interval does; with fewer it is luck */
#define P999_MIN 3688

static const struct {
    enum row_group group;
    const char *title;
} groups[] = {
    {GROUP_SANDBOX, "Of a sandbox"},
    {GROUP_USER, "Handled in the monitor"},
    {GROUP_KERNEL, "Handled in the kernel"},
    {GROUP_CONTROL, "Controls, which cause no exit"},
};
#define GROUPS (sizeof(groups) / sizeof(groups[0]))

/* ---- rows ---- */

static bool has_id(const struct exit_rows *rows, const char *id)
{
    for (unsigned i = 0; i < rows->count; i++)
        if (strcmp(rows->id[i], id) == 0) return true;
    return false;
}

struct exit_rows exit_rows_of(const struct report *r, enum row_group group)
{
    struct exit_rows out = {.count = 0};
    for (unsigned k = 0; k < r->count; k++) {
        const struct result *one = r->view[k].result;
        for (unsigned i = 0; i < one->rows; i++) {
            const struct result_row *row = &one->row[i];
            if (row->group != group || !isfinite(row_p50(row)) || has_id(&out, row->id)) continue;
            if (out.count < EXIT_ROWS_MAX)
                out.id[out.count++] = row->id;
            else
                out.left_out++;
        }
    }
    return out;
}

struct exit_times exit_times_of(const struct report_view *v, const struct result_row *row, enum phase p)
{
    if (!row || row->phase[p].count == 0) return (struct exit_times){NULL, 0};
    return (struct exit_times){&row->phase[p], v->tick_ns / (double)row->batch};
}

double exit_quantile(const struct exit_times *t, double share, uint64_t enough)
{
    if (!t->dist || t->dist->count < enough) return NAN;
    return (double)dist_quantile(t->dist, share) * t->scale;
}

double exit_median(const struct report_view *v, const struct result_row *row)
{
    return row ? row_p50(row) * v->tick_ns : NAN;
}

/* ---- what was found ---- */

static const struct result_row *find_first(const struct result *r, const char *const *ids)
{
    for (; *ids; ids++) {
        const struct result_row *row = result_row(r, *ids);
        if (row && isfinite(row_p50(row))) return row;
    }
    return NULL;
}

/* Of those that came about in every process. */
static const struct result_row *find_cheapest(const struct result *r, enum row_group group)
{
    const struct result_row *best = NULL;
    for (unsigned i = 0; i < r->rows; i++) {
        const struct result_row *row = &r->row[i];
        if (row->group != group || !isfinite(row_p50(row)) || row_count_status(row, ROW_OK) < row->processes) continue;
        if (!best || row_p50(row) < row_p50(best)) best = row;
    }
    return best;
}

/* How far the figure can be trusted, by the interval over processes. */
static void put_trust(FILE *page, const struct report_view *v, const struct result_row *row)
{
    const struct headline h = row_headline(row, 1e9 / v->tick_ns);
    if (isfinite(h.low) && h.p50 > 0)
        html_put(page, "<p class=\"note\">The interval over %u processes is %.2g %% wide.</p>\n",
                 row_count_status(row, ROW_OK), 100 * (h.high - h.low) / h.p50);
    else
        html_put(page, "<p class=\"note\">%u process%s, too few for an interval: it takes %d.</p>\n",
                 row_count_status(row, ROW_OK), row_count_status(row, ROW_OK) == 1 ? "" : "es",
                 STATISTICS_BOOTSTRAP_MIN);
}

static void put_finding(FILE *page, const struct report_view *v)
{
    static const char *const wanted[] = {"mmio_wr_user", "mmio_rd_user", "pio_out_user", "pio_in_user", NULL};
    const struct result_row *user = find_first(v->result, wanted);
    const struct result_row *kernel = find_cheapest(v->result, GROUP_KERNEL);
    char text[PLOT_TEXT_MAX];
    html_put(page, "<p class=\"finding\">");
    if (!user) user = find_cheapest(v->result, GROUP_USER);
    /* Where the kernel's own are all dearer, as a wake-up is, the sentence would ask more than it answers. */
    if (user && kernel && row_p50(kernel) >= row_p50(user)) kernel = NULL;
    if (user) {
        const struct exit_times own = exit_times_of(v, user, PHASE_USER);
        html_put(page, "An exit to the monitor and back takes <b>%s</b> (median of %s)",
                 plot_text(exit_median(v, user), PLOT_NS, text), user->id);
        if (own.dist)
            html_put(page, ", of which the monitor itself takes %s",
                     plot_text(exit_quantile(&own, 0.5, 1), PLOT_NS, text));
        html_put(page, ".");
    }
    if (kernel)
        html_put(page, " The cheapest exit that the kernel handles alone takes <b>%s</b> (%s).",
                 plot_text(exit_median(v, kernel), PLOT_NS, text), kernel->id);
    if (!user && !kernel) html_put(page, "No row has a figure: nothing could be measured on this host.");
    html_put(page, "</p>\n");
    if (user || kernel) put_trust(page, v, user ? user : kernel);
}

static const char *comparable(const struct report_view *v)
{
    static const struct {
        const char *nature, *says;
    } hosts[] = {
        {"bare", "Published figures are of other hardware."},
        {"pvm", "Not comparable with the published figures: this host's KVM is software (PVM), theirs use "
                "virtualization hardware."},
        {"emulated", "Not comparable with the published figures: this host is emulated. Its times mean little; counts, "
                     "order and relations between rows do mean something."},
        {"virtual", "Not comparable with the published figures, which are of bare metal: this host is itself a "
                    "virtual machine."},
    };
    for (unsigned i = 0; i < sizeof(hosts) / sizeof(hosts[0]); i++)
        if (strcmp(hosts[i].nature, v->nature) == 0) return hosts[i].says;
    return "It is not known what kind of host this was: not comparable with the published figures.";
}

/* ---- tables: a row of a result in each line, a column from a table of columns ---- */

struct cell {
    FILE *page;
    const struct report_view *view;
    const struct result_row *row;
    double scale; /* from ticks of a batch to ns of one operation */
};

struct column {
    const char *title;
    void (*put)(const struct cell *c);      /* what stands in the cell */
    bool is_text;                           /* sentences, which may be broken */
    bool (*is_known)(const struct cell *c); /* a column of which no row has a figure is left out; NULL: it stays */
};

static void put_quantile(const struct cell *c, enum phase p, double share, uint64_t enough)
{
    const struct exit_times t = exit_times_of(c->view, c->row, p);
    report_put_number(c->page, exit_quantile(&t, share, enough));
}

static void put_headline(const struct cell *c, double share, uint64_t enough)
{
    put_quantile(c, row_headline_phase(c->row), share, enough);
}

static void put_count(const struct cell *c, uint64_t n)
{
    html_put(c->page, n == COUNT_UNKNOWN ? "n/a" : "%.0f", (double)n);
}

static void put_coloured(const struct cell *c, const char *word)
{
    html_put(c->page, "<span class=\"%s\">%s</span>", report_word_class(word), word);
}

static void put_interval(const struct cell *c)
{
    const struct headline h = row_headline(c->row, 1e9 / c->view->tick_ns);
    report_put_number(c->page, h.low * c->view->tick_ns);
    if (!isfinite(h.low)) return;
    html_put(c->page, "\xe2\x80\x93");
    report_put_number(c->page, h.high * c->view->tick_ns);
}

static void put_identity(const struct cell *c)
{
    put_coloured(c, c->row->legs_hold < 0 ? "n/a" : c->row->legs_hold ? "holds" : "does not hold");
}

/* In how many processes the row was measured: one of ten is no "ok". */
static void put_processes(const struct cell *c)
{
    const unsigned ok = row_count_status(c->row, ROW_OK);
    html_put(c->page, "<span class=\"%s\">%u of %u</span>", ok < c->row->processes ? "bad" : "good", ok,
             c->row->processes);
}

static void put_agrees(const struct cell *c)
{
    put_coloured(c, c->row->verdict == COUNT_NONE ? "n/a" : count_verdicts[c->row->verdict]);
}

static void put_because(const struct cell *c)
{
    html_put(c->page, "%s", c->row->because);
}

/* clang-format off */
static void put_median(const struct cell *c) { report_put_number(c->page, exit_median(c->view, c->row)); }
static void put_all(const struct cell *c)
{
    report_put_number(c->page, row_headline(c->row, 1e9 / c->view->tick_ns).all * c->view->tick_ns);
}
static void put_p90(const struct cell *c) { put_headline(c, 0.9, P90_MIN); }
static void put_p99(const struct cell *c) { put_headline(c, 0.99, P99_MIN); }
static void put_p999(const struct cell *c) { put_headline(c, 0.999, P999_MIN); }
static void put_max(const struct cell *c) { put_headline(c, 1, 1); }
static void put_p50(const struct cell *c) { put_headline(c, 0.5, 1); }
static void put_undisturbed(const struct cell *c) { put_quantile(c, PHASE_UNDISTURBED, 0.5, 1); }
static void put_undisturbed_p99(const struct cell *c) { put_quantile(c, PHASE_UNDISTURBED, 0.99, P99_MIN); }
static void put_undisturbed_max(const struct cell *c) { put_quantile(c, PHASE_UNDISTURBED, 1, 1); }
static void put_exit_leg(const struct cell *c) { put_quantile(c, PHASE_EXIT_LEG, 0.5, 1); }
static void put_user(const struct cell *c) { put_quantile(c, PHASE_USER, 0.5, 1); }
static void put_entry_leg(const struct cell *c) { put_quantile(c, PHASE_ENTRY_LEG, 0.5, 1); }
static void put_kvm_run(const struct cell *c) { put_quantile(c, PHASE_KVM_RUN, 0.5, 1); }
static void put_baseline(const struct cell *c) { report_put_number(c->page, row_baseline(c->row) * c->scale); }
static void put_ratio(const struct cell *c)
{
    const double ratio = row_sum_up(c->row, 1e9 / c->view->tick_ns).ratio;
    html_put(c->page, isfinite(ratio) ? "%.2f" : "n/a", ratio);
}
static void put_residual(const struct cell *c) { report_put_number(c->page, c->row->residual * c->scale); }
static void put_samples(const struct cell *c) { put_count(c, c->row->samples); }
static void put_disturbed(const struct cell *c) { put_count(c, c->row->disturbed); }
static void put_expected(const struct cell *c) { put_count(c, c->row->expected); }
static void put_counted(const struct cell *c) { put_count(c, c->row->counted); }
/* clang-format on */

static bool has_interval(const struct cell *c)
{
    return isfinite(row_headline(c->row, 1e9 / c->view->tick_ns).low);
}

static bool has_p999(const struct cell *c)
{
    const struct exit_times t = exit_times_of(c->view, c->row, row_headline_phase(c->row));
    return isfinite(exit_quantile(&t, 0.999, P999_MIN));
}

static struct cell cell_of(FILE *page, const struct report_view *v, const struct result_row *row)
{
    return (struct cell){page, v, row, v->tick_ns / (double)row->batch};
}

static bool is_shown(const struct report_view *v, const struct column *column)
{
    for (unsigned i = 0; column->is_known && i < v->result->rows; i++) {
        const struct cell c = cell_of(NULL, v, &v->result->row[i]);
        if (column->is_known(&c)) return true;
    }
    return !column->is_known;
}

static void put_line(FILE *page, const struct report_view *v, const char *id, const struct column *columns)
{
    const struct result_row *row = result_row(v->result, id);
    const struct cell c = cell_of(page, v, row);
    html_put(page, "<tr><th scope=\"row\">%s</th>", id);
    for (; columns->title; columns++) {
        if (!is_shown(v, columns)) continue;
        html_put(page, columns->is_text ? "<td class=\"t\" data-t=\"%s\">" : "<td data-t=\"%s\">", columns->title);
        columns->put(&c);
        html_put(page, "</td>");
    }
    html_put(page, "</tr>\n");
}

/* head: above the rows' names. */
static void put_table(FILE *page, const struct report_view *v, const struct column *columns, const char *head)
{
    const struct report one = {.page = page, .view = v, .count = 1};
    html_put(page, "<div class=\"scroll\"><table class=\"rows\"><thead><tr><th>%s</th>", head);
    for (unsigned n = 0; columns[n].title; n++)
        if (is_shown(v, &columns[n])) html_put(page, "<th>%s</th>", columns[n].title);
    html_put(page, "</tr></thead>\n");
    for (unsigned g = 0; g < GROUPS; g++) {
        const struct exit_rows rows = exit_rows_of(&one, groups[g].group);
        if (rows.count == 0) continue;
        html_put(page, "<tbody><tr class=\"group\"><th scope=\"rowgroup\">%s</th></tr>\n", groups[g].title);
        for (unsigned i = 0; i < rows.count; i++) put_line(page, v, rows.id[i], columns);
        html_put(page, "</tbody>");
    }
    html_put(page, "</table></div>\n");
}

static const struct column figures[] = {
    {"median", .put = put_median},
    {"95\xc2\xa0%", .put = put_interval, .is_known = has_interval},
    {"all samples", .put = put_all},
    {"p99", .put = put_p99},
    {"p99.9", .put = put_p999, .is_known = has_p999},
    {"max", .put = put_max},
    {"processes", .put = put_processes},
    {0},
};
static const struct column sandbox_figures[] = {
    {"median", .put = put_median},
    {"95\xc2\xa0%", .put = put_interval, .is_known = has_interval},
    {"yardstick", .put = put_baseline},
    {"ratio", .put = put_ratio},
    {"all samples", .put = put_all},
    {"p99", .put = put_p99},
    {"max", .put = put_max},
    {"processes", .put = put_processes},
    {0},
};
static const struct column spread[] = {
    {"all samples: p50", .put = put_p50},         {"p90", .put = put_p90},
    {"undisturbed: p50", .put = put_undisturbed}, {"p99", .put = put_undisturbed_p99},
    {"max", .put = put_undisturbed_max},          {"disturbed", .put = put_disturbed},
    {"of samples", .put = put_samples},           {0},
};
static const struct column phases[] = {
    {"exit_leg", .put = put_exit_leg},   {"user", .put = put_user},
    {"entry_leg", .put = put_entry_leg}, {"kvm_run", .put = put_kvm_run},
    {"baseline", .put = put_baseline},   {"residual", .put = put_residual},
    {"identity", .put = put_identity},   {0},
};
static const struct column checks[] = {
    {"exits counted", .put = put_counted},
    {"expected", .put = put_expected},
    {"count", .put = put_agrees},
    {"because", .put = put_because, .is_text = true},
    {0},
};

/* ---- what has no figure ---- */

/* One line for each status says which rows ended so in every process. Their reasons are folded under it. */
static void put_missing(FILE *page, const struct report_view *v, enum row_status status, const char *words)
{
    const struct result_row *row = v->result->row, *end = row + v->result->rows;
    bool is_first = true;
    for (const struct result_row *i = row; i < end; i++) {
        if (i->status != status || isfinite(row_p50(i))) continue;
        if (is_first)
            html_put(page, "<details class=\"note\"><summary>%s%s%s: ", v->letter, v->letter[0] ? ": " : "", words);
        report_put_item(page, &is_first, i->id);
    }
    if (is_first) return;
    html_put(page, "</summary><ul>\n");
    for (const struct result_row *i = row; i < end; i++)
        if (i->status == status && !isfinite(row_p50(i)))
            html_put(page, "<li>%s: %s</li>\n", i->id, i->detail[0] ? i->detail : "no reason is given");
    html_put(page, "</ul></details>\n");
}

static void put_missing_rows(const struct report *r)
{
    static const struct {
        enum row_status status;
        const char *words;
    } endings[] = {
        {ROW_UNSUPPORTED, "This host can't do"},
        {ROW_TIMEOUT, "Timed out in every process"},
        {ROW_NO_EXIT, "Caused no exit"},
        {ROW_FAILED, "Failed"},
        {ROW_OK, "Has no samples"},
    };
    for (unsigned k = 0; k < r->count; k++)
        for (unsigned i = 0; i < sizeof(endings) / sizeof(endings[0]); i++)
            put_missing(r->page, &r->view[k], endings[i].status, endings[i].words);
}

/* Rows with figures that have something to say. */
static void put_remarks(FILE *page, const struct report_view *v)
{
    bool is_first = true;
    for (unsigned i = 0; i < v->result->rows; i++) {
        const struct result_row *row = &v->result->row[i];
        if (!row->detail[0] || !isfinite(row_p50(row))) continue;
        if (is_first) html_put(page, "<ul class=\"note\">");
        html_put(page, "<li><b>%s</b>: ", row->id);
        for (unsigned s = ROW_NO_EXIT; s < ROW_STATUS_COUNT; s++)
            if (row_count_status(row, s))
                html_put(page, "%s in %u of %u processes: ", row_statuses[s], row_count_status(row, s), row->processes);
        html_put(page, "%s</li>\n", row->detail);
        is_first = false;
    }
    if (!is_first) html_put(page, "</ul>\n");
}

/* ---- published figures ---- */

static void put_published_figure(FILE *page, const struct report_view *v, const struct published *f)
{
    html_put(page, "<tr><th scope=\"row\">%s</th>", f->row ? f->row : "\xe2\x80\x93");
    report_put_cell(page, "ours, ns", f->row ? exit_median(v, result_row(v->result, f->row)) : NAN);
    html_put(page, "<td data-t=\"published\">");
    report_put_number(page, f->low);
    if (f->high > f->low) html_put(page, "\xe2\x80\x93");
    if (f->high > f->low) report_put_number(page, f->high);
    html_put(page, " %s</td><td class=\"t\">%s; %s; %s</td></tr>\n", f->unit, f->what, f->hardware, f->source);
}

static void put_published(FILE *page, const struct report_view *v)
{
    const struct published *f;
    html_put(page,
             "<h3>What others published</h3><p class=\"note\">%s Cycles are a core's; the picture draws them at "
             "the rate of this host's counter, %.4g GHz.</p><div class=\"scroll\"><table "
             "class=\"rows\"><thead><tr><th>row</th>"
             "<th>ours, ns</th><th>published</th><th class=\"t\">what, on which hardware, where</th></tr></thead>"
             "<tbody>\n",
             comparable(v), 1 / v->tick_ns);
    for (unsigned i = 0; (f = published_at(i)) != NULL; i++)
        if (strcmp(f->arch, v->arch) == 0) put_published_figure(page, v, f);
    html_put(page, "</tbody></table></div>\n");
}

/* ---- one result ---- */

static void put_figures(FILE *page, const struct report_view *v)
{
    put_table(page, v, figures, "row; times in ns");
    html_put(page,
             "<p class=\"note\">Nanoseconds, to four digits: the round trip as the guest sees it, less what the "
             "same loop takes without the trap. Median: over processes, without the samples in which the host was "
             "seen to do something else%s. All samples: the median with those too; the other quantiles are over "
             "all of them, where there are enough. Processes: in how many of them the row was measured.</p>\n",
             is_shown(v, &figures[1]) ? "; 95 %: its bootstrap interval, where there are ten" : "");
    put_remarks(page, v);
}

static void put_details(FILE *page, const struct report_view *v)
{
    html_put(page, "<h3>How the samples spread</h3>");
    put_table(page, v, spread, "row; times in ns");
    html_put(page, "<p class=\"note\">Disturbed are the samples in which the host was seen to do something else; the "
                   "undisturbed ones are the rest.</p>\n<h3>Where the time goes, medians in ns</h3>");
    put_table(page, v, phases, "row");
    html_put(page,
             "<p class=\"note\">exit_leg: from the guest's last counter read to the host's first after KVM_RUN. "
             "user: in the monitor. entry_leg: back into the guest. Where guest and host share a clock and nothing "
             "emulates the guest, exit_leg + user + entry_leg = rtt + baseline, but for the residual. kvm_run: "
             "from one exit to the next as the monitor sees it; the guest's own loop is in it.</p>\n"
             "<h3>Did the exits happen?</h3>");
    put_table(page, v, checks, "row");
    html_put(page,
             "<p class=\"note\">Exits as the kernel counted them, beside what the row expects. A host may add some, "
             "as for its own interrupts, which is explained; it can take none away.</p>\n");
    put_published(page, v);
}

/* ---- the section ---- */

/* Each sentence once, after the letters of the results that it is about. */
static void put_comparable(const struct report *r)
{
    bool is_told[REPORT_RESULTS_MAX] = {false};
    for (unsigned k = 0; k < r->count; k++) {
        const char *says = comparable(&r->view[k]);
        bool is_first = true;
        if (is_told[k]) continue;
        html_put(r->page, "<p class=\"note\">");
        for (unsigned i = k; i < r->count; i++) {
            if (strcmp(comparable(&r->view[i]), says) != 0) continue;
            is_told[i] = true;
            if (r->count > 1) report_put_item(r->page, &is_first, r->view[i].letter);
        }
        html_put(r->page, "%s%s</p>\n", r->count > 1 ? ": " : "", says);
    }
}

static void put_result(const struct report *r, const struct report_view *v)
{
    if (r->count > 1) {
        html_put(r->page, "<details><summary>%s %s in full</summary>\n", v->letter, v->name);
        put_figures(r->page, v);
    } else {
        put_figures(r->page, v);
        report_fold(r->page, "How samples spread, where the time goes, whether exits happened, what others published");
    }
    put_details(r->page, v);
    report_unfold(r->page);
}

void report_exits(const struct report *r)
{
    if (r->count > 1)
        exit_put_differences(r);
    else
        put_finding(r->page, &r->view[0]);
    exit_put_shape(r);
    put_comparable(r);
    if (r->count > 1) exit_put_side_by_side(r);
    for (unsigned k = 0; k < r->count; k++) put_result(r, &r->view[k]);
    exit_put_percentiles(r);
    put_missing_rows(r);
}

/* ---- sandboxes ---- */

static void put_sandbox_finding(FILE *page, const struct report_view *v)
{
    static const struct {
        const char *id, *says;
    } told[] = {{"call", "A call of a function in a sandbox takes"},
                {"clone", "a clone of a template"},
                {"reset_16", "a reset after 16 written pages"}};
    char text[PLOT_TEXT_MAX];
    const char *before = "";
    html_put(page, "<p class=\"finding\">");
    for (unsigned i = 0; i < sizeof(told) / sizeof(told[0]); i++) {
        const struct result_row *row = result_row(v->result, told[i].id);
        if (!row || !isfinite(row_p50(row))) continue;
        html_put(page, "%s%s <b>%s</b> (%.2f times its yardstick)", before, told[i].says,
                 plot_text(exit_median(v, row), PLOT_NS, text), row_sum_up(row, 1e9 / v->tick_ns).ratio);
        before = ", ";
    }
    html_put(page, *before ? ".</p>\n" : "Neither a call nor a clone or a reset has a figure.</p>\n");
}

static void put_sandbox_result(const struct report *r, const struct report_view *v)
{
    if (r->count > 1) html_put(r->page, "<details><summary>%s %s in full</summary>\n", v->letter, v->name);
    put_table(r->page, v, sandbox_figures, "row; times in ns");
    html_put(r->page,
             "<p class=\"note\">Nanoseconds, to four digits. Median: over processes, without the samples in which "
             "somebody else ran. The yardstick is what KVM's bare calls and copies of memory take for the same, or "
             "the program natively: its median, measured in the same process in turns. Ratio: the median over "
             "that.</p>\n");
    if (r->count == 1) report_fold(r->page, "How samples spread");
    put_table(r->page, v, spread, "row; times in ns");
    report_unfold(r->page);
}

void report_sandbox(const struct report *r)
{
    if (r->count > 1)
        exit_put_differences(r);
    else
        put_sandbox_finding(r->page, &r->view[0]);
    exit_put_shape(r);
    if (r->count > 1) exit_put_side_by_side(r);
    for (unsigned k = 0; k < r->count; k++) put_sandbox_result(r, &r->view[k]);
    exit_put_percentiles(r);
    put_missing_rows(r);
}
