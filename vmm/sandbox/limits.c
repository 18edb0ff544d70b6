/* Deadlines of a task, by timers of the kernel's that send the kick signal to the thread that runs it. Once due they
 * send it every millisecond: a signal that comes just before KVM_RUN changes nothing, the next one does. A task without
 * deadlines makes no timer. */
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "vmm/sandbox/struct_sandbox.h"

#define NS_PER_S  1000000000ull
#define REPEAT_NS 1000000l

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

int limits_begin(struct task *t, uint64_t wall_ns, uint64_t cpu_ns, struct err *e)
{
    struct sandbox *s = t->sandbox;
    const uint64_t now = wall_ns ? process_clock() : 0;
    s->deadline = wall_ns && wall_ns < UINT64_MAX - now ? now + wall_ns : UINT64_MAX;
    t->cpu_limit_ns = UINT64_MAX;
    process_set_deadline(t->process, s->deadline);
    if (cpu_ns) { /* a reading of that clock is a system call */
        const uint64_t used = thread_cpu_ns();
        if (cpu_ns < UINT64_MAX - used) t->cpu_limit_ns = used + cpu_ns;
    }
    if (s->deadline == UINT64_MAX && t->cpu_limit_ns == UINT64_MAX) return 0;
    const int rc = make_timers(t, atomic_load(&t->tid));
    if (rc) {
        err_set(e, rc, "sandbox: no timer for its deadline: %s", strerrordesc_np(-rc));
        err_as(e, ERR_HOST);
        return rc;
    }
    if (s->deadline != UINT64_MAX) arm(t->wall, s->deadline);
    if (t->cpu_limit_ns != UINT64_MAX) arm(t->cpu, t->cpu_limit_ns);
    return 0;
}

uint64_t limits_left_of_cpu(const struct task *t)
{
    if (t->cpu_limit_ns == UINT64_MAX) return UINT64_MAX;
    const uint64_t used = thread_cpu_ns();
    return used < t->cpu_limit_ns ? t->cpu_limit_ns - used : 0;
}

int limits_begin_child(struct task *t, struct err *e)
{
    struct sandbox *s = t->sandbox;
    const bool has_cpu_limit = t->cpu_limit_ns != UINT64_MAX;
    if (has_cpu_limit) t->cpu_limit_ns += thread_cpu_ns();
    if (s->deadline == UINT64_MAX && !has_cpu_limit) return 0;
    const int rc = make_timers(t, atomic_load(&t->tid));
    if (rc) return err_set(e, rc, "sandbox: no timer for a forked process");
    if (s->deadline != UINT64_MAX) arm(t->wall, s->deadline);
    if (has_cpu_limit) arm(t->cpu, t->cpu_limit_ns);
    return 0;
}

void limits_end(struct task *t)
{
    const struct itimerspec never = {{0, 0}, {0, 0}};
    struct sandbox *s = t->sandbox;
    if (t->timers_tid && s->deadline != UINT64_MAX) (void)timer_settime(t->wall, 0, &never, NULL);
    if (t->timers_tid && t->cpu_limit_ns != UINT64_MAX) (void)timer_settime(t->cpu, 0, &never, NULL);
}

void limits_close(struct task *t)
{
    drop_timers(t);
}
