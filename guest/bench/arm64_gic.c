/* Interrupts of the bench guest on arm64: the CPU interface by system registers (GICv3) or in memory (GICv2). */
#include "../arm64/gic.h"
#include "arm64.h"
#include "interrupt.h"

#define SGI        1  /* what the processors send one another */
#define TIMER      27 /* the virtual timer's PPI (DEN 0094) */
#define SPI_FIRST  32
#define NONE_FIRST 1020 /* IDs from here on say that there is nothing (IHI 0069, 2.2) */
#define SPURIOUS   1023

/* The distributor (IHI 0048, 4.3; IHI 0069, 12.9). */
#define GICD_CTLR      0x000
#define GICD_IIDR      0x008
#define GICD_IGROUPR   0x080
#define GICD_ISENABLER 0x100
#define GICD_ITARGETSR 0x800
#define GICD_SGIR      0xf00
#define CTLR_V3        0x12 /* affinity routing, group 1: one security state, as KVM's has */
#define CTLR_V2        0x01
#define SGIR_TARGETS   16
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
/* The CPU interface in memory (IHI 0048, 4.4). */
#define GICC_CTLR    0x00
#define GICC_PMR     0x04
#define GICC_IAR     0x0c
#define GICC_EOIR    0x10
#define PRIORITY_ANY 0xff

/* The CPU interface's system registers (IHI 0069, 12.2), for assemblers that lack their names. */
#define ICC_PMR_EL1     "s3_0_c4_c6_0"
#define ICC_SGI1R_EL1   "s3_0_c12_c11_5"
#define ICC_IAR1_EL1    "s3_0_c12_c12_0"
#define ICC_EOIR1_EL1   "s3_0_c12_c12_1"
#define ICC_SRE_EL1     "s3_0_c12_c12_5"
#define ICC_IGRPEN1_EL1 "s3_0_c12_c12_7"
#define SGI1R_ID        24

#define WRITE(reg, value) __asm__ volatile("msr " reg ", %0; isb" : : "r"((uint64_t)(value)) : "memory")

extern const uint8_t bench_vectors[];
void bench_interrupt(uint64_t at);

static uint64_t acknowledge(void)
{
    uint64_t id;
    if (!machine_gic.is_v3) return mmio_read32(machine_gic.other + GICC_IAR);
    __asm__ volatile("mrs %0, " ICC_IAR1_EL1 "; dsb sy" : "=r"(id) : : "memory");
    return id;
}

void do_spurious(uint64_t address)
{
    if (address)
        mmio_write32(address, SPURIOUS);
    else
        WRITE(ICC_EOIR1_EL1, SPURIOUS);
}

/* From the vectors, with the counter as it was at the first instruction. */
void bench_interrupt(uint64_t at)
{
    const uint64_t id = acknowledge();

    if ((id & 0x3ff) >= NONE_FIRST) return;
    if ((id & 0x3ff) == TIMER) WRITE("cntv_ctl_el0", 0); /* it would stay raised */
    if (machine_gic.is_v3)
        WRITE(ICC_EOIR1_EL1, id);
    else
        mmio_write32(machine_gic.other + GICC_EOIR, (uint32_t)id); /* an SGI's has the sender in it */
    bench_taken_at = at;
    bench_taken++;
}

/* ---- this processor's interface ---- */

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

static bool open_v3(void)
{
    const uint64_t base = redistributor();

    if (!base) return false;
    mmio_write32(base + GICR_WAKER, mmio_read32(base + GICR_WAKER) & ~WAKER_SLEEP);
    while (mmio_read32(base + GICR_WAKER) & WAKER_ASLEEP) continue;
    mmio_write32(base + GICR_IGROUPR0, ~0u);
    mmio_write32(base + GICR_ISENABLER0, 1u << SGI | 1u << TIMER);
    WRITE(ICC_SRE_EL1, 1);
    WRITE(ICC_PMR_EL1, PRIORITY_ANY);
    WRITE(ICC_IGRPEN1_EL1, 1);
    return true;
}

static bool open_v2(void)
{
    mmio_write32(machine_gic.distributor + GICD_ISENABLER, 1u << SGI | 1u << TIMER); /* this processor's own */
    mmio_write32(machine_gic.other + GICC_PMR, PRIORITY_ANY);
    mmio_write32(machine_gic.other + GICC_CTLR, 1);
    return true;
}

static bool open_here(void)
{
    WRITE("vbar_el1", (uintptr_t)bench_vectors);
    return machine_gic.other && (machine_gic.is_v3 ? open_v3() : open_v2());
}

bool bench_open(void)
{
    mmio_write32(machine_gic.distributor + GICD_CTLR, machine_gic.is_v3 ? CTLR_V3 : CTLR_V2);
    return open_here();
}

void bench_open_second(void)
{
    (void)open_here();
}

/* KVM's GSI n is SPI n. Its route is to the first processor where nothing says otherwise. */
bool bench_open_line(uint32_t gsi)
{
    const struct guest_device line = {.irq = gsi + SPI_FIRST, .is_edge = true};
    const uint64_t gicd = machine_gic.distributor, word = line.irq / 32 * 4;
    const uint32_t bit = 1u << line.irq % 32;

    irq_watch(&line);
    if (machine_gic.is_v3)
        mmio_write32(gicd + GICD_IGROUPR + word, mmio_read32(gicd + GICD_IGROUPR + word) | bit);
    else
        *(volatile uint8_t *)(uintptr_t)(gicd + GICD_ITARGETSR + line.irq) = 1;
    mmio_write32(gicd + GICD_ISENABLER + word, bit);
    return true;
}

/* ---- sending ---- */

/* Processors 0 and 1 are KVM's affinities 0 and 1 at the lowest level. */
void bench_send(uint32_t cpu)
{
    __asm__ volatile("dsb ishst" : : : "memory"); /* what was written is seen by who is woken */
    if (machine_gic.is_v3)
        WRITE(ICC_SGI1R_EL1, (uint64_t)SGI << SGI1R_ID | 1u << cpu);
    else
        mmio_write32(machine_gic.distributor + GICD_SGIR, 1u << (SGIR_TARGETS + cpu) | SGI);
}

void bench_send_self(void)
{
    bench_send(0);
}

void bench_set_timer(uint64_t deadline)
{
    WRITE("cntv_cval_el0", deadline);
    WRITE("cntv_ctl_el0", 1);
}

/* ---- rows of the controller itself ---- */

bool prepare_spurious(struct bench_run *r)
{
    r->address = machine_gic.is_v3 ? 0 : machine_gic.other + GICC_EOIR;
    return bench_open();
}

bool prepare_vgic(struct bench_run *r)
{
    r->address = machine_gic.distributor + GICD_IIDR;
    return true;
}
