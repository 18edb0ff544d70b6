/* The disk test: what a virtio-blk device holds is what was written to it. */
#ifndef VIREO_GUEST_DISK_H
#define VIREO_GUEST_DISK_H

#include "../common/virtio.h"

/* Use the disk behind *d: ask its id, read, and, if it is the scratch disk, write all of it (1 MiB at most) at several
 * queue depths and compare. Prints a line; anything wrong ends the guest. */
void disk_test(struct virtio_device *d);

#endif
