/* The clock that exits are timed with: the processor's own counter where it runs evenly on every CPU, else the
 * kernel's monotonic clock. A read costs some ten nanoseconds and no system call. It is a reference clock: its ticks
 * are not core cycles. */
#ifndef VIREO_ARCH_COUNTER_H
#define VIREO_ARCH_COUNTER_H

#include <stdbool.h>
#include <stdint.h>

struct counter {
    const char *name;                 /* "TSC", "CNTVCT", "CLOCK_MONOTONIC": static */
    bool is_clock;                    /* ticks are nanoseconds */
    uint64_t origin_ticks, origin_ns; /* read together by counter_init */
};

/* Find out which clock is good here. What it says is const from then on. */
void counter_init(struct counter *c);
uint64_t counter_read(const struct counter *c); /* any thread, no order with other loads and stores */
/* Ticks a second. Where only a comparison with the kernel's clock tells, it spans the time since counter_init; asked
 * within COUNTER_CALIBRATE_NS of that, this waits for the rest. */
double counter_hz(const struct counter *c);

#define COUNTER_CALIBRATE_NS 10000000u /* 10 ms: reading two clocks apart by 100 ns is an error of 1 in 100,000 */

#endif
