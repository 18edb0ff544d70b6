/* virtio-blk: its answers to requests that can't be served, by the guest's fault or the host's, and its cache mode. */
#include <errno.h>
#include <sys/stat.h>

#include "tests/unit/virtio/blk_rig.h"

/* What can't be served */

static void transfers_outside_the_disk_or_of_odd_size_fail(void **state)
{
    struct blk_rig *b = *state;
    const struct {
        uint64_t sector;
        uint32_t bytes;
    } bad[] = {{SECTORS, 512},
               {SECTORS - 1, 1024},
               {UINT64_MAX, 512},
               {UINT64_MAX / 512 + 1, 512},
               {UINT64_MAX - 1, 1024},
               {0, 511},
               {0, 513},
               {0, 1},
               {0, 0}};
    for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        for (uint32_t type = T_IN; type <= T_OUT; type++) {
            if (request(b, type, bad[i].sector, bad[i].bytes) != S_IOERR) fail_msg("case %u of type %u", i, type);
        }
    }
    assert_int_equal(b->rig.faults, 0);
    assert_int_equal(request(b, T_IN, 0, 512), S_OK);
}

static void ranges_that_can_not_be_are_refused_before_any_is_touched(void **state)
{
    struct blk_rig *b = *state;
    const struct {
        uint32_t type;
        uint64_t sector;
        uint32_t sectors, flags, bytes;
        uint8_t status;
    } bad[] = {
        {T_DISCARD, SECTORS, 1, 0, 32, S_IOERR},
        {T_DISCARD, SECTORS - 1, 2, 0, 32, S_IOERR},
        {T_DISCARD, UINT64_MAX, 1, 0, 32, S_IOERR},
        {T_DISCARD, UINT64_MAX / 512 + 1, 1, 0, 32, S_IOERR},
        {T_DISCARD, 0, UINT32_MAX, 0, 32, S_IOERR},
        {T_DISCARD, 0, 0, 0, 32, S_IOERR},
        {T_DISCARD, 0, 1, 1, 32, S_UNSUPP}, /* unmap is for write zeroes */
        {T_DISCARD, 0, 1, 2, 32, S_UNSUPP},
        {T_WRITE_ZEROES, 0, 1, 2, 32, S_UNSUPP},
        {T_WRITE_ZEROES, SECTORS, 1, 1, 32, S_IOERR},
        {T_DISCARD, 0, 1, 0, 15, S_IOERR},
        {T_DISCARD, 0, 1, 0, 33, S_IOERR},
        {T_WRITE_ZEROES, 0, 1, 0, 0, S_IOERR},
        {T_WRITE_ZEROES, 0, 1, 0, 5 * 16, S_IOERR}, /* more than max_write_zeroes_seg */
        {T_DISCARD, 0, 1, 0, 33 * 16, S_IOERR},
    };
    memset(at(b, b->data), 0x77, 512);
    assert_int_equal(request(b, T_OUT, 3, 512), S_OK);
    for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        put_range(b, 0, 3, 1, 0); /* a good one first */
        put_range(b, 1, bad[i].sector, bad[i].sectors, bad[i].flags);
        const uint8_t status = request(b, bad[i].type, 0, bad[i].bytes);
        if (status != bad[i].status) fail_msg("case %u: status %u", i, status);
    }
    assert_int_equal(request(b, T_IN, 3, 512), S_OK);
    assert_int_equal(*at(b, b->data), 0x77);
}

static void what_was_not_negotiated_or_does_not_exist_is_unsupported(void **state)
{
    struct blk_rig *b = *state;
    const uint32_t unknown[] = {2, 3, 5, 7, 10, 14, 15, 16, 0x80000000u, UINT32_MAX};
    put_range(b, 0, 0, 1, 0);
    assert_int_equal(request(b, T_DISCARD, 0, 16), S_UNSUPP);
    assert_int_equal(request(b, T_WRITE_ZEROES, 0, 16), S_UNSUPP);
    for (unsigned i = 0; i < sizeof(unknown) / sizeof(unknown[0]); i++) {
        assert_int_equal(request(b, unknown[i], 0, 512), S_UNSUPP);
    }
}
static int setup_no_extras(void **state)
{
    return setup_features(state, F_FLUSH);
}

static void a_header_cut_short_is_an_error(void **state)
{
    struct blk_rig *b = *state;
    const struct ring_seg seg[] = {{b->header, 15, false}, {b->status, 1, true}};
    write_header(b, T_FLUSH, 0);
    assert_int_equal(serve(b, seg, 2, NULL), S_IOERR);
    *at(b, b->status) = S_UNTOUCHED;
    assert_int_equal(serve(b, seg + 1, 1, NULL), S_IOERR);
    assert_int_equal(b->rig.faults, 0);
}

static void a_request_without_a_status_byte_is_a_fault(void **state)
{
    struct blk_rig *b = *state;
    const struct ring_seg seg = {b->header, 16, false};
    write_header(b, T_FLUSH, 0);
    (void)ring_add(&b->rig.ring[0], &seg, 1);
    rig_notify(&b->rig, 0);
    assert_int_equal(b->rig.faults, 1);
    assert_string_equal(b->rig.why, "a block request without a byte for its status");
    assert_int_equal(ring_used_count(&b->rig.ring[0]), 0);
    rig_reset(&b->rig); /* and a reset makes it work again */
    rig_activate(&b->rig);
    assert_int_equal(request(b, T_FLUSH, 0, 0), S_OK);
}

static void a_broken_ring_is_one_fault_and_names_the_reason(void **state)
{
    struct blk_rig *b = *state;
    ring_offer(&b->rig.ring[0], QUEUE_SIZE);
    rig_notify(&b->rig, 0);
    assert_int_equal(b->rig.faults, 1);
    assert_int_equal(b->rig.dev->fault_count, 1);
    assert_string_equal(b->rig.why, "an available head is beyond the descriptor table");
}

static void a_readonly_disk_refuses_writes_and_stays_as_it_is(void **state)
{
    struct blk_rig *b = *state;
    struct stat before, after;
    assert_int_equal(stat(b->path, &before), 0);
    memset(at(b, b->data), 0x99, 512);
    assert_int_equal(request(b, T_OUT, 0, 512), S_IOERR);
    put_range(b, 0, 0, 1, 0);
    assert_int_equal(request(b, T_DISCARD, 0, 16), S_UNSUPP);
    assert_int_equal(request(b, T_WRITE_ZEROES, 0, 16), S_UNSUPP);
    assert_int_equal(request(b, T_FLUSH, 0, 0), S_OK);
    assert_int_equal(request(b, T_IN, 0, 512), S_OK);
    assert_int_equal(*at(b, b->data), 0);
    assert_int_equal(stat(b->path, &after), 0);
    assert_int_equal(after.st_mtim.tv_nsec, before.st_mtim.tv_nsec);
    assert_int_equal(after.st_blocks, before.st_blocks);
}

static void reset_in_the_middle_leaves_nothing_in_flight(void **state)
{
    struct blk_rig *b = *state;
    for (unsigned turn = 0; turn < 20; turn++) {
        for (unsigned i = 0; i < 20; i++) {
            const struct ring_seg seg[] = {
                {b->header, 16, false}, {b->data + 4096 * i, 4096, false}, {b->status, 1, true}};
            write_header(b, T_OUT, 8 * turn);
            (void)ring_add(&b->rig.ring[0], seg, 3);
        }
        b->rig.dev->ops->notify(b->rig.dev, 0);
        rig_reset(&b->rig);
        assert_int_equal(b->disk->in_flight, 0);
        rig_activate(&b->rig);
    }
    assert_int_equal(request(b, T_IN, 0, 4096), S_OK);
    assert_int_equal(b->rig.faults, 0);
}

/* Host errors and the cache mode, with a made-up engine that fails and counts. */

static struct {
    int fail_at; /* the step that fails, from 1; 0: none */
    int error;
    int steps, writes, syncs;
    struct ring *ring; /* not NULL: the driver offers the first descriptor again as soon as it comes back */
} plan;

static int plan_open(struct disk *d)
{
    (void)d;
    return 0;
}
static int plan_attach(struct disk *d)
{
    (void)d;
    return plan.fail_at < 0 ? -ENOMEM : 0;
}
static void plan_nothing(struct disk *d)
{
    (void)d;
}
static void plan_submit(struct disk *d, struct disk_request *r)
{
    struct disk_step s;
    disk_next_step(d, r, &s);
    plan.steps++;
    plan.writes += s.kind == STEP_WRITE;
    plan.syncs += s.kind == STEP_SYNC;
    disk_step_done(d, r, plan.steps == plan.fail_at ? -plan.error : disk_run_step(d, &s));
    if (plan.ring) ring_offer(plan.ring, 0);
}
static const struct disk_engine planned = {
    .name = "planned",
    .open = plan_open,
    .close = plan_nothing,
    .attach = plan_attach,
    .detach = plan_nothing,
    .submit = plan_submit,
    .kick = plan_nothing,
    .again = plan_nothing,
    .cancel = plan_nothing,
};

static int setup_planned_features(void **state, uint64_t features)
{
    struct disk *disk;
    struct blk_rig *b = test_calloc(1, sizeof(*b));
    memset(&plan, 0, sizeof(plan));
    assert_int_equal(disk_open_ram(&disk, SECTORS * 512, NULL), 0);
    assert_int_equal(disk_use_engine(disk, &planned), 0);
    boot(b, disk, features);
    *state = b;
    return 0;
}
static int setup_planned(void **state)
{
    return setup_planned_features(state, F_ALL);
}
static int setup_planned_without_flush(void **state)
{
    return setup_planned_features(state, F_WRITE_ZEROES);
}

static void a_host_error_is_an_io_error_of_that_request_alone(void **state)
{
    static const uint32_t type[] = {T_IN, T_OUT, T_FLUSH, T_DISCARD, T_WRITE_ZEROES};
    static const int error[] = {EIO, ENOSPC};
    struct blk_rig *b = *state;
    for (unsigned i = 0; i < 5; i++) {
        for (unsigned j = 0; j < 2; j++) {
            const uint32_t bytes = type[i] == T_FLUSH ? 0 : type[i] >= T_DISCARD ? 16 : 512;
            put_range(b, 0, 0, 1, 0);
            plan.steps = 0;
            plan.fail_at = 1;
            plan.error = error[j];
            assert_int_equal(request(b, type[i], 0, bytes), S_IOERR);
            assert_non_null(strstr(b->rig.why, strerrordesc_np(error[j])));
            put_range(b, 0, 0, 1, 0);
            assert_int_equal(request(b, type[i], 0, bytes), S_OK);
        }
    }
    assert_int_equal(b->rig.host_errors, 10);
    assert_string_equal(b->rig.why, "write zeroes at byte 0: No space left on device; the guest got an I/O error");
    assert_int_equal(b->rig.faults + b->rig.host_failures, 0);
}

static void a_later_range_that_fails_fails_the_request(void **state)
{
    struct blk_rig *b = *state;
    put_range(b, 0, 0, 1, 0);
    put_range(b, 1, 8, 1, 0);
    put_range(b, 2, 16, 1, 0);
    plan.fail_at = 2;
    plan.error = EIO;
    assert_int_equal(request(b, T_DISCARD, 0, 48), S_IOERR);
    assert_int_equal(plan.steps, 2);
}

static void set_writeback(struct blk_rig *b, uint8_t mode)
{
    b->rig.dev->ops->config_write(b->rig.dev, CONFIG_WRITEBACK, &mode, 1);
}

static void writes_are_synced_when_the_driver_turns_the_cache_off(void **state)
{
    struct blk_rig *b = *state;
    assert_int_equal(request(b, T_OUT, 0, 512), S_OK);
    assert_int_equal(plan.syncs, 0);
    set_writeback(b, 0);
    assert_int_equal(config(b, CONFIG_WRITEBACK, 1), 0);
    assert_int_equal(request(b, T_OUT, 0, 512), S_OK);
    assert_int_equal(plan.syncs, 1);
    put_range(b, 0, 0, 8, 0);
    put_range(b, 1, 8, 8, 0);
    assert_int_equal(request(b, T_WRITE_ZEROES, 0, 32), S_OK);
    assert_int_equal(plan.syncs, 2);
    assert_int_equal(request(b, T_IN, 0, 512), S_OK);
    assert_int_equal(plan.syncs, 2);
    plan.steps = 0;
    plan.fail_at = 2; /* written, and not stable: not a success */
    plan.error = EIO;
    assert_int_equal(request(b, T_OUT, 0, 512), S_IOERR);
    set_writeback(b, 1);
    plan.syncs = 0;
    assert_int_equal(request(b, T_OUT, 0, 512), S_OK);
    assert_int_equal(plan.syncs, 0);
}

static void writes_are_synced_for_a_driver_without_flush(void **state)
{
    struct blk_rig *b = *state;
    assert_int_equal(config(b, CONFIG_WRITEBACK, 1), 0);
    assert_int_equal(request(b, T_OUT, 0, 512), S_OK);
    assert_int_equal(plan.syncs, 1);
    set_writeback(b, 1); /* not negotiated: no effect */
    assert_int_equal(request(b, T_OUT, 0, 512), S_OK);
    assert_int_equal(plan.syncs, 2);
}

static void configuration_writes_elsewhere_have_no_effect(void **state)
{
    struct blk_rig *b = *state;
    const uint8_t bytes[8] = {0};
    b->rig.dev->ops->config_write(b->rig.dev, 0, bytes, 8);
    b->rig.dev->ops->config_write(b->rig.dev, CONFIG_WRITEBACK, bytes, 2);
    set_writeback(b, 2);
    assert_int_equal(config(b, 0, 8), SECTORS);
    assert_int_equal(config(b, CONFIG_WRITEBACK, 1), 1);
}

static void a_driver_that_never_stops_gets_one_queue_size_at_a_time(void **state)
{
    struct blk_rig *b = *state;
    struct ring *r = &b->rig.ring[0];
    ring_set_desc(r, 0, (struct ring_seg){b->header, 16, false}, RING_F_NEXT, 1);
    ring_set_desc(r, 1, (struct ring_seg){b->status, 1, true}, RING_F_WRITE, 0);
    write_header(b, T_FLUSH, 0);
    ring_offer(r, 0);
    plan.ring = r;
    for (unsigned turn = 1; turn < 4; turn++) {
        b->rig.renotify = 0;
        b->rig.dev->ops->notify(b->rig.dev, 0);
        assert_int_equal(plan.steps, turn * QUEUE_SIZE);
        assert_int_equal(b->rig.renotify, 1);
        assert_int_equal(b->rig.interrupts, turn);
    }
}

static void a_disk_that_does_not_start_says_why_and_may_start_later(void **state)
{
    struct blk_rig *b = *state;
    rig_reset(&b->rig);
    b->disk->loop = NULL; /* as before the first start */
    plan.fail_at = -1;
    assert_int_equal(b->rig.dev->ops->activate(b->rig.dev), -ENOMEM);
    plan.fail_at = 0;
    rig_activate(&b->rig);
    assert_int_equal(request(b, T_FLUSH, 0, 0), S_OK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH(transfers_outside_the_disk_or_of_odd_size_fail, ram),
        WITH(ranges_that_can_not_be_are_refused_before_any_is_touched, ram),
        WITH(what_was_not_negotiated_or_does_not_exist_is_unsupported, no_extras),
        WITH(a_header_cut_short_is_an_error, ram),
        WITH(a_request_without_a_status_byte_is_a_fault, ram),
        WITH(a_broken_ring_is_one_fault_and_names_the_reason, ram),
        WITH(a_readonly_disk_refuses_writes_and_stays_as_it_is, readonly),
        WITH_EACH(reset_in_the_middle_leaves_nothing_in_flight),
        WITH(a_host_error_is_an_io_error_of_that_request_alone, planned),
        WITH(a_later_range_that_fails_fails_the_request, planned),
        WITH(writes_are_synced_when_the_driver_turns_the_cache_off, planned),
        WITH(writes_are_synced_for_a_driver_without_flush, planned_without_flush),
        WITH(a_driver_that_never_stops_gets_one_queue_size_at_a_time, planned),
        WITH(configuration_writes_elsewhere_have_no_effect, ram),
        WITH(a_disk_that_does_not_start_says_why_and_may_start_later, planned),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
