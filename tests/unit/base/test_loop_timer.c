/* Timers of the event loop: when they are called, and what they ask of the kernel. */

#include <semaphore.h>
#include <sys/eventfd.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "tests/unit/base/loop_rig.h"
#include "vmm/base/clock.h"

#define THREADS 8

#define MS    UINT64_C(1000000) /* in ns */
#define NEVER (3600 * 1000 * MS)

/* base.mk leads the loop's calls here. */
static atomic_uint armings;
int __real_timerfd_settime(int fd, int flags, const struct itimerspec *at, struct itimerspec *old);
int __wrap_timerfd_settime(int fd, int flags, const struct itimerspec *at, struct itimerspec *old);
int __wrap_timerfd_settime(int fd, int flags, const struct itimerspec *at, struct itimerspec *old)
{
    atomic_fetch_add(&armings, 1);
    return __real_timerfd_settime(fd, flags, at, old);
}

struct alarm {
    struct loop *loop;
    struct loop_timer timer;
    char name, **said;     /* it writes its name there, and goes on */
    unsigned calls, again; /* it sets itself so often */
    struct alarm *cancels; /* or NULL */
    uint64_t at_ns;
    bool was_set;
};

static void ring_alarm(void *arg)
{
    struct alarm *a = arg;
    a->was_set = loop_timer_is_set(&a->timer);
    a->at_ns = now_ns();
    a->calls++;
    if (a->said) *(*a->said)++ = a->name;
    if (a->cancels) loop_timer_cancel(a->loop, &a->cancels->timer);
    if (a->again > 0) {
        a->again--;
        loop_timer_set(a->loop, &a->timer, 0);
    }
}

static void init_alarm(struct alarm *a, struct loop *l, char name, char **said)
{
    *a = (struct alarm){.loop = l, .timer = {.fn = ring_alarm, .arg = a}, .name = name, .said = said};
}

static void end_loop(void *arg)
{
    loop_stop(arg);
}

static void timer_is_called_once_and_not_before_its_time(void **state)
{
    struct loop l;
    struct alarm a;
    struct loop_timer end = {.fn = end_loop, .arg = &l};
    (void)state;
    assert_int_equal(loop_init(&l, NULL), 0);
    init_alarm(&a, &l, 'a', NULL);
    const uint64_t begin = now_ns();
    loop_timer_set(&l, &a.timer, 3 * MS);
    loop_timer_set(&l, &end, 20 * MS);
    assert_true(loop_timer_is_set(&a.timer));
    loop_run(&l);
    assert_int_equal(a.calls, 1);
    assert_true(a.at_ns - begin >= 3 * MS);
    assert_false(a.was_set);
    loop_fini(&l);
}

static void timers_are_called_in_order_of_their_times(void **state)
{
    struct loop l;
    struct alarm a[5];
    struct loop_timer end = {.fn = end_loop, .arg = &l};
    char said[8] = "", *at = said;
    static const uint64_t ns[] = {5 * MS, 1 * MS, 7 * MS, 3 * MS, 6 * MS};
    (void)state;
    assert_int_equal(loop_init(&l, NULL), 0);
    for (unsigned i = 0; i < COUNT_OF(a); i++) {
        init_alarm(&a[i], &l, (char)('a' + i), &at);
        loop_timer_set(&l, &a[i].timer, ns[i]);
    }
    loop_timer_set(&l, &end, 8 * MS);
    loop_run(&l);
    assert_string_equal(said, "bdaec");
    loop_fini(&l);
}

static void a_new_time_takes_the_place_of_the_old_one(void **state)
{
    struct loop l;
    struct alarm sooner, later;
    struct loop_timer end = {.fn = end_loop, .arg = &l};
    (void)state;
    assert_int_equal(loop_init(&l, NULL), 0);
    init_alarm(&sooner, &l, 's', NULL);
    init_alarm(&later, &l, 'l', NULL);
    loop_timer_set(&l, &sooner.timer, NEVER);
    loop_timer_set(&l, &sooner.timer, 1 * MS);
    loop_timer_set(&l, &later.timer, 1 * MS);
    loop_timer_set(&l, &later.timer, NEVER);
    loop_timer_set(&l, &end, 10 * MS);
    loop_run(&l);
    assert_int_equal(sooner.calls, 1);
    assert_int_equal(later.calls, 0);
    assert_true(loop_timer_is_set(&later.timer));
    loop_fini(&l);
}

static void a_cancelled_timer_is_not_called_though_its_time_has_come(void **state)
{
    struct loop l;
    struct alarm first, second;
    (void)state;
    assert_int_equal(loop_init(&l, NULL), 0);
    init_alarm(&first, &l, '1', NULL);
    init_alarm(&second, &l, '2', NULL);
    first.cancels = &second;
    loop_timer_set(&l, &first.timer, 0); /* both are over when the loop looks */
    loop_timer_set(&l, &second.timer, 0);
    while (first.calls == 0) loop_turn(&l, -1);
    loop_turn(&l, 5);
    assert_int_equal(second.calls, 0);
    loop_timer_cancel(&l, &second.timer); /* legal when it is not set */
    loop_fini(&l);
}

struct visitor {
    struct loop *loop;
    unsigned visits;
};

static void visit(void *arg, uint32_t events)
{
    struct visitor *v = arg;
    (void)events;
    if (++v->visits == 3) loop_stop(v->loop);
}

static void one_that_sets_itself_leaves_the_loop_to_others(void **state)
{
    struct loop l;
    struct alarm a;
    struct visitor v = {.loop = &l};
    struct loop_source source = {.fd = eventfd(1, EFD_NONBLOCK | EFD_CLOEXEC), .fn = visit, .arg = &v};
    (void)state;
    assert_int_equal(loop_init(&l, NULL), 0);
    init_alarm(&a, &l, 'a', NULL);
    a.again = 1000000;
    loop_timer_set(&l, &a.timer, 0);
    assert_int_equal(loop_add(&l, &source, EPOLLIN), 0);
    loop_run(&l);
    assert_int_equal(v.visits, 3);
    assert_true(a.again > 0);
    loop_remove(&l, &source);
    close(source.fd);
    loop_fini(&l);
}

static void what_is_put_off_or_cancelled_asks_nothing_of_the_kernel(void **state)
{
    struct loop l;
    struct alarm a, b;
    (void)state;
    assert_int_equal(loop_init(&l, NULL), 0);
    init_alarm(&a, &l, 'a', NULL);
    init_alarm(&b, &l, 'b', NULL);
    atomic_store(&armings, 0);
    loop_timer_set(&l, &a.timer, NEVER);
    assert_int_equal(atomic_load(&armings), 1);
    loop_timer_set(&l, &b.timer, 2 * NEVER);
    for (int i = 0; i < 100; i++) loop_timer_set(&l, &a.timer, NEVER);
    loop_timer_cancel(&l, &a.timer);
    loop_timer_cancel(&l, &b.timer);
    loop_timer_set(&l, &b.timer, UINT64_MAX);
    assert_int_equal(atomic_load(&armings), 1);
    loop_timer_set(&l, &a.timer, NEVER / 2);
    assert_int_equal(atomic_load(&armings), 2);
    loop_fini(&l);
}

static void post(void *arg)
{
    (void)sem_post(arg);
}

/* While it sleeps, and while it is awake and about to sleep. */
static void a_timer_of_another_thread_is_heard(void **state)
{
    struct loop l;
    sem_t called;
    struct loop_timer t = {.fn = post, .arg = &called};
    (void)state;
    assert_int_equal(loop_init(&l, NULL), 0);
    assert_int_equal(sem_init(&called, 0, 0), 0);
    const pthread_t thread = loop_thread_start(&l);
    for (int i = 0; i < 500; i++) {
        loop_timer_set(&l, &t, i % 2 ? 0 : MS / 10);
        while (sem_wait(&called) < 0) continue;
    }
    loop_thread_stop(&l, thread);
    (void)sem_destroy(&called);
    loop_fini(&l);
}

static void *set_many(void *arg)
{
    struct alarm *a = arg;
    for (uint64_t i = 0; i < 2000; i++) loop_timer_set(a->loop, &a->timer, i % 7 * MS / 100);
    return NULL;
}

/* Every last time that was set must come. */
static void threads_may_set_timers_at_once(void **state)
{
    struct loop l;
    struct alarm a[THREADS];
    pthread_t setter[THREADS];
    (void)state;
    assert_int_equal(loop_init(&l, NULL), 0);
    const pthread_t thread = loop_thread_start(&l);
    for (unsigned i = 0; i < THREADS; i++) {
        init_alarm(&a[i], &l, 'a', NULL);
        assert_int_equal(pthread_create(&setter[i], NULL, set_many, &a[i]), 0);
    }
    for (unsigned i = 0; i < THREADS; i++) assert_int_equal(pthread_join(setter[i], NULL), 0);
    for (unsigned i = 0; i < THREADS; i++)
        while (loop_timer_is_set(&a[i].timer)) sched_yield();
    loop_thread_stop(&l, thread);
    for (unsigned i = 0; i < THREADS; i++) assert_true(a[i].calls > 0);
    loop_fini(&l);
}

UNIT_MAIN(UNIT(timer_is_called_once_and_not_before_its_time), UNIT(timers_are_called_in_order_of_their_times),
          UNIT(a_new_time_takes_the_place_of_the_old_one),
          UNIT(a_cancelled_timer_is_not_called_though_its_time_has_come),
          UNIT(one_that_sets_itself_leaves_the_loop_to_others),
          UNIT(what_is_put_off_or_cancelled_asks_nothing_of_the_kernel), UNIT(a_timer_of_another_thread_is_heard),
          UNIT(threads_may_set_timers_at_once))
