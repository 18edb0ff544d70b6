/* Lets a thread that answers others run soon beside busy vCPUs, with a small budget. */
#include <vireo.h>

#include "vmm/base/clock.h"
#include "vmm/machine/place/sched.h"

#define SHARE    100      /* its part of a CPU in the long run, 1/SHARE: too little for vCPUs to notice */
#define BURST_NS 20000000 /* and at once: ten pages of a VM of 16 vCPUs */

/* The budget fills up while the thread sleeps. What the thread used beyond it, as an ordinary one, is soon forgiven. */
static int64_t settled(const struct vireo_urgency *u, uint64_t now, uint64_t cpu)
{
    const uint64_t gained = (now - u->at_ns) / SHARE, used = cpu - u->cpu_ns;
    const int64_t left = u->left_ns + (gained < 2 * BURST_NS ? (int64_t)gained : 2 * BURST_NS);
    const int64_t full = left < BURST_NS ? left : BURST_NS;
    if (used > 2 * BURST_NS || full - (int64_t)used < -BURST_NS) return -BURST_NS;
    return full - (int64_t)used;
}

void vireo_urgency_renew(struct vireo_urgency *u)
{
    const uint64_t now = now_ns(), cpu = clock_ns(CLOCK_THREAD_CPUTIME_ID);
    u->left_ns = u->at_ns ? settled(u, now, cpu) : BURST_NS;
    u->at_ns = now;
    u->cpu_ns = cpu;
    const bool is_due = u->left_ns > 0;
    if (is_due != u->is_on) sched_urgent(is_due);
    u->is_on = is_due;
}

void vireo_urgency_end(struct vireo_urgency *u)
{
    if (u->is_on) sched_urgent(false);
    *u = (struct vireo_urgency){0};
}
