/* CPUID as the guest sees it: what KVM supports, minus what a guest here can't use, with the topology of N vCPUs in one
 * package and one thread per core (SDM vol. 2, CPUID; AMD APM vol. 3, appendix E;
 * Documentation/virt/kvm/x86/cpuid.rst). */
#ifndef VIREO_X86_CPUID_H
#define VIREO_X86_CPUID_H

#include <linux/kvm.h>
#include <stdbool.h>
#include <stdint.h>

#include "vmm/base/err.h"
#include "vmm/kvm/kvm.h"

#define CPUID_MAX_ENTRIES 256 /* KVM_MAX_CPUID_ENTRIES: it takes no more */

struct cpuid_facts {
    unsigned cpus;
    uint32_t tsc_khz;  /* 0: not known, no leaf tells it */
    bool has_no_apic;  /* no local APIC, and so no x2APIC mode and no APIC timer */
    bool has_deadline; /* KVM_CAP_TSC_DEADLINE_TIMER: not in the supported list, the local APIC is KVM's */
};

union cpuid_table { /* the kernel's struct ends in an array without a length: this is its room */
    struct kvm_cpuid2 head;
    uint8_t room[sizeof(struct kvm_cpuid2) + CPUID_MAX_ENTRIES * sizeof(struct kvm_cpuid_entry2)];
};

/* KVM_GET_SUPPORTED_CPUID into *t; asked once in a process. Any thread. */
int cpuid_read_supported(int kvm_fd, union cpuid_table *t, struct err *e);
/* Turns what KVM supports into what the guest gets. All vCPUs are alike except for their ids. */
void cpuid_shape(union cpuid_table *t, const struct cpuid_facts *f);
void cpuid_set_id(union cpuid_table *t, uint32_t apic_id);
/* The extended states the guest may enable: XCR0 with all of them. 0: no XSAVE. */
uint64_t cpuid_xcr0(union cpuid_table *t);
/* Bytes of an XSAVE area in the standard format with the states of xcr0 (SDM vol. 1, 13.4). */
uint32_t cpuid_xsave_size(union cpuid_table *t, uint64_t xcr0);
/* NULL: no such leaf. index counts only for leaves that have several. */
struct kvm_cpuid_entry2 *cpuid_find(union cpuid_table *t, uint32_t function, uint32_t index);

#endif
