/* The HTML page of results: one file that needs no other, no script and no network. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "bench/report/svg.h"
#include "bench/report/view.h"
#include "bench/result/table.h"

/* There are two palettes, for light and for dark screens. Whatever has a colour names a variable, so that both share
 * one drawing. Text has a contrast of at least 7 against its background, a series at least 4.5. */
static const char style[] =
    "<style>:root{color-scheme:light dark;--bg:#fff;--fg:#1b1f24;--soft:#4a525c;--line:#d4d9df;--head:#f0f3f6;"
    "--good:#0b5d28;--bad:#a3151f;--s0:#0a5aa8;--s1:#b04a00;--s2:#15713a;--s3:#7a35c9;--s4:#a8215f;--s5:#5c6370}"
    "@media(prefers-color-scheme:dark){:root{--bg:#14181d;--fg:#e8ebef;--soft:#b3bcc7;--line:#3a424c;--head:#20262d;"
    "--good:#7fd99a;--bad:#ff9d9d;--s0:#6cb6ff;--s1:#ffa657;--s2:#6fdc8c;--s3:#cda6ff;--s4:#ff8fc0;--s5:#a9b4c0}}"
    "body{background:var(--bg);color:var(--fg);font:15px/1.45 system-ui,sans-serif;margin:0 auto;padding:1.5em;"
    "max-width:90em}h1{font-size:1.6em;margin:0 0 .3em}h2{font-size:1.25em;margin:2em 0 .4em}"
    "h3{font-size:1.05em;margin:1.5em 0 .3em}p{max-width:60em;margin:.4em 0 .8em}small{color:var(--soft)}"
    ".scroll{overflow-x:auto}table{border-collapse:collapse;font-variant-numeric:tabular-nums;font-size:14px}"
    "th,td{padding:.25em .6em;border-bottom:1px solid var(--line);text-align:right;vertical-align:top}"
    "tbody th{text-align:left;font-weight:600;white-space:nowrap}thead th{background:var(--head);vertical-align:bottom}"
    "thead th:first-child,.t{text-align:left}td{white-space:nowrap}td.t,.host "
    "td{white-space:normal;text-align:left}.wide{min-width:18em}"
    ".group th{background:var(--head)}.more td{border-bottom-color:var(--line);color:var(--soft)}"
    ".good{color:var(--good)}.bad{color:var(--bad);font-weight:600}.open{color:var(--soft)}"
    ".grid{display:grid;grid-template-columns:repeat(auto-fill,minmax(min(100%,26em),1fr));gap:1em}"
    "figure{margin:0}figure.wide{max-width:46em}figcaption{font-weight:600}svg{width:100%;height:auto;display:block}"
    "svg text{font:11px system-ui,sans-serif;fill:var(--soft)}text.x,text.l{text-anchor:middle}"
    "text.y{text-anchor:end}.grid path,.wide path{fill:none}path.grid{stroke:var(--line);stroke-width:.7}"
    "path.axis{stroke:var(--soft)}polyline{fill:none;stroke-width:1.8;stroke-linejoin:round}"
    ".s0{stroke:var(--s0)}.s1{stroke:var(--s1);stroke-dasharray:7 3}.s2{stroke:var(--s2);stroke-dasharray:2 2}"
    ".s3{stroke:var(--s3);stroke-dasharray:10 3 2 3}.s4{stroke:var(--s4);stroke-dasharray:5 5}"
    ".s5{stroke:var(--s5);stroke-dasharray:1 3}.f0{fill:var(--s0)}.f1{fill:var(--s1)}.f2{fill:var(--s2)}"
    ".f3{fill:var(--s3)}.f4{fill:var(--s4)}.f5{fill:var(--s5)}"
    ".legend span{margin-right:1.2em;white-space:nowrap}.legend span:before{content:\"\";display:inline-block;"
    "width:1.4em;height:.25em;margin-right:.4em;vertical-align:middle;background:currentColor}"
    ".k0{color:var(--s0)}.k1{color:var(--s1)}.k2{color:var(--s2)}.k3{color:var(--s3)}.k4{color:var(--s4)}"
    ".k5{color:var(--s5)}</style>";

/* ---- where it was measured ---- */

static void put_value(FILE *page, const json_t *value)
{
    const char *key;
    json_t *member;
    bool is_first = true;
    if (json_is_string(value))
        html_put(page, "%s", json_string_value(value));
    else if (json_is_number(value))
        html_put(page, "%.10g", json_number_value(value));
    else if (json_is_boolean(value))
        html_put(page, "%s", json_is_true(value) ? "yes" : "no");
    else if (!json_is_object(value))
        html_put(page, "unknown");
    /* The macro asks for an object that may be changed, though it changes nothing. */
    json_object_foreach((json_t *)value, key, member)
    {
        html_put(page, "%s%s ", is_first ? "" : ", ", key);
        is_first = false;
        if (json_is_null(member))
            html_put(page, "not given");
        else if (json_is_object(member))
            html_put(page, "{\xe2\x80\xa6}");
        else
            put_value(page, member);
    }
}

static void put_fact(const struct report *r, const char *title, const char *path)
{
    html_put(r->page, "<tr><th scope=\"row\">%s</th>", title);
    for (unsigned k = 0; k < r->count; k++) {
        html_put(r->page, "<td>");
        put_value(r->page, environment_at(r->view[k].result, path));
        html_put(r->page, "</td>");
    }
    html_put(r->page, "</tr>\n");
}

/* Did all of a result's processes see the same host? */
static bool is_one_host(const struct result *r)
{
    const json_t *first = json_object_get(json_array_get(r->environments, 0), "host");
    for (size_t i = 1; i < json_array_size(r->environments); i++)
        if (!json_equal(first, json_object_get(json_array_get(r->environments, i), "host"))) return false;
    return true;
}

static void put_host_notes(const struct report *r)
{
    const json_t *first = environment_at(r->view[0].result, "host");
    bool is_one = true;
    for (unsigned k = 0; k < r->count; k++) {
        const struct result *one = r->view[k].result;
        is_one = is_one && json_equal(first, environment_at(one, "host"));
        if (!is_one_host(one))
            html_put(r->page, "<p>%s: its processes did not all see the same host; shown is the first.</p>",
                     r->view[k].letter);
    }
    if (!is_one)
        html_put(r->page, "<p>These are not all of one host, or it had changed in between: a difference between two "
                          "results is not the doing of what was measured alone.</p>");
}

static void put_hosts(const struct report *r)
{
    static const struct {
        const char *title, *path;
    } facts[] = {
        {"host is", "host.nature"},
        {"architecture", "arch"},
        {"CPU", "host.cpu"},
        {"CPUs", "host.cpus"},
        {"microcode", "host.microcode"},
        {"hypervisor above", "host.hypervisor"},
        {"kernel", "host.kernel"},
        {"KVM module", "host.module"},
        {"its parameters", "host.parameters"},
        {"halt polling, ns", "host.halt_poll_ns"},
        {"mitigations", "host.mitigations"},
        {"governor", "host.governor"},
        {"SMT", "host.smt"},
        {"scheduler", "scheduler"},
        {"counter", "counter"},
        {"costs, ticks (recorder: ns)", "cost"},
        {"options", "options"},
        {"Vireo", "vireo"},
        {"measured", "time"},
    };
    html_put(r->page, "<h2>Where it was measured</h2><div class=\"scroll\"><table class=\"host\"><thead><tr><th></th>");
    for (unsigned k = 0; k < r->count; k++) html_put(r->page, "<th class=\"t\">%s</th>", r->view[k].letter);
    html_put(r->page, "</tr></thead><tbody>\n");
    for (unsigned i = 0; i < sizeof(facts) / sizeof(facts[0]); i++) put_fact(r, facts[i].title, facts[i].path);
    html_put(r->page, "<tr><th scope=\"row\">processes</th>");
    for (unsigned k = 0; k < r->count; k++)
        html_put(r->page, "<td>%u</td>", (unsigned)json_array_size(r->view[k].result->environments));
    html_put(r->page, "</tr></tbody></table></div>\n");
    put_host_notes(r);
}

/* ---- the page ---- */

static void put_kind(const struct report *all, enum result_kind kind, void (*section)(const struct report *r))
{
    struct report_view view[REPORT_RESULTS_MAX];
    struct report r = {.page = all->page, .view = view};
    for (unsigned k = 0; k < all->count; k++)
        if (all->view[k].result->kind == kind) view[r.count++] = all->view[k];
    if (r.count > 0) section(&r);
}

static void put_page(const struct report *r)
{
    html_put(r->page, "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"/><meta name=\"viewport\" "
                      "content=\"width=device-width,initial-scale=1\"/><title>Vireo: measured</title>");
    fputs(style, r->page);
    html_put(r->page, "</head>\n<body><h1>Vireo: measured</h1>");
    put_hosts(r);
    put_kind(r, RESULT_EXITS, report_exits);
    put_kind(r, RESULT_FAIRNESS, report_fairness);
    html_put(r->page, "</body></html>\n");
}

static const char *text_at(const struct result *r, const char *path)
{
    const char *s = json_string_value(environment_at(r, path));
    return s ? s : "unknown";
}

int report_write(const struct result *const *results, unsigned count, result_write_fn *write, void *arg, struct err *e)
{
    struct report_view view[REPORT_RESULTS_MAX];
    struct result_out out;
    if (count == 0) return err_set(e, -EINVAL, "no result to report");
    if (count > REPORT_RESULTS_MAX)
        return err_set(e, -E2BIG, "%u results: a page holds %d beside one another; give fewer", count,
                       REPORT_RESULTS_MAX);
    const int rc = result_out_open(&out, e);
    if (rc) return rc;
    for (unsigned k = 0; k < count; k++)
        view[k] = (struct report_view){
            .result = results[k],
            .letter = {(char)('A' + k)},
            .arch = text_at(results[k], "arch"),
            .nature = text_at(results[k], "host.nature"),
            .tick_ns = 1e9 / environment_hz(results[k]),
        };
    put_page(&(struct report){.page = out.f, .view = view, .count = count});
    return result_out_close(&out, write, arg, e);
}
