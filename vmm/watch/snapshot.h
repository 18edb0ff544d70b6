/* What one page shows, copied out of the machine. Shared by the stats_*.c files of this floor, seen by nobody else. */
#ifndef VIREO_WATCH_SNAPSHOT_H
#define VIREO_WATCH_SNAPSHOT_H

#include <stdio.h>

#include "vmm/kvm/stats.h"
#include "vmm/machine/machine.h"
#include "vmm/machine/stats.h"
#include "vmm/watch/figures.h"
#include "vmm/watch/page.h"

#define KERNEL_NAME_MAX 64 /* KVM's longest has some 40 bytes; a longer one is cut */

/* Steps of durations: the k-th ends at 2^(k/8) nanoseconds, from 16 ns to a minute; eight a power of two tell a
 * quantile to a tenth. Fixed for ever: two pages of a VM can be subtracted, two VMs' added up. */
#define STEPS_PER_OCTAVE 8
#define STEP_FIRST       (4 * STEPS_PER_OCTAVE)
#define STEP_LAST        (36 * STEPS_PER_OCTAVE)
#define STEPS            (STEP_LAST - STEP_FIRST + 1)

struct stats_steps {
    uint64_t run[STEPS], handler[STEPS]; /* how many durations lie in each; those beyond the last are in none */
};

struct stats_entry {
    struct stats_row row;      /* no kernel's; the histograms are gone */
    struct stats_steps *steps; /* of a class, where they were asked for */
};

struct stats_kernel { /* one of the kernel's counts */
    int vcpu;
    const char *unit;
    enum kvm_stat_type type; /* no histogram */
    uint64_t value;
    char name[KERNEL_NAME_MAX];
};

#define KERNEL_HISTS_MAX   16 /* KVM of Linux 6 has three */
#define KERNEL_BUCKETS_MAX 64 /* of 32 */

struct stats_kernel_hist { /* of all vCPUs together */
    const char *unit;
    bool is_log;
    unsigned buckets, bucket_size;
    uint64_t bucket[KERNEL_BUCKETS_MAX]; /* none overlaps another */
    char name[KERNEL_NAME_MAX];
};

struct stats_vcpu {
    struct machine_vcpu told;
    uint64_t handler_ns; /* in the monitor, kicks left out: a pause is their handler */
};

struct stats_snapshot {
    const struct stats_subject *subject;
    struct stats_info info;
    struct stats_entry *entry; /* by vCPU, -1 first; then the doorbells */
    size_t count, room;
    struct stats_kernel *kernel; /* by vCPU */
    size_t kernel_count, kernel_room;
    struct stats_kernel_hist kernel_hist[KERNEL_HISTS_MAX];
    unsigned kernel_hists;
    struct machine_thread thread[MACHINE_THREADS_MAX];
    unsigned thread_count;
    struct stats_vcpu vcpu[CONFIG_MAX_CPUS]; /* info.vcpus of them */
    uint64_t voluntary, involuntary;         /* context switches, of them all; THREAD_UNTOLD */
    struct machine_usage usage;
    struct figure figure[FIGURES];
    double weight[FIGURES], sum;
};

void stats_write_text(FILE *f, const struct stats_snapshot *s);
void stats_write_json(FILE *f, const struct stats_snapshot *s);
void stats_write_prometheus(FILE *f, const struct stats_snapshot *s);

double stats_step_ns(unsigned step); /* where the step-th of STEPS ends */

#endif
