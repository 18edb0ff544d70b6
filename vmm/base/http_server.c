/* A client has one request, one answer, and HTTP_CLIENT_MS for both. Then it is dropped. The time that a route takes
 * to answer doesn't count.
 *
 * When all slots are taken, a newcomer gets the slot of the oldest client that has not sent its whole request. If there
 * is none, it gets the slot of the client that has taken nothing of its answer for the longest time. So a client that
 * sends and reads at once is answered, however many others are silent or slow. Those cost a slot and a page's memory
 * each, but nobody waits for them. Newcomers wait in the kernel's backlog only when every slot belongs to a client that
 * reads or that waits for a route. */
#include "vmm/base/http_server.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "vmm/base/clock.h"
#include "vmm/base/fd.h"
#include "vmm/base/forked.h"

#define HTTP_CLIENTS   8    /* at the same time; each may hold a page, 100 KB for a usual VM */
#define HTTP_CLIENT_MS 2000 /* a local client sends and takes some KB; with a minute one could hold all slots */
#define HTTP_STALL_MS  200  /* without taking any of the answer; a reader on a busy CPU takes some in tens of ms */
#define HTTP_ACCEPTS   32   /* per call: twice the whole backlog; the owner has other work, too */
#define NS_PER_MS      1000000u

enum client_state {
    CLIENT_FREE,
    CLIENT_HEAD,  /* the head of its request is coming */
    CLIENT_BODY,  /* and the body */
    CLIENT_WAITS, /* a route works on it */
    CLIENT_READS, /* its answer is going out */
};

struct client {
    struct http_server *server;
    struct loop_source source; /* fd -1: the slot is free */
    enum client_state state;
    struct loop_timer timer; /* set while its time runs */
    uint64_t began_ms;
    uint64_t moved_ms; /* when it last took some of its answer */
    size_t used;       /* of head, then of body */
    char *body;
    char *answer; /* CLIENT_READS; NULL: there was no memory for it */
    size_t len, sent;
    struct http_call call;
    char head[HTTP_HEAD_MAX];
};

struct http_server {
    const struct http_table *table;
    void *owner;
    struct loop loop;
    struct loop_source listening;
    struct loop_timer parked; /* set while nobody is accepted */
    struct forked forked;     /* a child of fork(2) lets go of the clients */
    bool has_loop;
    bool has_new; /* clients may be accepted now */
    struct client client[HTTP_CLIENTS];
};

static uint64_t now_ms(void)
{
    return now_ns() / NS_PER_MS;
}

/* ---- one client ---- */

static void drop(struct client *k)
{
    if (k->state == CLIENT_FREE) return;
    if (k->state == CLIENT_WAITS) k->call.gone(&k->call);
    loop_remove(&k->server->loop, &k->source);
    loop_timer_cancel(&k->server->loop, &k->timer);
    const int fd = k->source.fd;
    k->source.fd = -1;             /* first: a fork may come at any time */
    (void)shutdown(fd, SHUT_RDWR); /* a child of vfork(2) or clone(2) may hold it too */
    close(fd);
    free(k->body);
    free(k->answer);
    k->body = k->answer = NULL;
    k->state = CLIENT_FREE;
    k->server->has_new = true; /* perhaps somebody waits for this slot */
}

static void on_late(void *arg)
{
    drop(arg);
}

/* The client's time runs from now. */
static void set_time(struct client *k)
{
    loop_timer_set(&k->server->loop, &k->timer, (uint64_t)HTTP_CLIENT_MS * NS_PER_MS);
}

static struct client *client_of(struct http_call *call)
{
    return (struct client *)((char *)call - offsetof(struct client, call));
}

void http_reply(struct http_call *call, const struct http_answer *a)
{
    struct client *k = client_of(call);
    char head[HTTP_ANSWER_MAX];
    const size_t head_len = http_answer_head(head, a);
    const size_t body_len = http_is(call->request.method, "HEAD") ? 0 : a->len;
    k->state = CLIENT_READS;
    k->moved_ms = now_ms();
    if (!loop_timer_is_set(&k->timer)) set_time(k);
    k->sent = 0;
    k->len = head_len + body_len;
    k->answer = malloc(k->len);
    if (k->answer) {
        memcpy(k->answer, head, head_len);
        if (body_len) memcpy(k->answer + head_len, a->body, body_len);
    }
    (void)loop_modify(call->loop, &k->source, EPOLLOUT);
}

static void refuse(struct http_call *call, int status, const char *allow, const char *why, const char *hint)
{
    char text[ERR_TEXT_MAX + ERR_HINT_MAX + 4];
    const int n = snprintf(text, sizeof(text), "%s%s%s\n", why, hint[0] ? "; " : "", hint);
    const struct http_answer a = {
        .status = status, .type = "text/plain", .allow = allow, .body = text, .len = (size_t)n};
    http_reply(call, &a);
}

void http_refuse(struct http_call *call, int status, const char *why, const char *hint)
{
    refuse(call, status, NULL, why, hint);
}

/* ---- from a request to its route ---- */

static bool takes(const struct http_route *r, struct http_text method)
{
    return http_is(method, r->method) || (http_is(method, "HEAD") && strcmp(r->method, "GET") == 0);
}

/* The methods that a path takes, "GET, HEAD"; empty: there is no such path. */
static void list_methods(const struct http_table *t, struct http_text path, char *out, size_t size)
{
    size_t used = 0;
    out[0] = '\0';
    for (size_t i = 0; i < t->count && used < size; i++) {
        const struct http_route *r = &t->route[i];
        if (!http_is(path, r->path)) continue;
        used += (size_t)snprintf(out + used, size - used, "%s%s%s", used ? ", " : "", r->method,
                                 strcmp(r->method, "GET") == 0 ? ", HEAD" : "");
    }
}

/* The call's route. NULL: there is none, and the client has been told so. */
static const struct http_route *find_route(struct client *k)
{
    const struct http_table *t = k->server->table;
    const struct http_request *r = &k->call.request;
    char methods[64], why[128];
    if (r->status != 200) {
        http_refuse(&k->call, r->status, r->why, "");
        return NULL;
    }
    for (size_t i = 0; i < t->count; i++)
        if (http_is(r->path, t->route[i].path) && takes(&t->route[i], r->method)) return &t->route[i];
    list_methods(t, r->path, methods, sizeof(methods));
    (void)snprintf(why, sizeof(why), "this takes %s and nothing else", methods);
    if (methods[0])
        refuse(&k->call, 405, methods, why, "");
    else
        http_refuse(&k->call, 404, t->pages, "");
    return NULL;
}

/* The request is complete. */
static void hand_over(struct client *k)
{
    k->call.body = k->body;
    k->state = CLIENT_WAITS;
    k->call.route->handle(&k->call);
    if (k->state != CLIENT_WAITS) return;
    assert(k->call.gone);
    loop_timer_cancel(&k->server->loop, &k->timer);
    (void)loop_modify(&k->server->loop, &k->source, 0); /* the loop tells all the same when it hangs up */
}

/* The head is complete. Find its route, and how many bytes are still to come. */
static int begin_call(struct client *k)
{
    struct http_call *call = &k->call;
    const size_t want = call->request.body_len, head_len = call->request.head_len;
    call->route = find_route(k);
    if (!call->route) return 0;
    if (want > call->route->body_max) {
        http_refuse(call, 413, "more bytes came along than this takes", "");
        return 0;
    }
    k->body = malloc(want + 1);
    if (!k->body) return -ENOMEM;
    const size_t there = k->used - head_len;
    k->used = there < want ? there : want;
    memcpy(k->body, k->head + head_len, k->used);
    k->state = CLIENT_BODY;
    if (k->used == want) hand_over(k);
    return 0;
}

/* 0: go on when more comes. Else the client is done with. */
static int receive(struct client *k)
{
    const bool is_head = k->state == CLIENT_HEAD;
    char *to = is_head ? k->head : k->body;
    const size_t room = is_head ? sizeof(k->head) : k->call.request.body_len;
    const ssize_t n = recv(k->source.fd, to + k->used, room - k->used, 0);
    if (n < 0) return errno == EAGAIN || errno == EINTR ? 0 : -errno;
    if (n == 0) return -ECONNRESET;
    k->used += (size_t)n;
    if (!is_head && k->used == room) hand_over(k);
    if (!is_head) return 0;
    if (http_parse(k->head, k->used, &k->call.request)) return begin_call(k);
    if (k->used == sizeof(k->head)) http_refuse(&k->call, 431, "a request's head has 4096 bytes at most", "");
    return 0;
}

static int send_more(struct client *k)
{
    if (!k->answer) return -ENOMEM;
    const ssize_t n = send(k->source.fd, k->answer + k->sent, k->len - k->sent, MSG_NOSIGNAL);
    if (n < 0) return errno == EAGAIN || errno == EINTR ? 0 : -errno;
    k->sent += (size_t)n;
    k->moved_ms = now_ms();
    return k->sent == k->len ? 1 : 0;
}

static void step(struct client *k)
{
    int rc = 0;
    if (k->state == CLIENT_WAITS) rc = -EPIPE; /* it hung up */
    if (k->state == CLIENT_HEAD || k->state == CLIENT_BODY) rc = receive(k);
    if (!rc && k->state == CLIENT_READS) rc = send_more(k); /* most pages fit into the socket at once */
    if (rc) drop(k);
}

static void on_client(void *arg, uint32_t events)
{
    (void)events;
    step(arg);
}

/* ---- all of them ---- */

static void park(struct http_server *s, uint64_t ms)
{
    s->has_new = false;
    loop_timer_set(&s->loop, &s->parked, ms * NS_PER_MS);
    (void)loop_modify(&s->loop, &s->listening, 0);
}

/* Have the loop watch for newcomers again. */
static void unpark(struct http_server *s)
{
    s->has_new = false;
    loop_timer_cancel(&s->loop, &s->parked);
    (void)loop_modify(&s->loop, &s->listening, EPOLLIN);
}

static struct client *free_slot(struct http_server *s)
{
    for (unsigned i = 0; i < HTTP_CLIENTS; i++)
        if (s->client[i].state == CLIENT_FREE) return &s->client[i];
    return NULL;
}

/* The client that may be dropped for a newcomer: the oldest one whose request is not complete, else the reader that has
 * taken nothing for the longest time. NULL: none may be dropped now. Then, if there is a reader, *wait_ms says when it
 * may be. */
static struct client *least_worthy(struct http_server *s, uint64_t now, uint64_t *wait_ms)
{
    struct client *silent = NULL, *reader = NULL;
    for (unsigned i = 0; i < HTTP_CLIENTS; i++) {
        struct client *k = &s->client[i];
        const bool is_silent = k->state == CLIENT_HEAD || k->state == CLIENT_BODY;
        if (is_silent && (!silent || k->began_ms < silent->began_ms)) silent = k;
        if (k->state == CLIENT_READS && (!reader || k->moved_ms < reader->moved_ms)) reader = k;
    }
    if (silent || !reader) return silent;
    const uint64_t stalls = reader->moved_ms + HTTP_STALL_MS;
    if (stalls <= now) return reader;
    *wait_ms = stalls - now;
    return NULL;
}

static void take_in(struct http_server *s, struct client *k, int fd, uint64_t now)
{
    drop(k);
    k->state = CLIENT_HEAD;
    k->source.fd = fd;
    k->used = 0;
    k->began_ms = now;
    set_time(k);
    k->call = (struct http_call){.owner = s->owner, .loop = &s->loop};
    if (loop_add(&s->loop, &k->source, EPOLLIN))
        drop(k);
    else
        step(k); /* the request is often there already */
}

/* Accept newcomers. Without a slot or a descriptor for them, wait until one is free or some time has passed. */
static void accept_some(struct http_server *s)
{
    for (unsigned i = 0; i < HTTP_ACCEPTS; i++) {
        const uint64_t now = now_ms();
        uint64_t wait_ms = HTTP_CLIENT_MS;
        struct client *k = free_slot(s);
        if (!k) k = least_worthy(s, now, &wait_ms);
        const int fd = k ? fd_own(accept4(s->listening.fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) : -1;
        if (fd < 0) {
            if (k && (errno == EAGAIN || errno == EINTR || errno == ECONNABORTED)) break;
            park(s, wait_ms);
            return;
        }
        take_in(s, k, fd, now);
    }
    unpark(s);
}

static void on_newcomer(void *arg, uint32_t events)
{
    struct http_server *s = arg;
    (void)events;
    s->has_new = true;
}

static void on_parked(void *arg)
{
    struct http_server *s = arg;
    s->has_new = true;
}

/* Newcomers come last, when clients that have ended have given back their slots. */
void http_server_serve(struct http_server *s)
{
    loop_turn(&s->loop, 0);
    if (s->has_new) accept_some(s);
}

int http_server_fd(const struct http_server *s)
{
    return s->loop.epoll_fd;
}

/* Without this a client would wait for the end of an answer whose connection the child keeps open. */
static void in_forked_child(void *arg)
{
    const struct http_server *s = arg;
    for (unsigned i = 0; i < HTTP_CLIENTS; i++)
        if (s->client[i].source.fd >= 0) close(s->client[i].source.fd);
}

static int create_steps(struct http_server *s, struct err *e)
{
    s->has_loop = true;
    int rc = loop_init(&s->loop, e);
    if (rc) return rc;
    forked_add(&s->forked);
    rc = loop_reserve(&s->loop, &s->listening, e);
    if (!rc) unpark(s);
    return rc;
}

int http_server_create(struct http_server **out, const struct http_server_params *p, struct err *e)
{
    struct http_server *s = calloc(1, sizeof(*s));
    if (!s) return err_set(e, -ENOMEM, "no memory for it");
    s->table = p->table;
    s->owner = p->owner;
    s->listening = (struct loop_source){.fd = p->fd, .fn = on_newcomer, .arg = s};
    s->forked = (struct forked){.in_child = in_forked_child, .arg = s};
    s->parked = (struct loop_timer){.fn = on_parked, .arg = s};
    for (unsigned i = 0; i < HTTP_CLIENTS; i++) {
        struct client *k = &s->client[i];
        k->server = s;
        k->source = (struct loop_source){.fd = -1, .fn = on_client, .arg = k};
        k->timer = (struct loop_timer){.fn = on_late, .arg = k};
    }
    const int rc = create_steps(s, e);
    if (rc)
        http_server_destroy(s);
    else
        *out = s;
    return rc;
}

void http_server_destroy(struct http_server *s)
{
    if (!s) return;
    forked_remove(&s->forked);
    for (unsigned i = 0; i < HTTP_CLIENTS; i++) drop(&s->client[i]);
    if (s->has_loop) loop_fini(&s->loop);
    free(s);
}
