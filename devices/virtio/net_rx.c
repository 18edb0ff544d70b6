/* The receiving half of a network card. The idea is told at the top of net.c. */
#include <assert.h>
#include <errno.h>
#include <string.h>

#include "devices/virtio/net_state.h"

#define RX_BATCH 64 /* frames a turn of the loop, so that other devices get theirs */

/* ---- the pool ---- */

/* How many bytes of buffers a frame of any size needs. Without merging it gets one buffer, so 1 byte asks for one. */
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

/* No more buffers fit, or the guest can have no more. */
static bool pool_is_full(const struct net *n)
{
    return n->pool.buffers == n->dev.vq[RX].size || n->pool.segs > POOL_SEGS - VIRTQ_MAX_SIZE;
}

/* Pop buffers until they have `goal` bytes or the guest has no more. 0, or <0: the queue is broken. */
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

/* ---- frames ---- */

/* Can this driver take the frame? The kernel keeps to the offloads that are set. But frames that it queued under an
 * earlier driver's offloads may still come, and it marks checksums as checked unasked. */
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

/* Read a frame: its header into rx_hdr, the rest into the pool behind the room of that header, then into spill. Its
 * bytes, header included, or -errno. */
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
        net_count(&n->rx_dropped);
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
    net_count(&n->rx_frames);
    net_note_stream(n, n->rx_waiting);
    n->rx_waiting = 0;
}

/* 1: go on; 0: nothing more now; <0: the queue is broken. */
static int receive_one(struct net *n)
{
    int rc = pool_fill(n, n->rx_waiting ? n->rx_waiting : pool_goal(n));
    if (rc < 0) return rc;
    if (n->rx_waiting == 0 && n->pool.buffers > 0) {
        const ssize_t len = read_frame(n);
        if (len == -EAGAIN) return 0;
        if (len == -EBADMSG) net_count(&n->rx_dropped);
        if (len < 0 && len != -EBADMSG) net_lose_host(n, (int)-len);
        if (len < 0 || !accept_frame(n, (size_t)len)) return 1;
        rc = pool_fill(n, n->rx_waiting);
        if (rc < 0) return rc;
    }
    if (n->rx_waiting > 0 && n->pool.bytes >= n->rx_waiting) {
        finish_frame(n);
        return 1;
    }
    if (n->rx_waiting > 0 && pool_is_full(n)) { /* and it is still too little */
        net_count(&n->rx_dropped);
        n->rx_waiting = 0;
        return 1;
    }
    n->rx_is_starved = true;
    return 0;
}

/* An interrupt names no queue, and a driver looks at each. So this one tells of sent frames too. */
static void tell_rx(struct net *n)
{
    if (!virtq_wants_interrupt(&n->dev.vq[RX])) return;
    net_tx_settle(n);
    (void)virtq_wants_interrupt(&n->dev.vq[TX]);
    n->dev.up->interrupt(n->dev.up_arg);
}

void net_rx_drain(struct net *n)
{
    struct virtq *q = &n->dev.vq[RX];
    int rc = 1;
    virtq_disable_doorbell(q);
    n->rx_is_starved = false;
    for (unsigned i = 0; i < RX_BATCH && rc > 0 && !n->is_gone; i++) rc = receive_one(n);
    if (rc < 0) n->rx_is_starved = true;
    net_update_polling(n);
    tell_rx(n);
    if (rc < 0) net_give_up(n, q->why);
}
