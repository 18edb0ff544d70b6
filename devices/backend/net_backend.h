/* A network's host side, as a network card sees it: a row of functions, and the descriptors that its loop watches.
 *
 * A frame is one vector of bytes, either way: the 12-byte header of virtio-net (VIRTIO 1.2, 5.1.6; its num_buffers
 * means nothing here), then Ethernet. Nothing here waits, allocates or takes a lock. All on the card's loop thread, but
 * close, which is called when no loop watches the descriptors any more. */
#ifndef VIREO_DEVICES_BACKEND_NET_BACKEND_H
#define VIREO_DEVICES_BACKEND_NET_BACKEND_H

#include <sys/types.h>
#include <sys/uio.h>

/* What the header of a received frame may leave to the guest, by bit. */
enum net_offload { NET_OFFLOAD_CSUM = 1, NET_OFFLOAD_TSO4 = 2, NET_OFFLOAD_TSO6 = 4, NET_OFFLOAD_ECN = 8 };

struct net_backend;

/* What send and receive return: the bytes of the frame, or
 *   -EAGAIN   nothing was done, come again: there is no frame or no room, or the host is short of something
 *   -EBADMSG  this one frame was lost
 *   else      the host's side is gone for good; -EBADFD: taken away by the host, another code says why. Descriptors are
 *             to be watched no more, and may report an error for ever. */
struct net_backend_ops {
    const char *name; /* "tap", for messages */
    ssize_t (*send)(struct net_backend *b, const struct iovec *v, int count);
    /* What doesn't fit into v is cut off. */
    ssize_t (*receive)(struct net_backend *b, const struct iovec *v, int count);
    /* From now on hand out only what these bits allow; frames that wait already may still have more. 0 or -errno;
     * -EBADFD as above. */
    int (*set_offloads)(struct net_backend *b, unsigned offloads);
    int (*link)(struct net_backend *b); /* 1: up; 0: down; -errno: gone, as above. Empties link_fd */
    void (*close)(struct net_backend *b);
};

struct net_backend {
    const struct net_backend_ops *ops;
    int frame_fd; /* readable when a frame is there, writable when one can be sent */
    int link_fd;  /* readable when link may have another answer; -1: it never has */
};

static inline void net_backend_close(struct net_backend *b) /* NULL is legal */
{
    if (b) b->ops->close(b);
}

#endif
