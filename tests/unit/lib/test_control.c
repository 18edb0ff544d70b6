/* The control socket's server, and clients that mean no good. The VM behind it is made up: its page says what was asked
 * for. Client and server take turns in one thread, so a server that waited would hang the test. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/unit/lib/control_rig.h"
#include "tests/unit/unit.h"
#include "vmm/lib/control/routes.h"
#include "vmm/lib/lib.h"

#define SLOTS      8    /* clients at once */
#define CLIENT_MS  2000 /* that each has */
#define LARGE_PAGE (4u << 20)
#define ROUNDS     60  /* clients that mean no good */
#define SOCKETS    300 /* made while another thread swaps the directory, which it does SWAPS times meanwhile */
#define SWAPS      3000

struct rig {
    struct vireo_vm vm;
    struct vireo_control *control;
    char dir[64];
};

static size_t page_size; /* 0: what was asked for; else so many letters */
static int page_rc;

int lib_stats_page(struct vireo_vm *vm, const struct vireo_stats_view *view, char **text, size_t *len, struct err *e)
{
    (void)vm;
    if (page_rc) return err_set(e, page_rc, "no page today");
    char *page = malloc(page_size + 512);
    assert_non_null(page);
    if (page_size)
        memset(page, 'x', page_size);
    else
        (void)snprintf(page, 512, "format %d, weights \"%s\", steps %d\n", (int)view->format, view->weights,
                       view->has_steps);
    *len = page_size ? page_size : strlen(page);
    *text = page;
    return 0;
}

static void open_control(struct rig *b)
{
    struct vireo_error e;
    if (vireo_control_create(&b->control, &b->vm, b->dir, &e)) fail_msg("%s", e.text);
}

static int set_up(void **state)
{
    struct rig *b = calloc(1, sizeof(*b));
    assert_non_null(b);
    page_size = 0;
    page_rc = 0;
    (void)snprintf(b->vm.name, sizeof(b->vm.name), "web");
    (void)snprintf(b->dir, sizeof(b->dir), "/tmp/vireo-control-XXXXXX");
    assert_non_null(mkdtemp(b->dir));
    open_control(b);
    *state = b;
    return 0;
}

static int tear_down(void **state)
{
    struct rig *b = *state;
    vireo_control_destroy(b->control);
    assert_int_equal(rmdir(b->dir), 0); /* it left nothing there */
    free(b);
    return 0;
}

static int dial(struct rig *b)
{
    return control_dial(b->dir, "web");
}

static size_t hear(struct rig *b, int fd, char *out, size_t room)
{
    return control_hear(b->control, fd, out, room);
}

static const char *ask(struct rig *b, const char *request)
{
    return control_ask(b->control, b->dir, "web", request);
}

static void each_page_has_its_address_and_type(void **state)
{
    struct rig *b = *state;
    const char *json = ask(b, GET("/stats?steps=1&weights=io_overhead=2"));
    assert_contains(json, "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n");
    assert_contains(json, "Connection: close\r\n\r\nformat 1, weights \"io_overhead=2\", steps 1\n");
    assert_contains(ask(b, GET("/stats.txt")), "text/plain; charset=utf-8");
    assert_contains(ask(b, GET("/metrics")), "text/plain; version=0.0.4");
    const char *head = ask(b, "HEAD /stats HTTP/1.0\r\n\r\n");
    assert_contains(head, "Content-Length: 30\r\n");
    assert_null(strstr(head, "format"));
}

static void what_is_wrong_is_answered_with_a_sentence(void **state)
{
    struct rig *b = *state;
    char flood[5000];
    assert_contains(ask(b, GET("/")), "HTTP/1.1 404 Not Found\r\n");
    assert_contains(ask(b, GET("/")), "\r\n\r\nthe pages are /stats (JSON)");
    assert_contains(ask(b, "PUT /stats HTTP/1.0\r\n\r\n"), "Allow: GET, HEAD\r\n");
    assert_contains(ask(b, GET("/stats?step=1")), "\r\n\r\nwhat is known behind the question mark is steps=1");
    memset(flood, 'a', sizeof(flood));
    flood[sizeof(flood) - 1] = '\0';
    assert_contains(ask(b, flood), "HTTP/1.1 431 ");
    page_rc = -EINVAL;
    assert_contains(ask(b, GET("/stats")), "HTTP/1.1 400 Bad Request\r\n");
    page_rc = -ENODATA;
    assert_contains(ask(b, GET("/stats")), "\r\n\r\nno page today\n");
}

static void what_there_is_no_route_for_is_told(void **state)
{
    struct rig *b = *state;
    static const struct {
        const char *request, *status;
    } rows[] = {
        {"POST /stats HTTP/1.1\r\nHost: x\r\n\r\n", " 405 "},
        {"get /stats HTTP/1.1\r\nHost: x\r\n\r\n", " 405 "},
        {GET("/"), " 404 "},
        {GET("/statsx"), " 404 "},
        {GET("/stats/"), " 404 "},
        {GET("stats"), " 404 "},
        {GET("http://vm"), " 404 "},
        {GET("/stats?step=1"), " 400 "},
        {GET("/stats?steps=1&&"), " 400 "},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) assert_contains(ask(b, rows[i].request), rows[i].status);
}

static void a_view_has_weights_and_steps(void **state)
{
    static const char query[] = "steps=1&weights=vm_exit_count=2,io_overhead=0";
    struct control_view view;
    (void)state;
    assert_true(control_view_parse((struct http_text){query, strlen(query)}, &view));
    assert_true(view.has_steps);
    assert_string_equal(view.weights, "vm_exit_count=2,io_overhead=0");
    assert_true(control_view_parse((struct http_text){query, 0}, &view));
    assert_false(view.has_steps || view.weights[0]);
}

static void weights_that_do_not_fit_are_refused_whole(void **state)
{
    char query[CONTROL_WEIGHTS_MAX + 16] = "weights=";
    struct control_view view;
    const size_t start = strlen(query);
    (void)state;
    memset(query + start, 'w', CONTROL_WEIGHTS_MAX);
    assert_true(control_view_parse((struct http_text){query, start + CONTROL_WEIGHTS_MAX - 1}, &view));
    assert_int_equal(strlen(view.weights), CONTROL_WEIGHTS_MAX - 1);
    assert_false(control_view_parse((struct http_text){query, start + CONTROL_WEIGHTS_MAX}, &view));
    assert_string_equal(view.weights, "");
}

static void a_request_may_come_byte_by_byte(void **state)
{
    struct rig *b = *state;
    char out[4096];
    const int fd = dial(b);
    for (const char *c = GET("/stats"); *c; c++) {
        assert_int_equal(send(fd, c, 1, 0), 1);
        vireo_control_serve(b->control);
    }
    (void)hear(b, fd, out, sizeof(out));
    assert_contains(out, "200 OK");
}

static unsigned serve_for(struct rig *b, uint64_t ms)
{
    return control_serve_for(b->control, ms);
}

static bool is_closed(int fd)
{
    char c;
    return recv(fd, &c, 1, 0) == 0;
}

/* Clients that say nothing have their time, and the owner is not woken for nothing meanwhile. */
static void silent_clients_have_their_time_and_wake_nobody(void **state)
{
    struct rig *b = *state;
    int silent[SLOTS];
    for (unsigned i = 0; i < SLOTS; i++) silent[i] = dial(b);
    (void)serve_for(b, 50);
    assert_in_range(serve_for(b, CLIENT_MS / 4), 0, 10);
    for (unsigned i = 0; i < SLOTS; i++) assert_false(is_closed(silent[i]));
    assert_in_range(serve_for(b, CLIENT_MS), 1, 30);
    for (unsigned i = 0; i < SLOTS; i++) {
        assert_true(is_closed(silent[i]));
        close(silent[i]);
    }
}

/* An answer within one call: no client's time is over by then. */
static void expect_answer_at_once(struct rig *b)
{
    char out[4096];
    const int fd = dial(b);
    say(fd, GET("/stats"));
    vireo_control_serve(b->control);
    assert_true(recv(fd, out, sizeof(out), 0) > 0);
    close(fd);
}

static void a_full_house_of_silent_clients_makes_room_by_dropping_the_oldest(void **state)
{
    struct rig *b = *state;
    int silent[SLOTS];
    for (unsigned i = 0; i < SLOTS; i++) {
        silent[i] = dial(b);
        vireo_control_serve(b->control);
    }
    expect_answer_at_once(b);
    assert_true(is_closed(silent[0]));
    for (unsigned i = 1; i < SLOTS; i++) assert_false(is_closed(silent[i]));
    for (unsigned i = 0; i < SLOTS; i++) close(silent[i]);
}

/* Ever new ones, as one who means to starve the others makes them: silent, half a request, byte by byte. */
static void ever_new_silent_and_slow_clients_starve_nobody(void **state)
{
    struct rig *b = *state;
    int fds[ROUNDS];
    for (unsigned i = 0; i < ROUNDS; i++) {
        fds[i] = dial(b);
        if (i % 3) say(fds[i], i % 3 == 1 ? "G" : "GET /stats HTTP/1.1\r\nHost: x\r\n");
        for (unsigned j = i >= SLOTS ? i - SLOTS : 0; j < i; j++)
            if (j % 3 == 2) (void)send(fds[j], "a: b\r\n", 6, MSG_NOSIGNAL);
        if (i % 5 == 0) expect_answer_at_once(b);
    }
    for (unsigned i = 0; i < ROUNDS; i++) close(fds[i]);
}

static bool is_hung_up(int fd)
{
    struct pollfd p = {.fd = fd};
    return poll(&p, 1, 0) == 1 && (p.revents & POLLHUP);
}

/* All slots are held by clients that asked and take nothing of a page that fits into no buffer, and as many wait before
 * the one that reads. It is answered before the time of the latter is over. */
static void readers_that_do_not_read_make_room_soon(void **state)
{
    struct rig *b = *state;
    int slow[2 * SLOTS];
    unsigned left = 0;
    char c;
    page_size = LARGE_PAGE;
    for (unsigned i = 0; i < 2 * SLOTS; i++) {
        slow[i] = dial(b);
        say(slow[i], GET("/stats"));
    }
    (void)serve_for(b, 20);
    const int quick = dial(b);
    say(quick, GET("/stats"));
    while (recv(quick, &c, 1, 0) < 0) (void)serve_for(b, 10);
    for (unsigned i = SLOTS; i < 2 * SLOTS; i++) left += !is_hung_up(slow[i]);
    assert_true(left > 0);
    close(quick);
    for (unsigned i = 0; i < 2 * SLOTS; i++) close(slow[i]);
}

/* A page larger than a socket's buffer, to a client that does not take it: others are served, and it is dropped. */
static void a_client_that_does_not_read_delays_nobody_and_is_dropped(void **state)
{
    struct rig *b = *state;
    static char out[LARGE_PAGE + 4096];
    page_size = LARGE_PAGE;
    const int slow = dial(b);
    say(slow, GET("/stats"));
    for (unsigned i = 0; i < 10; i++) vireo_control_serve(b->control);
    const int quick = dial(b);
    say(quick, GET("/stats"));
    assert_in_range(hear(b, quick, out, sizeof(out)), LARGE_PAGE, LARGE_PAGE + 4096);
    (void)serve_for(b, CLIENT_MS + 200);
    assert_in_range(hear(b, slow, out, sizeof(out)), 1, LARGE_PAGE - 1);
}

static void clients_that_vanish_leave_nothing_behind(void **state)
{
    struct rig *b = *state;
    page_size = LARGE_PAGE;
    for (unsigned i = 0; i < 100; i++) {
        const int fd = dial(b);
        if (i % 3) say(fd, i % 3 == 1 ? "GET /st" : GET("/stats"));
        if (i % 2) vireo_control_serve(b->control);
        if (i % 2) vireo_control_serve(b->control);
        close(fd);
        vireo_control_serve(b->control);
    }
    for (unsigned i = 0; i < 2 * SLOTS; i++) vireo_control_serve(b->control);
    page_size = 0;
    assert_contains(ask(b, GET("/stats")), "200 OK");
}

/* Without a descriptor for a new client the server tries again later, and does not spin meanwhile. */
static void without_descriptors_clients_wait(void **state)
{
    struct rig *b = *state;
    struct rlimit old, low;
    char out[4096];
    const int fd = dial(b);
    say(fd, GET("/stats"));
    const int next = dup(0);
    close(next);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &old), 0);
    low = old;
    low.rlim_cur = (rlim_t)next;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &low), 0);
    assert_in_range(serve_for(b, 300), 1, 5);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &old), 0);
    (void)serve_for(b, CLIENT_MS);
    assert_true(recv(fd, out, sizeof(out), 0) > 0);
    close(fd);
}

static unsigned entries_in(const char *dir)
{
    unsigned n = 0;
    DIR *d = opendir(dir);
    assert_non_null(d);
    while (readdir(d)) n++;
    closedir(d);
    return n - 2; /* . and .. */
}

/* With fewer descriptors than it takes there is a sentence, and neither a socket nor a descriptor stays behind. */
static void a_start_without_descriptors_leaves_nothing_behind(void **state)
{
    struct rig *b = *state;
    struct rlimit old, low;
    struct vireo_error e;
    unsigned failures = 0;
    int rc = -1;
    vireo_control_destroy(b->control);
    b->control = NULL;
    const int next = dup(0);
    close(next);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &old), 0);
    for (rlim_t more = 0; rc && more < 20; more++) {
        low = old;
        low.rlim_cur = (rlim_t)next + more;
        assert_int_equal(setrlimit(RLIMIT_NOFILE, &low), 0);
        rc = vireo_control_create(&b->control, &b->vm, b->dir, &e);
        assert_int_equal(setrlimit(RLIMIT_NOFILE, &old), 0);
        if (!rc) break;
        assert_int_equal(rc, -EMFILE);
        assert_contains(e.text, "control socket: ");
        assert_int_equal(entries_in(b->dir), 0);
        const int again = dup(0);
        close(again);
        assert_int_equal(again, next);
        failures++;
    }
    assert_int_equal(rc, 0);
    assert_in_range(failures, 4, 10);
    assert_contains(ask(b, GET("/stats")), "200 OK");
}

/* ---- where it lies ---- */

static int refusal(struct rig *b, const char *dir, struct vireo_error *e)
{
    struct vireo_control *none = NULL;
    const int rc = vireo_control_create(&none, &b->vm, dir, e);
    assert_null(none);
    return rc;
}

static void a_socket_is_its_owners_alone_and_a_second_of_the_name_is_refused(void **state)
{
    struct rig *b = *state;
    struct vireo_error e;
    struct stat st;
    assert_int_equal(stat(vireo_control_path(b->control), &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    assert_int_equal(refusal(b, b->dir, &e), -EADDRINUSE);
    assert_contains(e.text, "a VM of this name runs already");
    assert_int_equal(e.exit_status, 125);
    assert_contains(ask(b, GET("/stats")), "200 OK"); /* and the first one works on */
}

static void what_a_dead_process_left_is_replaced(void **state)
{
    struct rig *b = *state;
    struct sockaddr_un addr = {.sun_family = AF_UNIX};
    vireo_control_destroy(b->control);
    const int dead = socket(AF_UNIX, SOCK_STREAM, 0);
    (void)snprintf(addr.sun_path, sizeof(addr.sun_path), "%.90s/web.sock", b->dir);
    assert_int_equal(bind(dead, (struct sockaddr *)&addr, sizeof(addr)), 0);
    close(dead); /* the file stays, nobody listens */
    open_control(b);
    assert_contains(ask(b, GET("/stats")), "200 OK");
}

static void a_file_that_is_no_socket_is_left_alone(void **state)
{
    struct rig *b = *state;
    struct vireo_error e;
    char path[128];
    struct stat st;
    vireo_control_destroy(b->control);
    b->control = NULL;
    (void)snprintf(path, sizeof(path), "%s/web.sock", b->dir);
    close(open(path, O_CREAT | O_WRONLY, 0600));
    assert_int_equal(refusal(b, b->dir, &e), -EEXIST);
    assert_contains(e.text, "is no socket");
    assert_int_equal(stat(path, &st), 0);
    unlink(path);
}

static void places_that_do_not_do_are_refused(void **state)
{
    struct rig *b = *state;
    struct vireo_error e;
    char dir[200], deep[200];
    (void)snprintf(dir, sizeof(dir), "%s/none/deep", b->dir);
    assert_int_equal(refusal(b, dir, &e), -ENOENT);
    (void)snprintf(deep, sizeof(deep), "%.60s/%0120d", b->dir, 7);
    assert_int_equal(refusal(b, deep, &e), -ENAMETOOLONG);
    (void)snprintf(dir, sizeof(dir), "%s/open", b->dir);
    assert_int_equal(mkdir(dir, 0700), 0);
    assert_int_equal(chmod(dir, 0777), 0);
    assert_int_equal(refusal(b, dir, &e), -EPERM);
    assert_contains(e.text, "others may write to it");
    assert_int_equal(rmdir(dir), 0);
    b->vm.name[0] = '\0';
    assert_int_equal(refusal(b, b->dir, &e), -EINVAL);
    assert_contains(e.text, "has no name");
}

/* Removed by hand, and the name taken by another VM: the first one's end must not take the second one's socket. */
static void an_end_removes_only_its_own_socket(void **state)
{
    struct rig *b = *state;
    struct vireo_control *first = b->control;
    assert_int_equal(unlink(vireo_control_path(first)), 0);
    open_control(b);
    vireo_control_destroy(first);
    assert_contains(ask(b, GET("/stats")), "200 OK");
}

/* ---- directories that change under us ---- */

struct swap {
    char good[96], evil[96];
    atomic_bool is_over;
    atomic_uint count;
};

static void *swap_for_ever(void *arg)
{
    struct swap *s = arg;
    for (; !atomic_load(&s->is_over); atomic_fetch_add(&s->count, 1))
        assert_int_equal(renameat2(AT_FDCWD, s->good, AT_FDCWD, s->evil, RENAME_EXCHANGE), 0);
    return NULL;
}

/* The directory that others can write to is never given a socket, and none stays behind, at whatever moment the two
 * change places. */
static void whoever_swaps_the_directory_gets_no_socket(void **state)
{
    struct rig *b = *state;
    struct swap s = {.is_over = false};
    struct vireo_error e;
    pthread_t thread;
    unsigned made = 0;
    char socket_path[128];
    (void)snprintf(s.good, sizeof(s.good), "%.60s/vireo", b->dir);
    (void)snprintf(s.evil, sizeof(s.evil), "%.60s/evil", b->dir);
    assert_int_equal(mkdir(s.good, 0700), 0);
    assert_int_equal(mkdir(s.evil, 0700), 0);
    assert_int_equal(chmod(s.evil, 0777), 0);
    const int evil = open(s.evil, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    (void)snprintf(socket_path, sizeof(socket_path), "/proc/self/fd/%d/web.sock", evil);
    assert_int_equal(pthread_create(&thread, NULL, swap_for_ever, &s), 0);
    for (unsigned i = 0; i < SOCKETS || atomic_load(&s.count) < SWAPS; i++) {
        struct vireo_control *c = NULL;
        const int rc = vireo_control_create(&c, &b->vm, s.good, &e);
        if (access(socket_path, F_OK) == 0) fail_msg("a socket lies in the other directory, rc %d", rc);
        made += c != NULL;
        vireo_control_destroy(c);
    }
    atomic_store(&s.is_over, true);
    pthread_join(thread, NULL);
    close(evil);
    assert_true(made > 0);
    assert_int_equal(entries_in(s.good) + entries_in(s.evil), 0);
    assert_int_equal(rmdir(s.good), 0);
    assert_int_equal(rmdir(s.evil), 0);
}

/* Root's environment may name another user's directory (sudo -E), where that user can swap what lies in it. */
static void a_directory_below_another_users_is_refused(void **state)
{
    struct rig *b = *state;
    struct vireo_error e;
    char above[96], dir[128];
    if (geteuid() != 0) {
        print_message("only root can give a directory away\n");
        skip();
    }
    (void)snprintf(above, sizeof(above), "%.60s/theirs", b->dir);
    (void)snprintf(dir, sizeof(dir), "%s/vireo", above);
    assert_int_equal(mkdir(above, 0755), 0);
    assert_int_equal(chown(above, 1, 1), 0);
    assert_int_equal(refusal(b, dir, &e), -EPERM);
    assert_contains(e.text, "put another in its place");
    assert_int_equal(vireo_control_connect(dir, "web", 100), -EPERM);
    assert_int_equal(entries_in(above), 0); /* nothing was made there */
    assert_int_equal(rmdir(above), 0);
}

/* 0777 is anybody's; with the sticky bit, as /tmp has it, only who owns a file may rename it. */
static void a_parent_that_others_may_write_is_refused_unless_it_is_sticky(void **state)
{
    struct rig *b = *state;
    struct vireo_error e;
    struct vireo_control *c = NULL;
    char above[96], dir[128];
    (void)snprintf(above, sizeof(above), "%.60s/above", b->dir);
    (void)snprintf(dir, sizeof(dir), "%s/vireo/", above);
    assert_int_equal(mkdir(above, 0700), 0);
    assert_int_equal(chmod(above, 0777), 0);
    assert_int_equal(refusal(b, dir, &e), -EPERM);
    assert_int_equal(chmod(above, 01777), 0);
    assert_int_equal(vireo_control_create(&c, &b->vm, dir, &e), 0);
    const int fd = vireo_control_connect(dir, "web", 1000);
    assert_true(fd >= 0);
    close(fd);
    vireo_control_destroy(c);
    assert_int_equal(vireo_control_connect(dir, "web", 1000), -ENOENT);
    assert_int_equal(rmdir(dir), 0);
    assert_int_equal(rmdir(above), 0);
}

/* Another user's process may come to listen there all the same: one that root started and that became another. */
static void who_listens_is_looked_at_before_anything_is_said(void **state)
{
    struct rig *b = *state;
    struct sockaddr_un addr = {.sun_family = AF_UNIX};
    int ready[2];
    char c;
    if (geteuid() != 0) {
        print_message("only root can become another user\n");
        skip();
    }
    (void)snprintf(addr.sun_path, sizeof(addr.sun_path), "%.90s/their.sock", b->dir);
    const int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&addr, sizeof(addr)), 0);
    assert_int_equal(pipe2(ready, O_CLOEXEC), 0);
    const pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        if (setgid(1) < 0 || setuid(1) < 0 || listen(fd, 1) < 0) _exit(1);
        (void)!write(ready[1], "x", 1);
        pause();
        _exit(0);
    }
    close(ready[1]);
    const bool is_listening = read(ready[0], &c, 1) == 1;
    const int rc = vireo_control_connect(b->dir, "their", 1000);
    kill(child, SIGKILL);
    waitpid(child, NULL, 0);
    close(ready[0]);
    close(fd);
    unlink(addr.sun_path);
    assert_true(is_listening);
    assert_int_equal(rc, -EPERM);
}

/* A child of the program that did not exec has copies of everything: the VM's name is free all the same. */
static void a_childs_copy_keeps_nobody_waiting(void **state)
{
    struct rig *b = *state;
    const pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        pause();
        _exit(0);
    }
    vireo_control_destroy(b->control);
    open_control(b);
    assert_contains(ask(b, GET("/stats")), "200 OK");
    kill(child, SIGKILL);
    waitpid(child, NULL, 0);
}

static unsigned count_sockets(void)
{
    struct stat st;
    unsigned n = 0;
    for (int fd = 3; fd < 256; fd++) n += fstat(fd, &st) == 0 && S_ISSOCK(st.st_mode);
    return n;
}

/* One that is served just then: its connection is the parent's alone. */
static void a_child_has_no_client(void **state)
{
    struct rig *b = *state;
    int status;
    const unsigned before = count_sockets(); /* the server's own among them, which the child has not either */
    const int client = vireo_control_connect(b->dir, "web", 1000);
    assert_true(client >= 0);
    vireo_control_serve(b->control);
    assert_int_equal(count_sockets(), before + 2);
    const pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) _exit((int)count_sockets());
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(WEXITSTATUS(status), before - 1 + 1); /* without the server's two, with the program's own end */
    close(client);
}

static void the_usual_place_is_the_users(void **state)
{
    char dir[64];
    (void)state;
    assert_int_equal(setenv("XDG_RUNTIME_DIR", "/run/user/7", 1), 0);
    assert_int_equal(vireo_control_dir(dir, sizeof(dir)), 0);
    assert_string_equal(dir, "/run/user/7/vireo");
    assert_int_equal(vireo_control_dir(dir, 5), -ENAMETOOLONG);
    assert_int_equal(unsetenv("XDG_RUNTIME_DIR"), 0);
    const int rc = vireo_control_dir(dir, sizeof(dir));
    if (geteuid() == 0)
        assert_string_equal(dir, "/run/vireo");
    else
        assert_int_equal(rc, -ENOENT);
}

#define T(promise) cmocka_unit_test_setup_teardown(promise, set_up, tear_down)
UNIT_MAIN(T(each_page_has_its_address_and_type), T(what_is_wrong_is_answered_with_a_sentence),
          T(what_there_is_no_route_for_is_told), UNIT(a_view_has_weights_and_steps),
          UNIT(weights_that_do_not_fit_are_refused_whole), T(a_request_may_come_byte_by_byte),
          T(silent_clients_have_their_time_and_wake_nobody),
          T(a_full_house_of_silent_clients_makes_room_by_dropping_the_oldest),
          T(ever_new_silent_and_slow_clients_starve_nobody), T(readers_that_do_not_read_make_room_soon),
          T(a_client_that_does_not_read_delays_nobody_and_is_dropped), T(clients_that_vanish_leave_nothing_behind),
          T(without_descriptors_clients_wait), T(a_start_without_descriptors_leaves_nothing_behind),
          T(a_socket_is_its_owners_alone_and_a_second_of_the_name_is_refused), T(what_a_dead_process_left_is_replaced),
          T(a_file_that_is_no_socket_is_left_alone), T(places_that_do_not_do_are_refused),
          T(an_end_removes_only_its_own_socket), T(whoever_swaps_the_directory_gets_no_socket),
          T(a_directory_below_another_users_is_refused),
          T(a_parent_that_others_may_write_is_refused_unless_it_is_sticky),
          T(who_listens_is_looked_at_before_anything_is_said), T(a_childs_copy_keeps_nobody_waiting),
          T(a_child_has_no_client), UNIT(the_usual_place_is_the_users))
