#include "vmm/base/log_queue.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "vmm/base/clock.h"
#include "vmm/base/thread.h"

struct line {
    uint64_t lost_before; /* lines that found no place before this one */
    enum log_level level;
    char text[LOG_LINE_MAX];
};

struct log_queue {
    /* Const after creation. */
    struct log in, to;
    _Alignas(max_align_t) unsigned char arg[LOG_QUEUE_ARG_MAX];

    pthread_mutex_t lock; /* guards all below, but for the first line while is_delivering: that is the deliverer's */
    pthread_cond_t changed;
    bool is_delivering; /* somebody hands lines on, or is about to */
    bool is_abandoned;  /* whoever does so frees the queue */
    bool is_direct;     /* there is a thread that hands on its own lines: */
    pthread_t direct;
    bool has_thread, has_old; /* the last one that was made; the one before it, for that one to join */
    pthread_t thread, old;
    unsigned first, count;
    uint64_t lost; /* after the last line */
    struct line line[LOG_QUEUE_LINES];
};

static void tell_lost(const struct log_queue *q, uint64_t lost)
{
    if (lost > 0) log_write(&q->to, LOG_WARN, "log lines lost here, as their reader is too slow: %" PRIu64, lost);
}

/* Lock held. */
static void deliver_first(struct log_queue *q)
{
    const struct line *l = &q->line[q->first];
    pthread_mutex_unlock(&q->lock);
    tell_lost(q, l->lost_before);
    q->to.fn(q->to.arg, l->level, l->text);
    pthread_mutex_lock(&q->lock);
    q->first = (q->first + 1) % LOG_QUEUE_LINES;
    q->count--;
}

/* Lock held. */
static void deliver_lost(struct log_queue *q)
{
    const uint64_t lost = q->lost;
    q->lost = 0;
    pthread_mutex_unlock(&q->lock);
    tell_lost(q, lost);
    pthread_mutex_lock(&q->lock);
}

static void queue_free(struct log_queue *q)
{
    pthread_cond_destroy(&q->changed);
    pthread_mutex_destroy(&q->lock);
    free(q);
}

/* By whom is_delivering was set for. true: the queue is abandoned, and its thread's to free. */
static bool deliver(struct log_queue *q)
{
    pthread_mutex_lock(&q->lock);
    while (!q->is_abandoned && (q->count > 0 || q->lost > 0)) {
        if (q->count > 0)
            deliver_first(q);
        else
            deliver_lost(q);
    }
    q->is_delivering = false;
    const bool is_last = q->is_abandoned;
    pthread_cond_broadcast(&q->changed);
    pthread_mutex_unlock(&q->lock);
    return is_last;
}

/* What a vCPU's thread was given, a real-time priority or a CPU of its own that it keeps busy, is not for this one:
 * it runs as the program's first thread does, where it may. */
static void be_ordinary(void)
{
    const struct sched_param none = {0};
    cpu_set_t cpus;
    (void)sched_setscheduler(0, SCHED_OTHER, &none);
    if (sched_getaffinity(getpid(), sizeof(cpus), &cpus) == 0) (void)sched_setaffinity(0, sizeof(cpus), &cpus);
}

static void *thread_main(void *arg)
{
    struct log_queue *q = arg;
    be_ordinary();
    pthread_mutex_lock(&q->lock);
    const bool has_old = q->has_old;
    const pthread_t old = q->old;
    pthread_mutex_unlock(&q->lock);
    if (has_old) pthread_join(old, NULL); /* has nothing left to do */
    if (deliver(q)) queue_free(q);
    return NULL;
}

/* Lock held, so that the new thread finds its predecessor. */
static bool start_thread(struct log_queue *q)
{
    pthread_t thread;
    if (thread_make(&thread, &(struct thread_start){.name = "vireo:log", .fn = thread_main, .arg = q})) return false;
    q->has_old = q->has_thread;
    q->old = q->thread;
    q->has_thread = true;
    q->thread = thread;
    return true;
}

/* Lock held. */
static void put(struct log_queue *q, enum log_level level, const char *text)
{
    if (q->count == LOG_QUEUE_LINES) {
        q->lost++;
        return;
    }
    struct line *l = &q->line[(q->first + q->count++) % LOG_QUEUE_LINES];
    l->lost_before = q->lost;
    q->lost = 0;
    l->level = level;
    (void)snprintf(l->text, sizeof(l->text), "%s", text);
}

static void on_line(void *arg, enum log_level level, const char *text)
{
    struct log_queue *q = arg;
    bool is_ours = false;
    pthread_mutex_lock(&q->lock);
    put(q, level, text);
    if (!q->is_delivering) {
        is_ours = q->is_direct && pthread_equal(q->direct, pthread_self());
        q->is_delivering = is_ours || start_thread(q);
    }
    pthread_mutex_unlock(&q->lock);
    if (is_ours) (void)deliver(q); /* nobody destroys it meanwhile: that is the caller's own to do */
}

/* Lock held. false: somebody is still at it. */
static bool wait_delivered(struct log_queue *q, int timeout_ms)
{
    const uint64_t deadline = now_ns() + (uint64_t)timeout_ms * 1000000u;
    const struct timespec until = {.tv_sec = (time_t)(deadline / 1000000000u),
                                   .tv_nsec = (long)(deadline % 1000000000u)};
    while (q->is_delivering)
        if (pthread_cond_timedwait(&q->changed, &q->lock, &until) == ETIMEDOUT) return !q->is_delivering;
    return true;
}

void log_queue_flush(struct log_queue *q, int timeout_ms)
{
    pthread_mutex_lock(&q->lock);
    const bool is_ours = wait_delivered(q, timeout_ms) && (q->count > 0 || q->lost > 0);
    if (is_ours) q->is_delivering = true;
    pthread_mutex_unlock(&q->lock);
    if (is_ours) (void)deliver(q); /* nobody destroys it meanwhile: that is the caller's own to do */
}

void log_queue_direct(struct log_queue *q, bool is_on)
{
    pthread_mutex_lock(&q->lock);
    q->is_direct = is_on;
    q->direct = pthread_self();
    pthread_mutex_unlock(&q->lock);
}

const struct log *log_queue_log(struct log_queue *q)
{
    return &q->in;
}

int log_queue_create(struct log_queue **out, const struct log *to, size_t arg_size, struct err *e)
{
    assert(arg_size <= LOG_QUEUE_ARG_MAX);
    struct log_queue *q = malloc(sizeof(*q)); /* the lines are not touched until there are some */
    if (!q) return err_set(e, -ENOMEM, "no memory for a log");
    memset(q, 0, offsetof(struct log_queue, line));
    memcpy(q->arg, to->arg, arg_size);
    q->to = (struct log){.fn = to->fn, .arg = q->arg, .level = to->level};
    q->in = (struct log){.fn = on_line, .arg = q, .level = to->level};
    pthread_mutex_init(&q->lock, NULL);
    pthread_condattr_t attr;
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&q->changed, &attr);
    pthread_condattr_destroy(&attr);
    *out = q;
    return 0;
}

void log_queue_destroy(struct log_queue *q, int timeout_ms)
{
    if (!q) return;
    log_queue_flush(q, timeout_ms);
    pthread_mutex_lock(&q->lock);
    const bool is_stuck = q->is_delivering, has_thread = q->has_thread;
    const pthread_t thread = q->thread;
    q->is_abandoned = is_stuck;
    pthread_mutex_unlock(&q->lock);
    if (is_stuck && has_thread) pthread_detach(thread);
    if (is_stuck) return;
    if (has_thread) pthread_join(thread, NULL);
    queue_free(q);
}
