/* See slow_file.h. There is one ring under one lock. The thread writes from the ring without the lock: what it writes
 * is freed only when it is done.
 *
 * System calls of the thread: ftruncate, fstat, write, futex, and close when it was left to itself. */
#include "devices/backend/slow_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "vmm/base/fd.h"
#include "vmm/base/thread.h"

#define PIECE_MAX (64u * 1024) /* of one write, so that room comes back while a slow disk works */

struct slow_file {
    /* Const after creation, but for what is said at is_left. */
    struct slow_file_params p;
    int fd;
    pthread_t thread;
    bool has_thread;

    /* The thread's. */
    bool has_begun;
    uint64_t size_max; /* 0: none */

    pthread_mutex_t lock; /* guards the rest */
    pthread_cond_t changed;
    size_t head, used; /* bytes[head] is the next to be written; only the thread moves it */
    bool is_closing;   /* nothing comes any more */
    bool is_left;      /* nobody waits any more: p.lost must not be called, and the thread frees this */
    bool is_gone;      /* the thread does not use this any more */
    uint8_t bytes[SLOW_FILE_BYTES];
};

static void destroy(struct slow_file *f)
{
    if (f->fd >= 0) close(f->fd);
    pthread_cond_destroy(&f->changed);
    pthread_mutex_destroy(&f->lock);
    free(f);
}

/* What can't be done now is tried again before the next write, so that new bytes never land behind old ones. */
static int begin(struct slow_file *f)
{
    struct stat st;
    if (f->has_begun) return 0;
    if (f->p.truncates && ftruncate(f->fd, 0) != 0) return -errno;
    if (f->p.grow_max && fstat(f->fd, &st) != 0) return -errno;
    if (f->p.grow_max && S_ISREG(st.st_mode)) f->size_max = f->p.grow_max + (uint64_t)st.st_size;
    f->has_begun = true;
    return 0;
}

/* Bytes written; 0: the file has reached its size; -errno. */
static ssize_t write_piece(struct slow_file *f, const uint8_t *p, size_t len)
{
    struct stat st;
    const int rc = begin(f);
    if (rc) return rc;
    if (f->size_max) {
        if (fstat(f->fd, &st) != 0) return -errno;
        const uint64_t size = (uint64_t)st.st_size;
        if (size >= f->size_max) return 0;
        if (len > f->size_max - size) len = (size_t)(f->size_max - size);
    }
    const ssize_t n = write(f->fd, p, len);
    if (n == 0) return -EIO; /* no file does that */
    return n < 0 ? -errno : n;
}

/* Lock held, except during the write. A piece that can't be written is lost as a whole; the next one is tried. */
static void work_once(struct slow_file *f)
{
    const size_t to_end = SLOW_FILE_BYTES - f->head;
    size_t len = f->used < to_end ? f->used : to_end;
    if (len > PIECE_MAX) len = PIECE_MAX;
    pthread_mutex_unlock(&f->lock);
    const ssize_t n = write_piece(f, f->bytes + f->head, len);
    pthread_mutex_lock(&f->lock);
    const size_t done = n > 0 ? (size_t)n : len;
    if (n <= 0 && !f->is_left) f->p.lost(f->p.arg, len, (int)-n);
    f->head = (f->head + done) % SLOW_FILE_BYTES;
    f->used -= done;
    pthread_cond_broadcast(&f->changed);
}

static void *work(void *arg)
{
    struct slow_file *f = arg;
    (void)begin(f); /* a guest that says nothing leaves an empty file */
    pthread_mutex_lock(&f->lock);
    while (!f->is_left) {
        if (f->used > 0)
            work_once(f);
        else if (f->is_closing)
            break;
        else
            pthread_cond_wait(&f->changed, &f->lock);
    }
    const bool is_left = f->is_left;
    f->is_gone = true;
    pthread_cond_broadcast(&f->changed);
    pthread_mutex_unlock(&f->lock);
    if (is_left) destroy(f);
    return NULL;
}

static void init_lock(struct slow_file *f)
{
    pthread_condattr_t attr;
    pthread_mutex_init(&f->lock, NULL); /* none of these fails on Linux */
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&f->changed, &attr);
    pthread_condattr_destroy(&attr);
}

int slow_file_create(struct slow_file **out, const struct slow_file_params *p, struct err *e)
{
    struct slow_file *f = calloc(1, sizeof(*f));
    if (!f) return err_set(e, -ENOMEM, "no memory for a file's buffer");
    f->p = *p;
    init_lock(f);
    f->fd = fd_own(fcntl(p->fd, F_DUPFD_CLOEXEC, 0));
    int rc = f->fd < 0 ? err_errno(e, "a descriptor for a file's thread") : 0;
    if (rc) {
        err_as(e, ERR_HOST);
        destroy(f);
        return rc;
    }
    *out = f;
    return 0;
}

int slow_file_start(struct slow_file *f, struct err *e)
{
    int rc = thread_make(&f->thread, &(struct thread_start){.name = "vireo:console", .fn = work, .arg = f});
    f->has_thread = rc == 0;
    if (rc == 0) return 0;
    rc = err_thread(e, err_set(e, rc, "a file's thread: %s", strerrordesc_np(-rc)));
    err_as(e, ERR_HOST);
    return rc;
}

void slow_file_in_child(const struct slow_file *f)
{
    close(f->fd);
}

size_t slow_file_put(struct slow_file *f, const uint8_t *bytes, size_t len)
{
    pthread_mutex_lock(&f->lock);
    const size_t room = SLOW_FILE_BYTES - f->used;
    if (len > room) len = room;
    const size_t at = (f->head + f->used) % SLOW_FILE_BYTES;
    const size_t first = len < SLOW_FILE_BYTES - at ? len : SLOW_FILE_BYTES - at;
    memcpy(f->bytes + at, bytes, first);
    memcpy(f->bytes, bytes + first, len - first);
    f->used += len;
    if (len > 0) pthread_cond_broadcast(&f->changed);
    pthread_mutex_unlock(&f->lock);
    return len;
}

/* Lock held. false: the deadline has passed. */
static bool wait_until(struct slow_file *f, uint64_t deadline_ns)
{
    const struct timespec until = {.tv_sec = (time_t)(deadline_ns / 1000000000u),
                                   .tv_nsec = (long)(deadline_ns % 1000000000u)};
    return pthread_cond_timedwait(&f->changed, &f->lock, &until) != ETIMEDOUT;
}

bool slow_file_wait(struct slow_file *f, uint64_t deadline_ns)
{
    pthread_mutex_lock(&f->lock);
    while (f->used == SLOW_FILE_BYTES && wait_until(f, deadline_ns)) continue;
    const bool has_room = f->used < SLOW_FILE_BYTES;
    pthread_mutex_unlock(&f->lock);
    return has_room;
}

void slow_file_close(struct slow_file *f, uint64_t deadline_ns)
{
    if (!f) return;
    if (!f->has_thread) {
        destroy(f);
        return;
    }
    const pthread_t thread = f->thread;
    pthread_mutex_lock(&f->lock);
    f->is_closing = true;
    pthread_cond_broadcast(&f->changed);
    while (!f->is_gone && wait_until(f, deadline_ns)) continue;
    const bool is_gone = f->is_gone;
    f->is_left = !is_gone;
    if (!is_gone && f->used > 0) f->p.lost(f->p.arg, f->used, ETIMEDOUT);
    pthread_cond_broadcast(&f->changed);
    pthread_mutex_unlock(&f->lock);
    if (!is_gone) {
        pthread_detach(thread);
        return;
    }
    pthread_join(thread, NULL); /* it has nothing left to do */
    destroy(f);
}
