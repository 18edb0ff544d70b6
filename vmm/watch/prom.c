/* The page for Prometheus: its text exposition format 0.0.4. Seconds and bytes; a family's samples stand together.
 * Registers are left out: a guest chooses how many there are, and a time series for each is not for it to make. */
#include <inttypes.h>
#include <string.h>

#include "vmm/base/text.h"
#include "vmm/watch/snapshot.h"

#define SECONDS(ns) ((double)(ns) / 1e9)

static void put_family(FILE *f, const char *name, const char *type, const char *help)
{
    fprintf(f, "# HELP vireo_%s %s\n# TYPE vireo_%s %s\n", name, help, name, type);
}

/* A label's value: UTF-8, in which a quote and a backslash are escaped. A device's name may be a user's. */
static void put_quoted(FILE *f, const char *s)
{
    unsigned bytes;
    fputc('"', f);
    for (size_t left = strlen(s); left > 0; s += bytes, left -= bytes) {
        const bool is_plain = text_next(s, left, &bytes) == TEXT_PLAIN;
        if (*s == '"' || *s == '\\') fputc('\\', f);
        (void)fwrite(is_plain ? s : "?", 1, is_plain ? bytes : 1, f);
    }
    fputc('"', f);
}

/* vireo_NAME{vm="...": the caller goes on with the other labels. */
static void put_start(FILE *f, const struct stats_snapshot *s, const char *name, const char *suffix)
{
    fprintf(f, "vireo_%s%s{vm=", name, suffix);
    put_quoted(f, s->subject->name);
}

/* A family of one sample. */
static void put_single(FILE *f, const struct stats_snapshot *s, const char *name, const char *type, double value)
{
    fprintf(f, "# TYPE vireo_%s %s\n", name, type);
    put_start(f, s, name, "");
    fprintf(f, "} %.12g\n", value);
}

/* ---- exits ---- */

static double count_of(const struct stats_row *r)
{
    return (double)r->count;
}

static double run_of(const struct stats_row *r)
{
    return SECONDS(r->run.total);
}

static double handler_of(const struct stats_row *r)
{
    return SECONDS(r->handler.total);
}

/* A counter by vCPU and class. */
static void put_classes(FILE *f, const struct stats_snapshot *s, const char *name,
                        double (*value_of)(const struct stats_row *r))
{
    for (size_t i = 0; i < s->count; i++) {
        const struct stats_row *r = &s->entry[i].row;
        if (r->kind != STATS_CLASS || r->vcpu < 0) continue;
        put_start(f, s, name, "");
        fprintf(f, ",vcpu=\"%d\",class=\"%s\"} %.15g\n", r->vcpu, r->name, value_of(r));
    }
}

static void put_exits(FILE *f, const struct stats_snapshot *s)
{
    put_family(f, "exits_total", "counter", "VM exits that came to the monitor.");
    put_classes(f, s, "exits_total", count_of);
    put_family(f, "run_seconds_total", "counter", "Time in KVM_RUN before these exits, the guest's own included.");
    put_classes(f, s, "run_seconds_total", run_of);
    put_family(f, "handler_seconds_total", "counter", "Time that the monitor handled these exits.");
    put_classes(f, s, "handler_seconds_total", handler_of);
}

/* ---- durations of all vCPUs together ---- */

struct durations {
    const char *name, *class;
    const uint64_t *steps;
    uint64_t count, total_ns;
};

static void put_histogram(FILE *f, const struct stats_snapshot *s, const struct durations *d)
{
    uint64_t below = 0;
    for (unsigned i = 0; i < STEPS; i++) {
        below += d->steps[i];
        if (i % STEPS_PER_OCTAVE != 0) continue; /* the powers of two do: 33 series a class */
        put_start(f, s, d->name, "_bucket");
        fprintf(f, ",class=\"%s\",le=\"%.9g\"} %" PRIu64 "\n", d->class, stats_step_ns(i) / 1e9, below);
    }
    /* While the VM runs the count may lag behind the steps by an exit; the last bucket must not. */
    const uint64_t all = d->count > below ? d->count : below;
    put_start(f, s, d->name, "_bucket");
    fprintf(f, ",class=\"%s\",le=\"+Inf\"} %" PRIu64 "\n", d->class, all);
    put_start(f, s, d->name, "_sum");
    fprintf(f, ",class=\"%s\"} %.15g\n", d->class, SECONDS(d->total_ns));
    put_start(f, s, d->name, "_count");
    fprintf(f, ",class=\"%s\"} %" PRIu64 "\n", d->class, all);
}

static void put_histograms(FILE *f, const struct stats_snapshot *s, bool is_run)
{
    const char *name = is_run ? "exit_run_seconds" : "exit_handler_seconds";
    put_family(f, name, "histogram",
               is_run ? "Time in KVM_RUN before an exit, of all vCPUs." : "Time an exit was handled, of all vCPUs.");
    for (size_t i = 0; i < s->count; i++) {
        const struct stats_entry *e = &s->entry[i];
        const bool is_all = e->row.vcpu < 0 || s->info.vcpus == 1; /* a single vCPU is all there is */
        if (e->row.kind != STATS_CLASS || !is_all) continue;
        const struct durations d = {
            .name = name,
            .class = e->row.name,
            .steps = is_run ? e->steps->run : e->steps->handler,
            .count = e->row.count,
            .total_ns = is_run ? e->row.run.total : e->row.handler.total,
        };
        put_histogram(f, s, &d);
    }
}

/* ---- the rest ---- */

static void put_doorbells(FILE *f, const struct stats_snapshot *s)
{
    put_family(f, "exits_saved_total", "counter", "Doorbells that ioeventfd rang without an exit to the monitor.");
    for (size_t i = 0; i < s->count; i++) {
        const struct stats_row *r = &s->entry[i].row;
        if (r->kind != STATS_DOORBELL) continue;
        put_start(f, s, "exits_saved_total", "");
        fprintf(f, ",device=");
        put_quoted(f, r->device);
        fprintf(f, ",queue=\"%" PRIu64 "\"} %" PRIu64 "\n", r->addr, r->count);
    }
}

static void put_devices(FILE *f, const struct stats_snapshot *s)
{
    put_family(f, "device_events_total", "counter", "What devices count: frames, bytes dropped, faults of the guest.");
    for (size_t i = 0; i < s->count; i++) {
        const struct stats_row *r = &s->entry[i].row;
        if (r->kind != STATS_DEVICE) continue;
        put_start(f, s, "device_events_total", "");
        fprintf(f, ",device=");
        put_quoted(f, r->device);
        fprintf(f, ",event=\"%s\"} %" PRIu64 "\n", r->name, r->count);
    }
}

static void put_kernels(FILE *f, const struct stats_snapshot *s)
{
    put_family(f, "kvm_stat", "untyped", "The kernel's own statistics of a vCPU (KVM_GET_STATS_FD).");
    for (size_t i = 0; i < s->kernel_count; i++) {
        const struct stats_kernel *k = &s->kernel[i];
        put_start(f, s, "kvm_stat", "");
        fprintf(f, ",vcpu=\"%d\",name=\"%s\",unit=\"%s\"} %" PRIu64 "\n", k->vcpu, k->name, k->unit, k->value);
    }
}

/* An unavailable figure has no sample. */
static void put_figures(FILE *f, const struct stats_snapshot *s)
{
    put_family(f, "overhead", "gauge", "A figure of virtualization's overhead, since the VM was made.");
    for (unsigned i = 0; i < FIGURES; i++) {
        if (s->figure[i].why_not) continue;
        put_start(f, s, "overhead", "");
        fprintf(f, ",figure=\"%s\",unit=\"%s\"} %.9g\n", figure_kinds[i].name, figure_kinds[i].unit,
                s->figure[i].value);
    }
    put_family(f, "overhead_reference", "gauge", "What a figure is divided by before it is weighted and added.");
    for (unsigned i = 0; i < FIGURES; i++) {
        put_start(f, s, "overhead_reference", "");
        fprintf(f, ",figure=\"%s\"} %.9g\n", figure_kinds[i].name, figure_kinds[i].reference);
    }
    put_single(f, s, "overhead_weighted_sum", "gauge", s->sum);
}

static void put_usage(FILE *f, const struct stats_snapshot *s)
{
    const struct machine_usage *u = &s->usage;
    put_single(f, s, "age_seconds", "gauge", SECONDS(u->age_ns));
    put_single(f, s, "guest_memory_bytes", "gauge", (double)u->memory_bytes);
    put_single(f, s, "guest_resident_bytes", "gauge", (double)u->guest_resident);
    if (u->has_resident) put_single(f, s, "resident_bytes", "gauge", (double)u->resident);
    if (u->has_throttled) put_single(f, s, "throttled_total", "counter", (double)u->throttled);
    if (u->has_throttled) put_single(f, s, "throttled_seconds_total", "counter", SECONDS(u->throttled_ns));
    put_single(f, s, "io_cpu_seconds_total", "counter", SECONDS(u->io_cpu_ns));
    put_single(f, s, "recorder_cost_seconds", "gauge", s->info.cost_ns / 1e9);
}

void stats_write_prometheus(FILE *f, const struct stats_snapshot *s)
{
    put_family(f, "vm_info", "gauge", "The VM's identity.");
    put_start(f, s, "vm_info", "");
    fprintf(f, ",uuid=\"%s\",vcpus=\"%u\",counter=\"%s\"} 1\n", s->subject->uuid, s->info.vcpus, s->info.counter);
    put_exits(f, s);
    put_histograms(f, s, true);
    put_histograms(f, s, false);
    put_doorbells(f, s);
    put_devices(f, s);
    put_kernels(f, s);
    put_figures(f, s);
    put_usage(f, s);
}
