/* virtio-net: both ways at once, its life, its configuration. */
#include "tests/unit/virtio/net_rig.h"

#include <errno.h>
#include <sched.h>

static void a_received_frame_tells_of_the_sent_ones_too(void **state)
{
    struct net_rig n;
    const struct hdr h = {0};
    (void)state;
    net_init(&n, 0);
    for (unsigned i = 0; i < 2; i++) add_buffer(&n, 2000);
    for (unsigned i = 1; i <= 2; i++) {
        add_frame(&n, 60, 1);
        rig_notify(&n.r, TX);
        assert_int_equal(n.r.interrupts, i - 1);
        assert_true(send_frame(&n, &h, 60, i));
        rig_notify(&n.r, RX);
        assert_int_equal(n.r.interrupts, i);
        assert_int_equal(ring_used_count(&n.r.ring[TX]), i);
    }
    rig_run(&n.r, 20); /* and no second time */
    assert_int_equal(n.r.interrupts, 2);
    net_fini(&n);
}

static void broken_rings_are_faults(void **state)
{
    struct net_rig n;
    (void)state;
    net_init(&n, 0);
    ring_set_avail_idx(&n.r.ring[RX], 1000);
    rig_notify(&n.r, RX);
    assert_int_equal(n.r.faults, 1);
    ring_set_avail_idx(&n.r.ring[TX], 1000);
    rig_notify(&n.r, TX);
    assert_int_equal(n.r.faults, 2);
    rig_run(&n.r, 5);
    net_fini(&n);
}

static void with_event_idx_the_driver_rings_only_when_we_starve(void **state)
{
    struct net_rig n;
    const struct hdr h = {0};
    (void)state;
    net_init(&n, F_MRG_RXBUF | VIRTIO_F_EVENT_IDX);
    const struct ring_seg seg = frame_seg(&n, &h, 60, 1);
    ring_add(&n.r.ring[TX], &seg, 1);
    rig_notify(&n.r, TX);
    assert_int_equal(ring_avail_event(&n.r.ring[TX]), 1);
    add_buffer(&n, 2000);
    assert_true(send_frame(&n, &h, 60, 1));
    rig_notify(&n.r, RX);
    assert_int_equal(ring_avail_event(&n.r.ring[RX]), 1); /* it was the last: the next one must ring */
    for (unsigned i = 0; i < 10; i++) add_buffer(&n, 2000);
    rig_notify(&n.r, RX);
    assert_int_equal(ring_avail_event(&n.r.ring[RX]), 1);
    net_fini(&n);
}

static void set_ordinary(void)
{
    assert_int_equal(sched_setscheduler(0, SCHED_OTHER, &(struct sched_param){0}), 0);
}

static void a_stream_does_not_interrupt_its_guest_and_ends_by_itself(void **state)
{
    struct net_rig n;
    (void)state;
    set_ordinary();
    net_init(&n, 0);
    for (unsigned i = 0; i < 3; i++) {
        add_frame(&n, BIG, 1);
        rig_notify(&n.r, TX);
        assert_int_equal(sched_getscheduler(0), SCHED_BATCH);
    }
    for (unsigned turns = 0; turns < 1000 && sched_getscheduler(0) == SCHED_BATCH; turns++) rig_run(&n.r, 5);
    assert_int_equal(sched_getscheduler(0), SCHED_OTHER);
    assert_null(n.r.loop.timers);
    add_frame(&n, BIG, 1); /* and another one begins */
    rig_notify(&n.r, TX);
    assert_int_equal(sched_getscheduler(0), SCHED_BATCH);
    rig_reset(&n.r);
    assert_int_equal(sched_getscheduler(0), SCHED_OTHER);
    assert_null(n.r.loop.timers);
    net_fini(&n);
}

static void a_stream_that_comes_in_does_not_either(void **state)
{
    struct net_rig n;
    const struct hdr h = {0};
    (void)state;
    set_ordinary();
    net_init(&n, F_MRG_RXBUF | F_GUEST_CSUM | F_GUEST_TSO4);
    add_buffer(&n, BIG + HDR);
    assert_true(send_frame(&n, &h, BIG, 1));
    rig_notify(&n.r, RX);
    expect_frame(&n, BIG, 1, 1);
    assert_int_equal(sched_getscheduler(0), SCHED_BATCH);
    for (unsigned turns = 0; turns < 1000 && sched_getscheduler(0) == SCHED_BATCH; turns++) rig_run(&n.r, 5);
    assert_int_equal(sched_getscheduler(0), SCHED_OTHER);
    net_fini(&n);
}

static void requests_are_no_stream(void **state)
{
    struct net_rig n;
    const struct hdr h = {0};
    (void)state;
    set_ordinary();
    net_init(&n, 0);
    for (unsigned i = 0; i < 50; i++) {
        add_frame(&n, 1514, 1);
        rig_notify(&n.r, TX);
        add_buffer(&n, 2000);
        assert_true(send_frame(&n, &h, 1514, i));
        rig_notify(&n.r, RX);
        assert_int_equal(sched_getscheduler(0), SCHED_OTHER);
    }
    net_fini(&n);
}

static void reset_forgets_buffers_and_offloads(void **state)
{
    struct net_rig n;
    const struct hdr h = {0};
    (void)state;
    net_init(&n, F_MRG_RXBUF | F_GUEST_CSUM);
    assert_int_equal(n.wire.offloads, NET_OFFLOAD_CSUM);
    const uint64_t old = add_buffer(&n, 2000);
    rig_notify(&n.r, RX);
    rig_reset(&n.r);
    assert_int_equal(n.wire.offloads, 0);
    assert_true(send_frame(&n, &h, 100, 1));
    rig_run(&n.r, 5);
    rig_activate(&n.r);
    add_buffer(&n, 2000);
    rig_notify(&n.r, RX);
    expect_frame(&n, 100, 1, 1);
    static const uint8_t nothing[2000];
    assert_memory_equal(rig_host(&n.r, old), nothing, sizeof(nothing));
    net_fini(&n);
}

static void the_host_is_told_what_was_negotiated(void **state)
{
    static const struct {
        uint64_t features;
        unsigned offloads;
    } cases[] = {
        {0, 0},
        {F_CSUM | F_HOST_TSO4, 0},
        {F_GUEST_CSUM, NET_OFFLOAD_CSUM},
        {F_GUEST_CSUM | F_GUEST_TSO4, NET_OFFLOAD_CSUM | NET_OFFLOAD_TSO4},
        {F_GUEST_CSUM | F_GUEST_TSO6 | F_GUEST_ECN, NET_OFFLOAD_CSUM | NET_OFFLOAD_TSO6 | NET_OFFLOAD_ECN},
        {F_GUEST_CSUM | F_GUEST_ECN, NET_OFFLOAD_CSUM},
        {F_GUEST_TSO4 | F_GUEST_TSO6, 0}, /* a driver that left out what they depend on */
    };
    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct net_rig n;
        net_init(&n, cases[i].features);
        assert_int_equal(n.wire.offloads, cases[i].offloads);
        net_fini(&n);
    }
}

static void a_wire_that_is_cut_is_told_once_and_the_guest_lives_on(void **state)
{
    struct net_rig n;
    (void)state;
    net_init(&n, 0);
    add_buffer(&n, 2000);
    rig_notify(&n.r, RX);
    wire_cut(&n.wire);
    rig_run(&n.r, 20);
    rig_notify(&n.r, RX);
    assert_int_equal(n.r.host_errors, 1);
    assert_int_equal(n.r.host_failures, 0);
    net_fini(&n);
}

static void configuration_shows_mac_status_and_mtu(void **state)
{
    static const uint8_t mac[6] = {0x52, 0x54, 0x00, 1, 2, 3}, multicast[6] = {1};
    struct virtio_dev *d = NULL;
    struct err e = {0};
    uint8_t c[12];
    (void)state;
    for (unsigned i = 0; i < 2; i++) {
        struct wire w;
        wire_init(&w);
        if (i == 0) {
            assert_int_equal(virtio_net_create(&d, &w.backend, multicast, 0, &e), -EINVAL);
            assert_contains(e.text, "multicast");
        }
        assert_int_equal(virtio_net_create(&d, &w.backend, i == 0 ? mac : NULL, i == 0 ? 9000 : 0, NULL), 0);
        assert_int_equal(d->ops->config_size, sizeof(c));
        d->ops->config_read(d, 0, c, sizeof(c));
        if (i == 0)
            assert_memory_equal(c, mac, 6);
        else
            assert_int_equal(c[0] & 3, 2); /* local, unicast */
        assert_int_equal(le16_read(c + 6), 1);
        assert_int_equal(le16_read(c + 8), 1);
        assert_int_equal(le16_read(c + 10), i == 0 ? 9000 : 0);
        assert_int_equal((d->ops->features(d) & F_MTU) != 0, i == 0);
        d->ops->destroy(d);
    }
}

UNIT_MAIN(UNIT(a_stream_does_not_interrupt_its_guest_and_ends_by_itself), UNIT(a_stream_that_comes_in_does_not_either),
          UNIT(requests_are_no_stream), UNIT(a_received_frame_tells_of_the_sent_ones_too),
          UNIT(broken_rings_are_faults), UNIT(with_event_idx_the_driver_rings_only_when_we_starve),
          UNIT(reset_forgets_buffers_and_offloads), UNIT(the_host_is_told_what_was_negotiated),
          UNIT(a_wire_that_is_cut_is_told_once_and_the_guest_lives_on), UNIT(configuration_shows_mac_status_and_mtu))
