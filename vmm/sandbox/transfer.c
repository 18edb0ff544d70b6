/* Bytes read, written, copied, and room made for them. They go between the guest's pages and the file without a buffer
 * of ours. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "vmm/sandbox/process.h"

#define PIECES     64           /* of guest memory in one transfer */
#define AT_ONCE    (1ull << 20) /* bytes of it: a stop is looked at between two */
#define PIPE_ROOM  4096u        /* what a pipe that is ready takes without waiting (PIPE_BUF) */
#define VECTOR_MAX 1024u        /* IOV_MAX */
#define BUFFER     (64u << 10)
#define COPY_MAX   (16ull << 20) /* of one call that copies between files: a stop is looked at after it */

struct transfer {
    struct file *f;
    bool is_write, has_position;
    int64_t position;
};

/* Bytes of a stream that are thrown away, told to the embedder, or made here. */
static int64_t without_file(struct process *p, const struct transfer *t, const struct iovec *iov, int n, uint64_t len)
{
    if (t->is_write && t->f->is_output && p->policy->output)
        return p->policy->output(p->policy->output_arg, t->f->number, iov[0].iov_base, iov[0].iov_len);
    if (t->is_write) return (int64_t)len;
    if (t->f->kind == FILE_NULL) return 0;
    for (int i = 0; i < n; i++) {
        if (t->f->kind == FILE_ZERO)
            memset(iov[i].iov_base, 0, iov[i].iov_len);
        else if (getrandom(iov[i].iov_base, iov[i].iov_len, 0) < 0)
            return -EIO;
    }
    return (int64_t)len;
}

/* A broken pipe and a file beyond RLIMIT_FSIZE send the writing thread a signal, which would end the whole host: it is
 * held back, and taken away where the write made it. */
static void hold_signals(sigset_t *ours, sigset_t *before)
{
    (void)sigemptyset(ours);
    (void)sigaddset(ours, SIGPIPE);
    (void)sigaddset(ours, SIGXFSZ);
    (void)pthread_sigmask(SIG_BLOCK, ours, before);
}

static void let_signals(sigset_t *ours, const sigset_t *before, int64_t rc)
{
    const struct timespec at_once = {0};
    const int signo = rc == -EPIPE ? SIGPIPE : rc == -EFBIG ? SIGXFSZ : 0;
    (void)sigemptyset(ours);
    if (signo) (void)sigaddset(ours, signo);
    if (signo && !sigismember(before, signo)) (void)sigtimedwait(ours, NULL, &at_once);
    (void)pthread_sigmask(SIG_SETMASK, before, NULL);
}

static int64_t write_file(const struct transfer *t, const struct iovec *iov, int n)
{
    sigset_t ours, before;
    hold_signals(&ours, &before);
    const ssize_t done = t->has_position ? pwritev(t->f->fd, iov, n, t->position) : writev(t->f->fd, iov, n);
    const int64_t rc = done < 0 ? -errno : done;
    let_signals(&ours, &before, rc);
    return rc;
}

static int64_t through_file(const struct transfer *t, const struct iovec *iov, int n)
{
    if (t->is_write) return write_file(t, iov, n);
    const ssize_t done = t->has_position ? preadv(t->f->fd, iov, n, t->position) : readv(t->f->fd, iov, n);
    return done < 0 ? -errno : done;
}

/* The same of a stream of the policy's, which may be blocking: only what is there now. */
static int64_t at_once(struct process *p, const struct transfer *t, const struct iovec *iov, int n)
{
    if (!t->f->may_wait || !t->f->is_borrowed) return through_file(t, iov, n);
    struct pollfd fd = {.fd = t->f->fd, .events = t->is_write ? POLLOUT : POLLIN};
    (void)pthread_mutex_lock(&p->family->lock);
    const int64_t done = poll(&fd, 1, 0) > 0 ? through_file(t, iov, n) : -EAGAIN;
    (void)pthread_mutex_unlock(&p->family->lock);
    return done;
}

static bool waits(struct file *f)
{
    return f->may_wait && f->kind == FILE_HOST && !(atomic_load(&f->flags) & O_NONBLOCK);
}

/* Wait until a pipe or a terminal is ready; what it then takes at once. */
static int64_t await(struct process *p, const struct transfer *t, uint64_t *len, enum call_outcome *outcome)
{
    const short events = t->is_write ? POLLOUT : POLLIN;
    if (!t->f->may_wait || t->f->kind != FILE_HOST) return 0;
    const int ready = process_wait(p, t->f->fd, events, waits(t->f) ? UINT64_MAX : process_now());
    if (ready == WAIT_STOPPED) *outcome = CALL_STOPPED;
    if (ready == WAIT_SIGNAL) return -EINTR;
    if (ready != WAIT_READY) return -EAGAIN;
    if (t->is_write && *len > PIPE_ROOM) *len = PIPE_ROOM;
    return 0;
}

/* Does the limit leave room for len bytes of output? */
static bool is_within(struct process *p, const struct file *f, uint64_t len, enum call_outcome *outcome)
{
    if (!f->is_output || !p->policy->output_max) return true;
    if (atomic_fetch_add(&p->family->output, len) + len <= p->policy->output_max) return true;
    p->limit = "output-max";
    *outcome = CALL_LIMIT;
    return false;
}

/* Bytes that were counted and not written. */
static void take_back(struct process *p, const struct file *f, uint64_t len)
{
    if (f->is_output && p->policy->output_max) atomic_fetch_sub(&p->family->output, len);
}

/* ---- what write-max counts ---- */

uint64_t written_take(struct process *p, uint64_t len)
{
    const uint64_t max = p->policy->write_max;
    uint64_t before = atomic_load(&p->family->written), take = len;
    if (!max) return len;
    do {
        const uint64_t left = before < max ? max - before : 0;
        take = len < left ? len : left;
    } while (!atomic_compare_exchange_weak(&p->family->written, &before, before + take));
    return take;
}

void written_give(struct process *p, uint64_t len)
{
    if (p->policy->write_max) atomic_fetch_sub(&p->family->written, len);
}

int written_take_all(struct process *p, uint64_t len)
{
    const uint64_t taken = written_take(p, len);
    if (taken == len) return 0;
    written_give(p, taken);
    return -EDQUOT;
}

static bool is_counted(const struct file *f)
{
    return f->kind == FILE_HOST && !f->is_borrowed && !f->may_wait;
}

/* One range of guest memory. */
static int64_t transfer(struct process *p, struct transfer *t, uint64_t va, uint64_t len, enum call_outcome *outcome)
{
    struct iovec iov[PIECES];
    uint64_t all = 0;
    if (len > INT64_MAX) return -EINVAL;
    if (len == 0) return 0;
    while (all < len) {
        uint64_t here = len - all < AT_ONCE ? len - all : AT_ONCE, got;
        int64_t done = await(p, t, &here, outcome);
        if (done) return all && *outcome == CALL_ANSWERED ? (int64_t)all : done;
        const bool counts = t->is_write && is_counted(t->f);
        const uint64_t taken = counts ? written_take(p, here) : 0;
        if (counts && !taken) return all ? (int64_t)all : -EDQUOT;
        if (counts) here = taken;
        const bool is_one = t->f->kind == FILE_NULL && p->policy->output && t->is_write;
        const int n = space_pieces(p->space, va + all, here, t->is_write ? USER_READ : USER_WRITE, iov,
                                   is_one ? 1 : PIECES, &got);
        if (n < 0) {
            written_give(p, taken);
            return all ? (int64_t)all : n;
        }
        if (t->is_write && !is_within(p, t->f, got, outcome)) return -EIO;
        done = t->f->kind == FILE_HOST ? at_once(p, t, iov, n) : without_file(p, t, iov, n, got);
        const uint64_t put = done > 0 ? (uint64_t)done : 0;
        if (t->is_write && put < got) take_back(p, t->f, got - put);
        if (put < taken) written_give(p, taken - put);
        if (done == -EPIPE) process_raise(p, SIGPIPE);
        if (done == -EAGAIN && waits(t->f)) continue;
        if (done < 0) return all ? (int64_t)all : done;
        all += (uint64_t)done;
        t->position += done;
        /* A stream gives what it has; a file that gave less has ended. */
        if ((uint64_t)done < got || (!t->is_write && t->f->may_wait)) break;
        if (process_now() >= p->deadline) break;
    }
    return (int64_t)all;
}

static int64_t begin(struct process *p, int64_t fd, bool is_write, struct transfer *t)
{
    struct file *f = files_get(p, fd);
    if (!f || !(is_write ? f->can_write : f->can_read)) return f && f->path && !is_write ? -EISDIR : -EBADF;
    if (f->kind == FILE_VIRTUAL) return -EISDIR;
    *t = (struct transfer){.f = f, .is_write = is_write};
    return 0;
}

static int64_t plain(struct process *p, const uint64_t arg[6], bool is_write, bool has_position,
                     enum call_outcome *outcome)
{
    struct transfer t;
    const int64_t rc = begin(p, (int64_t)arg[0], is_write, &t);
    if (rc) return rc;
    if (has_position) {
        if ((int64_t)arg[3] < 0) return -EINVAL;
        if (t.f->may_wait) return -ESPIPE;
        t.has_position = true;
        t.position = (int64_t)arg[3];
    }
    return transfer(p, &t, arg[1], arg[2], outcome);
}

int64_t call_read(struct process *p, const uint64_t arg[6], enum call_outcome *outcome)
{
    return plain(p, arg, false, false, outcome);
}

int64_t call_write(struct process *p, const uint64_t arg[6], enum call_outcome *outcome)
{
    return plain(p, arg, true, false, outcome);
}

int64_t call_pread(struct process *p, const uint64_t arg[6], enum call_outcome *outcome)
{
    return plain(p, arg, false, true, outcome);
}

int64_t call_pwrite(struct process *p, const uint64_t arg[6], enum call_outcome *outcome)
{
    return plain(p, arg, true, true, outcome);
}

/* The vector is read piece by piece: each base and length once. */
static int64_t vectored(struct process *p, const uint64_t arg[6], bool is_write, bool has_position,
                        enum call_outcome *outcome)
{
    struct transfer t;
    int64_t all = 0, rc = begin(p, (int64_t)arg[0], is_write, &t);
    if (rc) return rc;
    if (arg[2] > VECTOR_MAX) return -EINVAL;
    if (has_position) {
        if ((int64_t)arg[3] < 0) return -EINVAL;
        if (t.f->may_wait) return -ESPIPE;
        t.has_position = true;
        t.position = (int64_t)arg[3];
    }
    for (uint64_t i = 0; i < arg[2]; i++) {
        uint64_t v[2];
        if (space_read(p->space, arg[1] + i * sizeof(v), v, sizeof(v))) return all ? all : -EFAULT;
        rc = transfer(p, &t, v[0], v[1], outcome);
        if (rc < 0) return all && *outcome == CALL_ANSWERED ? all : rc;
        all += rc;
        if ((uint64_t)rc < v[1] || (!is_write && t.f->may_wait && rc)) break;
    }
    return all;
}

int64_t call_readv(struct process *p, const uint64_t arg[6], enum call_outcome *outcome)
{
    return vectored(p, arg, false, false, outcome);
}

int64_t call_writev(struct process *p, const uint64_t arg[6], enum call_outcome *outcome)
{
    return vectored(p, arg, true, false, outcome);
}

int64_t call_preadv(struct process *p, const uint64_t arg[6], enum call_outcome *outcome)
{
    return vectored(p, arg, false, true, outcome);
}

int64_t call_pwritev(struct process *p, const uint64_t arg[6], enum call_outcome *outcome)
{
    return vectored(p, arg, true, true, outcome);
}

/* ---- sizes ---- */

static int64_t on_written(struct process *p, int64_t number, int *fd)
{
    const struct file *f = files_get(p, number);
    if (!f) return -EBADF;
    if (f->kind != FILE_HOST || f->may_wait || f->is_borrowed || !f->can_write) return -EINVAL;
    *fd = f->fd;
    return 0;
}

/* mode -1: ftruncate. */
static int64_t change_size(int fd, int mode, off_t at, off_t size)
{
    sigset_t ours, before;
    hold_signals(&ours, &before);
    const int64_t rc = (mode == -1 ? ftruncate(fd, size) : fallocate(fd, mode, at, size)) ? -errno : 0;
    let_signals(&ours, &before, rc);
    return rc;
}

int64_t call_ftruncate(struct process *p, const uint64_t arg[6], enum call_outcome *outcome)
{
    (void)outcome;
    int fd;
    const int64_t rc = on_written(p, (int64_t)arg[0], &fd);
    return rc ? rc : change_size(fd, -1, 0, (off_t)arg[1]);
}

int64_t call_fallocate(struct process *p, const uint64_t arg[6], enum call_outcome *outcome)
{
    (void)outcome;
    int fd;
    int64_t rc = on_written(p, (int64_t)arg[0], &fd);
    /* A hole that is made (3: with the size kept) takes nothing. */
    const uint64_t len =
        (int)arg[1] == (FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE) || (int64_t)arg[3] < 0 ? 0 : arg[3];
    if (!rc) rc = written_take_all(p, len);
    if (rc) return rc;
    rc = change_size(fd, (int)arg[1], (off_t)arg[2], (off_t)arg[3]);
    if (rc) written_give(p, len);
    return rc;
}

/* ---- from file to file ---- */

/* Both copy by a buffer, so that each side's rules (limits, waits) hold; a position that is given is not moved. */
static int64_t copy_between(struct process *p, struct file *from, struct file *to, off_t *from_at, off_t *to_at,
                            uint64_t len, enum call_outcome *outcome)
{
    if (from->kind != FILE_HOST || to->kind != FILE_HOST || from->path || to->path || from->may_wait ||
        !from->can_read || !to->can_write)
        return -EINVAL;
    uint8_t *buffer = malloc(BUFFER);
    uint64_t all = 0;
    if (len > COPY_MAX) len = COPY_MAX;
    int64_t rc = buffer ? 0 : -ENOMEM;
    while (!rc && all < len) {
        const struct transfer t = {.f = to, .is_write = true};
        uint64_t here = len - all < BUFFER ? len - all : BUFFER;
        rc = await(p, &t, &here, outcome);
        if (rc) break;
        const ssize_t n = from_at ? pread(from->fd, buffer, here, *from_at) : read(from->fd, buffer, here);
        if (n <= 0) {
            rc = n < 0 ? -errno : 0;
            break;
        }
        if (!is_within(p, to, (uint64_t)n, outcome)) {
            rc = -EIO;
            break;
        }
        const uint64_t taken = is_counted(to) ? written_take(p, (uint64_t)n) : (uint64_t)n;
        const struct iovec piece = {buffer, (size_t)taken};
        const struct transfer out = {.f = to, .is_write = true, .has_position = to_at, .position = to_at ? *to_at : 0};
        const int64_t put = taken ? at_once(p, &out, &piece, 1) : -EDQUOT;
        const uint64_t kept = put > 0 ? (uint64_t)put : 0;
        take_back(p, to, (uint64_t)n - kept);
        if (is_counted(to)) written_give(p, taken - kept);
        if (put < 0) rc = put;
        if (put == -EPIPE) process_raise(p, SIGPIPE);
        if (put == -EAGAIN && waits(to)) rc = 0;
        /* What was not written is read again. */
        if (put < n && !from_at) (void)lseek(from->fd, (put > 0 ? put : 0) - n, SEEK_CUR);
        if (put > 0) all += (uint64_t)put;
        if (put > 0 && from_at) *from_at += put;
        if (put > 0 && to_at) *to_at += put;
        if ((put < n && put != -EAGAIN) || process_now() >= p->deadline) break;
    }
    free(buffer);
    return all ? (int64_t)all : rc;
}

int64_t call_sendfile(struct process *p, const uint64_t arg[6], enum call_outcome *outcome)
{
    struct file *to = files_get(p, (int64_t)arg[0]), *from = files_get(p, (int64_t)arg[1]);
    off_t at;
    if (!to || !from) return -EBADF;
    if (arg[2] && space_read(p->space, arg[2], &at, sizeof(at))) return -EFAULT;
    if (arg[2] && at < 0) return -EINVAL;
    const int64_t rc = copy_between(p, from, to, arg[2] ? &at : NULL, NULL, arg[3], outcome);
    return rc >= 0 && arg[2] && space_write(p->space, arg[2], &at, sizeof(at)) ? -EFAULT : rc;
}

int64_t call_copy_range(struct process *p, const uint64_t arg[6], enum call_outcome *outcome)
{
    struct file *from = files_get(p, (int64_t)arg[0]), *to = files_get(p, (int64_t)arg[2]);
    off_t from_at = 0, to_at = 0;
    if (!to || !from) return -EBADF;
    if (arg[5]) return -EINVAL;
    if ((arg[1] && space_read(p->space, arg[1], &from_at, sizeof(from_at))) ||
        (arg[3] && space_read(p->space, arg[3], &to_at, sizeof(to_at))))
        return -EFAULT;
    if (from_at < 0 || to_at < 0) return -EINVAL;
    const int64_t rc = copy_between(p, from, to, arg[1] ? &from_at : NULL, arg[3] ? &to_at : NULL, arg[4], outcome);
    if (rc < 0) return rc;
    if ((arg[1] && space_write(p->space, arg[1], &from_at, sizeof(from_at))) ||
        (arg[3] && space_write(p->space, arg[3], &to_at, sizeof(to_at))))
        return -EFAULT;
    return rc;
}
