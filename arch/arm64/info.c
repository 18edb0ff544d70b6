#include "arch/arch.h"
#include "arch/arm64/layout.h"

/* RAM has no hole: the devices lie below it, so the hole is empty and sits where addresses end. */
const struct arch_info arch_info = {
    .name = "aarch64",
    .ram_base = ARM64_RAM_BASE,
    .hole_start = ARM64_RAM_END,
    .hole_end = ARM64_RAM_END,
    .virtio_base = ARM64_VIRTIO_BASE,
    .virtio_gsi = ARM64_SPI_VIRTIO,
    .serial_gsi = ARM64_SPI_SERIAL,
    .max_vcpus = ARM64_MAX_VCPUS,
    .console_arg = "console=ttyS0",
    .default_cmdline = "console=ttyS0 quiet panic=-1",
};
