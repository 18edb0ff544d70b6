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

/* ---- controls ---- */

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

static void do_fs_base(uint64_t address)
{
    (void)address;
    (void)rdmsr(MSR_FS_BASE);
}

/* ---- handled by the kernel ---- */

static void do_cpuid(uint64_t address)
{
    (void)address;
    (void)cpuid_ecx(0);
}

/* The vendor's own instruction: KVM has to rewrite the other one. */
static bool is_amd(void)
{
    uint32_t a = 0, b, c, d;
    __asm__ volatile("cpuid" : "+a"(a), "=b"(b), "=c"(c), "=d"(d));
    return c == 0x444d4163 /* "cAMD" */ || c == 0x656e6975 /* "uine" of Hygon */;
}

static bool prepare_hypercall(struct bench_run *r)
{
    r->address = is_amd();
    return true;
}

static void do_hypercall(uint64_t address)
{
    uint64_t number = HYPERCALL_NONE;
    if (address)
        __asm__ volatile("vmmcall" : "+a"(number) : : "memory");
    else
        __asm__ volatile("vmcall" : "+a"(number) : : "memory");
}

static void do_apic_base(uint64_t address)
{
    (void)address;
    (void)rdmsr(MSR_APIC_BASE);
}

static void do_deadline(uint64_t address)
{
    wrmsr(MSR_TSC_DEADLINE, address);
}

static void do_cr8(uint64_t address)
{
    (void)address;
    __asm__ volatile("mov %0, %%cr8" : : "r"(0ull) : "memory");
}

static void do_dr7(uint64_t address)
{
    (void)address;
    __asm__ volatile("mov %0, %%dr7" : : "r"((uint64_t)DR7_RESERVED_ON) : "memory");
}

static void do_wbinvd(uint64_t address)
{
    (void)address;
    __asm__ volatile("wbinvd" : : : "memory");
}

static void do_elcr(uint64_t address)
{
    (void)address;
    (void)inb(PORT_ELCR);
}

/* From x2APIC mode back to the window there is only the way through off (SDM volume 3, 11.12.5). */
static bool prepare_lapic(struct bench_run *r)
{
    const uint64_t base = rdmsr(MSR_APIC_BASE);

    if (base & APIC_BASE_X2APIC) {
        wrmsr(MSR_APIC_BASE, base & ~(uint64_t)(APIC_BASE_X2APIC | APIC_BASE_ENABLE));
        wrmsr(MSR_APIC_BASE, (base & ~(uint64_t)APIC_BASE_X2APIC) | APIC_BASE_ENABLE);
    }
    r->address = LAPIC_WINDOW + LAPIC_ID;
    return true;
}

/* ---- handled by the monitor ---- */

static void do_out(uint64_t address)
{
    outb((uint16_t)address, 0);
}

static void do_in(uint64_t address)
{
    (void)inb((uint16_t)address);
}

static void do_string(uint64_t address)
{
    uint8_t to[STRING_BYTES], *at = to;
    uint64_t count = sizeof(to);
    __asm__ volatile("rep insb" : "+D"(at), "+c"(count) : "d"((uint16_t)address) : "memory");
}

static void do_msr(uint64_t address)
{
    (void)address;
    (void)rdmsr(MSR_FILTERED);
}

static void do_hlt(uint64_t address)
{
    (void)address;
    __asm__ volatile("hlt" : : : "memory");
}

const struct bench_code bench_code[BENCH_ROW_COUNT] = {
    [BENCH_nop] = {.op = do_nop},
    [BENCH_counter] = {.op = do_counter},
    [BENCH_msr_passthrough] = {.op = do_fs_base},
    [BENCH_load] = {.op = do_load},
    [BENCH_cpuid] = {.op = do_cpuid},
    [BENCH_hypercall_null] = {.prepare = prepare_hypercall, .op = do_hypercall},
    [BENCH_msr_rd_k] = {.op = do_apic_base},
    [BENCH_msr_wr_tscdl] = {.prepare = prepare_deadline, .op = do_deadline},
    [BENCH_cr8] = {.op = do_cr8},
    [BENCH_dr7_wr] = {.op = do_dr7},
    [BENCH_wbinvd] = {.op = do_wbinvd},
    [BENCH_pio_in_kernel] = {.op = do_elcr},
    [BENCH_pio_ioeventfd] = {.op = do_out},
    [BENCH_mmio_ioeventfd] = {.op = do_write},
    [BENCH_mmio_lapic] = {.prepare = prepare_lapic, .op = do_read},
    [BENCH_ipi_rtt] = {.prepare = prepare_interrupt, .op = do_ipi, .second = second_answers},
    [BENCH_ipi_self] = {.prepare = prepare_self_ipi, .op = do_self_ipi},
    [BENCH_hlt_pending] = {.prepare = prepare_interrupt, .sample = sample_pending},
    [BENCH_hlt_wake_running] = {.prepare = prepare_interrupt, .sample = sample_woken_running, .second = second_wakes},
    [BENCH_hlt_wake_polling] = {.prepare = prepare_interrupt, .sample = sample_woken_halted, .second = second_wakes},
    [BENCH_hlt_wake_descheduled] = {.prepare = prepare_interrupt,
                                    .sample = sample_woken_halted,
                                    .second = second_wakes},
    [BENCH_irqfd_running] = {.prepare = prepare_irqfd, .sample = sample_irqfd_running},
    [BENCH_irqfd_halted] = {.prepare = prepare_irqfd, .sample = sample_irqfd_halted},
    [BENCH_timer_lat] = {.prepare = prepare_deadline, .sample = sample_timer},
    [BENCH_first_touch_4k] = {.op = do_store_byte},
    [BENCH_first_touch_2m] = {.op = do_store_byte},
    [BENCH_dirty_log_wp] = {.prepare = prepare_touched, .op = do_store_byte},
    [BENCH_pio_out_user] = {.op = do_out},
    [BENCH_pio_in_user] = {.op = do_in},
    [BENCH_pio_string_user] = {.op = do_string},
    [BENCH_mmio_rd_user] = {.op = do_read},
    [BENCH_mmio_wr_user] = {.op = do_write},
    [BENCH_msr_user] = {.op = do_msr},
    [BENCH_hlt_user] = {.op = do_hlt},
    [BENCH_kick_user] = {.sample = sample_kick},
    [BENCH_never_exits] = {.op = do_forever},
};
