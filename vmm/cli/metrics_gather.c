#include "vmm/cli/metrics_gather.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "vmm/cli/cli.h"
#include "vmm/cli/metrics_page.h"
#include "vmm/cli/metrics_watch.h"
#include "vmm/cli/series.h"

#define AT_ONCE    64          /* connections; a process may have 1,024 files */
#define CONNECT_MS 1           /* one is made at once, or the VM's process takes none any more */
#define ANSWER_MAX (16u << 20) /* 64 vCPUs are 1 MB */
#define NS_PER_MS  UINT64_C(1000000)

/* What a VM is asked for, one after the other; the second only where changes are watched for. */
enum { ASK_METRICS, ASK_STATS };
static const char *const requests[] = {
    [ASK_METRICS] = "GET /metrics HTTP/1.0\r\n\r\n", [ASK_STATS] = "GET " SERIES_PAGE " HTTP/1.0\r\n\r\n"};

struct asked { /* a VM that is being asked */
    struct metrics_gather *gather;
    struct loop_source source; /* fd -1: the place is free */
    struct loop_timer late;
    const char *name;
    int what;
    char *text;
    size_t len, room;
};

struct metrics_gather {
    struct loop *loop;
    void (*done)(void *arg, const char *text, size_t len);
    void *arg;
    struct metrics_watch *watch;
    char **names; /* of all sockets; NULL: none */
    size_t next;  /* the first that has not been asked */
    unsigned busy;
    struct loop_timer turn, over; /* turn: go on from the loop */
    struct metrics_page page;
    struct asked asked[AT_ONCE];
};

static void free_place(struct asked *a)
{
    if (a->source.fd < 0) return;
    loop_remove(a->gather->loop, &a->source);
    loop_timer_cancel(a->gather->loop, &a->late);
    close(a->source.fd);
    free(a->text);
    *a = (struct asked){.gather = a->gather, .source = a->source, .late = a->late};
    a->source.fd = -1;
    a->gather->busy--;
}

/* The body of an answer with status 200, or NULL. */
static const char *body_of(const struct asked *a, size_t *len)
{
    static const char good[] = "HTTP/1.1 200 ", end[] = "\r\n\r\n";
    if (a->len < strlen(good) || memcmp(a->text, good, strlen(good)) != 0) return NULL;
    const char *body = memmem(a->text, a->len, end, strlen(end));
    if (!body) return NULL;
    body += strlen(end);
    *len = a->len - (size_t)(body - a->text);
    return body;
}

static void go_on_soon(struct metrics_gather *g)
{
    loop_timer_set(g->loop, &g->turn, 0);
}

static int ask(struct asked *a, const char *name, int what);

/* It has said all that it will. */
static void settle(struct asked *a, bool is_answer)
{
    struct metrics_gather *g = a->gather;
    const char *name = a->name;
    const bool is_stats = a->what == ASK_STATS;
    size_t len = 0;
    const char *body = is_answer ? body_of(a, &len) : NULL;
    if (is_stats) {
        metrics_watch_take(g->watch, &g->page, name, body, len);
    } else {
        if (body && !metrics_page_add(&g->page, name, body, len)) body = NULL;
        (void)metrics_page_up(&g->page, name, body != NULL);
    }
    free_place(a);
    go_on_soon(g);
    if (is_stats || !g->watch) return;
    const bool has_room = metrics_watch_name(g->watch, name);
    if (!body || !has_room || ask(a, name, ASK_STATS)) metrics_watch_take(g->watch, &g->page, name, NULL, 0);
}

/* false: there is no room. */
static bool make_room(struct asked *a)
{
    if (a->len < a->room) return true;
    const size_t room = a->room ? a->room * 2 : 256 << 10;
    char *bigger = room <= ANSWER_MAX ? realloc(a->text, room + 1) : NULL;
    if (!bigger) return false;
    a->text = bigger;
    a->room = room;
    return true;
}

static void on_answer(void *arg, uint32_t events)
{
    struct asked *a = arg;
    (void)events;
    if (!make_room(a)) {
        settle(a, false);
        return;
    }
    const ssize_t n = recv(a->source.fd, a->text + a->len, a->room - a->len, 0);
    if (n < 0 && (errno == EAGAIN || errno == EINTR)) return;
    if (n > 0) {
        a->len += (size_t)n;
        return;
    }
    a->text[a->len] = '\0';
    settle(a, n == 0);
}

static void on_late(void *arg)
{
    settle(arg, false);
}

/* 0: it is being asked. -ENOENT: the VM isn't there (any more), or it is another user's. Else it can't be asked. */
static int ask(struct asked *a, const char *name, int what)
{
    struct metrics_gather *g = a->gather;
    const char *request = requests[what];
    const int fd = vireo_control_connect(NULL, name, CONNECT_MS);
    if (fd == -EPERM) return -ENOENT;
    if (fd < 0) return fd;
    a->name = name;
    a->what = what;
    a->source.fd = fd;
    const bool is_good = fcntl(fd, F_SETFL, O_NONBLOCK) == 0 &&
                         send(fd, request, strlen(request), MSG_NOSIGNAL) == (ssize_t)strlen(request) &&
                         loop_add(g->loop, &a->source, EPOLLIN) == 0;
    if (is_good) {
        g->busy++;
        loop_timer_set(g->loop, &a->late, METRICS_VM_MS * NS_PER_MS);
        return 0;
    }
    close(fd);
    a->source.fd = -1;
    return -EIO;
}

/* false: the VM isn't there, or can't be asked, which the page then says. */
static bool ask_first(struct asked *a, const char *name)
{
    struct metrics_gather *g = a->gather;
    const int rc = ask(a, name, ASK_METRICS);
    if (rc && rc != -ENOENT) {
        (void)metrics_page_up(&g->page, name, false);
        if (g->watch && !metrics_watch_name(g->watch, name)) metrics_watch_take(g->watch, &g->page, name, NULL, 0);
    }
    return rc == 0;
}

static void finish(struct metrics_gather *g)
{
    size_t len = 0;
    loop_timer_cancel(g->loop, &g->over);
    loop_timer_cancel(g->loop, &g->turn);
    if (g->watch) metrics_watch_end(g->watch);
    char *text = metrics_page_end(&g->page, &len);
    g->done(g->arg, text, len); /* the gather may be gone from here on */
    free(text);
}

static void on_turn(void *arg)
{
    struct metrics_gather *g = arg;
    for (unsigned i = 0; i < AT_ONCE && g->names && g->names[g->next]; i++) {
        if (g->asked[i].source.fd >= 0) continue;
        while (g->names[g->next] && !ask_first(&g->asked[i], g->names[g->next++])) continue;
    }
    if (g->busy == 0) finish(g);
}

/* Those that have not answered, and those that have not been asked, are down. What was known of them is kept. */
static void on_over(void *arg)
{
    struct metrics_gather *g = arg;
    for (unsigned i = 0; i < AT_ONCE; i++)
        if (g->asked[i].source.fd >= 0) settle(&g->asked[i], false);
    for (; g->names && g->names[g->next]; g->next++) {
        (void)metrics_page_up(&g->page, g->names[g->next], false);
        if (g->watch) (void)metrics_watch_name(g->watch, g->names[g->next]);
    }
    finish(g);
}

struct metrics_gather *metrics_gather_begin(struct loop *loop, struct metrics_watch *watch,
                                            void (*done)(void *arg, const char *text, size_t len), void *arg)
{
    struct vireo_error e;
    struct metrics_gather *g = calloc(1, sizeof(*g));
    if (!g) return NULL;
    g->loop = loop;
    g->done = done;
    g->arg = arg;
    g->watch = watch;
    if (watch) metrics_watch_begin(watch);
    g->turn = (struct loop_timer){.fn = on_turn, .arg = g};
    g->over = (struct loop_timer){.fn = on_over, .arg = g};
    for (unsigned i = 0; i < AT_ONCE; i++) {
        struct asked *a = &g->asked[i];
        a->gather = g;
        a->source = (struct loop_source){.fd = -1, .fn = on_answer, .arg = a};
        a->late = (struct loop_timer){.fn = on_late, .arg = a};
    }
    if (client_sockets(&g->names, &e)) {
        free(g);
        return NULL;
    }
    loop_timer_set(loop, &g->over, METRICS_ALL_MS * NS_PER_MS);
    go_on_soon(g);
    return g;
}

void metrics_gather_end(struct metrics_gather *g)
{
    if (!g) return;
    for (unsigned i = 0; i < AT_ONCE; i++) free_place(&g->asked[i]);
    loop_timer_cancel(g->loop, &g->over);
    loop_timer_cancel(g->loop, &g->turn);
    client_names_free(g->names);
    metrics_page_fini(&g->page);
    free(g);
}
