/* What a transport is made of: shared by virtio_mmio*.c, seen by nobody else.
 *
 *   virtio_mmio.c       made and taken down, on the control thread
 *   virtio_mmio_regs.c  the register window and its tables, on vCPU threads
 *   virtio_mmio_loop.c  activation, doorbells and what the device says, on the loop thread */
#ifndef VIREO_DEVICES_VIRTIO_VIRTIO_MMIO_STATE_H
#define VIREO_DEVICES_VIRTIO_VIRTIO_MMIO_STATE_H

#include <pthread.h>
#include <stdatomic.h>

#include "devices/virtio/virtio_mmio.h"

#define LABEL_MAX 96 /* "disk 0 (file name)" */

struct doorbell {
    struct virtio_mmio *t;
    unsigned queue;
    int fd;         /* eventfd: rung by KVM, by a QueueNotify exit, or by ourselves to come back to a queue */
    bool is_hooked; /* the host signals fd without an exit */
    struct loop_source source;
    _Atomic uint64_t own;   /* our rings that were not heard yet; counted before they ring */
    uint64_t owed;          /* loop thread: taken from own, but not found in fd yet */
    _Atomic uint64_t saved; /* the loop thread writes it: rings that fd held beyond our own */
};

struct virtio_mmio {
    /* Const after creation. */
    struct virtio_dev *dev;
    struct loop *loop;
    struct irq irq;
    struct virtio_mmio_host host;
    const struct log *log;
    char label[LABEL_MAX];
    uint64_t offered; /* features */

    pthread_mutex_t lock; /* guards the next block: what the guest programmed */
    uint32_t device_features_sel, driver_features_sel, queue_sel;
    uint64_t driver_features;
    bool has_features_above_63;
    uint8_t status; /* without S_NEEDS_RESET */
    struct virtq_config queue[VIRTIO_MAX_QUEUES];

    atomic_uint interrupt_status, config_generation;
    atomic_bool needs_reset;
    struct log_bucket logged_faults;                  /* of the guest */
    struct log_bucket logged_errors, logged_failures; /* of the host: what may pass, and what lasts */

    /* A reset waits here, holding `lock`, while its device's last requests are with the host's kernel. */
    pthread_mutex_t quiet_lock; /* guards the next block; taken after `lock` or alone */
    pthread_cond_t quiet;
    bool is_busy;      /* deactivated, and not quiet yet */
    bool is_abandoned; /* the machine ends: nobody waits any more */

    /* Loop thread only. */
    bool is_active;  /* between a successful activate and quiet */
    bool is_leaving; /* of that time, since deactivate */
    struct doorbell bell[VIRTIO_MAX_QUEUES];
};

/* Log what and why, after the device's label. Bounded, so that a guest can neither fill the host's log nor use up the
 * room for what the host has to tell. Any thread. */
void virtio_mmio_log(struct virtio_mmio *t, struct log_bucket *logged, const char *what, const char *why);

/* virtio_mmio_loop.c. All but the ring on the loop thread, or while none runs. */
extern const struct virtio_up virtio_mmio_up; /* its argument is the transport */
void virtio_mmio_activate(void *transport);   /* by loop_call, while the caller holds the lock */
void virtio_mmio_deactivate(void *transport); /* does nothing to one that is not active; is_busy until it is quiet */
void virtio_mmio_ring(struct doorbell *b);    /* any thread */
void virtio_mmio_on_doorbell(void *doorbell, uint32_t events);

#endif
