/* The virtual counter, read after everything before it is done (Arm ARM, D12.1.2: without the barrier it may be read
 * early). */
#ifndef VIREO_GUEST_ARM64_COUNTER_H
#define VIREO_GUEST_ARM64_COUNTER_H

#include <stdint.h>

static inline uint64_t bench_counter(void)
{
    uint64_t value;
    __asm__ volatile("isb; mrs %0, cntvct_el0" : "=r"(value) : : "memory");
    return value;
}

#endif
