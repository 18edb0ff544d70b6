/* From the host to the guest. See chario.h for what each function promises.
 *
 * A wake-up must not be lost when the loop finds no room, a vCPU then makes room, and nobody tells the loop. So the
 * loop first says that it waits, then asks for room once more; a vCPU first makes room, then looks whether the loop
 * waits. Both are sequentially consistent.
 *
 * Where Ctrl-A x must be seen, input is read ahead of the guest into a large buffer. While that is full and the guest
 * takes from it, we stop reading: the terminal holds the rest back, and Ctrl-A x comes in its turn. When it is full and
 * the guest has taken nothing for a while, only Ctrl-A x can help. Then we read on, and what finds no place is lost, as
 * on a line without flow control.
 *
 * A terminal may belong to another job for a while. A read then fails with EIO (our threads block SIGTTIN) and takes
 * nothing. A shell that puts us in the foreground again tells nobody (it sends SIGCONT to stopped jobs only), so as
 * long as the terminal is away we look now and then. */
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <termios.h>
#include <unistd.h>

#include "devices/backend/chario_state.h"
#include "vmm/base/clock.h"

#define TYPED_MAX 256                     /* without escapes: what stays in a pipe or file may be for others */
#define PASTE_MAX (1024 * 1024)           /* with them: more than people paste; memory only once it is used */
#define READ_MAX  SLOW_INPUT_MAX          /* at once: what a terminal has at most */
#define DEAF_NS   (5000 * 1000 * 1000ull) /* a guest that took nothing for so long does not listen */
#define LOOK_NS   (500 * 1000 * 1000)     /* between two looks at a terminal that is away or a guest that is slow */
#define CTRL_A    1

/* ---- delivery ---- */

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
            n = room(c); /* room that was made between the two looks may not have been told */
            if (n == 0) return;
            atomic_store(&c->is_waiting, false);
        }
        const size_t to_end = c->typed_size - c->typed_head;
        if (n > c->typed_len) n = c->typed_len;
        if (n > to_end) n = to_end;
        const struct chario_user *u = listener(c);
        u->input(u->arg, c->typed + c->typed_head, n);
        c->typed_head = (c->typed_head + n) % c->typed_size;
        c->typed_len -= n;
        if (c->has_escape) c->taken_ns = now_ns();
    }
}

/* ---- reading ---- */

/* Take the escape sequences out of buf; returns what is left for the guest. An unknown one is dropped. */
static size_t take_escapes(struct chario *c, uint8_t *buf, size_t len)
{
    size_t kept = 0;
    for (size_t i = 0; i < len; i++) {
        const uint8_t ch = buf[i];
        const bool is_escaped = c->got_escape;
        c->got_escape = !is_escaped && ch == CTRL_A;
        if (is_escaped && ch == 'x') c->quit(c->quit_arg);
        if (is_escaped && ch == 'h') chario_show_help(c);
        if (is_escaped ? ch == CTRL_A : ch != CTRL_A) buf[kept++] = ch;
    }
    return kept;
}

static void end_input(struct chario *c)
{
    c->in_has_ended = true;
    loop_remove(c->loop, &c->in_source);
}

static bool is_full(const struct chario *c)
{
    return c->typed_len == c->typed_size;
}

static bool is_deaf(const struct chario *c)
{
    return c->has_escape && now_ns() - c->taken_ns >= DEAF_NS;
}

/* Does the terminal belong to another job of our session now? Then it may come back. False when it is gone, or is not
 * our session's. */
static bool is_elsewhere(const struct chario *c)
{
    const pid_t front = c->in_is_terminal ? tcgetpgrp(c->in_fd) : -1;
    return front >= 0 && front != getpgrp();
}

static void keep(struct chario *c, const uint8_t *bytes, size_t len)
{
    const size_t place = c->typed_size - c->typed_len;
    const size_t kept = len < place ? len : place;
    const size_t at = (c->typed_head + c->typed_len) % c->typed_size;
    const size_t first = kept < c->typed_size - at ? kept : c->typed_size - at;
    memcpy(c->typed + at, bytes, first);
    memcpy(c->typed, bytes + first, kept - first);
    c->typed_len += kept;
    if (kept == len) return;
    atomic_fetch_add_explicit(&c->unheard, len - kept, memory_order_relaxed);
    if (!c->has_told_deaf)
        log_write(c->log, LOG_WARN, "console: the guest takes no input; what is typed now is lost, but for Ctrl-A x");
    c->has_told_deaf = true;
}

/* Never waits: the loop saw something to read, but somebody else may have read it since. Bytes, 0 at the end, or
 * -errno. */
static ssize_t read_some(struct chario *c, uint8_t *buf, size_t len)
{
    if (c->in_file) return slow_input_read(c->in_file, buf, len);
    struct pollfd ready = {.fd = c->in_fd, .events = POLLIN};
    if (c->in_may_block && !c->in_is_socket && poll(&ready, 1, 0) <= 0) return -EAGAIN;
    const ssize_t n = c->in_is_socket ? recv(c->in_fd, buf, len, MSG_DONTWAIT) : read(c->in_fd, buf, len);
    return n < 0 ? -errno : n;
}

/* Read once. */
static void read_input(struct chario *c)
{
    uint8_t buf[READ_MAX];
    const size_t place = c->typed_size - c->typed_len;
    if (place == 0 && !is_deaf(c)) return;
    const ssize_t n = read_some(c, buf, place > 0 && place < sizeof(buf) ? place : sizeof(buf));
    c->in_is_awaited = c->in_file && n == -EAGAIN;
    if (n == -EAGAIN || n == -EINTR) return;
    if (n == -EIO && is_elsewhere(c)) {
        c->is_away = true;
        return;
    }
    if (n <= 0) { /* the end; EIO is a terminal that is gone */
        end_input(c);
        return;
    }
    keep(c, buf, c->has_escape ? take_escapes(c, buf, (size_t)n) : (size_t)n);
    if (c->pty_slave >= 0) chario_read_size(c); /* its peers tell nobody when they change it */
}

/* After every read and delivery: go on reading, or stop until there is room. */
static void rearm(struct chario *c)
{
    if (c->in_has_ended) return;
    const bool rests = c->is_away || (is_full(c) && !is_deaf(c));
    const bool looks = c->has_escape || c->in_is_terminal;
    if (rests && looks && !loop_timer_is_set(&c->look_timer)) loop_timer_set(c->loop, &c->look_timer, LOOK_NS);
    if (!c->in_is_pollable) {
        if (!rests && !c->in_is_awaited)
            loop_post(c->loop, &c->pump_job); /* one chunk each turn of the loop, so that other devices get theirs */
    } else if (rests) {
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

static void on_look(void *arg)
{
    struct chario *c = arg;
    c->is_away = c->is_away && is_elsewhere(c);
    deliver(c);
    rearm(c);
}

/* On the input file's thread. */
static void on_file_ready(void *arg)
{
    struct chario *c = arg;
    loop_post(c->loop, &c->pump_job);
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

uint64_t chario_unheard(const struct chario *c)
{
    return atomic_load_explicit(&c->unheard, memory_order_relaxed);
}

/* ---- the terminal's size ---- */

static void on_size(void *arg)
{
    const struct chario *c = arg;
    for (unsigned i = 0; i < CHARIO_PORTS; i++)
        if (c->user[i].resized) c->user[i].resized(c->user[i].arg);
}

static void take_size(struct chario *c, uint16_t cols, uint16_t rows)
{
    const unsigned size = (unsigned)cols << 16 | rows;
    if (atomic_exchange(&c->size, size) != size && c->loop) loop_post(c->loop, &c->size_job);
}

void chario_read_size(struct chario *c)
{
    struct winsize w;
    if (ioctl(c->out_fd, TIOCGWINSZ, &w) == 0 && w.ws_col != 0 && w.ws_row != 0) take_size(c, w.ws_col, w.ws_row);
}

bool chario_has_size(const struct chario *c)
{
    return c->pty_slave >= 0 || (c->out_fd >= 0 && isatty(c->out_fd));
}

void chario_size(const struct chario *c, uint16_t *cols, uint16_t *rows)
{
    const unsigned size = atomic_load(&c->size);
    *cols = (uint16_t)(size >> 16);
    *rows = (uint16_t)size;
}

int chario_resize(struct chario *c, uint16_t cols, uint16_t rows)
{
    const struct winsize w = {.ws_col = cols, .ws_row = rows};
    if (!chario_has_size(c)) return -ENOTTY;
    if (c->pty_slave >= 0) (void)ioctl(c->out_fd, TIOCSWINSZ, &w); /* its peers see what the guest sees */
    take_size(c, cols, rows);
    return 0;
}

/* ---- life ---- */

int chario_make_input(struct chario *c, struct err *e)
{
    c->pump_job = (struct loop_job){.fn = on_pump, .arg = c};
    c->size_job = (struct loop_job){.fn = on_size, .arg = c};
    chario_read_size(c);
    if (c->in_fd < 0) return 0;
    c->typed_size = c->has_escape ? PASTE_MAX : TYPED_MAX;
    c->typed = malloc(c->typed_size);
    if (!c->typed) return err_set(e, -ENOMEM, "no memory for what is typed");
    c->look_timer = (struct loop_timer){.fn = on_look, .arg = c};
    return c->in_is_slow ? slow_input_create(&c->in_file, c->in_fd, on_file_ready, c, e) : 0;
}

int chario_start_input(struct chario *c, struct err *e)
{
    c->in_source = (struct loop_source){.fd = c->in_fd, .fn = on_input, .arg = c};
    if (c->in_fd < 0) return 0;
    int rc = c->in_file ? slow_input_start(c->in_file, e) : 0;
    if (rc) return rc;
    rc = loop_add(c->loop, &c->in_source, EPOLLIN);
    c->in_is_pollable = rc != -EPERM;
    if (rc == -EPERM) {
        loop_post(c->loop, &c->pump_job);
        return 0;
    }
    if (rc) {
        err_set(e, rc, "watch the input: %s", strerrordesc_np(-rc));
        err_as(e, ERR_HOST);
    }
    return rc;
}

void chario_stop_input(struct chario *c)
{
    atomic_store(&c->is_waiting, false);
    loop_remove(c->loop, &c->in_source);
    slow_input_close(c->in_file);
    c->in_file = NULL;
    loop_timer_cancel(c->loop, &c->look_timer);
}
