/* A plan becomes machines, their threads are sampled while they run, and a record remains. */
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "arch/arch.h"
#include "arch/counter.h"
#include "bench/fair/fair.h"
#include "guest/embed.h"
#include "vmm/base/clock.h"
#include "vmm/base/fd.h"
#include "vmm/base/groups.h"
#include "vmm/machine/lab.h"

#define READY_MS       20000        /* from start to the last vCPU's arrival, on an emulated host */
#define SETTLE_NS      300000000ull /* between "go" and the first sample: several rounds of eight vCPUs */
#define END_MS         10000
#define GAP_NS         400000u      /* below every slice, above a host's interrupts */
#define MARGIN_PART    8u           /* of a tick, asleep on both sides of it */
#define HOLD_PERIOD_NS 500000000ull /* sleeping so rarely, nothing of it is caught up: many rounds lie between */
#define FRESH_NS       5000u        /* a guest's look at its counter that is so old tells its clock well enough */
#define FRESH_TRY_NS   300000000ull
#define TICKS_SEEN     8
#define TIGHT_NS       500000u /* samples of all vCPUs are read in less, or read again */
#define RATE_MIN       1e-3    /* ticks a ns: 1 MHz, */
#define RATE_MAX       1e2     /* and 100 GHz: no processor's counter is beyond these */
#define LOOKS_NS       200000  /* two looks: a guest whose code is emulated takes some 50 us a loop */
#define TIGHT_TRIES    3
#define WEIGHT_DEFAULT 100u
#define PIECE_NS       200000000ull                           /* of a wait: so soon a stop is seen */
#define FAIR_ADDRESS   (arch_info.virtio_base + 64 * 4096ull) /* behind the devices, nobody's: writes are dropped */

struct thread {
    clockid_t clock;
    int stat_fd;
};

struct guest_vm {
    struct machine *machine;
    struct fair_page *page; /* the guest's */
    unsigned first;         /* of its vCPUs in the plan */
};

struct run {
    const struct fair_options *o;
    const struct fair_plan *p;
    const struct bench_sink *sink;
    struct fair_record *r;
    struct guest_vm vm[FAIR_VMS];
    struct thread thread[FAIR_THREADS];
    struct counter counter;
    cpu_set_t home; /* where this thread ran before */
    bool is_aside;  /* it runs on none of the plan's CPUs */
};

static bool is_stopped(const struct run *u)
{
    return u->sink->is_stopped && atomic_load_explicit(u->sink->is_stopped, memory_order_relaxed);
}

static int wait_until(const struct run *u, uint64_t at)
{
    for (uint64_t now = now_ns(); now < at; now = now_ns()) {
        const uint64_t next = at - now > PIECE_NS ? now + PIECE_NS : at;
        const struct timespec t = {(time_t)(next / 1000000000u), (long)(next % 1000000000u)};
        if (is_stopped(u)) return -ECANCELED;
        (void)clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &t, NULL);
    }
    return 0;
}

/* ---- machines ---- */

static int set_sched(const struct run *u, unsigned vm, struct config *c, struct err *e)
{
    const struct fair_plan *p = u->p;
    const struct fair_vm_plan *plan = &p->vm[vm];
    struct sched_config *s = config_sched(c);
    char found[FAIR_TEXT], why[FAIR_TEXT];

    if (!s) return err_set(e, -ENOMEM, "no memory");
    for (unsigned i = 0; i < plan->vcpus; i++) {
        const struct fair_vcpu_plan *v = &p->vcpu[u->vm[vm].first + i];
        s->vcpu[i].has_cpus = true;
        CPU_ZERO(&s->vcpu[i].cpus);
        for (unsigned k = 0; k < p->cpu_count; k++) CPU_SET(p->cpu[k], &s->vcpu[i].cpus);
        s->vcpu[i].has_nice = v->nice != 0;
        s->vcpu[i].nice = v->nice + getpriority(PRIO_PROCESS, 0);
    }
    s->named = plan->vcpus;
    if (plan->has_io) {
        s->io.has_cpus = true;
        CPU_ZERO(&s->io.cpus);
        CPU_SET(plan->io_cpu, &s->io.cpus);
    }
    s->has_halt_poll = plan->has_halt_poll;
    s->halt_poll_ns = plan->halt_poll_ns;
    if (!plan->has_cgroup) return 0;
    if (!u->o->cgroup && !fair_cgroup_find(found, sizeof(found), why)) return err_set(e, -ENOTSUP, "%s", why);
    s->cgroup = strdup(u->o->cgroup ? u->o->cgroup : found);
    s->weight = plan->weight ? plan->weight : WEIGHT_DEFAULT;
    s->quota_us = plan->quota_us;
    s->period_us = plan->period_us;
    return s->cgroup ? 0 : err_set(e, -ENOMEM, "no memory");
}

struct fitting {
    const struct run *u;
    struct guest_vm *vm;
    unsigned vcpus;
};

static int fit(void *arg, const struct machine_parts *parts, struct err *e)
{
    const struct fitting *f = arg;
    struct fair_page *page =
        gmem_slice(parts->mem, arch_info.ram_base + FAIR_PAGE_OFFSET, sizeof(struct fair_page), GMEM_WRITE);

    if (!page) return err_set(e, -ENOMEM, "the guest's memory has no room for its page");
    page->vcpus = f->vcpus;
    page->address = FAIR_ADDRESS;
    page->gap_min = UINT64_MAX;
    page->magic = FAIR_MAGIC;
    for (unsigned i = 0; i < f->vcpus; i++) page->vcpu[i].work = f->u->p->vcpu[f->vm->first + i].work;
    f->vm->page = page;
    return 0;
}

static int create(struct run *u, unsigned vm, struct err *e)
{
    const struct fair_vm_plan *plan = &u->p->vm[vm];
    struct fitting f = {.u = u, .vm = &u->vm[vm], .vcpus = plan->vcpus};
    const struct machine_lab lab = {
        .image = guest_fair_start,
        .image_size = (uint64_t)(guest_fair_end - guest_fair_start),
        .fit = fit,
        .arg = &f,
    };
    struct config c;

    config_init(&c, machine_devices);
    c.cpus = plan->vcpus;
    c.memory = FAIR_MEMORY;
    c.console = CONSOLE_OFF;
    c.has_record = false;
    int rc = set_sched(u, vm, &c, e);
    if (!rc && plan->has_io) rc = config_set(&c, "rng", "true", e);
    if (!rc) rc = machine_create_lab(&u->vm[vm].machine, &c, NULL, &lab, e);
    config_fini(&c);
    return rc;
}

static struct fair_vcpu *guest_vcpu(const struct run *u, unsigned i)
{
    const struct guest_vm *vm = &u->vm[u->p->vcpu[i].vm];
    return &vm->page->vcpu[i - vm->first];
}

static int check_alive(const struct run *u, struct err *e)
{
    for (unsigned i = 0; i < u->p->vm_count; i++) {
        struct ending end;
        if (machine_wait(u->vm[i].machine, 0, &end) == 0)
            return err_set(e, -EIO, "the guest of VM %u ended early, status %u: %.300s", i, end.value, end.detail);
    }
    return 0;
}

static bool is_held_back(const struct run *u, unsigned i)
{
    return u->o->has_hold && u->o->hold_vcpu == i && u->p->vcpu[i].work == FAIR_SPIN;
}

static bool has_to_sleep(const struct run *u, unsigned i)
{
    const enum fair_work work = u->p->vcpu[i].work;
    return work == FAIR_INTERACTIVE || work == FAIR_DODGE || work == FAIR_HALT || is_held_back(u, i);
}

static int wait_ready(const struct run *u, struct err *e)
{
    const uint64_t end = now_ns() + READY_MS * 1000000ull;

    for (unsigned i = 0; i < u->p->vcpu_count;) {
        struct fair_vcpu *v = guest_vcpu(u, i);
        if (__atomic_load_n(&v->is_ready, __ATOMIC_ACQUIRE)) {
            if (!v->can_sleep && has_to_sleep(u, i))
                return err_set(e, -ENOTSUP, "vCPU %u is to sleep, which this guest can't do on this processor", i);
            i++;
            continue;
        }
        int rc = check_alive(u, e);
        if (!rc) rc = wait_until(u, now_ns() + 1000000);
        if (rc) return rc;
        if (now_ns() > end)
            return err_set(e, -ETIMEDOUT,
                           "vCPU %u did not arrive within %d s: its guest hangs, or this host is far "
                           "too busy",
                           i, READY_MS / 1000);
    }
    return 0;
}

static int open_threads(struct run *u, struct err *e)
{
    for (unsigned i = 0; i < u->p->vcpu_count; i++) {
        const struct guest_vm *vm = &u->vm[u->p->vcpu[i].vm];
        struct machine_thread t;
        char path[64];
        if (!machine_thread(vm->machine, i - vm->first, &t) || t.kind != MACHINE_THREAD_VCPU)
            return err_set(e, -ESRCH, "vCPU %u has no thread", i);
        u->thread[i].clock = clock_of_thread(t.tid);
        (void)snprintf(path, sizeof(path), "/proc/self/task/%d/schedstat", t.tid);
        u->thread[i].stat_fd = fd_own(open(path, O_RDONLY | O_CLOEXEC));
        if (u->thread[i].stat_fd < 0) return err_errno(e, "run delay of vCPU %u: open %s", i, path);
        if (i == 0) u->r->slice_ns = fair_slice_ns(t.tid, u->p->vcpu_count, u->r->slice_source);
    }
    return 0;
}

/* ---- the guests' clock ---- */

/* A moment of both clocks, from a look of the first guest's first vCPU that is as fresh as can be had. */
static void see_clock(const struct run *u, uint64_t *ns, uint64_t *ticks)
{
    const struct fair_vcpu *v = guest_vcpu(u, 0);
    const uint64_t start = now_ns();
    uint64_t before = start, last = __atomic_load_n(&v->now, __ATOMIC_RELAXED), best = UINT64_MAX;

    *ns = start;
    *ticks = last;
    while (before - start < FRESH_TRY_NS && best > FRESH_NS) {
        const uint64_t seen = __atomic_load_n(&v->now, __ATOMIC_RELAXED), after = now_ns();
        if (seen != last && after - before < best) {
            best = after - before;
            *ns = after;
            *ticks = seen;
        }
        last = seen;
        before = after;
    }
}

/* When ticks come, as a remainder of the tick's length: the coarse clock is set by them, and stands at the moment that
 * the interrupt was served, a little late; the least is the nearest. */
static uint64_t tick_phase(uint64_t tick)
{
    uint64_t last = clock_ns(CLOCK_MONOTONIC_COARSE), base = last, least = tick;
    const uint64_t end = now_ns() + 4 * TICKS_SEEN * tick;

    for (unsigned n = 0; n < TICKS_SEEN && now_ns() < end;) {
        const uint64_t now = clock_ns(CLOCK_MONOTONIC_COARSE);
        if (now == last) continue;
        last = now;
        if (n++ == 0) base = now - tick / 2;
        const uint64_t off = (now - base) % tick;
        if (off < least) least = off;
    }
    return (base + least) % tick;
}

static void give_work(const struct run *u, unsigned i, uint64_t phase_ticks)
{
    const struct fair_vcpu_plan *plan = &u->p->vcpu[i];
    const struct fair_options *o = u->o;
    const double rate = u->r->ticks_per_ns;
    const uint64_t tick = u->r->tick_ns;
    struct fair_vcpu *v = guest_vcpu(u, i);

    v->period = (uint64_t)((double)(plan->work == FAIR_DODGE ? tick : plan->period_ns) * rate);
    v->busy = (uint64_t)((double)plan->busy_ns * rate);
    v->margin = v->period / MARGIN_PART;
    v->phase = phase_ticks;
    v->hold_period = (uint64_t)((double)HOLD_PERIOD_NS * rate);
    if (!is_held_back(u, i)) return;
    v->hold = v->hold_period * o->hold_percent / 100;
    v->waste_permille = o->hold_percent * 10;
}

static int begin(const struct run *u, struct err *e)
{
    uint64_t ns, ticks, later_ns, later_ticks;

    see_clock(u, &ns, &ticks);
    if (!u->counter.is_clock) {
        u->r->ticks_per_ns = counter_hz(&u->counter) / 1e9;
    } else { /* the host doesn't trust it: what the guest saw of it must do */
        const int rc = wait_until(u, ns + SETTLE_NS);
        if (rc) return rc;
        see_clock(u, &later_ns, &later_ticks);
        u->r->ticks_per_ns = later_ns > ns ? (double)(later_ticks - ticks) / (double)(later_ns - ns) : 1;
    }
    if (!(u->r->ticks_per_ns > RATE_MIN && u->r->ticks_per_ns < RATE_MAX))
        return err_set(e, -ENOTSUP,
                       "the guest's counter goes at %.3g ticks a ns, which is no rate of one; use a host whose clock "
                       "source is the processor's counter",
                       u->r->ticks_per_ns);
    const uint64_t since = (ns - tick_phase(u->r->tick_ns)) % u->r->tick_ns;
    const uint64_t phase = ticks - (uint64_t)((double)since * u->r->ticks_per_ns);
    for (unsigned i = 0; i < u->p->vcpu_count; i++) give_work(u, i, phase);
    for (unsigned i = 0; i < u->p->vm_count; i++) {
        __atomic_store_n(&u->vm[i].page->gap_min, (uint64_t)(GAP_NS * u->r->ticks_per_ns), __ATOMIC_RELAXED);
        __atomic_store_n(&u->vm[i].page->go, 1, __ATOMIC_RELEASE);
    }
    return 0;
}

/* ---- sampling ---- */

static uint64_t run_delay(const struct thread *t)
{
    unsigned long long charged, delay;
    char text[80];
    const ssize_t n = pread(t->stat_fd, text, sizeof(text) - 1, 0);
    text[n > 0 ? n : 0] = '\0';
    return sscanf(text, "%llu %llu", &charged, &delay) == 2 ? delay : 0;
}

/* The vCPU whose guest looked at its counter last: it runs, or did until this thread took its CPU. Guests of two VMs
 * need not have the same counter. */
static unsigned newest(const struct run *u)
{
    unsigned best = 0;
    uint64_t most = 0;
    for (unsigned i = 0; i < u->p->vcpu_count; i++) {
        const uint64_t now = __atomic_load_n(&guest_vcpu(u, i)->now, __ATOMIC_RELAXED);
        if (now <= most) continue;
        most = now;
        best = i;
    }
    return best;
}

/* A guest tells what was stolen from it when it looks at its counter: after the second look from now it has told what
 * there was to tell. Not for ever: it may just have been switched away. */
static void await_looks(const struct fair_vcpu *v)
{
    const uint64_t end = now_ns() + LOOKS_NS;
    uint64_t seen = __atomic_load_n(&v->now, __ATOMIC_RELAXED);
    for (unsigned looks = 0; looks < 2 && now_ns() < end;) {
        const uint64_t now = __atomic_load_n(&v->now, __ATOMIC_RELAXED);
        looks += now != seen;
        seen = now;
    }
}

/* What it waited is complete while it runs; and it does if its clock goes on before this is read, and went on all the
 * while. The second is asked around the wall clock, so no moment is missing from a thread that ran throughout; alone it
 * would take one that begins to run when all is read for one that ran. */
static void read_waits(const struct run *u, unsigned i, struct fair_count *c)
{
    const struct fair_vcpu *v = guest_vcpu(u, i);
    const uint64_t before = clock_ns(u->thread[i].clock), start = now_ns();

    const bool runs = clock_ns(u->thread[i].clock) != before;
    if (runs) await_looks(v);
    c->delay = run_delay(&u->thread[i]);
    c->steal = __atomic_load_n(&v->steal, __ATOMIC_RELAXED);
    const double lost = (double)__atomic_load_n(&v->lost, __ATOMIC_RELAXED) / u->r->ticks_per_ns;
    c->lost = lost < 0x1p63 ? (uint64_t)lost : INT64_MAX;
    const uint64_t elapsed = now_ns() - start;
    c->is_running = runs && clock_ns(u->thread[i].clock) - before >= elapsed;
}

static void read_all(const struct run *u, struct fair_count *c)
{
    for (unsigned i = 0; i < u->p->vcpu_count; i++) {
        c[i].charged = clock_ns(u->thread[i].clock);
        c[i].progress = __atomic_load_n(&guest_vcpu(u, i)->progress, __ATOMIC_RELAXED);
    }
    for (unsigned i = 0; i < u->p->vcpu_count; i++) read_waits(u, i, &c[i]);
    if (!u->is_aside && u->p->vm_count == 1) c[newest(u)].is_running = true;
}

static void sample(const struct run *u, unsigned at)
{
    struct fair_count *c = &u->r->count[at * u->r->vcpus];

    for (int i = 0; i < TIGHT_TRIES; i++) {
        u->r->at[at] = now_ns();
        read_all(u, c);
        if (now_ns() - u->r->at[at] < TIGHT_NS) return;
    }
    for (unsigned i = 0; i < u->p->vcpu_count; i++) c[i].is_running = false; /* what they waited is of another moment */
}

static int pause_all(const struct run *u, struct err *e)
{
    const uint64_t start = now_ns();
    int rc = 0;

    for (unsigned i = 0; i < u->p->vm_count && !rc; i++) rc = machine_pause(u->vm[i].machine);
    if (!rc) rc = wait_until(u, start + u->p->pause_ns);
    u->r->paused_ns = now_ns() - start;
    for (unsigned i = 0; i < u->p->vm_count && !rc; i++) rc = machine_resume(u->vm[i].machine);
    return rc == -ESRCH ? err_set(e, rc, "the guest ended before it could be paused") : rc;
}

static int take_samples(struct run *u, struct err *e)
{
    uint64_t next = now_ns();
    int rc = 0;

    for (unsigned i = 0; i < u->r->samples && !rc; i++) {
        if (u->p->pause_ns && i == u->r->samples / 2) {
            rc = pause_all(u, e);
            u->r->pause_sample = i;
            next += u->r->paused_ns;
        }
        if (!rc) rc = wait_until(u, next);
        if (!rc) sample(u, i);
        next += FAIR_BASE_NS;
    }
    return rc ? rc : check_alive(u, e);
}

/* Histograms begin with the first sample: what they held then is taken off. */
static void read_guests(const struct run *u, bool is_end)
{
    for (unsigned i = 0; i < u->p->vcpu_count; i++) {
        struct fair_vcpu *v = guest_vcpu(u, i);
        struct fair_guest *g = &u->r->guest[i];
        if (!is_end) __atomic_store_n(&v->longest, 0, __ATOMIC_RELAXED);
        g->has_steal = v->has_steal;
        g->longest = __atomic_load_n(&v->longest, __ATOMIC_RELAXED);
        g->missed = v->missed - g->missed;
        for (unsigned b = 0; b < FAIR_BUCKETS; b++) {
            g->gap[b] = v->gap[b] - g->gap[b];
            g->late[b] = v->late[b] - g->late[b];
        }
    }
}

static uint64_t vcpus_charged(const struct run *u)
{
    uint64_t sum = 0;
    for (unsigned i = 0; i < u->p->vcpu_count; i++) sum += clock_ns(u->thread[i].clock);
    return sum;
}

/* What this process's other threads were charged that may run on the plan's CPUs: this one, and I/O threads. */
static uint64_t others_charged(const struct run *u)
{
    const uint64_t others = clock_ns(CLOCK_PROCESS_CPUTIME_ID) - vcpus_charged(u);
    if (!u->is_aside) return others;
    if (!u->p->vm[0].has_io || u->p->vm[0].io_cpu != u->p->cpu[0]) return 0;
    return others - clock_ns(CLOCK_THREAD_CPUTIME_ID);
}

static int measure(struct run *u, struct err *e)
{
    struct groups_throttled stopped, stopped_then;
    struct fair_cpu_time before, after;
    groups_throttled_here(&stopped);
    int rc = fair_cpu_time(u->p, &before);
    if (rc) return err_set(e, rc, "/proc/stat: %s", strerrordesc_np(-rc));
    const uint64_t others = others_charged(u);

    read_guests(u, false);
    rc = take_samples(u, e);
    if (rc) return rc;
    read_guests(u, true);
    u->r->vmm_ns = others_charged(u) - others;
    (void)fair_cpu_time(u->p, &after);
    groups_throttled_here(&stopped_then);
    u->r->throttled = stopped_then.times - stopped.times;
    u->r->host = (struct fair_cpu_time){after.busy - before.busy, after.idle - before.idle, after.steal - before.steal};
    return 0;
}

/* This thread samples from the CPUs that the experiment leaves, where there are some. */
static void stand_aside(struct run *u)
{
    cpu_set_t rest;
    CPU_ZERO(&u->home);
    (void)sched_getaffinity(0, sizeof(u->home), &u->home);
    rest = u->home;
    for (unsigned i = 0; i < u->p->cpu_count; i++) CPU_CLR(u->p->cpu[i], &rest);
    u->is_aside = CPU_COUNT(&rest) && sched_setaffinity(0, sizeof(rest), &rest) == 0;
}

static int go_through(struct run *u, struct err *e)
{
    int rc = 0;
    for (unsigned i = 0; i < u->p->vm_count && !rc; i++) rc = create(u, i, e);
    for (unsigned i = 0; i < u->p->vm_count && !rc; i++) rc = machine_start(u->vm[i].machine, e);
    if (!rc) rc = wait_ready(u, e);
    if (!rc) rc = open_threads(u, e);
    if (!rc) rc = begin(u, e);
    if (!rc) rc = wait_until(u, now_ns() + SETTLE_NS);
    return rc ? rc : measure(u, e);
}

int fair_run(const struct fair_options *o, const struct fair_plan *p, const struct bench_sink *sink,
             struct fair_record *out, struct err *e)
{
    struct run u = {.o = o, .p = p, .sink = sink, .r = out};
    struct ending end;
    int rc = fair_record_alloc(out, (unsigned)(o->duration_ns / FAIR_BASE_NS) + 1, p->vcpu_count);

    if (rc) return err_set(e, rc, "no memory for a record");
    for (unsigned i = 0, first = 0; i < p->vm_count; first += p->vm[i++].vcpus) u.vm[i].first = first;
    for (unsigned i = 0; i < FAIR_THREADS; i++) u.thread[i].stat_fd = -1;
    out->tick_ns = fair_tick_ns();
    counter_init(&u.counter);
    stand_aside(&u);
    rc = go_through(&u, e);
    for (unsigned i = 0; i < p->vm_count; i++) {
        if (!u.vm[i].machine) continue;
        machine_end(u.vm[i].machine, END_STOPPED, "measured");
        (void)machine_wait(u.vm[i].machine, END_MS, &end);
    }
    for (unsigned i = 0; i < FAIR_THREADS; i++)
        if (u.thread[i].stat_fd >= 0) close(u.thread[i].stat_fd);
    for (unsigned i = 0; i < p->vm_count; i++) machine_destroy(u.vm[i].machine);
    (void)sched_setaffinity(0, sizeof(u.home), &u.home);
    return rc;
}

int fair_record_alloc(struct fair_record *r, unsigned samples, unsigned vcpus)
{
    *r = (struct fair_record){.samples = samples, .vcpus = vcpus};
    r->at = calloc(samples, sizeof(*r->at));
    r->count = calloc((size_t)samples * vcpus, sizeof(*r->count));
    return r->at && r->count ? 0 : -ENOMEM;
}

void fair_record_free(struct fair_record *r)
{
    free(r->at);
    free(r->count);
    r->at = NULL;
    r->count = NULL;
}
