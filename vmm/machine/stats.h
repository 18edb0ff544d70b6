/* Where a machine's time went, as rows: from the vCPUs' recorders and the kernel's statistics.
 *
 * Any thread, between machine_create and machine_destroy, while it runs too; record.h says what a reader may see. */
#ifndef VIREO_MACHINE_STATS_H
#define VIREO_MACHINE_STATS_H

#include <stdbool.h>
#include <stdint.h>

#include "vmm/base/hist.h"
#include "vmm/base/thread_counts.h"
#include "vmm/config/config.h"
#include "vmm/core/record.h"

struct machine;
struct kvm_stat;

/* Times of one kind of exit, in nanoseconds. Quantiles are good to three digits, min and max are exact. */
struct stats_times {
    uint64_t total, min, p50, p90, p99, p999, max;
    uint64_t overflow; /* how many were too long for the histogram: quantiles among them are max */
};

enum stats_kind {
    STATS_VCPU,     /* the sum of a vCPU's classes: count, and run and handler with total only */
    STATS_CLASS,    /* one kind of exit: all but `device`, `addr`, `offset`, `unit` */
    STATS_REGISTER, /* one register of a device: its class, run and handler with total and max only */
    STATS_LOST,     /* count: exits whose register found no place in the table; their class counts them */
    STATS_KERNEL,   /* count: one of the kernel's own statistics, name and unit; the rest in kernel */
    STATS_DOORBELL, /* of no vCPU: exits of a device's queue that ioeventfd saved: device, addr (the queue), count */
    STATS_DEVICE,   /* of no vCPU: what a device counts, "rx_dropped" or "guest_faults" (all do): device, count */
};

struct stats_row {
    enum stats_kind kind;
    enum record_class class;       /* of a class and of a register */
    int vcpu;                      /* -1: all of them together */
    const char *name;              /* "port out", or the kernel's "halt_exits"; valid during the call */
    const char *device;            /* whose register or queue; NULL: nobody's */
    const char *unit;              /* of the kernel's */
    const struct kvm_stat *kernel; /* and all that it tells; valid during the call */
    uint64_t addr, offset;
    uint64_t count;
    struct stats_times run, handler;
    const struct hists *run_hists, *handler_hists; /* a class's, in ticks: valid during the call */
    uint64_t first_ns, last_ns;                    /* since the machine was created */
};

struct stats_info {
    const char *counter; /* "TSC": static */
    double hz;
    /* Of recording one exit, counter reads included. Measured by the first call that asks, on its thread's CPU. */
    double cost_ns;
    unsigned vcpus;
};

enum stats_scope {
    STATS_FULL,  /* rows that have a count, but for the kernel's histograms */
    STATS_BRIEF, /* the same; of quantiles p50 and p99 only, which takes half of the time */
    /* Rows that have no count yet too, but for registers, and the kernel's histograms: which rows there are then does
     * not change while a machine lives. No quantiles: whoever wants them has the histograms. */
    STATS_ALL,
};

/* Fills *info (cost_ns last), then calls fn for every row of the scope. First come the sum and the classes of all
 * vCPUs together, if there are several; then for each vCPU its sum, its classes, each followed by its registers, and
 * the kernel's figures; then the doorbells and what devices count. fn NULL: only *info. 0; -ENODATA: the recorder is
 * off; -ENOMEM; or the error of reading the kernel's statistics. */
int machine_stats(struct machine *m, enum stats_scope scope, struct stats_info *info,
                  void (*fn)(void *arg, const struct stats_row *row), void *arg);

/* The times that histograms in ticks hold together; scope says which quantiles are asked for. Any thread. */
struct stats_times stats_times_of(const struct hists *h, double ns_per_tick, enum stats_scope scope);

/* What the machine takes of its host besides the guest's own time and memory. */
struct machine_usage {
    uint64_t age_ns;                   /* since it was created, until it ended or until now */
    uint64_t memory_bytes;             /* the guest's, as configured */
    uint64_t resident, guest_resident; /* bytes: of this process, and of the guest's memory in it */
    uint64_t io_cpu_ns;                /* CPU time of the I/O thread and of disks' threads */
    uint64_t throttled, throttled_ns;  /* how often, and how long, a CPU quota stopped threads of its cgroups */
    bool has_resident, has_throttled;  /* does the host tell? */
};
/* Any thread, before, while and after it runs. Looks through the guest's memory: some 0.5 ms a GiB in use. */
void machine_usage(struct machine *m, struct machine_usage *out);

/* How the host's scheduler treats a vCPU. */
struct machine_vcpu {
    int tid;                   /* 0: it has no thread (any more) */
    struct thread_counts host; /* since its thread began; of one that has ended, until then */
    /* Waits for a CPU as the guest was told; at most its age, since a guest can write there. THREAD_UNTOLD: the guest
     * does not ask for it, or (x86) this was the first question: the vCPU is called out of the guest for the next. */
    uint64_t steal_ns;
};
/* How many vCPUs there are; out[0..that) is filled. Any thread, before, while and after it runs; four system calls a
 * vCPU, and a kick now and then. With the recorder off all is untold. */
unsigned machine_vcpus(struct machine *m, struct machine_vcpu out[CONFIG_MAX_CPUS]);

#endif
