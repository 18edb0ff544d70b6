/* A record held against the properties. Pure arithmetic.
 *
 * What somebody lacks is what it was due (due.c) less what it was charged. That is measured, not inferred, so what
 * other programs did on these CPUs is a cause here and no excuse, with two exceptions. Where a hypervisor below took
 * the time (steal), nobody knows whose it was. And over several CPUs no theorem bounds how evenly threads of equal
 * settings are balanced beside others' threads for a while. There it is inconclusive as long as those could explain it.
 */
#include <math.h>
#include <stdarg.h>
#include <string.h>

#include "bench/live/live.h"

#define TOLERANCE      0.02  /* of what is due, on one CPU: nobody calls less unfair */
#define TOLERANCE_SET  0.05  /* over several CPUs, where settings differ, */
#define TOLERANCE_FREE 0.10  /* and where they do not: balancing alone leaves 4 % after 8 s (properties.md, E3) */
#define WORTH          0.005 /* of a CPU: less is not worth a verdict */
#define ERRORS         3     /* standard errors that chance may account for */
#define STARVED_NS     1e8   /* a wait of 0.1 s is seen by people; shorter ones are left to F1 */
#define BESIDE_NS      1e9   /* beside others' threads, whose groups and policies are not ours to judge */
#define BESIDE         0.1   /* of its CPUs' time: so much that others had */
#define THROTTLED      0.01  /* of the time */
#define SHORT_OF       0.05  /* of the time: who waited more is told who had its CPUs */
#define ALWAYS         0.99  /* of the samples: then a vCPU always wanted to run */
#define IDENTITY       0.005 /* as C1 has it */
#define CONSERVED      0.02  /* as C4 has it */
#define STAT_NS        1e7   /* /proc/stat and processes count in steps of 10 ms */

const char *const live_verdicts[] = {
    [FAIR_PASS] = "pass", [FAIR_FAIL] = "fail", [FAIR_INCONCLUSIVE] = "inconclusive", [FAIR_REPORTED] = "reported"};

typedef void hold_fn(const struct live_record *r, struct live_report *out, struct live_finding *f);
static hold_fn hold_beside, hold_gap, hold_work, hold_vms, hold_bound, hold_throttled, hold_time, hold_capacity;

const struct live_property_row live_properties[LIVE_PROPERTY_COUNT] = {
    [LIVE_F1] = {"F1", "equal shares of a VM's vCPUs that may use the same CPUs", "due - C of the one that lacks most"},
    [LIVE_F10] = {"F10", "VMs by their weights, whatever their vCPU counts", "due - C of the VM that lacks most"},
    [LIVE_P1] = {"P1", "no binding to CPUs holds a vCPU back", "what it would have had elsewhere, at least"},
    [LIVE_T1] = {"T1", "no quota stops a vCPU", "time that its groups were stopped"},
    [LIVE_F6] = {"F6", "no starvation", "longest wait of a vCPU that was seen"},
    [LIVE_F7] = {"F7", "work conservation", "time that a vCPU waited while a CPU that it may use was idle"},
    [LIVE_C1] = {"C1", "a vCPU's time adds up", "|C + R - W|, always runnable"},
    [LIVE_C4] = {"C4", "CPU time is conserved", "|busy + idle + steal - M W|, or what is charged beyond busy"},
};
static hold_fn *const hold[LIVE_PROPERTY_COUNT] = {
    [LIVE_F1] = hold_beside, [LIVE_F10] = hold_vms, [LIVE_P1] = hold_bound, [LIVE_T1] = hold_throttled,
    [LIVE_F6] = hold_gap,    [LIVE_F7] = hold_work, [LIVE_C1] = hold_time,  [LIVE_C4] = hold_capacity,
};

/* ---- words ---- */

static void say(char out[LIVE_TEXT], const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static void say(char out[LIVE_TEXT], const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    (void)vsnprintf(out, LIVE_TEXT, fmt, args);
    va_end(args);
}

static void doubt(struct live_finding *f, const char *why, double ns)
{
    f->verdict = FAIR_INCONCLUSIVE;
    say(f->reason, why, ns / 1e6);
}

static double s(double ns)
{
    return ns / 1e9;
}

/* The slice rounded up to whole ticks: a slice's end is noticed at a tick. */
static double quantum(const struct live_record *r)
{
    const uint64_t tick = r->tick_ns ? r->tick_ns : 1;
    const uint64_t ticks = (r->slice_ns + tick - 1) / tick;
    return (double)(ticks * tick);
}

/* ---- F1, F10, P1: what somebody lacks ---- */

struct lack {
    double due, got, error;
    unsigned vcpus, cpus;  /* whose figures these are: each is charged at ticks; CPUs that serve them */
    double others;         /* CPU time there that was not of those who share it */
    enum live_blame blame; /* what sets it apart from its peers */
};

static double bound_of(const struct live_record *r, const struct lack *l)
{
    const double part = l->cpus == 1 ? TOLERANCE : l->blame == BLAME_SETTINGS ? TOLERANCE_SET : TOLERANCE_FREE;
    return 2 * quantum(r) + 2.0 * l->vcpus * (double)r->tick_ns + fmax(part * l->due, WORTH * live_wall(r));
}

static void hold_lack(const struct live_record *r, const struct live_report *out, const struct lack *l,
                      struct live_finding *f)
{
    f->statistic = fmax(l->due - l->got, 0);
    f->bound = bound_of(r, l);
    f->verdict = f->statistic <= f->bound ? FAIR_PASS : FAIR_FAIL;
    if (f->verdict == FAIR_PASS) return;
    if (f->statistic <= f->bound + ERRORS * l->error)
        doubt(f, "its peers slept and woke too irregularly to tell %.0f ms more exactly; give --duration more",
              f->statistic - f->bound);
    else if (f->statistic <= out->steal_ns)
        doubt(f, "this host's own host took %.0f ms (steal), which could explain it", out->steal_ns);
    else if (l->cpus > 1 && l->blame == BLAME_NOTHING && f->statistic <= l->others)
        doubt(f,
              "others took %.0f ms of these CPUs, which could explain it: nothing makes the kernel spread threads "
              "evenly over several CPUs beside them",
              l->others);
}

static const char *sign(const struct live_finding *f)
{
    return f->statistic <= f->bound ? "<=" : ">";
}

static bool is_beside(const struct live_record *r, unsigned a, unsigned b)
{
    return r->vcpu[a].vm == r->vcpu[b].vm && CPU_EQUAL(&r->vcpu[a].cpus, &r->vcpu[b].cpus);
}

static double busy_on(const struct live_record *r, const cpu_set_t *cpus)
{
    double sum = 0;
    for (unsigned c = 0; c < CPU_SETSIZE; c++)
        if (r->cpu[c].is_online && CPU_ISSET(c, cpus)) sum += (double)r->cpu[c].busy;
    return sum;
}

static double idle_on(const struct live_record *r, const cpu_set_t *cpus, bool is_in)
{
    double sum = 0;
    for (unsigned c = 0; c < CPU_SETSIZE; c++)
        if (r->cpu[c].is_online && (CPU_ISSET(c, cpus) != 0) == is_in) sum += (double)r->cpu[c].idle;
    return sum;
}

static void hold_beside(const struct live_record *r, struct live_report *out, struct live_finding *f)
{
    int worst = -1;
    char who[LIVE_WHO], cause[LIVE_TEXT];
    struct lack l = {0};
    f->verdict = FAIR_PASS;
    for (unsigned i = 0; i < r->vcpus; i++) {
        const struct live_had *h = &out->due.had[i];
        const double most = worst < 0 ? -1 : out->due.had[worst].due_beside - out->due.had[worst].charged;
        unsigned same = 0;
        for (unsigned k = 0; k < r->vcpus; k++) same += is_beside(r, i, k);
        if (same > 1 && h->due_beside - h->charged > most) worst = (int)i;
    }
    if (worst < 0) {
        say(f->text, "no VM here has two vCPUs that may use the same CPUs");
        return;
    }
    const struct live_had *h = &out->due.had[worst];
    unsigned peer[LIVE_VCPUS], peers = 0;
    l = (struct lack){.due = h->due_beside,
                      .got = h->charged,
                      .error = h->error_beside,
                      .vcpus = 1,
                      .cpus = (unsigned)CPU_COUNT(&r->vcpu[worst].cpus),
                      .others = busy_on(r, &r->vcpu[worst].cpus) - h->charged};
    for (unsigned k = 0; k < r->vcpus; k++) {
        if ((int)k == worst || !is_beside(r, (unsigned)worst, k)) continue;
        peer[peers++] = k;
        l.others -= out->due.had[k].charged;
    }
    l.blame = live_blame(r, (unsigned)worst, peer, peers, cause);
    f->vm = (int)r->vcpu[worst].vm;
    f->vcpu = worst;
    hold_lack(r, out, &l, f);
    if (f->verdict != FAIR_PASS) memcpy(f->cause, cause, sizeof(cause));
    say(f->text,
        "%s ran %.2f s of the %.2f s that it wanted; an equal share with the VM's %u other%s is %.2f s: it "
        "lacks %.0f ms %s %.0f ms",
        live_name(r, (unsigned)worst, who), s(h->charged), s(h->charged + h->waited), peers, peers == 1 ? "" : "s",
        s(l.due), f->statistic / 1e6, sign(f), f->bound / 1e6);
}

/* The one of the VM's vCPUs that lacks most speaks for it. */
static unsigned worst_of(const struct live_record *r, const struct live_report *out, unsigned vm)
{
    unsigned worst = r->vm[vm].first;
    for (unsigned i = worst; i < r->vm[vm].first + r->vm[vm].vcpus; i++) {
        const struct live_had *h = &out->due.had[i], *w = &out->due.had[worst];
        if (h->due_in_all - h->charged > w->due_in_all - w->charged) worst = i;
    }
    return worst;
}

/* May vCPUs of both use the same CPU? */
static bool do_meet(const struct live_record *r, const struct live_vm *a, const struct live_vm *b)
{
    for (unsigned i = a->first; i < a->first + a->vcpus; i++)
        for (unsigned k = b->first; k < b->first + b->vcpus; k++) {
            cpu_set_t both;
            CPU_AND(&both, &r->vcpu[i].cpus, &r->vcpu[k].cpus);
            if (CPU_COUNT(&both)) return true;
        }
    return false;
}

/* More threads than the VMs beside it have is a setting, too, unless groups come first. */
static bool say_counts(const struct live_record *r, unsigned vm, char out[LIVE_TEXT])
{
    const struct live_vm *mine = &r->vm[vm];
    const char *group = r->vcpu[mine->first].cause.group.path;
    for (const struct live_vm *other = r->vm; other < r->vm + r->vms; other++) {
        const bool is_flat = strcmp(group, r->vcpu[other->first].cause.group.path) == 0;
        if (other == mine || !is_flat || other->vcpus <= mine->vcpus || !do_meet(r, mine, other)) continue;
        live_append(out,
                    "vm %s has %u vCPUs and vm %s %u, all in one cgroup, where each thread counts; a cgroup for each "
                    "VM (vireo run --cgroup) would let VMs count",
                    other->name, other->vcpus, mine->name, mine->vcpus);
        return true;
    }
    return false;
}

static enum live_blame blame_vm(const struct live_record *r, const struct live_report *out, unsigned vm,
                                char cause[LIVE_TEXT])
{
    unsigned peer[LIVE_VCPUS], peers = 0;
    for (unsigned i = 0; i < r->vcpus; i++)
        if (r->vcpu[i].vm != vm) peer[peers++] = i;
    const enum live_blame blame = live_blame(r, worst_of(r, out, vm), peer, peers, cause);
    return say_counts(r, vm, cause) ? BLAME_SETTINGS : blame;
}

static struct lack lack_of_vm(const struct live_record *r, const struct live_report *out, unsigned vm)
{
    struct lack l = {.vcpus = r->vm[vm].vcpus, .others = out->others_ns + out->rest_ns};
    cpu_set_t online;
    live_online(r, &online);
    l.cpus = (unsigned)CPU_COUNT(&online);
    for (unsigned i = r->vm[vm].first; i < r->vm[vm].first + r->vm[vm].vcpus; i++) {
        l.due += out->due.had[i].due_in_all;
        l.got += out->due.had[i].charged;
        l.error += out->due.had[i].error_in_all;
    }
    return l;
}

static void hold_vms(const struct live_record *r, struct live_report *out, struct live_finding *f)
{
    struct lack worst = {0};
    double sum = 0, got = 0;
    char cause[LIVE_TEXT];
    f->verdict = FAIR_PASS;
    if (r->vms < 2) {
        say(f->text, "one VM has nobody to be compared with; name several");
        return;
    }
    for (unsigned k = 0; k < r->vms; k++) {
        const struct lack l = lack_of_vm(r, out, k);
        sum += r->vm[k].weight;
        got += l.got;
        if (f->vm >= 0 && l.due - l.got <= worst.due - worst.got) continue;
        f->vm = (int)k;
        worst = l;
    }
    worst.blame = blame_vm(r, out, (unsigned)f->vm, cause);
    hold_lack(r, out, &worst, f);
    if (f->verdict != FAIR_PASS) memcpy(f->cause, cause, sizeof(cause));
    say(f->text,
        "vm %s ran %.2f s; of the %.2f s that all VMs got, weight %.4g of %.4g (%s) while it wanted to run is "
        "%.2f s: it lacks %.0f ms %s %.0f ms",
        r->vm[f->vm].name, s(worst.got), s(got), r->vm[f->vm].weight, sum, r->weights_from, s(worst.due),
        f->statistic / 1e6, sign(f), f->bound / 1e6);
}

/* Of the vCPUs that may use the same CPUs as this one. */
struct bound {
    double waited, idle; /* together; and how long CPUs that they may not use were idle */
    struct lack lack;    /* of an even division over all CPUs */
};

static struct bound bound_with(const struct live_record *r, const struct live_report *out, unsigned vcpu)
{
    struct bound b = {.idle = idle_on(r, &r->vcpu[vcpu].cpus, false)};
    for (unsigned i = 0; i < r->vcpus; i++) {
        const struct live_had *h = &out->due.had[i];
        if (!CPU_EQUAL(&r->vcpu[i].cpus, &r->vcpu[vcpu].cpus)) continue;
        b.waited += h->waited;
        b.lack.due += h->due_in_all;
        b.lack.got += h->charged;
        b.lack.error += h->error_in_all;
        b.lack.vcpus++;
    }
    return b;
}

/* vCPUs that may not use every CPU. Elsewhere they would have had what was idle there while they waited, or what they
 * lack of an even division of what all VMs got. What one of them got of another's does not matter here. */
static void hold_bound(const struct live_record *r, struct live_report *out, struct live_finding *f)
{
    cpu_set_t online;
    struct bound worst = {0};
    double least = -1;
    char who[LIVE_WHO], cpus[CAUSE_CPUS];
    live_online(r, &online);
    f->verdict = FAIR_PASS;
    for (unsigned i = 0; i < r->vcpus; i++) {
        const struct bound b = bound_with(r, out, i);
        const double held = fmax(fmin(b.waited, b.idle), b.lack.due - b.lack.got);
        if (CPU_EQUAL(&r->vcpu[i].cpus, &online) || held <= least) continue;
        f->vcpu = (int)i;
        least = held;
        worst = b;
    }
    if (f->vcpu < 0) {
        say(f->text, "every vCPU may use every CPU");
        return;
    }
    const bool is_idle = fmin(worst.waited, worst.idle) >= least;
    struct lack l = worst.lack;
    f->vm = (int)r->vcpu[f->vcpu].vm;
    l.cpus = (unsigned)CPU_COUNT(&online);
    l.due = l.got + fmax(least, 0);
    l.blame = BLAME_CPUS;
    if (is_idle) l.error = 0;
    hold_lack(r, out, &l, f);
    (void)live_name(r, (unsigned)f->vcpu, who);
    (void)live_cpus_text(&r->vcpu[f->vcpu].cpus, cpus);
    const char *plural = CPU_COUNT(&r->vcpu[f->vcpu].cpus) > 1 ? "s" : "";
    if (is_idle)
        say(f->text,
            "on CPU%s %s alone, %s and whoever else is bound there waited %.2f s while other CPUs were idle for "
            "%.2f s: %.0f ms %s %.0f ms",
            plural, cpus, who, s(worst.waited), s(worst.idle), f->statistic / 1e6, sign(f), f->bound / 1e6);
    else
        say(f->text,
            "on CPU%s %s alone, %s and whoever else is bound there ran %.2f s; an even division over all CPUs would "
            "give %.2f s: %.0f ms %s %.0f ms",
            plural, cpus, who, s(worst.lack.got), s(worst.lack.due), f->statistic / 1e6, sign(f), f->bound / 1e6);
    if (f->verdict != FAIR_PASS) (void)live_blame(r, (unsigned)f->vcpu, NULL, 0, f->cause);
}

/* ---- F6, F7, T1 ---- */

/* F1 lets a vCPU fall behind by 2 Q of its share of a CPU. Everybody who competed there makes that share smaller. */
static double gap_bound(const struct live_record *r, const struct live_report *out, unsigned vcpu)
{
    const cpu_set_t *cpus = &r->vcpu[vcpu].cpus;
    double competing = 0, others = busy_on(r, cpus);
    for (unsigned i = 0; i < r->vcpus; i++) {
        cpu_set_t both;
        CPU_AND(&both, &r->vcpu[i].cpus, cpus);
        if (!CPU_COUNT(&both)) continue;
        competing += out->due.had[i].wants;
        others -= out->due.had[i].charged;
    }
    const bool is_beside = others > BESIDE * CPU_COUNT(cpus) * (double)r->host_ns;
    return fmax(2 * competing * quantum(r), is_beside ? BESIDE_NS : STARVED_NS) + 2 * (double)r->tick_ns;
}

static void hold_gap(const struct live_record *r, struct live_report *out, struct live_finding *f)
{
    unsigned peer[LIVE_VCPUS], peers = 0;
    char who[LIVE_WHO];
    f->vcpu = 0;
    for (unsigned i = 1; i < r->vcpus; i++)
        if (out->due.had[i].longest > out->due.had[f->vcpu].longest) f->vcpu = (int)i;
    for (unsigned i = 0; i < r->vcpus; i++)
        if ((int)i != f->vcpu) peer[peers++] = i;
    f->vm = (int)r->vcpu[f->vcpu].vm;
    f->statistic = out->due.had[f->vcpu].longest;
    f->bound = gap_bound(r, out, (unsigned)f->vcpu);
    f->verdict = f->statistic <= f->bound ? FAIR_PASS : FAIR_FAIL;
    say(f->text, "%s waited at least %.0f ms at a stretch %s %.0f ms", live_name(r, (unsigned)f->vcpu, who),
        f->statistic / 1e6, sign(f), f->bound / 1e6);
    if (f->verdict == FAIR_PASS) return;
    (void)live_blame(r, (unsigned)f->vcpu, peer, peers, f->cause);
    if (out->steal_ns >= f->statistic)
        doubt(f, "this host's own host took %.0f ms (steal), which could explain it", out->steal_ns);
}

/* Of a vCPU that always wanted to run, no idle moment of its CPUs is to be had. Where a quota stopped it, T1 says so.
 */
static void hold_work(const struct live_record *r, struct live_report *out, struct live_finding *f)
{
    char who[LIVE_WHO];
    f->verdict = FAIR_PASS;
    for (unsigned i = 0; i < r->vcpus; i++) {
        const struct live_had *h = &out->due.had[i];
        const double idle = fmin(h->waited, idle_on(r, &r->vcpu[i].cpus, true));
        if (h->wants < ALWAYS || r->vcpu[i].cause.throttled.times || (f->vcpu >= 0 && idle <= f->statistic)) continue;
        f->vcpu = (int)i;
        f->statistic = idle;
    }
    if (f->vcpu < 0) {
        say(f->text, "no vCPU wanted to run all the time");
        return;
    }
    const unsigned cpus = (unsigned)CPU_COUNT(&r->vcpu[f->vcpu].cpus);
    f->vm = (int)r->vcpu[f->vcpu].vm;
    f->bound = live_wall(r) * (cpus == 1 ? TOLERANCE : TOLERANCE_SET) + STAT_NS * cpus;
    f->verdict = f->statistic <= f->bound ? FAIR_PASS : FAIR_FAIL;
    say(f->text, "%s always wanted to run, waited %.2f s, and its CPUs were idle for %.2f s: %.0f ms %s %.0f ms",
        live_name(r, (unsigned)f->vcpu, who), s(out->due.had[f->vcpu].waited),
        s(idle_on(r, &r->vcpu[f->vcpu].cpus, true)), f->statistic / 1e6, sign(f), f->bound / 1e6);
    if (f->verdict == FAIR_FAIL) (void)live_blame(r, (unsigned)f->vcpu, NULL, 0, f->cause);
}

static void hold_throttled(const struct live_record *r, struct live_report *out, struct live_finding *f)
{
    char who[LIVE_WHO];
    (void)out;
    f->verdict = FAIR_PASS;
    f->bound = live_wall(r) * THROTTLED;
    for (unsigned i = 0; i < r->vcpus; i++) {
        if (f->vcpu >= 0 && (double)r->vcpu[i].cause.throttled.ns <= f->statistic) continue;
        f->vcpu = (int)i;
        f->statistic = (double)r->vcpu[i].cause.throttled.ns;
    }
    const struct cause *c = &r->vcpu[f->vcpu].cause;
    f->vm = (int)r->vcpu[f->vcpu].vm;
    f->verdict = f->statistic <= f->bound ? FAIR_PASS : FAIR_FAIL;
    if (!c->throttled.times) {
        say(f->text, "no CPU quota stopped one");
        return;
    }
    say(f->text, "CPU quotas stopped the cgroup of %s %llu times, for %.0f ms on its CPUs together %s %.0f ms",
        live_name(r, (unsigned)f->vcpu, who), (unsigned long long)c->throttled.times, f->statistic / 1e6, sign(f),
        f->bound / 1e6);
    if (f->verdict == FAIR_FAIL && c->group.quota_us)
        say(f->cause, "cgroup %s, or one above it, may run for %.3g of every %.3g ms", c->group.path,
            (double)c->group.quota_us / 1e3, (double)c->group.period_us / 1e3);
}

/* ---- C1, C4 ---- */

/* A wait that has begun before the first sample, or goes on at the last, is told whole or not at all: so much slack. */
static void hold_time(const struct live_record *r, struct live_report *out, struct live_finding *f)
{
    const double wall = live_wall(r);
    char who[LIVE_WHO];
    for (unsigned i = 0; i < r->vcpus; i++) {
        const struct live_cell *a = live_at(r, 0, i), *b = live_at(r, r->samples - 1, i);
        const double off = fabs((double)(b->charged - a->charged) + (double)(b->delay - a->delay) - wall);
        const double bound = IDENTITY * wall + 2 * (out->due.had[i].longest + (double)r->tick_ns + quantum(r));
        if (out->due.had[i].wants < 1 || r->vcpu[i].cause.throttled.times) continue;
        if (f->vcpu >= 0 && off - bound <= f->statistic - f->bound) continue;
        f->vcpu = (int)i;
        f->statistic = off;
        f->bound = bound;
    }
    f->verdict = FAIR_PASS;
    if (f->vcpu < 0) {
        say(f->text, "no vCPU wanted to run at every sample");
        return;
    }
    f->vm = (int)r->vcpu[f->vcpu].vm;
    f->verdict = f->statistic <= f->bound ? FAIR_PASS : FAIR_FAIL;
    say(f->text, "%s: |C + R - W| = %.0f ms %s %.0f ms", live_name(r, (unsigned)f->vcpu, who), f->statistic / 1e6,
        sign(f), f->bound / 1e6);
    if (f->verdict == FAIR_FAIL && out->steal_ns >= f->statistic - f->bound)
        doubt(f, "this host's own host took %.0f ms (steal), which could explain it", out->steal_ns);
}

static void hold_capacity(const struct live_record *r, struct live_report *out, struct live_finding *f)
{
    unsigned cpus = 0;
    double busy = 0;
    for (unsigned c = 0; c < CPU_SETSIZE; c++) {
        cpus += r->cpu[c].is_online;
        busy += r->cpu[c].is_online ? (double)r->cpu[c].busy : 0;
    }
    const double known = out->vcpus_ns + out->own_ns + out->others_ns;
    const double off = fabs(busy + out->idle_ns + out->steal_ns - out->all_ns);
    f->statistic = fmax(off, known - busy);
    f->bound = CONSERVED * out->all_ns + STAT_NS * (cpus + r->takers);
    f->verdict = f->statistic <= f->bound ? FAIR_PASS : FAIR_FAIL;
    say(f->text,
        "%u CPUs for %.2f s: vCPUs %.2f, the VMs' other threads %.2f, others %.2f, unnamed %.2f, idle %.2f, "
        "steal %.2f s; off by %.0f ms %s %.0f ms",
        cpus, s((double)r->host_ns), s(out->vcpus_ns), s(out->own_ns), s(out->others_ns), s(out->rest_ns),
        s(out->idle_ns), s(out->steal_ns), f->statistic / 1e6, sign(f), f->bound / 1e6);
    if (f->verdict == FAIR_FAIL) doubt(f, "the kernel's own figures disagree by %.0f ms", f->statistic);
}

/* ---- all of it ---- */

static void add_up(const struct live_record *r, struct live_report *out)
{
    double busy = 0;
    for (unsigned i = 0; i < r->vcpus; i++) out->vcpus_ns += live_charged(r, i);
    for (unsigned k = 0; k < r->vms; k++) out->own_ns += (double)r->vm[k].own_ns;
    for (unsigned k = 0; k < r->takers; k++) out->others_ns += (double)r->taker[k].ns;
    for (unsigned c = 0; c < CPU_SETSIZE; c++) {
        if (!r->cpu[c].is_online) continue;
        busy += (double)r->cpu[c].busy;
        out->idle_ns += (double)r->cpu[c].idle;
        out->steal_ns += (double)r->cpu[c].steal;
        out->all_ns += (double)r->host_ns;
    }
    out->rest_ns = fmax(busy - out->vcpus_ns - out->own_ns - out->others_ns, 0);
}

/* Identities come last: where they fail, the figures of the others are in doubt. */
static void sum_up(const struct live_record *r, struct live_report *out)
{
    const struct live_finding *worst = NULL;
    char where[LIVE_TEXT] = "";
    out->verdict = FAIR_PASS;
    for (unsigned p = 0; p < LIVE_PROPERTY_COUNT; p++) {
        const struct live_finding *f = &out->finding[p];
        const bool is_worse = f->verdict == FAIR_FAIL || (f->verdict == FAIR_INCONCLUSIVE && out->verdict == FAIR_PASS);
        if (!is_worse || out->verdict == FAIR_FAIL) continue;
        out->verdict = f->verdict;
        worst = f;
    }
    if (worst) {
        const char *why = out->verdict == FAIR_FAIL ? worst->cause : worst->reason;
        (void)snprintf(out->summary, sizeof(out->summary), "%s: %.780s%s%.780s",
                       out->verdict == FAIR_FAIL ? "No" : "It can't be told", worst->text, why[0] ? ". Why: " : "",
                       why);
        return;
    }
    unsigned most = 0;
    for (unsigned i = 1; i < r->vcpus; i++)
        if (out->due.had[i].waited > out->due.had[most].waited) most = i;
    const double waited = out->due.had[most].waited / live_wall(r);
    char who[LIVE_WHO];
    if (waited > SHORT_OF) (void)live_blame(r, most, NULL, 0, where);
    (void)snprintf(out->summary, sizeof(out->summary),
                   "Nothing unfair is seen. The one that waited most, %s, waited %.0f %% of the time%s%s",
                   live_name(r, most, who), waited * 100, where[0] ? ": " : "", where);
}

int live_judge(const struct live_record *r, struct live_report *out)
{
    memset(out, 0, sizeof(*out));
    const int rc = live_due_make(&out->due, r);
    if (rc) return rc;
    add_up(r, out);
    for (unsigned p = 0; p < LIVE_PROPERTY_COUNT; p++) {
        struct live_finding *f = &out->finding[p];
        f->vm = f->vcpu = -1;
        hold[p](r, out, f);
    }
    sum_up(r, out);
    return 0;
}

void live_report_free(struct live_report *f)
{
    live_due_free(&f->due);
}
