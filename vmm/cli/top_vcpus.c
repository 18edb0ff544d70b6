/* What `vireo top` shows of vCPUs: how each was treated by the host's scheduler in an interval, and the last looks. */
#include <stdlib.h>
#include <string.h>

#include "vmm/cli/series.h"
#include "vmm/cli/top.h"

#define NS_PER_S 1e9
#define BAR      12 /* columns; a whole one is the whole interval */

struct line { /* a vCPU */
    unsigned vcpu;
    const uint64_t *told; /* series_figures' growth; SERIES_UNTOLD */
    uint64_t cpu;
    double exits, monitor, delay_ns, cpu_ns; /* monitor: its share of what was recorded, 0 to 1 */
};

static double known(uint64_t n)
{
    return n == SERIES_UNTOLD ? 0 : (double)n;
}

static struct line line_of(const struct series *s, unsigned vcpu)
{
    const struct top_sample *c = &s->change;
    double run_ns = 0, handler_ns = 0;
    struct line l = {.vcpu = vcpu, .told = s->host_change.vcpu[vcpu], .cpu = s->host.cpu[vcpu]};
    for (size_t i = 0; i < c->count; i++) {
        if (c->row[i].vcpu != (int)vcpu) continue;
        l.exits += (double)c->row[i].count;
        run_ns += (double)c->row[i].run_ns;
        handler_ns += (double)c->row[i].handler_ns;
    }
    l.monitor = run_ns + handler_ns > 0 ? handler_ns / (run_ns + handler_ns) : 0;
    l.delay_ns = known(l.told[FIGURE_RUN_DELAY_NS]);
    l.cpu_ns = known(l.told[FIGURE_CPU_NS]);
    return l;
}

/* Who waited longest comes first; of those that waited equally long, who ran longest; then by number. */
static int most_delayed_first(const void *a, const void *b)
{
    const struct line *x = a, *y = b;
    if (x->delay_ns != y->delay_ns) return x->delay_ns < y->delay_ns ? 1 : -1;
    if (x->cpu_ns != y->cpu_ns) return x->cpu_ns < y->cpu_ns ? 1 : -1;
    return x->vcpu < y->vcpu ? -1 : 1;
}

/* Nine columns: a share of the interval, or that it isn't told. */
static void put_share(FILE *f, uint64_t ns, double interval_ns)
{
    if (ns == SERIES_UNTOLD)
        fprintf(f, " %7s", "-");
    else
        fprintf(f, " %5.1f %%", interval_ns > 0 ? 100 * (double)ns / interval_ns : 0);
}

/* '#' on a CPU, '=' waiting for one, '.' neither. */
static void put_bar(FILE *f, const struct line *l, double interval_ns)
{
    char bar[BAR + 1];
    const double whole = l->cpu_ns + l->delay_ns > interval_ns ? l->cpu_ns + l->delay_ns : interval_ns;
    const unsigned ran = whole > 0 ? (unsigned)(BAR * l->cpu_ns / whole + 0.5) : 0;
    const unsigned wanted = whole > 0 ? (unsigned)(BAR * (l->cpu_ns + l->delay_ns) / whole + 0.5) : 0;
    memset(bar, '.', BAR);
    memset(bar, '=', wanted);
    memset(bar, '#', ran);
    bar[BAR] = '\0';
    fprintf(f, " %s\n", bar);
}

static void put_vcpu(FILE *f, const struct line *l, double interval_ns)
{
    const double seconds = interval_ns > 0 ? interval_ns / NS_PER_S : 1;
    const double switches = known(l->told[FIGURE_VOLUNTARY]) + known(l->told[FIGURE_INVOLUNTARY]);
    fprintf(f, "vCPU %-3u %8.0f %5.1f %%", l->vcpu, l->exits / seconds, 100 * l->monitor);
    put_share(f, l->told[FIGURE_CPU_NS], interval_ns);
    put_share(f, l->told[FIGURE_RUN_DELAY_NS], interval_ns);
    put_share(f, l->told[FIGURE_STEAL_NS], interval_ns);
    fprintf(f, " %6.0f %5.0f", switches / seconds, known(l->told[FIGURE_MIGRATIONS]) / seconds);
    if (l->cpu == SERIES_UNTOLD)
        fprintf(f, " %3s", "-");
    else
        fprintf(f, " %3u", (unsigned)l->cpu % 1000);
    put_bar(f, l, interval_ns);
}

void top_vcpus_draw(FILE *f, const struct series *s)
{
    struct line line[TOP_VCPUS_MAX] = {{0}};
    for (unsigned i = 0; i < s->now.vcpus; i++) line[i] = line_of(s, i);
    qsort(line, s->now.vcpus, sizeof(line[0]), most_delayed_first);
    fprintf(f, "%8s %8s %7s %7s %7s %7s %6s %5s %3s %s\n", "", "exits/s", "monitor", "on CPU", "waits", "stolen",
            "switch", "moved", "CPU", "#runs =waits");
    for (unsigned i = 0; i < s->now.vcpus; i++) put_vcpu(f, &line[i], (double)s->change.age_ns);
}

/* ---- the last looks ---- */

void top_history_add(struct top_history *h, const struct series *s)
{
    const double seconds = s->change.age_ns ? (double)s->change.age_ns / NS_PER_S : 1;
    double exits = 0, delay_ns = 0, cpu_ns = 0;
    for (unsigned i = 0; i < s->now.vcpus; i++) {
        const struct line l = line_of(s, i);
        exits += l.exits;
        delay_ns += l.delay_ns;
        cpu_ns += l.cpu_ns;
    }
    h->exits[h->count % TOP_LOOKS] = exits / seconds;
    h->delay[h->count % TOP_LOOKS] = delay_ns + cpu_ns > 0 ? delay_ns / (delay_ns + cpu_ns) : 0;
    h->count++;
}

/* The oldest first, as high as each is beside `most`. */
static void put_looks(FILE *f, const struct top_history *h, const double of[TOP_LOOKS], double most)
{
    static const char levels[] = " .:-=+*#@";
    const unsigned first = h->count > TOP_LOOKS ? h->count - TOP_LOOKS : 0;
    for (unsigned i = first; i < h->count; i++) {
        const double part = most > 0 ? of[i % TOP_LOOKS] / most : 0;
        fputc(levels[(unsigned)(part * (double)(sizeof(levels) - 2) + 0.5)], f);
    }
}

void top_history_draw(FILE *f, const struct top_history *h)
{
    double most = 0;
    if (h->count < 2) return;
    for (unsigned i = 0; i < TOP_LOOKS; i++) most = h->exits[i] > most ? h->exits[i] : most;
    fprintf(f, "exits/s  |");
    put_looks(f, h, h->exits, most);
    fprintf(f, "| @ is %.0f\nwaiting  |", most);
    put_looks(f, h, h->delay, 1);
    fprintf(f, "| @ is all of the time that vCPUs wanted to run\n");
}
