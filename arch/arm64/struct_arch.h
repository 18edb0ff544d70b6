/* struct arch on arm64: what its machine is made of. Shared by this folder's files, seen by nobody else.
 *
 *   arch.c        what KVM must offer, build and tear down      vcpu.c         a vCPU: features, registers, stolen time
 *   platform.c    serial port, clock, debug exit, panic device  load.c         kernel, initrd and device tree placed
 *   gic.c         the interrupt controller                      load_image.c   kernel formats
 *   fdt.c         the device tree                               load_stream.c  a kernel's bytes, unpacked
 *   layout.h      where everything lies                         exit.c         what only arm64 can explain
 *   info.c        the same for neutral code */
#ifndef VIREO_ARM64_STRUCT_ARCH_H
#define VIREO_ARM64_STRUCT_ARCH_H

#include "arch/arch.h"
#include "arch/arm64/gic.h"
#include "arch/arm64/layout.h"
#include "devices/platform/platform.h"

struct arch { /* const once built: vCPU threads only read it */
    const struct vm *vm;
    const struct gmem *mem;
    const struct log *log;
    struct gic gic;
    struct vcpu *vcpu; /* vcpu_count of them, the machine's */
    unsigned vcpu_count;
    uint64_t mpidr[ARM64_MAX_VCPUS]; /* affinities, as KVM gave them */
    void *pvtime;                    /* ARM64_PVTIME_SIZE bytes of stolen-time records; NULL: not offered */

    struct serial *serial;
    struct irq serial_irq;
    struct pl031 rtc;
    struct debug_exit debug_exit;
    struct pvpanic pvpanic;
};

#endif
