/* Where the time went: the library's rows as a table for people or one JSON object. */
#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <unistd.h>

#include "vmm/cli/run.h"

#define LINE_WIDTH 120 /* the kernel's statistics are wrapped there; the table is as wide */

int stats_open(struct run *run, struct vireo_vm *vm, struct vireo_error *e)
{
    struct vireo_stats info;
    run->stats = stderr;
    if (!run->stats_path) return 0;
    if (vireo_vm_stats(vm, &info, NULL, NULL) == -ENODATA)
        return bad_command(e, "stats %.400s: there are none with record off; leave one of the two out",
                           run->stats_path);
    if (strcmp(run->stats_path, "-") == 0) return 0;
    FILE *f = fopen(run->stats_path, "we");
    if (!f) return bad_command(e, "stats %.400s: %s", run->stats_path, strerror(errno));
    run->stats = f;
    return 0;
}

int stats_close(struct run *run, int status)
{
    if (!run->stats || run->stats == stderr) return status;
    return finish_output(run->stats, run->stats_path, status);
}

/* ---- the table ---- */

struct table {
    FILE *f;
    double vcpu_ns;     /* all time of the vCPU whose rows these are */
    bool is_in_kernels; /* rows of the kernel's wait for a newline */
    size_t column;
};

static double us(uint64_t ns)
{
    return (double)ns / 1e3;
}

static void end_kernels(struct table *t)
{
    if (t->is_in_kernels) fputc('\n', t->f);
    t->is_in_kernels = false;
}

static void print_sum(struct table *t, const struct vireo_stat *s)
{
    t->vcpu_ns = (double)(s->run.total + s->handler.total);
    fprintf(t->f, "%s", s->name);
    if (s->vcpu >= 0) fprintf(t->f, " %d", s->vcpu);
    fprintf(t->f, ": %" PRIu64 " exits, %.3f ms in KVM_RUN, %.3f ms in the monitor\n", s->count,
            (double)s->run.total / 1e6, (double)s->handler.total / 1e6);
    fprintf(t->f, "%-26s %10s %7s %9s %9s %9s %10s  %8s %8s %8s %9s\n", "  microseconds", "count", "share", "run mean",
            "p50", "p99", "max", "handler", "p50", "p99", "max");
}

/* Name, count, and its part of the vCPU's time. */
static void print_head(const struct table *t, const struct vireo_stat *s, const char *name)
{
    const double ns = (double)(s->run.total + s->handler.total);
    fprintf(t->f, "%-26s %10" PRIu64 " %5.1f %%", name, s->count, t->vcpu_ns > 0 ? 100 * ns / t->vcpu_ns : 0);
}

static void print_class(struct table *t, const struct vireo_stat *s)
{
    char name[64];
    (void)snprintf(name, sizeof(name), "  %s", s->name);
    print_head(t, s, name);
    fprintf(t->f, " %9.3f %9.3f %9.3f %10.3f  %8.3f %8.3f %8.3f %9.3f\n", us(s->run.total) / (double)s->count,
            us(s->run.p50), us(s->run.p99), us(s->run.max), us(s->handler.total) / (double)s->count, us(s->handler.p50),
            us(s->handler.p99), us(s->handler.max));
}

static void print_register(struct table *t, const struct vireo_stat *s)
{
    char name[64];
    if (s->device)
        (void)snprintf(name, sizeof(name), "    %s +0x%" PRIx64, s->device, s->offset);
    else
        (void)snprintf(name, sizeof(name), "    nothing at 0x%" PRIx64, s->address);
    print_head(t, s, name);
    fprintf(t->f, " %9.3f %9s %9s %10.3f  %8.3f %8s %8s %9.3f\n", us(s->run.total) / (double)s->count, "", "",
            us(s->run.max), us(s->handler.total) / (double)s->count, "", "", us(s->handler.max));
}

static void print_kernel(struct table *t, const struct vireo_stat *s)
{
    char text[128];
    const int len =
        snprintf(text, sizeof(text), "%s %" PRIu64 "%s%s", s->name, s->count, s->unit[0] ? " " : "", s->unit);
    const bool is_first = !t->is_in_kernels;
    t->is_in_kernels = true;
    if (is_first) t->column = (size_t)fprintf(t->f, "  kernel: %s", text);
    if (is_first) return;
    const bool fits = t->column + 2 + (size_t)len < LINE_WIDTH;
    t->column = (fits ? t->column : 0) + (size_t)fprintf(t->f, fits ? ", %s" : ",\n          %s", text);
}

static void print_row(void *arg, const struct vireo_stat *s)
{
    struct table *t = arg;
    if (s->kind != VIREO_STAT_KERNEL) end_kernels(t);
    switch (s->kind) {
    case VIREO_STAT_VCPU: print_sum(t, s); break;
    case VIREO_STAT_CLASS: print_class(t, s); break;
    case VIREO_STAT_REGISTER: print_register(t, s); break;
    case VIREO_STAT_LOST: fprintf(t->f, "  %" PRIu64 " exits of registers that found no place\n", s->count); break;
    case VIREO_STAT_KERNEL: print_kernel(t, s); break;
    }
}

static void print_table_foot(FILE *f, const struct vireo_stats *info)
{
    fprintf(f,
            "run: from entering KVM_RUN until it returns, the guest's own time included; handler: until it can be "
            "entered again\n"
            "time from %s at %.3f MHz; recording an exit takes %.0f ns here, which lie in the run of the next\n",
            info->counter, info->hz / 1e6, info->cost_ns);
}

/* ---- JSON ---- */

struct json {
    FILE *f;
    bool has_rows;
};

static void print_json_times(FILE *f, const char *name, const struct vireo_times *t, bool has_quantiles)
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

static void print_json_register(FILE *f, const struct vireo_stat *s)
{
    if (s->device)
        fprintf(f, ", \"device\": \"%s\", \"offset\": %" PRIu64, s->device, s->offset); /* needs no escapes */
    fprintf(f, ", \"address\": %" PRIu64, s->address);
}

static void print_json_row(void *arg, const struct vireo_stat *s)
{
    static const char *const kinds[] = {
        [VIREO_STAT_VCPU] = "vcpu", [VIREO_STAT_CLASS] = "class",   [VIREO_STAT_REGISTER] = "register",
        [VIREO_STAT_LOST] = "lost", [VIREO_STAT_KERNEL] = "kernel",
    };
    struct json *j = arg;
    FILE *f = j->f;
    fprintf(f, "%s{\"kind\": \"%s\", \"vcpu\": ", j->has_rows ? ",\n" : "\n", kinds[s->kind]);
    fprintf(f, s->vcpu < 0 ? "\"all\"" : "%d", s->vcpu);
    fprintf(f, ", \"name\": \"%s\", \"count\": %" PRIu64, s->name, s->count);
    j->has_rows = true;
    if (s->kind == VIREO_STAT_KERNEL) fprintf(f, ", \"unit\": \"%s\"", s->unit);
    if (s->kind == VIREO_STAT_REGISTER) print_json_register(f, s);
    if (s->kind <= VIREO_STAT_REGISTER) {
        print_json_times(f, "run", &s->run, s->kind == VIREO_STAT_CLASS);
        print_json_times(f, "handler", &s->handler, s->kind == VIREO_STAT_CLASS);
    }
    if (s->kind == VIREO_STAT_CLASS)
        fprintf(f, ", \"first_ns\": %" PRIu64 ", \"last_ns\": %" PRIu64, s->first_ns, s->last_ns);
    fputc('}', f);
}

static void print_json_foot(FILE *f, const struct vireo_stats *info)
{
    fprintf(f, "\n], \"vcpus\": %u, \"counter\": \"%s\", \"counter_hz\": %.0f, \"cost_ns\": %.1f}\n", info->vcpus,
            info->counter, info->hz, info->cost_ns);
}

/* ---- both ---- */

static int print_all(FILE *f, bool is_json, struct vireo_vm *vm)
{
    struct vireo_stats info;
    struct table t = {.f = f};
    struct json j = {.f = f};
    fputs(is_json ? "{\"schema\": \"vireo-stats-1\", \"rows\": [" : "vireo: where the time went\n", f);
    const int rc = is_json ? vireo_vm_stats(vm, &info, print_json_row, &j) : vireo_vm_stats(vm, &info, print_row, &t);
    end_kernels(&t);
    if (rc) return rc;
    if (is_json)
        print_json_foot(f, &info);
    else
        print_table_foot(f, &info);
    (void)fflush(f); /* a failure is remembered: stats_close says it */
    return 0;
}

void stats_report(const struct run_report *r)
{
    const struct run *run = r->run;
    struct vireo_stats info;
    const char *name = run->stats_path ? run->stats_path : "-";
    int rc = vireo_vm_stats(r->vm, &info, NULL, NULL);
    if (rc == 0 && run->stats != stderr) { /* a pipe or terminal can't be rewound, nor needs it */
        rewind(run->stats);
        (void)!ftruncate(fileno(run->stats), 0);
    }
    if (rc == 0) rc = print_all(run->stats, run->has_json, r->vm);
    if (rc == -ENODATA)
        say("no statistics: record is off");
    else if (rc)
        say("stats %s: %s", name, strerror(-rc));
}
