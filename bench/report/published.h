/* What others have published of the cost of VM exits, to be printed beside our own figures. Nothing here was measured
 * by us; a reader decides by hardware and unit what may be compared. */
#ifndef VIREO_BENCH_REPORT_PUBLISHED_H
#define VIREO_BENCH_REPORT_PUBLISHED_H

struct published {
    const char *arch;     /* "x86_64", "aarch64" */
    const char *row;      /* the row that it is a figure for; NULL: none of ours measures this */
    const char *what;     /* in the source's words, or near them */
    double low, high;     /* equal when one figure was given */
    const char *unit;     /* "cycles": of the core; "ns" */
    const char *hardware; /* what it ran on */
    const char *source;
};

/* In a fixed order; NULL past the end. */
const struct published *published_at(unsigned index);
/* The n-th for a row on an architecture, or NULL. arch: as in a result's environment. */
const struct published *published_find(const char *arch, const char *row, unsigned n);

#endif
