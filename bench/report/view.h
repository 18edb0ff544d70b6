/* What the parts of the HTML page share: the results side by side, and cells. One thread; results outlive it. */
#ifndef VIREO_BENCH_REPORT_VIEW_H
#define VIREO_BENCH_REPORT_VIEW_H

#include "bench/report/html.h"
#include "bench/result/model.h"

#define REPORT_RESULTS_MAX 16 /* columns that a page can hold beside one another; letters A to P */

struct report_view {
    const struct result *result;
    char letter[2];            /* how the page calls it */
    const char *arch, *nature; /* "unknown" where the result does not say */
    double tick_ns;
};

struct report { /* results of one kind */
    FILE *page;
    const struct report_view *view;
    unsigned count;
};

/* The sections about results of one kind: exits.c, fair.c. */
void report_exits(const struct report *r);
void report_fairness(const struct report *r);

/* "12 345": digits grouped, one decimal below 100; nothing for what is not finite. */
void report_put_number(FILE *page, double value);
void report_put_cell(FILE *page, double value); /* "<td>12 345</td>" */
/* A cell for a status or verdict, coloured by what it says. */
void report_put_verdict(FILE *page, const char *word);

#endif
