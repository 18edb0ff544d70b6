/* The transport as a driver sees it, on a made-up device: registers, which status may follow which, what may be written
 * when, doorbells, interrupts, faults and resets. */
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <cmocka.h>

#include "devices/virtio_mmio.h"
#include "tests/unit/ring.h"

enum {
    MAGIC = 0x000,
    VERSION = 0x004,
    DEVICE_ID = 0x008,
    VENDOR_ID = 0x00c,
    DEVICE_FEATURES = 0x010,
    DEVICE_FEATURES_SEL = 0x014,
    DRIVER_FEATURES = 0x020,
    DRIVER_FEATURES_SEL = 0x024,
    QUEUE_SEL = 0x030,
    QUEUE_NUM_MAX = 0x034,
    QUEUE_NUM = 0x038,
    QUEUE_READY = 0x044,
    QUEUE_NOTIFY = 0x050,
    INTERRUPT_STATUS = 0x060,
    INTERRUPT_ACK = 0x064,
    STATUS = 0x070,
    QUEUE_DESC = 0x080,
    QUEUE_DRIVER = 0x090,
    QUEUE_DEVICE = 0x0a0,
    SHM_SEL = 0x0ac,
    SHM_LEN = 0x0b0,
    SHM_BASE = 0x0b8,
    QUEUE_RESET = 0x0c0,
    CONFIG_GENERATION = 0x0fc,
    CONFIG = 0x100,
};
enum { ACK = 1, DRIVER = 2, DRIVER_OK = 4, FEATURES_OK = 8, NEEDS_RESET = 0x40, FAILED = 0x80 };

#define TOY_ID      77
#define TOY_FEATURE (1ull << 3)
#define TOY_QUEUES  2
#define TOY_SIZE    16
#define TOY_CONFIG  6 /* odd on purpose: accesses may reach beyond its end */

/* A device that echoes: it answers each chain with its own number of readable bytes. */
struct toy {
    struct virtio_dev dev;
    unsigned activated, deactivated, destroyed;
    atomic_uint notified[TOY_QUEUES];
    int activate_rc;
    unsigned asks_again; /* renotifications left to ask for */
    uint8_t config[TOY_CONFIG];
};

static uint64_t toy_features(const struct virtio_dev *d)
{
    (void)d;
    return TOY_FEATURE;
}
static void toy_config_read(const struct virtio_dev *d, uint32_t off, void *buf, uint32_t len)
{
    assert_true(off + len <= TOY_CONFIG);
    memcpy(buf, ((const struct toy *)d)->config + off, len);
}
static void toy_config_write(struct virtio_dev *d, uint32_t off, const void *buf, uint32_t len)
{
    assert_true(off + len <= TOY_CONFIG);
    memcpy(((struct toy *)d)->config + off, buf, len);
}
static int toy_activate(struct virtio_dev *d)
{
    struct toy *const t = (struct toy *)d;
    if (t->activate_rc == 0) t->activated++;
    return t->activate_rc;
}
static void toy_deactivate(struct virtio_dev *d)
{
    ((struct toy *)d)->deactivated++;
}
static void toy_notify(struct virtio_dev *d, unsigned queue)
{
    struct toy *const t = (struct toy *)d;
    struct virtq_chain c;
    int rc;
    atomic_fetch_add(&t->notified[queue], 1);
    while ((rc = virtq_pop(&d->vq[queue], &c)) == 1) virtq_push(&d->vq[queue], c.head, (uint32_t)c.out_bytes);
    if (rc < 0) {
        virtio_fault(d, d->vq[queue].why);
        return;
    }
    virtio_used(d, queue);
    if (t->asks_again > 0) {
        t->asks_again--;
        d->up->renotify(d->up_arg, queue);
    }
}
static void toy_destroy(struct virtio_dev *d)
{
    ((struct toy *)d)->destroyed++;
}
static const struct virtio_ops toy_ops = {
    .name = "toy",
    .id = TOY_ID,
    .queue_count = TOY_QUEUES,
    .queue_size = {TOY_SIZE, TOY_SIZE / 2},
    .features = toy_features,
    .config_size = TOY_CONFIG,
    .config_read = toy_config_read,
    .config_write = toy_config_write,
    .activate = toy_activate,
    .deactivate = toy_deactivate,
    .notify = toy_notify,
    .destroy = toy_destroy,
};

struct bench {
    struct toy toy;
    struct ring_mem mem;
    struct ring ring[TOY_QUEUES];
    struct loop loop;
    struct irq irq;
    struct log log;
    struct virtio_mmio *t;
    unsigned log_lines;
    char last_line[256];
    int bell_fd[TOY_QUEUES]; /* as the host was told; -1: off */
    bool refuses_doorbells;
    unsigned host_failures;
};

static void on_log(void *arg, enum log_level level, const char *line)
{
    struct bench *const b = arg;
    (void)level;
    b->log_lines++;
    (void)snprintf(b->last_line, sizeof(b->last_line), "%s", line);
}
static int on_doorbell(void *arg, unsigned queue, int fd, bool on)
{
    struct bench *const b = arg;
    assert_true(queue < TOY_QUEUES);
    assert_true((b->bell_fd[queue] >= 0) != on);
    if (b->refuses_doorbells && on) return -ENOSPC;
    b->bell_fd[queue] = on ? fd : -1;
    return 0;
}
static void on_host_failed(void *arg, const char *device, const char *why)
{
    struct bench *const b = arg;
    assert_string_equal(device, "toy 0");
    assert_string_not_equal(why, "");
    b->host_failures++;
}

static int setup(void **state)
{
    struct bench *const b = test_calloc(1, sizeof(*b));
    struct err e;
    b->toy.dev.ops = &toy_ops;
    memcpy(b->toy.config, "abcdef", TOY_CONFIG);
    b->bell_fd[0] = b->bell_fd[1] = -1;
    b->log = (struct log){on_log, b, LOG_DEBUG};
    ring_mem_init(&b->mem);
    assert_int_equal(loop_init(&b->loop, &e), 0);
    assert_int_equal(irq_init(&b->irq, &e), 0);
    const struct virtio_mmio_params p = {.dev = &b->toy.dev,
                                         .mem = &b->mem.gmem,
                                         .loop = &b->loop,
                                         .irq = b->irq,
                                         .host = {on_doorbell, on_host_failed, b},
                                         .log = &b->log,
                                         .label = "toy 0"};
    assert_int_equal(virtio_mmio_create(&b->t, &p, &e), 0);
    *state = b;
    return 0;
}
static int teardown(void **state)
{
    struct bench *const b = *state;
    virtio_mmio_destroy(b->t);
    assert_int_equal(b->toy.destroyed, 1);
    assert_int_equal(b->toy.activated, b->toy.deactivated);
    loop_fini(&b->loop);
    irq_fini(&b->irq);
    ring_mem_fini(&b->mem);
    test_free(b);
    return 0;
}

static uint32_t rd(struct bench *b, uint64_t reg)
{
    return (uint32_t)virtio_mmio_bus_ops.read(b->t, reg, 4);
}
static void wr(struct bench *b, uint64_t reg, uint32_t value)
{
    virtio_mmio_bus_ops.write(b->t, reg, 4, value);
}
static unsigned long faults(struct bench *b)
{
    return atomic_load(&b->toy.dev.fault_count);
}
static unsigned interrupts(struct bench *b)
{
    uint64_t n = 0;
    return read(b->irq.fd, &n, sizeof(n)) < 0 ? 0 : (unsigned)n;
}

static void accept_features(struct bench *b, uint64_t features)
{
    wr(b, DRIVER_FEATURES_SEL, 0);
    wr(b, DRIVER_FEATURES, (uint32_t)features);
    wr(b, DRIVER_FEATURES_SEL, 1);
    wr(b, DRIVER_FEATURES, (uint32_t)(features >> 32));
}
static void negotiate(struct bench *b, uint64_t features)
{
    wr(b, STATUS, ACK);
    wr(b, STATUS, ACK | DRIVER);
    accept_features(b, features);
    wr(b, STATUS, ACK | DRIVER | FEATURES_OK);
}
static void put_address(struct bench *b, uint64_t reg, uint64_t gpa)
{
    wr(b, reg, (uint32_t)gpa);
    wr(b, reg + 4, (uint32_t)(gpa >> 32));
}
static void set_queue(struct bench *b, unsigned i, const struct virtq_config *c)
{
    wr(b, QUEUE_SEL, i);
    wr(b, QUEUE_NUM, c->size);
    put_address(b, QUEUE_DESC, c->desc);
    put_address(b, QUEUE_DRIVER, c->avail);
    put_address(b, QUEUE_DEVICE, c->used);
    wr(b, QUEUE_READY, 1);
}
/* All the way to DRIVER_OK, as 3.1.1 has it. */
static void boot_with(struct bench *b, const struct ring *ring)
{
    negotiate(b, VIRTIO_F_VERSION_1 | TOY_FEATURE);
    for (unsigned i = 0; i < TOY_QUEUES; i++) {
        const struct virtq_config c = ring_config(&ring[i]);
        set_queue(b, i, &c);
    }
    wr(b, STATUS, ACK | DRIVER | FEATURES_OK | DRIVER_OK);
}
static void boot(struct bench *b)
{
    for (unsigned i = 0; i < TOY_QUEUES; i++) ring_init(&b->ring[i], &b->mem, toy_ops.queue_size[i]);
    boot_with(b, b->ring);
}

static void stop(void *arg)
{
    loop_stop(arg);
}
/* Let the loop deliver what is there: two turns, since a job may overtake an event of its own batch. */
static void turn(struct bench *b)
{
    for (unsigned i = 0; i < 2; i++) {
        struct loop_job job = {.fn = stop, .arg = &b->loop};
        loop_post(&b->loop, &job);
        loop_run(&b->loop);
    }
}
static void offer(struct bench *b, unsigned queue)
{
    const struct ring_seg seg = {ring_alloc(&b->mem, 16, 1), 16, false};
    (void)ring_add(&b->ring[queue], &seg, 1);
}

static void identity_registers_say_virtio_mmio_2(void **state)
{
    struct bench *const b = *state;
    assert_int_equal(rd(b, MAGIC), 0x74726976);
    assert_int_equal(rd(b, VERSION), 2);
    assert_int_equal(rd(b, DEVICE_ID), TOY_ID);
    assert_int_not_equal(rd(b, VENDOR_ID), 0);
    assert_int_equal(rd(b, STATUS), 0);
    assert_ptr_equal(virtio_mmio_dev(b->t), &b->toy.dev);
}

static void features_are_read_through_two_windows(void **state)
{
    struct bench *const b = *state;
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
    struct bench *const b = *state;
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
    struct bench *const b = *state;
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
    struct bench *const b = *state;
    const struct bus_ops *const bus = &virtio_mmio_bus_ops;
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
    struct bench *const b = *state;
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
    struct bench *const b = *state;
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
    struct bench *const b = *state;
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
    struct bench *const b = *state;
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
    struct bench *const b = *state;
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
    struct bench *const b = *state;
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
    struct bench *const b = *state;
    wr(b, QUEUE_SEL, 1);
    wr(b, QUEUE_READY, 0);
    assert_int_equal(faults(b), 0);
}

static void writes_to_queues_and_registers_that_do_not_exist_are_faults(void **state)
{
    struct bench *const b = *state;
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
    struct bench *const b = *state;
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
    struct bench *const b = *state;
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
    struct bench *const b = *state;
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

/* Doorbells and interrupts */

static void every_live_queue_is_notified_once_after_driver_ok(void **state)
{
    struct bench *const b = *state;
    boot(b);
    turn(b);
    assert_int_equal(b->toy.notified[0], 1);
    assert_int_equal(b->toy.notified[1], 1);
}

static void a_doorbell_reaches_the_device_by_exit_and_by_eventfd(void **state)
{
    struct bench *const b = *state;
    const uint64_t one = 1;
    boot(b);
    turn(b);
    wr(b, QUEUE_NOTIFY, 1);
    turn(b);
    assert_int_equal(b->toy.notified[1], 2);
    assert_int_equal(write(b->bell_fd[0], &one, sizeof(one)), sizeof(one)); /* as an ioeventfd does */
    turn(b);
    assert_int_equal(b->toy.notified[0], 2);
}

static void doorbells_that_meet_are_one(void **state)
{
    struct bench *const b = *state;
    boot(b);
    turn(b);
    for (unsigned i = 0; i < 100; i++) wr(b, QUEUE_NOTIFY, 0);
    turn(b);
    assert_int_equal(b->toy.notified[0], 2);
}

static void a_host_without_ioeventfds_is_served_by_exits(void **state)
{
    struct bench *const b = *state;
    b->refuses_doorbells = true;
    boot(b);
    turn(b);
    offer(b, 0);
    wr(b, QUEUE_NOTIFY, 0);
    turn(b);
    assert_int_equal(ring_used_count(&b->ring[0]), 1);
    assert_int_equal(b->host_failures, 0);
    assert_int_equal(b->bell_fd[0], -1); /* and what was refused is not taken back: on_doorbell looks */
}

static void a_renotification_comes_back_through_the_loop(void **state)
{
    struct bench *const b = *state;
    boot(b);
    turn(b);
    b->toy.asks_again = 3;
    wr(b, QUEUE_NOTIFY, 0);
    for (unsigned i = 0; i < 4; i++) turn(b);
    assert_int_equal(b->toy.notified[0], 5);
    assert_int_equal(b->toy.notified[1], 1);
}

static void used_buffers_raise_the_interrupt_until_acknowledged(void **state)
{
    struct bench *const b = *state;
    boot(b);
    turn(b);
    assert_int_equal(rd(b, INTERRUPT_STATUS), 0);
    offer(b, 0);
    wr(b, QUEUE_NOTIFY, 0);
    turn(b);
    assert_int_equal(interrupts(b), 1);
    assert_int_equal(rd(b, INTERRUPT_STATUS), 1);
    wr(b, INTERRUPT_ACK, 2);
    assert_int_equal(rd(b, INTERRUPT_STATUS), 1);
    wr(b, INTERRUPT_ACK, 1);
    assert_int_equal(rd(b, INTERRUPT_STATUS), 0);
}

static void a_configuration_change_moves_the_generation(void **state)
{
    struct bench *const b = *state;
    boot(b);
    const uint32_t before = rd(b, CONFIG_GENERATION);
    b->toy.dev.up->config_changed(b->toy.dev.up_arg);
    assert_int_not_equal(rd(b, CONFIG_GENERATION), before);
    assert_int_equal(rd(b, INTERRUPT_STATUS), 2);
    assert_int_equal(interrupts(b), 1);
}

static void a_host_failure_is_passed_up_with_the_devices_label(void **state)
{
    struct bench *const b = *state;
    boot(b);
    b->toy.dev.up->host_failed(b->toy.dev.up_arg, "the tap is gone");
    assert_int_equal(b->host_failures, 1);
    assert_string_equal(b->last_line, "toy 0: the tap is gone");
}

static void a_host_error_is_logged_a_bounded_number_of_times(void **state)
{
    struct bench *const b = *state;
    for (unsigned i = 0; i < 1000; i++) b->toy.dev.up->host_error(b->toy.dev.up_arg, "write: No space left on device");
    assert_int_equal(b->log_lines, 8);
    assert_non_null(strstr(b->last_line, "toy 0: write: No space left on device; the guest got an I/O error"));
    assert_int_equal(b->host_failures + faults(b), 0);
}

/* Faults and resets */

static void a_broken_ring_needs_a_reset_and_then_works_again(void **state)
{
    struct bench *const b = *state;
    boot(b);
    turn(b);
    ring_offer(&b->ring[0], TOY_SIZE);
    wr(b, QUEUE_NOTIFY, 0);
    turn(b);
    assert_true((rd(b, STATUS) & NEEDS_RESET) != 0);
    assert_int_equal(rd(b, INTERRUPT_STATUS), 2);
    assert_int_equal(interrupts(b), 1);
    assert_non_null(strstr(b->last_line, "toy 0: the guest broke the protocol"));
    assert_non_null(strstr(b->last_line, "head is beyond the descriptor table"));
    wr(b, QUEUE_NOTIFY, 0); /* no doorbell is heard any more, on any queue */
    wr(b, QUEUE_NOTIFY, 1);
    turn(b);
    assert_int_equal(b->toy.notified[0], 2);
    assert_int_equal(b->toy.notified[1], 1);
    assert_int_equal(faults(b), 1);

    wr(b, STATUS, 0);
    assert_int_equal(rd(b, STATUS), 0);
    assert_int_equal(rd(b, INTERRUPT_STATUS), 0);
    boot(b);
    offer(b, 0);
    turn(b);
    assert_int_equal(ring_used_count(&b->ring[0]), 1);
}

static void a_device_that_can_not_start_needs_a_reset(void **state)
{
    struct bench *const b = *state;
    b->toy.activate_rc = -EIO;
    boot(b);
    assert_true((rd(b, STATUS) & NEEDS_RESET) != 0);
    turn(b);
    assert_int_equal(b->toy.notified[0], 0);
    assert_int_equal(b->bell_fd[0], -1);
    b->toy.activate_rc = 0;
    wr(b, STATUS, 0);
    boot(b);
    assert_int_equal(b->toy.activated, 1);
}

static void reset_forgets_everything(void **state)
{
    struct bench *const b = *state;
    boot(b);
    turn(b);
    wr(b, QUEUE_SEL, 0);
    wr(b, STATUS, 0);
    assert_int_equal(b->toy.deactivated, 1);
    assert_int_equal(b->bell_fd[0], -1);
    assert_int_equal(b->bell_fd[1], -1);
    assert_int_equal(rd(b, STATUS), 0);
    assert_int_equal(rd(b, QUEUE_READY), 0);
    assert_int_equal(b->toy.dev.vq[0].size, 0);
    wr(b, QUEUE_NOTIFY, 0);
    turn(b);
    assert_int_equal(b->toy.notified[0], 1);
    wr(b, STATUS, ACK | DRIVER); /* the features are gone too */
    wr(b, STATUS, ACK | DRIVER | FEATURES_OK);
    assert_int_equal(rd(b, STATUS), ACK | DRIVER);
    wr(b, STATUS, 0);
    assert_int_equal(b->toy.deactivated, 1);
}

static void the_log_of_faults_is_bounded(void **state)
{
    struct bench *const b = *state;
    for (unsigned i = 0; i < 1000; i++) wr(b, MAGIC, i);
    assert_int_equal(faults(b), 1000);
    assert_int_equal(b->log_lines, 8);
    assert_non_null(strstr(b->last_line, "further ones are not logged"));
}

/* Threads */

#define THREAD_TURNS 300

struct vcpu {
    struct bench *b;
    unsigned seed;
};

/* Registers of all kinds, as vCPUs that don't know of each other. */
static void *vcpu(void *arg)
{
    struct vcpu *const v = arg;
    struct bench *const b = v->b;
    unsigned x = v->seed;
    for (unsigned i = 0; i < THREAD_TURNS; i++) {
        x = x * 1103515245u + 12345u;
        switch (x >> 16 & 7) {
        case 0: wr(b, STATUS, 0); break;
        case 1: boot_with(b, b->ring); break;
        case 2: wr(b, QUEUE_NOTIFY, x >> 20 & 1); break;
        case 3: (void)rd(b, INTERRUPT_STATUS); break;
        case 4: wr(b, INTERRUPT_ACK, 3); break;
        case 5: (void)rd(b, CONFIG); break;
        case 6: virtio_mmio_bus_ops.write(b->t, CONFIG, 1, x >> 24); break;
        default: (void)rd(b, STATUS); break;
        }
    }
    return NULL;
}

static void *run_loop(void *arg)
{
    loop_run(arg);
    return NULL;
}

static void registers_may_be_used_by_several_vcpus_at_once(void **state)
{
    struct bench *const b = *state;
    struct vcpu v[2] = {{b, 1}, {b, 2}};
    pthread_t loop, thread[2];
    b->log.level = LOG_ERROR; /* the bench's counters are not atomic */
    for (unsigned i = 0; i < TOY_QUEUES; i++) ring_init(&b->ring[i], &b->mem, toy_ops.queue_size[i]);
    assert_int_equal(pthread_create(&loop, NULL, run_loop, &b->loop), 0);
    for (unsigned i = 0; i < 2; i++) assert_int_equal(pthread_create(&thread[i], NULL, vcpu, &v[i]), 0);
    for (unsigned i = 0; i < 2; i++) pthread_join(thread[i], NULL);
    wr(b, STATUS, 0);
    loop_stop(&b->loop);
    pthread_join(loop, NULL);
    assert_int_equal(b->toy.activated, b->toy.deactivated);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
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
        TEST(every_live_queue_is_notified_once_after_driver_ok),
        TEST(a_doorbell_reaches_the_device_by_exit_and_by_eventfd),
        TEST(doorbells_that_meet_are_one),
        TEST(a_host_without_ioeventfds_is_served_by_exits),
        TEST(a_renotification_comes_back_through_the_loop),
        TEST(used_buffers_raise_the_interrupt_until_acknowledged),
        TEST(a_configuration_change_moves_the_generation),
        TEST(a_host_failure_is_passed_up_with_the_devices_label),
        TEST(a_host_error_is_logged_a_bounded_number_of_times),
        TEST(a_broken_ring_needs_a_reset_and_then_works_again),
        TEST(a_device_that_can_not_start_needs_a_reset),
        TEST(reset_forgets_everything),
        TEST(the_log_of_faults_is_bounded),
        TEST(registers_may_be_used_by_several_vcpus_at_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
