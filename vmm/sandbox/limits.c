/* Deadlines of a task, by timers of the kernel's that send the kick signal to the thread that runs it. Once due they
 * send it every millisecond: a signal that comes just before KVM_RUN changes nothing, the next one does. A task without
 * deadlines makes no timer.
 *
 * CPU time is counted over all tasks of the program, each by the clock of its thread. A task that runs alone looks when
 * the limit is due. Of several each looks after its share of what is left, and after STEP_NS at the latest, since
 * others may use more than theirs: so they go beyond the limit by that much each at most. */
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "vmm/sandbox/struct_sandbox.h"

#define NS_PER_S  1000000000ull
#define REPEAT_NS 1000000l
#define STEP_NS   10000000ull

uint64_t thread_cpu_ns(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (uint64_t)t.tv_sec * NS_PER_S + (uint64_t)t.tv_nsec;
}

static void drop_timers(struct task *t)
{
    if (!t->timers_tid) return;
    (void)timer_delete(t->wall);
    (void)timer_delete(t->cpu);
    t->timers_tid = 0;
}

static int make_timers(struct task *t, int tid)
{
    struct sigevent event = {.sigev_notify = SIGEV_THREAD_ID, .sigev_signo = SIGURG};
    event._sigev_un._tid = tid;
    if (t->timers_tid == tid) return 0;
    drop_timers(t);
    if (timer_create(CLOCK_MONOTONIC, &event, &t->wall)) return -errno;
    if (timer_create(CLOCK_THREAD_CPUTIME_ID, &event, &t->cpu)) {
        const int rc = -errno;
        (void)timer_delete(t->wall);
        return rc;
    }
    t->timers_tid = tid;
    return 0;
}

static void arm(timer_t timer, uint64_t at_ns)
{
    const struct itimerspec when = {{0, REPEAT_NS}, {(time_t)(at_ns / NS_PER_S), (long)(at_ns % NS_PER_S)}};
    (void)timer_settime(timer, TIMER_ABSTIME, &when, NULL);
}

/* CPU time of another thread of ours: the clock's number is its kind and the thread's (clock_getcpuclockid(3)). */
static uint64_t cpu_of(int tid)
{
    struct timespec t = {0};
    (void)clock_gettime((clockid_t)(~(unsigned)tid << 3 | 6u), &t);
    return (uint64_t)t.tv_sec * NS_PER_S + (uint64_t)t.tv_nsec;
}

/* What each has used until now is before the limit. */
static void begin_cpu(struct sandbox *s, uint64_t cpu_ns)
{
    (void)pthread_mutex_lock(&s->lock);
    s->cpu_ended_ns = 0;
    s->main.cpu_base_ns = thread_cpu_ns();
    for (struct task *t = s->children; t; t = t->next) {
        const int tid = atomic_load(&t->tid);
        if (tid) t->cpu_base_ns = cpu_of(tid);
    }
    s->cpu_limit_ns = cpu_ns ? cpu_ns : UINT64_MAX;
    (void)pthread_mutex_unlock(&s->lock);
}

static uint64_t used_by(const struct task *t)
{
    const int tid = atomic_load(&t->tid);
    return tid ? cpu_of(tid) - t->cpu_base_ns : 0;
}

bool limits_is_cpu_used(struct task *t)
{
    struct sandbox *s = t->sandbox;
    const uint64_t limit = s->cpu_limit_ns;
    if (limit == UINT64_MAX) return false;
    (void)pthread_mutex_lock(&s->lock);
    const unsigned others = s->running;
    uint64_t used = s->cpu_ended_ns + used_by(&s->main);
    for (const struct task *c = s->children; c; c = c->next) used += used_by(c);
    (void)pthread_mutex_unlock(&s->lock);
    uint64_t step = used < limit ? (limit - used) / (others + 1) : 0;
    if (others && step > STEP_NS) step = STEP_NS;
    if (t->timers_tid) arm(t->cpu, thread_cpu_ns() + (step > REPEAT_NS ? step : REPEAT_NS));
    return used >= limit;
}

int limits_begin(struct task *t, uint64_t wall_ns, uint64_t cpu_ns, struct err *e)
{
    struct sandbox *s = t->sandbox;
    const uint64_t now = wall_ns ? process_clock() : 0;
    s->deadline = wall_ns && wall_ns < UINT64_MAX - now ? now + wall_ns : UINT64_MAX;
    process_set_deadline(t->process, s->deadline);
    if (cpu_ns || s->cpu_limit_ns != UINT64_MAX) begin_cpu(s, cpu_ns);
    if (s->deadline == UINT64_MAX && s->cpu_limit_ns == UINT64_MAX) return 0;
    const int rc = make_timers(t, atomic_load(&t->tid));
    if (rc) {
        err_set(e, rc, "sandbox: no timer for its deadline: %s", strerrordesc_np(-rc));
        err_as(e, ERR_HOST);
        return rc;
    }
    if (s->deadline != UINT64_MAX) arm(t->wall, s->deadline);
    (void)limits_is_cpu_used(t);
    return 0;
}

int limits_begin_child(struct task *t, struct err *e)
{
    struct sandbox *s = t->sandbox;
    if (s->deadline == UINT64_MAX && s->cpu_limit_ns == UINT64_MAX) return 0;
    const int rc = make_timers(t, atomic_load(&t->tid));
    if (rc) return err_set(e, rc, "sandbox: no timer for a forked process");
    if (s->deadline != UINT64_MAX) arm(t->wall, s->deadline);
    (void)limits_is_cpu_used(t);
    return 0;
}

void limits_end(struct task *t)
{
    const struct itimerspec never = {{0, 0}, {0, 0}};
    struct sandbox *s = t->sandbox;
    if (t->timers_tid && s->deadline != UINT64_MAX) (void)timer_settime(t->wall, 0, &never, NULL);
    if (t->timers_tid && s->cpu_limit_ns != UINT64_MAX) (void)timer_settime(t->cpu, 0, &never, NULL);
}

void limits_close(struct task *t)
{
    drop_timers(t);
}
