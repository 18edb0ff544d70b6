/* Rows in which an interrupt is on its way: from the other processor, from the monitor, from the timer, from oneself.
 *
 * An interrupt is let in where the row sleeps, else by spinning with interrupts on. Where privileged code
 * is emulated, spinning may never let one in; then the monitor's watchdog ends the row. */
#include "bench.h"

#include "counter.h"   /* the architecture's, */
#include "interrupt.h" /* and this too */

volatile uint64_t bench_taken, bench_taken_at;
/* For the second processor: how often it was asked to wake the first one, how often it has, and when it last did. */
static uint64_t asked, sent, sent_at;

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

bool prepare_interrupt(struct bench_run *r)
{
    (void)r;
    return bench_open();
}

/* The one that waits, if it was not let in already. */
static void let_in(void)
{
    interrupts_on();
    interrupts_off();
}

/* Asleep with an interrupt that waits already: there is nothing to sleep for. */
void sample_pending(struct bench_run *r, struct bench_sample *s)
{
    bench_send_self();
    bench_take(r->span->once, &r->operands, s, 1, 0);
    let_in();
}

/* ---- from and to the second processor ---- */

/* It answers each interrupt by taking it. */
void second_answers(struct bench_page *p)
{
    bench_open_second();
    interrupts_on();
    while (!bench_is_over(p)) machine_relax();
    interrupts_off();
}

/* It sends one when asked, after p->argument ticks in which the first may fall asleep. */
void second_wakes(struct bench_page *p)
{
    struct bench_operands operands;
    struct bench_sample sample;
    const struct bench_span *span = bench_sending(0, &operands);

    bench_open_second();
    for (uint64_t done = 0; !bench_is_over(p);) {
        if (__atomic_load_n(&asked, __ATOMIC_ACQUIRE) == done) {
            machine_relax();
            continue;
        }
        const uint64_t start = bench_counter();
        while (bench_counter() - start < p->argument) machine_relax();
        bench_take(span->once, &operands, &sample, 1, 0);
        sent_at = sample.g0;
        __atomic_store_n(&sent, ++done, __ATOMIC_RELEASE);
    }
}

static void sample_woken(struct bench_sample *s, void (*wait)(uint64_t))
{
    const uint64_t taken = bench_taken;

    __atomic_store_n(&asked, asked + 1, __ATOMIC_RELEASE);
    wait(taken);
    while (__atomic_load_n(&sent, __ATOMIC_ACQUIRE) != asked) machine_relax(); /* it says when after it has */
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
    return bench_open() && bench_open_line((uint32_t)r->page->argument);
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

/* From the moment the timer was set for to the first instruction of its handler. */
void sample_timer(struct bench_run *r, struct bench_sample *s)
{
    const uint64_t taken = bench_taken;
    const uint64_t deadline = bench_counter() + r->page->argument;

    bench_set_timer(deadline);
    sleep_until_after(taken);
    s->g0 = deadline;
    s->g1 = bench_taken_at;
}
