/* A disk's requests: their steps, and the life of an engine. How steps reach the kernel is in disk_uring.c and
 * disk_worker.c, opening in disk_open.c.
 *
 * System calls, besides an engine's: to start mmap, then preadv2 and pwritev, to stop munmap; for a file in memory
 * preadv, fdatasync and fallocate too. */
#include "devices/disk.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/uio.h>
#include <unistd.h>

#include "devices/disk_engine.h"
#include "vmm/base/clock.h"

/* Zeros written at once where the file system can't make a range zero by itself: large enough to hide the call, small
 * enough not to keep a reset waiting. Never touched for writing, so all of it is the kernel's one zero page. */
#define ZEROS_SIZE (256u << 10)

/* What the page cache can serve is done at once: that takes 2 us, handing it to another thread and back 7 us and more.
 * Reads say so by themselves (RWF_NOWAIT). For buffered writes ext4 and others can't, so all but the largest are just
 * tried; one may wait after all, for a dirty limit or a journal: then the next ones are handed over, and so are all
 * while a flush is on its way. What is handed over gains nothing by its size: buffered writes of one file are done one
 * after the other. How much is copied before the loop goes on is bounded where requests are taken (blk.c). */
#define QUICK_WRITE_MAX   (256u << 10)
#define QUICK_WRITE_NS    1000000 /* longer than this was waiting */
#define QUICK_WRITE_AFTER 256     /* handed over after one that waited: two full queues */

/* Steps */

static void zeroing_step(const struct disk *d, enum disk_way way, struct disk_step *s)
{
    s->kind = STEP_ALLOCATE;
    if (way == WAY_PUNCH) {
        s->mode = FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE;
    } else if (way == WAY_ZERO_RANGE) {
        s->mode = FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE;
    } else {
        s->kind = STEP_WRITE;
        s->len = s->len < ZEROS_SIZE ? s->len : ZEROS_SIZE;
        s->zeros = (struct iovec){d->zeros, s->len};
        s->iov = &s->zeros;
        s->iov_count = 1;
    }
}

void disk_next_step(const struct disk *d, const struct disk_request *r, struct disk_step *s)
{
    *s = (struct disk_step){.offset = r->offset + r->progress, .len = r->bytes - r->progress};
    switch (r->op) {
    case DISK_READ:
    case DISK_WRITE:
        s->kind = r->op == DISK_READ ? STEP_READ : STEP_WRITE;
        s->iov = r->iov;
        s->iov_count = r->iov_count;
        break;
    case DISK_FLUSH: s->kind = STEP_SYNC; break;
    case DISK_DISCARD: zeroing_step(d, WAY_PUNCH, s); break;
    case DISK_ZEROES: zeroing_step(d, (enum disk_way)r->way, s); break;
    }
}

int64_t disk_run_step(int fd, const struct disk_step *s)
{
    int64_t n = -1;
    switch (s->kind) {
    case STEP_READ: n = preadv(fd, s->iov, (int)s->iov_count, (off_t)s->offset); break;
    case STEP_WRITE: n = pwritev(fd, s->iov, (int)s->iov_count, (off_t)s->offset); break;
    case STEP_SYNC: n = fdatasync(fd); break;
    case STEP_ALLOCATE: n = fallocate(fd, s->mode, (off_t)s->offset, (off_t)s->len); break;
    }
    return n < 0 ? -errno : n;
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

/* The best way from `way` on that is not known to be unsupported; writing always works. */
static unsigned best_way(const struct disk *d, unsigned way)
{
    while (way < WAY_WRITE && !d->has_way[way]) way++;
    return way;
}

/* No such fallocate in this file system. A discard is a hint, and giving nothing back answers it too; for zeroing there
 * is another way. */
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
    const bool is_zeroing = r->op == DISK_DISCARD || (r->op == DISK_ZEROES && r->way != WAY_WRITE);
    if (result == -EOPNOTSUPP && is_zeroing) return settle_unsupported(d, r, rc);
    if (result == -EINTR || result == -EAGAIN) {
        *rc = -ECANCELED;
        return !d->is_stopping;
    }
    *rc = result < 0 ? (int)result : 0;
    if (result < 0 || is_zeroing || r->op == DISK_FLUSH) return false;
    if (r->op == DISK_ZEROES) {
        r->progress += (uint64_t)result;
    } else {
        advance(r, (uint64_t)result);
    }
    if (r->progress == r->bytes) return false;
    /* Nothing moved, though there is more: the file has shrunk under us. */
    *rc = result == 0 ? -EIO : -ECANCELED;
    return result > 0 && !d->is_stopping;
}

void disk_finish(struct disk *d, struct disk_request *r, int rc)
{
    assert(d->in_flight > 0);
    d->in_flight--;
    if (r->op == DISK_FLUSH) d->flushes--;
    r->done(r, rc);
}

void disk_step_done(struct disk *d, struct disk_request *r, int64_t result)
{
    int rc;
    if (disk_settle(d, r, result, &rc)) {
        d->running->submit(d, r);
    } else {
        disk_finish(d, r, rc);
    }
}

void disk_batch_done(struct disk *d)
{
    if (d->batch_fn && !d->is_stopping) d->batch_fn(d->batch_arg);
}

void disk_on_batch(struct disk *d, void (*fn)(void *arg), void *arg)
{
    d->batch_fn = fn;
    d->batch_arg = arg;
}

/* Running */

static int start_engine(struct disk *d, const struct disk_engine *engine)
{
    const int rc = engine->start(d);
    if (rc == 0) d->running = engine;
    return rc;
}

/* The named one; for a file in memory none, since nothing is quicker than to copy; else the first that starts. A kernel
 * without io_uring, a container that forbids it, a limit reached: all are answered by the worker. */
static int choose_engine(struct disk *d)
{
    if (d->engine) return start_engine(d, d->engine);
    if (d->wanted == DISK_ENGINE_AUTO && d->is_in_memory) return start_engine(d, &disk_engine_direct);
    if (d->wanted != DISK_ENGINE_WORKER) {
        const int rc = start_engine(d, &disk_engine_uring);
        if (rc == 0 || d->wanted == DISK_ENGINE_URING) return rc;
    }
    return start_engine(d, &disk_engine_worker);
}

int disk_start(struct disk *d, struct loop *loop, struct err *e)
{
    assert(!d->running && d->in_flight == 0);
    d->loop = loop;
    d->is_stopping = false;
    d->has_nowait = true;
    d->has_way[WAY_PUNCH] = d->can_discard;
    d->has_way[WAY_ZERO_RANGE] = d->has_way[WAY_WRITE] = true;
    void *const zeros = mmap(NULL, ZEROS_SIZE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    int rc = zeros == MAP_FAILED ? -errno : 0;
    d->zeros = rc == 0 ? zeros : NULL;
    if (rc == 0) rc = choose_engine(d);
    if (rc == 0) return 0;
    if (d->zeros) munmap(d->zeros, ZEROS_SIZE);
    d->zeros = NULL;
    (void)err_set(e, rc, "start of disk I/O: %s", strerrordesc_np(-rc));
    err_as(e, ERR_DEVICE);
    return rc;
}

/* All steps of r here and now: its outcome. */
static int run_here(struct disk *d, struct disk_request *r)
{
    int rc;
    struct disk_step s;
    do {
        disk_next_step(d, r, &s);
    } while (disk_settle(d, r, disk_run_step(d->fd, &s), &rc));
    return rc;
}

/* True: r is done, all its data was in the page cache. Else the engine goes on where the cache ended. */
static bool read_at_once(struct disk *d, struct disk_request *r)
{
    int rc;
    struct disk_step s;
    do {
        disk_next_step(d, r, &s);
        const ssize_t n = preadv2(d->fd, s.iov, (int)s.iov_count, (off_t)s.offset, RWF_NOWAIT);
        if (n < 0) {
            d->has_nowait = errno != EOPNOTSUPP;
            return false;
        }
        if (!disk_settle(d, r, n, &rc)) break;
    } while (true);
    disk_finish(d, r, rc);
    return true;
}

/* True: r is done. */
static bool write_at_once(struct disk *d, struct disk_request *r)
{
    if (r->bytes > QUICK_WRITE_MAX || d->flushes > 0) return false;
    if (d->slow_writes > 0) {
        d->slow_writes--;
        return false;
    }
    const uint64_t start = now_ns();
    const int rc = run_here(d, r);
    if (now_ns() - start > QUICK_WRITE_NS) d->slow_writes = QUICK_WRITE_AFTER;
    disk_finish(d, r, rc);
    return true;
}

static bool do_at_once(struct disk *d, struct disk_request *r)
{
    if (!d->running->is_async) return false;
    if (r->op == DISK_READ) return d->has_nowait && read_at_once(d, r);
    return r->op == DISK_WRITE && write_at_once(d, r);
}

void disk_submit(struct disk *d, struct disk_request *r)
{
    assert(d->running && r->offset <= d->size && r->bytes <= d->size - r->offset);
    r->progress = 0;
    r->way = best_way(d, r->may_unmap ? WAY_PUNCH : WAY_ZERO_RANGE);
    d->in_flight++;
    if (r->op == DISK_FLUSH) d->flushes++;
    if (d->is_stopping) { /* from a done called by disk_stop: nothing new is begun */
        disk_finish(d, r, -ECANCELED);
    } else if (!do_at_once(d, r)) {
        d->running->submit(d, r);
    }
}

void disk_kick(struct disk *d)
{
    d->running->kick(d);
}

void disk_stop(struct disk *d)
{
    if (!d->running) return;
    d->is_stopping = true;
    d->running->kick(d);
    while (d->in_flight > 0) d->running->wait(d); /* each wait ends a step, and no request gets another one */
    d->running->stop(d);
    d->running = NULL;
    munmap(d->zeros, ZEROS_SIZE);
    d->zeros = NULL;
}

/* The engine of a disk in memory. */

static int direct_start(struct disk *d)
{
    (void)d;
    return 0;
}

static void direct_nothing(struct disk *d)
{
    (void)d;
}

static void direct_submit(struct disk *d, struct disk_request *r)
{
    disk_finish(d, r, run_here(d, r));
}

const struct disk_engine disk_engine_direct = {
    .name = "direct",
    .start = direct_start,
    .stop = direct_nothing,
    .submit = direct_submit,
    .kick = direct_nothing,
    .wait = direct_nothing,
};
