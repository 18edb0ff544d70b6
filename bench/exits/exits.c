#include "bench/exits/exits.h"

#include <errno.h>
#include <inttypes.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bench/bench.h"
#include "bench/line.h"
#include "bench/provenance.h"
#include "guest/embed.h"
#include "vmm/base/groups.h"
#include "vmm/base/nearest.h"
#include "vmm/config/value.h"

#define SAMPLES_DEFAULT 10000 /* p99.9 with its interval needs 3,688 */
#define BATCH_MAX       4096  /* a batch makes up for a slow counter, for which 64 are enough */
#define TIMEOUT_DEFAULT 20000
/* Of --quick: the median of 100 samples, over ten processes, has an interval. A row whose samples take long gets fewer.
 */
#define QUICK_SAMPLES    100
#define QUICK_TIMEOUT_MS 1000
#define QUICK_ENOUGH_MS  50
#define QUICK_BUDGET_MS  28000
#define TIMEOUT_MIN      100
#define TIMEOUT_MAX      3600000
#define DELAY_MAX_NS     1000000000
#define BEGIN_GRACE_MS   (2 * EXITS_IDLE_MS + 1000) /* beyond a row's own time, to make its machine and to end it */
#define COST_READS       1000
#define COST_DIGITS      9

/* ---- items ---- */

/* Valid until this thread asks again. */
static const struct bench_item *item(unsigned index)
{
    static _Thread_local struct bench_item it;
    const struct arch_bench_row *row = arch_bench_row(index);
    if (!row || row->row == BENCH_never_exits) return NULL; /* that one is the last of the table */
    it = (struct bench_item){.id = row->id, .title = row->title};
    return &it;
}

/* ---- options ---- */

static void init(void *options)
{
    *(struct exits_options *)options = (struct exits_options){.pin = -1};
}

static void fini(void *options)
{
    (void)options;
}

static int want(struct exits_options *o, const char *name, struct err *e)
{
    const struct arch_bench_row *row;
    const char *names[BENCH_ROW_COUNT + 1] = {NULL};
    const bool is_all = strcmp(name, "all") == 0;
    bool is_found = is_all;
    for (unsigned i = 0; (row = arch_bench_row(i)) != NULL; i++) {
        const bool is_it = is_all ? row->row != BENCH_never_exits : strcmp(row->id, name) == 0;
        if (is_it) o->is_wanted[row->row] = is_found = true;
        names[i] = row->id;
    }
    if (is_found) return 0;
    err_set(e, -EINVAL, "rows: there is no row \"%.60s\" on this architecture", name);
    nearest_err_hint(e, name, WORDS_IN(names));
    err_hint(e, "`vireo bench exits --list` names them, and \"all\" means every one");
    return -EINVAL;
}

static int set_rows(void *options, const char *value, struct err *e)
{
    struct exits_options *o = options;
    char *list = strdup(value), *rest = list;
    int rc = list ? 0 : err_set(e, -ENOMEM, "no memory for the list of rows");
    for (const char *name; !rc && (name = strsep(&rest, ",")) != NULL;) rc = want(o, name, e);
    free(list);
    if (!rc) o->has_rows = true;
    return rc;
}

static int number(const char *key, const char *value, uint64_t min, uint64_t max, uint64_t *out, struct err *e)
{
    if (value_u64(value, out) && *out >= min && *out <= max) return 0;
    return err_set(e, -EINVAL, "%s: \"%.60s\" is not a whole number from %" PRIu64 " to %" PRIu64, key, value, min,
                   max);
}

static int set_samples(void *options, const char *value, struct err *e)
{
    uint64_t n;
    const int rc = number("samples", value, 1, BENCH_SAMPLES_MAX, &n, e);
    if (!rc) ((struct exits_options *)options)->samples = (uint32_t)n;
    return rc;
}

static int set_batch(void *options, const char *value, struct err *e)
{
    uint64_t n;
    const int rc = number("batch", value, 1, BATCH_MAX, &n, e);
    if (!rc) ((struct exits_options *)options)->batch = (uint32_t)n;
    return rc;
}

static int set_timeout(void *options, const char *value, struct err *e)
{
    uint64_t ns;
    if (!value_time(value, &ns) || ns / 1000000 < TIMEOUT_MIN || ns / 1000000 > TIMEOUT_MAX)
        return err_set(e, -EINVAL, "timeout: \"%.60s\" is no time from 100ms to 3600s", value);
    ((struct exits_options *)options)->timeout_ms = (uint32_t)(ns / 1000000);
    return 0;
}

static int set_delay(void *options, const char *value, struct err *e)
{
    uint64_t ns;
    if (!value_time(value, &ns) || ns > DELAY_MAX_NS)
        return err_set(e, -EINVAL, "delay: \"%.60s\" is no time up to 1s", value);
    ((struct exits_options *)options)->delay_ns = ns;
    return 0;
}

static int set_pin(void *options, const char *value, struct err *e)
{
    cpu_set_t here;
    uint64_t cpu;
    const int rc = number("pin", value, 0, CPU_SETSIZE - 1, &cpu, e);
    if (rc) return rc;
    if (sched_getaffinity(0, sizeof(here), &here) < 0 || !CPU_ISSET(cpu, &here)) {
        err_set(e, -EINVAL, "pin: CPU %" PRIu64 " is not one that this process may run on", cpu);
        err_hint(e, "/proc/self/status names those, at Cpus_allowed_list");
        return -EINVAL;
    }
    ((struct exits_options *)options)->pin = (int)cpu;
    return 0;
}

static int set_quick(void *options, const char *value, struct err *e)
{
    struct exits_options *o = options;
    if (value_bool(value, &o->is_quick)) return 0;
    return err_set(e, -EINVAL, "quick: \"%.60s\" is neither true nor false", value);
}

/* With what the user did not say, whatever the order in which he said the rest. */
static struct exits_options settled(const struct exits_options *said)
{
    struct exits_options o = *said;
    if (!o.samples) o.samples = o.is_quick ? QUICK_SAMPLES : SAMPLES_DEFAULT;
    if (!o.timeout_ms) o.timeout_ms = o.is_quick ? QUICK_TIMEOUT_MS : TIMEOUT_DEFAULT;
    o.enough_ms = o.is_quick ? QUICK_ENOUGH_MS : 0;
    return o;
}

static uint32_t budget_ms(const void *options)
{
    return ((const struct exits_options *)options)->is_quick ? QUICK_BUDGET_MS : 0;
}

static const struct setting options[] = {
    {"rows", "LIST", "rows to measure, separated by commas (default all)", .set = set_rows},
    {"samples", "N", "samples of each row in each process (default 10000)", .set = set_samples},
    {"batch", "N", "repetitions between two reads of the counter (default 1, or what a slow one asks for)",
     .set = set_batch},
    {"pin", "CPU", "the measured vCPU runs on this CPU alone", .set = set_pin},
    {"timeout", "TIME", "a row may take so long, e.g. 5s (default 20s)", .set = set_timeout},
    {"delay", "TIME", "self-check: so much more in our handlers, which must show in `user` alone", .set = set_delay},
    {"quick", NULL, "under 30 s in all: 100 samples of a row or fewer, and only the processes that there is time for",
     .set = set_quick},
    {0},
};

/* ---- lines ---- */

struct costs {
    const struct exits_options *options;
    struct counter counter;
    uint64_t counter_read, vm_ioctl, kvm_run;
    bool is_shared;
};

static uint64_t cheapest(const struct costs *c, void (*call)(const struct machine_parts *p),
                         const struct machine_parts *p)
{
    uint64_t least = UINT64_MAX;
    for (unsigned i = 0; i < COST_READS; i++) {
        const uint64_t start = counter_read(&c->counter);
        if (call) call(p);
        const uint64_t took = counter_read(&c->counter) - start;
        if (took < least) least = took;
    }
    return least;
}

static void call_vm(const struct machine_parts *p)
{
    (void)vm_check(p->vm, KVM_CAP_IRQFD);
}

static void call_run(const struct machine_parts *p)
{
    (void)vcpu_run(&p->vcpu[0]);
}

/* A system call on the VM, and a KVM_RUN that turns back at once: what every exit to the monitor costs at least. */
static int measure_costs(void *arg, const struct machine_parts *p, struct err *e)
{
    struct costs *c = arg;
    (void)e;
    arch_bench_share_clock(p->vm, p->vcpu, p->vcpu_count);
    c->is_shared = arch_bench_shares_clock(p->vm, p->vcpu, p->vcpu_count);
    c->counter_read = cheapest(c, NULL, p);
    c->vm_ioctl = cheapest(c, call_vm, p);
    p->vcpu[0].run->immediate_exit = 1;
    c->kvm_run = cheapest(c, call_run, p);
    p->vcpu[0].run->immediate_exit = 0;
    return 0;
}

static void put_options(struct json_out *j, const struct exits_options *o)
{
    json_put_object(j, "options");
    json_put_uint(j, "samples", o->samples);
    json_put_uint(j, "timeout_ms", o->timeout_ms);
    json_put_uint(j, "delay_ns", o->delay_ns);
    if (o->batch)
        json_put_uint(j, "batch", o->batch);
    else
        json_put_null(j, "batch");
    if (o->pin >= 0)
        json_put_int(j, "pin", o->pin);
    else
        json_put_null(j, "pin");
    json_put_end(j);
}

static int emit_environment(const struct exits_options *o, const struct bench_sink *sink, struct err *e)
{
    struct costs c = {.options = o};
    struct machine *m = NULL;
    struct stats_info info = {0};
    const struct machine_lab lab = {
        .image = guest_bench_start,
        .image_size = (uint64_t)(guest_bench_end - guest_bench_start),
        .fit = measure_costs,
        .arg = &c,
    };
    arch_bench_counter(&c.counter);
    int rc = exits_machine(&m, o, false, exits_duty_of(BENCH_nop), &lab, e);
    if (rc) return rc;
    (void)machine_stats(m, STATS_FULL, &info, NULL, NULL);
    machine_destroy(m);
    struct bench_line l;
    rc = bench_line_begin(&l, "environment", e);
    if (rc) return rc;
    provenance_put(&l.json, "exits");
    put_options(&l.json, o);
    provenance_put_counter(&l.json, &c.counter, c.is_shared, 0);
    json_put_object(&l.json, "cost");
    json_put_uint(&l.json, "counter_read", c.counter_read);
    json_put_uint(&l.json, "vm_ioctl", c.vm_ioctl);
    json_put_uint(&l.json, "kvm_run_immediate", c.kvm_run);
    json_put_real(&l.json, "recorder_ns", info.cost_ns, COST_DIGITS);
    json_put_end(&l.json);
    return bench_line_end(&l, sink, e);
}

static void put_phases(struct json_out *j, const struct exits_joined *joined)
{
    json_put_object(j, "phases");
    for (unsigned p = 0; p < PHASE_COUNT; p++)
        if (joined->count[p]) bench_line_put_histogram(j, phase_names[p], joined->phase[p], joined->count[p]);
    json_put_end(j);
}

static void put_counts(struct json_out *j, const struct exits_run *run)
{
    if (!run->has_count || !run->samples) {
        json_put_null(j, "exits");
        return;
    }
    const struct exits_count c = exits_count_judge(run);
    json_put_object(j, "exits");
    json_put_uint(j, "counted", run->counted);
    json_put_string(j, "source", run->source);
    if (c.verdict != COUNT_NONE) {
        json_put_uint(j, "expected", c.expected);
        json_put_string(j, "verdict", count_verdicts[c.verdict]);
        if (c.verdict == COUNT_EXPLAINED)
            json_put_null(j, "agrees");
        else
            json_put_bool(j, "agrees", c.verdict == COUNT_AGREES);
        if (c.because[0]) json_put_string(j, "because", c.because);
    }
    json_put_end(j);
}

static void put_identity(struct json_out *j, const struct exits_joined *joined)
{
    if (!joined->count[PHASE_EXIT_LEG]) {
        json_put_null(j, "identity");
        return;
    }
    json_put_object(j, "identity");
    json_put_bool(j, "holds", joined->identity_holds);
    json_put_int(j, "residual", joined->residual);
    json_put_uint(j, "offset_error", joined->offset_error);
    json_put_end(j);
}

static void put_row(struct json_out *j, const struct exits_run *run, const struct exits_joined *joined)
{
    json_put_string(j, "row", run->what->id);
    json_put_string(j, "group", row_groups[run->what->group]);
    json_put_string(j, "status", row_statuses[run->status]);
    json_put_string(j, "detail", run->detail);
    json_put_uint(j, "batch", run->batch ? run->batch : 1);
    json_put_uint(j, "samples", run->samples);
    json_put_uint(j, "disturbed", joined->disturbed);
    put_counts(j, run);
    put_phases(j, joined);
    if (run->baselines)
        json_put_uint(j, "baseline", joined->baseline);
    else
        json_put_null(j, "baseline");
    put_identity(j, joined);
}

static int emit_row(const struct exits_run *run, const struct bench_sink *sink, struct err *e)
{
    struct exits_joined joined;
    struct bench_line l;
    int rc = exits_join(&joined, run);
    if (rc) err_set(e, rc, "no memory for %u samples", run->samples);
    if (!rc) rc = bench_line_begin(&l, "row", e);
    if (!rc) {
        put_row(&l.json, run, &joined);
        rc = bench_line_end(&l, sink, e);
    }
    exits_joined_fini(&joined);
    return rc;
}

/* A note and no failure: the samples that the quota stopped are outliers, and the quantiles below them stand. */
static void note_throttling(struct exits_run *run, const struct groups_throttled *before)
{
    struct groups_throttled now;
    groups_throttled_here(&now);
    if (now.times <= before->times || run->detail[0]) return;
    (void)snprintf(run->detail, sizeof(run->detail),
                   "the CPU quota of a cgroup stopped this process %llu times meanwhile, for %.1f ms over all CPUs",
                   (unsigned long long)(now.times - before->times), (double)(now.ns - before->ns) / 1e6);
}

static int measure_row(const struct arch_bench_row *what, const struct exits_options *o, const struct bench_sink *sink,
                       struct err *e)
{
    struct groups_throttled before;
    struct exits_run run;
    struct machine *m;
    int rc = bench_line_item(sink, what->id, o->timeout_ms + BEGIN_GRACE_MS, e);
    if (rc) return rc;
    groups_throttled_here(&before);
    rc = exits_run(&run, &m, what, o, sink->is_stopped, e);
    if (!rc) note_throttling(&run, &before);
    if (!rc) rc = emit_row(&run, sink, e);
    exits_run_fini(&run, m);
    return err_wrap(e, rc, "row %s", what->id);
}

static int check(const struct exits_options *o, struct err *e)
{
    if ((uint64_t)o->samples * o->batch <= EXITS_REPETITIONS_MAX) return 0;
    return err_set(e, -EINVAL, "%u samples of a batch of %u are more than %u repetitions; use fewer of either",
                   o->samples, o->batch, EXITS_REPETITIONS_MAX);
}

static int run(const void *opaque, const struct bench_sink *sink, struct err *e)
{
    const struct exits_options settings = settled(opaque), *o = &settings;
    const struct arch_bench_row *what;
    int rc = check(o, e);
    if (!rc) rc = emit_environment(o, sink, e);
    for (unsigned i = 0; !rc && (what = arch_bench_row(i)) != NULL; i++) {
        if (o->has_rows ? o->is_wanted[what->row] : what->row != BENCH_never_exits) rc = measure_row(what, o, sink, e);
    }
    return rc;
}

const struct bench_kind bench_exits = {
    .name = "exits",
    .help = "what each kind of VM exit costs on this host",
    .options = options,
    .select = "rows",
    .processes = 10,
    .budget_ms = budget_ms,
    .item = item,
    .options_size = sizeof(struct exits_options),
    .init = init,
    .fini = fini,
    .run = run,
};
