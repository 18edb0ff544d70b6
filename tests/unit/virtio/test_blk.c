/* virtio-blk: what it offers and what it does, in any layout, on every engine. */
#include <errno.h>

#include "tests/unit/virtio/blk_rig.h"
#include "vmm/base/clock.h"

/* What it offers */

static void configuration_says_what_the_disk_is(void **state)
{
    struct blk_rig *b = *state;
    assert_int_equal(b->rig.dev->ops->config_size, 60);
    assert_int_equal(config(b, 0, 8), SECTORS);
    assert_int_equal(config(b, 12, 4), QUEUE_SIZE - 2); /* seg_max */
    assert_int_equal(config(b, 20, 4), 512);            /* blk_size */
    assert_int_equal(config(b, 24, 1), 3);              /* 4 KiB physical blocks */
    assert_int_equal(config(b, CONFIG_WRITEBACK, 1), 1);
    assert_int_equal(config(b, 34, 2), 0);  /* num_queues: no MQ */
    assert_true(config(b, 36, 4) > 0);      /* max_discard_sectors */
    assert_int_equal(config(b, 40, 4), 32); /* max_discard_seg */
    assert_true(config(b, 48, 4) > 0);      /* max_write_zeroes_sectors */
    assert_int_equal(config(b, 56, 1), 1);  /* write_zeroes_may_unmap */
    assert_int_equal(config(b, 57, 3), 0);
}

static void only_a_writable_disk_offers_to_change_it(void **state)
{
    struct blk_rig *b = *state;
    const uint64_t f = b->rig.dev->ops->features(b->rig.dev);
    if (disk_is_readonly(b->disk)) {
        assert_int_equal(f & (F_RO | F_FLUSH), F_RO | F_FLUSH);
        assert_int_equal(f & (F_CONFIG_WCE | F_DISCARD | F_WRITE_ZEROES), 0);
        assert_int_equal(config(b, 36, 4), 0);
        assert_int_equal(config(b, 48, 4), 0);
    } else {
        const uint64_t all = F_FLUSH | F_CONFIG_WCE | F_DISCARD | F_WRITE_ZEROES;
        assert_int_equal(f & (all | F_RO), all);
    }
}

static void create_refuses_a_serial_that_is_too_long(void **state)
{
    struct disk *disk;
    struct virtio_dev *dev = NULL;
    struct err e;
    (void)state;
    assert_int_equal(disk_open_ram(&disk, 512, NULL), 0);
    assert_int_equal(virtio_blk_create(&dev, disk, "123456789012345678901", &e), -EINVAL);
    assert_null(dev);
    assert_non_null(strstr(e.text, "has 21 bytes"));
    assert_int_equal(virtio_blk_create(&dev, disk, "12345678901234567890", &e), 0);
    dev->ops->destroy(dev);
}

/* What it does */

static void written_data_is_read_back(void **state)
{
    struct blk_rig *b = *state;
    const struct {
        uint64_t sector;
        uint32_t bytes;
    } part[] = {{0, 512}, {1, 512}, {8, 65536}, {SECTORS - 1, 512}, {100, DATA_BYTES}};
    for (unsigned i = 0; i < sizeof(part) / sizeof(part[0]); i++) {
        fill(b, part[i].bytes, i);
        assert_int_equal(request(b, T_OUT, part[i].sector, part[i].bytes), S_OK);
        assert_int_equal(request(b, T_FLUSH, 0, 0), S_OK);
        memset(at(b, b->data), 0, part[i].bytes);
        assert_int_equal(request(b, T_IN, part[i].sector, part[i].bytes), S_OK);
        assert_filled(b, part[i].bytes, i);
    }
    assert_int_equal(b->rig.faults, 0);
}

static uint64_t counted(const struct blk_rig *b, const char *name)
{
    struct virtio_counter c;
    for (unsigned i = 0; b->rig.dev->ops->counter(b->rig.dev, i, &c); i++)
        if (strcmp(c.name, name) == 0) return c.count;
    fail_msg("no counter %s", name);
    return 0;
}

/* Those that are refused are answered, too. The times lie in the time that passes here, and are not nothing. */
static void what_is_answered_is_counted_with_its_time(void **state)
{
    struct blk_rig *b = *state;
    const uint64_t before = counted(b, "requests"), before_ns = counted(b, "requests_ns"), from_ns = now_ns();
    for (unsigned i = 0; i < 10; i++) assert_int_equal(request(b, T_IN, i, 512), S_OK);
    assert_int_equal(request(b, T_IN, SECTORS, 512), S_IOERR);
    assert_int_equal(counted(b, "requests") - before, 11);
    assert_in_range(counted(b, "requests_ns") - before_ns, 11, now_ns() - from_ns);
}

static void used_length_is_what_was_written(void **state)
{
    struct blk_rig *b = *state;
    uint32_t len;
    const struct ring_seg read[] = {{b->header, 16, false}, {b->data, 1024, true}, {b->status, 1, true}};
    const struct ring_seg write[] = {{b->header, 16, false}, {b->data, 1024, false}, {b->status, 1, true}};
    write_header(b, T_IN, 0);
    assert_int_equal(serve(b, read, 3, &len), S_OK);
    assert_int_equal(len, 1025);
    write_header(b, T_OUT, 0);
    assert_int_equal(serve(b, write, 3, &len), S_OK);
    assert_int_equal(len, 1);
    write_header(b, T_IN, SECTORS); /* no data came before the status */
    assert_int_equal(serve(b, read, 3, &len), S_IOERR);
    assert_int_equal(len, 0);
}

/* Cut a stretch of guest memory into segments of these sizes, the last as long as it takes. */
static unsigned cut(struct ring_seg *out, uint64_t gpa, uint32_t bytes, bool is_in, const uint32_t *size)
{
    unsigned n = 0;
    while (bytes > 0) {
        const uint32_t len = *size != UINT32_MAX && *size < bytes ? *size : bytes;
        out[n++] = (struct ring_seg){gpa, len, is_in};
        gpa += len;
        bytes -= len;
        if (*size != UINT32_MAX) size++;
    }
    return n;
}

/* 2.7.4.1: header, data and status in one stretch each way, cut anywhere: inside the header, between sectors, empty
 * segments, the status joined with the data. */
static void any_layout_serves(void **state)
{
    static const uint32_t cuts[][8] = {
        {UINT32_MAX},
        {1, UINT32_MAX},
        {15, 2, UINT32_MAX},
        {4, 4, 8, 511, 2, UINT32_MAX},
        {0, 16, 0, 1024, UINT32_MAX},
        {1023, 1, UINT32_MAX},
        {7, 0, 9, 3, 600, 0, UINT32_MAX},
    };
    struct blk_rig *b = *state;
    const uint64_t out = rig_alloc(&b->rig, 16 + 1024), in = rig_alloc(&b->rig, 1024 + 1);
    for (unsigned i = 0; i < sizeof(cuts) / sizeof(cuts[0]); i++) {
        struct ring_seg seg[24];
        struct ring_used used;
        uint8_t *o = at(b, out), *n = at(b, in);
        le32_write(o, T_OUT);
        le64_write(o + 8, i);
        for (unsigned j = 0; j < 1024; j++) o[16 + j] = (uint8_t)(i * 31 + j + j / 509);
        *at(b, b->status) = S_UNTOUCHED;
        unsigned count = cut(seg, out, 16 + 1024, false, cuts[i]);
        seg[count++] = (struct ring_seg){b->status, 1, true};
        assert_int_equal(serve(b, seg, count, NULL), S_OK);

        write_header(b, T_IN, i);
        memset(n, 0xee, 1025);
        seg[0] = (struct ring_seg){b->header, 16, false};
        count = 1 + cut(seg + 1, in, 1025, true, cuts[i]); /* the status is the last byte of the stretch */
        (void)ring_add_indirect(&b->rig.ring[0], seg, count);
        rig_notify(&b->rig, 0);
        rig_wait_used(&b->rig, 0);
        assert_true(ring_take_used(&b->rig.ring[0], &used));
        assert_int_equal(used.len, 1025);
        assert_int_equal(n[1024], S_OK);
        assert_memory_equal(n, o + 16, 1024);
    }
    assert_int_equal(b->rig.faults, 0);
}

static void a_trailing_empty_segment_does_not_hide_the_status(void **state)
{
    struct blk_rig *b = *state;
    const struct ring_seg seg[] = {{b->header, 16, false}, {b->status, 1, true}, {b->data, 0, true}};
    write_header(b, T_FLUSH, 0);
    assert_int_equal(serve(b, seg, 3, NULL), S_OK);
}

static void one_drain_is_bounded_in_bytes_and_the_next_goes_on(void **state)
{
    struct blk_rig *b = *state;
    const struct ring_seg seg[] = {{b->header, 16, false}, {b->data, DATA_BYTES, true}, {b->status, 1, true}};
    write_header(b, T_IN, 0);
    for (unsigned i = 0; i < 16; i++) ring_add(&b->rig.ring[0], seg, 3);
    b->rig.dev->ops->notify(b->rig.dev, 0);
    assert_in_range(ring_used_count(&b->rig.ring[0]), 1, 8);
    assert_int_equal(b->rig.renotify, 1);
    rig_notify(&b->rig, 0);
    assert_int_equal(ring_used_count(&b->rig.ring[0]), 16);
}

/* A range stands for more bytes than its descriptor has. */
static void one_drain_is_bounded_in_what_ranges_stand_for(void **state)
{
    struct blk_rig *b = *state;
    const struct ring_seg seg[] = {{b->header, 16, false}, {b->data, 16, false}, {b->status, 1, true}};
    put_range(b, 0, 0, SECTORS, 0);
    write_header(b, T_WRITE_ZEROES, 0);
    for (unsigned i = 0; i < 16; i++) ring_add(&b->rig.ring[0], seg, 3);
    b->rig.dev->ops->notify(b->rig.dev, 0);
    assert_in_range(ring_used_count(&b->rig.ring[0]), 0, 4);
    assert_int_equal(b->rig.renotify, 1);
    rig_notify(&b->rig, 0);
    for (unsigned i = 0; i < 16; i++) {
        struct ring_used used;
        rig_wait_used(&b->rig, 0);
        assert_true(ring_take_used(&b->rig.ring[0], &used));
    }
    assert_int_equal(*at(b, b->status), S_OK);
}

/* One request of 64 MiB from one page: it is done in pieces, and answered when it is whole. */
static void a_large_transfer_is_done_in_pieces(void **state)
{
    enum { PIECES = 100 };
    struct blk_rig *b = *state;
    struct ring_seg seg[PIECES + 2] = {{b->header, 16, false}};
    for (unsigned i = 0; i < PIECES; i++) seg[i + 1] = (struct ring_seg){b->data, DATA_BYTES, false};
    seg[PIECES + 1] = (struct ring_seg){b->status, 1, true};
    struct ring_used used;
    fill(b, DATA_BYTES, 5);
    write_header(b, T_OUT, 0);
    (void)ring_add_indirect(&b->rig.ring[0], seg, PIECES + 2);
    b->rig.dev->ops->notify(b->rig.dev, 0);
    assert_int_equal(ring_used_count(&b->rig.ring[0]), 0); /* not all of it at once */
    rig_wait_used(&b->rig, 0);
    assert_true(ring_take_used(&b->rig.ring[0], &used));
    assert_int_equal(*at(b, b->status), S_OK);
    memset(at(b, b->data), 0, DATA_BYTES);
    assert_int_equal(request(b, T_IN, (PIECES - 1) * (DATA_BYTES / 512), DATA_BYTES), S_OK);
    assert_filled(b, DATA_BYTES, 5);
}
static int setup_large(void **state)
{
    struct disk *disk;
    struct blk_rig *b = test_calloc(1, sizeof(*b));
    assert_int_equal(disk_open_ram(&disk, 128u << 20, NULL), 0);
    boot(b, disk, F_ALL);
    *state = b;
    return 0;
}

static void a_disk_of_large_blocks_takes_nothing_smaller(void **state)
{
    struct blk_rig *b = *state;
    assert_int_equal(config(b, 0, 8), SECTORS); /* the protocol counts in 512 bytes all the same (5.2.4) */
    assert_int_equal(config(b, 20, 4), 4096);   /* blk_size */
    assert_int_equal(config(b, 24, 1), 0);      /* a physical block is a logical one */
    assert_int_equal(config(b, 26, 2), 1);      /* min_io_size */
    const struct {
        uint64_t sector;
        uint32_t bytes;
        uint8_t status;
    } row[] = {{0, 512, S_IOERR},       {0, 4096, S_OK},  {4, 4096, S_IOERR},          {8, 4096, S_OK},
               {0, 4608, S_IOERR},      {16, 8192, S_OK}, {SECTORS - 1, 512, S_IOERR}, {SECTORS - 8, 4096, S_OK},
               {SECTORS, 4096, S_IOERR}};
    for (unsigned i = 0; i < sizeof(row) / sizeof(row[0]); i++) {
        for (uint32_t type = T_IN; type <= T_OUT; type++) {
            if (request(b, type, row[i].sector, row[i].bytes) != row[i].status) fail_msg("row %u, type %u", i, type);
        }
        put_range(b, 0, row[i].sector, row[i].bytes / 512, 0);
        assert_int_equal(request(b, T_WRITE_ZEROES, 0, 16), row[i].status);
        put_range(b, 0, row[i].sector, row[i].bytes / 512, 0);
        assert_int_equal(request(b, T_DISCARD, 0, 16), row[i].status);
    }
    assert_int_equal(b->rig.faults, 0);
}

static void a_full_queue_of_requests_is_served(void **state)
{
    struct blk_rig *b = *state;
    struct ring *r = &b->rig.ring[0];
    struct ring_used used;
    const uint64_t headers = rig_alloc(&b->rig, 16 * QUEUE_SIZE), statuses = rig_alloc(&b->rig, QUEUE_SIZE);
    for (unsigned pass = 0; pass < 2; pass++) {
        for (unsigned i = 0; i < QUEUE_SIZE; i++) {
            uint8_t *h = at(b, headers + 16 * i);
            le32_write(h, pass == 0 ? T_OUT : T_IN);
            le64_write(h + 8, i);
            *at(b, statuses + i) = S_UNTOUCHED;
            memset(at(b, b->data + 512 * i), pass == 0 ? (int)i + 1 : 0, 512);
            const struct ring_seg seg[] = {
                {headers + 16 * i, 16, false}, {b->data + 512 * i, 512, pass == 1}, {statuses + i, 1, true}};
            (void)ring_add_indirect(r, seg, 3);
        }
        rig_notify(&b->rig, 0);
        for (unsigned i = 0; i < QUEUE_SIZE; i++) {
            rig_wait_used(&b->rig, 0);
            assert_true(ring_take_used(r, &used));
        }
        for (unsigned i = 0; i < QUEUE_SIZE; i++) {
            assert_int_equal(*at(b, statuses + i), S_OK);
            if (pass == 1) assert_int_equal(*at(b, b->data + 512 * i + 511), (uint8_t)(i + 1));
        }
    }
}

static void a_batch_costs_one_interrupt(void **state)
{
    struct blk_rig *b = *state;
    const struct ring_seg seg[] = {{b->header, 16, false}, {b->data, 512, true}, {b->status, 1, true}};
    write_header(b, T_IN, 0);
    for (unsigned i = 0; i < 10; i++) (void)ring_add(&b->rig.ring[0], seg, 3);
    rig_notify(&b->rig, 0);
    assert_int_equal(ring_used_count(&b->rig.ring[0]), 10); /* memory: all done at once */
    assert_int_equal(b->rig.interrupts, 1);
}

static void what_is_done_later_interrupts_too(void **state)
{
    struct blk_rig *b = *state;
    assert_int_equal(request(b, T_FLUSH, 0, 0), S_OK);
    assert_int_equal(b->rig.interrupts, 1);
    assert_int_equal(request(b, T_FLUSH, 0, 0), S_OK);
    assert_int_equal(b->rig.interrupts, 2);
}

static void doorbells_are_asked_for_again_after_a_drain(void **state)
{
    struct blk_rig *b = *state;
    assert_int_equal(request(b, T_FLUSH, 0, 0), S_OK);
    assert_int_equal(request(b, T_FLUSH, 0, 0), S_OK);
    assert_int_equal(ring_used_flags(&b->rig.ring[0]), 0);
    if ((b->rig.dev->features & VIRTIO_F_EVENT_IDX) != 0) assert_int_equal(ring_avail_event(&b->rig.ring[0]), 2);
}

static void get_id_gives_the_serial(void **state)
{
    struct blk_rig *b = *state;
    uint32_t len;
    char *id = (char *)at(b, b->data);
    memset(id, 'x', 32);
    assert_int_equal(request(b, T_GET_ID, 0, 20), S_OK);
    assert_memory_equal(id, "serial-0123456789\0\0\0x", 21);
    memset(id, 'x', 32);
    const struct ring_seg small[] = {{b->header, 16, false}, {b->data, 6, true}, {b->status, 1, true}};
    write_header(b, T_GET_ID, 0);
    assert_int_equal(serve(b, small, 3, &len), S_OK);
    assert_memory_equal(id, "serialx", 7);
    assert_int_equal(len, 7);
    assert_int_equal(request(b, T_GET_ID, 0, 0), S_OK);
}

static void discard_and_write_zeroes_clear_their_ranges(void **state)
{
    struct blk_rig *b = *state;
    for (unsigned i = 0; i < 3; i++) {
        const uint32_t type = i == 0 ? T_DISCARD : T_WRITE_ZEROES;
        fill(b, 64 * 512, i);
        assert_int_equal(request(b, T_OUT, 0, 64 * 512), S_OK);
        put_range(b, 0, 8, 8, i == 2);
        put_range(b, 1, 40, 16, i == 2);
        assert_int_equal(request(b, type, 0, 32), S_OK);
        assert_int_equal(request(b, T_IN, 0, 64 * 512), S_OK);
        for (unsigned s = 0; s < 64; s++) {
            const bool is_zero = (s >= 8 && s < 16) || (s >= 40 && s < 56);
            const uint32_t at_byte = s * 512 + 100;
            const uint8_t expected = is_zero ? 0 : (uint8_t)(i + at_byte + at_byte / 509);
            assert_int_equal(at(b, b->data)[at_byte], expected);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH(configuration_says_what_the_disk_is, ram),
        WITH(only_a_writable_disk_offers_to_change_it, ram),
        WITH(only_a_writable_disk_offers_to_change_it, readonly),
        cmocka_unit_test(create_refuses_a_serial_that_is_too_long),
        WITH_EACH(written_data_is_read_back),
        WITH_EACH(what_is_answered_is_counted_with_its_time),
        WITH(used_length_is_what_was_written, ram),
        WITH_EACH(any_layout_serves),
        WITH(a_trailing_empty_segment_does_not_hide_the_status, ram),
        WITH_EACH(a_full_queue_of_requests_is_served),
        WITH(one_drain_is_bounded_in_bytes_and_the_next_goes_on, ram),
        WITH_EACH(one_drain_is_bounded_in_what_ranges_stand_for),
        WITH(a_large_transfer_is_done_in_pieces, large),
        WITH(a_disk_of_large_blocks_takes_nothing_smaller, large_blocks),
        WITH(a_full_queue_of_requests_is_served, ram_event_idx),
        WITH(a_batch_costs_one_interrupt, ram),
        WITH_EACH(what_is_done_later_interrupts_too),
        WITH(doorbells_are_asked_for_again_after_a_drain, ram),
        WITH(doorbells_are_asked_for_again_after_a_drain, ram_event_idx),
        WITH(get_id_gives_the_serial, ram),
        WITH_EACH(discard_and_write_zeroes_clear_their_ranges),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
