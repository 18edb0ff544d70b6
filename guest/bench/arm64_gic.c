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
extern const struct bench_span span_ipi_rtt_v2, span_ipi_send_v2, span_eoi_spurious_v2;

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
const struct bench_span *bench_sending(uint32_t cpu, struct bench_operands *out)
{
    const uint64_t v3 = (uint64_t)SGI << SGI1R_ID | 1u << cpu, v2 = 1u << (SGIR_TARGETS + cpu) | SGI;
    *out = (struct bench_operands){{machine_gic.distributor + GICD_SGIR, machine_gic.is_v3 ? v3 : v2}};
    return machine_gic.is_v3 ? &span_ipi_send : &span_ipi_send_v2;
}

bool prepare_ipi(struct bench_run *r)
{
    (void)bench_sending(1, &r->operands);
    if (!machine_gic.is_v3) r->span = &span_ipi_rtt_v2;
    return prepare_interrupt(r);
}

void bench_send_self(void)
{
    struct bench_operands o;
    struct bench_sample scrap;
    const struct bench_span *span = bench_sending(0, &o);

    bench_take(span->once, &o, &scrap, 1, 0);
    __asm__ volatile("dsb sy" : : : "memory"); /* it is pending when this returns */
}

void bench_set_timer(uint64_t deadline)
{
    timer_start(deadline);
}

/* ---- rows of the controller itself ---- */

bool prepare_spurious(struct bench_run *r)
{
    r->operands = (struct bench_operands){{machine_gic.other + GICC_EOIR, SPURIOUS}};
    if (!machine_gic.is_v3) r->span = &span_eoi_spurious_v2;
    return bench_open();
}

bool prepare_vgic(struct bench_run *r)
{
    r->operands.reg[0] = machine_gic.distributor + GICD_IIDR;
    return true;
}
