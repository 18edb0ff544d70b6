/* A processor's interface to the interrupt controller. */
#include "gic.h"

#define PRIORITY_ANY 0xff

/* The distributor (IHI 0048, 4.3; IHI 0069, 12.9). */
#define GICD_CTLR      0x000
#define GICD_ISENABLER 0x100
#define CTLR_V3        0x12 /* affinity routing, group 1: one security state, as KVM's has */
#define CTLR_V2        0x01
/* The redistributor (IHI 0069, 12.11). */
#define GICR_TYPER      0x0008
#define GICR_AFFINITY   0x000c /* its upper half */
#define GICR_WAKER      0x0014
#define GICR_IGROUPR0   0x10080
#define GICR_ISENABLER0 0x10100
#define GICR_STRIDE     0x20000
#define TYPER_LAST      0x10u
#define WAKER_SLEEP     0x2u
#define WAKER_ASLEEP    0x4u

/* The redistributor that has this processor's affinity. 0: none. */
static uint64_t redistributor(void)
{
    uint64_t mpidr, at = machine_gic.other;

    __asm__ volatile("mrs %0, mpidr_el1" : "=r"(mpidr));
    const uint32_t affinity = (uint32_t)(mpidr & 0xffffff) | (uint32_t)(mpidr >> 8 & 0xff000000);
    while (mmio_read32(at + GICR_AFFINITY) != affinity) {
        if (mmio_read32(at + GICR_TYPER) & TYPER_LAST) return 0;
        at += GICR_STRIDE;
    }
    return at;
}

static bool open_v3(uint32_t mask)
{
    const uint64_t base = redistributor();

    if (!base) return false;
    mmio_write32(base + GICR_WAKER, mmio_read32(base + GICR_WAKER) & ~WAKER_SLEEP);
    while (mmio_read32(base + GICR_WAKER) & WAKER_ASLEEP) continue;
    mmio_write32(base + GICR_IGROUPR0, ~0u);
    mmio_write32(base + GICR_ISENABLER0, mask);
    WRITE_SYSTEM(ICC_SRE_EL1, 1);
    WRITE_SYSTEM(ICC_PMR_EL1, PRIORITY_ANY);
    WRITE_SYSTEM(ICC_IGRPEN1_EL1, 1);
    return true;
}

static bool open_v2(uint32_t mask)
{
    mmio_write32(machine_gic.distributor + GICD_ISENABLER, mask); /* this processor's own */
    mmio_write32(machine_gic.other + GICC_PMR, PRIORITY_ANY);
    mmio_write32(machine_gic.other + GICC_CTLR, 1);
    return true;
}

bool gic_open(uint32_t mask)
{
    mmio_write32(machine_gic.distributor + GICD_CTLR, machine_gic.is_v3 ? CTLR_V3 : CTLR_V2);
    return machine_gic.other && (machine_gic.is_v3 ? open_v3(mask) : open_v2(mask));
}
