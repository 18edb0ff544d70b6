/* Plots in SVG: axes with ticks, lines, bars. Colours, fonts and dashes come from the style sheet of the page, by
 * class, so that light and dark pages share one drawing. The classes of series are s0 to s5.
 *
 *   plot_begin(&p, page, &frame);  plot_line(&p, 0, points, n);  plot_end(&p);
 */
#ifndef VIREO_BENCH_REPORT_SVG_H
#define VIREO_BENCH_REPORT_SVG_H

#include <stdbool.h>

#include "bench/report/html.h"

#define PLOT_SERIES 6 /* there are so many colours, each with its own dashes; more series repeat them */

enum plot_unit {
    PLOT_NUMBER,
    PLOT_NS,      /* 10 ns, 1 us, 100 ms */
    PLOT_PERCENT, /* of a share: 0.25 is 25 % */
    PLOT_TAIL,    /* 1/(1-p), log: ticks say the percentile p, 50 90 99 99.9 */
};

struct plot_axis {
    double low, high; /* log: above 0, widened to whole decades, 20 of them at most; else low is taken as 0 */
    bool is_log;
    enum plot_unit unit;
    const char *label;
};

struct plot_frame {
    const char *title; /* also for those who hear the page */
    struct plot_axis x, y;
    const char *const *names; /* NULL, or what the y axis lists from the top: names_count of them, at 0.5, 1.5, ... */
    unsigned names_count;
};

struct plot {
    FILE *page;
    struct plot_axis x, y;
    bool is_list;                    /* y goes down */
    double left, right, top, bottom; /* of the area, in the drawing's units */
};

struct plot_point {
    double x, y;
};

void plot_begin(struct plot *p, FILE *page, const struct plot_frame *f);
void plot_line(struct plot *p, unsigned series, const struct plot_point *at, unsigned n);
/* A rectangle between two corners; a thin one is still seen. */
void plot_bar(struct plot *p, unsigned series, struct plot_point a, struct plot_point b);
/* A dot; `says` is shown when a pointer rests on it. */
void plot_dot(struct plot *p, unsigned series, struct plot_point at, const char *says);
void plot_end(struct plot *p);

/* "1.5 us" into buf: three digits. Not finite or negative: "-". */
#define PLOT_TEXT_MAX 32
const char *plot_text(double value, enum plot_unit unit, char buf[PLOT_TEXT_MAX]);

#endif
