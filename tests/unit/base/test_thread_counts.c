#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <time.h>
#include <unistd.h>

#include "tests/unit/unit.h"
#include "vmm/base/clock.h"
#include "vmm/base/thread.h"
#include "vmm/base/thread_counts.h"

#define SLEEPS  5
#define BURN_NS 30000000u /* several ticks */

/* A kernel may lack CONFIG_SCHED_INFO or the file `sched`. What it tells must be true. */
static bool has_file(const char *name)
{
    return access(name, R_OK) == 0;
}

static void burn(void)
{
    const uint64_t until = clock_ns(CLOCK_THREAD_CPUTIME_ID) + BURN_NS;
    while (clock_ns(CLOCK_THREAD_CPUTIME_ID) < until) continue;
}

static void counts_grow_by_what_the_thread_did(void **state)
{
    struct thread_files files;
    struct thread_counts before, after;
    (void)state;
    thread_files_init(&files);
    thread_counts(&files, gettid(), &before);
    burn();
    for (int i = 0; i < SLEEPS; i++) (void)nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
    thread_counts(&files, gettid(), &after);
    thread_files_close(&files);
    assert_true(after.cpu_ns >= before.cpu_ns + BURN_NS);
    assert_true(after.voluntary >= before.voluntary + SLEEPS && after.voluntary != THREAD_UNTOLD);
    assert_true(after.involuntary >= before.involuntary && after.involuntary != THREAD_UNTOLD);
    assert_true(after.cpu >= 0 && after.cpu < sysconf(_SC_NPROCESSORS_CONF));
    assert_int_equal(after.guest_ns, 0);
    assert_true(after.kernel_ns >= before.kernel_ns && after.kernel_ns <= clock_ns(CLOCK_MONOTONIC));
    assert_int_equal(after.run_delay_ns != THREAD_UNTOLD, has_file("/proc/thread-self/schedstat"));
    assert_int_equal(after.migrations != THREAD_UNTOLD, has_file("/proc/thread-self/sched"));
    assert_true(after.run_delay_ns >= before.run_delay_ns && after.migrations >= before.migrations);
}

struct spinner {
    pthread_t thread;
    _Atomic pid_t tid;
    atomic_bool is_over;
};

static void *spin(void *arg)
{
    struct spinner *s = arg;
    atomic_store(&s->tid, gettid());
    while (!atomic_load(&s->is_over)) continue;
    return NULL;
}

static void spinner_start(struct spinner *s)
{
    *s = (struct spinner){0};
    assert_int_equal(thread_make(&s->thread, &(struct thread_start){.name = "a) (1 2", .fn = spin, .arg = s}), 0);
    while (!atomic_load(&s->tid)) (void)nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
}

static void spinner_end(struct spinner *s)
{
    atomic_store(&s->is_over, true);
    pthread_join(s->thread, NULL);
}

/* Two threads on one CPU: while one has it, the other waits. */
static void a_wait_for_a_cpu_is_a_run_delay(void **state)
{
    struct spinner s[2];
    struct thread_files files;
    struct thread_counts a = {0};
    cpu_set_t one;
    (void)state;
    if (!has_file("/proc/thread-self/schedstat")) skip();
    thread_files_init(&files);
    for (int i = 0; i < 2; i++) spinner_start(&s[i]);
    thread_counts(&files, s[0].tid, &a);
    CPU_ZERO(&one);
    CPU_SET((size_t)a.cpu, &one);
    for (int i = 0; i < 2; i++) assert_int_equal(sched_setaffinity(s[i].tid, sizeof(one), &one), 0);
    const uint64_t before = a.run_delay_ns;
    for (int i = 0; i < 2000 && a.run_delay_ns < before + 50000000; i++) {
        (void)nanosleep(&(struct timespec){.tv_nsec = 10000000}, NULL);
        thread_counts(&files, s[0].tid, &a);
    }
    for (int i = 0; i < 2; i++) spinner_end(&s[i]);
    thread_files_close(&files);
    assert_true(a.run_delay_ns >= before + 50000000);
    assert_true(a.involuntary > 0);
}

/* Its name has what ends a name in `stat`, and its files are open already. */
static void one_that_has_ended_tells_nothing(void **state)
{
    struct spinner s;
    struct thread_files files;
    struct thread_counts counts;
    (void)state;
    thread_files_init(&files);
    spinner_start(&s);
    thread_counts(&files, s.tid, &counts);
    assert_true(counts.cpu_ns != THREAD_UNTOLD && counts.cpu >= 0 && counts.cpu < sysconf(_SC_NPROCESSORS_CONF));
    spinner_end(&s);
    for (int i = 0; i < 10000 && counts.cpu_ns != THREAD_UNTOLD; i++) { /* the kernel may need a moment */
        (void)nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
        thread_counts(&files, s.tid, &counts);
    }
    assert_true(counts.cpu_ns == THREAD_UNTOLD && counts.run_delay_ns == THREAD_UNTOLD && counts.cpu == -1);
    thread_count_switches(&files, s.tid, &counts);
    assert_true(counts.involuntary == THREAD_UNTOLD && counts.migrations == THREAD_UNTOLD);
    thread_files_close(&files);
    thread_files_close(&files);
}

static bool has_open_file(const struct thread_files *files)
{
    for (unsigned i = 0; i < THREAD_FILES; i++)
        if (atomic_load(&files->fd[i]) >= 0) return true;
    return false;
}

/* So that an end needs nothing of the host. */
static void the_last_counts_open_no_file(void **state)
{
    struct thread_files files;
    struct thread_counts before, last;
    (void)state;
    thread_files_init(&files);
    (void)nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
    thread_counts_last(&files, &last);
    assert_false(has_open_file(&files));
    assert_true(last.voluntary > 0 && last.voluntary != THREAD_UNTOLD && last.involuntary != THREAD_UNTOLD);
    assert_true(last.cpu_ns > 0 && last.kernel_ns <= clock_ns(CLOCK_MONOTONIC) && last.cpu >= 0);
    assert_true(last.run_delay_ns == THREAD_UNTOLD && last.migrations == THREAD_UNTOLD);
    thread_counts(&files, gettid(), &before);
    thread_counts_last(&files, &last);
    assert_true(last.cpu_ns >= before.cpu_ns && last.voluntary >= before.voluntary);
    assert_int_equal(last.run_delay_ns == THREAD_UNTOLD, before.run_delay_ns == THREAD_UNTOLD);
    assert_int_equal(last.migrations == THREAD_UNTOLD, before.migrations == THREAD_UNTOLD);
    thread_files_close(&files);
}

UNIT_MAIN(UNIT(counts_grow_by_what_the_thread_did), UNIT(a_wait_for_a_cpu_is_a_run_delay),
          UNIT(one_that_has_ended_tells_nothing), UNIT(the_last_counts_open_no_file))
