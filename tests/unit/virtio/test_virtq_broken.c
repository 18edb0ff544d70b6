/* Every way in which a driver can break a ring is refused, by name, and goes on being refused. */
#include <errno.h>

#include "tests/unit/virtio/virtq_rig.h"
#include "vmm/base/endian.h"

static void init_refuses_what_is_no_queue(void **state)
{
    struct virtq_rig *b = *state;
    const struct virtq_config good = ring_config(&b->ring);
    const uint64_t end = RING_MEM_GPA + RING_MEM_SIZE;
    const struct {
        const char *what;
        uint16_t size;
        uint64_t desc, avail, used;
    } bad[] = {
        {"size 0", 0, good.desc, good.avail, good.used},
        {"no power of two", 6, good.desc, good.avail, good.used},
        {"more than the maximum", VIRTQ_MAX_SIZE * 2, good.desc, good.avail, good.used},
        {"descriptors misaligned", SIZE, good.desc + 8, good.avail, good.used},
        {"available ring misaligned", SIZE, good.desc, good.avail + 1, good.used},
        {"used ring misaligned", SIZE, good.desc, good.avail, good.used + 2},
        {"descriptors below memory", SIZE, RING_MEM_GPA - 16, good.avail, good.used},
        {"available ring crosses the end", SIZE, good.desc, end - 2, good.used},
        {"used ring beyond the end", SIZE, good.desc, good.avail, end},
        {"used ring wraps", SIZE, good.desc, good.avail, UINT64_MAX - 3},
        {"descriptors at the top of the address space", SIZE, UINT64_MAX - 15, good.avail, good.used},
        {"all at one address", SIZE, good.desc, good.desc, good.desc},
        {"available ring in the descriptors", SIZE, good.desc, good.desc + 16 * SIZE - 2, good.used},
        {"used ring in the available ring", SIZE, good.desc, good.avail, (good.avail + 4) & ~3ull},
        {"descriptors in the used ring", SIZE, (good.used + 15) & ~15ull, good.avail, good.used},
    };
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        const struct virtq_config cfg = {bad[i].size, true, bad[i].desc, bad[i].avail, bad[i].used};
        struct virtq q;
        if (virtq_init(&q, &cfg, &b->mem.gmem, 0) != -EINVAL) fail_msg("accepted: %s", bad[i].what);
    }
}

static void init_refuses_memory_that_the_host_can_not_access_atomically(void **state)
{
    struct virtq_rig *b = *state;
    const struct virtq_config cfg = ring_config(&b->ring);
    struct gmem odd;
    struct virtq q;
    gmem_init(&odd);
    assert_int_equal(gmem_add_host(&odd, RING_MEM_GPA, RING_MEM_SIZE - 1, b->mem.host + 1, NULL), 0);
    gmem_freeze(&odd);
    assert_int_equal(virtq_init(&q, &cfg, &odd, 0), -EINVAL);
    gmem_fini(&odd);
}

/* The queue refuses what it is offered now, and goes on refusing. */
static void assert_refused(struct virtq_rig *b, const char *why)
{
    assert_int_equal(virtq_pop(&b->q, &b->chain), -EPROTO);
    assert_true(b->q.is_broken);
    assert_string_equal(b->q.why, why);
    assert_int_equal(virtq_pop(&b->q, &b->chain), -EPROTO);
    assert_int_equal(b->q.in_flight, 0);
}

/* What breaks a ring. */

static void pop_refuses_a_loop(void **state)
{
    struct virtq_rig *b = *state;
    ring_set_desc(&b->ring, 0, out_seg(b, 1), RING_F_NEXT, 1);
    ring_set_desc(&b->ring, 1, out_seg(b, 1), RING_F_NEXT, 0);
    ring_offer(&b->ring, 0);
    assert_refused(b, "a descriptor chain loops or is longer than the queue");
}

static void pop_refuses_a_descriptor_that_is_its_own_next(void **state)
{
    struct virtq_rig *b = *state;
    ring_set_desc(&b->ring, 3, out_seg(b, 0), RING_F_NEXT, 3);
    ring_offer(&b->ring, 3);
    assert_refused(b, "a descriptor chain loops or is longer than the queue");
}

static void pop_refuses_an_indirect_chain_longer_than_the_queue(void **state)
{
    struct virtq_rig *b = *state;
    struct ring_seg seg[SIZE + 1];
    for (unsigned i = 0; i <= SIZE; i++) seg[i] = out_seg(b, 1);
    (void)ring_add_indirect(&b->ring, seg, SIZE + 1);
    assert_refused(b, "a descriptor chain loops or is longer than the queue");
}

static void pop_refuses_a_next_beyond_the_table(void **state)
{
    struct virtq_rig *b = *state;
    ring_set_desc(&b->ring, 0, out_seg(b, 1), RING_F_NEXT, SIZE);
    ring_offer(&b->ring, 0);
    assert_refused(b, "a descriptor's next is beyond its table");
}

static void pop_refuses_a_head_beyond_the_table(void **state)
{
    struct virtq_rig *b = *state;
    ring_offer(&b->ring, SIZE);
    assert_refused(b, "an available head is beyond the descriptor table");
}

static void pop_refuses_a_head_that_is_in_flight(void **state)
{
    struct virtq_rig *b = *state;
    const struct ring_seg seg = in_seg(b, 8);
    const uint16_t head = ring_add(&b->ring, &seg, 1);
    assert_int_equal(virtq_pop(&b->q, &b->chain), 1);
    ring_offer(&b->ring, head);
    assert_int_equal(virtq_pop(&b->q, &b->chain), -EPROTO);
    assert_string_equal(b->q.why, "a head was made available while it is in flight");
    virtq_push(&b->q, head, 0); /* what was in flight may still come back */
    assert_int_equal(b->q.in_flight, 0);
}

static void pop_refuses_an_avail_idx_too_far_ahead(void **state)
{
    struct virtq_rig *b = *state;
    ring_set_avail_idx(&b->ring, SIZE + 1);
    assert_refused(b, "avail.idx is more than a queue size ahead");
}

static void pop_refuses_an_avail_idx_that_went_back(void **state)
{
    struct virtq_rig *b = *state;
    const struct ring_seg seg = in_seg(b, 8);
    (void)ring_add(&b->ring, &seg, 1);
    assert_int_equal(virtq_pop(&b->q, &b->chain), 1);
    virtq_push(&b->q, b->chain.head, 0);
    ring_set_avail_idx(&b->ring, 0);
    assert_refused(b, "avail.idx is more than a queue size ahead");
}

static void pop_refuses_readable_after_writable(void **state)
{
    struct virtq_rig *b = *state;
    const struct ring_seg seg[] = {in_seg(b, 8), out_seg(b, 8)};
    (void)ring_add(&b->ring, seg, 2);
    assert_refused(b, "a readable descriptor follows a writable one");
}

static void pop_refuses_buffers_outside_memory(void **state)
{
    const uint64_t end = RING_MEM_GPA + RING_MEM_SIZE;
    const struct ring_seg bad[] = {
        {RING_MEM_GPA - 1, 1, false}, /* below */
        {RING_MEM_GPA - 1, 2, false}, /* begins below */
        {end - 1, 2, true},           /* ends above */
        {end + 4096, 1, true},        /* above */
        {0, 1, false},
        {UINT64_MAX, 1, false},
        {UINT64_MAX - 3, 8, true}, /* wraps to 0 */
        {RING_MEM_GPA, UINT32_MAX, true},
        {end + 4096, 0, false}, /* empty, and nowhere */
    };
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct virtq_rig *b = *state;
        ring_set_desc(&b->ring, 0, bad[i], bad[i].is_in ? RING_F_WRITE : 0, 0);
        ring_offer(&b->ring, 0);
        assert_refused(b, "a buffer is not inside guest memory");
        close_queue(b);
        open_queue(b, VIRTIO_F_INDIRECT_DESC);
    }
}

static void pop_refuses_a_buffer_that_crosses_two_regions(void **state)
{
    struct virtq_rig *b = *state;
    struct gmem two;
    const uint64_t half = RING_MEM_SIZE / 2;
    gmem_init(&two);
    assert_int_equal(gmem_add_host(&two, RING_MEM_GPA, half, b->mem.host, NULL), 0);
    assert_int_equal(gmem_add_host(&two, RING_MEM_GPA + half, half, b->mem.host + half, NULL), 0);
    gmem_freeze(&two);
    const struct virtq_config cfg = ring_config(&b->ring);
    assert_int_equal(virtq_init(&b->q, &cfg, &two, 0), 0);
    const struct ring_seg seg = {RING_MEM_GPA + half - 4, 8, true};
    (void)ring_add(&b->ring, &seg, 1);
    assert_refused(b, "a buffer is not inside guest memory");
    gmem_fini(&two);
}

static void pop_refuses_a_chain_of_4_gib(void **state)
{
    /* Guest memory of 4 MiB can't hold such a buffer, so a region that is never touched plays a large one. */
    struct virtq_rig *b = *state;
    struct gmem large;
    gmem_init(&large);
    assert_int_equal(gmem_add_host(&large, RING_MEM_GPA, RING_MEM_SIZE, b->mem.host, NULL), 0);
    assert_int_equal(gmem_add_host(&large, 1ull << 40, 1ull << 32, b->mem.host, NULL), 0);
    gmem_freeze(&large);
    const struct virtq_config cfg = ring_config(&b->ring);
    assert_int_equal(virtq_init(&b->q, &cfg, &large, 0), 0);
    const struct ring_seg seg[] = {{1ull << 40, UINT32_MAX, false}, {1ull << 40, 1, true}};
    (void)ring_add(&b->ring, seg, 2);
    assert_refused(b, "a descriptor chain is 4 GiB or longer");
    gmem_fini(&large);
}

/* Indirect tables (2.7.5.3). */

static void offer_table(struct virtq_rig *b, uint64_t gpa, uint32_t len, uint16_t flags)
{
    ring_set_desc(&b->ring, 0, (struct ring_seg){gpa, len, false}, flags, 1);
    ring_set_desc(&b->ring, 1, out_seg(b, 1), 0, 0);
    ring_offer(&b->ring, 0);
}

static void pop_refuses_indirect_that_was_not_negotiated(void **state)
{
    struct virtq_rig *b = *state;
    b->q.has_indirect = false;
    offer_table(b, b->buf, 16, RING_F_INDIRECT);
    assert_refused(b, "an indirect descriptor, which was not negotiated");
}

static void pop_refuses_indirect_with_next(void **state)
{
    offer_table(*state, ((struct virtq_rig *)*state)->buf, 16, RING_F_INDIRECT | RING_F_NEXT);
    assert_refused(*state, "an indirect descriptor that has a next one");
}

static void pop_refuses_indirect_inside_indirect(void **state)
{
    struct virtq_rig *b = *state;
    uint8_t *t = ring_host(&b->mem, b->buf);
    le64_write(t, b->buf);
    le32_write(t + 8, 16);
    le16_write(t + 12, RING_F_INDIRECT);
    offer_table(b, b->buf, 16, RING_F_INDIRECT);
    assert_refused(b, "an indirect descriptor inside an indirect table");
}

static void pop_refuses_indirect_tables_of_odd_length(void **state)
{
    const uint32_t bad[] = {0, 1, 15, 17, 40, UINT32_MAX};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct virtq_rig *b = *state;
        offer_table(b, b->buf, bad[i], RING_F_INDIRECT);
        assert_refused(b, "an indirect table whose length is no multiple of 16, or 0");
        close_queue(b);
        open_queue(b, VIRTIO_F_INDIRECT_DESC);
    }
}

static void pop_refuses_indirect_tables_outside_memory(void **state)
{
    const struct ring_seg bad[] = {{RING_MEM_GPA + RING_MEM_SIZE - 16, 32, false},
                                   {RING_MEM_GPA - 16, 16, false},
                                   {UINT64_MAX - 7, 16, false},
                                   {RING_MEM_GPA, 0xfffffff0, false}};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct virtq_rig *b = *state;
        offer_table(b, bad[i].gpa, bad[i].len, RING_F_INDIRECT);
        assert_refused(b, "an indirect table is not inside guest memory");
        close_queue(b);
        open_queue(b, VIRTIO_F_INDIRECT_DESC);
    }
}

static void pop_refuses_a_next_beyond_the_indirect_table(void **state)
{
    struct virtq_rig *b = *state;
    uint8_t *t = ring_host(&b->mem, b->buf);
    le64_write(t, b->buf);
    le32_write(t + 8, 1);
    le16_write(t + 12, RING_F_NEXT);
    le16_write(t + 14, 1);
    offer_table(b, b->buf, 16, RING_F_INDIRECT);
    assert_refused(b, "a descriptor's next is beyond its table");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH(init_refuses_what_is_no_queue, setup),
        WITH(init_refuses_memory_that_the_host_can_not_access_atomically, setup),
        WITH(pop_refuses_a_loop, setup),
        WITH(pop_refuses_a_descriptor_that_is_its_own_next, setup),
        WITH(pop_refuses_an_indirect_chain_longer_than_the_queue, setup),
        WITH(pop_refuses_a_next_beyond_the_table, setup),
        WITH(pop_refuses_a_head_beyond_the_table, setup),
        WITH(pop_refuses_a_head_that_is_in_flight, setup),
        WITH(pop_refuses_an_avail_idx_too_far_ahead, setup),
        WITH(pop_refuses_an_avail_idx_that_went_back, setup),
        WITH(pop_refuses_readable_after_writable, setup),
        WITH(pop_refuses_buffers_outside_memory, setup),
        WITH(pop_refuses_a_buffer_that_crosses_two_regions, setup),
        WITH(pop_refuses_a_chain_of_4_gib, setup),
        WITH(pop_refuses_indirect_that_was_not_negotiated, setup),
        WITH(pop_refuses_indirect_with_next, setup),
        WITH(pop_refuses_indirect_inside_indirect, setup),
        WITH(pop_refuses_indirect_tables_of_odd_length, setup),
        WITH(pop_refuses_indirect_tables_outside_memory, setup),
        WITH(pop_refuses_a_next_beyond_the_indirect_table, setup),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
