/* virtio-net with a network in memory as its host side. */
#include "tests/unit/unit.h"

#include <errno.h>
#include <time.h>

#include "devices/devices.h"
#include "tests/unit/virtio/ring.h"
#include "tests/unit/virtio/wire.h"
#include "vmm/base/endian.h"

enum { RX = 0, TX = 1, HDR = 12, BIG = 60000 };

#define F_CSUM       (1ull << 0)
#define F_GUEST_CSUM (1ull << 1)
#define F_MTU        (1ull << 3)
#define F_GUEST_TSO4 (1ull << 7)
#define F_GUEST_TSO6 (1ull << 8)
#define F_GUEST_ECN  (1ull << 9)
#define F_HOST_TSO4  (1ull << 11)
#define F_HOST_TSO6  (1ull << 12)
#define F_HOST_ECN   (1ull << 13)
#define F_MRG_RXBUF  (1ull << 15)

struct hdr {
    uint8_t flags, gso_type;
    uint16_t hdr_len, gso_size, csum_start, csum_offset, num_buffers;
};

struct net_rig {
    struct rig r;
    struct wire wire;
};

static void net_init(struct net_rig *n, uint64_t features)
{
    struct virtio_dev *d = NULL;
    wire_init(&n->wire);
    assert_int_equal(virtio_net_create(&d, &n->wire.backend, NULL, 0, NULL), 0);
    rig_init(&n->r, d, features);
    rig_activate(&n->r);
}

static void net_fini(struct net_rig *n)
{
    assert_true(virtq_is_valid(&n->r.dev->vq[RX]) && virtq_is_valid(&n->r.dev->vq[TX]));
    rig_fini(&n->r);
    assert_true(n->wire.is_closed);
}

static void fill(uint8_t *p, size_t len, unsigned seed)
{
    for (size_t i = 0; i < len; i++) p[i] = (uint8_t)(seed + i * 7 + i / 251);
}

/* ---- sending ---- */

/* A frame of len bytes behind a header, in guest memory. */
static struct ring_seg frame_seg(struct net_rig *n, const struct hdr *h, uint32_t len, unsigned seed)
{
    const struct ring_seg seg = {rig_alloc(&n->r, HDR + len), HDR + len, false};
    uint8_t *p = rig_host(&n->r, seg.gpa);
    memcpy(p, h, HDR);
    fill(p + HDR, len, seed);
    return seg;
}

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

static void add_frame(struct net_rig *n, uint32_t len, unsigned segs)
{
    const struct hdr h = {0};
    const struct ring_seg whole = frame_seg(n, &h, len, 1);
    struct ring_seg part[16];
    for (unsigned i = 0; i < segs; i++) part[i] = (struct ring_seg){whole.gpa + i, 1, false};
    part[segs - 1].len = whole.len - (segs - 1);
    ring_add(&n->r.ring[TX], part, segs);
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

/* ---- receiving ---- */

static uint64_t add_buffer(struct net_rig *n, uint32_t len)
{
    const struct ring_seg seg = {rig_alloc(&n->r, len), len, true};
    ring_add(&n->r.ring[RX], &seg, 1);
    return seg.gpa;
}

static bool send_frame(struct net_rig *n, const struct hdr *h, size_t len, unsigned seed)
{
    static uint8_t frame[HDR + 70000];
    memcpy(frame, h, HDR);
    fill(frame + HDR, len, seed);
    return wire_put(&n->wire, frame, HDR + len);
}

/* The next received frame: its bytes, header first, gathered from as many buffers as it says. */
static size_t take_frame(struct net_rig *n, uint8_t *out, unsigned *buffers)
{
    struct ring_used used;
    size_t len = 0;
    unsigned count = 1;
    for (unsigned i = 0; i < count; i++) {
        if (!ring_take_used(&n->r.ring[RX], &used)) {
            assert_int_equal(i, 0); /* all of a frame's buffers are used at once */
            return 0;
        }
        const uint8_t *desc = (const uint8_t *)rig_host(&n->r, n->r.ring[RX].desc) + 16 * used.id;
        memcpy(out + len, rig_host(&n->r, le64_read(desc)), used.len);
        len += used.len;
        if (i == 0) count = le16_read(out + 10);
    }
    *buffers = count;
    return len;
}

static void expect_frame(struct net_rig *n, size_t len, unsigned seed, unsigned want_buffers)
{
    static uint8_t got[HDR + 70000], want[70000];
    unsigned buffers = 0;
    assert_int_equal(take_frame(n, got, &buffers), HDR + len);
    assert_int_equal(buffers, want_buffers);
    fill(want, len, seed);
    assert_memory_equal(got + HDR, want, len);
}

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

/* ---- life ---- */

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

UNIT_MAIN(UNIT(frames_leave_in_order_with_one_interrupt), UNIT(much_that_was_sent_is_told_of_at_once),
          UNIT(a_driver_that_asks_for_no_word_costs_no_timer), UNIT(a_reset_forgets_what_the_driver_was_not_told),
          UNIT(a_sender_of_middling_frames_hears_before_its_socket_is_full),
          UNIT(chains_with_nothing_to_send_are_told_of_too), UNIT(a_received_frame_tells_of_the_sent_ones_too),
          UNIT(segments_may_split_anywhere), UNIT(headers_pass_as_negotiated_or_the_frame_is_dropped),
          UNIT(runts_and_giants_are_dropped_and_counted), UNIT(a_full_wire_is_waited_for_and_order_is_kept),
          UNIT(a_drain_is_bounded_in_bytes_too), UNIT(frames_fill_one_buffer_each_with_one_interrupt),
          UNIT(a_frame_is_merged_from_as_many_buffers_as_it_needs), UNIT(a_header_may_span_segments),
          UNIT(a_frame_waits_for_more_buffers_and_is_whole_then),
          UNIT(without_buffers_frames_stay_outside_and_cost_nothing),
          UNIT(what_can_never_fit_is_dropped_and_the_next_frame_comes),
          UNIT(runts_giants_and_unnegotiated_offloads_are_dropped), UNIT(a_drain_takes_a_batch_and_the_loop_the_rest),
          UNIT(buffers_without_room_for_a_header_are_a_fault), UNIT(broken_rings_are_faults),
          UNIT(with_event_idx_the_driver_rings_only_when_we_starve), UNIT(reset_forgets_buffers_and_offloads),
          UNIT(the_host_is_told_what_was_negotiated), UNIT(a_wire_that_is_cut_is_told_once_and_the_guest_lives_on),
          UNIT(a_receive_that_fails_for_a_moment_is_not_the_end), UNIT(a_send_that_fails_loses_its_frame_or_the_host),
          UNIT(a_receive_that_fails_for_good_says_why), UNIT(configuration_shows_mac_status_and_mtu))
