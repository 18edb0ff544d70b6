/* A row's machine: the page that it shares with its guest, the gate at which the guest says how far it is, and what the
 * kernel had counted at each step. Private to exits_build.c and exits_run.c. */
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
    int rc; /* of what only this row wants: unsupported, not an error */
    struct err why;
    _Atomic unsigned reached; /* enum bench_step, released */
};

/* For machine_create_lab; b stays where it is as long as the machine. */
struct machine_lab exits_build_lab(struct exits_build *b);
/* The row's own statistic, unless this KVM does not count by it, as kvm_pvm does not by most; else all exits but those
 * for the host's interrupts, where KVM tells these apart. Once BENCH_SAMPLED is reached. */
void exits_build_compare(const struct exits_build *b);
static inline unsigned exits_build_reached(const struct exits_build *b)
{
    return atomic_load_explicit(&b->reached, memory_order_acquire);
}

#endif
