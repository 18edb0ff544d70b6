/* virtio-console (VIRTIO 1.2, 5.3): one port, on the console backend that it shares with the serial port.
 *
 * Output must not wait, since other devices live on this loop: what the host does not take stays in its chain until
 * chario says to try again. There is room for input when the guest has offered a buffer; the buffer is taken when
 * chario asks. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "devices/devices.h"
#include "vmm/base/endian.h"

#define CONSOLE_F_SIZE (1ull << 0) /* 5.3.3 */

enum { RX = 0, TX = 1, QUEUES = 2 };

#define CONSOLE_QUEUE_SIZE 64 /* Linux fills the receive queue with pages and has one buffer in flight to send */
/* Characters a drain, so that a guest that writes without end leaves the loop to other devices; the next turn does
 * more. A chain of descriptors that overlap can stand for 4 GiB of characters. */
#define TX_DRAIN_BYTES (64u * 1024)
#define TX_PIECE       1024 /* copied out at once */

struct console_config { /* 5.3.4 */
    struct le16 cols, rows;
    struct le32 max_nr_ports, emerg_wr;
};

struct console {
    struct virtio_dev dev;
    struct chario *io;   /* borrowed */
    bool has_size;       /* const: there is a terminal, whose size may change */
    bool has_rx, has_tx; /* the chain is popped and not yet pushed */
    struct virtq_chain rx, tx;
    uint64_t tx_done; /* bytes of tx written */
};

static struct console *console_of(struct virtio_dev *d)
{
    return (struct console *)d; /* its first member */
}

static uint64_t console_features(const struct virtio_dev *d)
{
    return ((const struct console *)d)->has_size ? CONSOLE_F_SIZE : 0;
}

static void console_config_read(const struct virtio_dev *d, uint32_t off, void *buf, uint32_t len)
{
    uint16_t cols, rows;
    chario_size(((const struct console *)d)->io, &cols, &rows);
    const struct console_config config = {le16_make(cols), le16_make(rows), le32_make(1), le32_make(0)};
    memcpy(buf, (const uint8_t *)&config + off, len);
}

/* 5.3.6: a configuration change tells of a resize. */
static void on_resized(void *arg)
{
    struct console *c = arg;
    if (c->dev.features & CONSOLE_F_SIZE) c->dev.up->config_changed(c->dev.up_arg);
}

/* ---- output ---- */

static int next_tx(struct console *c)
{
    if (c->has_tx) return 1;
    const int rc = virtq_pop(&c->dev.vq[TX], &c->tx);
    c->has_tx = rc > 0;
    c->tx_done = 0;
    return rc;
}

/* Write from c->tx, at most *left bytes, and give it back when all is written. false: the host takes no more now. */
static bool send_some(struct console *c, uint32_t *left)
{
    uint8_t piece[TX_PIECE];
    const size_t want = *left < sizeof(piece) ? *left : sizeof(piece);
    const size_t n = virtq_copy_out(&c->tx, c->tx_done, piece, want);
    const size_t taken = n > 0 ? chario_try_output(c->io, CHARIO_VIRTIO, piece, n) : 0;
    c->tx_done += taken;
    *left -= (uint32_t)taken;
    if (c->tx_done == c->tx.out_bytes) {
        virtq_push(&c->dev.vq[TX], c->tx.head, 0);
        c->has_tx = false;
    }
    return taken == n;
}

static void drain_tx(struct console *c)
{
    struct virtio_dev *d = &c->dev;
    struct virtq *q = &d->vq[TX];
    uint32_t left = TX_DRAIN_BYTES;
    bool is_taken = true;
    int rc = 1;
    /* Each turn writes bytes or ends a chain, so the two bounds together bound the turns. */
    for (unsigned chains = 0; chains < q->size && left > 0 && is_taken;) {
        rc = next_tx(c);
        if (rc <= 0) break;
        is_taken = send_some(c, &left);
        if (!c->has_tx) chains++;
    }
    if (rc == 0 && virtq_enable_doorbell(q)) rc = 1;
    virtio_used(d, TX);
    if (rc > 0 && is_taken) d->up->renotify(d->up_arg, TX);
    if (rc < 0) virtio_fault(d, q->why);
}

static void on_output_ready(void *arg)
{
    drain_tx(arg);
}

/* ---- input ---- */

static void rx_broken(struct console *c)
{
    virtio_fault(&c->dev, c->dev.vq[RX].why);
}

/* A buffer without room is given back at once; there can be at most a queue of them in a row. */
static size_t console_room(void *arg)
{
    struct console *c = arg;
    struct virtq *q = &c->dev.vq[RX];
    for (unsigned i = 0; i < q->size && !c->has_rx && !q->is_broken; i++) {
        const int rc = virtq_pop(q, &c->rx);
        if (rc < 0) rx_broken(c);
        if (rc == 0 && !virtq_enable_doorbell(q)) return 0;
        if (rc <= 0) continue;
        if (c->rx.in_bytes > 0)
            c->has_rx = true;
        else
            virtq_push(q, c->rx.head, 0);
    }
    return c->has_rx ? c->rx.in_bytes : 0;
}

static void console_input(void *arg, const uint8_t *bytes, size_t len)
{
    struct console *c = arg;
    if (!c->has_rx) return;
    const size_t n = virtq_copy_in(&c->rx, 0, bytes, len);
    virtq_push(&c->dev.vq[RX], c->rx.head, (uint32_t)n);
    c->has_rx = false;
    virtio_used(&c->dev, RX);
}

/* ---- life ---- */

static int console_activate(struct virtio_dev *d)
{
    struct console *c = console_of(d);
    const struct chario_user user = {console_room, console_input, on_output_ready, on_resized, c};
    c->has_rx = c->has_tx = false;
    chario_attach(c->io, CHARIO_VIRTIO, &user);
    return 0;
}

static bool console_deactivate(struct virtio_dev *d)
{
    struct console *c = console_of(d);
    chario_attach(c->io, CHARIO_VIRTIO, NULL);
    c->has_rx = c->has_tx = false;
    return true;
}

static void console_notify(struct virtio_dev *d, unsigned queue)
{
    struct console *c = console_of(d);
    if (queue == TX) {
        drain_tx(c);
        return;
    }
    /* Buffers to receive into. Looking for one also asks for the next doorbell. */
    if (console_room(c) > 0) chario_input_ready(c->io, CHARIO_VIRTIO);
}

static void console_destroy(struct virtio_dev *d)
{
    free(console_of(d));
}

/* Of both ports, which share one host side. */
static bool console_counter(const struct virtio_dev *d, unsigned index, struct virtio_counter *out)
{
    const struct chario *io = ((const struct console *)d)->io;
    const struct virtio_counter all[] = {{"output_dropped", chario_dropped(io)}, {"input_dropped", chario_unheard(io)}};
    if (index >= sizeof(all) / sizeof(all[0])) return false;
    *out = all[index];
    return true;
}

static const struct virtio_ops console_ops = {
    .name = "console",
    .id = VIRTIO_ID_CONSOLE,
    .queue_count = QUEUES,
    .queue_size = {CONSOLE_QUEUE_SIZE, CONSOLE_QUEUE_SIZE},
    .features = console_features,
    .config_size = sizeof(struct console_config),
    .config_read = console_config_read,
    .activate = console_activate,
    .deactivate = console_deactivate,
    .notify = console_notify,
    .destroy = console_destroy,
    .counter = console_counter,
};

int virtio_console_create(struct virtio_dev **out, struct chario *io, struct err *e)
{
    struct console *c = calloc(1, sizeof(*c));
    if (!c) return err_set(e, -ENOMEM, "out of memory");
    c->dev.ops = &console_ops;
    c->io = io;
    c->has_size = chario_has_size(io);
    *out = &c->dev;
    return 0;
}
