/* What an arm64 machine is made of: shared by this folder's files, seen by nobody else.
 *
 *   arch.c        what KVM must offer, build and tear down      vcpu.c        a vCPU: features, registers, stolen time
 *   platform.c    serial port, clock, debug exit, panic device  load.c        kernel, initrd and device tree placed
 *   gic.c         the interrupt controller                      load_image.c  kernel formats
 *   fdt.c         the device tree                               exit.c        what only arm64 can explain
 *   layout.h      where everything lies                         info.c        the same for neutral code */
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

/* platform.c: the devices go onto the MMIO bus; their interrupts are connected once there is a GIC. */
int platform_create(struct arch *a, const struct arch_params *p, struct err *e);
int platform_connect(struct arch *a, struct err *e);
void platform_destroy(struct arch *a); /* legal when half built */

/* vcpu.c */
int vcpu_init(const struct vm *vm, const struct vcpu *v, bool is_first, struct err *e);
int vcpu_get(const struct vcpu *v, uint64_t reg, uint64_t *out, struct err *e); /* e may be NULL */
/* The affinity fields of its MPIDR_EL1: how the guest names it. */
int vcpu_affinity(const struct vcpu *v, uint64_t *out, struct err *e);
/* Enter at `entry` with x0 = dtb (booting.rst, section 5). */
int vcpu_set_boot(const struct vcpu *v, uint64_t entry, uint64_t dtb, struct err *e);
/* IMAGE_PAGES_*: what the guest's translation can use. */
int vcpu_page_sizes(const struct vcpu *v, unsigned *out, struct err *e);
/* Stolen time (DEN0057): a record each, in memory of their own that no device reaches. Does nothing where KVM has no
 * such thing. */
int pvtime_create(struct arch *a, struct vm *vm, struct err *e);
int pvtime_connect(const struct arch *a, const struct vcpu *v, struct err *e);
void pvtime_destroy(struct arch *a);

#define VCPU_CORE_REG(field) (KVM_REG_ARM64 | KVM_REG_SIZE_U64 | KVM_REG_ARM_CORE | KVM_REG_ARM_CORE_REG(field))

#endif
