/* How a record is held against the properties. Private to bench/fair.
 *
 *   properties.c   the table: what each property claims, and in what order a record is judged
 *   shares.c       F1 to F5 and F9 to F12: what each vCPU got in windows, and what it was due
 *   progress.c     F6 to F8 and F13: gaps, work and progress over the whole run
 *   identities.c   C1 to C4
 *   disturbance.c  how far the host and other programs were in the way
 *   accused.c      why the one that a property names may have got less
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
    double lost;    /* CPU time that the host itself lost: steal, time in which its CPUs stood still, quotas */
    double taken;   /* all that was not ours, not idle and not steal. `others` holds only what ticks have seen of it */
    double stalled[FAIR_THREADS]; /* in all, each vCPU's CPU stood still under it */
    double longest_stall;         /* of any of them, between two samples */
};

/* What can move a statistic, though the scheduler treats all vCPUs alike. docs/fairness.md has the reasons. */
enum noise {
    NOISE_NONE,   /* but what measure_fn says of this one */
    NOISE_STALLS, /* CPUs that stand still make one slice longer. Others share out the queue, and change no shares */
    NOISE_HOST,   /* time that the clocks do not count: interrupts, and whatever the host itself lost */
    NOISE_TAKEN,  /* CPU time that others had instead */
};

/* Fill in a finding as if the host had been quiet. Its property is set, its vcpu is -1, its unit that of the property,
 * and the rest is empty. What chance could make of just this statistic it adds to explained_ns. */
typedef void measure_fn(const struct judge *j, struct fair_finding *f);

/* A property. The words are those of docs/properties.md to the letter. */
struct fair_property_row {
    const char *id, *title, *statistic, *holds;
    enum relation relation;
    double limit; /* the number that `holds` names: the bound itself, or a factor in it */
    bool is_time; /* statistic and bound are nanoseconds of CPU time */
    enum noise moved_by;
    measure_fn *measure;
};
extern const struct fair_property_row fair_properties[FAIR_PROPERTY_COUNT];

measure_fn measure_share, measure_pairs, measure_jain, measure_convergence, measure_dodger, measure_groups, measure_cap;
measure_fn measure_gap, measure_work, measure_interactive, measure_progress;
measure_fn measure_time, measure_steal, measure_waiting, measure_capacity;

/* Fill in shares and errors of the report. Before any measure_fn. */
void judge_shares(struct judge *j);
/* Fill in all that the judge knows of others and this host, and `disturbed` of the report. */
void judge_disturbance(struct judge *j);
/* The most that noise of this kind could have made of a statistic, ns; *who: in words. */
double judge_noise(const struct judge *j, enum noise noise, const char **who);
/* Say in the finding's reason what speaks for itself about the vCPU that it names: that it slept, that it was told to
 * run otherwise than its peers, or that nothing of the kind was seen. */
void judge_accused(const struct judge *j, struct fair_finding *f);

/* ---- what a finding says ---- */

/* The property's limit. */
double judge_limit(const struct fair_finding *f);
/* Set statistic and bound, and the verdict that they give on a quiet host. */
void judge_hold(struct fair_finding *f, double statistic, double bound);
/* The sign that stands between them: "<=", or ">" where the property failed. After judge_hold. */
const char *judge_sign(const struct fair_finding *f);
void judge_say(struct fair_finding *f, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void judge_doubt(struct fair_finding *f, const char *fmt, ...) __attribute__((format(printf, 2, 3))); /* inconclusive */

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

/* What became of a vCPU's time. */
struct account {
    double wall, charged, waited, stolen;
    double open;    /* of waits that may be missing at an end, as no sample caught it running there; 0: none */
    double pausing; /* while it was paused and resumed, which may be in the wall time or not; 0: it was not */
};
/* false: it ran too seldom to say anything. */
bool judge_account(const struct judge *j, unsigned vcpu, struct account *out);
/* Is a vCPU with this work runnable at any time? */
bool judge_is_greedy(enum fair_work work);

#endif
