/* `vireo metrics`: the figures of all VMs of this user for Prometheus, once or as a server. One process and one thread;
 * the server is the one of the control sockets (vmm/base/http_server.h), with a table of one page. */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "vmm/base/fd.h"
#include "vmm/base/http_server.h"
#include "vmm/base/urgency.h"
#include "vmm/cli/cli.h"
#include "vmm/cli/metrics_gather.h"
#include "vmm/cli/metrics_watch.h"

#define BACKLOG     16 /* a scraper or two and an impatient user */
#define WAITING_MAX 8  /* the server's clients at once */

struct metrics {
    const char *listen; /* NULL: once */
    int fd;             /* listens; -1 */
    struct sockaddr_storage address;
    socklen_t address_len;
    struct stat file; /* of a Unix socket that we made; st_ino 0: none */
    struct http_server *server;
    struct metrics_watch *watch;
    struct metrics_gather *gather; /* for all that wait; NULL: none is under way */
    struct http_call *waiting[WAITING_MAX];
};

static const struct setting options[] = {
    {"listen", "ADDRESS", "serve GET /metrics there: 127.0.0.1:PORT, [::1]:PORT or unix:PATH; else write them once",
     CLI_TEXT(struct metrics, listen)},
    {0},
};

/* ---- the page, for those who wait ---- */

static const struct http_answer no_memory = {
    .status = 503, .type = "text/plain", .body = "out of memory\n", .len = sizeof("out of memory\n") - 1};

static void on_gone(struct http_call *call)
{
    struct metrics *m = call->owner;
    for (unsigned i = 0; i < WAITING_MAX; i++)
        if (m->waiting[i] == call) m->waiting[i] = NULL;
}

static void on_page(void *arg, const char *text, size_t len)
{
    struct metrics *m = arg;
    struct http_answer page = {
        .status = 200, .type = "text/plain; version=0.0.4; charset=utf-8", .body = text, .len = len};
    for (unsigned i = 0; i < WAITING_MAX; i++) {
        struct http_call *call = m->waiting[i];
        m->waiting[i] = NULL;
        if (call) http_reply(call, text ? &page : &no_memory);
    }
    metrics_gather_end(m->gather);
    m->gather = NULL;
}

/* Whoever asks while VMs are being asked gets the same page. */
static void show_metrics(struct http_call *call)
{
    struct metrics *m = call->owner;
    unsigned place = 0;
    while (place < WAITING_MAX && m->waiting[place]) place++;
    if (!m->gather) m->gather = metrics_gather_begin(call->loop, m->watch, on_page, m);
    if (place == WAITING_MAX || !m->gather) {
        http_reply(call, &no_memory);
        return;
    }
    m->waiting[place] = call;
    call->gone = on_gone;
}

static const struct http_route routes[] = {{"GET", "/metrics", 0, show_metrics, 0}};
static const struct http_table table = {
    .route = routes, .count = sizeof(routes) / sizeof(routes[0]), .pages = "the page is /metrics"};

/* ---- where to listen ---- */

static int bad_address(const struct metrics *m, const char *why, struct vireo_error *e)
{
    (void)bad_command(e, "listen %.200s: %s", m->listen, why);
    (void)snprintf(e->hint, sizeof(e->hint), "write 127.0.0.1:PORT, [::1]:PORT or unix:PATH");
    return e->code;
}

static int parse_unix(struct metrics *m, const char *path, struct vireo_error *e)
{
    struct sockaddr_un *un = (struct sockaddr_un *)&m->address;
    if (!path[0]) return bad_address(m, "the path is missing", e);
    if (strlen(path) >= sizeof(un->sun_path)) return bad_address(m, "longer than a socket's path may be", e);
    un->sun_family = AF_UNIX;
    memcpy(un->sun_path, path, strlen(path) + 1);
    m->address_len = sizeof(*un);
    return 0;
}

static bool parse_port(const char *text, in_port_t *out)
{
    char *end;
    const size_t digits = strspn(text, "0123456789");
    const unsigned long port = digits && digits <= 5 ? strtoul(text, &end, 10) : 65536;
    *out = htons((uint16_t)port);
    return port <= 65535 && text[digits] == '\0';
}

/* This host's own addresses only: there is no password, and the page tells what runs here. */
static int parse_internet(struct metrics *m, struct vireo_error *e)
{
    struct sockaddr_in *v4 = (struct sockaddr_in *)&m->address;
    struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)&m->address;
    const char *colon = strrchr(m->listen, ':');
    char host[64];
    in_port_t port;
    if (!colon || (size_t)(colon - m->listen) >= sizeof(host)) return bad_address(m, "this is no ADDRESS:PORT", e);
    memcpy(host, m->listen, (size_t)(colon - m->listen));
    host[colon - m->listen] = '\0';
    if (!parse_port(colon + 1, &port)) return bad_address(m, "a port is a number from 0 to 65535", e);
    if (inet_pton(AF_INET, host, &v4->sin_addr) == 1) {
        v4->sin_family = AF_INET;
        v4->sin_port = port;
        m->address_len = sizeof(*v4);
        if (ntohl(v4->sin_addr.s_addr) >> 24 == IN_LOOPBACKNET) return 0;
        return bad_address(m, "others could read there what runs here; a proxy with a password may listen for them", e);
    }
    if (strcmp(host, "[::1]") != 0) return bad_address(m, "this is no address of this host's own", e);
    v6->sin6_family = AF_INET6;
    v6->sin6_addr = in6addr_loopback;
    v6->sin6_port = port;
    m->address_len = sizeof(*v6);
    return 0;
}

/* A socket that a dead process left; what else lies there stays, and so does one at which somebody listens. */
static void remove_dead_socket(const struct metrics *m)
{
    struct stat st;
    const char *path = ((const struct sockaddr_un *)&m->address)->sun_path;
    if (m->address.ss_family != AF_UNIX || lstat(path, &st) < 0 || !S_ISSOCK(st.st_mode)) return;
    const int fd = fd_own(socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
    if (fd < 0) return;
    if (connect(fd, (const struct sockaddr *)&m->address, m->address_len) < 0 && errno == ECONNREFUSED)
        (void)unlink(path);
    close(fd);
}

/* A Unix socket's file is its user's alone: it has the socket's mode. */
static int open_listener(struct metrics *m, struct vireo_error *e)
{
    const int yes = 1, family = m->address.ss_family;
    remove_dead_socket(m);
    m->fd = fd_own(socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
    if (m->fd < 0) return bad_call(e, errno, "listen %s", m->listen);
    if (family != AF_UNIX) (void)setsockopt(m->fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof(yes));
    const bool is_good = (family != AF_UNIX || fchmod(m->fd, 0600) == 0) &&
                         bind(m->fd, (const struct sockaddr *)&m->address, m->address_len) == 0;
    if (is_good && family == AF_UNIX) (void)lstat(((const struct sockaddr_un *)&m->address)->sun_path, &m->file);
    if (!is_good || listen(m->fd, BACKLOG) < 0) {
        const int error = errno;
        close(m->fd);
        m->fd = -1;
        if (error == EADDRINUSE)
            return bad_command(e, "listen %.200s: somebody listens there already%s; name another %s", m->listen,
                               family == AF_UNIX ? ", or a file is there" : "",
                               family == AF_UNIX ? "path" : "port, or 0 for any that is free");
        return bad_call(e, error, "listen %s", m->listen);
    }
    return 0;
}

/* What another has put in the place of our socket's file stays. */
static void close_listener(const struct metrics *m)
{
    struct stat st;
    const char *path = ((const struct sockaddr_un *)&m->address)->sun_path;
    if (m->fd < 0) return;
    if (m->file.st_ino && lstat(path, &st) == 0 && st.st_ino == m->file.st_ino && st.st_dev == m->file.st_dev)
        (void)unlink(path);
    close(m->fd);
}

/* With port 0 the kernel has chosen one. */
static void say_where(struct metrics *m)
{
    socklen_t len = sizeof(m->address);
    char host[INET6_ADDRSTRLEN];
    (void)getsockname(m->fd, (struct sockaddr *)&m->address, &len);
    const struct sockaddr_in *v4 = (const struct sockaddr_in *)&m->address;
    const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)&m->address;
    if (m->address.ss_family == AF_INET)
        say("metrics are at http://%s:%u/metrics", inet_ntop(AF_INET, &v4->sin_addr, host, sizeof(host)),
            ntohs(v4->sin_port));
    else if (m->address.ss_family == AF_INET6)
        say("metrics are at http://[::1]:%u/metrics", ntohs(v6->sin6_port));
    else
        say("metrics are at /metrics of %s", m->listen);
}

/* ---- the two ways ---- */

static int serve(struct metrics *m, struct vireo_error *e)
{
    static const int no_more[] = {0};
    struct err err = {0};
    const int signals = signals_catch(no_more);
    if (signals < 0) return bad_call(e, -signals, "catch signals");
    const bool is_unix = strncmp(m->listen, "unix:", 5) == 0;
    int rc = is_unix ? parse_unix(m, m->listen + 5, e) : parse_internet(m, e);
    if (!rc) rc = open_listener(m, e);
    const struct http_server_params params = {.table = &table, .owner = m, .fd = m->fd};
    if (!rc && http_server_create(&m->server, &params, &err)) rc = bad_call(e, -err.code, "listen %s", m->listen);
    if (!rc && !(m->watch = metrics_watch_create())) rc = bad_call(e, ENOMEM, "watch for changes");
    if (!rc) say_where(m);
    while (!rc) {
        struct pollfd fds[] = {{.fd = signals, .events = POLLIN}, {.fd = http_server_fd(m->server), .events = POLLIN}};
        if (poll(fds, 2, -1) < 0 && errno != EINTR) break;
        if (fds[0].revents && signals_read(signals)) break;
        if (fds[1].revents) http_server_serve(m->server);
    }
    metrics_gather_end(m->gather); /* first: it is on the server's loop */
    metrics_watch_destroy(m->watch);
    http_server_destroy(m->server);
    close_listener(m);
    close(signals);
    return rc;
}

struct once {
    bool is_done, is_good;
};

static void on_page_once(void *arg, const char *text, size_t len)
{
    struct once *once = arg;
    once->is_done = true;
    once->is_good = text != NULL;
    if (text) (void)fwrite(text, 1, len, stdout);
    if (text && len == 0) say("no VM that has a name runs; start one with vireo run --name NAME");
}

static int write_once(struct vireo_error *e)
{
    struct once once = {0};
    struct urgency urgency = {0};
    struct loop loop;
    struct err err = {0};
    if (loop_init(&loop, &err)) return bad_call(e, -err.code, "ask the VMs");
    urgency_renew(&urgency); /* to the end, as of vireo stat */
    struct metrics_gather *g = metrics_gather_begin(&loop, NULL, on_page_once, &once);
    while (g && !once.is_done) loop_turn(&loop, -1);
    metrics_gather_end(g);
    loop_fini(&loop);
    return once.is_good ? 0 : bad_call(e, ENOMEM, "ask the VMs");
}

static int run_metrics(const struct command *self, char **words, uint64_t started_ns)
{
    struct metrics m = {.fd = -1};
    struct vireo_error e;
    char dir[sizeof(((struct sockaddr_un *)0)->sun_path)];
    (void)started_ns;
    if (args_parse(self, ARGS_OWN, words, &m, &e)) return say_error(&e);
    if (vireo_control_dir(dir, sizeof(dir)) == -ENOENT) {
        say("XDG_RUNTIME_DIR is not set, so VMs of this user have no control sockets; set it as it was for vireo run");
        return STATUS_BAD_COMMAND;
    }
    if (m.listen ? serve(&m, &e) : write_once(&e)) return say_error(&e);
    return finish_output(NULL, "standard output", 0);
}

const struct command command_metrics = {
    .name = "metrics",
    .args = "[OPTION...]",
    .help = "Figures of all running VMs for Prometheus: once, or served by HTTP",
    .options = options,
    .run = run_metrics,
};
