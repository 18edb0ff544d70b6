/* The interrupt controller, in the kernel: a GICv3, or a GICv2 where the host has no better. Control thread. */
#ifndef VIREO_ARM64_GIC_H
#define VIREO_ARM64_GIC_H

#include "vmm/kvm/kvm.h"

enum gic_version { GIC_V2 = 2, GIC_V3 = 3 };

struct gic {
    enum gic_version version;
    int fd; /* -1: not created yet */
};

/* Which version this host offers, the newer first. Refuses more vCPUs than it serves. */
int gic_choose(const struct vm *vm, unsigned cpus, enum gic_version *out, struct err *e);
/* Creates it at its place in the layout. After every vCPU has been initialised (Documentation/virt/kvm/devices,
 * arm-vgic-v3: its INIT fixes the number of redistributors). From then on irqfds can be connected. */
int gic_create(struct gic *g, const struct vm *vm, struct err *e);
void gic_destroy(struct gic *g); /* legal on fd -1 and twice */

#endif
