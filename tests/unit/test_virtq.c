/* The ring as a well-behaved driver uses it, and every way in which one can break it. */
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "tests/unit/ring.h"
#include "vmm/base/endian.h"

#define SIZE 8 /* of the ring under test: small, so that wrapping is soon reached */

struct bench {
    struct ring_mem mem;
    struct ring ring;
    struct virtq q;
    struct virtq_chain chain;
    uint64_t buf; /* BUF_LEN bytes */
};
#define BUF_LEN 4096

static void open_queue(struct bench *b, uint64_t features)
{
    ring_mem_init(&b->mem);
    ring_init(&b->ring, &b->mem, SIZE);
    b->buf = ring_alloc(&b->mem, BUF_LEN, 16);
    const struct virtq_config cfg = ring_config(&b->ring);
    assert_int_equal(virtq_init(&b->q, &cfg, &b->mem.gmem, features), 0);
    assert_true(virtq_is_valid(&b->q));
}

static void close_queue(struct bench *b)
{
    assert_true(virtq_is_valid(&b->q));
    ring_mem_fini(&b->mem);
}

static int setup(void **state)
{
    static struct bench bench;
    open_queue(&bench, VIRTIO_F_INDIRECT_DESC);
    *state = &bench;
    return 0;
}
static int setup_event_idx(void **state)
{
    (void)setup(state);
    ((struct bench *)*state)->q.has_event_idx = true;
    return 0;
}
static int teardown(void **state)
{
    close_queue(*state);
    return 0;
}

static struct ring_seg out_seg(const struct bench *b, uint32_t len)
{
    return (struct ring_seg){b->buf, len, false};
}
static struct ring_seg in_seg(const struct bench *b, uint32_t len)
{
    return (struct ring_seg){b->buf, len, true};
}

/* The queue refuses what it is offered now, and goes on refusing. */
static void assert_refused(struct bench *b, const char *why)
{
    assert_int_equal(virtq_pop(&b->q, &b->chain), -EPROTO);
    assert_true(b->q.is_broken);
    assert_string_equal(b->q.why, why);
    assert_int_equal(virtq_pop(&b->q, &b->chain), -EPROTO);
    assert_int_equal(b->q.in_flight, 0);
}

static void init_accepts_every_power_of_two_up_to_the_maximum(void **state)
{
    struct bench *const b = *state;
    for (uint16_t size = 1; size <= VIRTQ_MAX_SIZE; size = (uint16_t)(size * 2)) {
        struct ring r;
        struct virtq q;
        ring_init(&r, &b->mem, size);
        const struct virtq_config cfg = ring_config(&r);
        assert_int_equal(virtq_init(&q, &cfg, &b->mem.gmem, 0), 0);
        assert_true(virtq_is_valid(&q));
    }
}

static void init_refuses_what_is_no_queue(void **state)
{
    struct bench *const b = *state;
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
    struct bench *const b = *state;
    const struct virtq_config cfg = ring_config(&b->ring);
    struct gmem odd;
    struct virtq q;
    gmem_init(&odd);
    assert_int_equal(gmem_add_host(&odd, RING_MEM_GPA, RING_MEM_SIZE - 1, b->mem.host + 1, NULL), 0);
    gmem_freeze(&odd);
    assert_int_equal(virtq_init(&q, &cfg, &odd, 0), -EINVAL);
    gmem_fini(&odd);
}

static void pop_of_an_empty_ring_gives_nothing(void **state)
{
    struct bench *const b = *state;
    struct virtq unused = {0};
    assert_int_equal(virtq_pop(&b->q, &b->chain), 0);
    assert_int_equal(virtq_pop(&unused, &b->chain), 0);
    assert_false(virtq_wants_interrupt(&unused));
    assert_false(virtq_enable_doorbell(&unused));
}

static void pop_gives_segments_in_order_with_their_sums(void **state)
{
    struct bench *const b = *state;
    const struct ring_seg seg[] = {
        {b->buf, 16, false}, {b->buf + 16, 0, false}, {b->buf + 512, 512, true}, {b->buf + 2048, 1, true}};
    const uint16_t head = ring_add(&b->ring, seg, 4);
    assert_int_equal(virtq_pop(&b->q, &b->chain), 1);
    assert_int_equal(b->chain.head, head);
    assert_int_equal(b->chain.out_count, 2);
    assert_int_equal(b->chain.in_count, 2);
    assert_int_equal(b->chain.out_bytes, 16);
    assert_int_equal(b->chain.in_bytes, 513);
    for (unsigned i = 0; i < 4; i++) {
        assert_ptr_equal(b->chain.seg[i].base, ring_host(&b->mem, seg[i].gpa));
        assert_int_equal(b->chain.seg[i].len, seg[i].len);
    }
    assert_int_equal(virtq_pop(&b->q, &b->chain), 0);
}

static void push_tells_the_driver_head_and_length(void **state)
{
    struct bench *const b = *state;
    struct ring_used used;
    const struct ring_seg seg = in_seg(b, 64);
    for (unsigned i = 0; i < 3 * SIZE; i++) { /* past the end of the ring */
        const uint16_t head = ring_add(&b->ring, &seg, 1);
        assert_int_equal(virtq_pop(&b->q, &b->chain), 1);
        assert_false(ring_take_used(&b->ring, &used));
        virtq_push(&b->q, b->chain.head, i);
        assert_true(ring_take_used(&b->ring, &used));
        assert_int_equal(used.id, head);
        assert_int_equal(used.len, i);
        assert_true(virtq_is_valid(&b->q));
    }
}

static void indices_may_wrap_at_65536(void **state)
{
    struct bench *const b = *state;
    struct ring_used used;
    const struct ring_seg seg = in_seg(b, 1);
    for (unsigned i = 0; i < 65536 + 3 * SIZE; i++) {
        const uint16_t head = ring_add(&b->ring, &seg, 1);
        assert_int_equal(virtq_pop(&b->q, &b->chain), 1);
        assert_int_equal(b->chain.head, head);
        virtq_push(&b->q, head, 1);
        assert_true(virtq_wants_interrupt(&b->q));
        assert_true(ring_take_used(&b->ring, &used));
    }
}

static void chains_may_be_pushed_in_any_order(void **state)
{
    struct bench *const b = *state;
    struct ring_used used;
    const struct ring_seg seg = in_seg(b, 8);
    uint16_t head[SIZE];
    for (unsigned i = 0; i < SIZE; i++) {
        (void)ring_add(&b->ring, &seg, 1);
        assert_int_equal(virtq_pop(&b->q, &b->chain), 1);
        head[i] = b->chain.head;
    }
    assert_int_equal(b->q.in_flight, SIZE);
    for (unsigned i = SIZE; i-- > 0;) {
        virtq_push(&b->q, head[i], i);
        assert_true(ring_take_used(&b->ring, &used));
        assert_int_equal(used.id, head[i]);
    }
    assert_int_equal(b->q.in_flight, 0);
}

static void unpop_gives_the_same_chain_again(void **state)
{
    struct bench *const b = *state;
    const struct ring_seg seg = in_seg(b, 8);
    const uint16_t head = ring_add(&b->ring, &seg, 1);
    assert_int_equal(virtq_pop(&b->q, &b->chain), 1);
    virtq_unpop(&b->q, &b->chain);
    assert_true(virtq_is_valid(&b->q));
    assert_int_equal(virtq_pop(&b->q, &b->chain), 1);
    assert_int_equal(b->chain.head, head);
}

static void staged_elements_are_seen_only_when_published(void **state)
{
    struct bench *const b = *state;
    struct ring_used used;
    const struct ring_seg seg = in_seg(b, 8);
    uint16_t head[3];
    for (unsigned i = 0; i < 3; i++) {
        head[i] = ring_add(&b->ring, &seg, 1);
        assert_int_equal(virtq_pop(&b->q, &b->chain), 1);
        virtq_stage(&b->q, i, head[i], 10 + i);
        assert_true(virtq_is_valid(&b->q));
    }
    assert_int_equal(ring_used_count(&b->ring), 0);
    virtq_publish(&b->q, 3);
    for (unsigned i = 0; i < 3; i++) {
        assert_true(ring_take_used(&b->ring, &used));
        assert_int_equal(used.id, head[i]);
        assert_int_equal(used.len, 10 + i);
    }
}

/* What breaks a ring. */

static void pop_refuses_a_loop(void **state)
{
    struct bench *const b = *state;
    ring_set_desc(&b->ring, 0, out_seg(b, 1), RING_F_NEXT, 1);
    ring_set_desc(&b->ring, 1, out_seg(b, 1), RING_F_NEXT, 0);
    ring_offer(&b->ring, 0);
    assert_refused(b, "a descriptor chain loops or is longer than the queue");
}

static void pop_refuses_a_descriptor_that_is_its_own_next(void **state)
{
    struct bench *const b = *state;
    ring_set_desc(&b->ring, 3, out_seg(b, 0), RING_F_NEXT, 3);
    ring_offer(&b->ring, 3);
    assert_refused(b, "a descriptor chain loops or is longer than the queue");
}

static void pop_takes_a_chain_as_long_as_the_queue(void **state)
{
    struct bench *const b = *state;
    struct ring_seg seg[SIZE];
    for (unsigned i = 0; i < SIZE; i++) seg[i] = out_seg(b, 1);
    (void)ring_add(&b->ring, seg, SIZE);
    assert_int_equal(virtq_pop(&b->q, &b->chain), 1);
    assert_int_equal(b->chain.out_count, SIZE);
}

static void pop_refuses_an_indirect_chain_longer_than_the_queue(void **state)
{
    struct bench *const b = *state;
    struct ring_seg seg[SIZE + 1];
    for (unsigned i = 0; i <= SIZE; i++) seg[i] = out_seg(b, 1);
    (void)ring_add_indirect(&b->ring, seg, SIZE + 1);
    assert_refused(b, "a descriptor chain loops or is longer than the queue");
}

static void pop_refuses_a_next_beyond_the_table(void **state)
{
    struct bench *const b = *state;
    ring_set_desc(&b->ring, 0, out_seg(b, 1), RING_F_NEXT, SIZE);
    ring_offer(&b->ring, 0);
    assert_refused(b, "a descriptor's next is beyond its table");
}

static void pop_refuses_a_head_beyond_the_table(void **state)
{
    struct bench *const b = *state;
    ring_offer(&b->ring, SIZE);
    assert_refused(b, "an available head is beyond the descriptor table");
}

static void pop_refuses_a_head_that_is_in_flight(void **state)
{
    struct bench *const b = *state;
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
    struct bench *const b = *state;
    ring_set_avail_idx(&b->ring, SIZE + 1);
    assert_refused(b, "avail.idx is more than a queue size ahead");
}

static void pop_refuses_an_avail_idx_that_went_back(void **state)
{
    struct bench *const b = *state;
    const struct ring_seg seg = in_seg(b, 8);
    (void)ring_add(&b->ring, &seg, 1);
    assert_int_equal(virtq_pop(&b->q, &b->chain), 1);
    virtq_push(&b->q, b->chain.head, 0);
    ring_set_avail_idx(&b->ring, 0);
    assert_refused(b, "avail.idx is more than a queue size ahead");
}

static void pop_refuses_readable_after_writable(void **state)
{
    struct bench *const b = *state;
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
        struct bench *const b = *state;
        ring_set_desc(&b->ring, 0, bad[i], bad[i].is_in ? RING_F_WRITE : 0, 0);
        ring_offer(&b->ring, 0);
        assert_refused(b, "a buffer is not inside guest memory");
        close_queue(b);
        open_queue(b, VIRTIO_F_INDIRECT_DESC);
    }
}

static void pop_refuses_a_buffer_that_crosses_two_regions(void **state)
{
    struct bench *const b = *state;
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
    struct bench *const b = *state;
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

static void pop_follows_an_indirect_table(void **state)
{
    struct bench *const b = *state;
    const struct ring_seg seg[] = {out_seg(b, 16), in_seg(b, 512), in_seg(b, 1)};
    (void)ring_add_indirect(&b->ring, seg, 3);
    assert_int_equal(virtq_pop(&b->q, &b->chain), 1);
    assert_int_equal(b->chain.out_count, 1);
    assert_int_equal(b->chain.in_count, 2);
    assert_int_equal(b->chain.in_bytes, 513);
}

static void pop_follows_a_chain_that_ends_in_an_indirect_table(void **state)
{
    struct bench *const b = *state;
    const uint64_t table = ring_alloc(&b->mem, 32, 16);
    uint8_t *const t = ring_host(&b->mem, table);
    le64_write(t, b->buf);
    le32_write(t + 8, 7);
    le16_write(t + 12, RING_F_WRITE);
    ring_set_desc(&b->ring, 0, out_seg(b, 16), RING_F_NEXT, 1);
    ring_set_desc(&b->ring, 1, (struct ring_seg){table, 16, false}, RING_F_INDIRECT | RING_F_WRITE, 0);
    ring_offer(&b->ring, 0);
    assert_int_equal(virtq_pop(&b->q, &b->chain), 1);
    assert_int_equal(b->chain.out_bytes, 16);
    assert_int_equal(b->chain.in_bytes, 7);
}

static void pop_takes_an_indirect_table_at_any_alignment(void **state)
{
    struct bench *const b = *state;
    const uint64_t table = ring_alloc(&b->mem, 32, 16) + 3;
    uint8_t *const t = ring_host(&b->mem, table);
    le64_write(t, b->buf);
    le32_write(t + 8, 7);
    ring_set_desc(&b->ring, 0, (struct ring_seg){table, 16, false}, RING_F_INDIRECT, 0);
    ring_offer(&b->ring, 0);
    assert_int_equal(virtq_pop(&b->q, &b->chain), 1);
    assert_int_equal(b->chain.out_bytes, 7);
}

static void offer_table(struct bench *b, uint64_t gpa, uint32_t len, uint16_t flags)
{
    ring_set_desc(&b->ring, 0, (struct ring_seg){gpa, len, false}, flags, 1);
    ring_set_desc(&b->ring, 1, out_seg(b, 1), 0, 0);
    ring_offer(&b->ring, 0);
}

static void pop_refuses_indirect_that_was_not_negotiated(void **state)
{
    struct bench *const b = *state;
    b->q.has_indirect = false;
    offer_table(b, b->buf, 16, RING_F_INDIRECT);
    assert_refused(b, "an indirect descriptor, which was not negotiated");
}

static void pop_refuses_indirect_with_next(void **state)
{
    offer_table(*state, ((struct bench *)*state)->buf, 16, RING_F_INDIRECT | RING_F_NEXT);
    assert_refused(*state, "an indirect descriptor that has a next one");
}

static void pop_refuses_indirect_inside_indirect(void **state)
{
    struct bench *const b = *state;
    uint8_t *const t = ring_host(&b->mem, b->buf);
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
        struct bench *const b = *state;
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
        struct bench *const b = *state;
        offer_table(b, bad[i].gpa, bad[i].len, RING_F_INDIRECT);
        assert_refused(b, "an indirect table is not inside guest memory");
        close_queue(b);
        open_queue(b, VIRTIO_F_INDIRECT_DESC);
    }
}

static void pop_refuses_a_next_beyond_the_indirect_table(void **state)
{
    struct bench *const b = *state;
    uint8_t *const t = ring_host(&b->mem, b->buf);
    le64_write(t, b->buf);
    le32_write(t + 8, 1);
    le16_write(t + 12, RING_F_NEXT);
    le16_write(t + 14, 1);
    offer_table(b, b->buf, 16, RING_F_INDIRECT);
    assert_refused(b, "a descriptor's next is beyond its table");
}

/* Notifications. */

/* One request there and back; returns whether the driver wants to hear of it. */
static bool serve_one(struct bench *b)
{
    struct ring_used used;
    const struct ring_seg seg = in_seg(b, 1);
    (void)ring_add(&b->ring, &seg, 1);
    assert_int_equal(virtq_pop(&b->q, &b->chain), 1);
    virtq_push(&b->q, b->chain.head, 1);
    assert_true(ring_take_used(&b->ring, &used));
    return virtq_wants_interrupt(&b->q);
}

static void interrupt_is_wanted_unless_suppressed(void **state)
{
    struct bench *const b = *state;
    assert_false(virtq_wants_interrupt(&b->q)); /* nothing was pushed */
    assert_true(serve_one(b));
    assert_false(virtq_wants_interrupt(&b->q)); /* told already */
    ring_set_avail_flags(&b->ring, 1);
    assert_false(serve_one(b));
    ring_set_avail_flags(&b->ring, 0);
    assert_true(serve_one(b));
}

static void doorbell_flag_follows_enable_and_disable(void **state)
{
    struct bench *const b = *state;
    const struct ring_seg seg = in_seg(b, 1);
    virtq_disable_doorbell(&b->q);
    assert_int_equal(ring_used_flags(&b->ring), 1);
    assert_false(virtq_enable_doorbell(&b->q));
    assert_int_equal(ring_used_flags(&b->ring), 0);
    (void)ring_add(&b->ring, &seg, 1);
    assert_true(virtq_enable_doorbell(&b->q)); /* offered meanwhile: the caller drains again */
}

static void event_idx_asks_for_the_interrupt_at_used_event(void **state)
{
    struct bench *const b = *state;
    ring_set_used_event(&b->ring, 2); /* when element 2 is used */
    assert_false(serve_one(b));
    assert_false(serve_one(b));
    assert_true(serve_one(b));
    assert_false(serve_one(b)); /* used_event was not moved */
    ring_set_used_event(&b->ring, 4);
    assert_true(serve_one(b));
}

static void event_idx_is_met_by_a_batch_that_passes_it(void **state)
{
    struct bench *const b = *state;
    const struct ring_seg seg = in_seg(b, 1);
    ring_set_used_event(&b->ring, 1);
    for (unsigned i = 0; i < 4; i++) {
        (void)ring_add(&b->ring, &seg, 1);
        assert_int_equal(virtq_pop(&b->q, &b->chain), 1);
        virtq_push(&b->q, b->chain.head, 1);
    }
    assert_true(virtq_wants_interrupt(&b->q));
}

static void event_idx_works_across_the_wrap(void **state)
{
    struct bench *const b = *state;
    for (unsigned i = 0; i < 70000; i++) {
        const bool asks = i % 3 == 0;
        ring_set_used_event(&b->ring, (uint16_t)(asks ? i : i - 1));
        assert_int_equal(serve_one(b), asks);
    }
}

static void event_idx_publishes_where_the_next_doorbell_is_due(void **state)
{
    struct bench *const b = *state;
    for (unsigned i = 0; i < 5; i++) (void)serve_one(b);
    virtq_disable_doorbell(&b->q);
    assert_int_equal(ring_used_flags(&b->ring), 0); /* the flag is not used with EVENT_IDX (2.7.10.2) */
    assert_false(virtq_enable_doorbell(&b->q));
    assert_int_equal(ring_avail_event(&b->ring), 5);
}

/* Copies. */

static void copies_cross_segments_and_stop_at_the_end(void **state)
{
    struct bench *const b = *state;
    const struct ring_seg seg[] = {{b->buf, 3, false},
                                   {b->buf + 100, 0, false},
                                   {b->buf + 200, 5, false},
                                   {b->buf + 300, 4, true},
                                   {b->buf + 400, 4, true}};
    uint8_t *const p = ring_host(&b->mem, b->buf);
    char got[16] = {0};
    memcpy(p, "abc", 3);
    memcpy(p + 200, "defgh", 5);
    (void)ring_add(&b->ring, seg, 5);
    assert_int_equal(virtq_pop(&b->q, &b->chain), 1);
    assert_int_equal(virtq_copy_out(&b->chain, 0, got, 8), 8);
    assert_memory_equal(got, "abcdefgh", 8);
    assert_int_equal(virtq_copy_out(&b->chain, 2, got, 3), 3);
    assert_memory_equal(got, "cde", 3);
    assert_int_equal(virtq_copy_out(&b->chain, 6, got, 16), 2);
    assert_int_equal(virtq_copy_out(&b->chain, 8, got, 1), 0);
    assert_int_equal(virtq_copy_out(&b->chain, SIZE_MAX, got, 1), 0);
    assert_int_equal(virtq_copy_in(&b->chain, 1, "12345678", 8), 7);
    assert_memory_equal(p + 300,
                        "\0"
                        "123",
                        4);
    assert_memory_equal(p + 400, "4567", 4);
    assert_int_equal(virtq_copy_in(&b->chain, 8, "x", 1), 0);
}

/* Two threads. */

#define THREAD_REQUESTS 100000
#define THREAD_S        3 /* where the two sides seldom run at once, fewer will do */

/* Each side goes on when the other has moved; a suppression check that misses a store would leave one of them waiting
 * for ever. "Interrupt" and "doorbell" are flags, so that a lost one is a hang and not a slow run. */
struct two_sides {
    struct bench *b;
    atomic_bool doorbell, interrupt;
    atomic_bool is_over;
};

#define LOST_S 30 /* a notification that takes longer was lost; a busy machine may take seconds */

/* Wait for a flag and clear it; false: it never came. Yields now and then: there may be fewer processors than sides. */
static bool await(struct two_sides *t, atomic_bool *flag)
{
    const time_t start = time(NULL);
    for (unsigned i = 1; !atomic_exchange(flag, false); i++) {
        if (atomic_load(&t->is_over)) return false;
        if (i % 1024 != 0) continue;
        if (time(NULL) - start > LOST_S) return false;
        sched_yield();
    }
    return true;
}

static void *device_side(void *arg)
{
    struct two_sides *const t = arg;
    struct virtq *const q = &t->b->q;
    while (await(t, &t->doorbell)) {
        do {
            virtq_disable_doorbell(q);
            while (virtq_pop(q, &t->b->chain) == 1) {
                uint32_t number;
                (void)virtq_copy_out(&t->b->chain, 0, &number, sizeof(number));
                (void)virtq_copy_in(&t->b->chain, 0, &number, sizeof(number));
                virtq_push(q, t->b->chain.head, sizeof(number));
            }
            if (virtq_wants_interrupt(q)) atomic_store(&t->interrupt, true);
        } while (virtq_enable_doorbell(q));
    }
    return NULL;
}

/* Should the driver ring for what it offered since `before`? 2.7.10.1 */
static bool rings(const struct bench *b, uint16_t before)
{
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    if (!b->q.has_event_idx) return (ring_used_flags(&b->ring) & 1) == 0;
    const uint16_t now = b->ring.avail_idx;
    return (uint16_t)(now - ring_avail_event(&b->ring) - 1) < (uint16_t)(now - before);
}

/* on: interrupt for the next used element; off: for none. Both kinds of queue at once, each looks at its own. */
static void ask_for_interrupt(struct bench *b, bool on)
{
    ring_set_used_event(&b->ring, (uint16_t)(b->ring.last_used - !on));
    ring_set_avail_flags(&b->ring, !on);
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
}

static void no_notification_is_lost_between_two_threads(void **state)
{
    struct bench *const b = *state;
    struct two_sides t = {.b = b};
    pthread_t device;
    assert_int_equal(pthread_create(&device, NULL, device_side, &t), 0);
    uint8_t *const p = ring_host(&b->mem, b->buf);
    const time_t start = time(NULL);
    for (uint32_t i = 0; i < THREAD_REQUESTS && time(NULL) - start < THREAD_S; i++) {
        struct ring_used used;
        const struct ring_seg seg[] = {out_seg(b, 4), {b->buf + 64, 4, true}};
        const uint16_t before = b->ring.avail_idx;
        le32_write(p, i);
        ask_for_interrupt(b, false);
        (void)ring_add(&b->ring, seg, 2);
        if (rings(b, before)) atomic_store(&t.doorbell, true);
        for (unsigned n = i % 64; n > 0; n--) __atomic_signal_fence(__ATOMIC_SEQ_CST); /* meet it at every moment */
        ask_for_interrupt(b, true);
        while (!ring_take_used(&b->ring, &used))
            (void)await(&t, &t.interrupt); /* may be one from earlier: look again */
        assert_int_equal(le32_read(p + 64), i);
    }
    atomic_store(&t.is_over, true);
    pthread_join(device, NULL);
}

#define WITH(name, how) cmocka_unit_test_setup_teardown(name, how, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH(init_accepts_every_power_of_two_up_to_the_maximum, setup),
        WITH(init_refuses_what_is_no_queue, setup),
        WITH(init_refuses_memory_that_the_host_can_not_access_atomically, setup),
        WITH(pop_of_an_empty_ring_gives_nothing, setup),
        WITH(pop_gives_segments_in_order_with_their_sums, setup),
        WITH(push_tells_the_driver_head_and_length, setup),
        WITH(indices_may_wrap_at_65536, setup),
        WITH(chains_may_be_pushed_in_any_order, setup),
        WITH(unpop_gives_the_same_chain_again, setup),
        WITH(staged_elements_are_seen_only_when_published, setup),
        WITH(pop_refuses_a_loop, setup),
        WITH(pop_refuses_a_descriptor_that_is_its_own_next, setup),
        WITH(pop_takes_a_chain_as_long_as_the_queue, setup),
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
        WITH(pop_follows_an_indirect_table, setup),
        WITH(pop_follows_a_chain_that_ends_in_an_indirect_table, setup),
        WITH(pop_takes_an_indirect_table_at_any_alignment, setup),
        WITH(pop_refuses_indirect_that_was_not_negotiated, setup),
        WITH(pop_refuses_indirect_with_next, setup),
        WITH(pop_refuses_indirect_inside_indirect, setup),
        WITH(pop_refuses_indirect_tables_of_odd_length, setup),
        WITH(pop_refuses_indirect_tables_outside_memory, setup),
        WITH(pop_refuses_a_next_beyond_the_indirect_table, setup),
        WITH(interrupt_is_wanted_unless_suppressed, setup),
        WITH(doorbell_flag_follows_enable_and_disable, setup),
        WITH(event_idx_asks_for_the_interrupt_at_used_event, setup_event_idx),
        WITH(event_idx_is_met_by_a_batch_that_passes_it, setup_event_idx),
        WITH(event_idx_works_across_the_wrap, setup_event_idx),
        WITH(event_idx_publishes_where_the_next_doorbell_is_due, setup_event_idx),
        WITH(copies_cross_segments_and_stop_at_the_end, setup),
        WITH(no_notification_is_lost_between_two_threads, setup),
        WITH(no_notification_is_lost_between_two_threads, setup_event_idx),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
