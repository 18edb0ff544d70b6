/* The part of the page about how vCPUs share processors: verdicts with their inequalities, then each experiment's
 * plots. Experiments are JSON that has been checked: keys that are there have the types that SHAPE_experiment gives
 * them. */
#include <math.h>

#include "bench/report/svg.h"
#include "bench/report/view.h"

#define POINTS_MAX 256 /* of a curve or a histogram; a plot has no room for more */
#define BARS_MAX   64  /* vCPUs beside one another */

static double number_at(const json_t *list, size_t i)
{
    return json_number_value(json_array_get(list, i));
}

/* ---- verdicts ---- */

/* A line of the table, but for its last cell. */
static void put_line(FILE *page, const struct report_view *v, const json_t *experiment, const char *id,
                     const char *verdict)
{
    html_put(page, "<tr><th scope=\"row\">%s %s</th><td class=\"t\">%s</td><td>%s</td>", v->letter,
             json_text(experiment, "id"), json_text(experiment, "variant"), id);
    report_put_verdict(page, verdict);
}

static void put_findings(FILE *page, const struct report_view *v, const json_t *experiment)
{
    struct finding f;
    size_t n = 0;
    for (; experiment_finding(experiment, n, &f); n++) {
        put_line(page, v, experiment, f.id, verdicts[f.verdict]);
        html_put(page, "<td class=\"t\">%s", f.text);
        if (!f.is_identity) html_put(page, "%s<small>%s</small>", f.reason[0] ? " " : "", f.reason);
        html_put(page, "</td></tr>\n");
    }
    if (n > 0) return;
    put_line(page, v, experiment, "", json_text(experiment, "status"));
    html_put(page, "<td class=\"t\">%s</td></tr>\n", json_text(experiment, "detail"));
}

static void put_verdicts(const struct report *r)
{
    html_put(r->page,
             "<h2>Verdicts</h2><p>Identities (C) first: where they don't hold, the measurement itself is in "
             "doubt. Each line has the inequality with its numbers.</p><div class=\"scroll\"><table><thead><tr>"
             "<th>experiment</th><th class=\"t\">variant</th><th>property</th><th class=\"t\">verdict</th>"
             "<th class=\"t\">measured against bound</th></tr></thead><tbody>\n");
    for (unsigned k = 0; k < r->count; k++) {
        const json_t *all = r->view[k].result->experiments;
        for (size_t i = 0; i < json_array_size(all); i++) put_findings(r->page, &r->view[k], json_array_get(all, i));
    }
    html_put(r->page, "</tbody></table></div>\n");
}

/* ---- plots ---- */

/* Convert [[x, y], ...], as far as there is room. Returns how many. */
static unsigned points(const json_t *list, struct plot_point out[POINTS_MAX])
{
    unsigned n = 0;
    for (; n < POINTS_MAX && n < json_array_size(list); n++) {
        const json_t *pair = json_array_get(list, n);
        out[n] = (struct plot_point){number_at(pair, 0), number_at(pair, 1)};
    }
    return n;
}

static void widen(struct plot_axis *a, double value)
{
    if (!(value > 0)) return; /* a log axis has no place for it */
    if (a->low == 0 || value < a->low) a->low = value;
    if (value > a->high) a->high = value;
}

/* The relative error over the length W of the window, and the curve 1/W through its first point. */
static void put_convergence(FILE *page, const json_t *list)
{
    struct plot_frame f = {
        .title = "Relative error over window length",
        .x = {.is_log = true, .unit = PLOT_NS, .label = "window"},
        .y = {.is_log = true, .unit = PLOT_PERCENT, .label = "relative error"},
    };
    struct plot_point at[POINTS_MAX], line[2];
    const unsigned n = points(list, at);
    struct plot p;
    if (n < 2 || !(at[0].x > 0 && at[0].y > 0)) return;
    line[0] = at[0];
    line[1] = (struct plot_point){at[n - 1].x, at[0].y * at[0].x / at[n - 1].x};
    for (unsigned i = 0; i < n; i++) {
        widen(&f.x, at[i].x);
        widen(&f.y, at[i].y);
    }
    widen(&f.y, line[1].y);
    html_put(page, "<figure><figcaption>Convergence</figcaption><p class=\"legend\"><span class=\"k0\">measured</span> "
                   "<span class=\"k1\">1/W</span></p>");
    plot_begin(&p, page, &f);
    plot_line(&p, 1, line, 2);
    plot_line(&p, 0, at, n);
    plot_end(&p);
    html_put(page, "</figure>");
}

/* [[label, measured, expected], ...] */
static void put_share(FILE *page, const json_t *list)
{
    const char *names[BARS_MAX];
    unsigned n = 0;
    double top = 0;
    struct plot p;
    for (; n < BARS_MAX && n < json_array_size(list); n++) {
        const json_t *one = json_array_get(list, n);
        const char *name = json_string_value(json_array_get(one, 0));
        names[n] = name ? name : "";
        if (number_at(one, 1) > top) top = number_at(one, 1);
        if (number_at(one, 2) > top) top = number_at(one, 2);
    }
    if (n == 0) return;
    const struct plot_frame f = {
        .title = "Share of each vCPU against its entitlement",
        .x = {.high = top * 1.05, .unit = PLOT_PERCENT, .label = "share of what all got"},
        .names = names,
        .names_count = n,
    };
    html_put(page, "<figure><figcaption>Share</figcaption><p class=\"legend\"><span class=\"k0\">measured</span> <span "
                   "class=\"k1\">entitled</span></p>");
    plot_begin(&p, page, &f);
    for (unsigned k = 0; k < n; k++) {
        const double measured = number_at(json_array_get(list, k), 1), expected = number_at(json_array_get(list, k), 2);
        plot_bar(&p, 0, (struct plot_point){0, k + 0.2}, (struct plot_point){measured, k + 0.8});
        plot_bar(&p, 1, (struct plot_point){expected, k + 0.05}, (struct plot_point){expected, k + 0.95});
    }
    plot_end(&p);
    html_put(page, "</figure>");
}

/* [[ns, count], ...]: how often a vCPU was away so long; each bar reaches to the next value. */
static void put_gaps(FILE *page, const json_t *list)
{
    struct plot_frame f = {
        .title = "How long vCPUs were away, and how often",
        .x = {.is_log = true, .unit = PLOT_NS, .label = "gap"},
        .y = {.low = 1, .is_log = true, .label = "how often"},
    };
    struct plot_point at[POINTS_MAX];
    const unsigned n = points(list, at);
    struct plot p;
    for (unsigned i = 0; i < n; i++) {
        widen(&f.x, at[i].x);
        widen(&f.y, at[i].y);
    }
    if (!(f.x.high > 0)) return;
    html_put(page, "<figure><figcaption>Gaps</figcaption>");
    plot_begin(&p, page, &f);
    for (unsigned i = 0; i < n; i++) {
        const double to = i + 1 < n && at[i + 1].x < at[i].x * 2 ? at[i + 1].x : at[i].x * 1.05;
        if (at[i].y > 0) plot_bar(&p, 0, (struct plot_point){at[i].x, 1}, (struct plot_point){to, at[i].y});
    }
    plot_end(&p);
    html_put(page, "</figure>");
}

static void put_experiment(FILE *page, const struct report_view *v, const json_t *experiment)
{
    const json_t *plots = json_object_get(experiment, "plots");
    if (json_object_size(plots) == 0) return;
    html_put(page, "<h3>%s %s: %s</h3>", v->letter, json_text(experiment, "id"), json_text(experiment, "variant"));
    if (json_text(experiment, "detail")[0]) html_put(page, "<p>%s</p>", json_text(experiment, "detail"));
    html_put(page, "<div class=\"grid\">");
    put_share(page, json_object_get(plots, "share"));
    put_convergence(page, json_object_get(plots, "convergence"));
    put_gaps(page, json_object_get(plots, "gaps"));
    html_put(page, "</div>\n");
}

void report_fairness(const struct report *r)
{
    put_verdicts(r);
    html_put(r->page, "<h2>Experiments</h2>");
    for (unsigned k = 0; k < r->count; k++) {
        const json_t *all = r->view[k].result->experiments;
        for (size_t i = 0; i < json_array_size(all); i++) put_experiment(r->page, &r->view[k], json_array_get(all, i));
    }
}
