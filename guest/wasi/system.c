/* Arguments, environment, clocks, random numbers, the end; and sockets, which there are none of. */
#include <errno.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/random.h>
#include <unistd.h>

#include "guest/wasi/wasi.h"

#define RANDOM_MOST 0x1000000u /* bytes of one getrandom: it takes 32 MiB - 1 at most (random(4)) */

/* ---- lists of strings ---- */

static uint32_t sizes(struct wasi *w, char **list, uint32_t count_at, uint32_t bytes_at)
{
    uint32_t count = 0, bytes = 0; /* the kernel gives a program less than 2^31 of them (execve(2)) */
    for (; list[count]; count++) bytes += (uint32_t)strlen(list[count]) + 1;
    const uint32_t rc = wasi_put(w, count_at, &count, sizeof(count));
    return rc ? rc : wasi_put(w, bytes_at, &bytes, sizeof(bytes));
}

static uint32_t strings(struct wasi *w, char **list, uint32_t pointers_at, uint32_t bytes_at)
{
    for (uint32_t i = 0; list[i]; i++) {
        const uint32_t len = (uint32_t)strlen(list[i]) + 1;
        uint32_t rc = wasi_put(w, pointers_at, &bytes_at, sizeof(bytes_at));
        if (rc == WASI_OK) rc = wasi_put(w, bytes_at, list[i], len);
        /* An address that wraps is none: nothing of the module's lies across 4 GiB. */
        if (rc || __builtin_add_overflow(bytes_at, len, &bytes_at) ||
            __builtin_add_overflow(pointers_at, 4, &pointers_at))
            return WASI_FAULT;
    }
    return WASI_OK;
}

uint32_t WASI_CALL(args_sizes_get)(struct wasi *w, uint32_t count_at, uint32_t bytes_at)
{
    return sizes(w, w->argv, count_at, bytes_at);
}

uint32_t WASI_CALL(args_get)(struct wasi *w, uint32_t pointers_at, uint32_t bytes_at)
{
    return strings(w, w->argv, pointers_at, bytes_at);
}

uint32_t WASI_CALL(environ_sizes_get)(struct wasi *w, uint32_t count_at, uint32_t bytes_at)
{
    return sizes(w, w->envp, count_at, bytes_at);
}

uint32_t WASI_CALL(environ_get)(struct wasi *w, uint32_t pointers_at, uint32_t bytes_at)
{
    return strings(w, w->envp, pointers_at, bytes_at);
}

/* ---- clocks ---- */

static const clockid_t clocks[] = {CLOCK_REALTIME, CLOCK_MONOTONIC, CLOCK_PROCESS_CPUTIME_ID, CLOCK_THREAD_CPUTIME_ID};
#define CLOCKS (sizeof(clocks) / sizeof(clocks[0]))

static uint32_t put_time(struct wasi *w, struct timespec t, uint32_t at)
{
    const uint64_t ns = wasi_ns(t);
    return wasi_put(w, at, &ns, sizeof(ns));
}

uint32_t WASI_CALL(clock_res_get)(struct wasi *w, uint32_t id, uint32_t at)
{
    struct timespec t;
    if (id >= CLOCKS) return WASI_INVAL;
    return clock_getres(clocks[id], &t) < 0 ? wasi_last() : put_time(w, t, at);
}

uint32_t WASI_CALL(clock_time_get)(struct wasi *w, uint32_t id, uint64_t precision_ns, uint32_t at)
{
    struct timespec t;
    (void)precision_ns; /* what may be lost is never lost */
    if (id >= CLOCKS) return WASI_INVAL;
    return clock_gettime(clocks[id], &t) < 0 ? wasi_last() : put_time(w, t, at);
}

/* ---- the rest ---- */

uint32_t WASI_CALL(random_get)(struct wasi *w, uint32_t at, uint32_t len)
{
    uint8_t *to = wasi_slice(w, at, len);
    if (!to) return WASI_FAULT;
    while (len > 0) {
        const ssize_t n = getrandom(to, len < RANDOM_MOST ? len : RANDOM_MOST, 0);
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) return wasi_last();
        to += n;
        len -= (uint32_t)n;
    }
    return WASI_OK;
}

uint32_t WASI_CALL(sched_yield)(struct wasi *w)
{
    (void)w;
    return sched_yield() < 0 ? wasi_last() : (uint32_t)WASI_OK;
}

/* The module's own buffers are in its memory, and it has written them or not. */
__attribute__((noreturn)) void WASI_CALL(proc_exit)(struct wasi *w, uint32_t status)
{
    (void)w;
    _exit((int)(status & 0xff));
}

/* Removed from later snapshots; a signal is the end of a module, as it has no handlers. */
uint32_t WASI_CALL(proc_raise)(struct wasi *w, uint32_t signal)
{
    (void)w, (void)signal;
    return WASI_NOTSUP;
}

uint32_t WASI_CALL(sock_accept)(struct wasi *w, uint32_t fd, uint32_t flags, uint32_t at)
{
    (void)w, (void)fd, (void)flags, (void)at;
    return WASI_NOTSUP;
}

uint32_t WASI_CALL(sock_recv)(struct wasi *w, uint32_t fd, uint32_t at, uint32_t count, uint32_t flags,
                              uint32_t done_at, uint32_t flags_at)
{
    (void)w, (void)fd, (void)at, (void)count, (void)flags, (void)done_at, (void)flags_at;
    return WASI_NOTSUP;
}

uint32_t WASI_CALL(sock_send)(struct wasi *w, uint32_t fd, uint32_t at, uint32_t count, uint32_t flags,
                              uint32_t done_at)
{
    (void)w, (void)fd, (void)at, (void)count, (void)flags, (void)done_at;
    return WASI_NOTSUP;
}

uint32_t WASI_CALL(sock_shutdown)(struct wasi *w, uint32_t fd, uint32_t how)
{
    (void)w, (void)fd, (void)how;
    return WASI_NOTSUP;
}
