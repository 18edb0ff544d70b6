/* poll_oneoff: clocks and descriptors. */
#include <errno.h>
#include <poll.h>
#include <sys/ioctl.h>

#include "guest/wasi/wasi.h"

#define EVENTS_MAX 1024u /* as many as descriptors can be open; each has 80 bytes of the module's memory */
#define NS_PER_S   1000000000u

enum { EVENT_CLOCK, EVENT_READ, EVENT_WRITE };
enum { CLOCK_IS_ABSOLUTE = 1 };
enum { EVENT_HANGUP = 1 };

struct subscription { /* $subscription */
    uint64_t user;
    uint8_t type, pad[7];
    union {
        struct {
            uint32_t id, pad;
            uint64_t timeout_ns, precision_ns;
            uint16_t flags, pad2[3];
        } clock;
        uint32_t fd;
    };
};
struct event { /* $event */
    uint64_t user;
    uint16_t error;
    uint8_t type, pad[5];
    uint64_t bytes;
    uint16_t flags, pad2[3];
};
_Static_assert(sizeof(struct subscription) == 48 && sizeof(struct event) == 32, "layouts of WASI");

/* One subscription while it is waited for. */
struct wait {
    struct subscription s;
    uint64_t due_ns; /* of a clock: when, by the monotonic clock */
    uint32_t error;
};

static uint64_t clock_now(clockid_t id)
{
    struct timespec t = {0};
    (void)clock_gettime(id, &t);
    return wasi_ns(t);
}

static uint32_t set_clock(struct wait *one, uint64_t now_ns)
{
    uint64_t ns = one->s.clock.timeout_ns;
    if (one->s.clock.id > 1) return WASI_NOTSUP; /* CPU time does not pass while one waits */
    if (one->s.clock.flags & CLOCK_IS_ABSOLUTE) {
        const uint64_t today = clock_now(one->s.clock.id == 0 ? CLOCK_REALTIME : CLOCK_MONOTONIC);
        ns = ns > today ? ns - today : 0;
    }
    if (__builtin_add_overflow(now_ns, ns, &one->due_ns)) one->due_ns = UINT64_MAX;
    return WASI_OK;
}

/* What is to be waited for: a descriptor's pollfd, or with host -1 (which poll(2) passes over) none. */
static void prepare(struct wasi *w, struct wait *one, struct pollfd *p, uint64_t now_ns)
{
    struct wasi_fd *f;
    *p = (struct pollfd){.fd = -1};
    one->due_ns = UINT64_MAX;
    if (one->s.type == EVENT_CLOCK) {
        one->error = set_clock(one, now_ns);
    } else if (one->s.type > EVENT_WRITE) {
        one->error = WASI_INVAL;
    } else {
        one->error = wasi_fd_get(w, one->s.fd, RIGHT(POLL_FD_READWRITE), &f);
        if (one->error == WASI_OK)
            *p = (struct pollfd){.fd = f->host, .events = one->s.type == EVENT_READ ? POLLIN : POLLOUT};
    }
    if (one->error) one->due_ns = 0; /* is told at once */
}

static uint32_t wait_for(struct pollfd *fds, uint32_t count, uint64_t due_ns)
{
    for (;;) {
        const uint64_t now = clock_now(CLOCK_MONOTONIC), left = due_ns > now ? due_ns - now : 0;
        const struct timespec t = {.tv_sec = (time_t)(left / NS_PER_S), .tv_nsec = (long)(left % NS_PER_S)};
        const int n = ppoll(fds, count, due_ns == UINT64_MAX ? NULL : &t, NULL);
        if (n < 0 && errno != EINTR) return wasi_last();
        if (n > 0 || (n == 0 && clock_now(CLOCK_MONOTONIC) >= due_ns)) return WASI_OK;
    }
}

static bool is_due(const struct wait *one, const struct pollfd *p, uint64_t now_ns)
{
    return p->revents != 0 || (one->due_ns != UINT64_MAX && one->due_ns <= now_ns);
}

static struct event event_of(const struct wait *one, const struct pollfd *p)
{
    int bytes = 0;
    struct event e = {.user = one->s.user, .error = (uint16_t)one->error, .type = one->s.type};
    if (p->revents & POLLNVAL) e.error = WASI_BADF;
    if (p->revents & (POLLHUP | POLLERR)) e.flags = EVENT_HANGUP;
    if (p->revents & POLLIN && ioctl(p->fd, FIONREAD, &bytes) == 0 && bytes > 0) e.bytes = (uint64_t)bytes;
    return e;
}

uint32_t WASI_CALL(poll_oneoff)(struct wasi *w, uint32_t in_at, uint32_t out_at, uint32_t count, uint32_t done_at)
{
    static struct wait all[EVENTS_MAX]; /* too much for a stack that the module may have used up; one thread */
    static struct pollfd fds[EVENTS_MAX];
    uint64_t due_ns = UINT64_MAX, now_ns = clock_now(CLOCK_MONOTONIC);
    uint32_t done = 0;
    if (count == 0 || count > EVENTS_MAX) return WASI_INVAL;
    if (!wasi_slice(w, in_at, count * sizeof(struct subscription)) ||
        !wasi_slice(w, out_at, count * sizeof(struct event)) || !wasi_slice(w, done_at, sizeof(done)))
        return WASI_FAULT;
    for (uint32_t i = 0; i < count; i++) {
        memcpy(&all[i].s, wasi_slice(w, in_at + i * (uint32_t)sizeof(all[i].s), sizeof(all[i].s)), sizeof(all[i].s));
        prepare(w, &all[i], &fds[i], now_ns);
        if (all[i].due_ns < due_ns) due_ns = all[i].due_ns;
    }
    const uint32_t rc = wait_for(fds, count, due_ns);
    if (rc) return rc;
    now_ns = clock_now(CLOCK_MONOTONIC);
    for (uint32_t i = 0; i < count; i++) {
        if (!is_due(&all[i], &fds[i], now_ns)) continue;
        const struct event e = event_of(&all[i], &fds[i]);
        (void)wasi_put(w, out_at + done++ * (uint32_t)sizeof(e), &e, sizeof(e));
    }
    return wasi_put(w, done_at, &done, sizeof(done));
}
