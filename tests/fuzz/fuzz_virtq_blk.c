/* The ring and virtio-blk under a driver's script: requests as they should be, checked against a model of the disk, and
 * between them descriptors, indices and memory as they should not. Memory is on the heap, so that a sanitizer sees the
 * first byte beyond it. The disk is in memory and served at once: the same input does the same, always. */
#include <unistd.h>

#include "devices/backend/disk_engine.h"
#include "devices/devices.h"
#include "tests/fuzz/fuzz.h"
#include "tests/unit/virtio/ring.h"
#include "vmm/base/endian.h"

#define MEM_BYTES  (96u << 10)
#define DISK_BYTES (32u << 10)
#define SIZE       16u     /* of the ring: raw indices often hit */
#define OPS_MAX    512u    /* longer scripts say nothing new */
#define AREA       0x4000u /* requests lie above it, the ring below */
#define DATA_MAX   (24u * 512)

enum { T_IN = 0, T_OUT = 1, T_FLUSH = 4, T_GET_ID = 8, T_DISCARD = 11, T_WRITE_ZEROES = 13 };
#define ID_BYTES 20u

struct driver {
    struct ring_mem mem;
    struct ring ring;
    struct loop loop;
    struct virtio_dev *dev;
    struct disk *disk;
    unsigned interrupts, faults;
    bool wants_notify, is_broken;
    bool is_raw; /* something was offered that the model does not know */
    uint16_t next_desc;
    uint8_t model[DISK_BYTES];
};

static void on_interrupt(void *arg)
{
    ((struct driver *)arg)->interrupts++;
}
static void on_fault(void *arg, const char *why)
{
    struct driver *d = arg;
    MUST(why);
    d->faults++;
    d->is_broken = true;
}
static void on_host_failed(void *arg, const char *why)
{
    (void)arg;
    (void)why;
    abort(); /* no guest can break the host's side */
}
static void on_renotify(void *arg, unsigned queue)
{
    MUST(queue == 0);
    ((struct driver *)arg)->wants_notify = true;
}
static void on_quiet(void *arg)
{
    (void)arg;
    abort(); /* nothing is in flight: it is done at once */
}
static const struct virtio_up up = {
    on_interrupt, on_interrupt, on_fault, on_host_failed, on_renotify, on_host_failed, on_quiet,
};

static void activate(struct driver *d, uint64_t features)
{
    d->mem.next = RING_MEM_GPA;
    memset(d->mem.host, 0, AREA);
    ring_init(&d->ring, &d->mem, SIZE);
    const struct virtq_config cfg = ring_config(&d->ring);
    d->dev->features = features & d->dev->ops->features(d->dev);
    d->dev->features |= features & (VIRTIO_F_INDIRECT_DESC | VIRTIO_F_EVENT_IDX);
    MUST(virtq_init(&d->dev->vq[0], &cfg, &d->mem.gmem, d->dev->features) == 0);
    MUST(d->dev->ops->activate(d->dev) == 0);
    d->is_broken = d->is_raw = d->wants_notify = false;
    d->next_desc = 0;
}

static void notify(struct driver *d)
{
    if (d->is_broken) return; /* the transport listens no more */
    const uint16_t before = ring_used_idx(&d->ring);
    d->dev->ops->notify(d->dev, 0);
    MUST(virtq_is_valid(&d->dev->vq[0]));
    MUST(d->is_broken || d->dev->vq[0].in_flight == 0); /* memory: all is done at once */
    MUST((uint16_t)(d->dev->vq[0].next_used - before) <= SIZE || d->is_raw);
    if (d->is_raw) MUST(pread(d->disk->fd, d->model, DISK_BYTES, 0) == DISK_BYTES);
}

/* A request as a driver makes it, its two directions cut into segments of `cut` bytes. */
struct request {
    uint32_t type, sector, sectors;
    uint32_t cut; /* > 0 */
    bool is_indirect;
};

static unsigned segments(struct ring_seg *seg, uint64_t gpa, uint32_t bytes, bool is_in, uint32_t cut)
{
    unsigned n = 0;
    while (bytes > 0) {
        const uint32_t len = n < 5 && cut < bytes ? cut : bytes;
        seg[n++] = (struct ring_seg){gpa, len, is_in};
        gpa += len;
        bytes -= len;
    }
    return n;
}

static void put(struct driver *d, const struct ring_seg *seg, unsigned n, bool is_indirect)
{
    const uint64_t table = RING_MEM_GPA + AREA - 16 * SIZE;
    const uint16_t first = d->next_desc;
    for (unsigned i = 0; i < n; i++) {
        const uint16_t link = i + 1 < n ? RING_F_NEXT : 0, way = seg[i].is_in ? RING_F_WRITE : 0;
        if (!is_indirect) {
            ring_set_desc(&d->ring, (uint16_t)((first + i) % SIZE), seg[i], link | way,
                          (uint16_t)((first + i + 1) % SIZE));
            continue;
        }
        uint8_t *e = ring_host(&d->mem, table + 16 * i);
        le64_write(e, seg[i].gpa);
        le32_write(e + 8, seg[i].len);
        le16_write(e + 12, link | way);
        le16_write(e + 14, (uint16_t)(i + 1));
    }
    if (is_indirect) ring_set_desc(&d->ring, first, (struct ring_seg){table, 16 * n, false}, RING_F_INDIRECT, 0);
    d->next_desc = (uint16_t)((first + n) % SIZE);
    ring_offer(&d->ring, first);
}

/* Bytes of data of a request. */
static uint32_t data_bytes(const struct request *r)
{
    switch (r->type) {
    case T_FLUSH: return 0;
    case T_GET_ID: return ID_BYTES;
    case T_DISCARD:
    case T_WRITE_ZEROES: return 16;
    default: return 512 * r->sectors;
    }
}

/* The status a request must get; what it should do to the disk is done to the model. */
static uint8_t expect(struct driver *d, const struct request *r, const uint8_t *data)
{
    const uint64_t f = d->dev->features;
    const bool is_range = r->type == T_DISCARD || r->type == T_WRITE_ZEROES;
    if (r->type == T_FLUSH || r->type == T_GET_ID) return 0;
    if (is_range && (f >> (r->type == T_DISCARD ? 13 : 14) & 1) == 0) return 2;
    if (r->sectors == 0 || r->sector > DISK_BYTES / 512 || r->sectors > DISK_BYTES / 512 - r->sector) return 1;
    uint8_t *place = d->model + 512 * r->sector;
    if (r->type == T_OUT) memcpy(place, data, 512 * r->sectors);
    if (is_range) memset(place, 0, 512 * r->sectors);
    return 0;
}

static void do_request(struct driver *d, const struct request *r)
{
    const bool is_in = r->type == T_IN || r->type == T_GET_ID;
    const uint64_t out = RING_MEM_GPA + AREA, in = out + 16 + DATA_MAX;
    uint8_t *o = ring_host(&d->mem, out), *n = ring_host(&d->mem, in);
    const uint32_t bytes = data_bytes(r);
    struct ring_seg seg[SIZE];
    if (d->is_broken || d->is_raw) return;

    le32_write(o, r->type);
    le64_write(o + 8, r->sector);
    if (r->type == T_DISCARD || r->type == T_WRITE_ZEROES) {
        le64_write(o + 16, r->sector);
        le32_write(o + 24, r->sectors);
        le32_write(o + 28, 0);
    }
    const uint8_t status = expect(d, r, o + 16);
    unsigned count = segments(seg, out, 16 + (is_in ? 0 : bytes), false, r->cut);
    count += segments(seg + count, in, (is_in ? bytes : 0) + 1, true, r->cut);
    n[is_in ? bytes : 0] = 0xff;
    put(d, seg, count, r->is_indirect && (d->dev->features & VIRTIO_F_INDIRECT_DESC) != 0);
    notify(d);
    MUST(!d->is_broken);
    MUST(n[is_in ? bytes : 0] == status);
    if (r->type == T_IN && status == 0) MUST(memcmp(n, d->model + 512 * r->sector, bytes) == 0);
    if (r->type == T_GET_ID) MUST(memcmp(n, "fuzz\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0", ID_BYTES) == 0);
}

static void request(struct driver *d, struct script *in)
{
    static const uint32_t type[] = {T_IN, T_OUT, T_DISCARD, T_WRITE_ZEROES, T_FLUSH, T_GET_ID, T_IN, T_OUT};
    const uint32_t a = take(in, 1);
    do_request(d, &(struct request){.type = type[a & 7],
                                    .sector = take(in, 1) % (DISK_BYTES / 512 + 2),
                                    .sectors = take(in, 1) % (DATA_MAX / 512 + 1),
                                    .cut = (a >> 4) * 97 + 1,
                                    .is_indirect = (a & 8) != 0});
}

/* An address that is often good, sometimes at an edge, seldom nonsense. */
static uint64_t address(struct script *in)
{
    const uint32_t a = take(in, 1), b = take(in, 2);
    switch (a & 7) {
    case 0: return RING_MEM_GPA + MEM_BYTES - (b & 31);
    case 1: return RING_MEM_GPA - (b & 31);
    case 2: return UINT64_MAX - (b & 31);
    case 3: return (uint64_t)b << 40;
    default: return RING_MEM_GPA + (a >> 3 & 1) * AREA + b % (MEM_BYTES - AREA);
    }
}

static void raw_desc(struct driver *d, struct script *in)
{
    const uint16_t i = (uint16_t)(take(in, 1) % SIZE);
    const struct ring_seg seg = {address(in), take(in, 1) % 4 == 0 ? take(in, 4) : take(in, 1), false};
    const uint32_t link = take(in, 1);
    ring_set_desc(&d->ring, i, seg, (uint16_t)(link & 7), (uint16_t)(link >> 3));
    d->is_raw = true;
}

static void poke(struct driver *d, struct script *in)
{
    const uint32_t at = take(in, 2);
    /* Headers, tables, rings: anything the device reads. */
    d->mem.host[at % (AREA + 64)] = (uint8_t)take(in, 1);
    d->is_raw = true;
}

static void configuration(struct driver *d, struct script *in)
{
    uint8_t bytes[8];
    const uint32_t size = d->dev->ops->config_size, len = 1u << take(in, 1) % 4, off = take(in, 1) % (size - len + 1);
    d->dev->ops->config_read(d->dev, off, bytes, len);
    le64_write(bytes, take(in, 2));
    d->dev->ops->config_write(d->dev, off, bytes, len);
}

static void step(struct driver *d, struct script *in)
{
    switch (take(in, 1) % 12) {
    case 0: raw_desc(d, in); break;
    case 1:
        d->is_raw = true;
        ring_offer(&d->ring, (uint16_t)(take(in, 1) % (SIZE + 2)));
        break;
    case 2:
        d->is_raw = true;
        ring_set_avail_idx(&d->ring, (uint16_t)(d->ring.avail_idx + (int8_t)take(in, 1)));
        break;
    case 3: poke(d, in); break;
    case 4: notify(d); break;
    case 5:
        MUST(d->dev->ops->deactivate(d->dev));
        activate(d, (uint64_t)take(in, 2) << 5 | (uint64_t)take(in, 1) << 28);
        break;
    case 6: configuration(d, in); break;
    case 7: ring_set_used_event(&d->ring, (uint16_t)take(in, 2)); break;
    case 8: ring_set_avail_flags(&d->ring, (uint16_t)take(in, 1)); break;
    default: request(d, in); break;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct driver d; /* its model is large for a stack; cleared each time */
    struct script in = {data, size};
    memset(&d, 0, sizeof(d));
    d.mem.host = aligned_alloc(GMEM_PAGE, MEM_BYTES);
    MUST(d.mem.host);
    memset(d.mem.host, 0, MEM_BYTES);
    gmem_init(&d.mem.gmem);
    MUST(gmem_add_host(&d.mem.gmem, RING_MEM_GPA, MEM_BYTES, d.mem.host, NULL) == 0);
    gmem_freeze(&d.mem.gmem);
    MUST(loop_init(&d.loop, NULL) == 0);
    MUST(disk_open_ram(&d.disk, DISK_BYTES, NULL) == 0);
    MUST(virtio_blk_create(&d.dev, d.disk, "fuzz", NULL) == 0);
    d.dev->mem = &d.mem.gmem;
    d.dev->loop = &d.loop;
    d.dev->up = &up;
    d.dev->up_arg = &d;
    activate(&d, UINT64_MAX);
    for (unsigned i = 0; i < OPS_MAX && in.left > 0; i++) step(&d, &in);
    MUST(d.dev->ops->deactivate(d.dev));
    d.dev->ops->destroy(d.dev);
    loop_fini(&d.loop);
    gmem_fini(&d.mem.gmem);
    free(d.mem.host);
    return 0;
}
