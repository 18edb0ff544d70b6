/* The control socket's server with routes of the test's own: such as take a body, and such as answer later. */
#include <pthread.h>
#include <stdlib.h>
#include <sys/eventfd.h>

#include "tests/unit/lib/control_rig.h"
#include "vmm/lib/control/control.h"

#define SLOTS     8    /* clients at once */
#define CLIENT_MS 2000 /* that each has to send its request and to take the answer */
#define BODY_MAX  6000 /* larger than a head's buffer, and than one call takes at once */

struct rig {
    struct vireo_control *control;
    struct http_call *waiting[SLOTS];
    struct loop_source door; /* its eventfd is what a request at /door waits for */
    struct loop_job job;     /* what a thread posts for one at /thread */
    pthread_t thread;
    unsigned waits, gone;
    char dir[64];
};

static void answer_text(struct http_call *call, const char *text)
{
    http_reply(call, &(struct http_answer){.status = 200, .type = "text/plain", .body = text, .len = strlen(text)});
}

/* Say what came: how many bytes, and whether they are the ones that were sent. */
static void echo(struct http_call *call)
{
    char text[64];
    bool is_good = true;
    for (size_t i = 0; i < call->request.body_len; i++) is_good &= call->body[i] == (char)('a' + i % 26);
    (void)snprintf(text, sizeof(text), "%zu %s, %d", call->request.body_len, is_good ? "good" : "bad",
                   call->route->arg);
    answer_text(call, text);
}

static void on_gone(struct http_call *call)
{
    struct rig *r = call->owner;
    loop_remove(call->loop, &r->door);
    r->gone++;
}

static void wait_here(struct http_call *call)
{
    struct rig *r = call->owner;
    call->gone = on_gone;
    r->waiting[r->waits++ % SLOTS] = call;
}

static void on_door(void *arg, uint32_t events)
{
    struct http_call *call = arg;
    struct rig *r = call->owner;
    (void)events;
    loop_remove(call->loop, &r->door);
    answer_text(call, "open");
}

static void wait_at_door(struct http_call *call)
{
    struct rig *r = call->owner;
    wait_here(call);
    r->door.fn = on_door;
    r->door.arg = call;
    assert_int_equal(loop_add(call->loop, &r->door, EPOLLIN), 0);
}

static void on_job(void *arg)
{
    answer_text(arg, "from a thread");
}

static void *work(void *arg)
{
    struct http_call *call = arg;
    struct rig *r = call->owner;
    loop_post(call->loop, &r->job);
    return NULL;
}

static void wait_for_thread(struct http_call *call)
{
    struct rig *r = call->owner;
    wait_here(call);
    r->job = (struct loop_job){.fn = on_job, .arg = call};
    assert_int_equal(pthread_create(&r->thread, NULL, work, call), 0);
}

static const struct http_route routes[] = {
    {"PUT", "/echo", BODY_MAX, echo, 1},        {"GET", "/echo", 0, echo, 2},
    {"POST", "/wait", 0, wait_here, 0},         {"POST", "/door", 0, wait_at_door, 0},
    {"POST", "/thread", 0, wait_for_thread, 0},
};
static const struct http_table table = {routes, COUNT_OF(routes), "there is an echo"};

static int set_up(void **state)
{
    struct rig *r = calloc(1, sizeof(*r));
    struct err e = {0};
    assert_non_null(r);
    (void)snprintf(r->dir, sizeof(r->dir), "/tmp/vireo-control-XXXXXX");
    assert_non_null(mkdtemp(r->dir));
    r->door.fd = eventfd(0, EFD_CLOEXEC);
    const struct control_params p = {.table = &table, .owner = r, .dir = r->dir, .name = "web"};
    if (control_create(&r->control, &p, &e)) fail_msg("%s", e.text);
    *state = r;
    return 0;
}

static int tear_down(void **state)
{
    struct rig *r = *state;
    vireo_control_destroy(r->control);
    assert_int_equal(rmdir(r->dir), 0);
    close(r->door.fd);
    free(r);
    return 0;
}

static const char *ask(struct rig *r, const char *request)
{
    return control_ask(r->control, r->dir, "web", request);
}

static int dial(struct rig *r, const char *request)
{
    const int fd = control_dial(r->dir, "web");
    say(fd, request);
    return fd;
}

/* Dial, and serve until the request waits at its route. */
static int dial_and_wait(struct rig *r, const char *request)
{
    const unsigned before = r->waits;
    const int fd = dial(r, request);
    for (unsigned i = 0; i < CONTROL_TURNS && r->waits == before; i++) vireo_control_serve(r->control);
    assert_int_equal(r->waits, before + 1);
    return fd;
}

static bool has_heard(int fd)
{
    char c;
    return recv(fd, &c, 1, MSG_PEEK) >= 0;
}

#define POST(path) "POST " path " HTTP/1.0\r\n\r\n"

static void a_path_has_a_route_for_each_method(void **state)
{
    struct rig *r = *state;
    assert_contains(ask(r, "PUT /echo HTTP/1.0\r\n\r\n"), "\r\n\r\n0 good, 1");
    assert_contains(ask(r, GET("/echo")), "\r\n\r\n0 good, 2");
    assert_contains(ask(r, "HEAD /echo HTTP/1.0\r\n\r\n"), "Content-Length: 9\r\n");
    assert_contains(ask(r, POST("/echo")), "HTTP/1.1 405 Method Not Allowed\r\n");
    assert_contains(ask(r, POST("/echo")), "\r\nAllow: PUT, GET, HEAD\r\n");
    assert_contains(ask(r, "HEAD /wait HTTP/1.0\r\n\r\n"), "\r\nAllow: POST\r\n");
    assert_contains(ask(r, POST("/ech")), "HTTP/1.1 404 Not Found\r\n");
    assert_contains(ask(r, POST("/ech")), "\r\n\r\nthere is an echo\n");
}

/* In pieces that end before, within and behind the head and the body. */
static void a_body_comes_whole_however_it_is_cut(void **state)
{
    struct rig *r = *state;
    static char request[BODY_MAX + 200], out[4096];
    char want[64];
    for (size_t body = 0; body <= BODY_MAX; body += BODY_MAX / 6)
        for (size_t piece = 7; piece < 9000; piece = piece * 4 + 1) {
            const int n = snprintf(request, 200, "PUT /echo HTTP/1.1\r\nHost: x\r\nContent-Length: %zu\r\n\r\n", body);
            const size_t len = (size_t)n + body;
            for (size_t i = 0; i < body; i++) request[(size_t)n + i] = (char)('a' + i % 26);
            const int fd = control_dial(r->dir, "web");
            for (size_t at = 0; at < len; at += piece) {
                const size_t size = len - at < piece ? len - at : piece;
                assert_int_equal(send(fd, request + at, size, MSG_NOSIGNAL), size);
                vireo_control_serve(r->control);
            }
            (void)control_hear(r->control, fd, out, sizeof(out));
            (void)snprintf(want, sizeof(want), "\r\n\r\n%zu good, 1", body);
            assert_contains(out, want);
        }
}

static void a_body_beyond_the_routes_limit_is_refused_unread(void **state)
{
    struct rig *r = *state;
    assert_contains(ask(r, "PUT /echo HTTP/1.0\r\nContent-Length: 6001\r\n\r\n"), "HTTP/1.1 413 Content Too Large\r\n");
    assert_contains(ask(r, "GET /echo HTTP/1.0\r\nContent-Length: 1\r\n\r\n"), "HTTP/1.1 413 ");
}

/* From a source of the loop: what the owner of the server polls tells when it is time. */
static void a_route_may_answer_when_something_happens(void **state)
{
    struct rig *r = *state;
    char out[4096];
    const int fd = dial_and_wait(r, POST("/door"));
    assert_contains(ask(r, GET("/echo")), "200 OK"); /* others are served meanwhile */
    assert_false(has_heard(fd));
    assert_int_equal(eventfd_write(r->door.fd, 1), 0);
    struct pollfd p = {.fd = vireo_control_fd(r->control), .events = POLLIN};
    assert_int_equal(poll(&p, 1, 10000), 1);
    (void)control_hear(r->control, fd, out, sizeof(out));
    assert_contains(out, "\r\n\r\nopen");
    assert_int_equal(r->gone, 0);
}

static void another_thread_may_have_the_answer(void **state)
{
    struct rig *r = *state;
    char out[4096];
    const int fd = dial_and_wait(r, POST("/thread"));
    assert_int_equal(pthread_join(r->thread, NULL), 0);
    (void)control_hear(r->control, fd, out, sizeof(out));
    assert_contains(out, "\r\n\r\nfrom a thread");
}

static void a_route_is_told_once_that_its_client_left(void **state)
{
    struct rig *r = *state;
    close(dial_and_wait(r, POST("/door")));
    for (unsigned i = 0; i < CONTROL_TURNS && r->gone == 0; i++) vireo_control_serve(r->control);
    assert_int_equal(r->gone, 1);
    assert_int_equal(eventfd_write(r->door.fd, 1), 0);
    assert_contains(ask(r, GET("/echo")), "200 OK"); /* nothing answers whom there is not */
    assert_int_equal(r->gone, 1);
}

static void a_route_is_told_that_the_server_ends(void **state)
{
    struct rig *r = *state;
    const int fd = dial_and_wait(r, POST("/door"));
    vireo_control_destroy(r->control);
    r->control = NULL;
    assert_int_equal(r->gone, 1);
    assert_true(has_heard(fd));
    close(fd);
}

/* They have asked all that they had to: neither their time is over, nor do they make room. A newcomer waits until one
 * of them is answered. */
static void who_waits_for_a_route_keeps_its_slot(void **state)
{
    struct rig *r = *state;
    int fd[SLOTS];
    char out[4096];
    for (unsigned i = 0; i < SLOTS; i++) fd[i] = dial_and_wait(r, POST("/wait"));
    const int newcomer = dial(r, GET("/echo"));
    assert_in_range(control_serve_for(r->control, CLIENT_MS + 500), 0, 30);
    assert_int_equal(r->gone, 0);
    assert_false(has_heard(newcomer));
    answer_text(r->waiting[3], "at last");
    (void)control_hear(r->control, fd[3], out, sizeof(out));
    assert_contains(out, "\r\n\r\nat last");
    (void)control_hear(r->control, newcomer, out, sizeof(out));
    assert_contains(out, "200 OK");
    for (unsigned i = 0; i < SLOTS; i++)
        if (i != 3) close(fd[i]);
}

#define T(promise) cmocka_unit_test_setup_teardown(promise, set_up, tear_down)
UNIT_MAIN(T(a_path_has_a_route_for_each_method), T(a_body_comes_whole_however_it_is_cut),
          T(a_body_beyond_the_routes_limit_is_refused_unread), T(a_route_may_answer_when_something_happens),
          T(another_thread_may_have_the_answer), T(a_route_is_told_once_that_its_client_left),
          T(a_route_is_told_that_the_server_ends), T(who_waits_for_a_route_keeps_its_slot))
