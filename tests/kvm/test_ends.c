/* Nothing takes away the end of a machine: it can be asked for in a signal handler, at any moment, with the kick's
 * signal taken away from it, and while the host refuses threads.
 *
 * The linker leads pthread_create and ioctl here (see kvm.mk). */
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/time.h>
#include <unistd.h>

#include "arch/arch.h"
#include "tests/kvm/guest.h"
#include "tests/kvm/mini.h"
#include "vmm/machine/state.h"

#define STATUS     77
#define ARM64_EXIT 0x09020000 /* debug exit there; x86 snippets know their port */
#define ROUNDS     200        /* TEST_ROUNDS in the environment: so many */
#define ALARM_MAX  2000       /* us until the handler runs: some dozen pauses, or none */

/* ---- a machine whose guest spins */

static struct machine *build(const struct snippet *s, const char *cpus, bool has_io)
{
    struct machine *m = NULL;
    struct config c;
    struct err e = {0};
    const struct snippet_args args = {.target = arch_info.ram_base + 0x180000, .status = STATUS, .exit_at = ARM64_EXIT};

    guest_needs_kvm();
    const int fd = guest_file_of(s, &args);
    config_init(&c, machine_devices);
    guest_set(&c, "kernel", "/proc/self/fd/%d", fd);
    guest_set(&c, "memory", "4M");
    guest_set(&c, "cpus", "%s", cpus);
    guest_set(&c, "console", "off");
    if (has_io) guest_set(&c, "timeout", "3600"); /* for which it takes an I/O thread */
    if (machine_create(&m, &c, NULL, &e)) fail_msg("%s", e.text);
    config_fini(&c);
    close(fd);
    return m;
}

static struct machine *start(const struct snippet *s, const char *cpus, bool has_io)
{
    struct machine *m = build(s, cpus, has_io);
    struct err e = {0};
    if (machine_start(m, &e)) fail_msg("%s", e.text);
    return m;
}

static void must_end(struct machine *m, enum end_reason reason)
{
    struct ending end;
    struct pollfd event = {.fd = machine_event_fd(m), .events = POLLIN};
    assert_int_equal(machine_wait(m, GUEST_END_MS, &end), 0);
    assert_int_equal(end.reason, reason);
    assert_int_equal(poll(&event, 1, 0), 1);
    machine_destroy(m);
}

/* ---- machine_stop, in a signal handler */

static _Atomic(struct machine *) to_stop;

static void on_alarm(int signo)
{
    (void)signo;
    struct machine *m = atomic_exchange(&to_stop, NULL);
    if (m) machine_stop(m);
}

static void stop_by_alarm_in(struct machine *m, long us)
{
    const struct sigaction action = {.sa_handler = on_alarm};
    const struct itimerval at = {.it_value.tv_usec = us};
    assert_int_equal(sigaction(SIGALRM, &action, NULL), 0);
    atomic_store(&to_stop, m);
    assert_int_equal(setitimer(ITIMER_REAL, &at, NULL), 0);
}

/* The handler interrupts this thread wherever it is: in the kicks of a pause, with the machine's lock, asleep. */
static void stop_at_any_moment(bool has_io)
{
    const char *more = getenv("TEST_ROUNDS");
    const int rounds = more ? atoi(more) : ROUNDS;
    unsigned seed = 1;
    for (int i = 0; i < rounds; i++) {
        struct machine *m = start(&snippet_tick, "2", has_io);
        seed = seed * 1103515245u + 12345u;
        stop_by_alarm_in(m, 1 + (long)(seed >> 16) % ALARM_MAX);
        while (machine_pause(m) == 0 && machine_resume(m) == 0) continue;
        must_end(m, END_STOPPED);
    }
}

static void a_signal_handler_may_stop_a_machine_at_any_moment(void **state)
{
    (void)state;
    stop_at_any_moment(false);
}

static void a_signal_handler_may_stop_a_machine_with_an_io_thread_at_any_moment(void **state)
{
    (void)state;
    stop_at_any_moment(true);
}

static void a_signal_handler_may_stop_a_paused_machine_that_is_waited_for(void **state)
{
    (void)state;
    for (int has_io = 0; has_io < 2; has_io++) {
        struct machine *m = start(&snippet_tick, "2", has_io != 0);
        assert_int_equal(machine_pause(m), 0);
        stop_by_alarm_in(m, ALARM_MAX);
        must_end(m, END_STOPPED);
    }
}

static void a_machine_that_is_stopped_before_its_start_is_over(void **state)
{
    (void)state;
    struct err e = {0};
    struct ending end = {0};
    for (int has_io = 0; has_io < 2; has_io++) {
        struct machine *m = build(&snippet_tick, "1", has_io != 0);
        struct pollfd event = {.fd = machine_event_fd(m), .events = POLLIN};
        assert_int_equal(poll(&event, 1, 0), 0);
        machine_stop(m);
        assert_int_equal(poll(&event, 1, 0), 1);
        assert_int_equal(machine_start(m, &e), -EALREADY);
        assert_int_equal(machine_wait(m, 0, &end), 0);
        assert_int_equal(end.reason, END_STOPPED);
        machine_destroy(m);
    }
}

static void whoever_waits_for_a_machine_never_started_hears_of_its_stop(void **state)
{
    (void)state;
    struct machine *m = build(&snippet_tick, "1", false);
    stop_by_alarm_in(m, ALARM_MAX);
    must_end(m, END_STOPPED);
}

/* ---- the kick's signal, taken away by the program */

static void a_program_that_takes_the_kicks_signal_away_can_still_pause_and_stop(void **state)
{
    (void)state;
    void (*const ways[])(int) = {SIG_DFL, SIG_IGN};
    for (unsigned i = 0; i < COUNT_OF(ways); i++) {
        for (int has_io = 0; has_io < 2; has_io++) {
            struct machine *m = start(&snippet_tick, "2", has_io != 0);
            signal(SIGURG, ways[i]);
            assert_int_equal(machine_pause(m), 0);
            assert_int_equal(machine_resume(m), 0);
            signal(SIGURG, ways[i]);
            machine_stop(m);
            must_end(m, END_STOPPED);
        }
    }
}

/* A signal that is pending when the program sets it to be ignored is thrown away: these get lost on their way. */
static atomic_uint lost_signals;

static bool is_lost(void)
{
    unsigned left = atomic_load(&lost_signals);
    while (left > 0 && !atomic_compare_exchange_weak(&lost_signals, &left, left - 1)) continue;
    return left > 0;
}

int __real_pthread_kill(pthread_t thread, int signo);
int __wrap_pthread_kill(pthread_t thread, int signo);
int __wrap_pthread_kill(pthread_t thread, int signo)
{
    return is_lost() ? 0 : __real_pthread_kill(thread, signo);
}

int __real_tgkill(pid_t pid, pid_t tid, int signo);
int __wrap_tgkill(pid_t pid, pid_t tid, int signo);
int __wrap_tgkill(pid_t pid, pid_t tid, int signo)
{
    return is_lost() ? 0 : __real_tgkill(pid, tid, signo);
}

static void a_kick_that_is_lost_is_sent_again(void **state)
{
    (void)state;
    for (int has_io = 0; has_io < 2; has_io++) {
        struct machine *m = start(&snippet_tick, "2", has_io != 0);
        atomic_store(&lost_signals, 3);
        assert_int_equal(machine_pause(m), 0);
        assert_int_equal(machine_resume(m), 0);
        atomic_store(&lost_signals, 3);
        machine_stop(m);
        must_end(m, END_STOPPED);
        assert_in_range(atomic_exchange(&lost_signals, 0), 0, 2); /* one at least was; a vCPU may come out by itself */
    }
}

/* Who has an I/O thread needs nobody to wait by machine_wait. */
static void a_lost_kick_is_sent_again_while_only_the_event_fd_is_polled(void **state)
{
    (void)state;
    struct machine *m = start(&snippet_tick, "2", true);
    struct pollfd event = {.fd = machine_event_fd(m), .events = POLLIN};
    atomic_store(&lost_signals, 3);
    machine_stop(m);
    assert_int_equal(poll(&event, 1, GUEST_END_MS), 1);
    must_end(m, END_STOPPED);
    assert_in_range(atomic_exchange(&lost_signals, 0), 0, 2);
}

/* ---- an I/O thread that the host lets wait */

static atomic_bool holds_threads;
static sem_t may_begin;
struct held {
    void *(*fn)(void *arg);
    void *arg;
};

static void *wait_and_begin(void *arg)
{
    const struct held held = *(struct held *)arg;
    free(arg);
    while (sem_wait(&may_begin) < 0) continue;
    return held.fn(held.arg);
}

int __real_pthread_create(pthread_t *thread, const pthread_attr_t *attr, void *(*fn)(void *), void *arg);
int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attr, void *(*fn)(void *), void *arg);
int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attr, void *(*fn)(void *), void *arg)
{
    if (!atomic_exchange(&holds_threads, false)) return __real_pthread_create(thread, attr, fn, arg);
    struct held *held = malloc(sizeof(*held));
    assert_non_null(held);
    *held = (struct held){fn, arg};
    return __real_pthread_create(thread, attr, wait_and_begin, held);
}

/* Were it waited for, this would never end. */
static void starting_does_not_wait_for_the_io_thread(void **state)
{
    (void)state;
    struct ending end;
    struct err e = {0};
    sem_init(&may_begin, 0, 0);
    struct machine *m = build(&snippet_exit, "1", true);
    atomic_store(&holds_threads, true); /* the first thread that is made */
    if (machine_start(m, &e)) fail_msg("%s", e.text);
    while (poll(&(struct pollfd){.fd = machine_event_fd(m), .events = POLLIN}, 1, GUEST_END_MS) < 0) continue;
    /* Over, with an I/O thread that has not begun: its join is not waited for beyond reason. */
    assert_int_equal(machine_wait(m, 0, &end), 0);
    assert_int_equal(end.reason, END_GUEST_STATUS);
    sem_post(&may_begin);
    machine_destroy(m);
}

/* ---- KVM_RUN is refused */

static atomic_bool refuses_run;
static atomic_uint refusals;

int __real_ioctl(int fd, unsigned long request, unsigned long arg);
int __wrap_ioctl(int fd, unsigned long request, unsigned long arg);
int __wrap_ioctl(int fd, unsigned long request, unsigned long arg)
{
    if (request != KVM_RUN || !atomic_load(&refuses_run)) return __real_ioctl(fd, request, arg);
    atomic_fetch_add(&refusals, 1);
    errno = EAGAIN;
    return -1;
}

static void a_host_that_has_no_more_threads_for_kvm_ends_the_machine_and_is_named(void **state)
{
    (void)state;
    struct ending end;
    atomic_store(&refusals, 0);
    atomic_store(&refuses_run, true);
    struct machine *m = start(&snippet_tick, "1", false);
    assert_int_equal(machine_wait(m, GUEST_END_MS, &end), 0);
    atomic_store(&refuses_run, false);
    assert_int_equal(end.reason, END_HOST);
    assert_contains(end.detail, "no more threads (pids.max, ulimit -u)");
    assert_in_range(atomic_load(&refusals), 10, 1000); /* it was tried for a while, and not as fast as it can be */
    machine_destroy(m);
}

static void a_lack_of_threads_that_passes_is_waited_out(void **state)
{
    (void)state;
    atomic_store(&refusals, 0);
    atomic_store(&refuses_run, true);
    struct machine *m = start(&snippet_exit, "1", false);
    while (atomic_load(&refusals) < 5) usleep(1000);
    atomic_store(&refuses_run, false);
    must_end(m, END_GUEST_STATUS);
}

static void a_machine_whose_runs_are_refused_can_be_paused_and_stopped(void **state)
{
    (void)state;
    for (int has_io = 0; has_io < 2; has_io++) {
        atomic_store(&refusals, 0);
        atomic_store(&refuses_run, true);
        struct machine *m = start(&snippet_tick, "2", has_io != 0);
        assert_int_equal(machine_pause(m), 0);
        assert_int_equal(machine_resume(m), 0);
        machine_stop(m);
        must_end(m, END_STOPPED);
        atomic_store(&refuses_run, false);
    }
}

UNIT_MAIN(UNIT(a_signal_handler_may_stop_a_machine_at_any_moment),
          UNIT(a_signal_handler_may_stop_a_machine_with_an_io_thread_at_any_moment),
          UNIT(a_signal_handler_may_stop_a_paused_machine_that_is_waited_for),
          UNIT(a_machine_that_is_stopped_before_its_start_is_over),
          UNIT(whoever_waits_for_a_machine_never_started_hears_of_its_stop),
          UNIT(a_program_that_takes_the_kicks_signal_away_can_still_pause_and_stop),
          UNIT(a_kick_that_is_lost_is_sent_again), UNIT(a_lost_kick_is_sent_again_while_only_the_event_fd_is_polled),
          UNIT(starting_does_not_wait_for_the_io_thread),
          UNIT(a_host_that_has_no_more_threads_for_kvm_ends_the_machine_and_is_named),
          UNIT(a_lack_of_threads_that_passes_is_waited_out),
          UNIT(a_machine_whose_runs_are_refused_can_be_paused_and_stopped))
