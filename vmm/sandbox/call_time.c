/* Clocks, sleeps, and waiting for descriptors. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/time.h>
#include <sys/times.h>
#include <time.h>

#include "vmm/sandbox/process.h"

#define NS_PER_S   1000000000ull
#define POLL_MAX   256u
#define SELECT_MAX 1024u

static bool is_clock(uint64_t clock)
{
    return clock <= CLOCK_BOOTTIME || clock == CLOCK_TAI;
}

int64_t call_clock_gettime(struct process *p, const uint64_t arg[6], enum call_outcome *outcome)
{
    (void)outcome;
    struct timespec t;
    if (!is_clock(arg[0])) return -EINVAL;
    /* A process of the program's is a thread of ours. What else our process computes is not for it to see. */
    const clockid_t clock = arg[0] == CLOCK_PROCESS_CPUTIME_ID ? CLOCK_THREAD_CPUTIME_ID : (clockid_t)arg[0];
    return clock_gettime(clock, &t) ? -errno : space_write(p->space, arg[1], &t, sizeof(t));
}

int64_t call_clock_getres(struct process *p, const uint64_t arg[6], enum call_outcome *outcome)
{
    (void)outcome;
    struct timespec t;
    if (!is_clock(arg[0])) return -EINVAL;
    if (clock_getres((clockid_t)arg[0], &t)) return -errno;
    return arg[1] ? space_write(p->space, arg[1], &t, sizeof(t)) : 0;
}

int64_t call_gettimeofday(struct process *p, const uint64_t arg[6], enum call_outcome *outcome)
{
    (void)outcome;
    struct timeval t;
    const struct timezone zone = {0};
    (void)gettimeofday(&t, NULL);
    if (arg[0] && space_write(p->space, arg[0], &t, sizeof(t))) return -EFAULT;
    return arg[1] ? space_write(p->space, arg[1], &zone, sizeof(zone)) : 0;
}

int64_t call_time(struct process *p, const uint64_t arg[6], enum call_outcome *outcome)
{
    (void)outcome;
    const time_t now = time(NULL);
    return arg[0] && space_write(p->space, arg[0], &now, sizeof(now)) ? -EFAULT : now;
}

int64_t call_times(struct process *p, const uint64_t arg[6], enum call_outcome *outcome)
{
    (void)outcome;
    struct timespec cpu;
    (void)clock_gettime(CLOCK_THREAD_CPUTIME_ID, &cpu);
    const struct tms t = {.tms_utime = cpu.tv_sec * 100 + cpu.tv_nsec / 10000000};
    if (arg[0] && space_write(p->space, arg[0], &t, sizeof(t))) return -EFAULT;
    return (int64_t)((process_now() - p->began_ns) / 10000000);
}

int64_t call_getrusage(struct process *p, const uint64_t arg[6], enum call_outcome *outcome)
{
    (void)outcome;
    struct timespec cpu;
    struct space_use use;
    const int who = (int)arg[0];
    if (who != RUSAGE_SELF && who != RUSAGE_CHILDREN && who != RUSAGE_THREAD) return -EINVAL;
    (void)clock_gettime(CLOCK_THREAD_CPUTIME_ID, &cpu);
    space_use(p->space, &use);
    const struct rusage r = {.ru_utime = {cpu.tv_sec, cpu.tv_nsec / 1000}, .ru_maxrss = (long)(use.peak / 1024)};
    return space_write(p->space, arg[1], &r, sizeof(r));
}

/* ---- sleeping ---- */

static bool read_time(struct process *p, uint64_t va, uint64_t *ns)
{
    struct timespec t;
    if (space_read(p->space, va, &t, sizeof(t)) || t.tv_sec < 0 || t.tv_nsec < 0 || t.tv_nsec >= (long)NS_PER_S)
        return false;
    *ns = (uint64_t)t.tv_sec < UINT64_MAX / NS_PER_S - 1 ? (uint64_t)t.tv_sec * NS_PER_S + (uint64_t)t.tv_nsec
                                                         : UINT64_MAX;
    return true;
}

static int bad_time(struct process *p, uint64_t va)
{
    return space_is_mapped(p->space, va, sizeof(struct timespec), USER_READ) ? -EINVAL : -EFAULT;
}

static uint64_t after(uint64_t ns)
{
    const uint64_t now = process_now();
    return ns < UINT64_MAX - now ? now + ns : UINT64_MAX;
}

static int64_t sleep_until(struct process *p, uint64_t until, enum call_outcome *outcome)
{
    const int why = process_wait(p, -1, 0, until);
    if (why == WAIT_STOPPED) *outcome = CALL_STOPPED;
    return why == WAIT_SIGNAL ? -EINTR : 0;
}

int64_t call_nanosleep(struct process *p, const uint64_t arg[6], enum call_outcome *outcome)
{
    uint64_t ns;
    if (!read_time(p, arg[0], &ns))
        return space_is_mapped(p->space, arg[0], sizeof(struct timespec), USER_READ) ? -EINVAL : -EFAULT;
    return sleep_until(p, after(ns), outcome);
}

int64_t call_clock_nanosleep(struct process *p, const uint64_t arg[6], enum call_outcome *outcome)
{
    uint64_t ns;
    struct timespec now;
    if (arg[0] != CLOCK_REALTIME && arg[0] != CLOCK_MONOTONIC && arg[0] != CLOCK_BOOTTIME) return -EINVAL;
    if (!read_time(p, arg[2], &ns))
        return space_is_mapped(p->space, arg[2], sizeof(now), USER_READ) ? -EINVAL : -EFAULT;
    if (arg[1] & TIMER_ABSTIME) {
        (void)clock_gettime((clockid_t)arg[0], &now);
        const uint64_t at = (uint64_t)now.tv_sec * NS_PER_S + (uint64_t)now.tv_nsec;
        ns = ns > at ? ns - at : 0;
    }
    return sleep_until(p, after(ns), outcome);
}

/* ---- descriptors: poll and select are one ---- */

/* Once round: which are ready. Files and what is ours always are. */
static int look(struct process *p, struct pollfd *fds, unsigned n)
{
    struct pollfd host[POLL_MAX];
    int ready = 0;
    for (unsigned i = 0; i < n; i++) {
        const struct file *f = fds[i].fd < 0 ? NULL : files_get(p, fds[i].fd);
        host[i] = (struct pollfd){.fd = f && f->kind == FILE_HOST && f->may_wait ? f->fd : -1, .events = fds[i].events};
        const int at_once = !f ? POLLNVAL : host[i].fd < 0 ? fds[i].events & (POLLIN | POLLOUT) : 0;
        fds[i].revents = (short)(fds[i].fd < 0 ? 0 : at_once);
    }
    (void)poll(host, n, 0);
    for (unsigned i = 0; i < n; i++) {
        if (host[i].fd >= 0) fds[i].revents = host[i].revents;
        ready += fds[i].revents != 0;
    }
    return ready;
}

/* Waits on all of them, on the stop, and on signals: -EINTR. */
static int wait_for(struct process *p, struct pollfd *fds, unsigned n, uint64_t until, enum call_outcome *outcome)
{
    struct pollfd host[POLL_MAX + 2];
    for (;;) {
        const int ready = look(p, fds, n);
        if (ready) return ready;
        if (process_take_signal(p)) return -EINTR;
        const uint64_t now = process_now(), end = until < p->deadline ? until : p->deadline;
        if (now >= until) return 0;
        if (now >= p->deadline) break;
        for (unsigned i = 0; i < n; i++) {
            const struct file *f = fds[i].fd < 0 ? NULL : files_get(p, fds[i].fd);
            host[i] = (struct pollfd){.fd = f && f->kind == FILE_HOST ? f->fd : -1, .events = fds[i].events};
        }
        host[n] = (struct pollfd){.fd = p->stop_fd, .events = POLLIN};
        host[n + 1] = (struct pollfd){.fd = p->wake_fd, .events = POLLIN};
        const uint64_t left = end - now;
        const struct timespec t = {(time_t)(left / NS_PER_S), (long)(left % NS_PER_S)};
        if (ppoll(host, n + 2, end == UINT64_MAX ? NULL : &t, NULL) < 0 && errno != EINTR) break;
        if (host[n].revents) break;
        if (host[n + 1].revents) process_heed(p);
    }
    *outcome = CALL_STOPPED;
    return 0;
}

static int64_t do_poll(struct process *p, uint64_t va, uint64_t n, uint64_t until, enum call_outcome *outcome)
{
    struct pollfd fds[POLL_MAX];
    if (n > POLL_MAX) return -EINVAL;
    if (space_read(p->space, va, fds, n * sizeof(*fds))) return -EFAULT;
    const int ready = wait_for(p, fds, (unsigned)n, until, outcome);
    if (ready < 0) return ready;
    return space_write(p->space, va, fds, n * sizeof(*fds)) ? -EFAULT : ready;
}

int64_t call_poll(struct process *p, const uint64_t arg[6], enum call_outcome *outcome)
{
    const int ms = (int)arg[2];
    return do_poll(p, arg[0], (unsigned)arg[1], ms < 0 ? UINT64_MAX : after((uint64_t)ms * 1000000), outcome);
}

int64_t call_ppoll(struct process *p, const uint64_t arg[6], enum call_outcome *outcome)
{
    uint64_t ns = UINT64_MAX;
    if (arg[2] && !read_time(p, arg[2], &ns)) return bad_time(p, arg[2]);
    return do_poll(p, arg[0], (unsigned)arg[1], arg[2] ? after(ns) : UINT64_MAX, outcome);
}

static int64_t do_select(struct process *p, const uint64_t arg[6], uint64_t until, enum call_outcome *outcome)
{
    static const short events[3] = {POLLIN, POLLOUT, POLLPRI};
    uint8_t set[3][SELECT_MAX / 8] = {{0}};
    struct pollfd fds[POLL_MAX];
    unsigned n = 0;
    int64_t bits = 0;
    const uint64_t top = (unsigned)arg[0], bytes = (top + 63) / 64 * 8;
    if (top > SELECT_MAX) return -EINVAL;
    for (unsigned k = 0; k < 3; k++)
        if (arg[1 + k] && space_read(p->space, arg[1 + k], set[k], bytes)) return -EFAULT;
    for (unsigned fd = 0; fd < top; fd++) {
        int wanted = 0;
        for (unsigned k = 0; k < 3; k++)
            if (set[k][fd / 8] >> fd % 8 & 1) wanted |= events[k];
        if (!wanted) continue;
        if (!files_get(p, fd)) return -EBADF;
        if (n == POLL_MAX) return -EINVAL;
        fds[n++] = (struct pollfd){.fd = (int)fd, .events = (short)wanted};
    }
    const int ready = wait_for(p, fds, n, until, outcome);
    if (ready < 0) return ready;
    memset(set, 0, sizeof(set));
    for (unsigned i = 0; i < n; i++)
        for (unsigned k = 0; k < 3; k++) {
            const int also = k == 0 ? POLLHUP | POLLERR : k == 1 ? POLLERR : 0;
            if (!(fds[i].events & events[k]) || !(fds[i].revents & (events[k] | also))) continue;
            set[k][fds[i].fd / 8] |= (uint8_t)(1u << fds[i].fd % 8);
            bits++;
        }
    for (unsigned k = 0; k < 3; k++)
        if (arg[1 + k] && space_write(p->space, arg[1 + k], set[k], bytes)) return -EFAULT;
    return bits;
}

int64_t call_select(struct process *p, const uint64_t arg[6], enum call_outcome *outcome)
{
    struct timeval t;
    if (!arg[4]) return do_select(p, arg, UINT64_MAX, outcome);
    if (space_read(p->space, arg[4], &t, sizeof(t))) return -EFAULT;
    if (t.tv_sec < 0 || t.tv_usec < 0 || t.tv_usec >= 1000000) return -EINVAL;
    const uint64_t s = (uint64_t)t.tv_sec;
    return do_select(
        p, arg, s < UINT64_MAX / NS_PER_S - 1 ? after(s * NS_PER_S + (uint64_t)t.tv_usec * 1000) : UINT64_MAX, outcome);
}

int64_t call_pselect(struct process *p, const uint64_t arg[6], enum call_outcome *outcome)
{
    uint64_t ns = UINT64_MAX;
    if (arg[4] && !read_time(p, arg[4], &ns)) return bad_time(p, arg[4]);
    return do_select(p, arg, arg[4] ? after(ns) : UINT64_MAX, outcome);
}
