/* The page of `vireo fairness`: what was found, a lane for each vCPU over time with what it should have had, then the
 * properties, who had the CPUs, and how each vCPU was set. The file may be anybody's: what is missing is left out, what
 * is no figure is none. */
#include "bench/report/live.h"

#include <errno.h>
#include <jansson.h>
#include <math.h>
#include <string.h>

#include "bench/report/strips.h"
#include "bench/report/view.h"
#include "bench/result/table.h"

#define SCHEMA_STEM "vireo-fairness-"
#define SCHEMA      SCHEMA_STEM "1"
#define VCPUS_MAX   256 /* that are shown, as many as are watched */
#define POINTS_MAX  256 /* of a lane: there are more than ten minutes' only in a file that nobody of ours wrote */
#define LANE_PX     30
#define LEAST_TOP   0.01 /* of a CPU */
#define HEADROOM    1.1  /* above the highest lane */
#define VALUE_MAX   1e15 /* ns: 11 days */
#define OTHERS_MAX  6    /* processes that are named beside a CPU */
#define NS_PER_S    1e9

extern const char report_style[], report_style_end[]; /* style.S */

bool report_live_is_one(FILE *f)
{
    char line[128] = "";
    const bool has_line = fgets(line, sizeof(line), f) != NULL;
    rewind(f);
    return has_line && strstr(line, "\"" SCHEMA_STEM) != NULL;
}

/* ---- values ---- */

static const char *text_of(const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));
    return text ? text : "";
}

/* What is none is 0. */
static double figure(const json_t *value)
{
    const double v = json_is_number(value) ? json_number_value(value) : 0;
    return v >= 0 && v <= VALUE_MAX ? v : 0;
}

static double figure_of(const json_t *object, const char *key)
{
    return figure(json_object_get(object, key));
}

/* ---- lanes ---- */

struct lane {
    struct plot_point ran[2 * POINTS_MAX], due[2 * POINTS_MAX];
    unsigned points;
};

/* Each part of the time is a step: how much of a CPU it ran, and was due, in parts of `top`. */
static void make_lane(const json_t *vcpu, double top, struct lane *out)
{
    size_t i = 0;
    const json_t *part;
    out->points = 0;
    json_array_foreach(json_object_get(vcpu, "lane"), i, part)
    {
        const double from = figure(json_array_get(part, 0)), to = figure(json_array_get(part, 1));
        const double ran = figure(json_array_get(part, 2)), due = figure(json_array_get(part, 3));
        if (!(to > from) || out->points + 2 > 2 * POINTS_MAX) continue;
        for (unsigned end = 0; end < 2; end++) {
            out->ran[out->points] = (struct plot_point){end ? to : from, fmin(ran / (to - from) / top, 1)};
            out->due[out->points++] = (struct plot_point){end ? to : from, fmin(due / (to - from) / top, 1)};
        }
    }
}

/* What the top of each strip stands for: as much of a CPU as any vCPU had or was due, and no more than a whole one. */
static double highest(const json_t *vcpus)
{
    double top = LEAST_TOP;
    size_t i = 0;
    const json_t *vcpu;
    json_array_foreach(vcpus, i, vcpu)
    {
        struct lane lane;
        make_lane(vcpu, 1, &lane);
        for (unsigned k = 0; k < lane.points; k++) top = fmax(top, fmax(lane.ran[k].y, lane.due[k].y) * HEADROOM);
    }
    return fmin(top, 1);
}

static void put_lane(struct strips *s, const json_t *vcpu, double top)
{
    struct lane lane;
    char name[32], says[80];
    const char *const figures[] = {says};
    make_lane(vcpu, top, &lane);
    (void)snprintf(name, sizeof(name), "vCPU %.0f", figure_of(vcpu, "vcpu"));
    (void)snprintf(says, sizeof(says), "%.2f of %.2f s", figure_of(vcpu, "ran_ns") / NS_PER_S,
                   figure_of(vcpu, "due_ns") / NS_PER_S);
    strip_begin(s, name, 1);
    strip_area(s, "got", lane.ran, lane.points);
    strip_line(s, "due", lane.due, lane.points);
    strip_end(s, figures);
}

static void put_lanes(FILE *page, const json_t *o)
{
    static const struct report_look looks[] = {{LOOK_PATCH, "got", "ran"}, {LOOK_LINE, "due", "was due"}};
    const struct plot_axis x = {.high = figure_of(o, "duration_ns"), .unit = PLOT_NS, .label = "time"};
    const json_t *vcpus = json_object_get(o, "vcpus"), *vcpu;
    const double top = highest(vcpus);
    const char *last = NULL;
    struct strips s;
    size_t i = 0;
    report_legend(page, looks, sizeof(looks) / sizeof(looks[0]));
    strips_begin(&s, page, "vCPUs over time: the share of a CPU that each ran, and was due", &x, LANE_PX);
    json_array_foreach(vcpus, i, vcpu)
    {
        const char *vm = text_of(vcpu, "vm");
        if (i >= VCPUS_MAX) break;
        if (!last || strcmp(last, vm) != 0) strips_group(&s, vm);
        last = vm;
        put_lane(&s, vcpu, top);
    }
    strips_end(&s);
    html_put(page,
             "<p class=\"note\">A strip is as high as %.0f %% of a CPU. A vCPU is due something only while it runs or "
             "waits; what all VMs got is divided among those that then did, by VM first.</p>\n",
             top * 100);
}

/* ---- tables ---- */

static void put_properties(FILE *page, const json_t *o)
{
    size_t i = 0;
    const json_t *p;
    html_put(page, "<h2>What was judged</h2><table class=\"rows\"><thead><tr><th></th><th class=\"t\">verdict</th>"
                   "<th class=\"t\">measured, and why</th></tr></thead><tbody>\n");
    json_array_foreach(json_object_get(o, "properties"), i, p)
    {
        html_put(page, "<tr><th scope=\"row\">%s</th>", text_of(p, "id"));
        report_put_word_cell(page, "", text_of(p, "verdict"));
        html_put(page, "<td class=\"t\"><small>%s.</small> %s", text_of(p, "title"), text_of(p, "text"));
        if (text_of(p, "cause")[0]) html_put(page, ". <b>Why: %s</b>", text_of(p, "cause"));
        if (text_of(p, "reason")[0]) html_put(page, ". No verdict: %s", text_of(p, "reason"));
        html_put(page, "</td></tr>\n");
    }
    html_put(page, "</tbody></table>\n");
}

static void put_share(FILE *page, const char *title, double ns, double of)
{
    html_put(page, "<td data-t=\"%s\">%.0f %%</td>", title, of > 0 ? 100 * ns / of : 0);
}

static void put_cpus(FILE *page, const json_t *o)
{
    size_t i = 0, k = 0;
    const json_t *cpu, *other;
    html_put(page, "<h2>Who had the CPUs</h2><table class=\"rows\"><thead><tr><th></th><th>busy</th><th>idle</th>"
                   "<th>steal</th><th class=\"t\">processes that are no VM of these</th></tr></thead><tbody>\n");
    json_array_foreach(json_object_get(o, "cpus"), i, cpu)
    {
        const double busy = figure_of(cpu, "busy_ns"), idle = figure_of(cpu, "idle_ns");
        const double steal = figure_of(cpu, "steal_ns"), all = busy + idle + steal;
        html_put(page, "<tr><th scope=\"row\">CPU %.0f</th>", figure_of(cpu, "cpu"));
        put_share(page, "busy", busy, all);
        put_share(page, "idle", idle, all);
        put_share(page, "steal", steal, all);
        html_put(page, "<td class=\"t\">");
        json_array_foreach(json_object_get(cpu, "others"), k, other)
        {
            if (k == OTHERS_MAX) break;
            html_put(page, "%s%s (%.0f) %.0f %%", k ? ", " : "", text_of(other, "name"), figure_of(other, "pid"),
                     all > 0 ? 100 * figure_of(other, "ran_ns") / all : 0);
        }
        html_put(page, "</td></tr>\n");
    }
    html_put(page, "</tbody></table>\n");
}

static void put_vcpus(FILE *page, const json_t *o)
{
    static const struct {
        const char *title, *key;
    } times[] = {{"wanted", "wanted_ns"}, {"ran", "ran_ns"}, {"due", "due_ns"}, {"waited", "waited_ns"}};
    size_t i = 0;
    const json_t *v;
    html_put(page, "<h2>The vCPUs</h2><div class=\"scroll\"><table class=\"rows long\"><thead><tr><th>vCPU</th>");
    for (unsigned k = 0; k < sizeof(times) / sizeof(times[0]); k++) html_put(page, "<th>%s, s</th>", times[k].title);
    html_put(page, "<th>longest wait, ms</th><th>CPUs</th><th>nice</th><th>throttled</th><th class=\"t\">cgroup</th>"
                   "</tr></thead><tbody>\n");
    json_array_foreach(json_object_get(o, "vcpus"), i, v)
    {
        if (i >= VCPUS_MAX) break;
        html_put(page, "<tr><th scope=\"row\">%s %.0f</th>", text_of(v, "vm"), figure_of(v, "vcpu"));
        for (unsigned k = 0; k < sizeof(times) / sizeof(times[0]); k++)
            html_put(page, "<td data-t=\"%s, s\">%.2f</td>", times[k].title, figure_of(v, times[k].key) / NS_PER_S);
        html_put(
            page, "<td data-t=\"longest wait, ms\">%.0f</td><td data-t=\"CPUs\">%s</td><td data-t=\"nice\">%.0f</td>",
            figure_of(v, "longest_wait_ns") / 1e6, text_of(v, "cpus"), json_number_value(json_object_get(v, "nice")));
        html_put(page, "<td data-t=\"throttled\">%.0f</td><td class=\"t\">%s, weight %.0f</td></tr>\n",
                 figure_of(v, "throttled"), text_of(v, "cgroup"), figure_of(v, "cgroup_weight"));
    }
    html_put(page, "</tbody></table></div>\n");
}

/* ---- the page ---- */

static void put_page(FILE *page, const json_t *o)
{
    html_put(page,
             "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"/><meta name=\"viewport\" "
             "content=\"width=device-width,initial-scale=1\"/><title>VMs treated fairly? %s, %s</title><style>",
             text_of(o, "host"), text_of(o, "time"));
    (void)fwrite(report_style, 1, (size_t)(report_style_end - report_style), page);
    html_put(page,
             "</style></head>\n<body><h1>Are the VMs treated fairly?</h1>\n<p class=\"sub\">%s, Linux %s, %s, %.1f s; "
             "Vireo %s</p>\n<p class=\"finding\">%s</p>\n",
             text_of(o, "host"), text_of(o, "kernel"), text_of(o, "time"), figure_of(o, "duration_ns") / NS_PER_S,
             text_of(o, "vireo"), text_of(o, "summary"));
    if (text_of(o, "note")[0]) html_put(page, "<p class=\"bad\">%s</p>\n", text_of(o, "note"));
    put_lanes(page, o);
    put_properties(page, o);
    put_cpus(page, o);
    put_vcpus(page, o);
    html_put(page,
             "<p class=\"note\">Scheduler: slice %.3g ms (%s), tick %.3g ms. Weights: %s. %.0f samples; watching took "
             "%.2f %% of a CPU.</p></body></html>\n",
             figure_of(o, "slice_ns") / 1e6, text_of(o, "slice_source"), figure_of(o, "tick_ns") / 1e6,
             text_of(o, "weights"), figure_of(o, "samples"),
             100 * figure_of(o, "watching_ns") / fmax(figure_of(o, "duration_ns"), 1));
}

static int check(const json_t *o, const json_error_t *where, struct err *e)
{
    const char *schema = text_of(o, "schema");
    if (!o) return err_set(e, -EINVAL, "line %d: %s; the file is cut short or damaged", where->line, where->text);
    if (strcmp(schema, SCHEMA) != 0)
        return err_set(e, -EINVAL, "schema is \"%.60s\", and this program reads %s", schema, SCHEMA);
    if (json_array_size(json_object_get(o, "vcpus")) == 0) return err_set(e, -EINVAL, "vcpus: a list of one or more");
    return 0;
}

int report_live(const char *text, size_t len, result_write_fn *write, void *arg, struct err *e)
{
    struct result_out out;
    json_error_t where;
    json_t *o = json_loadb(text, len, JSON_REJECT_DUPLICATES, &where);
    int rc = check(o, &where, e);
    if (!rc) rc = result_out_open(&out, e);
    if (!rc) {
        put_page(out.f, o);
        rc = result_out_close(&out, write, arg, e);
    }
    json_decref(o);
    return rc;
}
