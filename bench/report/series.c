/* The page of a recording: what was told of first, then for each VM its figures over time, one strip each on one axis,
 * with the times of alarms marked in all of them. */
#include <math.h>
#include <string.h>

#include "bench/report/recording.h"
#include "bench/report/strips.h"
#include "bench/report/view.h"
#include "bench/result/table.h"

#define NS_PER_S        1e9
#define STRIP_PX        34
#define CLASSES_MAX     8 /* kinds of exits with a strip, those of which there were most */
#define TIMES_MAX       4 /* ... whose times have one */
#define BRIDGED         3 /* steps without a sample that a line goes on over: a look may be late */
#define FIGURE_TEXT_MAX 128
#define TOLD_MAX        3 /* alarms that the first sentence tells of */

extern const char report_style[], report_style_end[]; /* style.S */

struct view {
    FILE *page;
    const struct recording_seen *r;
    double unit_s; /* the axis counts in these */
    const char *unit;
    unsigned vm;
};

/* ---- curves ---- */

static double time_of(const struct view *v, double t_ns)
{
    return t_ns / NS_PER_S / v->unit_s;
}

/* The greatest value, NAN: there is none. */
static double greatest(const struct recording_curve *c)
{
    double most = NAN;
    for (unsigned i = 0; c && i < RECORDING_STEPS; i++) most = fmax(most, recording_value(c, i));
    return most;
}

static double mean(const struct recording_curve *c)
{
    double sum = 0, n = 0;
    for (unsigned i = 0; c && i < RECORDING_STEPS; i++) {
        sum += c->sum[i];
        n += c->count[i];
    }
    return n > 0 ? sum / n : NAN;
}

/* Where a value lies in its strip: linear from 0, or logarithmic. */
struct scale {
    double low, high;
    bool is_log;
};

static double height(const struct scale *s, double value)
{
    if (s->is_log) return s->high > s->low && value > s->low ? log(value / s->low) / log(s->high / s->low) : 0;
    return s->high > 0 ? value / s->high : 0;
}

typedef void draw_fn(struct strips *s, const char *look, const struct plot_point *at, unsigned n);

/* A sample that is alone has no line to its neighbours. */
static void draw_piece(struct strips *s, const char *look, const struct plot_point *at, unsigned n, draw_fn *fn)
{
    if (n == 1)
        strip_dot(s, look, at[0]);
    else if (n > 1)
        fn(s, look, at, n);
}

/* A curve in pieces: where there was no sample for a while there is none. `base` is added to each value, NULL: nothing.
 */
static void draw(const struct view *v, struct strips *s, const struct recording_curve *c,
                 const struct recording_curve *base, const struct scale *scale, const char *look, draw_fn *fn)
{
    struct plot_point at[RECORDING_STEPS];
    unsigned n = 0, last = 0;
    for (unsigned i = 0; c && i < RECORDING_STEPS; i++) {
        const double under = base ? recording_value(base, i) : 0;
        const double value = recording_value(c, i) + (isnan(under) ? 0 : under);
        if (isnan(value)) continue;
        if (n > 0 && i - last > BRIDGED) {
            draw_piece(s, look, at, n, fn);
            n = 0;
        }
        at[n++] = (struct plot_point){time_of(v, (i + 0.5) * (double)v->r->step_ns), height(scale, value)};
        last = i;
    }
    draw_piece(s, look, at, n, fn);
}

/* ---- alarms ---- */

static double until_ns(const struct view *v, const struct recording_alarm_seen *a)
{
    return (double)(a->until_ns ? a->until_ns : v->r->end_ns);
}

/* "20 000 1/s", "1.5 ms", "12 %" */
static const char *value_text(double value, const char *unit, char buf[PLOT_TEXT_MAX])
{
    if (strcmp(unit, "ns") == 0) return plot_text(value, PLOT_NS, buf);
    if (strcmp(unit, "s/s") == 0) return plot_text(value, PLOT_PERCENT, buf);
    (void)snprintf(buf, PLOT_TEXT_MAX, value < 10 ? "%.2g/s" : "%.0f/s", value);
    return buf;
}

/* "exits by port out", "vCPU 0 waiting for a CPU" */
static void figure_text(const struct recording_alarm_seen *a, char *out, size_t size)
{
    static const struct {
        const char *metric, *before, *after;
    } all[] = {{"exit_rate", "exits by ", ""},
               {"handler_p50", "median handler of ", ""},
               {"doorbell_rate", "doorbells", ""},
               {"run_delay", "", " waiting for a CPU"},
               {"throttled", "throttled by its cgroup", ""},
               {"disk_time", "mean request of ", ""}};
    const char *before = a->metric, *after = "";
    for (unsigned i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
        if (strcmp(all[i].metric, a->metric) != 0) continue;
        before = all[i].before;
        after = all[i].after;
    }
    (void)snprintf(out, size, "%s%s%s", before, a->of, after);
}

/* "exits by port out: 20000/s where 100/s was usual" */
static void alarm_text(const struct recording_alarm_seen *a, char *out, size_t size)
{
    char figure[FIGURE_TEXT_MAX], value[PLOT_TEXT_MAX], usual[PLOT_TEXT_MAX];
    figure_text(a, figure, sizeof(figure));
    (void)snprintf(out, size, "%s: %s where %s was usual", figure, value_text(a->value, a->unit, value),
                   value_text(a->median, a->unit, usual));
}

static void mark_alarms(const struct view *v, struct strips *s)
{
    for (unsigned i = 0; i < v->r->alarms; i++) {
        const struct recording_alarm_seen *a = &v->r->alarm[i];
        char says[256];
        if (a->vm != v->vm) continue;
        alarm_text(a, says, sizeof(says));
        strip_bar(s, "p4", time_of(v, (double)a->since_ns), time_of(v, until_ns(v, a)), says);
    }
}

/* ---- strips ---- */

/* One curve over its own greatest value, which is the figure beside it. */
static void put_strip(const struct view *v, struct strips *s, const char *name, const struct recording_curve *c,
                      const char *unit)
{
    char figure[PLOT_TEXT_MAX];
    const double most = greatest(c);
    const struct scale scale = {.high = most};
    const char *figures[] = {value_text(most, unit, figure)};
    if (isnan(most)) return;
    strip_begin(s, name, 1);
    mark_alarms(v, s);
    draw(v, s, c, NULL, &scale, "f0", strip_area);
    strip_end(s, figures);
}

/* The VM's kinds of exits, those of which there were most first. Returns how many. */
static unsigned classes(const struct view *v, const struct recording_curve *out[CLASSES_MAX])
{
    unsigned n = 0;
    for (unsigned i = 0; i < v->r->curves; i++) {
        const struct recording_curve *c = v->r->curve[i];
        unsigned at = n;
        if (c->vm != v->vm || c->kind != CURVE_EXITS) continue;
        while (at > 0 && mean(out[at - 1]) < mean(c)) at--;
        if (at == CLASSES_MAX) continue;
        if (n < CLASSES_MAX) n++;
        for (unsigned k = n - 1; k > at; k--) out[k] = out[k - 1];
        out[at] = c;
    }
    return n;
}

static double least(const struct recording_curve *c)
{
    double low = NAN;
    for (unsigned i = 0; c && i < RECORDING_STEPS; i++) {
        const double value = recording_value(c, i);
        if (value > 0) low = fmin(low, value);
    }
    return low;
}

/* Median and 99th percentile of one kind, logarithmic. */
static void put_times(const struct view *v, struct strips *s, const char *of, enum recording_kind p50_kind)
{
    char p50_text[PLOT_TEXT_MAX], p99_text[PLOT_TEXT_MAX], figure[2 * PLOT_TEXT_MAX + 4];
    const struct recording_curve *p50 = recording_curve(v->r, v->vm, p50_kind, of);
    const struct recording_curve *p99 = recording_curve(v->r, v->vm, p50_kind + 1, of);
    const struct scale scale = {.low = least(p50) / 1.5, .high = greatest(p99), .is_log = true};
    if (!p50 || !p99 || isnan(scale.low) || isnan(scale.high)) return;
    (void)snprintf(figure, sizeof(figure), "%s, %s", plot_text(mean(p50), PLOT_NS, p50_text),
                   plot_text(greatest(p99), PLOT_NS, p99_text));
    const char *figures[] = {figure};
    strip_begin(s, of, 1);
    mark_alarms(v, s);
    draw(v, s, p99, NULL, &scale, "s1", strip_line);
    draw(v, s, p50, NULL, &scale, "s0", strip_line);
    strip_end(s, figures);
}

/* What it ran, and upon that what it waited; the height is all of the time. */
static void put_vcpu(const struct view *v, struct strips *s, unsigned vcpu)
{
    char of[TOP_WORD], ran[PLOT_TEXT_MAX], waited[PLOT_TEXT_MAX], figure[2 * PLOT_TEXT_MAX + 4];
    (void)snprintf(of, sizeof(of), "vCPU %u", vcpu);
    const struct recording_curve *cpu = recording_curve(v->r, v->vm, CURVE_CPU, of);
    const struct recording_curve *delay = recording_curve(v->r, v->vm, CURVE_DELAY, of);
    const struct scale scale = {.high = 1};
    if (!cpu) return;
    (void)snprintf(figure, sizeof(figure), "%s, %s", plot_text(mean(cpu), PLOT_PERCENT, ran),
                   plot_text(mean(delay), PLOT_PERCENT, waited));
    const char *figures[] = {figure};
    strip_begin(s, of, 1);
    mark_alarms(v, s);
    draw(v, s, delay, cpu, &scale, "owed", strip_area);
    draw(v, s, cpu, NULL, &scale, "got", strip_area);
    strip_end(s, figures);
}

static void put_of_kind(const struct view *v, struct strips *s, enum recording_kind kind, const char *unit,
                        const char *group)
{
    bool has_group = false;
    for (unsigned i = 0; i < v->r->curves; i++) {
        const struct recording_curve *c = v->r->curve[i];
        if (c->vm != v->vm || c->kind != kind || !(greatest(c) > 0)) continue;
        if (!has_group) strips_group(s, group);
        has_group = true;
        put_strip(v, s, c->of[0] ? c->of : "the VM", c, unit);
    }
}

static void put_legend(const struct view *v)
{
    static const struct report_look looks[] = {
        {LOOK_PATCH, "f0", "rate, or time, up to the figure at its right; of a vCPU, the time it ran"},
        {LOOK_LINE, "s0", "median (the figure: its mean)"},
        {LOOK_LINE, "s1", "99th percentile (its greatest); both logarithmic"},
        {LOOK_PATCH, "owed", "the time it waited for a CPU"},
        {LOOK_PATCH, "p4", "an alarm"},
    };
    report_legend(v->page, looks, sizeof(looks) / sizeof(looks[0]) - (v->r->alarms == 0));
}

static void put_strips(const struct view *v)
{
    const struct recording_curve *class[CLASSES_MAX];
    const struct plot_axis x = {.high = time_of(v, (double)v->r->end_ns), .label = v->unit};
    const unsigned n = classes(v, class);
    struct strips s;
    strips_begin(&s, v->page, v->r->vm[v->vm].name, &x, STRIP_PX);
    if (n > 0) strips_group(&s, "Exits to the monitor, a second");
    for (unsigned i = 0; i < n; i++) put_strip(v, &s, class[i] -> of, class[i], "1/s");
    if (n > 0) strips_group(&s, "Time in the monitor");
    for (unsigned i = 0; i < n && i < TIMES_MAX; i++) put_times(v, &s, class[i] -> of, CURVE_HANDLER_P50);
    if (n > 0) strips_group(&s, "Time in KVM_RUN");
    for (unsigned i = 0; i < n && i < TIMES_MAX; i++) put_times(v, &s, class[i] -> of, CURVE_RUN_P50);
    if (recording_curve(v->r, v->vm, CURVE_CPU, "vCPU 0")) strips_group(&s, "vCPUs: ran, waited");
    for (unsigned i = 0; i < v->r->vm[v->vm].vcpus; i++) put_vcpu(v, &s, i);
    put_of_kind(v, &s, CURVE_STEAL, "s/s", "Time stolen, as the guest was told");
    put_of_kind(v, &s, CURVE_THROTTLED, "s/s", "Throttled by its cgroup");
    put_of_kind(v, &s, CURVE_DOORBELLS, "1/s", "Doorbells that were no exits, a second");
    put_of_kind(v, &s, CURVE_DISK_RATE, "1/s", "Requests of disks, a second");
    put_of_kind(v, &s, CURVE_DISK_TIME, "ns", "A request's time, in the mean");
    strips_end(&s);
}

static void put_vm(struct view *v)
{
    const struct recording_vm *vm = &v->r->vm[v->vm];
    html_put(v->page, "<h2>%s</h2>\n<p class=\"note\">%u vCPU%s, %.0f samples", vm->name, vm->vcpus,
             vm->vcpus == 1 ? "" : "s", (double)vm->samples);
    if (vm->lives > 1) html_put(v->page, "; %u VMs had this name, one after the other", vm->lives);
    html_put(v->page, "; time in %s</p>\n", v->unit);
    if (vm->samples > 0) put_strips(v);
}

/* ---- the table of alarms ---- */

static void put_alarm_row(const struct view *v, const struct recording_alarm_seen *a)
{
    char figure[FIGURE_TEXT_MAX], value[PLOT_TEXT_MAX], usual[PLOT_TEXT_MAX], spread[PLOT_TEXT_MAX];
    figure_text(a, figure, sizeof(figure));
    html_put(v->page,
             "<tr><th scope=\"row\">%s</th><td class=\"t\">%s</td><td data-t=\"rose to\">%s</td>"
             "<td data-t=\"usual was\">%s</td><td data-t=\"spread\">%s</td>",
             v->r->vm[a->vm].name, figure, value_text(a->value, a->unit, value), value_text(a->median, a->unit, usual),
             value_text(a->mad, a->unit, spread));
    html_put(v->page,
             "<td data-t=\"at\">%.1f s</td><td class=\"t\" data-t=\"lasted\">%.1f s%s</td>"
             "<td data-t=\"samples\">%u%s</td><td data-t=\"once in\">%.2g</td></tr>\n",
             (double)a->since_ns / NS_PER_S, (until_ns(v, a) - (double)a->since_ns) / NS_PER_S,
             !a->until_ns     ? ", to the end"
             : a->has_settled ? ", then usual"
                              : "",
             a->samples, a->is_slow ? " of 30" : "", a->odds);
}

static void put_alarms(const struct view *v)
{
    if (v->r->alarms == 0) return;
    html_put(v->page,
             "<h2>Changes that chance does not explain</h2><p class=\"note\">A change is told when the last 4 to 8 "
             "samples lie above nearly all of up to 120 before them, which were they alike would happen once in "
             "so many times; and when it is large and far from what is usual. Spread is the median distance "
             "from the median.</p><div class=\"scroll\"><table class=\"rows long\"><thead><tr><th>VM</th><th "
             "class=\"t\">figure</th>"
             "<th>rose to</th><th>usual was</th><th>spread</th><th>at</th><th class=\"t\">lasted</th>"
             "<th>samples</th><th>once in</th></tr></thead><tbody>\n");
    for (unsigned i = 0; i < v->r->alarms; i++) put_alarm_row(v, &v->r->alarm[i]);
    html_put(v->page, "</tbody></table></div>\n");
    if (v->r->alarms_lost > 0) html_put(v->page, "<p class=\"note\">%u more are not shown.</p>\n", v->r->alarms_lost);
}

/* ---- the page ---- */

static void put_finding(const struct view *v)
{
    const struct recording_seen *r = v->r;
    unsigned vms = 0;
    for (unsigned i = 0; i < RECORDING_VMS_MAX; i++) vms += r->vm[i].is_there;
    html_put(v->page, "<p class=\"finding\">%u VM%s over %.1f %s: ", vms, vms == 1 ? "" : "s",
             time_of(v, (double)r->end_ns), v->unit);
    if (r->alarms == 0) html_put(v->page, "no change that chance does not explain");
    for (unsigned i = 0; i < r->alarms && i < TOLD_MAX; i++) {
        char text[256];
        alarm_text(&r->alarm[i], text, sizeof(text));
        html_put(v->page, "%s%s, %s", i ? "; " : "", r->vm[r->alarm[i].vm].name, text);
    }
    if (r->alarms > TOLD_MAX) html_put(v->page, "; and %u more changes", r->alarms - TOLD_MAX + r->alarms_lost);
    html_put(v->page, ".</p>\n");
    if (r->note[0]) html_put(v->page, "<p class=\"bad\">%s</p>\n", r->note);
}

static void put_page(struct view *v)
{
    const struct recording_seen *r = v->r;
    html_put(v->page,
             "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"/><meta name=\"viewport\" "
             "content=\"width=device-width,initial-scale=1\"/><title>VMs over time: %s, %s</title><style>",
             r->host, r->time);
    (void)fwrite(report_style, 1, (size_t)(report_style_end - report_style), v->page);
    html_put(v->page,
             "</style></head>\n<body><h1>VMs over time</h1>\n<p class=\"sub\">%s, %s, Linux %s, from %s; a look "
             "each %.3g s; Vireo %s</p>\n",
             r->host, r->cpu, r->kernel, r->time, (double)r->interval_ns / NS_PER_S, r->vireo);
    put_finding(v);
    put_legend(v);
    for (v->vm = 0; v->vm < RECORDING_VMS_MAX; v->vm++)
        if (r->vm[v->vm].is_there) put_vm(v);
    put_alarms(v);
    html_put(v->page, "</body></html>\n");
}

int report_recording(const struct recording_seen *r, result_write_fn *write, void *arg, struct err *e)
{
    struct result_out out;
    const double seconds = (double)r->end_ns / NS_PER_S;
    struct view v = {.r = r, .unit_s = 1, .unit = "seconds"};
    if (seconds > 3 * 3600) v.unit_s = 3600, v.unit = "hours";
    if (seconds > 180 && seconds <= 3 * 3600) v.unit_s = 60, v.unit = "minutes";
    const int rc = result_out_open(&out, e);
    if (rc) return rc;
    v.page = out.f;
    put_page(&v);
    return result_out_close(&out, write, arg, e);
}
