/* virtio-blk (VIRTIO 1.2, 5.2): id, pattern out, pattern in, compare.
 *
 * Only the scratch disk, told by its id, is written: any other may hold somebody's data. The pattern is a page of noise
 * repeated, with every sector stamped at both ends with its number and the pass: a sector that is lost, stale, torn or
 * in the wrong place differs, and laying it out costs few instructions.
 */
#include "disk.h"

#include "../embed.h"

#define BLK_F_RO        (1ull << 5)
#define BLK_F_FLUSH     (1ull << 9)
#define BLK_T_IN        0u
#define BLK_T_OUT       1u
#define BLK_T_FLUSH     4u
#define BLK_T_GET_ID    8u
#define BLK_S_OK        0
#define BLK_S_NONE      0xff /* never a device's answer */
#define CONFIG_CAPACITY 0x00
#define ID_SIZE         20 /* 5.2.6 */
#define SECTOR          512u
#define CHUNK           (16u << 10) /* of one request: more than one page, so that it may be split on its way */
#define WINDOW          (SLOT_COUNT * CHUNK)
#define COVERED_MAX     (1u << 20) /* at most this much of a disk is used */
#define NOISE_SIZE      4096u

struct blk_header { /* 5.2.6 */
    uint32_t type;
    uint32_t reserved;
    uint64_t sector;
};

/* All the device reaches. Not cleared at start: whatever is used is written first. */
static struct {
    struct virtio_ring ring;
    struct blk_header header[SLOT_COUNT];
    uint8_t status[SLOT_COUNT];
    uint32_t length[SLOT_COUNT];
    char id[ID_SIZE + 1];
    uint8_t expected[WINDOW];
    uint8_t data[WINDOW];
} dma __attribute__((section(".bss.noinit"), aligned(16)));

/* A run of consecutive chunks in flight at once. */
struct batch {
    uint32_t type;
    uint64_t sector;
    uint8_t *data;
    uint32_t bytes;
};

static void put(struct virtio_device *d, uint32_t slot, const struct blk_header *header, void *data, uint32_t len)
{
    const struct virtio_piece piece[] = {
        {&dma.header[slot], sizeof(dma.header[slot]), false},
        {data, len, header->type != BLK_T_OUT},
        {&dma.status[slot], 1, true},
    };
    const struct virtio_piece bare[] = {piece[0], piece[2]};

    dma.header[slot] = *header;
    dma.status[slot] = BLK_S_NONE;
    virtio_put(d, slot, len ? piece : bare, len ? 3 : 2);
}

/* Run a batch; every request must end well and have written what it should. */
static void run(struct virtio_device *d, const struct batch *b)
{
    uint32_t count = 0;

    for (uint32_t at = 0; at < b->bytes; at += CHUNK, count++) {
        const uint32_t len = b->bytes - at < CHUNK ? b->bytes - at : CHUNK;
        put(d, count, &(struct blk_header){.type = b->type, .sector = b->sector + at / SECTOR}, b->data + at, len);
    }
    virtio_run(d, count, dma.length);
    for (uint32_t slot = 0; slot < count; slot++) {
        const uint64_t sector = dma.header[slot].sector;
        const uint32_t at = slot * CHUNK, len = b->bytes - at < CHUNK ? b->bytes - at : CHUNK;
        const uint32_t want = b->type == BLK_T_IN ? len + 1 : 1;
        const char *verb = b->type == BLK_T_IN ? "read" : "write";
        if (dma.status[slot] != BLK_S_OK)
            fail(GUEST_DISK_ERROR, "the %s of %u bytes at sector %lu ended with status %u", verb, len, sector,
                 dma.status[slot]);
        if (dma.length[slot] != want)
            fail(GUEST_BAD_USED, "the %s at sector %lu claims %u bytes written to memory, not %u", verb, sector,
                 dma.length[slot], want);
    }
}

static uint8_t run_one(struct virtio_device *d, const struct blk_header *header, void *data, uint32_t len)
{
    put(d, 0, header, data, len);
    virtio_run(d, 1, dma.length);
    return dma.status[0];
}

static void read_id(struct virtio_device *d)
{
    memset(dma.id, 0, sizeof(dma.id));
    const uint8_t status = run_one(d, &(struct blk_header){.type = BLK_T_GET_ID}, dma.id, ID_SIZE);
    if (status != BLK_S_OK)
        fail(GUEST_DISK_ERROR, "the disk at 0x%lx does not tell its id: status %u", d->at->base, status);
}

static void make_noise(uint8_t *page)
{
    uint64_t word = 0x9e3779b97f4a7c15ull; /* any odd number: the steps are xorshift's */

    for (uint32_t at = 0; at < NOISE_SIZE; at += 8) {
        word ^= word << 13;
        word ^= word >> 7;
        word ^= word << 17;
        memcpy(page + at, &word, sizeof(word));
    }
}

/* Lay out what the sectors from `sector` on hold after pass `pass`. The noise is already in `to`. */
static void stamp(uint8_t *to, uint32_t bytes, uint64_t sector, uint32_t pass)
{
    for (uint32_t at = 0; at < bytes; at += SECTOR, sector++) {
        const uint64_t mark = sector << 8 | pass;
        __builtin_memcpy(to + at, &mark, sizeof(mark));
        __builtin_memcpy(to + at + SECTOR - sizeof(mark), &mark, sizeof(mark));
    }
}

static void compare(uint32_t bytes, uint64_t sector)
{
    if (!memcmp(dma.data, dma.expected, bytes)) return;
    for (uint32_t at = 0; at < bytes; at++) {
        if (dma.data[at] != dma.expected[at])
            fail(GUEST_DISK_MISMATCH, "sector %lu, byte %u: 0x%x was written, 0x%x was read", sector + at / SECTOR,
                 at % SECTOR, dma.expected[at], dma.data[at]);
    }
}

/* Write all, then read and compare all, `depth` requests at a time. */
static void pass(struct virtio_device *d, uint32_t covered, uint32_t depth)
{
    const uint32_t window = depth * CHUNK;

    for (uint32_t at = 0; at < covered; at += window) {
        const uint32_t bytes = covered - at < window ? covered - at : window;
        stamp(dma.expected, bytes, at / SECTOR, depth);
        run(d, &(struct batch){BLK_T_OUT, at / SECTOR, dma.expected, bytes});
    }
    for (uint32_t at = 0; at < covered; at += window) {
        const uint32_t bytes = covered - at < window ? covered - at : window;
        stamp(dma.expected, bytes, at / SECTOR, depth);
        run(d, &(struct batch){BLK_T_IN, at / SECTOR, dma.data, bytes});
        compare(bytes, at / SECTOR);
    }
}

/* Deep passes go over everything; shallow ones are for order, not for coverage. Returns the bytes written. */
static uint32_t write_and_compare(struct virtio_device *d, uint32_t covered)
{
    static const struct {
        uint32_t depth;
        uint32_t bytes_max;
    } passes[] = {{1, 4 * CHUNK}, {4, 16 * CHUNK}, {SLOT_COUNT, COVERED_MAX}};
    uint32_t total = 0;

    make_noise(dma.expected);
    for (uint32_t at = NOISE_SIZE; at < WINDOW; at += NOISE_SIZE) memcpy(dma.expected + at, dma.expected, NOISE_SIZE);
    for (size_t i = 0; i < sizeof(passes) / sizeof(passes[0]); i++) {
        const uint32_t bytes = covered < passes[i].bytes_max ? covered : passes[i].bytes_max;
        pass(d, bytes, passes[i].depth);
        total += bytes;
    }
    return total;
}

static void check_end(struct virtio_device *d, uint64_t sectors)
{
    const struct blk_header beyond = {.type = BLK_T_IN, .sector = sectors};
    const uint8_t status = run_one(d, &beyond, dma.data, SECTOR);

    if (status == BLK_S_OK || status == BLK_S_NONE)
        fail(GUEST_DISK_OVERRUN, "a read behind the last of %lu sectors ended with status %u", sectors, status);
}

void disk_test(struct virtio_device *d)
{
    const uint64_t features = virtio_start(d, BLK_F_RO | BLK_F_FLUSH, &dma.ring);
    const uint64_t sectors = virtio_config32(d, CONFIG_CAPACITY) | (uint64_t)virtio_config32(d, CONFIG_CAPACITY + 4)
                                                                       << 32;
    const uint32_t covered = sectors < COVERED_MAX / SECTOR ? (uint32_t)sectors * SECTOR : COVERED_MAX;

    read_id(d);
    check_end(d, sectors);
    const bool is_scratch = !memcmp(dma.id, GUEST_SCRATCH_DISK_ID, sizeof(GUEST_SCRATCH_DISK_ID));
    if (is_scratch && !(features & BLK_F_RO)) {
        const uint32_t total = write_and_compare(d, covered);
        if (features & BLK_F_FLUSH && run_one(d, &(struct blk_header){.type = BLK_T_FLUSH}, NULL, 0) != BLK_S_OK)
            fail(GUEST_DISK_ERROR, "the disk at 0x%lx does not flush", d->at->base);
        say("  disk \"%s\", %lu KiB: %u KiB written, read back and compared at depths 1, 4 and %u", dma.id, sectors / 2,
            total / 1024, (unsigned)SLOT_COUNT);
    } else {
        const uint32_t bytes = covered < WINDOW ? covered : WINDOW;
        run(d, &(struct batch){BLK_T_IN, 0, dma.data, bytes});
        say("  disk \"%s\", %lu KiB%s: %u KiB read; only a disk with the id %s is written", dma.id, sectors / 2,
            features & BLK_F_RO ? ", read-only" : "", bytes / 1024, GUEST_SCRATCH_DISK_ID);
    }
    virtio_stop(d);
}
