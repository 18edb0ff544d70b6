/* A thread that answers others beside busy vCPUs.
 *
 * Beside vCPUs that keep every CPU busy a thread that wakes up waits for its turn, tens of milliseconds where there are
 * many. One that works for a millisecond now and then may ask to run at once: where the process may (CAP_SYS_NICE or
 * RLIMIT_RTPRIO) it is a real-time thread of the lowest priority, as long as it uses less than a hundredth of a CPU, 20
 * ms at once; else it has the shortest slice (Linux 6.12). Threads that it makes meanwhile are ordinary ones. Nothing
 * is changed for a thread that has another policy than SCHED_OTHER, or a nice value above 0: somebody asked for it. */
#ifndef VIREO_BASE_URGENCY_H
#define VIREO_BASE_URGENCY_H

#include <stdbool.h>
#include <stdint.h>

struct urgency { /* zero to begin with */
    uint64_t at_ns, cpu_ns;
    int64_t left_ns;
    bool is_on;
};

/* Of the calling thread, always the same one: before the first wait, and after each piece of work. */
void urgency_renew(struct urgency *u);
void urgency_end(struct urgency *u); /* it is an ordinary thread again */

#endif
