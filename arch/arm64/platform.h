/* The platform devices of the arm64 machine, on its MMIO bus (layout.h). Control thread. */
#ifndef VIREO_ARM64_PLATFORM_H
#define VIREO_ARM64_PLATFORM_H

#include "arch/arch.h"

/* The devices go onto the bus; their interrupts are connected once there is a GIC. */
int platform_create(struct arch *a, const struct arch_params *p, struct err *e);
int platform_connect(struct arch *a, struct err *e);
void platform_destroy(struct arch *a); /* legal when half built */

#endif
