/* Disk I/O by one worker thread, where io_uring is switched off (containers, sysctl kernel.io_uring_disabled) or too
 * old.
 *
 * The thread is made when the disk is started for the first time, by the loop's thread, whose place among the host's
 * CPUs it inherits, and stays until the disk is closed. Where the host refuses one (pids.max, ulimit -u) the requests
 * that need it fail, and each asks anew.
 *
 * System calls after disk_start: preadv, lseek, pwritev, fdatasync, fallocate, futex, read and write of an eventfd; the
 * thread's first and last are those of on_thread.
 */
#include <errno.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "devices/disk_engine.h"

/* The thread calls nothing deeper than a system call. glibc asks for its TLS and a signal frame in it as well. */
#define WORKER_STACK (256u << 10) /* bytes; arm64 refuses less than 128 KiB (PTHREAD_STACK_MIN) */

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
        while (!w->todo.first && !w->want_stop) pthread_cond_wait(&w->has_work, &w->lock);
        struct disk_request *const r = disk_queue_take(&w->todo);
        if (!r) break;
        pthread_mutex_unlock(&w->lock);
        struct disk_step s;
        disk_next_step(w->disk, r, &s);
        r->result = disk_run_step(w->disk, &s);
        pthread_mutex_lock(&w->lock);
        if (!w->finished.first) {
            const uint64_t one = 1;
            const ssize_t n = write(w->event_fd, &one, sizeof(one)); /* can't be full: read before the list is taken */
            (void)n;
        }
        disk_queue_add(&w->finished, r);
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
    struct disk_request *r = w->finished.first;
    disk_queue_init(&w->finished);
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
    w->has_thread = rc == 0;
    return -rc;
}

static void worker_submit(struct disk *d, struct disk_request *r)
{
    struct disk_worker *const w = &d->worker;
    if (!w->has_thread && start_thread(w) != 0) {
        disk_finish(d, r, -EAGAIN);
        return;
    }
    pthread_mutex_lock(&w->lock);
    disk_queue_add(&w->todo, r);
    pthread_mutex_unlock(&w->lock);
    w->has_news = true;
}

static void worker_cancel(struct disk *d)
{
    struct disk_worker *const w = &d->worker;
    struct disk_queue todo;
    disk_queue_init(&todo);
    pthread_mutex_lock(&w->lock);
    for (struct disk_request *r = disk_queue_take(&w->todo); r; r = disk_queue_take(&w->todo)) {
        disk_queue_add(&todo, r);
    }
    pthread_mutex_unlock(&w->lock);
    disk_queue_cancel(d, &todo);
}

static int worker_open(struct disk *d)
{
    struct disk_worker *const w = &d->worker;
    *w = (struct disk_worker){.disk = d, .event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)};
    if (w->event_fd < 0) return -errno;
    disk_queue_init(&w->todo);
    disk_queue_init(&w->finished);
    w->source = (struct loop_source){.fd = w->event_fd, .fn = on_finished, .arg = d};
    pthread_mutex_init(&w->lock, NULL);
    pthread_cond_init(&w->has_work, NULL);
    return 0;
}

static void worker_close(struct disk *d)
{
    struct disk_worker *const w = &d->worker;
    if (w->has_thread) {
        pthread_mutex_lock(&w->lock);
        w->want_stop = true;
        pthread_mutex_unlock(&w->lock);
        pthread_cond_signal(&w->has_work);
        pthread_join(w->thread, NULL); /* it has nothing to do: it is not in the kernel with a request */
    }
    close(w->event_fd);
    pthread_cond_destroy(&w->has_work);
    pthread_mutex_destroy(&w->lock);
}

static int worker_attach(struct disk *d)
{
    const int rc = loop_add(d->loop, &d->worker.source, EPOLLIN);
    if (rc == 0) (void)start_thread(&d->worker); /* refused: the first request asks again, and fails with the reason */
    return rc;
}

static void worker_detach(struct disk *d)
{
    loop_remove(d->loop, &d->worker.source);
}

const struct disk_engine disk_engine_worker = {
    .name = "worker",
    .is_async = true,
    .open = worker_open,
    .close = worker_close,
    .attach = worker_attach,
    .detach = worker_detach,
    .submit = worker_submit,
    .kick = worker_kick,
    .again = worker_kick,
    .cancel = worker_cancel,
};
