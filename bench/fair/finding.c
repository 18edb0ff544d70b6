/* What all checks of a record share: the words of a finding, and what happened from one sample to another. */
#include <stdarg.h>
#include <stdio.h>

#include "bench/fair/judge.h"

#define RUNNING_SPAN 0.25 /* of the run must lie between two samples that caught a vCPU running */

/* ---- what a finding says ---- */

void judge_say(struct fair_finding *f, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    (void)vsnprintf(f->text, sizeof(f->text), fmt, args);
    va_end(args);
}

void judge_hold(struct fair_finding *f, double statistic, double bound, bool holds)
{
    f->statistic = statistic;
    f->bound = bound;
    f->verdict = holds ? FAIR_PASS : FAIR_FAIL;
}

void judge_doubt(struct fair_finding *f, const char *reason)
{
    f->verdict = FAIR_INCONCLUSIVE;
    (void)snprintf(f->reason, sizeof(f->reason), "%s", reason);
}

const char *judge_name(const struct judge *j, unsigned vcpu, char out[32])
{
    unsigned first = 0;
    for (unsigned vm = 0; vm < j->p->vcpu[vcpu].vm; vm++) first += j->p->vm[vm].vcpus;
    if (j->p->vm_count == 1)
        (void)snprintf(out, 32, "vCPU %u", vcpu);
    else
        (void)snprintf(out, 32, "VM %u vCPU %u", j->p->vcpu[vcpu].vm, vcpu - first);
    return out;
}

/* ---- from one sample to another ---- */

double judge_time(const struct judge *j, unsigned from, unsigned to)
{
    const double t = (double)(j->r->at[to] - j->r->at[from]);
    const unsigned pause = j->r->pause_sample;
    return pause && from < pause && to >= pause ? t - (double)j->r->paused_ns : t;
}

double judge_charged(const struct judge *j, unsigned vcpu, unsigned from, unsigned to)
{
    return (double)(fair_at(j->r, to, vcpu)->charged - fair_at(j->r, from, vcpu)->charged);
}

double judge_charged_all(const struct judge *j, unsigned from, unsigned to)
{
    double sum = 0;
    for (unsigned i = 0; i < j->p->vcpu_count; i++) sum += judge_charged(j, i, from, to);
    return sum;
}

bool judge_running(const struct judge *j, unsigned vcpu, unsigned *from, unsigned *to)
{
    unsigned a = 0, b = judge_last(j);
    while (a < b && !fair_at(j->r, a, vcpu)->is_running) a++;
    while (b > a && !fair_at(j->r, b, vcpu)->is_running) b--;
    *from = a;
    *to = b;
    return b > a && (double)(b - a) >= RUNNING_SPAN * judge_last(j);
}

bool judge_is_greedy(enum fair_work work)
{
    return work == FAIR_SPIN || work == FAIR_EXIT || work == FAIR_REQUEST;
}
