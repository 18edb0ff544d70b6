/* The transport's registers as a driver sees them: what they say, which status may follow which, what may be written
 * when. */
#include "tests/unit/virtio/mmio_rig.h"

static void identity_registers_say_virtio_mmio_2(void **state)
{
    struct mmio_rig *b = *state;
    assert_int_equal(rd(b, MAGIC), 0x74726976);
    assert_int_equal(rd(b, VERSION), 2);
    assert_int_equal(rd(b, DEVICE_ID), TOY_ID);
    assert_int_not_equal(rd(b, VENDOR_ID), 0);
    assert_int_equal(rd(b, STATUS), 0);
    assert_ptr_equal(virtio_mmio_dev(b->t), &b->toy.dev);
}

static void features_are_read_through_two_windows(void **state)
{
    struct mmio_rig *b = *state;
    wr(b, DEVICE_FEATURES_SEL, 0);
    assert_int_equal(rd(b, DEVICE_FEATURES), TOY_FEATURE | VIRTIO_F_INDIRECT_DESC | VIRTIO_F_EVENT_IDX);
    wr(b, DEVICE_FEATURES_SEL, 1);
    assert_int_equal(rd(b, DEVICE_FEATURES), VIRTIO_F_VERSION_1 >> 32);
    for (unsigned sel = 2; sel < 70; sel += 33) {
        wr(b, DEVICE_FEATURES_SEL, sel);
        assert_int_equal(rd(b, DEVICE_FEATURES), 0);
    }
}

static void shared_memory_regions_do_not_exist(void **state)
{
    struct mmio_rig *b = *state;
    wr(b, SHM_SEL, 0);
    for (unsigned off = 0; off < 8; off += 4) {
        assert_int_equal(rd(b, SHM_LEN + off), UINT32_MAX);
        assert_int_equal(rd(b, SHM_BASE + off), UINT32_MAX);
    }
    assert_int_equal(rd(b, QUEUE_RESET), 0);
    assert_int_equal(faults(b), 0);
}

static void registers_answer_only_aligned_32_bit_accesses(void **state)
{
    struct mmio_rig *b = *state;
    const unsigned sizes[] = {1, 2, 8};
    for (unsigned i = 0; i < 3; i++) {
        assert_int_equal(virtio_mmio_bus_ops.read(b->t, MAGIC, sizes[i]), 0);
        assert_int_equal(virtio_mmio_bus_ops.read(b->t, INTERRUPT_STATUS, sizes[i]), 0);
        virtio_mmio_bus_ops.write(b->t, STATUS, sizes[i], ACK);
    }
    assert_int_equal(virtio_mmio_bus_ops.read(b->t, MAGIC + 2, 4), 0);
    virtio_mmio_bus_ops.write(b->t, STATUS + 1, 4, ACK);
    assert_int_equal(rd(b, STATUS), 0);
    assert_int_equal(faults(b), 4);
}

static void configuration_space_takes_any_width_and_ends_where_it_ends(void **state)
{
    struct mmio_rig *b = *state;
    const struct bus_ops *bus = &virtio_mmio_bus_ops;
    assert_int_equal(bus->read(b->t, CONFIG, 1), 'a');
    assert_int_equal(bus->read(b->t, CONFIG + 1, 2), 'b' | 'c' << 8);
    assert_int_equal(bus->read(b->t, CONFIG + 4, 4), 'e' | 'f' << 8); /* beyond the end: 0 */
    assert_int_equal(bus->read(b->t, CONFIG, 8), 0x666564636261);
    assert_int_equal(bus->read(b->t, CONFIG + TOY_CONFIG, 4), 0);
    assert_int_equal(bus->read(b->t, VIRTIO_MMIO_SIZE - 8, 8), 0);
    bus->write(b->t, CONFIG + 2, 2, 'X' | 'Y' << 8);
    assert_memory_equal(b->toy.config, "abXYef", TOY_CONFIG);
    assert_int_equal(faults(b), 0);
    bus->write(b->t, CONFIG + 4, 4, 0); /* crosses the end: dropped whole */
    bus->write(b->t, VIRTIO_MMIO_SIZE - 4, 4, 0);
    assert_memory_equal(b->toy.config, "abXYef", TOY_CONFIG);
    assert_int_equal(faults(b), 2);
}

/* Status */

static void status_follows_the_order_of_initialization(void **state)
{
    struct mmio_rig *b = *state;
    const struct {
        uint32_t from, write, becomes;
    } step[] = {
        {0, ACK, ACK},
        {0, ACK | DRIVER, ACK | DRIVER}, /* two steps at once are in order too */
        {0, DRIVER, 0},
        {0, FEATURES_OK, 0},
        {0, DRIVER_OK, 0},
        {0, ACK | FEATURES_OK, 0},
        {0, FAILED, FAILED},
        {0, 0x10, 0},
        {0, 0x101, 0},
        {0, NEEDS_RESET | ACK, ACK}, /* ours: not looked at */
        {ACK, ACK, ACK},
        {ACK, ACK | DRIVER, ACK | DRIVER},
        {ACK, DRIVER, ACK}, /* clears a bit */
        {ACK, ACK | DRIVER_OK, ACK},
        {ACK | DRIVER, ACK | DRIVER | FEATURES_OK, ACK | DRIVER | FEATURES_OK},
        {ACK | DRIVER, ACK | DRIVER | DRIVER_OK, ACK | DRIVER},
        {ACK | DRIVER, ACK | DRIVER | FAILED, ACK | DRIVER | FAILED},
        {ACK | DRIVER | FEATURES_OK, ACK | DRIVER, ACK | DRIVER | FEATURES_OK},
        {ACK | DRIVER | FEATURES_OK, ACK | DRIVER | FEATURES_OK | DRIVER_OK, ACK | DRIVER | FEATURES_OK | DRIVER_OK},
        {ACK | DRIVER | FEATURES_OK, 0, 0},
    };
    for (unsigned i = 0; i < sizeof(step) / sizeof(step[0]); i++) {
        wr(b, STATUS, 0);
        if (step[i].from & ACK) wr(b, STATUS, ACK);
        if (step[i].from & DRIVER) wr(b, STATUS, ACK | DRIVER);
        if (step[i].from & DRIVER) accept_features(b, VIRTIO_F_VERSION_1);
        if (step[i].from & FEATURES_OK) wr(b, STATUS, ACK | DRIVER | FEATURES_OK);
        assert_int_equal(rd(b, STATUS), step[i].from);
        const unsigned long before = faults(b);
        wr(b, STATUS, step[i].write);
        if (rd(b, STATUS) != step[i].becomes) fail_msg("step %u becomes %#x", i, rd(b, STATUS));
        const bool is_refused = step[i].becomes == step[i].from && step[i].write != step[i].from;
        assert_int_equal(faults(b) - before, is_refused ? 1 : 0);
    }
}

static void features_ok_stays_unset_for_features_that_can_not_be(void **state)
{
    struct mmio_rig *b = *state;
    const uint64_t bad[] = {0, TOY_FEATURE, VIRTIO_F_VERSION_1 | 1, VIRTIO_F_VERSION_1 | 1ull << 63};
    for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        negotiate(b, bad[i]);
        assert_int_equal(rd(b, STATUS), ACK | DRIVER);
        wr(b, STATUS, 0);
    }
    wr(b, STATUS, ACK | DRIVER);
    accept_features(b, VIRTIO_F_VERSION_1);
    wr(b, DRIVER_FEATURES_SEL, 2); /* bits 64 and above: none is offered */
    wr(b, DRIVER_FEATURES, 1);
    wr(b, STATUS, ACK | DRIVER | FEATURES_OK);
    assert_int_equal(rd(b, STATUS), ACK | DRIVER);
    wr(b, STATUS, 0);
    negotiate(b, VIRTIO_F_VERSION_1);
    assert_int_equal(rd(b, STATUS), ACK | DRIVER | FEATURES_OK);
    assert_int_equal(faults(b), 0); /* a driver may try */
}

static void the_device_gets_what_was_negotiated(void **state)
{
    struct mmio_rig *b = *state;
    boot(b);
    assert_int_equal(b->toy.activated, 1);
    assert_int_equal(b->toy.dev.features, VIRTIO_F_VERSION_1 | TOY_FEATURE);
    assert_int_equal(b->toy.dev.vq[0].size, TOY_SIZE);
    assert_int_equal(b->toy.dev.vq[1].size, TOY_SIZE / 2);
    assert_int_equal(faults(b), 0);
}

/* Queues */

static void queue_size_max_is_each_queues_own(void **state)
{
    struct mmio_rig *b = *state;
    const uint32_t max[] = {TOY_SIZE, TOY_SIZE / 2, 0, 0};
    for (unsigned i = 0; i < 4; i++) {
        wr(b, QUEUE_SEL, i);
        assert_int_equal(rd(b, QUEUE_NUM_MAX), max[i]);
        assert_int_equal(rd(b, QUEUE_READY), 0);
    }
    wr(b, QUEUE_SEL, UINT32_MAX);
    assert_int_equal(rd(b, QUEUE_NUM_MAX), 0);
}

static void queues_can_be_described_only_between_features_ok_and_driver_ok(void **state)
{
    struct mmio_rig *b = *state;
    const uint32_t reg[] = {QUEUE_NUM,    QUEUE_READY,      QUEUE_DESC,   QUEUE_DESC + 4,
                            QUEUE_DRIVER, QUEUE_DRIVER + 4, QUEUE_DEVICE, QUEUE_DEVICE + 4};
    const unsigned n = sizeof(reg) / sizeof(reg[0]);
    for (unsigned i = 0; i < n; i++) wr(b, reg[i], 1);
    assert_int_equal(faults(b), n);
    boot(b);
    for (unsigned i = 0; i < n; i++) wr(b, reg[i], 0);
    assert_int_equal(faults(b), 2 * n);
    assert_int_equal(rd(b, QUEUE_READY), 1);
    offer(b, 1); /* and the queue still works */
    turn(b);
    assert_int_equal(ring_used_count(&b->ring[1]), 1);
}

static void a_ready_queue_keeps_its_registers(void **state)
{
    struct mmio_rig *b = *state;
    negotiate(b, VIRTIO_F_VERSION_1);
    wr(b, QUEUE_NUM, 8);
    wr(b, QUEUE_READY, 1);
    wr(b, QUEUE_NUM, 4);
    assert_int_equal(faults(b), 1);
    wr(b, QUEUE_READY, 0); /* taken back: may be described anew */
    assert_int_equal(rd(b, QUEUE_READY), 0);
    wr(b, QUEUE_NUM, 4);
    assert_int_equal(faults(b), 1);
}

static void clearing_a_queue_that_is_clear_is_no_fault(void **state)
{
    struct mmio_rig *b = *state;
    wr(b, QUEUE_SEL, 1);
    wr(b, QUEUE_READY, 0);
    assert_int_equal(faults(b), 0);
}

static void writes_to_queues_and_registers_that_do_not_exist_are_faults(void **state)
{
    struct mmio_rig *b = *state;
    negotiate(b, VIRTIO_F_VERSION_1);
    wr(b, QUEUE_SEL, TOY_QUEUES);
    wr(b, QUEUE_NUM, 4);
    wr(b, QUEUE_NOTIFY, TOY_QUEUES);
    wr(b, QUEUE_NOTIFY, UINT32_MAX);
    wr(b, MAGIC, 0);
    wr(b, 0x3c, 0); /* legacy QueueAlign */
    wr(b, QUEUE_RESET, 1);
    assert_int_equal(faults(b), 6);
}

static void a_queue_that_can_not_be_needs_a_reset(void **state)
{
    struct mmio_rig *b = *state;
    struct ring r;
    ring_init(&r, &b->mem, TOY_SIZE);
    const struct virtq_config good = ring_config(&r);
    for (unsigned i = 0; i < 6; i++) {
        struct virtq_config c = good;
        if (i == 0) c.size = 0;
        if (i == 1) c.size = 12;
        if (i == 2) c.size = TOY_SIZE * 2; /* more than QueueNumMax, less than VIRTQ_MAX_SIZE */
        if (i == 3) c.desc += 8;
        if (i == 4) c.used = RING_MEM_GPA + RING_MEM_SIZE - 4;
        if (i == 5) c.avail = c.desc;
        negotiate(b, VIRTIO_F_VERSION_1);
        set_queue(b, 0, &c);
        wr(b, STATUS, ACK | DRIVER | FEATURES_OK | DRIVER_OK);
        assert_int_equal(rd(b, STATUS), ACK | DRIVER | FEATURES_OK | DRIVER_OK | NEEDS_RESET);
        assert_int_equal(rd(b, INTERRUPT_STATUS), 2);
        assert_int_equal(b->toy.activated, 0);
        wr(b, STATUS, 0);
    }
    boot(b);
    assert_int_equal(b->toy.activated, 1);
}

static void a_queue_size_above_16_bits_is_not_cut_to_a_good_one(void **state)
{
    struct mmio_rig *b = *state;
    ring_init(&b->ring[0], &b->mem, TOY_SIZE);
    const struct virtq_config c = ring_config(&b->ring[0]);
    negotiate(b, VIRTIO_F_VERSION_1);
    set_queue(b, 0, &c);
    wr(b, QUEUE_READY, 0);
    wr(b, QUEUE_NUM, 0x10000 + TOY_SIZE);
    wr(b, QUEUE_READY, 1);
    wr(b, STATUS, ACK | DRIVER | FEATURES_OK | DRIVER_OK);
    assert_true((rd(b, STATUS) & NEEDS_RESET) != 0);
}

static void a_queue_left_out_stays_silent(void **state)
{
    struct mmio_rig *b = *state;
    negotiate(b, VIRTIO_F_VERSION_1);
    ring_init(&b->ring[1], &b->mem, TOY_SIZE / 2);
    const struct virtq_config c = ring_config(&b->ring[1]);
    set_queue(b, 1, &c);
    wr(b, STATUS, ACK | DRIVER | FEATURES_OK | DRIVER_OK);
    wr(b, QUEUE_NOTIFY, 0);
    turn(b);
    assert_int_equal(b->toy.activated, 1);
    assert_int_equal(b->toy.notified[0], 0);
    assert_int_equal(b->toy.notified[1], 1);
    assert_int_equal(b->bell_fd[0], -1);
    assert_true(b->bell_fd[1] >= 0);
}

static void create_without_descriptors_leaves_the_device_to_its_owner(void **state)
{
    struct mmio_rig *b = *state;
    struct toy toy = {.dev.ops = &toy_ops};
    struct virtio_mmio *t = NULL;
    struct err e;
    const struct virtio_mmio_params p = {
        .dev = &toy.dev, .mem = &b->mem.gmem, .loop = &b->loop, .irq = {-1}, .log = &b->log, .label = "toy 1"};
    const unsigned before = fd_count();
    for (unsigned fds = 0; fds < TOY_QUEUES; fds++) { /* one for each doorbell */
        const struct fd_limit l = fd_limit_set(fds);
        assert_int_equal(virtio_mmio_create(&t, &p, &e), -EMFILE);
        assert_int_equal(fd_limit_release(l), before);
        assert_string_equal(e.text, "toy 1: eventfd for a doorbell: Too many open files");
        assert_int_equal(e.kind, ERR_HOST);
        assert_null(t);
        assert_int_equal(toy.destroyed, 0);
    }
    virtio_mmio_destroy(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(create_without_descriptors_leaves_the_device_to_its_owner),
        TEST(identity_registers_say_virtio_mmio_2),
        TEST(features_are_read_through_two_windows),
        TEST(shared_memory_regions_do_not_exist),
        TEST(registers_answer_only_aligned_32_bit_accesses),
        TEST(configuration_space_takes_any_width_and_ends_where_it_ends),
        TEST(status_follows_the_order_of_initialization),
        TEST(features_ok_stays_unset_for_features_that_can_not_be),
        TEST(the_device_gets_what_was_negotiated),
        TEST(queue_size_max_is_each_queues_own),
        TEST(queues_can_be_described_only_between_features_ok_and_driver_ok),
        TEST(a_ready_queue_keeps_its_registers),
        TEST(clearing_a_queue_that_is_clear_is_no_fault),
        TEST(writes_to_queues_and_registers_that_do_not_exist_are_faults),
        TEST(a_queue_that_can_not_be_needs_a_reset),
        TEST(a_queue_size_above_16_bits_is_not_cut_to_a_good_one),
        TEST(a_queue_left_out_stays_silent),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
