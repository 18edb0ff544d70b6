/* The bench guest's story: find the page, time the empty loop, warm up, take the samples. */
#include "bench.h"

#include "counter.h" /* the architecture's */

/* The least of so many is free of interrupts, and emulated they still take microseconds only. */
#define COST_READS 100
#define PAGE_SIZE  4096
#define HOT_ALIGN  2048 /* the loop and all ops take less: the x86 linker script puts them side by side */

static struct bench_run run;
static uint8_t second_stack[MACHINE_STACK_SIZE] __attribute__((section(".bss.noinit"), aligned(16)));

static void nothing(uint64_t address)
{
    __asm__ volatile("" : : "r"(address));
}

static uint64_t counter_cost(void)
{
    uint64_t least = UINT64_MAX;

    for (int i = 0; i < COST_READS; i++) {
        const uint64_t before = bench_counter(), cost = bench_counter() - before;
        if (cost < least) least = cost;
    }
    return least;
}

/* One piece of code for every op and for none, so that what is not the op's is the same in both: the compiler must not
 * know which one it is, nor compute ahead where the addresses end. */
__attribute__((noinline, aligned(HOT_ALIGN))) static void one_sample(struct bench_run *r, void (*op)(uint64_t),
                                                                     struct bench_sample *s)
{
    const uint64_t stride = r->page->stride;
    uint64_t address = r->address;
    uint32_t n = r->page->batch;

    __asm__("" : "+r"(op));
    const uint64_t g0 = bench_counter();
    do {
        op(address);
        address += stride;
        __asm__("" : "+r"(address));
    } while (--n);
    const uint64_t g1 = bench_counter();
    r->address = address;
    s->g0 = g0;
    s->g1 = g1;
}

static void take(struct bench_run *r, const struct bench_code *code, struct bench_sample *s)
{
    if (code->op)
        one_sample(r, code->op, s);
    else
        code->sample(r, s);
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
    const uint64_t first = r->address;

    p->counter_hz = bench_counter_hz();
    p->counter_cost = counter_cost();
    touch(baseline, p->baselines);
    touch(sample, p->samples);
    for (uint32_t i = 0; i < p->baselines; i++) one_sample(r, nothing, &baseline[i]);
    r->address = first;
    for (uint32_t i = 0; i < p->warm_up; i++) take(r, code, &scrap);
    reach(p, BENCH_PREPARED);
    touch(sample, p->samples);
    scrap.g0 = 0;
    p->progress = 0;
    for (uint32_t step = BENCH_COUNTED; step <= BENCH_READY; step++) reach(p, step);
    for (uint32_t i = 0; i < p->samples; i++) {
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
    run = (struct bench_run){.page = p, .address = p->address};
    const struct bench_code *code = &bench_code[p->row];
    if ((!code->op && !code->sample) || (code->prepare && !code->prepare(&run))) {
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
