/* What the parts of the HTML page share: the results side by side, and small pieces of HTML. One thread; results
 * outlive it. */
#ifndef VIREO_BENCH_REPORT_VIEW_H
#define VIREO_BENCH_REPORT_VIEW_H

#include "bench/report/html.h"
#include "bench/result/model.h"

#define REPORT_RESULTS_MAX 16 /* columns that a page can hold beside one another; letters A to P */

struct report_view {
    const struct result *result;
    const char *name;          /* of its file; "" where there is none */
    char letter[2];            /* how the page calls it; "" where it is the only one */
    const char *arch, *nature; /* "unknown" where the result does not say */
    double tick_ns;
};

struct report { /* results of one kind */
    FILE *page;
    const struct report_view *view;
    unsigned count;
};

/* The sections about results of one kind: exits.c, which has both kinds of rows, fair.c. */
void report_exits(const struct report *r);
void report_sandbox(const struct report *r);
void report_fairness(const struct report *r);
/* Where they were measured, folded: provenance.c. */
void report_provenance(const struct report *r);
/* "Xeon (software KVM, PVM), 2026-01-31", or of several. */
void report_put_hosts(const struct report *r);

/* ---- pieces ---- */

/* "12 340": at most four digits that say something, grouped in threes, one decimal below 100; "n/a" for what is not
 * finite. */
void report_put_number(FILE *page, double value);
/* "<td data-t=title>12 340</td>". On a narrow screen each line of a table of class "rows" becomes a paragraph, in which
 * the title stands before the figure. */
void report_put_cell(FILE *page, const char *title, double value);
/* The same with a status or a verdict, in its colour. */
void report_put_word_cell(FILE *page, const char *title, const char *word);
/* The class of a status or a verdict: "good", "bad", or "open" for what is neither. */
const char *report_word_class(const char *word);
/* "<details><summary>title</summary>", and its end. */
void report_fold(FILE *page, const char *title);
void report_unfold(FILE *page);

/* What the looks of a picture mean. look: as in strips.h, shown as a patch, a line or an upright mark. */
struct report_look {
    enum { LOOK_PATCH, LOOK_LINE, LOOK_MARK } shape;
    const char *look, *text;
};
void report_legend(FILE *page, const struct report_look *looks, unsigned n);
/* The results by letter, in the colours of series. Nothing for a single one. */
void report_legend_results(const struct report *r);

/* A list of words in a sentence: "a, b, c". *is_first: true before the first one. */
void report_put_item(FILE *page, bool *is_first, const char *word);

#endif
