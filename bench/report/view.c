#include "bench/report/view.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "bench/report/svg.h"

#define DIGITS     4
#define DIGITS_MAX 32   /* of a number below CELL_LIMIT, with sign and decimal */
#define CELL_LIMIT 1e15 /* 11 days in ns: no duration here is longer */
#define THIN_SPACE "\xe2\x80\xaf"

/* Rounded to so many digits. Those before the decimal point are all kept where there are fewer. */
static double rounded(double value)
{
    const double unit = pow(10, floor(log10(fabs(value))) - (DIGITS - 1));
    return unit > 1 ? round(value / unit) * unit : value;
}

void report_put_number(FILE *page, double value)
{
    char digits[DIGITS_MAX];
    if (!(value > -CELL_LIMIT && value < CELL_LIMIT)) {
        html_put(page, "%s", isfinite(value) ? "beyond" : "n/a");
        return;
    }
    value = rounded(value);
    const bool is_whole = value == (double)(long)value || value >= 100 || value <= -100;
    (void)snprintf(digits, sizeof(digits), "%.*f", is_whole ? 0 : 1, value);
    const size_t whole = strcspn(digits, ".");
    for (size_t i = 0; digits[i]; i++) {
        const bool is_group = i > 0 && i < whole && (whole - i) % 3 == 0 && digits[i - 1] != '-';
        html_put(page, "%s%c", is_group ? THIN_SPACE : "", digits[i]);
    }
}

void report_put_cell(FILE *page, const char *title, double value)
{
    html_put(page, "<td data-t=\"%s\">", title);
    report_put_number(page, value);
    html_put(page, "</td>");
}

const char *report_word_class(const char *word)
{
    static const char *const good[] = {"ok", "pass", "holds", "faster", "agrees", NULL};
    static const char *const bad[] = {"failed", "fail",  "fails", "does not hold", "timeout", "slower",
                                      "more",   "fewer", NULL};
    for (unsigned i = 0; good[i]; i++)
        if (strcmp(word, good[i]) == 0) return "good";
    for (unsigned i = 0; bad[i]; i++)
        if (strcmp(word, bad[i]) == 0) return "bad";
    return "open";
}

void report_put_word_cell(FILE *page, const char *title, const char *word)
{
    html_put(page, "<td class=\"t word %s\" data-t=\"%s\">%s</td>", report_word_class(word), title, word);
}

void report_fold(FILE *page, const char *title)
{
    html_put(page, "<details><summary>%s</summary>\n", title);
}

void report_unfold(FILE *page)
{
    html_put(page, "</details>\n");
}

void report_legend(FILE *page, const struct report_look *looks, unsigned n)
{
    static const char *const shapes[] = {
        [LOOK_PATCH] = "M0 0H20V12H0Z", [LOOK_LINE] = "M0 6H20", [LOOK_MARK] = "M10 0V12"};
    html_put(page, "<p class=\"legend\">");
    for (unsigned i = 0; i < n; i++)
        html_put(page,
                 "<span><svg viewBox=\"0 0 20 12\" aria-hidden=\"true\"><path class=\"%s\" d=\"%s\"/></svg>%s</span>\n",
                 looks[i].look, shapes[looks[i].shape], looks[i].text);
    html_put(page, "</p>\n");
}

void report_legend_results(const struct report *r)
{
    static const char *const looks[PLOT_SERIES] = {"f0", "f1", "f2", "f3", "f4", "f5"};
    struct report_look legend[REPORT_RESULTS_MAX];
    char text[REPORT_RESULTS_MAX][160];
    for (unsigned k = 0; k < r->count; k++) {
        const struct report_view *v = &r->view[k];
        (void)snprintf(text[k], sizeof(text[k]), "%s: %s%s%s, %s", v->letter, v->name, v->name[0] ? ", " : "", v->arch,
                       v->nature);
        legend[k] = (struct report_look){LOOK_PATCH, looks[k % PLOT_SERIES], text[k]};
    }
    if (r->count > 1) report_legend(r->page, legend, r->count);
}

void report_put_item(FILE *page, bool *is_first, const char *word)
{
    html_put(page, "%s%s", *is_first ? "" : ", ", word);
    *is_first = false;
}
