#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "bench/fair/run.h"
#include "vmm/base/clock.h"
#include "vmm/base/groups.h"

#define TIGHT_NS    500000u /* samples of all vCPUs are read in less, or read again */
#define TIGHT_TRIES 3
#define LOOKS_NS    200000u /* two looks: a guest whose code is emulated takes some 50 us a loop */

/* ---- one sample ---- */

static uint64_t run_delay(const struct run_vcpu *v)
{
    unsigned long long charged, delay;
    char text[80];
    const ssize_t n = pread(v->stat_fd, text, sizeof(text) - 1, 0);
    text[n > 0 ? n : 0] = '\0';
    return sscanf(text, "%llu %llu", &charged, &delay) == 2 ? delay : 0;
}

/* The vCPU whose guest looked at its counter last, if that was just now: it runs, or did until this thread took its
 * CPU. Half a tick ago others may have taken it. Of one VM only: guests of two need not have the same counter. -1:
 * none. */
static int newest(const struct run *u)
{
    unsigned best = 0;
    uint64_t most = 0;
    for (unsigned i = 0; i < u->p->vcpu_count; i++) {
        const uint64_t now = run_look(&u->vcpu[i].guest->now);
        if (now <= most) continue;
        most = now;
        best = i;
    }
    const double age = (double)(now_ns() - u->clock_ns) - ((double)most - (double)u->clock_ticks) / u->r->ticks_per_ns;
    return age < (double)u->r->tick_ns / 2 ? (int)best : -1;
}

/* A guest tells what was stolen from it when it looks at its counter, so after the second look from now it has told
 * everything. It may just have been switched away, so this doesn't wait for ever. */
static void await_looks(const struct fair_vcpu *v)
{
    const uint64_t end = now_ns() + LOOKS_NS;
    uint64_t seen = run_look(&v->now);
    for (unsigned looks = 0; looks < 2 && now_ns() < end;) {
        const uint64_t now = run_look(&v->now);
        looks += now != seen;
        seen = now;
    }
}

/* What a thread waited is complete while it runs. It runs if its clock goes on before this is read, and went on all the
 * while. The second is asked around the wall clock, so that a thread that ran throughout misses no moment; asked alone,
 * it would take a thread that begins to run at the end for one that ran. */
static void read_waits(const struct run *u, unsigned i, struct fair_count *c)
{
    const struct run_vcpu *v = &u->vcpu[i];
    const uint64_t before = clock_ns(v->clock), start = now_ns();

    const bool runs = clock_ns(v->clock) != before;
    if (runs) await_looks(v->guest);
    /* What the guest lost is read first: a wait that ends in between is then not taken for a CPU that stood still. */
    const double lost = (double)run_look(&v->guest->lost) / u->r->ticks_per_ns;
    c->lost = lost < 0x1p63 ? (uint64_t)lost : INT64_MAX;
    c->delay = run_delay(v);
    c->steal = run_look(&v->guest->steal);
    const uint64_t elapsed = now_ns() - start;
    c->is_running = runs && clock_ns(v->clock) - before >= elapsed;
}

/* Returns how long it took to read what the vCPUs had been charged, ns. */
static uint64_t read_all(const struct run *u, struct fair_count *c)
{
    const uint64_t start = now_ns();
    const int last = newest(u); /* before this thread has done anything else */

    for (unsigned i = 0; i < u->p->vcpu_count; i++) {
        c[i].charged = clock_ns(u->vcpu[i].clock);
        c[i].progress = run_look(&u->vcpu[i].guest->progress);
    }
    const uint64_t width = now_ns() - start;
    for (unsigned i = 0; i < u->p->vcpu_count; i++) read_waits(u, i, &c[i]);
    if (!u->is_aside && u->p->vm_count == 1 && last >= 0) c[last].is_running = true;
    return width;
}

static void sample(const struct run *u, unsigned at)
{
    struct fair_count *c = &u->r->count[at * u->r->vcpus];

    for (int i = 0; i < TIGHT_TRIES; i++) {
        u->r->at[at] = now_ns();
        u->r->width[at] = read_all(u, c);
        if (now_ns() - u->r->at[at] < TIGHT_NS) return;
    }
    for (unsigned i = 0; i < u->p->vcpu_count; i++) c[i].is_running = false; /* what they waited is of another moment */
}

/* ---- all samples ---- */

static int pause_all(const struct run *u, struct err *e)
{
    const uint64_t start = now_ns();
    int rc = 0;

    for (unsigned i = 0; i < u->p->vm_count && !rc; i++) rc = machine_pause(u->vm[i].machine);
    u->r->pausing_ns = now_ns() - start;
    if (!rc) rc = run_wait_until(u, start + u->p->pause_ns);
    const uint64_t end = now_ns();
    u->r->paused_ns = end - start;
    for (unsigned i = 0; i < u->p->vm_count && !rc; i++) rc = machine_resume(u->vm[i].machine);
    u->r->pausing_ns += now_ns() - end;
    return rc == -ESRCH ? err_set(e, rc, "the guest ended before it could be paused") : rc;
}

static int take_samples(const struct run *u, struct err *e)
{
    uint64_t next = now_ns();
    int rc = 0;

    for (unsigned i = 0; i < u->r->samples && !rc; i++) {
        if (u->p->pause_ns && i == u->r->samples / 2) {
            rc = pause_all(u, e);
            u->r->pause_sample = i;
            next += u->r->paused_ns;
        }
        if (!rc) rc = run_wait_until(u, next);
        if (!rc) sample(u, i);
        next += FAIR_BASE_NS;
    }
    return rc ? rc : run_check_alive(u, e);
}

/* ---- what changes from the first sample to the last ---- */

/* Called before the first sample and after the last: what the guest's histograms held then is taken off. */
static void read_guest(const struct run *u, unsigned i, bool is_end)
{
    struct fair_vcpu *v = u->vcpu[i].guest;
    struct fair_guest *g = &u->r->guest[i];

    if (!is_end) __atomic_store_n(&v->longest, 0, __ATOMIC_RELAXED);
    g->has_steal = v->has_steal;
    g->longest = run_look(&v->longest);
    g->missed = v->missed - g->missed;
    for (unsigned b = 0; b < FAIR_BUCKETS; b++) {
        g->gap[b] = v->gap[b] - g->gap[b];
        g->late[b] = v->late[b] - g->late[b];
    }
}

/* What this process's threads other than vCPUs were charged, of those that may run on the plan's CPUs: this one, and
 * I/O threads. */
static uint64_t charged_to_others(const struct run *u)
{
    uint64_t others = clock_ns(CLOCK_PROCESS_CPUTIME_ID);
    for (unsigned i = 0; i < u->p->vcpu_count; i++) others -= clock_ns(u->vcpu[i].clock);
    if (!u->is_aside) return others;
    if (!u->p->vm[0].has_io || u->p->vm[0].io_cpu != u->p->cpu[0]) return 0;
    return others - clock_ns(CLOCK_THREAD_CPUTIME_ID);
}

/* How the threads were scheduled, and what of that was changed since the first sample. */
static void read_causes(const struct run *u, bool is_end)
{
    for (unsigned i = 0; i < u->p->vcpu_count; i++) {
        struct cause *c = &u->r->cause[i], start = *c;
        char name[32], text[CAUSE_TEXT];
        (void)cause_read(u->vcpu[i].tid, c);
        if (!is_end) continue;
        cause_since(c, &start);
        (void)cause_changed(fair_name(u->p, i, name), &start, c, text);
        (void)snprintf(u->r->cause_changed[i], FAIR_TEXT, "%.*s", FAIR_TEXT - 1, text);
    }
}

int run_sample(const struct run *u, struct err *e)
{
    struct groups_throttled stopped, stopped_then;
    struct fair_cpu_time before, after;
    groups_throttled_here(&stopped);
    int rc = fair_cpu_time(u->p, &before);
    if (rc) return err_set(e, rc, "/proc/stat: %s", strerrordesc_np(-rc));
    const uint64_t others = charged_to_others(u);

    read_causes(u, false);
    for (unsigned i = 0; i < u->p->vcpu_count; i++) read_guest(u, i, false);
    rc = take_samples(u, e);
    if (rc) return rc;
    for (unsigned i = 0; i < u->p->vcpu_count; i++) read_guest(u, i, true);
    u->r->vmm_ns = charged_to_others(u) - others;
    (void)fair_cpu_time(u->p, &after);
    groups_throttled_here(&stopped_then);
    u->r->throttled = stopped_then.times - stopped.times;
    u->r->throttled_ns = stopped_then.ns - stopped.ns;
    u->r->host = (struct fair_cpu_time){after.busy - before.busy, after.idle - before.idle, after.steal - before.steal,
                                        after.irq - before.irq};
    read_causes(u, true);
    return 0;
}
