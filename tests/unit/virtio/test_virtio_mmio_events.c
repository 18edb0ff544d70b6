/* What goes through the transport once it runs: doorbells, interrupts, faults, resets; and several vCPUs at once. */
#include <pthread.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "tests/unit/virtio/mmio_rig.h"
#include "vmm/base/log.h"

/* The clock of this program is ahead by so much. */
static uint64_t later_ns;

int clock_gettime(clockid_t id, struct timespec *t)
{
    const long rc = syscall(SYS_clock_gettime, id, t);
    t->tv_sec += (time_t)(later_ns / 1000000000u);
    return (int)rc;
}

/* Doorbells and interrupts */

static void every_live_queue_is_notified_once_after_driver_ok(void **state)
{
    struct mmio_rig *b = *state;
    boot(b);
    turn(b);
    assert_int_equal(b->toy.notified[0], 1);
    assert_int_equal(b->toy.notified[1], 1);
}

static void a_doorbell_reaches_the_device_by_exit_and_by_eventfd(void **state)
{
    struct mmio_rig *b = *state;
    const uint64_t one = 1;
    boot(b);
    turn(b);
    wr(b, QUEUE_NOTIFY, 1);
    turn(b);
    assert_int_equal(b->toy.notified[1], 2);
    assert_int_equal(write(b->bell_fd[0], &one, sizeof(one)), sizeof(one)); /* as an ioeventfd does */
    turn(b);
    assert_int_equal(b->toy.notified[0], 2);
}

static void doorbells_that_meet_are_one(void **state)
{
    struct mmio_rig *b = *state;
    boot(b);
    turn(b);
    for (unsigned i = 0; i < 100; i++) wr(b, QUEUE_NOTIFY, 0);
    turn(b);
    assert_int_equal(b->toy.notified[0], 2);
}

static void a_host_without_ioeventfds_is_served_by_exits(void **state)
{
    struct mmio_rig *b = *state;
    b->refuses_doorbells = true;
    boot(b);
    turn(b);
    offer(b, 0);
    wr(b, QUEUE_NOTIFY, 0);
    turn(b);
    assert_int_equal(ring_used_count(&b->ring[0]), 1);
    assert_int_equal(b->host_failures, 0);
    assert_int_equal(b->bell_fd[0], -1); /* and what was refused is not taken back: on_doorbell looks */
}

static void a_renotification_comes_back_through_the_loop(void **state)
{
    struct mmio_rig *b = *state;
    boot(b);
    turn(b);
    b->toy.asks_again = 3;
    wr(b, QUEUE_NOTIFY, 0);
    for (unsigned i = 0; i < 4; i++) turn(b);
    assert_int_equal(b->toy.notified[0], 5);
    assert_int_equal(b->toy.notified[1], 1);
}

/* What KVM rings is an exit saved; a ring through an exit and one of our own are not, even when all meet. */
static void rings_by_eventfd_are_counted_as_exits_saved_and_no_others_are(void **state)
{
    struct mmio_rig *b = *state;
    boot(b);
    turn(b);
    assert_int_equal(virtio_mmio_saved_exits(b->t, 0), 0); /* the first look at each queue is ours */
    for (unsigned i = 0; i < 5; i++) assert_int_equal(eventfd_write(b->bell_fd[0], 1), 0);
    wr(b, QUEUE_NOTIFY, 0);
    b->toy.asks_again = 2;
    for (unsigned i = 0; i < 4; i++) turn(b);
    assert_int_equal(virtio_mmio_saved_exits(b->t, 0), 5);
    wr(b, QUEUE_NOTIFY, 0);
    turn(b);
    assert_int_equal(eventfd_write(b->bell_fd[1], 1), 0);
    turn(b);
    assert_int_equal(virtio_mmio_saved_exits(b->t, 0), 5);
    assert_int_equal(virtio_mmio_saved_exits(b->t, 1), 1);
}

static void used_buffers_raise_the_interrupt_until_acknowledged(void **state)
{
    struct mmio_rig *b = *state;
    boot(b);
    turn(b);
    assert_int_equal(rd(b, INTERRUPT_STATUS), 0);
    offer(b, 0);
    wr(b, QUEUE_NOTIFY, 0);
    turn(b);
    assert_int_equal(interrupts(b), 1);
    assert_int_equal(rd(b, INTERRUPT_STATUS), 1);
    wr(b, INTERRUPT_ACK, 2);
    assert_int_equal(rd(b, INTERRUPT_STATUS), 1);
    wr(b, INTERRUPT_ACK, 1);
    assert_int_equal(rd(b, INTERRUPT_STATUS), 0);
}

static void a_configuration_change_moves_the_generation(void **state)
{
    struct mmio_rig *b = *state;
    boot(b);
    const uint32_t before = rd(b, CONFIG_GENERATION);
    b->toy.dev.up->config_changed(b->toy.dev.up_arg);
    assert_int_not_equal(rd(b, CONFIG_GENERATION), before);
    assert_int_equal(rd(b, INTERRUPT_STATUS), 2);
    assert_int_equal(interrupts(b), 1);
}

static void a_host_failure_is_passed_up_with_the_devices_label(void **state)
{
    struct mmio_rig *b = *state;
    boot(b);
    b->toy.dev.up->host_failed(b->toy.dev.up_arg, "the tap is gone");
    assert_int_equal(b->host_failures, 1);
    assert_string_equal(b->last_line, "toy 0: the tap is gone");
}

static void a_host_error_is_logged_a_bounded_number_of_times(void **state)
{
    struct mmio_rig *b = *state;
    for (unsigned i = 0; i < 1000; i++) b->toy.dev.up->host_error(b->toy.dev.up_arg, "write: No space left on device");
    assert_int_equal(b->log_lines, LOG_BURST);
    assert_non_null(strstr(b->last_line, "toy 0: write: No space left on device"));
    assert_int_equal(b->host_failures + faults(b), 0);
}

/* Faults and resets */

static void a_broken_ring_needs_a_reset_and_then_works_again(void **state)
{
    struct mmio_rig *b = *state;
    boot(b);
    turn(b);
    ring_offer(&b->ring[0], TOY_SIZE);
    wr(b, QUEUE_NOTIFY, 0);
    turn(b);
    assert_true((rd(b, STATUS) & NEEDS_RESET) != 0);
    assert_int_equal(rd(b, INTERRUPT_STATUS), 2);
    assert_int_equal(interrupts(b), 1);
    assert_non_null(strstr(b->last_line, "toy 0: the guest broke the protocol"));
    assert_non_null(strstr(b->last_line, "head is beyond the descriptor table"));
    wr(b, QUEUE_NOTIFY, 0); /* no doorbell is heard any more, on any queue */
    wr(b, QUEUE_NOTIFY, 1);
    turn(b);
    assert_int_equal(b->toy.notified[0], 2);
    assert_int_equal(b->toy.notified[1], 1);
    assert_int_equal(faults(b), 1);

    wr(b, STATUS, 0);
    assert_int_equal(rd(b, STATUS), 0);
    assert_int_equal(rd(b, INTERRUPT_STATUS), 0);
    boot(b);
    offer(b, 0);
    turn(b);
    assert_int_equal(ring_used_count(&b->ring[0]), 1);
}

/* When descriptors or memory are missing, the guest lacks the device until they are back, and the machine lives on. */
static void a_device_that_the_host_lacks_the_means_to_start_starts_after_a_reset(void **state)
{
    struct mmio_rig *b = *state;
    b->toy.activate_rc = -EMFILE;
    boot(b);
    assert_true((rd(b, STATUS) & NEEDS_RESET) != 0);
    assert_int_equal(rd(b, INTERRUPT_STATUS), 2);
    turn(b);
    assert_int_equal(b->toy.notified[0], 0);
    assert_int_equal(b->bell_fd[0], -1);
    assert_int_equal(b->host_failures, 0);
    assert_string_equal(b->last_line,
                        "toy 0: the host could not start the device, which waits for a reset: Too many open files");
    b->toy.activate_rc = 0;
    wr(b, STATUS, 0);
    boot(b);
    offer(b, 0);
    turn(b);
    assert_int_equal(b->toy.activated, 1);
    assert_int_equal(ring_used_count(&b->ring[0]), 1);
    assert_int_equal(faults(b), 0);
}

static void a_device_that_can_not_start_is_the_hosts_failure_and_no_fault_of_the_guest(void **state)
{
    struct mmio_rig *b = *state;
    b->toy.activate_rc = -EIO;
    boot(b);
    assert_true((rd(b, STATUS) & NEEDS_RESET) != 0);
    turn(b);
    assert_int_equal(b->toy.notified[0], 0);
    assert_int_equal(b->host_failures, 1);
    assert_int_equal(faults(b), 0);
    assert_string_equal(b->last_line, "toy 0: the host could not start the device: Input/output error");
}

static void a_guest_that_never_gets_a_device_started_can_not_fill_the_log(void **state)
{
    struct mmio_rig *b = *state;
    b->toy.activate_rc = -ENOMEM;
    for (unsigned i = 0; i < 100; i++) {
        boot(b);
        wr(b, STATUS, 0);
    }
    assert_int_equal(b->log_lines, 8);
    assert_int_equal(faults(b), 0);
}

/* What the loop watches, as the kernel sees it. */
static unsigned watched(const struct mmio_rig *b)
{
    char path[64], line[256];
    unsigned n = 0;
    (void)snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", b->loop.epoll_fd);
    FILE *f = fopen(path, "re");
    assert_non_null(f);
    while (fgets(line, sizeof(line), f)) n += strncmp(line, "tfd:", 4) == 0;
    fclose(f);
    return n;
}

/* So nothing of it can fail later: not for want of descriptors, nor of memory, nor of the user's watches. */
static void doorbells_have_their_places_in_the_loop_from_creation_on_and_keep_them(void **state)
{
    struct mmio_rig *b = *state;
    const unsigned loop_own = 2;
    assert_int_equal(watched(b), loop_own + TOY_QUEUES);
    for (unsigned i = 0; i < 3; i++) {
        const struct fd_limit limit = fd_limit_set(0);
        boot(b);
        offer(b, 0);
        turn(b);
        assert_int_equal(ring_used_count(&b->ring[0]), 1);
        wr(b, STATUS, 0);
        wr(b, QUEUE_NOTIFY, 0); /* a driver's mistake: kept for the next start, and wakes nobody */
        turn(b);
        fd_limit_release(limit);
        assert_int_equal(b->toy.notified[0], i + 1);
        assert_int_equal(watched(b), loop_own + TOY_QUEUES);
    }
    assert_int_equal(b->toy.activated, 3);
}

static void a_doorbell_without_a_place_in_the_loop_is_refused_at_creation_as_the_hosts_lack(void **state)
{
    struct mmio_rig *b = *state;
    const struct virtio_mmio_params p = {
        .dev = &b->toy.dev, .mem = &b->mem.gmem, .loop = &b->loop, .irq = b->irq, .label = "toy 1"};
    struct virtio_mmio *t = NULL;
    struct err e = {0};
    const struct fd_limit limit = fd_limit_set(1);
    const int rc = virtio_mmio_create(&t, &p, &e);
    const unsigned before = fd_count();
    fd_limit_release(limit);
    assert_int_equal(rc, -EMFILE);
    assert_int_equal(e.kind, ERR_HOST);
    assert_non_null(strstr(e.text, "toy 1: eventfd for a doorbell: Too many open files"));
    assert_non_null(strstr(e.hint, "ulimit -n"));
    assert_null(t);
    assert_int_equal(before, fd_count());
    assert_int_equal(watched(b), 2 + TOY_QUEUES);
}

static void reset_forgets_everything(void **state)
{
    struct mmio_rig *b = *state;
    boot(b);
    turn(b);
    wr(b, QUEUE_SEL, 0);
    wr(b, STATUS, 0);
    assert_int_equal(b->toy.deactivated, 1);
    assert_int_equal(b->bell_fd[0], -1);
    assert_int_equal(b->bell_fd[1], -1);
    assert_int_equal(rd(b, STATUS), 0);
    assert_int_equal(rd(b, QUEUE_READY), 0);
    assert_int_equal(b->toy.dev.vq[0].size, 0);
    wr(b, QUEUE_NOTIFY, 0);
    turn(b);
    assert_int_equal(b->toy.notified[0], 1);
    wr(b, STATUS, ACK | DRIVER); /* the features are gone too */
    wr(b, STATUS, ACK | DRIVER | FEATURES_OK);
    assert_int_equal(rd(b, STATUS), ACK | DRIVER);
    wr(b, STATUS, 0);
    assert_int_equal(b->toy.deactivated, 1);
}

static void the_log_of_faults_is_bounded(void **state)
{
    struct mmio_rig *b = *state;
    for (unsigned i = 0; i < 1000; i++) wr(b, MAGIC, i);
    assert_int_equal(faults(b), 1000);
    assert_int_equal(b->log_lines, LOG_BURST);
    later_ns = LOG_REFILL_NS;
    wr(b, MAGIC, 0);
    wr(b, MAGIC, 0);
    assert_int_equal(b->log_lines, LOG_BURST + 1);
    assert_non_null(strstr(b->last_line, " (992 more like it not logged)"));
}

static void a_guest_that_fills_the_log_does_not_silence_the_host(void **state)
{
    struct mmio_rig *b = *state;
    for (unsigned i = 0; i < 1000; i++) wr(b, MAGIC, i);
    b->toy.dev.up->host_error(b->toy.dev.up_arg, "write: Input/output error");
    assert_non_null(strstr(b->last_line, "toy 0: write: Input/output error"));
    for (unsigned i = 0; i < 1000; i++) b->toy.dev.up->host_error(b->toy.dev.up_arg, "write: Input/output error");
    b->toy.dev.up->host_failed(b->toy.dev.up_arg, "the tap is gone");
    assert_string_equal(b->last_line, "toy 0: the tap is gone");
}

static void what_was_left_out_is_told_at_the_end(void **state)
{
    struct mmio_rig *b = *state;
    for (unsigned i = 0; i < 1000; i++) wr(b, MAGIC, i);
    virtio_mmio_destroy(b->t);
    b->t = NULL;
    assert_string_equal(b->last_line, "toy 0: 992 more like those above not logged");
}

/* Threads */

#define THREAD_TURNS 300

struct vcpu {
    struct mmio_rig *b;
    unsigned seed;
};

/* Registers of all kinds, as vCPUs that don't know of each other. */
static void *vcpu(void *arg)
{
    struct vcpu *v = arg;
    struct mmio_rig *b = v->b;
    unsigned x = v->seed;
    for (unsigned i = 0; i < THREAD_TURNS; i++) {
        x = x * 1103515245u + 12345u;
        switch (x >> 16 & 7) {
        case 0: wr(b, STATUS, 0); break;
        case 1: boot_with(b, b->ring); break;
        case 2: wr(b, QUEUE_NOTIFY, x >> 20 & 1); break;
        case 3: (void)rd(b, INTERRUPT_STATUS); break;
        case 4: wr(b, INTERRUPT_ACK, 3); break;
        case 5: (void)rd(b, CONFIG); break;
        case 6: virtio_mmio_bus_ops.write(b->t, CONFIG, 1, x >> 24); break;
        default: (void)rd(b, STATUS); break;
        }
    }
    return NULL;
}

static void *run_loop(void *arg)
{
    loop_run(arg);
    return NULL;
}

static void registers_may_be_used_by_several_vcpus_at_once(void **state)
{
    struct mmio_rig *b = *state;
    struct vcpu v[2] = {{b, 1}, {b, 2}};
    pthread_t loop, thread[2];
    b->log.level = LOG_ERROR; /* the rig's counters are not atomic */
    for (unsigned i = 0; i < TOY_QUEUES; i++) ring_init(&b->ring[i], &b->mem, toy_ops.queue_size[i]);
    assert_int_equal(pthread_create(&loop, NULL, run_loop, &b->loop), 0);
    for (unsigned i = 0; i < 2; i++) assert_int_equal(pthread_create(&thread[i], NULL, vcpu, &v[i]), 0);
    for (unsigned i = 0; i < 2; i++) pthread_join(thread[i], NULL);
    wr(b, STATUS, 0);
    loop_stop(&b->loop);
    pthread_join(loop, NULL);
    assert_int_equal(b->toy.activated, b->toy.deactivated);
}

/* A vCPU that resets the device, on a thread of its own. */
struct resetter {
    struct mmio_rig *b;
    pthread_t thread;
    atomic_bool is_done;
};

static void *reset_device(void *arg)
{
    struct resetter *r = arg;
    wr(r->b, STATUS, 0);
    atomic_store(&r->is_done, true);
    return NULL;
}

static void count_call(void *arg)
{
    ++*(unsigned *)arg;
}

static void nothing_more(void *arg)
{
    (void)arg;
}

/* A device with a request that the host has not answered, and a vCPU that has asked for a reset. */
static void begin_a_slow_reset(struct mmio_rig *b, struct resetter *r, pthread_t *loop)
{
    boot(b);
    turn(b);
    b->toy.is_slow = true;
    r->b = b;
    assert_int_equal(pthread_create(loop, NULL, run_loop, &b->loop), 0);
    assert_int_equal(pthread_create(&r->thread, NULL, reset_device, r), 0);
    do { /* until the loop has begun it, however busy the host is */
        loop_call(&b->loop, nothing_more, NULL);
    } while (atomic_load(&b->toy.is_leaving) == false);
}

static void say_quiet(void *arg)
{
    struct mmio_rig *b = arg;
    b->toy.dev.up->quiet(b->toy.dev.up_arg);
}

static void a_reset_takes_as_long_as_the_last_request_and_the_loop_goes_on(void **state)
{
    struct mmio_rig *b = *state;
    struct resetter r = {0};
    pthread_t loop;
    unsigned calls = 0;
    begin_a_slow_reset(b, &r, &loop);
    for (unsigned i = 0; i < 100; i++) loop_call(&b->loop, count_call, &calls);
    assert_int_equal(calls, 100);
    assert_false(atomic_load(&r.is_done));
    loop_call(&b->loop, say_quiet, b);
    pthread_join(r.thread, NULL);
    assert_int_equal(rd(b, STATUS), 0);
    assert_int_equal(b->toy.deactivated, 1);
    b->toy.is_slow = false;
    boot(b);
    assert_int_equal(b->toy.activated, 2);
    loop_stop(&b->loop);
    pthread_join(loop, NULL);
}

static void a_reset_that_nobody_waits_for_any_more_comes_back_and_leaves_the_device_alone(void **state)
{
    struct mmio_rig *b = *state;
    struct resetter r = {0};
    pthread_t loop;
    begin_a_slow_reset(b, &r, &loop);
    virtio_mmio_abandon(b->t);
    pthread_join(r.thread, NULL);
    assert_true((rd(b, STATUS) & DRIVER_OK) != 0);
    wr(b, STATUS, 0); /* another vCPU: it does not wait either, and nothing is stopped twice */
    boot(b);
    assert_int_equal(b->toy.activated, 1);
    assert_int_equal(b->toy.deactivated, 1);
    loop_stop(&b->loop);
    pthread_join(loop, NULL);
    assert_false(virtio_mmio_quiesce(b->t));
    say_quiet(b);
    assert_true(virtio_mmio_quiesce(b->t));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(every_live_queue_is_notified_once_after_driver_ok),
        TEST(a_doorbell_reaches_the_device_by_exit_and_by_eventfd),
        TEST(doorbells_that_meet_are_one),
        TEST(rings_by_eventfd_are_counted_as_exits_saved_and_no_others_are),
        TEST(a_host_without_ioeventfds_is_served_by_exits),
        TEST(a_renotification_comes_back_through_the_loop),
        TEST(used_buffers_raise_the_interrupt_until_acknowledged),
        TEST(a_configuration_change_moves_the_generation),
        TEST(a_host_failure_is_passed_up_with_the_devices_label),
        TEST(a_host_error_is_logged_a_bounded_number_of_times),
        TEST(a_broken_ring_needs_a_reset_and_then_works_again),
        TEST(a_device_that_the_host_lacks_the_means_to_start_starts_after_a_reset),
        TEST(a_device_that_can_not_start_is_the_hosts_failure_and_no_fault_of_the_guest),
        TEST(a_guest_that_never_gets_a_device_started_can_not_fill_the_log),
        TEST(doorbells_have_their_places_in_the_loop_from_creation_on_and_keep_them),
        TEST(a_doorbell_without_a_place_in_the_loop_is_refused_at_creation_as_the_hosts_lack),
        TEST(reset_forgets_everything),
        TEST(the_log_of_faults_is_bounded),
        TEST(a_guest_that_fills_the_log_does_not_silence_the_host),
        TEST(what_was_left_out_is_told_at_the_end),
        TEST(registers_may_be_used_by_several_vcpus_at_once),
        TEST(a_reset_takes_as_long_as_the_last_request_and_the_loop_goes_on),
        TEST(a_reset_that_nobody_waits_for_any_more_comes_back_and_leaves_the_device_alone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
