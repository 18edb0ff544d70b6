#include "vmm/base/file.h"
#include "vmm/base/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define FLAGS      (O_NONBLOCK | O_NOCTTY | O_CLOEXEC)
#define TRY_MS     20        /* between two looks for a pipe's reader, of whom nothing tells */
#define FIRST_ROOM (8 << 10) /* of what is read: more than a configuration is long */

/* ---- reading ---- */

/* Until there is more: 1; 0 at the end; -ETIMEDOUT. A named pipe that nobody has opened to write reads as if it were at
 * its end; poll tells the difference, since only a writer that has come and gone is a hang-up (pipe(7), fs/pipe.c). */
static int wait_for_more(int fd, bool is_end)
{
    struct pollfd p = {.fd = fd, .events = POLLIN};
    const int n = poll(&p, 1, FILE_WAIT_MS);
    if (n < 0) return errno == EINTR ? 1 : -errno;
    if (n == 0) return -ETIMEDOUT;
    return is_end && !(p.revents & POLLIN) ? 0 : 1;
}

/* One piece: how many bytes came, 0 at the end, or -errno. */
static ssize_t read_piece(int fd, bool is_pipe, char *to, size_t room)
{
    for (;;) {
        const ssize_t n = read(fd, to, room);
        const bool is_end = n == 0 && is_pipe;
        if (n > 0 || (n == 0 && !is_pipe)) return n;
        if (n < 0 && errno == EINTR) continue;
        if (n < 0 && errno != EAGAIN) return -errno;
        const int rc = wait_for_more(fd, is_end);
        if (rc <= 0) return rc;
    }
}

static int read_all(int fd, bool is_pipe, char **text, size_t *len, size_t max)
{
    size_t room = 0, used = 0;
    for (;;) {
        if (used == room) {
            room = room ? 2 * room : FIRST_ROOM;
            char *bigger = realloc(*text, room + 1);
            if (!bigger) return -ENOMEM;
            *text = bigger;
        }
        const ssize_t n = read_piece(fd, is_pipe, *text + used, room - used);
        if (n < 0) return (int)n;
        used += (size_t)n;
        if (used > max) return -EFBIG;
        if (n > 0) continue;
        (*text)[used] = '\0';
        *len = used;
        return 0;
    }
}

static int read_failed(int rc, size_t max, struct err *e)
{
    if (rc == -ETIMEDOUT)
        return err_set(e, rc, "nobody has written to it for %d s; start its writer, or name a file",
                       FILE_WAIT_MS / 1000);
    if (rc == -EFBIG) return err_set(e, rc, "more than %zu bytes", max);
    return err_set(e, rc, "%s", strerrordesc_np(-rc));
}

int file_read(char **text, size_t *len, const char *path, size_t max, struct err *e)
{
    struct stat st;
    char *got = NULL;
    const int fd = fd_own(open(path, O_RDONLY | FLAGS));
    int rc = fd < 0 || fstat(fd, &st) < 0 ? -errno : 0;
    if (rc == 0 && S_ISBLK(st.st_mode)) rc = -ENOTBLK;
    if (rc == 0) rc = read_all(fd, S_ISFIFO(st.st_mode), &got, len, max);
    if (fd >= 0) close(fd);
    if (rc) {
        free(got);
        return rc == -ENOTBLK ? err_set(e, rc, "a block device; name a file") : read_failed(rc, max, e);
    }
    *text = got;
    return 0;
}

/* ---- writing ---- */

static void pause_ms(long ms)
{
    const struct timespec t = {.tv_nsec = ms * 1000000};
    (void)nanosleep(&t, NULL);
}

static bool is_pipe(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 && S_ISFIFO(st.st_mode);
}

/* Opened as it is; a pipe when its reader is there. -1 with errno. */
static int open_existing(const char *path)
{
    int fd = fd_own(open(path, O_WRONLY | FLAGS));
    for (int ms = 0; fd < 0 && errno == ENXIO && is_pipe(path) && ms < FILE_WAIT_MS; ms += TRY_MS) {
        pause_ms(TRY_MS);
        fd = fd_own(open(path, O_WRONLY | FLAGS));
    }
    return fd;
}

/* O_EXCL tells who made it; a link that points to nothing is followed, as a shell does. */
static int open_or_make(const struct file_output *o, bool *is_made)
{
    int fd = open_existing(o->path);
    if (fd >= 0 || errno != ENOENT) return fd;
    fd = fd_own(open(o->path, O_WRONLY | O_CREAT | O_EXCL | FLAGS, o->mode));
    *is_made = fd >= 0;
    return fd < 0 && errno == EEXIST ? fd_own(open(o->path, O_WRONLY | O_CREAT | FLAGS, o->mode)) : fd;
}

/* One file by two names, or one block device by two nodes. What has no memory of what was written (a terminal, a pipe,
 * /dev/null) may be named twice. */
static bool is_same(const struct stat *a, const struct stat *b)
{
    if (S_ISBLK(a->st_mode)) return S_ISBLK(b->st_mode) && a->st_rdev == b->st_rdev;
    return S_ISREG(a->st_mode) && a->st_dev == b->st_dev && a->st_ino == b->st_ino;
}

static int check_identity(const struct file_output *o, const struct stat *st, struct err *e)
{
    for (unsigned i = 0; i < o->count; i++) {
        struct stat other;
        const struct file_name *f = &o->others[i];
        if (!f->path || stat(f->path, &other) < 0 || !is_same(st, &other)) continue;
        return err_set(e, -EEXIST, "%s %.300s: that is the file of %s, which would be lost; name another file", o->what,
                       o->path, f->what);
    }
    if (S_ISBLK(st->st_mode))
        return err_set(e, -EINVAL, "%s %.300s: a block device, whose content would be lost; name a file", o->what,
                       o->path);
    return 0;
}

static int locked_by_other(const struct file_output *o, struct err *e)
{
    return err_set(e, -EBUSY,
                   "%s %.300s: another VM or process has locked that file, as a VM does its disks and its console's "
                   "file; name another file",
                   o->what, o->path);
}

/* The locks of flock(2), which shell scripts take, are of another kind and can only be asked for by taking one. A
 * shared one is enough: whoever keeps others out has an exclusive one. */
static bool is_flocked(int fd)
{
    const int rc = flock(fd, LOCK_SH | LOCK_NB);
    if (rc == 0) (void)flock(fd, LOCK_UN);
    return rc < 0 && errno == EWOULDBLOCK;
}

/* A VM locks its disks so; other programs' record locks tell as well (fcntl(2), F_OFD_GETLK). Where locks can't be
 * asked for, there are none. */
static int check_lock(int fd, const struct file_output *o, struct err *e)
{
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    const bool is_locked = fcntl(fd, F_OFD_GETLK, &lock) == 0 && lock.l_type != F_UNLCK;
    return is_locked || is_flocked(fd) ? locked_by_other(o, e) : 0;
}

/* Of the open file description: a lock of the process would be gone with any descriptor of the file that it closes. */
int file_lock(int fd, const struct file_output *o, struct err *e)
{
    struct stat st;
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) || fcntl(fd, F_OFD_SETLK, &lock) == 0) return 0;
    return errno == EAGAIN || errno == EACCES ? locked_by_other(o, e) : 0;
}

int file_check_fd(int fd, const struct file_output *o, struct err *e)
{
    struct stat st;
    if (fstat(fd, &st) < 0) return err_errno(e, "%s %.300s", o->what, o->path);
    const int rc = check_identity(o, &st, e);
    return rc || !S_ISREG(st.st_mode) ? rc : check_lock(fd, o, e);
}

static int open_failed(const struct file_output *o, struct err *e)
{
    if (errno == ENXIO && is_pipe(o->path))
        return err_set(e, -ENXIO, "%s %.300s: a pipe that nobody reads; start its reader, or name a file", o->what,
                       o->path);
    return err_errno(e, "%s %.300s", o->what, o->path);
}

int file_open_output(int *out, const struct file_output *o, struct err *e)
{
    bool is_made = false;
    const int fd = open_or_make(o, &is_made);
    if (fd < 0) return open_failed(o, e);
    const int rc = file_check_fd(fd, o, e);
    if (rc == 0) {
        *out = fd;
        return 0;
    }
    close(fd);
    if (is_made) (void)unlink(o->path);
    return rc;
}

/* The directory of a path, into dir; its last name is returned. */
static const char *split(const char *path, char dir[PATH_MAX])
{
    const char *slash = strrchr(path, '/');
    (void)snprintf(dir, PATH_MAX, "%.*s", slash ? (int)(slash + 1 - path) : 1, slash ? path : ".");
    return slash ? slash + 1 : path;
}

/* Two that are not there yet have no identity: they are one when they have the same name in the same directory. */
static int check_absent(const struct file_output *o, struct err *e)
{
    for (unsigned i = 0; i < o->count; i++) {
        struct stat a, b;
        char ours[PATH_MAX], theirs[PATH_MAX];
        const struct file_name *f = &o->others[i];
        if (!f->is_output || !f->path || stat(f->path, &b) == 0) continue;
        const char *our_name = split(o->path, ours), *name = split(f->path, theirs);
        if (strcmp(our_name, name) != 0 || stat(ours, &a) < 0 || stat(theirs, &b) < 0) continue;
        if (a.st_dev != b.st_dev || a.st_ino != b.st_ino) continue;
        return err_set(e, -EEXIST, "%s %.300s: that is the file of %s too; name another file", o->what, o->path,
                       f->what);
    }
    return 0;
}

int file_check_output(const struct file_output *o, struct err *e)
{
    struct stat st;
    if (stat(o->path, &st) < 0) return check_absent(o, e);
    int rc = check_identity(o, &st, e);
    if (rc || !S_ISREG(st.st_mode)) return rc;
    const int fd = fd_own(open(o->path, O_WRONLY | FLAGS));
    if (fd < 0) return 0; /* whoever opens it in earnest says why */
    rc = file_check_fd(fd, o, e);
    close(fd);
    return rc;
}

int file_write(int fd, const void *data, size_t len)
{
    const char *from = data;
    while (len > 0) {
        const ssize_t n = write(fd, from, len);
        if (n < 0 && errno == EAGAIN) {
            struct pollfd p = {.fd = fd, .events = POLLOUT};
            if (poll(&p, 1, FILE_WAIT_MS) == 0) return -ETIMEDOUT;
            continue;
        }
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return -errno;
        from += n;
        len -= (size_t)n;
    }
    return 0;
}
