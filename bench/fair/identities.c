/* The identities C1 to C4: figures that must agree however vCPUs are scheduled, or the measurement itself is wrong. */
#include <math.h>

#include "bench/fair/judge.h"

static void doubt_span(struct fair_finding *f)
{
    judge_doubt(f, "too few samples caught a vCPU running: run longer, or leave a CPU to the sampling thread");
}

/* C1. A vCPU that sleeps has time of a third kind, so only the greedy ones count. What a vCPU may have waited unseen
 * speaks for it. */
void measure_time(const struct judge *j, struct fair_finding *f)
{
    bool is_all_seen = true;
    double worst = 0;
    struct account a;
    char who[32];

    for (unsigned i = 0; i < j->p->vcpu_count; i++) {
        if (!judge_is_greedy(j->p->vcpu[i].work)) continue;
        const bool is_seen = judge_account(j, i, &a);
        is_all_seen &= is_seen && a.open == 0;
        if (!is_seen) continue;
        const double off = fabs(a.charged + a.waited - a.wall), counts = (off - a.open) / a.wall;
        if (f->vcpu >= 0 && counts <= worst) continue;
        worst = counts;
        f->vcpu = (int)i;
        f->figures.unit_ns = a.wall;
        f->figures.explained_ns = a.open + a.pausing;
        judge_hold(f, off / a.wall, judge_limit(f));
        judge_say(f, "%s: |C + R - W| / W = |%.1f + %.1f - %.1f| ms / W = %.5f %s %.3f", fair_name(j->p, i, who),
                  ms(a.charged), ms(a.waited), ms(a.wall), f->figures.statistic, judge_sign(f), f->figures.bound);
    }
    if (f->vcpu < 0 || (!is_all_seen && f->verdict == FAIR_PASS)) doubt_span(f);
}

/* C2 */
void measure_steal(const struct judge *j, struct fair_finding *f)
{
    const double tick = (double)j->r->tick_ns, wait = (j->p->vcpu_count - 1) * j->quantum;
    bool is_all_seen = true;
    struct account a;
    char who[32];

    for (unsigned i = 0; i < j->p->vcpu_count; i++) {
        if (!j->r->guest[i].has_steal) {
            judge_doubt(f, "this host tells its guests no steal time");
            return;
        }
        if (!judge_account(j, i, &a) || a.open > 0) {
            is_all_seen = false;
            continue;
        }
        const double bound = tick + judge_limit(f) * a.wall, off = fabs(a.stolen - a.waited);
        if (f->vcpu >= 0 && off - bound <= f->figures.statistic - f->figures.bound) continue;
        f->vcpu = (int)i;
        judge_hold(f, off, bound);
        judge_say(f, "%s: |S - R| = |%.1f - %.1f| = %.2f ms %s tick + 0.01 W = %.3g + %.1f ms", fair_name(j->p, i, who),
                  ms(a.stolen), ms(a.waited), ms(off), judge_sign(f), ms(tick), ms(bound - tick));
    }
    f->figures.explained_ns = wait; /* the guest has not been told of a wait yet that has just ended */
    if (f->vcpu < 0 || (!is_all_seen && f->verdict == FAIR_PASS)) doubt_span(f);
}

/* C3 */
void measure_waiting(const struct judge *j, struct fair_finding *f)
{
    const double n = j->p->vcpu_count, m = j->p->cpu_count, expected = n > m ? (n - m) / n : 0;
    double sum = 0;
    struct account a;

    for (unsigned i = 0; i < j->p->vcpu_count; i++) {
        if (!judge_account(j, i, &a) || a.open > 0) {
            doubt_span(f);
            return;
        }
        sum += a.waited / a.wall;
    }
    f->figures.unit_ns = n * j->wall;
    judge_hold(f, fabs(sum / n - expected), judge_limit(f));
    judge_say(f, "|sum R / (N * W) - (N - M) / N| = |%.4f - %.4f| = %.4f %s %.2f", sum / n, expected,
              f->figures.statistic, judge_sign(f), f->figures.bound);
}

/* C4. No time that others took explains a sum that is off, since it is in the sum. */
void measure_capacity(const struct judge *j, struct fair_finding *f)
{
    const double sum = judge_charged_all(j, judge_run(j)), vmm = (double)j->r->vmm_ns, ours = sum + vmm;
    const double busy = (double)j->r->host.busy, idle = (double)j->r->host.idle, steal = (double)j->r->host.steal;
    const double others = busy > ours ? busy - ours : 0, all = j->wall * j->p->cpu_count;

    judge_hold(f, fabs(ours + others + idle + steal - all) / all, judge_limit(f));
    judge_say(f,
              "sum C + VMM + others + idle + steal = %.0f + %.0f + %.0f + %.0f + %.0f ms, M * W = %.0f ms: off by %.4f "
              "%s %.2f",
              ms(sum), ms(vmm), ms(others), ms(idle), ms(steal), ms(all), f->figures.statistic, judge_sign(f),
              f->figures.bound);
    if (busy + idle + steal > (1 + f->figures.bound) * all && ours <= (1 + f->figures.bound) * all)
        judge_doubt(f, "/proc/stat counts more time on these CPUs than passed");
}
