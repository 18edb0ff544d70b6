/* The bench's rows on arm64: what each one does. docs/exit-latency.md says where it is handled and which specification
 * has it. */
#include "arm64.h"

#include "counter.h"

#define HYPERCALL_NONE 0x8600fe00u /* of the range of hypervisors (Arm DEN 0028, 6.1): KVM has nothing there */
#define PSCI_VERSION   0x84000000u /* Arm DEN 0022, 5.1 */

const uint64_t bench_ram_base = 0x40000000;

uint64_t bench_counter_hz(void)
{
    uint64_t hz;
    __asm__ volatile("mrs %0, cntfrq_el0" : "=r"(hz));
    return hz;
}

static void do_nop(uint64_t address)
{
    (void)address;
    __asm__ volatile("nop");
}

static void do_counter(uint64_t address)
{
    (void)address;
    (void)bench_counter();
}

static inline void call(uint64_t function)
{
    register uint64_t x0 __asm__("x0") = function;
    __asm__ volatile("hvc #0" : "+r"(x0) : : "x1", "x2", "x3", "memory");
}

static void do_hypercall(uint64_t address)
{
    (void)address;
    call(HYPERCALL_NONE);
}

static void do_psci(uint64_t address)
{
    (void)address;
    call(PSCI_VERSION);
}

static void do_sysreg(uint64_t address)
{
    uint64_t value;
    (void)address;
    __asm__ volatile("mrs %0, id_aa64pfr0_el1" : "=r"(value));
}

const struct bench_code bench_code[BENCH_ROW_COUNT] = {
    [BENCH_nop] = {.op = do_nop},
    [BENCH_counter] = {.op = do_counter},
    [BENCH_load] = {.op = do_load},
    [BENCH_eoi_spurious] = {.prepare = prepare_spurious, .op = do_spurious},
    [BENCH_hypercall_null] = {.op = do_hypercall},
    [BENCH_psci_version] = {.op = do_psci},
    [BENCH_sysreg_id] = {.op = do_sysreg},
    [BENCH_mmio_vgic] = {.prepare = prepare_vgic, .op = do_read},
    [BENCH_mmio_ioeventfd] = {.op = do_write},
    [BENCH_ipi_rtt] = {.prepare = prepare_interrupt, .op = do_ipi, .second = second_answers},
    [BENCH_hlt_pending] = {.prepare = prepare_interrupt, .sample = sample_pending},
    [BENCH_hlt_wake_running] = {.prepare = prepare_interrupt, .sample = sample_woken_running, .second = second_wakes},
    [BENCH_hlt_wake_polling] = {.prepare = prepare_interrupt, .sample = sample_woken_halted, .second = second_wakes},
    [BENCH_hlt_wake_descheduled] = {.prepare = prepare_interrupt,
                                    .sample = sample_woken_halted,
                                    .second = second_wakes},
    [BENCH_irqfd_running] = {.prepare = prepare_irqfd, .sample = sample_irqfd_running},
    [BENCH_irqfd_halted] = {.prepare = prepare_irqfd, .sample = sample_irqfd_halted},
    [BENCH_timer_lat] = {.prepare = prepare_interrupt, .sample = sample_timer},
    [BENCH_first_touch_4k] = {.op = do_store_byte},
    [BENCH_first_touch_2m] = {.op = do_store_byte},
    [BENCH_dirty_log_wp] = {.prepare = prepare_touched, .op = do_store_byte},
    [BENCH_mmio_rd_user] = {.op = do_read},
    [BENCH_mmio_wr_user] = {.op = do_write},
    [BENCH_kick_user] = {.sample = sample_kick},
    [BENCH_never_exits] = {.op = do_forever},
};
