/* struct arch on x86: what arch.c owns. Only arch/x86 sees it. */
#ifndef VIREO_X86_STRUCT_ARCH_H
#define VIREO_X86_STRUCT_ARCH_H

#include "arch/arch.h"
#include "arch/x86/ioapic.h"
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
};

#endif
