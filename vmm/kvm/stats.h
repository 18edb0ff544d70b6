/* The kernel's own counts of a vCPU: binary statistics (api.rst 4.133). No privilege is needed, and reading them does
 * not disturb the vCPU. */
#ifndef VIREO_KVM_STATS_H
#define VIREO_KVM_STATS_H

#include <stdint.h>

#include "vmm/kvm/kvm.h"

#define KVM_STATS_MAX 512 /* descriptors: a VM or vCPU of Linux 6 has under 100 */

enum kvm_stat_type {
    KVM_STAT_CUMULATIVE, /* it only grows */
    KVM_STAT_INSTANT,    /* as it is now */
    KVM_STAT_PEAK,       /* the largest so far */
    KVM_STAT_LINEAR,     /* a histogram: bucket i holds what is below (i + 1) * bucket_size and in none before; */
    KVM_STAT_LOG,        /* or below 2^i. The last one of each holds all the rest */
};

struct kvm_stat {
    const char *name; /* valid during the call, as bucket is */
    const char *unit; /* "" a number, "bytes", "ns", "cycles", "bool": static */
    enum kvm_stat_type type;
    uint64_t value;                     /* of what is no histogram */
    const uint64_t *bucket;             /* of a histogram: its counts */
    unsigned bucket_count, bucket_size; /* bucket_size: of a linear one */
};

/* Where each stands, and room for their values. The same for all vCPUs of a host: zeroed at first, it is asked for by
 * the first read and used by the next ones; kvm_stats_fini in the end. */
struct kvm_stats_table {
    struct kvm_stats_header header;
    char *desc;
    size_t stride; /* a descriptor and its name */
    char *data;
    size_t size;
};

/* A descriptor to read them by, or -1 where this kernel has none (before 5.14). Before the vCPU runs: asked later, the
 * kernel answers only when KVM_RUN returns. The caller closes it, before the VM is destroyed. */
int vcpu_stats_open(const struct vcpu *v);
/* Call fn for every statistic whose type is known. 0 or -errno. Any thread, while the vCPU runs; a table
 * is one thread's. */
int kvm_stats_read(int fd, struct kvm_stats_table *t, void (*fn)(void *arg, const struct kvm_stat *s), void *arg);
void kvm_stats_fini(struct kvm_stats_table *t);

#endif
