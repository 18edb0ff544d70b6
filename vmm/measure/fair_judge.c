/* A record held against the properties of docs/properties.md. Pure arithmetic.
 *
 * Each check fills in one finding: what was found, its bound, and a sentence with the numbers of both from which a
 * reader can recompute the verdict. What a check can't see (too little data) makes it inconclusive; so does a host that
 * others disturbed, for what fails. Where the host's own hypervisor stole time, nothing is judged. */
#include "vmm/measure/fair_judge.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

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

/* ---- verdicts ---- */

/* Could what others used and the host itself lost, little as it is, make up for what is missing? Of a time that is
 * missing in all, everything that was not idle is theirs. */
static bool explains(const struct judge *j, const struct fair_finding *f, double *gone)
{
    const bool is_time = strcmp(f->unit, "ns") == 0;
    const double lack = is_time ? f->statistic - f->bound : f->lack_ns;
    *gone = j->others + j->lost;
    if (!is_time && j->taken > *gone) *gone = j->taken;
    return lack > 0 && lack <= *gone;
}

static void judge_one(const struct judge *j, enum fair_property property)
{
    struct fair_finding *f = &j->out->finding[j->out->count++];
    char reason[FAIR_TEXT];
    double gone;

    *f = (struct fair_finding){.property = property, .vcpu = -1, .unit = ""};
    if (property < FAIR_C1)
        judge_property(j, f);
    else
        judge_identity(j, f);
    if (j->p->reported & 1u << property) {
        f->verdict = FAIR_REPORTED;
    } else if (j->out->is_stolen || (f->verdict == FAIR_FAIL && j->out->disturbed[0])) {
        judge_doubt(f, j->out->disturbed);
    } else if (f->verdict == FAIR_FAIL && explains(j, f, &gone)) {
        (void)snprintf(reason, sizeof(reason),
                       "%.1f ms of these CPUs went to others, interrupts or this host's host, which would explain it",
                       ms(gone));
        judge_doubt(f, reason);
    }
}

void fair_judge(const struct fair_options *o, const struct fair_plan *p, const struct fair_record *r,
                struct fair_report *out)
{
    struct judge j = {.o = o, .p = p, .r = r, .out = out};

    *out = (struct fair_report){0};
    if (r->samples < 2) return;
    const uint64_t ticks = (r->slice_ns + r->tick_ns - 1) / r->tick_ns;
    j.quantum = (double)(ticks * r->tick_ns);
    j.wall = (double)(r->at[r->samples - 1] - r->at[0]);
    while (out->windows < o->window_count && o->window_ns[out->windows] / FAIR_BASE_NS < r->samples) out->windows++;
    judge_shares(&j);
    judge_disturbance(&j);
    for (unsigned i = 0; i < FAIR_PROPERTY_COUNT; i++)
        if ((p->judged | p->reported) & 1u << i) judge_one(&j, (enum fair_property)i);
}
