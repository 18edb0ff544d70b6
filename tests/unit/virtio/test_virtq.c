/* The ring as a well-behaved driver uses it. How one can be broken is in test_virtq_broken.c. */
#include <pthread.h>
#include <string.h>
#include <time.h>

#include "tests/unit/virtio/virtq_rig.h"
#include "vmm/base/endian.h"

static void init_accepts_every_power_of_two_up_to_the_maximum(void **state)
{
    struct virtq_rig *b = *state;
    for (uint16_t size = 1; size <= VIRTQ_MAX_SIZE; size = (uint16_t)(size * 2)) {
        struct ring r;
        struct virtq q;
        ring_init(&r, &b->mem, size);
        const struct virtq_config cfg = ring_config(&r);
        assert_int_equal(virtq_init(&q, &cfg, &b->mem.gmem, 0), 0);
        assert_true(virtq_is_valid(&q));
    }
}

static void pop_of_an_empty_ring_gives_nothing(void **state)
{
    struct virtq_rig *b = *state;
    struct virtq unused = {0};
    assert_int_equal(virtq_pop(&b->q, &b->chain), 0);
    assert_int_equal(virtq_pop(&unused, &b->chain), 0);
    assert_false(virtq_wants_interrupt(&unused));
    assert_false(virtq_enable_doorbell(&unused));
}

static void pop_gives_segments_in_order_with_their_sums(void **state)
{
    struct virtq_rig *b = *state;
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
    struct virtq_rig *b = *state;
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
    struct virtq_rig *b = *state;
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
    struct virtq_rig *b = *state;
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
    struct virtq_rig *b = *state;
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
    struct virtq_rig *b = *state;
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

static void pop_takes_a_chain_as_long_as_the_queue(void **state)
{
    struct virtq_rig *b = *state;
    struct ring_seg seg[SIZE];
    for (unsigned i = 0; i < SIZE; i++) seg[i] = out_seg(b, 1);
    (void)ring_add(&b->ring, seg, SIZE);
    assert_int_equal(virtq_pop(&b->q, &b->chain), 1);
    assert_int_equal(b->chain.out_count, SIZE);
}

static void pop_follows_an_indirect_table(void **state)
{
    struct virtq_rig *b = *state;
    const struct ring_seg seg[] = {out_seg(b, 16), in_seg(b, 512), in_seg(b, 1)};
    (void)ring_add_indirect(&b->ring, seg, 3);
    assert_int_equal(virtq_pop(&b->q, &b->chain), 1);
    assert_int_equal(b->chain.out_count, 1);
    assert_int_equal(b->chain.in_count, 2);
    assert_int_equal(b->chain.in_bytes, 513);
}

static void pop_follows_a_chain_that_ends_in_an_indirect_table(void **state)
{
    struct virtq_rig *b = *state;
    const uint64_t table = ring_alloc(&b->mem, 32, 16);
    uint8_t *t = ring_host(&b->mem, table);
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
    struct virtq_rig *b = *state;
    const uint64_t table = ring_alloc(&b->mem, 32, 16) + 3;
    uint8_t *t = ring_host(&b->mem, table);
    le64_write(t, b->buf);
    le32_write(t + 8, 7);
    ring_set_desc(&b->ring, 0, (struct ring_seg){table, 16, false}, RING_F_INDIRECT, 0);
    ring_offer(&b->ring, 0);
    assert_int_equal(virtq_pop(&b->q, &b->chain), 1);
    assert_int_equal(b->chain.out_bytes, 7);
}

/* Notifications. */

/* One request there and back; returns whether the driver wants to hear of it. */
static bool serve_one(struct virtq_rig *b)
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
    struct virtq_rig *b = *state;
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
    struct virtq_rig *b = *state;
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
    struct virtq_rig *b = *state;
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
    struct virtq_rig *b = *state;
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
    struct virtq_rig *b = *state;
    for (unsigned i = 0; i < 70000; i++) {
        const bool asks = i % 3 == 0;
        ring_set_used_event(&b->ring, (uint16_t)(asks ? i : i - 1));
        assert_int_equal(serve_one(b), asks);
    }
}

static void event_idx_publishes_where_the_next_doorbell_is_due(void **state)
{
    struct virtq_rig *b = *state;
    for (unsigned i = 0; i < 5; i++) (void)serve_one(b);
    virtq_disable_doorbell(&b->q);
    assert_int_equal(ring_used_flags(&b->ring), 0); /* the flag is not used with EVENT_IDX (2.7.10.2) */
    assert_false(virtq_enable_doorbell(&b->q));
    assert_int_equal(ring_avail_event(&b->ring), 5);
}

/* Copies. */

static void copies_cross_segments_and_stop_at_the_end(void **state)
{
    struct virtq_rig *b = *state;
    const struct ring_seg seg[] = {{b->buf, 3, false},
                                   {b->buf + 100, 0, false},
                                   {b->buf + 200, 5, false},
                                   {b->buf + 300, 4, true},
                                   {b->buf + 400, 4, true}};
    uint8_t *p = ring_host(&b->mem, b->buf);
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
    struct virtq_rig *b;
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
    struct two_sides *t = arg;
    struct virtq *q = &t->b->q;
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
static bool rings(const struct virtq_rig *b, uint16_t before)
{
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    if (!b->q.has_event_idx) return (ring_used_flags(&b->ring) & 1) == 0;
    const uint16_t now = b->ring.avail_idx;
    return (uint16_t)(now - ring_avail_event(&b->ring) - 1) < (uint16_t)(now - before);
}

/* on: interrupt for the next used element; off: for none. Both kinds of queue at once, each looks at its own. */
static void ask_for_interrupt(struct virtq_rig *b, bool on)
{
    ring_set_used_event(&b->ring, (uint16_t)(b->ring.last_used - !on));
    ring_set_avail_flags(&b->ring, !on);
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
}

static void no_notification_is_lost_between_two_threads(void **state)
{
    struct virtq_rig *b = *state;
    struct two_sides t = {.b = b};
    pthread_t device;
    assert_int_equal(pthread_create(&device, NULL, device_side, &t), 0);
    uint8_t *p = ring_host(&b->mem, b->buf);
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH(init_accepts_every_power_of_two_up_to_the_maximum, setup),
        WITH(pop_of_an_empty_ring_gives_nothing, setup),
        WITH(pop_gives_segments_in_order_with_their_sums, setup),
        WITH(push_tells_the_driver_head_and_length, setup),
        WITH(indices_may_wrap_at_65536, setup),
        WITH(chains_may_be_pushed_in_any_order, setup),
        WITH(unpop_gives_the_same_chain_again, setup),
        WITH(staged_elements_are_seen_only_when_published, setup),
        WITH(pop_takes_a_chain_as_long_as_the_queue, setup),
        WITH(pop_follows_an_indirect_table, setup),
        WITH(pop_follows_a_chain_that_ends_in_an_indirect_table, setup),
        WITH(pop_takes_an_indirect_table_at_any_alignment, setup),
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
