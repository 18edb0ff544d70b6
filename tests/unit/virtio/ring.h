/* The driver's side of a device, for tests: guest memory, rings built and read as a guest driver does it, and a rig
 * that activates a device without a transport and counts what it says upward.
 *
 *     struct rig r;
 *     rig_init(&r, dev, VIRTIO_F_VERSION_1);              memory, one ring per queue of the device, a loop
 *     rig_activate(&r);                                   checks the rings, ops->activate, notifies every queue once
 *     uint64_t buf = rig_alloc(&r, 512);                  guest memory; rig_host() gives its pointer
 *     ring_add(&r.ring[0], (struct ring_seg[]){{buf, 512, true}}, 1);
 *     rig_notify(&r, 0);                                  ops->notify, and renotifications until there are none
 *     rig_wait_used(&r, 0);                               runs the loop until the queue has a used element
 *     ring_take_used(&r.ring[0], &used);
 *     rig_fini(&r);                                       deactivates and destroys the device
 *
 * Everything asserts on failure; the raw accessors let a test break any rule a driver must keep. */
#ifndef VIREO_TESTS_RING_H
#define VIREO_TESTS_RING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/resource.h>

#include "devices/virtio/virtio.h"

#define RING_MEM_SIZE (4u << 20)  /* guest memory of a rig: room for the rings and a megabyte-sized request */
#define RING_MEM_GPA  0x40000000u /* not 0, so that a forgotten translation shows */

enum { RING_F_NEXT = 1, RING_F_WRITE = 2, RING_F_INDIRECT = 4 };

/* Guest memory handed out from the bottom, never given back. */
struct ring_mem {
    struct gmem gmem;
    uint8_t *host;
    uint64_t next; /* gpa */
};

void ring_mem_init(struct ring_mem *m);
void ring_mem_fini(struct ring_mem *m);
uint64_t ring_alloc(struct ring_mem *m, uint64_t len, uint64_t align); /* gpa, zeroed */
void *ring_host(const struct ring_mem *m, uint64_t gpa);               /* inside the memory */

struct ring {
    struct ring_mem *mem;
    uint16_t size;
    uint64_t desc, avail, used; /* gpa */
    uint16_t avail_idx;         /* as published */
    uint16_t last_used;         /* used elements taken */
    uint16_t free_head, free_count;
    uint16_t next[VIRTQ_MAX_SIZE]; /* the driver's own copy of the links: free list, and chains in flight */
};

struct ring_seg {
    uint64_t gpa;
    uint32_t len;
    bool is_in; /* the device writes it */
};
struct ring_used {
    uint32_t id, len;
};

void ring_init(struct ring *r, struct ring_mem *m, uint16_t size);
struct virtq_config ring_config(const struct ring *r);

/* Put a chain into free descriptors and offer it; returns its head. The indirect form uses one descriptor. */
uint16_t ring_add(struct ring *r, const struct ring_seg *seg, unsigned count);
uint16_t ring_add_indirect(struct ring *r, const struct ring_seg *seg, unsigned count);
/* The same, not yet offered. */
uint16_t ring_build(struct ring *r, const struct ring_seg *seg, unsigned count);
/* Take the next used element and free its chain; false: there is none. */
bool ring_take_used(struct ring *r, struct ring_used *out);
unsigned ring_used_count(const struct ring *r); /* used elements not yet taken */

/* Raw: no rule is kept. */
void ring_set_desc(struct ring *r, uint16_t i, struct ring_seg seg, uint16_t flags, uint16_t next);
void ring_offer(struct ring *r, uint16_t head); /* write the next available entry and publish avail.idx + 1 */
void ring_set_avail_idx(struct ring *r, uint16_t idx);
void ring_set_avail_flags(struct ring *r, uint16_t flags);
void ring_set_used_event(struct ring *r, uint16_t event);
uint16_t ring_used_flags(const struct ring *r);
uint16_t ring_avail_event(const struct ring *r);
uint16_t ring_used_idx(const struct ring *r);

/* Set-up that runs out of descriptors: from here on the process gets `more` new ones; release gives the old limit back
 * and tells how many are open now. */
struct fd_limit {
    rlim_t before;
};
struct fd_limit fd_limit_set(unsigned more);
unsigned fd_limit_release(struct fd_limit l);
unsigned fd_count(void);

/* A device under test. */
struct rig {
    struct virtio_dev *dev;
    struct ring_mem mem;
    struct ring ring[VIRTIO_MAX_QUEUES];
    struct loop loop;
    bool is_active, is_quiet;
    unsigned interrupts, config_changes, faults, host_failures, host_errors; /* what the device said */
    unsigned renotify;                                                       /* queues that want notify again, by bit */
    char why[128]; /* of the last fault, host failure or host error */
};

/* features: what the driver takes; VERSION_1 is added. */
void rig_init(struct rig *r, struct virtio_dev *dev, uint64_t features);
void rig_activate(struct rig *r);
void rig_reset(struct rig *r); /* deactivates; rings start anew at the next rig_activate */
void rig_fini(struct rig *r);
uint64_t rig_alloc(struct rig *r, uint64_t len);
void *rig_host(const struct rig *r, uint64_t gpa);
void rig_notify(struct rig *r, unsigned queue);
/* Run the loop for ms (> 0). */
void rig_run(struct rig *r, int ms);
/* Run the loop until the queue has a used element; fails the test after 5 s. */
void rig_wait_used(struct rig *r, unsigned queue);

#endif
