/* The time-stamp counter, SDM vol. 3, 18.17. When it is invariant (CPUID 0x80000007, EDX bit 8), it runs at one rate in
 * every power state, and Linux keeps all CPUs' in step. A host that hides the bit gets the kernel's clock, which is
 * slower to read and never wrong. */
#include "arch/counter.h"

#include <cpuid.h>
#include <x86intrin.h>

#include "vmm/base/clock.h"

#define CPUID_POWER   0x80000007u
#define TSC_INVARIANT (1u << 8)
#define NS_PER_S      1000000000u

/* Not slewed by NTP, as the counter isn't. */
static uint64_t raw_ns(void)
{
    return clock_ns(CLOCK_MONOTONIC_RAW);
}

void counter_init(struct counter *c)
{
    unsigned a, b, ecx, d = 0;
    __get_cpuid(CPUID_POWER, &a, &b, &ecx, &d);
    const bool is_good = (d & TSC_INVARIANT) != 0;
    *c = (struct counter){.name = is_good ? "TSC" : "CLOCK_MONOTONIC", .is_clock = !is_good};
    c->origin_ns = raw_ns();
    c->origin_ticks = counter_read(c);
}

/* Out of the way of hosts that have a counter: what a clock needs on the stack would cost them more than the counter.
 */
__attribute__((noinline)) static uint64_t clock_read(void)
{
    return now_ns();
}

/* Unfenced: KVM_RUN's own entries and exits order it well enough, and a fence would cost more than it could tell. */
uint64_t counter_read(const struct counter *c)
{
    return __builtin_expect(c->is_clock, 0) ? clock_read() : __rdtsc();
}

double counter_hz(const struct counter *c)
{
    if (c->is_clock) return NS_PER_S;
    uint64_t ns = raw_ns() - c->origin_ns;
    if (ns < COUNTER_CALIBRATE_NS) {
        const struct timespec rest = {.tv_nsec = (long)(COUNTER_CALIBRATE_NS - ns)};
        nanosleep(&rest, NULL);
        ns = raw_ns() - c->origin_ns;
    }
    const uint64_t ticks = counter_read(c) - c->origin_ticks;
    return (double)ticks * NS_PER_S / (double)ns;
}
