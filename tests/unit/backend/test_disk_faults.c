/* A host that has no memory for a batch of requests, or no thread for a worker: the loop goes on, and a request either
 * goes through later or fails as the host's. */
#include "tests/unit/backend/disk_rig.h"

static unsigned refusals; /* calls that are refused before one goes through */
static unsigned asked;    /* those that came since */

static bool is_refused(void)
{
    asked++;
    if (refusals == 0) return false;
    refusals--;
    return true;
}

int __real_io_uring_submit(struct io_uring *ring);
int __wrap_io_uring_submit(struct io_uring *ring);
int __wrap_io_uring_submit(struct io_uring *ring)
{
    return is_refused() ? -EAGAIN : __real_io_uring_submit(ring);
}

int __real_pthread_create(pthread_t *t, const pthread_attr_t *attr, void *(*fn)(void *), void *arg);
int __wrap_pthread_create(pthread_t *t, const pthread_attr_t *attr, void *(*fn)(void *), void *arg);
int __wrap_pthread_create(pthread_t *t, const pthread_attr_t *attr, void *(*fn)(void *), void *arg)
{
    return is_refused() ? EAGAIN : __real_pthread_create(t, attr, fn, arg);
}

static void refuse(unsigned count)
{
    refusals = count;
    asked = 0;
}
#define FOR_EVER UINT32_MAX

static int teardown_faults(void **state)
{
    refuse(0);
    return teardown(state);
}

static void a_batch_that_is_refused_is_handed_over_later(void **state)
{
    struct disk_rig *b = *state;
    static struct request r[MANY];
    refuse(5);
    for (unsigned i = 0; i < MANY; i++) {
        r[i] = (struct request){.io = {.op = DISK_FLUSH}};
        begin(b, &r[i]);
    }
    disk_kick(b->disk);
    assert_in_range(asked, 1, 2); /* it does not insist */
    for (unsigned i = 0; i < MANY; i++) {
        wait_done(b, &r[i]);
        assert_int_equal(r[i].rc, 0);
    }
}

static void a_batch_that_is_always_refused_fails(void **state)
{
    struct disk_rig *b = *state;
    static uint8_t buf[PAGE];
    refuse(FOR_EVER);
    assert_int_equal(command(b, DISK_FLUSH, 0, 0, false), -EAGAIN);
    assert_true(asked > 100); /* not at the first refusal */
    refuse(0);
    assert_int_equal(command(b, DISK_FLUSH, 0, 0, false), 0);
    assert_int_equal(transfer(b, DISK_WRITE, 0, buf, sizeof(buf)), 0);
}

static void a_stop_takes_back_what_the_kernel_has_not_taken(void **state)
{
    struct disk_rig *b = *state;
    struct err e;
    static struct request r[MANY];
    for (unsigned round = 0; round < 3; round++) {
        refuse(FOR_EVER);
        for (unsigned i = 0; i < MANY; i++) {
            r[i] = (struct request){.io = {.op = DISK_FLUSH}};
            begin(b, &r[i]);
        }
        disk_kick(b->disk);
        assert_true(disk_stop(b->disk));
        for (unsigned i = 0; i < MANY; i++) {
            assert_int_equal(r[i].done, 1);
            assert_int_equal(r[i].rc, -ECANCELED);
        }
        refuse(0);
        assert_int_equal(disk_start(b->disk, &b->loop, &e), 0);
        assert_int_equal(command(b, DISK_FLUSH, 0, 0, false), 0);
        assert_int_equal(b->disk->in_flight, 0);
    }
}

static int setup_no_thread(void **state)
{
    struct disk_rig *b = new_rig(DISK_ENGINE_WORKER);
    refuse(2); /* at the start, and for the first request */
    start(b);
    *state = b;
    return 0;
}

static void without_a_thread_a_request_fails_and_the_next_asks_again(void **state)
{
    struct disk_rig *b = *state;
    static uint8_t buf[PAGE];
    assert_int_equal(transfer(b, DISK_WRITE, 0, buf, sizeof(buf)), -EAGAIN);
    assert_int_equal(transfer(b, DISK_WRITE, 0, buf, sizeof(buf)), 0);
    assert_int_equal(command(b, DISK_FLUSH, 0, 0, false), 0);
    assert_int_equal(asked, 3);
}

static void the_thread_is_kept_over_a_stop(void **state)
{
    struct disk_rig *b = *state;
    struct err e;
    assert_int_equal(command(b, DISK_FLUSH, 0, 0, false), 0); /* which makes it */
    refuse(FOR_EVER);
    for (unsigned i = 0; i < 3; i++) {
        stop(b);
        assert_int_equal(disk_start(b->disk, &b->loop, &e), 0);
        assert_int_equal(command(b, DISK_FLUSH, 0, 0, false), 0);
    }
    assert_int_equal(asked, 0);
}

#define FAULTY(name, how) cmocka_unit_test_setup_teardown(name, setup_##how, teardown_faults)

int main(void)
{
    const struct CMUnitTest tests[] = {
        FAULTY(a_batch_that_is_refused_is_handed_over_later, uring),
        FAULTY(a_batch_that_is_always_refused_fails, uring),
        FAULTY(a_stop_takes_back_what_the_kernel_has_not_taken, uring),
        FAULTY(without_a_thread_a_request_fails_and_the_next_asks_again, no_thread),
        FAULTY(the_thread_is_kept_over_a_stop, worker),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
