/* Constructors of every device, one line each. A device is added here, in its own .c, and in the machine's table.
 * Each takes ownership of the backend it is given on success only; each returns 0 or -errno with *e set. */
#ifndef VIREO_DEVICES_DEVICES_H
#define VIREO_DEVICES_DEVICES_H

#include "devices/backend/chario.h"
#include "devices/backend/disk.h"
#include "devices/backend/net_backend.h"
#include "devices/virtio/virtio.h"

/* virtio-blk (VIRTIO 1.2, 5.2) on a disk; serial: at most 20 bytes, NULL: none. */
int virtio_blk_create(struct virtio_dev **out, struct disk *disk, const char *serial, struct err *e);
/* virtio-net (5.1) on a network's host side. mac: 6 bytes, NULL: chosen by us, locally administered; mtu 0: not
 * offered. */
int virtio_net_create(struct virtio_dev **out, struct net_backend *host, const uint8_t *mac, uint16_t mtu,
                      struct err *e);
struct virtio_net_counts {
    uint64_t rx_frames, rx_dropped, tx_frames, tx_dropped;
};
struct virtio_net_counts virtio_net_counts(const struct virtio_dev *net); /* any thread */
/* virtio-console (5.3), one port, on a console backend; the backend is shared with the serial port, not owned. */
int virtio_console_create(struct virtio_dev **out, struct chario *io, struct err *e);
/* virtio-rng (5.4), from getrandom(2). */
int virtio_rng_create(struct virtio_dev **out, struct err *e);

#endif
