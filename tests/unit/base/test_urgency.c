/* A thread that asks to run at once, as this host's kernel grants it. Each test has a thread of its own. */
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "tests/unit/unit.h"
#include "vmm/base/clock.h"
#include "vmm/base/thread.h"
#include "vmm/base/urgency.h"

#define BURST_MS 20  /* that it may use at once */
#define SHARE    100 /* and after that a hundredth */
#define LEAST_NS 100000
#define NICE     5
#define NOBODY   65534

static int policy(void)
{
    return sched_getscheduler(0) & ~SCHED_RESET_ON_FORK;
}

static void *tell_policy(void *arg)
{
    *(int *)arg = policy();
    return NULL;
}

static int policy_of_a_new_thread(void)
{
    pthread_t t;
    int is = -1;
    assert_int_equal(pthread_create(&t, NULL, tell_policy, &is), 0);
    pthread_join(t, NULL);
    return is;
}

static void work_ms(uint64_t ms)
{
    const uint64_t end = clock_ns(CLOCK_THREAD_CPUTIME_ID) + ms * 1000000;
    while (clock_ns(CLOCK_THREAD_CPUTIME_ID) < end) continue;
}

static void sleep_ms(long ms)
{
    const struct timespec t = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000};
    (void)nanosleep(&t, NULL);
}

/* What the tests find, in a thread that ends with it. */
struct found {
    bool has_right; /* to be real time */
    int first, child, busy, after_work, rested, ended;
    uint64_t slice_ns, slice_ended_ns;
};

static bool may_be_real_time(void)
{
    const struct sched_param lowest = {.sched_priority = 1}, none = {0};
    const int before = policy();
    if (sched_setscheduler(0, SCHED_RR | SCHED_RESET_ON_FORK, &lowest) < 0) return false;
    assert_int_equal(sched_setscheduler(0, before | SCHED_RESET_ON_FORK, &none), 0);
    return true;
}

static void *live(void *arg)
{
    struct found *f = arg;
    struct urgency u = {0};
    f->has_right = may_be_real_time();
    urgency_renew(&u);
    f->first = policy();
    f->slice_ns = thread_slice_ns(0);
    f->child = policy_of_a_new_thread();
    work_ms(BURST_MS / 4);
    urgency_renew(&u);
    f->busy = policy();
    work_ms(BURST_MS);
    urgency_renew(&u);
    f->after_work = policy();
    sleep_ms(BURST_MS * SHARE);
    urgency_renew(&u);
    f->rested = policy();
    urgency_end(&u);
    f->ended = policy();
    f->slice_ended_ns = thread_slice_ns(0);
    return NULL;
}

static struct found in_thread(void *(*fn)(void *))
{
    struct found f = {0};
    pthread_t t;
    assert_int_equal(pthread_create(&t, NULL, fn, &f), 0);
    pthread_join(t, NULL);
    return f;
}

static void it_is_real_time_while_it_uses_little(void **state)
{
    (void)state;
    const struct found f = in_thread(live);
    if (!f.has_right) {
        print_message("this user may not make a thread real time\n");
        skip();
    }
    assert_int_equal(f.first, SCHED_RR);
    assert_int_equal(f.child, SCHED_OTHER);
    assert_int_equal(f.busy, SCHED_RR);
    assert_int_equal(f.after_work, SCHED_OTHER);
    assert_int_equal(f.rested, SCHED_RR);
    assert_int_equal(f.ended, SCHED_OTHER);
}

static void *live_without_rights(void *arg)
{
    const struct rlimit none = {0};
    assert_int_equal(setrlimit(RLIMIT_RTPRIO, &none), 0);
    if (geteuid() == 0) assert_int_equal(syscall(SYS_setresuid, NOBODY, NOBODY, NOBODY), 0); /* of this thread alone */
    return live(arg);
}

static void without_the_right_it_has_the_shortest_slice(void **state)
{
    (void)state;
    const uint64_t usual = thread_slice_ns(0);
    const struct found f = in_thread(live_without_rights);
    assert_false(f.has_right);
    assert_int_equal(f.first, SCHED_OTHER);
    assert_int_equal(f.ended, SCHED_OTHER);
    if (usual == 0) {
        print_message("this kernel has no slices of a thread's own (Linux 6.12)\n");
        skip();
    }
    assert_int_equal(f.slice_ns, LEAST_NS);
    assert_true(usual > LEAST_NS); /* else nothing was seen */
    assert_int_equal(f.slice_ended_ns, usual);
}

static void *live_nicely(void *arg)
{
    assert_int_equal(setpriority(PRIO_PROCESS, 0, NICE), 0);
    return live(arg);
}

static void *live_in_batches(void *arg)
{
    const struct sched_param none = {0};
    assert_int_equal(sched_setscheduler(0, SCHED_BATCH, &none), 0);
    return live(arg);
}

static void what_its_user_asked_for_stays(void **state)
{
    (void)state;
    const uint64_t usual = thread_slice_ns(0);
    const struct found nice = in_thread(live_nicely), batch = in_thread(live_in_batches);
    assert_int_equal(nice.first, SCHED_OTHER);
    assert_int_equal(nice.slice_ns, usual);
    assert_int_equal(nice.ended, SCHED_OTHER);
    assert_int_equal(batch.first, SCHED_BATCH);
    assert_int_equal(batch.ended, SCHED_BATCH);
}

UNIT_MAIN(UNIT(it_is_real_time_while_it_uses_little), UNIT(without_the_right_it_has_the_shortest_slice),
          UNIT(what_its_user_asked_for_stays))
