/* Axes of pictures: where a value lies, which values have a label, and how a value reads. Pure functions. */
#ifndef VIREO_BENCH_REPORT_AXIS_H
#define VIREO_BENCH_REPORT_AXIS_H

#include <stdbool.h>

enum plot_unit {
    PLOT_NUMBER,
    PLOT_NS,      /* 10 ns, 1 us, 100 ms */
    PLOT_PERCENT, /* of a share: 0.25 is 25 % */
    PLOT_TAIL,    /* 1/(1-p), log: ticks say the percentile p, 50 90 99 99.9 */
};

struct plot_axis {
    double low, high; /* linear: low is taken as 0. Log: above 0, and 20 decades apart at most */
    bool is_log;
    enum plot_unit unit;
    const char *label;
};

/* The axis as it can be drawn, whatever its ends are: finite, and apart. */
struct plot_axis axis_fit(const struct plot_axis *a);
/* Where a value lies between the ends of a fitted axis, from 0 to 1. A value outside lies at an end. */
double axis_part(const struct plot_axis *a, double value);

#define AXIS_TICKS_MAX 64 /* three a decade */
struct axis_tick {
    double value;
    unsigned level; /* 0: wanted however little room there is (about four of those), 1: where there is more, 2: most */
};
unsigned axis_ticks(const struct plot_axis *a, struct axis_tick out[AXIS_TICKS_MAX]); /* of a fitted axis; how many */

/* "1.5 us" into buf: three digits. Not finite or negative: "-". */
#define PLOT_TEXT_MAX 32
const char *plot_text(double value, enum plot_unit unit, char buf[PLOT_TEXT_MAX]);

/* The same for a tick: of zero, whose unit says nothing, "0". */
const char *axis_label(const struct plot_axis *a, double value, char buf[PLOT_TEXT_MAX]);

#endif
