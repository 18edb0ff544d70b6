/* Pictures of an experiment: what each vCPU got over time beside what it should have had, how the error falls with the
 * length of the window, how long vCPUs were away. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "bench/report/fair.h"

#define BINS       80  /* of a lane: steps that are still seen on a phone */
#define POINTS_MAX 256 /* of a curve or a histogram; a plot has no room for more */
#define SAMPLE_NS  5e7 /* what each element of "charged" spans (docs/result-format.md) */
#define HEADROOM   1.1 /* above the highest lane */

static double number_at(const json_t *list, size_t i)
{
    return json_number_value(json_array_get(list, i));
}

/* ---- lanes ---- */

/* What a vCPU was charged in samples [from, to). */
static double charged(const json_t *vcpu, size_t from, size_t to)
{
    const json_t *list = json_object_get(vcpu, "charged");
    double sum = 0;
    for (size_t i = from; i < to; i++) sum += number_at(list, i);
    return sum;
}

static double charged_all(const json_t *vcpus, size_t from, size_t to)
{
    double sum = 0;
    for (size_t i = 0; i < json_array_size(vcpus); i++) sum += charged(json_array_get(vcpus, i), from, to);
    return sum;
}

static size_t count_samples(const json_t *vcpus)
{
    return json_array_size(json_object_get(json_array_get(vcpus, 0), "charged"));
}

static const json_t *vcpus_of(const struct trial *t)
{
    return json_object_get(t->experiment, "vcpus");
}

bool trial_has_lanes(const struct trial *t)
{
    return count_samples(vcpus_of(t)) > 0;
}

struct plot_axis trial_lanes_axis(const struct trial *t, unsigned n)
{
    struct plot_axis x = {.unit = PLOT_NS, .label = "time"};
    for (unsigned i = 0; i < n; i++) x.high = fmax(x.high, (double)count_samples(vcpus_of(&t[i])) * SAMPLE_NS);
    return x;
}

/* A lane as steps, each a whole number of samples. */
struct lane {
    struct plot_point got[2 * BINS], due[2 * BINS];
    unsigned points;
};

/* The vCPU's CPU time a sample, and its share of what all got meanwhile, as parts of `top`. */
static void make_lane(const struct trial *t, const json_t *vcpu, double top, struct lane *out)
{
    const json_t *vcpus = vcpus_of(t);
    const size_t samples = count_samples(vcpus), width = (samples + BINS - 1) / BINS;
    const double share = json_number_value(json_object_get(vcpu, "share"));
    unsigned n = 0;
    for (size_t from = 0; from < samples; from += width) {
        const size_t to = from + width < samples ? from + width : samples;
        const double per = 1 / ((double)(to - from) * top);
        const double got = charged(vcpu, from, to) * per, due = charged_all(vcpus, from, to) * share * per;
        for (unsigned end = 0; end < 2; end++) {
            const double x = (double)(end ? to : from) * SAMPLE_NS;
            out->got[n] = (struct plot_point){x, got};
            out->due[n++] = (struct plot_point){x, due};
        }
    }
    out->points = n;
}

/* What the top of the lanes stands for: one scale for all vCPUs of an experiment. */
static double highest(const struct trial *t)
{
    const json_t *vcpus = vcpus_of(t);
    double top = 1;
    for (size_t i = 0; i < json_array_size(vcpus); i++) {
        struct lane lane;
        make_lane(t, json_array_get(vcpus, i), 1, &lane);
        for (unsigned k = 0; k < lane.points; k++) {
            top = fmax(top, lane.got[k].y);
            if (t->has_shares) top = fmax(top, lane.due[k].y);
        }
    }
    return top * HEADROOM;
}

static void name_vcpu(const json_t *vcpus, const json_t *vcpu, char out[64])
{
    const double vm = json_number_value(json_object_get(vcpu, "vm"));
    const json_t *last = json_array_get(vcpus, json_array_size(vcpus) - 1);
    const bool has_vms = json_number_value(json_object_get(last, "vm")) > 0;
    const double number = json_number_value(json_object_get(vcpu, "vcpu"));
    if (has_vms)
        (void)snprintf(out, 64, "VM %.0f vCPU %.0f", vm, number);
    else
        (void)snprintf(out, 64, "vCPU %.0f", number);
}

struct trial_lack trial_lack_of(const struct trial *t)
{
    const json_t *vcpus = vcpus_of(t);
    const size_t samples = count_samples(vcpus);
    const double all = charged_all(vcpus, 0, samples);
    struct trial_lack out = {.lack = -1};
    for (size_t i = 0; i < json_array_size(vcpus) && t->has_shares && all > 0; i++) {
        const json_t *vcpu = json_array_get(vcpus, i);
        const double share = json_number_value(json_object_get(vcpu, "share"));
        const double got = charged(vcpu, 0, samples) / all;
        if (!(share > 0) || 1 - got / share <= out.lack) continue;
        out.lack = 1 - got / share;
        out.got = got;
        out.share = share;
        name_vcpu(vcpus, vcpu, out.vcpu);
    }
    (void)trial_name(t, out.trial);
    return out;
}

static void put_lane(struct strips *s, const struct trial *t, const json_t *vcpu, double top)
{
    const json_t *vcpus = vcpus_of(t), *share = json_object_get(vcpu, "share");
    const size_t samples = count_samples(vcpus);
    const double all = charged_all(vcpus, 0, samples), got = all > 0 ? charged(vcpu, 0, samples) / all : 0;
    const bool has_due = t->has_shares && json_is_number(share);
    struct lane lane;
    char name[64], text[64];
    const char *figure = text;
    name_vcpu(vcpus, vcpu, name);
    make_lane(t, vcpu, top, &lane);
    strip_begin(s, name, 1);
    if (has_due) strip_area(s, "owed", lane.due, lane.points);
    strip_area(s, "got", lane.got, lane.points);
    if (has_due) strip_line(s, "due", lane.due, lane.points);
    (void)snprintf(text, sizeof(text), has_due ? "%.1f of %.1f %%" : "%.1f %%", 100 * got,
                   100 * json_number_value(share));
    strip_end(s, &figure);
}

void trial_put_lanes(struct strips *s, const struct trial *t)
{
    const json_t *vcpus = vcpus_of(t);
    const double top = highest(t);
    char name[TRIAL_NAME_MAX], title[TRIAL_NAME_MAX + 20];
    (void)snprintf(title, sizeof(title), "%s: %s", trial_name(t, name), trial_verdict(t));
    strips_group(s, title);
    for (size_t i = 0; i < json_array_size(vcpus); i++) put_lane(s, t, json_array_get(vcpus, i), top);
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
    static const struct report_look looks[] = {{LOOK_LINE, "s0", "measured"}, {LOOK_LINE, "s1", "1/W"}};
    struct plot_frame f = {
        .title = "Relative error over window length",
        .x = {.is_log = true, .unit = PLOT_NS, .label = "window W"},
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
    html_put(page, "<figure><figcaption>How the error falls with the window</figcaption>");
    report_legend(page, looks, 2);
    plot_begin(&p, page, &f);
    plot_line(&p, 1, line, 2);
    plot_line(&p, 0, at, n);
    plot_end(&p);
    html_put(page, "</figure>");
}

/* [[ns, count], ...]: how often a vCPU was away so long; each bar reaches to the next value. */
static void put_gaps(FILE *page, const json_t *list)
{
    struct plot_frame f = {
        .title = "How long vCPUs were away, and how often",
        .x = {.is_log = true, .unit = PLOT_NS, .label = "gap"},
        .y = {.low = 0.8, .is_log = true, .label = "how often"},
    };
    struct plot_point at[POINTS_MAX];
    const unsigned n = points(list, at);
    struct plot p;
    for (unsigned i = 0; i < n; i++) {
        widen(&f.x, at[i].x);
        widen(&f.y, at[i].y);
    }
    if (!(f.x.high > 0)) return;
    html_put(page, "<figure><figcaption>How long vCPUs were away</figcaption>");
    plot_begin(&p, page, &f);
    for (unsigned i = 0; i < n; i++) {
        const double to = i + 1 < n && at[i + 1].x < at[i].x * 2 ? at[i + 1].x : at[i].x * 1.05;
        if (at[i].y > 0) plot_bar(&p, 0, (struct plot_point){at[i].x, f.y.low}, (struct plot_point){to, at[i].y});
    }
    plot_end(&p);
    html_put(page, "</figure>");
}

void trial_put_plots(FILE *page, const struct trial *t)
{
    const json_t *plots = json_object_get(t->experiment, "plots");
    char name[TRIAL_NAME_MAX];
    if (json_object_size(plots) == 0) return;
    html_put(page, "<h3>%s</h3><div class=\"grid\">", trial_name(t, name));
    put_convergence(page, json_object_get(plots, "convergence"));
    put_gaps(page, json_object_get(plots, "gaps"));
    html_put(page, "</div>\n");
}
