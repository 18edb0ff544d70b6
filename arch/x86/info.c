#include "arch/arch.h"
#include "arch/x86/layout.h"

_Static_assert(X86_GSI_VIRTIO + ARCH_MAX_SLOTS == X86_IOAPIC_PINS, "every slot has a pin");

static const struct vm_cap caps[] = {
    {KVM_CAP_USER_MEMORY, "KVM_CAP_USER_MEMORY", "guest memory", true},
    {KVM_CAP_IMMEDIATE_EXIT, "KVM_CAP_IMMEDIATE_EXIT", "stopping a vCPU", true},
    {KVM_CAP_IRQFD, "KVM_CAP_IRQFD", "device interrupts", true},
    {KVM_CAP_IOEVENTFD, "KVM_CAP_IOEVENTFD", "device doorbells", true},
    {KVM_CAP_SPLIT_IRQCHIP, "KVM_CAP_SPLIT_IRQCHIP", "local APICs in the kernel, the IOAPIC in ours", true},
    {KVM_CAP_IRQ_ROUTING, "KVM_CAP_IRQ_ROUTING", "interrupts as messages to local APICs", true},
    {KVM_CAP_EXT_CPUID, "KVM_CAP_EXT_CPUID", "the processor that the guest sees", true},
    {KVM_CAP_TSC_DEADLINE_TIMER, "KVM_CAP_TSC_DEADLINE_TIMER", "a timer that needs no calibration", false},
    {KVM_CAP_PMU_CAPABILITY, "KVM_CAP_PMU_CAPABILITY", "keeping performance counters from the guest", false},
    {0},
};

const struct arch_info arch_info = {
    .name = "x86_64",
    .ram_base = 0,
    .hole_start = X86_HOLE_START,
    .hole_end = X86_HOLE_END,
    .virtio_base = X86_VIRTIO,
    .virtio_gsi = X86_GSI_VIRTIO,
    .serial_gsi = X86_GSI_SERIAL,
    .caps = caps,
    .max_vcpus = X86_MAX_VCPUS,
    .console_arg = "console=ttyS0",
    .default_cmdline = "console=ttyS0 quiet panic=-1",
};
