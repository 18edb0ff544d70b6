#include "bench/report/view.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#define DIGITS_MAX 32   /* of a number below CELL_LIMIT, with sign and decimal */
#define CELL_LIMIT 1e15 /* 11 days in ns: no duration here is longer */
#define THIN_SPACE "\xe2\x80\xaf"

void report_put_number(FILE *page, double value)
{
    char digits[DIGITS_MAX];
    if (!(value > -CELL_LIMIT && value < CELL_LIMIT)) {
        html_put(page, "%s", isfinite(value) ? "beyond" : "");
        return;
    }
    const bool is_whole = value == (double)(long)value || value >= 100 || value <= -100;
    (void)snprintf(digits, sizeof(digits), "%.*f", is_whole ? 0 : 1, value);
    const size_t whole = strcspn(digits, ".");
    for (size_t i = 0; digits[i]; i++) {
        const bool is_group = i > 0 && i < whole && (whole - i) % 3 == 0 && digits[i - 1] != '-';
        html_put(page, "%s%c", is_group ? THIN_SPACE : "", digits[i]);
    }
}

void report_put_cell(FILE *page, double value)
{
    html_put(page, "<td>");
    report_put_number(page, value);
    html_put(page, "</td>");
}

void report_put_verdict(FILE *page, const char *word)
{
    const bool is_good = strcmp(word, "ok") == 0 || strcmp(word, "pass") == 0;
    const bool is_open = strcmp(word, "unsupported") == 0 || strcmp(word, "inconclusive") == 0;
    html_put(page, "<td class=\"t %s\">%s</td>", is_good ? "good" : is_open ? "open" : "bad", word);
}
