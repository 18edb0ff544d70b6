/* What the files that judge a record know of each other. Private to vmm/measure/fair_*.c.
 *
 *   fair_judge.c        the order of it: shares, disturbance, then each property
 *   fair_properties.c   F1 to F13      fair_identities.c   C1 to C4
 *   fair_disturbance.c  how far the host and others were in the way
 *   fair_finding.c      words and windows for all of them
 *
 * One thread; nothing is allocated and nothing can fail. Times are double, ns. */
#ifndef VIREO_BENCH_FAIR_JUDGE_H
#define VIREO_BENCH_FAIR_JUDGE_H

#include "bench/fair/fair.h"

struct judge {
    const struct fair_options *o;
    const struct fair_plan *p;
    const struct fair_record *r;
    struct fair_report *out;
    double quantum;             /* Q: the slice rounded up to whole ticks */
    double wall;                /* of the run */
    double share[FAIR_THREADS]; /* of what all were charged */
    double others;              /* what other processes used of these CPUs */
    double lost;                /* by the host itself: steal, and time in which its CPUs stood still */
    double taken;               /* what was neither ours nor idle nor steal; `others` sees only what a tick met */
};

/* Share and error of the report, and share of j. Before the functions below. */
void judge_shares(struct judge *j);
/* Others, lost, taken, and of the report is_stolen and disturbed. */
void judge_disturbance(struct judge *j);
/* Fill in f, whose property is set, vcpu -1 and the rest empty: as if the host had been quiet. */
void judge_property(const struct judge *j, struct fair_finding *f); /* F1 to F13 */
void judge_identity(const struct judge *j, struct fair_finding *f); /* C1 to C4 */

typedef void judge_fn(const struct judge *j, struct fair_finding *f);

/* ---- fair_finding.c: what a finding says ---- */

void judge_say(struct fair_finding *f, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void judge_hold(struct fair_finding *f, double statistic, double bound, bool holds); /* pass or fail */
void judge_doubt(struct fair_finding *f, const char *reason);                        /* inconclusive */
const char *judge_name(const struct judge *j, unsigned vcpu, char out[32]);          /* "vCPU 1", "VM 1 vCPU 0" */

static inline double ms(double ns)
{
    return ns / 1e6;
}

static inline const char *sign(bool holds, bool is_strict)
{
    if (is_strict) return holds ? "<" : ">=";
    return holds ? "<=" : ">";
}

/* ---- from one sample to another ---- */

static inline unsigned judge_last(const struct judge *j)
{
    return j->r->samples - 1;
}

double judge_time(const struct judge *j, unsigned from, unsigned to); /* less what was paused */
double judge_charged(const struct judge *j, unsigned vcpu, unsigned from, unsigned to);
double judge_charged_all(const struct judge *j, unsigned from, unsigned to);
/* The first and the last sample that caught the vCPU running, when what it waited is counted whole. false: they are too
 * close together to say anything. */
bool judge_running(const struct judge *j, unsigned vcpu, unsigned *from, unsigned *to);
bool judge_is_greedy(enum fair_work work); /* is such a vCPU runnable whenever it isn't held up? */

#endif
