/* A template's open files, for a sandbox made from it, and put back: each sandbox has its own, whatever others do with
 * theirs. A file is opened anew, where it stood; a pipe is made anew, with what was in it. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "vmm/base/fd.h"
#include "vmm/sandbox/process.h"

/* One that pipe(2) made. */
static bool is_pipe(const struct file *f)
{
    return f->kind == FILE_HOST && f->may_wait && !f->is_borrowed;
}

static bool is_opened(const struct file *f)
{
    return f->kind == FILE_HOST && !f->may_wait && !f->is_borrowed;
}

/* Of a description with this descriptor; fd is taken. NULL: no memory. */
static struct file *describe(const struct file *from, int fd)
{
    struct file *f = file_create(from->kind, from->is_borrowed ? -1 : fd);
    if (!f) return NULL;
    f->fd = fd;
    f->is_borrowed = from->is_borrowed;
    f->may_wait = from->may_wait;
    f->is_output = from->is_output;
    f->number = from->number;
    f->can_read = from->can_read;
    f->can_write = from->can_write;
    atomic_store(&f->flags, atomic_load(&from->flags));
    atomic_store(&f->at, atomic_load(&from->at));
    f->path = from->path ? strdup(from->path) : NULL;
    if (!from->path || f->path) return f;
    file_drop(f);
    return NULL;
}

static struct file *copy_file(struct file *from)
{
    char name[32];
    if (!is_opened(from)) return describe(from, from->fd);
    const int flags = fcntl(from->fd, F_GETFL);
    (void)snprintf(name, sizeof(name), "/proc/self/fd/%d", from->fd);
    const int fd = flags < 0 ? -1 : fd_own(open(name, (flags & ~(O_CREAT | O_EXCL | O_TRUNC)) | O_CLOEXEC));
    if (fd < 0) return file_hold(from);
    (void)lseek(fd, lseek(from->fd, 0, SEEK_CUR), SEEK_SET);
    return describe(from, fd);
}

/* Both ends of the pipe that handle `first` has one of, for all handles that have one. */
static int copy_pipe(struct process *p, const struct process *from, unsigned first)
{
    struct stat pipe, st;
    int fd[2];
    struct file *end[2] = {NULL, NULL};
    int rc = 0;
    if (fstat(from->handle[first].file->fd, &pipe)) return -errno;
    if (pipe2(fd, O_CLOEXEC | O_NONBLOCK) || (fd[0] = fd_own(fd[0])) < 0 || (fd[1] = fd_own(fd[1])) < 0) return -errno;
    for (unsigned i = first; !rc && i < p->policy->files_max; i++) {
        struct file *f = from->handle[i].file;
        if (!f || !is_pipe(f) || fstat(f->fd, &st) || st.st_ino != pipe.st_ino) continue;
        const unsigned which = f->can_read ? 0 : 1;
        if (which == 0 && !end[0]) (void)tee(f->fd, fd[1], INT_MAX, SPLICE_F_NONBLOCK);
        if (!end[which]) {
            end[which] = describe(f, fd[which]);
            fd[which] = -1;
        } else
            (void)file_hold(end[which]);
        if (!end[which]) rc = -ENOMEM;
        p->handle[i] = (struct handle){end[which], from->handle[i].is_closed_on_exec};
    }
    for (unsigned i = 0; i < 2; i++)
        if (fd[i] >= 0) (void)close(fd[i]);
    return rc;
}

/* What handle i has in common with one before it, as after dup(2). NULL: nothing. */
static struct file *same_before(const struct process *p, const struct process *from, unsigned i)
{
    for (unsigned k = 0; k < i; k++)
        if (from->handle[k].file == from->handle[i].file) return p->handle[k].file;
    return NULL;
}

int files_copy(struct process *p, const struct process *from, enum process_copy how)
{
    int rc = 0;
    const unsigned max =
        from->policy->files_max < p->policy->files_max ? from->policy->files_max : p->policy->files_max;
    for (unsigned i = 0; !rc && i < max; i++) {
        struct file *f = from->handle[i].file;
        if (!f || p->handle[i].file) continue;
        struct file *same = how == PROCESS_FORK ? f : same_before(p, from, i);
        if (!same && is_pipe(f)) {
            rc = copy_pipe(p, from, i);
            continue;
        }
        p->handle[i] = (struct handle){same ? file_hold(same) : copy_file(f), from->handle[i].is_closed_on_exec};
        if (!p->handle[i].file) rc = -ENOMEM;
    }
    p->files_changed = false;
    return rc;
}

bool files_rewind(struct process *p, const struct process *to)
{
    if (p->files_changed) return false;
    for (unsigned i = 0; i < p->policy->files_max; i++) {
        const struct file *f = p->handle[i].file, *t = to->handle[i].file;
        if (f && t && (atomic_load(&f->flags) != atomic_load(&t->flags) || is_pipe(f))) return false;
    }
    for (unsigned i = 0; i < p->policy->files_max; i++) {
        struct file *f = p->handle[i].file;
        const struct file *t = to->handle[i].file;
        if (!f || !t || f == t) continue;
        atomic_store(&f->at, atomic_load(&t->at));
        if (is_opened(f)) (void)lseek(f->fd, lseek(t->fd, 0, SEEK_CUR), SEEK_SET);
    }
    return true;
}
