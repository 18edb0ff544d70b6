/* What each vCPU is due, and the properties F1 to F13 of it. docs/properties.md has their words. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "bench/fair/judge.h"
#include "bench/statistics.h"

#define F5_SLOPE     (-0.8)
#define F5_WINDOWS   4  /* lengths, */
#define F5_SPAN      20 /* the longest so many times the shortest: fewer tell no slope */
#define F7_LEAST     0.99
#define F8_LEAST     0.95
#define F11_SLACK_NS 5e6 /* sched-bwc.rst, sched_cfs_bandwidth_slice_us: handed to a CPU at a time */
#define F13_MOST     0.05
#define F13_ERRORS   3 /* standard errors */

/* ---- shares ---- */

static unsigned steps_of(const struct judge *j, unsigned window)
{
    return (unsigned)(j->o->window_ns[window] / FAIR_BASE_NS);
}

static double group_share(const struct judge *j, unsigned vm)
{
    double sum = 0;
    for (unsigned i = 0; i < j->p->vm_count; i++) sum += j->p->vm[i].weight ? j->p->vm[i].weight : 100;
    return (j->p->vm[vm].weight ? j->p->vm[vm].weight : 100) / sum;
}

static double relative_error(const struct judge *j, unsigned steps)
{
    double worst = 0;
    for (unsigned from = 0; from + steps <= judge_last(j); from++) {
        const double sum = judge_charged_all(j, from, from + steps);
        for (unsigned i = 0; i < j->p->vcpu_count && sum > 0; i++) {
            const double error = fabs(judge_charged(j, i, from, from + steps) / (j->share[i] * sum) - 1);
            if (error > worst) worst = error;
        }
    }
    return worst;
}

/* By weight, and no more than a CPU; VMs in cgroups by their group's, shared out equally. */
void judge_shares(struct judge *j)
{
    double weight[FAIR_THREADS], sum = 0;
    for (unsigned i = 0; i < j->p->vcpu_count; i++) weight[i] = j->p->vcpu[i].weight;
    statistics_fill(weight, j->p->vcpu_count, j->p->cpu_count, 1, j->share);
    for (unsigned i = 0; i < j->p->vcpu_count; i++) sum += j->share[i];
    for (unsigned i = 0; i < j->p->vcpu_count; i++) {
        const struct fair_vm_plan *vm = &j->p->vm[j->p->vcpu[i].vm];
        j->share[i] = vm->has_cgroup ? group_share(j, j->p->vcpu[i].vm) / vm->vcpus : j->share[i] / sum;
    }
    memcpy(j->out->share, j->share, sizeof(j->share));
    for (unsigned k = 0; k < j->out->windows; k++) j->out->error[k] = relative_error(j, steps_of(j, k));
}

/* ---- windows ---- */

/* The worst of all windows of all lengths. */
struct worst {
    double value; /* how far it is off, ns */
    unsigned vcpu, from, to;
    bool is_set;
};

typedef double off_fn(const struct judge *j, unsigned vcpu, unsigned from, unsigned to);
typedef bool worse_fn(double a, double b);

/* By size: of two of the same size, as that of two vCPUs is, the one that lacks. */
static bool is_farther(double a, double b)
{
    const double size = fabs(a) - fabs(b);
    return fabs(size) > 1 ? size > 0 : a < b;
}

static bool is_more(double a, double b)
{
    return a > b;
}

static struct worst worst_of_all(const struct judge *j, unsigned of_vcpus, off_fn *off, worse_fn *is_worse)
{
    struct worst w = {0};
    for (unsigned k = 0; k < j->out->windows; k++)
        for (unsigned from = 0; from + steps_of(j, k) <= judge_last(j); from++)
            for (unsigned i = 0; i < of_vcpus; i++) {
                const unsigned to = from + steps_of(j, k);
                const double value = off(j, i, from, to);
                if (!w.is_set || is_worse(value, w.value)) w = (struct worst){value, i, from, to, true};
            }
    return w;
}

static double off_share(const struct judge *j, unsigned vcpu, unsigned from, unsigned to)
{
    return judge_charged(j, vcpu, from, to) - j->share[vcpu] * judge_charged_all(j, from, to);
}

static double charged_group(const struct judge *j, unsigned vm, unsigned from, unsigned to)
{
    double sum = 0;
    for (unsigned i = 0; i < j->p->vcpu_count; i++)
        if (j->p->vcpu[i].vm == vm) sum += judge_charged(j, i, from, to);
    return sum;
}

static double off_group(const struct judge *j, unsigned vm, unsigned from, unsigned to)
{
    return charged_group(j, vm, from, to) - group_share(j, vm) * judge_charged_all(j, from, to);
}

/* ---- F1, F2, F9, F10, F12: distance from a share ---- */

static void say_share(const struct judge *j, struct fair_finding *f, const struct worst *w, const char *who,
                      double share)
{
    const double bound = 2 * j->quantum, statistic = f->property == FAIR_F9 ? w->value : fabs(w->value);

    judge_hold(f, statistic, bound, statistic < bound);
    f->unit = "ns";
    judge_say(
        f,
        "%s %s %.1f ms %s its share of %.4g in %.3g s: %s = %.1f ms %s 2 * Q = %.1f ms (slice %.3g ms in ticks of "
        "%.3g ms)",
        who, "got", ms(fabs(w->value)), w->value < 0 ? "less than" : "more than", share,
        judge_time(j, w->from, w->to) / 1e9, f->property == FAIR_F9 ? "C - share * sum" : "|C - share * sum|",
        ms(statistic), sign(statistic < bound, true), ms(bound), ms((double)j->r->slice_ns), ms((double)j->r->tick_ns));
}

static void check_share(const struct judge *j, struct fair_finding *f)
{
    const struct worst w = worst_of_all(j, j->p->vcpu_count, off_share, is_farther);
    char who[32];
    f->vcpu = (int)w.vcpu;
    say_share(j, f, &w, judge_name(j, w.vcpu, who), j->share[w.vcpu]);
}

/* The greatest gain of the one that isn't always there, which is the first. */
static void check_dodger(const struct judge *j, struct fair_finding *f)
{
    const struct worst w = worst_of_all(j, 1, off_share, is_more);
    char who[32];
    f->vcpu = 0;
    say_share(j, f, &w, judge_name(j, 0, who), j->share[0]);
}

static void check_groups(const struct judge *j, struct fair_finding *f)
{
    const struct worst w = worst_of_all(j, j->p->vm_count, off_group, is_farther);
    char who[32];
    (void)snprintf(who, sizeof(who), "VM %u", w.vcpu);
    say_share(j, f, &w, who, group_share(j, w.vcpu));
}

/* ---- F3 ---- */

static void check_pairs(const struct judge *j, struct fair_finding *f)
{
    const struct fair_vcpu_plan *v = j->p->vcpu;
    double worst = -1;

    for (unsigned k = 0; k < j->out->windows; k++)
        for (unsigned from = 0; from + steps_of(j, k) <= judge_last(j); from++)
            for (unsigned a = 0; a < j->p->vcpu_count; a++)
                for (unsigned b = a + 1; b < j->p->vcpu_count; b++) {
                    const unsigned to = from + steps_of(j, k);
                    const double of_a = judge_charged(j, a, from, to) / v[a].weight;
                    const double of_b = judge_charged(j, b, from, to) / v[b].weight;
                    const double off = fabs(of_a - of_b), sfq = j->quantum / v[a].weight + j->quantum / v[b].weight;
                    const double bound = 2 * sfq;
                    if (off / bound <= worst) continue;
                    worst = off / bound;
                    f->vcpu = (int)(of_a < of_b ? a : b);
                    judge_hold(f, off, bound, off <= bound);
                    judge_say(f,
                              "vCPUs %u and %u in %.3g s: |C/w - C/w| = |%.1f / %.3g - %.1f / %.3g| = %.1f ms %s 2 "
                              "(Q/w + Q/w) = %.1f ms; start-time fair queueing promises %.1f ms",
                              a, b, judge_time(j, from, to) / 1e9, ms(of_a * v[a].weight), v[a].weight,
                              ms(of_b * v[b].weight), v[b].weight, ms(off), sign(off <= bound, false), ms(bound),
                              ms(sfq));
                }
    f->unit = "ns";
    if (worst < 0) judge_doubt(f, "one vCPU has nobody to be compared with");
}

/* ---- F4, F5 ---- */

static void check_jain(const struct judge *j, struct fair_finding *f)
{
    double x[FAIR_THREADS], sum = 0, off = 0;
    for (unsigned i = 0; i < j->p->vcpu_count; i++) sum += x[i] = judge_charged(j, i, 0, judge_last(j)) / j->share[i];
    const double mean = sum / j->p->vcpu_count;
    for (unsigned i = 0; i < j->p->vcpu_count; i++)
        if (fabs(x[i] / mean - 1) > off) off = fabs(x[i] / mean - 1);
    f->statistic = statistics_jain(x, j->p->vcpu_count);
    f->bound = 1;
    f->verdict = FAIR_REPORTED;
    f->unit = "";
    judge_say(f, "Jain's index of C/share over the run: %.5f, farthest from the mean: %.2f %%", f->statistic,
              off * 100);
}

static void check_convergence(const struct judge *j, struct fair_finding *f)
{
    double x[FAIR_WINDOWS], y[FAIR_WINDOWS];
    const unsigned n = j->out->windows;
    for (unsigned i = 0; i < n; i++) {
        x[i] = (double)j->o->window_ns[i];
        y[i] = j->out->error[i];
    }
    f->unit = "";
    if (n < F5_WINDOWS || x[n - 1] < F5_SPAN * x[0]) {
        judge_doubt(f, "too few window lengths: it takes 4, the longest 20 times the shortest");
        return;
    }
    const double slope = statistics_slope(x, y, n);
    judge_hold(f, slope, F5_SLOPE, slope <= F5_SLOPE);
    judge_say(f, "relative error %.3g at %.3g s, %.3g at %.3g s: slope %.2f %s %.2f", y[0], x[0] / 1e9, y[n - 1],
              x[n - 1] / 1e9, slope, sign(slope <= F5_SLOPE, false), F5_SLOPE);
}

/* ---- F6, F7, F8 ---- */

/* Who gets nothing for a time t falls behind by t / N, and F1 leaves 2 Q of that. */
static void check_gap(const struct judge *j, struct fair_finding *f)
{
    const double pause = j->p->pause_ns ? (double)j->r->paused_ns : 0, n = j->p->vcpu_count;
    const double bound = 2 * n * j->quantum + pause;
    double longest = 0;
    char who[32];

    for (unsigned i = 0; i < j->p->vcpu_count; i++) {
        const double gap = (double)j->r->guest[i].longest / j->r->ticks_per_ns;
        if (f->vcpu >= 0 && gap <= longest) continue;
        longest = gap;
        f->vcpu = (int)i;
    }
    judge_hold(f, longest, bound, longest <= bound);
    f->unit = "ns";
    judge_say(f,
              "longest gap, of %s: %.1f ms %s 2 * N * Q%s = %.1f ms, Q = %.3g ms; a round in strict turn takes %.1f ms",
              judge_name(j, (unsigned)f->vcpu, who), ms(longest), sign(longest <= bound, false),
              pause > 0 ? " + the pause" : "", ms(bound), ms(j->quantum), ms(n * j->quantum + pause));
}

static void check_conservation_of_work(const struct judge *j, struct fair_finding *f)
{
    const unsigned last = judge_last(j);
    const double wall = judge_time(j, 0, last), sum = judge_charged_all(j, 0, last);
    unsigned greedy = 0;
    for (unsigned i = 0; i < j->p->vcpu_count; i++) greedy += judge_is_greedy(j->p->vcpu[i].work);
    const unsigned busy = greedy < j->p->cpu_count ? greedy : j->p->cpu_count; /* CPUs that always have someone */
    const double vmm = (double)j->r->vmm_ns, demand = busy * wall - vmm; /* samples are taken here if nowhere else */
    const double ratio = sum / demand;

    judge_hold(f, ratio, F7_LEAST, ratio >= F7_LEAST);
    f->lack_ns = (F7_LEAST - ratio) * demand;
    f->unit = "";
    judge_say(f, "sum C / (min(M, demand) * W - VMM) = %.1f / (%u * %.1f - %.1f) ms = %.4f %s %.2f", ms(sum), busy,
              ms(wall), ms(vmm), ratio, ratio >= F7_LEAST ? ">=" : "<", F7_LEAST);
}

/* The value of a quantile of a histogram of ticks, in ns: the end of its bucket. */
static double quantile_ns(const struct judge *j, const uint32_t *count, double share)
{
    uint64_t total = 0, seen = 0;
    for (unsigned b = 0; b < FAIR_BUCKETS; b++) total += count[b];
    for (unsigned b = 0; b < FAIR_BUCKETS; b++) {
        seen += count[b];
        if (total && (double)seen >= share * (double)total)
            return ldexp((5.0 + b % 4) / 4, (int)(b / 4)) / j->r->ticks_per_ns;
    }
    return 0;
}

static void check_interactive(const struct judge *j, struct fair_finding *f)
{
    const struct fair_vcpu_plan *v = &j->p->vcpu[0];
    const struct fair_guest *g = &j->r->guest[0];
    const double wall = judge_time(j, 0, judge_last(j));
    const double wanted = (double)v->busy_ns / (double)v->period_ns * wall, got = judge_charged(j, 0, 0, judge_last(j));

    f->vcpu = 0;
    f->unit = "";
    judge_hold(f, got / wanted, F8_LEAST, got / wanted >= F8_LEAST);
    f->lack_ns = F8_LEAST * wanted - got;
    judge_say(
        f,
        "C / demand = %.1f / (%.3g/%.3g * %.0f) ms = %.3f %s %.2f; late by p50 %.2f, p99 %.2f ms, %llu periods missed",
        ms(got), ms((double)v->busy_ns), ms((double)v->period_ns), ms(wall), got / wanted,
        got / wanted >= F8_LEAST ? ">=" : "<", F8_LEAST, ms(quantile_ns(j, g->late, 0.5)),
        ms(quantile_ns(j, g->late, 0.99)), (unsigned long long)g->missed);
}

/* ---- F11, F13 ---- */

static void check_cap(const struct judge *j, struct fair_finding *f)
{
    const struct fair_vm_plan *vm = &j->p->vm[0];
    const double quota = (double)vm->quota_us * 1e3, period = (double)vm->period_us * 1e3;
    const double slack = F11_SLACK_NS * j->p->cpu_count;
    bool is_set = false;

    f->unit = "ns";
    for (unsigned k = 0; k < j->out->windows; k++)
        for (unsigned from = 0; from + steps_of(j, k) <= judge_last(j); from++) {
            const unsigned to = from + steps_of(j, k);
            const double wall = judge_time(j, from, to), got = charged_group(j, 0, from, to);
            const double bound = quota * (wall / period + 1) + slack;
            if (is_set && got - bound <= f->statistic - f->bound) continue;
            is_set = true;
            judge_hold(f, got, bound, got <= bound);
            judge_say(f, "C = %.1f ms in %.3g s %s %.3g ms * (W / %.3g ms + 1) + %.3g ms = %.1f ms", ms(got),
                      wall / 1e9, sign(got <= bound, false), ms(quota), ms(period), ms(slack), ms(bound));
        }
}

static double loops(const struct judge *j, unsigned vcpu, unsigned from, unsigned to)
{
    return (double)(fair_at(j->r, to, vcpu)->progress - fair_at(j->r, from, vcpu)->progress);
}

/* How far chance may take a vCPU's speed from the others', as three standard errors of a run's mean: a CPU that changes
 * its own speed, as a busy sibling or another VM makes it, need not do it in turn with the vCPUs. Told from those that
 * are not accused: from one sample to the next, each against them all; a single one against its whole run. */
static double speed_scatter(const struct judge *j, unsigned accused)
{
    const unsigned m = j->p->vcpu_count - 1;
    double squares = 0;
    unsigned seen = 0;

    for (unsigned s = 1; s <= judge_last(j); s++) {
        const unsigned from = m > 1 ? s - 1 : 0, to = m > 1 ? s : judge_last(j);
        double all = 0, time = 0;
        for (unsigned i = 0; i <= m; i++) {
            if (i == accused) continue;
            all += loops(j, i, from, to);
            time += judge_charged(j, i, from, to);
        }
        for (unsigned i = 0; i <= m && all > 0; i++) {
            const double c = judge_charged(j, i, s - 1, s);
            if (i == accused || c < (double)j->r->tick_ns) continue;
            const double off = loops(j, i, s - 1, s) / c * time / all - 1;
            squares += off * off;
            seen++;
        }
    }
    if (!seen) return 0;
    const double variance = squares / seen * (m > 1 ? m / (m - 1.0) : 1); /* they are part of what they are held to */
    return F13_ERRORS * sqrt(variance * m / seen);
}

static void check_progress(const struct judge *j, struct fair_finding *f)
{
    const unsigned n = j->p->vcpu_count, last = judge_last(j);
    double rate[FAIR_THREADS] = {0}, sorted[FAIR_THREADS], worst = 0;
    char who[32], reason[FAIR_TEXT];

    for (unsigned i = 0; i < n; i++) {
        const double c = judge_charged(j, i, 0, last);
        rate[i] = c > 0 ? loops(j, i, 0, last) / c : 0;
    }
    memcpy(sorted, rate, sizeof(sorted));
    statistics_sort(sorted, n);
    const double median = sorted[n / 2]; /* of two the better one: a loss shows whole */
    for (unsigned i = 0; i < n; i++) {
        const double off = median > 0 ? rate[i] / median - 1 : 0;
        if (f->vcpu >= 0 && !(fabs(off) > fabs(worst) + 1e-9 || (fabs(off) > fabs(worst) - 1e-9 && off < worst)))
            continue;
        worst = off;
        f->vcpu = (int)i;
    }
    f->unit = "";
    f->lack_ns = (fabs(worst) - F13_MOST) * judge_charged(j, (unsigned)f->vcpu, 0, last);
    judge_hold(f, fabs(worst), F13_MOST, fabs(worst) <= F13_MOST);
    judge_say(f, "%s made %.4g loops a charged ms, the median is %.4g: |%.4f - 1| = %.4f %s %.2f",
              judge_name(j, (unsigned)f->vcpu, who), rate[f->vcpu] * 1e6, median * 1e6, 1 + worst, fabs(worst),
              sign(fabs(worst) <= F13_MOST, false), F13_MOST);
    if (median <= 0) judge_doubt(f, "no progress was seen");
    if (f->verdict != FAIR_FAIL) return;
    const double scatter = speed_scatter(j, (unsigned)f->vcpu);
    if (fabs(worst) > F13_MOST + scatter) return;
    (void)snprintf(
        reason, sizeof(reason),
        "these CPUs' own speed changes: 3 standard errors of it are %.3f, which would explain it; run longer", scatter);
    judge_doubt(f, reason);
}

/* ---- all of them ---- */

static judge_fn *const checks[] = {
    [FAIR_F1] = check_share,
    [FAIR_F2] = check_share,
    [FAIR_F3] = check_pairs,
    [FAIR_F4] = check_jain,
    [FAIR_F5] = check_convergence,
    [FAIR_F6] = check_gap,
    [FAIR_F7] = check_conservation_of_work,
    [FAIR_F8] = check_interactive,
    [FAIR_F9] = check_dodger,
    [FAIR_F10] = check_groups,
    [FAIR_F11] = check_cap,
    [FAIR_F12] = check_share,
    [FAIR_F13] = check_progress,
};

void judge_property(const struct judge *j, struct fair_finding *f)
{
    checks[f->property](j, f);
}
