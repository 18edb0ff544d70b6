/* What a virtio device is, to its transport and to itself (VIRTIO 1.2, chapter 2).
 *
 * A device embeds struct virtio_dev as its first member and brings a const struct virtio_ops. It sees virtqs and host
 * descriptors; never KVM, threads or command lines. A test drives it with a byte array and two eventfds.
 *
 * Threads: activate, deactivate, notify, config_write and destroy run on the loop thread (or before it runs, or after
 * it has ended). config_read and the features run on any vCPU thread, beside the loop: they read only what is const
 * after creation or _Atomic. */
#ifndef VIREO_DEVICES_VIRTIO_VIRTIO_H
#define VIREO_DEVICES_VIRTIO_VIRTIO_H

#include <linux/virtio_ids.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "devices/virtio/virtq.h"
#include "vmm/base/log.h"
#include "vmm/base/loop.h"

#define VIRTIO_MAX_QUEUES 4 /* net has 2, console 2; room for control queues */

/* Feature bits every device shares (VIRTIO 1.2, 6). The transport adds them; a device's features() need not. */
#define VIRTIO_F_INDIRECT_DESC (1ull << 28)
#define VIRTIO_F_EVENT_IDX     (1ull << 29)
#define VIRTIO_F_VERSION_1     (1ull << 32)

struct virtio_dev;

struct virtio_counter {
    const char *name; /* "rx_dropped": static, letters and underscores */
    uint64_t count;
};

struct virtio_ops {
    const char *name; /* "blk" */
    uint32_t id;      /* VIRTIO_ID_BLOCK: the type of the device (VIRTIO 1.2, 5) */
    unsigned queue_count;
    uint16_t queue_size[VIRTIO_MAX_QUEUES]; /* QueueSizeMax of each */
    uint64_t (*features)(const struct virtio_dev *d);
    uint32_t config_size; /* bytes of device configuration space; reads beyond give 0, writes beyond are dropped */
    void (*config_read)(const struct virtio_dev *d, uint32_t off, void *buf, uint32_t len);  /* inside config_size */
    void (*config_write)(struct virtio_dev *d, uint32_t off, const void *buf, uint32_t len); /* NULL: read-only */
    /* Called once, when mem, loop and up are set. Take from the host what activate will need (descriptors, places in
     * the loop), so that a guest can reset its device later even when the host runs short. destroy gives it back. NULL:
     * nothing is needed. 0, or -errno with *e set. */
    int (*prepare)(struct virtio_dev *d, struct err *e);
    /* DRIVER_OK was written. d->vq[] are checked (size 0: the driver left that queue out), and d->features is what was
     * negotiated. Every live queue is notified once right after. 0, or -errno when the host fails, which is never the
     * guest's fault: after a shortage the device goes to NEEDS_RESET and starts when it is reset; after another error
     * the machine ends with 122. */
    int (*activate)(struct virtio_dev *d);
    /* Reset or tear-down, only after a successful activate. Never waits, since a host file may take its time or never
     * answer. True: no request is in flight, and the guest's memory is not touched any more. False: requests are still
     * with the host's kernel; nothing new is begun, and when the last one is back, up->quiet is called once on the loop
     * thread. */
    bool (*deactivate)(struct virtio_dev *d);
    void (*notify)(struct virtio_dev *d, unsigned queue); /* the guest rang; drain at most one queue size */
    void (*destroy)(struct virtio_dev *d);                /* frees d; never while active */
    /* The index-th figure that the device counts; false: there are no more. Any thread. NULL: it counts nothing. */
    bool (*counter)(const struct virtio_dev *d, unsigned index, struct virtio_counter *out);
};

/* What a device may say upward; set by the transport (or a test). */
struct virtio_up {
    void (*interrupt)(void *arg);                    /* used buffers were added */
    void (*config_changed)(void *arg);               /* a configuration change interrupt */
    void (*fault)(void *arg, const char *why);       /* the guest broke the protocol: DEVICE_NEEDS_RESET */
    void (*host_failed)(void *arg, const char *why); /* the host side is gone for good: ends the machine with 122 */
    void (*renotify)(void *arg, unsigned queue);     /* call notify(queue) again from the loop, soon */
    void (*host_error)(void *arg, const char *what); /* the host failed, the guest was told and lives on: a log line */
    void (*quiet)(void *arg);                        /* what deactivate left in flight is back */
};

struct virtio_dev {
    const struct virtio_ops *ops;
    const struct gmem *mem;     /* set by the transport before activate */
    struct loop *loop;          /* set by the transport before activate */
    const struct virtio_up *up; /* set by the transport at its creation */
    void *up_arg;
    uint64_t features; /* negotiated, while active */
    struct virtq vq[VIRTIO_MAX_QUEUES];
    atomic_ulong fault_count; /* guest mistakes, for reports */
};

/* Interrupt the driver if it wants to hear of queue q's used buffers. Loop thread. */
static inline void virtio_used(struct virtio_dev *d, unsigned q)
{
    if (virtq_wants_interrupt(&d->vq[q])) d->up->interrupt(d->up_arg);
}
/* The guest broke the protocol on a queue. Counts it, sets DEVICE_NEEDS_RESET and returns: the device must not use the
 * queues until it is activated anew (virtq.is_broken makes pop return -EPROTO). Loop thread. */
static inline void virtio_fault(struct virtio_dev *d, const char *why)
{
    atomic_fetch_add_explicit(&d->fault_count, 1, memory_order_relaxed);
    d->up->fault(d->up_arg, why);
}

#endif
