#include "bench/exits/build.h"

#include <errno.h>
#include <sched.h>
#include <string.h>

#include "arch/arch.h"
#include "guest/embed.h"

/* ---- the kernel's counts ---- */

static void take_count(void *arg, const struct kvm_stat *s)
{
    struct exits_counts *c = arg;
    if (strcmp(s->name, "exits") == 0) {
        c->exits = s->value;
        c->has_exits = true;
    } else if (strcmp(s->name, "irq_exits") == 0) {
        c->irq = s->value;
        c->has_irq = true;
    }
    if (c->own && strcmp(s->name, c->own) == 0) c->own_count = s->value;
}

struct exits_counts exits_counts_read(int fd, const char *own)
{
    struct exits_counts c = {.own = own};
    struct kvm_stats_table table = {0};
    if (fd >= 0) (void)kvm_stats_read(fd, &table, take_count, &c);
    kvm_stats_fini(&table);
    return c;
}

static uint64_t own(const struct exits_counts *c)
{
    return c->own_count;
}

static uint64_t all(const struct exits_counts *c)
{
    return c->exits - c->irq;
}

/* What was counted between BENCH_READY and BENCH_SAMPLED, less the exit by which the guest reports a step: from
 * BENCH_COUNTED to BENCH_READY there is nothing else. An interrupt of the host's may have been counted there too, and
 * subtracting it would hide an exit; so take the least of the steps. */
static uint64_t gain(const struct exits_build *b, uint64_t (*count)(const struct exits_counts *c))
{
    const uint64_t sum = count(&b->at[BENCH_SAMPLED]) - count(&b->at[BENCH_READY]);
    uint64_t gate = UINT64_MAX;
    for (unsigned step = BENCH_COUNTED; step < BENCH_READY; step++) {
        const uint64_t one = count(&b->at[step + 1]) - count(&b->at[step]);
        if (one < gate) gate = one;
    }
    return sum > gate ? sum - gate : 0;
}

void exits_build_compare(const struct exits_build *b)
{
    struct exits_run *run = b->run;
    run->has_count = b->at[BENCH_COUNTED].has_exits && b->at[BENCH_SAMPLED].has_exits;
    run->counted = gain(b, own);
    run->source = run->what->counter;
    if (run->source && (run->counted || run->what->is_state)) return;
    run->counted = gain(b, all);
    /* A KVM that has never counted one since the machine began does not tell them apart, whatever it is named. */
    run->source = b->at[BENCH_SAMPLED].irq ? "exits - irq_exits" : EXITS_ALL;
}

/* ---- the gate, where the guest reports its progress ---- */

static uint64_t gate_read(void *dev, uint64_t offset, unsigned size)
{
    (void)dev, (void)offset, (void)size;
    return 0;
}

/* Only the step that follows the last one counts; any other value that the guest stores is ignored. */
static void gate_write(void *dev, uint64_t offset, unsigned size, uint64_t value)
{
    struct exits_build *b = dev;
    const unsigned step = atomic_load_explicit(&b->reached, memory_order_relaxed) + 1;
    (void)offset, (void)size;
    if (value != step || step > BENCH_SAMPLED) return;
    if (step == BENCH_PREPARED && b->duty->prepared)
        b->rc = b->duty->prepared(&b->run->side, &b->parts, &b->why);
    else
        b->at[step] = exits_counts_read(b->stats_fd, b->run->what->counter);
    atomic_store_explicit(&b->reached, step, memory_order_release);
}

static const struct bus_ops gate_ops = {.read = gate_read, .write = gate_write};

static int fill_page(struct exits_build *b, struct err *e)
{
    struct exits_run *run = b->run;
    struct exits_side *s = &run->side;
    void *page = gmem_slice(b->parts.mem, arch_info.ram_base + BENCH_PAGE_OFFSET, sizeof(*s->page), GMEM_WRITE);
    if (!page) return err_set(e, -ENOMEM, "the bench's machine has no room for its page");
    s->page = page;
    *s->page = (struct bench_page){
        .magic = BENCH_MAGIC,
        .row = run->what->row,
        .samples = run->samples,
        .baselines = run->baselines,
        .warm_up = run->warm_up,
        .batch = run->batch,
        .stride = b->duty->stride,
        .address = b->duty->is_touching ? arch_info.ram_base + BENCH_TOUCH_OFFSET : 0,
        .argument = exits_ticks(s, b->duty->argument_ns),
        .gate = arch_bench_places.window + BENCH_PLACE,
    };
    return 0;
}

/* ---- the machine ---- */

static int fit(void *arg, const struct machine_parts *p, struct err *e)
{
    struct exits_build *b = arg;
    struct exits_run *run = b->run;
    struct exits_side *s = &run->side;
    b->parts = *p;
    const struct bus_range gate = {arch_bench_places.window + BENCH_PLACE, BENCH_PLACE, &gate_ops, b, "gate"};
    int rc = fill_page(b, e);
    if (!rc) rc = bus_add(p->mmio, &gate, e);
    if (rc) return rc;
    arch_bench_share_clock(p->vm, p->vcpu, p->vcpu_count);
    b->stats_fd = vcpu_stats_open(&p->vcpu[0]);
    b->rc = arch_bench_fit(run->what->row, p->vm, &b->why);
    if (!b->rc && b->duty->fit) b->rc = b->duty->fit(s, p, &b->why);
    if (s->address) s->page->address = s->address;
    return 0;
}

struct machine_lab exits_build_lab(struct exits_build *b)
{
    return (struct machine_lab){
        .image = guest_bench_start,
        .image_size = (uint64_t)(guest_bench_end - guest_bench_start),
        .irqchip = b->run->what->irqchip,
        .counter = &b->run->side.counter,
        .trace = &b->run->trace,
        .fit = fit,
        .arg = b,
    };
}

/* The measured vCPU on its CPU, the other one anywhere else. */
static int pin(struct config *c, int cpu, struct err *e)
{
    struct sched_config *s = config_sched(c);
    if (!s) return err_set(e, -ENOMEM, "no memory for the bench's configuration");
    s->vcpu[0].has_cpus = true;
    CPU_SET((unsigned)cpu, &s->vcpu[0].cpus);
    if (c->cpus < 2 || sched_getaffinity(0, sizeof(s->vcpu[1].cpus), &s->vcpu[1].cpus) < 0) return 0;
    CPU_CLR((unsigned)cpu, &s->vcpu[1].cpus);
    s->vcpu[1].has_cpus = CPU_COUNT(&s->vcpu[1].cpus) > 0;
    return 0;
}

int exits_machine(struct machine **m, const struct exits_options *o, bool has_second, const struct exits_duty *duty,
                  const struct machine_lab *lab, struct err *e)
{
    struct config c;
    config_init(&c, machine_devices);
    c.console = CONSOLE_OFF;
    c.memory = BENCH_MEMORY;
    c.cpus = has_second ? 2 : 1;
    int rc = o->pin >= 0 ? pin(&c, o->pin, e) : 0;
    if (!rc && duty->has_halt_poll) {
        struct sched_config *s = config_sched(&c);
        if (s) {
            s->has_halt_poll = true;
            s->halt_poll_ns = duty->halt_poll_ns;
        } else {
            rc = err_set(e, -ENOMEM, "no memory for the bench's configuration");
        }
    }
    if (!rc) rc = machine_create_lab(m, &c, NULL, lab, e);
    config_fini(&c);
    return rc;
}
