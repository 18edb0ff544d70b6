/* The arm64 machine's map: one page of constants that the tables, the bus and KVM agree on.
 *
 *   0x0800_0000  GIC distributor, then the CPU interface (GICv2) or the redistributors (GICv3)
 *   0x0900_0000  platform devices, a 64 KiB step each so that a guest with 64 KiB pages can map each alone
 *   0x0a00_0000  virtio-mmio windows
 *   0x0b00_0000  stolen-time records
 *   0x4000_0000  RAM, contiguous, as far as the guest's physical addresses reach */
#ifndef VIREO_ARM64_LAYOUT_H
#define VIREO_ARM64_LAYOUT_H

#include <stdint.h>

#define ARM64_MAX_VCPUS 64 /* as many as one configuration may ask for; 8 MiB of redistributors */

#define ARM64_GICD_BASE       0x08000000ULL
#define ARM64_GICD_SIZE       0x10000ULL /* GICv3: one 64 KiB frame */
#define ARM64_GICV2_GICD_SIZE 0x1000ULL
#define ARM64_GICC_BASE       0x08010000ULL /* GICv2 */
#define ARM64_GICC_SIZE       0x2000ULL     /* with GICC_DIR, a page further: ARM IHI 0048, 4.1.3 */
#define ARM64_GICR_BASE       0x08100000ULL /* GICv3 */
#define ARM64_GICR_STRIDE     0x20000ULL    /* two 64 KiB frames per vCPU: ARM IHI 0069, 12.10 */
#define ARM64_GICV2_CPUS      8             /* one bit per CPU in the target registers: ARM IHI 0048, 4.3.12 */

#define ARM64_SERIAL_BASE     0x09000000ULL
#define ARM64_RTC_BASE        0x09010000ULL
#define ARM64_DEBUG_EXIT_BASE 0x09020000ULL
#define ARM64_DEBUG_EXIT_SIZE 0x1000ULL /* wider than its registers: a 32-bit store at offset 0 lies inside */
#define ARM64_PVPANIC_BASE    0x09030000ULL
#define ARM64_PVPANIC_SIZE    1ULL
#define ARM64_VIRTIO_BASE     0x0a000000ULL
#define ARM64_PVTIME_BASE     0x0b000000ULL
#define ARM64_PVTIME_SIZE     0x10000ULL /* 64 vCPUs of 64 bytes; a whole page of any host */
#define ARM64_PVTIME_STRIDE   64ULL      /* DEN0057: a record is 64-byte aligned */

#define ARM64_RAM_BASE 0x40000000ULL
#define ARM64_RAM_END  (1ULL << 48) /* the widest address without LPA2; arch_vm_type asks what this host reaches */

/* GSI n is SPI n, interrupt ID 32 + n: KVM's default routing for a GIC. Shared peripheral interrupts: */
#define ARM64_SPI_SERIAL 1
#define ARM64_SPI_VIRTIO 16
#define ARM64_SPI_COUNT  64 /* up to virtio's last, rounded to the 32 that the GIC counts in */

/* Private peripheral interrupts, where KVM's timers and the Base System Architecture (DEN0094) have them. */
#define ARM64_PPI_TIMER_SECURE 13
#define ARM64_PPI_TIMER_PHYS   14
#define ARM64_PPI_TIMER_VIRT   11
#define ARM64_PPI_TIMER_HYP    10

#endif
