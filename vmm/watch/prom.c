/* The page for Prometheus: its text exposition format 0.0.4. Seconds and bytes; a family's samples stand together, and
 * each counter is there from zero on, so that its first increase is seen. What this host can't tell has no sample.
 * Registers are left out: a guest chooses how many there are, and a time series for each is not for it to make. */
#include <inttypes.h>
#include <stdarg.h>
#include <string.h>

#include "vmm/base/text.h"
#include "vmm/watch/snapshot.h"

#define SECONDS(ns)   ((double)(ns) / 1e9)
#define KERNEL_FAMILY (KERNEL_NAME_MAX + 32) /* "kvm_", the kernel's name, "_seconds_total" */
#define HELP_MAX      160

struct prom {
    FILE *f;
    const struct stats_snapshot *s;
    /* The family that is written; its head comes with its first sample. */
    char name[KERNEL_FAMILY], help[HELP_MAX];
    const char *type;
    bool has_head;
};

static void begin(struct prom *p, const char *name, const char *type, const char *help)
{
    (void)snprintf(p->name, sizeof(p->name), "%s", name);
    (void)snprintf(p->help, sizeof(p->help), "%s", help);
    p->type = type;
    p->has_head = false;
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
static void put_start(struct prom *p, const char *suffix)
{
    if (!p->has_head) fprintf(p->f, "# HELP vireo_%s %s\n# TYPE vireo_%s %s\n", p->name, p->help, p->name, p->type);
    p->has_head = true;
    fprintf(p->f, "vireo_%s%s{vm=", p->name, suffix);
    put_quoted(p->f, p->s->subject->name);
}

static void put_label(struct prom *p, const char *label, const char *value)
{
    fprintf(p->f, ",%s=", label);
    put_quoted(p->f, value);
}

static void put_vcpu(struct prom *p, int vcpu)
{
    fprintf(p->f, ",vcpu=\"%d\"", vcpu);
}

static void put_value(struct prom *p, double value)
{
    fprintf(p->f, "} %.15g\n", value);
}

static void put_count(struct prom *p, uint64_t n)
{
    fprintf(p->f, "} %" PRIu64 "\n", n);
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

/* The family that was begun, by vCPU and class. */
static void put_classes(struct prom *p, double (*value_of)(const struct stats_row *r))
{
    for (size_t i = 0; i < p->s->count; i++) {
        const struct stats_row *r = &p->s->entry[i].row;
        if (r->kind != STATS_CLASS || r->vcpu < 0) continue;
        put_start(p, "");
        put_vcpu(p, r->vcpu);
        put_label(p, "class", r->name);
        put_value(p, value_of(r));
    }
}

static void put_exits(struct prom *p)
{
    begin(p, "exits_total", "counter", "VM exits that came to the monitor.");
    put_classes(p, count_of);
    begin(p, "run_seconds_total", "counter", "Time in KVM_RUN before these exits, the guest's own included.");
    put_classes(p, run_of);
    begin(p, "handler_seconds_total", "counter", "Time that the monitor handled these exits.");
    put_classes(p, handler_of);
}

/* ---- histograms ---- */

/* The k-th bucket that is written: how many lie below it, and its bound. label: NULL, none. */
static void put_bucket(struct prom *p, const char *class, double bound, uint64_t below)
{
    put_start(p, "_bucket");
    if (class) put_label(p, "class", class);
    fprintf(p->f, ",le=\"%.12g\"", bound);
    put_count(p, below);
}

static void put_histogram_end(struct prom *p, const char *class, uint64_t all)
{
    put_start(p, "_bucket");
    if (class) put_label(p, "class", class);
    fprintf(p->f, ",le=\"+Inf\"");
    put_count(p, all);
    put_start(p, "_count");
    if (class) put_label(p, "class", class);
    put_count(p, all);
}

static void put_durations(struct prom *p, const struct stats_row *r, const uint64_t *steps, uint64_t total_ns)
{
    uint64_t below = 0;
    for (unsigned i = 0; i < STEPS; i++) {
        below += steps[i];
        if (i % STEPS_PER_OCTAVE == 0) /* the powers of two do: 33 series a class */
            put_bucket(p, r->name, stats_step_ns(i) / 1e9, below);
    }
    /* While the VM runs the count may lag behind the steps by an exit; the last bucket must not. */
    put_histogram_end(p, r->name, r->count > below ? r->count : below);
    put_start(p, "_sum");
    put_label(p, "class", r->name);
    put_value(p, SECONDS(total_ns));
}

static void put_histograms(struct prom *p, bool is_run)
{
    for (size_t i = 0; i < p->s->count; i++) {
        const struct stats_entry *e = &p->s->entry[i];
        if (e->row.kind != STATS_CLASS || !e->steps) continue;
        put_durations(p, &e->row, is_run ? e->steps->run : e->steps->handler,
                      is_run ? e->row.run.total : e->row.handler.total);
    }
}

/* ---- vCPUs ---- */

static void put_vcpu_seconds(struct prom *p, size_t offset)
{
    for (unsigned i = 0; i < p->s->info.vcpus; i++) {
        uint64_t ns;
        memcpy(&ns, (const char *)&p->s->vcpu[i] + offset, sizeof(ns));
        if (ns == THREAD_UNTOLD) continue;
        put_start(p, "");
        put_vcpu(p, (int)i);
        put_value(p, SECONDS(ns));
    }
}

static void put_switches(struct prom *p, unsigned vcpu, const char *kind, uint64_t n)
{
    if (n == THREAD_UNTOLD) return;
    put_start(p, "");
    put_vcpu(p, (int)vcpu);
    put_label(p, "kind", kind);
    put_count(p, n);
}

static void put_vcpus(struct prom *p)
{
    static const struct {
        const char *name, *help;
        size_t offset;
    } times[] = {
#define TIME(field) offsetof(struct stats_vcpu, field)
        {"vcpu_cpu_seconds_total", "Time of a vCPU's thread on a CPU.", TIME(told.host.cpu_ns)},
        {"vcpu_run_delay_seconds_total", "Time that it was ready to run and had no CPU.", TIME(told.host.run_delay_ns)},
        {"vcpu_steal_seconds_total", "The same as its guest was told.", TIME(told.steal_ns)},
        {"vcpu_guest_seconds_total", "Its CPU time in the guest, as the kernel samples it.", TIME(told.host.guest_ns)},
        {"vcpu_kernel_seconds_total", "Its CPU time in the kernel, as the kernel samples it.",
         TIME(told.host.kernel_ns)},
        {"vcpu_handler_seconds_total", "Its time in the monitor's handling of exits, without pauses.",
         TIME(handler_ns)},
#undef TIME
    };
    const struct stats_vcpu *v = p->s->vcpu;
    for (size_t i = 0; i < sizeof(times) / sizeof(times[0]); i++) {
        begin(p, times[i].name, "counter", times[i].help);
        put_vcpu_seconds(p, times[i].offset);
    }
    begin(p, "vcpu_context_switches_total", "counter", "How often it left its CPU: to wait, or for another thread.");
    for (unsigned i = 0; i < p->s->info.vcpus; i++) {
        put_switches(p, i, "voluntary", v[i].told.host.voluntary);
        put_switches(p, i, "involuntary", v[i].told.host.involuntary);
    }
    begin(p, "vcpu_migrations_total", "counter", "How often it was moved to another CPU.");
    for (unsigned i = 0; i < p->s->info.vcpus; i++) {
        if (v[i].told.host.migrations == THREAD_UNTOLD) continue;
        put_start(p, "");
        put_vcpu(p, (int)i);
        put_count(p, v[i].told.host.migrations);
    }
    begin(p, "vcpu_on_cpu", "gauge", "The number of the CPU that it runs on or last ran on.");
    for (unsigned i = 0; i < p->s->info.vcpus; i++) {
        if (v[i].told.host.cpu < 0) continue;
        put_start(p, "");
        put_vcpu(p, (int)i);
        put_count(p, (uint64_t)v[i].told.host.cpu);
    }
}

/* ---- devices ---- */

static bool ends_with(const char *name, const char *end)
{
    const size_t len = strlen(name), tail = strlen(end);
    return len > tail && strcmp(name + len - tail, end) == 0;
}

static void cut_end(char *name, const char *end)
{
    if (ends_with(name, end)) name[strlen(name) - strlen(end)] = '\0';
}

/* Of those counts that are times, "requests_ns", or of the others. */
static void put_device_counts(struct prom *p, bool of_times)
{
    char event[64];
    for (size_t i = 0; i < p->s->count; i++) {
        const struct stats_row *r = &p->s->entry[i].row;
        if (r->kind != STATS_DEVICE || ends_with(r->name, "_ns") != of_times) continue;
        (void)snprintf(event, sizeof(event), "%s", r->name);
        cut_end(event, "_ns");
        put_start(p, "");
        put_label(p, "device", r->device);
        put_label(p, "event", event);
        put_value(p, of_times ? SECONDS(r->count) : (double)r->count);
    }
}

static void put_devices(struct prom *p)
{
    begin(p, "exits_saved_total", "counter", "Doorbells that ioeventfd rang without an exit to the monitor.");
    for (size_t i = 0; i < p->s->count; i++) {
        const struct stats_row *r = &p->s->entry[i].row;
        if (r->kind != STATS_DOORBELL) continue;
        put_start(p, "");
        put_label(p, "device", r->device);
        fprintf(p->f, ",queue=\"%" PRIu64 "\"", r->addr);
        put_count(p, r->count);
    }
    begin(p, "device_events_total", "counter", "What devices count: requests, frames, bytes dropped, guest's faults.");
    put_device_counts(p, false);
    begin(p, "device_seconds_total", "counter", "The time of what devices count.");
    put_device_counts(p, true);
}

/* ---- the kernel's ---- */

/* Our name for a statistic of the kernel: its own, with the unit that Prometheus wants and the end that the type wants.
 * What ends as a part of a histogram does, and is none, gets an end that isn't reserved. */
static void name_kernel(char out[KERNEL_FAMILY], const char *name, const char *unit, bool is_counter)
{
    static const char *const reserved[] = {"_total", "_count", "_sum", "_bucket", "_info"};
    const bool is_time = strcmp(unit, "ns") == 0 || strcmp(unit, "s") == 0;
    char own[KERNEL_NAME_MAX];
    (void)snprintf(own, sizeof(own), "%s", name);
    for (char *c = own; *c; c++)
        if (!((*c >= 'a' && *c <= 'z') || (*c >= '0' && *c <= '9'))) *c = '_';
    cut_end(own, "_total");
    if (is_time) cut_end(own, "_ns");
    if (strcmp(unit, "bytes") == 0) cut_end(own, "_bytes");
    (void)snprintf(out, KERNEL_FAMILY, "kvm_%s%s%s", own, is_time ? "_seconds" : "",
                   strcmp(unit, "bytes") == 0    ? "_bytes"
                   : strcmp(unit, "cycles") == 0 ? "_cycles"
                                                 : "");
    for (size_t i = 0; i < sizeof(reserved) / sizeof(reserved[0]); i++)
        if (ends_with(out, reserved[i])) strncat(out, "_value", KERNEL_FAMILY - strlen(out) - 1);
    if (is_counter) strncat(out, "_total", KERNEL_FAMILY - strlen(out) - 1);
}

static double scale_of(const char *unit)
{
    return strcmp(unit, "ns") == 0 ? 1e-9 : 1;
}

static void put_kernel(struct prom *p, const struct stats_kernel *k)
{
    put_start(p, "");
    put_vcpu(p, k->vcpu);
    if (strcmp(k->unit, "ns") == 0)
        put_value(p, SECONDS(k->value));
    else
        put_count(p, k->value);
}

/* The kernel has the same statistics of each vCPU, in the same order. */
static void put_kernels(struct prom *p)
{
    static const char *const types[] = {
        [KVM_STAT_CUMULATIVE] = "cumulative", [KVM_STAT_INSTANT] = "as it is now", [KVM_STAT_PEAK] = "its peak"};
    const struct stats_snapshot *s = p->s;
    char name[KERNEL_FAMILY], help[HELP_MAX];
    size_t each = 0;
    while (each < s->kernel_count && s->kernel[each].vcpu == s->kernel[0].vcpu) each++;
    for (size_t i = 0; i < each; i++) {
        const struct stats_kernel *k = &s->kernel[i];
        const bool is_counter = k->type == KVM_STAT_CUMULATIVE;
        name_kernel(name, k->name, k->unit, is_counter);
        (void)snprintf(help, sizeof(help), "KVM's own %s of a vCPU, %s.", k->name, types[k->type]);
        begin(p, name, is_counter ? "counter" : "gauge", help);
        for (size_t at = i; at < s->kernel_count; at += each)
            if (strcmp(s->kernel[at].name, k->name) == 0) put_kernel(p, &s->kernel[at]);
    }
}

/* What a bucket holds is below its end, while Prometheus' bounds belong to the bucket: the largest integer below. */
static double bound_of(const struct stats_kernel_hist *h, unsigned i)
{
    const double end = h->is_log ? (double)(UINT64_C(1) << i) : (double)(i + 1) * h->bucket_size;
    return (end - 1) * scale_of(h->unit);
}

/* The kernel keeps the sum of some: halt_wait_ns is that of halt_wait_hist. */
static bool sum_of(const struct stats_snapshot *s, const struct stats_kernel_hist *h, double *out)
{
    char base[KERNEL_NAME_MAX], name[KERNEL_NAME_MAX + 8];
    bool is_there = false;
    (void)snprintf(base, sizeof(base), "%s", h->name);
    cut_end(base, "_hist");
    (void)snprintf(name, sizeof(name), "%s_%s", base, h->unit);
    *out = 0;
    for (size_t i = 0; i < s->kernel_count; i++) {
        if (strcmp(s->kernel[i].name, name) != 0) continue;
        *out += (double)s->kernel[i].value * scale_of(h->unit);
        is_there = true;
    }
    return is_there;
}

static void put_kernel_hist(struct prom *p, const struct stats_kernel_hist *h)
{
    char name[KERNEL_FAMILY], help[HELP_MAX];
    uint64_t below = 0;
    double sum;
    name_kernel(name, h->name, h->unit, false);
    (void)snprintf(help, sizeof(help), "KVM's own %s of all vCPUs.", h->name);
    begin(p, name, "histogram", help);
    for (unsigned i = 0; i + 1 < h->buckets; i++) { /* the last one has no end */
        below += h->bucket[i];
        put_bucket(p, NULL, bound_of(h, i), below);
    }
    put_histogram_end(p, NULL, below + h->bucket[h->buckets - 1]);
    if (!sum_of(p->s, h, &sum)) return;
    put_start(p, "_sum");
    put_value(p, sum);
}

/* ---- the rest ---- */

static void put_single(struct prom *p, const char *name, const char *type, double value, const char *help)
{
    begin(p, name, type, help);
    put_start(p, "");
    put_value(p, value);
}

/* The figures of docs/overhead.md, each in its base unit. An unavailable one has no sample. */
static void put_figures(struct prom *p)
{
    static const struct {
        const char *name;
        double scale;
    } kinds[FIGURES] = {
        [FIGURE_EXIT_COUNT] = {"overhead_exits_per_second", 1},
        [FIGURE_EXIT_LATENCY] = {"overhead_exit_latency_seconds", 1e-9},
        [FIGURE_MEMORY] = {"overhead_memory_bytes", 1},
        [FIGURE_IO] = {"overhead_io_cpus", 1},
        [FIGURE_SWITCHES] = {"overhead_context_switches_per_second", 1},
        [FIGURE_CACHE_MISSES] = {"overhead_cache_miss_ratio", 1},
    };
    char help[HELP_MAX];
    for (unsigned i = 0; i < FIGURES; i++) {
        const struct figure *figure = &p->s->figure[i];
        if (figure->why_not) continue;
        (void)snprintf(help, sizeof(help), "Since the VM was made: %s.", figure_kinds[i].help);
        put_single(p, kinds[i].name, "gauge", figure->value * kinds[i].scale, help);
    }
    put_single(p, "overhead_weighted", "gauge", p->s->sum,
               "These figures, each divided by its reference and weighted, added up.");
}

static void put_usage(struct prom *p)
{
    const struct machine_usage *u = &p->s->usage;
    put_single(p, "age_seconds", "gauge", SECONDS(u->age_ns), "Since the VM was made, until now or its end.");
    put_single(p, "guest_memory_bytes", "gauge", (double)u->memory_bytes, "The guest's memory, as configured.");
    put_single(p, "guest_resident_bytes", "gauge", (double)u->guest_resident,
               "How much of it the host holds in memory.");
    if (u->has_resident)
        put_single(p, "resident_bytes", "gauge", (double)u->resident, "The process in memory, the guest's included.");
    if (u->has_throttled) {
        put_single(p, "throttled_total", "counter", (double)u->throttled,
                   "How often a CPU quota stopped threads of the VM's cgroups.");
        put_single(p, "throttled_seconds_total", "counter", SECONDS(u->throttled_ns),
                   "How long it did, over all CPUs.");
    }
    put_single(p, "io_cpu_seconds_total", "counter", SECONDS(u->io_cpu_ns),
               "CPU time of the I/O thread and the threads of disks.");
    put_single(p, "recorder_cost_seconds", "gauge", p->s->info.cost_ns / 1e9, "What recording an exit takes.");
}

static void put_info(struct prom *p)
{
    begin(p, "vm_info", "gauge", "The VM's identity.");
    put_start(p, "");
    put_label(p, "uuid", p->s->subject->uuid);
    fprintf(p->f, ",vcpus=\"%u\"", p->s->info.vcpus);
    put_label(p, "counter", p->s->info.counter);
    put_count(p, 1);
}

void stats_write_prometheus(FILE *f, const struct stats_snapshot *s)
{
    struct prom p = {.f = f, .s = s};
    put_info(&p);
    put_exits(&p);
    begin(&p, "exit_run_seconds", "histogram", "Time in KVM_RUN before an exit, of all vCPUs.");
    put_histograms(&p, true);
    begin(&p, "exit_handler_seconds", "histogram", "Time an exit was handled, of all vCPUs.");
    put_histograms(&p, false);
    put_vcpus(&p);
    put_devices(&p);
    put_kernels(&p);
    for (unsigned i = 0; i < s->kernel_hists; i++) put_kernel_hist(&p, &s->kernel_hist[i]);
    put_figures(&p);
    put_usage(&p);
}
