/* The bench guest's story: find the page, time the empty loop, warm up, take the samples. */
#include "bench.h"

#include "counter.h" /* the architecture's */

/* The least of so many is free of interrupts, and emulated they still take microseconds only. */
#define COST_READS 100
#define PAGE_SIZE  4096

static struct bench_run run;
static uint8_t second_stack[MACHINE_STACK_SIZE] __attribute__((section(".bss.noinit"), aligned(16)));

static uint64_t counter_cost(void)
{
    uint64_t least = UINT64_MAX;

    for (int i = 0; i < COST_READS; i++) {
        const uint64_t before = bench_counter(), cost = bench_counter() - before;
        if (cost < least) least = cost;
    }
    return least;
}

/* The baseline is taken the same way, by a span of nothing. */
static void take_span(struct bench_run *r, const struct bench_span *span, struct bench_sample *s)
{
    const uint32_t n = r->page->batch;
    const uint64_t stride = r->page->stride;

    bench_take(n == 1 ? span->once : span->many, &r->operands, s, n, stride);
    r->operands.reg[0] += n * stride;
}

static void take(struct bench_run *r, const struct bench_code *code, struct bench_sample *s)
{
    if (code->sample)
        code->sample(r, s);
    else
        take_span(r, r->span, s);
}

/* No page of these is met for the first time, or unwritable, in the middle of a measurement. */
static void touch(struct bench_sample *s, uint32_t count)
{
    for (uint32_t i = 0; i < count; i += PAGE_SIZE / sizeof(*s)) ((volatile struct bench_sample *)s)[i].g0 = 0;
}

static void reach(struct bench_page *p, uint32_t step)
{
    mmio_write32(p->gate, step);
    __atomic_store_n(&p->reached, step, __ATOMIC_RELEASE);
}

static void measure(struct bench_run *r, const struct bench_code *code)
{
    struct bench_page *p = r->page;
    struct bench_sample *baseline = (void *)(uintptr_t)(bench_ram_base + BENCH_BASELINE_OFFSET);
    struct bench_sample *sample = (void *)(uintptr_t)(bench_ram_base + BENCH_SAMPLE_OFFSET);
    struct bench_sample scrap;
    const uint64_t first = r->operands.reg[0];

    p->counter_hz = bench_counter_hz();
    p->counter_cost = counter_cost();
    touch(baseline, p->baselines);
    touch(sample, p->samples);
    for (uint32_t i = 0; i < p->baselines; i++) take_span(r, &span_nothing, &baseline[i]);
    r->operands.reg[0] = first;
    for (uint32_t i = 0; i < p->warm_up; i++) take(r, code, &scrap);
    reach(p, BENCH_PREPARED);
    touch(sample, p->samples);
    scrap.g0 = 0;
    p->progress = 0;
    for (uint32_t step = BENCH_COUNTED; step <= BENCH_READY; step++) reach(p, step);
    for (uint32_t i = 0; i < __atomic_load_n(&p->samples, __ATOMIC_RELAXED); i++) {
        take(r, code, &sample[i]);
        __atomic_store_n(&p->progress, i + 1, __ATOMIC_RELEASE);
    }
    reach(p, BENCH_SAMPLED);
}

static void on_second(void)
{
    bench_code[run.page->row].second(run.page);
}

_Noreturn void guest_main(const void *boot)
{
    static struct guest_machine m;
    struct bench_page *p = (void *)(uintptr_t)(bench_ram_base + BENCH_PAGE_OFFSET);

    machine_discover(boot, &m);
    if (p->magic != BENCH_MAGIC || p->row >= BENCH_ROW_COUNT || !p->batch || p->samples > BENCH_SAMPLES_MAX ||
        p->baselines > BENCH_SAMPLES_MAX)
        fail(GUEST_BAD_TABLE, "the page at 0x%lx asks for no row of the bench", (uint64_t)(uintptr_t)p);
    const struct bench_code *code = &bench_code[p->row];
    run = (struct bench_run){.page = p, .span = code->span, .operands = code->operands};
    if (p->address) run.operands.reg[code->address] = p->address;
    if ((!code->span && !code->sample) || (code->prepare && !code->prepare(&run))) {
        p->is_unsupported = 1;
        machine_exit(GUEST_OK);
    }
    if (code->second) {
        machine_others = (struct machine_others){on_second, &second_stack, 1};
        if (machine_start_cpus(&m) < 2) fail(GUEST_CPU_MISSING, "the second processor did not start");
    }
    measure(&run, code);
    machine_exit(GUEST_OK);
}
