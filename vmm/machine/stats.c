#include "vmm/machine/stats.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "vmm/kvm/stats.h"
#include "vmm/machine/state.h"

#define COST_BATCHES 21 /* odd: it has a median, which an interrupt or two do not move */
#define COST_EXITS   50 /* a batch: long against the read of the counter around it; all take 30 us */

int stats_create(struct machine *m, struct err *e)
{
    counter_init(&m->counter);
    m->stats_fd = malloc(m->vcpu_count * sizeof(*m->stats_fd));
    if (!m->stats_fd) return err_set(e, -ENOMEM, "no memory for the recorder");
    for (unsigned i = 0; i < m->vcpu_count; i++) m->stats_fd[i] = -1;
    for (unsigned i = 0; i < m->vcpu_count; i++) {
        m->runner[i].counter = &m->counter;
        m->runner[i].record = record_create();
        if (!m->runner[i].record) return err_set(e, -ENOMEM, "no memory for the recorder of vCPU %u", i);
        m->stats_fd[i] = vcpu_stats_open(&m->vcpu[i]);
    }
    return 0;
}

void stats_destroy(struct machine *m)
{
    for (unsigned i = 0; m->stats_fd && i < m->vcpu_count; i++) {
        record_destroy(m->runner[i].record);
        if (m->stats_fd[i] >= 0) close(m->stats_fd[i]);
    }
    free(m->stats_fd);
    record_destroy(m->sums);
}

/* ---- what it costs ---- */

static int ascending(const void *a, const void *b)
{
    const uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

/* The median over batches of what the two reads and the recording of an exit take here, as in run_recorded. */
static double cost_ticks(const struct counter *c, struct record *scratch)
{
    uint64_t batch[COST_BATCHES];
    struct record_exit x = {.class = RECORD_MMIO_WRITE, .has_addr = true};
    for (unsigned b = 0; b < COST_BATCHES; b++) {
        const uint64_t start = counter_read(c);
        uint64_t from = start;
        for (unsigned i = 0; i < COST_EXITS; i++) {
            x.from = from;
            x.left = counter_read(c);
            x.done = from = counter_read(c);
            record_exit(scratch, &x);
        }
        batch[b] = counter_read(c) - start;
    }
    qsort(batch, COST_BATCHES, sizeof(batch[0]), ascending);
    const unsigned median = COST_BATCHES / 2;
    return (double)batch[median] / COST_EXITS;
}

/* ---- rows ---- */

struct report {
    struct machine *m;
    double ns_per_tick;
    struct record *all; /* what the vCPUs' classes are added up in */
    void (*fn)(void *arg, const struct stats_row *row);
    void *arg;
    int vcpu; /* whose kernel rows are read */
};

static uint64_t in_ns(const struct report *r, uint64_t ticks)
{
    return (uint64_t)((double)ticks * r->ns_per_tick + 0.5);
}

static uint64_t since_origin(const struct report *r, uint64_t ticks)
{
    const uint64_t origin = r->m->counter.origin_ticks;
    return ticks > origin ? in_ns(r, ticks - origin) : 0;
}

static uint64_t load(const _Atomic uint64_t *at)
{
    return atomic_load_explicit(at, memory_order_relaxed);
}

static struct stats_times times_of(const struct report *r, const struct hist *h)
{
    return (struct stats_times){
        .total = in_ns(r, load(&h->sum)),
        .min = in_ns(r, hist_quantile(h, 0)),
        .p50 = in_ns(r, hist_quantile(h, 0.5)),
        .p90 = in_ns(r, hist_quantile(h, 0.9)),
        .p99 = in_ns(r, hist_quantile(h, 0.99)),
        .p999 = in_ns(r, hist_quantile(h, 0.999)),
        .max = in_ns(r, load(&h->max)),
        .overflow = hist_overflow(h),
    };
}

static void tell_sum(const struct report *r, int vcpu, const struct record *record)
{
    uint64_t run = 0, handler = 0;
    struct stats_row row = {.kind = STATS_VCPU, .vcpu = vcpu, .name = vcpu < 0 ? "all vCPUs" : "vCPU"};
    for (unsigned k = 0; k < RECORD_CLASSES; k++) {
        row.count += load(&record->of[k].handler.count);
        run += load(&record->of[k].run.sum);
        handler += load(&record->of[k].handler.sum);
    }
    row.run.total = in_ns(r, run);
    row.handler.total = in_ns(r, handler);
    if (row.count) r->fn(r->arg, &row);
}

static void tell_class(const struct report *r, int vcpu, const struct record *record, enum record_class class)
{
    const struct record_class_stats *c = &record->of[class];
    const struct stats_row row = {
        .kind = STATS_CLASS,
        .vcpu = vcpu,
        .name = record_class_name(class),
        .count = load(&c->handler.count),
        .run = times_of(r, &c->run),
        .handler = times_of(r, &c->handler),
        .run_hist = &c->run,
        .handler_hist = &c->handler,
        .first_ns = since_origin(r, load(&c->first)),
        .last_ns = since_origin(r, load(&c->last)),
    };
    if (row.count) r->fn(r->arg, &row);
}

static void tell_register(const struct report *r, int vcpu, const struct record_register *reg)
{
    struct record_place at = {0};
    (void)record_place(reg, &at);
    const struct bus *bus = at.class <= RECORD_PORT_OUT ? &r->m->pio : &r->m->mmio;
    const struct bus_range *range = bus_find(bus, at.addr, 1);
    const struct stats_row row = {
        .kind = STATS_REGISTER,
        .vcpu = vcpu,
        .name = record_class_name(at.class),
        .device = range ? range->name : NULL,
        .addr = at.addr,
        .offset = range ? at.addr - range->base : 0,
        .count = load(&reg->count),
        .run = {.total = in_ns(r, load(&reg->run)), .max = in_ns(r, load(&reg->run_max))},
        .handler = {.total = in_ns(r, load(&reg->handler)), .max = in_ns(r, load(&reg->handler_max))},
    };
    if (row.count) r->fn(r->arg, &row);
}

struct ranked {
    const struct record_register *reg;
    uint64_t ticks;
};

static int most_first(const void *a, const void *b)
{
    const uint64_t x = ((const struct ranked *)a)->ticks, y = ((const struct ranked *)b)->ticks;
    return (x < y) - (x > y);
}

/* Those of one class, by the time they took. */
static void tell_registers(const struct report *r, int vcpu, const struct record *record, enum record_class class)
{
    struct ranked ranked[RECORD_REGISTERS];
    unsigned n = 0;
    for (unsigned i = 0; i < RECORD_REGISTERS; i++) {
        const struct record_register *reg = &record->reg[i];
        struct record_place at;
        if (record_place(reg, &at) && at.class == class)
            ranked[n++] = (struct ranked){reg, load(&reg->run) + load(&reg->handler)};
    }
    qsort(ranked, n, sizeof(ranked[0]), most_first);
    for (unsigned i = 0; i < n; i++) tell_register(r, vcpu, ranked[i].reg);
}

static void on_kernel(void *arg, const struct kvm_stat *s)
{
    const struct report *r = arg;
    const struct stats_row row = {
        .kind = STATS_KERNEL, .vcpu = r->vcpu, .name = s->name, .unit = s->unit, .count = s->value};
    if (row.count) r->fn(r->arg, &row);
}

static int tell_vcpu(struct report *r, unsigned i)
{
    const struct record *record = r->m->runner[i].record;
    r->vcpu = (int)i;
    tell_sum(r, r->vcpu, record);
    for (unsigned k = 0; k < RECORD_CLASSES; k++) {
        tell_class(r, r->vcpu, record, (enum record_class)k);
        if (k <= RECORD_MMIO_WRITE) tell_registers(r, r->vcpu, record, (enum record_class)k);
    }
    const struct stats_row lost = {.kind = STATS_LOST, .vcpu = r->vcpu, .name = "lost", .count = load(&record->lost)};
    if (lost.count) r->fn(r->arg, &lost);
    return r->m->stats_fd[i] < 0 ? 0 : kvm_stats_read(r->m->stats_fd[i], on_kernel, r);
}

/* One class of every vCPU in all. Zero stands for never: first is the least that is not. */
static void add_up(const struct report *r, enum record_class class)
{
    struct record_class_stats *to = &r->all->of[class];
    for (unsigned i = 0; i < r->m->vcpu_count; i++) {
        const struct record_class_stats *from = &r->m->runner[i].record->of[class];
        const uint64_t first = load(&from->first), last = load(&from->last);
        hist_merge(&to->run, &from->run);
        hist_merge(&to->handler, &from->handler);
        if (first && (!load(&to->first) || first < load(&to->first))) to->first = first;
        if (last > load(&to->last)) to->last = last;
    }
}

static void tell_doorbells(const struct report *r)
{
    for (unsigned i = 0; i < r->m->slot_count; i++) {
        const struct slot *s = &r->m->slot[i];
        const unsigned queues = virtio_mmio_dev(s->transport)->ops->queue_count;
        for (unsigned q = 0; q < queues; q++) {
            const struct stats_row row = {.kind = STATS_DOORBELL,
                                          .vcpu = -1,
                                          .name = "doorbell",
                                          .device = s->label,
                                          .addr = q,
                                          .count = virtio_mmio_saved_exits(s->transport, q)};
            if (row.count) r->fn(r->arg, &row);
        }
    }
}

static int tell(struct report *r)
{
    const unsigned summed = r->m->vcpu_count > 1 ? RECORD_CLASSES : 0;
    int rc = 0;
    for (unsigned k = 0; k < summed; k++) add_up(r, (enum record_class)k);
    tell_sum(r, -1, r->all); /* empty, and not told, where there is one vCPU */
    for (unsigned k = 0; k < summed; k++) tell_class(r, -1, r->all, (enum record_class)k);
    for (unsigned i = 0; i < r->m->vcpu_count && !rc; i++) rc = tell_vcpu(r, i);
    if (!rc) tell_doorbells(r);
    return rc;
}

/* What the vCPUs are added up in is kept from one reader to the next: to touch fresh memory for it is an eighth of the
 * whole work. Readers at the same time have one each. */
static struct record *take_sums(struct machine *m)
{
    struct record *sums = atomic_exchange(&m->sums, NULL);
    return sums ? sums : record_create();
}

static void keep_sums(struct machine *m, struct record *sums)
{
    record_clear(sums);
    record_destroy(atomic_exchange(&m->sums, sums));
}

int machine_stats(struct machine *m, struct stats_info *info, void (*fn)(void *arg, const struct stats_row *row),
                  void *arg)
{
    if (!m->stats_fd) return -ENODATA;
    struct record *all = take_sums(m);
    if (!all) return -ENOMEM;
    const double hz = counter_hz(&m->counter), ns_per_tick = 1e9 / hz;
    *info = (struct stats_info){.counter = m->counter.name, .hz = hz, .vcpus = m->vcpu_count};
    struct report r = {.m = m, .ns_per_tick = ns_per_tick, .all = all, .fn = fn, .arg = arg};
    const int rc = fn ? tell(&r) : 0;
    info->cost_ns = cost_ticks(&m->counter, all) * ns_per_tick; /* last, as it spoils the sums */
    keep_sums(m, all);
    return rc;
}
