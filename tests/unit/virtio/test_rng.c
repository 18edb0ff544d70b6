#include "tests/unit/unit.h"

#include <errno.h>
#include <sys/types.h>

#include "devices/devices.h"
#include "tests/unit/virtio/ring.h"

static void rng_rig(struct rig *r, uint64_t features)
{
    struct virtio_dev *d = NULL;
    assert_int_equal(virtio_rng_create(&d, NULL), 0);
    rig_init(r, d, features);
    rig_activate(r);
}

static bool is_zero(const uint8_t *p, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if (p[i]) return false;
    return true;
}

static void fills_every_segment_of_a_request(void **state)
{
    struct rig r;
    struct ring_used used;
    (void)state;
    rng_rig(&r, 0);
    const uint64_t a = rig_alloc(&r, 64), b = rig_alloc(&r, 64);
    const struct ring_seg seg[] = {{a, 64, true}, {b, 32, true}};
    const uint16_t head = ring_add(&r.ring[0], seg, COUNT_OF(seg));
    rig_notify(&r, 0);
    assert_true(ring_take_used(&r.ring[0], &used));
    assert_int_equal(used.id, head);
    assert_int_equal(used.len, 96);
    assert_false(is_zero(rig_host(&r, a), 64));
    assert_false(is_zero(rig_host(&r, b), 32));
    assert_true(is_zero((const uint8_t *)rig_host(&r, b) + 32, 32)); /* not a byte more than asked for */
    assert_int_equal(r.interrupts, 1);
    rig_fini(&r);
}

/* getrandom goes here (see rng.mk): the next one is interrupted, and the one after it gives half of what was asked. */
static bool is_interrupted, is_short;

ssize_t __real_getrandom(void *buf, size_t len, unsigned flags);
ssize_t __wrap_getrandom(void *buf, size_t len, unsigned flags);
ssize_t __wrap_getrandom(void *buf, size_t len, unsigned flags)
{
    if (is_interrupted) {
        is_interrupted = false;
        errno = EINTR;
        return -1;
    }
    if (is_short) len /= 2;
    return __real_getrandom(buf, len, flags);
}

static void a_signal_leaves_no_hole_in_what_is_given(void **state)
{
    struct rig r;
    struct ring_used used;
    (void)state;
    rng_rig(&r, 0);
    const uint64_t a = rig_alloc(&r, 64), b = rig_alloc(&r, 64);
    const struct ring_seg seg[] = {{a, 64, true}, {b, 64, true}};
    is_interrupted = is_short = true;
    ring_add(&r.ring[0], seg, COUNT_OF(seg));
    rig_notify(&r, 0);
    is_short = false;
    assert_true(ring_take_used(&r.ring[0], &used));
    assert_int_equal(used.len, 32);
    assert_false(is_zero(rig_host(&r, a), 32));
    assert_true(is_zero(rig_host(&r, b), 64));
    rig_fini(&r);
}

static void one_interrupt_serves_a_batch(void **state)
{
    struct rig r;
    (void)state;
    rng_rig(&r, 0);
    const struct ring_seg seg = {rig_alloc(&r, 16), 16, true};
    for (unsigned i = 0; i < 10; i++) ring_add(&r.ring[0], &seg, 1);
    rig_notify(&r, 0);
    assert_int_equal(ring_used_count(&r.ring[0]), 10);
    assert_int_equal(r.interrupts, 1);
    rig_fini(&r);
}

static void one_drain_is_bounded_and_the_next_goes_on(void **state)
{
    struct rig r;
    struct ring_used used;
    (void)state;
    rng_rig(&r, 0);
    const struct ring_seg big = {rig_alloc(&r, 1 << 20), 1 << 20, true};
    for (unsigned i = 0; i < 3; i++) ring_add(&r.ring[0], &big, 1);
    r.dev->ops->notify(r.dev, 0);
    assert_int_equal(ring_used_count(&r.ring[0]), 1);
    assert_int_equal(r.renotify, 1);
    rig_notify(&r, 0);
    assert_int_equal(ring_used_count(&r.ring[0]), 3);
    while (ring_take_used(&r.ring[0], &used)) assert_in_range(used.len, 1, 65536);
    rig_fini(&r);
}

static void with_event_idx_the_driver_is_asked_to_ring_again(void **state)
{
    struct rig r;
    (void)state;
    rng_rig(&r, VIRTIO_F_EVENT_IDX);
    const struct ring_seg seg = {rig_alloc(&r, 16), 16, true};
    for (unsigned i = 1; i < 5; i++) {
        ring_add(&r.ring[0], &seg, 1);
        rig_notify(&r, 0);
        assert_int_equal(ring_avail_event(&r.ring[0]), i);
    }
    rig_fini(&r);
}

static void a_request_that_is_no_buffer_to_fill_is_a_fault(void **state)
{
    static const struct {
        bool is_in;
        uint32_t len;
    } cases[] = {{false, 16}, {true, 0}};
    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct rig r;
        rng_rig(&r, 0);
        const struct ring_seg bad = {rig_alloc(&r, 16), cases[i].len, cases[i].is_in};
        const struct ring_seg good = {bad.gpa, 16, true};
        ring_add(&r.ring[0], &bad, 1);
        ring_add(&r.ring[0], &good, 1);
        rig_notify(&r, 0);
        assert_int_equal(r.faults, 1);
        assert_int_equal(ring_used_count(&r.ring[0]), 0);
        rig_reset(&r);
        rig_activate(&r); /* and a reset makes it work again */
        ring_add(&r.ring[0], &good, 1);
        rig_notify(&r, 0);
        assert_int_equal(ring_used_count(&r.ring[0]), 1);
        rig_fini(&r);
    }
}

static void a_broken_ring_is_a_fault(void **state)
{
    struct rig r;
    (void)state;
    rng_rig(&r, 0);
    ring_set_avail_idx(&r.ring[0], 1000);
    rig_notify(&r, 0);
    assert_int_equal(r.faults, 1);
    assert_true(r.why[0]);
    rig_fini(&r);
}

UNIT_MAIN(UNIT(fills_every_segment_of_a_request), UNIT(a_signal_leaves_no_hole_in_what_is_given),
          UNIT(one_interrupt_serves_a_batch), UNIT(one_drain_is_bounded_and_the_next_goes_on),
          UNIT(with_event_idx_the_driver_is_asked_to_ring_again), UNIT(a_request_that_is_no_buffer_to_fill_is_a_fault),
          UNIT(a_broken_ring_is_a_fault))
