/* The page for programs: one object, whose keys stay. docs/man/vireo-stat.1 has them. */
#include <unistd.h>

#include "vmm/base/json_out.h"
#include "vmm/watch/snapshot.h"

static void put_times(struct json_out *j, const char *name, const struct stats_times *t, bool has_quantiles)
{
    json_put_object(j, name);
    json_put_uint(j, "total_ns", t->total);
    if (has_quantiles) {
        json_put_uint(j, "min_ns", t->min);
        json_put_uint(j, "p50_ns", t->p50);
        json_put_uint(j, "p90_ns", t->p90);
        json_put_uint(j, "p99_ns", t->p99);
        json_put_uint(j, "p999_ns", t->p999);
        json_put_uint(j, "overflow", t->overflow);
    }
    if (t->max) json_put_uint(j, "max_ns", t->max);
    json_put_end(j);
}

/* [[k, count], ...]: so many lasted 2^(k/8) ns at most and more than the step before. */
static void put_steps(struct json_out *j, const char *name, const uint64_t *count)
{
    json_put_array(j, name);
    for (unsigned i = 0; i < STEPS; i++) {
        if (count[i] == 0) continue;
        json_put_array(j, NULL);
        json_put_uint(j, NULL, i + STEP_FIRST);
        json_put_uint(j, NULL, count[i]);
        json_put_end(j);
    }
    json_put_end(j);
}

static void begin_row(struct json_out *j, const char *kind, int vcpu, const char *name)
{
    json_put_line(j);
    json_put_object(j, NULL);
    json_put_string(j, "kind", kind);
    if (vcpu < 0)
        json_put_string(j, "vcpu", "all");
    else
        json_put_int(j, "vcpu", vcpu);
    json_put_string(j, "name", name);
}

static void put_entry(struct json_out *j, const struct stats_entry *e)
{
    static const char *const kinds[] = {
        [STATS_VCPU] = "vcpu", [STATS_CLASS] = "class",       [STATS_REGISTER] = "register",
        [STATS_LOST] = "lost", [STATS_DOORBELL] = "doorbell", [STATS_DEVICE] = "device",
    };
    const struct stats_row *r = &e->row;
    begin_row(j, kinds[r->kind], r->vcpu, r->name);
    json_put_uint(j, "count", r->count);
    if (r->device) json_put_string(j, "device", r->device);
    if (r->kind == STATS_REGISTER && r->device) json_put_uint(j, "offset", r->offset);
    if (r->kind == STATS_REGISTER) json_put_uint(j, "address", r->addr);
    if (r->kind == STATS_DOORBELL) json_put_uint(j, "queue", r->addr);
    if (r->kind <= STATS_REGISTER) {
        put_times(j, "run", &r->run, r->kind == STATS_CLASS);
        put_times(j, "handler", &r->handler, r->kind == STATS_CLASS);
    }
    if (r->kind == STATS_CLASS) {
        json_put_uint(j, "first_ns", r->first_ns);
        json_put_uint(j, "last_ns", r->last_ns);
    }
    if (e->steps) {
        put_steps(j, "run_steps", e->steps->run);
        put_steps(j, "handler_steps", e->steps->handler);
    }
    json_put_end(j);
}

static void put_kernel(struct json_out *j, const struct stats_kernel *k)
{
    begin_row(j, "kernel", k->vcpu, k->name);
    json_put_uint(j, "count", k->value);
    json_put_string(j, "unit", k->unit);
    json_put_end(j);
}

static void put_rows(struct json_out *j, const struct stats_snapshot *s)
{
    json_put_line(j);
    json_put_array(j, "rows");
    for (size_t i = 0; i < s->count; i++) put_entry(j, &s->entry[i]);
    for (size_t i = 0; i < s->kernel_count; i++) put_kernel(j, &s->kernel[i]);
    json_put_line(j);
    json_put_end(j);
}

/* null: this kernel does not tell. */
static void put_count(struct json_out *j, const char *key, uint64_t n)
{
    if (n == THREAD_UNTOLD)
        json_put_null(j, key);
    else
        json_put_uint(j, key, n);
}

static void put_vcpu(struct json_out *j, unsigned i, const struct stats_vcpu *v)
{
    const struct thread_counts *host = &v->told.host;
    json_put_line(j);
    json_put_object(j, NULL);
    json_put_uint(j, "vcpu", i);
    put_count(j, "tid", v->told.tid ? (uint64_t)v->told.tid : THREAD_UNTOLD);
    put_count(j, "cpu", host->cpu >= 0 ? (uint64_t)host->cpu : THREAD_UNTOLD);
    put_count(j, "cpu_ns", host->cpu_ns);
    put_count(j, "run_delay_ns", host->run_delay_ns);
    put_count(j, "steal_ns", v->told.steal_ns);
    put_count(j, "switches_voluntary", host->voluntary);
    put_count(j, "switches_involuntary", host->involuntary);
    put_count(j, "migrations", host->migrations);
    put_count(j, "guest_ns", host->guest_ns);
    put_count(j, "kernel_ns", host->kernel_ns);
    json_put_uint(j, "handler_ns", v->handler_ns);
    json_put_end(j);
}

static void put_vcpus(struct json_out *j, const struct stats_snapshot *s)
{
    json_put_line(j);
    json_put_array(j, "vcpus");
    for (unsigned i = 0; i < s->info.vcpus; i++) put_vcpu(j, i, &s->vcpu[i]);
    json_put_line(j);
    json_put_end(j);
}

static void put_threads(struct json_out *j, const struct stats_snapshot *s)
{
    json_put_line(j);
    json_put_array(j, "threads");
    for (unsigned i = 0; i < s->thread_count; i++) {
        const struct machine_thread *t = &s->thread[i];
        json_put_object(j, NULL);
        json_put_int(j, "tid", t->tid);
        json_put_string(j, "name", t->name);
        if (t->vcpu >= 0) json_put_int(j, "vcpu", t->vcpu);
        json_put_end(j);
    }
    json_put_end(j);
}

static void put_figure(struct json_out *j, const struct figure_kind *kind, double weight, const struct figure *f)
{
    json_put_line(j);
    json_put_object(j, NULL);
    json_put_string(j, "name", kind->name);
    json_put_string(j, "unit", kind->unit);
    json_put_real(j, "reference", kind->reference, 6);
    json_put_real(j, "weight", weight, 6);
    if (f->why_not) {
        json_put_null(j, "value");
        json_put_string(j, "unavailable", f->why_not);
    } else {
        json_put_real(j, "value", f->value, 9);
    }
    json_put_end(j);
}

static void put_figures(struct json_out *j, const struct stats_snapshot *s)
{
    json_put_line(j);
    json_put_array(j, "figures");
    for (unsigned i = 0; i < FIGURES; i++) put_figure(j, &figure_kinds[i], s->weight[i], &s->figure[i]);
    json_put_line(j);
    json_put_end(j);
    json_put_line(j);
    json_put_real(j, "weighted_sum", s->sum, 9);
}

/* Whole amounts, for whoever wants the rate of an interval. */
static void put_usage(struct json_out *j, const struct stats_snapshot *s)
{
    const struct machine_usage *u = &s->usage;
    json_put_line(j);
    json_put_uint(j, "age_ns", u->age_ns);
    json_put_uint(j, "memory_bytes", u->memory_bytes);
    json_put_uint(j, "guest_resident_bytes", u->guest_resident);
    if (u->has_resident) json_put_uint(j, "resident_bytes", u->resident);
    put_count(j, "voluntary_switches", s->voluntary);
    put_count(j, "involuntary_switches", s->involuntary);
    json_put_uint(j, "io_cpu_ns", u->io_cpu_ns);
    if (u->has_throttled) {
        json_put_uint(j, "throttled", u->throttled);
        json_put_uint(j, "throttled_ns", u->throttled_ns);
    }
}

void stats_write_json(FILE *f, const struct stats_snapshot *s)
{
    struct json_block block = {.file = f};
    struct json_out j = {.write = json_to_block, .arg = &block};
    json_put_object(&j, NULL);
    json_put_string(&j, "schema", "vireo-stats-1");
    json_put_string(&j, "name", s->subject->name);
    json_put_string(&j, "uuid", s->subject->uuid);
    json_put_int(&j, "pid", getpid());
    if (s->subject->kernel) json_put_string(&j, "kernel", s->subject->kernel);
    put_rows(&j, s);
    put_threads(&j, s);
    put_figures(&j, s);
    put_vcpus(&j, s);
    put_usage(&j, s);
    json_put_line(&j);
    json_put_string(&j, "counter", s->info.counter);
    json_put_real(&j, "counter_hz", s->info.hz, 12);
    json_put_real(&j, "cost_ns", s->info.cost_ns, 4);
    json_put_end(&j);
    json_to_block(&block, "\n", 1);
    json_block_flush(&block);
}
