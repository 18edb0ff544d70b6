#include "vmm/base/urgency.h"

#include <sched.h>
#include <sys/resource.h>

#include "vmm/base/clock.h"
#include "vmm/base/thread.h"

#define SHARE          100      /* a hundredth of a CPU in the long run: what vCPUs don't notice */
#define BURST_NS       20000000 /* and so much at once: ten pages of a VM of 16 vCPUs */
#define SLICE_LEAST_NS 100000   /* less is not to be had (sched(7)) */

/* Without the right to be real time it has a short slice, and where there are none (before Linux 6.12) it waits its
 * turn like others. */
static void be_urgent(void)
{
    const struct sched_param lowest = {.sched_priority = sched_get_priority_min(SCHED_RR)};
    const int policy = sched_getscheduler(0) & ~SCHED_RESET_ON_FORK;
    if (policy != SCHED_OTHER || getpriority(PRIO_PROCESS, 0) > 0) return;
    if (sched_setscheduler(0, SCHED_RR | SCHED_RESET_ON_FORK, &lowest) < 0)
        (void)thread_set_slice_ns(0, SLICE_LEAST_NS, true);
}

static void be_ordinary(void)
{
    const struct sched_param none = {0};
    const int policy = sched_getscheduler(0) & ~SCHED_RESET_ON_FORK;
    if (policy == SCHED_RR)
        (void)sched_setscheduler(0, SCHED_OTHER | SCHED_RESET_ON_FORK, &none);
    else if (policy == SCHED_OTHER)
        (void)thread_set_slice_ns(0, 0, true);
}

/* The budget runs full while the thread sleeps. What it used as an ordinary thread beyond it is soon forgiven. */
static int64_t settled(const struct urgency *u, uint64_t now, uint64_t cpu)
{
    const uint64_t gained = (now - u->at_ns) / SHARE, used = cpu - u->cpu_ns;
    const int64_t left = u->left_ns + (gained < 2 * BURST_NS ? (int64_t)gained : 2 * BURST_NS);
    const int64_t full = left < BURST_NS ? left : BURST_NS;
    if (used > 2 * BURST_NS || full - (int64_t)used < -BURST_NS) return -BURST_NS;
    return full - (int64_t)used;
}

void urgency_renew(struct urgency *u)
{
    const uint64_t now = now_ns(), cpu = clock_ns(CLOCK_THREAD_CPUTIME_ID);
    u->left_ns = u->at_ns ? settled(u, now, cpu) : BURST_NS;
    u->at_ns = now;
    u->cpu_ns = cpu;
    const bool is_due = u->left_ns > 0;
    if (is_due && !u->is_on) be_urgent();
    if (!is_due && u->is_on) be_ordinary();
    u->is_on = is_due;
}

void urgency_end(struct urgency *u)
{
    if (u->is_on) be_ordinary();
    *u = (struct urgency){0};
}
