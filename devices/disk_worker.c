/* Disk I/O by one worker thread, where io_uring is switched off (containers, sysctl kernel.io_uring_disabled) or too
 * old.
 *
 * System calls after disk_start: preadv2, preadv, pwritev, fdatasync, fallocate, futex, read and write of an eventfd;
 * the thread's first and last are those of on_thread.
 */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "devices/disk_engine.h"

/* The thread calls nothing deeper than a system call. glibc asks for its TLS and a signal frame in it as well. */
#define WORKER_STACK (256u << 10) /* bytes; arm64 refuses less than 128 KiB (PTHREAD_STACK_MIN) */

static void append(struct disk_request ***tail, struct disk_request *r)
{
    r->next = NULL;
    **tail = r;
    *tail = &r->next;
}

static void tell(const struct disk *d, bool begins)
{
    if (d->on_thread) d->on_thread(d->on_thread_arg, begins);
}

static void *work(void *arg)
{
    struct disk_worker *const w = arg;
    tell(w->disk, true);
    pthread_mutex_lock(&w->lock);
    for (;;) {
        while (!w->todo && !w->want_stop) pthread_cond_wait(&w->has_work, &w->lock);
        if (!w->todo) break;
        struct disk_request *const r = w->todo;
        w->todo = r->next;
        if (!w->todo) w->todo_tail = &w->todo;
        pthread_mutex_unlock(&w->lock);
        struct disk_step s;
        disk_next_step(w->disk, r, &s);
        r->result = disk_run_step(w->disk->fd, &s);
        pthread_mutex_lock(&w->lock);
        if (!w->finished) {
            const uint64_t one = 1;
            const ssize_t n = write(w->event_fd, &one, sizeof(one)); /* can't be full: read before the list is taken */
            (void)n;
        }
        append(&w->finished_tail, r);
    }
    pthread_mutex_unlock(&w->lock);
    tell(w->disk, false);
    return NULL;
}

/* Loop thread, as everything below. */
static void worker_collect(struct disk *d)
{
    struct disk_worker *const w = &d->worker;
    uint64_t count;
    const ssize_t n = read(w->event_fd, &count, sizeof(count));
    (void)n;
    pthread_mutex_lock(&w->lock);
    struct disk_request *r = w->finished;
    w->finished = NULL;
    w->finished_tail = &w->finished;
    pthread_mutex_unlock(&w->lock);
    while (r) {
        struct disk_request *const next = r->next; /* r may be submitted again */
        disk_step_done(d, r, r->result);
        r = next;
    }
}

static void worker_kick(struct disk *d)
{
    if (d->worker.has_news) pthread_cond_signal(&d->worker.has_work);
    d->worker.has_news = false;
}

static void on_finished(void *arg, uint32_t events)
{
    struct disk *const d = arg;
    (void)events;
    worker_collect(d);
    worker_kick(d);
    disk_batch_done(d);
}

static void worker_submit(struct disk *d, struct disk_request *r)
{
    struct disk_worker *const w = &d->worker;
    pthread_mutex_lock(&w->lock);
    append(&w->todo_tail, r);
    pthread_mutex_unlock(&w->lock);
    w->has_news = true;
}

static void worker_wait(struct disk *d)
{
    struct pollfd p = {.fd = d->worker.event_fd, .events = POLLIN};
    worker_kick(d);
    (void)poll(&p, 1, -1);
    worker_collect(d);
}

/* The thread takes none of the process's signals: they are for whoever waits for them. */
static int start_thread(struct disk_worker *w)
{
    pthread_attr_t attr;
    sigset_t all, before;
    int rc = pthread_attr_init(&attr);
    if (rc != 0) return -rc;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    rc = pthread_attr_setstacksize(&attr, WORKER_STACK);
    if (rc == 0) rc = pthread_create(&w->thread, &attr, work, w);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    pthread_attr_destroy(&attr);
    return -rc;
}

static void release(struct disk_worker *w)
{
    close(w->event_fd);
    pthread_cond_destroy(&w->has_work);
    pthread_mutex_destroy(&w->lock);
}

static int worker_start(struct disk *d)
{
    struct disk_worker *const w = &d->worker;
    *w = (struct disk_worker){.disk = d, .event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)};
    if (w->event_fd < 0) return -errno;
    w->todo_tail = &w->todo;
    w->finished_tail = &w->finished;
    w->source = (struct loop_source){.fd = w->event_fd, .fn = on_finished, .arg = d};
    pthread_mutex_init(&w->lock, NULL);
    pthread_cond_init(&w->has_work, NULL);
    int rc = loop_add(d->loop, &w->source, EPOLLIN);
    if (rc == 0) rc = start_thread(w);
    if (rc != 0) {
        loop_remove(d->loop, &w->source);
        release(w);
    }
    return rc;
}

static void worker_stop(struct disk *d)
{
    struct disk_worker *const w = &d->worker;
    loop_remove(d->loop, &w->source);
    pthread_mutex_lock(&w->lock);
    w->want_stop = true;
    pthread_mutex_unlock(&w->lock);
    pthread_cond_signal(&w->has_work);
    pthread_join(w->thread, NULL);
    release(w);
}

const struct disk_engine disk_engine_worker = {
    .name = "worker",
    .is_async = true,
    .start = worker_start,
    .stop = worker_stop,
    .submit = worker_submit,
    .kick = worker_kick,
    .wait = worker_wait,
};
