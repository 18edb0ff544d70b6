/* The bench's rows on arm64: what each one does. docs/exit-latency.md says where it is handled and which specification
 * has it. */
#include "arm64.h"

#define HYPERCALL_NONE 0x8600fe00u /* of the range of hypervisors (Arm DEN 0028, 6.1): KVM has nothing there */
#define PSCI_VERSION   0x84000000u /* Arm DEN 0022, 5.1 */

const uint64_t bench_ram_base = 0x40000000;

uint64_t bench_counter_hz(void)
{
    uint64_t hz;
    __asm__ volatile("mrs %0, cntfrq_el0" : "=r"(hz));
    return hz;
}

#define SPAN(name, ...) [BENCH_##name] = {.span = &span_##name, __VA_ARGS__}
#define WITH(a, b)      .operands = {{(a), (b)}}

const struct bench_code bench_code[BENCH_ROW_COUNT] = {
    SPAN(nop),
    SPAN(counter),
    SPAN(load),
    SPAN(eoi_spurious, .prepare = prepare_spurious),
    SPAN(hypercall_null, WITH(HYPERCALL_NONE, 0)),
    SPAN(psci_version, WITH(PSCI_VERSION, 0)),
    SPAN(sysreg_id),
    SPAN(mmio_vgic, .prepare = prepare_vgic),
    SPAN(mmio_ioeventfd),
    SPAN(ipi_rtt, .prepare = prepare_ipi, .second = second_answers),
    SPAN(hlt_pending, .prepare = prepare_interrupt, .sample = sample_pending),
    [BENCH_hlt_wake_running] = {.prepare = prepare_interrupt, .sample = sample_woken_running, .second = second_wakes},
    [BENCH_hlt_wake_polling] = {.prepare = prepare_interrupt, .sample = sample_woken_halted, .second = second_wakes},
    [BENCH_hlt_wake_descheduled] = {.prepare = prepare_interrupt,
                                    .sample = sample_woken_halted,
                                    .second = second_wakes},
    [BENCH_irqfd_running] = {.prepare = prepare_irqfd, .sample = sample_irqfd_running},
    [BENCH_irqfd_halted] = {.prepare = prepare_irqfd, .sample = sample_irqfd_halted},
    [BENCH_timer_lat] = {.prepare = prepare_interrupt, .sample = sample_timer},
    SPAN(first_touch_4k),
    SPAN(first_touch_2m),
    SPAN(dirty_log_wp, .prepare = prepare_touched),
    SPAN(mmio_rd_user),
    SPAN(mmio_wr_user),
    [BENCH_kick_user] = {.sample = sample_kick},
    SPAN(never_exits),
};
