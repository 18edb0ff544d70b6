/* The transport with a made-up device behind it and a driver before it, for the tests of the transport. */
#ifndef VIREO_TESTS_MMIO_RIG_H
#define VIREO_TESTS_MMIO_RIG_H

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "devices/virtio/virtio_mmio.h"
#include "tests/unit/virtio/mmio_registers.h"
#include "tests/unit/virtio/ring.h"

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
    bool is_slow;        /* it has a request in flight that comes back only when the test says so */
    atomic_bool is_leaving;
    uint8_t config[TOY_CONFIG];
};

static inline uint64_t toy_features(const struct virtio_dev *d)
{
    (void)d;
    return TOY_FEATURE;
}
static inline void toy_config_read(const struct virtio_dev *d, uint32_t off, void *buf, uint32_t len)
{
    assert_true(off + len <= TOY_CONFIG);
    memcpy(buf, ((const struct toy *)d)->config + off, len);
}
static inline void toy_config_write(struct virtio_dev *d, uint32_t off, const void *buf, uint32_t len)
{
    assert_true(off + len <= TOY_CONFIG);
    memcpy(((struct toy *)d)->config + off, buf, len);
}
static inline int toy_activate(struct virtio_dev *d)
{
    struct toy *t = (struct toy *)d;
    if (t->activate_rc == 0) t->activated++;
    return t->activate_rc;
}
static inline bool toy_deactivate(struct virtio_dev *d)
{
    struct toy *t = (struct toy *)d;
    t->deactivated++;
    atomic_store(&t->is_leaving, true);
    return !t->is_slow;
}
static inline void toy_notify(struct virtio_dev *d, unsigned queue)
{
    struct toy *t = (struct toy *)d;
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
static inline void toy_destroy(struct virtio_dev *d)
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

struct mmio_rig {
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

static inline void on_log(void *arg, enum log_level level, const char *line)
{
    struct mmio_rig *b = arg;
    (void)level;
    b->log_lines++;
    (void)snprintf(b->last_line, sizeof(b->last_line), "%s", line);
}
static inline int on_doorbell(void *arg, unsigned queue, int fd, bool on)
{
    struct mmio_rig *b = arg;
    assert_true(queue < TOY_QUEUES);
    assert_true((b->bell_fd[queue] >= 0) != on);
    if (b->refuses_doorbells && on) return -ENOSPC;
    b->bell_fd[queue] = on ? fd : -1;
    return 0;
}
static inline void on_host_failed(void *arg, const char *device, const char *why)
{
    struct mmio_rig *b = arg;
    assert_string_equal(device, "toy 0");
    assert_string_not_equal(why, "");
    b->host_failures++;
}

static inline int setup(void **state)
{
    struct mmio_rig *b = test_calloc(1, sizeof(*b));
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
static inline int teardown(void **state)
{
    struct mmio_rig *b = *state;
    virtio_mmio_destroy(b->t);
    assert_int_equal(b->toy.destroyed, 1);
    assert_int_equal(b->toy.activated, b->toy.deactivated);
    loop_fini(&b->loop);
    irq_fini(&b->irq);
    ring_mem_fini(&b->mem);
    test_free(b);
    return 0;
}

static inline uint32_t rd(struct mmio_rig *b, uint64_t reg)
{
    return (uint32_t)virtio_mmio_bus_ops.read(b->t, reg, 4);
}
static inline void wr(struct mmio_rig *b, uint64_t reg, uint32_t value)
{
    virtio_mmio_bus_ops.write(b->t, reg, 4, value);
}
static inline unsigned long faults(struct mmio_rig *b)
{
    return atomic_load(&b->toy.dev.fault_count);
}
static inline unsigned interrupts(struct mmio_rig *b)
{
    uint64_t n = 0;
    return read(b->irq.fd, &n, sizeof(n)) < 0 ? 0 : (unsigned)n;
}

static inline void accept_features(struct mmio_rig *b, uint64_t features)
{
    wr(b, DRIVER_FEATURES_SEL, 0);
    wr(b, DRIVER_FEATURES, (uint32_t)features);
    wr(b, DRIVER_FEATURES_SEL, 1);
    wr(b, DRIVER_FEATURES, (uint32_t)(features >> 32));
}
static inline void negotiate(struct mmio_rig *b, uint64_t features)
{
    wr(b, STATUS, ACK);
    wr(b, STATUS, ACK | DRIVER);
    accept_features(b, features);
    wr(b, STATUS, ACK | DRIVER | FEATURES_OK);
}
static inline void put_address(struct mmio_rig *b, uint64_t reg, uint64_t gpa)
{
    wr(b, reg, (uint32_t)gpa);
    wr(b, reg + 4, (uint32_t)(gpa >> 32));
}
static inline void set_queue(struct mmio_rig *b, unsigned i, const struct virtq_config *c)
{
    wr(b, QUEUE_SEL, i);
    wr(b, QUEUE_NUM, c->size);
    put_address(b, QUEUE_DESC, c->desc);
    put_address(b, QUEUE_DRIVER, c->avail);
    put_address(b, QUEUE_DEVICE, c->used);
    wr(b, QUEUE_READY, 1);
}
/* All the way to DRIVER_OK, as 3.1.1 has it. */
static inline void boot_with(struct mmio_rig *b, const struct ring *ring)
{
    negotiate(b, VIRTIO_F_VERSION_1 | TOY_FEATURE);
    for (unsigned i = 0; i < TOY_QUEUES; i++) {
        const struct virtq_config c = ring_config(&ring[i]);
        set_queue(b, i, &c);
    }
    wr(b, STATUS, ACK | DRIVER | FEATURES_OK | DRIVER_OK);
}
static inline void boot(struct mmio_rig *b)
{
    for (unsigned i = 0; i < TOY_QUEUES; i++) ring_init(&b->ring[i], &b->mem, toy_ops.queue_size[i]);
    boot_with(b, b->ring);
}

static inline void stop(void *arg)
{
    loop_stop(arg);
}
/* Let the loop deliver what is there: two turns, since a job may overtake an event of its own batch. */
static inline void turn(struct mmio_rig *b)
{
    for (unsigned i = 0; i < 2; i++) {
        struct loop_job job = {.fn = stop, .arg = &b->loop};
        loop_post(&b->loop, &job);
        loop_run(&b->loop);
    }
}
static inline void offer(struct mmio_rig *b, unsigned queue)
{
    const struct ring_seg seg = {ring_alloc(&b->mem, 16, 1), 16, false};
    (void)ring_add(&b->ring[queue], &seg, 1);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

#endif
