/* The page for people: a table for each vCPU, what ioeventfd saved, the threads, the six figures. */
#include <inttypes.h>
#include <string.h>
#include <unistd.h>

#include "vmm/base/text.h"
#include "vmm/watch/snapshot.h"

#define LINE_WIDTH 120 /* the kernel's statistics are wrapped there; the table is as wide */
#define LINE_ROOM  512 /* the longest, which is two in one, has 300 with the largest numbers */

/* A line is put together here, and then written as a whole. What does not fit, as names of others may, is cut. */
struct line {
    struct text_buffer buffer;
    char text[LINE_ROOM];
};

static struct text_buffer *begin_line(struct line *l)
{
    l->text[0] = '\0';
    l->buffer = (struct text_buffer){.text = l->text, .size = sizeof(l->text)};
    return &l->buffer;
}

static void end_line(FILE *f, struct line *l)
{
    (void)fwrite(l->text, 1, l->buffer.len, f);
    fputc('\n', f);
}

static void put(struct text_buffer *b, const char *s)
{
    text_put_left(b, s, 0);
}

static void put_number(struct text_buffer *b, uint64_t n)
{
    text_put_decimal(b, n, 0, 0);
}

static uint64_t divided(uint64_t n, uint64_t by)
{
    return by ? n / by + (n % by >= by - by / 2) : 0;
}

static void put_told(struct text_buffer *b, const char *before, uint64_t n, const char *behind)
{
    if (n == THREAD_UNTOLD) return;
    put(b, before);
    put_number(b, n);
    put(b, behind);
}

static void put_time(struct text_buffer *b, const char *before, uint64_t ns, const char *behind)
{
    if (ns == THREAD_UNTOLD) return;
    put(b, before);
    text_put_decimal(b, divided(ns, 1000000), 3, 0);
    put(b, " s");
    put(b, behind);
}

/* What the host's scheduler knows of a vCPU, as far as it tells. */
static void put_host(FILE *f, const struct machine_vcpu *v)
{
    const struct thread_counts *host = &v->host;
    struct line l;
    struct text_buffer *b = begin_line(&l);
    if (host->cpu_ns == THREAD_UNTOLD) return;
    put_time(b, "  scheduler: ", host->cpu_ns, " on a CPU");
    put_time(b, " (sampled: ", host->guest_ns, " guest,");
    put_time(b, " ", host->kernel_ns, " kernel)");
    put_time(b, ", waited ", host->run_delay_ns, " for one");
    put_time(b, " (its guest was told ", v->steal_ns, ")");
    put_told(b, ",\n             switched ", host->voluntary, " times to wait,");
    put_told(b, " ", host->involuntary, " times for another");
    put_told(b, ", moved ", host->migrations, " times");
    if (host->cpu >= 0) put_told(b, ", on CPU ", (uint64_t)host->cpu, "");
    end_line(f, &l);
}

static void put_sum(FILE *f, const struct stats_snapshot *s, const struct stats_row *r)
{
    static const char head[] = "  microseconds                  count   share  run mean       p50       p99        max"
                               "   handler      p50      p99       max\n";
    struct line l;
    struct text_buffer *b = begin_line(&l);
    put(b, r->name);
    if (r->vcpu >= 0) put_told(b, " ", (uint64_t)r->vcpu, "");
    put_told(b, ": ", r->count, " exits, ");
    text_put_decimal(b, divided(r->run.total, 1000), 3, 0);
    put(b, " ms in KVM_RUN, ");
    text_put_decimal(b, divided(r->handler.total, 1000), 3, 0);
    put(b, " ms in the monitor");
    end_line(f, &l);
    if (r->vcpu >= 0 && r->vcpu < CONFIG_MAX_CPUS) put_host(f, &s->vcpu[r->vcpu].told);
    (void)fwrite(head, 1, sizeof(head) - 1, f);
}

/* Name, count, and its part of the vCPU's time. */
static void put_head(struct text_buffer *b, const struct stats_row *r, const char *name, uint64_t vcpu_ns)
{
    const double part = vcpu_ns ? (double)(r->run.total + r->handler.total) / (double)vcpu_ns : 0;
    text_put_left(b, name, 26);
    put(b, " ");
    text_put_decimal(b, r->count, 0, 10);
    put(b, " ");
    text_put_decimal(b, (uint64_t)(1000 * part + 0.5), 1, 5);
    put(b, " %");
}

/* Microseconds. */
static void put_us(struct text_buffer *b, uint64_t ns, unsigned width)
{
    put(b, " ");
    text_put_decimal(b, ns, 3, width);
}

/* Of a register no quantiles are known. */
static void put_times(struct text_buffer *b, const struct stats_row *r, const struct stats_times *t, unsigned width)
{
    const bool has_quantiles = r->kind == STATS_CLASS;
    put_us(b, divided(t->total, r->count), width);
    if (has_quantiles) {
        put_us(b, t->p50, width);
        put_us(b, t->p99, width);
    } else {
        text_put_left(b, "", 2 * (width + 1));
    }
    put_us(b, t->max, width + 1);
}

static void put_row(FILE *f, const struct stats_row *r, const char *name, uint64_t vcpu_ns)
{
    struct line l;
    struct text_buffer *b = begin_line(&l);
    put_head(b, r, name, vcpu_ns);
    put_times(b, r, &r->run, 9);
    put(b, " ");
    put_times(b, r, &r->handler, 8);
    end_line(f, &l);
}

static void put_class(FILE *f, const struct stats_row *r, uint64_t vcpu_ns)
{
    char name[64];
    struct text_buffer b = {.text = name, .size = sizeof(name)};
    put(&b, "  ");
    put(&b, r->name);
    put_row(f, r, name, vcpu_ns);
}

static void put_register(FILE *f, const struct stats_row *r, uint64_t vcpu_ns)
{
    char name[64];
    if (r->device)
        (void)snprintf(name, sizeof(name), "    %s +0x%" PRIx64, r->device, r->offset);
    else
        (void)snprintf(name, sizeof(name), "    nothing at 0x%" PRIx64, r->addr);
    put_row(f, r, name, vcpu_ns);
}

/* The kernel's counts of one vCPU, several a line. */
static void put_kernels(FILE *f, const struct stats_snapshot *s, int vcpu)
{
    static const char first[] = "  kernel: ", next[] = ",\n          ", beside[] = ", ";
    size_t column = 0;
    for (size_t i = 0; i < s->kernel_count; i++) {
        const struct stats_kernel *k = &s->kernel[i];
        char text[128];
        struct text_buffer b = {.text = text, .size = sizeof(text)};
        if (k->vcpu != vcpu) continue;
        put(&b, k->name);
        put_told(&b, " ", k->value, k->unit[0] ? " " : "");
        put(&b, k->unit);
        const bool fits = column + 2 + b.len < LINE_WIDTH;
        fputs(column == 0 ? first : fits ? beside : next, f);
        (void)fwrite(text, 1, b.len, f);
        column = (column && fits ? column + sizeof(beside) - 1 : sizeof(first) - 1) + b.len;
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
    uint64_t vcpu_ns = 0;
    for (size_t i = 0; i < s->count; i++) {
        const struct stats_row *r = &s->entry[i].row;
        switch (r->kind) {
        case STATS_VCPU:
            vcpu_ns = r->run.total + r->handler.total;
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
