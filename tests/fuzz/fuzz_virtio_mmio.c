/* The transport under a script of bus accesses: the initialization as a driver does it, whole or in part, and between
 * its steps any access of any size anywhere in the window. The device behind is virtio-blk on a disk in memory; the
 * loop runs on this thread, a turn at a time, so the same input does the same. */
#include "devices/devices.h"
#include "devices/virtio/virtio_mmio.h"
#include "tests/fuzz/fuzz.h"
#include "tests/unit/virtio/mmio_registers.h"
#include "tests/unit/virtio/ring.h"

#define MEM_BYTES  (64u << 10)
#define DISK_BYTES (16u << 10)
#define OPS_MAX    256u
#define LOG_MAX    8u /* lines the transport may cost */

struct guest {
    struct ring_mem mem;
    struct ring ring;
    struct loop loop;
    struct virtio_mmio *t;
    unsigned log_lines;
    bool has_doorbell;
};

static void on_log(void *arg, enum log_level level, const char *line)
{
    (void)level;
    MUST(strncmp(line, "disk 0: ", 8) == 0);
    ((struct guest *)arg)->log_lines++;
}
static int on_doorbell(void *arg, unsigned queue, int fd, bool on)
{
    struct guest *g = arg;
    MUST(queue == 0 && fd >= 0 && g->has_doorbell != on);
    g->has_doorbell = on;
    return 0;
}
static void on_host_failed(void *arg, const char *device, const char *why)
{
    (void)arg;
    (void)device;
    (void)why;
    abort(); /* no guest can break the host's side */
}

static uint32_t rd(struct guest *g, uint64_t reg)
{
    return (uint32_t)virtio_mmio_bus_ops.read(g->t, reg, 4);
}
static void wr(struct guest *g, uint64_t reg, uint64_t value)
{
    virtio_mmio_bus_ops.write(g->t, reg, 4, (uint32_t)value);
}

static void stop(void *arg)
{
    loop_stop(arg);
}
static void turn(struct guest *g)
{
    struct loop_job job = {.fn = stop, .arg = &g->loop};
    loop_post(&g->loop, &job);
    loop_run(&g->loop);
}

static void features(struct guest *g, struct script *in)
{
    for (unsigned word = 0; word < 2; word++) {
        wr(g, DEVICE_FEATURES_SEL, word);
        wr(g, DRIVER_FEATURES_SEL, word);
        /* What is offered, less or (when the script says so) more. */
        wr(g, DRIVER_FEATURES, rd(g, DEVICE_FEATURES) ^ (take(in, 1) & 0x80 ? take(in, 4) : 0));
    }
}

static void queue(struct guest *g, struct script *in)
{
    g->mem.next = RING_MEM_GPA;
    ring_init(&g->ring, &g->mem, (uint16_t)(1u << take(in, 1) % 8));
    memset(g->mem.host, 0, MEM_BYTES / 2);
    const uint64_t area[3] = {g->ring.desc, g->ring.avail, g->ring.used};
    const uint32_t shift = take(in, 1); /* 0: as it should be */
    wr(g, QUEUE_SEL, 0);
    wr(g, QUEUE_NUM, shift & 0x80 ? take(in, 2) : g->ring.size);
    for (unsigned i = 0; i < 3; i++) {
        const uint64_t gpa = area[i] + (shift >> i & 1 ? take(in, 4) : 0);
        wr(g, QUEUE_DESC + 0x10 * i, gpa);
        wr(g, QUEUE_DESC + 0x10 * i + 4, gpa >> 32);
    }
    wr(g, QUEUE_READY, 1);
}

static void boot(struct guest *g, struct script *in)
{
    wr(g, STATUS, 0);
    wr(g, STATUS, 1);
    wr(g, STATUS, 3);
    features(g, in);
    wr(g, STATUS, 11);
    queue(g, in);
    wr(g, STATUS, 15);
}

/* Valid as far as the driver's own books go; the memory behind may be anybody's. */
static void offer(struct guest *g, struct script *in)
{
    if (!g->ring.mem) return;
    const struct ring_seg seg = {RING_MEM_GPA + MEM_BYTES / 2 + take(in, 2) % (MEM_BYTES / 2), take(in, 1), true};
    ring_set_desc(&g->ring, (uint16_t)(take(in, 1) % g->ring.size), seg, (uint16_t)(take(in, 1) & 7), 0);
    ring_offer(&g->ring, (uint16_t)(take(in, 1) % (g->ring.size + 1u)));
}

static void access(struct guest *g, struct script *in)
{
    const uint32_t how = take(in, 1);
    const unsigned size = 1u << (how & 3);
    const uint64_t at = (how & 4 ? take(in, 1) * 4u : take(in, 2)) % (VIRTIO_MMIO_SIZE - size + 1);
    if (how & 8) {
        virtio_mmio_bus_ops.write(g->t, at, size, (uint64_t)take(in, 4) << (how & 16 ? 32 : 0) | take(in, 1));
    } else {
        (void)virtio_mmio_bus_ops.read(g->t, at, size);
    }
}

static void check(struct guest *g)
{
    const struct virtio_dev *d = virtio_mmio_dev(g->t);
    const uint32_t status = rd(g, STATUS);
    MUST(rd(g, 0) == 0x74726976 && rd(g, 4) == 2);
    MUST((status & ~0xcfu) == 0 && ((status & 2) == 0 || (status & 1) != 0) &&
         ((status & 8) == 0 || (status & 3) == 3) && ((status & 4) == 0 || (status & 8) != 0));
    MUST(rd(g, INTERRUPT_STATUS) <= 3 && rd(g, QUEUE_READY) <= 1);
    MUST(virtq_is_valid(&d->vq[0]));
    MUST((status & 4) != 0 || (d->vq[0].size == 0 && !g->has_doorbell));
    MUST(g->log_lines <= LOG_MAX);
}

static void step(struct guest *g, struct script *in)
{
    switch (take(in, 1) % 10) {
    case 0: boot(g, in); break;
    case 1: wr(g, STATUS, take(in, 1)); break;
    case 2: features(g, in); break;
    case 3: queue(g, in); break;
    case 4: offer(g, in); break;
    case 5: wr(g, QUEUE_NOTIFY, take(in, 1) & 3 ? 0 : take(in, 4)); break;
    case 6: turn(g); break;
    case 7: wr(g, INTERRUPT_ACK, take(in, 1)); break;
    case 8: (void)virtio_mmio_bus_ops.read(g->t, CONFIG + take(in, 1), 1u << take(in, 1) % 4); break;
    default: access(g, in); break;
    }
    check(g);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct guest g = {.mem.host = aligned_alloc(GMEM_PAGE, MEM_BYTES)};
    struct script in = {data, size};
    struct virtio_dev *dev;
    struct disk *disk;
    const struct log log = {on_log, &g, LOG_DEBUG};
    MUST(g.mem.host);
    memset(g.mem.host, 0, MEM_BYTES);
    gmem_init(&g.mem.gmem);
    MUST(gmem_add_host(&g.mem.gmem, RING_MEM_GPA, MEM_BYTES, g.mem.host, NULL) == 0);
    gmem_freeze(&g.mem.gmem);
    MUST(loop_init(&g.loop, NULL) == 0);
    MUST(disk_open_ram(&disk, DISK_BYTES, NULL) == 0);
    MUST(virtio_blk_create(&dev, disk, NULL, NULL) == 0);
    const struct virtio_mmio_params p = {.dev = dev,
                                         .mem = &g.mem.gmem,
                                         .loop = &g.loop,
                                         .irq = {-1},
                                         .host = {on_doorbell, on_host_failed, &g},
                                         .log = &log,
                                         .label = "disk 0"};
    MUST(virtio_mmio_create(&g.t, &p, NULL) == 0);
    for (unsigned i = 0; i < OPS_MAX && in.left > 0; i++) step(&g, &in);
    virtio_mmio_destroy(g.t);
    MUST(!g.has_doorbell);
    loop_fini(&g.loop);
    gmem_fini(&g.mem.gmem);
    free(g.mem.host);
    return 0;
}
