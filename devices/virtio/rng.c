/* virtio-rng: an entropy source (VIRTIO 1.2, 5.4) from getrandom(2), straight into the guest's buffers. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "devices/devices.h"

#define RNG_QUEUE_SIZE 64 /* Linux has one request in flight, others a few */
/* Bytes a drain, so that a guest that asks without end leaves the loop to other devices: about 0.2 ms. A request for
 * more gets this much (5.4.6.2: the device may use less than the entire buffer). */
#define RNG_DRAIN_BYTES (64u * 1024)
#define WHY_MAX         96 /* a call's name and an errno's sentence */

struct rng {
    struct virtio_dev dev;
};

static uint64_t rng_features(const struct virtio_dev *d)
{
    (void)d;
    return 0;
}

static int rng_activate(struct virtio_dev *d)
{
    (void)d;
    return 0;
}

static bool rng_deactivate(struct virtio_dev *d)
{
    (void)d;
    return true;
}

/* Fill at most max bytes, without a hole. Bytes filled, or -errno. Fewer when a signal stops getrandom early. */
static int64_t fill(const struct virtq_chain *c, uint32_t max)
{
    uint32_t done = 0;
    for (unsigned i = 0; i < c->in_count && done < max; i++) {
        const struct virtq_seg *s = &c->seg[c->out_count + i];
        const uint32_t want = s->len < max - done ? s->len : max - done;
        const ssize_t n = TEMP_FAILURE_RETRY(getrandom(s->base, want, 0));
        if (n < 0) return -errno;
        done += (uint32_t)n;
        if (n != (ssize_t)want) break;
    }
    return done;
}

static void fail(struct virtio_dev *d, int error)
{
    char why[WHY_MAX];
    (void)snprintf(why, sizeof(why), "getrandom: %s", strerrordesc_np(error));
    d->up->host_failed(d->up_arg, why);
}

/* 1: served one; 0: there is none; <0: q->why says what is wrong. */
static int serve(struct virtio_dev *d, struct virtq *q, uint32_t *left)
{
    struct virtq_chain c;
    const int rc = virtq_pop(q, &c);
    if (rc <= 0) return rc;
    if (c.out_count > 0 || c.in_bytes == 0) { /* 5.4.6.1 */
        q->is_broken = true;
        q->why = "an entropy request that is not a buffer to fill";
        return -EPROTO;
    }
    const int64_t n = fill(&c, *left);
    if (n < 0) fail(d, (int)-n);
    const uint32_t filled = n > 0 ? (uint32_t)n : 0;
    virtq_push(q, c.head, filled);
    *left -= filled;
    return 1;
}

static void rng_notify(struct virtio_dev *d, unsigned queue)
{
    struct virtq *q = &d->vq[queue];
    uint32_t left = RNG_DRAIN_BYTES;
    int rc = 1;
    for (unsigned i = 0; i < q->size && left > 0 && rc > 0; i++) rc = serve(d, q, &left);
    if (rc == 0 && virtq_enable_doorbell(q)) rc = 1;
    virtio_used(d, queue);
    if (rc > 0) d->up->renotify(d->up_arg, queue);
    if (rc < 0) virtio_fault(d, q->why);
}

static void rng_destroy(struct virtio_dev *d)
{
    free(d); /* its first member */
}

static const struct virtio_ops rng_ops = {
    .name = "rng",
    .id = VIRTIO_ID_RNG,
    .queue_count = 1,
    .queue_size = {RNG_QUEUE_SIZE},
    .features = rng_features,
    .activate = rng_activate,
    .deactivate = rng_deactivate,
    .notify = rng_notify,
    .destroy = rng_destroy,
};

int virtio_rng_create(struct virtio_dev **out, struct err *e)
{
    struct rng *r = calloc(1, sizeof(*r));
    if (!r) return err_set(e, -ENOMEM, "out of memory");
    r->dev.ops = &rng_ops;
    *out = &r->dev;
    return 0;
}
