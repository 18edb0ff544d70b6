/* virtio-net, sending. */
#include "tests/unit/virtio/net_rig.h"

#include <errno.h>

static void frames_leave_in_order_with_one_interrupt(void **state)
{
    struct net_rig n;
    const struct hdr h = {0};
    uint8_t got[200], want[100];
    (void)state;
    net_init(&n, 0);
    for (unsigned i = 0; i < 5; i++) {
        const struct ring_seg seg = frame_seg(&n, &h, 100, i);
        ring_add(&n.r.ring[TX], &seg, 1);
    }
    rig_notify(&n.r, TX);
    for (unsigned i = 0; i < 5; i++) {
        assert_int_equal(wire_take(&n.wire, got, sizeof(got)), HDR + 100);
        fill(want, sizeof(want), i);
        assert_memory_equal(got + HDR, want, sizeof(want));
    }
    assert_int_equal(ring_used_count(&n.r.ring[TX]), 5);
    assert_int_equal(virtio_net_counts(n.r.dev).tx_frames, 5);
    assert_int_equal(n.r.interrupts, 0); /* it waits for company, but not for long */
    for (unsigned turns = 0; turns < 1000 && n.r.interrupts == 0; turns++) rig_run(&n.r, 5);
    assert_int_equal(n.r.interrupts, 1);
    rig_run(&n.r, 5);
    assert_int_equal(n.r.interrupts, 1);
    net_fini(&n);
}

/* A driver that runs short of memory or descriptors is not kept waiting. */
static void much_that_was_sent_is_told_of_at_once(void **state)
{
    static const struct {
        unsigned frames;
        uint32_t len;
        unsigned segs;
        bool is_told;
    } cases[] = {{1, 60000, 1, false}, {2, 60000, 1, false}, {3, 60000, 1, true}, {56, 60, 1, false},
                 {57, 60, 1, true},    {15, 60, 8, false},   {16, 60, 8, true}};
    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct net_rig n;
        net_init(&n, 0);
        for (unsigned k = 0; k < cases[i].frames; k++) add_frame(&n, cases[i].len, cases[i].segs);
        rig_notify(&n.r, TX);
        assert_int_equal(ring_used_count(&n.r.ring[TX]), cases[i].frames);
        if (n.r.interrupts != cases[i].is_told) fail_msg("case %zu: %u interrupts", i, n.r.interrupts);
        net_fini(&n);
    }
}

static void a_driver_that_asks_for_no_word_costs_no_timer(void **state)
{
    struct net_rig n;
    (void)state;
    net_init(&n, 0);
    ring_set_avail_flags(&n.r.ring[TX], 1);
    add_frame(&n, 60, 1);
    rig_notify(&n.r, TX);
    assert_null(n.r.loop.timers);
    ring_set_avail_flags(&n.r.ring[TX], 0); /* that asks later is told */
    add_frame(&n, 60, 1);
    rig_notify(&n.r, TX);
    assert_non_null(n.r.loop.timers);
    net_fini(&n);
}

/* A socket pays for the memory of a frame, not for its bytes: 92 of these are all that one may have unsent by default.
 */
static void a_sender_of_middling_frames_hears_before_its_socket_is_full(void **state)
{
    struct net_rig n;
    (void)state;
    net_init(&n, 0);
    for (unsigned k = 0; k < 92; k++) add_frame(&n, 1042, 1);
    rig_notify(&n.r, TX);
    assert_int_equal(ring_used_count(&n.r.ring[TX]), 92);
    assert_int_equal(n.r.interrupts, 1);
    net_fini(&n);
}

/* After 65,536 chains an index is where it was: a driver that asks for word then must get it. */
static void chains_with_nothing_to_send_are_told_of_too(void **state)
{
    struct net_rig n;
    struct ring_used used;
    (void)state;
    net_init(&n, 0);
    const struct ring_seg w = {rig_alloc(&n.r, 64), 64, true};
    ring_set_avail_flags(&n.r.ring[TX], 1);
    for (unsigned k = 0; k < 65535; k++) {
        ring_add(&n.r.ring[TX], &w, 1);
        rig_notify(&n.r, TX);
        while (ring_take_used(&n.r.ring[TX], &used)) continue;
    }
    ring_set_avail_flags(&n.r.ring[TX], 0);
    ring_add(&n.r.ring[TX], &w, 1);
    rig_notify(&n.r, TX);
    for (unsigned turns = 0; turns < 100; turns++) rig_run(&n.r, 5);
    assert_int_equal(n.r.interrupts, 1);
    net_fini(&n);
}

static void a_reset_forgets_what_the_driver_was_not_told(void **state)
{
    struct net_rig n;
    (void)state;
    net_init(&n, 0);
    add_frame(&n, 60000, 1);
    add_frame(&n, 60000, 1);
    rig_notify(&n.r, TX);
    rig_reset(&n.r);
    rig_run(&n.r, 20);
    rig_activate(&n.r);
    add_frame(&n, 60000, 1);
    rig_notify(&n.r, TX);
    assert_int_equal(n.r.interrupts, 0);
    net_fini(&n);
}

static void segments_may_split_anywhere(void **state)
{
    static const uint32_t cuts[] = {1, 5, 11, 12, 13, 50};
    const struct hdr h = {0};
    (void)state;
    for (size_t i = 0; i < COUNT_OF(cuts); i++) {
        struct net_rig n;
        uint8_t got[200], want[100];
        net_init(&n, 0);
        const struct ring_seg seg = frame_seg(&n, &h, 100, 3);
        const struct ring_seg part[] = {
            {seg.gpa, cuts[i], false}, {seg.gpa, 0, false}, {seg.gpa + cuts[i], seg.len - cuts[i], false}};
        ring_add(&n.r.ring[TX], part, 3);
        rig_notify(&n.r, TX);
        assert_int_equal(wire_take(&n.wire, got, sizeof(got)), HDR + 100);
        fill(want, sizeof(want), 3);
        assert_memory_equal(got + HDR, want, sizeof(want));
        net_fini(&n);
    }
}

/* What a hostile or sloppy header may do to the kernel: nothing. */
static void headers_pass_as_negotiated_or_the_frame_is_dropped(void **state)
{
    enum { LEN = 100, TSO4 = 1, UFO = 3, TSO6 = 4, USO = 5, ECN = 0x80 };
    const uint64_t all = F_CSUM | F_HOST_TSO4 | F_HOST_TSO6 | F_HOST_ECN;
    const struct {
        uint64_t features;
        struct hdr guest;
        bool passes;
        struct hdr kernel;
    } cases[] = {
        {0, {0}, true, {0}},
        {0, {.flags = 0xfe, .num_buffers = 9}, true, {0}}, /* unknown flags are ignored */
        {0, {.hdr_len = 54, .gso_size = 1448, .csum_start = 9, .csum_offset = 9}, true, {0}}, /* mean nothing */
        {0, {.flags = 1, .csum_start = 34, .csum_offset = 16}, false, {0}},
        {all,
         {.flags = 1, .csum_start = 34, .csum_offset = 16},
         true,
         {.flags = 1, .csum_start = 34, .csum_offset = 16}},
        {all, {.flags = 1, .csum_start = LEN - 2}, true, {.flags = 1, .csum_start = LEN - 2}},
        {all, {.flags = 1, .csum_start = LEN - 1}, false, {0}},
        {all, {.flags = 1, .csum_start = 0xffff, .csum_offset = 0xffff}, false, {0}},
        {all, {1, TSO4, 54, 1448, 34, 16, 0}, true, {1, TSO4, 54, 1448, 34, 16, 0}},
        {all, {1, TSO6, 74, 1428, 54, 16, 0}, true, {1, TSO6, 74, 1428, 54, 16, 0}},
        {all, {1, TSO4 | ECN, 54, 1448, 34, 16, 0}, true, {1, TSO4 | ECN, 54, 1448, 34, 16, 0}},
        {all & ~F_HOST_ECN, {1, TSO4 | ECN, 54, 1448, 34, 16, 0}, false, {0}},
        {all & ~F_HOST_TSO4, {1, TSO4, 54, 1448, 34, 16, 0}, false, {0}},
        {all & ~F_HOST_TSO6, {1, TSO6, 54, 1448, 34, 16, 0}, false, {0}},
        {all, {0, TSO4, 54, 1448, 34, 16, 0}, false, {0}}, /* no checksum, no segmentation */
        {all, {1, TSO4, 54, 0, 34, 16, 0}, false, {0}},
        {all, {1, TSO4, LEN + 1, 1448, 34, 16, 0}, false, {0}},
        {all, {1, UFO, 54, 1448, 34, 16, 0}, false, {0}},
        {all, {1, USO, 54, 1448, 34, 16, 0}, false, {0}},
        {all, {1, ECN, 54, 1448, 34, 16, 0}, false, {0}},
        {all, {1, 0x7f, 54, 1448, 34, 16, 0}, false, {0}},
    };
    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct net_rig n;
        uint8_t got[200];
        net_init(&n, cases[i].features);
        const struct ring_seg seg = frame_seg(&n, &cases[i].guest, LEN, 1);
        ring_add(&n.r.ring[TX], &seg, 1);
        rig_notify(&n.r, TX);
        const size_t len = wire_take(&n.wire, got, sizeof(got));
        if ((len > 0) != cases[i].passes) fail_msg("case %zu: %s", i, len > 0 ? "passed" : "was dropped");
        if (len > 0) assert_memory_equal(got, &cases[i].kernel, HDR);
        assert_int_equal(virtio_net_counts(n.r.dev).tx_dropped, !cases[i].passes);
        assert_int_equal(ring_used_count(&n.r.ring[TX]), 1); /* the guest gets its buffer back all the same */
        net_fini(&n);
    }
}

static void runts_and_giants_are_dropped_and_counted(void **state)
{
    static const struct {
        uint32_t len; /* header included */
        bool passes;
    } cases[] = {{0, false},  {1, false}, {11, false},   {12, false},
                 {25, false}, {26, true}, {65566, true}, {65567, false}};
    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct net_rig n;
        net_init(&n, 0);
        const struct ring_seg seg = {rig_alloc(&n.r, 70000), cases[i].len, false};
        ring_add(&n.r.ring[TX], &seg, 1);
        rig_notify(&n.r, TX);
        assert_int_equal(virtio_net_counts(n.r.dev).tx_frames, cases[i].passes);
        assert_int_equal(virtio_net_counts(n.r.dev).tx_dropped, !cases[i].passes);
        assert_int_equal(ring_used_count(&n.r.ring[TX]), 1);
        net_fini(&n);
    }
}

static void a_full_wire_is_waited_for_and_order_is_kept(void **state)
{
    enum { FRAMES = 200, LEN = 5000, ROOM = 40 };
    struct net_rig n;
    const struct hdr h = {0};
    static uint8_t got[2 * LEN], want[LEN];
    unsigned received = 0;
    (void)state;
    net_init(&n, 0);
    n.wire.room = ROOM;
    for (unsigned i = 0; i < FRAMES; i++) {
        const struct ring_seg seg = frame_seg(&n, &h, LEN, i);
        ring_add(&n.r.ring[TX], &seg, 1);
    }
    rig_notify(&n.r, TX);
    assert_int_equal(ring_used_count(&n.r.ring[TX]), ROOM);
    rig_run(&n.r, 5);
    assert_int_equal(n.wire.sends, ROOM + 1); /* what has no room is not asked again until it has */
    for (unsigned tries = 0; tries < 1000 && received < FRAMES; tries++) {
        while (wire_take(&n.wire, got, sizeof(got)) == HDR + LEN) {
            fill(want, LEN, received++);
            assert_memory_equal(got + HDR, want, LEN);
        }
        rig_run(&n.r, 1);
    }
    assert_int_equal(received, FRAMES);
    assert_int_equal(ring_used_count(&n.r.ring[TX]), FRAMES);
    assert_int_equal(virtio_net_counts(n.r.dev).tx_dropped, 0);
    net_fini(&n);
}

static void a_drain_is_bounded_in_bytes_too(void **state)
{
    struct net_rig n;
    (void)state;
    net_init(&n, 0);
    const struct ring_seg seg = {rig_alloc(&n.r, 70000), 65567, false}; /* dropped, but not for nothing */
    for (unsigned i = 0; i < 100; i++) ring_add(&n.r.ring[TX], &seg, 1);
    n.r.dev->ops->notify(n.r.dev, TX);
    assert_in_range(ring_used_count(&n.r.ring[TX]), 1, 99);
    assert_int_equal(n.r.renotify, 1 << TX);
    rig_notify(&n.r, TX);
    assert_int_equal(ring_used_count(&n.r.ring[TX]), 100);
    net_fini(&n);
}

static void a_send_that_fails_loses_its_frame_or_the_host(void **state)
{
    static const struct {
        int error;
        unsigned host_errors;
    } cases[] = {{-EBADMSG, 0}, {-EBADFD, 1}, {-EPERM, 1}};
    const struct hdr h = {0};
    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct net_rig n;
        net_init(&n, 0);
        n.wire.error = cases[i].error;
        n.wire.errors_left = 1;
        const struct ring_seg seg = frame_seg(&n, &h, 100, 1);
        for (unsigned k = 0; k < 3; k++) ring_add(&n.r.ring[TX], &seg, 1);
        rig_notify(&n.r, TX);
        assert_int_equal(ring_used_count(&n.r.ring[TX]), 3); /* the guest has its buffers back all the same */
        assert_int_equal(n.r.host_errors, cases[i].host_errors);
        assert_int_equal(n.wire.sends, cases[i].host_errors ? 1 : 3); /* what is gone is asked no more */
        assert_int_equal(virtio_net_counts(n.r.dev).tx_dropped, cases[i].host_errors ? 3 : 1);
        net_fini(&n);
    }
}

UNIT_MAIN(UNIT(frames_leave_in_order_with_one_interrupt), UNIT(much_that_was_sent_is_told_of_at_once),
          UNIT(a_driver_that_asks_for_no_word_costs_no_timer),
          UNIT(a_sender_of_middling_frames_hears_before_its_socket_is_full),
          UNIT(chains_with_nothing_to_send_are_told_of_too), UNIT(a_reset_forgets_what_the_driver_was_not_told),
          UNIT(segments_may_split_anywhere), UNIT(headers_pass_as_negotiated_or_the_frame_is_dropped),
          UNIT(runts_and_giants_are_dropped_and_counted), UNIT(a_full_wire_is_waited_for_and_order_is_kept),
          UNIT(a_drain_is_bounded_in_bytes_too), UNIT(a_send_that_fails_loses_its_frame_or_the_host))
