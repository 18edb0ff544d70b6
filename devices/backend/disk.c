/* A disk's requests: their steps, and the life of an engine. How steps reach the kernel is in disk_uring.c,
 * disk_worker.c and disk_direct.c, opening in disk_open.c.
 *
 * System calls, besides an engine's: preadv2, and those of the loop's timers. */
#include "devices/backend/disk.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

#include "devices/backend/disk_engine.h"
#include "vmm/base/fd.h"

/* How often a step is taken again when the kernel asks for that. What the kernel lacked comes back in the meantime or
 * it does not; either way no request goes round for ever. */
#define TRIES_MAX 1000

/* Steps */

static uint64_t allocate_len(uint64_t left)
{
    return left < DISK_ALLOCATE_MAX ? left : DISK_ALLOCATE_MAX;
}

static void zeroing_step(const struct disk *d, enum disk_way way, struct disk_step *s)
{
    s->kind = STEP_ALLOCATE;
    s->len = allocate_len(s->len);
    if (way == WAY_PUNCH) {
        s->mode = FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE;
    } else if (way == WAY_ZERO_RANGE) {
        s->mode = FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE;
    } else {
        s->kind = STEP_WRITE;
        s->len = s->len < DISK_ZEROS_SIZE ? s->len : DISK_ZEROS_SIZE;
        s->one = (struct iovec){d->zeros, s->len};
        s->iov = &s->one;
        s->iov_count = 1;
    }
}

/* As many whole buffers as one step may move, or a part of the first where that one is larger. */
static void transfer_step(const struct disk_request *r, struct disk_step *s)
{
    unsigned n = 0;
    s->len = 0;
    while (n < r->iov_count && r->iov[n].iov_len <= DISK_COPY_MAX - s->len) s->len += r->iov[n++].iov_len;
    s->iov = r->iov;
    s->iov_count = n;
    if (s->len > 0 || n == r->iov_count) return;
    s->len = DISK_COPY_MAX;
    s->one = (struct iovec){r->iov[n].iov_base, s->len};
    s->iov = &s->one;
    s->iov_count = 1;
}

void disk_next_step(const struct disk *d, const struct disk_request *r, struct disk_step *s)
{
    *s = (struct disk_step){.offset = r->offset + r->progress, .len = r->bytes - r->progress};
    switch (r->op) {
    case DISK_READ:
    case DISK_WRITE:
        s->kind = r->op == DISK_READ ? STEP_READ : STEP_WRITE;
        transfer_step(r, s);
        break;
    case DISK_FLUSH: s->kind = STEP_SYNC; break;
    case DISK_DISCARD: zeroing_step(d, WAY_PUNCH, s); break;
    case DISK_ZEROES: zeroing_step(d, (enum disk_way)r->way, s); break;
    }
}

bool disk_is_beyond(const struct disk_step *s, uint64_t end)
{
    return s->offset > end || s->len > end - s->offset;
}

/* A write beyond the end of a file would make it grow, and leave a hole where its data was cut off. No flag of a write
 * forbids that, so its end is looked at before each write. */
bool disk_needs_end(const struct disk *d, const struct disk_step *s)
{
    return d->can_be_cut && (s->kind == STEP_WRITE || s->kind == STEP_ALLOCATE);
}

int64_t disk_do_step(const struct disk *d, const struct disk_step *s)
{
    int64_t n = -1;
    switch (s->kind) {
    case STEP_READ: n = preadv(d->fd, s->iov, (int)s->iov_count, (off_t)s->offset); break;
    case STEP_WRITE: n = pwritev(d->fd, s->iov, (int)s->iov_count, (off_t)s->offset); break;
    case STEP_SYNC: n = fdatasync(d->fd); break;
    case STEP_ALLOCATE: n = fallocate(d->fd, s->mode, (off_t)s->offset, (off_t)s->len); break;
    }
    return n < 0 ? -errno : n;
}

int64_t disk_run_step(const struct disk *d, const struct disk_step *s)
{
    if (disk_needs_end(d, s)) {
        const off_t end = lseek(d->fd, 0, SEEK_END);
        if (end < 0) return -errno;
        if (disk_is_beyond(s, (uint64_t)end)) return DISK_CUT_SHORT;
    }
    return disk_do_step(d, s);
}

/* n bytes were moved: the iovec begins where the transfer goes on. */
static void advance(struct disk_request *r, uint64_t n)
{
    r->progress += n;
    while (r->iov_count > 0 && n >= r->iov->iov_len) {
        n -= r->iov->iov_len;
        r->iov++;
        r->iov_count--;
    }
    if (n == 0) return;
    assert(r->iov_count > 0);
    r->iov->iov_base = (uint8_t *)r->iov->iov_base + n;
    r->iov->iov_len -= n;
}

/* The best way, from `way` on, that is not known to be unsupported. Writing always works. */
static unsigned best_way(const struct disk *d, unsigned way)
{
    while (way < WAY_WRITE && !d->has_way[way]) way++;
    return way;
}

/* This file system has no such fallocate. A discard is a hint, so doing nothing answers it too. For zeroing there is
 * another way. */
static bool settle_unsupported(struct disk *d, struct disk_request *r, int *rc)
{
    *rc = 0;
    if (r->op == DISK_DISCARD) return false;
    d->has_way[r->way] = false;
    r->way = best_way(d, r->way + 1);
    *rc = -ECANCELED;
    return !d->is_stopping;
}

bool disk_settle(struct disk *d, struct disk_request *r, int64_t result, int *rc)
{
    const bool is_allocating = r->op == DISK_DISCARD || (r->op == DISK_ZEROES && r->way != WAY_WRITE);
    if (result == -EOPNOTSUPP && is_allocating) return settle_unsupported(d, r, rc);
    *rc = -ECANCELED;
    if ((result == -EINTR || result == -EAGAIN) && r->tries++ < TRIES_MAX) return !d->is_stopping;
    *rc = result < 0 ? (int)result : 0;
    if (result < 0 || r->op == DISK_FLUSH) return false;
    if (is_allocating) {
        result = (int64_t)allocate_len(r->bytes - r->progress);
        r->progress += (uint64_t)result;
    } else if (r->op == DISK_ZEROES) {
        r->progress += (uint64_t)result;
    } else {
        advance(r, (uint64_t)result);
    }
    if (r->progress == r->bytes) return false;
    /* Nothing moved, though there is more: the file has shrunk under us. */
    *rc = result == 0 ? DISK_CUT_SHORT : -ECANCELED;
    return result > 0 && !d->is_stopping;
}

void disk_finish(struct disk *d, struct disk_request *r, int rc)
{
    assert(d->in_flight > 0);
    d->in_flight--;
    r->done(r, rc);
}

void disk_step_done(struct disk *d, struct disk_request *r, int64_t result)
{
    int rc;
    if (disk_settle(d, r, result, &rc))
        d->engine->submit(d, r);
    else
        disk_finish(d, r, rc);
}

/* The last request of a disk that stops has come back. */
static bool is_quiet_now(struct disk *d)
{
    if (!d->is_stopping || !d->is_running || d->in_flight > 0) return false;
    d->is_running = false;
    return true;
}

void disk_batch_done(struct disk *d)
{
    if (is_quiet_now(d)) {
        if (d->quiet_fn) d->quiet_fn(d->quiet_arg); /* it may close the disk */
    } else if (d->batch_fn && !d->is_stopping) {
        d->batch_fn(d->batch_arg);
    }
}

void disk_on_batch(struct disk *d, void (*fn)(void *arg), void *arg)
{
    d->batch_fn = fn;
    d->batch_arg = arg;
}

void disk_on_quiet(struct disk *d, void (*fn)(void *arg), void *arg)
{
    d->quiet_fn = fn;
    d->quiet_arg = arg;
}

void disk_queue_init(struct disk_queue *q)
{
    q->first = NULL;
    q->tail = &q->first;
}

void disk_queue_add(struct disk_queue *q, struct disk_request *r)
{
    r->next = NULL;
    *q->tail = r;
    q->tail = &r->next;
}

struct disk_request *disk_queue_take(struct disk_queue *q)
{
    struct disk_request *r = q->first;
    if (!r) return NULL;
    q->first = r->next;
    if (!q->first) q->tail = &q->first;
    return r;
}

void disk_queue_cancel(struct disk *d, struct disk_queue *q)
{
    for (struct disk_request *r = disk_queue_take(q); r; r = disk_queue_take(q)) disk_finish(d, r, -ECANCELED);
}

/* Call the engine again after ns: it had to leave something. */

static void on_timer(void *arg)
{
    struct disk *d = arg;
    d->engine->again(d);
    disk_batch_done(d);
}

void disk_init_timer(struct disk *d)
{
    d->timer = (struct loop_timer){.fn = on_timer, .arg = d};
}

void disk_come_back(struct disk *d, uint64_t ns)
{
    loop_timer_set(d->loop, &d->timer, ns);
}

/* The engine */

void disk_close_engine(struct disk *d)
{
    if (!d->engine) return;
    if (d->loop) loop_timer_cancel(d->loop, &d->timer);
    if (d->loop && d->engine->detach) d->engine->detach(d);
    d->loop = NULL;
    if (d->engine->close) d->engine->close(d);
    d->engine = NULL;
}

static int open_engine(struct disk *d, const struct disk_engine *engine)
{
    const int rc = engine->open(d);
    if (rc == 0) d->engine = engine;
    return rc;
}

/* A file in memory gets an engine without a thread, since nothing is quicker than to copy. Any other gets the first
 * engine that can be had: where there is no io_uring (an old kernel, a container that forbids it, a limit) that is the
 * worker. */
int disk_use_engine(struct disk *d, const struct disk_engine *engine)
{
    disk_close_engine(d);
    if (engine) return open_engine(d, engine);
    if (d->wanted == DISK_ENGINE_AUTO && d->is_in_memory) return open_engine(d, &disk_engine_direct);
    if (d->wanted != DISK_ENGINE_WORKER) {
        const int rc = open_engine(d, &disk_engine_uring);
        if (rc == 0 || d->wanted == DISK_ENGINE_URING) return rc;
    }
    return open_engine(d, &disk_engine_worker);
}

/* Running */

int disk_attach(struct disk *d, struct loop *loop, struct err *e)
{
    if (d->loop) return 0;
    d->loop = loop;
    const int rc = d->engine->attach ? d->engine->attach(d) : 0;
    if (rc == 0) return 0;
    d->loop = NULL;
    (void)err_set(e, rc, "a disk's place in the event loop: %s", strerrordesc_np(-rc));
    err_as(e, ERR_HOST);
    return rc;
}

int disk_start(struct disk *d, struct loop *loop, struct err *e)
{
    assert(!d->is_running && d->in_flight == 0 && (!d->loop || d->loop == loop));
    const int rc = disk_attach(d, loop, e);
    if (rc != 0) return rc;
    d->is_running = true;
    d->is_stopping = false;
    if (d->engine->started) d->engine->started(d);
    return 0;
}

/* True: r is done, as all its data was in the page cache. Else the engine goes on, from where the cache ended or where
 * a large request has had its share of the loop's time. preadv2 with RWF_NOWAIT returns rather than wait, for data as
 * for a lock. It takes 1 us; handing over to another thread and back takes 7 us and more. Writes are never tried this
 * way: most file systems refuse it (ext4), and where they don't, the call still waits while the file system is
 * frozen. */
static bool read_at_once(struct disk *d, struct disk_request *r)
{
    int rc;
    struct disk_step s;
    disk_next_step(d, r, &s);
    const ssize_t n = preadv2(d->fd, s.iov, (int)s.iov_count, (off_t)s.offset, RWF_NOWAIT);
    if (n < 0) d->has_nowait = errno != EOPNOTSUPP;
    if (n < 0 || disk_settle(d, r, n, &rc)) return false;
    disk_finish(d, r, rc);
    return true;
}

void disk_submit(struct disk *d, struct disk_request *r)
{
    assert(d->is_running && r->offset <= d->size && r->bytes <= d->size - r->offset);
    r->progress = 0;
    r->tries = 0;
    r->way = best_way(d, r->may_unmap ? WAY_PUNCH : WAY_ZERO_RANGE);
    d->in_flight++;
    if (d->is_stopping) { /* a request that ends the disk was done: nothing new is begun */
        disk_finish(d, r, -ECANCELED);
        return;
    }
    if (r->op == DISK_READ && d->engine->is_async && d->has_nowait && read_at_once(d, r)) return;
    d->engine->submit(d, r);
}

void disk_kick(struct disk *d)
{
    d->engine->kick(d);
}

bool disk_stop(struct disk *d)
{
    if (!d->is_running) return true;
    d->is_stopping = true;
    d->engine->cancel(d);
    return is_quiet_now(d);
}
