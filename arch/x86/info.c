#include "arch/arch.h"
#include "arch/x86/layout.h"

_Static_assert(X86_GSI_VIRTIO + ARCH_MAX_SLOTS <= X86_IOAPIC_PINS, "every slot has a pin");

const struct arch_info arch_info = {
    .name = "x86_64",
    .ram_base = 0,
    .hole_start = X86_HOLE_START,
    .hole_end = X86_HOLE_END,
    .virtio_base = X86_VIRTIO,
    .virtio_gsi = X86_GSI_VIRTIO,
    .serial_gsi = X86_GSI_SERIAL,
    .max_vcpus = X86_MAX_VCPUS,
    .console_arg = "console=ttyS0",
    .default_cmdline = "console=ttyS0 quiet panic=-1",
};
