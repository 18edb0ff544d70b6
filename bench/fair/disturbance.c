/* How far a record tells of the host rather than of its scheduler: what others used, and what the host itself lost. */
#include <stdio.h>

#include "bench/fair/judge.h"

#define STEAL_MAX  0.01 /* of the CPUs' time; beyond it there is no verdict */
#define OTHERS_MAX 0.02 /* the same, used by other processes; beyond it nothing fails */
#define SETTLED    3    /* samples after which a guest has surely looked at its counter */

/* How much time the guest has seen pass without it, up to a sample, though its thread did not wait. It is too little
 * where the guest has not looked at its counter since it last waited. */
static double stalled_until(const struct judge *j, unsigned vcpu, unsigned sample)
{
    const struct fair_count *c = fair_at(j->r, sample, vcpu);
    const double paused = (double)(j->r->at[sample] - j->r->at[0]) - judge_time(j, (struct span){0, sample});
    return (double)c->lost - (double)c->delay - paused;
}

/* How late the sampling thread was woken, in all. */
static double sampled_late(const struct judge *j)
{
    double sum = 0;
    for (unsigned s = 1; s < j->r->samples; s++) {
        const double late = (double)(j->r->at[s] - j->r->at[s - 1]) - (double)FAIR_BASE_NS;
        if (late > (double)j->r->tick_ns) sum += late;
    }
    return sum;
}

/* Leaving the guest and coming back a dozen times costs less than a tick from one sample to the next. Over more
 * samples, it has cost less than a quarter of a tick each on the slowest host yet seen. */
static double cost_of_switches(const struct judge *j, unsigned samples)
{
    return (double)j->r->tick_ns * (0.75 + 0.25 * samples);
}

/* How long a vCPU's CPU stood still. A vCPU that does not spin may take as long for a loop of its own. */
static double stalled_under(const struct judge *j, unsigned vcpu)
{
    struct span s;
    unsigned seen = 0;
    double sum = 0;

    if (j->p->vcpu[vcpu].work != FAIR_SPIN || !judge_running(j, vcpu, &s)) return 0;
    double most = stalled_until(j, vcpu, s.from);
    for (unsigned at = s.from + 1, last = s.from; at <= s.to; at++) {
        const double now = fair_at(j->r, at, vcpu)->is_running ? stalled_until(j, vcpu, at) : most;
        if (now <= most) continue;
        if (++seen >= SETTLED && now - most > cost_of_switches(j, at - last)) sum += now - most;
        most = now;
        last = at;
    }
    return sum;
}

/* How long whoever runs this host stopped its CPUs. A thread that waits for its quota is not said to wait, so under a
 * cap the sampling thread must tell. */
static double stalled(const struct judge *j)
{
    double sum = 0;
    if (j->p->vm[0].quota_us) return sampled_late(j);
    for (unsigned i = 0; i < j->p->vcpu_count; i++) sum += stalled_under(j, i);
    return sum;
}

void judge_disturbance(struct judge *j)
{
    const double busy = (double)j->r->host.busy, all = j->wall * j->p->cpu_count;
    const double steal = (double)j->r->host.steal / all, stall = stalled(j) / all;
    const double ours = judge_charged_all(j, judge_run(j)) + (double)j->r->vmm_ns, free = all > ours ? all - ours : 0;
    char *text = j->out->disturbed;

    j->lost = (steal > stall ? steal : stall) * all;     /* it is the same time, seen twice */
    j->others = busy - ours < free ? busy - ours : free; /* C4 tells if that isn't all */
    j->taken = all - ours - (double)j->r->host.idle - (double)j->r->host.steal;
    j->out->is_stolen = steal > STEAL_MAX || stall > STEAL_MAX || j->r->throttled;
    if (j->r->throttled)
        (void)snprintf(text, FAIR_TEXT,
                       "the CPU quota of a cgroup around this process stopped it %llu times; run it outside",
                       (unsigned long long)j->r->throttled);
    else if (steal > STEAL_MAX)
        (void)snprintf(text, FAIR_TEXT,
                       "the host itself lost %.1f %% of these CPUs (steal, /proc/stat), more than %.0f %%", steal * 100,
                       STEAL_MAX * 100);
    else if (stall > STEAL_MAX)
        (void)snprintf(text, FAIR_TEXT,
                       "this host's CPUs stood still for %.1f %% of the time, more than %.0f %%: guests lost it while "
                       "their threads ran, so whatever runs this host is busy",
                       stall * 100, STEAL_MAX * 100);
    else if (j->others / all > OTHERS_MAX)
        (void)snprintf(text, FAIR_TEXT,
                       "others used %.1f %% of these CPUs, more than %.0f %%: run it where nothing else does",
                       j->others / all * 100, OTHERS_MAX * 100);
}
