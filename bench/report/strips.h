/* Strips: a picture of many rows on one x axis. It is a table, so that it reads as one without its drawings: each row
 * has a name, a strip as wide as the page allows, and a figure. Only the strips are stretched; text keeps its size on
 * every screen.
 *
 *   strips_begin(&s, page, "Round trips", &axis);
 *   strips_group(&s, "Handled in the kernel");
 *   strip_begin(&s, "cpuid", 1);  strip_area(&s, "f0", points, n);  strip_end(&s, &figure);
 *   strips_end(&s);
 *
 * `look` is a class of the style sheet: f0 to f5 fill, p0 to p5 fill palely, s0 to s5 draw, in the colours of series.
 */
#ifndef VIREO_BENCH_REPORT_STRIPS_H
#define VIREO_BENCH_REPORT_STRIPS_H

#include "bench/report/svg.h"

struct strips {
    FILE *page;
    struct plot_axis x;
    unsigned height_px, bands;
    double top, bottom; /* of the band that is drawn in */
};

/* height_px: of one band. */
void strips_begin(struct strips *s, FILE *page, const char *title, const struct plot_axis *x, unsigned height_px);
void strips_group(struct strips *s, const char *title); /* a heading for the rows that follow */
void strips_end(struct strips *s);

/* A row whose strip has 1 or more bands, one below the other. The first one is drawn in until strip_band. */
void strip_begin(struct strips *s, const char *name, unsigned bands);
void strip_band(struct strips *s, unsigned band);
/* Points from left to right; y from 0, the bottom of the band, to 1. */
void strip_area(struct strips *s, const char *look, const struct plot_point *at, unsigned n);
void strip_line(struct strips *s, const char *look, const struct plot_point *at, unsigned n);
/* A point alone, as a line of no length with round ends: a circle would be stretched with the strip. */
void strip_dot(struct strips *s, const char *look, struct plot_point at);
/* A vertical line; `says` is shown when a pointer rests on it, NULL: nothing. */
void strip_mark(struct strips *s, const char *look, double x, const char *says);
void strip_bar(struct strips *s, const char *look, double from, double to, const char *says);
/* A figure for each band. */
void strip_end(struct strips *s, const char *const *figures);

#endif
