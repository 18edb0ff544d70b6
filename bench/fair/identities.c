/* The identities C1 to C4: figures that must agree however vCPUs are scheduled, or the measurement itself is wrong. */
#include <math.h>

#include "bench/fair/judge.h"

/* What a vCPU got while all that it waited for is counted. */
struct account {
    double wall, charged, waited, stolen;
};

/* false: too few samples caught it running. */
static bool account_for(const struct judge *j, unsigned vcpu, struct account *out)
{
    struct span s;
    if (!judge_running(j, vcpu, &s)) return false;
    const struct fair_count *from = fair_at(j->r, s.from, vcpu), *to = fair_at(j->r, s.to, vcpu);
    *out = (struct account){judge_time(j, s), judge_charged(j, vcpu, s), (double)(to->delay - from->delay),
                            (double)(to->steal - from->steal)};
    return true;
}

static void doubt_span(struct fair_finding *f)
{
    judge_doubt(f, "too few samples caught a vCPU running: run longer, or leave a CPU to the sampling thread");
}

/* C1. A vCPU that sleeps has time of a third kind, so only the greedy ones count. */
void measure_time(const struct judge *j, struct fair_finding *f)
{
    bool is_all_seen = true;
    struct account a;
    char who[32];

    for (unsigned i = 0; i < j->p->vcpu_count; i++) {
        if (!judge_is_greedy(j->p->vcpu[i].work)) continue;
        if (!account_for(j, i, &a)) {
            is_all_seen = false;
            continue;
        }
        const double off = fabs(a.charged + a.waited - a.wall) / a.wall;
        if (f->vcpu >= 0 && off <= f->statistic) continue;
        f->vcpu = (int)i;
        f->unit_ns = a.wall;
        judge_hold(f, off, judge_limit(f));
        judge_say(f, "%s: |C + R - W| / W = |%.1f + %.1f - %.1f| ms / W = %.5f %s %.3f", judge_name(j, i, who),
                  ms(a.charged), ms(a.waited), ms(a.wall), off, judge_sign(f), f->bound);
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
        if (!account_for(j, i, &a)) {
            is_all_seen = false;
            continue;
        }
        const double bound = tick + judge_limit(f) * a.wall, off = fabs(a.stolen - a.waited);
        if (f->vcpu >= 0 && off - bound <= f->statistic - f->bound) continue;
        f->vcpu = (int)i;
        judge_hold(f, off, bound);
        judge_say(f, "%s: |S - R| = |%.1f - %.1f| = %.2f ms %s tick + 0.01 W = %.3g + %.1f ms", judge_name(j, i, who),
                  ms(a.stolen), ms(a.waited), ms(off), judge_sign(f), ms(tick), ms(bound - tick));
    }
    if (f->vcpu < 0 || (!is_all_seen && f->verdict == FAIR_PASS))
        doubt_span(f);
    else if (f->verdict == FAIR_FAIL && f->statistic <= f->bound + wait)
        judge_doubt(f, "a wait that the guest had not been told of at the end would explain it: run longer");
}

/* C3 */
void measure_waiting(const struct judge *j, struct fair_finding *f)
{
    const double n = j->p->vcpu_count, m = j->p->cpu_count, expected = n > m ? (n - m) / n : 0;
    double sum = 0;
    struct account a;

    for (unsigned i = 0; i < j->p->vcpu_count; i++) {
        if (!account_for(j, i, &a)) {
            doubt_span(f);
            return;
        }
        sum += a.waited / a.wall;
    }
    f->unit_ns = j->wall;
    judge_hold(f, fabs(sum / n - expected), judge_limit(f));
    judge_say(f, "|sum R / (N * W) - (N - M) / N| = |%.4f - %.4f| = %.4f %s %.2f", sum / n, expected, f->statistic,
              judge_sign(f), f->bound);
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
              ms(sum), ms(vmm), ms(others), ms(idle), ms(steal), ms(all), f->statistic, judge_sign(f), f->bound);
    if (busy + idle + steal > (1 + f->bound) * all && ours <= (1 + f->bound) * all)
        judge_doubt(f, "/proc/stat counts more time on these CPUs than passed");
}
