/* The line between the bench guest's neutral half (main.c) and what an architecture brings (x86*, arm64*): for each row
 * of shared.h that it can do, a line of bench_code.
 *
 * Most rows are a span, an instruction between two reads of the counter: x86_rows.S and arm64_rows.S have them all.
 * Where the interesting interval is another one, an interrupt's way say, the row is a `sample` and reads the counter
 * itself. Interrupts are off but where a row lets them in. */
#ifndef VIREO_GUEST_BENCH_H
#define VIREO_GUEST_BENCH_H

#include "../common/guest.h"
#include "shared.h"

/* What the instruction finds in registers, before the first read of the counter, and its baseline too. The first is the
 * one that goes on by the page's stride. x86: rdi, rax, rcx, rdx. arm64: x0, x1. */
struct bench_operands {
    uint64_t reg[4];
};

/* Code, for bench_take alone. */
struct bench_span {
    const void *once, *many;
};
/* Run a span, n times over if it is `many`; rows' assembly. */
void bench_take(const void *span, const struct bench_operands *o, struct bench_sample *s, uint32_t n, uint64_t stride);
#define BENCH_SPAN(name) extern const struct bench_span span_##name;
BENCH_ROWS(BENCH_SPAN)
BENCH_SPAN(nothing)
BENCH_SPAN(ipi_send)
#undef BENCH_SPAN

struct bench_run {
    struct bench_page *page;
    const struct bench_span *span;
    struct bench_operands operands; /* of the next repetition */
};

struct bench_code {
    bool (*prepare)(struct bench_run *r); /* before everything else; false: unsupported here. NULL: nothing to do */
    const struct bench_span *span;
    struct bench_operands operands; /* with the page's address, where there is one, in register `address` */
    uint8_t address;
    void (*sample)(struct bench_run *r, struct bench_sample *s); /* the span, if there is one, is for it to use */
    /* On the second processor, until step BENCH_SAMPLED. NULL: it isn't started. */
    void (*second)(struct bench_page *p);
};

/* ---- What an architecture provides ---- */

extern const struct bench_code bench_code[BENCH_ROW_COUNT]; /* neither span nor sample: not on this architecture */
extern const uint64_t bench_ram_base;
uint64_t bench_counter_hz(void); /* 0: the processor does not tell */
/* And in guest/$(ARCH)/counter.h, found by that name alone: static inline uint64_t bench_counter(void), ordered after
 * all that went before it. */

/* Interrupts; and as inline functions in guest/$(ARCH)/interrupt.h: interrupts_on, interrupts_off, and sleep_once,
 * which sleeps until one is there and lets it in. What handles one stores the counter first, then counts. */
bool bench_open(void);              /* let them come to this processor; false: it lacks what that takes */
void bench_open_second(void);       /* to the second one; called there, after bench_open on the first */
bool bench_open_line(uint32_t gsi); /* a line's, raised by the monitor, on its edge */
void bench_send_self(void);
/* The span and the operands by which one processor sends the other, 0 or 1, an interrupt. */
const struct bench_span *bench_sending(uint32_t cpu, struct bench_operands *out);
void bench_set_timer(uint64_t deadline); /* one interrupt when the counter gets there */

/* ---- What wake.c and rows.c provide to the architecture's table ---- */

/* Of the last interrupt, on whichever processor: one in any row. */
extern volatile uint64_t bench_taken, bench_taken_at;

bool prepare_interrupt(struct bench_run *r);
bool prepare_irqfd(struct bench_run *r);
void sample_pending(struct bench_run *r, struct bench_sample *s);
void sample_woken_running(struct bench_run *r, struct bench_sample *s);
void sample_woken_halted(struct bench_run *r, struct bench_sample *s);
void sample_irqfd_running(struct bench_run *r, struct bench_sample *s);
void sample_irqfd_halted(struct bench_run *r, struct bench_sample *s);
void sample_timer(struct bench_run *r, struct bench_sample *s);
void second_answers(struct bench_page *p);
void second_wakes(struct bench_page *p);

bool prepare_touched(struct bench_run *r);
void sample_kick(struct bench_run *r, struct bench_sample *s);

/* ---- What main.c provides ---- */

/* Is the row over? For the second processor. */
static inline bool bench_is_over(const struct bench_page *p)
{
    return __atomic_load_n(&p->reached, __ATOMIC_ACQUIRE) >= BENCH_SAMPLED;
}

/* Rows in which the monitor acts: say that its turn may come, with all that is needed then in place; what it has done
 * by now. */
static inline void bench_ask_host(struct bench_page *p, uint64_t turn)
{
    __atomic_store_n(&p->guest_turn, turn, __ATOMIC_RELEASE);
}

static inline uint64_t bench_host_turn(const struct bench_page *p)
{
    return __atomic_load_n(&p->host_turn, __ATOMIC_ACQUIRE);
}

#endif
