/* virtio-blk (VIRTIO 1.2, 5.2): one request queue on a disk.
 *
 * A chain becomes a request, found by its head in an array made once: running out can't happen. The header is copied
 * out of guest memory and then decoded; the data's segments are handed to the disk as they are. Nothing is assumed
 * about the layout (2.7.4.1): header, data and status may be split or joined in any way. What the guest asks for and
 * can't have is answered by a status; only a request without room for one is a fault. */
#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "devices/devices.h"
#include "vmm/base/checked.h"
#include "vmm/base/clock.h"
#include "vmm/base/endian.h"

/* Requests in flight, and segments in one. Enough to keep any disk busy. Requests and rings then take 0.3 MB at most,
 * of which only what a guest uses is ever touched. */
#define BLK_QUEUE_SIZE 128
#define BLK_SEG_MAX    (BLK_QUEUE_SIZE - 2) /* a chain's, without header and status */
/* How many bytes the requests of one drain may stand for, so that other devices get the loop: about a millisecond of
 * copying from the page cache. Of a larger request the disk does no more at once (disk_engine.h). */
#define BLK_DRAIN_BYTES (4u << 20)
#define BLK_ID_BYTES    20 /* 5.2.6: VIRTIO_BLK_T_GET_ID */
/* Ranges of one request, and sectors of a range. A discard is 1 GiB at most, as giving blocks back is quick. Zeroing
 * may have to write every byte, so it is 64 MiB: a queue full of these then takes less time than one of discards. Linux
 * puts one range into such a request, and still only 65,536 of them cover a terabyte. */
#define BLK_DISCARD_RANGES  32
#define BLK_DISCARD_SECTORS (1u << 16) /* 32 MiB */
#define BLK_ZEROES_RANGES   4
#define BLK_ZEROES_SECTORS  (1u << 15) /* 16 MiB */
#define BLK_RANGES_MAX      BLK_DISCARD_RANGES
#define BLK_DISCARD_COST    4    /* bytes given back in the time of one that is copied */
#define ERROR_TEXT_MAX      160  /* "write zeroes at byte N: ", the longest error text and what the guest got */
#define BLK_PAGE            4096 /* what file systems and page caches of hosts allocate and align to */

#define BLK_F_SEG_MAX      (1ull << 2) /* 5.2.3 */
#define BLK_F_RO           (1ull << 5)
#define BLK_F_BLK_SIZE     (1ull << 6)
#define BLK_F_FLUSH        (1ull << 9)
#define BLK_F_TOPOLOGY     (1ull << 10)
#define BLK_F_CONFIG_WCE   (1ull << 11)
#define BLK_F_DISCARD      (1ull << 13)
#define BLK_F_WRITE_ZEROES (1ull << 14)

enum blk_type { T_IN = 0, T_OUT = 1, T_FLUSH = 4, T_GET_ID = 8, T_DISCARD = 11, T_WRITE_ZEROES = 13 }; /* 5.2.6 */
enum blk_status { S_OK = 0, S_IOERR = 1, S_UNSUPP = 2 };
enum { RANGE_F_UNMAP = 1 };

struct blk_config { /* 5.2.4, as far as our features reach */
    struct le64 capacity;
    struct le32 size_max, seg_max;
    struct le16 cylinders;
    uint8_t heads, sectors;
    struct le32 blk_size;
    uint8_t physical_block_exp, alignment_offset;
    struct le16 min_io_size;
    struct le32 opt_io_size;
    uint8_t writeback, unused0;
    struct le16 num_queues;
    struct le32 max_discard_sectors, max_discard_seg, discard_sector_alignment;
    struct le32 max_write_zeroes_sectors, max_write_zeroes_seg;
    uint8_t write_zeroes_may_unmap, unused1[3];
};
_Static_assert(sizeof(struct blk_config) == 60, "the layout of 5.2.4");

struct blk_header {
    struct le32 type, reserved;
    struct le64 sector;
};
struct blk_range { /* struct virtio_blk_discard_write_zeroes */
    struct le64 sector;
    struct le32 sectors, flags;
};

struct blk_request {
    struct disk_request io; /* first: done finds the request by it */
    struct blk *blk;
    uint8_t *status; /* the last writable byte */
    uint16_t head;
    uint32_t written; /* used.len on success */
    uint64_t cost;    /* bytes that it counts for in BLK_DRAIN_BYTES */
    uint64_t from_ns; /* when the drain began that took it */
    bool is_stable;   /* must be on the disk before it is answered */
    unsigned range_count, range_next;
    union {
        struct iovec iov[BLK_QUEUE_SIZE];
        struct blk_range range[BLK_RANGES_MAX];
    };
};

struct blk {
    struct virtio_dev dev;
    struct disk *disk;
    struct blk_config config; /* const; writeback is in is_writeback */
    uint64_t sectors;
    char id[BLK_ID_BYTES];
    atomic_bool is_writeback; /* written on the loop thread, read by config_read */
    bool is_active;
    uint64_t drain_ns;                  /* when the last drain began */
    atomic_ulong requests, requests_ns; /* answered, and how long they took; written on the loop thread */
    struct blk_request *request;        /* BLK_QUEUE_SIZE, by head */
};

static struct blk *as_blk(struct virtio_dev *d)
{
    return (struct blk *)d;
}

static uint64_t features(const struct virtio_dev *d)
{
    const struct blk *b = (const struct blk *)d;
    const uint64_t common = BLK_F_SEG_MAX | BLK_F_BLK_SIZE | BLK_F_FLUSH | BLK_F_TOPOLOGY;
    if (disk_is_readonly(b->disk)) return common | BLK_F_RO;
    return common | BLK_F_CONFIG_WCE | BLK_F_WRITE_ZEROES | (disk_can_discard(b->disk) ? BLK_F_DISCARD : 0);
}

static void config_read(const struct virtio_dev *d, uint32_t off, void *buf, uint32_t len)
{
    const struct blk *b = (const struct blk *)d;
    struct blk_config c = b->config;
    c.writeback = atomic_load_explicit(&b->is_writeback, memory_order_relaxed);
    memcpy(buf, (const uint8_t *)&c + off, len);
}

/* Only the cache mode can be written (5.2.5). */
static void config_write(struct virtio_dev *d, uint32_t off, const void *buf, uint32_t len)
{
    struct blk *b = as_blk(d);
    const uint8_t mode = *(const uint8_t *)buf;
    if (off != offsetof(struct blk_config, writeback) || len != 1 || mode > 1) return;
    if ((features(d) & BLK_F_CONFIG_WCE) == 0 || (b->is_active && (d->features & BLK_F_CONFIG_WCE) == 0)) return;
    atomic_store_explicit(&b->is_writeback, mode, memory_order_relaxed);
}

/* Answering */

static void answer(struct blk_request *r, enum blk_status status, uint32_t written)
{
    struct blk *b = r->blk;
    *r->status = (uint8_t)status;
    virtq_push(&b->dev.vq[0], r->head, written);
    atomic_fetch_add_explicit(&b->requests, 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&b->requests_ns, now_ns() - r->from_ns, memory_order_relaxed);
}

/* used.len counts from the first writable byte (2.7.8). A failed request whose data lies before its status has written
 * none of it. */
static void refuse(struct blk_request *r, enum blk_status status)
{
    answer(r, status, r->written == 1 ? 1 : 0);
}

static bool next_range(struct blk_request *r)
{
    if (r->range_next == r->range_count) return false;
    const struct blk_range *g = &r->range[r->range_next++];
    r->io.offset = le64_get(g->sector) * DISK_SECTOR;
    r->io.bytes = (uint64_t)le32_get(g->sectors) * DISK_SECTOR;
    r->io.may_unmap = (le32_get(g->flags) & RANGE_F_UNMAP) != 0;
    return true;
}

/* A text of our own where the error's would mislead. */
static const char *reason(int rc)
{
    if (rc == DISK_CUT_SHORT) return "the image has become shorter than the disk";
    if (rc == -EAGAIN) return "the host gives no thread or memory for it (pids.max, ulimit -u)";
    return strerrordesc_np(-rc);
}

static void report(const struct blk_request *r, int rc)
{
    static const char *const verb[] = {[DISK_READ] = "read",
                                       [DISK_WRITE] = "write",
                                       [DISK_FLUSH] = "flush",
                                       [DISK_DISCARD] = "discard",
                                       [DISK_ZEROES] = "write zeroes"};
    struct virtio_dev *d = &r->blk->dev;
    char what[ERROR_TEXT_MAX];
    (void)snprintf(what, sizeof(what), "%s at byte %llu: %s; the guest got an I/O error", verb[r->io.op],
                   (unsigned long long)r->io.offset, reason(rc));
    d->up->host_error(d->up_arg, what);
}

static void done(struct disk_request *io, int rc)
{
    struct blk_request *r = (struct blk_request *)io;
    if (!r->blk->is_active) return; /* a reset: nobody wants an answer */
    if (rc != 0) {
        report(r, rc);
        refuse(r, S_IOERR);
    } else if (next_range(r)) {
        disk_submit(r->blk->disk, io);
    } else if (r->is_stable) {
        r->is_stable = false;
        io->op = DISK_FLUSH;
        io->offset = io->bytes = 0;
        disk_submit(r->blk->disk, io);
    } else {
        answer(r, S_OK, r->written);
    }
}

/* Asking */

/* The data of a transfer: `bytes` bytes of the segments, from byte `off` on. */
static void take_data(struct blk_request *r, const struct virtq_seg *seg, uint64_t off, uint64_t bytes)
{
    r->io.iov = r->iov;
    r->io.iov_count = 0;
    for (uint64_t left = bytes; left > 0; seg++) {
        if (off >= seg->len) {
            off -= seg->len;
            continue;
        }
        const uint64_t room = seg->len - off, n = room < left ? room : left;
        r->iov[r->io.iov_count++] = (struct iovec){seg->base + off, n};
        left -= n;
        off = 0;
    }
}

/* The range must lie on the disk and be whole blocks. A driver that doesn't look at blk_size works with sectors of 512
 * bytes and must hear that this disk has none. */
static bool is_on_disk(const struct blk *b, uint64_t sector, uint64_t sectors)
{
    const uint64_t block = disk_block_size(b->disk) / DISK_SECTOR;
    return sectors > 0 && sector % block == 0 && sectors % block == 0 && range_fits(sector, sectors, b->sectors);
}

static enum blk_status transfer(struct blk_request *r, const struct virtq_chain *c, uint64_t sector, bool is_read)
{
    const struct blk *b = r->blk;
    const uint64_t bytes = is_read ? c->in_bytes - 1 : c->out_bytes - sizeof(struct blk_header);
    if (!is_read && disk_is_readonly(b->disk)) return S_IOERR; /* 5.2.6.2 */
    if (bytes % DISK_SECTOR != 0 || !is_on_disk(b, sector, bytes / DISK_SECTOR)) return S_IOERR;
    r->io.op = is_read ? DISK_READ : DISK_WRITE;
    r->io.offset = sector * DISK_SECTOR;
    r->io.bytes = bytes;
    take_data(r, is_read ? c->seg + c->out_count : c->seg, is_read ? 0 : sizeof(struct blk_header), bytes);
    if (is_read) r->written = (uint32_t)c->in_bytes;
    return S_OK;
}

/* All ranges are checked before the first is touched. */
static enum blk_status ranges(struct blk_request *r, const struct virtq_chain *c, bool is_discard)
{
    const struct blk *b = r->blk;
    const uint64_t bytes = c->out_bytes - sizeof(struct blk_header);
    const unsigned ranges_max = is_discard ? BLK_DISCARD_RANGES : BLK_ZEROES_RANGES;
    const uint32_t sectors_max = is_discard ? BLK_DISCARD_SECTORS : BLK_ZEROES_SECTORS;
    if ((b->dev.features & (is_discard ? BLK_F_DISCARD : BLK_F_WRITE_ZEROES)) == 0) return S_UNSUPP;
    if (bytes == 0 || bytes % sizeof(struct blk_range) != 0 || bytes > ranges_max * sizeof(struct blk_range))
        return S_IOERR;
    (void)virtq_copy_out(c, sizeof(struct blk_header), r->range, bytes);
    r->range_count = (unsigned)(bytes / sizeof(struct blk_range));
    r->range_next = 0;
    for (unsigned i = 0; i < r->range_count; i++) {
        const struct blk_range *g = &r->range[i];
        const uint32_t sectors = le32_get(g->sectors);
        if ((le32_get(g->flags) & ~(is_discard ? 0u : RANGE_F_UNMAP)) != 0) return S_UNSUPP; /* 5.2.6.2 */
        if (sectors > sectors_max || !is_on_disk(b, le64_get(g->sector), sectors)) return S_IOERR;
        r->cost += (uint64_t)sectors * DISK_SECTOR / (is_discard ? BLK_DISCARD_COST : 1);
    }
    r->io.op = is_discard ? DISK_DISCARD : DISK_ZEROES;
    (void)next_range(r);
    return S_OK;
}

static void get_id(struct blk_request *r, const struct virtq_chain *c)
{
    const uint64_t room = c->in_bytes - 1;
    const size_t n = virtq_copy_in(c, 0, r->blk->id, room < BLK_ID_BYTES ? room : BLK_ID_BYTES);
    /* Data and status are one stretch only when the data filled its room. */
    answer(r, S_OK, (uint32_t)(n == room ? n + 1 : n));
}

static uint8_t *last_byte(const struct virtq_chain *c)
{
    unsigned i = (unsigned)c->out_count + c->in_count - 1;
    while (c->seg[i].len == 0) i--; /* in_bytes > 0: there is one */
    return c->seg[i].base + c->seg[i].len - 1;
}

/* Must what is written now be stable when it is answered (5.2.6.2)? */
static bool is_write_through(const struct blk *b)
{
    if ((b->dev.features & BLK_F_CONFIG_WCE) != 0) return !atomic_load_explicit(&b->is_writeback, memory_order_relaxed);
    return (b->dev.features & BLK_F_FLUSH) == 0;
}

/* Turn the chain into a request in flight, or answer it. Returns the bytes it counts for; 0: it can't be answered. */
static uint64_t serve(struct blk *b, const struct virtq_chain *c)
{
    struct blk_header h;
    if (c->in_bytes == 0) return 0;
    struct blk_request *r = &b->request[c->head];
    r->blk = b;
    r->from_ns = b->drain_ns;
    r->head = c->head;
    r->status = last_byte(c);
    r->written = c->in_bytes == 1 ? 1 : 0; /* a reader says more */
    r->range_count = r->range_next = 0;
    r->is_stable = false;
    r->cost = c->out_bytes + c->in_bytes;
    r->io.done = done;
    r->io.may_unmap = false;
    r->io.offset = r->io.bytes = 0;

    enum blk_status status = S_IOERR;
    if (virtq_copy_out(c, 0, &h, sizeof(h)) == sizeof(h)) {
        switch (le32_get(h.type)) {
        case T_IN: status = transfer(r, c, le64_get(h.sector), true); break;
        case T_OUT: status = transfer(r, c, le64_get(h.sector), false); break;
        case T_FLUSH:
            r->io.op = DISK_FLUSH;
            status = S_OK;
            break;
        case T_DISCARD: status = ranges(r, c, true); break;
        case T_WRITE_ZEROES: status = ranges(r, c, false); break;
        case T_GET_ID: get_id(r, c); return r->cost;
        default: status = S_UNSUPP; break;
        }
    }
    if (status != S_OK) {
        refuse(r, status);
        return c->out_bytes + c->in_bytes;
    }
    const uint64_t cost = r->cost; /* once submitted, the request may be over and its place taken */
    r->is_stable = (r->io.op == DISK_WRITE || r->io.op == DISK_ZEROES) && is_write_through(b);
    disk_submit(b->disk, &r->io);
    return cost;
}

static void notify(struct virtio_dev *d, unsigned queue)
{
    struct blk *b = as_blk(d);
    struct virtq *q = &d->vq[queue];
    struct virtq_chain chain;
    const char *why = NULL;
    uint64_t left = BLK_DRAIN_BYTES;
    unsigned budget = q->size;
    bool has_more = true;

    b->drain_ns = now_ns();
    while (!why && budget > 0 && left > 0 && has_more) {
        int rc = 0;
        virtq_disable_doorbell(q);
        while (!why && budget > 0 && left > 0 && (rc = virtq_pop(q, &chain)) == 1) {
            const uint64_t cost = serve(b, &chain);
            if (cost == 0) why = "a block request without a byte for its status";
            budget--;
            left -= cost < left ? cost : left;
        }
        if (rc < 0) why = q->why;
        has_more = virtq_enable_doorbell(q);
    }
    disk_kick(b->disk);
    virtio_used(d, queue);
    if (why) {
        q->is_broken = true;
        virtio_fault(d, why);
    } else if (has_more) {
        d->up->renotify(d->up_arg, queue);
    }
}

static void on_batch(void *arg)
{
    struct blk *b = arg;
    virtio_used(&b->dev, 0);
}

static int prepare(struct virtio_dev *d, struct err *e)
{
    return disk_attach(as_blk(d)->disk, d->loop, e);
}

static int activate(struct virtio_dev *d)
{
    struct blk *b = as_blk(d);
    /* 5.2.5.2: without a flush command there can be no volatile cache. */
    if ((d->features & BLK_F_FLUSH) == 0) atomic_store_explicit(&b->is_writeback, false, memory_order_relaxed);
    const int rc = disk_start(b->disk, d->loop, NULL);
    b->is_active = rc == 0;
    return rc;
}

static bool deactivate(struct virtio_dev *d)
{
    struct blk *b = as_blk(d);
    b->is_active = false; /* before the disk stops: requests that are cancelled are not answered */
    atomic_store_explicit(&b->is_writeback, true, memory_order_relaxed);
    return disk_stop(b->disk);
}

static void on_quiet(void *arg)
{
    struct blk *b = arg;
    b->dev.up->quiet(b->dev.up_arg);
}

static void destroy(struct virtio_dev *d)
{
    struct blk *b = as_blk(d);
    disk_close(b->disk);
    free(b->request);
    free(b);
}

static bool counter(const struct virtio_dev *d, unsigned index, struct virtio_counter *out)
{
    const struct blk *b = (const struct blk *)d;
    const struct virtio_counter all[] = {
        {"requests", atomic_load_explicit(&b->requests, memory_order_relaxed)},
        {"requests_ns", atomic_load_explicit(&b->requests_ns, memory_order_relaxed)},
    };
    if (index >= sizeof(all) / sizeof(all[0])) return false;
    *out = all[index];
    return true;
}

static const struct virtio_ops blk_ops = {
    .name = "blk",
    .id = VIRTIO_ID_BLOCK,
    .queue_count = 1,
    .queue_size = {BLK_QUEUE_SIZE},
    .features = features,
    .config_size = sizeof(struct blk_config),
    .config_read = config_read,
    .config_write = config_write,
    .prepare = prepare,
    .activate = activate,
    .deactivate = deactivate,
    .notify = notify,
    .destroy = destroy,
    .counter = counter,
};

static struct blk_config describe(const struct disk *disk)
{
    const bool can_discard = disk_can_discard(disk);
    const uint32_t block = disk_block_size(disk);
    struct blk_config c = {
        .capacity = le64_make(disk_sectors(disk)),
        .seg_max = le32_make(BLK_SEG_MAX),
        .blk_size = le32_make(block),
        .physical_block_exp = (uint8_t)__builtin_ctz(BLK_PAGE / block),
        .min_io_size = le16_make((uint16_t)(BLK_PAGE / block)), /* in blocks */
    };
    if (!disk_is_readonly(disk)) {
        c.max_write_zeroes_sectors = le32_make(BLK_ZEROES_SECTORS);
        c.max_write_zeroes_seg = le32_make(BLK_ZEROES_RANGES);
        c.write_zeroes_may_unmap = can_discard;
    }
    if (can_discard) {
        c.max_discard_sectors = le32_make(BLK_DISCARD_SECTORS);
        c.max_discard_seg = le32_make(BLK_DISCARD_RANGES);
        c.discard_sector_alignment = le32_make(BLK_PAGE / DISK_SECTOR);
    }
    return c;
}

int virtio_blk_create(struct virtio_dev **out, struct disk *disk, const char *serial, struct err *e)
{
    const size_t serial_len = serial ? strlen(serial) : 0;
    if (serial_len > BLK_ID_BYTES) {
        (void)err_set(e, -EINVAL, "serial '%s' has %zu bytes, and a disk's has at most %d", serial, serial_len,
                      BLK_ID_BYTES);
        err_hint(e, "shorten it");
        return -EINVAL;
    }
    struct blk *b = calloc(1, sizeof(*b));
    /* Large and zeroed: the C library maps it, and a page is touched only once a request uses it. */
    struct blk_request *requests = calloc(BLK_QUEUE_SIZE, sizeof(*requests));
    if (!b || !requests) {
        free(b);
        free(requests);
        (void)err_set(e, -ENOMEM, "out of memory for a disk's requests");
        err_as(e, ERR_HOST);
        return -ENOMEM;
    }
    b->dev.ops = &blk_ops;
    b->disk = disk;
    b->config = describe(disk);
    b->sectors = disk_sectors(disk);
    b->request = requests;
    atomic_init(&b->is_writeback, true);
    if (serial) memcpy(b->id, serial, serial_len);
    disk_on_batch(disk, on_batch, b);
    disk_on_quiet(disk, on_quiet, b);
    *out = &b->dev;
    return 0;
}
