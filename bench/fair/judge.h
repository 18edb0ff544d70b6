/* How a record is held against the properties. Private to bench/fair.
 *
 *   properties.c   the table: what each property claims, and in what order a record is judged
 *   shares.c       F1 to F5 and F9 to F12: what each vCPU got in windows, and what it was due
 *   progress.c     F6 to F8 and F13: gaps, work and progress over the whole run
 *   identities.c   C1 to C4
 *   disturbance.c  how far the host and other programs were in the way
 *   finding.c      words and figures for all of them
 *
 * One thread; nothing is allocated and nothing can fail. Times are double, in nanoseconds. */
#ifndef VIREO_BENCH_FAIR_JUDGE_H
#define VIREO_BENCH_FAIR_JUDGE_H

#include "bench/fair/fair.h"

struct judge {
    const struct fair_options *o;
    const struct fair_plan *p;
    const struct fair_record *r;
    struct fair_report *out;
    double quantum; /* Q: the slice rounded up to whole ticks */
    double wall;    /* of the run, pauses included */
    double others;  /* CPU time that other processes used on these CPUs */
    double lost;    /* CPU time that the host itself lost: steal, or time in which its CPUs stood still */
    double taken;   /* all that was not ours, not idle and not steal. `others` holds only what ticks have seen of it */
};

/* How the statistic relates to the bound where the property holds. */
enum relation { NOT_JUDGED, LESS, AT_MOST, AT_LEAST };

/* Fill in a finding as if the host had been quiet. Its property is set, its vcpu is -1, and the rest is empty. */
typedef void measure_fn(const struct judge *j, struct fair_finding *f);

/* A property. The words are those of docs/properties.md to the letter. */
struct fair_property_row {
    const char *id, *title, *statistic, *holds;
    enum relation relation;
    double limit; /* the number that `holds` names: the bound itself, or a factor in it */
    bool is_time; /* statistic and bound are nanoseconds of CPU time */
    measure_fn *measure;
};
extern const struct fair_property_row fair_properties[FAIR_PROPERTY_COUNT];

measure_fn measure_share, measure_pairs, measure_jain, measure_convergence, measure_dodger, measure_groups, measure_cap;
measure_fn measure_gap, measure_work, measure_interactive, measure_progress;
measure_fn measure_time, measure_steal, measure_waiting, measure_capacity;

/* Fill in shares and errors of the report. Before any measure_fn. */
void judge_shares(struct judge *j);
/* Fill in others, lost and taken, and is_stolen and disturbed of the report. */
void judge_disturbance(struct judge *j);

/* ---- what a finding says ---- */

/* The property's limit. */
double judge_limit(const struct fair_finding *f);
/* Set statistic and bound, and the verdict that the property's relation gives. */
void judge_hold(struct fair_finding *f, double statistic, double bound);
/* The sign that stands between them: "<=", or ">" where the property failed. After judge_hold. */
const char *judge_sign(const struct fair_finding *f);
void judge_say(struct fair_finding *f, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void judge_doubt(struct fair_finding *f, const char *fmt, ...) __attribute__((format(printf, 2, 3))); /* inconclusive */
/* "vCPU 1"; with several VMs "VM 1 vCPU 0". */
const char *judge_name(const struct judge *j, unsigned vcpu, char out[32]);

static inline double ms(double ns)
{
    return ns / 1e6;
}

/* ---- from one sample to another ---- */

struct span {
    unsigned from, to; /* samples */
};

static inline struct span judge_run(const struct judge *j)
{
    return (struct span){0, j->r->samples - 1};
}

static inline double judge_charged(const struct judge *j, unsigned vcpu, struct span s)
{
    return (double)fair_charged(j->r, vcpu, s.from, s.to);
}

double judge_charged_all(const struct judge *j, struct span s);
/* The time that passed, less a pause. */
double judge_time(const struct judge *j, struct span s);
/* From the first to the last sample that caught the vCPU running. What it waited is counted whole only then. false:
 * they are too close together to say anything. */
bool judge_running(const struct judge *j, unsigned vcpu, struct span *out);
/* Is a vCPU with this work runnable at any time? */
bool judge_is_greedy(enum fair_work work);

#endif
