/* The page for programs: one object, whose keys stay. docs/man/vireo-stat.1 has them. */
#include <inttypes.h>
#include <unistd.h>

#include "vmm/watch/snapshot.h"

static void put_times(FILE *f, const char *name, const struct stats_times *t, bool has_quantiles)
{
    fprintf(f, ", \"%s\": {\"total_ns\": %" PRIu64, name, t->total);
    if (has_quantiles)
        fprintf(f,
                ", \"min_ns\": %" PRIu64 ", \"p50_ns\": %" PRIu64 ", \"p90_ns\": %" PRIu64 ", \"p99_ns\": %" PRIu64
                ", \"p999_ns\": %" PRIu64 ", \"overflow\": %" PRIu64,
                t->min, t->p50, t->p90, t->p99, t->p999, t->overflow);
    if (t->max) fprintf(f, ", \"max_ns\": %" PRIu64, t->max);
    fputc('}', f);
}

/* [[k, count], ...]: so many lasted 2^(k/8) ns at most and more than the step before. */
static void put_steps(FILE *f, const char *name, const uint64_t *count)
{
    const char *before = "";
    fprintf(f, ", \"%s\": [", name);
    for (unsigned i = 0; i < STEPS; i++) {
        if (count[i] == 0) continue;
        fprintf(f, "%s[%u, %" PRIu64 "]", before, i + STEP_FIRST, count[i]);
        before = ", ";
    }
    fputc(']', f);
}

static void put_register(FILE *f, const struct stats_row *r)
{
    if (r->device) {
        fprintf(f, ", \"device\": ");
        stats_put_quoted(f, r->device);
        fprintf(f, ", \"offset\": %" PRIu64, r->offset);
    }
    fprintf(f, ", \"address\": %" PRIu64, r->addr);
}

static void put_row_head(FILE *f, const char *kind, int vcpu, const char *name)
{
    fprintf(f, "{\"kind\": \"%s\", \"vcpu\": ", kind);
    fprintf(f, vcpu < 0 ? "\"all\"" : "%d", vcpu);
    fprintf(f, ", \"name\": \"%s\"", name); /* ours and the kernel's need no escapes */
}

static void put_entry(FILE *f, const struct stats_entry *e)
{
    static const char *const kinds[] = {
        [STATS_VCPU] = "vcpu", [STATS_CLASS] = "class",       [STATS_REGISTER] = "register",
        [STATS_LOST] = "lost", [STATS_DOORBELL] = "doorbell", [STATS_DEVICE] = "device",
    };
    const struct stats_row *r = &e->row;
    put_row_head(f, kinds[r->kind], r->vcpu, r->name);
    fprintf(f, ", \"count\": %" PRIu64, r->count);
    if (r->kind == STATS_REGISTER) put_register(f, r);
    if (r->kind == STATS_DOORBELL || r->kind == STATS_DEVICE) {
        fprintf(f, ", \"device\": ");
        stats_put_quoted(f, r->device);
    }
    if (r->kind == STATS_DOORBELL) fprintf(f, ", \"queue\": %" PRIu64, r->addr);
    if (r->kind <= STATS_REGISTER) {
        put_times(f, "run", &r->run, r->kind == STATS_CLASS);
        put_times(f, "handler", &r->handler, r->kind == STATS_CLASS);
    }
    if (r->kind == STATS_CLASS)
        fprintf(f, ", \"first_ns\": %" PRIu64 ", \"last_ns\": %" PRIu64, r->first_ns, r->last_ns);
    if (e->steps) {
        put_steps(f, "run_steps", e->steps->run);
        put_steps(f, "handler_steps", e->steps->handler);
    }
    fputc('}', f);
}

static void put_kernel(FILE *f, const struct stats_kernel *k)
{
    put_row_head(f, "kernel", k->vcpu, k->name);
    fprintf(f, ", \"count\": %" PRIu64 ", \"unit\": \"%s\"}", k->value, k->unit);
}

static void put_rows(FILE *f, const struct stats_snapshot *s)
{
    const char *before = "\n";
    fprintf(f, "\"rows\": [");
    for (size_t i = 0; i < s->count; i++, before = ",\n") {
        fputs(before, f);
        put_entry(f, &s->entry[i]);
    }
    for (size_t i = 0; i < s->kernel_count; i++, before = ",\n") {
        fputs(before, f);
        put_kernel(f, &s->kernel[i]);
    }
    fprintf(f, "\n]");
}

static void put_threads(FILE *f, const struct stats_snapshot *s)
{
    fprintf(f, ",\n\"threads\": [");
    for (unsigned i = 0; i < s->thread_count; i++) {
        const struct machine_thread *t = &s->thread[i];
        fprintf(f, "%s{\"tid\": %d, \"name\": \"%s\"", i ? ", " : "", t->tid, t->name);
        if (t->vcpu >= 0) fprintf(f, ", \"vcpu\": %d", t->vcpu);
        fputc('}', f);
    }
    fputc(']', f);
}

static void put_figures(FILE *f, const struct stats_snapshot *s)
{
    fprintf(f, ",\n\"figures\": [");
    for (unsigned i = 0; i < FIGURES; i++) {
        const struct figure_kind *k = &figure_kinds[i];
        fprintf(f, "%s{\"name\": \"%s\", \"unit\": \"%s\", \"reference\": %g, \"weight\": %g, ", i ? ",\n" : "\n",
                k->name, k->unit, k->reference, s->weight[i]);
        if (s->figure[i].why_not)
            fprintf(f, "\"value\": null, \"unavailable\": \"%s\"}", s->figure[i].why_not);
        else
            fprintf(f, "\"value\": %.9g}", s->figure[i].value);
    }
    fprintf(f, "\n],\n\"weighted_sum\": %.9g", s->sum);
}

/* Whole amounts, for whoever wants the rate of an interval. */
static void put_usage(FILE *f, const struct machine_usage *u)
{
    fprintf(f, ",\n\"age_ns\": %" PRIu64 ", \"memory_bytes\": %" PRIu64 ", \"guest_resident_bytes\": %" PRIu64,
            u->age_ns, u->memory_bytes, u->guest_resident);
    if (u->has_resident) fprintf(f, ", \"resident_bytes\": %" PRIu64, u->resident);
    if (u->has_switches)
        fprintf(f, ", \"voluntary_switches\": %" PRIu64 ", \"involuntary_switches\": %" PRIu64, u->voluntary,
                u->involuntary);
    fprintf(f, ", \"io_cpu_ns\": %" PRIu64, u->io_cpu_ns);
    if (u->has_throttled)
        fprintf(f, ", \"throttled\": %" PRIu64 ", \"throttled_ns\": %" PRIu64, u->throttled, u->throttled_ns);
}

void stats_write_json(FILE *f, const struct stats_snapshot *s)
{
    fprintf(f, "{\"schema\": \"vireo-stats-1\", \"name\": ");
    stats_put_quoted(f, s->subject->name);
    fprintf(f, ", \"uuid\": \"%s\", \"pid\": %d,\n", s->subject->uuid, getpid());
    put_rows(f, s);
    put_threads(f, s);
    put_figures(f, s);
    put_usage(f, &s->usage);
    fprintf(f, ",\n\"vcpus\": %u, \"counter\": \"%s\", \"counter_hz\": %.0f, \"cost_ns\": %.1f}\n", s->info.vcpus,
            s->info.counter, s->info.hz, s->info.cost_ns);
}
