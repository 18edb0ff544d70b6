/* Bytes of open files: between the module's memory and the system without a copy of ours. */
#include <errno.h>
#include <fcntl.h>
#include <sys/uio.h>
#include <unistd.h>

#include "guest/wasi/wasi.h"

enum io_way { IO_READ, IO_WRITE, IO_PREAD, IO_PWRITE };

/* The module's list of pieces: read once, each checked. Returns how many, or -1: one of them is not its memory. */
static int gather(struct wasi *w, uint32_t at, uint32_t count, struct iovec *out)
{
    const uint32_t taken = count < WASI_IOVS_MAX ? count : WASI_IOVS_MAX;
    if (!wasi_slice(w, at, count * UINT64_C(8))) return -1;
    for (uint32_t i = 0; i < taken; i++) {
        uint32_t piece[2]; /* address, length */
        memcpy(piece, wasi_slice(w, at + i * 8, sizeof(piece)), sizeof(piece));
        out[i] = (struct iovec){.iov_base = wasi_slice(w, piece[0], piece[1]), .iov_len = piece[1]};
        if (!out[i].iov_base) return -1;
    }
    return (int)taken;
}

static ssize_t move(int fd, enum io_way way, const struct iovec *iov, int count, uint64_t offset)
{
    switch (way) {
    case IO_READ: return readv(fd, iov, count);
    case IO_WRITE: return writev(fd, iov, count);
    case IO_PREAD: return preadv(fd, iov, count, (off_t)offset);
    default: return pwritev(fd, iov, count, (off_t)offset);
    }
}

struct io {
    uint64_t rights;
    enum io_way way;
    uint64_t offset;
};

static uint32_t transfer(struct wasi *w, uint32_t fd, struct io io, uint32_t at, uint32_t count, uint32_t done_at)
{
    struct iovec iov[WASI_IOVS_MAX];
    struct wasi_fd *f;
    const uint32_t rc = wasi_fd_get(w, fd, io.rights, &f);
    if (rc) return rc;
    const int pieces = gather(w, at, count, iov);
    /* The answer's place too, before there is anything that can't be undone. */
    if (pieces < 0 || !wasi_slice(w, done_at, sizeof(uint32_t))) return WASI_FAULT;
    const ssize_t n = move(f->host, io.way, iov, pieces, io.offset);
    if (n < 0) return wasi_last();
    const uint32_t done = (uint32_t)n; /* Linux moves less than 2 GiB at a time */
    return wasi_put(w, done_at, &done, sizeof(done));
}

uint32_t WASI_CALL(fd_read)(struct wasi *w, uint32_t fd, uint32_t at, uint32_t count, uint32_t done_at)
{
    return transfer(w, fd, (struct io){RIGHT(FD_READ), IO_READ, 0}, at, count, done_at);
}

uint32_t WASI_CALL(fd_write)(struct wasi *w, uint32_t fd, uint32_t at, uint32_t count, uint32_t done_at)
{
    return transfer(w, fd, (struct io){RIGHT(FD_WRITE), IO_WRITE, 0}, at, count, done_at);
}

uint32_t WASI_CALL(fd_pread)(struct wasi *w, uint32_t fd, uint32_t at, uint32_t count, uint64_t offset,
                             uint32_t done_at)
{
    return transfer(w, fd, (struct io){RIGHT(FD_READ) | RIGHT(FD_SEEK), IO_PREAD, offset}, at, count, done_at);
}

uint32_t WASI_CALL(fd_pwrite)(struct wasi *w, uint32_t fd, uint32_t at, uint32_t count, uint64_t offset,
                              uint32_t done_at)
{
    return transfer(w, fd, (struct io){RIGHT(FD_WRITE) | RIGHT(FD_SEEK), IO_PWRITE, offset}, at, count, done_at);
}

static uint32_t seek(struct wasi *w, uint32_t fd, uint64_t rights, int64_t offset, int whence, uint32_t result_at)
{
    struct wasi_fd *f;
    const uint32_t rc = wasi_fd_get(w, fd, rights, &f);
    if (rc) return rc;
    if (!wasi_slice(w, result_at, sizeof(uint64_t))) return WASI_FAULT;
    const off_t at = lseek(f->host, offset, whence);
    if (at < 0) return wasi_last();
    const uint64_t result = (uint64_t)at;
    return wasi_put(w, result_at, &result, sizeof(result));
}

uint32_t WASI_CALL(fd_seek)(struct wasi *w, uint32_t fd, uint64_t offset, uint32_t whence, uint32_t result_at)
{
    static const int host[] = {SEEK_SET, SEEK_CUR, SEEK_END};
    if (whence >= sizeof(host) / sizeof(host[0])) return WASI_INVAL;
    return seek(w, fd, RIGHT(FD_SEEK), (int64_t)offset, host[whence], result_at);
}

uint32_t WASI_CALL(fd_tell)(struct wasi *w, uint32_t fd, uint32_t result_at)
{
    return seek(w, fd, RIGHT(FD_TELL), 0, SEEK_CUR, result_at);
}

static uint32_t on_fd(struct wasi *w, uint32_t fd, enum wasi_right right, int (*call)(int))
{
    struct wasi_fd *f;
    const uint32_t rc = wasi_fd_get(w, fd, RIGHT(right), &f);
    if (rc) return rc;
    return call(f->host) < 0 ? wasi_last() : (uint32_t)WASI_OK;
}

uint32_t WASI_CALL(fd_sync)(struct wasi *w, uint32_t fd)
{
    return on_fd(w, fd, FD_SYNC, fsync);
}

uint32_t WASI_CALL(fd_datasync)(struct wasi *w, uint32_t fd)
{
    return on_fd(w, fd, FD_DATASYNC, fdatasync);
}

uint32_t WASI_CALL(fd_allocate)(struct wasi *w, uint32_t fd, uint64_t offset, uint64_t len)
{
    struct wasi_fd *f;
    const uint32_t rc = wasi_fd_get(w, fd, RIGHT(FD_ALLOCATE), &f);
    if (rc) return rc;
    return fallocate(f->host, 0, (off_t)offset, (off_t)len) < 0 ? wasi_last() : (uint32_t)WASI_OK;
}

uint32_t WASI_CALL(fd_advise)(struct wasi *w, uint32_t fd, uint64_t offset, uint64_t len, uint32_t advice)
{
    static const int host[] = {POSIX_FADV_NORMAL,   POSIX_FADV_SEQUENTIAL, POSIX_FADV_RANDOM,
                               POSIX_FADV_WILLNEED, POSIX_FADV_DONTNEED,   POSIX_FADV_NOREUSE};
    struct wasi_fd *f;
    const uint32_t rc = wasi_fd_get(w, fd, RIGHT(FD_ADVISE), &f);
    if (rc) return rc;
    if (advice >= sizeof(host) / sizeof(host[0])) return WASI_INVAL;
    return wasi_error(posix_fadvise(f->host, (off_t)offset, (off_t)len, host[advice]));
}
