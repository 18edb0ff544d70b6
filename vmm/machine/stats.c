#include "vmm/machine/stats.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "vmm/kvm/stats.h"
#include "vmm/machine/state.h"

#define COST_BATCHES 21 /* odd, so there is a median, which an interrupt or two do not move */
#define COST_EXITS   50 /* a batch is long against the counter reads around it; all take 30 us */

int stats_create(struct machine *m, struct err *e)
{
    counter_init(&m->counter);
    m->stats_fd = malloc(m->vcpu_count * sizeof(*m->stats_fd));
    if (!m->stats_fd) return err_set(e, -ENOMEM, "no memory for the recorder");
    for (unsigned i = 0; i < m->vcpu_count; i++) m->stats_fd[i] = -1;
    m->account = malloc(m->vcpu_count * sizeof(*m->account));
    if (!m->account) return err_set(e, -ENOMEM, "no memory for the figures of vCPUs");
    for (unsigned i = 0; i < m->vcpu_count; i++) {
        thread_files_init(&m->account[i].files);
        thread_counts(&m->account[i].files, 0, &m->account[i].last);
        atomic_init(&m->account[i].learn_again_ns, 0);
    }
    for (unsigned i = 0; i < m->vcpu_count; i++) {
        m->runner[i].counter = &m->counter;
        m->runner[i].record = record_create();
        if (!m->runner[i].record) return err_set(e, -ENOMEM, "no memory for the recorder of vCPU %u", i);
        m->stats_fd[i] = vcpu_stats_open(&m->vcpu[i]);
        /* A kernel without statistics is fine. A missing descriptor is an error, or it would go unnoticed. */
        if (m->stats_fd[i] < 0 && err_way_out(-errno)) return err_errno(e, "KVM: counters of vCPU %u", i);
    }
    return 0;
}

void stats_forked(const struct machine *m)
{
    for (unsigned i = 0; m->stats_fd && i < m->vcpu_count; i++)
        if (m->stats_fd[i] >= 0) close(m->stats_fd[i]);
}

void stats_destroy(struct machine *m)
{
    for (unsigned i = 0; m->stats_fd && i < m->vcpu_count; i++) {
        record_destroy(m->runner[i].record);
        if (m->stats_fd[i] >= 0) close(m->stats_fd[i]);
    }
    for (unsigned i = 0; m->account && i < m->vcpu_count; i++) thread_files_close(&m->account[i].files);
    free(m->groups);
    free(m->account);
    free(m->stats_fd);
}

/* ---- what it costs ---- */

static int ascending(const void *a, const void *b)
{
    const uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

/* What the two reads and the recording of an exit take here, as in run_recorded: the median of the batches. */
static double measure_cost(const struct counter *c, struct record *scratch)
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

/* Measured once for a machine, when somebody first asks. Two who ask at the same time both measure. */
static int cost_ticks(struct machine *m, double *ticks)
{
    *ticks = atomic_load(&m->record_cost);
    if (*ticks > 0) return 0;
    struct record *scratch = record_create();
    if (!scratch) return -ENOMEM;
    *ticks = measure_cost(&m->counter, scratch); /* none, where a batch is shorter than a tick */
    record_destroy(scratch);
    atomic_store(&m->record_cost, *ticks);
    return 0;
}

/* ---- rows ---- */

struct report {
    struct machine *m;
    double ns_per_tick;
    const struct record *record[CONFIG_MAX_CPUS];                       /* every vCPU's */
    const struct hist *run[CONFIG_MAX_CPUS], *handler[CONFIG_MAX_CPUS]; /* of the row that is being told */
    void (*fn)(void *arg, const struct stats_row *row);
    void *arg;
    enum stats_scope scope;
    int vcpu; /* whose kernel rows are read */
    struct kvm_stats_table kernel;
};

/* The vCPUs that a row is about. */
struct group {
    int vcpu; /* -1: all of them together */
    const struct record *const *record;
    unsigned count;
};

static void tell_row(const struct report *r, const struct stats_row *row)
{
    if (row->count || r->scope == STATS_ALL) r->fn(r->arg, row);
}

static uint64_t to_ns(uint64_t ticks, double ns_per_tick)
{
    return (uint64_t)((double)ticks * ns_per_tick + 0.5);
}

static uint64_t in_ns(const struct report *r, uint64_t ticks)
{
    return to_ns(ticks, r->ns_per_tick);
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

struct stats_times stats_times_of(const struct hists *h, double ns_per_tick, enum stats_scope scope)
{
    static const double full[] = {0, 0.5, 0.9, 0.99, 0.999, 1}, brief[] = {0, 0.5, 0.99, 1};
    uint64_t at[6], *next = at;
    struct stats_times t = {.total = to_ns(hists_sum(h), ns_per_tick), .overflow = hists_overflow(h)};
    if (scope == STATS_ALL) return t;
    if (scope == STATS_FULL)
        hists_quantiles(h, full, 6, at);
    else
        hists_quantiles(h, brief, 4, at);
    t.min = to_ns(*next++, ns_per_tick);
    t.p50 = to_ns(*next++, ns_per_tick);
    if (scope == STATS_FULL) t.p90 = to_ns(*next++, ns_per_tick);
    t.p99 = to_ns(*next++, ns_per_tick);
    if (scope == STATS_FULL) t.p999 = to_ns(*next++, ns_per_tick);
    t.max = to_ns(*next, ns_per_tick);
    return t;
}

static struct stats_times times_of(const struct report *r, const struct hists *h)
{
    return stats_times_of(h, r->ns_per_tick, r->scope);
}

static void tell_sum(const struct report *r, const struct group *g)
{
    uint64_t run = 0, handler = 0;
    struct stats_row row = {.kind = STATS_VCPU, .vcpu = g->vcpu, .name = g->vcpu < 0 ? "all vCPUs" : "vCPU"};
    for (unsigned i = 0; i < g->count; i++) {
        for (unsigned k = 0; k < RECORD_VM_CLASSES; k++) {
            if (!record_has(g->record[i], (enum record_class)k)) continue;
            const struct record_class_stats *c = &g->record[i]->of[k];
            row.count += load(&c->handler.count);
            run += load(&c->run.sum);
            handler += load(&c->handler.sum);
        }
    }
    row.run.total = in_ns(r, run);
    row.handler.total = in_ns(r, handler);
    tell_row(r, &row);
}

static void tell_class(struct report *r, const struct group *g, enum record_class class)
{
    struct hists run = {r->run, 0}, handler = {r->handler, 0};
    uint64_t count = 0, first = 0, last = 0; /* zero stands for never */
    for (unsigned i = 0; i < g->count; i++) {
        const struct record_class_stats *c = &g->record[i]->of[class];
        if (!record_has(g->record[i], class)) continue;
        const uint64_t its_first = load(&c->first), its_last = load(&c->last);
        r->run[run.count++] = &c->run;
        r->handler[handler.count++] = &c->handler;
        count += load(&c->handler.count);
        if (its_first && (!first || its_first < first)) first = its_first;
        if (its_last > last) last = its_last;
    }
    if (!count && r->scope != STATS_ALL) return;
    const struct stats_row row = {
        .kind = STATS_CLASS,
        .class = class,
        .vcpu = g->vcpu,
        .name = record_class_name(class),
        .count = count,
        .run = times_of(r, &run),
        .handler = times_of(r, &handler),
        .run_hists = &run,
        .handler_hists = &handler,
        .first_ns = since_origin(r, first),
        .last_ns = since_origin(r, last),
    };
    r->fn(r->arg, &row);
}

static void tell_register(const struct report *r, int vcpu, const struct record_register *reg)
{
    const struct record_place at = record_place(reg);
    const struct bus *bus = at.class <= RECORD_PORT_OUT ? &r->m->pio : &r->m->mmio;
    const struct bus_range *range = bus_find(bus, at.addr, 1);
    const struct stats_row row = {
        .kind = STATS_REGISTER,
        .class = at.class,
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
    enum record_class class;
    uint64_t ticks;
};

/* By class, and within a class by the time they took. */
static int most_first(const void *a, const void *b)
{
    const struct ranked *x = a, *y = b;
    if (x->class != y->class) return x->class < y->class ? -1 : 1;
    return (x->ticks < y->ticks) - (x->ticks > y->ticks);
}

static unsigned rank_registers(const struct record *record, struct ranked ranked[RECORD_REGISTERS])
{
    const unsigned n = record_registers(record);
    for (unsigned i = 0; i < n; i++) {
        const struct record_register *reg = record_register_at(record, i);
        ranked[i] = (struct ranked){reg, record_place(reg).class, load(&reg->run) + load(&reg->handler)};
    }
    /* cppcheck-suppress uninitvar; the first n are filled */
    qsort(ranked, n, sizeof(ranked[0]), most_first);
    return n;
}

static void on_kernel(void *arg, const struct kvm_stat *s)
{
    const struct report *r = arg;
    const struct stats_row row = {
        .kind = STATS_KERNEL, .vcpu = r->vcpu, .name = s->name, .unit = s->unit, .count = s->value, .kernel = s};
    tell_row(r, &row); /* a histogram has no count of its own */
}

static int tell_vcpu(struct report *r, unsigned i)
{
    const struct group g = {(int)i, &r->record[i], 1};
    const struct record *record = r->record[i];
    struct ranked ranked[RECORD_REGISTERS];
    const unsigned registers = rank_registers(record, ranked);
    unsigned told = 0;
    r->vcpu = g.vcpu;
    tell_sum(r, &g);
    for (unsigned k = 0; k < RECORD_VM_CLASSES; k++) {
        tell_class(r, &g, (enum record_class)k);
        for (; told < registers && ranked[told].class == k; told++) tell_register(r, g.vcpu, ranked[told].reg);
    }
    const struct stats_row lost = {.kind = STATS_LOST, .vcpu = g.vcpu, .name = "lost", .count = load(&record->lost)};
    if (lost.count) r->fn(r->arg, &lost);
    return r->m->stats_fd[i] < 0 ? 0 : kvm_stats_read(r->m->stats_fd[i], &r->kernel, on_kernel, r);
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
            tell_row(r, &row);
        }
    }
}

static void tell_count(const struct report *r, const struct slot *s, const struct virtio_counter *c)
{
    const struct stats_row row = {
        .kind = STATS_DEVICE, .vcpu = -1, .name = c->name, .device = s->label, .count = c->count};
    tell_row(r, &row);
}

static void tell_devices(const struct report *r)
{
    for (unsigned i = 0; i < r->m->slot_count; i++) {
        const struct slot *s = &r->m->slot[i];
        const struct virtio_dev *d = virtio_mmio_dev(s->transport);
        const uint64_t faults = atomic_load_explicit(&d->fault_count, memory_order_relaxed);
        struct virtio_counter c = {"guest_faults", faults};
        tell_count(r, s, &c);
        for (unsigned k = 0; d->ops->counter && d->ops->counter(d, k, &c); k++) tell_count(r, s, &c);
    }
}

static int tell(struct report *r)
{
    const struct group all = {-1, r->record, r->m->vcpu_count};
    int rc = 0;
    if (all.count > 1) {
        tell_sum(r, &all);
        for (unsigned k = 0; k < RECORD_VM_CLASSES; k++) tell_class(r, &all, (enum record_class)k);
    }
    for (unsigned i = 0; i < all.count && !rc; i++) rc = tell_vcpu(r, i);
    if (!rc) tell_doorbells(r);
    if (!rc) tell_devices(r);
    return rc;
}

static int report(struct report *r, struct stats_info *info)
{
    struct machine *m = r->m;
    if (!m->stats_fd) return -ENODATA;
    const double hz = counter_hz(&m->counter);
    r->ns_per_tick = 1e9 / hz;
    *info = (struct stats_info){.counter = m->counter.name, .hz = hz, .vcpus = m->vcpu_count};
    for (unsigned i = 0; i < m->vcpu_count; i++) r->record[i] = m->runner[i].record;
    int rc = r->fn ? tell(r) : 0;
    kvm_stats_fini(&r->kernel);
    double cost;
    if (rc == 0) rc = cost_ticks(m, &cost);
    if (rc == 0) info->cost_ns = cost * r->ns_per_tick;
    return rc;
}

int machine_stats(struct machine *m, enum stats_scope scope, struct stats_info *info,
                  void (*fn)(void *arg, const struct stats_row *row), void *arg)
{
    struct report r = {.m = m, .scope = scope, .fn = fn, .arg = arg};
    return report(&r, info);
}
