/* The sending half of a network card. The idea is told at the top of net.c. */
#include <errno.h>

#include "devices/virtio/net_state.h"

#define TX_DRAIN_BYTES  (1u << 20) /* a turn of the loop, so that other devices get theirs: 16 of the largest frames */
#define TX_UNTOLD_NS    1000000    /* as much as a TCP of Linux gives a driver to hold (tcp_small_queue_check) */
#define TX_UNTOLD_BYTES (128u << 10) /* less than a socket may have unsent by default (net.core.wmem_default) */
/* What a frame of some 1,000 bytes costs the guest's socket. Linux counts the memory that holds it (truesize). */
#define TX_FRAME_COST 2304

/* ---- telling the driver ---- */

void net_tx_settle(struct net *n)
{
    if (loop_timer_is_set(&n->tx_timer)) loop_timer_cancel(n->dev.loop, &n->tx_timer);
    n->tx_untold_bytes = n->tx_untold_segs = 0;
}

void net_tx_tell(void *arg)
{
    struct net *n = arg;
    net_tx_settle(n);
    virtio_used(&n->dev, TX);
}

static void tell_tx_in_time(struct net *n)
{
    if (n->tx_untold_bytes >= TX_UNTOLD_BYTES || n->tx_untold_segs >= n->dev.vq[TX].size / 2u)
        net_tx_tell(n);
    else if (!loop_timer_is_set(&n->tx_timer) && virtq_asks_interrupt(&n->dev.vq[TX]))
        loop_timer_set(n->dev.loop, &n->tx_timer, TX_UNTOLD_NS);
}

/* ---- frames ---- */

/* Make *h a header that the kernel may see. false: it asks for what was not negotiated, or points outside the frame. */
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

/* The frame in c, without its header, as an iovec. Returns the number of entries. */
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

/* 0: the frame is sent, or it was dropped because of the guest or the host. -EAGAIN: the host's side takes no more now.
 */
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
        net_count(&n->tx_frames);
        return 0;
    }
    if (len == -EAGAIN) return -EAGAIN;
    if (len != -EBADMSG) net_lose_host(n, (int)-len);
drop:
    net_count(&n->tx_dropped);
    return 0;
}

/* 1: one frame was served; 0: there is none, or the host's side is full; <0: the queue is broken. */
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
    net_note_stream(n, c.out_bytes);
    n->tx_untold_bytes += c.out_bytes > TX_FRAME_COST ? c.out_bytes : TX_FRAME_COST;
    n->tx_untold_segs += c.out_count + c.in_count; /* a guest may also offer buffers that can't be sent */
    virtq_push(q, c.head, 0);
    return 1;
}

void net_tx_drain(struct net *n)
{
    struct virtio_dev *d = &n->dev;
    struct virtq *q = &d->vq[TX];
    uint64_t left = TX_DRAIN_BYTES;
    int rc = 1;
    virtq_disable_doorbell(q);
    n->tx_is_blocked = false;
    for (unsigned i = 0; i < q->size && left > 0 && rc > 0; i++) rc = send_one(n, &left);
    if (rc == 0 && !n->tx_is_blocked && virtq_enable_doorbell(q)) rc = 1;
    net_update_polling(n);
    tell_tx_in_time(n);
    if (rc > 0) d->up->renotify(d->up_arg, TX);
    if (rc < 0) net_give_up(n, q->why);
}
