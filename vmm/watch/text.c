/* The page for people: a table for each vCPU, what ioeventfd saved, the threads, the six figures. */
#include <inttypes.h>
#include <string.h>
#include <unistd.h>

#include "vmm/watch/snapshot.h"

#define LINE_WIDTH 120 /* the kernel's statistics are wrapped there; the table is as wide */

static double us(uint64_t ns)
{
    return (double)ns / 1e3;
}

static void put_told(FILE *f, const char *before, uint64_t n, const char *behind)
{
    if (n != THREAD_UNTOLD) fprintf(f, "%s%" PRIu64 "%s", before, n, behind);
}

static void put_time(FILE *f, const char *before, uint64_t ns, const char *behind)
{
    if (ns != THREAD_UNTOLD) fprintf(f, "%s%.3f s%s", before, (double)ns / 1e9, behind);
}

/* What the host's scheduler knows of a vCPU, as far as it tells. */
static void put_host(FILE *f, const struct machine_vcpu *v)
{
    const struct thread_counts *host = &v->host;
    if (host->cpu_ns == THREAD_UNTOLD) return;
    put_time(f, "  scheduler: ", host->cpu_ns, " on a CPU");
    put_time(f, " (sampled: ", host->guest_ns, " guest,");
    put_time(f, " ", host->kernel_ns, " kernel)");
    put_time(f, ", waited ", host->run_delay_ns, " for one");
    put_time(f, " (its guest was told ", v->steal_ns, ")");
    put_told(f, ",\n             switched ", host->voluntary, " times to wait,");
    put_told(f, " ", host->involuntary, " times for another");
    put_told(f, ", moved ", host->migrations, " times");
    if (host->cpu >= 0) fprintf(f, ", on CPU %d", host->cpu);
    fputc('\n', f);
}

static void put_sum(FILE *f, const struct stats_snapshot *s, const struct stats_row *r)
{
    fprintf(f, "%s", r->name);
    if (r->vcpu >= 0) fprintf(f, " %d", r->vcpu);
    fprintf(f, ": %" PRIu64 " exits, %.3f ms in KVM_RUN, %.3f ms in the monitor\n", r->count,
            (double)r->run.total / 1e6, (double)r->handler.total / 1e6);
    if (r->vcpu >= 0 && r->vcpu < CONFIG_MAX_CPUS) put_host(f, &s->vcpu[r->vcpu].told);
    fprintf(f, "%-26s %10s %7s %9s %9s %9s %10s  %8s %8s %8s %9s\n", "  microseconds", "count", "share", "run mean",
            "p50", "p99", "max", "handler", "p50", "p99", "max");
}

/* Name, count, and its part of the vCPU's time. */
static void put_head(FILE *f, const struct stats_row *r, const char *name, double vcpu_ns)
{
    const double ns = (double)(r->run.total + r->handler.total);
    fprintf(f, "%-26s %10" PRIu64 " %5.1f %%", name, r->count, vcpu_ns > 0 ? 100 * ns / vcpu_ns : 0);
}

static void put_class(FILE *f, const struct stats_row *r, double vcpu_ns)
{
    char name[64];
    (void)snprintf(name, sizeof(name), "  %s", r->name);
    put_head(f, r, name, vcpu_ns);
    fprintf(f, " %9.3f %9.3f %9.3f %10.3f  %8.3f %8.3f %8.3f %9.3f\n", us(r->run.total) / (double)r->count,
            us(r->run.p50), us(r->run.p99), us(r->run.max), us(r->handler.total) / (double)r->count, us(r->handler.p50),
            us(r->handler.p99), us(r->handler.max));
}

static void put_register(FILE *f, const struct stats_row *r, double vcpu_ns)
{
    char name[64];
    if (r->device)
        (void)snprintf(name, sizeof(name), "    %s +0x%" PRIx64, r->device, r->offset);
    else
        (void)snprintf(name, sizeof(name), "    nothing at 0x%" PRIx64, r->addr);
    put_head(f, r, name, vcpu_ns);
    fprintf(f, " %9.3f %9s %9s %10.3f  %8.3f %8s %8s %9.3f\n", us(r->run.total) / (double)r->count, "", "",
            us(r->run.max), us(r->handler.total) / (double)r->count, "", "", us(r->handler.max));
}

/* The kernel's counts of one vCPU, several a line. */
static void put_kernels(FILE *f, const struct stats_snapshot *s, int vcpu)
{
    static const char first[] = "  kernel: ", next[] = ",\n          ", beside[] = ", ";
    size_t column = 0;
    for (size_t i = 0; i < s->kernel_count; i++) {
        const struct stats_kernel *k = &s->kernel[i];
        char text[128];
        if (k->vcpu != vcpu) continue;
        const int len =
            snprintf(text, sizeof(text), "%s %" PRIu64 "%s%s", k->name, k->value, k->unit[0] ? " " : "", k->unit);
        const bool fits = column + 2 + (size_t)len < LINE_WIDTH;
        fprintf(f, "%s%s", column == 0 ? first : fits ? beside : next, text);
        column = (column && fits ? column + sizeof(beside) - 1 : sizeof(first) - 1) + (size_t)len;
    }
    if (column) fputc('\n', f);
}

static void put_doorbells(FILE *f, const struct stats_snapshot *s)
{
    bool has_any = false;
    for (size_t i = 0; i < s->count; i++) {
        const struct stats_row *r = &s->entry[i].row;
        if (r->kind != STATS_DOORBELL) continue;
        if (!has_any) fprintf(f, "exits saved by ioeventfd\n");
        fprintf(f, "  %s, queue %" PRIu64 ": %" PRIu64 "\n", r->device, r->addr, r->count);
        has_any = true;
    }
}

/* Of a name such as "requests_ns" the unit is said as in the rest of the text. */
static void put_device_count(FILE *f, const struct stats_row *r)
{
    static const char unit[] = "_ns";
    const size_t len = strlen(r->name), of = sizeof(unit) - 1;
    if (len > of && strcmp(r->name + len - of, unit) == 0)
        fprintf(f, "  %s: %.3f ms in %.*s\n", r->device, (double)r->count / 1e6, (int)(len - of), r->name);
    else
        fprintf(f, "  %s: %" PRIu64 " %s\n", r->device, r->count, r->name);
}

static void put_devices(FILE *f, const struct stats_snapshot *s)
{
    bool has_any = false;
    for (size_t i = 0; i < s->count; i++) {
        const struct stats_row *r = &s->entry[i].row;
        if (r->kind != STATS_DEVICE) continue;
        if (!has_any) fprintf(f, "counted by devices\n");
        put_device_count(f, r);
        has_any = true;
    }
}

static void put_threads(FILE *f, const struct stats_snapshot *s)
{
    if (s->thread_count) fprintf(f, "threads\n");
    for (unsigned i = 0; i < s->thread_count; i++) fprintf(f, "  %d %s\n", s->thread[i].tid, s->thread[i].name);
}

/* Who reads times must know: a vCPU that is stopped by a quota looks like one that works. */
static void put_throttled(FILE *f, const struct machine_usage *u)
{
    if (u->throttled)
        fprintf(f, "throttled by the CPU quota of a cgroup %" PRIu64 " times, %.3f ms over all CPUs\n", u->throttled,
                (double)u->throttled_ns / 1e6);
}

static void put_figures(FILE *f, const struct stats_snapshot *s)
{
    fprintf(f, "%-22s %14s %-6s %12s %8s %12s\n", "overhead", "value", "unit", "reference", "weight", "contributes");
    for (unsigned i = 0; i < FIGURES; i++) {
        const struct figure_kind *k = &figure_kinds[i];
        const struct figure *g = &s->figure[i];
        if (g->why_not)
            fprintf(f, "  %-20s    unavailable: %s\n", k->name, g->why_not);
        else
            fprintf(f, "  %-20s %14.6g %-6s %12g %8g %12.4f\n", k->name, g->value, k->unit, k->reference, s->weight[i],
                    s->weight[i] * g->value / k->reference);
    }
    fprintf(f, "  %-20s %14s %-6s %12s %8s %12.4f\n", "weighted sum", "", "", "", "", s->sum);
}

static void put_foot(FILE *f, const struct stats_info *info)
{
    fprintf(f,
            "run: from entering KVM_RUN until it returns, the guest's own time included; handler: until it can be "
            "entered again\n"
            "time from %s at %.3f MHz; recording an exit takes %.0f ns here, which lie in the run of the next\n",
            info->counter, info->hz / 1e6, info->cost_ns);
}

static void put_vcpus(FILE *f, const struct stats_snapshot *s)
{
    double vcpu_ns = 0;
    for (size_t i = 0; i < s->count; i++) {
        const struct stats_row *r = &s->entry[i].row;
        switch (r->kind) {
        case STATS_VCPU:
            vcpu_ns = (double)(r->run.total + r->handler.total);
            put_sum(f, s, r);
            break;
        case STATS_CLASS: put_class(f, r, vcpu_ns); break;
        case STATS_REGISTER: put_register(f, r, vcpu_ns); break;
        case STATS_LOST: fprintf(f, "  %" PRIu64 " exits of registers that found no place\n", r->count); break;
        case STATS_KERNEL:
        case STATS_DOORBELL:
        case STATS_DEVICE: break;
        }
        const bool is_last = i + 1 == s->count || s->entry[i + 1].row.vcpu != r->vcpu;
        if (is_last && r->vcpu >= 0) put_kernels(f, s, r->vcpu);
    }
}

void stats_write_text(FILE *f, const struct stats_snapshot *s)
{
    const char *name = s->subject->name;
    fprintf(f, "vireo: where the time went\n%s%sVM %s, process %d, %.3f s old\n", name, name[0] ? ", " : "",
            s->subject->uuid, getpid(), (double)s->usage.age_ns / 1e9);
    put_vcpus(f, s);
    put_doorbells(f, s);
    put_devices(f, s);
    put_threads(f, s);
    put_throttled(f, &s->usage);
    put_foot(f, &s->info);
    put_figures(f, s);
}
