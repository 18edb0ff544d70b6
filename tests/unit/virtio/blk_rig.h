/* A virtio-blk device on a disk in memory or on a file, with its driver, for the tests of the device. */
#ifndef VIREO_TESTS_BLK_RIG_H
#define VIREO_TESTS_BLK_RIG_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "devices/backend/disk_engine.h"
#include "devices/devices.h"
#include "tests/unit/virtio/ring.h"
#include "vmm/base/endian.h"

#define SECTORS    4096u /* 2 MiB */
#define QUEUE_SIZE 128u

enum { T_IN = 0, T_OUT = 1, T_FLUSH = 4, T_GET_ID = 8, T_DISCARD = 11, T_WRITE_ZEROES = 13 };
enum { S_OK = 0, S_IOERR = 1, S_UNSUPP = 2, S_UNTOUCHED = 0x5a };
#define F_RO           (1ull << 5)
#define F_FLUSH        (1ull << 9)
#define F_CONFIG_WCE   (1ull << 11)
#define F_DISCARD      (1ull << 13)
#define F_WRITE_ZEROES (1ull << 14)
#define F_ALL          (F_FLUSH | F_CONFIG_WCE | F_DISCARD | F_WRITE_ZEROES | VIRTIO_F_INDIRECT_DESC)

#define CONFIG_WRITEBACK 32 /* offset, 5.2.4 */

struct blk_rig {
    struct rig rig;
    struct disk *disk; /* the device's */
    uint64_t header, data, status;
    char path[64]; /* "": a RAM disk */
};
#define DATA_BYTES (1u << 20)

static inline void boot(struct blk_rig *b, struct disk *disk, uint64_t features)
{
    struct virtio_dev *dev;
    b->disk = disk;
    assert_int_equal(virtio_blk_create(&dev, disk, "serial-0123456789", NULL), 0);
    rig_init(&b->rig, dev, features);
    b->header = rig_alloc(&b->rig, 16);
    b->status = rig_alloc(&b->rig, 1);
    b->data = rig_alloc(&b->rig, DATA_BYTES);
    rig_activate(&b->rig);
}

static inline int setup_features(void **state, uint64_t features)
{
    struct disk *disk;
    struct blk_rig *b = test_calloc(1, sizeof(*b));
    assert_int_equal(disk_open_ram(&disk, SECTORS * 512, NULL), 0);
    boot(b, disk, features);
    *state = b;
    return 0;
}
static inline int setup_ram(void **state)
{
    return setup_features(state, F_ALL);
}
static inline int setup_ram_event_idx(void **state)
{
    return setup_features(state, F_ALL | VIRTIO_F_EVENT_IDX);
}
static inline int setup_image(void **state, struct disk_params p)
{
    struct disk *disk;
    struct blk_rig *b = test_calloc(1, sizeof(*b));
    (void)snprintf(b->path, sizeof(b->path), "/tmp/vireo-blk-XXXXXX");
    const int fd = mkstemp(b->path);
    assert_true(fd >= 0);
    assert_int_equal(ftruncate(fd, SECTORS * 512), 0);
    close(fd);
    p.path = b->path;
    assert_int_equal(disk_open(&disk, &p, NULL), 0);
    boot(b, disk, p.is_readonly ? F_FLUSH : F_ALL);
    *state = b;
    return 0;
}
static inline int setup_uring(void **state)
{
    return setup_image(state, (struct disk_params){.engine = DISK_ENGINE_URING});
}
static inline int setup_worker(void **state)
{
    return setup_image(state, (struct disk_params){.engine = DISK_ENGINE_WORKER});
}
static inline int setup_readonly(void **state)
{
    return setup_image(state, (struct disk_params){.is_readonly = true});
}
static inline int setup_large_blocks(void **state)
{
    return setup_image(state, (struct disk_params){.block_size = 4096});
}
static inline int teardown(void **state)
{
    struct blk_rig *b = *state;
    rig_fini(&b->rig);
    if (b->path[0] != '\0') unlink(b->path);
    test_free(b);
    return 0;
}

static inline uint8_t *at(struct blk_rig *b, uint64_t gpa)
{
    return rig_host(&b->rig, gpa);
}

static inline void write_header(struct blk_rig *b, uint32_t type, uint64_t sector)
{
    le32_write(at(b, b->header), type);
    le32_write(at(b, b->header) + 4, 0);
    le64_write(at(b, b->header) + 8, sector);
    *at(b, b->status) = S_UNTOUCHED;
}

/* Offer a chain and wait for it; used.len in *len. */
static inline uint8_t serve(struct blk_rig *b, const struct ring_seg *seg, unsigned count, uint32_t *len)
{
    struct ring_used used;
    const uint16_t head = ring_add(&b->rig.ring[0], seg, count);
    rig_notify(&b->rig, 0);
    rig_wait_used(&b->rig, 0);
    assert_true(ring_take_used(&b->rig.ring[0], &used));
    assert_int_equal(used.id, head);
    if (len) *len = used.len;
    return *at(b, b->status);
}

/* The usual layout: header, data, status. */
static inline uint8_t request(struct blk_rig *b, uint32_t type, uint64_t sector, uint32_t bytes)
{
    const bool is_in = type == T_IN || type == T_GET_ID;
    const struct ring_seg with[] = {{b->header, 16, false}, {b->data, bytes, is_in}, {b->status, 1, true}};
    const struct ring_seg without[] = {with[0], with[2]};
    write_header(b, type, sector);
    return bytes > 0 ? serve(b, with, 3, NULL) : serve(b, without, 2, NULL);
}

static inline void put_range(struct blk_rig *b, unsigned i, uint64_t sector, uint32_t sectors, uint32_t flags)
{
    uint8_t *p = at(b, b->data) + 16 * i;
    le64_write(p, sector);
    le32_write(p + 8, sectors);
    le32_write(p + 12, flags);
}

static inline void fill(struct blk_rig *b, uint32_t bytes, unsigned seed)
{
    uint8_t *p = at(b, b->data);
    for (uint32_t i = 0; i < bytes; i++) p[i] = (uint8_t)(seed + i + i / 509);
}

/* Is byte i of `bytes` bytes at the data what fill(seed) put there? */
static inline void assert_filled(struct blk_rig *b, uint32_t bytes, unsigned seed)
{
    const uint8_t *p = at(b, b->data);
    for (uint32_t i = 0; i < bytes; i++) {
        if (p[i] != (uint8_t)(seed + i + i / 509)) fail_msg("byte %u is not what was written", i);
    }
}

static inline uint64_t config(struct blk_rig *b, uint32_t off, uint32_t len)
{
    uint8_t bytes[8] = {0};
    b->rig.dev->ops->config_read(b->rig.dev, off, bytes, len);
    return le64_read(bytes);
}

#define WITH(name, how) cmocka_unit_test_setup_teardown(name, setup_##how, teardown)
#define WITH_EACH(name) WITH(name, ram), WITH(name, uring), WITH(name, worker)

#endif
