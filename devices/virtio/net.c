/* virtio-net (VIRTIO 1.2, 5.1) on a host side (backend/net_backend.h): one pair of queues, no control queue.
 *
 * Frames are read straight into the guest's buffers and written straight from them; only the 12-byte headers are copied
 * and checked, both ways. Neither header tells the other side anything that was not negotiated.
 *
 * Receiving. The size of the next frame is not known before it is read, and with merged buffers it may be 64 KiB. So
 * buffers are popped ahead into a pool, as many as the largest frame needs, if the guest has offered so many; behind
 * them in the read comes `spill`, our own memory. A frame that ran over into it waits for more buffers and is completed
 * then: nothing is lost, however little the guest offers at a time. With no buffer at all the host's side is not
 * polled; the kernel queues and, in the end, drops. Without merged buffers a frame that exceeds its one buffer is
 * dropped.
 *
 * Sending. In order, one at a time; a host's side that takes no more is waited for with EPOLLOUT. An interrupt for
 * frames that were sent brings a driver nothing but their memory, and costs a guest exits of its own. Where frames are
 * answered, as TCP's are, the next received one has an interrupt anyway. So word of sent frames waits for that one, but
 * never longer than TX_UNTOLD_NS, nor until the driver may run short of memory or descriptors.
 *
 * The host's side may go, as a tap that is deleted. For the guest that is a cable that was pulled: the link is down
 * (NET_F_STATUS), what it sends is dropped and counted, and whatever it does, resets too, it stays so. */
#include <assert.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

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

enum { NET_S_LINK_UP = 1 };                                          /* 5.1.4 */
enum { HDR_F_NEEDS_CSUM = 1 };                                       /* 5.1.6 */
enum { GSO_NONE = 0, GSO_TCPV4 = 1, GSO_TCPV6 = 4, GSO_ECN = 0x80 }; /* 5.1.6 */
enum { ETH_HEADER = 14, VLAN_TAG = 4, MTU_DEFAULT = 1500, GSO_MAX = 65536 };

#define NET_QUEUE_SIZE  256
#define FRAME_MAX       (GSO_MAX + ETH_HEADER + VLAN_TAG) /* 5.1.6.3.1, and a VLAN tag */
#define RX_BATCH        64           /* frames a turn of the loop, so that other devices get theirs */
#define TX_DRAIN_BYTES  (1u << 20)   /* the same for sending: 16 of the largest frames */
#define TX_UNTOLD_NS    1000000      /* as much as a TCP of Linux gives a driver to hold (tcp_small_queue_check) */
#define TX_UNTOLD_BYTES (128u << 10) /* less than a socket may have unsent by default (net.core.wmem_default) */
/* What a frame of some 1,000 bytes costs its socket: Linux counts the memory that holds it (truesize). */
#define TX_FRAME_COST 2304
#define POOL_SEGS     (2 * VIRTQ_MAX_SIZE) /* while half is free, a chain of any length fits */
#define WHY_MAX       128                  /* a sentence and an errno's */

struct net_hdr { /* 5.1.6 */
    uint8_t flags, gso_type;
    struct le16 hdr_len, gso_size, csum_start, csum_offset, num_buffers;
};
static_assert(sizeof(struct net_hdr) == 12, "as net_backend.h says");

struct net_config { /* 5.1.4 */
    uint8_t mac[6];
    struct le16 status, max_virtqueue_pairs, mtu;
};

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
    bool is_active, is_gone;                  /* a driver runs; the host's side is no more */
    struct rx_pool pool;
    struct net_hdr rx_hdr;
    size_t rx_waiting; /* bytes of a frame that lie in the pool and in spill, waiting for buffers; 0: none */
    size_t rx_placed;  /* of those, how many lie in the pool */

    atomic_ulong rx_frames, rx_dropped, tx_frames, tx_dropped;
    uint8_t spill[sizeof(struct net_hdr) + FRAME_MAX]; /* last: its pages are touched only when it is used */
};

static struct net *net_of(struct virtio_dev *d)
{
    return (struct net *)d; /* its first member */
}

static void count(atomic_ulong *counter)
{
    atomic_fetch_add_explicit(counter, 1, memory_order_relaxed);
}

/* ---- configuration ---- */

static uint64_t net_features(const struct virtio_dev *d)
{
    return NET_F_CSUM | NET_F_GUEST_CSUM | NET_F_MAC | NET_F_GUEST_TSO4 | NET_F_GUEST_TSO6 | NET_F_GUEST_ECN |
           NET_F_HOST_TSO4 | NET_F_HOST_TSO6 | NET_F_HOST_ECN | NET_F_MRG_RXBUF | NET_F_STATUS |
           (((const struct net *)d)->mtu ? NET_F_MTU : 0);
}

static void net_config_read(const struct virtio_dev *d, uint32_t off, void *buf, uint32_t len)
{
    const struct net *n = (const struct net *)d;
    struct net_config c = {
        .status = le16_make(atomic_load_explicit(&n->status, memory_order_relaxed)),
        .max_virtqueue_pairs = le16_make(1),
        .mtu = le16_make(n->mtu),
    };
    memcpy(c.mac, n->mac, sizeof(c.mac));
    memcpy(buf, (const uint8_t *)&c + off, len);
}

/* What the host's side may hand us, from what the driver takes. Each depends on checksums (5.1.3.1). */
static unsigned offloads_of(uint64_t features)
{
    unsigned bits = 0;
    if (!(features & NET_F_GUEST_CSUM)) return 0;
    if (features & NET_F_GUEST_TSO4) bits |= NET_OFFLOAD_TSO4;
    if (features & NET_F_GUEST_TSO6) bits |= NET_OFFLOAD_TSO6;
    if (bits && (features & NET_F_GUEST_ECN)) bits |= NET_OFFLOAD_ECN;
    return bits | NET_OFFLOAD_CSUM;
}

/* ---- the host's side ---- */

static void set_link(struct net *n, bool is_up)
{
    const uint16_t status = is_up ? NET_S_LINK_UP : 0;
    if (atomic_exchange_explicit(&n->status, status, memory_order_relaxed) == status) return;
    if (n->is_active && (n->dev.features & NET_F_STATUS)) n->dev.up->config_changed(n->dev.up_arg);
}

/* It is out of the loop for good, since its descriptor would report the error for ever, and so is the news of its link,
 * which nobody reads from now on. */
static void lose_host(struct net *n, int error)
{
    char why[WHY_MAX];
    const bool is_deleted = error == EBADFD;
    if (n->is_gone) return;
    n->is_gone = true;
    loop_remove(n->dev.loop, &n->source);
    loop_remove(n->dev.loop, &n->link_source);
    (void)snprintf(why, sizeof(why), "the %s is gone%s%s: the guest's link is down from now on", n->host->ops->name,
                   is_deleted ? "" : ", ", is_deleted ? "" : strerrordesc_np(error));
    n->dev.up->host_error(n->dev.up_arg, why);
    set_link(n, false);
}

static void update_link(struct net *n)
{
    const int up = n->is_gone ? 0 : n->host->ops->link(n->host);
    if (up < 0)
        lose_host(n, -up);
    else
        set_link(n, up);
}

static void poll_for(struct net *n, uint32_t want)
{
    if (n->is_gone || want == n->polled) return;
    (void)loop_modify(n->dev.loop, &n->source, want); /* it has its place */
    n->polled = want;
}

static void update_polling(struct net *n)
{
    poll_for(n, (uint32_t)(n->rx_is_starved ? 0 : EPOLLIN) | (uint32_t)(n->tx_is_blocked ? EPOLLOUT : 0));
}

/* ---- telling the driver ---- */

static void settle_tx(struct net *n)
{
    if (loop_timer_is_set(&n->tx_timer)) loop_timer_cancel(n->dev.loop, &n->tx_timer);
    n->tx_untold_bytes = n->tx_untold_segs = 0;
}

static void tell_tx(void *arg)
{
    struct net *n = arg;
    settle_tx(n);
    virtio_used(&n->dev, TX);
}

static void tell_tx_in_time(struct net *n)
{
    if (n->tx_untold_bytes >= TX_UNTOLD_BYTES || n->tx_untold_segs >= n->dev.vq[TX].size / 2u)
        tell_tx(n);
    else if (!loop_timer_is_set(&n->tx_timer) && virtq_asks_interrupt(&n->dev.vq[TX]))
        loop_timer_set(n->dev.loop, &n->tx_timer, TX_UNTOLD_NS);
}

/* An interrupt names no queue, and a driver looks at each: what was sent is told by it too. */
static void tell_rx(struct net *n)
{
    if (!virtq_wants_interrupt(&n->dev.vq[RX])) return;
    settle_tx(n);
    (void)virtq_wants_interrupt(&n->dev.vq[TX]);
    n->dev.up->interrupt(n->dev.up_arg);
}

/* The guest broke a queue. No timer may look at one until the driver has reset the device. */
static void give_up(struct net *n, const char *why)
{
    settle_tx(n);
    virtio_fault(&n->dev, why);
}

/* ---- receiving ---- */

/* The buffers a frame of any size needs, if the guest has offered them. Without merging: one. */
static uint64_t pool_goal(const struct net *n)
{
    if (!(n->dev.features & NET_F_MRG_RXBUF)) return 1;
    if (n->dev.features & (NET_F_GUEST_TSO4 | NET_F_GUEST_TSO6)) return sizeof(n->spill);
    return sizeof(struct net_hdr) + ETH_HEADER + VLAN_TAG + (n->mtu ? n->mtu : MTU_DEFAULT);
}

static void pool_add(struct rx_pool *p, const struct virtq_chain *c)
{
    assert(p->buffers < VIRTQ_MAX_SIZE && p->segs + c->in_count <= POOL_SEGS);
    p->buffer[p->buffers++] = (struct rx_buffer){c->head, c->in_count, c->in_bytes};
    for (unsigned i = 0; i < c->in_count; i++) {
        const struct virtq_seg *s = &c->seg[c->out_count + i];
        p->seg[p->segs++] = (struct iovec){s->base, s->len};
    }
    p->bytes += c->in_bytes;
}

static void pool_drop_first(struct rx_pool *p, unsigned buffers)
{
    unsigned segs = 0;
    for (unsigned i = 0; i < buffers; i++) {
        segs += p->buffer[i].seg_count;
        p->bytes -= p->buffer[i].bytes;
    }
    p->buffers -= buffers;
    p->segs -= segs;
    memmove(p->buffer, p->buffer + buffers, p->buffers * sizeof(p->buffer[0]));
    memmove(p->seg, p->seg + segs, p->segs * sizeof(p->seg[0]));
}

/* No more fits, or the guest can have no more. */
static bool pool_is_full(const struct net *n)
{
    return n->pool.buffers == n->dev.vq[RX].size || n->pool.segs > POOL_SEGS - VIRTQ_MAX_SIZE;
}

/* Pop until `goal` bytes are there or the guest has no more. 0, or <0: the queue is broken. */
static int pool_fill(struct net *n, uint64_t goal)
{
    struct virtq *q = &n->dev.vq[RX];
    struct virtq_chain c;
    int rc = 1;
    while (rc > 0 && n->pool.bytes < goal && !pool_is_full(n)) {
        rc = virtq_pop(q, &c);
        if (rc > 0 && c.in_bytes < sizeof(struct net_hdr)) { /* 5.1.6.3.1 */
            q->is_broken = true;
            q->why = "a receive buffer has no room for its header";
            rc = -EPROTO;
        }
        if (rc > 0) pool_add(&n->pool, &c);
        if (rc == 0 && virtq_enable_doorbell(q)) rc = 1;
    }
    return rc < 0 ? rc : 0;
}

/* The part [off, off + len) of the pool's bytes as an iovec of at most `max` entries. */
static unsigned pool_range(const struct rx_pool *p, size_t off, struct iovec *v, unsigned max)
{
    unsigned count_v = 0;
    for (unsigned i = 0; i < p->segs && count_v < max; i++) {
        const size_t len = p->seg[i].iov_len;
        if (off < len) v[count_v++] = (struct iovec){(uint8_t *)p->seg[i].iov_base + off, len - off};
        off = off < len ? 0 : off - len;
    }
    return count_v;
}

static void pool_write(const struct rx_pool *p, size_t off, const void *buf, size_t len)
{
    const uint8_t *from = buf;
    for (unsigned i = 0; i < p->segs && len > 0; i++) {
        const size_t seg_len = p->seg[i].iov_len;
        const size_t part = off >= seg_len ? 0 : (len < seg_len - off ? len : seg_len - off);
        if (part > 0) memcpy((uint8_t *)p->seg[i].iov_base + off, from, part);
        off = off < seg_len ? 0 : off - seg_len;
        from += part;
        len -= part;
    }
}

/* The kernel keeps to the offloads that are set, but frames that were queued under an earlier driver's may still come,
 * and it marks checksums as checked unasked. false: nothing that this driver can take. */
static bool accept_rx_hdr(const struct net *n)
{
    const uint64_t f = n->dev.features;
    const uint8_t gso = n->rx_hdr.gso_type;
    if ((n->rx_hdr.flags & HDR_F_NEEDS_CSUM) && !(f & NET_F_GUEST_CSUM)) return false;
    if ((gso & GSO_ECN) && !(f & NET_F_GUEST_ECN)) return false;
    switch (gso & ~GSO_ECN) {
    case GSO_NONE: return gso == GSO_NONE;
    case GSO_TCPV4: return f & NET_F_GUEST_TSO4;
    case GSO_TCPV6: return f & NET_F_GUEST_TSO6;
    default: return false;
    }
}

/* Read a frame into rx_hdr, the pool behind where its first header goes, and spill. Bytes, header included, or
 * -errno. */
static ssize_t read_frame(struct net *n)
{
    struct iovec v[1 + POOL_SEGS + 1];
    unsigned used = 0;
    v[used++] = (struct iovec){&n->rx_hdr, sizeof(n->rx_hdr)};
    used += pool_range(&n->pool, sizeof(n->rx_hdr), v + used, POOL_SEGS);
    v[used++] = (struct iovec){n->spill, sizeof(n->spill)};
    return n->host->ops->receive(n->host, v, (int)used);
}

/* A frame of `len` bytes was read. true: it waits in the pool and in spill to be finished. */
static bool accept_frame(struct net *n, size_t len)
{
    const bool is_merged = n->dev.features & NET_F_MRG_RXBUF;
    const bool fits = len <= sizeof(n->spill) && (is_merged || len <= n->pool.bytes);
    if (len < sizeof(n->rx_hdr) + ETH_HEADER || !fits || !accept_rx_hdr(n)) {
        count(&n->rx_dropped);
        return false;
    }
    if (!(n->dev.features & NET_F_GUEST_CSUM)) n->rx_hdr.flags = 0; /* 5.1.6.4.1 */
    n->rx_waiting = len;
    n->rx_placed = len < n->pool.bytes ? len : n->pool.bytes;
    return true;
}

/* Hand the guest the frame that waits: its header, what lies in spill, and the used elements all at once (5.1.6.4). */
static void finish_frame(struct net *n)
{
    struct rx_pool *p = &n->pool;
    struct virtq *q = &n->dev.vq[RX];
    size_t left = n->rx_waiting;
    unsigned k = 0;
    for (; left > 0; k++) {
        const size_t written = left < p->buffer[k].bytes ? left : p->buffer[k].bytes;
        virtq_stage(q, k, p->buffer[k].head, (uint32_t)written);
        left -= written;
    }
    n->rx_hdr.num_buffers = le16_make((uint16_t)k);
    pool_write(p, 0, &n->rx_hdr, sizeof(n->rx_hdr));
    pool_write(p, n->rx_placed, n->spill, n->rx_waiting - n->rx_placed);
    virtq_publish(q, k);
    pool_drop_first(p, k);
    n->rx_waiting = 0;
    count(&n->rx_frames);
}

/* 1: go on; 0: nothing more now; <0: the queue is broken. */
static int receive_one(struct net *n)
{
    int rc = pool_fill(n, n->rx_waiting ? n->rx_waiting : pool_goal(n));
    if (rc < 0) return rc;
    if (n->rx_waiting == 0 && n->pool.buffers > 0) {
        const ssize_t len = read_frame(n);
        if (len == -EAGAIN) return 0;
        if (len == -EBADMSG) count(&n->rx_dropped);
        if (len < 0 && len != -EBADMSG) lose_host(n, (int)-len);
        if (len < 0 || !accept_frame(n, (size_t)len)) return 1;
        rc = pool_fill(n, n->rx_waiting);
        if (rc < 0) return rc;
    }
    if (n->rx_waiting > 0 && n->pool.bytes >= n->rx_waiting) {
        finish_frame(n);
        return 1;
    }
    if (n->rx_waiting > 0 && pool_is_full(n)) { /* and still too little */
        count(&n->rx_dropped);
        n->rx_waiting = 0;
        return 1;
    }
    n->rx_is_starved = true;
    return 0;
}

static void drain_rx(struct net *n)
{
    struct virtq *q = &n->dev.vq[RX];
    int rc = 1;
    virtq_disable_doorbell(q);
    n->rx_is_starved = false;
    for (unsigned i = 0; i < RX_BATCH && rc > 0 && !n->is_gone; i++) rc = receive_one(n);
    if (rc < 0) n->rx_is_starved = true;
    update_polling(n);
    tell_rx(n);
    if (rc < 0) give_up(n, q->why);
}

/* ---- sending ---- */

/* The header as the kernel may see it. false: it asks for what was not negotiated, or points outside the frame. */
static bool check_tx_hdr(const struct net *n, struct net_hdr *h, size_t frame_len)
{
    const uint64_t f = n->dev.features;
    const uint8_t gso = h->gso_type & (uint8_t)~GSO_ECN;
    const uint16_t start = le16_get(h->csum_start), offset = le16_get(h->csum_offset);
    h->flags &= HDR_F_NEEDS_CSUM; /* 5.1.6.2.2: others are ignored */
    h->num_buffers = le16_make(0);
    if (h->flags) {
        if (!(f & NET_F_CSUM) || (size_t)start + offset + sizeof(uint16_t) > frame_len) return false;
    } else {
        h->csum_start = h->csum_offset = le16_make(0);
    }
    if (h->gso_type == GSO_NONE) {
        h->hdr_len = h->gso_size = le16_make(0);
        return true;
    }
    if ((h->gso_type & GSO_ECN) && !(f & NET_F_HOST_ECN)) return false;
    if (gso != GSO_TCPV4 && gso != GSO_TCPV6) return false;
    if (!(f & (gso == GSO_TCPV4 ? NET_F_HOST_TSO4 : NET_F_HOST_TSO6))) return false;
    return h->flags && le16_get(h->gso_size) > 0 && le16_get(h->hdr_len) <= frame_len; /* 5.1.6.2.1 */
}

/* The readable part of c behind its header, as an iovec. */
static unsigned frame_segments(const struct virtq_chain *c, struct iovec *v)
{
    size_t off = sizeof(struct net_hdr);
    unsigned used = 0;
    for (unsigned i = 0; i < c->out_count; i++) {
        const struct virtq_seg *s = &c->seg[i];
        if (off < s->len) v[used++] = (struct iovec){s->base + off, s->len - off};
        off = off < s->len ? 0 : off - s->len;
    }
    return used;
}

/* 0: sent, or dropped for the guest's or the host's reason; -EAGAIN: the host's side takes no more now. */
static int send_frame(struct net *n, const struct virtq_chain *c)
{
    struct iovec v[1 + VIRTQ_MAX_SIZE];
    struct net_hdr h;
    if (n->is_gone) goto drop;
    if (c->out_bytes < sizeof(h) + ETH_HEADER || c->out_bytes > sizeof(h) + FRAME_MAX) goto drop;
    virtq_copy_out(c, 0, &h, sizeof(h));
    if (!check_tx_hdr(n, &h, c->out_bytes - sizeof(h))) goto drop;

    v[0] = (struct iovec){&h, sizeof(h)};
    const unsigned used = 1 + frame_segments(c, v + 1);
    const ssize_t len = n->host->ops->send(n->host, v, (int)used);
    if (len >= 0) {
        count(&n->tx_frames);
        return 0;
    }
    if (len == -EAGAIN) return -EAGAIN;
    if (len != -EBADMSG) lose_host(n, (int)-len);
drop:
    count(&n->tx_dropped);
    return 0;
}

/* 1: served one; 0: there is none, or the host's side is full; <0: the queue is broken. */
static int send_one(struct net *n, uint64_t *left)
{
    struct virtq *q = &n->dev.vq[TX];
    struct virtq_chain c;
    const int rc = virtq_pop(q, &c);
    if (rc <= 0) return rc;
    if (send_frame(n, &c) == -EAGAIN) {
        virtq_unpop(q, &c);
        n->tx_is_blocked = true;
        return 0;
    }
    *left -= c.out_bytes < *left ? c.out_bytes : *left;
    n->tx_untold_bytes += c.out_bytes > TX_FRAME_COST ? c.out_bytes : TX_FRAME_COST;
    n->tx_untold_segs += c.out_count + c.in_count; /* a guest may offer buffers that can't be sent, too */
    virtq_push(q, c.head, 0);
    return 1;
}

static void drain_tx(struct net *n)
{
    struct virtio_dev *d = &n->dev;
    struct virtq *q = &d->vq[TX];
    uint64_t left = TX_DRAIN_BYTES;
    int rc = 1;
    virtq_disable_doorbell(q);
    n->tx_is_blocked = false;
    for (unsigned i = 0; i < q->size && left > 0 && rc > 0; i++) rc = send_one(n, &left);
    if (rc == 0 && !n->tx_is_blocked && virtq_enable_doorbell(q)) rc = 1;
    update_polling(n);
    tell_tx_in_time(n);
    if (rc > 0) d->up->renotify(d->up_arg, TX);
    if (rc < 0) give_up(n, q->why);
}

/* ---- life ---- */

static void on_frames(void *arg, uint32_t events)
{
    struct net *n = arg;
    if (n->tx_is_blocked && (events & (EPOLLOUT | EPOLLERR | EPOLLHUP))) drain_tx(n);
    if (!n->rx_is_starved && (events & (EPOLLIN | EPOLLERR | EPOLLHUP))) drain_rx(n);
    /* They come unasked and without end, whether or not a driver runs. */
    if (events & (EPOLLERR | EPOLLHUP)) lose_host(n, EBADFD);
}

static void on_link(void *arg, uint32_t events)
{
    (void)events;
    update_link(arg);
}

static void forget_guest(struct net *n)
{
    n->pool.buffers = n->pool.segs = 0;
    n->pool.bytes = 0;
    n->rx_waiting = 0;
    settle_tx(n);
    n->rx_is_starved = true; /* until the first notification */
    n->tx_is_blocked = false;
}

static int net_prepare(struct virtio_dev *d, struct err *e)
{
    struct net *n = net_of(d);
    n->source = (struct loop_source){.fd = n->host->frame_fd, .fn = on_frames, .arg = n};
    n->tx_timer = (struct loop_timer){.fn = tell_tx, .arg = n};
    n->link_source = (struct loop_source){.fd = n->host->link_fd, .fn = on_link, .arg = n};
    const int rc = loop_reserve(d->loop, &n->source, e);
    return rc || n->host->link_fd < 0 ? rc : loop_reserve(d->loop, &n->link_source, e);
}

static int net_activate(struct virtio_dev *d)
{
    struct net *n = net_of(d);
    const int rc = n->is_gone ? -EBADFD : n->host->ops->set_offloads(n->host, offloads_of(d->features));
    if (rc && rc != -EBADFD) return rc;
    forget_guest(n);
    n->is_active = true;
    if (rc) lose_host(n, EBADFD);
    (void)loop_modify(d->loop, &n->link_source, EPOLLIN); /* where links are watched */
    update_link(n);
    return 0;
}

static bool net_deactivate(struct virtio_dev *d)
{
    struct net *n = net_of(d);
    n->is_active = false;
    poll_for(n, 0);
    (void)loop_modify(d->loop, &n->link_source, 0);
    forget_guest(n);
    (void)n->host->ops->set_offloads(n->host, 0); /* it handed out more before; one that is gone needs nothing */
    return true;
}

static void net_notify(struct virtio_dev *d, unsigned queue)
{
    struct net *n = net_of(d);
    if (queue == TX)
        drain_tx(n);
    else
        drain_rx(n);
}

static void net_destroy(struct virtio_dev *d)
{
    struct net *n = net_of(d);
    loop_remove(d->loop, &n->source);
    loop_remove(d->loop, &n->link_source);
    net_backend_close(n->host);
    free(n);
}

static bool net_counter(const struct virtio_dev *d, unsigned index, struct virtio_counter *out)
{
    const struct virtio_net_counts c = virtio_net_counts(d);
    const struct virtio_counter all[] = {{"rx_frames", c.rx_frames},
                                         {"rx_dropped", c.rx_dropped},
                                         {"tx_frames", c.tx_frames},
                                         {"tx_dropped", c.tx_dropped}};
    if (index >= sizeof(all) / sizeof(all[0])) return false;
    *out = all[index];
    return true;
}

static const struct virtio_ops net_ops = {
    .name = "net",
    .id = VIRTIO_ID_NET,
    .queue_count = QUEUES,
    .queue_size = {NET_QUEUE_SIZE, NET_QUEUE_SIZE},
    .features = net_features,
    .config_size = sizeof(struct net_config),
    .config_read = net_config_read,
    .prepare = net_prepare,
    .activate = net_activate,
    .deactivate = net_deactivate,
    .notify = net_notify,
    .destroy = net_destroy,
    .counter = net_counter,
};

enum { MAC_MULTICAST = 1, MAC_LOCAL = 2 }; /* IEEE 802, first byte */

static int choose_mac(struct net *n, const uint8_t *mac, struct err *e)
{
    if (!mac) {
        if (getrandom(n->mac, sizeof(n->mac), 0) != sizeof(n->mac)) return err_errno(e, "choose a MAC address");
        n->mac[0] = (uint8_t)((n->mac[0] & ~MAC_MULTICAST) | MAC_LOCAL);
        return 0;
    }
    if (mac[0] & MAC_MULTICAST)
        return err_set(e, -EINVAL, "MAC %02x:%02x:... is a multicast address: its first byte must be even", mac[0],
                       mac[1]);
    memcpy(n->mac, mac, sizeof(n->mac));
    return 0;
}

int virtio_net_create(struct virtio_dev **out, struct net_backend *host, const uint8_t *mac, uint16_t mtu,
                      struct err *e)
{
    struct net *n = calloc(1, sizeof(*n));
    if (!n) return err_set(e, -ENOMEM, "out of memory");
    const int rc = choose_mac(n, mac, e);
    if (rc) {
        free(n);
        return rc;
    }
    n->dev.ops = &net_ops;
    n->host = host;
    n->mtu = mtu;
    n->status = host->ops->link(host) > 0 ? NET_S_LINK_UP : 0;
    *out = &n->dev;
    return 0;
}

struct virtio_net_counts virtio_net_counts(const struct virtio_dev *net)
{
    const struct net *n = (const struct net *)net;
    return (struct virtio_net_counts){
        .rx_frames = atomic_load_explicit(&n->rx_frames, memory_order_relaxed),
        .rx_dropped = atomic_load_explicit(&n->rx_dropped, memory_order_relaxed),
        .tx_frames = atomic_load_explicit(&n->tx_frames, memory_order_relaxed),
        .tx_dropped = atomic_load_explicit(&n->tx_dropped, memory_order_relaxed),
    };
}
