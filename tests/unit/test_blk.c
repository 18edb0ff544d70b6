/* virtio-blk: what it offers, what it does, in any layout, and what it answers to requests that can't be served. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "devices/devices.h"
#include "devices/disk_engine.h"
#include "tests/unit/ring.h"
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

struct bench {
    struct rig rig;
    struct disk *disk; /* the device's */
    uint64_t header, data, status;
    char path[64]; /* "": a RAM disk */
};
#define DATA_BYTES (1u << 20)

static void boot(struct bench *b, struct disk *disk, uint64_t features)
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

static int setup_features(void **state, uint64_t features)
{
    struct disk *disk;
    struct bench *const b = test_calloc(1, sizeof(*b));
    assert_int_equal(disk_open_ram(&disk, SECTORS * 512, NULL), 0);
    boot(b, disk, features);
    *state = b;
    return 0;
}
static int setup_ram(void **state)
{
    return setup_features(state, F_ALL);
}
static int setup_ram_event_idx(void **state)
{
    return setup_features(state, F_ALL | VIRTIO_F_EVENT_IDX);
}
static int setup_file(void **state, enum disk_engine_kind engine, bool is_readonly)
{
    struct disk *disk;
    struct bench *const b = test_calloc(1, sizeof(*b));
    (void)snprintf(b->path, sizeof(b->path), "/tmp/vireo-blk-XXXXXX");
    const int fd = mkstemp(b->path);
    assert_true(fd >= 0);
    assert_int_equal(ftruncate(fd, SECTORS * 512), 0);
    close(fd);
    const struct disk_params p = {b->path, is_readonly, engine};
    assert_int_equal(disk_open(&disk, &p, NULL), 0);
    boot(b, disk, is_readonly ? F_FLUSH : F_ALL);
    *state = b;
    return 0;
}
static int setup_uring(void **state)
{
    return setup_file(state, DISK_ENGINE_URING, false);
}
static int setup_worker(void **state)
{
    return setup_file(state, DISK_ENGINE_WORKER, false);
}
static int setup_readonly(void **state)
{
    return setup_file(state, DISK_ENGINE_AUTO, true);
}
static int teardown(void **state)
{
    struct bench *const b = *state;
    rig_fini(&b->rig);
    if (b->path[0] != '\0') unlink(b->path);
    test_free(b);
    return 0;
}

static uint8_t *at(struct bench *b, uint64_t gpa)
{
    return rig_host(&b->rig, gpa);
}

static void write_header(struct bench *b, uint32_t type, uint64_t sector)
{
    le32_write(at(b, b->header), type);
    le32_write(at(b, b->header) + 4, 0);
    le64_write(at(b, b->header) + 8, sector);
    *at(b, b->status) = S_UNTOUCHED;
}

/* Offer a chain and wait for it; used.len in *len. */
static uint8_t serve(struct bench *b, const struct ring_seg *seg, unsigned count, uint32_t *len)
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
static uint8_t request(struct bench *b, uint32_t type, uint64_t sector, uint32_t bytes)
{
    const bool is_in = type == T_IN || type == T_GET_ID;
    const struct ring_seg with[] = {{b->header, 16, false}, {b->data, bytes, is_in}, {b->status, 1, true}};
    const struct ring_seg without[] = {with[0], with[2]};
    write_header(b, type, sector);
    return bytes > 0 ? serve(b, with, 3, NULL) : serve(b, without, 2, NULL);
}

static void put_range(struct bench *b, unsigned i, uint64_t sector, uint32_t sectors, uint32_t flags)
{
    uint8_t *const p = at(b, b->data) + 16 * i;
    le64_write(p, sector);
    le32_write(p + 8, sectors);
    le32_write(p + 12, flags);
}

static void fill(struct bench *b, uint32_t bytes, unsigned seed)
{
    uint8_t *const p = at(b, b->data);
    for (uint32_t i = 0; i < bytes; i++) p[i] = (uint8_t)(seed + i + i / 509);
}

/* Is byte i of `bytes` bytes at the data what fill(seed) put there? */
static void assert_filled(struct bench *b, uint32_t bytes, unsigned seed)
{
    const uint8_t *const p = at(b, b->data);
    for (uint32_t i = 0; i < bytes; i++) {
        if (p[i] != (uint8_t)(seed + i + i / 509)) fail_msg("byte %u is not what was written", i);
    }
}

/* What it offers */

static uint64_t config(struct bench *b, uint32_t off, uint32_t len)
{
    uint8_t bytes[8] = {0};
    b->rig.dev->ops->config_read(b->rig.dev, off, bytes, len);
    return le64_read(bytes);
}

static void configuration_says_what_the_disk_is(void **state)
{
    struct bench *const b = *state;
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
    struct bench *const b = *state;
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
    struct bench *const b = *state;
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

static void used_length_is_what_was_written(void **state)
{
    struct bench *const b = *state;
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
    struct bench *const b = *state;
    const uint64_t out = rig_alloc(&b->rig, 16 + 1024), in = rig_alloc(&b->rig, 1024 + 1);
    for (unsigned i = 0; i < sizeof(cuts) / sizeof(cuts[0]); i++) {
        struct ring_seg seg[24];
        struct ring_used used;
        uint8_t *const o = at(b, out), *const n = at(b, in);
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
    struct bench *const b = *state;
    const struct ring_seg seg[] = {{b->header, 16, false}, {b->status, 1, true}, {b->data, 0, true}};
    write_header(b, T_FLUSH, 0);
    assert_int_equal(serve(b, seg, 3, NULL), S_OK);
}

static void a_full_queue_of_requests_is_served(void **state)
{
    struct bench *const b = *state;
    struct ring *const r = &b->rig.ring[0];
    struct ring_used used;
    const uint64_t headers = rig_alloc(&b->rig, 16 * QUEUE_SIZE), statuses = rig_alloc(&b->rig, QUEUE_SIZE);
    for (unsigned pass = 0; pass < 2; pass++) {
        for (unsigned i = 0; i < QUEUE_SIZE; i++) {
            uint8_t *const h = at(b, headers + 16 * i);
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
    struct bench *const b = *state;
    const struct ring_seg seg[] = {{b->header, 16, false}, {b->data, 512, true}, {b->status, 1, true}};
    write_header(b, T_IN, 0);
    for (unsigned i = 0; i < 10; i++) (void)ring_add(&b->rig.ring[0], seg, 3);
    rig_notify(&b->rig, 0);
    assert_int_equal(ring_used_count(&b->rig.ring[0]), 10); /* memory: all done at once */
    assert_int_equal(b->rig.interrupts, 1);
}

static void what_is_done_later_interrupts_too(void **state)
{
    struct bench *const b = *state;
    assert_int_equal(request(b, T_FLUSH, 0, 0), S_OK);
    assert_int_equal(b->rig.interrupts, 1);
    assert_int_equal(request(b, T_FLUSH, 0, 0), S_OK);
    assert_int_equal(b->rig.interrupts, 2);
}

static void doorbells_are_asked_for_again_after_a_drain(void **state)
{
    struct bench *const b = *state;
    assert_int_equal(request(b, T_FLUSH, 0, 0), S_OK);
    assert_int_equal(request(b, T_FLUSH, 0, 0), S_OK);
    assert_int_equal(ring_used_flags(&b->rig.ring[0]), 0);
    if ((b->rig.dev->features & VIRTIO_F_EVENT_IDX) != 0) assert_int_equal(ring_avail_event(&b->rig.ring[0]), 2);
}

static void get_id_gives_the_serial(void **state)
{
    struct bench *const b = *state;
    uint32_t len;
    char *const id = (char *)at(b, b->data);
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
    struct bench *const b = *state;
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

/* What can't be served */

static void transfers_outside_the_disk_or_of_odd_size_fail(void **state)
{
    struct bench *const b = *state;
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
    struct bench *const b = *state;
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
        {T_WRITE_ZEROES, 0, 1, 0, 33 * 16, S_IOERR}, /* more than max_write_zeroes_seg */
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
    struct bench *const b = *state;
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
    struct bench *const b = *state;
    const struct ring_seg seg[] = {{b->header, 15, false}, {b->status, 1, true}};
    write_header(b, T_FLUSH, 0);
    assert_int_equal(serve(b, seg, 2, NULL), S_IOERR);
    *at(b, b->status) = S_UNTOUCHED;
    assert_int_equal(serve(b, seg + 1, 1, NULL), S_IOERR);
    assert_int_equal(b->rig.faults, 0);
}

static void a_request_without_a_status_byte_is_a_fault(void **state)
{
    struct bench *const b = *state;
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
    struct bench *const b = *state;
    ring_offer(&b->rig.ring[0], QUEUE_SIZE);
    rig_notify(&b->rig, 0);
    assert_int_equal(b->rig.faults, 1);
    assert_int_equal(b->rig.dev->fault_count, 1);
    assert_string_equal(b->rig.why, "an available head is beyond the descriptor table");
}

static void a_readonly_disk_refuses_writes_and_stays_as_it_is(void **state)
{
    struct bench *const b = *state;
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
    struct bench *const b = *state;
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

static int plan_start(struct disk *d)
{
    (void)d;
    return plan.fail_at < 0 ? -EMFILE : 0;
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
    disk_step_done(d, r, plan.steps == plan.fail_at ? -plan.error : disk_run_step(d->fd, &s));
    if (plan.ring) ring_offer(plan.ring, 0);
}
static const struct disk_engine planned = {
    .name = "planned",
    .start = plan_start,
    .stop = plan_nothing,
    .submit = plan_submit,
    .kick = plan_nothing,
    .wait = plan_nothing,
};

static int setup_planned_features(void **state, uint64_t features)
{
    struct disk *disk;
    struct bench *const b = test_calloc(1, sizeof(*b));
    memset(&plan, 0, sizeof(plan));
    assert_int_equal(disk_open_ram(&disk, SECTORS * 512, NULL), 0);
    disk->engine = &planned;
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
    struct bench *const b = *state;
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
    assert_string_equal(b->rig.why, "write zeroes at byte 0: No space left on device");
    assert_int_equal(b->rig.faults + b->rig.host_failures, 0);
}

static void a_later_range_that_fails_fails_the_request(void **state)
{
    struct bench *const b = *state;
    put_range(b, 0, 0, 1, 0);
    put_range(b, 1, 8, 1, 0);
    put_range(b, 2, 16, 1, 0);
    plan.fail_at = 2;
    plan.error = EIO;
    assert_int_equal(request(b, T_DISCARD, 0, 48), S_IOERR);
    assert_int_equal(plan.steps, 2);
}

static void set_writeback(struct bench *b, uint8_t mode)
{
    b->rig.dev->ops->config_write(b->rig.dev, CONFIG_WRITEBACK, &mode, 1);
}

static void writes_are_synced_when_the_driver_turns_the_cache_off(void **state)
{
    struct bench *const b = *state;
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
    struct bench *const b = *state;
    assert_int_equal(config(b, CONFIG_WRITEBACK, 1), 0);
    assert_int_equal(request(b, T_OUT, 0, 512), S_OK);
    assert_int_equal(plan.syncs, 1);
    set_writeback(b, 1); /* not negotiated: no effect */
    assert_int_equal(request(b, T_OUT, 0, 512), S_OK);
    assert_int_equal(plan.syncs, 2);
}

static void configuration_writes_elsewhere_have_no_effect(void **state)
{
    struct bench *const b = *state;
    const uint8_t bytes[8] = {0};
    b->rig.dev->ops->config_write(b->rig.dev, 0, bytes, 8);
    b->rig.dev->ops->config_write(b->rig.dev, CONFIG_WRITEBACK, bytes, 2);
    set_writeback(b, 2);
    assert_int_equal(config(b, 0, 8), SECTORS);
    assert_int_equal(config(b, CONFIG_WRITEBACK, 1), 1);
}

static void a_driver_that_never_stops_gets_one_queue_size_at_a_time(void **state)
{
    struct bench *const b = *state;
    struct ring *const r = &b->rig.ring[0];
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

static void a_disk_that_does_not_start_is_a_host_failure(void **state)
{
    struct bench *const b = *state;
    rig_reset(&b->rig);
    plan.fail_at = -1;
    assert_int_equal(b->rig.dev->ops->activate(b->rig.dev), -EMFILE);
    assert_int_equal(b->rig.host_failures, 1);
    assert_non_null(strstr(b->rig.why, "Too many open files"));
    plan.fail_at = 0;
    rig_activate(&b->rig);
    assert_int_equal(request(b, T_FLUSH, 0, 0), S_OK);
}

#define WITH(name, how) cmocka_unit_test_setup_teardown(name, setup_##how, teardown)
#define WITH_EACH(name) WITH(name, ram), WITH(name, uring), WITH(name, worker)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH(configuration_says_what_the_disk_is, ram),
        WITH(only_a_writable_disk_offers_to_change_it, ram),
        WITH(only_a_writable_disk_offers_to_change_it, readonly),
        cmocka_unit_test(create_refuses_a_serial_that_is_too_long),
        WITH_EACH(written_data_is_read_back),
        WITH(used_length_is_what_was_written, ram),
        WITH_EACH(any_layout_serves),
        WITH(a_trailing_empty_segment_does_not_hide_the_status, ram),
        WITH_EACH(a_full_queue_of_requests_is_served),
        WITH(a_full_queue_of_requests_is_served, ram_event_idx),
        WITH(a_batch_costs_one_interrupt, ram),
        WITH_EACH(what_is_done_later_interrupts_too),
        WITH(doorbells_are_asked_for_again_after_a_drain, ram),
        WITH(doorbells_are_asked_for_again_after_a_drain, ram_event_idx),
        WITH(get_id_gives_the_serial, ram),
        WITH_EACH(discard_and_write_zeroes_clear_their_ranges),
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
        WITH(a_disk_that_does_not_start_is_a_host_failure, planned),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
