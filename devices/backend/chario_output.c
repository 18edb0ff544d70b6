/* From the guest to the host. See chario.h for what each function promises.
 *
 * There are three ways to write: directly, to what never blocks (pipes, sockets and terminals of our own file
 * description); after a poll, to a terminal that could not be opened anew; and by slow_file, to files.
 *
 * A reader that takes nothing for a second is not waited for again until it takes something. The second is a sum: each
 * byte that is taken pays back a part of it. Otherwise a reader that takes a byte now and then would stop the guest as
 * surely as one that takes none. Once the machine ends, no vCPU waits any more, and the rest has one second in all. */
#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "devices/backend/chario_state.h"
#include "vmm/base/clock.h"

#define LINE_HOLD_NS  (4 * 1000 * 1000)       /* how long a byte waits for its newline: too short to be seen */
#define STALL_MAX_NS  (1000 * 1000 * 1000ull) /* how long one output waits for a reader that takes nothing */
#define STOP_MAX_NS   (1000 * 1000 * 1000ull) /* how long the rest has when the console stops */
#define WAIT_SLICE_NS (50 * 1000 * 1000ull)   /* a wait is cut into these, to notice the end of the machine */
/* Each byte taken pays back so much waiting: a terminal of 1200 baud keeps up. */
#define PAID_NS (10 * 1000 * 1000ull)
/* At once, to a terminal that was not opened anew: what poll's "writable" promises. */
#define SLOW_WRITE_BYTES 256

/* ---- what was dropped ---- */

static const char *name_of_output(const struct chario *c)
{
    if (c->path) return c->path;
    return c->pty_name[0] ? c->pty_name : "the console's output";
}

/* Loop thread: a vCPU may find a loss, but it shall not write the log. */
static void tell_losses(void *arg)
{
    struct chario *c = arg;
    const unsigned news = atomic_load(&c->losses) & ~c->told;
    const char *name = name_of_output(c);
    c->told |= news;
    if (news & 1u << LOSS_UNREAD)
        log_write(c->log, LOG_WARN, "console: %s %s; what the guest writes is dropped until that changes",
                  c->is_slow ? "nothing is written any more to" : "nobody reads", name);
    if (news & 1u << LOSS_FAILED)
        log_write(c->log, LOG_WARN, "console: write %s: %s; what the guest writes is dropped until it works again",
                  name, strerrordesc_np(atomic_load(&c->fail_code)));
    if (news & 1u << LOSS_FULL)
        log_write(c->log, LOG_WARN,
                  "console: %s has reached console-max (%" PRIu64
                  " bytes); what the guest writes is dropped until the file is cut",
                  name, c->max_bytes);
}

static void drop(struct chario *c, uint64_t len)
{
    atomic_fetch_add_explicit(&c->dropped, len, memory_order_relaxed);
}

/* Any thread. error 0: console-max. */
static void lose(void *arg, uint64_t len, int error)
{
    struct chario *c = arg;
    const enum chario_loss loss = error == 0                              ? LOSS_FULL
                                  : error == EAGAIN || error == ETIMEDOUT ? LOSS_UNREAD
                                                                          : LOSS_FAILED;
    int none = 0;
    if (len == 0) return;
    drop(c, len);
    if (atomic_load_explicit(&c->losses, memory_order_relaxed) & 1u << loss) return;
    if (loss == LOSS_FAILED) atomic_compare_exchange_strong(&c->fail_code, &none, error);
    atomic_fetch_or(&c->losses, 1u << loss);
    if (c->loop) loop_post(c->loop, &c->tell_job);
}

/* A pipe whose reader is gone raises SIGPIPE in the writing thread, and write(2), unlike send(2), has no flag against
 * it. For a thread that blocks SIGPIPE this is one more system call. In any other thread none can be pending before the
 * write, so the one that is pending after it is ours, and is taken back. */
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

/* One write that neither blocks nor raises a signal. Bytes taken, or -errno. */
static ssize_t write_some(const struct chario *c, const uint8_t *p, size_t len)
{
    ssize_t n;
    if (c->file_has_begun) {
        const size_t taken = slow_file_put(c->file, p, len);
        return taken > 0 ? (ssize_t)taken : -EAGAIN;
    }
    if (c->has_stopped) return -ETIMEDOUT;
    if (c->may_block) {
        struct pollfd ready = {.fd = c->out_fd, .events = POLLOUT};
        if (poll(&ready, 1, 0) <= 0) return -EAGAIN;
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

static void wait_writable(const struct chario *c, uint64_t now, uint64_t deadline)
{
    struct pollfd ready = {.fd = c->out_fd, .events = POLLOUT};
    if (deadline - now > WAIT_SLICE_NS) deadline = now + WAIT_SLICE_NS;
    if (c->file_has_begun)
        (void)slow_file_wait(c->file, deadline);
    else
        (void)poll(&ready, 1, (int)((deadline - now) / 1000000u) + 1);
}

/* Lock held, as below. */
static uint64_t stalled_ns(const struct chario *c, uint64_t now)
{
    const uint64_t sum = c->stall_debt + (c->stalled_since ? now - c->stalled_since : 0);
    return sum < STALL_MAX_NS ? sum : STALL_MAX_NS;
}

static void note_taken(struct chario *c, size_t len)
{
    if (c->stalled_since == 0 && c->stall_debt == 0) return;
    const uint64_t debt = stalled_ns(c, now_ns()), paid = len * PAID_NS;
    c->stall_debt = debt > paid ? debt - paid : 0;
    c->stalled_since = 0;
}

/* Write len bytes. A slow reader is waited for, for wait_ns at most, and not at all once the machine ends. One that was
 * waited for STALL_MAX_NS is not waited for again: what comes is dropped at once until it takes something. Returns the
 * number of bytes done with: all of them, unless wait_ns is 0. */
static size_t put(struct chario *c, const uint8_t *p, size_t len, uint64_t wait_ns)
{
    size_t done = 0;
    uint64_t deadline = 0;
    int error = 0;
    while (done < len && c->out_fd >= 0) {
        const ssize_t n = write_some(c, p + done, len - done);
        if (n > 0) {
            done += (size_t)n;
            note_taken(c, (size_t)n);
            continue;
        }
        if (n == -EINTR) continue;
        error = n == 0 ? EIO : (int)-n;
        if (error != EAGAIN) break; /* EPIPE, EIO, ENOSPC, ...: dropped; the next output tries again */
        const uint64_t now = now_ns();
        if (c->stalled_since == 0) c->stalled_since = now;
        if (deadline == 0) deadline = now + wait_ns;
        if (stalled_ns(c, now) >= STALL_MAX_NS) break;
        if (wait_ns == 0) return done;
        if (atomic_load_explicit(&c->hurries, memory_order_relaxed)) {
            drop(c, len - done);
            return len;
        }
        if (now >= deadline) break;
        wait_writable(c, now, deadline);
    }
    if (c->out_fd >= 0) lose(c, len - done, error);
    return len;
}

static void put_line(struct chario *c, struct line *l, uint64_t wait_ns)
{
    if (l->len == 0) return;
    const size_t done = put(c, l->bytes, l->len, wait_ns);
    l->len -= done;
    memmove(l->bytes, l->bytes + done, l->len);
}

/* Any thread. One that is set is left: it is the oldest byte that must not wait. */
static void set_timer(struct chario *c)
{
    if (!loop_timer_is_set(&c->line_timer)) loop_timer_set(c->loop, &c->line_timer, LINE_HOLD_NS);
}

/* Lock held. */
static void put_help(struct chario *c)
{
    static const char text[] = "\r\nCtrl-A x       end the virtual machine\r\n"
                               "Ctrl-A Ctrl-A  send Ctrl-A to the guest\r\n"
                               "Ctrl-A h       this help\r\n";
    c->owes_help = false;
    (void)put(c, (const uint8_t *)text, sizeof(text) - 1, 0);
}

/* On the loop thread, which serves other devices: wait neither for a reader nor for a vCPU that waits for one. */
static void on_timer(void *arg)
{
    struct chario *c = arg;
    if (pthread_mutex_trylock(&c->lock) != 0) {
        set_timer(c);
        return;
    }
    for (unsigned i = 0; i < CHARIO_PORTS; i++) {
        put_line(c, &c->line[i], 0);
        if (c->line[i].len > 0) set_timer(c);
    }
    if (c->owes_help) put_help(c);
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
        if (!c->collects || l->len == LINE_MAX_BYTES || memchr(bytes, '\n', n)) put_line(c, l, STALL_MAX_NS);
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
        put_line(c, &c->line[port], 0);
        if (c->line[port].len == 0) done = put(c, bytes, len, 0);
        pthread_mutex_unlock(&c->lock);
    }
    if (done < len) {
        c->owes_ready[port] = true;
        set_timer(c);
    }
    return done;
}

void chario_flush(struct chario *c, enum chario_port port)
{
    pthread_mutex_lock(&c->lock);
    put_line(c, &c->line[port], STALL_MAX_NS);
    pthread_mutex_unlock(&c->lock);
}

void chario_hurry(struct chario *c)
{
    if (c) atomic_store_explicit(&c->hurries, true, memory_order_relaxed);
}

void chario_show_help(struct chario *c)
{
    c->owes_help = true;
    set_timer(c);
}

uint64_t chario_dropped(const struct chario *c)
{
    return atomic_load_explicit(&c->dropped, memory_order_relaxed);
}

uint64_t chario_first_output_ns(const struct chario *c)
{
    return atomic_load(&c->first_ns);
}

/* ---- life ---- */

/* max_bytes limits what this machine adds: the file may be a log that several share. */
int chario_make_output(struct chario *c, struct err *e)
{
    const struct slow_file_params p = {
        .fd = c->out_fd,
        .truncates = c->path != NULL,
        .grow_max = c->max_bytes,
        .lost = lose,
        .arg = c,
    };
    c->tell_job = (struct loop_job){.fn = tell_losses, .arg = c};
    c->line_timer = (struct loop_timer){.fn = on_timer, .arg = c};
    return c->is_slow ? slow_file_create(&c->file, &p, e) : 0;
}

int chario_start_output(struct chario *c, struct err *e)
{
    const int rc = c->file ? slow_file_start(c->file, e) : 0;
    if (rc) return rc;
    pthread_mutex_lock(&c->lock);
    c->file_has_begun = c->file != NULL;
    c->collects = true;
    pthread_mutex_unlock(&c->lock);
    return 0;
}

/* One deadline for all lines together, so that the end does not depend on how many there are. */
void chario_stop_output(struct chario *c)
{
    const uint64_t deadline = now_ns() + STOP_MAX_NS;
    pthread_mutex_lock(&c->lock);
    atomic_store_explicit(&c->hurries, false, memory_order_relaxed); /* of those who heard it, none is left */
    c->collects = false;
    for (unsigned i = 0; i < CHARIO_PORTS; i++) {
        const uint64_t now = now_ns();
        put_line(c, &c->line[i], now < deadline ? deadline - now : 1); /* 1: no time, and done with all the same */
    }
    struct slow_file *file = c->file;
    c->has_stopped = c->is_slow;
    c->file = NULL;
    c->file_has_begun = false;
    pthread_mutex_unlock(&c->lock);
    slow_file_close(file, deadline);
    loop_timer_cancel(c->loop, &c->line_timer);
    tell_losses(c);
    const uint64_t dropped = chario_dropped(c);
    if (dropped) log_write(c->log, LOG_WARN, "console: %" PRIu64 " bytes that the guest wrote were dropped", dropped);
}
