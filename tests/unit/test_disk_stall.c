/* A host file that does not answer: the loop goes on, a stop returns at once, and quiet comes when the file has
 * answered.
 *
 * What stalls is real: a write from a page that the kernel has to ask us for (userfaultfd), so that whoever carries it
 * out sits in the kernel until the test lets go. That is what a hung server or a dying disk does to a write. Nothing
 * here is measured: what must not wait for the write is seen done while it still hangs. */
#include <linux/userfaultfd.h>
#include <poll.h>
#include <pthread.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#include "tests/unit/disk_bench.h"

#define HOLD_MS 60000 /* nobody waits so long but where the promise is broken */

/* One page that nobody can read before let_go. */
struct trap {
    int fd;
    uint8_t *page;
};

static bool set_trap(struct trap *t)
{
    struct uffdio_api api = {.api = UFFD_API};
    t->fd = (int)syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK);
    if (t->fd < 0) return false; /* not permitted here */
    assert_int_equal(ioctl(t->fd, UFFDIO_API, &api), 0);
    t->page = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert_ptr_not_equal(t->page, MAP_FAILED);
    struct uffdio_register r = {.range = {(uintptr_t)t->page, PAGE}, .mode = UFFDIO_REGISTER_MODE_MISSING};
    assert_int_equal(ioctl(t->fd, UFFDIO_REGISTER, &r), 0);
    return true;
}
/* Until somebody hangs in it. */
static void await_victim(const struct trap *t)
{
    struct pollfd p = {.fd = t->fd, .events = POLLIN};
    assert_int_equal(poll(&p, 1, HOLD_MS), 1);
    assert_int_equal(p.revents, POLLIN);
}
static void let_go(const struct trap *t)
{
    struct uffdio_zeropage z = {.range = {(uintptr_t)t->page, PAGE}};
    assert_int_equal(ioctl(t->fd, UFFDIO_ZEROPAGE, &z), 0);
}
static void remove_trap(struct trap *t)
{
    munmap(t->page, PAGE);
    close(t->fd);
    t->fd = -1;
}

/* A disk on a loop with a thread of its own, as in a machine. */
struct running {
    struct bench *b;
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
    struct running *const r = arg;
    const uint64_t one = 1;
    atomic_store(&r->is_quiet, 1);
    assert_int_equal(write(r->quiet_fd, &one, sizeof(one)), sizeof(one));
}

static int setup_running(void **state, struct bench *b)
{
    struct running *const r = test_calloc(1, sizeof(*r));
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
    return setup_running(state, new_bench(DISK_ENGINE_WORKER));
}
static int teardown_running(void **state)
{
    struct running *const r = *state;
    void *b = r->b;
    if (r->trap.fd >= 0) close(r->trap.fd); /* after a failure: lets go of whoever hangs */
    loop_stop(&r->b->loop);
    pthread_join(r->thread, NULL);
    close(r->quiet_fd);
    test_free(r);
    return teardown(&b);
}

static void submit_stuck(void *arg)
{
    struct running *const r = arg;
    r->stuck = (struct request){.io = {.op = DISK_WRITE, .bytes = PAGE, .iov_count = 1}, .iov = {{r->trap.page, PAGE}}};
    begin(r->b, &r->stuck);
    disk_kick(r->b->disk);
}
static void submit_behind(void *arg)
{
    struct running *const r = arg;
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
    struct running *const r = arg;
    r->b->is_quiet = disk_stop(r->b->disk);
}
static void look_at_requests(void *arg)
{
    struct running *const r = arg;
    assert_int_equal(r->stuck.done, 0);
    for (unsigned i = 0; i < 4; i++) {
        assert_int_equal(r->behind[i].done, 1);
        assert_int_equal(r->behind[i].rc, -ECANCELED);
    }
}

static void a_write_that_hangs_holds_up_nobody(void **state)
{
    struct running *const r = *state;
    struct loop *const loop = &r->b->loop;
    if (!set_trap(&r->trap)) skip();
    loop_call(loop, submit_stuck, r);
    await_victim(&r->trap);
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

    let_go(&r->trap);
    assert_int_equal(poll(&p, 1, HOLD_MS), 1);
    uint64_t count;
    assert_int_equal(read(r->quiet_fd, &count, sizeof(count)), sizeof(count));
    assert_int_equal(count, 1);
    assert_int_equal(r->stuck.done, 1);
    assert_int_equal(r->stuck.rc, 0);
    remove_trap(&r->trap);
}

static void submit_quick_and_stuck(void *arg)
{
    struct running *const r = arg;
    r->behind[0] = (struct request){.io = {.op = DISK_WRITE, .offset = PAGE, .bytes = PAGE, .iov_count = 1},
                                    .iov = {{r->data, PAGE}}};
    begin(r->b, &r->behind[0]);
    submit_stuck(r); /* kicks both */
}
static void look_at_first(void *arg)
{
    struct running *const r = arg;
    r->is_first_done = r->behind[0].done == 1;
}

/* The thread tells of many at once, but not so late as that. */
static void what_was_done_before_a_write_that_hangs_is_told(void **state)
{
    struct running *const r = *state;
    if (!set_trap(&r->trap)) skip();
    loop_call(&r->b->loop, submit_quick_and_stuck, r);
    await_victim(&r->trap);
    for (unsigned i = 0; i < HOLD_MS && !r->is_first_done; i++) {
        (void)usleep(1000);
        loop_call(&r->b->loop, look_at_first, r);
    }
    assert_true(r->is_first_done);
    assert_int_equal(r->stuck.done, 0);
    let_go(&r->trap);
    loop_call(&r->b->loop, stop_disk, r);
    struct pollfd p = {.fd = r->quiet_fd, .events = POLLIN};
    if (!r->b->is_quiet) assert_int_equal(poll(&p, 1, HOLD_MS), 1);
    remove_trap(&r->trap);
}

/* A machine's loop has no thread any more when it is torn down: whoever waits for the disk takes turns of it. */
static void quiet_comes_on_whichever_thread_runs_the_loop(void **state)
{
    struct running *const r = *state;
    struct loop *const loop = &r->b->loop;
    if (!set_trap(&r->trap)) skip();
    loop_call(loop, submit_stuck, r);
    await_victim(&r->trap);
    loop_call(loop, stop_disk, r);
    assert_false(r->b->is_quiet);
    loop_stop(loop);
    let_go(&r->trap); /* before the join: what the loop's thread gave to io_uring the kernel lets it not leave behind */
    pthread_join(r->thread, NULL);
    for (unsigned i = 0; i < WAIT_MAX && !atomic_load(&r->is_quiet); i++) loop_turn(loop, 100);
    assert_int_equal(atomic_load(&r->is_quiet), 1);
    assert_int_equal(r->stuck.rc, 0);
    remove_trap(&r->trap);
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
