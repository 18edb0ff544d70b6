/* struct arch on x86: what arch.c owns. Only arch/x86 sees it. */
#ifndef VIREO_X86_STRUCT_ARCH_H
#define VIREO_X86_STRUCT_ARCH_H

#include "arch/arch.h"
#include "arch/x86/ioapic.h"
#include "arch/x86/layout.h"
#include "arch/x86/platform.h"

struct arch {
    struct vm *vm;
    struct gmem *mem;
    struct end_sink sink;
    const struct log *log;
    struct vcpu *boot_vcpu; /* the machine's, from arch_init_vcpus on */
    unsigned cpus;
    bool has_acpi;
    enum arch_irqchip irqchip;
    struct ioapic ioapic;
    struct platform platform;
    /* MSR_KVM_STEAL_TIME as each guest CPU last had it; 0: not asked for, or not known. Written by the vCPU's thread.
     */
    _Atomic uint64_t steal[X86_MAX_VCPUS];
};

#endif
