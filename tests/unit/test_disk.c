/* A disk's host side: what is refused at opening, every operation through every engine, and what the steps do when the
 * kernel fails one, does half of it, or does not know it. */
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "devices/disk_engine.h"

#define IMAGE_BYTES (8u << 20)
#define PAGE        4096u
#define LARGE       (32u << 10) /* a write that goes through the engine, not into the page cache at once */
#define WAIT_MAX    100000      /* turns of the loop before a test gives up */

/* An image in a folder of its own. */
struct image {
    char dir[64], path[96];
};

static struct image make_image(off_t bytes)
{
    struct image im = {.dir = "/tmp/vireo-disk-XXXXXX"};
    assert_non_null(mkdtemp(im.dir));
    (void)snprintf(im.path, sizeof(im.path), "%s/image", im.dir);
    const int fd = open(im.path, O_CREAT | O_EXCL | O_RDWR | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(ftruncate(fd, bytes), 0);
    close(fd);
    return im;
}

static void remove_image(const struct image *im)
{
    (void)unlink(im->path);
    assert_int_equal(rmdir(im->dir), 0);
}

static uint64_t bytes_on_host(const struct image *im)
{
    struct stat st;
    assert_int_equal(stat(im->path, &st), 0);
    return (uint64_t)st.st_blocks * 512;
}

/* Opening */

static void assert_open_fails(const char *path, bool is_readonly, int code, const char *text)
{
    struct disk *d = (struct disk *)0x1;
    struct err e;
    const struct disk_params p = {.path = path, .is_readonly = is_readonly};
    assert_int_equal(disk_open(&d, &p, &e), code);
    assert_ptr_equal(d, (struct disk *)0x1); /* untouched */
    assert_non_null(strstr(e.text, text));
    assert_non_null(strstr(e.text, path));
    assert_string_not_equal(e.hint, "");
}

static struct disk *open_image(const struct image *im, bool is_readonly, enum disk_engine_kind engine)
{
    struct disk *d;
    struct err e;
    const struct disk_params p = {.path = im->path, .is_readonly = is_readonly, .engine = engine};
    if (disk_open(&d, &p, &e) != 0) fail_msg("%s", e.text);
    return d;
}

static void open_refuses_what_is_not_there(void **state)
{
    (void)state;
    assert_open_fails("/tmp/vireo-no-such-image", false, -ENOENT, "No such file");
    assert_open_fails("/tmp/vireo-no-such-image", true, -ENOENT, "No such file");
    assert_int_equal(access("/tmp/vireo-no-such-image", F_OK), -1);
}

static void open_refuses_a_directory(void **state)
{
    (void)state;
    assert_open_fails("/tmp", false, -EISDIR, "is a directory");
    assert_open_fails("/tmp", true, -EISDIR, "is a directory");
}

static void open_refuses_odd_and_empty_sizes_and_changes_nothing(void **state)
{
    const struct {
        off_t bytes;
        const char *text;
    } bad[] = {{0, "is empty"}, {1, "no multiple of 512"}, {511, "no multiple"}, {IMAGE_BYTES + 1, "no multiple"}};
    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct stat before, after;
        const struct image im = make_image(bad[i].bytes);
        assert_int_equal(stat(im.path, &before), 0);
        assert_open_fails(im.path, false, -EINVAL, bad[i].text);
        assert_int_equal(stat(im.path, &after), 0);
        assert_int_equal(after.st_size, bad[i].bytes);
        assert_int_equal(after.st_mtim.tv_nsec, before.st_mtim.tv_nsec);
        remove_image(&im);
    }
}

static void open_refuses_a_fifo_without_waiting_for_its_other_end(void **state)
{
    (void)state;
    const struct image im = make_image(0);
    assert_int_equal(unlink(im.path), 0);
    assert_int_equal(mkfifo(im.path, 0600), 0);
    assert_open_fails(im.path, true, -EINVAL, "neither a file nor a block device");
    assert_open_fails(im.path, false, -EINVAL, "neither a file nor a block device");
    remove_image(&im);
    assert_open_fails("/dev/null", false, -EINVAL, "neither a file nor a block device");
}

static void two_writers_never_meet_on_one_image(void **state)
{
    (void)state;
    const struct image im = make_image(IMAGE_BYTES);
    struct disk *const writer = open_image(&im, false, DISK_ENGINE_AUTO);
    assert_open_fails(im.path, false, -EBUSY, "in use by another process");
    assert_open_fails(im.path, true, -EBUSY, "in use by another process");
    disk_close(writer);
    disk_close(open_image(&im, false, DISK_ENGINE_AUTO)); /* the lock went with it */
    remove_image(&im);
}

static void readers_share_an_image_and_keep_writers_out(void **state)
{
    (void)state;
    const struct image im = make_image(IMAGE_BYTES);
    struct disk *const one = open_image(&im, true, DISK_ENGINE_AUTO);
    struct disk *const two = open_image(&im, true, DISK_ENGINE_AUTO);
    assert_open_fails(im.path, false, -EBUSY, "in use by another process");
    assert_true(disk_is_readonly(one));
    assert_false(disk_can_discard(one)); /* nothing that changes it */
    disk_close(one);
    disk_close(two);
    disk_close(NULL);
    remove_image(&im);
}

static void size_is_counted_in_sectors(void **state)
{
    (void)state;
    const struct image im = make_image(IMAGE_BYTES + 512);
    struct disk *const d = open_image(&im, false, DISK_ENGINE_AUTO);
    assert_int_equal(disk_sectors(d), IMAGE_BYTES / 512 + 1);
    assert_true(disk_can_discard(d));
    assert_int_equal(fcntl(d->fd, F_GETFL) & O_NONBLOCK, 0); /* io_uring would fail rather than wait */
    disk_close(d);
    remove_image(&im);
}

/* Operations, through every engine. */

struct bench {
    struct image image;
    bool has_image;
    struct disk *disk;
    struct loop loop;
    unsigned batches;
};

struct request {
    struct disk_request io; /* first */
    struct iovec iov[8];
    int rc;
    unsigned done;
};

static void count_done(struct disk_request *io, int rc)
{
    struct request *const r = (struct request *)io;
    r->rc = rc;
    r->done++;
}
static void count_batch(void *arg)
{
    ((struct bench *)arg)->batches++;
}

static void start(struct bench *b)
{
    struct err e;
    assert_int_equal(loop_init(&b->loop, &e), 0);
    disk_on_batch(b->disk, count_batch, b);
    if (disk_start(b->disk, &b->loop, &e) != 0) fail_msg("%s", e.text);
}

static struct bench *new_bench(enum disk_engine_kind engine)
{
    struct bench *const b = test_calloc(1, sizeof(*b));
    b->image = make_image(IMAGE_BYTES);
    b->has_image = true;
    b->disk = open_image(&b->image, false, engine);
    return b;
}
static int setup_uring(void **state)
{
    struct bench *const b = new_bench(DISK_ENGINE_URING);
    start(b);
    assert_string_equal(b->disk->running->name, "io_uring");
    *state = b;
    return 0;
}
static int setup_worker(void **state)
{
    struct bench *const b = new_bench(DISK_ENGINE_WORKER);
    start(b);
    assert_string_equal(b->disk->running->name, "worker");
    *state = b;
    return 0;
}
static int setup_ram(void **state)
{
    struct bench *const b = test_calloc(1, sizeof(*b));
    assert_int_equal(disk_open_ram(&b->disk, IMAGE_BYTES, NULL), 0);
    start(b);
    assert_string_equal(b->disk->running->name, "direct");
    *state = b;
    return 0;
}
static int teardown(void **state)
{
    struct bench *const b = *state;
    disk_close(b->disk);
    loop_fini(&b->loop);
    if (b->has_image) remove_image(&b->image);
    test_free(b);
    return 0;
}

static void stop_loop(void *arg)
{
    loop_stop(arg);
}

/* Turn the loop until r is done. */
static void wait_done(struct bench *b, const struct request *r)
{
    struct epoll_event ev;
    for (unsigned i = 0; r->done == 0; i++) {
        assert_true(i < WAIT_MAX);
        (void)epoll_wait(b->loop.epoll_fd, &ev, 1, 100);
        struct loop_job job = {.fn = stop_loop, .arg = &b->loop};
        loop_post(&b->loop, &job);
        loop_run(&b->loop);
    }
    assert_int_equal(r->done, 1);
}

static void begin(struct bench *b, struct request *r)
{
    r->io.done = count_done;
    r->io.iov = r->iov;
    r->done = 0;
    disk_submit(b->disk, &r->io);
}

static int run(struct bench *b, struct request *r)
{
    begin(b, r);
    disk_kick(b->disk);
    wait_done(b, r);
    return r->rc;
}

static int transfer(struct bench *b, enum disk_op op, uint64_t offset, void *buf, size_t len)
{
    struct request r = {.io = {.op = op, .offset = offset, .bytes = len, .iov_count = 1}, .iov = {{buf, len}}};
    return run(b, &r);
}
static int command(struct bench *b, enum disk_op op, uint64_t offset, uint64_t bytes, bool may_unmap)
{
    struct request r = {.io = {.op = op, .offset = offset, .bytes = bytes, .may_unmap = may_unmap}};
    return run(b, &r);
}

static void fill(uint8_t *p, size_t len, unsigned seed)
{
    for (size_t i = 0; i < len; i++) p[i] = (uint8_t)(seed + i * 7 + i / 251);
}

static void what_was_written_is_read_back(void **state)
{
    static uint8_t out[LARGE], in[LARGE];
    struct bench *const b = *state;
    fill(out, sizeof(out), 1);
    assert_int_equal(transfer(b, DISK_WRITE, 512, out, sizeof(out)), 0);
    assert_int_equal(transfer(b, DISK_READ, 512, in, sizeof(in)), 0);
    assert_memory_equal(in, out, sizeof(in));
    assert_int_equal(transfer(b, DISK_WRITE, IMAGE_BYTES - 512, out, 512), 0); /* the last sector */
    assert_int_equal(transfer(b, DISK_READ, IMAGE_BYTES - 512, in, 512), 0);
    assert_memory_equal(in, out, 512);
    assert_int_equal(command(b, DISK_FLUSH, 0, 0, false), 0);
}

static void transfers_may_be_scattered(void **state)
{
    static uint8_t out[LARGE], in[LARGE];
    struct bench *const b = *state;
    fill(out, sizeof(out), 2);
    for (unsigned pass = 0; pass < 2; pass++) {
        uint8_t *const p = pass == 0 ? out : in;
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

#define MANY 200 /* more than the rings have room for */

static void many_requests_may_be_in_flight(void **state)
{
    static struct request r[MANY];
    static uint8_t out[MANY][LARGE], in[MANY][LARGE];
    struct bench *const b = *state;
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
    struct bench *const b = *state;
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
    struct bench *const b = *state;
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
    struct bench *const b = *state;
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
    struct bench *const b = *state;
    assert_int_equal(ftruncate(b->disk->fd, PAGE), 0);
    assert_int_equal(transfer(b, DISK_READ, 0, buf, sizeof(buf)), -EIO);
    assert_int_equal(transfer(b, DISK_READ, 0, buf, PAGE), 0);
    assert_int_equal(transfer(b, DISK_WRITE, 0, buf, sizeof(buf)), 0); /* it grows again */
    assert_int_equal(transfer(b, DISK_READ, PAGE, buf, PAGE), 0);
}

static void stop_waits_for_what_is_in_flight(void **state)
{
    static struct request r[MANY];
    static uint8_t buf[MANY][LARGE];
    struct bench *const b = *state;
    for (unsigned i = 0; i < MANY; i++) {
        const bool is_flush = i % 8 == 7;
        r[i] = (struct request){.io = {.op = is_flush ? DISK_FLUSH : DISK_WRITE,
                                       .offset = is_flush ? 0 : i * LARGE,
                                       .bytes = is_flush ? 0 : LARGE,
                                       .iov_count = 1},
                                .iov = {{buf[i], LARGE}}};
        begin(b, &r[i]);
    }
    disk_stop(b->disk); /* not kicked: it does that itself */
    for (unsigned i = 0; i < MANY; i++) {
        assert_int_equal(r[i].done, 1);
        assert_int_equal(r[i].rc, 0);
    }
    assert_int_equal(b->batches, 0); /* nobody is told of a batch any more */
    disk_stop(b->disk);              /* twice is legal */
}

static void a_stopped_disk_can_be_started_again(void **state)
{
    uint8_t buf[512];
    struct err e;
    struct bench *const b = *state;
    for (unsigned i = 0; i < 50; i++) {
        disk_stop(b->disk);
        assert_int_equal(disk_start(b->disk, &b->loop, &e), 0);
        assert_int_equal(transfer(b, DISK_READ, 0, buf, sizeof(buf)), 0);
    }
}

static void completions_from_the_loop_end_with_a_batch(void **state)
{
    struct bench *const b = *state;
    struct request r = {.io = {.op = DISK_FLUSH}};
    begin(b, &r);
    disk_kick(b->disk);
    const bool was_at_once = r.done == 1; /* then the caller knows */
    wait_done(b, &r);
    assert_int_equal(b->batches, was_at_once ? 0 : 1);
}

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
    disk_step_done(d, r, plan < 0 ? plan : disk_run_step(d->fd, &s));
}
static const struct disk_engine scripted = {
    .name = "scripted",
    .start = scripted_start,
    .stop = scripted_nothing,
    .submit = scripted_submit,
    .kick = scripted_nothing,
    .wait = scripted_nothing,
};

static int setup_scripted(void **state)
{
    struct bench *const b = new_bench(DISK_ENGINE_AUTO);
    b->disk->engine = &scripted;
    start(b);
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
    struct bench *const b = *state;
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
    struct bench *const b = *state;
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
    struct bench *const b = *state;
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
    struct bench *const b = *state;
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
    struct bench *const b = *state;
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
    struct bench *const b = *state;
    SAY(-EOPNOTSUPP, -EOPNOTSUPP, -EOPNOTSUPP, -EOPNOTSUPP);
    assert_int_equal(command(b, DISK_DISCARD, 0, PAGE, false), 0);
    assert_int_equal(script.steps, 1); /* and nothing else is tried for it */
    assert_true(b->disk->has_way[WAY_ZERO_RANGE]);
}

/* The choice of an engine. */

/* In a process of its own: io_uring_setup fails as it does where it is switched off. */
static int child_without_io_uring(int error)
{
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_io_uring_setup, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | (unsigned)error),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    const struct sock_fprog filter = {4, code};
    struct bench b = {0};
    struct err e;
    uint8_t buf[512];
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 || prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter) != 0)
        return 1;
    b.image = make_image(IMAGE_BYTES);
    b.disk = open_image(&b.image, false, DISK_ENGINE_URING);
    if (loop_init(&b.loop, &e) != 0 || disk_start(b.disk, &b.loop, &e) != -error) return 2;
    disk_close(b.disk);
    b.disk = open_image(&b.image, false, DISK_ENGINE_AUTO);
    b.disk->is_in_memory = false; /* wherever the test's folder is */
    if (disk_start(b.disk, &b.loop, &e) != 0 || strcmp(b.disk->running->name, "worker") != 0) return 3;
    if (transfer(&b, DISK_WRITE, 0, buf, sizeof(buf)) != 0) return 4;
    disk_close(b.disk);
    loop_fini(&b.loop);
    remove_image(&b.image);
    return 0;
}

static void without_io_uring_the_worker_serves(void **state)
{
    const int errors[] = {ENOSYS, EPERM};
    (void)state;
    for (size_t i = 0; i < 2; i++) {
        int status;
        const pid_t pid = fork();
        assert_true(pid >= 0);
        if (pid == 0) _exit(child_without_io_uring(errors[i]));
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_int_equal(status, 0);
    }
}

static void a_file_in_memory_is_served_at_once(void **state)
{
    struct bench b = {0};
    struct err e;
    char path[64];
    (void)state;
    const int fd = memfd_create("test", MFD_CLOEXEC);
    assert_int_equal(ftruncate(fd, IMAGE_BYTES), 0);
    (void)snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    const struct disk_params p = {.path = path};
    assert_int_equal(disk_open(&b.disk, &p, &e), 0);
    start(&b);
    assert_string_equal(b.disk->running->name, "direct");
    disk_close(b.disk);
    loop_fini(&b.loop);
    close(fd);
}

/* Small writes. An engine that only remembers what it was handed. */

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
    .start = scripted_start,
    .stop = scripted_nothing,
    .submit = hold,
    .kick = scripted_nothing,
    .wait = let_go,
};
static int setup_holding(void **state)
{
    struct bench *const b = new_bench(DISK_ENGINE_AUTO);
    b->disk->engine = &holding;
    start(b);
    *state = b;
    return 0;
}

static bool is_at_once(struct bench *b, uint32_t bytes)
{
    static uint8_t buf[32 * 1024];
    struct request r = {.io = {.op = DISK_WRITE, .bytes = bytes, .iov_count = 1}, .iov = {{buf, bytes}}};
    begin(b, &r);
    if (r.done) return true;
    assert_int_equal(handed.count, 1); /* with 0 bytes transferred it ends as an error */
    let_go(b->disk);
    assert_int_equal(r.rc, -EIO);
    return false;
}

static void small_writes_are_done_at_once_and_large_ones_handed_over(void **state)
{
    struct bench *const b = *state;
    assert_true(is_at_once(b, 512));
    assert_true(is_at_once(b, 16 * 1024));
    assert_false(is_at_once(b, 16 * 1024 + 512));
}

static void writes_are_handed_over_while_a_flush_is_on_its_way(void **state)
{
    struct bench *const b = *state;
    struct request flush = {.io = {.op = DISK_FLUSH}}, write = {.io = {.op = DISK_WRITE, .bytes = 512}};
    begin(b, &flush);
    begin(b, &write);
    assert_int_equal(handed.count, 2);
    let_go(b->disk);
    assert_int_equal(flush.done + write.done, 2);
    assert_true(is_at_once(b, 512));
}

static void after_a_write_that_waited_the_next_ones_are_handed_over(void **state)
{
    struct bench *const b = *state;
    b->disk->slow_writes = 2; /* as after a write of more than a millisecond */
    assert_false(is_at_once(b, 512));
    assert_false(is_at_once(b, 512));
    assert_true(is_at_once(b, 512));
}

#define WITH(name, how) cmocka_unit_test_setup_teardown(name, setup_##how, teardown)
#define WITH_EACH(name) WITH(name, uring), WITH(name, worker), WITH(name, ram)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(open_refuses_what_is_not_there),
        cmocka_unit_test(open_refuses_a_directory),
        cmocka_unit_test(open_refuses_odd_and_empty_sizes_and_changes_nothing),
        cmocka_unit_test(open_refuses_a_fifo_without_waiting_for_its_other_end),
        cmocka_unit_test(two_writers_never_meet_on_one_image),
        cmocka_unit_test(readers_share_an_image_and_keep_writers_out),
        cmocka_unit_test(size_is_counted_in_sectors),
        WITH_EACH(what_was_written_is_read_back),
        WITH_EACH(transfers_may_be_scattered),
        WITH_EACH(many_requests_may_be_in_flight),
        WITH_EACH(discard_gives_blocks_back),
        WITH_EACH(zeroing_gives_zeros_and_spares_the_neighbours),
        WITH(reading_and_unmapping_keep_a_sparse_file_sparse, uring),
        WITH(reading_and_unmapping_keep_a_sparse_file_sparse, worker),
        WITH_EACH(a_file_that_shrinks_gives_an_error_and_no_more),
        WITH_EACH(stop_waits_for_what_is_in_flight),
        WITH_EACH(a_stopped_disk_can_be_started_again),
        WITH_EACH(completions_from_the_loop_end_with_a_batch),
        WITH(short_transfers_go_on_where_they_stopped, scripted),
        WITH(interrupted_steps_are_taken_again, scripted),
        WITH(host_errors_reach_the_request_at_any_step, scripted),
        WITH(zeroing_falls_back_to_what_the_file_supports, scripted),
        WITH(zeroing_without_unmap_punches_no_holes, scripted),
        WITH(a_discard_the_file_does_not_know_is_no_error, scripted),
        cmocka_unit_test(without_io_uring_the_worker_serves),
        cmocka_unit_test(a_file_in_memory_is_served_at_once),
        WITH(small_writes_are_done_at_once_and_large_ones_handed_over, holding),
        WITH(writes_are_handed_over_while_a_flush_is_on_its_way, holding),
        WITH(after_a_write_that_waited_the_next_ones_are_handed_over, holding),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
