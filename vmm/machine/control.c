/* Start, pause, resume, stop, wait: and the one way a machine ends. Whoever reports an end first decides how it ended;
 * then every vCPU is called out of the guest, the last one to go makes the event fd readable, and only the control
 * thread joins. */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#include "vmm/base/clock.h"
#include "vmm/machine/state.h"

#define IO_STACK (256 * 1024) /* bytes: a chain of VIRTQ_MAX_SIZE segments is 4 KiB, its iovec as much */

/* Lock held. There is a place for each that the host may mark. */
static void mark(struct machine *m, const char *name)
{
    if (m->milestone_count == MACHINE_MILESTONES) return;
    struct machine_milestone *s = &m->milestone[m->milestone_count++];
    (void)snprintf(s->name, sizeof(s->name), "%s", name);
    s->ns = now_ns();
}

void control_mark(struct machine *m, const char *name)
{
    pthread_mutex_lock(&m->lock);
    mark(m, name);
    pthread_mutex_unlock(&m->lock);
}

/* The guest's own have places of their own, so that however many it has, it pushes none of the host's out. */
void control_guest_mark(struct machine *m, uint32_t value)
{
    char name[MACHINE_MILESTONE_NAME];
    (void)snprintf(name, sizeof(name), "guest %u", value);
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

/* Lock held. The console keeps the time of its first character itself, so that output costs no lock: the milestone is
 * put in its place among the others when somebody asks. */
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

/* Lock held. */
static void kick_all(struct machine *m, enum runner_want want)
{
    for (unsigned i = 0; i < m->vcpu_count; i++) runner_kick(&m->runner[i], want);
}

/* Lock held. What the whole machine does is told to the first vCPU's listener. */
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

void control_end(struct machine *m, int vcpu, enum end_reason reason, uint32_t value, const char *detail)
{
    if (reason == END_NONE) { /* news that ends nothing: a crash kernel is loaded */
        log_write(m->log, LOG_INFO, "%s", detail);
        return;
    }
    pthread_mutex_lock(&m->lock);
    if (m->ending.reason == END_NONE) {
        m->ending.reason = reason;
        m->ending.value = value;
        m->ending.vcpu = vcpu;
        (void)snprintf(m->ending.detail, sizeof(m->ending.detail), "%s", detail);
        mark(m, "ended");
        tell_step(m, RUNNER_ENDED, vcpu, (int)reason);
        if (m->phase == MACHINE_BUILT)
            tell_over(m); /* nothing runs: over at once */
        else
            kick_all(m, RUNNER_END);
        pthread_cond_broadcast(&m->changed);
    }
    pthread_mutex_unlock(&m->lock);
}

static int index_of(const struct machine *m, const struct runner *r)
{
    return (int)(r - m->runner);
}

static void on_runner_end(void *arg, struct runner *r, enum end_reason reason, uint32_t value, const char *detail)
{
    control_end(arg, index_of(arg, r), reason, value, detail);
}

static void on_runner_entered(void *arg, struct runner *r)
{
    threads_here(arg, index_of(arg, r));
    if (index_of(arg, r) == 0) control_mark(arg, "entered");
}

static void on_runner_halt(void *arg, struct runner *r)
{
    struct machine *m = arg;
    pthread_mutex_lock(&m->lock);
    r->is_halted = true;
    runner_tell(r, RUNNER_HALTED, 0);
    pthread_cond_broadcast(&m->changed);
    while (atomic_load_explicit(&r->want, memory_order_relaxed) == RUNNER_PAUSE)
        pthread_cond_wait(&m->changed, &m->lock);
    r->is_halted = false;
    runner_tell(r, RUNNER_RESUMED, atomic_load_explicit(&r->want, memory_order_relaxed));
    pthread_mutex_unlock(&m->lock);
}

static void on_runner_gone(void *arg, struct runner *r)
{
    struct machine *m = arg;
    pthread_mutex_lock(&m->lock);
    r->is_gone = true;
    runner_tell(r, RUNNER_GONE, 0);
    use_vcpu_gone(m);
    if (--m->live == 0) tell_over(m);
    pthread_cond_broadcast(&m->changed);
    pthread_mutex_unlock(&m->lock);
}

const struct runner_host control_runner_host = {
    .halt = on_runner_halt,
    .end = on_runner_end,
    .entered = on_runner_entered,
    .gone = on_runner_gone,
};

static void on_timeout(void *arg, uint32_t events)
{
    struct machine *m = arg;
    char detail[64];
    (void)events;
    loop_remove(&m->loop, &m->timer);
    (void)snprintf(detail, sizeof(detail), "the time limit of %u s has passed", m->timeout_s);
    control_end(m, -1, END_TIMEOUT, m->timeout_s, detail);
}

static int arm_timeout(struct machine *m, struct err *e)
{
    const struct itimerspec in = {.it_value.tv_sec = (time_t)m->timeout_s};
    m->timer = (struct loop_source){
        .fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK), .fn = on_timeout, .arg = m};
    int rc = m->timer.fd < 0 || timerfd_settime(m->timer.fd, 0, &in, NULL) < 0 ? -errno : 0;
    if (!rc) rc = loop_add(&m->loop, &m->timer, EPOLLIN);
    if (!rc) return 0;
    err_set(e, rc, "timer for the time limit: %s", strerrordesc_np(-rc));
    err_as(e, ERR_HOST);
    return rc;
}

static void on_io_ready(void *arg)
{
    struct machine *m = arg;
    pthread_mutex_lock(&m->lock);
    m->is_io_ready = true;
    pthread_cond_broadcast(&m->changed);
    pthread_mutex_unlock(&m->lock);
}

static void *io_main(void *arg)
{
    struct machine *m = arg;
    threads_here(m, -1);
    loop_run(&m->loop);
    chario_stop(m->console); /* the vCPUs are gone: what they wrote last goes out before anybody has waited in vain */
    use_io_gone(m, &m->io_tid);
    return NULL;
}

/* A machine without devices, console input or time limit has nothing to do on an I/O thread and gets none. On return
 * the loop runs: from now on the devices are its own. */
static int start_io(struct machine *m, struct err *e)
{
    if (m->slot_count == 0 && m->timeout_s == 0) return 0; /* whoever has a console has a slot for it */
    int rc = m->timeout_s ? arm_timeout(m, e) : 0;
    if (!rc) rc = err_wrap(e, chario_start(m->console, &m->loop, e), "console");
    if (rc) return rc;
    sigset_t all, old;
    sigfillset(&all);
    pthread_attr_t attr;
    pthread_attr_init(&attr);
    pthread_attr_setstacksize(&attr, IO_STACK);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    rc = pthread_create(&m->io_thread, &attr, io_main, m);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    pthread_attr_destroy(&attr);
    if (rc) {
        err_set(e, -rc, "I/O thread: %s", strerrordesc_np(rc));
        err_as(e, ERR_HOST);
        return -rc;
    }
    m->has_io_thread = true;
    m->io_ready = (struct loop_job){.fn = on_io_ready, .arg = m};
    loop_post(&m->loop, &m->io_ready);
    pthread_mutex_lock(&m->lock);
    while (!m->is_io_ready) pthread_cond_wait(&m->changed, &m->lock);
    pthread_mutex_unlock(&m->lock);
    return 0;
}

/* Under the lock, so that a guest that ends at once can't miss its own kick. A machine that was ended while its I/O was
 * started is over and stays so: its runners would never hear of it. */
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

int machine_start(struct machine *m, struct err *e)
{
    pthread_mutex_lock(&m->lock);
    const bool can = m->phase == MACHINE_BUILT && m->ending.reason == END_NONE && !m->has_io_thread;
    pthread_mutex_unlock(&m->lock);
    if (!can) return err_set(e, -EALREADY, "this machine was started before; create a new one");
    control_mark(m, "started");
    int rc = start_io(m, e);
    if (!rc) rc = start_runners(m, e);
    if (!rc) rc = threads_schedule(m, e);
    if (rc) {
        control_end(m, -1, END_KVM_ERROR, 0, e ? e->text : "could not start");
        control_join(m);
    }
    return rc;
}

/* Lock held: is every vCPU either halted or gone? */
static bool all_halted(const struct machine *m)
{
    for (unsigned i = 0; i < m->vcpu_count; i++)
        if (!m->runner[i].is_halted && !m->runner[i].is_gone) return false;
    return true;
}

int machine_pause(struct machine *m)
{
    int rc = -ESRCH;
    pthread_mutex_lock(&m->lock);
    if (m->phase == MACHINE_PAUSED && m->ending.reason == END_NONE) rc = 0;
    if (m->phase == MACHINE_RUNNING && m->ending.reason == END_NONE) {
        kick_all(m, RUNNER_PAUSE);
        m->phase = MACHINE_PAUSED;
        while (!all_halted(m) && m->ending.reason == END_NONE) pthread_cond_wait(&m->changed, &m->lock);
        rc = m->ending.reason == END_NONE ? 0 : -ESRCH;
        if (rc == 0) tell_step(m, RUNNER_PAUSED, -1, 0);
    }
    pthread_mutex_unlock(&m->lock);
    return rc;
}

int machine_resume(struct machine *m)
{
    int rc = -ESRCH;
    pthread_mutex_lock(&m->lock);
    if (m->phase == MACHINE_RUNNING && m->ending.reason == END_NONE) rc = 0;
    if (m->phase == MACHINE_PAUSED && m->ending.reason == END_NONE) {
        /* All are halted on the condition: nobody is in KVM_RUN, so the store under the lock is enough. */
        for (unsigned i = 0; i < m->vcpu_count; i++) {
            runner_tell(&m->runner[i], RUNNER_WANT, RUNNER_RUN);
            atomic_store_explicit(&m->runner[i].want, RUNNER_RUN, memory_order_relaxed);
        }
        m->phase = MACHINE_RUNNING;
        pthread_cond_broadcast(&m->changed);
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

void machine_stop(struct machine *m, enum end_reason reason, const char *detail)
{
    control_end(m, -1, reason, 0, detail);
}

/* Lock held; true when it is over, false when the time is. */
static bool wait_over(struct machine *m, int timeout_ms)
{
    const uint64_t deadline = now_ns() + (uint64_t)(timeout_ms < 0 ? 0 : timeout_ms) * 1000000u;
    const struct timespec until = {.tv_sec = (time_t)(deadline / 1000000000u),
                                   .tv_nsec = (long)(deadline % 1000000000u)};
    while (m->phase != MACHINE_OVER) {
        if (timeout_ms < 0)
            pthread_cond_wait(&m->changed, &m->lock);
        else if (pthread_cond_timedwait(&m->changed, &m->lock, &until) == ETIMEDOUT)
            return m->phase == MACHINE_OVER;
    }
    return true;
}

int machine_wait(struct machine *m, int timeout_ms, struct ending *out)
{
    pthread_mutex_lock(&m->lock);
    const bool is_over = wait_over(m, timeout_ms);
    pthread_mutex_unlock(&m->lock);
    if (!is_over) return -ETIMEDOUT;
    control_join(m);
    *out = m->ending;
    return 0;
}

/* The vCPUs first: one of them may be waiting for the loop. */
void control_join(struct machine *m)
{
    pthread_mutex_lock(&m->lock);
    const bool is_up = m->live != 0;
    pthread_mutex_unlock(&m->lock);
    if (is_up) control_end(m, -1, END_STOPPED, 0, "destroyed while it ran");
    for (unsigned i = 0; i < m->vcpu_count && m->runner; i++) {
        if (!m->runner[i].has_thread) continue;
        pthread_join(m->runner[i].thread, NULL);
        m->runner[i].has_thread = false;
    }
    if (m->has_io_thread) {
        loop_stop(&m->loop);
        pthread_join(m->io_thread, NULL);
        m->has_io_thread = false;
    }
}
