/* Where the interrupt controller is, by the device tree. */
#ifndef VIREO_GUEST_ARM64_GIC_H
#define VIREO_GUEST_ARM64_GIC_H

#include <stdbool.h>
#include <stdint.h>

struct machine_gic {
    uint64_t distributor;
    uint64_t other; /* GICv3: the redistributors; GICv2: the CPU interface. 0: out of reach */
    bool is_v3;
};
/* Filled by machine_discover. */
extern struct machine_gic machine_gic;

#endif
