/* A record held against the properties of docs/properties.md. Pure arithmetic.
 *
 * Each check fills in one finding: what was found, its bound, and a sentence with the numbers of both from which a
 * reader can recompute the verdict. What a check can't see (too little data) makes it inconclusive; so does a host that
 * others disturbed, for what fails. Where the host's own hypervisor stole time, nothing is judged. */
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "vmm/measure/fair.h"
#include "vmm/measure/statistics.h"

#define STEAL_MAX    0.01 /* of the CPUs' time: then no verdict */
#define OTHERS_MAX   0.02 /* likewise of other processes: then no failure */
#define F5_SLOPE     (-0.8)
#define F5_WINDOWS   4  /* lengths, */
#define F5_SPAN      20 /* the longest so many times the shortest: fewer tell no slope */
#define F7_LEAST     0.99
#define F8_LEAST     0.95
#define F11_SLACK_NS 5e6 /* sched-bwc.rst, sched_cfs_bandwidth_slice_us: handed to a CPU at a time */
#define F13_MOST     0.05
#define C1_MOST      0.005
#define C2_SHARE     0.01
#define C3_MOST      0.01
#define C4_MOST      0.02
#define SETTLED      3    /* samples until one has surely been of a guest that had looked */
#define RUNNING_SPAN 0.25 /* of the run must lie between two samples that caught a vCPU running */

struct judge {
    const struct fair_options *o;
    const struct fair_plan *p;
    const struct fair_record *r;
    struct fair_report *out;
    double quantum;             /* Q, ns: the slice rounded up to whole ticks */
    double wall;                /* of the run, ns */
    double share[FAIR_THREADS]; /* of what all were charged */
    double others;              /* what other processes used of these CPUs, ns */
    double lost;                /* by the host itself: steal, and time in which its CPUs stood still */
    double taken;               /* what was neither ours nor idle nor steal; `others` sees only what a tick met */
};

static double ms(double ns)
{
    return ns / 1e6;
}

__attribute__((format(printf, 2, 3))) static void say(struct fair_finding *f, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    (void)vsnprintf(f->text, sizeof(f->text), fmt, args);
    va_end(args);
}

static void hold(struct fair_finding *f, double statistic, double bound, bool holds)
{
    f->statistic = statistic;
    f->bound = bound;
    f->verdict = holds ? FAIR_PASS : FAIR_FAIL;
}

static void doubt(struct fair_finding *f, const char *reason)
{
    f->verdict = FAIR_INCONCLUSIVE;
    (void)snprintf(f->reason, sizeof(f->reason), "%s", reason);
}

static const char *sign(bool holds, bool is_strict)
{
    if (is_strict) return holds ? "<" : ">=";
    return holds ? "<=" : ">";
}

/* "vCPU 1", "VM 1 vCPU 0" */
static const char *name(const struct judge *j, unsigned i, char out[32])
{
    unsigned first = 0;
    for (unsigned vm = 0; vm < j->p->vcpu[i].vm; vm++) first += j->p->vm[vm].vcpus;
    if (j->p->vm_count == 1)
        (void)snprintf(out, 32, "vCPU %u", i);
    else
        (void)snprintf(out, 32, "VM %u vCPU %u", j->p->vcpu[i].vm, i - first);
    return out;
}

/* ---- windows ---- */

static double charged(const struct judge *j, unsigned vcpu, unsigned from, unsigned to)
{
    return (double)(fair_at(j->r, to, vcpu)->charged - fair_at(j->r, from, vcpu)->charged);
}

static double charged_all(const struct judge *j, unsigned from, unsigned to)
{
    double sum = 0;
    for (unsigned i = 0; i < j->p->vcpu_count; i++) sum += charged(j, i, from, to);
    return sum;
}

/* Between two samples, less what was paused. */
static double time_between(const struct judge *j, unsigned from, unsigned to)
{
    const double t = (double)(j->r->at[to] - j->r->at[from]);
    const unsigned pause = j->r->pause_sample;
    return pause && from < pause && to >= pause ? t - (double)j->r->paused_ns : t;
}

static unsigned steps_of(const struct judge *j, unsigned window)
{
    return (unsigned)(j->o->window_ns[window] / FAIR_BASE_NS);
}

static unsigned last_sample(const struct judge *j)
{
    return j->r->samples - 1;
}

/* The worst of all windows of all lengths. */
struct worst {
    double value; /* how far it is off, in the units of `of` */
    unsigned vcpu, from, to;
    bool is_set;
};

typedef double off_fn(const struct judge *j, unsigned vcpu, unsigned from, unsigned to);

/* By size: of two of the same size, as that of two vCPUs is, the one that lacks. */
static bool is_worse(double a, double b)
{
    const double size = fabs(a) - fabs(b);
    return fabs(size) > 1 ? size > 0 : a < b;
}

static void worst_of_window(const struct judge *j, unsigned steps, unsigned of_vcpus, off_fn *off, struct worst *w)
{
    for (unsigned from = 0; from + steps <= last_sample(j); from++) {
        for (unsigned i = 0; i < of_vcpus; i++) {
            const double value = off(j, i, from, from + steps);
            if (w->is_set && !is_worse(value, w->value)) continue;
            *w = (struct worst){value, i, from, from + steps, true};
        }
    }
}

static struct worst worst_of_all(const struct judge *j, unsigned of_vcpus, off_fn *off)
{
    struct worst w = {0};
    for (unsigned k = 0; k < j->out->windows; k++) worst_of_window(j, steps_of(j, k), of_vcpus, off, &w);
    return w;
}

static double off_share(const struct judge *j, unsigned vcpu, unsigned from, unsigned to)
{
    return charged(j, vcpu, from, to) - j->share[vcpu] * charged_all(j, from, to);
}

static double charged_group(const struct judge *j, unsigned vm, unsigned from, unsigned to)
{
    double sum = 0;
    for (unsigned i = 0; i < j->p->vcpu_count; i++)
        if (j->p->vcpu[i].vm == vm) sum += charged(j, i, from, to);
    return sum;
}

static double group_share(const struct judge *j, unsigned vm)
{
    double sum = 0;
    for (unsigned i = 0; i < j->p->vm_count; i++) sum += j->p->vm[i].weight ? j->p->vm[i].weight : 100;
    return (j->p->vm[vm].weight ? j->p->vm[vm].weight : 100) / sum;
}

static double off_group(const struct judge *j, unsigned vm, unsigned from, unsigned to)
{
    return charged_group(j, vm, from, to) - group_share(j, vm) * charged_all(j, from, to);
}

/* ---- F1, F2, F9, F10, F12: distance from a share ---- */

static void say_share(const struct judge *j, struct fair_finding *f, const struct worst *w, const char *who,
                      double share)
{
    const double bound = 2 * j->quantum, statistic = f->property == FAIR_F9 ? w->value : fabs(w->value);

    hold(f, statistic, bound, statistic < bound);
    f->unit = "ns";
    say(f,
        "%s %s %.1f ms %s its share of %.4g in %.3g s: %s = %.1f ms %s 2 * Q = %.1f ms (slice %.3g ms in ticks of "
        "%.3g ms)",
        who, "got", ms(fabs(w->value)), w->value < 0 ? "less than" : "more than", share,
        time_between(j, w->from, w->to) / 1e9, f->property == FAIR_F9 ? "C - share * sum" : "|C - share * sum|",
        ms(statistic), sign(statistic < bound, true), ms(bound), ms((double)j->r->slice_ns), ms((double)j->r->tick_ns));
}

static void judge_share(struct judge *j, struct fair_finding *f)
{
    const struct worst w = worst_of_all(j, j->p->vcpu_count, off_share);
    char who[32];
    f->vcpu = (int)w.vcpu;
    say_share(j, f, &w, name(j, w.vcpu, who), j->share[w.vcpu]);
}

/* The greatest gain of the one that isn't always there, which is the first. */
static void judge_dodger(struct judge *j, struct fair_finding *f)
{
    struct worst w = {0};
    char who[32];
    for (unsigned k = 0; k < j->out->windows; k++)
        for (unsigned from = 0; from + steps_of(j, k) <= last_sample(j); from++) {
            const double value = off_share(j, 0, from, from + steps_of(j, k));
            if (!w.is_set || value > w.value) w = (struct worst){value, 0, from, from + steps_of(j, k), true};
        }
    f->vcpu = 0;
    say_share(j, f, &w, name(j, 0, who), j->share[0]);
}

static void judge_groups(struct judge *j, struct fair_finding *f)
{
    const struct worst w = worst_of_all(j, j->p->vm_count, off_group);
    char who[32];
    (void)snprintf(who, sizeof(who), "VM %u", w.vcpu);
    say_share(j, f, &w, who, group_share(j, w.vcpu));
}

/* ---- F3 ---- */

static void judge_pairs(struct judge *j, struct fair_finding *f)
{
    const struct fair_vcpu_plan *v = j->p->vcpu;
    double worst = -1;

    for (unsigned k = 0; k < j->out->windows; k++)
        for (unsigned from = 0; from + steps_of(j, k) <= last_sample(j); from++)
            for (unsigned a = 0; a < j->p->vcpu_count; a++)
                for (unsigned b = a + 1; b < j->p->vcpu_count; b++) {
                    const unsigned to = from + steps_of(j, k);
                    const double of_a = charged(j, a, from, to) / v[a].weight;
                    const double of_b = charged(j, b, from, to) / v[b].weight;
                    const double off = fabs(of_a - of_b), sfq = j->quantum / v[a].weight + j->quantum / v[b].weight;
                    const double bound = 2 * sfq;
                    if (off / bound <= worst) continue;
                    worst = off / bound;
                    f->vcpu = (int)(of_a < of_b ? a : b);
                    hold(f, off, bound, off <= bound);
                    say(f,
                        "vCPUs %u and %u in %.3g s: |C/w - C/w| = |%.1f / %.3g - %.1f / %.3g| = %.1f ms %s 2 (Q/w + "
                        "Q/w) "
                        "= %.1f ms; start-time fair queueing promises %.1f ms",
                        a, b, time_between(j, from, to) / 1e9, ms(of_a * v[a].weight), v[a].weight,
                        ms(of_b * v[b].weight), v[b].weight, ms(off), sign(off <= bound, false), ms(bound), ms(sfq));
                }
    f->unit = "ns";
    if (worst < 0) doubt(f, "one vCPU has nobody to be compared with");
}

/* ---- F4, F5 ---- */

static double relative_error(const struct judge *j, unsigned steps)
{
    double worst = 0;
    for (unsigned from = 0; from + steps <= last_sample(j); from++) {
        const double sum = charged_all(j, from, from + steps);
        for (unsigned i = 0; i < j->p->vcpu_count && sum > 0; i++) {
            const double error = fabs(charged(j, i, from, from + steps) / (j->share[i] * sum) - 1);
            if (error > worst) worst = error;
        }
    }
    return worst;
}

static void judge_jain(struct judge *j, struct fair_finding *f)
{
    double x[FAIR_THREADS], sum = 0, off = 0;
    for (unsigned i = 0; i < j->p->vcpu_count; i++) sum += x[i] = charged(j, i, 0, last_sample(j)) / j->share[i];
    const double mean = sum / j->p->vcpu_count;
    for (unsigned i = 0; i < j->p->vcpu_count; i++)
        if (fabs(x[i] / mean - 1) > off) off = fabs(x[i] / mean - 1);
    f->statistic = statistics_jain(x, j->p->vcpu_count);
    f->bound = 1;
    f->verdict = FAIR_REPORTED;
    f->unit = "";
    say(f, "Jain's index of C/share over the run: %.5f, farthest from the mean: %.2f %%", f->statistic, off * 100);
}

static void judge_convergence(struct judge *j, struct fair_finding *f)
{
    double x[FAIR_WINDOWS], y[FAIR_WINDOWS];
    const unsigned n = j->out->windows;
    for (unsigned i = 0; i < n; i++) {
        x[i] = (double)j->o->window_ns[i];
        y[i] = j->out->error[i];
    }
    f->unit = "";
    if (n < F5_WINDOWS || x[n - 1] < F5_SPAN * x[0]) {
        doubt(f, "too few window lengths: it takes 4, the longest 20 times the shortest");
        return;
    }
    const double slope = statistics_slope(x, y, n);
    hold(f, slope, F5_SLOPE, slope <= F5_SLOPE);
    say(f, "relative error %.3g at %.3g s, %.3g at %.3g s: slope %.2f %s %.2f", y[0], x[0] / 1e9, y[n - 1],
        x[n - 1] / 1e9, slope, sign(slope <= F5_SLOPE, false), F5_SLOPE);
}

/* ---- F6, F7, F8 ---- */

/* Who gets nothing for a time t falls behind by t / N, and F1 leaves 2 Q of that. */
static void judge_gap(struct judge *j, struct fair_finding *f)
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
    hold(f, longest, bound, longest <= bound);
    f->unit = "ns";
    say(f, "longest gap, of %s: %.1f ms %s 2 * N * Q%s = %.1f ms, Q = %.3g ms; a round in strict turn takes %.1f ms",
        name(j, (unsigned)f->vcpu, who), ms(longest), sign(longest <= bound, false), pause > 0 ? " + the pause" : "",
        ms(bound), ms(j->quantum), ms(n * j->quantum + pause));
}

/* Is the vCPU runnable whenever it isn't held up? */
static bool is_greedy(enum fair_work work)
{
    return work == FAIR_SPIN || work == FAIR_EXIT || work == FAIR_REQUEST;
}

static void judge_conservation_of_work(struct judge *j, struct fair_finding *f)
{
    const unsigned last = last_sample(j);
    const double wall = time_between(j, 0, last), sum = charged_all(j, 0, last);
    unsigned greedy = 0;
    for (unsigned i = 0; i < j->p->vcpu_count; i++) greedy += is_greedy(j->p->vcpu[i].work);
    const unsigned busy = greedy < j->p->cpu_count ? greedy : j->p->cpu_count; /* CPUs that always have someone */
    const double ratio = sum / (busy * wall);

    hold(f, ratio, F7_LEAST, ratio >= F7_LEAST);
    f->lack_ns = (F7_LEAST - ratio) * busy * wall;
    f->unit = "";
    say(f, "sum C / (min(M, demand) * W) = %.1f / (%u * %.1f) ms = %.4f %s %.2f", ms(sum), busy, ms(wall), ratio,
        ratio >= F7_LEAST ? ">=" : "<", F7_LEAST);
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

static void judge_interactive(struct judge *j, struct fair_finding *f)
{
    const struct fair_vcpu_plan *v = &j->p->vcpu[0];
    const struct fair_guest *g = &j->r->guest[0];
    const double wall = time_between(j, 0, last_sample(j));
    const double wanted = (double)v->busy_ns / (double)v->period_ns * wall, got = charged(j, 0, 0, last_sample(j));

    f->vcpu = 0;
    f->unit = "";
    hold(f, got / wanted, F8_LEAST, got / wanted >= F8_LEAST);
    f->lack_ns = F8_LEAST * wanted - got;
    say(f,
        "C / demand = %.1f / (%.3g/%.3g * %.0f) ms = %.3f %s %.2f; late by p50 %.2f, p99 %.2f ms, %llu periods missed",
        ms(got), ms((double)v->busy_ns), ms((double)v->period_ns), ms(wall), got / wanted,
        got / wanted >= F8_LEAST ? ">=" : "<", F8_LEAST, ms(quantile_ns(j, g->late, 0.5)),
        ms(quantile_ns(j, g->late, 0.99)), (unsigned long long)g->missed);
}

/* ---- F11, F13 ---- */

static void judge_cap(struct judge *j, struct fair_finding *f)
{
    const struct fair_vm_plan *vm = &j->p->vm[0];
    const double quota = (double)vm->quota_us * 1e3, period = (double)vm->period_us * 1e3;
    const double slack = F11_SLACK_NS * j->p->cpu_count;
    bool is_set = false;

    f->unit = "ns";
    for (unsigned k = 0; k < j->out->windows; k++)
        for (unsigned from = 0; from + steps_of(j, k) <= last_sample(j); from++) {
            const unsigned to = from + steps_of(j, k);
            const double wall = time_between(j, from, to), got = charged_group(j, 0, from, to);
            const double bound = quota * (wall / period + 1) + slack;
            if (is_set && got - bound <= f->statistic - f->bound) continue;
            is_set = true;
            hold(f, got, bound, got <= bound);
            say(f, "C = %.1f ms in %.3g s %s %.3g ms * (W / %.3g ms + 1) + %.3g ms = %.1f ms", ms(got), wall / 1e9,
                sign(got <= bound, false), ms(quota), ms(period), ms(slack), ms(bound));
        }
}

static int by_size(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static void judge_progress(struct judge *j, struct fair_finding *f)
{
    const unsigned n = j->p->vcpu_count, last = last_sample(j);
    double rate[FAIR_THREADS] = {0}, sorted[FAIR_THREADS], worst = 0;
    char who[32];

    for (unsigned i = 0; i < n; i++) {
        const double c = charged(j, i, 0, last);
        rate[i] = c > 0 ? (double)(fair_at(j->r, last, i)->progress - fair_at(j->r, 0, i)->progress) / c : 0;
    }
    memcpy(sorted, rate, sizeof(sorted));
    qsort(sorted, n, sizeof(sorted[0]), by_size);
    const double median = sorted[n / 2]; /* of two the better one: a loss shows whole */
    for (unsigned i = 0; i < n; i++) {
        const double off = median > 0 ? rate[i] / median - 1 : 0;
        if (f->vcpu >= 0 && !(fabs(off) > fabs(worst) + 1e-9 || (fabs(off) > fabs(worst) - 1e-9 && off < worst)))
            continue;
        worst = off;
        f->vcpu = (int)i;
    }
    f->unit = "";
    f->lack_ns = (fabs(worst) - F13_MOST) * charged(j, (unsigned)f->vcpu, 0, last);
    hold(f, fabs(worst), F13_MOST, fabs(worst) <= F13_MOST);
    say(f, "%s made %.4g loops a charged ms, the median is %.4g: |%.4f - 1| = %.4f %s %.2f",
        name(j, (unsigned)f->vcpu, who), rate[f->vcpu] * 1e6, median * 1e6, 1 + worst, fabs(worst),
        sign(fabs(worst) <= F13_MOST, false), F13_MOST);
    if (median <= 0) doubt(f, "no progress was seen");
}

/* ---- identities ---- */

/* The first and the last sample that caught the vCPU running, when what it waited is counted whole. */
static bool running_span(const struct judge *j, unsigned vcpu, unsigned *from, unsigned *to)
{
    unsigned a = 0, b = last_sample(j);
    while (a < b && !fair_at(j->r, a, vcpu)->is_running) a++;
    while (b > a && !fair_at(j->r, b, vcpu)->is_running) b--;
    *from = a;
    *to = b;
    return b > a && (double)(b - a) >= RUNNING_SPAN * last_sample(j);
}

static void doubt_span(struct fair_finding *f)
{
    doubt(f, "too few samples caught a vCPU running: run longer, or leave a CPU to the sampling thread");
}

static void judge_time(struct judge *j, struct fair_finding *f)
{
    bool is_seen = true;
    char who[32];
    f->unit = "";
    for (unsigned i = 0; i < j->p->vcpu_count; i++) {
        unsigned from, to;
        if (!is_greedy(j->p->vcpu[i].work)) continue;
        if (!running_span(j, i, &from, &to)) {
            is_seen = false;
            continue;
        }
        const double wall = time_between(j, from, to), c = charged(j, i, from, to);
        const double r = (double)(fair_at(j->r, to, i)->delay - fair_at(j->r, from, i)->delay);
        const double off = fabs(c + r - wall) / wall;
        if (f->vcpu >= 0 && off <= f->statistic) continue;
        f->vcpu = (int)i;
        f->lack_ns = (off - C1_MOST) * wall;
        hold(f, off, C1_MOST, off <= C1_MOST);
        say(f, "%s: |C + R - W| / W = |%.1f + %.1f - %.1f| ms / W = %.5f %s %.3f", name(j, i, who), ms(c), ms(r),
            ms(wall), off, sign(off <= C1_MOST, false), C1_MOST);
    }
    if (f->vcpu < 0 || (!is_seen && f->verdict == FAIR_PASS)) doubt_span(f);
}

static void judge_steal(struct judge *j, struct fair_finding *f)
{
    bool is_seen = true;
    char who[32];
    f->unit = "ns";
    for (unsigned i = 0; i < j->p->vcpu_count; i++) {
        unsigned from, to;
        if (!j->r->guest[i].has_steal) {
            doubt(f, "this host tells its guests no steal time");
            return;
        }
        if (!running_span(j, i, &from, &to)) {
            is_seen = false;
            continue;
        }
        const double s = (double)(fair_at(j->r, to, i)->steal - fair_at(j->r, from, i)->steal);
        const double r = (double)(fair_at(j->r, to, i)->delay - fair_at(j->r, from, i)->delay);
        const double wall = time_between(j, from, to), tick = (double)j->r->tick_ns;
        const double bound = tick + C2_SHARE * wall, off = fabs(s - r);
        if (f->vcpu >= 0 && off - bound <= f->statistic - f->bound) continue;
        f->vcpu = (int)i;
        hold(f, off, bound, off <= bound);
        say(f, "%s: |S - R| = |%.1f - %.1f| = %.2f ms %s tick + 0.01 W = %.3g + %.1f ms", name(j, i, who), ms(s), ms(r),
            ms(off), sign(off <= bound, false), ms(tick), ms(C2_SHARE * wall));
    }
    const double wait = (j->p->vcpu_count - 1) * j->quantum;
    if (f->vcpu < 0 || (!is_seen && f->verdict == FAIR_PASS))
        doubt_span(f);
    else if (f->verdict == FAIR_FAIL && f->statistic <= f->bound + wait)
        doubt(f, "a wait that the guest had not been told of at the end would explain it: run longer");
}

static void judge_waiting(struct judge *j, struct fair_finding *f)
{
    const double n = j->p->vcpu_count, m = j->p->cpu_count, expected = n > m ? (n - m) / n : 0;
    double sum = 0;
    f->unit = "";
    for (unsigned i = 0; i < j->p->vcpu_count; i++) {
        unsigned from, to;
        if (!running_span(j, i, &from, &to)) {
            doubt_span(f);
            return;
        }
        sum += (double)(fair_at(j->r, to, i)->delay - fair_at(j->r, from, i)->delay) / time_between(j, from, to);
    }
    const double off = fabs(sum / n - expected);
    hold(f, off, C3_MOST, off <= C3_MOST);
    f->lack_ns = (off - C3_MOST) * j->wall;
    say(f, "|sum R / (N * W) - (N - M) / N| = |%.4f - %.4f| = %.4f %s %.2f", sum / n, expected, off,
        sign(off <= C3_MOST, false), C3_MOST);
}

static void judge_capacity(struct judge *j, struct fair_finding *f)
{
    const struct fair_cpu_time *h = &j->r->host;
    const double sum = charged_all(j, 0, last_sample(j)), vmm = (double)j->r->vmm_ns;
    const double all = j->wall * j->p->cpu_count, ours = sum + vmm;
    const double others = (double)h->busy > ours ? (double)h->busy - ours : 0;
    const double off = fabs(ours + others + (double)h->idle + (double)h->steal - all) / all;

    hold(f, off, C4_MOST, off <= C4_MOST);
    f->unit = "";
    say(f,
        "sum C + VMM + others + idle + steal = %.0f + %.0f + %.0f + %.0f + %.0f ms, M * W = %.0f ms: off by %.4f %s "
        "%.2f",
        ms(sum), ms(vmm), ms(others), ms((double)h->idle), ms((double)h->steal), ms(all), off,
        sign(off <= C4_MOST, false), C4_MOST);
}

/* ---- all of it ---- */

/* By weight, and no more than a CPU; VMs in cgroups by their group's, shared out equally. */
static void find_shares(struct judge *j)
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
}

/* What the guest has seen pass without it though its thread did not wait, up to a sample; less where the guest has not
 * looked at its counter yet since it last waited. */
static double stalled_until(const struct judge *j, unsigned vcpu, unsigned sample)
{
    const struct fair_count *c = fair_at(j->r, sample, vcpu);
    const double paused = (double)(j->r->at[sample] - j->r->at[0]) - time_between(j, 0, sample);
    return (double)c->lost - (double)c->delay - paused;
}

/* Who waits for his quota isn't said to wait. There the sampling thread must tell, which was woken too late. */
static double sampled_late(const struct judge *j)
{
    double sum = 0;
    for (unsigned s = 1; s < j->r->samples; s++) {
        const double late = (double)(j->r->at[s] - j->r->at[s - 1]) - (double)FAIR_BASE_NS;
        if (late > (double)j->r->tick_ns) sum += late;
    }
    return sum;
}

/* Somebody stops the CPUs beneath this host. From one sample to the next, less than a tick is what leaving the guest
 * and coming back costs, a dozen times. */
static double stalled(const struct judge *j)
{
    double sum = 0;
    if (j->p->vm[0].quota_us) return sampled_late(j);
    for (unsigned i = 0; i < j->p->vcpu_count; i++) {
        unsigned from, to, seen = 0;
        if (j->p->vcpu[i].work != FAIR_SPIN || !running_span(j, i, &from, &to))
            continue; /* others' own loops may take as long */
        double most = stalled_until(j, i, from);
        for (unsigned s = from + 1; s <= to; s++) {
            const double now = fair_at(j->r, s, i)->is_running ? stalled_until(j, i, s) : most;
            if (now <= most) continue;
            if (++seen >= SETTLED && now - most > (double)j->r->tick_ns) sum += now - most;
            most = now;
        }
    }
    return sum;
}

static void find_disturbance(struct judge *j)
{
    const struct fair_cpu_time *h = &j->r->host;
    const double all = j->wall * j->p->cpu_count, steal = (double)h->steal / all, stall = stalled(j) / all;

    j->lost = (steal > stall ? steal : stall) * all; /* the same time, seen twice */

    const double ours = charged_all(j, 0, last_sample(j)) + (double)j->r->vmm_ns;
    j->others = (double)h->busy - ours;
    j->taken = all - ours - (double)h->idle - (double)h->steal;
    j->out->is_stolen = steal > STEAL_MAX || stall > STEAL_MAX;
    if (steal > STEAL_MAX)
        (void)snprintf(j->out->disturbed, FAIR_TEXT,
                       "the host itself lost %.1f %% of these CPUs (steal, /proc/stat), more than %.0f %%", steal * 100,
                       STEAL_MAX * 100);
    else if (j->out->is_stolen)
        (void)snprintf(j->out->disturbed, FAIR_TEXT,
                       "this host's CPUs stood still for %.1f %% of the time, more than %.0f %%: guests lost it while "
                       "their threads ran, so whatever runs this host is busy",
                       stall * 100, STEAL_MAX * 100);
    else if (j->others / all > OTHERS_MAX)
        (void)snprintf(j->out->disturbed, FAIR_TEXT,
                       "others used %.1f %% of these CPUs, more than %.0f %%: run it where nothing else does",
                       j->others / all * 100, OTHERS_MAX * 100);
}

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

static void (*const checks[FAIR_PROPERTY_COUNT])(struct judge *, struct fair_finding *) = {
    [FAIR_F1] = judge_share,
    [FAIR_F2] = judge_share,
    [FAIR_F3] = judge_pairs,
    [FAIR_F4] = judge_jain,
    [FAIR_F5] = judge_convergence,
    [FAIR_F6] = judge_gap,
    [FAIR_F7] = judge_conservation_of_work,
    [FAIR_F8] = judge_interactive,
    [FAIR_F9] = judge_dodger,
    [FAIR_F10] = judge_groups,
    [FAIR_F11] = judge_cap,
    [FAIR_F12] = judge_share,
    [FAIR_F13] = judge_progress,
    [FAIR_C1] = judge_time,
    [FAIR_C2] = judge_steal,
    [FAIR_C3] = judge_waiting,
    [FAIR_C4] = judge_capacity,
};

static void judge_one(struct judge *j, enum fair_property property)
{
    struct fair_finding *f = &j->out->finding[j->out->count++];
    char reason[FAIR_TEXT];
    double gone;

    *f = (struct fair_finding){.property = property, .vcpu = -1, .unit = ""};
    checks[property](j, f);
    if (j->p->reported & 1u << property) {
        f->verdict = FAIR_REPORTED;
    } else if (j->out->is_stolen || (f->verdict == FAIR_FAIL && j->out->disturbed[0])) {
        doubt(f, j->out->disturbed);
    } else if (f->verdict == FAIR_FAIL && explains(j, f, &gone)) {
        (void)snprintf(reason, sizeof(reason),
                       "%.1f ms of these CPUs went to others, interrupts or this host's host, which would explain it",
                       ms(gone));
        doubt(f, reason);
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
    find_shares(&j);
    for (unsigned k = 0; k < out->windows; k++) out->error[k] = relative_error(&j, steps_of(&j, k));
    find_disturbance(&j);
    for (unsigned i = 0; i < FAIR_PROPERTY_COUNT; i++)
        if ((p->judged | p->reported) & 1u << i) judge_one(&j, (enum fair_property)i);
}
