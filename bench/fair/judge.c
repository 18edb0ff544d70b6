/* A record held against the properties of docs/properties.md. Pure arithmetic.
 *
 * Each check fills in one finding: what was found, its bound, and a sentence with the numbers of both from which a
 * reader can recompute the verdict. What a check can't see (too little data) makes it inconclusive; so does a host that
 * others disturbed, for what fails. Where the host's own hypervisor stole time, nothing is judged. */
#include "bench/fair/judge.h"

#include <stdio.h>
#include <string.h>

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
