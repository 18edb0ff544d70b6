/* Interrupts of the bench guest on x86: x2APIC mode throughout, which needs no window and one MSR each. */
#include "interrupt.h"
#include "x86.h"

static bool has_x2apic(void)
{
    return rdmsr(MSR_APIC_BASE) & APIC_BASE_X2APIC;
}

bool bench_open(void)
{
    idt_set(VECTOR_DEVICE, (uintptr_t)bench_interrupt);
    return has_x2apic();
}

void bench_open_second(void)
{
    idt_load();
    apic_open();
}

bool bench_open_line(uint32_t gsi)
{
    const struct guest_device line = {.irq = gsi, .is_edge = true};
    irq_watch(&line);
    return true;
}

const struct bench_span *bench_sending(uint32_t cpu, struct bench_operands *out)
{
    *out = (struct bench_operands){{[RAX] = VECTOR_DEVICE, [RCX] = MSR_X2APIC_ICR, [RDX] = cpu}};
    return &span_ipi_send;
}

bool prepare_ipi(struct bench_run *r)
{
    (void)bench_sending(1, &r->operands);
    return prepare_interrupt(r);
}

void bench_send_self(void)
{
    wrmsr(MSR_X2APIC_SELF, VECTOR_DEVICE);
}

bool prepare_self_ipi(struct bench_run *r)
{
    if (!prepare_interrupt(r)) return false;
    interrupts_on();
    return true;
}

/* For the timer's own row, and for the one that only arms it, far ahead. */
bool prepare_deadline(struct bench_run *r)
{
    const bool has_deadline = cpuid_ecx(1) >> 24 & 1;

    if (!has_deadline || !bench_open()) return false;
    wrmsr(MSR_X2APIC_TIMER, VECTOR_DEVICE | LVT_DEADLINE | (r->page->row == BENCH_timer_lat ? 0 : LVT_MASKED));
    const uint64_t far = bench_counter() + (1ull << 37); /* a minute at 2 GHz: the row is over by then */
    r->operands.reg[RAX] = (uint32_t)far;
    r->operands.reg[RDX] = far >> 32;
    return true;
}

void bench_set_timer(uint64_t deadline)
{
    wrmsr(MSR_TSC_DEADLINE, deadline);
}
