/* What all properties share: the words of a finding, and what happened from one sample to another. */
#include <stdarg.h>
#include <stdio.h>

#include "bench/fair/judge.h"

#define RUNNING_SPAN 0.25 /* of the run must lie between two samples that caught a vCPU running */

/* ---- what a finding says ---- */

double judge_limit(const struct fair_finding *f)
{
    return fair_properties[f->property].limit;
}

void judge_hold(struct fair_finding *f, double statistic, double bound)
{
    f->figures.statistic = statistic;
    f->figures.bound = bound;
    f->verdict = fair_verdict(fair_properties[f->property].relation,
                              &(struct fair_figures){.statistic = statistic, .bound = bound});
}

const char *judge_sign(const struct fair_finding *f)
{
    static const char *const holds[] = {[LESS] = "<", [AT_MOST] = "<=", [AT_LEAST] = ">="};
    static const char *const fails[] = {[LESS] = ">=", [AT_MOST] = ">", [AT_LEAST] = "<"};
    return (f->verdict == FAIR_PASS ? holds : fails)[fair_properties[f->property].relation];
}

void judge_say(struct fair_finding *f, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    (void)vsnprintf(f->text, sizeof(f->text), fmt, args);
    va_end(args);
}

void judge_doubt(struct fair_finding *f, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    (void)vsnprintf(f->reason, sizeof(f->reason), fmt, args);
    va_end(args);
    f->verdict = FAIR_INCONCLUSIVE;
}

/* ---- from one sample to another ---- */

double judge_charged_all(const struct judge *j, struct span s)
{
    double sum = 0;
    for (unsigned i = 0; i < j->p->vcpu_count; i++) sum += judge_charged(j, i, s);
    return sum;
}

double judge_time(const struct judge *j, struct span s)
{
    const double t = (double)(j->r->at[s.to] - j->r->at[s.from]);
    const unsigned pause = j->r->pause_sample;
    return pause && s.from < pause && s.to >= pause ? t - (double)j->r->paused_ns : t;
}

bool judge_running(const struct judge *j, unsigned vcpu, struct span *out)
{
    const unsigned last = judge_run(j).to;
    struct span s = {0, last};
    while (s.from < s.to && !fair_at(j->r, s.from, vcpu)->is_running) s.from++;
    while (s.to > s.from && !fair_at(j->r, s.to, vcpu)->is_running) s.to--;
    *out = s;
    return s.to > s.from && s.to - s.from >= RUNNING_SPAN * last;
}

/* Before a sample a vCPU was charged for a part of the time. What it waited until then may be the rest of it. */
static double may_have_waited(const struct judge *j, unsigned vcpu, unsigned sample)
{
    const struct span s = {sample - 1, sample};
    const double rest = judge_time(j, s) - judge_charged(j, vcpu, s);
    return rest > 0 ? rest : 0;
}

/* From the first to the last sample before which the vCPU ran, where none caught it running. */
static bool judge_seen(const struct judge *j, unsigned vcpu, struct span *out)
{
    const unsigned last = judge_run(j).to;
    struct span s = {1, last};
    while (s.from < s.to && !fair_charged(j->r, vcpu, s.from - 1, s.from)) s.from++;
    while (s.to > s.from && !fair_charged(j->r, vcpu, s.to - 1, s.to)) s.to--;
    *out = s;
    return s.to > s.from && s.to - s.from >= RUNNING_SPAN * last;
}

bool judge_account(const struct judge *j, unsigned vcpu, struct account *out)
{
    struct span s;
    double open = 0;

    if (!judge_running(j, vcpu, &s)) {
        if (!judge_seen(j, vcpu, &s)) return false;
        open = fmax(may_have_waited(j, vcpu, s.from), may_have_waited(j, vcpu, s.to));
    }
    const struct fair_count *from = fair_at(j->r, s.from, vcpu), *to = fair_at(j->r, s.to, vcpu);
    const bool is_across = j->r->pause_sample > s.from && j->r->pause_sample <= s.to;
    *out = (struct account){judge_time(j, s),
                            judge_charged(j, vcpu, s),
                            (double)(to->delay - from->delay),
                            (double)(to->steal - from->steal),
                            open,
                            is_across ? (double)j->r->pausing_ns : 0};
    return true;
}

bool judge_is_greedy(enum fair_work work)
{
    return work == FAIR_SPIN || work == FAIR_EXIT || work == FAIR_REQUEST;
}
