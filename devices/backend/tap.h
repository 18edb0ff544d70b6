/* A network's host side: a tap device's queue, with a virtio-net header before every frame (IFF_VNET_HDR, 12 bytes as
 * with VIRTIO_NET_F_MRG_RXBUF / VERSION_1). Non-blocking. Opening changes nothing but the attachment itself: offloads
 * are set when the driver has negotiated. */
#ifndef VIREO_DEVICES_BACKEND_TAP_H
#define VIREO_DEVICES_BACKEND_TAP_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/uio.h>

#include "vmm/base/err.h"
#include "vmm/base/forked.h"

struct tap {
    int fd;
    struct forked forked; /* a child of fork(2) is not attached */
    int link_fd;          /* readable when the state of some link has changed; -1: not watched */
    char name[16];        /* "" for an fd whose name the kernel won't tell */
    bool has_offloads;    /* false for what carries frames with the same header and is no tap: a test's socket pair */
    unsigned offloads;    /* as last set */
};

/* Attach to an existing tap. Refuses: no such interface, not a tap, not ours (EPERM), in use (EBUSY). Never creates. */
int tap_open(struct tap **out, const char *name, struct err *e);
/* Take over an open tap fd (the caller's number is duplicated; it stays open). Refuses an fd that is no tap, or one
 * without IFF_VNET_HDR. */
int tap_open_fd(struct tap **out, int fd, struct err *e);
void tap_close(struct tap *t); /* NULL is legal */

/* Offloads the peer may hand to the guest (TUNSETOFFLOAD bits): 0 or -errno; -EBADFD: the tap is gone. */
int tap_set_offload(struct tap *t, unsigned tun_f_bits);
/* Is the interface up? 1 or 0; -EBADFD: it is gone. One that was handed to us as an fd may live in another network
 * namespace, whose links we don't see: it counts as up. Empties link_fd. */
int tap_is_up(struct tap *t);

#endif
