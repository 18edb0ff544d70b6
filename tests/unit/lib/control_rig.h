/* Clients of a control socket that take turns with its server in one thread, so a server that waited would hang. */
#ifndef VIREO_TESTS_CONTROL_RIG_H
#define VIREO_TESTS_CONTROL_RIG_H

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>
#include <vireo.h>

#include "tests/unit/unit.h"
#include "vmm/base/clock.h"

#define CONTROL_TURNS 20000

#define GET(path) "GET " path " HTTP/1.1\r\nHost: x\r\n\r\n"

static inline int control_dial(const char *dir, const char *name)
{
    struct sockaddr_un addr = {.sun_family = AF_UNIX};
    const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    (void)snprintf(addr.sun_path, sizeof(addr.sun_path), "%.60s/%.30s.sock", dir, name);
    assert_int_equal(connect(fd, (struct sockaddr *)&addr, sizeof(addr)), 0);
    return fd;
}

static inline void say(int fd, const char *text)
{
    assert_int_equal(send(fd, text, strlen(text), MSG_NOSIGNAL), strlen(text));
}

/* Serve until the server closes fd, and take what it said: its length. */
static inline size_t control_hear(struct vireo_control *c, int fd, char *out, size_t room)
{
    size_t used = 0;
    for (unsigned i = 0; i < CONTROL_TURNS; i++) {
        vireo_control_serve(c);
        const ssize_t n = recv(fd, out + used, room - 1 - used, 0);
        if (n == 0 || (n < 0 && errno == ECONNRESET)) {
            out[used] = '\0';
            close(fd);
            return used;
        }
        if (n > 0) used += (size_t)n;
    }
    fail_msg("no end after %zu bytes", used);
    return 0;
}

/* The answer, until the next question. */
static inline const char *control_ask(struct vireo_control *c, const char *dir, const char *name, const char *request)
{
    static char out[4096];
    const int fd = control_dial(dir, name);
    say(fd, request);
    (void)control_hear(c, fd, out, sizeof(out));
    return out;
}

/* As the owner's loop does. How often there was something to serve. */
static inline unsigned control_serve_for(struct vireo_control *c, uint64_t ms)
{
    struct pollfd p = {.fd = vireo_control_fd(c), .events = POLLIN};
    unsigned woken = 0;
    for (const uint64_t until = now_ns() + ms * 1000000u; now_ns() < until;) {
        if (poll(&p, 1, 10) <= 0) continue;
        vireo_control_serve(c);
        woken++;
    }
    return woken;
}

#endif
