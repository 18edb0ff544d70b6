/* The fairness guest: every processor does the work that the monitor gave it, and keeps count.
 *
 * No interrupts but those that end a sleep. Where privileged code is emulated one loop takes microseconds: what is
 * compared is always the same loop. */
#include "fair.h"

#include "counter.h" /* the architecture's */

#include "../common/virtio.h"

#define PERMILLE 1000

static uint8_t stacks[FAIR_VCPUS_MAX - 1][MACHINE_STACK_SIZE] __attribute__((section(".bss.noinit"), aligned(16)));
static struct guest_machine machine;
static struct fair_page *page;

struct cpu {
    struct fair_vcpu *v;
    const uint64_t *steal;
    uint64_t last; /* look at the counter */
};

static inline void say_number(uint64_t *at, uint64_t value)
{
    __atomic_store_n(at, value, __ATOMIC_RELAXED);
}

static void count(uint32_t *buckets, uint64_t ticks)
{
    const unsigned top = 63 - (unsigned)__builtin_clzll(ticks | 4);

    buckets[top * 4 + (ticks >> (top - 2) & 3)]++;
}

/* Look at the counter: how long ago was the last time? */
static inline uint64_t look(struct cpu *c)
{
    const uint64_t now = bench_counter(), gap = now - c->last;

    c->last = now;
    say_number(&c->v->now, now);
    if (c->steal) say_number(&c->v->steal, __atomic_load_n(c->steal, __ATOMIC_RELAXED));
    if (gap < page->gap_min) return gap;
    count(c->v->gap, gap);
    say_number(&c->v->lost, c->v->lost + gap);
    if (gap > c->v->longest) c->v->longest = gap;
    return gap;
}

static void sleep_until(struct cpu *c, uint64_t deadline)
{
    fair_sleep_until(deadline);
    c->last = bench_counter(); /* what was slept is no gap */
    count(c->v->late, c->last > deadline ? c->last - deadline : 0);
}

/* One loop for all that spin, so that their progress compares. */
static _Noreturn void spin(struct cpu *c)
{
    struct fair_vcpu *v = c->v;
    uint64_t progress = 0, hold_at = v->hold ? c->last + v->hold_period - v->hold : UINT64_MAX;
    uint32_t waste = 0;

    for (;;) {
        look(c);
        waste += v->waste_permille;
        if (waste >= PERMILLE)
            waste -= PERMILLE;
        else
            say_number(&v->progress, ++progress);
        if (c->last < hold_at) continue;
        sleep_until(c, c->last + v->hold); /* all of it, however late this vCPU had its turn */
        hold_at += v->hold_period;
    }
}

/* Compute until the counter shows so much time, but for the gaps, in which others ran. */
static void compute(struct cpu *c, uint64_t busy)
{
    for (uint64_t ran = 0; ran < busy;) {
        const uint64_t gap = look(c);
        if (gap < page->gap_min) ran += gap;
    }
}

static _Noreturn void interact(struct cpu *c)
{
    struct fair_vcpu *v = c->v;
    uint64_t progress = 0;

    for (uint64_t deadline = c->last + v->period;; deadline += v->period) {
        for (; deadline + v->period < c->last; deadline += v->period) v->missed++;
        sleep_until(c, deadline);
        compute(c, v->busy);
        say_number(&v->progress, ++progress);
    }
}

static _Noreturn void dodge(struct cpu *c)
{
    struct fair_vcpu *v = c->v;
    uint64_t progress = 0;

    for (;;) {
        const uint64_t next = c->last + v->period - (c->last - v->phase) % v->period; /* tick */
        while (c->last + v->margin < next) {
            look(c);
            say_number(&v->progress, ++progress);
        }
        if (c->last < next + v->margin) sleep_until(c, next + v->margin);
    }
}

static _Noreturn void leave(struct cpu *c)
{
    for (uint64_t progress = 0;;) {
        mmio_write32(page->address, 0);
        look(c);
        say_number(&c->v->progress, ++progress);
    }
}

static _Noreturn void halt(struct cpu *c)
{
    for (uint64_t progress = 0;;) {
        sleep_until(c, c->last + c->v->period);
        say_number(&c->v->progress, ++progress);
        look(c);
    }
}

static struct {
    struct virtio_ring ring;
    uint8_t byte[FAIR_ENTROPY_SIZE];
} dma __attribute__((section(".bss.noinit"), aligned(16)));

static _Noreturn void request(struct cpu *c)
{
    struct virtio_device d = {0};
    uint32_t length[SLOT_COUNT];

    for (uint32_t i = 0; i < machine.device_count && d.id != VIRTIO_ID_RNG; i++) virtio_probe(&d, &machine.device[i]);
    if (d.id != VIRTIO_ID_RNG) fail(GUEST_BAD_DEVICE, "there is no entropy device to ask");
    virtio_start(&d, 0, &dma.ring);
    for (uint64_t progress = 0;;) {
        virtio_put(&d, 0, &(struct virtio_piece){dma.byte, FAIR_ENTROPY_SIZE, true}, 1);
        virtio_run(&d, 1, length);
        look(c);
        say_number(&c->v->progress, ++progress);
    }
}

static void run(void)
{
    static void (*const works[])(struct cpu *) = {
        [FAIR_SPIN] = spin, [FAIR_INTERACTIVE] = interact, [FAIR_DODGE] = dodge, [FAIR_EXIT] = leave,
        [FAIR_HALT] = halt, [FAIR_REQUEST] = request,
    };
    const uint32_t cpu = fair_cpu();
    if (cpu >= page->vcpus) return;
    struct cpu c = {.v = &page->vcpu[cpu], .steal = fair_steal(cpu), .last = bench_counter()};

    c.v->has_steal = c.steal != NULL;
    c.v->can_sleep = fair_open();
    __atomic_store_n(&c.v->is_ready, 1, __ATOMIC_RELEASE);
    while (!__atomic_load_n(&page->go, __ATOMIC_ACQUIRE)) look(&c);
    works[c.v->work](&c); /* for ever */
}

_Noreturn void guest_main(const void *boot)
{
    page = (void *)(uintptr_t)(fair_ram_base + FAIR_PAGE_OFFSET);
    machine_discover(boot, &machine);
    if (page->magic != FAIR_MAGIC || page->vcpus > FAIR_VCPUS_MAX)
        fail(GUEST_BAD_TABLE, "the page at 0x%lx gives no work", (uint64_t)(uintptr_t)page);
    for (uint32_t i = 0; i < page->vcpus; i++)
        if (page->vcpu[i].work >= FAIR_WORK_COUNT) fail(GUEST_BAD_TABLE, "vCPU %u has work %u", i, page->vcpu[i].work);
    machine_others = (struct machine_others){run, stacks, FAIR_VCPUS_MAX - 1};
    if (machine_start_cpus(&machine) < page->vcpus) fail(GUEST_CPU_MISSING, "not all processors started");
    run();
    fail(GUEST_BAD_TABLE, "this processor has no work");
}
