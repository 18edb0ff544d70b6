/* Rows in which an interrupt is on its way: from the other processor, from the monitor, from the timer, from oneself.
 *
 * An interrupt is let in by `sti; hlt` where the row sleeps, else by spinning with interrupts on. Where privileged code
 * is emulated, spinning may never let one in; then the monitor's watchdog ends the row. */
#include "x86.h"

volatile uint64_t bench_taken, bench_taken_at;

/* For the second processor: the row it is asked to wake the first one in, and when it did. */
static uint64_t asked, sent_at;

static void send(uint32_t apic_id)
{
    wrmsr(MSR_X2APIC_ICR, (uint64_t)apic_id << 32 | VECTOR_DEVICE);
}

static inline void interrupts_on(void)
{
    __asm__ volatile("sti" : : : "memory");
}

static inline void interrupts_off(void)
{
    __asm__ volatile("cli" : : : "memory");
}

static inline void sleep_once(void)
{
    __asm__ volatile("sti; hlt; cli" : : : "memory");
}

static void spin_until_after(uint64_t taken)
{
    interrupts_on();
    while (bench_taken == taken) machine_relax();
    interrupts_off();
}

static void sleep_until_after(uint64_t taken)
{
    while (bench_taken == taken) sleep_once();
}

bool bench_has_x2apic(void)
{
    return rdmsr(MSR_APIC_BASE) & APIC_BASE_X2APIC;
}

bool bench_open_interrupt(void)
{
    idt_set(VECTOR_DEVICE, (uintptr_t)bench_interrupt);
    return bench_has_x2apic();
}

bool prepare_interrupt(struct bench_run *r)
{
    (void)r;
    return bench_open_interrupt();
}

/* ---- to oneself ---- */

bool prepare_self_ipi(struct bench_run *r)
{
    if (!prepare_interrupt(r)) return false;
    interrupts_on();
    return true;
}

void do_self_ipi(uint64_t address)
{
    const uint64_t taken = bench_taken;
    (void)address;
    wrmsr(MSR_X2APIC_SELF, VECTOR_DEVICE);
    while (bench_taken == taken) machine_relax();
}

/* HLT with an interrupt that waits already: there is nothing to sleep for. */
void sample_pending(struct bench_run *r, struct bench_sample *s)
{
    (void)r;
    wrmsr(MSR_X2APIC_SELF, VECTOR_DEVICE);
    s->g0 = bench_counter();
    sleep_once();
    s->g1 = bench_counter();
}

/* ---- from and to the second processor ---- */

static void open_second(void)
{
    idt_load();
    apic_open();
}

/* It answers each interrupt by taking it. */
void second_answers(struct bench_page *p)
{
    open_second();
    interrupts_on();
    while (!bench_is_over(p)) machine_relax();
    interrupts_off();
}

void do_ipi(uint64_t address)
{
    const uint64_t taken = bench_taken;
    (void)address;
    send(1);
    while (bench_taken == taken) machine_relax();
}

/* It sends one when asked, after p->argument ticks in which the first may fall asleep. */
void second_wakes(struct bench_page *p)
{
    open_second();
    for (uint64_t done = 0; !bench_is_over(p);) {
        if (__atomic_load_n(&asked, __ATOMIC_ACQUIRE) == done) {
            machine_relax();
            continue;
        }
        done++;
        const uint64_t start = bench_counter();
        while (bench_counter() - start < p->argument) machine_relax();
        sent_at = bench_counter();
        send(0);
    }
}

static void sample_woken(struct bench_sample *s, void (*wait)(uint64_t))
{
    const uint64_t taken = bench_taken;

    __atomic_store_n(&asked, asked + 1, __ATOMIC_RELEASE);
    wait(taken);
    s->g0 = sent_at;
    s->g1 = bench_taken_at;
}

void sample_woken_running(struct bench_run *r, struct bench_sample *s)
{
    (void)r;
    sample_woken(s, spin_until_after);
}

void sample_woken_halted(struct bench_run *r, struct bench_sample *s)
{
    (void)r;
    sample_woken(s, sleep_until_after);
}

/* ---- from the monitor ---- */

bool prepare_irqfd(struct bench_run *r)
{
    const struct guest_device line = {.irq = (uint32_t)r->page->argument, .is_edge = true};

    if (!bench_open_interrupt()) return false;
    irq_watch(&line);
    return true;
}

static void sample_irqfd(struct bench_page *p, struct bench_sample *s, void (*wait)(uint64_t))
{
    const uint64_t taken = bench_taken;

    bench_ask_host(p, p->guest_turn + 1);
    wait(taken);
    s->g0 = p->host_stamp;
    s->g1 = bench_taken_at;
}

void sample_irqfd_running(struct bench_run *r, struct bench_sample *s)
{
    sample_irqfd(r->page, s, spin_until_after);
}

void sample_irqfd_halted(struct bench_run *r, struct bench_sample *s)
{
    sample_irqfd(r->page, s, sleep_until_after);
}

/* ---- from the timer ---- */

/* For the timer's own row, and for the one that only arms it, far ahead. */
bool prepare_deadline(struct bench_run *r)
{
    const bool has_deadline = cpuid_ecx(1) >> 24 & 1;

    if (!has_deadline || !bench_open_interrupt()) return false;
    wrmsr(MSR_X2APIC_TIMER, VECTOR_DEVICE | LVT_DEADLINE | (r->page->row == BENCH_timer_lat ? 0 : LVT_MASKED));
    r->address = bench_counter() + (1ull << 37); /* a minute at 2 GHz: the row is over by then */
    return true;
}

/* From the moment the timer was set for to the first instruction of its handler. */
void sample_timer(struct bench_run *r, struct bench_sample *s)
{
    const uint64_t taken = bench_taken;
    const uint64_t deadline = bench_counter() + r->page->argument;

    wrmsr(MSR_TSC_DEADLINE, deadline);
    sleep_until_after(taken);
    s->g0 = deadline;
    s->g1 = bench_taken_at;
}
