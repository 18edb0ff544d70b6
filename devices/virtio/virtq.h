/* The split virtqueue, device side (VIRTIO 1.2, 2.7): the only reader of descriptors in the tree.
 *
 * What the guest programmed (struct virtq_config: owned by the transport, trusted by nobody) and what was checked
 * (struct virtq: owned by the device between activate and deactivate) are two types, so they can't be confused. Nothing
 * in guest memory is trusted: each descriptor is loaded once, a chain is bounded by the queue size, and addresses go
 * through gmem_slice with their length. An avail.idx more than a queue size ahead, and a head that is still in flight,
 * are refused. A refusal is -EPROTO: the device calls virtio_fault() and stops using the queue.
 *
 * All functions: loop thread of the device. No allocation, no lock, no syscall. */
#ifndef VIREO_DEVICES_VIRTIO_VIRTQ_H
#define VIREO_DEVICES_VIRTIO_VIRTQ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "vmm/core/gmem.h"

#define VIRTQ_MAX_SIZE 256 /* descriptors; power of two. 256 keeps a chain's segments in one page of stack */

/* As programmed by the driver through the transport. */
struct virtq_config {
    uint16_t size;
    bool is_ready;
    uint64_t desc, avail, used; /* gpa */
};

struct virtq_seg {
    uint8_t *base;
    uint32_t len; /* bytes; may be 0 */
};

/* One request. Segments the device reads come first (seg[0..out_count)), then those it writes. Each was translated
 * with its length. Guest memory behind them may change at any time. */
struct virtq_chain {
    uint16_t head;
    uint16_t out_count; /* device-readable segments */
    uint16_t in_count;  /* device-writable segments */
    uint64_t out_bytes, in_bytes;
    struct virtq_seg seg[VIRTQ_MAX_SIZE];
};

struct virtq {
    const struct gmem *mem;
    const uint8_t *desc; /* descriptor table, size * 16 bytes */
    uint8_t *avail, *used;
    uint16_t size; /* 0: not active */
    uint16_t next_avail;
    uint16_t next_used;
    uint16_t signalled_used; /* used.idx at the last interrupt decision */
    bool has_event_idx, has_indirect;
    bool is_broken;
    const char *why; /* is_broken: what the guest did, for virtio_fault(); static */
    unsigned in_flight;
    uint64_t in_flight_map[VIRTQ_MAX_SIZE / 64]; /* by head */
};

/* Check cfg and translate its three areas. features: the negotiated bits (RING_EVENT_IDX, INDIRECT_DESC).
 * 0, or -EINVAL: size 0, > VIRTQ_MAX_SIZE or no power of two, misaligned (2.7: 16/2/4), outside memory, overlapping. */
int virtq_init(struct virtq *q, const struct virtq_config *cfg, const struct gmem *mem, uint64_t features);

/* Take the next chain the guest offered. 1: *out is filled; 0: none; -EPROTO: the guest broke the ring.
 * Segments stay valid until virtq_push(out->head). VIRTIO 1.2, 2.7.13. */
int virtq_pop(struct virtq *q, struct virtq_chain *out);
/* Give back what was popped last, unserved (net rx with too little room, console with no input). */
void virtq_unpop(struct virtq *q, const struct virtq_chain *chain);

/* Return a chain to the guest, with the number of bytes written into its writable part (2.7.8).
 * head must be in flight (asserted: it is our own number). Published with release order. */
void virtq_push(struct virtq *q, uint16_t head, uint32_t written);
/* For mergeable receive buffers: fill used elements without publishing (index 0.. from the last publish), then publish
 * `count` of them at once (5.1.6.4). virtq_push is stage + publish(1). */
void virtq_stage(struct virtq *q, unsigned index, uint16_t head, uint32_t written);
void virtq_publish(struct virtq *q, unsigned count);

/* After pushing: does the driver want an interrupt (2.7.7, with EVENT_IDX 2.7.10)? Counts as told when true. */
bool virtq_wants_interrupt(struct virtq *q);
/* The same, and nothing counts as told: for who tells it later, and asks again then. */
bool virtq_asks_interrupt(const struct virtq *q);
/* Suppress / ask for doorbells (2.7.10). enable returns true when the guest offered more meanwhile: drain again. */
void virtq_disable_doorbell(struct virtq *q);
bool virtq_enable_doorbell(struct virtq *q);

/* Copy between a chain's readable / writable part and a buffer, from byte offset `off` of that part.
 * Returns the number of bytes copied (less than len at the end of the part). */
size_t virtq_copy_out(const struct virtq_chain *c, size_t off, void *buf, size_t len);
size_t virtq_copy_in(const struct virtq_chain *c, size_t off, const void *buf, size_t len);

bool virtq_is_valid(const struct virtq *q); /* the struct's invariant: for asserts, tests, fuzzers */

#endif
