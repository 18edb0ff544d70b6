
#include <errno.h>
#include <sched.h>
#include <semaphore.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/time.h>
#include <unistd.h>

#include "tests/unit/base/loop_rig.h"
#include "vmm/base/clock.h"

#define THREADS 8

static void nothing(void *arg)
{
    (void)arg;
}

static void count_poke(void *arg)
{
    atomic_fetch_add((atomic_uint *)arg, 1);
}

static int event_fd(uint64_t value)
{
    const int fd = eventfd((unsigned)value, EFD_NONBLOCK | EFD_CLOEXEC);
    assert_true(fd >= 0);
    return fd;
}

static void signal_fd(int fd)
{
    const uint64_t one = 1;
    assert_int_equal(write(fd, &one, sizeof(one)), sizeof(one));
}

/* Run out of file descriptors at each of the three that a loop takes. */
static void init_that_fails_leaves_nothing(void **state)
{
    (void)state;
    struct rlimit all, few;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &all), 0);
    const int first_free = event_fd(0);
    close(first_free);
    for (int have = 0; have <= 3; have++) {
        struct loop l;
        struct err e = {0};
        few = (struct rlimit){.rlim_cur = (rlim_t)(first_free + have), .rlim_max = all.rlim_max};
        assert_int_equal(setrlimit(RLIMIT_NOFILE, &few), 0);
        assert_int_equal(loop_init(&l, &e), have < 3 ? -EMFILE : 0);
        if (have < 3) assert_contains(e.text, "for the event loop: Too many open files");
        loop_fini(&l);
        assert_int_equal(setrlimit(RLIMIT_NOFILE, &all), 0);
        const int next = event_fd(0);
        assert_int_equal(next, first_free);
        close(next);
    }
}

/* ---- sources ---- */

/* A source that counts its calls, and can do something to another one. */
struct counter {
    struct loop *loop;
    struct loop_source source;
    struct counter *other;
    unsigned calls;
    uint32_t events;
    unsigned stop_after; /* 0: never */
};

static void count(void *arg, uint32_t events)
{
    struct counter *c = arg;
    c->events = events;
    if (++c->calls == c->stop_after) loop_stop(c->loop);
}

static struct counter counter_at(struct loop *l, int fd)
{
    return (struct counter){.loop = l, .source = {.fd = fd, .fn = count}};
}

static void ready_source_is_called_until_it_is_read(void **state)
{
    (void)state;
    struct loop l;
    assert_int_equal(loop_init(&l, NULL), 0);
    struct counter c = counter_at(&l, event_fd(1));
    c.source.arg = &c;
    c.stop_after = 5;
    assert_int_equal(loop_add(&l, &c.source, EPOLLIN), 0);
    loop_run(&l);
    assert_int_equal(c.calls, 5);
    assert_int_equal(c.events, EPOLLIN);
    loop_remove(&l, &c.source);
    close(c.source.fd);
    loop_fini(&l);
}

static void add_modify_remove_report_misuse(void **state)
{
    (void)state;
    struct loop l;
    assert_int_equal(loop_init(&l, NULL), 0);
    struct counter c = counter_at(&l, event_fd(0));
    c.source.arg = &c;
    assert_int_equal(loop_modify(&l, &c.source, EPOLLIN), -ENOENT);
    loop_remove(&l, &c.source);
    assert_int_equal(loop_add(&l, &c.source, EPOLLIN), 0);
    assert_int_equal(loop_add(&l, &c.source, EPOLLIN), -EEXIST);
    assert_int_equal(loop_modify(&l, &c.source, EPOLLOUT), 0);
    close(c.source.fd); /* removal of a closed fd is legal */
    loop_remove(&l, &c.source);
    loop_remove(&l, &c.source);
    assert_int_equal(loop_add(&l, &c.source, EPOLLIN), -EBADF);
    assert_false(c.source.is_added);
    loop_fini(&l);
}

static void remove_other(void *arg, uint32_t events)
{
    struct counter *c = arg;
    count(c, events);
    loop_remove(c->loop, &c->other->source);
    memset(&c->other->source, 0xff, sizeof(c->other->source)); /* the owner may free it at once */
    loop_stop(c->loop);
}

/* Two ready sources in one batch, each removing the other: whichever comes first, exactly one is called. */
static void removed_source_is_not_called_again(void **state)
{
    (void)state;
    struct loop l;
    assert_int_equal(loop_init(&l, NULL), 0);
    struct counter pair[2];
    int fds[2];
    for (int i = 0; i < 2; i++) {
        fds[i] = event_fd(1);
        pair[i] = counter_at(&l, fds[i]);
        pair[i].source.fn = remove_other;
        pair[i].source.arg = &pair[i];
        pair[i].other = &pair[1 - i];
        assert_int_equal(loop_add(&l, &pair[i].source, EPOLLIN), 0);
    }
    loop_run(&l);
    assert_int_equal(pair[0].calls + pair[1].calls, 1);
    for (int i = 0; i < 2; i++) close(fds[i]);
    loop_fini(&l);
}

static void mute_other(void *arg, uint32_t events)
{
    struct counter *c = arg;
    count(c, events);
    assert_int_equal(loop_modify(c->loop, &c->other->source, 0), 0);
    loop_stop(c->loop);
}

static void modified_source_gets_no_event_it_no_longer_wants(void **state)
{
    (void)state;
    struct loop l;
    assert_int_equal(loop_init(&l, NULL), 0);
    struct counter pair[2];
    for (int i = 0; i < 2; i++) {
        pair[i] = counter_at(&l, event_fd(1));
        pair[i].source.fn = mute_other;
        pair[i].source.arg = &pair[i];
        pair[i].other = &pair[1 - i];
        assert_int_equal(loop_add(&l, &pair[i].source, EPOLLIN), 0);
    }
    loop_run(&l);
    assert_int_equal(pair[0].calls + pair[1].calls, 1);
    for (int i = 0; i < 2; i++) {
        loop_remove(&l, &pair[i].source);
        close(pair[i].source.fd);
    }
    loop_fini(&l);
}

static void remove_self_and_stop(void *arg, uint32_t events)
{
    struct counter *c = arg;
    count(c, events);
    loop_remove(c->loop, &c->source);
    close(c->source.fd);
    if (!c->other || c->other->calls > 0) loop_stop(c->loop);
}

static void source_may_remove_itself(void **state)
{
    (void)state;
    struct loop l;
    assert_int_equal(loop_init(&l, NULL), 0);
    struct counter pair[2];
    for (int i = 0; i < 2; i++) {
        pair[i] = counter_at(&l, event_fd(1));
        pair[i].source.fn = remove_self_and_stop;
        pair[i].source.arg = &pair[i];
        pair[i].other = &pair[1 - i];
        assert_int_equal(loop_add(&l, &pair[i].source, EPOLLIN), 0);
    }
    loop_run(&l);
    assert_int_equal(pair[0].calls, 1);
    assert_int_equal(pair[1].calls, 1);
    loop_fini(&l);
}

/* More ready sources than one batch fetches: none starves. */
static void every_source_gets_its_turn(void **state)
{
    (void)state;
    struct loop l;
    enum { MANY = 3 * LOOP_BATCH };
    static struct counter c[MANY];
    assert_int_equal(loop_init(&l, NULL), 0);
    for (int i = 0; i < MANY; i++) {
        c[i] = counter_at(&l, event_fd(1));
        c[i].source.arg = &c[i];
        assert_int_equal(loop_add(&l, &c[i].source, EPOLLIN), 0);
    }
    c[MANY - 1].stop_after = 10;
    loop_run(&l);
    for (int i = 0; i < MANY; i++) {
        assert_true(c[i].calls >= 8);
        loop_remove(&l, &c[i].source);
        close(c[i].source.fd);
    }
    loop_fini(&l);
}

/* ---- jobs ---- */

struct tally {
    struct loop *loop;
    struct loop_job job;
    unsigned calls, post_again, stop_after;
};

static void add_one(void *arg)
{
    struct tally *t = arg;
    t->calls++;
    if (t->calls <= t->post_again) loop_post(t->loop, &t->job);
    if (t->calls == t->stop_after) loop_stop(t->loop);
}

static struct tally tally_on(struct loop *l)
{
    return (struct tally){.loop = l, .job = {.fn = add_one}};
}

static void job_posted_before_the_run_is_called_in_it(void **state)
{
    (void)state;
    struct loop l;
    assert_int_equal(loop_init(&l, NULL), 0);
    struct tally t = tally_on(&l);
    t.job.arg = &t;
    t.stop_after = 1;
    loop_post(&l, &t.job);
    loop_post(&l, &t.job); /* queued already: once */
    assert_int_equal(t.calls, 0);
    loop_run(&l);
    assert_int_equal(t.calls, 1);
    assert_false(t.job.is_queued);
    loop_fini(&l);
}

static void jobs_left_at_stop_are_called_in_order(void **state)
{
    (void)state;
    struct loop l;
    assert_int_equal(loop_init(&l, NULL), 0);
    struct tally t[3];
    for (unsigned i = 0; i < COUNT_OF(t); i++) {
        t[i] = tally_on(&l);
        t[i].job.arg = &t[i];
        loop_post(&l, &t[i].job);
    }
    assert_ptr_equal(l.jobs, &t[0].job);
    assert_ptr_equal(l.jobs->next, &t[1].job);
    loop_stop(&l); /* before the run: it counts */
    loop_run(&l);
    for (unsigned i = 0; i < COUNT_OF(t); i++) assert_int_equal(t[i].calls, 1);
    loop_fini(&l);
}

static void job_may_post_itself_without_starving_sources_or_stop(void **state)
{
    (void)state;
    struct loop l;
    assert_int_equal(loop_init(&l, NULL), 0);
    struct counter c = counter_at(&l, event_fd(1));
    c.source.arg = &c;
    c.stop_after = 20;
    assert_int_equal(loop_add(&l, &c.source, EPOLLIN), 0);
    struct tally t = tally_on(&l);
    t.job.arg = &t;
    t.post_again = UINT32_MAX;
    loop_post(&l, &t.job);
    loop_run(&l);
    assert_int_equal(c.calls, 20);
    assert_true(t.calls >= 19);
    assert_true(t.job.is_queued); /* what is left waits for the next run */
    loop_remove(&l, &c.source);
    close(c.source.fd);
    loop_fini(&l);
}

static void free_job(void *arg)
{
    struct tally *t = arg;
    loop_stop(t->loop);
    memset(t, 0xff, sizeof(*t));
    free(t);
}

static void job_may_free_itself(void **state)
{
    (void)state;
    struct loop l;
    assert_int_equal(loop_init(&l, NULL), 0);
    struct tally *t = malloc(sizeof(*t));
    assert_non_null(t);
    *t = (struct tally){.loop = &l, .job = {.fn = free_job, .arg = t}};
    loop_post(&l, &t->job);
    loop_run(&l);
    loop_fini(&l);
}

static void one_stop_ends_one_run(void **state)
{
    (void)state;
    struct loop l;
    assert_int_equal(loop_init(&l, NULL), 0);
    loop_stop(&l);
    loop_run(&l);
    const pthread_t t = loop_thread_start(&l);
    struct tally tally = tally_on(&l);
    loop_call(&l, add_one, &tally); /* either before the run or in it, but it comes back */
    assert_int_equal(tally.calls, 1);
    loop_thread_stop(&l, t);
    loop_fini(&l);
}

/* ---- calls and threads ---- */

struct where {
    struct loop *loop;
    pthread_t thread;
    bool is_here, is_nested;
};

static void note_where(void *arg)
{
    struct where *w = arg;
    w->thread = pthread_self();
    w->is_here = loop_is_here(w->loop);
    if (w->is_nested) return;
    w->is_nested = true;
    loop_call(w->loop, note_where, w); /* on the loop's thread: here and now, no deadlock */
}

static void call_runs_here_when_nobody_runs_the_loop(void **state)
{
    (void)state;
    struct loop l;
    assert_int_equal(loop_init(&l, NULL), 0);
    struct where w = {.loop = &l};
    assert_true(loop_is_here(&l));
    loop_call(&l, note_where, &w);
    assert_true(w.is_here && w.is_nested);
    assert_true(pthread_equal(w.thread, pthread_self()));
    loop_fini(&l);
}

static void set_flag(void *arg)
{
    atomic_store((atomic_bool *)arg, true);
}

/* Post until the runner owns the loop, so that the next call must cross threads. */
static void wait_until_it_runs(struct loop *l)
{
    atomic_bool flag = false;
    struct loop_job job = {.fn = set_flag, .arg = &flag};
    loop_post(l, &job);
    while (!atomic_load(&flag)) usleep(100);
}

static void call_runs_on_the_loop_thread(void **state)
{
    (void)state;
    struct loop l;
    assert_int_equal(loop_init(&l, NULL), 0);
    const pthread_t t = loop_thread_start(&l);
    wait_until_it_runs(&l);
    struct where w = {.loop = &l};
    assert_false(loop_is_here(&l));
    loop_call(&l, note_where, &w);
    assert_true(w.is_here && w.is_nested);
    assert_true(pthread_equal(w.thread, t));
    loop_thread_stop(&l, t);
    assert_true(loop_is_here(&l));
    loop_fini(&l);
}

/* State that only "the loop's thread" touches, without a lock: any overlap is a data race for ThreadSanitizer and, with
 * luck, a lost count here. */
struct shared {
    struct loop *loop;
    unsigned total;
    bool is_inside;
    atomic_uint overlaps;
};

static void touch(void *arg)
{
    struct shared *s = arg;
    if (s->is_inside) atomic_fetch_add(&s->overlaps, 1);
    s->is_inside = true;
    s->total++;
    s->is_inside = false;
}

struct worker {
    struct shared *shared;
    unsigned rounds;
    atomic_uint posted_done;
    struct loop_job job;
};

static void touch_posted(void *arg)
{
    struct worker *w = arg;
    touch(w->shared);
    atomic_fetch_add(&w->posted_done, 1);
}

/* Each worker mixes calls with posts; a post is waited for before the next, so that none may be lost. */
static void *work(void *arg)
{
    struct worker *w = arg;
    for (unsigned i = 0; i < w->rounds; i++) {
        loop_call(w->shared->loop, touch, w->shared);
        loop_post(w->shared->loop, &w->job);
        while (atomic_load(&w->posted_done) <= i) sched_yield();
    }
    return NULL;
}

static void no_wake_up_is_lost_under_eight_posting_threads(void **state)
{
    (void)state;
    enum { ROUNDS = 1000 };
    struct loop l;
    assert_int_equal(loop_init(&l, NULL), 0);
    struct shared s = {.loop = &l};
    struct worker w[THREADS];
    pthread_t threads[THREADS];
    const pthread_t t = loop_thread_start(&l);
    for (int i = 0; i < THREADS; i++) {
        w[i] = (struct worker){.shared = &s, .rounds = ROUNDS, .job = {.fn = touch_posted, .arg = &w[i]}};
        assert_int_equal(pthread_create(&threads[i], NULL, work, &w[i]), 0);
    }
    for (int i = 0; i < THREADS; i++) assert_int_equal(pthread_join(threads[i], NULL), 0);
    loop_thread_stop(&l, t);
    assert_int_equal(atomic_load(&s.overlaps), 0);
    assert_int_equal(s.total, 2 * ROUNDS * THREADS);
    loop_fini(&l);
}

static void *call_many(void *arg)
{
    struct worker *w = arg;
    for (unsigned i = 0; i < w->rounds; i++) loop_call(w->shared->loop, touch, w->shared);
    return NULL;
}

/* The loop is started and stopped over and over while others call: each call happens once and none hangs, whether it
 * meets a runner, nobody, or a runner that is leaving. */
static void calls_survive_start_and_stop(void **state)
{
    (void)state;
    enum { RUNS = 300, ROUNDS = 2000 };
    struct loop l;
    assert_int_equal(loop_init(&l, NULL), 0);
    struct shared s = {.loop = &l};
    struct worker w[THREADS];
    pthread_t threads[THREADS];
    for (int i = 0; i < THREADS; i++) {
        w[i] = (struct worker){.shared = &s, .rounds = ROUNDS};
        assert_int_equal(pthread_create(&threads[i], NULL, call_many, &w[i]), 0);
    }
    for (int i = 0; i < RUNS; i++) {
        const pthread_t t = loop_thread_start(&l);
        if (i % 2) wait_until_it_runs(&l);
        loop_thread_stop(&l, t);
    }
    for (int i = 0; i < THREADS; i++) assert_int_equal(pthread_join(threads[i], NULL), 0);
    assert_int_equal(atomic_load(&s.overlaps), 0);
    assert_int_equal(s.total, ROUNDS * THREADS);
    loop_fini(&l);
}

static void *run_and_free(void *arg)
{
    struct loop *l = arg;
    loop_run(l);
    loop_fini(l);
    free(l);
    return NULL;
}

/* The loop is freed as soon as it has ended, which may be before loop_stop has returned. A source that is always ready
 * keeps it awake, so that it does not wait for the stopper's wake-up. */
static void stopper_does_not_touch_a_loop_it_has_ended(void **state)
{
    (void)state;
    const int ready = event_fd(1);
    for (int i = 0; i < 500; i++) {
        struct loop *l = malloc(sizeof(*l));
        assert_non_null(l);
        assert_int_equal(loop_init(l, NULL), 0);
        struct counter busy = counter_at(l, ready);
        busy.source.arg = &busy;
        assert_int_equal(loop_add(l, &busy.source, EPOLLIN), 0);
        pthread_t t;
        assert_int_equal(pthread_create(&t, NULL, run_and_free, l), 0);
        wait_until_it_runs(l);
        loop_stop(l);
        assert_int_equal(pthread_join(t, NULL), 0);
    }
    close(ready);
}

static void *signal_many(void *arg)
{
    for (int i = 0; i < 200; i++) {
        signal_fd(*(int *)arg);
        sched_yield();
    }
    return NULL;
}

static void drain(void *arg, uint32_t events)
{
    struct counter *c = arg;
    uint64_t n = 0;
    (void)events;
    if (read(c->source.fd, &n, sizeof(n)) == sizeof(n)) c->calls += (unsigned)n;
}

static void fd_events_and_calls_share_the_loop(void **state)
{
    (void)state;
    struct loop l;
    assert_int_equal(loop_init(&l, NULL), 0);
    struct counter c = counter_at(&l, event_fd(0));
    c.source.fn = drain;
    c.source.arg = &c;
    assert_int_equal(loop_add(&l, &c.source, EPOLLIN), 0);
    const pthread_t t = loop_thread_start(&l);
    pthread_t signaller;
    assert_int_equal(pthread_create(&signaller, NULL, signal_many, &c.source.fd), 0);
    for (int i = 0; i < 200; i++) loop_call(&l, nothing, NULL);
    assert_int_equal(pthread_join(signaller, NULL), 0);
    loop_thread_stop(&l, t);
    drain(&c, EPOLLIN);
    assert_int_equal(c.calls, 200);
    loop_remove(&l, &c.source);
    close(c.source.fd);
    loop_fini(&l);
}

/* ---- pokes and turns ---- */

static struct loop *to_poke;
static void on_signal(int signo)
{
    (void)signo;
    loop_poke(to_poke);
}

/* A handler that interrupts this thread in loop_post and loop_call, under the lock, while the loop runs elsewhere. */
static void a_signal_handler_may_poke_at_any_moment(void **state)
{
    (void)state;
    struct loop l;
    struct err e;
    atomic_uint pokes = 0;
    assert_int_equal(loop_init(&l, &e), 0);
    loop_on_poke(&l, count_poke, &pokes);
    const pthread_t t = loop_thread_start(&l);
    const struct itimerval often = {.it_interval.tv_usec = 200, .it_value.tv_usec = 200}, never = {0};
    to_poke = &l;
    signal(SIGALRM, on_signal);
    assert_int_equal(setitimer(ITIMER_REAL, &often, NULL), 0);
    while (atomic_load(&pokes) < 100) loop_call(&l, nothing, NULL);
    assert_int_equal(setitimer(ITIMER_REAL, &never, NULL), 0);
    signal(SIGALRM, SIG_DFL);
    loop_thread_stop(&l, t);
    loop_fini(&l);
}

static void a_poke_before_the_run_is_heard_in_it(void **state)
{
    (void)state;
    struct loop l;
    struct err e;
    atomic_uint pokes = 0;
    assert_int_equal(loop_init(&l, &e), 0);
    loop_on_poke(&l, count_poke, &pokes);
    loop_poke(&l);
    loop_poke(&l);
    loop_turn(&l, -1);
    assert_int_equal(atomic_load(&pokes), 1);
    loop_turn(&l, 0); /* nothing is left, and a turn without events comes back */
    assert_int_equal(atomic_load(&pokes), 1);
    loop_fini(&l);
}

static void end_patience(void *arg)
{
    loop_end_patience(arg);
}

static void it_is_patient_from_the_first_ask_to_the_last_end(void **state)
{
    struct loop l;
    (void)state;
    assert_int_equal(sched_setscheduler(0, SCHED_OTHER, &(struct sched_param){0}), 0);
    assert_int_equal(loop_init(&l, NULL), 0);
    loop_ask_patience(&l);
    loop_ask_patience(&l);
    assert_int_equal(sched_getscheduler(0), SCHED_BATCH);
    loop_end_patience(&l);
    assert_int_equal(sched_getscheduler(0), SCHED_BATCH);
    loop_end_patience(&l);
    assert_int_equal(sched_getscheduler(0), SCHED_OTHER);
    loop_fini(&l);
}

static void *ask_patience(void *arg)
{
    loop_ask_patience(arg);
    return NULL;
}

/* At tear-down the thread that was patient has gone. */
static void who_ends_it_in_place_of_another_stays_as_it_is(void **state)
{
    struct loop l;
    pthread_t t;
    (void)state;
    assert_int_equal(loop_init(&l, NULL), 0);
    assert_int_equal(pthread_create(&t, NULL, ask_patience, &l), 0);
    assert_int_equal(pthread_join(t, NULL), 0);
    assert_int_equal(sched_setscheduler(0, SCHED_BATCH, &(struct sched_param){0}), 0);
    loop_call(&l, end_patience, &l);
    assert_int_equal(sched_getscheduler(0), SCHED_BATCH);
    assert_int_equal(sched_setscheduler(0, SCHED_OTHER, &(struct sched_param){0}), 0);
    loop_ask_patience(&l); /* and it can be asked for anew */
    assert_int_equal(sched_getscheduler(0), SCHED_BATCH);
    loop_end_patience(&l);
    loop_fini(&l);
}

UNIT_MAIN(UNIT(a_signal_handler_may_poke_at_any_moment), UNIT(a_poke_before_the_run_is_heard_in_it),
          UNIT(init_that_fails_leaves_nothing), UNIT(ready_source_is_called_until_it_is_read),
          UNIT(add_modify_remove_report_misuse), UNIT(removed_source_is_not_called_again),
          UNIT(modified_source_gets_no_event_it_no_longer_wants), UNIT(source_may_remove_itself),
          UNIT(every_source_gets_its_turn), UNIT(job_posted_before_the_run_is_called_in_it),
          UNIT(jobs_left_at_stop_are_called_in_order), UNIT(job_may_post_itself_without_starving_sources_or_stop),
          UNIT(job_may_free_itself), UNIT(one_stop_ends_one_run), UNIT(call_runs_here_when_nobody_runs_the_loop),
          UNIT(call_runs_on_the_loop_thread), UNIT(no_wake_up_is_lost_under_eight_posting_threads),
          UNIT(calls_survive_start_and_stop), UNIT(stopper_does_not_touch_a_loop_it_has_ended),
          UNIT(fd_events_and_calls_share_the_loop), UNIT(it_is_patient_from_the_first_ask_to_the_last_end),
          UNIT(who_ends_it_in_place_of_another_stays_as_it_is))
