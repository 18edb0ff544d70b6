/* A guest that reads its first disk for ever, a request every few milliseconds: what a disk costs it can be watched,
 * and what makes the disk slow is planted from outside. Part of the tests, in no program. */
#include "../common/guest.h"
#include "../common/virtio.h"

#define BLK_T_IN  0u
#define SECTOR    512u
#define CHUNK     4096u
#define SPAN      (1u << 20) /* bytes that are read in turn; the disk has as many */
#define PERIOD_MS 5

struct blk_header { /* VIRTIO 1.2, 5.2.6 */
    uint32_t type;
    uint32_t reserved;
    uint64_t sector;
};

static struct {
    struct virtio_ring ring;
    struct blk_header header;
    uint8_t data[CHUNK];
    uint8_t status;
} dma __attribute__((aligned(4096)));

static void read_at(struct virtio_device *d, uint32_t at)
{
    uint32_t length[SLOT_COUNT];
    const struct virtio_piece piece[] = {
        {&dma.header, sizeof(dma.header), false},
        {dma.data, CHUNK, true},
        {&dma.status, 1, true},
    };
    dma.header = (struct blk_header){.type = BLK_T_IN, .sector = at / SECTOR};
    virtio_put(d, 0, piece, 3);
    virtio_run(d, 1, length);
    if (dma.status) fail(GUEST_DISK_ERROR, "the read at sector %u ended with status %u", at / SECTOR, dma.status);
}

_Noreturn void guest_main(const void *boot)
{
    static struct guest_machine m;
    struct virtio_device d = {.id = 0};

    machine_discover(boot, &m);
    for (uint32_t i = 0; i < m.device_count && d.id != VIRTIO_ID_BLK; i++) virtio_probe(&d, &m.device[i]);
    if (d.id != VIRTIO_ID_BLK) fail(GUEST_BAD_DEVICE, "there is no disk to read");
    (void)virtio_start(&d, 0, &dma.ring);
    machine_mark(GUEST_MILESTONE_READY);
    for (uint32_t at = 0;; at = (at + CHUNK) % SPAN) {
        const uint64_t from = machine_ticks(), period = machine_ticks_per_ms() * PERIOD_MS;
        read_at(&d, at);
        while (machine_ticks() - from < period) machine_relax();
    }
}
