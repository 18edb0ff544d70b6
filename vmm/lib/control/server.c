/* The control socket: a little HTTP server that never waits.
 *
 * Its only descriptor to the outside is an epoll set with the listening socket, the clients and a timer in it; whoever
 * owns it polls that and calls vireo_control_serve. A client has one request, one answer and CONTROL_CLIENT_MS for
 * both, after which it is dropped. When the house is full, a newcomer takes the place of the oldest client that has not
 * sent its whole request, or else of the one that has longest taken nothing of its answer. Whoever sends its request at
 * once and reads at once is answered, however many others are silent or slow: these cost a slot each and a page's
 * memory, never a wait. Only when all slots are held by clients that read do more wait in the kernel's backlog. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "vmm/base/clock.h"
#include "vmm/base/fd.h"
#include "vmm/lib/control/http.h"
#include "vmm/lib/control/place.h"
#include "vmm/lib/lib.h"

#define CONTROL_CLIENTS   8    /* at once: each may hold a page, 100 KB for a usual VM */
#define CONTROL_CLIENT_MS 2000 /* a local client sends and takes some KB; a minute would be a way to hold all slots */
#define CONTROL_STALL_MS                                                                                               \
    200                    /* with nothing taken of an answer; a reader whose CPU is busy takes some in tens of ms     \
                            */
#define CONTROL_ACCEPTS 32 /* in one call: the whole backlog, twice; the owner has other work, too */
#define ANSWER_HEAD_MAX 256

struct client {
    int fd; /* -1: the slot is free */
    uint64_t deadline_ms;
    uint64_t moved_ms; /* when it last took some of its answer */
    size_t used;       /* of head */
    char *answer;      /* NULL: the request has not all come */
    size_t len, sent;
    char head[CONTROL_HEAD_MAX];
};

struct vireo_control {
    struct vireo_vm *vm;
    struct control_place place;
    int epoll_fd, timer_fd;
    uint64_t parked_until_ms; /* 0: new clients are accepted */
    struct client client[CONTROL_CLIENTS];
};

static uint64_t now_ms(void)
{
    return now_ns() / 1000000u;
}

static int watch(struct vireo_control *c, int op, int fd, uint32_t events, void *what)
{
    struct epoll_event ev = {.events = events, .data.ptr = what};
    return epoll_ctl(c->epoll_fd, op, fd, &ev) < 0 ? -errno : 0;
}

/* The timer rings for the first client whose time is over, or when clients are to be accepted again. */
static void set_timer(struct vireo_control *c)
{
    uint64_t first = c->parked_until_ms;
    for (unsigned i = 0; i < CONTROL_CLIENTS; i++) {
        const struct client *k = &c->client[i];
        if (k->fd >= 0 && (first == 0 || k->deadline_ms < first)) first = k->deadline_ms;
    }
    const struct itimerspec at = {
        .it_value = {.tv_sec = (time_t)(first / 1000), .tv_nsec = (long)(first % 1000) * 1000000}};
    (void)timerfd_settime(c->timer_fd, TFD_TIMER_ABSTIME, &at, NULL); /* can't fail; all zero disarms it */
}

/* ---- one client ---- */

static void drop(struct client *k)
{
    if (k->fd < 0) return;
    (void)shutdown(k->fd, SHUT_WR);
    close(k->fd);
    free(k->answer);
    k->fd = -1;
    k->answer = NULL;
}

static const char *phrase_of(int status)
{
    static const struct {
        int status;
        const char *phrase;
    } phrases[] = {{200, "OK"},
                   {400, "Bad Request"},
                   {404, "Not Found"},
                   {405, "Method Not Allowed"},
                   {431, "Request Header Fields Too Large"},
                   {503, "Service Unavailable"},
                   {505, "HTTP Version Not Supported"}};
    for (size_t i = 0; i < sizeof(phrases) / sizeof(phrases[0]); i++)
        if (phrases[i].status == status) return phrases[i].phrase;
    return "";
}

struct answer {
    int status;
    bool is_head;
    const char *type, *body;
    size_t len;
};

static int set_answer(struct client *k, const struct answer *a)
{
    char head[ANSWER_HEAD_MAX];
    const int n = snprintf(
        head, sizeof(head), "HTTP/1.1 %d %s\r\nContent-Type: %s\r\nContent-Length: %zu\r\n%sConnection: close\r\n\r\n",
        a->status, phrase_of(a->status), a->type, a->len, a->status == 405 ? "Allow: GET, HEAD\r\n" : "");
    const size_t body = a->is_head ? 0 : a->len;
    k->len = (size_t)n + body;
    k->answer = malloc(k->len);
    if (!k->answer) return -ENOMEM;
    memcpy(k->answer, head, (size_t)n);
    memcpy(k->answer + n, a->body, body);
    return 0;
}

static int refuse(struct client *k, int status, const char *why, const char *hint)
{
    char text[ERR_TEXT_MAX + ERR_HINT_MAX + 4];
    const int n = snprintf(text, sizeof(text), "%s%s%s\n", why, hint[0] ? "; " : "", hint);
    const struct answer a = {.status = status, .type = "text/plain", .body = text, .len = (size_t)n};
    return set_answer(k, &a);
}

static int answer(struct vireo_control *c, struct client *k, const struct control_request *r)
{
    static const char *const types[] = {[VIREO_STATS_TEXT] = "text/plain; charset=utf-8",
                                        [VIREO_STATS_JSON] = "application/json",
                                        [VIREO_STATS_PROMETHEUS] = "text/plain; version=0.0.4; charset=utf-8"};
    const struct vireo_stats_view view = {.format = r->format, .weights = r->weights, .has_steps = r->has_steps};
    struct answer a = {.status = 200, .is_head = r->is_head, .type = types[r->format]};
    struct err e = {0};
    char *text = NULL;
    if (r->status != 200) return refuse(k, r->status, r->why, "");
    int rc = lib_stats_page(c->vm, &view, &text, &a.len, &e);
    if (rc) return refuse(k, rc == -EINVAL ? 400 : 503, e.text, e.hint);
    a.body = text;
    rc = set_answer(k, &a);
    free(text);
    return rc;
}

/* 0: go on when there is more; else it is done with. */
static int receive(struct vireo_control *c, struct client *k)
{
    struct control_request r;
    const ssize_t n = recv(k->fd, k->head + k->used, sizeof(k->head) - k->used, 0);
    if (n < 0) return errno == EAGAIN || errno == EINTR ? 0 : -errno;
    if (n == 0) return -ECONNRESET;
    k->used += (size_t)n;
    int rc = 0;
    if (control_request_parse(k->head, k->used, &r))
        rc = answer(c, k, &r);
    else if (k->used == sizeof(k->head))
        rc = refuse(k, 431, "a request's head has 4096 bytes at most", "");
    if (rc || !k->answer) return rc;
    return watch(c, EPOLL_CTL_MOD, k->fd, EPOLLOUT, k);
}

static int send_more(struct client *k)
{
    const ssize_t n = send(k->fd, k->answer + k->sent, k->len - k->sent, MSG_NOSIGNAL);
    if (n < 0) return errno == EAGAIN || errno == EINTR ? 0 : -errno;
    k->sent += (size_t)n;
    k->moved_ms = now_ms();
    return k->sent == k->len ? 1 : 0;
}

static void step(struct vireo_control *c, struct client *k)
{
    int rc = k->answer ? 0 : receive(c, k);
    if (!rc && k->answer) rc = send_more(k); /* most pages fit into the socket at once */
    if (rc) drop(k);
}

/* ---- all of them ---- */

static void park(struct vireo_control *c, uint64_t until_ms)
{
    c->parked_until_ms = until_ms;
    (void)watch(c, EPOLL_CTL_MOD, c->place.fd, until_ms ? 0 : EPOLLIN, &c->place);
}

static struct client *free_slot(struct vireo_control *c)
{
    for (unsigned i = 0; i < CONTROL_CLIENTS; i++)
        if (c->client[i].fd < 0) return &c->client[i];
    return NULL;
}

/* The oldest of those whose request is not there, and else the reader that has longest taken nothing: may it be
 * dropped for a newcomer? *until_ms: when one may be, if none may now. */
static struct client *least_worthy(struct vireo_control *c, uint64_t now, uint64_t *until_ms)
{
    struct client *silent = NULL, *reader = NULL;
    for (unsigned i = 0; i < CONTROL_CLIENTS; i++) {
        struct client *k = &c->client[i];
        if (!k->answer && (!silent || k->deadline_ms < silent->deadline_ms)) silent = k;
        if (k->answer && (!reader || k->moved_ms < reader->moved_ms)) reader = k;
    }
    if (silent) return silent;
    *until_ms = reader->moved_ms + CONTROL_STALL_MS;
    return *until_ms <= now ? reader : NULL;
}

static void take_in(struct vireo_control *c, struct client *k, int fd, uint64_t now)
{
    drop(k);
    k->fd = fd;
    k->used = k->len = k->sent = 0;
    k->deadline_ms = now + CONTROL_CLIENT_MS;
    k->moved_ms = now;
    if (watch(c, EPOLL_CTL_ADD, fd, EPOLLIN, k))
        drop(k);
    else
        step(c, k); /* the request is often there: where CPUs are busy, long since */
}

/* No slot, or no descriptor to be had: nobody is accepted until one is free or some time has passed. */
static void accept_some(struct vireo_control *c)
{
    for (unsigned i = 0; i < CONTROL_ACCEPTS; i++) {
        const uint64_t now = now_ms();
        uint64_t until = now + CONTROL_CLIENT_MS;
        struct client *k = free_slot(c);
        if (!k) k = least_worthy(c, now, &until);
        const int fd = k ? fd_own(accept4(c->place.fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) : -1;
        if (fd < 0) {
            const bool is_all = k && (errno == EAGAIN || errno == EINTR || errno == ECONNABORTED);
            park(c, is_all ? 0 : until);
            return;
        }
        take_in(c, k, fd, now);
    }
    park(c, 0); /* epoll tells of the rest */
}

static void expire(struct vireo_control *c)
{
    const uint64_t now = now_ms();
    for (unsigned i = 0; i < CONTROL_CLIENTS; i++)
        if (c->client[i].fd >= 0 && c->client[i].deadline_ms <= now) drop(&c->client[i]);
}

/* New clients come last: a slot that is given again must not meet an event of who had it before. */
void vireo_control_serve(struct vireo_control *c)
{
    struct epoll_event events[CONTROL_CLIENTS + 2]; /* and the listening socket, and the timer */
    const int n = epoll_wait(c->epoll_fd, events, CONTROL_CLIENTS + 2, 0);
    bool has_new = c->parked_until_ms != 0;
    uint64_t rings;
    for (int i = 0; i < n; i++) {
        if (events[i].data.ptr == &c->place)
            has_new = true;
        else if (events[i].data.ptr == c)
            (void)!read(c->timer_fd, &rings, sizeof(rings));
        else
            step(c, events[i].data.ptr);
    }
    expire(c);
    if (has_new && (c->parked_until_ms == 0 || free_slot(c) || c->parked_until_ms <= now_ms())) accept_some(c);
    set_timer(c);
}

int vireo_control_fd(const struct vireo_control *c)
{
    return c->epoll_fd;
}

const char *vireo_control_path(const struct vireo_control *c)
{
    return c->place.path;
}

static int create_steps(struct vireo_control *c, const char *dir, struct err *e)
{
    if (!c->vm->name[0]) return err_set(e, -EINVAL, "the VM has no name to call the socket after");
    int rc = control_place_open(&c->place, dir, c->vm->name, e);
    if (rc) return rc;
    c->epoll_fd = fd_own(epoll_create1(EPOLL_CLOEXEC));
    if (c->epoll_fd < 0) return err_errno(e, "epoll");
    c->timer_fd = fd_own(timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK));
    if (c->timer_fd < 0) return err_errno(e, "timerfd");
    rc = watch(c, EPOLL_CTL_ADD, c->place.fd, EPOLLIN, &c->place);
    if (!rc) rc = watch(c, EPOLL_CTL_ADD, c->timer_fd, EPOLLIN, c);
    return rc ? err_set(e, rc, "epoll: %s", strerrordesc_np(-rc)) : 0;
}

int vireo_control_create(struct vireo_control **out, struct vireo_vm *vm, const char *dir, struct vireo_error *e)
{
    struct err err = {0};
    struct vireo_control *c = calloc(1, sizeof(*c));
    if (!c) return lib_error(e, err_set(&err, -ENOMEM, "no memory for a control socket"), &err);
    c->vm = vm;
    c->place.fd = c->place.dir_fd = c->epoll_fd = c->timer_fd = -1;
    for (unsigned i = 0; i < CONTROL_CLIENTS; i++) c->client[i].fd = -1;
    const int rc = create_steps(c, dir, &err);
    if (rc) {
        vireo_control_destroy(c);
        return lib_error(e, err_wrap(&err, rc, "control socket"), &err);
    }
    *out = c;
    return 0;
}

void vireo_control_destroy(struct vireo_control *c)
{
    if (!c) return;
    for (unsigned i = 0; i < CONTROL_CLIENTS; i++) drop(&c->client[i]);
    control_place_close(&c->place);
    if (c->epoll_fd >= 0) close(c->epoll_fd);
    if (c->timer_fd >= 0) close(c->timer_fd);
    free(c);
}
