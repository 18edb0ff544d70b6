/* A virtio-net device on a network in memory, with its driver, for the tests of the device. */
#ifndef VIREO_TESTS_NET_RIG_H
#define VIREO_TESTS_NET_RIG_H

#include "tests/unit/unit.h"

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

static inline void net_init(struct net_rig *n, uint64_t features)
{
    struct virtio_dev *d = NULL;
    wire_init(&n->wire);
    assert_int_equal(virtio_net_create(&d, &n->wire.backend, NULL, 0, NULL), 0);
    rig_init(&n->r, d, features);
    rig_activate(&n->r);
}

static inline void net_fini(struct net_rig *n)
{
    assert_true(virtq_is_valid(&n->r.dev->vq[RX]) && virtq_is_valid(&n->r.dev->vq[TX]));
    rig_fini(&n->r);
    assert_true(n->wire.is_closed);
}

static inline void fill(uint8_t *p, size_t len, unsigned seed)
{
    for (size_t i = 0; i < len; i++) p[i] = (uint8_t)(seed + i * 7 + i / 251);
}

/* A frame of len bytes behind a header, in guest memory. */
static inline struct ring_seg frame_seg(struct net_rig *n, const struct hdr *h, uint32_t len, unsigned seed)
{
    const struct ring_seg seg = {rig_alloc(&n->r, HDR + len), HDR + len, false};
    uint8_t *p = rig_host(&n->r, seg.gpa);
    memcpy(p, h, HDR);
    fill(p + HDR, len, seed);
    return seg;
}

static inline void add_frame(struct net_rig *n, uint32_t len, unsigned segs)
{
    const struct hdr h = {0};
    const struct ring_seg whole = frame_seg(n, &h, len, 1);
    struct ring_seg part[16];
    for (unsigned i = 0; i < segs; i++) part[i] = (struct ring_seg){whole.gpa + i, 1, false};
    part[segs - 1].len = whole.len - (segs - 1);
    ring_add(&n->r.ring[TX], part, segs);
}

static inline uint64_t add_buffer(struct net_rig *n, uint32_t len)
{
    const struct ring_seg seg = {rig_alloc(&n->r, len), len, true};
    ring_add(&n->r.ring[RX], &seg, 1);
    return seg.gpa;
}

static inline bool send_frame(struct net_rig *n, const struct hdr *h, size_t len, unsigned seed)
{
    static uint8_t frame[HDR + 70000];
    memcpy(frame, h, HDR);
    fill(frame + HDR, len, seed);
    return wire_put(&n->wire, frame, HDR + len);
}

/* The next received frame: its bytes, header first, gathered from as many buffers as it says. */
static inline size_t take_frame(struct net_rig *n, uint8_t *out, unsigned *buffers)
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

static inline void expect_frame(struct net_rig *n, size_t len, unsigned seed, unsigned want_buffers)
{
    static uint8_t got[HDR + 70000], want[70000];
    unsigned buffers = 0;
    assert_int_equal(take_frame(n, got, &buffers), HDR + len);
    assert_int_equal(buffers, want_buffers);
    fill(want, len, seed);
    assert_memory_equal(got + HDR, want, len);
}

#endif
