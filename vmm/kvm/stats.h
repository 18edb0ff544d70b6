/* The kernel's own counts of a vCPU: binary statistics (api.rst 4.133). No privilege is needed, and reading them does
 * not disturb the vCPU. */
#ifndef VIREO_KVM_STATS_H
#define VIREO_KVM_STATS_H

#include <stdint.h>

#include "vmm/kvm/kvm.h"

#define KVM_STATS_NAME_MAX 64  /* KVM's longest has some 40 bytes; a longer one is cut */
#define KVM_STATS_MAX      512 /* descriptors: a VM or vCPU of Linux 6 has under 100 */

struct kvm_stat {
    char name[KVM_STATS_NAME_MAX];
    const char *unit; /* "" a number, "bytes", "ns", "cycles", "bool": static */
    uint64_t value;
};

/* A descriptor to read them by, or -1 where this kernel has none (before 5.14). Before the vCPU runs: asked later, the
 * kernel answers only when KVM_RUN returns. The caller closes it, before the VM is destroyed. */
int vcpu_stats_open(const struct vcpu *v);
/* Call fn for every single-valued statistic, histograms left out. 0 or -errno. Any thread, while the vCPU runs. */
int kvm_stats_read(int fd, void (*fn)(void *arg, const struct kvm_stat *s), void *arg);

#endif
