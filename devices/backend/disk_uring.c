/* Disk I/O by io_uring. One system call hands over a batch and takes back what could be done at once. What is done
 * later makes the ring's descriptor readable in the event loop.
 *
 * What changes the disk goes to the worker thread instead, except on file systems that write into the page cache
 * without waiting (disk_open.c). On the others io_uring gives each write to a thread of the kernel, one after the
 * other, and wakes the loop for each; our own thread tells of many at once.
 *
 * Handing over does not wait: the kernel tries a transfer without waiting, else gives it to a thread of its own, as it
 * does with every flush and fallocate (io_uring_enter(2)). How much it copies at once is bounded where requests are
 * taken (blk.c) and by the size of a step. What follows a step that was done at once is handed over at the loop's next
 * turn.
 *
 * System calls: io_uring_setup, mmap and madvise to open; then io_uring_enter, statx and those of the loop's timers;
 * munmap and close to close. */
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

#include "devices/backend/disk_engine.h"
#include "vmm/base/fd.h"

/* The kernel takes nothing only when it has no memory for it (EAGAIN). The loop asks again for a second; then the
 * requests fail. */
#define TRIES_MAX 1000
#define PAUSE_NS  1000000u

static void reap(struct disk *d)
{
    struct io_uring *ring = &d->uring.ring;
    struct io_uring_cqe *cqe;
    /* Take the answers that are there now, and one more: liburing looks for answers that found no room in the ring only
     * when the ring is empty. What new ones arrive meanwhile can wait for the loop. */
    for (unsigned n = io_uring_cq_ready(ring) + 1; n > 0 && io_uring_peek_cqe(ring, &cqe) == 0; n--) {
        struct disk_request *r = io_uring_cqe_get_data(cqe);
        const int64_t result = cqe->res;
        io_uring_cqe_seen(ring, cqe); /* before done, which may submit */
        if (!r) continue;             /* was taken back: see uring_cancel */
        /* We cancel nothing here: the kernel did, because it could not make a thread. */
        if (result == -ECANCELED)
            disk_finish(d, r, -EAGAIN);
        else
            disk_step_done(d, r, result);
    }
}

static void prepare_transfer(struct io_uring_sqe *sqe, int fd, const struct disk_step *s)
{
    /* The kernel can be given one buffer without an iovec. */
    const struct iovec *v = s->iov;
    const bool is_read = s->kind == STEP_READ;
    if (s->iov_count == 1 && is_read)
        io_uring_prep_read(sqe, fd, v->iov_base, (unsigned)v->iov_len, s->offset);
    else if (s->iov_count == 1)
        io_uring_prep_write(sqe, fd, v->iov_base, (unsigned)v->iov_len, s->offset);
    else if (is_read)
        io_uring_prep_readv(sqe, fd, v, s->iov_count, s->offset);
    else
        io_uring_prep_writev(sqe, fd, v, s->iov_count, s->offset);
}

/* On a network file system, what this host knows of the size, without asking the server. */
static bool is_cut_short(const struct disk *d, const struct disk_step *s)
{
    struct statx st;
    if (!disk_needs_end(d, s)) return false;
    return statx(d->fd, "", AT_EMPTY_PATH | AT_STATX_DONT_SYNC, STATX_SIZE, &st) == 0 && disk_is_beyond(s, st.stx_size);
}

static void prepare(struct io_uring_sqe *sqe, const struct disk *d, const struct disk_step *s)
{
    switch (s->kind) {
    case STEP_READ:
    case STEP_WRITE: prepare_transfer(sqe, d->fd, s); break;
    case STEP_SYNC: io_uring_prep_fsync(sqe, d->fd, IORING_FSYNC_DATASYNC); break;
    case STEP_ALLOCATE: io_uring_prep_fallocate(sqe, d->fd, s->mode, (off_t)s->offset, (off_t)s->len); break;
    }
}

/* Put the next steps into the ring, as many as it has room for. */
static void fill(struct disk *d)
{
    struct disk_uring *u = &d->uring;
    while (u->todo.first && u->unsent_count < DISK_URING_ENTRIES) {
        struct io_uring_sqe *sqe = io_uring_get_sqe(&u->ring);
        if (!sqe) return; /* never: the ring has room for all that are unsent */
        struct disk_request *r = disk_queue_take(&u->todo);
        struct disk_step s;
        disk_next_step(d, r, &s);
        const bool is_cut = is_cut_short(d, &s);
        if (is_cut)
            io_uring_prep_nop(sqe);
        else
            prepare(sqe, d, &s);
        io_uring_sqe_set_data(sqe, is_cut ? NULL : r);
        u->unsent[u->unsent_count++] = sqe;
        if (is_cut) disk_finish(d, r, DISK_CUT_SHORT);
    }
}

/* Entries that the kernel has not taken can't be removed, so they are made into ones that do nothing. */
static void take_back(struct disk *d, int rc)
{
    struct disk_uring *u = &d->uring;
    struct disk_request *r[DISK_URING_ENTRIES];
    const unsigned count = u->unsent_count;
    for (unsigned i = 0; i < count; i++) {
        r[i] = (struct disk_request *)(uintptr_t)u->unsent[i]->user_data;
        io_uring_prep_nop(u->unsent[i]);
        io_uring_sqe_set_data(u->unsent[i], NULL);
    }
    for (unsigned i = 0; i < count; i++)
        if (r[i]) disk_finish(d, r[i], rc);
}

/* Hand over what is in the ring. False: the kernel takes no more now. */
static bool enter(struct disk *d)
{
    struct disk_uring *u = &d->uring;
    while (u->unsent_count > 0) { /* each turn but the last makes it fewer */
        const int n = io_uring_submit(&u->ring);
        if (n <= 0) return false;
        u->tries = 0;
        u->unsent_count -= (unsigned)n;
        for (unsigned i = 0; i < u->unsent_count; i++) u->unsent[i] = u->unsent[i + (unsigned)n];
    }
    return true;
}

/* Hand over all that was submitted, or set the timer to come back for it. */
static void hand_over(struct disk *d)
{
    struct disk_uring *u = &d->uring;
    while (u->todo.first || u->unsent_count > 0) { /* one turn for each DISK_URING_ENTRIES requests */
        fill(d);
        if (enter(d)) continue;
        if (u->tries++ >= TRIES_MAX) {
            u->tries = 0;
            take_back(d, -EAGAIN);
        }
        disk_come_back(d, PAUSE_NS);
        return;
    }
}

/* Answer at once what was done at once. Its next steps are handed over too, and the loop answers those. */
static void uring_kick(struct disk *d)
{
    struct disk_uring *u = &d->uring;
    if (d->writes_by_thread) disk_engine_worker.kick(d);
    if (!u->todo.first && u->unsent_count == 0) return;
    hand_over(d);
    reap(d);
    hand_over(d);
}

static void on_completions(void *arg, uint32_t events)
{
    struct disk *d = arg;
    (void)events;
    reap(d);
    hand_over(d);
    if (d->writes_by_thread) disk_engine_worker.kick(d);
    disk_batch_done(d);
}

static void uring_submit(struct disk *d, struct disk_request *r)
{
    if (d->writes_by_thread && r->op != DISK_READ && r->op != DISK_FLUSH)
        disk_engine_worker.submit(d, r);
    else
        disk_queue_add(&d->uring.todo, r);
}

static void uring_again(struct disk *d)
{
    hand_over(d);
    if (d->writes_by_thread) disk_engine_worker.again(d);
}

static void uring_cancel(struct disk *d)
{
    if (d->writes_by_thread) disk_engine_worker.cancel(d);
    disk_queue_cancel(d, &d->uring.todo);
    take_back(d, -ECANCELED);
}

static int open_ring(struct disk_uring *u)
{
    struct io_uring_params p = {0};
    int rc = io_uring_queue_init_params(DISK_URING_ENTRIES, &u->ring, &p);
    if (rc != 0) return rc;
    const int ring_fd = fd_own(u->ring.ring_fd);
    rc = ring_fd < 0 ? -errno : io_uring_ring_dontfork(&u->ring); /* a child has nothing to look for in it */
    u->ring.ring_fd = u->ring.enter_ring_fd = ring_fd;
    if (rc != 0) {
        io_uring_queue_exit(&u->ring);
        return rc;
    }
    /* Linux 5.6 is the first with every operation used here, and this flag tells it. */
    if ((p.features & IORING_FEAT_RW_CUR_POS) == 0) {
        io_uring_queue_exit(&u->ring);
        return -ENOSYS;
    }
    return 0;
}

static int uring_open(struct disk *d)
{
    struct disk_uring *u = &d->uring;
    disk_queue_init(&u->todo);
    u->unsent_count = u->tries = 0;
    int rc = open_ring(u);
    if (rc != 0 || !d->writes_by_thread) return rc;
    rc = disk_engine_worker.open(d);
    if (rc != 0) io_uring_queue_exit(&u->ring);
    return rc;
}

static void uring_close(struct disk *d)
{
    if (d->writes_by_thread) disk_engine_worker.close(d);
    io_uring_queue_exit(&d->uring.ring);
}

static void uring_detach(struct disk *d)
{
    if (d->writes_by_thread) disk_engine_worker.detach(d);
    loop_remove(d->loop, &d->uring.source);
}

static int uring_attach(struct disk *d)
{
    struct disk_uring *u = &d->uring;
    u->source = (struct loop_source){.fd = u->ring.ring_fd, .fn = on_completions, .arg = d};
    int rc = loop_add(d->loop, &u->source, EPOLLIN);
    if (rc == 0 && d->writes_by_thread) rc = disk_engine_worker.attach(d);
    if (rc != 0) uring_detach(d);
    return rc;
}

const struct disk_engine disk_engine_uring = {
    .name = "io_uring",
    .is_async = true,
    .open = uring_open,
    .close = uring_close,
    .attach = uring_attach,
    .detach = uring_detach,
    .submit = uring_submit,
    .kick = uring_kick,
    .again = uring_again,
    .cancel = uring_cancel,
};
