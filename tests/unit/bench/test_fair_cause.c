/* Why a thread got less: what the kernel was told of it, read from real threads, and how a difference is worded. */
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "bench/fair/cause.h"
#include "tests/unit/unit.h"

/* ---- real threads ---- */

struct other {
    pthread_t thread;
    atomic_int tid;
    atomic_bool may_end;
};

static void *wait_to_end(void *arg)
{
    struct other *o = arg;
    atomic_store(&o->tid, gettid());
    while (!atomic_load(&o->may_end)) usleep(1000);
    return NULL;
}

static pid_t begin(struct other *o)
{
    *o = (struct other){0};
    assert_int_equal(pthread_create(&o->thread, NULL, wait_to_end, o), 0);
    while (!atomic_load(&o->tid)) usleep(1000);
    return atomic_load(&o->tid);
}

static void end(struct other *o)
{
    atomic_store(&o->may_end, true);
    assert_int_equal(pthread_join(o->thread, NULL), 0);
}

static void a_nicer_thread_is_read_and_named(void **state)
{
    (void)state;
    struct other o;
    struct cause mine, its;
    const struct cause *const peer[] = {&mine};
    char text[CAUSE_TEXT];
    const pid_t tid = begin(&o);

    assert_int_equal(setpriority(PRIO_PROCESS, (id_t)tid, getpriority(PRIO_PROCESS, 0) + 1), 0);
    assert_int_equal(cause_read(gettid(), &mine), 0);
    assert_int_equal(cause_read(tid, &its), 0);
    assert_int_equal(its.nice, mine.nice + 1);
    its.cpu = mine.cpu;
    assert_int_equal(cause_differs("vCPU 1", &its, peer, 1, text), 1);
    assert_contains(text, "vCPU 1 runs at nice ");
    assert_contains(text, ", the other at ");
    end(&o);
}

static void a_thread_that_may_use_fewer_cpus_is_read_and_named(void **state)
{
    (void)state;
    struct other o;
    struct cause before, after;
    char text[CAUSE_TEXT];
    cpu_set_t one, all;
    const pid_t tid = begin(&o);

    assert_int_equal(sched_getaffinity(tid, sizeof(all), &all), 0);
    assert_int_equal(cause_read(tid, &before), 0);
    CPU_ZERO(&one);
    unsigned cpu = CPU_SETSIZE - 1;
    while (!CPU_ISSET(cpu, &all)) cpu--;
    CPU_SET(cpu, &one);
    assert_int_equal(sched_setaffinity(tid, sizeof(one), &one), 0);
    assert_int_equal(cause_read(tid, &after), 0);
    assert_int_equal(strtol(after.cpus, NULL, 10), cpu);
    if (CPU_COUNT(&all) > 1) {
        assert_int_equal(cause_changed("it", &before, &after, text), 1);
        assert_contains(text, "it may use CPUs ");
        assert_contains(text, ", before CPUs ");
    }
    end(&o);
}

static void a_policy_is_read_and_named(void **state)
{
    (void)state;
    struct other o;
    struct cause mine, its;
    const struct cause *const peer[] = {&mine};
    char text[CAUSE_TEXT];
    const pid_t tid = begin(&o);

    assert_int_equal(sched_setscheduler(tid, SCHED_BATCH, &(struct sched_param){0}), 0);
    assert_int_equal(cause_read(gettid(), &mine), 0);
    assert_int_equal(cause_read(tid, &its), 0);
    assert_true(cause_differs("vCPU 0", &its, peer, 1, text) >= 1);
    assert_contains(text, "vCPU 0 runs under SCHED_BATCH, the other under SCHED_OTHER");
    end(&o);
}

static void where_it_lies_is_what_proc_says(void **state)
{
    (void)state;
    struct cause c;
    assert_int_equal(cause_read(gettid(), &c), 0);
    assert_true(c.cpu >= 0 && c.cpu < (int)sysconf(_SC_NPROCESSORS_CONF));
    assert_true(c.cpus[0] >= '0' && c.cpus[0] <= '9');
    if (c.group.path[0]) assert_int_equal(access(c.group.path, F_OK), 0);
}

static void a_thread_of_another_process_is_read(void **state)
{
    (void)state;
    struct cause c;
    assert_int_equal(cause_read(getppid(), &c), 0);
    assert_true(c.cpu >= 0);
}

static void a_thread_that_is_not_there_is_no_cause(void **state)
{
    (void)state;
    struct cause c;
    struct other o;
    const pid_t tid = begin(&o);
    end(&o);
    assert_int_equal(cause_read(tid, &c), -ESRCH);
    assert_int_equal(cause_read(0, &c), -ESRCH);
    assert_int_equal(cause_read(-1, &c), -ESRCH);
}

/* ---- the words ---- */

static struct cause ordinary(void)
{
    return (struct cause){.cpus = "0-1", .cpu = 1, .group = {.path = "/sys/fs/cgroup/a", .weight = 100}};
}

static struct cause changed(unsigned row)
{
    struct cause c = ordinary();
    switch (row) {
    case 0: c.policy = SCHED_FIFO, c.priority = 7; break;
    case 1: c.nice = 1; break;
    case 2: c.slice_ns = 3000000; break;
    case 3: (void)snprintf(c.cpus, sizeof(c.cpus), "1"); break;
    case 4: (void)snprintf(c.group.path, sizeof(c.group.path), "/sys/fs/cgroup/b"); break;
    case 5: c.group.weight = 50; break;
    case 6: c.group.quota_us = 30000, c.group.period_us = 100000; break;
    case 7: c.throttled.times = 12; break;
    case 8: c.has_autogroup = true, c.autogroup = 25, c.autogroup_nice = 5; break;
    case 9: c.has_cookie = true, c.cookie = 0x1f; break;
    default: c.cpu = 0; break;
    }
    return c;
}

static void each_difference_is_a_sentence(void **state)
{
    (void)state;
    static const char *const said[] = {
        "vCPU 1 runs under SCHED_FIFO with priority 7, the others under SCHED_OTHER",
        "vCPU 1 runs at nice 1, the others at 0",
        "vCPU 1 has a slice of 3 ms, the others one of the kernel's choice",
        "vCPU 1 may use CPUs 1, the others CPUs 0-1",
        "vCPU 1 lies in cgroup /sys/fs/cgroup/b, the others in /sys/fs/cgroup/a",
        "vCPU 1 is in a cgroup of weight 50, the others in one of 100",
        "vCPU 1 may by quota run for 30 of every 100 ms, the others for all there is",
        "vCPU 1 was throttled 12 times, the others 0 times",
        "vCPU 1 lies in autogroup 25 of nice 5, the others in none",
        "vCPU 1 has core scheduling cookie 0x1f, the others none",
        "vCPU 1 was on CPU 0, the others on 1",
    };
    const struct cause usual = ordinary();
    const struct cause *const peer[] = {&usual, &usual};
    char text[CAUSE_TEXT];

    for (unsigned i = 0; i < sizeof(said) / sizeof(said[0]); i++) {
        const struct cause c = changed(i);
        assert_int_equal(cause_differs("vCPU 1", &c, peer, 2, text), 1);
        assert_string_equal(text, said[i]);
    }
    assert_int_equal(cause_differs("vCPU 1", &usual, peer, 2, text), 0);
    assert_string_equal(text, "");
}

static void all_differences_are_told_and_all_that_peers_have(void **state)
{
    (void)state;
    const struct cause usual = ordinary(), nicer = changed(1);
    struct cause c = changed(3);
    const struct cause *const peer[] = {&usual, &nicer};
    char text[CAUSE_TEXT];

    c.nice = 5;
    assert_int_equal(cause_differs("VM 1 vCPU 0", &c, peer, 2, text), 2);
    assert_string_equal(text,
                        "VM 1 vCPU 0 runs at nice 5, the others at 0 or 1; VM 1 vCPU 0 may use CPUs 1, the others "
                        "CPUs 0-1");
    assert_int_equal(cause_differs("vCPU 0", &usual, peer, 2, text), 1); /* though one peer is as it is */
    assert_string_equal(text, "vCPU 0 runs at nice 0, the others at 1");
}

/* Two of three on one CPU say nothing of the accused that is on it too. */
static void a_cpu_that_a_peer_was_on_as_well_is_no_difference(void **state)
{
    (void)state;
    const struct cause usual = ordinary(), there = changed(10);
    const struct cause *const peer[] = {&usual, &there};
    char text[CAUSE_TEXT];
    assert_int_equal(cause_differs("vCPU 0", &usual, peer, 2, text), 0);
}

static void throttling_counts_from_the_first_reading(void **state)
{
    (void)state;
    struct cause start = ordinary(), end = ordinary();
    start.throttled = (struct groups_throttled){true, 10, 1000};
    end.throttled = (struct groups_throttled){true, 12, 1500};
    cause_since(&end, &start);
    assert_int_equal(end.throttled.times, 2);
    assert_int_equal(end.throttled.ns, 500);
    cause_since(&end, &start); /* its group is another one now */
    assert_int_equal(end.throttled.times, 0);
}

static void a_long_text_is_cut(void **state)
{
    (void)state;
    const struct cause usual = ordinary();
    struct cause c = changed(4), more[3];
    char text[CAUSE_TEXT];
    for (unsigned i = 0; i < 3; i++) {
        more[i] = usual;
        memset(more[i].group.path, 'a' + (int)i, sizeof(c.group.path) - 1);
    }
    const struct cause *const peer[] = {&more[0], &more[1], &more[2]};
    assert_int_equal(cause_differs("vCPU 1", &c, peer, 3, text), 1);
    assert_int_equal(strlen(text), CAUSE_TEXT - 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_nicer_thread_is_read_and_named),
        cmocka_unit_test(a_thread_that_may_use_fewer_cpus_is_read_and_named),
        cmocka_unit_test(a_policy_is_read_and_named),
        cmocka_unit_test(where_it_lies_is_what_proc_says),
        cmocka_unit_test(a_thread_of_another_process_is_read),
        cmocka_unit_test(a_thread_that_is_not_there_is_no_cause),
        cmocka_unit_test(each_difference_is_a_sentence),
        cmocka_unit_test(all_differences_are_told_and_all_that_peers_have),
        cmocka_unit_test(a_cpu_that_a_peer_was_on_as_well_is_no_difference),
        cmocka_unit_test(throttling_counts_from_the_first_reading),
        cmocka_unit_test(a_long_text_is_cut),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
