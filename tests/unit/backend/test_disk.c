/* Every operation of a disk through every engine. */
#include "tests/unit/backend/disk_rig.h"

static void what_was_written_is_read_back(void **state)
{
    static uint8_t out[LARGE], in[LARGE];
    struct disk_rig *b = *state;
    fill(out, sizeof(out), 1);
    assert_int_equal(transfer(b, DISK_WRITE, 512, out, sizeof(out)), 0);
    assert_int_equal(transfer(b, DISK_READ, 512, in, sizeof(in)), 0);
    assert_memory_equal(in, out, sizeof(in));
    assert_int_equal(transfer(b, DISK_WRITE, IMAGE_BYTES - 512, out, 512), 0); /* the last sector */
    assert_int_equal(transfer(b, DISK_READ, IMAGE_BYTES - 512, in, 512), 0);
    assert_memory_equal(in, out, 512);
    assert_int_equal(command(b, DISK_FLUSH, 0, 0, false), 0);
}

/* So that a read must wait; what no file system of memory can do. */
static void forget_cached(const struct disk_rig *b)
{
    assert_int_equal(fdatasync(b->disk->fd), 0);
    assert_int_equal(posix_fadvise(b->disk->fd, 0, 0, POSIX_FADV_DONTNEED), 0);
}

static void what_is_not_cached_is_read_too(void **state)
{
    static uint8_t out[4 * LARGE], in[4 * LARGE];
    struct disk_rig *b = *state;
    fill(out, sizeof(out), 4);
    assert_int_equal(transfer(b, DISK_WRITE, 0, out, sizeof(out)), 0);
    forget_cached(b);
    assert_int_equal(transfer(b, DISK_READ, 0, in, sizeof(in)), 0);
    assert_memory_equal(in, out, sizeof(in));
    forget_cached(b);
    assert_int_equal(transfer(b, DISK_READ, 0, in, PAGE),
                     0); /* a part is cached now, and the engine goes on after it */
    memset(in, 0, sizeof(in));
    assert_int_equal(transfer(b, DISK_READ, 0, in, sizeof(in)), 0);
    assert_memory_equal(in, out, sizeof(in));
}

static void transfers_may_be_scattered(void **state)
{
    static uint8_t out[LARGE], in[LARGE];
    struct disk_rig *b = *state;
    fill(out, sizeof(out), 2);
    for (unsigned pass = 0; pass < 2; pass++) {
        uint8_t *p = pass == 0 ? out : in;
        struct request r = {
            .io = {.op = pass == 0 ? DISK_WRITE : DISK_READ, .offset = PAGE, .bytes = LARGE, .iov_count = 5},
            .iov = {{p, 1}, {p + 1, 511}, {p + 512, 0}, {p + 512, PAGE}, {p + 512 + PAGE, 0}}};
        r.iov[4].iov_len = LARGE - 512 - PAGE;
        assert_int_equal(run(b, &r), 0);
    }
    assert_memory_equal(in, out, sizeof(in));
    assert_int_equal(transfer(b, DISK_READ, PAGE + 512, in, PAGE), 0);
    assert_memory_equal(in, out + 512, PAGE);
}

static void many_requests_may_be_in_flight(void **state)
{
    static struct request r[MANY];
    static uint8_t out[MANY][LARGE], in[MANY][LARGE];
    struct disk_rig *b = *state;
    for (unsigned pass = 0; pass < 2; pass++) {
        const enum disk_op op = pass == 0 ? DISK_WRITE : DISK_READ;
        for (unsigned i = 0; i < MANY; i++) {
            fill(out[i], LARGE, i);
            r[i] = (struct request){.io = {.op = op, .offset = i * LARGE, .bytes = LARGE, .iov_count = 1},
                                    .iov = {{pass == 0 ? out[i] : in[i], LARGE}}};
            begin(b, &r[i]);
        }
        disk_kick(b->disk);
        for (unsigned i = 0; i < MANY; i++) {
            wait_done(b, &r[i]);
            assert_int_equal(r[i].rc, 0);
        }
    }
    assert_memory_equal(in, out, sizeof(in));
}

static void discard_gives_blocks_back(void **state)
{
    static uint8_t buf[64 * PAGE];
    struct disk_rig *b = *state;
    memset(buf, 0xaa, sizeof(buf));
    assert_int_equal(transfer(b, DISK_WRITE, 0, buf, sizeof(buf)), 0);
    assert_int_equal(command(b, DISK_FLUSH, 0, 0, false), 0);
    const uint64_t before = b->has_image ? bytes_on_host(&b->image) : 0;
    assert_int_equal(command(b, DISK_DISCARD, 16 * PAGE, 32 * PAGE, false), 0);
    if (b->has_image) assert_true(bytes_on_host(&b->image) <= before - 32 * PAGE);
    assert_int_equal(transfer(b, DISK_READ, 16 * PAGE, buf, PAGE), 0);
    assert_int_equal(buf[0], 0);
    assert_int_equal(disk_sectors(b->disk), IMAGE_BYTES / 512);
}

static void zeroing_gives_zeros_and_spares_the_neighbours(void **state)
{
    static uint8_t buf[64 * PAGE], zero[30 * PAGE];
    struct disk_rig *b = *state;
    for (unsigned may_unmap = 0; may_unmap < 2; may_unmap++) {
        memset(buf, 0xbb, sizeof(buf));
        assert_int_equal(transfer(b, DISK_WRITE, PAGE, buf, sizeof(buf)), 0);
        assert_int_equal(command(b, DISK_ZEROES, 2 * PAGE + 512, 30 * PAGE, may_unmap), 0);
        assert_int_equal(transfer(b, DISK_READ, PAGE, buf, sizeof(buf)), 0);
        assert_int_equal(buf[PAGE + 511], 0xbb);
        assert_memory_equal(buf + PAGE + 512, zero, sizeof(zero));
        assert_int_equal(buf[PAGE + 512 + sizeof(zero)], 0xbb);
    }
}

static void reading_and_unmapping_keep_a_sparse_file_sparse(void **state)
{
    static uint8_t buf[16 * PAGE];
    struct disk_rig *b = *state;
    assert_int_equal(transfer(b, DISK_READ, 0, buf, sizeof(buf)), 0);
    assert_int_equal(command(b, DISK_ZEROES, 0, IMAGE_BYTES, true), 0);
    assert_int_equal(command(b, DISK_DISCARD, 0, IMAGE_BYTES, false), 0);
    assert_int_equal(bytes_on_host(&b->image), 0);
    assert_int_equal(transfer(b, DISK_WRITE, PAGE, buf, PAGE), 0);
    assert_int_equal(command(b, DISK_FLUSH, 0, 0, false), 0);
    assert_true(bytes_on_host(&b->image) <= 16 * PAGE);
}

static void a_file_that_shrinks_gives_an_error_and_no_more(void **state)
{
    uint8_t buf[2 * PAGE];
    struct disk_rig *b = *state;
    assert_int_equal(ftruncate(b->disk->fd, PAGE), 0);
    assert_int_equal(transfer(b, DISK_READ, 0, buf, sizeof(buf)), DISK_CUT_SHORT);
    assert_int_equal(transfer(b, DISK_READ, 0, buf, PAGE), 0);
}

static off_t end_of(const struct disk_rig *b)
{
    struct stat st;
    assert_int_equal(fstat(b->disk->fd, &st), 0);
    return st.st_size;
}

/* Cut short under the disk: whatever changes it beyond its end is an error, and the file stays as it was cut. */
static void a_file_that_was_cut_is_not_written_longer_again(void **state)
{
    static uint8_t buf[8 * PAGE];
    struct disk_rig *b = *state;
    assert_int_equal(transfer(b, DISK_WRITE, 0, buf, PAGE), 0);
    assert_int_equal(ftruncate(b->disk->fd, 2 * PAGE), 0);
    assert_int_equal(transfer(b, DISK_WRITE, 4 * PAGE, buf, PAGE), DISK_CUT_SHORT);
    assert_int_equal(transfer(b, DISK_WRITE, PAGE, buf, 2 * PAGE), DISK_CUT_SHORT); /* a part of it */
    assert_int_equal(transfer(b, DISK_WRITE, 2 * PAGE, buf, 512), DISK_CUT_SHORT);
    for (unsigned may_unmap = 0; may_unmap < 2; may_unmap++)
        assert_int_equal(command(b, DISK_ZEROES, PAGE, 2 * PAGE, may_unmap), DISK_CUT_SHORT);
    assert_int_equal(command(b, DISK_DISCARD, 4 * PAGE, PAGE, false), DISK_CUT_SHORT);
    b->disk->has_way[WAY_PUNCH] = b->disk->has_way[WAY_ZERO_RANGE] = false; /* by writing */
    assert_int_equal(command(b, DISK_ZEROES, PAGE, 2 * PAGE, true), DISK_CUT_SHORT);
    assert_int_equal(end_of(b), 2 * PAGE);
    if (b->has_image) assert_true(bytes_on_host(&b->image) <= 2 * PAGE);
    assert_int_equal(transfer(b, DISK_WRITE, 0, buf, 2 * PAGE), 0); /* what is there is used as before */
    assert_int_equal(command(b, DISK_ZEROES, PAGE, PAGE, true), 0);
    assert_int_equal(ftruncate(b->disk->fd, IMAGE_BYTES), 0); /* and it is whole again */
    assert_int_equal(transfer(b, DISK_WRITE, 4 * PAGE, buf, PAGE), 0);
}

static void a_disk_of_our_own_memory_can_not_be_cut(void **state)
{
    struct disk_rig *b = *state;
    assert_int_equal(ftruncate(b->disk->fd, PAGE), -1);
    assert_int_equal(errno, EPERM);
    assert_int_equal(ftruncate(b->disk->fd, 2 * IMAGE_BYTES), -1);
}

static void what_is_in_flight_at_a_stop_comes_to_an_end(void **state)
{
    static struct request r[MANY];
    static uint8_t buf[MANY][LARGE];
    struct disk_rig *b = *state;
    for (unsigned i = 0; i < MANY; i++) {
        const bool is_flush = i % 8 == 7;
        r[i] = (struct request){.io = {.op = is_flush ? DISK_FLUSH : DISK_WRITE,
                                       .offset = is_flush ? 0 : i * LARGE,
                                       .bytes = is_flush ? 0 : LARGE,
                                       .iov_count = 1},
                                .iov = {{buf[i], LARGE}}};
        begin(b, &r[i]);
        if (i == MANY / 2) disk_kick(b->disk);
    }
    const bool was_quiet = disk_stop(b->disk);
    b->is_quiet = was_quiet;
    for (unsigned i = 0; !b->is_quiet && i < WAIT_MAX; i++) turn(b);
    assert_true(b->is_quiet);
    assert_int_equal(b->quiets, was_quiet ? 0 : 1); /* told once, or answered */
    for (unsigned i = 0; i < MANY; i++) {
        assert_int_equal(r[i].done, 1);
        assert_true(r[i].rc == 0 || r[i].rc == -ECANCELED);
    }
    assert_true(b->disk->engine != &disk_engine_uring || r[MANY - 1].rc == -ECANCELED); /* was not handed over */
    assert_int_equal(b->batches, 0); /* nobody is told of a batch any more */
    assert_true(disk_stop(b->disk)); /* twice is legal */
}

static void a_stopped_disk_can_be_started_again(void **state)
{
    uint8_t buf[512];
    struct err e;
    struct disk_rig *b = *state;
    for (unsigned i = 0; i < 50; i++) {
        stop(b);
        assert_int_equal(disk_start(b->disk, &b->loop, &e), 0);
        assert_int_equal(transfer(b, DISK_READ, 0, buf, sizeof(buf)), 0);
    }
}

static void completions_from_the_loop_end_with_a_batch(void **state)
{
    struct disk_rig *b = *state;
    struct request r = {.io = {.op = DISK_FLUSH}};
    begin(b, &r);
    disk_kick(b->disk);
    const bool was_at_once = r.done == 1; /* then the caller knows */
    wait_done(b, &r);
    assert_int_equal(b->batches, was_at_once ? 0 : 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_EACH(what_was_written_is_read_back),
        WITH_EACH(what_is_not_cached_is_read_too),
        WITH_EACH(transfers_may_be_scattered),
        WITH_EACH(many_requests_may_be_in_flight),
        WITH_EACH(discard_gives_blocks_back),
        WITH_EACH(zeroing_gives_zeros_and_spares_the_neighbours),
        WITH(reading_and_unmapping_keep_a_sparse_file_sparse, uring),
        WITH(reading_and_unmapping_keep_a_sparse_file_sparse, worker),
        WITH(a_file_that_shrinks_gives_an_error_and_no_more, uring),
        WITH(a_file_that_shrinks_gives_an_error_and_no_more, mixed),
        WITH(a_file_that_shrinks_gives_an_error_and_no_more, worker),
        WITH(a_file_that_shrinks_gives_an_error_and_no_more, tmpfs),
        WITH(a_file_that_was_cut_is_not_written_longer_again, uring),
        WITH(a_file_that_was_cut_is_not_written_longer_again, mixed),
        WITH(a_file_that_was_cut_is_not_written_longer_again, worker),
        WITH(a_file_that_was_cut_is_not_written_longer_again, tmpfs),
        WITH(a_disk_of_our_own_memory_can_not_be_cut, ram),
        WITH_EACH(what_is_in_flight_at_a_stop_comes_to_an_end),
        WITH_EACH(a_stopped_disk_can_be_started_again),
        WITH_EACH(completions_from_the_loop_end_with_a_batch),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
