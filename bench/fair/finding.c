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
    const enum relation relation = fair_properties[f->property].relation;
    const bool holds = relation == LESS      ? statistic < bound
                       : relation == AT_MOST ? statistic <= bound
                                             : statistic >= bound;
    f->statistic = statistic;
    f->bound = bound;
    f->verdict = relation == NOT_JUDGED ? FAIR_REPORTED : holds ? FAIR_PASS : FAIR_FAIL;
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

const char *judge_name(const struct judge *j, unsigned vcpu, char out[32])
{
    if (j->p->vm_count == 1)
        (void)snprintf(out, 32, "vCPU %u", vcpu);
    else
        (void)snprintf(out, 32, "VM %u vCPU %u", j->p->vcpu[vcpu].vm, vcpu - fair_first_vcpu(j->p, vcpu));
    return out;
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

bool judge_is_greedy(enum fair_work work)
{
    return work == FAIR_SPIN || work == FAIR_EXIT || work == FAIR_REQUEST;
}
