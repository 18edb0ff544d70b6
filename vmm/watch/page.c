#include "vmm/watch/page.h"

#include <errno.h>
#include <locale.h>
#include <stdio_ext.h>
#include <stdlib.h>
#include <string.h>

#include "vmm/base/concat.h"
#include "vmm/watch/snapshot.h"

double stats_step_ns(unsigned step)
{
    static const double part[STEPS_PER_OCTAVE] = {1,
                                                  1.0905077326652577,
                                                  1.1892071150027210,
                                                  1.2968395546510096,
                                                  1.4142135623730951,
                                                  1.5422108254079407,
                                                  1.6817928305074290,
                                                  1.8340080864093424};
    const unsigned k = step + STEP_FIRST;
    return (double)(UINT64_C(1) << k / STEPS_PER_OCTAVE) * part[k % STEPS_PER_OCTAVE];
}

/* ---- gathering ---- */

struct gathering {
    struct stats_snapshot *snapshot;
    struct figure_input figures;
    uint64_t recorded; /* exits of the recorder, for a kernel that counts none */
    bool has_steps;
    enum stats_scope scope;
    uint64_t bound[STEPS]; /* in ticks; filled by the first row that needs them, when the counter's rate is known */
    int rc;
};

/* Room for one more of size bytes in an array. */
static void *grow(void *array, size_t count, size_t *room, size_t size)
{
    if (count < *room) return array;
    const size_t more = *room ? *room * 2 : 64;
    void *bigger = realloc(array, more * size);
    if (bigger) *room = more;
    return bigger;
}

static struct stats_steps *steps_of(struct gathering *g, const struct stats_row *row)
{
    struct stats_steps *s = malloc(sizeof(*s));
    if (!s) return NULL;
    for (unsigned i = 0; i < STEPS && !g->bound[STEPS - 1]; i++)
        g->bound[i] = (uint64_t)(stats_step_ns(i) * g->snapshot->info.hz / 1e9);
    hists_spread(row->run_hists, g->bound, STEPS, s->run);
    hists_spread(row->handler_hists, g->bound, STEPS, s->handler);
    return s;
}

static void add_kernel(struct gathering *g, const struct stats_row *row)
{
    struct stats_snapshot *s = g->snapshot;
    void *bigger = grow(s->kernel, s->kernel_count, &s->kernel_room, sizeof(*s->kernel));
    if (!bigger) {
        g->rc = -ENOMEM;
        return;
    }
    s->kernel = bigger;
    struct stats_kernel *k = &s->kernel[s->kernel_count++];
    *k = (struct stats_kernel){.vcpu = row->vcpu, .unit = row->unit, .value = row->count};
    if (row->kernel) k->type = row->kernel->type;
    concat(k->name, sizeof(k->name), row->name); /* from empty; a long one is cut */
    if (strcmp(k->name, "exits") == 0) g->figures.exits += k->value;
}

/* One that is new, or that differs from vCPU to vCPU, finds no place beyond the last. */
static void add_kernel_hist(struct stats_snapshot *s, const struct kvm_stat *k)
{
    struct stats_kernel_hist *h = s->kernel_hist;
    const unsigned buckets = k->bucket_count < KERNEL_BUCKETS_MAX ? k->bucket_count : KERNEL_BUCKETS_MAX;
    while (h < &s->kernel_hist[s->kernel_hists] && strncmp(h->name, k->name, KERNEL_NAME_MAX - 1) != 0) h++;
    if (h == &s->kernel_hist[KERNEL_HISTS_MAX]) return;
    if (h == &s->kernel_hist[s->kernel_hists]) {
        *h = (struct stats_kernel_hist){
            .unit = k->unit, .is_log = k->type == KVM_STAT_LOG, .buckets = buckets, .bucket_size = k->bucket_size};
        (void)snprintf(h->name, sizeof(h->name), "%s", k->name);
        s->kernel_hists++;
    }
    for (unsigned i = 0; i < buckets && i < h->buckets; i++) h->bucket[i] += k->bucket[i];
}

/* Prometheus has the spread of durations only of all vCPUs together. A single one is all there is. */
static bool is_of_all(const struct stats_snapshot *s, const struct stats_row *row)
{
    return row->vcpu < 0 || s->info.vcpus == 1;
}

static void add_entry(struct gathering *g, const struct stats_row *row)
{
    struct stats_snapshot *s = g->snapshot;
    void *bigger = grow(s->entry, s->count, &s->room, sizeof(*s->entry));
    if (!bigger) {
        g->rc = -ENOMEM;
        return;
    }
    s->entry = bigger;
    struct stats_entry *to = &s->entry[s->count++];
    *to = (struct stats_entry){.row = *row};
    if (g->has_steps && row->kind == STATS_CLASS && (g->scope != STATS_ALL || is_of_all(s, row)) &&
        !(to->steps = steps_of(g, row)))
        g->rc = -ENOMEM;
}

/* What the figures need: of each vCPU, since the sum of all has the same again. */
static void add_to_figures(struct gathering *g, const struct stats_row *row)
{
    struct figure_input *in = &g->figures;
    struct stats_snapshot *s = g->snapshot;
    if (row->vcpu < 0 || row->kind != STATS_CLASS || row->class == RECORD_KICK) return;
    in->handled += row->count;
    in->handler_ns += row->handler.total;
    if (record_class_has_addr(row->class)) in->io_handler_ns += row->handler.total;
    if (row->vcpu < CONFIG_MAX_CPUS) s->vcpu[row->vcpu].handler_ns += row->handler.total;
}

static void on_row(void *arg, const struct stats_row *row)
{
    struct gathering *g = arg;
    if (g->rc) return;
    if (row->kind == STATS_KERNEL) {
        if (row->kernel && row->kernel->bucket)
            add_kernel_hist(g->snapshot, row->kernel);
        else
            add_kernel(g, row);
        return;
    }
    add_entry(g, row);
    add_to_figures(g, row);
    if (row->kind == STATS_VCPU && row->vcpu >= 0) g->recorded += row->count;
}

/* One that is untold leaves the sum untold. */
static uint64_t plus(uint64_t sum, uint64_t n)
{
    return sum == THREAD_UNTOLD || n == THREAD_UNTOLD ? THREAD_UNTOLD : sum + n;
}

static void gather_vcpus(struct gathering *g)
{
    struct stats_snapshot *s = g->snapshot;
    struct machine_vcpu told[CONFIG_MAX_CPUS];
    const unsigned count = machine_vcpus(s->subject->machine, told);
    for (unsigned i = 0; i < count; i++) {
        s->vcpu[i].told = told[i];
        s->voluntary = plus(s->voluntary, told[i].host.voluntary);
        s->involuntary = plus(s->involuntary, told[i].host.involuntary);
    }
    g->figures.switches = plus(s->voluntary, s->involuntary);
}

static int gather(struct gathering *g)
{
    struct stats_snapshot *s = g->snapshot;
    struct machine *m = s->subject->machine;
    int rc = machine_stats(m, g->scope, &s->info, on_row, g);
    if (!rc) rc = g->rc;
    if (rc) return rc;
    while (s->thread_count < MACHINE_THREADS_MAX && machine_thread(m, s->thread_count, &s->thread[s->thread_count]))
        s->thread_count++;
    if (g->figures.exits == 0) g->figures.exits = g->recorded;
    gather_vcpus(g);
    machine_usage(m, &g->figures.usage);
    s->usage = g->figures.usage;
    figures_look(s->subject->figures, m, &g->figures, s->figure);
    s->sum = figures_sum(s->figure, s->weight);
    return 0;
}

static void fini(struct stats_snapshot *s)
{
    for (size_t i = 0; i < s->count; i++) free(s->entry[i].steps);
    free(s->entry);
    free(s->kernel);
}

static int explain(int rc, struct err *e)
{
    if (rc == -ENODATA) return err_set(e, rc, "there are no statistics: record is off");
    return err_set(e, rc, "statistics: %s", strerrordesc_np(-rc));
}

/* ---- writing ---- */

static int write_page(const struct stats_snapshot *s, enum stats_format format, char **text, size_t *len)
{
    static void (*const writers[])(FILE * f, const struct stats_snapshot *s) = {
        [STATS_TEXT] = stats_write_text, [STATS_JSON] = stats_write_json, [STATS_PROMETHEUS] = stats_write_prometheus};
    char *page = NULL;
    FILE *f = open_memstream(&page, len);
    if (!f) return -ENOMEM;
    (void)__fsetlocking(f, FSETLOCKING_BYCALLER); /* it is this function's alone */
    writers[format](f, s);
    const bool is_good = !ferror(f);
    if (fclose(f) != 0 || !is_good) {
        free(page);
        return -ENOMEM;
    }
    *text = page;
    return 0;
}

static int make_page(const struct stats_subject *subject, const struct stats_request *r, char **text, size_t *len,
                     struct err *e)
{
    struct stats_snapshot s = {.subject = subject};
    static const enum stats_scope scopes[] = {
        [STATS_TEXT] = STATS_BRIEF, [STATS_JSON] = STATS_FULL, [STATS_PROMETHEUS] = STATS_ALL};
    struct gathering g = {
        .snapshot = &s, .has_steps = r->has_steps || r->format == STATS_PROMETHEUS, .scope = scopes[r->format]};
    int rc = figures_weights(r->weights, s.weight, e);
    if (rc) return rc;
    rc = gather(&g);
    if (!rc) rc = write_page(&s, r->format, text, len);
    fini(&s);
    return rc ? explain(rc, e) : 0;
}

int stats_page(const struct stats_subject *s, const struct stats_request *r, char **text, size_t *len, struct err *e)
{
    /* The program around us may have set a locale with a decimal comma; this thread writes without it. */
    const locale_t plain = newlocale(LC_NUMERIC_MASK, "C", (locale_t)0);
    if (!plain) return explain(-ENOMEM, e);
    const locale_t before = uselocale(plain);
    const int rc = make_page(s, r, text, len, e);
    uselocale(before);
    freelocale(plain);
    return rc;
}
