/* The properties, and a record held against them. Pure arithmetic.
 *
 * What a property claims is in its row; its arithmetic is the one function that the row names. That says what was found
 * and what the bound is, in a sentence with the numbers of both, from which a reader can recompute the verdict.
 *
 * A property that can't be seen (too little data) is inconclusive. So is one that fails by no more than noise could
 * explain (verdict.h). */
#include <math.h>

#include "bench/fair/judge.h"

const struct fair_property_row fair_properties[FAIR_PROPERTY_COUNT] = {
    [FAIR_F1] = {"F1", "proportional share", "max_i |C_i - share_i sum C|", "< 2Q, for every W", LESS, 2, true,
                 NOISE_STALLS, measure_share},
    [FAIR_F2] = {"F2", "weighted share", "the same, unequal weights", "< 2Q, for every W", LESS, 2, true, NOISE_STALLS,
                 measure_share},
    [FAIR_F3] = {"F3", "pairwise fairness", "max_ij |C_i/w_i - C_j/w_j|", "<= 2 (Q/w_i + Q/w_j)", AT_MOST, 2, true,
                 NOISE_STALLS, measure_pairs},
    [FAIR_F4] = {"F4", "Jain's index", "(sum x)^2 / (N sum x^2), x_i = C_i/w_i",
                 "never judged alone: printed beside max_i |x_i/mean - 1|", NOT_JUDGED, 1, false, NOISE_NONE,
                 measure_jain},
    [FAIR_F5] = {"F5", "convergence", "slope of log(max relative error of F1) over log W", "<= -0.8", AT_MOST, -0.8,
                 false, NOISE_NONE, measure_convergence},
    [FAIR_F6] = {"F6", "no starvation", "longest gap between two runs of a vCPU",
                 "<= 2 N Q, which is all that F1 leaves; a round in strict turn takes N Q", AT_MOST, 2, true,
                 NOISE_TAKEN, measure_gap},
    [FAIR_F7] = {"F7", "work conservation", "sum C / (min(M, demand) W - C_vmm)", ">= 0.99", AT_LEAST, 0.99, false,
                 NOISE_TAKEN, measure_work},
    [FAIR_F8] = {"F8", "interactive vCPU", "C_i / demand_i of a vCPU whose demand is below its share", ">= 0.95",
                 AT_LEAST, 0.95, false, NOISE_TAKEN, measure_interactive},
    [FAIR_F9] = {"F9", "dodging the tick gains nothing", "C_dodger - share_dodger sum C", "< 2Q", LESS, 2, true,
                 NOISE_STALLS, measure_dodger},
    [FAIR_F10] = {"F10", "groups before threads", "max_g |C_g - share_g sum C| over VMs, each in a cgroup",
                  "< 2Q (groups on one runqueue)", LESS, 2, true, NOISE_STALLS, measure_groups},
    [FAIR_F11] = {"F11", "a cap holds", "C_g over W", "<= quota (W/period + 1) + M slack", AT_MOST, 1, true, NOISE_HOST,
                  measure_cap},
    [FAIR_F12] = {"F12", "infeasible weights", "F2 with shares capped at one CPU by water-filling",
                  "as F2, where M = 1; else reported", LESS, 2, true, NOISE_STALLS, measure_share},
    [FAIR_F13] = {"F13", "equal progress per charged second",
                  "max_i |(P_i/C_i)/median - 1|, of an even number the upper median", "<= 0.05", AT_MOST, 0.05, false,
                  NOISE_NONE, measure_progress},
    [FAIR_C1] = {"C1", "a vCPU's time adds up", "|C_i + R_i - W| / W, always runnable", "<= 0.005", AT_MOST, 0.005,
                 false, NOISE_HOST, measure_time},
    [FAIR_C2] = {"C2", "the guest sees what it waited", "|S_i - R_i|", "<= tick + 0.01 W", AT_MOST, 0.01, true,
                 NOISE_NONE, measure_steal},
    [FAIR_C3] = {"C3", "the waiting share", "|sum R / (N W) - (N-M)/N|", "<= 0.01", AT_MOST, 0.01, false, NOISE_TAKEN,
                 measure_waiting},
    [FAIR_C4] = {"C4", "CPU time is conserved", "|sum C + C_vmm + C_others + idle + steal - M W| / (M W)", "<= 0.02",
                 AT_MOST, 0.02, false, NOISE_NONE, measure_capacity},
};

/* How much of what is missing noise could explain decides between a failure and no verdict. */
static void weigh_noise(const struct judge *j, struct fair_finding *f)
{
    const struct fair_property_row *row = &fair_properties[f->property];
    const char *who;

    if (f->verdict != FAIR_FAIL) return;
    f->figures.explained_ns += judge_noise(j, row->moved_by, &who);
    if (fair_verdict(row->relation, &f->figures) != FAIR_INCONCLUSIVE) return;
    judge_doubt(f, "%.1f ms of CPU time are missing, and %s could explain up to %.1f ms",
                ms(fair_missing_ns(row->relation, &f->figures)), who, ms(f->figures.explained_ns));
}

static void judge_property(const struct judge *j, enum fair_property property)
{
    const struct fair_property_row *row = &fair_properties[property];
    struct fair_finding *f = &j->out->finding[j->out->count++];

    *f = (struct fair_finding){.property = property, .vcpu = -1, .figures.unit_ns = row->is_time ? 1 : 0};
    row->measure(j, f);
    weigh_noise(j, f);
    if (j->p->reported & 1u << property) f->verdict = FAIR_REPORTED;
    judge_accused(j, f);
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
        if ((p->judged | p->reported) & 1u << i) judge_property(&j, (enum fair_property)i);
}
