#include "arch/arch.h"
#include "arch/arm64/layout.h"

static const struct vm_cap caps[] = {
    {KVM_CAP_USER_MEMORY, "KVM_CAP_USER_MEMORY", "guest memory", true},
    {KVM_CAP_IMMEDIATE_EXIT, "KVM_CAP_IMMEDIATE_EXIT", "stopping a vCPU", true},
    {KVM_CAP_IRQFD, "KVM_CAP_IRQFD", "device interrupts", true},
    {KVM_CAP_IOEVENTFD, "KVM_CAP_IOEVENTFD", "device doorbells", true},
    {KVM_CAP_ONE_REG, "KVM_CAP_ONE_REG", "vCPU registers", true},
    {KVM_CAP_ARM_PSCI_0_2, "KVM_CAP_ARM_PSCI_0_2", "starting vCPUs, power off and reset", true},
    {KVM_CAP_DEVICE_CTRL, "KVM_CAP_DEVICE_CTRL", "the interrupt controller", true},
    {KVM_CAP_ARM_NISV_TO_USER, "KVM_CAP_ARM_NISV_TO_USER", "odd device accesses explained", false},
    {0},
};

/* RAM has no hole: the devices lie below it, so the hole is empty and sits where addresses end. */
const struct arch_info arch_info = {
    .name = "aarch64",
    .ram_base = ARM64_RAM_BASE,
    .hole_start = ARM64_RAM_END,
    .hole_end = ARM64_RAM_END,
    .virtio_base = ARM64_VIRTIO_BASE,
    .virtio_gsi = ARM64_SPI_VIRTIO,
    .serial_gsi = ARM64_SPI_SERIAL,
    /* api.rst, KVM_IRQ_LINE: GSI 0 of an irqfd is SPI 0, which the GIC counts as interrupt 32 */
    .irq_line = (KVM_ARM_IRQ_TYPE_SPI << KVM_ARM_IRQ_TYPE_SHIFT) + 32,
    .caps = caps,
    .has_device_tree = true,
    .max_vcpus = ARM64_MAX_VCPUS,
    .console_arg = "console=ttyS0",
    .default_cmdline = "console=ttyS0 quiet panic=-1",
};
