/* A row's machine: the page it shares with its guest, the gate where the guest reports each step, and what the kernel
 * had counted at that step. Private to build.c and run.c. */
#ifndef VIREO_BENCH_EXITS_BUILD_H
#define VIREO_BENCH_EXITS_BUILD_H

#include "bench/exits/exits.h"

struct exits_counts {
    const char *own; /* the row's statistic, or NULL */
    uint64_t exits, irq, own_count;
    bool has_exits, has_irq;
};
/* fd: of vcpu_stats_open; -1: nothing is counted. */
struct exits_counts exits_counts_read(int fd, const char *own);

struct exits_build {
    struct exits_run *run;
    const struct exits_duty *duty;
    struct machine_parts parts;
    int stats_fd;
    /* The vCPU's thread writes these at the gate, before `reached`. */
    struct exits_counts at[BENCH_SAMPLED + 1];
    int rc; /* the host can't do what this row alone needs: the row is unsupported, for the reason in why */
    struct err why;
    _Atomic unsigned reached; /* enum bench_step, released */
};

/* For machine_create_lab; b stays where it is as long as the machine. */
struct machine_lab exits_build_lab(struct exits_build *b);
/* Set what the run says was counted, once BENCH_SAMPLED is reached. Use the row's own statistic if this KVM counts by
 * it (kvm_pvm keeps few of them); otherwise all exits, less those for the host's interrupts where KVM counts these. */
void exits_build_compare(const struct exits_build *b);
static inline unsigned exits_build_reached(const struct exits_build *b)
{
    return atomic_load_explicit(&b->reached, memory_order_acquire);
}

#endif
