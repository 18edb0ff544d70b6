/* A driver for virtio-mmio devices, version 2 (VIRTIO 1.2, 4.2.2), with one queue and no allocation.
 *
 * Requests live in slots: slot i owns the descriptors 3i .. 3i+2, so nothing has to be searched or freed and a used id
 * tells the slot. All requests of a batch are offered at once and waited for together. Anything a device must not do
 * ends the guest with a sentence. */
#ifndef VIREO_GUEST_VIRTIO_H
#define VIREO_GUEST_VIRTIO_H

#include "guest.h"

#define VIRTIO_ID_NET 1
#define VIRTIO_ID_BLK 2
#define VIRTIO_ID_RNG 4

#define VIRTIO_F_VERSION_1 (1ull << 32)

#define SLOT_COUNT 16 /* the greatest depth used */
#define SLOT_DESCS 3  /* header, data, status: what a disk request takes */
#define QUEUE_SIZE 64 /* the power of two that holds all slots */

/* VIRTIO 1.2, 2.7.5, 2.7.6 and 2.7.8; every field little-endian, as both architectures are. */
struct virtq_desc {
    uint64_t addr;
    uint32_t len;
    uint16_t flags;
    uint16_t next;
};

struct virtq_avail {
    uint16_t flags;
    uint16_t idx;
    uint16_t ring[QUEUE_SIZE];
    uint16_t used_event;
};

struct virtq_used {
    uint16_t flags;
    uint16_t idx;
    struct {
        uint32_t id;
        uint32_t len;
    } ring[QUEUE_SIZE];
    uint16_t avail_event;
};

struct virtio_ring {
    _Alignas(16) struct virtq_desc desc[QUEUE_SIZE];
    _Alignas(2) struct virtq_avail avail;
    _Alignas(4) struct virtq_used used;
};

struct virtio_device {
    const struct guest_device *at;
    uint32_t id;
    uint16_t last_used;
    struct virtio_ring *ring;
};

/* A piece of a request. */
struct virtio_piece {
    void *data;
    uint32_t len;
    bool is_written; /* by the device */
};

/* Check that a virtio-mmio device is there and reset it. Its id in d->id, 0: an empty slot. */
void virtio_probe(struct virtio_device *d, const struct guest_device *at);
/* "virtio-blk" and so on; "virtio device" for an id without a name here. */
const char *virtio_name(uint32_t id);
uint32_t virtio_config32(const struct virtio_device *d, uint32_t offset);
uint8_t virtio_config8(const struct virtio_device *d, uint32_t offset);
/* Take VERSION_1 and what is offered of `wanted`, set up queue 0 on *ring, set DRIVER_OK. Returns what was taken. */
uint64_t virtio_start(struct virtio_device *d, uint64_t wanted, struct virtio_ring *ring);
void virtio_stop(struct virtio_device *d);
/* Write slot `slot`'s descriptors (at most SLOT_DESCS pieces) and put it in the available ring, not yet shown. */
void virtio_put(struct virtio_device *d, uint32_t slot, const struct virtio_piece *piece, uint32_t count);
/* Show all `count` requests put, ring the doorbell, wait until each is used; lengths[slot] is what the device wrote. */
void virtio_run(struct virtio_device *d, uint32_t count, uint32_t lengths[SLOT_COUNT]);

#endif
