/* The virtio-mmio transport, version 2 (VIRTIO 1.2, 4.2): register window, status table, doorbells, interrupt.
 *
 * It owns what the guest programmed. Its tables say which status may follow which and when a register may be written;
 * queue registers can't change after DRIVER_OK. On DRIVER_OK it checks the queues (virtq_init), then activates the
 * device on the loop thread and notifies every live queue once, as a doorbell may have rung before. Doorbells and their
 * places in the loop are made at creation and kept over resets. So a guest that starts its device later finds
 * everything there, whatever the host is short of by then.
 *
 * Threads: the bus handlers run on vCPU threads under the transport's own lock. They touch the device only by
 * loop_call, with that lock held. Nothing on the loop takes the lock (interrupt status, NEEDS_RESET and the
 * configuration generation are atomics), so there is no lock order to get wrong. */
#ifndef VIREO_DEVICES_VIRTIO_VIRTIO_MMIO_H
#define VIREO_DEVICES_VIRTIO_VIRTIO_MMIO_H

#include "devices/virtio/virtio.h"
#include "vmm/core/bus.h"
#include "vmm/core/irq.h"

#define VIRTIO_MMIO_SIZE         0x1000 /* one page per device, so that a page protection can single one out */
#define VIRTIO_MMIO_QUEUE_NOTIFY 0x50

/* What the transport asks of the machine. Any member may be NULL (tests). */
struct virtio_mmio_host {
    /* Let writes of `queue` to QueueNotify signal fd without an exit (ioeventfd), or stop that. 0 or -errno: on error
     * the doorbell still works, through an exit. Called on the loop thread around activate / deactivate, so that a
     * guest which never drives the device never pays for it (closing a VM with an ioeventfd costs a grace period). */
    int (*doorbell)(void *arg, unsigned queue, int fd, bool on);
    void (*host_failed)(void *arg, const char *device, const char *why);
    void *arg;
};

struct virtio_mmio;

struct virtio_mmio_params {
    struct virtio_dev *dev; /* ownership passes on success: destroyed with the transport */
    const struct gmem *mem; /* outlives the transport */
    struct loop *loop;      /* outlives the transport */
    struct irq irq;         /* borrowed: raised for used buffers and configuration changes */
    struct virtio_mmio_host host;
    const struct log *log;
    const char *label; /* "disk 0 (root.ext4)": copied, used in log lines */
};

int virtio_mmio_create(struct virtio_mmio **out, const struct virtio_mmio_params *p, struct err *e);
/* The machine ends: a vCPU that waits in a reset for the device's last requests stops waiting. Any thread. */
void virtio_mmio_abandon(struct virtio_mmio *t);
/* Deactivate the device; true: it is quiet, and may be destroyed. False: requests are still with the host's kernel;
 * turn the loop and ask again. After the vCPUs and the loop have ended. */
bool virtio_mmio_quiesce(struct virtio_mmio *t);
/* Destroys the device too, which is quiet or was never active. After vCPUs and loop have ended. NULL is legal. */
void virtio_mmio_destroy(struct virtio_mmio *t);

extern const struct bus_ops virtio_mmio_bus_ops; /* dev: struct virtio_mmio * */

struct virtio_dev *virtio_mmio_dev(struct virtio_mmio *t);
/* How often a queue's doorbell came by ioeventfd: exits that did not happen. A ring that was not heard yet is not
 * counted. Any thread. */
uint64_t virtio_mmio_saved_exits(const struct virtio_mmio *t, unsigned queue);

#endif
