/* Start, pause, resume, stop, wait, and the one way in which a machine ends. The first to report an end decides how it
 * ended. Then every vCPU is called out of the guest, the last one to go makes the event fd readable, and only the
 * control thread joins. */
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "vmm/base/clock.h"
#include "vmm/base/concat.h"
#include "vmm/base/fd.h"
#include "vmm/base/thread.h"
#include "vmm/machine/lab.h"
#include "vmm/machine/state.h"

/* How long the threads of a machine that is over have for their last steps. No device's host side holds these up. A
 * slower thread, as on a host with far too much to do, is joined by machine_destroy. */
#define JOIN_MS 1000

/* How often vCPUs that were called are called again, and how long a pause waits for one that does not come because it
 * resets a disk whose file does not answer. */
#define REMIND_MS 50
#define PAUSE_MS  5000
#define NS_PER_MS UINT64_C(1000000)
/* While a machine without an I/O thread is waited for, somebody looks after it this often. */
#define LOOK_MS 1000

/* Lock held. Each milestone that the host can mark has a place. */
static void mark(struct machine *m, const char *name)
{
    if (m->milestone_count == MACHINE_MILESTONES) return;
    struct machine_milestone *s = &m->milestone[m->milestone_count++];
    concat(s->name, sizeof(s->name), name);
    s->ns = now_ns();
}

void life_mark(struct machine *m, const char *name)
{
    pthread_mutex_lock(&m->lock);
    mark(m, name);
    pthread_mutex_unlock(&m->lock);
}

/* The guest's milestones have places of their own, so however many it marks, none pushes out one of the host's. */
void life_guest_mark(struct machine *m, uint32_t value)
{
    char name[MACHINE_MILESTONE_NAME] = "guest ";
    concat_number(name, sizeof(name), value);
    pthread_mutex_lock(&m->lock);
    const bool is_first_lost = m->guest_marks++ == MACHINE_GUEST_MILESTONES;
    if (m->guest_marks <= MACHINE_GUEST_MILESTONES)
        mark(m, name);
    else
        m->guest_marks = MACHINE_GUEST_MILESTONES + 1;
    pthread_mutex_unlock(&m->lock);
    if (is_first_lost)
        log_write(m->log, LOG_WARN, "the guest marks more than %d milestones: \"%s\" and later ones are not kept",
                  MACHINE_GUEST_MILESTONES, name);
}

/* Lock held. The console keeps the time of its first character itself, so that output costs no lock. That milestone is
 * put in its place when somebody asks. */
static bool nth_milestone(const struct machine *m, unsigned index, struct machine_milestone *out)
{
    const uint64_t first_output = chario_first_output_ns(m->console);
    unsigned before = 0;
    while (before < m->milestone_count && m->milestone[before].ns <= first_output) before++;
    if (first_output && index == before) {
        *out = (struct machine_milestone){.name = "console", .ns = first_output};
        return true;
    }
    if (first_output && index > before) index--;
    if (index >= m->milestone_count) return false;
    *out = m->milestone[index];
    return true;
}

bool machine_milestone(struct machine *m, unsigned index, struct machine_milestone *out)
{
    pthread_mutex_lock(&m->lock);
    const bool is_there = nth_milestone(m, index, out);
    pthread_mutex_unlock(&m->lock);
    return is_there;
}

/* Lock held. Set our signal handler again first: the program may have removed it, and ignored signals are lost. */
static void kick_all(struct machine *m, enum runner_want want)
{
    (void)runner_mind_signal();
    for (unsigned i = 0; i < m->vcpu_count; i++) runner_kick(&m->runner[i], want);
}

/* Lock held. Somebody waits for vCPUs to come out of the guest: call those again that have not. */
static void remind(struct machine *m)
{
    const bool is_called = m->ending.reason != END_NONE || m->phase == MACHINE_PAUSED || atomic_load(&m->stop_asked);
    if (!is_called || m->live == 0) return;
    (void)runner_mind_signal();
    for (unsigned i = 0; i < m->vcpu_count; i++) runner_remind(&m->runner[i]);
}

/* Without the lock. The loop reminds vCPUs, for callers that only poll the event fd. */
static void set_reminder(struct machine *m)
{
    if (m->has_io) loop_timer_set(&m->loop, &m->reminder, REMIND_MS * NS_PER_MS);
}

/* Lock held. A step of the whole machine is told to the first vCPU's listener. */
static void tell_step(const struct machine *m, enum runner_step step, int vcpu, int value)
{
    const struct runner_trace *t = m->vcpu_count > 0 ? m->runner[0].trace : NULL;
    if (t) t->step(t->arg, step, vcpu, value);
}

/* Lock held. */
static void tell_over(struct machine *m)
{
    const uint64_t one = 1;
    m->phase = MACHINE_OVER;
    const ssize_t n = write(m->event_fd, &one, sizeof(one)); /* can't fail: written once */
    (void)n;
    pthread_cond_broadcast(&m->changed);
}

void life_end(struct machine *m, int vcpu, enum end_reason reason, uint32_t value, const char *detail)
{
    if (reason == END_NONE) { /* news that ends nothing: a crash kernel is loaded */
        log_write(m->log, LOG_INFO, "%s", detail);
        return;
    }
    bool is_news = false;
    pthread_mutex_lock(&m->lock);
    if (m->ending.reason == END_NONE) {
        is_news = true;
        m->ending.reason = reason;
        m->ending.value = value;
        m->ending.vcpu = vcpu;
        concat(m->ending.detail, sizeof(m->ending.detail), detail);
        mark(m, "ended");
        tell_step(m, RUNNER_ENDED, vcpu, (int)reason);
        if (m->phase == MACHINE_BUILT)
            tell_over(m); /* nothing runs: over at once */
        else
            kick_all(m, RUNNER_END);
        pthread_cond_broadcast(&m->changed);
    } else {
        remind(m);
    }
    pthread_mutex_unlock(&m->lock);
    if (is_news) set_reminder(m);
    if (is_news) slots_abandon(m);
    if (is_news) chario_hurry(m->console);
}

static int index_of(const struct machine *m, const struct runner *r)
{
    return (int)(r - m->runner);
}

static void on_runner_end(void *arg, struct runner *r, enum end_reason reason, uint32_t value, const char *detail)
{
    life_end(arg, index_of(arg, r), reason, value, detail);
}

static void on_runner_entered(void *arg, struct runner *r)
{
    threads_here(arg, index_of(arg, r));
    if (index_of(arg, r) == 0) life_mark(arg, "entered");
}

static void on_runner_halt(void *arg, struct runner *r)
{
    struct machine *m = arg;
    pthread_mutex_lock(&m->lock);
    r->is_halted = true;
    runner_tell(r, RUNNER_HALTED, 0);
    pthread_cond_broadcast(&m->changed);
    while (atomic_load_explicit(&r->want, memory_order_relaxed) == RUNNER_PAUSE && !atomic_load(&m->stop_asked)) {
        pthread_mutex_unlock(&m->lock);
        (void)sem_wait(&r->resume); /* not the condition, which a signal handler can't signal */
        pthread_mutex_lock(&m->lock);
    }
    r->is_halted = false;
    runner_tell(r, RUNNER_RESUMED, atomic_load_explicit(&r->want, memory_order_relaxed));
    pthread_mutex_unlock(&m->lock);
}

static void on_runner_gone(void *arg, struct runner *r)
{
    struct machine *m = arg;
    usage_vcpu_gone(m, (unsigned)index_of(m, r));
    pthread_mutex_lock(&m->lock);
    r->is_gone = true;
    atomic_store(&r->callee, 0);
    runner_tell(r, RUNNER_GONE, 0);
    if (--m->live == 0) tell_over(m);
    pthread_cond_broadcast(&m->changed);
    pthread_mutex_unlock(&m->lock);
}

const struct runner_host life_runner_host = {
    .halt = on_runner_halt,
    .end = on_runner_end,
    .entered = on_runner_entered,
    .gone = on_runner_gone,
};

static void on_reminder(void *arg)
{
    struct machine *m = arg;
    pthread_mutex_lock(&m->lock);
    remind(m);
    const bool is_needed = m->live > 0;
    pthread_mutex_unlock(&m->lock);
    if (is_needed) set_reminder(m);
}

static void on_time_limit(void *arg)
{
    struct machine *m = arg;
    char detail[64];
    const bool is_whole = m->timeout_ms % 1000 == 0;
    (void)snprintf(detail, sizeof(detail), "the time limit of %llu %s has passed",
                   (unsigned long long)(is_whole ? m->timeout_ms / 1000 : m->timeout_ms), is_whole ? "s" : "ms");
    life_end(m, -1, END_TIMEOUT, 0, detail);
}

void life_init_timers(struct machine *m)
{
    m->time_limit = (struct loop_timer){.fn = on_time_limit, .arg = m};
    m->reminder = (struct loop_timer){.fn = on_reminder, .arg = m};
}

static void on_stop_asked(void *arg)
{
    life_end(arg, -1, END_STOPPED, 0, END_STOPPED_DETAIL);
}

static void io_here(void *arg)
{
    threads_here(arg, -1);
}

/* Whoever waits for the thread's id, to give the thread its place, waits for the loop with it. A driver that came
 * before the loop runs would have its disk started by a vCPU's thread, and the disk's thread would get the vCPU's
 * place. */
static void *io_main(void *arg)
{
    struct machine *m = arg;
    struct loop_job here = {.fn = io_here, .arg = m};
    loop_post(&m->loop, &here);
    loop_run(&m->loop);
    chario_stop(m->console); /* the vCPUs are gone: what they wrote last goes out while a wait still waits */
    usage_io_gone(m, &m->io_tid);
    pthread_mutex_lock(&m->lock);
    m->is_io_gone = true;
    pthread_cond_broadcast(&m->changed);
    pthread_mutex_unlock(&m->lock);
    return NULL;
}

/* A machine without devices, console input or time limit has nothing to do on an I/O thread and gets none. Nobody waits
 * for the thread to come up: until it runs the loop, whoever needs something done there does it himself (loop_call). */
static int start_io(struct machine *m, struct err *e)
{
    if (!m->has_io) return 0;
    int rc = err_wrap(e, chario_start(m->console, &m->loop, e), "console");
    if (rc) return rc;
    if (m->timeout_ms) loop_timer_set(&m->loop, &m->time_limit, m->timeout_ms * NS_PER_MS);
    loop_on_poke(&m->loop, on_stop_asked, m);
    rc = thread_make(&m->io_thread, &(struct thread_start){.fn = io_main, .arg = m});
    m->has_io_thread = rc == 0;
    if (rc == 0) return 0;
    err_set(e, rc, "I/O thread: %s", strerrordesc_np(-rc));
    return err_thread(e, rc);
}

/* Under the lock, so that a guest that ends at once can't miss its own kick. A machine that was ended while its I/O was
 * started stays over: its runners would never hear of the end. */
static int start_runners(struct machine *m, struct err *e)
{
    int rc = 0;
    pthread_mutex_lock(&m->lock);
    if (m->phase == MACHINE_OVER) {
        pthread_mutex_unlock(&m->lock);
        return 0;
    }
    m->phase = MACHINE_RUNNING;
    for (unsigned i = 0; i < m->vcpu_count && !rc; i++) {
        rc = runner_start(&m->runner[i], e);
        if (!rc) m->live++;
    }
    if (rc && m->live == 0) m->phase = MACHINE_BUILT;
    pthread_mutex_unlock(&m->lock);
    return rc;
}

/* Carry out what machine_stop asked for, where nothing runs that would. So a caller that pauses and resumes without end
 * does not keep the stop waiting either. */
static void heed_stop(struct machine *m)
{
    if (atomic_load(&m->stop_asked)) life_end(m, -1, END_STOPPED, 0, END_STOPPED_DETAIL);
}

int machine_start(struct machine *m, struct err *e)
{
    /* From here on machine_stop calls threads. What it asked for before is seen here. */
    const bool was_started = atomic_exchange(&m->has_begun, true);
    heed_stop(m);
    pthread_mutex_lock(&m->lock);
    const bool can = m->phase == MACHINE_BUILT && m->ending.reason == END_NONE && !m->has_io_thread;
    pthread_mutex_unlock(&m->lock);
    if (!can && !was_started)
        return err_set(e, -EALREADY, "this machine was stopped before its start; create a new one");
    if (!can) return err_set(e, -EALREADY, "this machine was started before; create a new one");
    life_mark(m, "started");
    int rc = start_io(m, e);
    if (!rc) rc = start_runners(m, e);
    if (!rc) rc = threads_schedule(m, e);
    if (rc) {
        life_end(m, -1, END_HOST, 0, e ? e->text : "could not start");
        life_join(m);
    }
    return rc;
}

/* Of CLOCK_MONOTONIC, NULL: none. */
static const struct timespec *deadline_of(int timeout_ms, struct timespec *out)
{
    if (timeout_ms < 0) return NULL;
    const uint64_t ns = now_ns() + (uint64_t)timeout_ms * 1000000u;
    *out = (struct timespec){.tv_sec = (time_t)(ns / 1000000000u), .tv_nsec = (long)(ns % 1000000000u)};
    return out;
}

static int left_ms(const struct timespec *until)
{
    if (!until) return -1;
    const uint64_t ns = (uint64_t)until->tv_sec * 1000000000u + (uint64_t)until->tv_nsec, now = now_ns();
    return ns <= now ? 0 : (int)((ns - now + 999999u) / 1000000u);
}

/* Lock held. Wait for a change, reminding vCPUs meanwhile. False: the time is over. */
static bool wait_and_remind(struct machine *m, const struct timespec *until)
{
    struct timespec soon;
    const int left = left_ms(until);
    if (left == 0) return false;
    (void)deadline_of(left > 0 && left < REMIND_MS ? left : REMIND_MS, &soon);
    if (pthread_cond_timedwait(&m->changed, &m->lock, &soon) == ETIMEDOUT) remind(m);
    return true;
}

/* Lock held: is every vCPU either halted or gone? */
static bool all_halted(const struct machine *m)
{
    for (unsigned i = 0; i < m->vcpu_count; i++)
        if (!m->runner[i].is_halted && !m->runner[i].is_gone) return false;
    return true;
}

/* Lock held. All vCPUs are halted or have their last exit still to finish: each reads want before it enters. */
static void let_go(struct machine *m)
{
    for (unsigned i = 0; i < m->vcpu_count; i++) {
        runner_tell(&m->runner[i], RUNNER_WANT, RUNNER_RUN);
        atomic_store_explicit(&m->runner[i].want, RUNNER_RUN, memory_order_relaxed);
        if (m->runner[i].is_halted) (void)sem_post(&m->runner[i].resume);
    }
    m->phase = MACHINE_RUNNING;
}

int machine_pause(struct machine *m)
{
    struct timespec at;
    int rc = -ESRCH;
    heed_stop(m);
    pthread_mutex_lock(&m->lock);
    if (m->phase == MACHINE_PAUSED && m->ending.reason == END_NONE) rc = 0;
    if (m->phase == MACHINE_RUNNING && m->ending.reason == END_NONE) {
        kick_all(m, RUNNER_PAUSE);
        m->phase = MACHINE_PAUSED;
        const struct timespec *until = deadline_of(PAUSE_MS, &at);
        bool is_in_time = true;
        while (is_in_time && !all_halted(m) && m->ending.reason == END_NONE) is_in_time = wait_and_remind(m, until);
        rc = m->ending.reason != END_NONE ? -ESRCH : all_halted(m) ? 0 : -ETIMEDOUT;
        if (rc == 0) tell_step(m, RUNNER_PAUSED, -1, 0);
        if (rc == -ETIMEDOUT) let_go(m);
    }
    pthread_mutex_unlock(&m->lock);
    return rc;
}

int machine_resume(struct machine *m)
{
    int rc = -ESRCH;
    heed_stop(m);
    pthread_mutex_lock(&m->lock);
    if (m->phase == MACHINE_RUNNING && m->ending.reason == END_NONE) rc = 0;
    if (m->phase == MACHINE_PAUSED && m->ending.reason == END_NONE) {
        let_go(m);
        rc = 0;
    }
    pthread_mutex_unlock(&m->lock);
    return rc;
}

void machine_kick(struct machine *m, unsigned vcpu)
{
    pthread_mutex_lock(&m->lock);
    if (m->phase == MACHINE_RUNNING && m->ending.reason == END_NONE) runner_kick(&m->runner[vcpu], RUNNER_RUN);
    pthread_mutex_unlock(&m->lock);
}

void machine_end(struct machine *m, enum end_reason reason, const char *detail)
{
    life_end(m, -1, reason, 0, detail);
}

/* This may be a signal handler that has interrupted any of the functions here, in any thread: atomics and system calls
 * only. The I/O thread ends the machine; where there is none, each vCPU looks for itself. */
void machine_stop(struct machine *m)
{
    const int saved = errno;
    const uint64_t one = 1;
    atomic_store(&m->stop_asked, true);
    if (!atomic_load(&m->has_begun)) {
        const ssize_t n = write(m->event_fd, &one, sizeof(one)); /* it is over as soon as somebody asks */
        (void)n;
    } else if (m->has_io) {
        loop_poke(&m->loop);
    } else {
        (void)runner_mind_signal();
        for (unsigned i = 0; i < m->vcpu_count; i++) runner_call_out(&m->runner[i]);
    }
    errno = saved;
}

static bool is_over(struct machine *m)
{
    if (!atomic_load(&m->has_begun)) heed_stop(m);
    pthread_mutex_lock(&m->lock);
    const bool is = m->phase == MACHINE_OVER;
    pthread_mutex_unlock(&m->lock);
    return is;
}

/* Waits on the event fd: machine_stop could not signal a condition. False: the time is over. */
static bool wait_over(struct machine *m, const struct timespec *until)
{
    struct pollfd event = {.fd = m->event_fd, .events = POLLIN};
    while (!is_over(m)) {
        const int left = left_ms(until);
        if (left == 0) return false;
        const int most = m->has_io ? left : left > 0 && left < LOOK_MS ? left : LOOK_MS;
        if (poll(&event, 1, most) != 0) continue; /* EINTR: asked again */
        pthread_mutex_lock(&m->lock);
        remind(m);
        pthread_mutex_unlock(&m->lock);
    }
    return true;
}

static bool are_vcpus_gone(const struct machine *m)
{
    return m->live == 0;
}

static bool is_io_gone(const struct machine *m)
{
    return m->is_io_gone;
}

/* False: the time is over. */
static bool wait_gone(struct machine *m, bool (*is_gone)(const struct machine *m), const struct timespec *until)
{
    pthread_mutex_lock(&m->lock);
    while (!is_gone(m) && wait_and_remind(m, until)) continue;
    const bool is = is_gone(m);
    pthread_mutex_unlock(&m->lock);
    return is;
}

/* The vCPUs come first, since one of them may be waiting for the loop. A thread is joined once it has gone, which takes
 * no time; one that has not gone in time is left to the next call. */
static void join_all(struct machine *m, const struct timespec *until)
{
    if (!wait_gone(m, are_vcpus_gone, until)) return;
    for (unsigned i = 0; i < m->vcpu_count && m->runner; i++) {
        if (!m->runner[i].has_thread) continue;
        pthread_join(m->runner[i].thread, NULL);
        m->runner[i].has_thread = false;
    }
    if (!m->has_io_thread) return;
    loop_stop(&m->loop);
    if (!wait_gone(m, is_io_gone, until)) return;
    pthread_join(m->io_thread, NULL);
    m->has_io_thread = false;
}

int machine_wait(struct machine *m, int timeout_ms, struct ending *out)
{
    struct timespec at;
    if (!wait_over(m, deadline_of(timeout_ms, &at))) return -ETIMEDOUT;
    join_all(m, deadline_of(JOIN_MS, &at));
    if (out) *out = m->ending;
    return 0;
}

void life_join(struct machine *m)
{
    pthread_mutex_lock(&m->lock);
    const bool is_up = m->live != 0;
    pthread_mutex_unlock(&m->lock);
    if (is_up) life_end(m, -1, END_STOPPED, 0, "destroyed while it ran");
    join_all(m, NULL);
}
