/* One row, from an empty machine to numbers. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "arch/arch.h"
#include "guest/embed.h"
#include "vmm/kvm/stats.h"
#include "vmm/machine/runner.h"
#include "vmm/measure/exits.h"

#define POLL_NS 200000u /* between two looks at a guest that works by itself */
#define WINDOW_NS                                                                                                      \
    2000000u /* of disturbance: half of the shortest tick that hosts use, so that few samples share one                \
              */
#define WINDOWS_MAX                                                                                                    \
    4096                 /* later ones are not told apart from undisturbed ones: 8 s of samples, disturbed all along   \
                          */
#define WARM_UP      200 /* repetitions in which caches, and KVM's own lazy set-up, settle */
#define BASELINES    1000
#define TRACE_SLACK  65536 /* exits of a guest on its way to the row, and kicks */
#define STATUS_MAX   4096  /* bytes of /proc/self/task/TID/status: it has 1,500 */
#define GUEST_FAULT  15    /* guest.h: it took an exception */
#define GUEST_NO_CPU 14    /* a processor did not start */

uint64_t exits_ticks(const struct exits_side *s, uint64_t ns)
{
    return (uint64_t)((double)ns * s->hz / 1e9);
}

static uint64_t now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* ---- the kernel's counts ---- */

struct counts {
    const char *own; /* the row's statistic, or NULL */
    uint64_t exits, irq, own_count;
    bool has_exits, has_irq;
};

static void take_count(void *arg, const struct kvm_stat *s)
{
    struct counts *c = arg;
    if (strcmp(s->name, "exits") == 0) {
        c->exits = s->value;
        c->has_exits = true;
    } else if (strcmp(s->name, "irq_exits") == 0) {
        c->irq = s->value;
        c->has_irq = true;
    }
    if (c->own && strcmp(s->name, c->own) == 0) c->own_count = s->value;
}

static struct counts read_counts(int fd, const char *own)
{
    struct counts c = {.own = own};
    if (fd >= 0) (void)kvm_stats_read(fd, take_count, &c);
    return c;
}

/* The row's own statistic, unless this KVM does not count by it, as kvm_pvm does not by most; else all exits but those
 * for the host's interrupts, where KVM tells these apart. */
static void compare_counts(struct exits_run *run, const struct counts *before, const struct counts *after)
{
    run->has_count = before->has_exits && after->has_exits;
    run->counted = after->own_count - before->own_count;
    run->source = run->what->counter;
    if (run->source && (run->counted || run->what->slack)) return;
    const uint64_t irq = after->irq - before->irq;
    run->counted = after->exits - before->exits - irq;
    run->source = after->has_irq && irq ? "exits - irq_exits" : "exits";
}

/* ---- the machine ---- */

struct build {
    struct exits_run *run;
    const struct exits_duty *duty;
    struct machine_parts parts;
    int stats_fd;
    int rc; /* of what only this row wants: unsupported, not an error */
    struct err why;
};

static int fill_page(struct build *b, struct err *e)
{
    struct exits_run *run = b->run;
    struct exits_side *s = &run->side;
    void *page = gmem_slice(b->parts.mem, arch_info.ram_base + BENCH_PAGE_OFFSET, sizeof(*s->page), GMEM_WRITE);
    if (!page) return err_set(e, -ENOMEM, "the bench's machine has no room for its page");
    s->page = page;
    *s->page = (struct bench_page){
        .magic = BENCH_MAGIC,
        .row = run->what->row,
        .samples = run->samples,
        .baselines = run->baselines,
        .warm_up = run->warm_up,
        .batch = run->batch,
        .stride = b->duty->stride,
        .address = b->duty->is_touching ? arch_info.ram_base + BENCH_TOUCH_OFFSET : 0,
        .argument = exits_ticks(s, b->duty->argument_ns),
    };
    return 0;
}

static int fit(void *arg, const struct machine_parts *p, struct err *e)
{
    struct build *b = arg;
    struct exits_run *run = b->run;
    struct exits_side *s = &run->side;
    b->parts = *p;
    int rc = fill_page(b, e);
    if (rc) return rc;
    arch_bench_share_clock(p->vm, p->vcpu, p->vcpu_count);
    for (unsigned i = 0; i < p->vcpu_count; i++) p->runner[i].counter = &s->counter;
    p->runner[0].record->trace = &run->trace;
    b->stats_fd = vcpu_stats_open(&p->vcpu[0]);
    b->rc = arch_bench_fit(run->what->row, p->vm, &b->why);
    if (!b->rc && b->duty->fit) b->rc = b->duty->fit(s, p, &b->why);
    if (s->address) s->page->address = s->address;
    return 0;
}

/* The measured vCPU on its CPU, the other one anywhere else. */
static int pin(struct config *c, int cpu, struct err *e)
{
    struct sched_config *s = config_sched(c);
    if (!s) return err_set(e, -ENOMEM, "no memory for the bench's configuration");
    s->vcpu[0].has_cpus = true;
    CPU_SET((unsigned)cpu, &s->vcpu[0].cpus);
    if (c->cpus < 2 || sched_getaffinity(0, sizeof(s->vcpu[1].cpus), &s->vcpu[1].cpus) < 0) return 0;
    CPU_CLR((unsigned)cpu, &s->vcpu[1].cpus);
    s->vcpu[1].has_cpus = CPU_COUNT(&s->vcpu[1].cpus) > 0;
    return 0;
}

int exits_machine(struct machine **m, const struct exits_options *o, bool has_second, const struct exits_duty *duty,
                  const struct machine_lab *lab, struct err *e)
{
    struct config c;
    config_init(&c);
    c.console = CONSOLE_OFF;
    c.memory = BENCH_MEMORY;
    c.cpus = has_second ? 2 : 1;
    int rc = o->pin >= 0 ? pin(&c, o->pin, e) : 0;
    if (!rc && duty->has_halt_poll) {
        struct sched_config *s = config_sched(&c);
        if (s) {
            s->has_halt_poll = true;
            s->halt_poll_ns = duty->halt_poll_ns;
        }
    }
    if (!rc) rc = machine_create_lab(m, &c, NULL, lab, e);
    config_fini(&c);
    return rc;
}

/* ---- is it disturbed? ---- */

struct watch {
    int status_fd; /* of the vCPU's thread; -1: not to be had */
    int stats_fd;
    uint64_t next_ns, switches, irq;
    uint32_t from; /* the first sample of this window */
};

static uint64_t involuntary_switches(int fd)
{
    char text[STATUS_MAX];
    const ssize_t n = fd >= 0 ? pread(fd, text, sizeof(text) - 1, 0) : -1;
    if (n <= 0) return 0;
    text[n] = '\0';
    const char *at = strstr(text, "nonvoluntary_ctxt_switches:");
    return at ? strtoull(at + strlen("nonvoluntary_ctxt_switches:"), NULL, 10) : 0;
}

static void watch_open(struct watch *w, struct machine *m, int stats_fd)
{
    struct machine_thread t;
    char path[64];
    *w = (struct watch){.status_fd = -1, .stats_fd = stats_fd};
    if (!machine_thread(m, 0, &t)) return;
    (void)snprintf(path, sizeof(path), "/proc/self/task/%d/status", t.tid);
    w->status_fd = open(path, O_RDONLY | O_CLOEXEC);
    w->switches = involuntary_switches(w->status_fd);
}

static uint32_t progress_of(const struct exits_run *run)
{
    const uint64_t n = __atomic_load_n(&run->side.page->progress, __ATOMIC_ACQUIRE);
    return n < run->samples ? (uint32_t)n : run->samples;
}

/* The sample that is being taken belongs to the windows on both sides. */
static void watch_look(struct watch *w, struct exits_run *run, bool is_last)
{
    const uint64_t now = now_ns();
    if (now < w->next_ns && !is_last) return;
    w->next_ns = now + WINDOW_NS;
    const uint64_t switches = involuntary_switches(w->status_fd), irq = read_counts(w->stats_fd, NULL).irq;
    const uint32_t at = progress_of(run);
    if ((switches != w->switches || irq != w->irq) && run->windows < WINDOWS_MAX && at >= w->from)
        run->window[run->windows++] = (struct exits_window){w->from, at + 1};
    w->switches = switches;
    w->irq = irq;
    w->from = at;
}

/* ---- step by step with the guest ---- */

struct walk {
    struct exits_run *run;
    const struct exits_duty *duty;
    struct machine *machine;
    const atomic_bool *is_stopped;
    uint64_t deadline_ns, turn;
    struct watch *watch; /* while samples are taken */
    struct ending ending;
    bool has_ended;
};

static uint64_t reached(const struct walk *w)
{
    return __atomic_load_n(&w->run->side.page->reached, __ATOMIC_ACQUIRE);
}

static void let_go(const struct walk *w, enum bench_step step)
{
    __atomic_store_n(&w->run->side.page->go, step, __ATOMIC_RELEASE);
}

static void act_if_asked(struct walk *w)
{
    if (__atomic_load_n(&w->run->side.page->guest_turn, __ATOMIC_ACQUIRE) != w->turn + 1) return;
    w->duty->act(&w->run->side, w->machine, ++w->turn);
}

/* 0: it is there; -ECHILD: the machine has ended; -ETIMEDOUT; -ECANCELED. */
static int wait_for(struct walk *w, enum bench_step step)
{
    const bool is_acting = w->duty->act && w->watch;
    while (reached(w) < step) {
        w->has_ended = machine_wait(w->machine, 0, &w->ending) == 0;
        if (w->has_ended) return -ECHILD;
        if (w->is_stopped && atomic_load(w->is_stopped)) return -ECANCELED;
        if (now_ns() > w->deadline_ns) return -ETIMEDOUT;
        if (is_acting) {
            act_if_asked(w);
            sched_yield();
        } else {
            nanosleep(&(struct timespec){.tv_nsec = POLL_NS}, NULL);
        }
        if (w->watch) watch_look(w->watch, w->run, false);
    }
    return 0;
}

static int take_samples(struct walk *w, struct build *b)
{
    struct exits_run *run = w->run;
    struct watch watch;
    int rc = wait_for(w, BENCH_PREPARED);
    if (!rc && w->duty->prepared) b->rc = w->duty->prepared(&run->side, &b->parts, &b->why);
    if (rc || b->rc) return rc;
    let_go(w, BENCH_PREPARED);
    rc = wait_for(w, BENCH_READY);
    if (rc) return rc;
    watch_open(&watch, w->machine, b->stats_fd);
    const struct counts before = read_counts(b->stats_fd, run->what->counter);
    watch.irq = before.irq;
    const uint64_t start = now_ns();
    watch.next_ns = start + WINDOW_NS;
    w->watch = &watch;
    let_go(w, BENCH_READY);
    rc = wait_for(w, BENCH_SAMPLED);
    const struct counts after = read_counts(b->stats_fd, run->what->counter);
    watch_look(&watch, run, true);
    if (watch.status_fd >= 0) close(watch.status_fd);
    compare_counts(run, &before, &after);
    let_go(w, BENCH_SAMPLED);
    return rc;
}

/* ---- how it ended ---- */

__attribute__((format(printf, 3, 4))) static void say(struct exits_run *run, enum exits_status status, const char *fmt,
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
        say(run, EXITS_UNSUPPORTED, "the guest's processor lacks what the row needs");
    else if (end->reason == END_GUEST_STATUS && end->value == GUEST_FAULT)
        say(run, EXITS_UNSUPPORTED, "the guest took an exception: its processor refuses what the row does");
    else if (end->reason == END_GUEST_STATUS && end->value == GUEST_NO_CPU)
        say(run, EXITS_UNSUPPORTED, "the second vCPU did not start");
    else
        say(run, EXITS_UNSUPPORTED, "%s", end->detail);
}

static void judge(struct exits_run *run)
{
    uint64_t expected;
    const bool agrees = exits_count_agrees(run, &expected);
    const bool is_rare = expected && run->counted < expected / 2;
    if (!run->has_count)
        say(run, EXITS_OK, "this kernel has no statistics: the exits were not counted");
    else if (is_rare && run->what->counter && run->what->slack)
        say(run, EXITS_NO_EXIT, "%s says %" PRIu64 " where %" PRIu64 " were expected: the host did not play its part",
            run->source, run->counted, expected);
    else if (is_rare)
        say(run, EXITS_NO_EXIT, "%" PRIu64 " exits where %" PRIu64 " were expected: this host does it without",
            run->counted, expected);
    else if (!agrees && run->what->exits >= 0)
        say(run, EXITS_OK, "%" PRIu64 " exits where %" PRIu64 " were expected", run->counted, expected);
}

static int copy_samples(struct exits_run *run, const struct gmem *mem, struct err *e)
{
    const uint64_t base = arch_info.ram_base;
    int rc = gmem_read(mem, base + BENCH_SAMPLE_OFFSET, run->sample, run->samples * sizeof(*run->sample));
    if (!rc) rc = gmem_read(mem, base + BENCH_BASELINE_OFFSET, run->baseline, run->baselines * sizeof(*run->baseline));
    run->counter_cost = run->side.page->counter_cost;
    return rc ? err_set(e, rc, "the bench's machine has no room for its samples") : 0;
}

/* What came of it, when the guest took samples or did not. */
static int conclude(struct walk *w, struct build *b, int rc, struct err *e)
{
    struct exits_run *run = w->run;
    if (b->rc) {
        say(run, EXITS_UNSUPPORTED, "%s", b->why.text);
        run->samples = 0;
        return 0;
    }
    if (rc == -ECANCELED) return err_set(e, rc, "stopped");
    if (rc == -ECHILD) explain_end(run, &w->ending);
    if (rc == -ETIMEDOUT)
        say(run, EXITS_TIMEOUT, "%u of %u samples within %u ms", progress_of(run), run->samples,
            run->side.options->timeout_ms);
    if (rc) run->samples = reached(w) >= BENCH_READY ? progress_of(run) : 0;
    /* A vCPU that is still in the kernel would hold up the question. */
    if (!rc && w->has_ended)
        run->is_clock_shared = arch_bench_shares_clock(b->parts.vm, b->parts.vcpu, b->parts.vcpu_count);
    if (!rc) judge(run);
    return copy_samples(run, b->parts.mem, e);
}

static int walk_through(struct walk *w, struct build *b, struct err *e)
{
    int rc = 0;
    if (!b->rc) {
        rc = machine_start(w->machine, e);
        if (rc) return rc;
        rc = take_samples(w, b);
        if (rc || b->rc) machine_stop(w->machine, END_STOPPED, "the row's time is up");
    }
    if (!b->rc && !w->has_ended) w->has_ended = machine_wait(w->machine, EXITS_IDLE_MS, &w->ending) == 0;
    return conclude(w, b, rc, e);
}

/* ---- all of it ---- */

static uint32_t least(uint32_t a, uint32_t b)
{
    return a < b ? a : b;
}

static int plan(struct exits_run *run, const struct exits_duty *duty, struct err *e)
{
    const struct exits_options *o = run->side.options;
    run->batch = duty->is_sample ? 1 : o->batch;
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
        say(run, EXITS_UNSUPPORTED, "it needs two of the host's CPUs, and there is one");
        return 0;
    }
    int rc = plan(run, duty, e);
    if (rc) return rc;
    arch_bench_counter(&s->counter);
    s->hz = counter_hz(&s->counter);
    s->delay_ticks = exits_ticks(s, o->delay_ns);
    struct build b = {.run = run, .duty = duty, .stats_fd = -1};
    const struct machine_lab lab = {
        .image = guest_bench_start,
        .image_size = (uint64_t)(guest_bench_end - guest_bench_start),
        .fit = fit,
        .arg = &b,
    };
    rc = exits_machine(m, o, what->has_second, duty, &lab, e);
    if (rc) return rc;
    struct walk w = {.run = run,
                     .duty = duty,
                     .machine = *m,
                     .is_stopped = is_stopped,
                     .deadline_ns = now_ns() + o->timeout_ms * UINT64_C(1000000)};
    rc = walk_through(&w, &b, e);
    if (b.stats_fd >= 0) close(b.stats_fd);
    return rc;
}

void exits_run_fini(struct exits_run *run, struct machine *m)
{
    machine_destroy(m);
    if (run->side.event_fd >= 0) close(run->side.event_fd);
    free(run->trace.exit);
    free(run->sample);
    free(run->baseline);
    free(run->window);
}
