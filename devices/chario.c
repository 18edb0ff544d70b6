/* The host side of a console. See chario.h for what each function promises.
 *
 * Output and input share nothing but the descriptor numbers. Output lives under `lock`, which is never held while a
 * device is called, and a device never holds its own lock while it calls us, so there is no lock order. Input lives on
 * the loop thread; the only thing another thread does to it is chario_input_ready.
 *
 * The lost wake-up that input must not have: the loop finds no room, a vCPU makes room, nobody tells the loop. So the
 * loop first says that it waits, then asks for room once more; a vCPU first makes room, then looks whether the loop
 * waits. Both are sequentially consistent. */
#include "devices/chario.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/timerfd.h>
#include <termios.h>
#include <unistd.h>

#include "vmm/base/clock.h"
#include "vmm/base/fd.h"
#include "vmm/base/forked.h"

#define LINE_MAX_BYTES   1024                    /* collected before it is written: longer than a kernel's log line */
#define LINE_HOLD_NS     (4 * 1000 * 1000)       /* a byte waits no longer for its newline: below what an eye sees */
#define STALL_MAX_NS     (1000 * 1000 * 1000ull) /* how long one output waits for a reader that takes nothing */
#define SLOW_WRITE_BYTES 256 /* to a terminal we could not open anew: what poll's "writable" is sure to cover */
#define TYPED_MAX        256 /* input read but not yet taken by the guest: a line typed ahead */
#define CTRL_A           1

struct line {
    uint8_t bytes[LINE_MAX_BYTES];
    size_t len;
};

struct chario {
    /* Constant after creation */
    int in_fd, out_fd, pty_slave; /* -1: none. The slave is held open so that peers may come and go */
    bool owns_in, owns_out;
    bool is_pipe, is_socket; /* the output, for the way to write without SIGPIPE */
    bool may_block;          /* the output could not be opened anew: poll before each write */
    bool in_is_pollable;     /* false: a regular file or /dev/null, which epoll refuses */
    bool has_escape;
    void (*quit)(void *arg);
    void *quit_arg;
    char pty_name[32];
    char *path; /* CHARIO_FILE */
    struct forked forked;

    /* Output, under lock */
    pthread_mutex_t lock;
    struct line line[CHARIO_PORTS];
    bool collects; /* started: there is a timer that writes what is left lying */
    bool timer_is_set;
    uint64_t stalled_since; /* when the reader was first found to take nothing; 0: it takes */
    atomic_ullong dropped, first_ns;

    /* Input, loop thread only but for the atomics */
    struct loop *loop;
    struct loop_source in_source, timer_source;
    struct loop_job pump_job;
    struct chario_user user[CHARIO_PORTS];
    atomic_bool is_waiting; /* there is input that the guest has no room for */
    atomic_uint talker;     /* enum chario_port the guest wrote to last: input goes there */
    bool is_started, in_has_ended, got_escape;
    bool owes_ready[CHARIO_PORTS]; /* chario_try_output took too little */
    uint8_t typed[TYPED_MAX];
    size_t typed_len;
};

/* ---- output ---- */

/* A pipe whose reader is gone raises SIGPIPE in the writing thread, and unlike send(2) write(2) has no flag against it.
 * A thread that has it blocked pays one system call here. In another none can be pending already, so the one that is
 * there after the write is ours, and is taken back. */
static ssize_t write_without_sigpipe(int fd, const uint8_t *p, size_t len)
{
    const struct timespec at_once = {0};
    sigset_t pipe_set, old;
    sigemptyset(&pipe_set);
    sigaddset(&pipe_set, SIGPIPE);
    pthread_sigmask(SIG_BLOCK, &pipe_set, &old);
    if (sigismember(&old, SIGPIPE)) return write(fd, p, len);

    const ssize_t n = write(fd, p, len);
    const int error = errno;
    if (n < 0 && error == EPIPE) sigtimedwait(&pipe_set, NULL, &at_once);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    errno = error;
    return n;
}

static bool is_writable(int fd, int timeout_ms)
{
    struct pollfd p = {.fd = fd, .events = POLLOUT};
    return poll(&p, 1, timeout_ms) > 0;
}

/* One write that neither blocks nor raises a signal. Bytes taken, or -errno. */
static ssize_t write_some(const struct chario *c, const uint8_t *p, size_t len)
{
    ssize_t n;
    if (c->may_block) {
        if (!is_writable(c->out_fd, 0)) return -EAGAIN;
        if (len > SLOW_WRITE_BYTES) len = SLOW_WRITE_BYTES;
    }
    if (c->is_socket)
        n = send(c->out_fd, p, len, MSG_NOSIGNAL | MSG_DONTWAIT);
    else if (c->is_pipe)
        n = write_without_sigpipe(c->out_fd, p, len);
    else
        n = write(c->out_fd, p, len);
    return n < 0 ? -errno : n;
}

/* Write len bytes. From a reader that has taken nothing for STALL_MAX_NS what comes is dropped, at once, until it takes
 * something again; for a slow one we wait (if !may_wait: we don't), but no call for longer than that either.
 * Returns the number of bytes done with: all of them, unless !may_wait. */
static size_t put(struct chario *c, const uint8_t *p, size_t len, bool may_wait)
{
    size_t done = 0;
    uint64_t deadline = 0;
    while (done < len && c->out_fd >= 0) {
        const ssize_t n = write_some(c, p + done, len - done);
        if (n > 0) {
            done += (size_t)n;
            c->stalled_since = 0;
            continue;
        }
        if (n == -EINTR) continue;
        if (n != -EAGAIN) break; /* EPIPE, EIO, ENOSPC, ...: dropped; the next output tries again */
        const uint64_t now = now_ns();
        if (c->stalled_since == 0) c->stalled_since = now;
        if (deadline == 0) deadline = now + STALL_MAX_NS;
        if (now - c->stalled_since >= STALL_MAX_NS || now >= deadline) break;
        if (!may_wait) return done;
        is_writable(c->out_fd, (int)((deadline - now) / 1000000u) + 1);
    }
    if (c->out_fd >= 0) atomic_fetch_add_explicit(&c->dropped, len - done, memory_order_relaxed);
    return len;
}

static void put_line(struct chario *c, struct line *l, bool may_wait)
{
    if (l->len == 0) return;
    const size_t done = put(c, l->bytes, l->len, may_wait);
    l->len -= done;
    memmove(l->bytes, l->bytes + done, l->len);
}

static void set_timer(struct chario *c)
{
    const struct itimerspec t = {.it_value.tv_nsec = LINE_HOLD_NS};
    if (!c->timer_is_set) c->timer_is_set = timerfd_settime(c->timer_source.fd, 0, &t, NULL) == 0;
}

/* The same for who could not get the lock: at worst the timer fires once in vain. */
static void set_timer_anyway(const struct chario *c)
{
    const struct itimerspec t = {.it_value.tv_nsec = LINE_HOLD_NS};
    timerfd_settime(c->timer_source.fd, 0, &t, NULL);
}

/* Loop thread, which other devices need: never waits, neither for a reader nor for a vCPU that is waiting for one. */
static void on_timer(void *arg, uint32_t events)
{
    struct chario *c = arg;
    uint64_t expirations;
    (void)events;
    if (read(c->timer_source.fd, &expirations, sizeof(expirations)) < 0) return;
    if (pthread_mutex_trylock(&c->lock) != 0) {
        set_timer_anyway(c);
        return;
    }
    c->timer_is_set = false;
    for (unsigned i = 0; i < CHARIO_PORTS; i++) {
        put_line(c, &c->line[i], false);
        if (c->line[i].len > 0) set_timer(c);
    }
    pthread_mutex_unlock(&c->lock);
    for (unsigned i = 0; i < CHARIO_PORTS; i++) {
        if (!c->owes_ready[i]) continue;
        c->owes_ready[i] = false;
        if (c->user[i].output_ready) c->user[i].output_ready(c->user[i].arg);
    }
}

static void note_talker(struct chario *c, enum chario_port port)
{
    if (atomic_load_explicit(&c->first_ns, memory_order_relaxed) == 0) atomic_store(&c->first_ns, now_ns());
    if (atomic_load_explicit(&c->talker, memory_order_relaxed) == port) return;
    atomic_store(&c->talker, port);
    chario_input_ready(c, port); /* what the other port had no room for goes here now */
}

void chario_output(struct chario *c, enum chario_port port, const uint8_t *bytes, size_t len)
{
    struct line *l = &c->line[port];
    if (len == 0) return;
    note_talker(c, port);
    pthread_mutex_lock(&c->lock);
    while (len > 0) {
        const size_t n = len < LINE_MAX_BYTES - l->len ? len : LINE_MAX_BYTES - l->len;
        memcpy(l->bytes + l->len, bytes, n);
        l->len += n;
        if (!c->collects || l->len == LINE_MAX_BYTES || memchr(bytes, '\n', n)) put_line(c, l, true);
        bytes += n;
        len -= n;
    }
    if (l->len > 0) set_timer(c);
    pthread_mutex_unlock(&c->lock);
}

size_t chario_try_output(struct chario *c, enum chario_port port, const uint8_t *bytes, size_t len)
{
    size_t done = 0;
    note_talker(c, port);
    if (!c->is_started) { /* no timer would call output_ready */
        chario_output(c, port, bytes, len);
        return len;
    }
    if (pthread_mutex_trylock(&c->lock) == 0) {
        put_line(c, &c->line[port], false);
        if (c->line[port].len == 0) done = put(c, bytes, len, false);
        pthread_mutex_unlock(&c->lock);
    }
    if (done < len) {
        c->owes_ready[port] = true;
        set_timer_anyway(c);
    }
    return done;
}

void chario_flush(struct chario *c, enum chario_port port)
{
    pthread_mutex_lock(&c->lock);
    put_line(c, &c->line[port], true);
    pthread_mutex_unlock(&c->lock);
}

uint64_t chario_dropped(const struct chario *c)
{
    return atomic_load_explicit(&c->dropped, memory_order_relaxed);
}

uint64_t chario_first_output_ns(const struct chario *c)
{
    return atomic_load(&c->first_ns);
}

bool chario_size(const struct chario *c, uint16_t *cols, uint16_t *rows)
{
    struct winsize w;
    if (c->pty_slave >= 0 || ioctl(c->out_fd, TIOCGWINSZ, &w) != 0 || w.ws_col == 0 || w.ws_row == 0) return false;
    *cols = w.ws_col;
    *rows = w.ws_row;
    return true;
}

/* ---- input ---- */

static struct chario_user *listener(struct chario *c)
{
    struct chario_user *u = &c->user[atomic_load(&c->talker)];
    if (u->input) return u;
    for (unsigned i = 0; i < CHARIO_PORTS; i++)
        if (c->user[i].input) return &c->user[i];
    return NULL;
}

static size_t room(struct chario *c)
{
    const struct chario_user *u = listener(c);
    return u ? u->room(u->arg) : 0;
}

/* Hand over what the guest has room for; if something is left, note that we wait. */
static void deliver(struct chario *c)
{
    atomic_store(&c->is_waiting, false);
    while (c->typed_len > 0) {
        size_t n = room(c);
        if (n == 0) {
            atomic_store(&c->is_waiting, true);
            n = room(c); /* made between the two looks, it may have gone untold */
            if (n == 0) return;
            atomic_store(&c->is_waiting, false);
        }
        if (n > c->typed_len) n = c->typed_len;
        const struct chario_user *u = listener(c);
        u->input(u->arg, c->typed, n);
        c->typed_len -= n;
        memmove(c->typed, c->typed + n, c->typed_len);
    }
}

static void show_help(struct chario *c)
{
    static const char text[] = "\r\nCtrl-A x       end the virtual machine\r\n"
                               "Ctrl-A Ctrl-A  send Ctrl-A to the guest\r\n"
                               "Ctrl-A h       this help\r\n";
    pthread_mutex_lock(&c->lock);
    put(c, (const uint8_t *)text, sizeof(text) - 1, true);
    pthread_mutex_unlock(&c->lock);
}

/* Take the escape sequences out of buf; returns what is left for the guest. An unknown one is dropped. */
static size_t take_escapes(struct chario *c, uint8_t *buf, size_t len)
{
    size_t kept = 0;
    for (size_t i = 0; i < len; i++) {
        const uint8_t ch = buf[i];
        const bool is_escaped = c->got_escape;
        c->got_escape = !is_escaped && ch == CTRL_A;
        if (is_escaped && ch == 'x') c->quit(c->quit_arg);
        if (is_escaped && ch == 'h') show_help(c);
        if (is_escaped ? ch == CTRL_A : ch != CTRL_A) buf[kept++] = ch;
    }
    return kept;
}

static void end_input(struct chario *c)
{
    c->in_has_ended = true;
    loop_remove(c->loop, &c->in_source);
}

/* Read once, as much as there is place for. Where someone may press Ctrl-A x we read always, and what a guest that does
 * not listen leaves no place for is lost, as on a line without flow control. */
static void read_input(struct chario *c)
{
    uint8_t surplus[TYPED_MAX];
    const size_t place = TYPED_MAX - c->typed_len;
    uint8_t *to = place > 0 ? c->typed + c->typed_len : surplus;
    if (place == 0 && !c->has_escape) return;

    const ssize_t n = read(c->in_fd, to, place > 0 ? place : sizeof(surplus));
    if (n < 0 && (errno == EAGAIN || errno == EINTR)) return;
    if (n <= 0) { /* the end; EIO is a terminal that is gone */
        end_input(c);
        return;
    }
    const size_t kept = c->has_escape ? take_escapes(c, to, (size_t)n) : (size_t)n;
    if (place > 0) c->typed_len += kept;
}

/* After every read and delivery: go on with the source, or leave it until there is place. */
static void rearm(struct chario *c)
{
    if (c->in_has_ended) return;
    const bool is_full = c->typed_len == TYPED_MAX && !c->has_escape;
    if (!c->in_is_pollable) {
        if (!is_full) loop_post(c->loop, &c->pump_job); /* a chunk a turn, between other devices' events */
    } else if (is_full) {
        loop_remove(c->loop, &c->in_source);
    } else if (!c->in_source.is_added && loop_add(c->loop, &c->in_source, EPOLLIN) != 0) {
        end_input(c);
    }
}

static void on_input(void *arg, uint32_t events)
{
    struct chario *c = arg;
    (void)events; /* a hang-up shows as the end of what is read */
    read_input(c);
    deliver(c);
    rearm(c);
}

/* There is room again, or the next chunk of a file is due. */
static void on_pump(void *arg)
{
    struct chario *c = arg;
    if (!c->is_started) return;
    deliver(c);
    if (!c->in_is_pollable && !c->in_has_ended) read_input(c);
    deliver(c);
    rearm(c);
}

void chario_input_ready(struct chario *c, enum chario_port port)
{
    (void)port;
    if (atomic_load(&c->is_waiting)) loop_post(c->loop, &c->pump_job);
}

void chario_attach(struct chario *c, enum chario_port port, const struct chario_user *user)
{
    c->owes_ready[port] = false;
    c->user[port] = user ? *user : (struct chario_user){0};
    chario_input_ready(c, port);
}

bool chario_has_input(const struct chario *c)
{
    return c->in_fd >= 0;
}

/* ---- life ---- */

static bool is_pty_master(int fd)
{
    unsigned number;
    return ioctl(fd, TIOCGPTN, &number) == 0;
}

/* A pipe or terminal opened once more is a file description of our own, which can be non-blocking without the shell
 * behind it noticing. -1 where that is neither needed nor possible: then fd itself is used. (Opening a pty master again
 * would make another pty.) */
static int open_again(int fd, const struct stat *st, int flags)
{
    char path[32];
    if (!S_ISFIFO(st->st_mode) && !(isatty(fd) && !is_pty_master(fd))) return -1;
    snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    return fd_own(open(path, flags | O_NONBLOCK | O_NOCTTY | O_CLOEXEC));
}

static bool is_non_blocking(int fd)
{
    const int flags = fcntl(fd, F_GETFL);
    return flags >= 0 && (flags & O_NONBLOCK);
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
    return 0;
}

static void set_input(struct chario *c, int fd)
{
    struct stat st;
    if (fd < 0 || fstat(fd, &st) != 0) return; /* closed: no input */
    const int again = open_again(fd, &st, O_RDONLY);
    c->owns_in = again >= 0;
    c->in_fd = again >= 0 ? again : fd;
}

/* Appending, so that a log rotated by truncation gets no hole; non-blocking for the case of a named pipe. */
static int open_file(struct chario *c, int more_flags, struct err *e)
{
    struct stat st;
    c->out_fd = fd_own(open(c->path, O_WRONLY | O_APPEND | O_NONBLOCK | O_NOCTTY | O_CLOEXEC | more_flags, 0666));
    if (c->out_fd < 0) {
        const int rc = err_errno(e, "open %s", c->path);
        if (rc == -ENXIO && stat(c->path, &st) == 0 && S_ISFIFO(st.st_mode))
            err_hint(e, "nobody reads that pipe yet: start its reader first");
        if (rc == -ENOENT) err_hint(e, "make the directory first, or use another path");
        if (rc == -EISDIR) err_hint(e, "name a file in it");
        if (rc == -EACCES) err_hint(e, "use a path this user may write to");
        return rc;
    }
    c->owns_out = true;
    if (fstat(c->out_fd, &st) != 0) return err_errno(e, "stat %s", c->path);
    c->is_pipe = S_ISFIFO(st.st_mode);
    return 0;
}

/* What is there is opened, so that a bad path is refused early, and left as it is: a machine that is refused for
 * another reason must not have cost an old log. */
static int find_file(struct chario *c, const char *path, struct err *e)
{
    c->path = strdup(path);
    if (!c->path) return err_set(e, -ENOMEM, "out of memory");
    const int rc = open_file(c, 0, e);
    return rc == -ENOENT ? 0 : rc;
}

/* Now it is needed. */
static int take_file(struct chario *c, struct err *e)
{
    if (!c->path) return 0;
    if (c->out_fd < 0) return open_file(c, O_CREAT | O_TRUNC, e);
    if (ftruncate(c->out_fd, 0) != 0 && errno != EINVAL) return err_errno(e, "truncate %s", c->path);
    return 0; /* EINVAL: a device or a pipe, which has no length */
}

/* Raw, so that what the guest writes is not echoed back to it as input before a peer has set the terminal. */
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

static int open_kind(struct chario *c, const struct chario_params *p, struct err *e)
{
    switch (p->kind) {
    case CHARIO_OFF: return 0;
    case CHARIO_FILE: return find_file(c, p->path, e);
    case CHARIO_PTY: return open_pty(c, e);
    case CHARIO_STDIO: set_input(c, STDIN_FILENO); return set_output(c, STDOUT_FILENO, "standard output", e);
    case CHARIO_FDS: set_input(c, p->in_fd); return set_output(c, p->out_fd, "output", e);
    }
    return err_set(e, -EINVAL, "unknown kind %d", (int)p->kind);
}

static void close_if(int fd, bool is_ours)
{
    if (fd >= 0 && is_ours) close(fd);
}

/* The end of a pipe or pseudo-terminal is what its reader waits for. */
static void in_forked_child(void *arg)
{
    const struct chario *c = arg;
    close_if(c->in_fd, c->owns_in);
    close_if(c->out_fd, c->owns_out);
    close_if(c->pty_slave, true);
}

int chario_create(struct chario **out, const struct chario_params *p, struct err *e)
{
    struct chario *c = calloc(1, sizeof(*c));
    if (!c) return err_set(e, -ENOMEM, "out of memory");
    pthread_mutex_init(&c->lock, NULL);
    c->in_fd = c->out_fd = c->pty_slave = c->timer_source.fd = -1;
    c->has_escape = p->has_escape && p->quit;
    c->quit = p->quit;
    c->quit_arg = p->quit_arg;
    c->pump_job = (struct loop_job){.fn = on_pump, .arg = c};
    const int rc = open_kind(c, p, e);
    if (rc) {
        chario_destroy(c);
        return rc;
    }
    c->forked = (struct forked){.in_child = in_forked_child, .arg = c};
    forked_add(&c->forked);
    *out = c;
    return 0;
}

void chario_destroy(struct chario *c)
{
    if (!c) return;
    forked_remove(&c->forked);
    for (unsigned i = 0; i < CHARIO_PORTS; i++) chario_flush(c, i);
    close_if(c->timer_source.fd, true);
    close_if(c->in_fd, c->owns_in);
    close_if(c->out_fd, c->owns_out);
    close_if(c->pty_slave, true);
    pthread_mutex_destroy(&c->lock);
    free(c->path);
    free(c);
}

const char *chario_pty_name(const struct chario *c)
{
    return c->pty_name[0] ? c->pty_name : NULL;
}

static int watch_failed(const char *what, int rc, struct err *e)
{
    err_set(e, rc, "watch the %s: %s", what, strerrordesc_np(-rc));
    err_as(e, ERR_HOST);
    return rc;
}

static int start_timer(struct chario *c, struct err *e)
{
    c->timer_source = (struct loop_source){.fn = on_timer, .arg = c};
    c->timer_source.fd = fd_own(timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC));
    const int rc = c->timer_source.fd < 0 ? -errno : loop_add(c->loop, &c->timer_source, EPOLLIN);
    return rc ? watch_failed("timer", rc, e) : 0;
}

static int start_input(struct chario *c, struct err *e)
{
    c->in_source = (struct loop_source){.fd = c->in_fd, .fn = on_input, .arg = c};
    if (c->in_fd < 0) return 0;
    const int rc = loop_add(c->loop, &c->in_source, EPOLLIN);
    c->in_is_pollable = rc != -EPERM;
    if (c->in_is_pollable) return rc ? watch_failed("input", rc, e) : 0;
    loop_post(c->loop, &c->pump_job);
    return 0;
}

int chario_start(struct chario *c, struct loop *loop, struct err *e)
{
    c->loop = loop;
    c->is_started = true;
    int rc = take_file(c, e);
    if (!rc) rc = start_timer(c, e);
    if (!rc) rc = start_input(c, e);
    if (rc) {
        chario_stop(c);
        return rc;
    }
    pthread_mutex_lock(&c->lock);
    c->collects = true;
    pthread_mutex_unlock(&c->lock);
    return 0;
}

void chario_stop(struct chario *c)
{
    if (!c->is_started) return;
    c->is_started = false;
    pthread_mutex_lock(&c->lock);
    c->collects = false;
    for (unsigned i = 0; i < CHARIO_PORTS; i++) put_line(c, &c->line[i], true);
    c->timer_is_set = false;
    pthread_mutex_unlock(&c->lock);
    atomic_store(&c->is_waiting, false);
    loop_remove(c->loop, &c->in_source);
    loop_remove(c->loop, &c->timer_source);
    close_if(c->timer_source.fd, true);
    c->timer_source.fd = -1;
}
