/* What a network card is made of: shared by net*.c, seen by nobody else. All of it runs on the loop thread, but for
 * what vCPU threads read (see struct virtio_ops).
 *
 *   net.c     configuration, the host's side and its link, life
 *   net_rx.c  receiving: from the host's side into the guest's buffers
 *   net_tx.c  sending, and when the driver is told of it */
#ifndef VIREO_DEVICES_VIRTIO_NET_STATE_H
#define VIREO_DEVICES_VIRTIO_NET_STATE_H

#include <assert.h>
#include <stdatomic.h>

#include "devices/devices.h"
#include "vmm/base/endian.h"

enum { RX = 0, TX = 1, QUEUES = 2 };

/* 5.1.3 */
#define NET_F_CSUM       (1ull << 0)
#define NET_F_GUEST_CSUM (1ull << 1)
#define NET_F_MTU        (1ull << 3)
#define NET_F_MAC        (1ull << 5)
#define NET_F_GUEST_TSO4 (1ull << 7)
#define NET_F_GUEST_TSO6 (1ull << 8)
#define NET_F_GUEST_ECN  (1ull << 9)
#define NET_F_HOST_TSO4  (1ull << 11)
#define NET_F_HOST_TSO6  (1ull << 12)
#define NET_F_HOST_ECN   (1ull << 13)
#define NET_F_MRG_RXBUF  (1ull << 15)
#define NET_F_STATUS     (1ull << 16)

enum { HDR_F_NEEDS_CSUM = 1 };                                       /* 5.1.6 */
enum { GSO_NONE = 0, GSO_TCPV4 = 1, GSO_TCPV6 = 4, GSO_ECN = 0x80 }; /* 5.1.6 */
enum { ETH_HEADER = 14, VLAN_TAG = 4, MTU_DEFAULT = 1500, GSO_MAX = 65536 };

#define FRAME_MAX (GSO_MAX + ETH_HEADER + VLAN_TAG) /* 5.1.6.3.1, and a VLAN tag */
#define POOL_SEGS (2 * VIRTQ_MAX_SIZE)              /* while half is free, a chain of any length fits */

struct net_hdr { /* 5.1.6 */
    uint8_t flags, gso_type;
    struct le16 hdr_len, gso_size, csum_start, csum_offset, num_buffers;
};
static_assert(sizeof(struct net_hdr) == 12, "as net_backend.h says");

struct rx_buffer { /* a popped chain: the next seg_count of the pool's segments */
    uint16_t head, seg_count;
    uint64_t bytes;
};

/* Receive buffers in the order they were popped. */
struct rx_pool {
    struct rx_buffer buffer[VIRTQ_MAX_SIZE];
    struct iovec seg[POOL_SEGS];
    unsigned buffers, segs;
    uint64_t bytes;
};

struct net {
    struct virtio_dev dev;
    struct net_backend *host;
    uint8_t mac[6];
    uint16_t mtu; /* 0: not offered */
    _Atomic uint16_t status;

    struct loop_source source, link_source; /* in the loop from net_prepare on, until the host's side is gone */
    uint32_t polled;                        /* what the source waits for */
    bool rx_is_starved, tx_is_blocked;
    struct loop_timer tx_timer;               /* set while the driver is owed word of frames that were sent */
    uint64_t tx_untold_bytes, tx_untold_segs; /* of those */
    struct loop_timer stream_timer;           /* set while a stream comes or goes, and the loop is patient for it */
    bool has_streamed;                        /* since that timer was set */
    bool is_active, is_gone;                  /* a driver runs; the host's side is no more */
    struct rx_pool pool;
    struct net_hdr rx_hdr;
    size_t rx_waiting; /* bytes of a frame that lie in the pool and in spill, waiting for buffers; 0: none */
    size_t rx_placed;  /* of those, how many lie in the pool */

    atomic_ulong rx_frames, rx_dropped, tx_frames, tx_dropped;
    uint8_t spill[sizeof(struct net_hdr) + FRAME_MAX]; /* last: its pages are touched only when it is used */
};

/* ---- net.c ---- */

void net_count(atomic_ulong *counter);
/* The host's side failed for good: the link is down from now on, and what is sent is dropped. */
void net_lose_host(struct net *n, int error);
/* Have the loop watch the host's side for what rx_is_starved and tx_is_blocked say. */
void net_update_polling(struct net *n);
/* The guest broke a queue. No timer may look at one until the driver has reset the device. */
void net_give_up(struct net *n, const char *why);

/* A frame of so many bytes, header included, came or went. */
void net_note_stream(struct net *n, uint64_t bytes);

/* ---- net_rx.c and net_tx.c: a turn of the loop each ---- */

void net_rx_drain(struct net *n);
void net_tx_drain(struct net *n);

/* The driver is told of sent frames by the interrupt that comes now, or need not be told any more. */
void net_tx_settle(struct net *n);
void net_tx_tell(void *net); /* tx_timer's */

#endif
