/* How far a record tells of the host rather than of its scheduler: what others used, and what the host itself lost. */
#include <math.h>
#include <stdio.h>

#include "bench/fair/judge.h"

#define WORTH_SAYING 0.02 /* of these CPUs, taken by others or lost: less goes without saying */

/* How much time the guest has seen pass without it, up to a sample, though its thread did not wait. It is too little
 * where the guest has not looked at its counter since it last waited, and never too much: the sample took the guest's
 * count first. */
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

/* How long a vCPU's CPU stood still under it. One that does not spin may take as long for a loop of its own. */
static void stalls_under(struct judge *j, unsigned vcpu)
{
    const unsigned last_sample = judge_run(j).to;
    double most = stalled_until(j, vcpu, 0);

    for (unsigned at = 1, last = 0; at <= last_sample; at++) {
        const double more = stalled_until(j, vcpu, at) - most;
        if (more <= 0) continue;
        if (more > cost_of_switches(j, at - last)) {
            j->stalled[vcpu] += more;
            j->longest_stall = fmax(j->longest_stall, more);
        }
        most += more;
        last = at;
    }
}

/* Under a cap threads wait unseen, and the sampling thread must tell. What was stolen from a vCPU that does not spin
 * may have been stolen at once. */
static double find_stalls(struct judge *j)
{
    double sum = 0;
    if (j->p->vm[0].quota_us) return sampled_late(j);
    for (unsigned i = 0; i < j->p->vcpu_count; i++) {
        if (j->p->vcpu[i].work == FAIR_SPIN)
            stalls_under(j, i);
        else
            j->longest_stall = fmax(j->longest_stall, (double)j->r->host.steal);
        sum += j->stalled[i];
    }
    return sum;
}

static void say_disturbed(const struct judge *j, double steal, double stall)
{
    const double all = j->wall * j->p->cpu_count;
    char *text = j->out->disturbed;

    if (j->r->throttled)
        (void)snprintf(text, FAIR_TEXT,
                       "the CPU quota of a cgroup around this process stopped it %llu times; run it outside",
                       (unsigned long long)j->r->throttled);
    else if (steal / all > WORTH_SAYING)
        (void)snprintf(text, FAIR_TEXT, "the host itself lost %.1f %% of these CPUs (steal, /proc/stat)",
                       steal / all * 100);
    else if (stall / all > WORTH_SAYING)
        (void)snprintf(
            text, FAIR_TEXT,
            "this host's CPUs stood still for %.1f %% of the time: guests lost it while their threads ran, so "
            "whatever runs this host is busy",
            stall / all * 100);
    else if (j->others / all > WORTH_SAYING)
        (void)snprintf(text, FAIR_TEXT, "others used %.1f %% of these CPUs", j->others / all * 100);
}

void judge_disturbance(struct judge *j)
{
    const double busy = (double)j->r->host.busy, all = j->wall * j->p->cpu_count, steal = (double)j->r->host.steal;
    const double ours = judge_charged_all(j, judge_run(j)) + (double)j->r->vmm_ns, free = all > ours ? all - ours : 0;
    const double stall = find_stalls(j);

    j->lost = fmax(steal, stall) + (double)j->r->throttled_ns; /* stolen time is seen twice */
    j->others = fmax(0, fmin(busy - ours, free));              /* C4 tells if that isn't all */
    j->taken = all - ours - (double)j->r->host.idle - steal;
    say_disturbed(j, steal, stall);
}

double judge_noise(const struct judge *j, enum noise noise, const char **who)
{
    switch (noise) {
    case NOISE_NONE: break;
    case NOISE_STALLS: *who = "others on the runqueue, or a CPU that stood still,"; return 2 * j->longest_stall;
    case NOISE_HOST: *who = "interrupts and this host's host"; return (double)j->r->host.irq + j->lost;
    case NOISE_TAKEN: *who = "others, interrupts and this host's host"; return fmax(j->taken, j->others + j->lost);
    }
    *who = "chance";
    return 0;
}
