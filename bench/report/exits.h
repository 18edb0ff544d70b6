/* What the parts of the page about exits share. Private to bench/report.
 *
 *   exits.c          the section: what was found, tables
 *   exit_pictures.c  the distribution of every row on one axis; each row's percentiles
 *   exit_compare.c   several results: what differs, medians side by side */
#ifndef VIREO_BENCH_REPORT_EXITS_H
#define VIREO_BENCH_REPORT_EXITS_H

#include "bench/report/view.h"

#define EXIT_ROWS_MAX 64 /* there are some 40 */

/* The rows of all results that have a figure in one of them, each once. */
struct exit_rows {
    const char *id[EXIT_ROWS_MAX];
    unsigned count, left_out;
};
struct exit_rows exit_rows_of(const struct report *r, enum row_group group);

/* The durations of one phase of a row; dist is NULL where there are none. */
struct exit_times {
    const struct dist *dist;
    double scale; /* from ticks of a batch to ns of one operation */
};
struct exit_times exit_times_of(const struct report_view *v, const struct result_row *row, enum phase p);
/* In nanoseconds; NaN where there are fewer samples than `enough`. */
double exit_quantile(const struct exit_times *t, double share, uint64_t enough);
double exit_median(const struct report_view *v, const struct result_row *row); /* the headline; NaN: there is none */

void exit_put_shape(const struct report *r);
void exit_put_percentiles(const struct report *r); /* folded */

void exit_put_differences(const struct report *r); /* in sentences */
void exit_put_side_by_side(const struct report *r);

#endif
