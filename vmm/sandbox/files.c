/* Open files of a program, and what asks about descriptors. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <termios.h>
#include <unistd.h>

#include "vmm/base/fd.h"
#include "vmm/sandbox/process.h"

struct file *file_create(enum file_kind kind, int fd)
{
    struct stat st;
    struct file *f = calloc(1, sizeof(*f));
    if (!f) {
        if (fd >= 0) (void)close(fd);
        return NULL;
    }
    f->users = 1;
    f->kind = kind;
    f->fd = fd;
    f->number = -1;
    f->may_wait = fd >= 0 && (fstat(fd, &st) || (!S_ISREG(st.st_mode) && !S_ISDIR(st.st_mode)));
    return f;
}

struct file *file_hold(struct file *f)
{
    atomic_fetch_add(&f->users, 1);
    return f;
}

void file_drop(struct file *f)
{
    if (atomic_fetch_sub(&f->users, 1) != 1) return;
    if (f->fd >= 0 && !f->is_borrowed) (void)close(f->fd);
    free(f->path);
    free(f);
}

int files_add(struct process *p, struct file *f, int from, bool is_closed_on_exec)
{
    for (unsigned i = (unsigned)from; from >= 0 && i < p->policy->files_max; i++) {
        if (p->handle[i].file) continue;
        p->handle[i] = (struct handle){f, is_closed_on_exec};
        p->files_changed = true;
        return (int)i;
    }
    file_drop(f);
    return -EMFILE;
}

struct file *files_get(struct process *p, int64_t number)
{
    const int n = (int)number; /* as the kernel takes it: 32 bits */
    return n >= 0 && (unsigned)n < p->policy->files_max ? p->handle[n].file : NULL;
}

int files_close(struct process *p, int64_t number)
{
    struct file *f = files_get(p, number);
    if (!f) return -EBADF;
    p->handle[(int)number] = (struct handle){0};
    p->files_changed = true;
    file_drop(f);
    return 0;
}

/* ---- descriptors ---- */

/* A descriptor that stands for a file of the host's; -EBADF, or `other` where it is something of ours. */
static int host_fd(struct process *p, int64_t number, int other)
{
    const struct file *f = files_get(p, number);
    return !f ? -EBADF : f->kind == FILE_HOST ? f->fd : other;
}

int64_t call_lseek(struct process *p, const uint64_t arg[6], enum call_outcome *outcome)
{
    (void)outcome;
    struct file *f = files_get(p, (int64_t)arg[0]);
    if (f && f->kind == FILE_VIRTUAL) {
        f->at = 0; /* by itself: clang 14 does not cast the value of an atomic assignment */
        return 0;
    }
    const int fd = host_fd(p, (int64_t)arg[0], -ESPIPE);
    if (fd < 0) return fd;
    if (f->may_wait) return -ESPIPE;
    const off_t at = lseek(fd, (off_t)arg[1], (int)arg[2]);
    return at < 0 ? -errno : at;
}

int64_t call_close(struct process *p, const uint64_t arg[6], enum call_outcome *outcome)
{
    (void)outcome;
    return files_close(p, (int64_t)arg[0]);
}

int64_t call_close_range(struct process *p, const uint64_t arg[6], enum call_outcome *outcome)
{
    (void)outcome;
    const unsigned first = (unsigned)arg[0], last = (unsigned)arg[1];
    if (first > last || (arg[2] & ~(uint64_t)CLOSE_RANGE_CLOEXEC)) return -EINVAL;
    for (unsigned i = first; i <= last && i < p->policy->files_max; i++) {
        if (!p->handle[i].file) continue;
        if (arg[2])
            p->handle[i].is_closed_on_exec = true;
        else
            (void)files_close(p, (int)i);
    }
    return 0;
}

static int64_t duplicate(struct process *p, int64_t number, int from, bool is_closed_on_exec)
{
    struct file *f = files_get(p, number);
    if (!f) return -EBADF;
    if (from < 0 || (unsigned)from >= p->policy->files_max) return -EINVAL;
    return files_add(p, file_hold(f), from, is_closed_on_exec);
}

int64_t call_dup(struct process *p, const uint64_t arg[6], enum call_outcome *outcome)
{
    (void)outcome;
    return duplicate(p, (int64_t)arg[0], 0, false);
}

static int64_t dup_to(struct process *p, int64_t number, int64_t to, bool is_closed_on_exec)
{
    struct file *f = files_get(p, number);
    const int n = (int)to;
    if (!f || n < 0 || (unsigned)n >= p->policy->files_max) return -EBADF;
    (void)file_hold(f);
    (void)files_close(p, n);
    p->handle[n] = (struct handle){f, is_closed_on_exec};
    p->files_changed = true;
    return n;
}

int64_t call_dup2(struct process *p, const uint64_t arg[6], enum call_outcome *outcome)
{
    (void)outcome;
    if ((int)arg[0] == (int)arg[1]) return files_get(p, (int64_t)arg[0]) ? (int)arg[0] : -EBADF;
    return dup_to(p, (int64_t)arg[0], (int64_t)arg[1], false);
}

int64_t call_dup3(struct process *p, const uint64_t arg[6], enum call_outcome *outcome)
{
    (void)outcome;
    if ((int)arg[0] == (int)arg[1] || (arg[2] & ~(uint64_t)O_CLOEXEC)) return -EINVAL;
    return dup_to(p, (int64_t)arg[0], (int64_t)arg[1], arg[2] & O_CLOEXEC);
}

#define SETTABLE (O_APPEND | O_NONBLOCK)

/* O_NONBLOCK is kept by us: a wait of ours comes before each transfer. O_APPEND is the file's. */
static int64_t set_flags(struct file *f, int flags)
{
    if (f->kind == FILE_HOST && !f->is_borrowed && (flags ^ atomic_load(&f->flags)) & O_APPEND) {
        const int now = fcntl(f->fd, F_GETFL);
        if (now < 0 || fcntl(f->fd, F_SETFL, (now & ~O_APPEND) | (flags & O_APPEND))) return -errno;
    }
    atomic_store(&f->flags, flags & SETTABLE);
    return 0;
}

static int64_t get_flags(const struct file *f)
{
    const int access = f->can_read && f->can_write ? O_RDWR : f->can_write ? O_WRONLY : O_RDONLY;
    return access | atomic_load(&f->flags) | (f->path ? O_DIRECTORY : 0);
}

int64_t call_fcntl(struct process *p, const uint64_t arg[6], enum call_outcome *outcome)
{
    (void)outcome;
    struct file *f = files_get(p, (int64_t)arg[0]);
    if (!f) return -EBADF;
    struct handle *h = &p->handle[(int)arg[0]];
    switch ((int)arg[1]) {
    case F_DUPFD: return duplicate(p, (int64_t)arg[0], (int)arg[2], false);
    case F_DUPFD_CLOEXEC: return duplicate(p, (int64_t)arg[0], (int)arg[2], true);
    case F_GETFD: return h->is_closed_on_exec ? FD_CLOEXEC : 0;
    case F_SETFD: h->is_closed_on_exec = arg[2] & FD_CLOEXEC; return 0;
    case F_GETFL: return get_flags(f);
    case F_SETFL: return set_flags(f, (int)arg[2]);
    /* Nobody else of the program's tree would see a lock; a program that locks its own files has them. */
    case F_SETLK:
    case F_SETLKW:
    case F_OFD_SETLK:
    case F_OFD_SETLKW: return 0;
    case F_GETLK:
    case F_OFD_GETLK: {
        const short none = F_UNLCK;
        return space_write(p->space, arg[2], &none, sizeof(none));
    }
    default: return -EINVAL;
    }
}

int64_t call_flock(struct process *p, const uint64_t arg[6], enum call_outcome *outcome)
{
    (void)outcome;
    return files_get(p, (int64_t)arg[0]) ? 0 : -EBADF;
}

#define SENT_NS 5000000ull /* between two looks */

/* What TCSETSW waits for, in the kernel for as long as somebody has stopped the terminal. false: a signal, or the end.
 */
static bool wait_until_sent(struct process *p, int fd, enum call_outcome *outcome)
{
    for (int left; ioctl(fd, TIOCOUTQ, &left) == 0 && left > 0;) {
        const int why = process_wait(p, -1, 0, process_now() + SENT_NS);
        if (why == WAIT_STOPPED) *outcome = CALL_STOPPED;
        if (why != WAIT_TIME) return false;
    }
    return true;
}

/* Of a terminal: its settings and its size. Nothing that puts bytes in for others to read (TIOCSTI), nothing else. */
int64_t call_ioctl(struct process *p, const uint64_t arg[6], enum call_outcome *outcome)
{
    union {
        unsigned char bytes[64]; /* the kernel's struct termios has 36 */
        struct winsize size;
        int number;
    } u;
    struct file *f = files_get(p, (int64_t)arg[0]);
    if (!f) return -EBADF;
    const unsigned request = (unsigned)arg[1];
    if (request == FIOCLEX || request == FIONCLEX) {
        p->handle[(int)arg[0]].is_closed_on_exec = request == FIOCLEX;
        return 0;
    }
    if (request == FIONBIO) {
        if (space_read(p->space, arg[2], &u.number, sizeof(u.number))) return -EFAULT;
        return set_flags(f, (atomic_load(&f->flags) & ~O_NONBLOCK) | (u.number ? O_NONBLOCK : 0));
    }
    if (f->kind != FILE_HOST) return -ENOTTY;
    const uint64_t termios_size = 36;
    memset(&u, 0, sizeof(u));
    switch (request) {
    case TCGETS: return ioctl(f->fd, TCGETS, &u) ? -errno : space_write(p->space, arg[2], &u, termios_size);
    case TCSETS:
    case TCSETSW:
    case TCSETSF:
        if (space_read(p->space, arg[2], &u, termios_size)) return -EFAULT;
        if (request != TCSETS && !wait_until_sent(p, f->fd, outcome)) return -EINTR;
        if (request == TCSETSF && ioctl(f->fd, TCFLSH, TCIFLUSH)) return -errno;
        return ioctl(f->fd, TCSETS, &u) ? -errno : 0;
    case TIOCGWINSZ:
        return ioctl(f->fd, TIOCGWINSZ, &u) ? -errno : space_write(p->space, arg[2], &u.size, sizeof(u.size));
    case FIONREAD:
        return ioctl(f->fd, FIONREAD, &u) ? -errno : space_write(p->space, arg[2], &u.number, sizeof(u.number));
    case TIOCGPGRP:
        u.number = p->pid;
        return isatty(f->fd) ? space_write(p->space, arg[2], &u.number, sizeof(u.number)) : -ENOTTY;
    case TIOCSPGRP: return isatty(f->fd) ? 0 : -ENOTTY;
    default: return -ENOTTY;
    }
}

static int64_t make_pipe(struct process *p, uint64_t va, int flags)
{
    int fd[2], number[2] = {-1, -1};
    if (flags & ~(O_CLOEXEC | O_NONBLOCK)) return -EINVAL;
    /* Another process of the program may empty or fill it after our wait: then the wait begins again. The kick restarts
     * a call that blocks, so nothing would end it. */
    if (pipe2(fd, O_CLOEXEC | O_NONBLOCK) || (fd[0] = fd_own(fd[0])) < 0 || (fd[1] = fd_own(fd[1])) < 0) return -errno;
    int rc = 0;
    for (int i = 0; i < 2; i++) {
        struct file *f = file_create(FILE_HOST, fd[i]);
        if (f) {
            f->can_read = i == 0;
            f->can_write = i == 1;
            f->flags = flags & O_NONBLOCK;
            number[i] = files_add(p, f, 0, flags & O_CLOEXEC);
        }
        if (number[i] < 0) rc = f ? number[i] : -ENOMEM;
    }
    if (!rc) rc = space_write(p->space, va, number, sizeof(number));
    for (int i = 0; rc && i < 2; i++)
        if (number[i] >= 0) (void)files_close(p, number[i]);
    return rc;
}

int64_t call_pipe(struct process *p, const uint64_t arg[6], enum call_outcome *outcome)
{
    (void)outcome;
    return make_pipe(p, arg[0], 0);
}

int64_t call_pipe2(struct process *p, const uint64_t arg[6], enum call_outcome *outcome)
{
    (void)outcome;
    return make_pipe(p, arg[0], (int)arg[1]);
}

int64_t call_fsync(struct process *p, const uint64_t arg[6], enum call_outcome *outcome)
{
    (void)outcome;
    const int fd = host_fd(p, (int64_t)arg[0], -EINVAL);
    return fd < 0 ? fd : fsync(fd) ? -errno : 0;
}

int64_t call_fadvise(struct process *p, const uint64_t arg[6], enum call_outcome *outcome)
{
    (void)outcome;
    return files_get(p, (int64_t)arg[0]) ? 0 : -EBADF;
}
