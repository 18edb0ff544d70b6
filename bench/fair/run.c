/* A plan becomes machines, their threads are sampled while they run, and a record remains. */
#include "bench/fair/run.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <unistd.h>

#include "vmm/base/clock.h"

#define SETTLE_NS 300000000ull /* from the vCPUs' beginning to the first sample: several rounds of eight of them */
#define END_MS    10000
#define PIECE_NS  200000000ull /* of a wait, after which a stop is seen */

int run_wait_until(const struct run *u, uint64_t at)
{
    for (uint64_t now = now_ns(); now < at; now = now_ns()) {
        const uint64_t next = at - now > PIECE_NS ? now + PIECE_NS : at;
        const struct timespec t = {(time_t)(next / 1000000000u), (long)(next % 1000000000u)};
        if (u->sink->is_stopped && atomic_load_explicit(u->sink->is_stopped, memory_order_relaxed)) return -ECANCELED;
        (void)clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &t, NULL);
    }
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
    int rc = run_make_machines(u, e);
    for (unsigned i = 0; i < u->p->vm_count && !rc; i++) rc = machine_start(u->vm[i].machine, e);
    if (!rc) rc = run_begin(u, e);
    if (!rc) rc = run_wait_until(u, now_ns() + SETTLE_NS);
    return rc ? rc : run_sample(u, e);
}

/* All are asked to end before the first is waited for. */
static void end_machines(struct run *u)
{
    struct ending end;
    for (unsigned i = 0; i < u->p->vm_count; i++)
        if (u->vm[i].machine) machine_end(u->vm[i].machine, END_STOPPED, "measured");
    for (unsigned i = 0; i < u->p->vm_count; i++)
        if (u->vm[i].machine) (void)machine_wait(u->vm[i].machine, END_MS, &end);
    for (unsigned i = 0; i < FAIR_THREADS; i++)
        if (u->vcpu[i].stat_fd >= 0) close(u->vcpu[i].stat_fd);
    for (unsigned i = 0; i < u->p->vm_count; i++) machine_destroy(u->vm[i].machine);
}

int fair_run(const struct fair_options *o, const struct fair_plan *p, const struct bench_sink *sink,
             struct fair_record *out, struct err *e)
{
    struct run u = {.o = o, .p = p, .sink = sink, .r = out};
    int rc = fair_record_alloc(out, (unsigned)(o->duration_ns / FAIR_BASE_NS) + 1, p->vcpu_count);

    if (rc) return err_set(e, rc, "no memory for a record");
    for (unsigned i = 0; i < FAIR_THREADS; i++) u.vcpu[i].stat_fd = -1;
    out->tick_ns = fair_tick_ns();
    counter_init(&u.counter);
    stand_aside(&u);
    rc = go_through(&u, e);
    end_machines(&u);
    (void)sched_setaffinity(0, sizeof(u.home), &u.home);
    return rc;
}

int fair_record_alloc(struct fair_record *r, unsigned samples, unsigned vcpus)
{
    *r = (struct fair_record){.samples = samples, .vcpus = vcpus};
    r->at = calloc(samples, sizeof(*r->at));
    r->width = calloc(samples, sizeof(*r->width));
    r->count = calloc((size_t)samples * vcpus, sizeof(*r->count));
    return r->at && r->width && r->count ? 0 : -ENOMEM;
}

void fair_record_free(struct fair_record *r)
{
    free(r->at);
    free(r->width);
    free(r->count);
    r->at = r->width = NULL;
    r->count = NULL;
}
