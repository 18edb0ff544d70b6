/* virtio-net (VIRTIO 1.2, 5.1) on a host side (backend/net_backend.h): one pair of queues, no control queue.
 *
 * Frames are read straight into the guest's buffers and written straight from them. Only the 12-byte headers are copied
 * and checked, both ways. Neither header tells the other side anything that was not negotiated.
 *
 * Receiving. The size of the next frame is not known before it is read, and with merged buffers it may be 64 KiB. So
 * buffers are popped ahead into a pool: as many as the largest frame needs, if the guest has offered so many. Behind
 * them the read has `spill`, our own memory. A frame that ran over into spill waits for more buffers and is completed
 * then. So nothing is lost, however little the guest offers at a time. With no buffer at all the host's side is not
 * polled; the kernel queues the frames and, in the end, drops them. Without merged buffers a frame that exceeds its one
 * buffer is dropped.
 *
 * Sending. Frames are sent in order, one at a time. When the host's side takes no more, EPOLLOUT is waited for. An
 * interrupt for frames that were sent gives the driver only their memory back, and it costs a guest exits of its own.
 * Where frames are answered, as TCP's are, the next received one brings an interrupt anyway. So word of sent frames
 * waits for that one. But it waits never longer than TX_UNTOLD_NS, nor until the driver may run short of memory or
 * descriptors.
 *
 * Streams. Where the loop's thread and a vCPU share a processor, a doorbell takes it from the guest at once, and so
 * does each frame that comes in. In a stream that is bad for both sides. The guest's TCP sees a frame acknowledged
 * before it has put the next one together, and then sends what is left of a write as a small frame of its own. And each
 * frame costs a doorbell, an interrupt, and the switches between the threads. So while large frames come or go the loop
 * is patient (loop.h): the guest goes on until it waits or its time is up, and frames are served many at a time.
 * Requests and their answers are small, and find the thread as it was.
 *
 * The host's side may go, as a tap that is deleted. For the guest that is a cable that was pulled. The link is down
 * (NET_F_STATUS), what the guest sends is dropped and counted, and it stays so whatever the guest does, a reset too. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "devices/virtio/net_state.h"

enum { NET_S_LINK_UP = 1 }; /* 5.1.4 */

#define NET_QUEUE_SIZE 256
#define WHY_MAX        128 /* a sentence and an errno's */
/* A frame of so many bytes is part of a stream: twenty and more segments, which one side leaves to the other to cut. */
#define STREAM_FRAME (32u << 10)
#define STREAM_NS    10000000 /* a stream has ended when nothing of it comes for so long, or for twice that at most */

struct net_config { /* 5.1.4 */
    uint8_t mac[6];
    struct le16 status, max_virtqueue_pairs, mtu;
};

static struct net *net_of(struct virtio_dev *d)
{
    return (struct net *)d; /* its first member */
}

void net_count(atomic_ulong *counter)
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

/* What the host's side may hand us, by what the driver takes. Each offload depends on checksums (5.1.3.1). */
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

/* Both descriptors leave the loop for good. The one of frames would report the error for ever, and nobody reads the
 * news of the link any more. */
void net_lose_host(struct net *n, int error)
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
        net_lose_host(n, -up);
    else
        set_link(n, up);
}

static void poll_for(struct net *n, uint32_t want)
{
    if (n->is_gone || want == n->polled) return;
    (void)loop_modify(n->dev.loop, &n->source, want); /* can't fail: its place in the loop is reserved */
    n->polled = want;
}

void net_update_polling(struct net *n)
{
    poll_for(n, (uint32_t)(n->rx_is_starved ? 0 : EPOLLIN) | (uint32_t)(n->tx_is_blocked ? EPOLLOUT : 0));
}

/* ---- streams ---- */

void net_note_stream(struct net *n, uint64_t bytes)
{
    if (bytes < STREAM_FRAME) return;
    n->has_streamed = true;
    if (loop_timer_is_set(&n->stream_timer)) return;
    loop_ask_patience(n->dev.loop);
    loop_timer_set(n->dev.loop, &n->stream_timer, STREAM_NS);
}

static void look_at_stream(void *arg)
{
    struct net *n = arg;
    if (n->has_streamed)
        loop_timer_set(n->dev.loop, &n->stream_timer, STREAM_NS);
    else
        loop_end_patience(n->dev.loop);
    n->has_streamed = false;
}

static void end_stream(struct net *n)
{
    if (!loop_timer_is_set(&n->stream_timer)) return;
    loop_timer_cancel(n->dev.loop, &n->stream_timer);
    loop_end_patience(n->dev.loop);
}

/* ---- life ---- */

void net_give_up(struct net *n, const char *why)
{
    net_tx_settle(n);
    virtio_fault(&n->dev, why);
}

static void on_frames(void *arg, uint32_t events)
{
    struct net *n = arg;
    if (n->tx_is_blocked && (events & (EPOLLOUT | EPOLLERR | EPOLLHUP))) net_tx_drain(n);
    if (!n->rx_is_starved && (events & (EPOLLIN | EPOLLERR | EPOLLHUP))) net_rx_drain(n);
    /* epoll reports these two unasked and for ever, whether or not a driver runs. */
    if (events & (EPOLLERR | EPOLLHUP)) net_lose_host(n, EBADFD);
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
    net_tx_settle(n);
    end_stream(n);
    n->rx_is_starved = true; /* until the first notification */
    n->tx_is_blocked = false;
}

static int net_prepare(struct virtio_dev *d, struct err *e)
{
    struct net *n = net_of(d);
    n->source = (struct loop_source){.fd = n->host->frame_fd, .fn = on_frames, .arg = n};
    n->tx_timer = (struct loop_timer){.fn = net_tx_tell, .arg = n};
    n->stream_timer = (struct loop_timer){.fn = look_at_stream, .arg = n};
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
    if (rc) net_lose_host(n, EBADFD);
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
    (void)n->host->ops->set_offloads(n->host, 0); /* one that is gone needs nothing */
    return true;
}

static void net_notify(struct virtio_dev *d, unsigned queue)
{
    struct net *n = net_of(d);
    if (queue == TX)
        net_tx_drain(n);
    else
        net_rx_drain(n);
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
