/* The generic timer's virtual counter, Arm ARM D12.1.2: one rate, the same on every CPU, readable by programs. */
#include "arch/counter.h"

void counter_init(struct counter *c)
{
    *c = (struct counter){.name = "CNTVCT"};
    c->origin_ticks = counter_read(c);
}

/* Unfenced: KVM_RUN's own entries and exits order it well enough, and a barrier would cost more than it could tell. */
uint64_t counter_read(const struct counter *c)
{
    uint64_t ticks;
    (void)c;
    __asm__ volatile("mrs %0, cntvct_el0" : "=r"(ticks));
    return ticks;
}

double counter_hz(const struct counter *c)
{
    uint64_t hz;
    (void)c;
    __asm__ volatile("mrs %0, cntfrq_el0" : "=r"(hz));
    return (double)hz;
}
