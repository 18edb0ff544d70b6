/* A queue and its driver, for the tests of the ring. */
#ifndef VIREO_TESTS_VIRTQ_RIG_H
#define VIREO_TESTS_VIRTQ_RIG_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/unit/virtio/ring.h"

#define SIZE 8 /* of the ring under test: small, so that wrapping is soon reached */

struct virtq_rig {
    struct ring_mem mem;
    struct ring ring;
    struct virtq q;
    struct virtq_chain chain;
    uint64_t buf; /* BUF_LEN bytes */
};
#define BUF_LEN 4096

static inline void open_queue(struct virtq_rig *b, uint64_t features)
{
    ring_mem_init(&b->mem);
    ring_init(&b->ring, &b->mem, SIZE);
    b->buf = ring_alloc(&b->mem, BUF_LEN, 16);
    const struct virtq_config cfg = ring_config(&b->ring);
    assert_int_equal(virtq_init(&b->q, &cfg, &b->mem.gmem, features), 0);
    assert_true(virtq_is_valid(&b->q));
}

static inline void close_queue(struct virtq_rig *b)
{
    assert_true(virtq_is_valid(&b->q));
    ring_mem_fini(&b->mem);
}

static inline int setup(void **state)
{
    static struct virtq_rig rig;
    open_queue(&rig, VIRTIO_F_INDIRECT_DESC);
    *state = &rig;
    return 0;
}
static inline int setup_event_idx(void **state)
{
    (void)setup(state);
    ((struct virtq_rig *)*state)->q.has_event_idx = true;
    return 0;
}
static inline int teardown(void **state)
{
    close_queue(*state);
    return 0;
}

static inline struct ring_seg out_seg(const struct virtq_rig *b, uint32_t len)
{
    return (struct ring_seg){b->buf, len, false};
}
static inline struct ring_seg in_seg(const struct virtq_rig *b, uint32_t len)
{
    return (struct ring_seg){b->buf, len, true};
}

#define WITH(name, how) cmocka_unit_test_setup_teardown(name, how, teardown)

#endif
