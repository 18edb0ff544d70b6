/* What vireo_guest.h tells guests is what the machines are made of. */
#include <vireo_guest.h>

#include "arch/arch.h"
#include "arch/arm64/layout.h"
#include "arch/x86/layout.h"
#include "arch/x86/platform.h"
#include "devices/platform/platform.h"
#include "devices/virtio/virtio_mmio.h"
#include "tests/unit/unit.h"

static void addresses_are_those_of_the_machines(void **state)
{
    static const struct {
        const char *what;
        uint64_t told, is;
    } rows[] = {
        {"x86 exit", VIREO_X86_PORT_EXIT, X86_PORT_DEBUG_EXIT},
        {"x86 mark", VIREO_X86_PORT_MARK, X86_PORT_DEBUG_EXIT + 1},
        {"x86 serial", VIREO_X86_PORT_SERIAL, X86_PORT_COM1},
        {"x86 panic", VIREO_X86_PORT_PANIC, X86_PORT_PVPANIC},
        {"x86 power", VIREO_X86_PORT_POWER, X86_PORT_POWER + POWER_SLEEP_CONTROL},
        {"x86 reset", VIREO_X86_PORT_RESET, X86_PORT_POWER + POWER_RESET},
        {"x86 power off", VIREO_X86_POWER_OFF, 0x20 | POWER_S5 << 2},
        {"x86 hole", VIREO_X86_HOLE_START, X86_HOLE_START},
        {"x86 hole's end", VIREO_X86_HOLE_END, X86_HOLE_END},
        {"x86 virtio", VIREO_X86_VIRTIO, X86_VIRTIO},
        {"x86 virtio pin", VIREO_X86_VIRTIO_IRQ, X86_GSI_VIRTIO},
        {"x86 serial pin", VIREO_X86_SERIAL_IRQ, X86_GSI_SERIAL},
        {"x86 IOAPIC", VIREO_X86_IOAPIC, X86_IOAPIC},
        {"x86 LAPIC", VIREO_X86_LAPIC, X86_LAPIC},
        {"arm64 GICD", VIREO_ARM64_GICD, ARM64_GICD_BASE},
        {"arm64 GICC", VIREO_ARM64_GICC, ARM64_GICC_BASE},
        {"arm64 GICR", VIREO_ARM64_GICR, ARM64_GICR_BASE},
        {"arm64 serial", VIREO_ARM64_SERIAL, ARM64_SERIAL_BASE},
        {"arm64 RTC", VIREO_ARM64_RTC, ARM64_RTC_BASE},
        {"arm64 exit", VIREO_ARM64_EXIT, ARM64_DEBUG_EXIT_BASE},
        {"arm64 mark", VIREO_ARM64_MARK, ARM64_DEBUG_EXIT_BASE + 1},
        {"arm64 panic", VIREO_ARM64_PANIC, ARM64_PVPANIC_BASE},
        {"arm64 virtio", VIREO_ARM64_VIRTIO, ARM64_VIRTIO_BASE},
        {"arm64 virtio SPI", VIREO_ARM64_VIRTIO_IRQ, ARM64_SPI_VIRTIO},
        {"arm64 serial SPI", VIREO_ARM64_SERIAL_IRQ, ARM64_SPI_SERIAL},
        {"arm64 RAM", VIREO_ARM64_RAM_BASE, ARM64_RAM_BASE},
        {"a window", VIREO_GUEST_VIRTIO_SIZE, VIRTIO_MMIO_SIZE},
        {"windows", VIREO_GUEST_VIRTIO_MAX, ARCH_MAX_SLOTS},
        {"panicked", VIREO_GUEST_PANICKED, PVPANIC_PANICKED},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        if (rows[i].told != rows[i].is)
            fail_msg("%s: 0x%llx, and the header says 0x%llx", rows[i].what, (unsigned long long)rows[i].is,
                     (unsigned long long)rows[i].told);
}

UNIT_MAIN(UNIT(addresses_are_those_of_the_machines))
