/* A host file that does not answer: the loop goes on, a stop returns at once, and quiet comes when the file has
 * answered.
 *
 * What stalls is real: a write from a page that the kernel has to ask us for (userfaultfd), so that whoever carries it
 * out sits in the kernel until the test lets go. That is what a hung server or a dying disk does to a write. Nothing
 * here is measured: what must not wait for the write is seen done while it still hangs. */
#include <poll.h>
#include <pthread.h>
#include <sys/eventfd.h>

#include "tests/unit/backend/disk_rig.h"
#include "tests/unit/trap.h"

/* A disk on a loop with a thread of its own, as in a machine. */
struct running {
    struct disk_rig *b;
    struct trap trap;
    pthread_t thread;
    struct request stuck, behind[4];
    uint8_t data[PAGE];
    bool is_first_done;
    int quiet_fd;
    atomic_uint is_quiet;
};

static void *run_loop(void *arg)
{
    loop_run(arg);
    return NULL;
}
static void tell_quiet(void *arg)
{
    struct running *r = arg;
    const uint64_t one = 1;
    atomic_store(&r->is_quiet, 1);
    assert_int_equal(write(r->quiet_fd, &one, sizeof(one)), sizeof(one));
}

static int setup_running(void **state, struct disk_rig *b)
{
    struct running *r = test_calloc(1, sizeof(*r));
    r->b = b;
    r->trap.fd = -1;
    start(r->b);
    disk_on_quiet(r->b->disk, tell_quiet, r);
    r->quiet_fd = eventfd(0, EFD_CLOEXEC);
    assert_true(r->quiet_fd >= 0);
    assert_int_equal(pthread_create(&r->thread, NULL, run_loop, &r->b->loop), 0);
    *state = r;
    return 0;
}
static int setup_running_uring(void **state)
{
    return setup_running(state, new_uring());
}
static int setup_running_worker(void **state)
{
    return setup_running(state, new_rig(DISK_ENGINE_WORKER));
}
static int teardown_running(void **state)
{
    struct running *r = *state;
    void *b = r->b;
    trap_remove(&r->trap); /* after a failure: lets go of whoever hangs */
    loop_stop(&r->b->loop);
    pthread_join(r->thread, NULL);
    close(r->quiet_fd);
    test_free(r);
    return teardown(&b);
}

static void submit_stuck(void *arg)
{
    struct running *r = arg;
    r->stuck =
        (struct request){.io = {.op = DISK_WRITE, .bytes = PAGE, .iov_count = 1}, .iov = {{r->trap.page, TRAP_BYTES}}};
    begin(r->b, &r->stuck);
    disk_kick(r->b->disk);
}
static void submit_behind(void *arg)
{
    struct running *r = arg;
    for (unsigned i = 0; i < 4; i++) {
        r->behind[i] = (struct request){.io = {.op = DISK_WRITE, .offset = PAGE, .bytes = PAGE, .iov_count = 1},
                                        .iov = {{r->data, PAGE}}};
        begin(r->b, &r->behind[i]);
    }
}
static void do_nothing(void *arg)
{
    (void)arg;
}
static void stop_disk(void *arg)
{
    struct running *r = arg;
    r->b->is_quiet = disk_stop(r->b->disk);
}
static void look_at_requests(void *arg)
{
    struct running *r = arg;
    assert_int_equal(r->stuck.done, 0);
    for (unsigned i = 0; i < 4; i++) {
        assert_int_equal(r->behind[i].done, 1);
        assert_int_equal(r->behind[i].rc, -ECANCELED);
    }
}

static void a_write_that_hangs_holds_up_nobody(void **state)
{
    struct running *r = *state;
    struct loop *loop = &r->b->loop;
    if (!trap_set_new(&r->trap)) skip();
    loop_call(loop, submit_stuck, r);
    trap_await(&r->trap);
    for (unsigned i = 0; i < 100; i++) loop_call(loop, do_nothing, NULL); /* the loop answers */
    loop_call(loop, submit_behind, r);
    loop_call(loop, stop_disk, r); /* and a stop returns, though */
    assert_false(r->b->is_quiet);  /* the write is not back */
    loop_call(loop, look_at_requests, r);
    loop_call(loop, stop_disk, r); /* asked again: the same answer */
    assert_false(r->b->is_quiet);
    struct pollfd p = {.fd = r->quiet_fd, .events = POLLIN};
    assert_int_equal(poll(&p, 1, 0), 0);
    assert_int_equal(atomic_load(&r->is_quiet), 0);

    trap_let_go(&r->trap);
    assert_int_equal(poll(&p, 1, HOLD_MS), 1);
    uint64_t count;
    assert_int_equal(read(r->quiet_fd, &count, sizeof(count)), sizeof(count));
    assert_int_equal(count, 1);
    assert_int_equal(r->stuck.done, 1);
    assert_int_equal(r->stuck.rc, 0);
    trap_remove(&r->trap);
}

static void submit_quick_and_stuck(void *arg)
{
    struct running *r = arg;
    r->behind[0] = (struct request){.io = {.op = DISK_WRITE, .offset = PAGE, .bytes = PAGE, .iov_count = 1},
                                    .iov = {{r->data, PAGE}}};
    begin(r->b, &r->behind[0]);
    submit_stuck(r); /* kicks both */
}
static void look_at_first(void *arg)
{
    struct running *r = arg;
    assert_int_equal(r->stuck.done, 0);
    r->is_first_done = r->behind[0].done == 1;
}

/* The thread tells of many at once, but not so late as that. */
static void what_was_done_before_a_write_that_hangs_is_told(void **state)
{
    struct running *r = *state;
    if (!trap_set_new(&r->trap)) skip();
    loop_call(&r->b->loop, submit_quick_and_stuck, r);
    trap_await(&r->trap);
    for (unsigned i = 0; i < HOLD_MS && !r->is_first_done; i++) {
        (void)usleep(1000);
        loop_call(&r->b->loop, look_at_first, r);
    }
    assert_true(r->is_first_done);
    trap_let_go(&r->trap);
    loop_call(&r->b->loop, stop_disk, r);
    struct pollfd p = {.fd = r->quiet_fd, .events = POLLIN};
    if (!r->b->is_quiet) assert_int_equal(poll(&p, 1, HOLD_MS), 1);
    trap_remove(&r->trap);
}

/* A machine's loop has no thread any more when it is torn down: whoever waits for the disk takes turns of it. */
static void quiet_comes_on_whichever_thread_runs_the_loop(void **state)
{
    struct running *r = *state;
    struct loop *loop = &r->b->loop;
    if (!trap_set_new(&r->trap)) skip();
    loop_call(loop, submit_stuck, r);
    trap_await(&r->trap);
    loop_call(loop, stop_disk, r);
    assert_false(r->b->is_quiet);
    loop_stop(loop);
    /* Before the join: the kernel lets no thread end that has left something with io_uring. */
    trap_let_go(&r->trap);
    pthread_join(r->thread, NULL);
    for (unsigned i = 0; i < WAIT_MAX && !atomic_load(&r->is_quiet); i++) loop_turn(loop, 100);
    assert_int_equal(atomic_load(&r->is_quiet), 1);
    assert_int_equal(r->stuck.rc, 0);
    trap_remove(&r->trap);
    assert_int_equal(pthread_create(&r->thread, NULL, run_loop, loop), 0); /* teardown ends it */
}

#define RUNNING(name, how) cmocka_unit_test_setup_teardown(name, setup_running_##how, teardown_running)

int main(void)
{
    const struct CMUnitTest tests[] = {
        RUNNING(a_write_that_hangs_holds_up_nobody, uring),
        RUNNING(a_write_that_hangs_holds_up_nobody, worker),
        RUNNING(what_was_done_before_a_write_that_hangs_is_told, worker),
        RUNNING(quiet_comes_on_whichever_thread_runs_the_loop, uring),
        RUNNING(quiet_comes_on_whichever_thread_runs_the_loop, worker),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
