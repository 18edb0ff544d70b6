/* Who runs the loop: one thread at a time owns it, `is_running` and `thread` say which. loop_run owns it until it is
 * stopped. loop_call, when nobody owns it, takes it for the time of one function. So whatever is called "on the loop's
 * thread" never overlaps, not even while the loop is being started or stopped.
 *
 * No wake-up is lost: whoever puts a job on an empty list writes to wake_fd, and wake_fd is read before the list is
 * taken. So wake_fd is readable whenever the list holds a job. The write is done with the lock held: as soon as it is
 * released the job may run, end the loop, and have it freed.
 *
 * Timers are few, so they are a sorted list with one timerfd behind it. The timerfd is armed for the earliest or for a
 * time before it: what is cancelled or put off costs no system call, but perhaps a wake-up in vain. */
#include "vmm/base/loop.h"

#include <assert.h>
#include <errno.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "vmm/base/clock.h"
#include "vmm/base/fd.h"
#include "vmm/base/thread.h"

/* At loop_stop jobs are run in rounds, since one may post another; one that posts itself for ever must not keep the
 * loop from ending. What is left then waits for the next loop_run. */
#define LOOP_LAST_ROUNDS 16

#define NS_PER_S 1000000000u

/* Jobs are put on the list and taken from it under the lock, which is held; a poke needs none. */
static void wake_up(struct loop *l)
{
    const uint64_t one = 1;
    /* Fails only with EAGAIN at 2^64-2 unread wake-ups: then one is pending anyway. */
    const ssize_t n = write(l->wake_fd, &one, sizeof(one));
    (void)n;
}

/* Run the jobs that are queued now; those posted meanwhile wait for the next round. False: there were none. */
static bool run_jobs(struct loop *l)
{
    pthread_mutex_lock(&l->lock);
    struct loop_job *head = l->jobs;
    const bool had_some = head != NULL;
    l->jobs = NULL;
    l->jobs_tail = &l->jobs;
    while (head) {
        /* Once fn is called the job may be freed or posted again: forget it first. */
        const struct loop_job job = *head;
        head->is_queued = false;
        head = job.next;
        pthread_mutex_unlock(&l->lock);
        job.fn(job.arg);
        pthread_mutex_lock(&l->lock);
    }
    pthread_mutex_unlock(&l->lock);
    return had_some;
}

static void on_wake(void *arg, uint32_t events)
{
    struct loop *l = arg;
    uint64_t count;
    (void)events;
    const ssize_t n = read(l->wake_fd, &count, sizeof(count));
    (void)n; /* EAGAIN: a wake-up that another read has taken */
    if (atomic_exchange_explicit(&l->is_poked, false, memory_order_acquire) && l->poke_fn) l->poke_fn(l->poke_arg);
    (void)run_jobs(l);
}

/* ---- timers ---- */

/* Lock held. */
static void arm(struct loop *l)
{
    const uint64_t at = l->timers ? l->timers->at_ns : 0;
    if (at == 0 || (l->armed_ns != 0 && l->armed_ns <= at)) return;
    const struct itimerspec t = {.it_value = {(time_t)(at / NS_PER_S), (long)(at % NS_PER_S)}};
    const int rc = timerfd_settime(l->timer_fd, TFD_TIMER_ABSTIME, &t, NULL);
    assert(rc == 0); /* our own timer, and a good time */
    l->armed_ns = at;
}

/* Lock held. */
static void take_out(struct loop *l, struct loop_timer *t)
{
    struct loop_timer **link = &l->timers;
    if (!loop_timer_is_set(t)) return;
    while (*link != t) link = &(*link)->next;
    *link = t->next;
    atomic_store_explicit(&t->is_set, false, memory_order_relaxed);
}

bool loop_timer_is_set(const struct loop_timer *t)
{
    return atomic_load_explicit(&t->is_set, memory_order_relaxed);
}

void loop_timer_set(struct loop *l, struct loop_timer *t, uint64_t ns)
{
    const uint64_t now = now_ns();
    struct loop_timer **link = &l->timers;
    pthread_mutex_lock(&l->lock);
    take_out(l, t);
    t->at_ns = ns < UINT64_MAX - now ? now + ns : UINT64_MAX;
    while (*link && (*link)->at_ns <= t->at_ns) link = &(*link)->next;
    t->next = *link;
    *link = t;
    atomic_store_explicit(&t->is_set, true, memory_order_relaxed);
    arm(l);
    pthread_mutex_unlock(&l->lock);
}

void loop_timer_cancel(struct loop *l, struct loop_timer *t)
{
    assert(loop_is_here(l));
    pthread_mutex_lock(&l->lock);
    take_out(l, t);
    pthread_mutex_unlock(&l->lock);
}

/* Those whose time has come by now; one that is set meanwhile waits for the next tick, however soon that is. */
static void on_tick(void *arg, uint32_t events)
{
    struct loop *l = arg;
    uint64_t count;
    (void)events;
    const ssize_t n = read(l->timer_fd, &count, sizeof(count));
    if (n < 0) return; /* EAGAIN: it was armed anew since epoll looked */
    pthread_mutex_lock(&l->lock);
    const uint64_t now = now_ns();
    l->armed_ns = 0;
    while (l->timers && l->timers->at_ns < now) {
        struct loop_timer *t = l->timers;
        take_out(l, t);
        pthread_mutex_unlock(&l->lock);
        t->fn(t->arg);
        pthread_mutex_lock(&l->lock);
    }
    arm(l);
    pthread_mutex_unlock(&l->lock);
}

static int host_failed(struct err *e, const char *call)
{
    const int rc = err_errno(e, "%s for the event loop", call);
    err_as(e, ERR_HOST);
    return rc;
}

int loop_init(struct loop *l, struct err *e)
{
    *l = (struct loop){.epoll_fd = -1, .wake_fd = -1, .timer_fd = -1};
    l->jobs_tail = &l->jobs;
    pthread_mutex_init(&l->lock, NULL); /* neither fails on Linux */
    pthread_cond_init(&l->done, NULL);

    l->epoll_fd = fd_own(epoll_create1(EPOLL_CLOEXEC));
    if (l->epoll_fd < 0) return host_failed(e, "epoll_create1");
    l->wake_fd = fd_own(eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC));
    if (l->wake_fd < 0) return host_failed(e, "eventfd");
    l->timer_fd = fd_own(timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC));
    if (l->timer_fd < 0) return host_failed(e, "timerfd_create");
    l->wake = (struct loop_source){.fd = l->wake_fd, .fn = on_wake, .arg = l};
    l->tick = (struct loop_source){.fd = l->timer_fd, .fn = on_tick, .arg = l};
    errno = -loop_add(l, &l->wake, EPOLLIN);
    if (errno == 0) errno = -loop_add(l, &l->tick, EPOLLIN);
    return errno == 0 ? 0 : host_failed(e, "epoll_ctl");
}

void loop_fini(struct loop *l)
{
    assert(!l->is_running);
    if (l->wake_fd >= 0) close(l->wake_fd);
    if (l->timer_fd >= 0) close(l->timer_fd);
    if (l->epoll_fd >= 0) close(l->epoll_fd);
    l->epoll_fd = l->wake_fd = l->timer_fd = -1;
    pthread_cond_destroy(&l->done);
    pthread_mutex_destroy(&l->lock);
}

/* Events of s that were fetched and not delivered yet: keep only those in `mask`. */
static void trim_batch(struct loop *l, const struct loop_source *s, uint32_t mask)
{
    for (int i = l->batch_next; i < l->batch_count; i++) {
        if (l->batch[i].data.ptr == s) l->batch[i].events &= mask;
    }
}

static int control(struct loop *l, int op, struct loop_source *s, uint32_t events)
{
    struct epoll_event ev = {.events = events, .data.ptr = s};
    assert(loop_is_here(l));
    return epoll_ctl(l->epoll_fd, op, s->fd, &ev) == 0 ? 0 : -errno;
}

int loop_add(struct loop *l, struct loop_source *s, uint32_t events)
{
    if (s->is_added) return -EEXIST;
    const int rc = control(l, EPOLL_CTL_ADD, s, events);
    s->is_added = rc == 0;
    return rc;
}

int loop_reserve(struct loop *l, struct loop_source *s, struct err *e)
{
    const int rc = loop_add(l, s, 0);
    if (rc == 0) return 0;
    err_set(e, rc, "a place in the event loop: %s", strerrordesc_np(-rc));
    err_as(e, ERR_HOST);
    if (rc == -ENOSPC) err_hint(e, "this user's programs watch too many files: sysctl fs.epoll.max_user_watches");
    return rc;
}

int loop_modify(struct loop *l, struct loop_source *s, uint32_t events)
{
    if (!s->is_added) return -ENOENT;
    const int rc = control(l, EPOLL_CTL_MOD, s, events);
    /* epoll reports errors and hang-ups unasked. */
    if (rc == 0) trim_batch(l, s, events | EPOLLERR | EPOLLHUP);
    return rc;
}

void loop_remove(struct loop *l, struct loop_source *s)
{
    if (!s->is_added) return;
    (void)control(l, EPOLL_CTL_DEL, s, 0); /* fails when the fd is closed already: then it is out of the set */
    s->is_added = false;
    trim_batch(l, s, 0);
}

/* Lock held. */
static void enqueue(struct loop *l, struct loop_job *job)
{
    if (!l->jobs) wake_up(l);
    job->next = NULL;
    job->is_queued = true;
    *l->jobs_tail = job;
    l->jobs_tail = &job->next;
}

/* Lock held. */
static void unqueue(struct loop *l, struct loop_job *job)
{
    struct loop_job **link = &l->jobs;
    while (*link != job) link = &(*link)->next; /* bounded by the list, which holds it */
    *link = job->next;
    if (l->jobs_tail == &job->next) l->jobs_tail = link;
    job->is_queued = false;
}

void loop_post(struct loop *l, struct loop_job *job)
{
    pthread_mutex_lock(&l->lock);
    if (!job->is_queued) enqueue(l, job);
    pthread_mutex_unlock(&l->lock);
}

void loop_ask_patience(struct loop *l)
{
    assert(loop_is_here(l));
    if (l->patience++ > 0) return;
    l->is_patient = thread_be_patient();
    l->patient_thread = pthread_self();
}

/* While the loop does not run, another thread may call this. It was not made patient, and the one that was has gone. */
void loop_end_patience(struct loop *l)
{
    assert(loop_is_here(l) && l->patience > 0);
    if (--l->patience > 0) return;
    if (l->is_patient && pthread_equal(l->patient_thread, pthread_self())) thread_be_ordinary();
    l->is_patient = false;
}

void loop_on_poke(struct loop *l, void (*fn)(void *arg), void *arg)
{
    l->poke_fn = fn;
    l->poke_arg = arg;
}

/* The flag is set before the descriptor is rung, and looked at after that was read: no poke is lost. */
void loop_poke(struct loop *l)
{
    atomic_store_explicit(&l->is_poked, true, memory_order_release);
    wake_up(l);
}

struct call {
    struct loop *loop;
    void (*fn)(void *arg);
    void *arg;
    bool is_done; /* under the loop's lock */
};

static void run_call(void *arg)
{
    struct call *c = arg;
    struct loop *l = c->loop;
    c->fn(c->arg);
    pthread_mutex_lock(&l->lock);
    c->is_done = true;
    pthread_cond_broadcast(&l->done);
    pthread_mutex_unlock(&l->lock); /* from here on c is gone */
}

/* Lock held; afterwards the calling thread owns the loop. */
static void take_over(struct loop *l)
{
    while (l->is_running) pthread_cond_wait(&l->done, &l->lock);
    l->is_running = true;
    l->thread = pthread_self();
}

/* Lock held. */
static void hand_back(struct loop *l)
{
    l->is_running = false;
    pthread_cond_broadcast(&l->done);
}

/* Lock held. */
static bool is_owner(const struct loop *l)
{
    return l->is_running && pthread_equal(l->thread, pthread_self());
}

void loop_call(struct loop *l, void (*fn)(void *arg), void *arg)
{
    struct call c = {.loop = l, .fn = fn, .arg = arg};
    struct loop_job job = {.fn = run_call, .arg = &c};

    pthread_mutex_lock(&l->lock);
    if (is_owner(l)) {
        pthread_mutex_unlock(&l->lock);
        fn(arg);
        return;
    }
    if (l->is_running) enqueue(l, &job);
    while (l->is_running && !c.is_done) pthread_cond_wait(&l->done, &l->lock);
    if (!c.is_done) { /* nobody runs the loop, or its owner left without this job: be the owner for one call */
        if (job.is_queued) unqueue(l, &job);
        take_over(l);
        pthread_mutex_unlock(&l->lock);
        fn(arg);
        pthread_mutex_lock(&l->lock);
        hand_back(l);
    }
    pthread_mutex_unlock(&l->lock);
}

static void wait_and_dispatch(struct loop *l, int timeout_ms)
{
    const int n = epoll_wait(l->epoll_fd, l->batch, LOOP_BATCH, timeout_ms);
    assert(n >= 0 || errno == EINTR); /* anything else means the fd isn't ours any more */
    l->batch_count = n < 0 ? 0 : n;
    for (l->batch_next = 0; l->batch_next < l->batch_count;) {
        const struct epoll_event ev = l->batch[l->batch_next++];
        if (ev.events == 0) continue; /* removed meanwhile: the source may not exist any more */
        const struct loop_source *s = ev.data.ptr;
        s->fn(s->arg, ev.events);
    }
    l->batch_next = l->batch_count = 0;
}

void loop_run(struct loop *l)
{
    pthread_mutex_lock(&l->lock);
    take_over(l);
    pthread_mutex_unlock(&l->lock);

    while (!atomic_load_explicit(&l->want_stop, memory_order_acquire)) wait_and_dispatch(l, -1);
    for (unsigned i = 0; i < LOOP_LAST_ROUNDS && run_jobs(l); i++) continue;

    pthread_mutex_lock(&l->lock);
    atomic_store_explicit(&l->want_stop, false, memory_order_relaxed); /* one stop ends one run */
    hand_back(l);
    pthread_mutex_unlock(&l->lock);
}

void loop_turn(struct loop *l, int timeout_ms)
{
    pthread_mutex_lock(&l->lock);
    take_over(l);
    pthread_mutex_unlock(&l->lock);
    wait_and_dispatch(l, timeout_ms);
    pthread_mutex_lock(&l->lock);
    hand_back(l);
    pthread_mutex_unlock(&l->lock);
}

void loop_stop(struct loop *l)
{
    pthread_mutex_lock(&l->lock);
    atomic_store_explicit(&l->want_stop, true, memory_order_release);
    wake_up(l);
    pthread_mutex_unlock(&l->lock);
}

bool loop_is_here(struct loop *l)
{
    pthread_mutex_lock(&l->lock);
    const bool is_here = !l->is_running || is_owner(l);
    pthread_mutex_unlock(&l->lock);
    return is_here;
}
