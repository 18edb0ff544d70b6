/* How a plan is run. Private to bench/fair.
 *
 *   run.c        the order of it, from an empty record to a full one
 *   machines.c   VMs as the plan has them, with the guest of guest/fair
 *   start.c      all vCPUs arrive and get their work, in times of their own counter
 *   sample.c     what the threads were charged and the guests counted, every 50 ms
 *
 * One thread, which stays off the plan's CPUs where it can. Functions return 0 or -errno: -ENOTSUP where this host
 * can't, -ECANCELED once the bench was stopped. */
#ifndef VIREO_BENCH_FAIR_RUN_H
#define VIREO_BENCH_FAIR_RUN_H

#include <time.h>

#include "arch/counter.h"
#include "bench/fair/fair.h"
#include "vmm/machine/lab.h"

struct run_vm {
    const struct run *run;
    unsigned index, first; /* of the VM, and of its first vCPU in the plan */
    struct machine *machine;
    struct fair_page *page; /* in the guest's memory */
};

struct run_vcpu {
    struct fair_vcpu *guest; /* in the page of its VM */
    clockid_t clock;         /* CPU clock of its thread */
    pid_t tid;
    int stat_fd; /* its thread's schedstat; -1 */
};

struct run {
    const struct fair_options *o;
    const struct fair_plan *p;
    const struct bench_sink *sink;
    struct fair_record *r;
    struct run_vm vm[FAIR_VMS];
    struct run_vcpu vcpu[FAIR_THREADS];
    struct counter counter;
    uint64_t clock_ns, clock_ticks; /* one moment, by our clock and by the first vCPU's counter */
    cpu_set_t home;                 /* where this thread ran before */
    bool is_aside;                  /* it runs on none of the plan's CPUs */
};

int run_make_machines(struct run *u, struct err *e);
/* -EIO where a guest has ended, which it never does by itself. */
int run_check_alive(const struct run *u, struct err *e);
/* Machines have started: wait for each vCPU, find its thread, and let all begin. */
int run_begin(struct run *u, struct err *e);
/* Fill in the record's samples and what else changes during the run. */
int run_sample(const struct run *u, struct err *e);
/* Sleep until then, a time of now_ns(). Only -ECANCELED can go wrong. */
int run_wait_until(const struct run *u, uint64_t at);

/* What a guest keeps writing. */
static inline uint64_t run_look(const uint64_t *field)
{
    return __atomic_load_n(field, __ATOMIC_RELAXED);
}

#endif
