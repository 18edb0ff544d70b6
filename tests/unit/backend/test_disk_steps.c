/* The steps of a request when the kernel fails one, does half of it, or does not know it; how large they are; and what
 * is done at once. */
#include "tests/unit/backend/disk_rig.h"

/* A made-up engine: the next steps come out as the test says, then as the kernel does. */

#define SCRIPT_MAX 8

static struct script {
    int64_t result[SCRIPT_MAX]; /* < 0: the error; > 0: at most so many bytes are transferred */
    unsigned count, at;
    unsigned steps;
    unsigned writes; /* of these */
} script;

static int scripted_start(struct disk *d)
{
    (void)d;
    return 0;
}
static void scripted_nothing(struct disk *d)
{
    (void)d;
}
static void use(struct disk_rig *b, const struct disk_engine *engine)
{
    assert_int_equal(disk_use_engine(b->disk, engine), 0);
    start(b);
}
static void scripted_submit(struct disk *d, struct disk_request *r)
{
    struct disk_step s;
    struct iovec cut;
    const int64_t plan = script.at < script.count ? script.result[script.at++] : 0;
    disk_next_step(d, r, &s);
    script.steps++;
    script.writes += s.kind == STEP_WRITE;
    if (plan > 0 && s.iov_count > 0) { /* a short transfer, within the first buffer */
        cut = *s.iov;
        if (cut.iov_len > (size_t)plan) cut.iov_len = (size_t)plan;
        s.iov = &cut;
        s.iov_count = 1;
    }
    disk_step_done(d, r, plan < 0 ? plan : disk_run_step(d, &s));
}
static const struct disk_engine scripted = {
    .name = "scripted",
    .open = scripted_start,
    .close = scripted_nothing,
    .attach = scripted_start,
    .detach = scripted_nothing,
    .submit = scripted_submit,
    .kick = scripted_nothing,
    .again = scripted_nothing,
    .cancel = scripted_nothing,
};

static int setup_scripted(void **state)
{
    struct disk_rig *b = new_rig(DISK_ENGINE_AUTO);
    use(b, &scripted);
    script = (struct script){0};
    *state = b;
    return 0;
}

static void say(const int64_t *result, unsigned count)
{
    script = (struct script){.count = count};
    memcpy(script.result, result, count * sizeof(*result));
}
#define SAY(...) say((const int64_t[]){__VA_ARGS__}, sizeof((const int64_t[]){__VA_ARGS__}) / sizeof(int64_t))

static void short_transfers_go_on_where_they_stopped(void **state)
{
    static uint8_t out[2 * PAGE], in[2 * PAGE];
    struct disk_rig *b = *state;
    fill(out, sizeof(out), 3);
    SAY(1, 511, PAGE);
    assert_int_equal(transfer(b, DISK_WRITE, 512, out, sizeof(out)), 0);
    assert_int_equal(script.steps, 4);
    SAY(700, 1);
    struct request r = {.io = {.op = DISK_READ, .offset = 512, .bytes = sizeof(in), .iov_count = 3},
                        .iov = {{in, 600}, {in + 600, 0}, {in + 600, sizeof(in) - 600}}};
    assert_int_equal(run(b, &r), 0);
    assert_memory_equal(in, out, sizeof(in));
}

static void interrupted_steps_are_taken_again(void **state)
{
    uint8_t buf[512];
    struct disk_rig *b = *state;
    SAY(-EINTR, -EAGAIN, -EINTR);
    assert_int_equal(transfer(b, DISK_READ, 0, buf, sizeof(buf)), 0);
    assert_int_equal(script.steps, 4);
    SAY(-EINTR);
    assert_int_equal(command(b, DISK_FLUSH, 0, 0, false), 0);
}

static void host_errors_reach_the_request_at_any_step(void **state)
{
    static const enum disk_op op[] = {DISK_READ, DISK_WRITE, DISK_FLUSH, DISK_DISCARD, DISK_ZEROES};
    static const int error[] = {EIO, ENOSPC, EDQUOT, EFBIG};
    uint8_t buf[2 * PAGE];
    struct disk_rig *b = *state;
    for (size_t i = 0; i < sizeof(op) / sizeof(op[0]); i++) {
        for (size_t j = 0; j < sizeof(error) / sizeof(error[0]); j++) {
            const bool is_transfer = op[i] == DISK_READ || op[i] == DISK_WRITE;
            SAY(-error[j]);
            assert_int_equal(is_transfer ? transfer(b, op[i], 0, buf, sizeof(buf)) : command(b, op[i], 0, PAGE, true),
                             -error[j]);
            assert_int_equal(b->disk->in_flight, 0);
            if (!is_transfer) continue;
            SAY(512, -error[j]); /* and after a part */
            assert_int_equal(transfer(b, op[i], 0, buf, sizeof(buf)), -error[j]);
        }
    }
    assert_int_equal(transfer(b, DISK_READ, 0, buf, sizeof(buf)), 0); /* and the disk still works */
}

static void zeroing_falls_back_to_what_the_file_supports(void **state)
{
    static uint8_t buf[1u << 20], zero[1u << 20];
    struct disk_rig *b = *state;
    memset(buf, 0xcc, sizeof(buf));
    assert_int_equal(transfer(b, DISK_WRITE, 0, buf, sizeof(buf)), 0);
    SAY(-EOPNOTSUPP, -EOPNOTSUPP); /* no hole, no zero range: zeros are written */
    assert_int_equal(command(b, DISK_ZEROES, 0, sizeof(buf), true), 0);
    assert_true(script.writes > 1); /* in pieces */
    assert_int_equal(transfer(b, DISK_READ, 0, buf, sizeof(buf)), 0);
    assert_memory_equal(buf, zero, sizeof(buf));

    SAY(0); /* remembered: no vain attempt any more */
    assert_int_equal(command(b, DISK_ZEROES, 0, 512, true), 0);
    assert_int_equal(script.steps, 1);
    assert_int_equal(script.writes, 1);
    SAY(512, 512); /* short writes of zeros go on too */
    assert_int_equal(command(b, DISK_ZEROES, 0, PAGE, true), 0);
    assert_int_equal(script.steps, 3);
}

static void zeroing_without_unmap_punches_no_holes(void **state)
{
    struct disk_rig *b = *state;
    struct disk_step s;
    struct request r = {.io = {.op = DISK_ZEROES, .bytes = PAGE, .way = WAY_ZERO_RANGE}};
    disk_next_step(b->disk, &r.io, &s);
    assert_int_equal(s.mode, FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE);
    SAY(-EOPNOTSUPP);
    assert_int_equal(command(b, DISK_ZEROES, 0, PAGE, false), 0);
    assert_true(b->disk->has_way[WAY_PUNCH]); /* was not tried */
    assert_int_equal(script.writes, 1);
}

static void a_discard_the_file_does_not_know_is_no_error(void **state)
{
    struct disk_rig *b = *state;
    SAY(-EOPNOTSUPP, -EOPNOTSUPP, -EOPNOTSUPP, -EOPNOTSUPP);
    assert_int_equal(command(b, DISK_DISCARD, 0, PAGE, false), 0);
    assert_int_equal(script.steps, 1); /* and nothing else is tried for it */
    assert_true(b->disk->has_way[WAY_ZERO_RANGE]);
}

/* What is done at once. An engine that only remembers what it was handed. */

static struct {
    struct disk_request *r[4];
    unsigned count;
} handed;

static void hold(struct disk *d, struct disk_request *r)
{
    (void)d;
    assert_true(handed.count < 4);
    handed.r[handed.count++] = r;
}
static void let_go(struct disk *d)
{
    while (handed.count > 0) disk_step_done(d, handed.r[--handed.count], 0);
}
static const struct disk_engine holding = {
    .name = "holding",
    .is_async = true,
    .open = scripted_start,
    .close = scripted_nothing,
    .attach = scripted_start,
    .detach = scripted_nothing,
    .submit = hold,
    .kick = scripted_nothing,
    .again = scripted_nothing,
    .cancel = scripted_nothing,
};
static int setup_holding(void **state)
{
    struct disk_rig *b = new_rig(DISK_ENGINE_AUTO);
    use(b, &holding);
    *state = b;
    return 0;
}

static bool is_at_once(struct disk_rig *b, enum disk_op op, uint32_t bytes)
{
    static uint8_t buf[2 * PAGE];
    struct request r = {.io = {.op = op, .bytes = bytes, .iov_count = 1}, .iov = {{buf, bytes}}};
    begin(b, &r);
    if (r.done) return true;
    assert_int_equal(handed.count, 1); /* with 0 bytes transferred it ends as an error */
    let_go(b->disk);
    assert_int_equal(r.rc, op == DISK_FLUSH ? 0 : DISK_CUT_SHORT);
    return false;
}

/* A write may wait, for a dirty limit, a journal or a frozen file system, however small it is. */
static void only_what_is_cached_is_read_on_the_loop_thread(void **state)
{
    struct disk_rig *b = *state;
    uint8_t byte;
    const struct iovec v = {&byte, 1};
    assert_int_equal(pread(b->disk->fd, &byte, 1, 0), 1); /* cached */
    /* A file system that does not know such reads (of a virtiofs, of an early initramfs) has none done at once. */
    const bool has_nowait = preadv2(b->disk->fd, &v, 1, 0, RWF_NOWAIT) == 1;
    assert_true(is_at_once(b, DISK_READ, 512) == has_nowait);
    assert_false(is_at_once(b, DISK_WRITE, 512));
    assert_false(is_at_once(b, DISK_FLUSH, 0));
    b->disk->has_nowait = false; /* as after EOPNOTSUPP */
    assert_false(is_at_once(b, DISK_READ, 512));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH(short_transfers_go_on_where_they_stopped, scripted),
        WITH(interrupted_steps_are_taken_again, scripted),
        WITH(host_errors_reach_the_request_at_any_step, scripted),
        WITH(zeroing_falls_back_to_what_the_file_supports, scripted),
        WITH(zeroing_without_unmap_punches_no_holes, scripted),
        WITH(a_discard_the_file_does_not_know_is_no_error, scripted),
        WITH(only_what_is_cached_is_read_on_the_loop_thread, holding),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
