/* virtio-net, receiving. */
#include "tests/unit/virtio/net_rig.h"

#include <errno.h>

static void frames_fill_one_buffer_each_with_one_interrupt(void **state)
{
    struct net_rig n;
    const struct hdr h = {0};
    (void)state;
    net_init(&n, 0);
    for (unsigned i = 0; i < 20; i++) add_buffer(&n, 2000);
    for (unsigned i = 0; i < 10; i++) assert_true(send_frame(&n, &h, 100 + i, i));
    rig_notify(&n.r, RX);
    for (unsigned i = 0; i < 10; i++) expect_frame(&n, 100 + i, i, 1);
    assert_int_equal(n.r.interrupts, 1);
    assert_true(send_frame(&n, &h, 60, 99)); /* and later ones wake us */
    rig_wait_used(&n.r, RX);
    expect_frame(&n, 60, 99, 1);
    assert_int_equal(virtio_net_counts(n.r.dev).rx_frames, 11);
    net_fini(&n);
}

static void a_frame_is_merged_from_as_many_buffers_as_it_needs(void **state)
{
    struct net_rig n;
    const struct hdr tso = {1, 1, 54, 1448, 34, 16, 0}, none = {0};
    (void)state;
    net_init(&n, F_MRG_RXBUF | F_GUEST_CSUM | F_GUEST_TSO4);
    for (unsigned i = 0; i < 100; i++) add_buffer(&n, 1536);
    assert_true(send_frame(&n, &tso, BIG, 1));
    assert_true(send_frame(&n, &none, 1536 - HDR, 2));
    assert_true(send_frame(&n, &none, 1536 - HDR + 1, 3));
    rig_notify(&n.r, RX);
    expect_frame(&n, BIG, 1, (BIG + HDR + 1535) / 1536);
    expect_frame(&n, 1536 - HDR, 2, 1);
    expect_frame(&n, 1536 - HDR + 1, 3, 2);
    assert_int_equal(n.r.interrupts, 1);
    net_fini(&n);
}

static void a_header_may_span_segments(void **state)
{
    struct net_rig n;
    const struct hdr h = {0};
    (void)state;
    net_init(&n, F_MRG_RXBUF);
    const uint64_t gpa = rig_alloc(&n.r, 200);
    const struct ring_seg seg[] = {{gpa, 5, true}, {gpa + 5, 6, true}, {gpa + 11, 0, true}, {gpa + 11, 100, true}};
    ring_add(&n.r.ring[RX], seg, 4);
    assert_true(send_frame(&n, &h, 60, 7));
    rig_notify(&n.r, RX);
    const uint8_t *p = rig_host(&n.r, gpa);
    uint8_t want[60];
    fill(want, 60, 7);
    assert_int_equal(le16_read(p + 10), 1);
    assert_memory_equal(p + HDR, want, 60);
    net_fini(&n);
}

/* However little the guest offers at a time, a frame is kept until it fits. */
static void a_frame_waits_for_more_buffers_and_is_whole_then(void **state)
{
    struct net_rig n;
    const struct hdr tso = {1, 1, 54, 1448, 34, 16, 0}, none = {0};
    (void)state;
    net_init(&n, F_MRG_RXBUF | F_GUEST_CSUM | F_GUEST_TSO4);
    add_buffer(&n, 1536);
    rig_notify(&n.r, RX);
    assert_true(send_frame(&n, &tso, BIG, 1));
    assert_true(send_frame(&n, &none, 100, 2));
    for (unsigned i = 0; i < 39; i++) {
        rig_run(&n.r, 1);
        assert_int_equal(ring_used_count(&n.r.ring[RX]), 0);
        add_buffer(&n, 1536);
        rig_notify(&n.r, RX);
    }
    expect_frame(&n, BIG, 1, 40);
    add_buffer(&n, 1536);
    rig_notify(&n.r, RX);
    expect_frame(&n, 100, 2, 1);
    assert_int_equal(virtio_net_counts(n.r.dev).rx_dropped, 0);
    net_fini(&n);
}

static void without_buffers_frames_stay_outside_and_cost_nothing(void **state)
{
    struct net_rig n;
    const struct hdr h = {0};
    (void)state;
    net_init(&n, F_MRG_RXBUF);
    for (unsigned i = 0; i < 5; i++) assert_true(send_frame(&n, &h, 100, i));
    const clock_t before = clock();
    rig_run(&n.r, 400);
    assert_in_range((clock() - before) * 1000 / CLOCKS_PER_SEC, 0, 40);
    for (unsigned i = 0; i < 5; i++) add_buffer(&n, 1536);
    rig_notify(&n.r, RX);
    for (unsigned i = 0; i < 5; i++) expect_frame(&n, 100, i, 1);
    net_fini(&n);
}

static void what_can_never_fit_is_dropped_and_the_next_frame_comes(void **state)
{
    struct net_rig n;
    const struct hdr h = {0};
    (void)state;
    net_init(&n, 0); /* not merged: one buffer a frame */
    add_buffer(&n, HDR + 200);
    assert_true(send_frame(&n, &h, 201, 1));
    assert_true(send_frame(&n, &h, 200, 2));
    rig_notify(&n.r, RX);
    expect_frame(&n, 200, 2, 1);
    assert_int_equal(virtio_net_counts(n.r.dev).rx_dropped, 1);
    net_fini(&n);

    net_init(&n, F_MRG_RXBUF); /* merged: more than the whole queue holds */
    for (unsigned i = 0; i < 256; i++) add_buffer(&n, 100);
    assert_true(send_frame(&n, &h, BIG, 1));
    assert_true(send_frame(&n, &h, 150, 2));
    rig_notify(&n.r, RX);
    expect_frame(&n, 150, 2, 2);
    assert_int_equal(virtio_net_counts(n.r.dev).rx_dropped, 1);
    net_fini(&n);
}

static void runts_giants_and_unnegotiated_offloads_are_dropped(void **state)
{
    enum { TSO4 = 1, UFO = 3, TSO6 = 4, ECN = 0x80, NEEDS_CSUM = 1, DATA_VALID = 2 };
    const uint64_t all = F_MRG_RXBUF | F_GUEST_CSUM | F_GUEST_TSO4 | F_GUEST_TSO6 | F_GUEST_ECN;
    const struct {
        uint64_t features;
        struct hdr kernel;
        size_t len;
        bool passes;
        uint8_t flags; /* as the guest sees them */
    } cases[] = {
        {all, {0}, 13, false, 0},
        {all, {0}, 14, true, 0},
        {all, {0}, 65554, true, 0},
        {all, {0}, 65555, false, 0},
        {all, {.flags = NEEDS_CSUM | DATA_VALID}, 100, true, NEEDS_CSUM | DATA_VALID},
        {F_MRG_RXBUF, {.flags = DATA_VALID}, 100, true, 0}, /* 5.1.6.4.1: no flags without GUEST_CSUM */
        {F_MRG_RXBUF, {.flags = NEEDS_CSUM}, 100, false, 0},
        {all, {1, TSO4, 54, 1448, 34, 16, 0}, 100, true, 1},
        {all & ~F_GUEST_TSO4, {1, TSO4, 54, 1448, 34, 16, 0}, 100, false, 0},
        {all, {1, TSO6 | ECN, 54, 1448, 34, 16, 0}, 100, true, 1},
        {all & ~F_GUEST_TSO6, {1, TSO6, 54, 1448, 34, 16, 0}, 100, false, 0},
        {all & ~F_GUEST_ECN, {1, TSO6 | ECN, 54, 1448, 34, 16, 0}, 100, false, 0},
        {all, {1, UFO, 54, 1448, 34, 16, 0}, 100, false, 0},
    };
    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        static uint8_t got[HDR + 70000];
        struct net_rig n;
        unsigned buffers = 0;
        net_init(&n, cases[i].features);
        for (unsigned b = 0; b < 64; b++) add_buffer(&n, 1536);
        assert_true(send_frame(&n, &cases[i].kernel, cases[i].len, 1));
        rig_notify(&n.r, RX);
        const size_t len = take_frame(&n, got, &buffers);
        if ((len > 0) != cases[i].passes) fail_msg("case %zu: %s", i, len > 0 ? "passed" : "was dropped");
        if (len > 0) assert_int_equal(got[0], cases[i].flags);
        assert_int_equal(virtio_net_counts(n.r.dev).rx_dropped, !cases[i].passes);
        net_fini(&n);
    }
}

static void a_drain_takes_a_batch_and_the_loop_the_rest(void **state)
{
    struct net_rig n;
    const struct hdr h = {0};
    (void)state;
    net_init(&n, 0);
    for (unsigned i = 0; i < 200; i++) add_buffer(&n, 200);
    unsigned sent = 0;
    while (sent < 150 && send_frame(&n, &h, 60, sent)) sent++;
    assert_true(sent > 64);
    n.r.dev->ops->notify(n.r.dev, RX);
    assert_int_equal(ring_used_count(&n.r.ring[RX]), 64);
    rig_run(&n.r, 5);
    assert_int_equal(ring_used_count(&n.r.ring[RX]), sent);
    net_fini(&n);
}

static void buffers_without_room_for_a_header_are_a_fault(void **state)
{
    struct net_rig n;
    (void)state;
    for (uint32_t len = 0; len < HDR; len += HDR - 1) {
        net_init(&n, F_MRG_RXBUF);
        const struct ring_seg seg = {rig_alloc(&n.r, 16), len, true};
        ring_add(&n.r.ring[RX], &seg, 1);
        rig_notify(&n.r, RX);
        assert_int_equal(n.r.faults, 1);
        net_fini(&n);
    }
}

/* What receiving may fail with while the host's side is well: the frame comes later, or only it is lost. */
static void a_receive_that_fails_for_a_moment_is_not_the_end(void **state)
{
    static const struct {
        int error;
        unsigned dropped;
    } cases[] = {{-EAGAIN, 0}, {-EBADMSG, 3}};
    const struct hdr h = {0};
    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct net_rig n;
        net_init(&n, 0);
        add_buffer(&n, 2000);
        n.wire.error = cases[i].error;
        n.wire.errors_left = 3;
        assert_true(send_frame(&n, &h, 100, 1));
        rig_notify(&n.r, RX);
        for (unsigned turns = 0; turns < 1000 && ring_used_count(&n.r.ring[RX]) == 0; turns++) rig_run(&n.r, 5);
        assert_int_equal(n.wire.errors_left, 0);
        expect_frame(&n, 100, 1, 1);
        assert_int_equal(virtio_net_counts(n.r.dev).rx_dropped, cases[i].dropped);
        assert_int_equal(n.r.host_errors + n.r.host_failures + n.r.faults, 0);
        net_fini(&n);
    }
}

static void a_receive_that_fails_for_good_says_why(void **state)
{
    struct net_rig n;
    (void)state;
    net_init(&n, 0);
    add_buffer(&n, 2000);
    n.wire.error = -EPERM;
    n.wire.errors_left = 1;
    rig_notify(&n.r, RX);
    assert_int_equal(n.r.host_errors, 1);
    assert_string_equal(n.r.why, "the wire is gone, Operation not permitted: the guest's link is down from now on");
    net_fini(&n);
}

UNIT_MAIN(UNIT(frames_fill_one_buffer_each_with_one_interrupt),
          UNIT(a_frame_is_merged_from_as_many_buffers_as_it_needs), UNIT(a_header_may_span_segments),
          UNIT(a_frame_waits_for_more_buffers_and_is_whole_then),
          UNIT(without_buffers_frames_stay_outside_and_cost_nothing),
          UNIT(what_can_never_fit_is_dropped_and_the_next_frame_comes),
          UNIT(runts_giants_and_unnegotiated_offloads_are_dropped), UNIT(a_drain_takes_a_batch_and_the_loop_the_rest),
          UNIT(buffers_without_room_for_a_header_are_a_fault), UNIT(a_receive_that_fails_for_a_moment_is_not_the_end),
          UNIT(a_receive_that_fails_for_good_says_why))
