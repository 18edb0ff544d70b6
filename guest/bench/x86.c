/* The bench's rows on x86-64: what each one does. docs/exit-latency.md says where it is handled and which
 * specification has it. */
#include "x86.h"

#define PORT_ELCR       0x4d0 /* edge/level control of the PIC: a register without side effects */
#define LAPIC_WINDOW    0xfee00000u
#define LAPIC_ID        0x20
#define MSR_FILTERED    0x400000f0 /* of those that processors leave to hypervisors (SDM volume 4, 2) */
#define HYPERCALL_NONE  0xffff
#define STRING_BYTES    16
#define DR7_RESERVED_ON 0x400

const uint64_t bench_ram_base = 0;

uint64_t bench_counter_hz(void)
{
    return 0; /* CPUID 0x15 is rarely told truly: the monitor measures */
}

extern const struct bench_span span_hypercall_null_amd;

/* The vendor's own instruction: KVM has to rewrite the other one. */
static bool is_amd(void)
{
    uint32_t a = 0, b, c, d;
    __asm__ volatile("cpuid" : "+a"(a), "=b"(b), "=c"(c), "=d"(d));
    return c == 0x444d4163 /* "cAMD" */ || c == 0x656e6975 /* "uine" of Hygon */;
}

static bool prepare_hypercall(struct bench_run *r)
{
    if (is_amd()) r->span = &span_hypercall_null_amd;
    return true;
}

/* From x2APIC mode back to the window there is only the way through off (SDM volume 3, 11.12.5). */
static bool prepare_lapic(struct bench_run *r)
{
    const uint64_t base = rdmsr(MSR_APIC_BASE);

    if (base & APIC_BASE_X2APIC) {
        wrmsr(MSR_APIC_BASE, base & ~(uint64_t)(APIC_BASE_X2APIC | APIC_BASE_ENABLE));
        wrmsr(MSR_APIC_BASE, (base & ~(uint64_t)APIC_BASE_X2APIC) | APIC_BASE_ENABLE);
    }
    r->operands.reg[RDI] = LAPIC_WINDOW + LAPIC_ID;
    return true;
}

static uint8_t string[STRING_BYTES];

static bool prepare_string(struct bench_run *r)
{
    r->operands.reg[RDI] = (uintptr_t)string;
    return true;
}

#define SPAN(name, ...) [BENCH_##name] = {.span = &span_##name, __VA_ARGS__}
#define WITH(a, c, d)   .operands = {{[RAX] = (a), [RCX] = (c), [RDX] = (d)}}

const struct bench_code bench_code[BENCH_ROW_COUNT] = {
    SPAN(nop),
    SPAN(counter),
    SPAN(msr_passthrough, WITH(0, MSR_FS_BASE, 0)),
    SPAN(load),
    SPAN(cpuid),
    SPAN(hypercall_null, WITH(HYPERCALL_NONE, 0, 0), .prepare = prepare_hypercall),
    SPAN(msr_rd_k, WITH(0, MSR_APIC_BASE, 0)),
    SPAN(msr_wr_tscdl, WITH(0, MSR_TSC_DEADLINE, 0), .prepare = prepare_deadline),
    SPAN(cr8),
    SPAN(dr7_wr, WITH(DR7_RESERVED_ON, 0, 0)),
    SPAN(wbinvd),
    SPAN(pio_in_kernel, WITH(0, 0, PORT_ELCR)),
    SPAN(pio_ioeventfd, .address = RDX),
    SPAN(mmio_ioeventfd),
    SPAN(mmio_lapic, .prepare = prepare_lapic),
    SPAN(ipi_rtt, .prepare = prepare_ipi, .second = second_answers),
    SPAN(ipi_self, WITH(VECTOR_DEVICE, MSR_X2APIC_SELF, 0), .prepare = prepare_self_ipi),
    SPAN(hlt_pending, .prepare = prepare_interrupt, .sample = sample_pending),
    [BENCH_hlt_wake_running] = {.prepare = prepare_interrupt, .sample = sample_woken_running, .second = second_wakes},
    [BENCH_hlt_wake_polling] = {.prepare = prepare_interrupt, .sample = sample_woken_halted, .second = second_wakes},
    [BENCH_hlt_wake_descheduled] = {.prepare = prepare_interrupt,
                                    .sample = sample_woken_halted,
                                    .second = second_wakes},
    [BENCH_irqfd_running] = {.prepare = prepare_irqfd, .sample = sample_irqfd_running},
    [BENCH_irqfd_halted] = {.prepare = prepare_irqfd, .sample = sample_irqfd_halted},
    [BENCH_timer_lat] = {.prepare = prepare_deadline, .sample = sample_timer},
    SPAN(first_touch_4k),
    SPAN(first_touch_2m),
    SPAN(dirty_log_wp, .prepare = prepare_touched),
    SPAN(pio_out_user, .address = RDX),
    SPAN(pio_in_user, .address = RDX),
    SPAN(pio_string_user, WITH(0, STRING_BYTES, 0), .address = RDX, .prepare = prepare_string),
    SPAN(mmio_rd_user),
    SPAN(mmio_wr_user),
    SPAN(msr_user, WITH(0, MSR_FILTERED, 0)),
    SPAN(hlt_user),
    [BENCH_kick_user] = {.sample = sample_kick},
    SPAN(never_exits),
};
