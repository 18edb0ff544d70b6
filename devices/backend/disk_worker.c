/* Disk I/O by one worker thread. It does everything where io_uring is switched off (containers, sysctl
 * kernel.io_uring_disabled) or too old; beside io_uring it does what changes the disk (disk_uring.c).
 *
 * The loop's thread makes it and so hands down its place among the host's CPUs: when the disk is first started, or,
 * beside io_uring, at the first write. It stays until the disk is closed. Where the host refuses a thread (pids.max,
 * ulimit -u), the requests that need it fail, and each asks anew.
 *
 * A small write takes a microsecond, waking the loop for it several. So the thread tells of what is done when it has no
 * more to do, or when much is done. A step that hangs must not hold back news of what was done before it: so while more
 * than one request is out, the loop looks for itself now and then.
 *
 * System calls after disk_start: preadv, lseek, pwritev, fdatasync, fallocate, futex, read and write of an eventfd,
 * those of the loop's timers; the thread's first and last are those of on_thread. */
#include <errno.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "devices/backend/disk_engine.h"
#include "vmm/base/fd.h"
#include "vmm/base/thread.h"

#define TELL_AT 16       /* requests done before the loop is told: half of what a busy driver has in flight */
#define LOOK_NS 1000000u /* the longest that something done is not told */

static void tell(const struct disk *d, bool begins)
{
    if (d->on_thread) d->on_thread(d->on_thread_arg, begins);
}

/* Lock held. */
static void ring(struct disk_worker *w)
{
    const uint64_t one = 1;
    if (w->is_rung) return;
    const ssize_t n = write(w->event_fd, &one, sizeof(one)); /* can't be full: read before the queue is taken */
    (void)n;
    w->is_rung = true;
}

static void *work(void *arg)
{
    struct disk_worker *w = arg;
    tell(w->disk, true);
    pthread_mutex_lock(&w->lock);
    for (;;) {
        while (!w->todo.first && !w->want_stop) pthread_cond_wait(&w->has_work, &w->lock);
        struct disk_request *r = disk_queue_take(&w->todo);
        if (!r) break;
        pthread_mutex_unlock(&w->lock);
        struct disk_step s;
        disk_next_step(w->disk, r, &s);
        r->result = disk_run_step(w->disk, &s);
        pthread_mutex_lock(&w->lock);
        disk_queue_add(&w->finished, r);
        if (++w->finished_count >= TELL_AT || !w->todo.first) ring(w);
    }
    pthread_mutex_unlock(&w->lock);
    tell(w->disk, false);
    return NULL;
}

/* Loop thread, as everything below. */
static void worker_collect(struct disk *d)
{
    struct disk_worker *w = &d->worker;
    uint64_t count;
    const ssize_t n = read(w->event_fd, &count, sizeof(count));
    (void)n;
    pthread_mutex_lock(&w->lock);
    struct disk_request *r = w->finished.first;
    disk_queue_init(&w->finished);
    w->finished_count = 0;
    w->is_rung = false;
    pthread_mutex_unlock(&w->lock);
    while (r) {
        struct disk_request *next = r->next; /* r may be submitted again */
        w->out--;
        disk_step_done(d, r, r->result);
        r = next;
    }
}

static void worker_kick(struct disk *d)
{
    struct disk_worker *w = &d->worker;
    if (w->has_news) pthread_cond_signal(&w->has_work);
    w->has_news = false;
    if (w->out >= 2 && !loop_timer_is_set(&d->timer)) disk_come_back(d, LOOK_NS);
}

static void on_finished(void *arg, uint32_t events)
{
    struct disk *d = arg;
    (void)events;
    worker_collect(d);
    d->engine->kick(d);
    disk_batch_done(d);
}

static void worker_again(struct disk *d)
{
    worker_collect(d);
    d->engine->kick(d);
}

static int start_thread(struct disk_worker *w)
{
    const int rc = thread_make(&w->thread, &(struct thread_start){.fn = work, .arg = w});
    w->has_thread = rc == 0;
    return rc;
}

static void worker_submit(struct disk *d, struct disk_request *r)
{
    struct disk_worker *w = &d->worker;
    if (!w->has_thread && start_thread(w) != 0) {
        disk_finish(d, r, -EAGAIN);
        return;
    }
    pthread_mutex_lock(&w->lock);
    disk_queue_add(&w->todo, r);
    pthread_mutex_unlock(&w->lock);
    w->out++;
    w->has_news = true;
}

static void worker_cancel(struct disk *d)
{
    struct disk_worker *w = &d->worker;
    struct disk_queue todo;
    disk_queue_init(&todo);
    pthread_mutex_lock(&w->lock);
    for (struct disk_request *r = disk_queue_take(&w->todo); r; r = disk_queue_take(&w->todo)) {
        disk_queue_add(&todo, r);
        w->out--;
    }
    /* No other request will tell of what was done and not told yet. */
    if (w->finished.first) ring(w);
    pthread_mutex_unlock(&w->lock);
    disk_queue_cancel(d, &todo);
}

static int worker_open(struct disk *d)
{
    struct disk_worker *w = &d->worker;
    *w = (struct disk_worker){.disk = d, .event_fd = fd_own(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK))};
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
    struct disk_worker *w = &d->worker;
    if (w->has_thread) {
        pthread_mutex_lock(&w->lock);
        w->want_stop = true;
        pthread_mutex_unlock(&w->lock);
        pthread_cond_signal(&w->has_work);
        pthread_join(w->thread, NULL); /* has nothing to do, so it is not in the kernel with a request */
    }
    close(w->event_fd);
    pthread_cond_destroy(&w->has_work);
    pthread_mutex_destroy(&w->lock);
}

static void worker_detach(struct disk *d)
{
    loop_remove(d->loop, &d->worker.source);
}

static int worker_attach(struct disk *d)
{
    return loop_add(d->loop, &d->worker.source, EPOLLIN);
}

/* Refused: the first request asks again, and fails with the reason. */
static void worker_started(struct disk *d)
{
    if (!d->worker.has_thread) (void)start_thread(&d->worker);
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
    .started = worker_started,
    .again = worker_again,
    .cancel = worker_cancel,
};
