/* How far a record tells of the host rather than of its scheduler: what others used, and what the host itself lost. */
#include <stdio.h>

#include "bench/fair/judge.h"

#define STEAL_MAX  0.01 /* of the CPUs' time: then no verdict */
#define OTHERS_MAX 0.02 /* likewise of other processes: then no failure */
#define SETTLED    3    /* samples until one has surely been of a guest that had looked */

/* What the guest has seen pass without it though its thread did not wait, up to a sample; less where the guest has not
 * looked at its counter yet since it last waited. */
static double stalled_until(const struct judge *j, unsigned vcpu, unsigned sample)
{
    const struct fair_count *c = fair_at(j->r, sample, vcpu);
    const double paused = (double)(j->r->at[sample] - j->r->at[0]) - judge_time(j, 0, sample);
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

/* From one sample to the next, less than a tick is what leaving the guest and coming back costs, a dozen times; over
 * more of them, on the slowest host yet seen, less than a quarter of one each. */
static double cost_of_switches(const struct judge *j, unsigned samples)
{
    return (double)j->r->tick_ns * (0.75 + 0.25 * samples);
}

/* Somebody stops the CPUs beneath this host. */
static double stalled(const struct judge *j)
{
    double sum = 0;
    if (j->p->vm[0].quota_us) return sampled_late(j);
    for (unsigned i = 0; i < j->p->vcpu_count; i++) {
        unsigned from, to, seen = 0;
        if (j->p->vcpu[i].work != FAIR_SPIN || !judge_running(j, i, &from, &to))
            continue; /* others' own loops may take as long */
        double most = stalled_until(j, i, from);
        for (unsigned s = from + 1, last = from; s <= to; s++) {
            const double now = fair_at(j->r, s, i)->is_running ? stalled_until(j, i, s) : most;
            if (now <= most) continue;
            if (++seen >= SETTLED && now - most > cost_of_switches(j, s - last)) sum += now - most;
            most = now;
            last = s;
        }
    }
    return sum;
}

void judge_disturbance(struct judge *j)
{
    const struct fair_cpu_time *h = &j->r->host;
    const double all = j->wall * j->p->cpu_count, steal = (double)h->steal / all, stall = stalled(j) / all;

    j->lost = (steal > stall ? steal : stall) * all; /* the same time, seen twice */

    const double ours = judge_charged_all(j, 0, judge_last(j)) + (double)j->r->vmm_ns;
    const double free = all > ours ? all - ours : 0;
    j->others = (double)h->busy - ours < free ? (double)h->busy - ours : free; /* C4 tells if that isn't all */
    j->taken = all - ours - (double)h->idle - (double)h->steal;
    j->out->is_stolen = steal > STEAL_MAX || stall > STEAL_MAX || j->r->throttled;
    if (j->r->throttled)
        (void)snprintf(j->out->disturbed, FAIR_TEXT,
                       "the CPU quota of a cgroup around this process stopped it %llu times; run it outside",
                       (unsigned long long)j->r->throttled);
    else if (steal > STEAL_MAX)
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
