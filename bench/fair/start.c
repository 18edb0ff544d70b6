#include <errno.h>
#include <fcntl.h>
#include <stdio.h>

#include "bench/fair/run.h"
#include "vmm/base/clock.h"
#include "vmm/base/fd.h"

#define READY_MS       20000        /* until the last vCPU arrives, on an emulated host */
#define SETTLE_NS      300000000ull /* in which the counter's rate shows, where nobody tells it */
#define GAP_NS         400000u      /* the shortest gap that counts: below every slice, above a host's interrupts */
#define MARGIN_PART    8u           /* of a tick, which the dodger sleeps before and after it */
#define HOLD_PERIOD_NS 500000000ull /* many rounds lie between two sleeps, so that nothing is caught up */
#define FRESH_NS       5000u        /* a guest's look at its counter that is so old tells its clock well enough */
#define FRESH_TRY_NS   300000000ull
#define TICKS_SEEN     8
#define RATE_MIN       1e-3 /* ticks a ns, which is 1 MHz; */
#define RATE_MAX       1e2  /* 100 GHz. No processor's counter is beyond these */

/* ---- all are there ---- */

static bool is_held_back(const struct run *u, unsigned i)
{
    return fair_is_held_back(u->o, u->p, i);
}

static bool has_to_sleep(const struct run *u, unsigned i)
{
    const enum fair_work work = u->p->vcpu[i].work;
    return work == FAIR_INTERACTIVE || work == FAIR_DODGE || work == FAIR_HALT || is_held_back(u, i);
}

static int wait_ready(const struct run *u, unsigned i, uint64_t end, struct err *e)
{
    const struct fair_vcpu *v = u->vcpu[i].guest;

    while (!__atomic_load_n(&v->is_ready, __ATOMIC_ACQUIRE)) {
        int rc = run_check_alive(u, e);
        if (!rc) rc = run_wait_until(u, now_ns() + 1000000);
        if (rc) return rc;
        if (now_ns() > end)
            return err_set(e, -ETIMEDOUT,
                           "vCPU %u did not arrive within %d s: its guest hangs, or this host is far too busy", i,
                           READY_MS / 1000);
    }
    if (v->can_sleep || !has_to_sleep(u, i)) return 0;
    return err_set(e, -ENOTSUP, "vCPU %u is to sleep, which this guest can't do on this processor", i);
}

static int open_thread(struct run *u, unsigned i, struct err *e)
{
    const struct run_vm *vm = &u->vm[u->p->vcpu[i].vm];
    struct run_vcpu *v = &u->vcpu[i];
    struct machine_thread t;
    char path[64];

    if (!machine_thread(vm->machine, i - vm->first, &t) || t.kind != MACHINE_THREAD_VCPU)
        return err_set(e, -ESRCH, "vCPU %u has no thread", i);
    v->tid = t.tid;
    v->clock = clock_of_thread(t.tid);
    (void)snprintf(path, sizeof(path), "/proc/self/task/%d/schedstat", t.tid);
    v->stat_fd = fd_own(open(path, O_RDONLY | O_CLOEXEC));
    if (v->stat_fd < 0) return err_errno(e, "run delay of vCPU %u: open %s", i, path);
    if (i == 0) u->r->slice_ns = fair_slice_ns(t.tid, u->p->vcpu_count, u->r->slice_source);
    return 0;
}

/* ---- the guests' clock ---- */

/* Find a moment of both clocks, from the freshest look at its counter that the first vCPU can be caught at. */
static void see_clock(const struct run *u, uint64_t *ns, uint64_t *ticks)
{
    const uint64_t *now = &u->vcpu[0].guest->now, start = now_ns();
    uint64_t before = start, last = run_look(now), best = UINT64_MAX;

    *ns = start;
    *ticks = last;
    while (before - start < FRESH_TRY_NS && best > FRESH_NS) {
        const uint64_t seen = run_look(now), after = now_ns();
        if (seen != last && after - before < best) {
            best = after - before;
            *ns = after;
            *ticks = seen;
        }
        last = seen;
        before = after;
    }
}

/* When ticks come, as a remainder of the tick's length. A tick sets the coarse clock when its interrupt is served, a
 * little late, so the least of several is the nearest. */
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

/* Where the host doesn't trust the counter, what the guest sees of it in a while must do. */
static int find_rate(const struct run *u, uint64_t ns, uint64_t ticks, struct err *e)
{
    double *rate = &u->r->ticks_per_ns;

    if (!u->counter.is_clock) {
        *rate = counter_hz(&u->counter) / 1e9;
    } else {
        uint64_t later_ns, later_ticks;
        const int rc = run_wait_until(u, ns + SETTLE_NS);
        if (rc) return rc;
        see_clock(u, &later_ns, &later_ticks);
        *rate = later_ns > ns ? (double)(later_ticks - ticks) / (double)(later_ns - ns) : 1;
    }
    if (*rate > RATE_MIN && *rate < RATE_MAX) return 0;
    return err_set(e, -ENOTSUP,
                   "the guest's counter goes at %.3g ticks a ns, which is no rate of one; use a host whose clock "
                   "source is the processor's counter",
                   *rate);
}

/* ---- all begin ---- */

static void give_work(const struct run *u, unsigned i, uint64_t phase_ticks)
{
    const struct fair_vcpu_plan *plan = &u->p->vcpu[i];
    const double rate = u->r->ticks_per_ns;
    struct fair_vcpu *v = u->vcpu[i].guest;

    v->period = (uint64_t)((double)(plan->work == FAIR_DODGE ? u->r->tick_ns : plan->period_ns) * rate);
    v->busy = (uint64_t)((double)plan->busy_ns * rate);
    v->margin = v->period / MARGIN_PART;
    v->phase = phase_ticks;
    v->hold_period = (uint64_t)((double)HOLD_PERIOD_NS * rate);
    if (!is_held_back(u, i)) return;
    v->hold = v->hold_period * u->o->hold_percent / 100;
    v->waste_permille = u->o->hold_percent * 10;
}

int run_begin(struct run *u, struct err *e)
{
    const uint64_t end = now_ns() + READY_MS * 1000000ull;
    uint64_t ns, ticks;
    int rc = 0;

    for (unsigned i = 0; i < u->p->vcpu_count && !rc; i++) rc = wait_ready(u, i, end, e);
    for (unsigned i = 0; i < u->p->vcpu_count && !rc; i++) rc = open_thread(u, i, e);
    if (rc) return rc;
    see_clock(u, &ns, &ticks);
    u->clock_ns = ns;
    u->clock_ticks = ticks;
    rc = find_rate(u, ns, ticks, e);
    if (rc) return rc;
    const uint64_t since_tick = (ns - tick_phase(u->r->tick_ns)) % u->r->tick_ns;
    const uint64_t phase = ticks - (uint64_t)((double)since_tick * u->r->ticks_per_ns);
    for (unsigned i = 0; i < u->p->vcpu_count; i++) give_work(u, i, phase);
    for (unsigned i = 0; i < u->p->vm_count; i++) {
        struct fair_page *page = u->vm[i].page;
        __atomic_store_n(&page->gap_min, (uint64_t)(GAP_NS * u->r->ticks_per_ns), __ATOMIC_RELAXED);
        __atomic_store_n(&page->go, 1, __ATOMIC_RELEASE);
    }
    return 0;
}
