/* How a thread of ours is made, seen from within it; and what is read of threads. */
#include "tests/unit/unit.h"

#include <errno.h>
#include <sched.h>
#include <semaphore.h>
#include <signal.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "vmm/base/thread.h"

#define STACK_USUAL (8u << 20) /* of a thread that asks for none */

struct seen {
    sigset_t blocked;
    size_t stack;
    char name[16];
    sem_t is_named, is_done;
};

static void *look(void *arg)
{
    struct seen *s = arg;
    pthread_attr_t attr;
    void *base;
    (void)sem_wait(&s->is_named);
    assert_int_equal(pthread_sigmask(SIG_SETMASK, NULL, &s->blocked), 0);
    assert_int_equal(pthread_getattr_np(pthread_self(), &attr), 0);
    assert_int_equal(pthread_attr_getstack(&attr, &base, &s->stack), 0);
    pthread_attr_destroy(&attr);
    assert_int_equal(pthread_getname_np(pthread_self(), s->name, sizeof(s->name)), 0);
    (void)sem_post(&s->is_done);
    return NULL;
}

static void init(struct seen *s)
{
    *s = (struct seen){.stack = 0};
    assert_int_equal(sem_init(&s->is_named, 0, 0), 0);
    assert_int_equal(sem_init(&s->is_done, 0, 0), 0);
}

static void it_takes_faults_and_the_signal_it_was_given(void **state)
{
    static const int open_ones[] = {SIGUSR2, SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT, SIGSYS, SIGTRAP};
    static const int blocked[] = {SIGTERM, SIGINT, SIGPIPE, SIGUSR1, SIGALRM, SIGURG, SIGCHLD};
    struct seen s;
    pthread_t t;
    sigset_t before, after;
    (void)state;
    init(&s);
    (void)sem_post(&s.is_named);
    pthread_sigmask(SIG_SETMASK, NULL, &before);
    assert_int_equal(thread_make(&t, &(struct thread_start){.signal = SIGUSR2, .fn = look, .arg = &s}), 0);
    pthread_join(t, NULL);
    for (size_t i = 0; i < COUNT_OF(open_ones); i++) assert_false(sigismember(&s.blocked, open_ones[i]));
    for (size_t i = 0; i < COUNT_OF(blocked); i++) assert_true(sigismember(&s.blocked, blocked[i]));
    pthread_sigmask(SIG_SETMASK, NULL, &after);
    for (int sig = 1; sig < NSIG; sig++) assert_int_equal(sigismember(&after, sig), sigismember(&before, sig));
}

static void it_has_its_name_and_stack_and_nobody_need_join_it(void **state)
{
    struct seen s;
    (void)state;
    init(&s);
    assert_int_equal(thread_make(NULL, &(struct thread_start){.name = "web:io", .fn = look, .arg = &s}), 0);
    (void)sem_post(&s.is_named);
    (void)sem_wait(&s.is_done);
    assert_string_equal(s.name, "web:io");
    assert_true(s.stack >= THREAD_STACK / 2 && s.stack <= STACK_USUAL / 2); /* a C library or sanitizer adds some */
    (void)sem_destroy(&s.is_named);
}

static void set_policy(int policy)
{
    assert_int_equal(sched_setscheduler(0, policy, &(struct sched_param){0}), 0);
}

static void only_an_ordinary_thread_becomes_patient(void **state)
{
    (void)state;
    set_policy(SCHED_OTHER);
    assert_true(thread_be_patient());
    assert_int_equal(sched_getscheduler(0), SCHED_BATCH);
    assert_false(thread_be_patient());
    thread_be_ordinary();
    assert_int_equal(sched_getscheduler(0), SCHED_OTHER);
    set_policy(SCHED_OTHER | SCHED_RESET_ON_FORK); /* what a child shall have stays said */
    assert_true(thread_be_patient());
    assert_int_equal(sched_getscheduler(0), SCHED_BATCH | SCHED_RESET_ON_FORK);
    thread_be_ordinary();
    assert_int_equal(sched_getscheduler(0), SCHED_OTHER | SCHED_RESET_ON_FORK);
}

static void *be_idle(void *arg)
{
    (void)arg;
    set_policy(SCHED_IDLE); /* not every user may leave it again, so in a thread of its own */
    assert_false(thread_be_patient());
    thread_be_ordinary();
    assert_int_equal(sched_getscheduler(0), SCHED_IDLE);
    return NULL;
}

static void a_policy_that_somebody_chose_stays(void **state)
{
    pthread_t t;
    (void)state;
    assert_int_equal(pthread_create(&t, NULL, be_idle, NULL), 0);
    assert_int_equal(pthread_join(t, NULL), 0);
}

UNIT_MAIN(UNIT(it_takes_faults_and_the_signal_it_was_given), UNIT(it_has_its_name_and_stack_and_nobody_need_join_it),
          UNIT(only_an_ordinary_thread_becomes_patient), UNIT(a_policy_that_somebody_chose_stays))
