/* The driver of virtio.h: registers, status dance, ring. */
#include "virtio.h"

/* VIRTIO 1.2, 4.2.2: register offsets. */
enum {
    REG_MAGIC = 0x000,
    REG_VERSION = 0x004,
    REG_DEVICE_ID = 0x008,
    REG_DEVICE_FEATURES = 0x010,
    REG_DEVICE_FEATURES_SEL = 0x014,
    REG_DRIVER_FEATURES = 0x020,
    REG_DRIVER_FEATURES_SEL = 0x024,
    REG_QUEUE_SEL = 0x030,
    REG_QUEUE_SIZE_MAX = 0x034,
    REG_QUEUE_SIZE = 0x038,
    REG_QUEUE_READY = 0x044,
    REG_QUEUE_NOTIFY = 0x050,
    REG_INTERRUPT_STATUS = 0x060,
    REG_INTERRUPT_ACK = 0x064,
    REG_STATUS = 0x070,
    REG_QUEUE_DESC = 0x080,
    REG_QUEUE_DRIVER = 0x090,
    REG_QUEUE_DEVICE = 0x0a0,
    REG_CONFIG = 0x100,
};

#define MAGIC              0x74726976u /* "virt" */
#define MMIO_VERSION       2u
#define STATUS_ACKNOWLEDGE 1u /* VIRTIO 1.2, 2.1 */
#define STATUS_DRIVER      2u
#define STATUS_DRIVER_OK   4u
#define STATUS_FEATURES_OK 8u
#define STATUS_NEEDS_RESET 64u
#define INTERRUPT_USED     1u
#define DESC_NEXT          1u /* 2.7.5 */
#define DESC_WRITE         2u
#define RESET_READS_MAX    1000  /* a reset waits for requests in flight; each read is an exit of several us */
#define ANSWER_MS          10000 /* a request on an emulated host with a busy disk, with room */
#define INTERRUPT_MS       1000  /* the interrupt follows the used ring at once */

static uint32_t reg_read(const struct virtio_device *d, uint32_t offset)
{
    return mmio_read32(d->at->base + offset);
}

static void reg_write(const struct virtio_device *d, uint32_t offset, uint32_t value)
{
    mmio_write32(d->at->base + offset, value);
}

static void reg_write64(const struct virtio_device *d, uint32_t offset, const void *address)
{
    reg_write(d, offset, (uint32_t)(uintptr_t)address);
    reg_write(d, offset + 4, (uint32_t)((uint64_t)(uintptr_t)address >> 32));
}

static void reset(const struct virtio_device *d)
{
    reg_write(d, REG_STATUS, 0);
    for (int i = 0; i < RESET_READS_MAX; i++) {
        if (!reg_read(d, REG_STATUS)) return;
    }
    fail(GUEST_DEVICE_BROKEN, "the device at 0x%lx does not end its reset: its status stays 0x%x", d->at->base,
         reg_read(d, REG_STATUS));
}

void virtio_probe(struct virtio_device *d, const struct guest_device *at)
{
    *d = (struct virtio_device){.at = at};
    if (reg_read(d, REG_MAGIC) != MAGIC || reg_read(d, REG_VERSION) != MMIO_VERSION)
        fail(GUEST_BAD_DEVICE, "no virtio-mmio version 2 device at 0x%lx: magic 0x%x, version %u", at->base,
             reg_read(d, REG_MAGIC), reg_read(d, REG_VERSION));
    d->id = reg_read(d, REG_DEVICE_ID);
    if (d->id) reset(d);
}

const char *virtio_name(uint32_t id)
{
    /* VIRTIO 1.2, 5. Arrays, not pointers: the arm64 image runs where it is put and has no relocations. */
    static const struct {
        uint32_t id;
        char name[16];
    } names[] = {
        {1, "virtio-net"},  {2, "virtio-blk"}, {3, "virtio-console"}, {4, "virtio-rng"},    {5, "virtio-balloon"},
        {8, "virtio-scsi"}, {9, "virtio-9p"},  {16, "virtio-gpu"},    {18, "virtio-input"}, {19, "virtio-vsock"},
        {24, "virtio-mem"}, {26, "virtio-fs"}, {27, "virtio-pmem"},
    };
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (names[i].id == id) return names[i].name;
    }
    return "virtio device";
}

uint32_t virtio_config32(const struct virtio_device *d, uint32_t offset)
{
    return reg_read(d, REG_CONFIG + offset);
}

uint8_t virtio_config8(const struct virtio_device *d, uint32_t offset)
{
    return *(const volatile uint8_t *)(uintptr_t)(d->at->base + REG_CONFIG + offset);
}

static uint64_t negotiate(const struct virtio_device *d, uint64_t wanted)
{
    uint64_t offered = 0;

    for (uint32_t half = 0; half < 2; half++) {
        reg_write(d, REG_DEVICE_FEATURES_SEL, half);
        offered |= (uint64_t)reg_read(d, REG_DEVICE_FEATURES) << (32 * half);
    }
    if (!(offered & VIRTIO_F_VERSION_1))
        fail(GUEST_NO_FEATURE, "%s at 0x%lx does not offer VERSION_1: its features are 0x%lx", virtio_name(d->id),
             d->at->base, offered);
    const uint64_t taken = offered & (wanted | VIRTIO_F_VERSION_1);
    for (uint32_t half = 0; half < 2; half++) {
        reg_write(d, REG_DRIVER_FEATURES_SEL, half);
        reg_write(d, REG_DRIVER_FEATURES, (uint32_t)(taken >> (32 * half)));
    }
    reg_write(d, REG_STATUS, STATUS_ACKNOWLEDGE | STATUS_DRIVER | STATUS_FEATURES_OK);
    if (!(reg_read(d, REG_STATUS) & STATUS_FEATURES_OK))
        fail(GUEST_NO_FEATURE, "%s at 0x%lx refuses the features 0x%lx, all of which it offers", virtio_name(d->id),
             d->at->base, taken);
    return taken;
}

static void set_queue(struct virtio_device *d, struct virtio_ring *ring)
{
    reg_write(d, REG_QUEUE_SEL, 0);
    const uint32_t size_max = reg_read(d, REG_QUEUE_SIZE_MAX);
    if (size_max < QUEUE_SIZE)
        fail(GUEST_BAD_QUEUE, "%s at 0x%lx allows %u entries in queue 0, the guest needs %u", virtio_name(d->id),
             d->at->base, size_max, (unsigned)QUEUE_SIZE);
    memset(&ring->avail, 0, sizeof(ring->avail));
    memset(&ring->used, 0, sizeof(ring->used));
    d->ring = ring;
    d->last_used = 0;
    reg_write(d, REG_QUEUE_SIZE, QUEUE_SIZE);
    reg_write64(d, REG_QUEUE_DESC, ring->desc);
    reg_write64(d, REG_QUEUE_DRIVER, &ring->avail);
    reg_write64(d, REG_QUEUE_DEVICE, &ring->used);
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    reg_write(d, REG_QUEUE_READY, 1);
}

/* VIRTIO 1.2, 3.1.1: the order of the steps is the specification's. */
uint64_t virtio_start(struct virtio_device *d, uint64_t wanted, struct virtio_ring *ring)
{
    reset(d);
    reg_write(d, REG_STATUS, STATUS_ACKNOWLEDGE);
    reg_write(d, REG_STATUS, STATUS_ACKNOWLEDGE | STATUS_DRIVER);
    const uint64_t taken = negotiate(d, wanted);
    set_queue(d, ring);
    irq_watch(d->at);
    const uint32_t running = STATUS_ACKNOWLEDGE | STATUS_DRIVER | STATUS_FEATURES_OK | STATUS_DRIVER_OK;
    reg_write(d, REG_STATUS, running);
    const uint32_t status = reg_read(d, REG_STATUS);
    if (status != running)
        fail(GUEST_DEVICE_BROKEN, "%s at 0x%lx does not start: its status is 0x%x", virtio_name(d->id), d->at->base,
             status);
    return taken;
}

void virtio_stop(struct virtio_device *d)
{
    reset(d);
    irq_unwatch(d->at);
    d->ring = NULL;
}

void virtio_put(struct virtio_device *d, uint32_t slot, const struct virtio_piece *piece, uint32_t count)
{
    const uint32_t first = slot * SLOT_DESCS;

    for (uint32_t i = 0; i < count; i++) {
        const bool is_last = i + 1 == count;
        d->ring->desc[first + i] = (struct virtq_desc){
            .addr = (uint64_t)(uintptr_t)piece[i].data,
            .len = piece[i].len,
            .flags = (uint16_t)((is_last ? 0 : DESC_NEXT) | (piece[i].is_written ? DESC_WRITE : 0)),
            .next = (uint16_t)(is_last ? 0 : first + i + 1),
        };
    }
    /* Everything before was used, so the ring's next free place is right behind what was put since. */
    d->ring->avail.ring[(uint16_t)(d->last_used + slot) % QUEUE_SIZE] = (uint16_t)first;
}

/* Interrupt and cause come in either order: the last batch's late interrupt may precede this batch's cause. */
static void wait_interrupt(const struct virtio_device *d)
{
    const uint64_t start = machine_ticks(), limit = INTERRUPT_MS * machine_ticks_per_ms();
    bool is_raised = false;
    uint32_t causes = 0;

    while (!is_raised || !(causes & INTERRUPT_USED)) {
        if (machine_ticks() - start > limit)
            fail(GUEST_NO_INTERRUPT, "%s at 0x%lx answered, but interrupt %u %s and the interrupt status is 0x%x",
                 virtio_name(d->id), d->at->base, d->at->irq, is_raised ? "came" : "did not come",
                 reg_read(d, REG_INTERRUPT_STATUS));
        machine_relax();
        is_raised |= irq_take(d->at);
        if (is_raised) causes = reg_read(d, REG_INTERRUPT_STATUS);
    }
    reg_write(d, REG_INTERRUPT_ACK, causes);
}

static void wait_used(const struct virtio_device *d, uint16_t idx)
{
    const uint64_t start = machine_ticks(), limit = ANSWER_MS * machine_ticks_per_ms();

    while (__atomic_load_n(&d->ring->used.idx, __ATOMIC_ACQUIRE) != idx) {
        if (machine_ticks() - start > limit) {
            const uint32_t status = reg_read(d, REG_STATUS);
            fail(status & STATUS_NEEDS_RESET ? GUEST_DEVICE_BROKEN : GUEST_TIMEOUT,
                 "%s at 0x%lx answered %u of %u requests in %u ms: its status is 0x%x", virtio_name(d->id), d->at->base,
                 (uint16_t)(d->ring->used.idx - d->last_used), (uint16_t)(idx - d->last_used), (unsigned)ANSWER_MS,
                 status);
        }
        machine_relax();
    }
}

void virtio_run(struct virtio_device *d, uint32_t count, uint32_t lengths[SLOT_COUNT])
{
    const uint16_t end = (uint16_t)(d->last_used + count);
    uint32_t unseen = (1u << count) - 1;

    __atomic_store_n(&d->ring->avail.idx, end, __ATOMIC_RELEASE);
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    reg_write(d, REG_QUEUE_NOTIFY, 0);
    wait_used(d, end);
    wait_interrupt(d);
    for (; d->last_used != end; d->last_used++) {
        const uint32_t at = d->last_used % QUEUE_SIZE;
        const uint32_t id = d->ring->used.ring[at].id, slot = id / SLOT_DESCS;
        if (id % SLOT_DESCS || slot >= count || !(unseen & 1u << slot))
            fail(GUEST_BAD_USED, "%s at 0x%lx used descriptor %u, which was not offered", virtio_name(d->id),
                 d->at->base, id);
        unseen &= ~(1u << slot);
        lengths[slot] = d->ring->used.ring[at].len;
    }
}
