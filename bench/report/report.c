/* The HTML page of results: one file that needs no other, no script and no network. What was found comes first, then a
 * picture of it, then tables; what only some readers want is folded, and last stands where it was measured. */
#include <errno.h>
#include <stdio.h>

#include "bench/report/view.h"
#include "bench/result/table.h"

extern const char report_style[], report_style_end[]; /* style.S */

static const struct {
    enum result_kind kind;
    const char *title;
    void (*put)(const struct report *r);
} sections[] = {
    {RESULT_EXITS, "What VM exits cost", report_exits},
    {RESULT_SANDBOX, "What sandboxes cost", report_sandbox},
    {RESULT_FAIRNESS, "How fairly vCPUs are scheduled", report_fairness},
};
#define SECTIONS (sizeof(sections) / sizeof(sections[0]))

/* The results of one kind. */
static struct report choose(const struct report *all, enum result_kind kind, struct report_view *into)
{
    struct report r = {.page = all->page, .view = into};
    for (unsigned k = 0; k < all->count; k++)
        if (all->view[k].result->kind == kind) into[r.count++] = all->view[k];
    return r;
}

static void put_titles(const struct report *r)
{
    struct report_view view[REPORT_RESULTS_MAX];
    bool is_first = true;
    for (unsigned i = 0; i < SECTIONS; i++)
        if (choose(r, sections[i].kind, view).count > 0) report_put_item(r->page, &is_first, sections[i].title);
}

static void put_page(const struct report *r)
{
    struct report_view view[REPORT_RESULTS_MAX];
    html_put(r->page, "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"/><meta name=\"viewport\" "
                      "content=\"width=device-width,initial-scale=1\"/><title>");
    put_titles(r);
    html_put(r->page, ": ");
    report_put_hosts(r);
    html_put(r->page, "</title><style>");
    (void)fwrite(report_style, 1, (size_t)(report_style_end - report_style), r->page);
    html_put(r->page, "</style></head>\n<body><h1>");
    put_titles(r);
    html_put(r->page, "</h1>\n<p class=\"sub\">");
    report_put_hosts(r);
    html_put(r->page, "</p>\n");
    for (unsigned i = 0; i < SECTIONS; i++) {
        const struct report one = choose(r, sections[i].kind, view);
        if (one.count == 0) continue;
        if (one.count < r->count) html_put(r->page, "<h2>%s</h2>\n", sections[i].title);
        sections[i].put(&one);
    }
    report_provenance(r);
    html_put(r->page, "</body></html>\n");
}

static const char *text_at(const struct result *r, const char *path)
{
    const char *s = json_string_value(environment_at(r, path));
    return s ? s : "unknown";
}

int report_write(const struct result *const *results, const char *const *names, unsigned count, result_write_fn *write,
                 void *arg, struct err *e)
{
    static const char letters[] = "ABCDEFGHIJKLMNOP";
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
            .name = names ? names[k] : "",
            .arch = text_at(results[k], "arch"),
            .nature = text_at(results[k], "host.nature"),
            .tick_ns = 1e9 / environment_hz(results[k]),
        };
    for (unsigned k = 0; count > 1 && k < count; k++) view[k].letter[0] = letters[k];
    put_page(&(struct report){.page = out.f, .view = view, .count = count});
    return result_out_close(&out, write, arg, e);
}
