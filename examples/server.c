/* A server that answers each request in a fresh clone of a sandbox.
 *
 *   server HANDLER [PORT]
 *
 * Listens at 127.0.0.1:PORT (0 or none: a free one), says where on standard output, and reads one line per connection.
 * The handler (examples/handler.c) answers it in a clone that a pool keeps ready, so that no request can see, change or
 * hold up another one: a request that crashes or spins costs its own answer. The line "quit" ends the server. */
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <vireo_sandbox.h>

#define LINE_MAX_BYTES 256

static int fail(const struct vireo_error *e)
{
    fprintf(stderr, "server: %s\n", e->text);
    if (e->hint[0]) fprintf(stderr, "server: %s\n", e->hint);
    return 1;
}

static int prepare(const char *handler, struct vireo_sandbox_template **out, struct vireo_error *e)
{
    struct vireo_sandbox_config *c = vireo_sandbox_config_create();
    struct vireo_sandbox *s = NULL;
    struct vireo_sandbox_end end;
    if (!c) return -1;
    int rc = vireo_sandbox_config_set(c, "memory", "16M", e);
    if (!rc) rc = vireo_sandbox_config_set(c, "call", "true", e);
    if (!rc) rc = vireo_sandbox_create(&s, c, handler, NULL, e);
    if (!rc) rc = vireo_sandbox_run(s, &end);
    if (!rc && end.reason != VIREO_SANDBOX_READY) {
        (void)snprintf(e->text, sizeof(e->text), "%s", end.detail);
        rc = -1;
    }
    if (!rc) rc = vireo_sandbox_template_create(out, s, e);
    vireo_sandbox_destroy(s);
    vireo_sandbox_config_destroy(c);
    return rc;
}

static int listen_at(unsigned port)
{
    struct sockaddr_in at = {
        .sin_family = AF_INET, .sin_port = htons((uint16_t)port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof(at);
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || bind(fd, (struct sockaddr *)&at, len) || listen(fd, 64) ||
        getsockname(fd, (struct sockaddr *)&at, &len)) {
        perror("server");
        return -1;
    }
    printf("listening at 127.0.0.1:%u\n", (unsigned)ntohs(at.sin_port));
    (void)fflush(stdout);
    return fd;
}

static size_t read_line(int fd, char *line)
{
    size_t size = 0;
    while (size < LINE_MAX_BYTES) {
        const ssize_t n = read(fd, line + size, LINE_MAX_BYTES - size);
        if (n <= 0) break;
        size += (size_t)n;
        if (memchr(line, '\n', size)) return (size_t)((char *)memchr(line, '\n', size) - line);
    }
    return size;
}

/* The answer to a line, in a clone of its own. */
static size_t answer(struct vireo_sandbox_pool *pool, const struct vireo_sandbox_fn *fn, const char *line, size_t size,
                     char *out, size_t room)
{
    struct vireo_sandbox *s;
    struct vireo_sandbox_end end;
    struct vireo_error e;
    const struct vireo_sandbox_call call = {
        .fn = *fn, .in = line, .in_size = size, .out = out, .out_max = room, .timeout_ns = 1000000000};
    if (vireo_sandbox_pool_take(pool, &s, &e)) return (size_t)snprintf(out, room, "error: %.200s", e.text);
    const int rc = vireo_sandbox_call(s, &call, &end);
    vireo_sandbox_pool_give(pool, s);
    if (!rc && end.reason == VIREO_SANDBOX_RETURNED) return end.size;
    return (size_t)snprintf(out, room, "error: %.200s", rc ? "no sandbox" : end.detail);
}

static void serve(int fd, struct vireo_sandbox_pool *pool, const struct vireo_sandbox_fn *fn)
{
    char line[LINE_MAX_BYTES], out[1024];
    for (bool goes_on = true; goes_on;) {
        const int peer = accept4(fd, NULL, NULL, SOCK_CLOEXEC);
        if (peer < 0) return;
        const size_t size = read_line(peer, line);
        goes_on = !(size == 4 && memcmp(line, "quit", 4) == 0);
        size_t n = goes_on ? answer(pool, fn, line, size, out, sizeof(out) - 1) : 0;
        out[n++] = '\n';
        if (send(peer, out, n, MSG_NOSIGNAL) < 0) perror("server: answer");
        (void)close(peer);
    }
}

int main(int argc, char **argv)
{
    struct vireo_sandbox_template *template = NULL;
    struct vireo_sandbox_pool *pool = NULL;
    struct vireo_sandbox *s = NULL;
    struct vireo_sandbox_fn fn;
    struct vireo_error e = {0};
    if (argc < 2) {
        fprintf(stderr, "usage: server HANDLER [PORT]\n");
        return 2;
    }
    int status = prepare(argv[1], &template, &e) || vireo_sandbox_pool_create(&pool, template, 4, &e) ||
                         vireo_sandbox_pool_take(pool, &s, &e) || vireo_sandbox_function(s, "handle", &fn, &e)
                     ? fail(&e)
                     : 0;
    if (s) vireo_sandbox_pool_give(pool, s);
    const int fd = status ? -1 : listen_at(argc > 2 ? (unsigned)strtoul(argv[2], NULL, 10) : 0);
    if (fd >= 0) serve(fd, pool, &fn);
    if (fd >= 0) (void)close(fd);
    vireo_sandbox_pool_destroy(pool);
    vireo_sandbox_template_destroy(template);
    return status || fd < 0;
}
