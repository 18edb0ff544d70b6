/* Several results about exits: what differs between them, and their medians side by side. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/report/axis.h"
#include "bench/report/exits.h"

#define ROW_OF_UNIT "mmio_wr_user" /* the row that the others of the same host are divided by */

/* ---- two results that can be compared row by row ---- */

struct text {
    char *s;
    size_t len;
};

static void keep(void *arg, const char *text, size_t len)
{
    struct text *t = arg;
    t->s = malloc(len + 1);
    if (!t->s) return;
    memcpy(t->s, text, len);
    t->s[len] = '\0';
    t->len = len;
}

/* What result_compare finds, as docs/result-format.md describes it. NULL: these are not two, or can't be compared. */
static json_t *compare(const struct report *r)
{
    struct err e;
    struct text t = {NULL, 0};
    if (r->count != 2) return NULL;
    const int rc = result_compare(r->view[0].result, r->view[1].result, RESULT_MARGIN, "json", keep, &t, &e);
    json_t *out = rc >= 0 && t.s ? json_loadb(t.s, t.len, 0, NULL) : NULL;
    free(t.s);
    return out;
}

static double figure(const json_t *row, const char *key)
{
    const json_t *v = json_object_get(row, key);
    return json_is_number(v) ? json_number_value(v) : NAN;
}

static bool has_verdict(const json_t *row, const char *verdict)
{
    return strcmp(json_text(row, "verdict"), verdict) == 0;
}

/* "slower in 3 rows, most in cpuid (1.20 times)". Returns how many. */
static unsigned put_count(FILE *page, const json_t *rows, const char *verdict)
{
    const json_t *most = NULL;
    unsigned n = 0;
    for (size_t i = 0; i < json_array_size(rows); i++) {
        const json_t *row = json_array_get(rows, i);
        if (!has_verdict(row, verdict)) continue;
        n++;
        if (!most || fabs(log(figure(row, "ratio"))) > fabs(log(figure(most, "ratio")))) most = row;
    }
    if (n == 0) return 0;
    html_put(page, " B is <b>%s in %u</b>, most in %s: %.3g times A.", verdict, n, json_text(most, "row"),
             figure(most, "ratio"));
    return n;
}

static void put_compared(const struct report *r, const json_t *found)
{
    const json_t *rows = json_object_get(found, "rows");
    html_put(r->page, "<p class=\"finding\">Of %u rows that both have:", (unsigned)json_array_size(rows));
    const unsigned slower = put_count(r->page, rows, "slower"), faster = put_count(r->page, rows, "faster");
    html_put(r->page, slower + faster ? " The others show no difference.</p>\n"
                                      : " <b>none shows a difference</b> that chance does not explain.</p>\n");
    if (!json_is_true(json_object_get(found, "is_interleaved")))
        html_put(r->page, "<p class=\"note\">Their processes did not take turns: what changed on the host meanwhile "
                          "looks like a difference. vireo bench exits --against lets them.</p>\n");
}

/* ---- any results ---- */

static void put_headlines(const struct report *r)
{
    char text[PLOT_TEXT_MAX];
    html_put(r->page, "<p class=\"finding\">An exit to the monitor and back (" ROW_OF_UNIT ") takes ");
    for (unsigned k = 0; k < r->count; k++)
        html_put(r->page, "%s<b>%s</b> in %s", k ? ", " : "",
                 plot_text(exit_median(&r->view[k], result_row(r->view[k].result, ROW_OF_UNIT)), PLOT_NS, text),
                 r->view[k].letter);
    html_put(r->page, ".</p>\n");
}

static bool is_one_host(const struct report *r)
{
    const json_t *first = environment_at(r->view[0].result, "host");
    for (unsigned k = 1; k < r->count; k++)
        if (!json_equal(first, environment_at(r->view[k].result, "host"))) return false;
    return true;
}

void exit_put_differences(const struct report *r)
{
    json_t *found = compare(r);
    if (found)
        put_compared(r, found);
    else
        put_headlines(r);
    if (!is_one_host(r))
        html_put(r->page, "<p class=\"note\">These are not all of one host, or it had changed in between: a difference "
                          "is not the doing of what was measured alone. Between hosts of different kinds ratios can "
                          "be compared, times can't.</p>\n");
    json_decref(found);
}

static const json_t *find_row(const json_t *found, const char *id)
{
    const json_t *rows = json_object_get(found, "rows");
    for (size_t i = 0; i < json_array_size(rows); i++)
        if (strcmp(json_text(json_array_get(rows, i), "row"), id) == 0) return json_array_get(rows, i);
    return NULL;
}

static void put_ratio(FILE *page, const json_t *row)
{
    const double ratio = figure(row, "ratio"), low = figure(row, "low"), high = figure(row, "high");
    html_put(page, isfinite(ratio) ? "<td data-t=\"B/A\">%.3f</td>" : "<td data-t=\"B/A\">n/a</td>", ratio);
    html_put(page, isfinite(low) ? "<td data-t=\"95 %%\">%.3f\xe2\x80\x93%.3f</td>" : "<td data-t=\"95 %%\">n/a</td>",
             low, high);
    report_put_word_cell(page, "verdict", json_text(row, "verdict"));
}

/* A median, and how many times the unit row's of the same host it is. */
static void put_median(FILE *page, const struct report_view *v, const char *id)
{
    const struct result_row *row = result_row(v->result, id);
    const double p50 = exit_median(v, row), unit = exit_median(v, result_row(v->result, ROW_OF_UNIT));
    if (!isfinite(p50)) {
        html_put(page, "<td class=\"open\" data-t=\"%s\">%s</td>", v->letter,
                 row ? row_statuses[row->status] : "\xe2\x80\x93");
        return;
    }
    html_put(page, "<td data-t=\"%s\">", v->letter);
    report_put_number(page, p50);
    if (unit > 0) html_put(page, " <small>%.2f</small>", p50 / unit);
    html_put(page, "</td>");
}

static void put_group(const struct report *r, const json_t *found, enum row_group group)
{
    const struct exit_rows rows = exit_rows_of(r, group);
    for (unsigned i = 0; i < rows.count; i++) {
        html_put(r->page, "<tr><th scope=\"row\">%s</th>", rows.id[i]);
        for (unsigned k = 0; k < r->count; k++) put_median(r->page, &r->view[k], rows.id[i]);
        if (found) put_ratio(r->page, find_row(found, rows.id[i]));
        html_put(r->page, "</tr>\n");
    }
}

static bool has_unit(const struct report *r)
{
    for (unsigned k = 0; k < r->count; k++)
        if (exit_median(&r->view[k], result_row(r->view[k].result, ROW_OF_UNIT)) > 0) return true;
    return false;
}

void exit_put_side_by_side(const struct report *r)
{
    static const enum row_group order[] = {GROUP_SANDBOX, GROUP_USER, GROUP_KERNEL, GROUP_CONTROL};
    json_t *found = compare(r);
    html_put(r->page, "<div class=\"scroll\"><table class=\"rows\"><thead><tr><th>row</th>");
    for (unsigned k = 0; k < r->count; k++)
        html_put(r->page, "<th>%s: %s, %s</th>", r->view[k].letter, r->view[k].arch, r->view[k].nature);
    if (found) html_put(r->page, "<th>B/A</th><th>95\xc2\xa0%%</th><th class=\"t\">verdict</th>");
    html_put(r->page, "</tr></thead><tbody>\n");
    for (unsigned g = 0; g < sizeof(order) / sizeof(order[0]); g++) put_group(r, found, order[g]);
    html_put(r->page, "</tbody></table></div>\n<p class=\"note\">Medians in nanoseconds.%s</p>\n",
             has_unit(r) ? " The small number is the ratio to " ROW_OF_UNIT " on the same host." : "");
    json_decref(found);
}
