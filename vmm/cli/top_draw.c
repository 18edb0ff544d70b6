/* What `vireo top` shows of an interval: the VM in a line, and each class of exits of all vCPUs. */
#include "vmm/cli/top.h"

#define NS_PER_S   1e9
#define US         1e3
#define STEP_RATIO 1.0905077326652577 /* 2^(1/8) */

double top_quantile(const uint64_t steps[TOP_STEPS], double share)
{
    double total = 0, seen = 0, end = 1;
    for (unsigned i = 0; i < TOP_STEPS; i++) total += (double)steps[i];
    if (total == 0) return 0;
    for (unsigned i = 0; i < TOP_STEPS; i++, end *= STEP_RATIO) {
        seen += (double)steps[i];
        if (seen > 0 && seen >= share * total) return end;
    }
    return end;
}

bool top_is_of_all(const struct top_sample *s, const struct top_row *row)
{
    return row->vcpu < 0 || s->vcpus == 1;
}

struct sums {
    double count, run_ns, handler_ns;
};

static void add_row(struct sums *to, const struct top_row *row)
{
    to->count += (double)row->count;
    to->run_ns += (double)row->run_ns;
    to->handler_ns += (double)row->handler_ns;
}

static double share_of(double part, double whole)
{
    return whole > 0 ? 100 * part / whole : 0;
}

static void draw_classes(FILE *f, const struct top_sample *c, double seconds, double all_ns)
{
    fprintf(f, "%-18s %10s %7s %10s %10s %10s %10s\n", "exits", "1/s", "time", "run p50", "p99", "handler p50",
            "p99 us");
    for (size_t i = 0; i < c->count; i++) {
        const struct top_row *row = &c->row[i];
        if (!top_is_of_all(c, row) || row->count == 0) continue;
        fprintf(f, "%-18s %10.0f %5.1f %% %10.1f %10.1f %11.2f %10.2f\n", row->name, (double)row->count / seconds,
                share_of((double)(row->run_ns + row->handler_ns), all_ns), top_quantile(row->run, 0.5) / US,
                top_quantile(row->run, 0.99) / US, top_quantile(row->handler, 0.5) / US,
                top_quantile(row->handler, 0.99) / US);
    }
}

void top_draw(FILE *f, const char *name, const struct top_sample *now, const struct top_sample *c)
{
    struct sums all = {0};
    const double seconds = c->age_ns ? (double)c->age_ns / NS_PER_S : 1;
    for (size_t i = 0; i < c->count; i++)
        if (top_is_of_all(c, &c->row[i])) add_row(&all, &c->row[i]);
    fprintf(f, "%s, process %d, %.1f s old, %u vCPU%s: %.0f exits/s, %.0f saved/s, overhead %.3f\n", name, now->pid,
            (double)now->age_ns / NS_PER_S, now->vcpus, now->vcpus == 1 ? "" : "s", all.count / seconds,
            (double)c->saved / seconds, now->sum);
    draw_classes(f, c, seconds, all.run_ns + all.handler_ns);
}
