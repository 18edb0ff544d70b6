/* Disk I/O by io_uring: one system call hands over a batch and takes back what could be done at once; what comes later
 * makes the ring's descriptor readable in the event loop.
 *
 * System calls: to start io_uring_setup and mmap, then io_uring_enter, to stop munmap and close. */
#include <errno.h>
#include <time.h>

#include "devices/disk_engine.h"
#include "vmm/base/fd.h"

/* Requests handed over at once; a fuller batch takes a second system call. The completion side has twice as many: all
 * requests of a queue at once. Three pages of kernel memory. */
#define URING_ENTRIES 64
/* The kernel refuses a submission only when it is out of memory for it (EAGAIN). Try for a second; what is refused then
 * stays in the ring and goes with the next batch. */
#define URING_TRIES    1000
#define URING_PAUSE_NS 1000000L

static void reap(struct disk *d)
{
    struct io_uring *const ring = &d->uring.ring;
    struct io_uring_cqe *cqe;
    while (io_uring_peek_cqe(ring, &cqe) == 0) {
        struct disk_request *const r = io_uring_cqe_get_data(cqe);
        const int64_t result = cqe->res;
        io_uring_cqe_seen(ring, cqe); /* before done, which may submit and reap */
        disk_step_done(d, r, result);
    }
}

/* False: the kernel did not take everything. */
static bool enter(struct disk *d)
{
    const struct timespec pause = {.tv_nsec = URING_PAUSE_NS};
    for (unsigned i = 0; i < URING_TRIES && io_uring_sq_ready(&d->uring.ring) > 0; i++) {
        const int rc = io_uring_submit(&d->uring.ring);
        if (rc == -EAGAIN || rc == -EBUSY) (void)nanosleep(&pause, NULL);
    }
    return io_uring_sq_ready(&d->uring.ring) == 0;
}

/* Completions may ask for further steps, which must be entered too; each turn but the last ends or shortens a request.
 */
static void uring_kick(struct disk *d)
{
    while (io_uring_sq_ready(&d->uring.ring) > 0 && enter(d)) reap(d);
}

static void on_completions(void *arg, uint32_t events)
{
    struct disk *const d = arg;
    (void)events;
    reap(d);
    uring_kick(d);
    disk_batch_done(d);
}

static void prepare_transfer(struct io_uring_sqe *sqe, int fd, const struct disk_step *s)
{
    /* One buffer needs no iovec to be read by the kernel. */
    const struct iovec *const v = s->iov;
    const bool is_read = s->kind == STEP_READ;
    if (s->iov_count == 1 && is_read) {
        io_uring_prep_read(sqe, fd, v->iov_base, (unsigned)v->iov_len, s->offset);
    } else if (s->iov_count == 1) {
        io_uring_prep_write(sqe, fd, v->iov_base, (unsigned)v->iov_len, s->offset);
    } else if (is_read) {
        io_uring_prep_readv(sqe, fd, v, s->iov_count, s->offset);
    } else {
        io_uring_prep_writev(sqe, fd, v, s->iov_count, s->offset);
    }
}

static void uring_submit(struct disk *d, struct disk_request *r)
{
    struct io_uring_sqe *sqe = io_uring_get_sqe(&d->uring.ring);
    if (!sqe) {
        (void)enter(d);
        sqe = io_uring_get_sqe(&d->uring.ring);
    }
    if (!sqe) { /* the kernel has had no memory for a second */
        disk_step_done(d, r, -EIO);
        return;
    }
    struct disk_step s;
    disk_next_step(d, r, &s);
    switch (s.kind) {
    case STEP_READ:
    case STEP_WRITE: prepare_transfer(sqe, d->fd, &s); break;
    case STEP_SYNC: io_uring_prep_fsync(sqe, d->fd, IORING_FSYNC_DATASYNC); break;
    case STEP_ALLOCATE: io_uring_prep_fallocate(sqe, d->fd, s.mode, (off_t)s.offset, (off_t)s.len); break;
    }
    io_uring_sqe_set_data(sqe, r);
}

static void uring_wait(struct disk *d)
{
    struct io_uring_cqe *cqe;
    uring_kick(d);
    /* What the kernel has not taken can't be waited for, and EINTR is nothing: the caller comes again. */
    if (d->in_flight == 0 || io_uring_sq_ready(&d->uring.ring) > 0) return;
    if (io_uring_wait_cqe(&d->uring.ring, &cqe) == 0) reap(d);
}

static int uring_start(struct disk *d)
{
    struct disk_uring *const u = &d->uring;
    struct io_uring_params p = {0};
    int rc = io_uring_queue_init_params(URING_ENTRIES, &u->ring, &p);
    if (rc != 0) return rc;
    const int ring_fd = fd_own(u->ring.ring_fd);
    rc = ring_fd < 0 ? -errno : io_uring_ring_dontfork(&u->ring);
    u->ring.ring_fd = u->ring.enter_ring_fd = ring_fd;
    if (rc != 0) {
        io_uring_queue_exit(&u->ring);
        return rc;
    }
    /* 5.6: the first kernel with every operation used here, and it says so by this flag. */
    rc = (p.features & IORING_FEAT_RW_CUR_POS) != 0 ? 0 : -ENOSYS;
    u->source = (struct loop_source){.fd = u->ring.ring_fd, .fn = on_completions, .arg = d};
    if (rc == 0) rc = loop_add(d->loop, &u->source, EPOLLIN);
    if (rc != 0) io_uring_queue_exit(&u->ring);
    return rc;
}

static void uring_stop(struct disk *d)
{
    loop_remove(d->loop, &d->uring.source);
    io_uring_queue_exit(&d->uring.ring);
}

const struct disk_engine disk_engine_uring = {
    .name = "io_uring",
    .is_async = true,
    .start = uring_start,
    .stop = uring_stop,
    .submit = uring_submit,
    .kick = uring_kick,
    .wait = uring_wait,
};
