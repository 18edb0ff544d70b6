/* The identities C1 to C4: what must agree whoever is scheduled how, or the measurement itself is wrong.
 * docs/properties.md has their words. */
#include <math.h>

#include "bench/fair/judge.h"

#define C1_MOST  0.005
#define C2_SHARE 0.01
#define C3_MOST  0.01
#define C4_MOST  0.02

static double waited(const struct judge *j, unsigned vcpu, unsigned from, unsigned to)
{
    return (double)(fair_at(j->r, to, vcpu)->delay - fair_at(j->r, from, vcpu)->delay);
}

static void doubt_span(struct fair_finding *f)
{
    judge_doubt(f, "too few samples caught a vCPU running: run longer, or leave a CPU to the sampling thread");
}

static void check_time(const struct judge *j, struct fair_finding *f)
{
    bool is_seen = true;
    char who[32];
    f->unit = "";
    for (unsigned i = 0; i < j->p->vcpu_count; i++) {
        unsigned from, to;
        if (!judge_is_greedy(j->p->vcpu[i].work)) continue;
        if (!judge_running(j, i, &from, &to)) {
            is_seen = false;
            continue;
        }
        const double wall = judge_time(j, from, to), c = judge_charged(j, i, from, to);
        const double r = waited(j, i, from, to);
        const double off = fabs(c + r - wall) / wall;
        if (f->vcpu >= 0 && off <= f->statistic) continue;
        f->vcpu = (int)i;
        f->lack_ns = (off - C1_MOST) * wall;
        judge_hold(f, off, C1_MOST, off <= C1_MOST);
        judge_say(f, "%s: |C + R - W| / W = |%.1f + %.1f - %.1f| ms / W = %.5f %s %.3f", judge_name(j, i, who), ms(c),
                  ms(r), ms(wall), off, sign(off <= C1_MOST, false), C1_MOST);
    }
    if (f->vcpu < 0 || (!is_seen && f->verdict == FAIR_PASS)) doubt_span(f);
}

static void check_steal(const struct judge *j, struct fair_finding *f)
{
    bool is_seen = true;
    char who[32];
    f->unit = "ns";
    for (unsigned i = 0; i < j->p->vcpu_count; i++) {
        unsigned from, to;
        if (!j->r->guest[i].has_steal) {
            judge_doubt(f, "this host tells its guests no steal time");
            return;
        }
        if (!judge_running(j, i, &from, &to)) {
            is_seen = false;
            continue;
        }
        const double s = (double)(fair_at(j->r, to, i)->steal - fair_at(j->r, from, i)->steal);
        const double r = waited(j, i, from, to);
        const double wall = judge_time(j, from, to), tick = (double)j->r->tick_ns;
        const double bound = tick + C2_SHARE * wall, off = fabs(s - r);
        if (f->vcpu >= 0 && off - bound <= f->statistic - f->bound) continue;
        f->vcpu = (int)i;
        judge_hold(f, off, bound, off <= bound);
        judge_say(f, "%s: |S - R| = |%.1f - %.1f| = %.2f ms %s tick + 0.01 W = %.3g + %.1f ms", judge_name(j, i, who),
                  ms(s), ms(r), ms(off), sign(off <= bound, false), ms(tick), ms(C2_SHARE * wall));
    }
    const double wait = (j->p->vcpu_count - 1) * j->quantum;
    if (f->vcpu < 0 || (!is_seen && f->verdict == FAIR_PASS))
        doubt_span(f);
    else if (f->verdict == FAIR_FAIL && f->statistic <= f->bound + wait)
        judge_doubt(f, "a wait that the guest had not been told of at the end would explain it: run longer");
}

static void check_waiting(const struct judge *j, struct fair_finding *f)
{
    const double n = j->p->vcpu_count, m = j->p->cpu_count, expected = n > m ? (n - m) / n : 0;
    double sum = 0;
    f->unit = "";
    for (unsigned i = 0; i < j->p->vcpu_count; i++) {
        unsigned from, to;
        if (!judge_running(j, i, &from, &to)) {
            doubt_span(f);
            return;
        }
        sum += waited(j, i, from, to) / judge_time(j, from, to);
    }
    const double off = fabs(sum / n - expected);
    judge_hold(f, off, C3_MOST, off <= C3_MOST);
    f->lack_ns = (off - C3_MOST) * j->wall;
    judge_say(f, "|sum R / (N * W) - (N - M) / N| = |%.4f - %.4f| = %.4f %s %.2f", sum / n, expected, off,
              sign(off <= C3_MOST, false), C3_MOST);
}

static void check_capacity(const struct judge *j, struct fair_finding *f)
{
    const struct fair_cpu_time *h = &j->r->host;
    const double sum = judge_charged_all(j, 0, judge_last(j)), vmm = (double)j->r->vmm_ns;
    const double all = j->wall * j->p->cpu_count, ours = sum + vmm;
    const double others = (double)h->busy > ours ? (double)h->busy - ours : 0;
    const double off = fabs(ours + others + (double)h->idle + (double)h->steal - all) / all;

    judge_hold(f, off, C4_MOST, off <= C4_MOST);
    f->unit = "";
    judge_say(
        f,
        "sum C + VMM + others + idle + steal = %.0f + %.0f + %.0f + %.0f + %.0f ms, M * W = %.0f ms: off by %.4f %s "
        "%.2f",
        ms(sum), ms(vmm), ms(others), ms((double)h->idle), ms((double)h->steal), ms(all), off,
        sign(off <= C4_MOST, false), C4_MOST);
    if ((double)(h->busy + h->idle + h->steal) > (1 + C4_MOST) * all && ours <= (1 + C4_MOST) * all)
        judge_doubt(f, "/proc/stat counts more time on these CPUs than passed");
}

static judge_fn *const checks[] = {
    [FAIR_C1] = check_time,
    [FAIR_C2] = check_steal,
    [FAIR_C3] = check_waiting,
    [FAIR_C4] = check_capacity,
};

void judge_identity(const struct judge *j, struct fair_finding *f)
{
    checks[f->property](j, f);
}
