/* The entropy device (VIRTIO 1.2, 5.4): gives bytes, and not always the same one. */
#ifndef VIREO_GUEST_ENTROPY_H
#define VIREO_GUEST_ENTROPY_H

#include "../common/virtio.h"

/* Ask for some bytes once and print how many came. Anything wrong ends the guest. */
void entropy_test(struct virtio_device *d);

#endif
