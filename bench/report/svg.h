/* Plots in SVG: axes with ticks, lines, bars. Colours, fonts and dashes come from the style sheet of the page, by
 * class, so that light and dark pages share one drawing. The classes of series are s0 to s5.
 *
 *   plot_begin(&p, page, &frame);  plot_line(&p, 0, points, n);  plot_end(&p);
 *
 * Pictures of many rows on one axis are strips (strips.h). */
#ifndef VIREO_BENCH_REPORT_SVG_H
#define VIREO_BENCH_REPORT_SVG_H

#include "bench/report/axis.h"
#include "bench/report/html.h"

#define PLOT_SERIES 6 /* there are so many colours, each with its own dashes; more series repeat them */

struct plot_frame {
    const char *title; /* also for those who hear the page */
    struct plot_axis x, y;
};

struct plot {
    FILE *page;
    struct plot_axis x, y;
};

struct plot_point {
    double x, y;
};

void plot_begin(struct plot *p, FILE *page, const struct plot_frame *f);
void plot_line(struct plot *p, unsigned series, const struct plot_point *at, unsigned n);
/* A rectangle between two corners; a thin one is still seen. */
void plot_bar(struct plot *p, unsigned series, struct plot_point a, struct plot_point b);
void plot_end(struct plot *p);

#endif
