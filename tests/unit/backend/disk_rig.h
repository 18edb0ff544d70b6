/* Images, and a disk that runs on a loop, for the tests of the disk. */
#ifndef VIREO_TESTS_DISK_RIG_H
#define VIREO_TESTS_DISK_RIG_H

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "devices/backend/disk_engine.h"

#define IMAGE_BYTES (8u << 20)
#define PAGE        4096u
#define LARGE       (32u << 10) /* a write that goes through the engine, not into the page cache at once */
#define MANY        200         /* requests: more than the rings have room for */
#define WAIT_MAX    100000      /* turns of the loop before a test gives up */

/* An image in a folder of its own. */
struct image {
    char dir[64], path[96];
};

static inline struct image make_image(off_t bytes)
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

static inline void remove_image(const struct image *im)
{
    (void)unlink(im->path);
    assert_int_equal(rmdir(im->dir), 0);
}

static inline uint64_t bytes_on_host(const struct image *im)
{
    struct stat st;
    assert_int_equal(stat(im->path, &st), 0);
    return (uint64_t)st.st_blocks * 512;
}

static inline struct disk *open_image(const struct image *im, bool is_readonly, enum disk_engine_kind engine)
{
    struct disk *d;
    struct err e;
    const struct disk_params p = {.path = im->path, .is_readonly = is_readonly, .engine = engine};
    if (disk_open(&d, &p, &e) != 0) fail_msg("%s", e.text);
    return d;
}

struct disk_rig {
    struct image image;
    bool has_image;
    struct disk *disk;
    struct loop loop;
    unsigned batches, quiets;
    bool is_quiet;
};

struct request {
    struct disk_request io; /* first */
    struct iovec iov[8];
    int rc;
    unsigned done;
};

static inline void count_done(struct disk_request *io, int rc)
{
    struct request *r = (struct request *)io;
    r->rc = rc;
    r->done++;
}
static inline void count_batch(void *arg)
{
    ((struct disk_rig *)arg)->batches++;
}

static inline void note_quiet(void *arg)
{
    struct disk_rig *b = arg;
    b->is_quiet = true;
    b->quiets++;
}

static inline void start(struct disk_rig *b)
{
    struct err e;
    assert_int_equal(loop_init(&b->loop, &e), 0);
    disk_on_batch(b->disk, count_batch, b);
    disk_on_quiet(b->disk, note_quiet, b);
    if (disk_start(b->disk, &b->loop, &e) != 0) fail_msg("%s", e.text);
}

static inline struct disk_rig *new_rig(enum disk_engine_kind engine)
{
    struct disk_rig *b = test_calloc(1, sizeof(*b));
    b->image = make_image(IMAGE_BYTES);
    b->has_image = true;
    b->disk = open_image(&b->image, false, engine);
    return b;
}
/* All of it, as on XFS, wherever /tmp is. */
static inline struct disk_rig *new_uring(void)
{
    struct disk_rig *b = new_rig(DISK_ENGINE_URING);
    disk_close_engine(b->disk);
    b->disk->writes_by_thread = false;
    assert_int_equal(disk_use_engine(b->disk, NULL), 0);
    return b;
}
static inline int setup_uring(void **state)
{
    struct disk_rig *b = new_uring();
    start(b);
    assert_string_equal(b->disk->engine->name, "io_uring");
    *state = b;
    return 0;
}
/* Writes by the thread, as on ext4. */
static inline int setup_mixed(void **state)
{
    struct disk_rig *b = new_rig(DISK_ENGINE_URING);
    disk_close_engine(b->disk);
    b->disk->writes_by_thread = true;
    assert_int_equal(disk_use_engine(b->disk, NULL), 0);
    start(b);
    *state = b;
    return 0;
}
static inline int setup_worker(void **state)
{
    struct disk_rig *b = new_rig(DISK_ENGINE_WORKER);
    start(b);
    assert_string_equal(b->disk->engine->name, "worker");
    *state = b;
    return 0;
}
/* A file in memory that others can open, as an image on tmpfs: by its descriptor, wherever /tmp is. */
static inline int setup_tmpfs(void **state)
{
    struct disk_rig *b = test_calloc(1, sizeof(*b));
    char path[64];
    const int fd = memfd_create("test", MFD_CLOEXEC);
    assert_int_equal(ftruncate(fd, IMAGE_BYTES), 0);
    (void)snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    assert_int_equal(disk_open(&b->disk, &(struct disk_params){.path = path}, NULL), 0);
    close(fd);
    start(b);
    assert_string_equal(b->disk->engine->name, "direct");
    *state = b;
    return 0;
}
static inline int setup_ram(void **state)
{
    struct disk_rig *b = test_calloc(1, sizeof(*b));
    assert_int_equal(disk_open_ram(&b->disk, IMAGE_BYTES, NULL), 0);
    start(b);
    assert_string_equal(b->disk->engine->name, "direct");
    *state = b;
    return 0;
}
/* The loop's next turn: at once if nothing has come. */
static inline void turn(struct disk_rig *b)
{
    struct epoll_event ev;
    (void)epoll_wait(b->loop.epoll_fd, &ev, 1, 100);
    loop_turn(&b->loop, 0);
}
static inline void stop(struct disk_rig *b)
{
    b->is_quiet = disk_stop(b->disk);
    for (unsigned i = 0; !b->is_quiet; i++) {
        assert_true(i < WAIT_MAX);
        turn(b);
    }
}
static inline int teardown(void **state)
{
    struct disk_rig *b = *state;
    stop(b);
    disk_close(b->disk);
    loop_fini(&b->loop);
    if (b->has_image) remove_image(&b->image);
    test_free(b);
    return 0;
}

/* Turn the loop until r is done. */
static inline void wait_done(struct disk_rig *b, const struct request *r)
{
    for (unsigned i = 0; r->done == 0; i++) {
        assert_true(i < WAIT_MAX);
        turn(b);
    }
    assert_int_equal(r->done, 1);
}

static inline void begin(struct disk_rig *b, struct request *r)
{
    r->io.done = count_done;
    r->io.iov = r->iov;
    r->done = 0;
    disk_submit(b->disk, &r->io);
}

static inline int run(struct disk_rig *b, struct request *r)
{
    begin(b, r);
    disk_kick(b->disk);
    wait_done(b, r);
    return r->rc;
}

static inline int transfer(struct disk_rig *b, enum disk_op op, uint64_t offset, void *buf, size_t len)
{
    struct request r = {.io = {.op = op, .offset = offset, .bytes = len, .iov_count = 1}, .iov = {{buf, len}}};
    return run(b, &r);
}
static inline int command(struct disk_rig *b, enum disk_op op, uint64_t offset, uint64_t bytes, bool may_unmap)
{
    struct request r = {.io = {.op = op, .offset = offset, .bytes = bytes, .may_unmap = may_unmap}};
    return run(b, &r);
}

static inline void fill(uint8_t *p, size_t len, unsigned seed)
{
    for (size_t i = 0; i < len; i++) p[i] = (uint8_t)(seed + i * 7 + i / 251);
}

#define WITH(name, how) cmocka_unit_test_setup_teardown(name, setup_##how, teardown)
#define WITH_EACH(name) WITH(name, uring), WITH(name, mixed), WITH(name, worker), WITH(name, ram)

#endif
