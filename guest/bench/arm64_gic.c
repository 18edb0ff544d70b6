/* Interrupts of the bench guest on arm64. */
#include "../arm64/gic.h"
#include "arm64.h"
#include "interrupt.h"

#define SGI       1 /* what the processors send one another */
#define SPI_FIRST 32
#define SPURIOUS  1023

/* The distributor (IHI 0048, 4.3; IHI 0069, 12.9). */
#define GICD_IIDR      0x008
#define GICD_IGROUPR   0x080
#define GICD_ISENABLER 0x100
#define GICD_ITARGETSR 0x800
#define GICD_SGIR      0xf00
#define SGIR_TARGETS   16
#define SGI1R_ID       24

extern const uint8_t bench_vectors[];
void bench_interrupt(uint64_t at);

void do_spurious(uint64_t address)
{
    if (address)
        mmio_write32(address, SPURIOUS);
    else
        WRITE_SYSTEM(ICC_EOIR1_EL1, SPURIOUS);
}

/* From the vectors, with the counter as it was at the first instruction. */
void bench_interrupt(uint64_t at)
{
    const uint64_t taken = gic_take();

    if (GIC_ID(taken) >= GIC_NONE_FIRST) return;
    if (GIC_ID(taken) == GIC_TIMER) timer_stop();
    gic_end(taken);
    bench_taken_at = at;
    bench_taken++;
}

bool bench_open(void)
{
    WRITE_SYSTEM("vbar_el1", (uintptr_t)bench_vectors);
    return gic_open(1u << SGI | 1u << GIC_TIMER);
}

void bench_open_second(void)
{
    (void)bench_open();
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
        WRITE_SYSTEM(ICC_SGI1R_EL1, (uint64_t)SGI << SGI1R_ID | 1u << cpu);
    else
        mmio_write32(machine_gic.distributor + GICD_SGIR, 1u << (SGIR_TARGETS + cpu) | SGI);
}

void bench_send_self(void)
{
    bench_send(0);
}

void bench_set_timer(uint64_t deadline)
{
    timer_start(deadline);
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
