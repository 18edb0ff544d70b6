/* The interrupt controller: where it is, by the device tree, and the processors' ends of it, in system registers
 * (GICv3) or in memory (GICv2). */
#ifndef VIREO_GUEST_ARM64_GIC_H
#define VIREO_GUEST_ARM64_GIC_H

#include "../common/guest.h"

#define GIC_TIMER      27   /* the virtual timer's PPI (DEN 0094) */
#define GIC_NONE_FIRST 1020 /* IDs from here on say that there is nothing (IHI 0069, 2.2) */
#define GIC_ID(taken)  ((taken)&0x3ff)

/* The CPU interface in memory (IHI 0048, 4.4). */
#define GICC_CTLR 0x00
#define GICC_PMR  0x04
#define GICC_IAR  0x0c
#define GICC_EOIR 0x10

/* The CPU interface's system registers (IHI 0069, 12.2), for assemblers that lack their names. */
#define ICC_PMR_EL1     "s3_0_c4_c6_0"
#define ICC_SGI1R_EL1   "s3_0_c12_c11_5"
#define ICC_IAR1_EL1    "s3_0_c12_c12_0"
#define ICC_EOIR1_EL1   "s3_0_c12_c12_1"
#define ICC_SRE_EL1     "s3_0_c12_c12_5"
#define ICC_IGRPEN1_EL1 "s3_0_c12_c12_7"

#define WRITE_SYSTEM(reg, value) __asm__ volatile("msr " reg ", %0; isb" : : "r"((uint64_t)(value)) : "memory")

struct machine_gic {
    uint64_t distributor;
    uint64_t other; /* GICv3: the redistributors; GICv2: the CPU interface. 0: out of reach */
    bool is_v3;
};
/* Filled by machine_discover. */
extern struct machine_gic machine_gic;

/* Let this processor have its own interrupts of `mask` (bit n: ID n, below 32). False: it can't reach its interface. */
bool gic_open(uint32_t mask);

/* Take what is pending, whether or not the processor masks interrupts. GIC_ID() of it says what it is. */
static inline uint64_t gic_take(void)
{
    uint64_t taken;
    if (!machine_gic.is_v3) return mmio_read32(machine_gic.other + GICC_IAR);
    __asm__ volatile("mrs %0, " ICC_IAR1_EL1 "; dsb sy" : "=r"(taken) : : "memory");
    return taken;
}

/* The whole of what gic_take gave: a GICv2 SGI's has the sender in it. */
static inline void gic_end(uint64_t taken)
{
    if (machine_gic.is_v3)
        WRITE_SYSTEM(ICC_EOIR1_EL1, taken);
    else
        mmio_write32(machine_gic.other + GICC_EOIR, (uint32_t)taken);
}

/* The virtual timer's interrupt is raised from `deadline`, in ticks of the counter, until the timer is stopped. */
static inline void timer_start(uint64_t deadline)
{
    WRITE_SYSTEM("cntv_cval_el0", deadline);
    WRITE_SYSTEM("cntv_ctl_el0", 1);
}

static inline void timer_stop(void)
{
    WRITE_SYSTEM("cntv_ctl_el0", 0);
}

#endif
