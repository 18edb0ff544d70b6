/* Text for a reader that may have stalled: a full pipe, a terminal in Ctrl-S. A pipe or terminal is opened once more,
 * which gives a file description of our own that can be non-blocking without the shell behind it noticing, as the
 * guest's console does it too (devices/backend/chario_open.c). Where that can't be, poll is asked before each write. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "vmm/base/concat.h"
#include "vmm/cli/cli.h"

/* A reader that takes nothing: long for one that lives, short for who waits for us. */
#define PUT_STALL_NS 500000000ull
#define PUT_CALL_NS  2000000000ull /* one that takes a little now and then */
#define PUT_TERMINAL 256           /* bytes to one not opened anew: what poll's "writable" is sure to cover */

/* When standard input (which may be written to by that name), output and error were first found to take nothing; 0:
 * they take. Whoever finds them still so does not wait again. Any thread. */
static _Atomic uint64_t stalled_since[3];

struct target {
    int fd;
    bool is_socket;
    size_t most; /* bytes of a write; 0: it may not block */
};

static bool is_pty_master(int fd)
{
    unsigned number;
    return ioctl(fd, TIOCGPTN, &number) == 0; /* opened again it would be another pty */
}

/* No printf: signal handlers come here too. */
static int open_again(int fd)
{
    char path[40] = "/proc/self/fd/";
    concat_number(path, sizeof(path), (unsigned)fd);
    return open(path, O_WRONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
}

/* As the console does it too: SIGPIPE of our own write is taken back, where it is not blocked by whoever handles it. */
static ssize_t write_without_sigpipe(int fd, const char *text, size_t len)
{
    const struct timespec at_once = {0};
    sigset_t of_pipe, old;
    sigemptyset(&of_pipe);
    sigaddset(&of_pipe, SIGPIPE);
    (void)pthread_sigmask(SIG_BLOCK, &of_pipe, &old);
    const ssize_t n = write(fd, text, len);
    const int error = errno;
    if (n < 0 && error == EPIPE && !sigismember(&old, SIGPIPE)) (void)sigtimedwait(&of_pipe, NULL, &at_once);
    (void)pthread_sigmask(SIG_SETMASK, &old, NULL);
    errno = error;
    return n;
}

static ssize_t write_some(const struct target *t, const char *text, size_t len)
{
    struct pollfd p = {.fd = t->fd, .events = POLLOUT};
    if (t->most) {
        if (poll(&p, 1, 0) == 0) return -EAGAIN;
        if (len > t->most) len = t->most;
    }
    const ssize_t n =
        t->is_socket ? send(t->fd, text, len, MSG_NOSIGNAL | MSG_DONTWAIT) : write_without_sigpipe(t->fd, text, len);
    return n < 0 ? -errno : n > 0 ? n : -EAGAIN;
}

static int put_all(const struct target *t, _Atomic uint64_t *since, const char *text, size_t len)
{
    const uint64_t begin = now_ns();
    while (len > 0) {
        const ssize_t n = write_some(t, text, len);
        if (n > 0) {
            atomic_store(since, 0);
            text += n, len -= (size_t)n;
        }
        if (n > 0 || n == -EINTR) continue;
        if (n != -EAGAIN) return (int)n;
        const uint64_t now = now_ns();
        uint64_t first = 0;
        if (atomic_compare_exchange_strong(since, &first, now)) first = now;
        if (now - first >= PUT_STALL_NS || now - begin >= PUT_CALL_NS) return -EAGAIN;
        struct pollfd p = {.fd = t->fd, .events = POLLOUT};
        (void)poll(&p, 1, (int)((PUT_STALL_NS - (now - first)) / 1000000u) + 1);
    }
    return 0;
}

int put_text(int fd, const char *text, size_t len)
{
    struct stat st;
    _Atomic uint64_t other = 0;
    if (fstat(fd, &st) < 0) return -errno;
    const bool is_terminal = S_ISCHR(st.st_mode) && isatty(fd);
    struct target t = {.fd = fd, .is_socket = S_ISSOCK(st.st_mode)};
    int own = -1;
    if (S_ISFIFO(st.st_mode) || (is_terminal && !is_pty_master(fd))) own = open_again(fd);
    if (own >= 0)
        t.fd = own;
    else if (S_ISFIFO(st.st_mode) || is_terminal)
        t.most = is_terminal ? PUT_TERMINAL : PIPE_BUF;
    const int rc = put_all(&t, fd <= STDERR_FILENO ? &stalled_since[fd] : &other, text, len);
    if (own >= 0) close(own);
    return rc;
}

int put_failed(const char *name, int rc)
{
    say("%s: could not be written: %s", name, rc == -EAGAIN ? "whoever reads it takes nothing" : strerrordesc_np(-rc));
    return STATUS_BAD_COMMAND;
}
