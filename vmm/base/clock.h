/* The kernel's clocks in nanoseconds: no system call where the vDSO has them, as it has the monotonic ones. */
#ifndef VIREO_BASE_CLOCK_H
#define VIREO_BASE_CLOCK_H

#include <stdint.h>
#include <time.h>

/* 0 when there is no such clock, as of a thread that has just ended. */
static inline uint64_t clock_ns(clockid_t id)
{
    struct timespec t = {0};
    if (clock_gettime(id, &t) != 0) return 0;
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* CLOCK_MONOTONIC: of milestones, deadlines, everything that is compared with something else. */
static inline uint64_t now_ns(void)
{
    return clock_ns(CLOCK_MONOTONIC);
}

/* The CPU clock of any thread of this process, by its id as the kernel numbers such clocks
 * (include/linux/posix-timers.h: the inverted id, then per thread, then scheduler's time); pthread_getcpuclockid has it
 * only for a pthread_t. */
static inline clockid_t clock_of_thread(int tid)
{
    return (clockid_t)(~(unsigned)tid << 3 | 4 | 2);
}

#endif
