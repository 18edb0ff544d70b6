/* F6, F7, F8 and F13: whether each vCPU gets on, over the whole run. */
#include <math.h>
#include <string.h>

#include "bench/fair/judge.h"
#include "bench/statistics.h"

#define SCATTER_ERRORS 3  /* standard errors that chance may account for */
#define SCATTER_SEEN   20 /* samples of a speed that tell how much it scatters */

/* ---- F6 ---- */

/* A vCPU that gets nothing for a time t falls behind by t / N, and F1 allows it to fall behind by 2 Q. */
void measure_gap(const struct judge *j, struct fair_finding *f)
{
    const double pause = j->p->pause_ns ? (double)j->r->paused_ns : 0, round = j->p->vcpu_count * j->quantum;
    double longest = 0;
    char who[32];

    for (unsigned i = 0; i < j->p->vcpu_count; i++) {
        const double gap = (double)j->r->guest[i].longest / j->r->ticks_per_ns;
        if (f->vcpu >= 0 && gap <= longest) continue;
        longest = gap;
        f->vcpu = (int)i;
    }
    judge_hold(f, longest, judge_limit(f) * round + pause);
    judge_say(f,
              "longest gap, of %s: %.1f ms %s 2 * N * Q%s = %.1f ms, Q = %.3g ms; a round in strict turn takes %.1f ms",
              fair_name(j->p, (unsigned)f->vcpu, who), ms(longest), judge_sign(f), pause > 0 ? " + the pause" : "",
              ms(f->figures.bound), ms(j->quantum), ms(round + pause));
}

/* ---- F7 ---- */

void measure_work(const struct judge *j, struct fair_finding *f)
{
    const double wall = judge_time(j, judge_run(j)), sum = judge_charged_all(j, judge_run(j));
    const double vmm = (double)j->r->vmm_ns; /* samples are taken on these CPUs where there are no others */
    unsigned busy = 0;                       /* CPUs that always have a vCPU to run */
    for (unsigned i = 0; i < j->p->vcpu_count; i++) busy += judge_is_greedy(j->p->vcpu[i].work);
    if (busy > j->p->cpu_count) busy = j->p->cpu_count;

    f->figures.unit_ns = busy * wall - vmm;
    judge_hold(f, sum / f->figures.unit_ns, judge_limit(f));
    judge_say(f, "sum C / (min(M, demand) * W - VMM) = %.1f / (%u * %.1f - %.1f) ms = %.4f %s %.2f", ms(sum), busy,
              ms(wall), ms(vmm), f->figures.statistic, judge_sign(f), f->figures.bound);
}

/* ---- F8 ---- */

/* A quantile of a histogram, in ns: the end of its bucket. */
static double quantile_ns(const struct judge *j, const uint32_t *count, double share)
{
    uint64_t total = 0, seen = 0;
    for (unsigned b = 0; b < FAIR_BUCKETS; b++) total += count[b];
    for (unsigned b = 0; b < FAIR_BUCKETS; b++) {
        seen += count[b];
        if (total && (double)seen >= share * (double)total) return fair_bucket_ns(j->r, b + 1);
    }
    return 0;
}

/* The interactive vCPU is the first. */
void measure_interactive(const struct judge *j, struct fair_finding *f)
{
    const struct fair_vcpu_plan *v = &j->p->vcpu[0];
    const struct fair_guest *g = &j->r->guest[0];
    const double wall = judge_time(j, judge_run(j)), got = judge_charged(j, 0, judge_run(j));

    f->vcpu = 0;
    f->figures.unit_ns = (double)v->busy_ns / (double)v->period_ns * wall; /* what it wants in all */
    judge_hold(f, got / f->figures.unit_ns, judge_limit(f));
    judge_say(
        f,
        "C / demand = %.1f / (%.3g/%.3g * %.0f) ms = %.3f %s %.2f; late by p50 %.2f, p99 %.2f ms, %llu periods missed",
        ms(got), ms((double)v->busy_ns), ms((double)v->period_ns), ms(wall), f->figures.statistic, judge_sign(f),
        f->figures.bound, ms(quantile_ns(j, g->late, 0.5)), ms(quantile_ns(j, g->late, 0.99)),
        (unsigned long long)g->missed);
}

/* ---- F13 ---- */

static double loops(const struct judge *j, unsigned vcpu, struct span s)
{
    return (double)(fair_at(j->r, s.to, vcpu)->progress - fair_at(j->r, s.from, vcpu)->progress);
}

/* Loops a charged ns of all vCPUs but the accused; 0: they made none. */
static double speed_of_others(const struct judge *j, unsigned accused, struct span s)
{
    double all = 0, time = 0;
    for (unsigned i = 0; i < j->p->vcpu_count; i++) {
        if (i == accused) continue;
        all += loops(j, i, s);
        time += judge_charged(j, i, s);
    }
    return all > 0 ? all / time : 0;
}

/* How far chance may move a vCPU's speed away from the others': three standard errors of the difference of two means.
 * Infinitely far where too few samples tell.
 *
 * A busy sibling or another VM makes a CPU change its own speed, and it need not do so in turn with the vCPUs. The
 * vCPUs that are not accused tell how much: from one sample to the next the speed of each is held against the speed of
 * them all, and where there is only one, against its own over the whole run. */
static double speed_scatter(const struct judge *j, unsigned accused)
{
    const unsigned others = j->p->vcpu_count - 1;
    double squares = 0, time = 0;
    unsigned seen = 0;

    for (unsigned i = 0; i <= others; i++) {
        if (i == accused) continue;
        for (struct span s = {0, 1}; s.to < j->r->samples; s.to++) {
            const double charged = judge_charged(j, i, s);
            if (charged < (double)j->r->tick_ns) continue; /* over more samples then */
            const double speed = speed_of_others(j, accused, others > 1 ? s : judge_run(j));
            const double off = speed > 0 ? loops(j, i, s) / charged / speed - 1 : 0;
            squares += off * off;
            time += charged;
            seen++;
            s.from = s.to;
        }
    }
    const double mine = judge_charged(j, accused, judge_run(j)), all = judge_charged_all(j, judge_run(j));
    if (seen < SCATTER_SEEN || mine <= 0) return INFINITY;
    /* Each is a part of the mean that it is held against. Two means are compared, each of so much time. */
    const double variance = squares / seen * (others > 1 ? others / (others - 1.0) : 1);
    return SCATTER_ERRORS * sqrt(variance * time / seen * (1 / mine + others / (all - mine)));
}

/* Is a the worse distance from the median? Of two that are equally far off, the slower vCPU is worse. */
static bool is_worse(double a, double b)
{
    return fabs(a) > fabs(b) + 1e-9 || (fabs(a) > fabs(b) - 1e-9 && a < b);
}

void measure_progress(const struct judge *j, struct fair_finding *f)
{
    const unsigned n = j->p->vcpu_count;
    double rate[FAIR_THREADS] = {0}, sorted[FAIR_THREADS], worst = 0;
    char who[32];

    for (unsigned i = 0; i < n; i++) {
        const double charged = judge_charged(j, i, judge_run(j));
        rate[i] = charged > 0 ? loops(j, i, judge_run(j)) / charged : 0;
    }
    memcpy(sorted, rate, sizeof(sorted));
    statistics_sort(sorted, n);
    const double median = sorted[n / 2]; /* the upper one, so that the loss of one of two vCPUs isn't halved */
    for (unsigned i = 0; i < n; i++) {
        const double off = median > 0 ? rate[i] / median - 1 : 0;
        if (f->vcpu >= 0 && !is_worse(off, worst)) continue;
        worst = off;
        f->vcpu = (int)i;
    }
    const unsigned accused = (unsigned)f->vcpu;
    f->figures.unit_ns = judge_charged(j, accused, judge_run(j));
    judge_hold(f, fabs(worst), judge_limit(f));
    judge_say(f, "%s made %.4g loops a charged ms, the median is %.4g: |%.4f - 1| = %.4f %s %.2f",
              fair_name(j->p, accused, who), rate[accused] * 1e6, median * 1e6, 1 + worst, f->figures.statistic,
              judge_sign(f), f->figures.bound);
    if (median <= 0) judge_doubt(f, "no progress was seen");
    if (f->verdict != FAIR_FAIL) return;
    const double scatter = speed_scatter(j, accused), stalled = j->stalled[accused];
    f->figures.explained_ns = scatter * f->figures.unit_ns + stalled;
    if (isinf(scatter))
        judge_doubt(
            f, "these vCPUs ran too little to tell how much the speed of their CPUs changes by itself: run longer");
    else if (fair_verdict(AT_MOST, &f->figures) == FAIR_INCONCLUSIVE)
        judge_doubt(
            f,
            "these CPUs' own speed changes, which could explain %.3f of it, and the CPU stood still under it for "
            "%.1f ms: run longer",
            scatter, ms(stalled));
}
