/* The host side of a console is opened here, whatever it is. See chario.h for what is promised of each kind. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <termios.h>
#include <unistd.h>

#include "devices/backend/chario_state.h"
#include "vmm/base/concat.h"
#include "vmm/base/fd.h"

static bool is_pty_master(int fd)
{
    unsigned number;
    return ioctl(fd, TIOCGPTN, &number) == 0;
}

/* Open a pipe or terminal once more. That gives a file description of our own, which can be non-blocking without the
 * shell behind it noticing. -1 where that is not needed or not possible: then fd itself is used. (Opening a pty master
 * again would make another pty.) */
static int open_again(int fd, const struct stat *st, int flags)
{
    char path[32] = "/proc/self/fd/";
    if (!S_ISFIFO(st->st_mode) && !(isatty(fd) && !is_pty_master(fd))) return -1;
    concat_number(path, sizeof(path), (unsigned)fd);
    return fd_own(open(path, flags | O_NONBLOCK | O_NOCTTY | O_CLOEXEC));
}

static bool is_non_blocking(int fd)
{
    const int flags = fcntl(fd, F_GETFL);
    return flags >= 0 && (flags & O_NONBLOCK);
}

/* Reads and writes of these may hang, whatever flags they have. */
static bool is_on_disk(const struct stat *st)
{
    return S_ISREG(st->st_mode) || S_ISBLK(st->st_mode);
}

static int set_output(struct chario *c, int fd, const char *what, struct err *e)
{
    struct stat st;
    if (fstat(fd, &st) != 0) return err_errno(e, "%s (descriptor %d)", what, fd);
    const int again = open_again(fd, &st, O_WRONLY);
    c->owns_out = c->owns_out || again >= 0;
    c->out_fd = again >= 0 ? again : fd;
    c->is_pipe = S_ISFIFO(st.st_mode);
    c->is_socket = S_ISSOCK(st.st_mode);
    c->may_block = again < 0 && (c->is_pipe || isatty(fd)) && !is_non_blocking(fd);
    c->is_slow = is_on_disk(&st);
    return 0;
}

static void set_input(struct chario *c, int fd)
{
    struct stat st;
    if (fd < 0 || fstat(fd, &st) != 0) return; /* closed: no input */
    const int again = open_again(fd, &st, O_RDONLY);
    c->owns_in = again >= 0;
    c->in_fd = again >= 0 ? again : fd;
    c->in_is_slow = is_on_disk(&st);
    c->in_is_socket = S_ISSOCK(st.st_mode);
    c->in_may_block = again < 0 && !is_non_blocking(fd);
    c->in_is_terminal = isatty(fd) && !is_pty_master(fd);
}

static int open_failed(const struct chario *c, struct err *e)
{
    struct stat st;
    const int rc = err_errno(e, "open %s", c->path);
    if (rc == -ENXIO && stat(c->path, &st) == 0 && S_ISFIFO(st.st_mode))
        err_hint(e, "nobody reads that pipe yet: start its reader first");
    if (rc == -ENOENT) err_hint(e, "make the directory first, or use another path");
    if (rc == -EISDIR) err_hint(e, "name a file in it");
    if (rc == -EACCES) err_hint(e, "use a path this user may write to");
    return rc;
}

/* O_APPEND, so that a log that is rotated by truncation gets no hole. O_NONBLOCK, in case it is a named pipe. O_EXCL,
 * to know whether we made the file. */
static int open_or_make(struct chario *c)
{
    const int flags = O_WRONLY | O_APPEND | O_NONBLOCK | O_NOCTTY | O_CLOEXEC;
    const int fd = fd_own(open(c->path, flags));
    if (fd >= 0 || errno != ENOENT) return fd;
    const int made = fd_own(open(c->path, flags | O_CREAT | O_EXCL, 0666));
    c->was_made = made >= 0;
    return made < 0 && errno == EEXIST ? fd_own(open(c->path, flags | O_CREAT, 0666)) : made;
}

/* Leave the contents alone for now: a machine that is refused for another reason must not have cost an old log. But
 * lock the file from here on, so that nobody makes it his disk before we start and empty it. */
static int open_file(struct chario *c, const struct chario_params *p, struct err *e)
{
    struct stat st;
    const struct file_output o = {.what = "file", .path = p->path, .others = p->others, .count = p->other_count};
    c->path = strdup(p->path);
    if (!c->path) return err_set(e, -ENOMEM, "out of memory");
    c->out_fd = open_or_make(c);
    if (c->out_fd < 0) return open_failed(c, e);
    c->owns_out = true;
    int rc = file_check_fd(c->out_fd, &o, e);
    if (!rc) rc = file_lock(c->out_fd, &o, e);
    if (!rc && fstat(c->out_fd, &st) != 0) rc = err_errno(e, "stat %s", c->path);
    if (rc) return rc;
    c->is_pipe = S_ISFIFO(st.st_mode);
    c->is_slow = is_on_disk(&st);
    return 0;
}

/* Raw mode: otherwise what the guest writes would come back to it as input, until a peer sets the terminal. */
static int open_pty(struct chario *c, struct err *e)
{
    struct termios t;
    c->out_fd = fd_own(posix_openpt(O_RDWR | O_NOCTTY | O_NONBLOCK | O_CLOEXEC));
    if (c->out_fd < 0) return err_errno(e, "open a pseudo-terminal");
    c->owns_out = true;
    c->in_fd = c->out_fd;
    if (grantpt(c->out_fd) != 0 || unlockpt(c->out_fd) != 0) return err_errno(e, "unlock the pseudo-terminal");
    errno = ptsname_r(c->out_fd, c->pty_name, sizeof(c->pty_name));
    if (errno != 0) return err_errno(e, "name of the pseudo-terminal");
    c->pty_slave = fd_own(open(c->pty_name, O_RDWR | O_NOCTTY | O_CLOEXEC));
    if (c->pty_slave < 0) return err_errno(e, "open %s", c->pty_name);
    if (tcgetattr(c->pty_slave, &t) != 0) return err_errno(e, "settings of %s", c->pty_name);
    cfmakeraw(&t);
    if (tcsetattr(c->pty_slave, TCSANOW, &t) != 0) return err_errno(e, "settings of %s", c->pty_name);
    return 0;
}

int chario_open(struct chario *c, const struct chario_params *p, struct err *e)
{
    switch (p->kind) {
    case CHARIO_OFF: return 0;
    case CHARIO_FILE: return open_file(c, p, e);
    case CHARIO_PTY: return open_pty(c, e);
    case CHARIO_STDIO: set_input(c, STDIN_FILENO); return set_output(c, STDOUT_FILENO, "standard output", e);
    case CHARIO_FDS: set_input(c, p->in_fd); return set_output(c, p->out_fd, "output", e);
    }
    return err_set(e, -EINVAL, "unknown kind %d", (int)p->kind);
}

/* Another file that has come to the same name meanwhile stays. */
void chario_unmake_file(const struct chario *c)
{
    struct stat ours, there;
    if (!c->was_made || fstat(c->out_fd, &ours) != 0 || stat(c->path, &there) != 0) return;
    if (ours.st_dev == there.st_dev && ours.st_ino == there.st_ino && ours.st_size == 0) (void)unlink(c->path);
}
