/* virtio-blk (VIRTIO 1.2, 5.2): id, pattern out, pattern in, compare.
 *
 * Only the scratch disk, told by its id, is written: any other may hold somebody's data. The pattern is a page of noise
 * repeated, with every sector stamped at both ends with its number and the pass: a sector that is lost, stale, torn or
 * in the wrong place shows by its stamps, and laying them out costs few instructions. Between its stamps every sector
 * is compared too, or one in eight where privileged code is emulated. */
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
#define CHUNK           (8u << 10) /* of one request: more than one page, so that it may be split on its way */
#define WINDOW          (SLOT_COUNT * CHUNK)
#define COVERED_MAX     (1u << 20) /* at most this much of a disk is used */
#define NOISE_SIZE      4096u
#define STAMP_SIZE      8u
#define LAST_STAMP      (SECTOR - STAMP_SIZE)
#define SPARSE_STRIDE   8u
#define SLOW_PAGE_US    30 /* to compare a page: emulated code takes hundreds, any processor one, an emulated host ten */

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
    uint8_t out[WINDOW];
    uint8_t in[WINDOW];
} dma __attribute__((section(".bss.noinit"), aligned(16)));

/* A run of consecutive chunks in flight at once. */
struct batch {
    uint32_t type;
    uint64_t sector;
    uint8_t *data;
    uint32_t bytes;
};

/* One way over the disk. */
struct pass {
    uint32_t depth;  /* requests in flight; the sectors' salt as well */
    uint32_t bytes;  /* from the disk's start */
    uint32_t stride; /* a power of two: sectors between two that are compared in full */
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

/* A page of noise, then copies of it, to the end of the buffer that is written from. */
static void make_noise(void)
{
    uint64_t word = 0x9e3779b97f4a7c15ull; /* any odd number: the steps are xorshift's */

    for (uint32_t at = 0; at < NOISE_SIZE; at += sizeof(word)) {
        word ^= word << 13;
        word ^= word >> 7;
        word ^= word << 17;
        __builtin_memcpy(dma.out + at, &word, sizeof(word));
    }
    for (uint32_t at = NOISE_SIZE; at < WINDOW; at += NOISE_SIZE) memcpy(dma.out + at, dma.out, NOISE_SIZE);
}

/* Of how many sectors one is compared whole. Two tries, for the first one warms up caches and translators. */
static uint32_t stride(void)
{
    const uint64_t limit = machine_ticks_per_ms() * SLOW_PAGE_US / 1000;

    for (int i = 0; i < 2; i++) {
        const uint64_t start = machine_ticks();
        if (!memcmp(dma.out, dma.out + NOISE_SIZE, NOISE_SIZE) && machine_ticks() - start <= limit) return 1;
    }
    return SPARSE_STRIDE;
}

static uint64_t mark_of(uint64_t sector, uint32_t salt)
{
    return sector << 8 | salt;
}

static void stamp(uint32_t bytes, uint64_t sector, uint32_t salt)
{
    for (uint8_t *at = dma.out, *end = at + bytes; at < end; at += SECTOR, sector++) {
        const uint64_t mark = mark_of(sector, salt);
        __builtin_memcpy(at, &mark, sizeof(mark));
        __builtin_memcpy(at + LAST_STAMP, &mark, sizeof(mark));
    }
}

static void compare_inside(uint32_t offset, uint64_t sector)
{
    const uint8_t *in = dma.in + offset, *out = dma.out + offset;

    if (!memcmp(in + STAMP_SIZE, out + STAMP_SIZE, SECTOR - 2 * STAMP_SIZE)) return;
    for (uint32_t at = STAMP_SIZE; at < LAST_STAMP; at++) {
        if (in[at] != out[at])
            fail(GUEST_DISK_MISMATCH, "sector %lu, byte %u: 0x%x was written, 0x%x was read", sector, at, out[at],
                 in[at]);
    }
}

static void compare(uint32_t bytes, const struct pass *p, uint64_t sector)
{
    for (uint32_t at = 0; at < bytes; at += SECTOR, sector++) {
        const uint64_t mark = mark_of(sector, p->depth);
        uint64_t first, last;
        __builtin_memcpy(&first, dma.in + at, sizeof(first));
        __builtin_memcpy(&last, dma.in + at + LAST_STAMP, sizeof(last));
        if (first != mark || last != mark)
            fail(GUEST_DISK_MISMATCH, "sector %lu begins with 0x%lx and ends with 0x%lx; both were written as 0x%lx",
                 sector, first, last, mark);
        if (!(sector & (p->stride - 1))) compare_inside(at, sector);
    }
}

/* Write all, then read and compare all, `depth` requests at a time. */
static void run_pass(struct virtio_device *d, const struct pass *p)
{
    const uint32_t window = p->depth * CHUNK;

    for (uint32_t at = 0; at < p->bytes; at += window) {
        const uint32_t bytes = p->bytes - at < window ? p->bytes - at : window;
        stamp(bytes, at / SECTOR, p->depth);
        run(d, &(struct batch){BLK_T_OUT, at / SECTOR, dma.out, bytes});
    }
    for (uint32_t at = 0; at < p->bytes; at += window) {
        const uint32_t bytes = p->bytes - at < window ? p->bytes - at : window;
        run(d, &(struct batch){BLK_T_IN, at / SECTOR, dma.in, bytes});
        compare(bytes, p, at / SECTOR);
    }
}

/* The deepest pass goes over everything; the others are for order, not for coverage. */
static void write_and_compare(struct virtio_device *d, uint64_t sectors, uint32_t covered)
{
    static const uint16_t depths[] = {1, 4, SLOT_COUNT};
    uint32_t total = 0;

    make_noise();
    struct pass p = {.stride = stride()};
    for (size_t i = 0; i < sizeof(depths) / sizeof(depths[0]); i++) {
        const uint32_t most = depths[i] == SLOT_COUNT ? COVERED_MAX : 2 * depths[i] * CHUNK;
        p.depth = depths[i];
        p.bytes = covered < most ? covered : most;
        run_pass(d, &p);
        total += p.bytes;
    }
    say("  disk \"%s\", %lu KiB: %u KiB written, read back and compared at depths 1, 4 and %u%s", dma.id, sectors / 2,
        total / 1024, (unsigned)SLOT_COUNT, p.stride == 1 ? "" : " (slow host: one sector in eight whole)");
}

static void check_end(struct virtio_device *d, uint64_t sectors)
{
    const struct blk_header beyond = {.type = BLK_T_IN, .sector = sectors};
    const uint8_t status = run_one(d, &beyond, dma.in, SECTOR);

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
        write_and_compare(d, sectors, covered);
        if (features & BLK_F_FLUSH && run_one(d, &(struct blk_header){.type = BLK_T_FLUSH}, NULL, 0) != BLK_S_OK)
            fail(GUEST_DISK_ERROR, "the disk at 0x%lx does not flush", d->at->base);
    } else {
        const uint32_t bytes = covered < WINDOW ? covered : WINDOW;
        run(d, &(struct batch){BLK_T_IN, 0, dma.in, bytes});
        say("  disk \"%s\", %lu KiB%s: %u KiB read; only a disk with the id %s is written", dma.id, sectors / 2,
            features & BLK_F_RO ? ", read-only" : "", bytes / 1024, GUEST_SCRATCH_DISK_ID);
    }
    virtio_stop(d);
}
