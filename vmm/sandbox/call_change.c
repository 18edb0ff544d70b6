/* Calls that change what is in a directory of the policy: made, removed, renamed, linked, cut, stamped. */
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "vmm/sandbox/process.h"

static int64_t done(int fd, int rc)
{
    const int failed = rc ? errno : 0;
    (void)close(fd);
    return -failed;
}

/* The parent of the place, to be written to. */
static int open_written_parent(struct place *at, const char **last)
{
    if (!at->dir) return at->is_virtual ? -EBUSY : -EROFS;
    const int fd = path_open_parent(at, last);
    if (fd < 0 || at->dir->is_writable) return fd;
    /* As Linux has it on a mount that is read-only: whether the name itself is there, it does not look. */
    (void)close(fd);
    return -EROFS;
}

/* A name is made by it: one is counted, unless rc says that there is none. */
static int64_t made(struct process *p, int fd, int rc)
{
    const int64_t result = done(fd, rc);
    if (result) written_give(p, POLICY_NAME_COST);
    return result;
}

static int64_t make_dir(struct process *p, int at, uint64_t path, unsigned mode)
{
    struct place place;
    const char *last;
    struct stat st;
    int rc = path_find(p, at, path, &place);
    if (rc) return rc;
    if (place_stat(&place, false, &st) == 0) return -EEXIST;
    const int fd = open_written_parent(&place, &last);
    if (fd < 0) return fd;
    rc = written_take_all(p, POLICY_NAME_COST);
    if (!rc) return made(p, fd, mkdirat(fd, last, mode & 0777 & ~p->umask));
    (void)close(fd);
    return rc;
}

int64_t call_mkdir(struct process *p, const uint64_t arg[6], enum call_outcome *outcome)
{
    (void)outcome;
    return make_dir(p, AT_FDCWD, arg[0], (unsigned)arg[1]);
}

int64_t call_mkdirat(struct process *p, const uint64_t arg[6], enum call_outcome *outcome)
{
    (void)outcome;
    return make_dir(p, (int)arg[0], arg[1], (unsigned)arg[2]);
}

static int64_t remove_at(struct process *p, int at, uint64_t path, int flags)
{
    struct place place;
    const char *last;
    const int rc = path_find(p, at, path, &place);
    if (rc) return rc;
    const int fd = open_written_parent(&place, &last);
    return fd < 0 ? fd : done(fd, unlinkat(fd, last, flags));
}

int64_t call_unlink(struct process *p, const uint64_t arg[6], enum call_outcome *outcome)
{
    (void)outcome;
    return remove_at(p, AT_FDCWD, arg[0], 0);
}

int64_t call_rmdir(struct process *p, const uint64_t arg[6], enum call_outcome *outcome)
{
    (void)outcome;
    return remove_at(p, AT_FDCWD, arg[0], AT_REMOVEDIR);
}

int64_t call_unlinkat(struct process *p, const uint64_t arg[6], enum call_outcome *outcome)
{
    (void)outcome;
    return arg[2] & ~(uint64_t)AT_REMOVEDIR ? -EINVAL : remove_at(p, (int)arg[0], arg[1], (int)arg[2]);
}

/* Two names in one directory of the policy: between two of them is between two file systems. */
static int64_t two_names(struct process *p, int from_at, uint64_t from, int to_at, uint64_t to, bool is_link,
                         unsigned flags)
{
    struct place a, b;
    const char *a_last, *b_last;
    int rc = path_find(p, from_at, from, &a);
    if (!rc) rc = path_find(p, to_at, to, &b);
    if (rc) return rc;
    const int a_fd = open_written_parent(&a, &a_last);
    if (a_fd < 0) return a_fd;
    const int b_fd = a.dir == b.dir ? open_written_parent(&b, &b_last) : -EXDEV;
    if (b_fd < 0) {
        (void)close(a_fd);
        return b_fd;
    }
    rc = is_link ? written_take_all(p, POLICY_NAME_COST) : 0;
    if (rc)
        errno = -rc;
    else
        rc = is_link ? linkat(a_fd, a_last, b_fd, b_last, 0)
                     : (int)syscall(SYS_renameat2, a_fd, a_last, b_fd, b_last, flags);
    const int64_t result = done(a_fd, rc);
    if (is_link && result && result != -EDQUOT) written_give(p, POLICY_NAME_COST);
    (void)close(b_fd);
    return result;
}

#define RENAME_FLAGS 3u /* RENAME_NOREPLACE, RENAME_EXCHANGE */

int64_t call_rename(struct process *p, const uint64_t arg[6], enum call_outcome *outcome)
{
    (void)outcome;
    return two_names(p, AT_FDCWD, arg[0], AT_FDCWD, arg[1], false, 0);
}

int64_t call_renameat(struct process *p, const uint64_t arg[6], enum call_outcome *outcome)
{
    (void)outcome;
    return two_names(p, (int)arg[0], arg[1], (int)arg[2], arg[3], false, 0);
}

int64_t call_renameat2(struct process *p, const uint64_t arg[6], enum call_outcome *outcome)
{
    (void)outcome;
    return arg[4] & ~(uint64_t)RENAME_FLAGS
               ? -EINVAL
               : two_names(p, (int)arg[0], arg[1], (int)arg[2], arg[3], false, (unsigned)arg[4]);
}

int64_t call_link(struct process *p, const uint64_t arg[6], enum call_outcome *outcome)
{
    (void)outcome;
    return two_names(p, AT_FDCWD, arg[0], AT_FDCWD, arg[1], true, 0);
}

int64_t call_linkat(struct process *p, const uint64_t arg[6], enum call_outcome *outcome)
{
    (void)outcome;
    return arg[4] ? -EINVAL : two_names(p, (int)arg[0], arg[1], (int)arg[2], arg[3], true, 0);
}

static int64_t make_symlink(struct process *p, uint64_t target_va, int at, uint64_t path)
{
    char target[PATH_MAX];
    struct place place;
    const char *last;
    const int n = space_read_string(p->space, target_va, target, sizeof(target));
    if (n <= 0) return n ? n : -ENOENT;
    int rc = path_find(p, at, path, &place);
    if (rc) return rc;
    const int fd = open_written_parent(&place, &last);
    if (fd < 0) return fd;
    rc = written_take_all(p, POLICY_NAME_COST);
    if (!rc) return made(p, fd, symlinkat(target, fd, last));
    (void)close(fd);
    return rc;
}

int64_t call_symlink(struct process *p, const uint64_t arg[6], enum call_outcome *outcome)
{
    (void)outcome;
    return make_symlink(p, arg[0], AT_FDCWD, arg[1]);
}

int64_t call_symlinkat(struct process *p, const uint64_t arg[6], enum call_outcome *outcome)
{
    (void)outcome;
    return make_symlink(p, arg[0], (int)arg[1], arg[2]);
}

/* What is at a path, to be changed: a file or a directory in a directory that may be written. */
static int open_changed(struct process *p, int at, uint64_t path, int flags)
{
    struct place place;
    bool is_dir = false;
    int rc = path_find(p, at, path, &place);
    if (rc) return rc;
    if (!place.dir) return place.is_virtual ? -EROFS : -ENOENT;
    const int probe = place_open(&place, true);
    if (probe < 0) return probe;
    rc = place_check(probe, &is_dir);
    (void)close(probe);
    if (!rc && !place.dir->is_writable) rc = -EROFS;
    return rc ? rc : path_open(&place, (is_dir ? O_RDONLY : flags) | O_NONBLOCK | O_NOCTTY, 0);
}

int64_t call_truncate(struct process *p, const uint64_t arg[6], enum call_outcome *outcome)
{
    (void)outcome;
    const int fd = open_changed(p, AT_FDCWD, arg[0], O_WRONLY);
    return fd < 0 ? fd : done(fd, ftruncate(fd, (off_t)arg[1]));
}

/* Set-user-ID and the like are not for a sandbox to give. */
static int64_t change_mode(int fd, unsigned mode)
{
    if (fd < 0) return fd;
    if (mode & ~0777u) {
        (void)close(fd);
        return -EPERM;
    }
    return done(fd, fchmod(fd, mode));
}

int64_t call_chmod(struct process *p, const uint64_t arg[6], enum call_outcome *outcome)
{
    (void)outcome;
    return change_mode(open_changed(p, AT_FDCWD, arg[0], O_RDONLY), (unsigned)arg[1] & 07777);
}

int64_t call_fchmodat(struct process *p, const uint64_t arg[6], enum call_outcome *outcome)
{
    (void)outcome;
    return change_mode(open_changed(p, (int)arg[0], arg[1], O_RDONLY), (unsigned)arg[2] & 07777);
}

int64_t call_fchmod(struct process *p, const uint64_t arg[6], enum call_outcome *outcome)
{
    (void)outcome;
    const struct file *f = files_get(p, (int64_t)arg[0]);
    if (!f) return -EBADF;
    if (f->kind != FILE_HOST || f->is_borrowed || f->may_wait || !f->can_write) return -EPERM;
    return arg[1] & 07000 ? -EPERM : fchmod(f->fd, (unsigned)arg[1] & 0777) ? -errno : 0;
}

int64_t call_utimensat(struct process *p, const uint64_t arg[6], enum call_outcome *outcome)
{
    (void)outcome;
    struct timespec times[2];
    if (arg[2] && space_read(p->space, arg[2], times, sizeof(times))) return -EFAULT;
    if (arg[1] == 0) {
        const struct file *f = files_get(p, (int64_t)arg[0]);
        if (!f) return -EBADF;
        if (f->kind != FILE_HOST || f->is_borrowed || f->may_wait || !f->can_write) return -EPERM;
        return futimens(f->fd, arg[2] ? times : NULL) ? -errno : 0;
    }
    const int fd = open_changed(p, (int)arg[0], arg[1], O_RDONLY);
    return fd < 0 ? fd : done(fd, futimens(fd, arg[2] ? times : NULL));
}

int64_t call_umask(struct process *p, const uint64_t arg[6], enum call_outcome *outcome)
{
    (void)outcome;
    const unsigned old = p->umask;
    p->umask = (unsigned)arg[0] & 0777;
    return old;
}
