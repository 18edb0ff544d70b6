/* The whole way of a disk request, each part on the thread it has in a machine: a driver that writes registers and
 * waits for its interrupt, the event loop with transport and device, the kernel or a worker behind the disk.
 * What it looks for is a lost notification (the driver waits for ever) and, under a sanitizer, a race. */
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "devices/devices.h"
#include "devices/virtio/virtio_mmio.h"
#include "tests/unit/trap.h"
#include "tests/unit/virtio/ring.h"
#include "vmm/base/endian.h"

#define SECTORS     65536u
#define QUEUE_SIZE  128u
#define BLOCK       (20u << 10) /* too large to be written at once by the disk */
#define DEPTH       8u          /* requests in flight */
#define ROUNDS      200u
#define ROUNDS_S    10 /* fewer rounds where threads seldom run at once */
#define INTERRUPT_S 30 /* one that takes longer was lost */

enum { T_IN = 0, T_OUT = 1, T_FLUSH = 4, T_WRITE_ZEROES = 13 };
enum { FEATURES_SEL = 0x14, DRIVER_FEATURES = 0x20, DRIVER_SEL = 0x24, QUEUE_SEL = 0x30, QUEUE_NUM = 0x38 };
enum { QUEUE_READY = 0x44, NOTIFY = 0x50, INT_STATUS = 0x60, INT_ACK = 0x64, STATUS = 0x70, QUEUE_DESC = 0x80 };

#define F_WRITE_ZEROES (1ull << 14)
enum { CONFIG = 0x100, MAX_ZEROES_SECTORS = CONFIG + 48, MAX_ZEROES_RANGES = CONFIG + 52 }; /* 5.2.4 */

struct threads_rig {
    char path[64];
    struct ring_mem mem;
    struct ring ring;
    struct loop loop;
    struct irq irq;
    struct virtio_mmio *t;
    pthread_t thread;
    uint64_t features;
    uint64_t header, status, data; /* DEPTH of each */
    uint16_t rung;                 /* avail.idx at the last look at the doorbell */
};

static void *run_loop(void *arg)
{
    loop_run(arg);
    return NULL;
}

/* The whole chain on a disk; the loop's thread runs. */
static void build(struct threads_rig *b, struct disk *disk, uint64_t features)
{
    struct virtio_dev *dev;
    b->features = features | VIRTIO_F_VERSION_1 | 1ull << 9; /* FLUSH */
    ring_mem_init(&b->mem);
    b->header = ring_alloc(&b->mem, 16 * DEPTH, 16);
    b->status = ring_alloc(&b->mem, DEPTH, 1);
    b->data = ring_alloc(&b->mem, BLOCK * DEPTH, 4096);
    assert_int_equal(loop_init(&b->loop, NULL), 0);
    assert_int_equal(irq_init(&b->irq, NULL), 0);
    assert_int_equal(virtio_blk_create(&dev, disk, NULL, NULL), 0);
    const struct virtio_mmio_params p = {
        .dev = dev, .mem = &b->mem.gmem, .loop = &b->loop, .irq = b->irq, .label = "disk 0"};
    assert_int_equal(virtio_mmio_create(&b->t, &p, NULL), 0);
    assert_int_equal(pthread_create(&b->thread, NULL, run_loop, &b->loop), 0);
}

static int setup(void **state, enum disk_engine_kind engine, uint64_t features)
{
    struct threads_rig *b = test_calloc(1, sizeof(*b));
    struct disk *disk;
    (void)snprintf(b->path, sizeof(b->path), "/tmp/vireo-blk-XXXXXX");
    const int fd = mkstemp(b->path);
    assert_true(fd >= 0);
    assert_int_equal(ftruncate(fd, SECTORS * 512), 0);
    close(fd);
    assert_int_equal(disk_open(&disk, &(struct disk_params){.path = b->path, .engine = engine}, NULL), 0);
    build(b, disk, features);
    *state = b;
    return 0;
}
static int setup_uring(void **state)
{
    return setup(state, DISK_ENGINE_URING, 0);
}
static int setup_uring_event_idx(void **state)
{
    return setup(state, DISK_ENGINE_URING, VIRTIO_F_EVENT_IDX);
}
static int setup_worker(void **state)
{
    return setup(state, DISK_ENGINE_WORKER, 0);
}
static int setup_worker_event_idx(void **state)
{
    return setup(state, DISK_ENGINE_WORKER, VIRTIO_F_EVENT_IDX);
}
/* A disk in memory, whose requests are done on the loop's thread. */
static int setup_ram(void **state)
{
    struct threads_rig *b = test_calloc(1, sizeof(*b));
    struct disk *disk;
    assert_int_equal(disk_open_ram(&disk, SECTORS * 512, NULL), 0);
    build(b, disk, F_WRITE_ZEROES | VIRTIO_F_INDIRECT_DESC);
    *state = b;
    return 0;
}
static int teardown(void **state)
{
    struct threads_rig *b = *state;
    loop_stop(&b->loop);
    pthread_join(b->thread, NULL);
    virtio_mmio_destroy(b->t);
    loop_fini(&b->loop);
    irq_fini(&b->irq);
    ring_mem_fini(&b->mem);
    if (b->path[0] != '\0') unlink(b->path);
    test_free(b);
    return 0;
}

static void wr(struct threads_rig *b, uint64_t reg, uint64_t value)
{
    virtio_mmio_bus_ops.write(b->t, reg, 4, (uint32_t)value);
}

static void boot(struct threads_rig *b)
{
    static const uint32_t steps[] = {0, 1, 3};
    for (unsigned i = 0; i < 3; i++) wr(b, STATUS, steps[i]);
    for (unsigned i = 0; i < 2; i++) {
        wr(b, DRIVER_SEL, i);
        wr(b, DRIVER_FEATURES, b->features >> (32 * i));
    }
    wr(b, STATUS, 11);
    if (b->ring.mem) b->mem.next = b->ring.desc; /* the same place again */
    ring_init(&b->ring, &b->mem, QUEUE_SIZE);
    memset(ring_host(&b->mem, b->ring.desc), 0, b->mem.next - b->ring.desc);
    const uint64_t area[3] = {b->ring.desc, b->ring.avail, b->ring.used};
    wr(b, QUEUE_SEL, 0);
    wr(b, QUEUE_NUM, QUEUE_SIZE);
    for (unsigned i = 0; i < 3; i++) {
        wr(b, QUEUE_DESC + 0x10 * i, area[i]);
        wr(b, QUEUE_DESC + 0x10 * i + 4, area[i] >> 32);
    }
    wr(b, QUEUE_READY, 1);
    wr(b, STATUS, 15);
    b->rung = 0;
}

/* Ring, if the device asks for it: 2.7.10.1. */
static void ring_doorbell(struct threads_rig *b)
{
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    const uint16_t now = b->ring.avail_idx, event = ring_avail_event(&b->ring);
    const bool asks = (b->features & VIRTIO_F_EVENT_IDX) != 0 ? (uint16_t)(now - event - 1) < (uint16_t)(now - b->rung)
                                                              : (ring_used_flags(&b->ring) & 1) == 0;
    b->rung = now;
    if (asks) wr(b, NOTIFY, 0);
}

/* Take `count` used elements, sleeping until the interrupt where there are none. */
static void take_used(struct threads_rig *b, unsigned count)
{
    struct ring_used used;
    while (count > 0) {
        ring_set_used_event(&b->ring, b->ring.last_used);
        __atomic_thread_fence(__ATOMIC_SEQ_CST);
        if (ring_take_used(&b->ring, &used)) {
            count--;
            continue;
        }
        struct pollfd p = {.fd = b->irq.fd, .events = POLLIN};
        uint64_t n;
        if (poll(&p, 1, INTERRUPT_S * 1000) != 1) fail_msg("no interrupt, %u requests to go", count);
        assert_int_equal(read(b->irq.fd, &n, sizeof(n)), sizeof(n));
        wr(b, INT_ACK, (uint32_t)virtio_mmio_bus_ops.read(b->t, INT_STATUS, 4));
    }
}

static void offer(struct threads_rig *b, unsigned slot, uint32_t type, uint64_t sector)
{
    const struct ring_seg seg[] = {
        {b->header + 16 * slot, 16, false}, {b->data + BLOCK * slot, BLOCK, type == T_IN}, {b->status + slot, 1, true}};
    uint8_t *h = ring_host(&b->mem, seg[0].gpa);
    le32_write(h, type);
    le64_write(h + 8, sector);
    *(uint8_t *)ring_host(&b->mem, seg[2].gpa) = 0xff;
    if (type == T_FLUSH) {
        (void)ring_add(&b->ring, (struct ring_seg[]){seg[0], seg[2]}, 2);
    } else {
        (void)ring_add(&b->ring, seg, 3);
    }
    ring_doorbell(b);
}

static uint8_t *block(struct threads_rig *b, unsigned slot)
{
    return ring_host(&b->mem, b->data + BLOCK * slot);
}

static void assert_all_ok(struct threads_rig *b)
{
    for (unsigned i = 0; i < DEPTH; i++) assert_int_equal(*(uint8_t *)ring_host(&b->mem, b->status + i), 0);
}

static uint64_t place(unsigned round, unsigned slot)
{
    return (uint64_t)(round * DEPTH + slot) * (BLOCK / 512) % (SECTORS - BLOCK / 512);
}

static void no_request_is_lost_or_mixed_up(void **state)
{
    struct threads_rig *b = *state;
    const time_t start = time(NULL);
    boot(b);
    for (unsigned round = 0; round < ROUNDS && time(NULL) - start < ROUNDS_S; round++) {
        for (unsigned i = 0; i < DEPTH; i++) {
            memset(block(b, i), (int)(round + 3 * i), BLOCK);
            offer(b, i, round % 16 == 15 && i == 0 ? T_FLUSH : T_OUT, place(round, i));
        }
        take_used(b, DEPTH);
        assert_all_ok(b);
        if (round % 16 == 15) continue; /* slot 0 was a flush */
        for (unsigned i = 0; i < DEPTH; i++) {
            memset(block(b, i), 0xee, BLOCK);
            offer(b, i, T_IN, place(round, i));
        }
        take_used(b, DEPTH);
        assert_all_ok(b);
        for (unsigned i = 0; i < DEPTH; i++) {
            assert_int_equal(block(b, i)[0], (uint8_t)(round + 3 * i));
            assert_int_equal(block(b, i)[BLOCK - 1], (uint8_t)(round + 3 * i));
        }
    }
}

static void a_reset_at_any_moment_is_the_end_of_all_requests(void **state)
{
    struct threads_rig *b = *state;
    for (unsigned round = 0; round < 50; round++) {
        boot(b);
        for (unsigned i = 0; i < DEPTH; i++) offer(b, i, i == 3 ? T_FLUSH : T_OUT, place(round, i));
        if (round % 2 == 0) take_used(b, round % DEPTH);
        wr(b, STATUS, 0);
        const uint16_t used = ring_used_idx(&b->ring);
        uint8_t status[DEPTH];
        memcpy(status, ring_host(&b->mem, b->status), DEPTH);
        /* From here on the memory is the driver's alone: a write of the device would be a race, and seen below. */
        memset(ring_host(&b->mem, b->data), (int)round, BLOCK * DEPTH);
        boot(b);
        offer(b, 0, T_FLUSH, 0);
        take_used(b, 1);
        assert_true(used <= DEPTH);
        assert_memory_equal((uint8_t *)ring_host(&b->mem, b->status) + 1, status + 1, DEPTH - 1);
    }
}

/* The most that a guest can ask for at once: a queue full of zeroing, each request as large as the device allows. It
 * takes many turns of the loop, so that others have theirs between, and a reset ends it. */

#define TURNS 20 /* in so many all of it would be long done, were a drain not bounded */

struct flood {
    struct threads_rig *b;
    struct loop_job job;
    unsigned turns;
    uint16_t used_after_turns, used_after_reset;
    pthread_mutex_t lock;
    pthread_cond_t over;
    bool is_over;
};

static void offer_flood(struct threads_rig *b)
{
    const uint32_t sectors = (uint32_t)virtio_mmio_bus_ops.read(b->t, MAX_ZEROES_SECTORS, 4);
    const uint32_t count = (uint32_t)virtio_mmio_bus_ops.read(b->t, MAX_ZEROES_RANGES, 4);
    uint8_t *ranges = ring_host(&b->mem, b->data);
    assert_true(count > 0 && count * 16 <= BLOCK);
    for (uint32_t i = 0; i < count; i++) {
        le64_write(ranges + 16 * i, 0);
        le32_write(ranges + 16 * i + 8, sectors < SECTORS ? sectors : SECTORS);
        le32_write(ranges + 16 * i + 12, 0); /* no holes: every byte is written */
    }
    const struct ring_seg seg[] = {{b->header, 16, false}, {b->data, count * 16, false}, {b->status, 1, true}};
    le32_write(ring_host(&b->mem, b->header), T_WRITE_ZEROES);
    for (unsigned i = 0; i < QUEUE_SIZE; i++) (void)ring_add_indirect(&b->ring, seg, 3);
}

/* On the loop's thread, once a turn: what has been done is seen there, and by nobody who might come late. */
static void watch_flood(void *arg)
{
    struct flood *f = arg;
    if (f->turns == 0) wr(f->b, NOTIFY, 0);
    if (f->turns++ < TURNS) {
        loop_post(&f->b->loop, &f->job);
        return;
    }
    f->used_after_turns = ring_used_idx(&f->b->ring);
    wr(f->b, STATUS, 0);
    f->used_after_reset = ring_used_idx(&f->b->ring);
    pthread_mutex_lock(&f->lock);
    f->is_over = true;
    pthread_cond_signal(&f->over);
    pthread_mutex_unlock(&f->lock);
}

static void a_queue_full_of_zeroing_leaves_turns_to_others_and_ends_with_a_reset(void **state)
{
    struct threads_rig *b = *state;
    struct flood f = {.b = b, .lock = PTHREAD_MUTEX_INITIALIZER, .over = PTHREAD_COND_INITIALIZER};
    f.job = (struct loop_job){.fn = watch_flood, .arg = &f};
    boot(b);
    offer_flood(b);
    loop_post(&b->loop, &f.job);
    pthread_mutex_lock(&f.lock);
    while (!f.is_over) pthread_cond_wait(&f.over, &f.lock);
    pthread_mutex_unlock(&f.lock);
    assert_in_range(f.used_after_turns, 0, QUEUE_SIZE / 2);
    assert_int_equal(f.used_after_reset, f.used_after_turns);
    assert_int_equal(*(uint8_t *)ring_host(&b->mem, b->status) & ~1u, 0); /* none was refused as unknown */
    boot(b);
    offer(b, 0, T_FLUSH, 0);
    take_used(b, 1);
    assert_int_equal(*(uint8_t *)ring_host(&b->mem, b->status), 0);
}

/* A driver resets its disk while the host's file does not answer. */

static void *reset_disk(void *arg)
{
    wr(arg, STATUS, 0);
    return NULL;
}
static void do_nothing(void *arg)
{
    (void)arg;
}

static void a_reset_waits_for_a_write_that_hangs_and_the_loop_does_not(void **state)
{
    struct threads_rig *b = *state;
    struct trap trap = {.fd = -1};
    pthread_t driver;
    boot(b);
    if (!trap_set(&trap, block(b, 0))) skip();
    offer(b, 0, T_OUT, 0);
    trap_await(&trap);
    assert_int_equal(pthread_create(&driver, NULL, reset_disk, b), 0);
    for (unsigned i = 0; i < 1000; i++) loop_call(&b->loop, do_nothing, NULL); /* before the reset, with it and after */
    assert_int_equal(ring_used_idx(&b->ring), 0);
    trap_let_go(&trap);
    pthread_join(driver, NULL);
    assert_int_equal(ring_used_idx(&b->ring), 0); /* it was reset: no answer */
    trap_remove(&trap);
    boot(b);
    offer(b, 0, T_OUT, 0);
    take_used(b, 1);
    assert_int_equal(*(uint8_t *)ring_host(&b->mem, b->status), 0);
}

#define WITH(name, how) cmocka_unit_test_setup_teardown(name, setup_##how, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH(no_request_is_lost_or_mixed_up, uring),
        WITH(no_request_is_lost_or_mixed_up, uring_event_idx),
        WITH(no_request_is_lost_or_mixed_up, worker),
        WITH(no_request_is_lost_or_mixed_up, worker_event_idx),
        WITH(a_queue_full_of_zeroing_leaves_turns_to_others_and_ends_with_a_reset, ram),
        WITH(a_reset_waits_for_a_write_that_hangs_and_the_loop_does_not, uring),
        WITH(a_reset_waits_for_a_write_that_hangs_and_the_loop_does_not, worker),
        WITH(a_reset_at_any_moment_is_the_end_of_all_requests, uring),
        WITH(a_reset_at_any_moment_is_the_end_of_all_requests, worker_event_idx),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
