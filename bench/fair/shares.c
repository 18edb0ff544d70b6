/* What each vCPU is due, and the properties that hold it against what the vCPU got in windows: F1 to F5, F9 to F12. */
#include <math.h>
#include <stdio.h>

#include "bench/fair/judge.h"
#include "bench/statistics.h"

#define GROUP_WEIGHT 100    /* the kernel's, of a cgroup that was given none */
#define SLOPE_POINTS 4      /* F5 needs so many window lengths, */
#define SLOPE_SPAN   20     /* and the longest so many times the shortest: fewer tell no slope */
#define LOOSE_NS     500000 /* a sample that took longer is of no one moment: no window begins or ends there */
#define CAP_SLACK_NS 5e6    /* sched-bwc.rst, sched_cfs_bandwidth_slice_us: what is handed to a CPU at a time */

/* ---- the worst window ---- */

/* How far vCPU, pair or VM `who` is off in a window. */
typedef double off_fn(const struct judge *j, unsigned who, struct span s);

struct search {
    off_fn *off;
    unsigned count; /* of those that `who` may be */
    bool by_size;   /* look for the largest size, whatever the sign; else for the largest number */
};

struct worst {
    bool is_set;
    double off;
    unsigned who;
    struct span span;
};

/* Of two that are off by the same size, as two vCPUs always are, the one that got less is worse. */
static bool is_worse(const struct search *search, double a, double b)
{
    const double size = fabs(a) - fabs(b);
    if (!search->by_size) return a > b;
    return fabs(size) > 1 ? size > 0 : a < b;
}

static void search_windows(const struct judge *j, const struct search *search, unsigned window, struct worst *w)
{
    struct span s = {0, (unsigned)(j->o->window_ns[window] / FAIR_BASE_NS)};
    for (; s.to < j->r->samples; s.from++, s.to++) {
        if (j->r->width[s.from] > LOOSE_NS || j->r->width[s.to] > LOOSE_NS) continue;
        for (unsigned who = 0; who < search->count; who++) {
            const double off = search->off(j, who, s);
            if (!w->is_set || is_worse(search, off, w->off)) *w = (struct worst){true, off, who, s};
        }
    }
}

/* false: no window begins and ends where samples tell, and the finding says so. */
static bool has_window(struct fair_finding *f, const struct worst *w)
{
    if (!w->is_set) judge_doubt(f, "no two samples were read quickly enough to be of one moment each");
    return w->is_set;
}

/* In windows of every length. */
static struct worst search_all(const struct judge *j, off_fn *off, unsigned count, bool by_size)
{
    const struct search search = {off, count, by_size};
    struct worst w = {0};
    for (unsigned k = 0; k < j->out->windows; k++) search_windows(j, &search, k, &w);
    return w;
}

/* ---- what each is due ---- */

static double group_weight(const struct judge *j, unsigned vm)
{
    return j->p->vm[vm].weight ? j->p->vm[vm].weight : GROUP_WEIGHT;
}

static double group_share(const struct judge *j, unsigned vm)
{
    double sum = 0;
    for (unsigned i = 0; i < j->p->vm_count; i++) sum += group_weight(j, i);
    return group_weight(j, vm) / sum;
}

static double relative_error(const struct judge *j, unsigned vcpu, struct span s)
{
    const double sum = judge_charged_all(j, s);
    return sum > 0 ? fabs(judge_charged(j, vcpu, s) / (j->out->share[vcpu] * sum) - 1) : 0;
}

/* A vCPU's share is by weight, but no more than a CPU. VMs in cgroups share by the weight of their group, and each
 * shares that out equally. */
void judge_shares(struct judge *j)
{
    const unsigned n = j->p->vcpu_count;
    double weight[FAIR_THREADS], sum = 0, *share = j->out->share;

    for (unsigned i = 0; i < n; i++) weight[i] = j->p->vcpu[i].weight;
    statistics_fill(weight, n, j->p->cpu_count, 1, share);
    for (unsigned i = 0; i < n; i++) sum += share[i];
    for (unsigned i = 0; i < n; i++) {
        const unsigned vm = j->p->vcpu[i].vm;
        share[i] = j->p->vm[vm].has_cgroup ? group_share(j, vm) / j->p->vm[vm].vcpus : share[i] / sum;
    }
    for (unsigned k = 0; k < j->out->windows; k++) {
        struct worst w = {0};
        search_windows(j, &(struct search){relative_error, n, false}, k, &w);
        j->out->error[k] = w.off;
    }
}

/* ---- F1, F2, F9, F10, F12: the distance from a share ---- */

static double off_share(const struct judge *j, unsigned vcpu, struct span s)
{
    return judge_charged(j, vcpu, s) - j->out->share[vcpu] * judge_charged_all(j, s);
}

/* Where others are on the runqueue, the lags of our n competitors do not add up to 0: all of them together may be off
 * by 2 Q each. Of a share that is a part of their sum, that is share (n - 2) 2 Q more than the bound has. */
static double lag_of_others(const struct judge *j, const struct fair_finding *f, double share)
{
    const unsigned n = f->property == FAIR_F10 ? j->p->vm_count : j->p->vcpu_count;
    return n > 2 && j->others > (double)j->r->tick_ns ? judge_limit(f) * j->quantum * share * (n - 2) : 0;
}

static void hold_share(const struct judge *j, struct fair_finding *f, const struct worst *w, const char *who,
                       double share)
{
    const bool is_gain = f->property == FAIR_F9; /* the dodger may lose */

    if (!has_window(f, w)) return;
    judge_hold(f, is_gain ? w->off : fabs(w->off), judge_limit(f) * j->quantum);
    f->figures.explained_ns = lag_of_others(j, f, share);
    judge_say(f,
              "%s got %.1f ms %s its share of %.4g in %.3g s: %s = %.1f ms %s 2 * Q = %.1f ms (slice %.3g ms in ticks "
              "of %.3g ms)",
              who, ms(fabs(w->off)), w->off < 0 ? "less than" : "more than", share, judge_time(j, w->span) / 1e9,
              is_gain ? "C - share * sum" : "|C - share * sum|", ms(f->figures.statistic), judge_sign(f),
              ms(f->figures.bound), ms((double)j->r->slice_ns), ms((double)j->r->tick_ns));
}

void measure_share(const struct judge *j, struct fair_finding *f)
{
    const struct worst w = search_all(j, off_share, j->p->vcpu_count, true);
    char who[32];
    f->vcpu = (int)w.who;
    hold_share(j, f, &w, fair_name(j->p, w.who, who), j->out->share[w.who]);
}

/* The dodger is the first vCPU. */
void measure_dodger(const struct judge *j, struct fair_finding *f)
{
    const struct worst w = search_all(j, off_share, 1, false);
    char who[32];
    f->vcpu = 0;
    hold_share(j, f, &w, fair_name(j->p, 0, who), j->out->share[0]);
}

static double charged_group(const struct judge *j, unsigned vm, struct span s)
{
    double sum = 0;
    for (unsigned i = 0; i < j->p->vcpu_count; i++)
        if (j->p->vcpu[i].vm == vm) sum += judge_charged(j, i, s);
    return sum;
}

static double off_group(const struct judge *j, unsigned vm, struct span s)
{
    return charged_group(j, vm, s) - group_share(j, vm) * judge_charged_all(j, s);
}

void measure_groups(const struct judge *j, struct fair_finding *f)
{
    const struct worst w = search_all(j, off_group, j->p->vm_count, true);
    char who[32];
    (void)snprintf(who, sizeof(who), "VM %u", w.who);
    for (f->vcpu = 0; j->p->vcpu[f->vcpu].vm != w.who;) f->vcpu++;
    hold_share(j, f, &w, who, group_share(j, w.who));
}

/* ---- F3 ---- */

static double per_weight(const struct judge *j, unsigned vcpu, struct span s)
{
    return judge_charged(j, vcpu, s) / j->p->vcpu[vcpu].weight;
}

/* Half of the bound, which is what start-time fair queueing allows. */
static double quanta_per_weight(const struct judge *j, unsigned a, unsigned b)
{
    return j->quantum / j->p->vcpu[a].weight + j->quantum / j->p->vcpu[b].weight;
}

/* A pair is numbered a * N + b. It is off in units of what it is allowed, since each pair has a bound of its own. */
static double off_pair(const struct judge *j, unsigned pair, struct span s)
{
    const unsigned a = pair / j->p->vcpu_count, b = pair % j->p->vcpu_count;
    if (a >= b) return -1; /* each pair once */
    return fabs(per_weight(j, a, s) - per_weight(j, b, s)) / quanta_per_weight(j, a, b);
}

void measure_pairs(const struct judge *j, struct fair_finding *f)
{
    const struct fair_vcpu_plan *v = j->p->vcpu;
    const unsigned n = j->p->vcpu_count;
    const struct worst w = search_all(j, off_pair, n * n, false);
    const unsigned a = w.who / n, b = w.who % n;
    const double of_a = per_weight(j, a, w.span), of_b = per_weight(j, b, w.span);

    if (!has_window(f, &w)) return;
    if (a == b) {
        judge_doubt(f, "one vCPU has nobody to be compared with");
        return;
    }
    f->vcpu = (int)(of_a < of_b ? a : b);
    f->figures.unit_ns = 2 / (1 / v[a].weight + 1 / v[b].weight); /* a stall moves each by its length */
    judge_hold(f, fabs(of_a - of_b), judge_limit(f) * quanta_per_weight(j, a, b));
    judge_say(f,
              "vCPUs %u and %u in %.3g s: |C/w - C/w| = |%.1f / %.3g - %.1f / %.3g| = %.1f ms %s 2 (Q/w + Q/w) = %.1f "
              "ms; start-time fair queueing promises %.1f ms",
              a, b, judge_time(j, w.span) / 1e9, ms(of_a * v[a].weight), v[a].weight, ms(of_b * v[b].weight),
              v[b].weight, ms(f->figures.statistic), judge_sign(f), ms(f->figures.bound),
              ms(quanta_per_weight(j, a, b)));
}

/* ---- F4, F5 ---- */

void measure_jain(const struct judge *j, struct fair_finding *f)
{
    const unsigned n = j->p->vcpu_count;
    double x[FAIR_THREADS], sum = 0, off = 0;

    for (unsigned i = 0; i < n; i++) sum += x[i] = judge_charged(j, i, judge_run(j)) / j->out->share[i];
    for (unsigned i = 0; i < n; i++)
        if (fabs(x[i] / (sum / n) - 1) > off) off = fabs(x[i] / (sum / n) - 1);
    judge_hold(f, statistics_jain(x, n), judge_limit(f));
    judge_say(f, "Jain's index of C/share over the run: %.5f, farthest from the mean: %.2f %%", f->figures.statistic,
              off * 100);
}

/* What all vCPUs together were charged in windows of a length, on average; in `error` their greatest relative error,
 * and in `who` whose it is. A window in which they had less than a round tells nothing, since there the error of those
 * that had no turn yet is 1, whatever its length. 0: no window tells. */
static double served(const struct judge *j, unsigned window, double *error, int *who)
{
    const double round = j->p->vcpu_count * j->quantum;
    struct span s = {0, (unsigned)(j->o->window_ns[window] / FAIR_BASE_NS)};
    double sum = 0;
    unsigned n = 0;

    *error = 0;
    for (; s.to < j->r->samples; s.from++, s.to++) {
        const double charged = judge_charged_all(j, s);
        if (charged < round) continue;
        sum += charged;
        n++;
        for (unsigned i = 0; i < j->p->vcpu_count; i++) {
            const double off = relative_error(j, i, s);
            if (off <= *error) continue;
            *error = off;
            *who = (int)i;
        }
    }
    return n ? sum / n : 0;
}

/* The slope is over what the vCPUs were served, which on a quiet CPU is W. */
void measure_convergence(const struct judge *j, struct fair_finding *f)
{
    double at[FAIR_WINDOWS], error[FAIR_WINDOWS];
    char who[32];
    unsigned n = 0;

    f->vcpu = 0;
    for (unsigned k = 0; k < j->out->windows; k++)
        if ((at[n] = served(j, k, &error[n], &f->vcpu)) > 0) n++;
    if (n < SLOPE_POINTS || at[n - 1] < SLOPE_SPAN * at[0]) {
        judge_doubt(f,
                    "too few window lengths in which vCPUs were served: it takes 4, the longest 20 times the shortest");
        return;
    }
    judge_hold(f, statistics_slope(at, error, n), judge_limit(f));
    judge_say(f, "relative error %.3g in %.3g s of CPU time, %.3g in %.3g s (of %s): slope %.2f %s %.2f", error[0],
              at[0] / 1e9, error[n - 1], at[n - 1] / 1e9, fair_name(j->p, (unsigned)f->vcpu, who), f->figures.statistic,
              judge_sign(f), f->figures.bound);
    /* What is left in the longest windows is measured against what may always be left. */
    const double left = error[n - 1] * at[n - 1] * j->out->share[f->vcpu],
                 allowed = 2 * (j->quantum + j->longest_stall);
    if (f->verdict == FAIR_FAIL && left <= allowed)
        judge_doubt(f, "what is left in the longest windows, %.1f ms, is no more than F1 allows in any: run longer",
                    ms(left));
}

/* ---- F11 ---- */

static double cap_slack(const struct judge *j)
{
    return CAP_SLACK_NS * j->p->cpu_count;
}

/* What the first VM may use in a window, which touches one period more than fit into it. */
static double cap(const struct judge *j, struct span s)
{
    const struct fair_vm_plan *vm = &j->p->vm[0];
    const double more = fair_properties[FAIR_F11].limit;
    return (double)vm->quota_us * 1e3 * (judge_time(j, s) / ((double)vm->period_us * 1e3) + more) + cap_slack(j);
}

static double off_cap(const struct judge *j, unsigned vm, struct span s)
{
    return charged_group(j, vm, s) - cap(j, s);
}

void measure_cap(const struct judge *j, struct fair_finding *f)
{
    const struct fair_vm_plan *vm = &j->p->vm[0];
    const struct worst w = search_all(j, off_cap, 1, false);

    if (!has_window(f, &w)) return;
    judge_hold(f, charged_group(j, 0, w.span), cap(j, w.span));
    judge_say(f, "C = %.1f ms in %.3g s %s %.3g ms * (W / %.3g ms + 1) + %.3g ms = %.1f ms", ms(f->figures.statistic),
              judge_time(j, w.span) / 1e9, judge_sign(f), (double)vm->quota_us / 1e3, (double)vm->period_us / 1e3,
              ms(cap_slack(j)), ms(f->figures.bound));
}
