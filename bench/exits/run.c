/* One row, from a plan to numbers: its guest is followed step by step, and watched for what the host does meanwhile. */
#include <errno.h>
#include <inttypes.h>
#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "arch/arch.h"
#include "bench/exits/build.h"
#include "vmm/base/clock.h"
#include "vmm/base/thread_counts.h"

/* Between two looks at a guest that works by itself. Not less, as each look may take the guest's CPU away. */
#define POLL_NS 1000000u
/* How long a window of disturbance lasts: half of the shortest tick that hosts use, so that few samples share one. */
#define WINDOW_NS 2000000u
/* 8 s of samples, disturbed all along. Samples of windows beyond count as undisturbed. */
#define WINDOWS_MAX   4096
#define WARM_UP       200 /* repetitions in which caches, and what KVM sets up on first use, settle */
#define SLOW_HZ       1e9 /* a counter below this ticks less often than the guest executes instructions */
#define SLOW_BATCH    64
#define BASELINES     1000
#define SAMPLES_LEAST 10u
#define TRACE_SLACK   65536 /* exits of a guest on its way to the row, and kicks */
#define GUEST_FAULT   15    /* guest.h: it took an exception */
#define GUEST_NO_CPU  14    /* guest.h: a processor did not start */

/* ---- does the host interfere? ---- */

struct watch {
    struct thread_files files;
    pid_t tid; /* of the vCPU's thread; 0: not to be had */
    int stats_fd;
    uint64_t next_ns, switches, irq;
    uint32_t from; /* the first sample of this window */
};

static uint64_t involuntary_switches(struct watch *w)
{
    struct thread_counts counts;
    thread_count_switches(&w->files, w->tid, &counts);
    return counts.involuntary;
}

static void watch_open(struct watch *w, struct machine *m, int stats_fd)
{
    struct machine_thread t;
    *w = (struct watch){.stats_fd = stats_fd};
    thread_files_init(&w->files);
    if (!machine_thread(m, 0, &t)) return;
    w->tid = t.tid;
    w->switches = involuntary_switches(w);
    w->irq = exits_counts_read(stats_fd, NULL).irq;
}

static uint32_t progress_of(const struct exits_run *run)
{
    const uint64_t n = __atomic_load_n(&run->side.page->progress, __ATOMIC_ACQUIRE);
    return n < run->samples ? (uint32_t)n : run->samples;
}

/* A sample that is being taken at the end of a window belongs to the next window too. */
static void watch_look(struct watch *w, struct exits_run *run, bool is_last)
{
    const uint64_t now = now_ns();
    if (now < w->next_ns && !is_last) return;
    w->next_ns = now + WINDOW_NS;
    const uint64_t switches = involuntary_switches(w), irq = exits_counts_read(w->stats_fd, NULL).irq;
    const uint32_t at = progress_of(run);
    if ((switches != w->switches || irq != w->irq) && run->windows < WINDOWS_MAX && at >= w->from)
        run->window[run->windows++] = (struct exits_window){w->from, at + 1};
    w->switches = switches;
    w->irq = irq;
    w->from = at;
}

/* ---- while the guest takes samples ---- */

struct walk {
    struct exits_run *run;
    const struct exits_duty *duty;
    struct exits_build *build;
    struct machine *machine;
    const atomic_bool *is_stopped;
    uint64_t deadline_ns, turn;
    uint64_t enough_ns; /* when the row ends with the samples it has; 0: nobody has said yet */
    struct ending ending;
    bool has_ended;
};

static unsigned reached(const struct walk *w)
{
    return exits_build_reached(w->build);
}

static void act_if_asked(struct walk *w)
{
    if (__atomic_load_n(&w->run->side.page->guest_turn, __ATOMIC_ACQUIRE) != w->turn + 1) return;
    w->duty->act(&w->run->side, w->machine, ++w->turn);
}

/* Ask the guest for no more than the samples that it has by now, but for as many as make a median. */
static void end_if_enough(struct walk *w)
{
    const uint32_t ms = w->run->side.options->enough_ms, begun = progress_of(w->run) + 1;
    if (!ms) return;
    if (!w->enough_ns) w->enough_ns = now_ns() + ms * UINT64_C(1000000);
    if (now_ns() < w->enough_ns || begun >= w->run->samples) return;
    if (w->run->samples > SAMPLES_LEAST)
        __atomic_store_n(&w->run->side.page->samples, begun > SAMPLES_LEAST ? begun : SAMPLES_LEAST, __ATOMIC_RELAXED);
    w->enough_ns = UINT64_MAX;
}

/* Wait for the machine's end. 0: all samples are taken; -ECHILD: it ended without. -ETIMEDOUT, -ECANCELED: it still
 * runs. */
static int follow(struct walk *w, struct watch *watch)
{
    while (machine_wait(w->machine, 0, &w->ending) != 0) {
        if (w->is_stopped && atomic_load(w->is_stopped)) return -ECANCELED;
        if (now_ns() > w->deadline_ns) return -ETIMEDOUT;
        if (reached(w) >= BENCH_PREPARED && w->build->rc) return 0;
        if (w->duty->act && reached(w) >= BENCH_READY) {
            act_if_asked(w);
            sched_yield();
        } else {
            nanosleep(&(struct timespec){.tv_nsec = POLL_NS}, NULL);
        }
        if (reached(w) == BENCH_READY) {
            watch_look(watch, w->run, false);
            end_if_enough(w);
        }
    }
    w->has_ended = true;
    return reached(w) == BENCH_SAMPLED ? 0 : -ECHILD;
}

/* Keep this thread off the CPU that the measured vCPU is pinned to, if there is another. */
static void make_room(const struct exits_options *o, cpu_set_t *old)
{
    CPU_ZERO(old);
    if (o->pin < 0 || sched_getaffinity(0, sizeof(*old), old) < 0) return;
    cpu_set_t others = *old;
    CPU_CLR((unsigned)o->pin, &others);
    if (CPU_COUNT(&others)) (void)sched_setaffinity(0, sizeof(others), &others);
}

static int take_samples(struct walk *w)
{
    struct watch watch;
    cpu_set_t old;
    make_room(w->run->side.options, &old);
    watch_open(&watch, w->machine, w->build->stats_fd);
    const int rc = follow(w, &watch);
    if (CPU_COUNT(&old)) (void)sched_setaffinity(0, sizeof(old), &old);
    watch_look(&watch, w->run, true);
    thread_files_close(&watch.files);
    if (reached(w) == BENCH_SAMPLED) exits_build_compare(w->build);
    return rc;
}

/* ---- how it ended ---- */

__attribute__((format(printf, 3, 4))) static void say(struct exits_run *run, enum row_status status, const char *fmt,
                                                      ...)
{
    va_list args;
    run->status = status;
    va_start(args, fmt);
    (void)vsnprintf(run->detail, sizeof(run->detail), fmt, args);
    va_end(args);
}

static void explain_end(struct exits_run *run, const struct ending *end)
{
    if (run->side.page->is_unsupported)
        say(run, ROW_UNSUPPORTED, "the guest's processor lacks what the row needs");
    else if (end->reason == END_GUEST_STATUS && end->value == GUEST_FAULT)
        say(run, ROW_UNSUPPORTED, "the guest took an exception: its processor refuses what the row does");
    else if (end->reason == END_GUEST_STATUS && end->value == GUEST_NO_CPU)
        say(run, ROW_UNSUPPORTED, "the second vCPU did not start");
    else
        say(run, ROW_UNSUPPORTED, "%s", end->detail);
}

static void judge(struct exits_run *run)
{
    const struct exits_count c = exits_count_judge(run);
    const bool is_rare = c.expected && run->counted < c.expected / 2;
    if (!run->has_count)
        say(run, ROW_OK, "this kernel has no statistics: the exits were not counted");
    else if (is_rare && run->what->is_state)
        say(run, ROW_NO_EXIT, "%s says %" PRIu64 " where %" PRIu64 " were expected: the host did not play its part",
            run->source, run->counted, c.expected);
    else if (is_rare)
        say(run, ROW_NO_EXIT, "%" PRIu64 " exits where %" PRIu64 " were expected: this host does it without",
            run->counted, c.expected);
    else if (c.verdict == COUNT_MORE || c.verdict == COUNT_FEWER)
        say(run, ROW_OK, "%" PRIu64 " exits where %" PRIu64 " were expected", run->counted, c.expected);
}

static int copy_samples(struct exits_run *run, const struct gmem *mem, struct err *e)
{
    const uint64_t base = arch_info.ram_base;
    int rc = gmem_read(mem, base + BENCH_SAMPLE_OFFSET, run->sample, run->samples * sizeof(*run->sample));
    if (!rc) rc = gmem_read(mem, base + BENCH_BASELINE_OFFSET, run->baseline, run->baselines * sizeof(*run->baseline));
    run->counter_cost = run->side.page->counter_cost;
    return rc ? err_set(e, rc, "the bench's machine has no room for its samples") : 0;
}

/* Turn how the guest ended into the run's status, and copy what it measured. */
static int conclude(struct walk *w, int rc, struct err *e)
{
    const struct exits_build *b = w->build;
    struct exits_run *run = w->run;
    if (b->rc) {
        say(run, ROW_UNSUPPORTED, "%s", b->why.text);
        run->samples = 0;
        return 0;
    }
    if (rc == -ECANCELED) return err_set(e, rc, "stopped");
    if (rc == -ECHILD) explain_end(run, &w->ending);
    if (rc == -ETIMEDOUT && !progress_of(run))
        say(run, ROW_TIMEOUT, "not one sample within %u ms, so no other process tries", run->side.options->timeout_ms);
    else if (rc == -ETIMEDOUT)
        say(run, ROW_TIMEOUT, "%u of %u samples within %u ms", progress_of(run), run->samples,
            run->side.options->timeout_ms);
    run->samples = reached(w) >= BENCH_READY ? progress_of(run) : 0;
    /* KVM answers for a vCPU only when that vCPU is out of KVM_RUN. */
    if (!rc && w->has_ended)
        run->is_clock_shared = arch_bench_shares_clock(b->parts.vm, b->parts.vcpu, b->parts.vcpu_count);
    if (!rc) judge(run);
    return copy_samples(run, b->parts.mem, e);
}

static int walk_through(struct walk *w, struct err *e)
{
    const struct exits_build *b = w->build;
    int rc = 0;
    if (!b->rc) {
        rc = machine_start(w->machine, e);
        if (rc) return rc;
        rc = take_samples(w);
        if (!w->has_ended) {
            machine_end(w->machine, END_STOPPED, "the row's time is up");
            w->has_ended = machine_wait(w->machine, EXITS_IDLE_MS, &w->ending) == 0;
        }
    }
    return conclude(w, rc, e);
}

/* ---- all of it ---- */

static uint32_t least(uint32_t a, uint32_t b)
{
    return a < b ? a : b;
}

/* A slow counter can't tell the durations of two NOPs apart, nor those of two exits very well; a batch of 64 it can.
 * Some rows stay single: exits to the monitor, as a batch has no legs; what can be done only once; and, in an emulated
 * host, exits within the kernel, which take thousands of ticks there. The answer must be the same in every process of a
 * host, since results of different batches can't be merged. */
static uint32_t batch_for(const struct exits_run *run, const struct exits_duty *duty)
{
    const struct exits_options *o = run->side.options;
    struct arch_bench_host host;
    if (duty->is_sample || duty->is_single) return 1;
    if (o->batch) return o->batch;
    arch_bench_host(&host);
    const bool is_short =
        run->what->group == BENCH_CONTROL || (run->what->group == BENCH_KERNEL && strcmp(host.nature, "emulated") != 0);
    if (run->side.hz >= SLOW_HZ || !is_short || duty->samples_max) return 1;
    return least(SLOW_BATCH, EXITS_REPETITIONS_MAX / o->samples);
}

static int plan(struct exits_run *run, const struct exits_duty *duty, struct err *e)
{
    const struct exits_options *o = run->side.options;
    run->batch = batch_for(run, duty);
    run->warm_up = duty->stride || duty->act ? 0 : least(WARM_UP, o->samples);
    if (duty->samples_max && (uint64_t)o->samples * run->batch > duty->samples_max) {
        run->batch = least(run->batch, duty->samples_max);
        run->samples = least(o->samples, duty->samples_max / run->batch);
    } else {
        run->samples = o->samples;
    }
    run->baselines = duty->is_sample ? 0 : least(BASELINES, o->samples);
    run->trace.capacity = (uint64_t)(run->samples + run->warm_up) * run->batch + TRACE_SLACK;
    run->trace.exit = malloc(run->trace.capacity * sizeof(*run->trace.exit));
    if (run->trace.exit)
        memset(run->trace.exit, 0, run->trace.capacity * sizeof(*run->trace.exit)); /* take the page faults now */
    run->sample = calloc(run->samples + 1u, sizeof(*run->sample));
    run->baseline = calloc(run->baselines + 1u, sizeof(*run->baseline));
    run->window = calloc(WINDOWS_MAX, sizeof(*run->window));
    if (!run->trace.exit || !run->sample || !run->baseline || !run->window)
        return err_set(e, -ENOMEM, "no memory for %u samples", run->samples);
    return 0;
}

static bool has_cpus(void)
{
    cpu_set_t set;
    return sched_getaffinity(0, sizeof(set), &set) == 0 && CPU_COUNT(&set) >= 2;
}

int exits_run(struct exits_run *run, struct machine **m, const struct arch_bench_row *what,
              const struct exits_options *o, const atomic_bool *is_stopped, struct err *e)
{
    const struct exits_duty *duty = exits_duty_of(what->row);
    *run = (struct exits_run){.what = what, .side = {.options = o, .what = what, .event_fd = -1}};
    struct exits_side *s = &run->side;
    s->trace = &run->trace;
    *m = NULL;
    if (duty->needs_cpus && !has_cpus()) {
        say(run, ROW_UNSUPPORTED, "it needs two of the host's CPUs, and there is one");
        return 0;
    }
    arch_bench_counter(&s->counter);
    s->hz = counter_hz(&s->counter);
    s->delay_ticks = exits_ticks(s, o->delay_ns);
    int rc = plan(run, duty, e);
    if (rc) return rc;
    struct exits_build *b = run->build = malloc(sizeof(*b));
    if (!b) return err_set(e, -ENOMEM, "no memory for a row of the bench");
    *b = (struct exits_build){.run = run, .duty = duty, .stats_fd = -1};
    const struct machine_lab lab = exits_build_lab(b);
    rc = exits_machine(m, o, what->has_second, duty, &lab, e);
    if (rc == -ENOTSUP) { /* this host can't make the machine that the row needs, though it makes ordinary ones */
        say(run, ROW_UNSUPPORTED, "%s", e->text);
        run->samples = run->baselines = 0;
        return 0;
    }
    if (rc) return rc;
    struct walk w = {.run = run,
                     .duty = duty,
                     .build = b,
                     .machine = *m,
                     .is_stopped = is_stopped,
                     .deadline_ns = now_ns() + o->timeout_ms * UINT64_C(1000000)};
    rc = walk_through(&w, e);
    return rc;
}

void exits_run_fini(struct exits_run *run, struct machine *m)
{
    machine_destroy(m); /* until it is gone, the guest may ring the gate */
    if (run->build && run->build->stats_fd >= 0) close(run->build->stats_fd);
    free(run->build);
    if (run->side.event_fd >= 0) close(run->side.event_fd);
    free(run->trace.exit);
    free(run->sample);
    free(run->baseline);
    free(run->window);
}
