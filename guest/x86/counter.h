/* The time-stamp counter, read after everything before it is done (SDM volume 2, RDTSC). No RDTSCP: emulators of
 * privileged code lack it. */
#ifndef VIREO_GUEST_X86_COUNTER_H
#define VIREO_GUEST_X86_COUNTER_H

#include <stdint.h>

static inline uint64_t bench_counter(void)
{
    uint32_t low, high;
    __asm__ volatile("lfence; rdtsc" : "=a"(low), "=d"(high) : : "memory");
    return (uint64_t)high << 32 | low;
}

#endif
