/* Why a thread got less than its peers: how the kernel was told to schedule it, and where that differs from how it was
 * told to schedule them.
 *
 * It works for any thread that /proc shows, of whatever process, and knows of no VM and no experiment. Nothing is
 * allocated. Any thread may call it. */
#ifndef VIREO_BENCH_FAIR_CAUSE_H
#define VIREO_BENCH_FAIR_CAUSE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "vmm/base/groups.h"

#define CAUSE_TEXT 600 /* of a sentence; what does not fit is cut */
#define CAUSE_CPUS 64  /* of a list of CPUs, as 0-3,6 */

struct cause {
    int policy;            /* SCHED_OTHER and so on */
    int nice, priority;    /* priority: of SCHED_FIFO and SCHED_RR */
    uint64_t slice_ns;     /* its own; 0: the kernel's, or not told (before Linux 6.12) */
    char cpus[CAUSE_CPUS]; /* that it may use */
    int cpu;               /* the one it was on when this was read; -1: not told */
    struct groups_cpu group;
    struct groups_throttled throttled; /* since the groups were made */
    bool has_autogroup;                /* what follows counts, as the thread lies in the root of the groups */
    unsigned autogroup;
    int autogroup_nice;
    bool has_cookie; /* the kernel has core scheduling, and lets us see it */
    uint64_t cookie; /* 0: none */
};

/* Read all of it for a thread, by the id that gettid(2) gives. 0; or -ESRCH: there is no such thread. What this host
 * does not have, or does not let us see, is as the members above say. About 0.1 ms. */
int cause_read(pid_t tid, struct cause *out);

/* Take the throttling that `start` had counted off what `end` has, so that it is that of the time between the two. */
void cause_since(struct cause *end, const struct cause *start);

/* Where the accused differs from its peers, in sentences without a stop at the end: "vCPU 1 runs at nice 1, the others
 * at 0; ...". A peer that differs from other peers is no reason to be silent: "the others at 0 or 5". `name` is the
 * accused's. Returns how many differences there are; 0: out is "". */
unsigned cause_differs(const char *name, const struct cause *accused, const struct cause *const *peer, unsigned peers,
                       char out[CAUSE_TEXT]);

/* What was changed between two readings of one thread, in the same form: "vCPU 1 runs at nice 1, before at 0". Its CPU
 * and its throttling are left out. */
unsigned cause_changed(const char *name, const struct cause *start, const struct cause *end, char out[CAUSE_TEXT]);

#endif
