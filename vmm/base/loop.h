/* The event loop: one epoll set, one thread that runs it. Devices live on it and so need no lock.
 *
 * Storage is the caller's: a source or job is a member of the object it belongs to, so nothing is allocated and a
 * removed source can't be called again (loop_remove also forgets events already fetched in the current batch).
 * Level-triggered. loop_add/modify/remove: on the loop's thread, or while the loop does not run.
 * loop_post, loop_call, loop_stop, loop_timer_set: any thread. loop_poke: any thread and any signal handler. */
#ifndef VIREO_BASE_LOOP_H
#define VIREO_BASE_LOOP_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/epoll.h>

#include "vmm/base/err.h"

#define LOOP_BATCH 32 /* events fetched per epoll_wait: about one per queue of a usual machine */

struct loop_source {
    int fd;                                 /* not owned */
    void (*fn)(void *arg, uint32_t events); /* EPOLLIN | EPOLLOUT | EPOLLHUP | EPOLLERR */
    void *arg;
    bool is_added; /* the loop's */
};

struct loop_job { /* stays valid until fn has been called */
    void (*fn)(void *arg);
    void *arg;
    struct loop_job *next; /* the loop's */
    bool is_queued;        /* the loop's: posting a queued job again does nothing */
};

struct loop_timer { /* zero but for fn and arg */
    void (*fn)(void *arg);
    void *arg;
    struct loop_timer *next; /* the loop's, as all below */
    uint64_t at_ns;          /* of CLOCK_MONOTONIC */
    atomic_bool is_set;
};

struct loop {
    int epoll_fd;
    int wake_fd, timer_fd;
    pthread_mutex_t lock; /* protects jobs, timers, state and is_running */
    pthread_cond_t done;
    struct loop_job *jobs, **jobs_tail;
    bool is_running; /* a thread is inside loop_run */
    pthread_t thread;
    atomic_bool want_stop;
    struct loop_source wake, tick;
    struct loop_timer *timers; /* those that are set, the earliest first */
    uint64_t armed_ns;         /* when timer_fd becomes readable: for the earliest, or before it; 0: never */
    atomic_bool is_poked;
    void (*poke_fn)(void *arg); /* const while the loop runs */
    void *poke_arg;
    struct epoll_event batch[LOOP_BATCH]; /* current batch, so that remove can forget */
    int batch_next, batch_count;
    unsigned patience; /* how many sources ask for it */
    bool is_patient;   /* and patient_thread was made so */
    pthread_t patient_thread;
};

int loop_init(struct loop *l, struct err *e);
void loop_fini(struct loop *l); /* not while it runs; a loop that failed to init is legal */

int loop_add(struct loop *l, struct loop_source *s, uint32_t events); /* 0 or -errno */
/* The same for no event yet (but EPOLLHUP and EPOLLERR, which always come): a place in the loop that is taken while a
 * lack of memory or watches can still be told, and kept. loop_modify then takes nothing more of the host. */
int loop_reserve(struct loop *l, struct loop_source *s, struct err *e);
int loop_modify(struct loop *l, struct loop_source *s, uint32_t events); /* 0 or -errno */
void loop_remove(struct loop *l, struct loop_source *s);                 /* legal when not added */

/* Call job->fn on the loop's thread soon. If the loop does not run yet, when it starts. Jobs left over at loop_stop
 * are run before loop_run returns. */
void loop_post(struct loop *l, struct loop_job *job);
/* Call fn(arg) on the loop's thread and return when it has returned. Called on that thread, or while no thread runs
 * the loop: calls fn here and now (so set-up and tear-down use the same code). */
void loop_call(struct loop *l, void (*fn)(void *arg), void *arg);

/* Call t->fn once on the loop's thread, ns from now; a timer that is set already is set anew. Nothing is asked of the
 * kernel unless t is earlier than what the loop wakes up for anyway. */
void loop_timer_set(struct loop *l, struct loop_timer *t, uint64_t ns);
/* Loop's thread, or while the loop does not run. It will not be called any more; legal when it is not set. The loop may
 * wake up once in vain. */
void loop_timer_cancel(struct loop *l, struct loop_timer *t);
/* Any thread, without a lock: is it set, and fn's last call, if there was one, not begun? */
bool loop_timer_is_set(const struct loop_timer *t);

/* From the first ask to the last end the loop's thread is a patient one (thread.h): for a source that moves so much
 * that being woken late is better than interrupting whoever makes it. Each ask has one end. Loop's thread, or while the
 * loop does not run. */
void loop_ask_patience(struct loop *l);
void loop_end_patience(struct loop *l);

/* What loop_poke calls. Before the loop runs. */
void loop_on_poke(struct loop *l, void (*fn)(void *arg), void *arg);
/* Call that function on the loop's thread soon; if the loop does not run yet, when it starts. Several pokes may become
 * one call. Async-signal-safe: it takes no lock. */
void loop_poke(struct loop *l);

/* Run until loop_stop. A stop asked before the run counts. */
void loop_run(struct loop *l);
/* Be the loop's thread for one wait of at most timeout_ms (-1: until something comes), while nobody runs it: for
 * tear-down, when a device still waits for its host side. */
void loop_turn(struct loop *l, int timeout_ms);
void loop_stop(struct loop *l);
bool loop_is_here(struct loop *l); /* true on the loop's thread, or when nobody runs it */

#endif
