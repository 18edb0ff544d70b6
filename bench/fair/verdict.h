/* How a figure becomes a verdict in spite of noise. Arithmetic on figures: it knows of no experiment and no VM.
 *
 * A statistic that keeps its bound passes. One that does not is short of it by some CPU time, and whatever took CPU
 * time from the threads, or made clocks and samples differ, could explain some of that. It fails when more is missing
 * than all of that could explain; it is inconclusive only in between. */
#ifndef VIREO_BENCH_FAIR_VERDICT_H
#define VIREO_BENCH_FAIR_VERDICT_H

enum fair_verdict { FAIR_PASS, FAIR_FAIL, FAIR_INCONCLUSIVE, FAIR_REPORTED };

/* How the statistic relates to the bound where the property holds. */
enum relation { NOT_JUDGED, LESS, AT_MOST, AT_LEAST };

struct fair_figures {
    double statistic, bound;
    double unit_ns;      /* the CPU time that 1 of the statistic stands for, ns; 0: none, so that no time explains it */
    double explained_ns; /* the most that others, this host and chance could have made of it, ns of CPU time */
};

/* By how much CPU time the statistic misses its bound, ns; 0 where it keeps it. */
double fair_missing_ns(enum relation relation, const struct fair_figures *f);
/* FAIR_REPORTED for NOT_JUDGED. */
enum fair_verdict fair_verdict(enum relation relation, const struct fair_figures *f);

#endif
